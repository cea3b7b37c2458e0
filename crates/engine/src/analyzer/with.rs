//! Common table expressions.

use boathouse_spec::{CommonTable, Error, Relation, Result};

use super::analyzed::Analyzed;
use super::recursion::WorkTable;
use super::{Analyzer, join_hint};

/// A name that stands for a query within another.
#[derive(Debug, Clone)]
pub(super) struct CommonTables {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) body: Body,
    /// How many queries are around the one that defines it: its query sees their columns.
    pub(super) outer: usize,
}

impl CommonTables {
    /// A table of WITH or, with `recursive`, of WITH RECURSIVE.
    pub(super) fn of(table: &CommonTable, recursive: bool, outer: usize) -> Self {
        let query = table.query.clone();
        let body = if recursive && super::recursion::refers_to(&query, &table.name) {
            Body::Recursive { query, max_recursion: table.max_recursion }
        } else {
            Body::Query(query)
        };
        Self { name: table.name.clone(), columns: table.columns.clone(), body, outer }
    }
}

/// What the name stands for.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Query(Relation),
    /// A query that names itself.
    Recursive {
        query: Relation,
        max_recursion: Option<i64>,
    },
    /// The rows of the level before, inside a recursive step.
    Work(WorkTable),
}

impl Analyzer {
    pub(super) fn with(
        &mut self,
        input: &Relation,
        tables: &[CommonTable],
        recursive: bool,
    ) -> Result<Analyzed> {
        let depth = self.tables.len();
        for (i, t) in tables.iter().enumerate() {
            if tables[..i].iter().any(|o| o.name.eq_ignore_ascii_case(&t.name)) {
                self.tables.truncate(depth);
                return Err(Error::new("DUPLICATED_CTE_NAMES")
                    .param("duplicateNames", boathouse_spec::quote(&t.name))
                    .exception("ParseException")
                    .message(format!("Two common table expressions are named {}.", t.name)));
            }
            self.tables.push(CommonTables::of(t, recursive, self.outer.len()));
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
        self.tables.push(CommonTables {
            name: name.to_string(),
            columns: Vec::new(),
            body: Body::Query(query),
            outer: 0,
        });
    }

    /// The common table of that name, analyzed anew for this use.
    pub(super) fn common_table(&mut self, name: &str) -> Result<Option<Analyzed>> {
        let same = |t: &CommonTables| t.name.eq_ignore_ascii_case(name);
        let legacy = self.session.conf().get("spark.sql.legacy.ctePrecedencePolicy");
        let outermost_first = legacy.is_some_and(|p| p.eq_ignore_ascii_case("LEGACY"));
        // Under the legacy policy a subquery in an expression sees the tables around it before its own.
        let around = if outermost_first { self.table_boundaries.as_slice() } else { &[] };
        let around = around.iter().find_map(|end| self.tables.iter().take(*end).rposition(same));
        match around.or_else(|| self.tables.iter().rposition(same)) {
            Some(i) => self.common_table_at(i).map(Some),
            None => Ok(None),
        }
    }

    fn common_table_at(&mut self, i: usize) -> Result<Analyzed> {
        let table = self.tables[i].clone();
        // Its query sees the tables before it only.
        let later = self.tables.split_off(i);
        let inner = self.outer.split_off(table.outer.min(self.outer.len()));
        self.table_boundaries.push(i);
        let analyzed = match &table.body {
            // Spark looks for hints before it puts the query in the place of the name.
            Body::Query(query) => self.query(query).and_then(join_hint::lost),
            Body::Recursive { query, max_recursion } => self.recursion(&table, query, *max_recursion),
            Body::Work(work) => self.work_table(work),
        };
        self.table_boundaries.pop();
        self.outer.extend(inner);
        self.tables.extend(later);
        let aliased = self.aliased(analyzed?, vec![table.name.clone()])?;
        if table.columns.is_empty() {
            return Ok(aliased);
        }
        self.with_column_names(aliased, &table.columns, &table.name)
    }
}
