//! Which columns of a node are read above it: Spark prunes the others before operators look for the event time of their rows.

use std::collections::BTreeSet;

use boathouse_engine::{EventTimeWatermark, SessionWindows, StreamDeduplicate, StreamOperation};
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Columns of a node's output, by their names, each of which is the only one of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needed {
    All,
    Some(BTreeSet<String>),
}

impl Needed {
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(name),
        }
    }

    /// What a node of which this is needed reads of its n-th input.
    pub fn below(&self, plan: &LogicalPlan, input: usize) -> Self {
        // What a subquery reads of the rows around it is not among the columns of its expression.
        if reads_anything(plan) || plan.expressions().iter().any(has_subquery) {
            return Self::All;
        }
        match plan {
            LogicalPlan::Projection(node) => Self::Some(self.read_by(&node.expr, &node.schema)),
            LogicalPlan::Aggregate(node) => {
                let mut names = columns(&node.group_expr);
                let keys = node.schema.fields().len() - node.aggr_expr.len();
                let results = node.schema.fields().iter().skip(keys);
                let read = node.aggr_expr.iter().zip(results).filter(|(_, f)| self.has(f.name()));
                names.extend(read.flat_map(|(e, _)| columns(std::slice::from_ref(e))));
                Self::Some(names)
            }
            // Columns of the inputs go by their places.
            LogicalPlan::Union(node) => {
                let Some(own) = node.inputs.get(input) else { return Self::All };
                let pairs = node.schema.fields().iter().zip(own.schema().fields());
                Self::Some(pairs.filter(|(f, _)| self.has(f.name())).map(|(_, f)| f.name().clone()).collect())
            }
            LogicalPlan::Distinct(_) => Self::All,
            other => match self {
                Self::All => Self::All,
                Self::Some(names) => {
                    Self::Some(names.union(&columns(&other.expressions())).cloned().collect())
                }
            },
        }
    }

    fn read_by(&self, exprs: &[Expr], schema: &DFSchemaRef) -> BTreeSet<String> {
        let read = exprs.iter().zip(schema.fields()).filter(|(_, f)| self.has(f.name()));
        read.flat_map(|(e, _)| columns(std::slice::from_ref(e))).collect()
    }
}

fn columns(exprs: &[Expr]) -> BTreeSet<String> {
    exprs
        .iter()
        .flat_map(|e| e.column_refs().into_iter().map(|c| c.name.clone()).collect::<Vec<_>>())
        .collect()
}

/// Whether a node reads its rows in ways of its own, as functions over groups do.
fn reads_anything(plan: &LogicalPlan) -> bool {
    let node = match plan {
        LogicalPlan::Extension(node) => node.node.as_any(),
        LogicalPlan::Unnest(_) => return true,
        // The right of a lateral join reads the rows of the left.
        LogicalPlan::Join(join) => return is_lateral(&join.right),
        _ => return false,
    };
    // Those that hand on what they get.
    !(node.is::<EventTimeWatermark>()
        // The event time says how long a key is remembered, whether or not it is one.
        || node.downcast_ref::<StreamDeduplicate>().is_some_and(|node| !node.within_watermark)
        || node.is::<SessionWindows>()
        || node.is::<StreamOperation>())
}

fn is_lateral(plan: &LogicalPlan) -> bool {
    let reads_outside =
        |p: &LogicalPlan| Ok(matches!(p, LogicalPlan::Subquery(s) if !s.outer_ref_columns.is_empty()));
    plan.exists(reads_outside).unwrap_or(true)
}

fn has_subquery(expr: &Expr) -> bool {
    let is_subquery = |e: &Expr| {
        let kinds = matches!(
            e,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        );
        Ok(kinds)
    };
    expr.exists(is_subquery).unwrap_or(true)
}
