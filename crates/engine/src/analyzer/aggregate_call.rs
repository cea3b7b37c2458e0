//! Calls of aggregate functions.

use std::sync::Arc;

use arrow::compute::SortOptions;
use boathouse_bridge::ResultExt;
use boathouse_functions::{
    AggregateCall, Call as FunctionCall, ResolvedAggregate, distinct_by_collation, in_order,
};
use boathouse_spec::{Call, DataType, Error, Expr, Result, SortOrder};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, NullTreatment, Sort};
use datafusion::logical_expr::{AggregateUDF, Expr as DfExpr, ExprSchemable, LogicalPlan};

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::column::qualifier_matches;

/// A resolved aggregate call in parts: for GROUP BY or for a window.
pub(super) struct AggregateParts {
    pub resolved: ResolvedAggregate,
    pub args: Vec<DfExpr>,
    pub filter: Option<DfExpr>,
    pub order_by: Vec<Sort>,
    pub distinct: bool,
    pub null_treatment: Option<NullTreatment>,
    pub name: String,
}

impl Analyzer {
    pub(super) fn aggregate_call(
        &mut self,
        name: &str,
        resolve: fn(&AggregateCall) -> Result<ResolvedAggregate>,
        call: &Call,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        let used = self.outer_used.last().map_or(0, Vec::len);
        let mut parts = self.aggregate_parts(name, resolve, call, over)?;
        if let Some(alias) = super::project::lateral_alias_in(&parts.name) {
            return Err(Error::new("UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_IN_AGGREGATE_FUNC")
                .param("lca", boathouse_spec::quote(alias))
                .param("aggFunc", format!("\"{}\"", parts.name))
                .message(format!("{} uses {alias}, an alias of the same SELECT list.", parts.name)));
        }
        if parts.args.iter().any(super::window::has_window) {
            return Err(Error::new("_LEGACY_ERROR_TEMP_1031").message(format!(
                "The aggregate function {} cannot take a window function; compute that in a subquery first.",
                parts.name
            )));
        }
        if call.order_by.is_empty()
            && !call.distinct
            && let Some((udf, keys)) = in_order_of(&over.plan, &parts.resolved.udf)?
        {
            parts.resolved.udf = udf;
            parts.args.extend(keys);
        }
        let expr = DfExpr::AggregateFunction(AggregateFunction {
            func: parts.resolved.udf.clone(),
            params: AggregateFunctionParams {
                args: parts.args,
                distinct: parts.distinct,
                filter: parts.filter.map(Box::new),
                order_by: parts.order_by,
                null_treatment: parts.null_treatment,
            },
        });
        let mut value = TypedExpr::new(expr, parts.resolved.return_type, parts.resolved.nullable, parts.name);
        if let Some(column) = self.outer_aggregate(&value, used)? {
            value.expr = column;
        }
        Ok(self.lambda_aggregate(value))
    }

    /// A registered aggregate function by name, for the analyzer's own use.
    pub(super) fn builtin_aggregate(&mut self, name: &str, args: Vec<TypedExpr>) -> Result<TypedExpr> {
        for entry in boathouse_functions::registry().get(name) {
            let boathouse_functions::Entry::Aggregate(resolve) = entry else { continue };
            let infos: Vec<_> = args.iter().map(|a| self.arg(a)).collect();
            let resolved = resolve(&AggregateCall {
                call: FunctionCall { name, args: &infos, context: &self.context },
                distinct: false,
                ignore_nulls: None,
                order_by: Vec::new(),
            })?;
            let args = self.coerced(args, &resolved.coerced)?.into_iter().map(|a| a.expr).collect();
            return Ok(of_resolved(resolved, args, None));
        }
        Err(super::error::unresolved_routine(&[name.to_string()], &["`system`.`builtin`".into()]))
    }

