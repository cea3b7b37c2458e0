//! Common table expressions.

use boathouse_spec::{CommonTable, Error, Relation, RelationNode, Result};

use super::Analyzer;
use super::analyzed::Analyzed;

/// A name that stands for a query within another.
#[derive(Debug, Clone)]
pub(super) struct CommonTables {
    name: String,
    columns: Vec<String>,
    query: Relation,
}

impl Analyzer {
    pub(super) fn with(&mut self, input: &Relation, tables: &[CommonTable], recursive: bool) -> Result<Analyzed> {
        let depth = self.tables.len();
        for (i, t) in tables.iter().enumerate() {
            if tables[..i].iter().any(|o| o.name.eq_ignore_ascii_case(&t.name)) {
                self.tables.truncate(depth);
                return Err(Error::new("DUPLICATED_CTE_NAMES")
                    .param("duplicateNames", boathouse_spec::quote(&t.name))
                    .exception("ParseException")
                    .message(format!("Two common table expressions are named {}.", t.name)));
            }
            if recursive && refers_to(&t.query, &t.name) {
                self.tables.truncate(depth);
                return Err(Error::unsupported("recursive common table expressions"));
            }
            self.tables.push(CommonTables { name: t.name.clone(), columns: t.columns.clone(), query: t.query.clone() });
        }
        // Spark checks every common table, used or not.
        let count = self.stream_count.take();
        let checked = (depth..self.tables.len()).try_for_each(|i| self.common_table_at(i).map(|_| ()));
        self.stream_count = count;
        let result = checked.and_then(|()| self.relation(input));
        self.tables.truncate(depth);
        result
    }

    /// Puts a name in sight for the rest of the request.
    pub(super) fn define_table(&mut self, name: &str, query: Relation) {
        self.tables.push(CommonTables { name: name.to_string(), columns: Vec::new(), query });
    }

    /// The common table of that name, analyzed anew for this use.
    pub(super) fn common_table(&mut self, name: &str) -> Result<Option<Analyzed>> {
        match self.tables.iter().rposition(|t| t.name.eq_ignore_ascii_case(name)) {
            Some(i) => self.common_table_at(i).map(Some),
            None => Ok(None),
        }
    }

    fn common_table_at(&mut self, i: usize) -> Result<Analyzed> {
        let table = self.tables[i].clone();
        // Its query sees the tables before it only.
        let later = self.tables.split_off(i);
        let outer = std::mem::take(&mut self.outer);
        let analyzed = self.query(&table.query);
        self.outer = outer;
        self.tables.extend(later);
        let aliased = self.aliased(analyzed?, vec![table.name.clone()])?;
        if table.columns.is_empty() {
            return Ok(aliased);
        }
        self.with_column_names(aliased, &table.columns, &table.name)
    }
}

/// Whether the relation reads the table of that name (in FROM; subqueries of expressions aside).
fn refers_to(relation: &Relation, name: &str) -> bool {
    match relation.node.as_ref() {
        RelationNode::Table(t) => matches!(t.name.as_slice(), [n] if n.eq_ignore_ascii_case(name)),
        node => node.inputs().into_iter().any(|r| refers_to(r, name)),
    }
}
