//! Lateral joins: the right side for the values of the left side's columns that it uses.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder};

use super::domain::Domain;
use super::repeatable::repeatable;
use super::{outer_columns_of, project};

pub(super) fn rewrite(join: Join) -> Result<LogicalPlan> {
    let columns = join.schema.columns();
    let left = super::rewrite(Arc::unwrap_or_clone(join.left))?;
    let right = match Arc::unwrap_or_clone(join.right) {
        LogicalPlan::Subquery(s) => super::rewrite(Arc::unwrap_or_clone(s.subquery))?,
        other => super::rewrite(other)?,
    };
    let mut conditions: Vec<Expr> = join.on.into_iter().map(|(l, r)| l.eq(r)).collect();
    conditions.extend(join.filter);
    let outer = outer_columns_of(&right, &left)?;
    let (left, right) = match outer.is_empty() {
        true => (left, right),
        false => {
            let left = repeatable(left, &outer)?;
            let domain = Domain::of(&left, outer, &right)?;
            conditions.extend(domain.matches());
            (left, domain.push(right)?)
        }
    };
    let builder = LogicalPlanBuilder::from(left);
    let joined = match conditions.is_empty() && join.join_type == JoinType::Inner {
        true => builder.cross_join(right)?.build()?,
        false => builder.join_on(right, join.join_type, conditions)?.build()?,
    };
    project(columns.into_iter().map(Expr::Column).collect(), joined)
}