    pub(super) fn aggregate_parts(
        &mut self,
        name: &str,
        resolve: fn(&AggregateCall) -> Result<ResolvedAggregate>,
        call: &Call,
        over: &Analyzed,
    ) -> Result<AggregateParts> {
        check_clauses(name, call)?;
        self.check_star(name, call, over)?;
        // count(*) counts rows: count(1). count(t.*) counts rows without NULL in any column.
        let star_count = name == "count"
            && !call.distinct
            && match call.args.as_slice() {
                [Expr::Star(s)] => s.target.is_none() && s.except.is_empty(),
                [Expr::Text(text)] => text.trim() == "*",
                _ => false,
            };
        let mut args = if star_count {
            vec![self.literal(&boathouse_spec::Literal::Integer(1))?]
        } else {
            self.args(&call.args, over)?
        };
        if call.distinct && name == "count" {
            // Values are counted as groups tell them apart.
            args = args.into_iter().map(|a| self.counted_key(a)).collect::<Result<_>>()?;
        }
        let keys = call.order_by.iter().map(|o| self.expr(&o.expr, over)).collect::<Result<Vec<_>>>()?;
        let infos: Vec<_> = args.iter().map(|a| self.arg(a)).collect();
        let order_infos = keys.iter().zip(&call.order_by).map(|(k, o)| (self.arg(k), o.ascending)).collect();
        let mut resolved = resolve(&AggregateCall {
            call: FunctionCall { name, args: &infos, context: &self.context },
            distinct: call.distinct,
            ignore_nulls: call.ignore_nulls,
            order_by: order_infos,
        })?;
        let filter = match &call.filter {
            Some(condition) => {
                if let Expr::Call(generator) = condition
                    && self.is_generator_item(condition)
                {
                    // It gives rows, and no condition.
                    let args = self.args(&generator.args, over)?;
                    let args: Vec<String> = args.into_iter().map(|a| a.name).collect();
                    let name = generator.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
                    return Err(bad_filter("NOT_BOOLEAN", &format!("{name}({})", args.join(", "))));
                }
                let condition = self.expr(condition, over)?;
                check_filter(&condition)?;
                Some(self.condition(condition, "FILTER")?)
            }
            None => None,
        };
        let mut shown = shown_name(&resolved, name, call, &args);
        if !call.order_by.is_empty() && !shown.contains("WITHIN GROUP") {
            let order: Vec<String> =
                keys.iter().zip(&call.order_by).map(|(k, o)| super::sort::order_name(&k.name, o)).collect();
            shown.push_str(&format!(" WITHIN GROUP (ORDER BY {})", order.join(", ")));
        }
        if let Some(f) = &filter {
            shown.push_str(&format!(" FILTER (WHERE {})", f.name));
        }
        let order_by = keys
            .iter()
            .zip(&call.order_by)
            .map(|(k, o): (&TypedExpr, &SortOrder)| Sort::new(k.expr.clone(), o.ascending, o.nulls_first))
            .collect();
        if resolved.order_as_arguments {
            args.extend(keys);
        }
        let mut distinct = call.distinct && !resolved.distinct_has_no_effect;
        let mut args = self.coerced(args, &resolved.coerced)?;
        if distinct {
            args = args.into_iter().map(|a| self.one_zero(a)).collect::<Result<_>>()?;
            if let Some(udf) = distinct_by_collation(&resolved.udf, &resolved.coerced) {
                (resolved.udf, distinct) = (udf, false);
            }
        }
        let args = args.into_iter().map(|a| a.expr).collect();
        Ok(AggregateParts {
            args,
            filter: filter.map(|f| f.expr),
            order_by,
            distinct,
            null_treatment: match call.ignore_nulls {
                Some(true) => Some(NullTreatment::IgnoreNulls),
                _ => None,
            },
            name: shown,
            resolved,
        })
    }
}

impl Analyzer {
    /// What distinct values are counted by.
    fn counted_key(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        match value.data_type {
            DataType::String { .. } => self.collation_key(value),
            _ => self.group_key(value),
        }
    }

    /// Floats that are equal as one: `-0.0` is `0.0` among distinct values, and every NaN the same.
    fn one_zero(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        match value.data_type {
            DataType::Float | DataType::Double => self.group_key(value),
            _ => Ok(value),
        }
    }

    /// Refuses `count(t.*)`, which counts something else than `count(*)` does. The fields of a struct (`count(s.*)`) may be counted.
    fn check_star(&self, name: &str, call: &Call, over: &Analyzed) -> Result<()> {
        let ("count", [Expr::Star(star)]) = (name, call.args.as_slice()) else { return Ok(()) };
        let Some(target) = star.target.as_ref().filter(|_| star.except.is_empty()) else { return Ok(()) };
        let is_table = over.columns().any(|a| qualifier_matches(&a.qualifier, target));
        let setting = "spark.sql.legacy.allowStarWithSingleTableIdentifierInCount";
        if !is_table || self.session.conf().flag(setting) {
            return Ok(());
        }
        let shown = boathouse_spec::quote_name(target);
        Err(Error::new("INVALID_USAGE_OF_STAR_WITH_TABLE_IDENTIFIER_IN_COUNT")
            .param("tableName", &shown)
            .message(format!("count({shown}.*) is not allowed: name the columns, or count(*).")))
    }
}

