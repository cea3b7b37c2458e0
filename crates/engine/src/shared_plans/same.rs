//! Whether two plans give the same rows: the same operators over the same tables, under whatever names.

use std::any::Any;
use std::collections::HashMap;
use std::mem::discriminant;
use std::sync::Arc;

use boathouse_connectors::FileTable;
use boathouse_delta::DeltaScan;
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, SortExpr, TableScan};

use crate::operators::once_key;

/// Whether `b` gives the rows of `a`, column by column. Plans that are not looked into, and expressions that give something else
/// each time, are the same as nothing.
pub(super) fn same(a: &LogicalPlan, b: &LogicalPlan) -> bool {
    Names::default().plans(a, b)
}

/// The columns of the first plan, as the second calls them.
#[derive(Default)]
struct Names(HashMap<Column, Column>);

impl Names {
    fn plans(&mut self, a: &LogicalPlan, b: &LogicalPlan) -> bool {
        if let Some(key) = once_key(a) {
            return once_key(b) == Some(key) && self.outputs(a, b);
        }
        let (inputs, others) = (a.inputs(), b.inputs());
        discriminant(a) == discriminant(b)
            && inputs.len() == others.len()
            && inputs.into_iter().zip(others).all(|(a, b)| self.plans(a, b))
            && self.nodes(a, b)
            && self.outputs(a, b)
    }

    fn nodes(&mut self, a: &LogicalPlan, b: &LogicalPlan) -> bool {
        match (a, b) {
            (LogicalPlan::Projection(a), LogicalPlan::Projection(b)) => self.lists(&a.expr, &b.expr),
            (LogicalPlan::Filter(a), LogicalPlan::Filter(b)) => self.exprs(&a.predicate, &b.predicate),
            (LogicalPlan::Aggregate(a), LogicalPlan::Aggregate(b)) => {
                self.lists(&a.group_expr, &b.group_expr) && self.lists(&a.aggr_expr, &b.aggr_expr)
            }
            (LogicalPlan::Window(a), LogicalPlan::Window(b)) => self.lists(&a.window_expr, &b.window_expr),
            (LogicalPlan::Sort(a), LogicalPlan::Sort(b)) => {
                a.fetch == b.fetch && self.sorts(&a.expr, &b.expr)
            }
            (LogicalPlan::Limit(a), LogicalPlan::Limit(b)) => a.skip == b.skip && a.fetch == b.fetch,
            (LogicalPlan::Join(a), LogicalPlan::Join(b)) => self.joins(a, b),
            (LogicalPlan::TableScan(a), LogicalPlan::TableScan(b)) => self.scans(a, b),
            (LogicalPlan::Distinct(Distinct::All(_)), LogicalPlan::Distinct(Distinct::All(_)))
            | (LogicalPlan::SubqueryAlias(_), LogicalPlan::SubqueryAlias(_))
            | (LogicalPlan::Union(_), LogicalPlan::Union(_)) => true,
            (LogicalPlan::EmptyRelation(a), LogicalPlan::EmptyRelation(b)) => {
                a.produce_one_row == b.produce_one_row
            }
            _ => false,
        }
    }

    /// Notes what the columns that both give are called.
    fn outputs(&mut self, a: &LogicalPlan, b: &LogicalPlan) -> bool {
        let (ours, theirs) = (a.schema(), b.schema());
        if ours.fields().len() != theirs.fields().len() {
            return false;
        }
        ours.iter().zip(theirs.iter()).all(|((qualifier, field), (other_qualifier, other))| {
            self.0.insert((qualifier, field).into(), (other_qualifier, other).into());
            field.data_type() == other.data_type()
                && field.is_nullable() == other.is_nullable()
                && field.metadata() == other.metadata()
        })
    }

    fn joins(&self, a: &Join, b: &Join) -> bool {
        let keys = |join: &Join| join.on.iter().flat_map(|(l, r)| [l.clone(), r.clone()]).collect::<Vec<_>>();
        let filters = match (&a.filter, &b.filter) {
            (Some(a), Some(b)) => self.exprs(a, b),
            (None, None) => true,
            _ => false,
        };
        a.join_type == b.join_type
            && a.join_constraint == b.join_constraint
            && a.null_equality == b.null_equality
            && filters
            && self.lists(&keys(a), &keys(b))
    }

    fn scans(&mut self, a: &TableScan, b: &TableScan) -> bool {
        for field in a.source.schema().fields() {
            let of = |scan: &TableScan| Column::new(Some(scan.table_name.clone()), field.name());
            self.0.insert(of(a), of(b));
        }
        a.projection == b.projection
            && a.fetch == b.fetch
            && self.lists(&a.filters, &b.filters)
            && is_same_table(a, b)
    }

    fn sorts(&self, a: &[SortExpr], b: &[SortExpr]) -> bool {
        let alike = |(a, b): (&SortExpr, &SortExpr)| {
            a.asc == b.asc && a.nulls_first == b.nulls_first && self.exprs(&a.expr, &b.expr)
        };
        a.len() == b.len() && a.iter().zip(b).all(alike)
    }

    fn lists(&self, a: &[Expr], b: &[Expr]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.exprs(a, b))
    }

    fn exprs(&self, a: &Expr, b: &Expr) -> bool {
        if is_other_each_time(a) {
            return false;
        }
        let renamed = a.clone().transform_up(|e| {
            Ok(match e {
                Expr::Column(c) => match self.0.get(&c) {
                    Some(other) => Transformed::yes(Expr::Column(other.clone())),
                    None => Transformed::no(Expr::Column(c)),
                },
                other => Transformed::no(other),
            })
        });
        renamed.is_ok_and(|a| a.data.unalias_nested().data == b.clone().unalias_nested().data)
    }
}

/// Whether an expression gives something else each time, or belongs to what is outside of the plan.
fn is_other_each_time(expr: &Expr) -> bool {
    expr.is_volatile() || expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..)))).unwrap_or(true)
}

fn is_same_table(a: &TableScan, b: &TableScan) -> bool {
    let (Ok(a), Ok(b)) = (source_as_provider(&a.source), source_as_provider(&b.source)) else { return false };
    if std::ptr::addr_eq(Arc::as_ptr(&a), Arc::as_ptr(&b)) {
        return true;
    }
    if let (Some(a), Some(b)) = (as_a::<DeltaScan>(&a), as_a::<DeltaScan>(&b)) {
        return a.is_same(b);
    }
    matches!((as_a::<FileTable>(&a), as_a::<FileTable>(&b)), (Some(a), Some(b)) if a.is_same(b))
}

fn as_a<T: 'static>(provider: &Arc<dyn TableProvider>) -> Option<&T> {
    (provider.as_ref() as &dyn Any).downcast_ref()
}
