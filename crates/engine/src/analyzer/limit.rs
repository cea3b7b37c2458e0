//! LIMIT, OFFSET and tail.

use boathouse_spec::{DataType, Error, Expr, Origin, Relation, Result};
use datafusion::logical_expr::{Expr as DfExpr, Limit, LogicalPlan, lit};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

use super::Analyzer;
use super::analyzed::Analyzed;

impl Analyzer {
    pub(super) fn limit(&mut self, input: &Relation, limit: &Expr, origin: &Origin) -> Result<Analyzed> {
        let analyzed = self.relation(input)?;
        let limit = self.at(origin, |a| a.row_count(limit, "limit", &analyzed))?;
        check_sum(&analyzed.plan, limit)?;
        Ok(limited(analyzed, None, Some(limit)))
    }

    pub(super) fn offset(&mut self, input: &Relation, offset: &Expr, origin: &Origin) -> Result<Analyzed> {
        let analyzed = self.relation(input)?;
        let offset = self.at(origin, |a| a.row_count(offset, "offset", &analyzed))?;
        Ok(limited(analyzed, Some(offset), None))
    }

    /// The last rows, in their order.
    pub(super) fn tail(&mut self, input: &Relation, limit: i64) -> Result<Analyzed> {
        let analyzed = self.relation(input)?;
        let limit = limit.max(0) as usize;
        let rows = self.count_rows(&analyzed)?;
        Ok(limited(analyzed, Some(rows.saturating_sub(limit) as i64), Some(limit as i64)))
    }

    fn count_rows(&mut self, analyzed: &Analyzed) -> Result<usize> {
        let batches = self.collect(analyzed)?;
        Ok(batches.iter().map(|b| b.num_rows()).sum())
    }

    fn row_count(&mut self, expr: &Expr, clause: &str, over: &Analyzed) -> Result<i64> {
        let node = if clause == "limit" { "GlobalLimit" } else { "Offset" };
        self.forbid_sql_functions(std::slice::from_ref(expr), node)?;
        let typed = self.expr(expr, over)?;
        let refuse = |subclass: &str, why: String| {
            Error::new(format!("INVALID_LIMIT_LIKE_EXPRESSION.{subclass}"))
                .param("name", clause)
                .param("expr", format!("\"{}\"", typed.name))
                .message(format!("The {clause} expression {} {why}", typed.name))
        };
        if !super::expr::is_foldable(&typed.expr) {
            return Err(refuse("IS_UNFOLDABLE", "must be a constant.".into()));
        }
        if typed.data_type != DataType::Integer {
            return Err(refuse("DATA_TYPE", format!("must be an integer, not {}.", typed.data_type.sql()))
                .param("dataType", super::error::quoted(&typed.data_type)));
        }
        let value = self.implicit(typed.clone(), &DataType::Long)?;
        match self.fold(&value)? {
            ScalarValue::Int64(Some(n)) if n >= 0 => Ok(n),
            ScalarValue::Int64(Some(n)) => {
                Err(refuse("IS_NEGATIVE", "must not be negative.".into()).param("v", n))
            }
            _ => Err(refuse("IS_NULL", "must not be NULL.".into())),
        }
    }
}

/// The rows that are skipped directly below a limit, and those of it, are counted together in an INT.
fn check_sum(below: &LogicalPlan, limit: i64) -> Result<()> {
    let LogicalPlan::Limit(Limit { skip: Some(skip), fetch: None, .. }) = below else { return Ok(()) };
    let DfExpr::Literal(ScalarValue::Int64(Some(offset)), _) = skip.as_ref() else { return Ok(()) };
    if limit.saturating_add(*offset) <= i64::from(i32::MAX) {
        return Ok(());
    }
    Err(Error::new("SUM_OF_LIMIT_AND_OFFSET_EXCEEDS_MAX_INT")
        .param("limit", limit)
        .param("offset", *offset)
        .message(format!(
            "LIMIT {limit} and OFFSET {offset} together are above {}, the largest INT.",
            i32::MAX
        )))
}

pub(super) fn limited(input: Analyzed, skip: Option<i64>, fetch: Option<i64>) -> Analyzed {
    let plan = LogicalPlan::Limit(Limit {
        skip: skip.map(|n| Box::new(lit(n))),
        fetch: fetch.map(|n| Box::new(lit(n))),
        input: Arc::new(input.plan.clone()),
    });
    input.with_plan(plan)
}