/// The aggregate over the rows in the order that a sort below gave them, with the arguments that say this order; `None`
/// where no sort is in sight or the order does not matter.
fn in_order_of(
    plan: &LogicalPlan,
    udf: &Arc<AggregateUDF>,
) -> Result<Option<(Arc<AggregateUDF>, Vec<DfExpr>)>> {
    let Some(order) = super::sort::order_of(plan) else { return Ok(None) };
    let mut types = Vec::with_capacity(order.len());
    for key in &order {
        let options = SortOptions { descending: !key.asc, nulls_first: key.nulls_first };
        types.push((key.expr.get_type(plan.schema()).spark()?, options));
    }
    let Some(udf) = in_order(udf, &types) else { return Ok(None) };
    Ok(Some((udf, order.into_iter().map(|key| key.expr).collect())))
}

/// A call of a resolved aggregate, without a name.
pub(super) fn of_resolved(
    resolved: ResolvedAggregate,
    args: Vec<DfExpr>,
    filter: Option<DfExpr>,
) -> TypedExpr {
    let expr = DfExpr::AggregateFunction(AggregateFunction {
        func: resolved.udf,
        params: AggregateFunctionParams {
            args,
            distinct: false,
            filter: filter.map(Box::new),
            order_by: Vec::new(),
            null_treatment: None,
        },
    });
    TypedExpr::new(expr, resolved.return_type, resolved.nullable, "")
}

/// What FILTER may hold: a deterministic condition on single rows.
fn check_filter(condition: &TypedExpr) -> Result<()> {
    use boathouse_spec::DataType;
    let subclass = if super::aggregate::has_aggregate(&condition.expr) {
        "CONTAINS_AGGREGATE"
    } else if super::window::has_window(&condition.expr) {
        "CONTAINS_WINDOW_FUNCTION"
    } else if condition.data_type != DataType::Boolean {
        "NOT_BOOLEAN"
    } else if super::expr::is_volatile(&condition.expr) {
        "NON_DETERMINISTIC"
    } else {
        return Ok(());
    };
    Err(bad_filter(subclass, &condition.name))
}

fn bad_filter(subclass: &str, condition: &str) -> Error {
    Error::new(format!("INVALID_AGGREGATE_FILTER.{subclass}"))
        .param("filterExpr", format!("\"{condition}\""))
        .param("aggExpr", "")
        .param("windowExpr", "")
        .message(format!("FILTER takes a deterministic condition on single rows, which {condition} is not."))
}

/// Refuses WITHIN GROUP and IGNORE NULLS where Spark does.
fn check_clauses(name: &str, call: &Call) -> Result<()> {
    let clause = if !call.order_by.is_empty()
        && !matches!(name, "percentile_cont" | "percentile_disc" | "mode" | "listagg" | "string_agg")
    {
        Some("WITHIN GROUP (ORDER BY ...)")
    } else if call.ignore_nulls == Some(true)
        && !matches!(
            name,
            "first"
                | "first_value"
                | "last"
                | "last_value"
                | "any_value"
                | "nth_value"
                | "collect_list"
                | "collect_set"
                | "array_agg"
        )
    {
        Some("IGNORE NULLS")
    } else {
        None
    };
    if let Some(clause) = clause {
        return Err(Error::new("INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX")
            .param("prettyName", boathouse_spec::quote(name))
            .param("syntax", clause)
            .message(format!("The function {name} does not take {clause}.")));
    }
    Ok(())
}

fn shown_name(resolved: &ResolvedAggregate, name: &str, call: &Call, args: &[TypedExpr]) -> String {
    let names: Vec<String> = args.iter().map(|a| a.name.clone()).collect();
    let names = match &resolved.display_args {
        Some(shown) => shown.iter().map(|a| a.show(&names)).collect(),
        None => names,
    };
    let function = match &resolved.display_name {
        Some(text) if text.contains('(') => return text.clone(),
        Some(text) => text.as_str(),
        None if name == "string_agg" && !call.order_by.is_empty() => "listagg",
        None => name,
    };
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    format!("{function}({distinct}{}){}", names.join(", "), resolved.display_suffix)
}
