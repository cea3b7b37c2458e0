//! Common table expressions.

use std::collections::HashMap;

use boathouse_bridge::ResultExt;
use boathouse_spec::{CommonTable, Error, Relation, RelationNode, Result};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan};

use super::analyzed::{Analyzed, Attribute};
use super::recursion::WorkTable;
use super::{Analyzer, join_hint};
use crate::operators::{once, once_key};
use crate::relation_walk;
use crate::unnest::outer_columns;

/// A name that stands for a query within another.
#[derive(Debug, Clone)]
pub(super) struct CommonTables {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) body: Body,
    /// How many queries are around the one that defines it: its query sees their columns.
    pub(super) outer: usize,
    /// Whether it stands for more than one use.
    pub(super) is_shared: bool,
    /// What all of its uses read, where its rows would be others for each.
    made: Option<Analyzed>,
    /// What the check of the WITH found, for the first use.
    checked: Option<Analyzed>,
}

impl CommonTables {
    /// A table of WITH or, with `recursive`, of WITH RECURSIVE.
    pub(super) fn of(table: &CommonTable, recursive: bool, outer: usize, is_shared: bool) -> Self {
        let query = table.query.clone();
        let body = if recursive && super::recursion::refers_to(&query, &table.name) {
            Body::Recursive { query, max_recursion: table.max_recursion }
        } else {
            Body::Query(query)
        };
        Self { is_shared, ..Self::new(table.name.clone(), table.columns.clone(), body, outer) }
    }

    /// A name that each use computes.
    pub(super) fn new(name: String, columns: Vec<String>, body: Body, outer: usize) -> Self {
        Self { name, columns, body, outer, is_shared: false, made: None, checked: None }
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
        for (i, (t, is_shared)) in tables.iter().zip(used_more_than_once(input, tables)).enumerate() {
            if tables[..i].iter().any(|o| o.name.eq_ignore_ascii_case(&t.name)) {
                self.tables.truncate(depth);
                return Err(Error::new("DUPLICATED_CTE_NAMES")
                    .param("duplicateNames", boathouse_spec::quote(&t.name))
                    .exception("ParseException")
                    .message(format!("Two common table expressions are named {}.", t.name)));
            }
            self.tables.push(CommonTables::of(t, recursive, self.outer.len(), is_shared));
        }
        // Spark checks every common table, used or not.
        let count = self.stream_count.take();
        let checked = (depth..self.tables.len()).try_for_each(|i| self.check(i));
        self.stream_count = count;
        let result = checked.and_then(|()| self.relation(input));
        self.tables.truncate(depth);
        result
    }

    fn check(&mut self, i: usize) -> Result<()> {
        let analyzed = self.common_table_at(i)?;
        // The columns of outer queries are noted where they are used, and streams are counted.
        if self.tables[i].outer == 0 && !analyzed.is_streaming {
            self.tables[i].checked = Some(analyzed);
        }
        Ok(())
    }

    /// Puts a name in sight for the rest of the request.
    pub(super) fn define_table(&mut self, name: &str, query: Relation) {
        // Spark makes a view of it.
        self.tables.push(CommonTables::new(name.to_string(), Vec::new(), Body::Query(query), 0));
    }

    /// The common table of that name, with columns of its own for this use.
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
        if let Some(checked) = self.tables[i].checked.take() {
            return Ok(checked);
        }
        let table = self.tables[i].clone();
        let analyzed = match table.made.clone() {
            Some(made) => self.use_of(made)?,
            None => {
                let analyzed = self.analyzed_table(i, &table)?;
                if table.is_shared && !analyzed.is_streaming && varies(&analyzed.plan)? {
                    let made = analyzed.without_hidden()?;
                    let made = Analyzed { plan: once(made.plan.clone()), below: None, ..made };
                    if let Some(table) = self.tables.get_mut(i) {
                        table.made = Some(made.clone());
                    }
                    self.use_of(made)?
                } else {
                    analyzed
                }
            }
        };
        let aliased = self.aliased(analyzed, vec![table.name.clone()])?;
        if table.columns.is_empty() {
            return Ok(aliased);
        }
        self.with_column_names(aliased, &table.columns, &table.name)
    }

    fn analyzed_table(&mut self, i: usize, table: &CommonTables) -> Result<Analyzed> {
        // Its query sees the tables before it only.
        let later = self.tables.split_off(i);
        let inner = self.outer.split_off(table.outer.min(self.outer.len()));
        self.table_boundaries.push(i);
        let analyzed = match &table.body {
            // Spark looks for hints before it puts the query in the place of the name.
            Body::Query(query) => self.query(query).and_then(join_hint::lost),
            Body::Recursive { query, max_recursion } => self.recursion(table, query, *max_recursion),
            Body::Work(work) => self.work_table(work),
        };
        self.table_boundaries.pop();
        self.outer.extend(inner);
        self.tables.extend(later);
        analyzed
    }

    /// Columns of their own over rows that several uses read.
    fn use_of(&mut self, made: Analyzed) -> Result<Analyzed> {
        let mut columns: Vec<Attribute> = made.output.iter().map(|a| self.renewed(a)).collect();
        let ids: HashMap<u64, u64> =
            made.output.iter().zip(&columns).map(|(a, new)| (a.id, new.id)).collect();
        for column in &mut columns {
            column.repeats = column.repeats.map(|id| ids.get(&id).copied().unwrap_or(id));
        }
        let pairs = made.output.iter().map(Attribute::column).zip(columns).collect();
        self.project_pairs(made, pairs)
    }
}

/// Whether a plan gives other rows each time it is computed, and not because of a query around it.
fn varies(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if once_key(node).is_some() {
            return Ok(TreeNodeRecursion::Jump);
        }
        found |= node.expressions().iter().any(DfExpr::is_volatile);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .spark()?;
    Ok(found && outer_columns(plan).spark()?.is_empty())
}

/// Which tables of a WITH would be computed more than once, did every use compute them. It may say so of one that is not.
pub(super) fn used_more_than_once(input: &Relation, tables: &[CommonTable]) -> Vec<bool> {
    let mut often: Vec<bool> = Vec::with_capacity(tables.len());
    for (i, table) in tables.iter().enumerate().rev() {
        // Those after this one, the last first.
        let later = tables.iter().skip(i + 1).rev().zip(&often);
        let by_others = later.map(|(t, twice)| uses(&t.query, &table.name) * (1 + usize::from(*twice)));
        let total = uses(input, &table.name) + by_others.sum::<usize>();
        often.push(total > 1);
    }
    often.reverse();
    often
}

/// How often the relation reads the table of that name; names that mean another table within are counted, too.
fn uses(relation: &Relation, name: &str) -> usize {
    let of_all = |relations: Vec<&Relation>| relations.into_iter().map(|r| uses(r, name)).sum::<usize>();
    match relation.node.as_ref() {
        RelationNode::Table(t) => {
            usize::from(matches!(t.name.as_slice(), [n] if n.eq_ignore_ascii_case(name)))
        }
        // A table in between may have several uses itself.
        RelationNode::With { input, tables, .. } => {
            uses(input, name) + 2 * of_all(tables.iter().map(|t| &t.query).collect())
        }
        node => of_all(node.inputs()) + of_all(relation_walk::subqueries(node)),
    }
}
