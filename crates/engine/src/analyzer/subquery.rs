//! Subqueries in expressions, correlated or not.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_functions::{SparkAggregate, coercion};
use boathouse_spec::{DataType, Error, Expr, Origin, PlanSubqueryKind, Relation, Result};
use datafusion::common::Spans;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Exists, InSubquery};
use datafusion::logical_expr::{Accumulator, Aggregate, Expr as DfExpr, LogicalPlan, Subquery};
use datafusion::scalar::ScalarValue;

use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::collation::CollationStrength;
use super::project::LATERAL_ALIAS;
use super::{Analyzer, join_hint};

/// Aggregate functions over columns of the query around, in subqueries of its HAVING: they belong to that query, and the
/// subquery sees their values as it does columns (Spark's `UpdateOuterReferences`).
#[derive(Debug)]
pub(super) struct OuterAggregates {
    /// How many queries are around the HAVING.
    depth: usize,
    found: Vec<(DfExpr, Attribute)>,
}

/// Subqueries in the clauses of an aggregation: one that is written twice, as in GROUP BY and in the SELECT list, is the same
/// expression.
#[derive(Debug)]
pub(super) struct KnownSubqueries {
    /// How many queries and function calls are around the aggregation.
    depth: (usize, usize),
    found: Vec<(Expr, TypedExpr)>,
}

impl Analyzer {
    /// Analyzes the clauses of an aggregation.
    pub(super) fn knowing_subqueries<T>(
        &mut self,
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let around = self.known_subqueries.take();
        self.forget_subqueries();
        let result = analyze(self);
        self.known_subqueries = around;
        result
    }

    /// What was known of subqueries holds no longer: the columns around them are others.
    pub(super) fn forget_subqueries(&mut self) {
        let depth = (self.outer.len(), self.function_parameters.len());
        self.known_subqueries = Some(KnownSubqueries { depth, found: Vec::new() });
    }

    /// A subquery, which stays the same expression inside of an aggregation's clauses.
    pub(super) fn subquery_once(&mut self, expr: &Expr, over: &Analyzed) -> Result<TypedExpr> {
        if let Some(value) = self.known_subquery(expr) {
            return Ok(value);
        }
        let value = match expr {
            Expr::ScalarSubquery(query) => self.scalar_subquery(query, over)?,
            Expr::Exists(query) => self.exists(query, over)?,
            Expr::InSubquery { values, query } => self.in_subquery(values, query, over)?,
            _ => return Err(Error::internal("no subquery")),
        };
        self.note_subquery(expr, &value);
        Ok(value)
    }

    /// Whether a clause of an aggregation is being analyzed, itself and no subquery, function or lambda in it.
    pub(super) fn is_in_aggregation(&self) -> bool {
        let depth = (self.outer.len(), self.function_parameters.len());
        self.known_subqueries.as_ref().is_some_and(|k| k.depth == depth) && self.lambda_parameters.is_empty()
    }

    /// Whether what is being analyzed is computed over groups: a clause of an aggregation, or its HAVING.
    pub(super) fn is_over_groups(&self) -> bool {
        let is_having = self.outer_aggregates.as_ref().is_some_and(|o| o.depth == self.outer.len());
        self.is_in_aggregation() || is_having
    }

    /// What the same subquery, or call of a function with subqueries, is in another clause of the aggregation.
    pub(super) fn known_subquery(&self, expr: &Expr) -> Option<TypedExpr> {
        let known = self.known_subqueries.as_ref().filter(|_| self.is_in_aggregation())?;
        known.found.iter().find(|(e, _)| e == expr).map(|(_, value)| value.clone())
    }

    pub(super) fn note_subquery(&mut self, expr: &Expr, value: &TypedExpr) {
        let is_clause = self.is_in_aggregation();
        if let Some(known) = self.known_subqueries.as_mut().filter(|_| is_clause) {
            known.found.push((expr.clone(), value.clone()));
        }
    }

    /// Analyzes a HAVING; gives the aggregates that its subqueries ask the query for, too.
    pub(super) fn with_outer_aggregates<T>(
        &mut self,
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Vec<(DfExpr, Attribute)>)> {
        let own = OuterAggregates { depth: self.outer.len(), found: Vec::new() };
        let around = self.outer_aggregates.replace(own);
        let result = analyze(self);
        let own = std::mem::replace(&mut self.outer_aggregates, around);
        Ok((result?, own.map(|o| o.found).unwrap_or_default()))
    }

    /// The call as a column of the query around, where it aggregates that query's columns and no others. `used` says how
    /// many of its columns had been used before the call.
    pub(super) fn outer_aggregate(&mut self, call: &TypedExpr, used: usize) -> Result<Option<DfExpr>> {
        let depth = self.outer.len();
        if self.outer_aggregates.as_ref().is_none_or(|o| o.depth + 1 != depth) {
            return Ok(None);
        }
        let Some(columns) = self.outer.last() else { return Ok(None) };
        // What depends on the order of rows stays with its own query.
        let is_of_order = |e: &DfExpr| match e {
            DfExpr::AggregateFunction(f) => matches!(f.func.name(), "first" | "last" | "any_value"),
            _ => false,
        };
        if !call.expr.column_refs().is_empty() || is_of_order(&call.expr) {
            return Ok(None);
        }
        let (mut is_outer, mut is_other) = (false, false);
        let own = call.expr.clone().transform(|e| {
            Ok(match e {
                DfExpr::OuterReferenceColumn(_, c) if columns.iter().any(|a| a.internal_name() == c.name) => {
                    is_outer = true;
                    Transformed::yes(DfExpr::Column(c))
                }
                other => {
                    is_other |= matches!(other, DfExpr::OuterReferenceColumn(..));
                    Transformed::no(other)
                }
            })
        });
        let own = own.spark()?.data;
        if !is_outer || is_other {
            return Ok(None);
        }
        let found = self.outer_aggregates.as_ref().and_then(|o| o.found.iter().find(|(e, _)| *e == own));
        let attribute = match found {
            Some((_, a)) => a.clone(),
            None => {
                let a = self.attribute(&call.name, call.data_type.clone(), call.nullable);
                if let Some(o) = &mut self.outer_aggregates {
                    o.found.push((own, a.clone()));
                }
                a
            }
        };
        if let Some(list) = self.outer_used.last_mut() {
            list.truncate(used);
            list.push(attribute.clone());
        }
        Ok(Some(attribute.outer_column()))
    }

    fn is_outer_aggregate(&self, attribute: &Attribute) -> bool {
        self.outer_aggregates.as_ref().is_some_and(|o| o.found.iter().any(|(_, a)| a.id == attribute.id))
    }

    /// Analyzes a subquery with the columns around it in sight; gives the outer columns it uses.
    pub(super) fn subquery(&mut self, query: &Relation, over: &Analyzed) -> Result<(Analyzed, Vec<DfExpr>)> {
        self.table_boundaries.push(self.tables.len());
        let result = self.subquery_in_sight(query, over);
        self.table_boundaries.pop();
        let (analyzed, outer, names) = result?;
        self.outer_names = names;
        Ok((analyzed, outer))
    }

    fn subquery_in_sight(
        &mut self,
        query: &Relation,
        over: &Analyzed,
    ) -> Result<(Analyzed, Vec<DfExpr>, Vec<String>)> {
        let hides_aliases = self.hide_lateral_aliases();
        self.outer.push(over.columns().cloned().collect());
        self.outer_used.push(Vec::new());
        let parameters = std::mem::take(&mut self.lambda_parameters);
        let grouping = self.grouping_scope(None);
        // Views and common tables that it reads see nothing of the clause that it stands in.
        let known = self.known_subqueries.take();
        let analyzed = self.query(query).and_then(join_hint::of_subquery);
        self.known_subqueries = known;
        self.grouping_scope(grouping);
        self.lambda_parameters = parameters;
        self.outer.pop();
        if hides_aliases {
            self.function_parameters.pop();
        }
        let used = self.outer_used.pop().unwrap_or_default();
        let analyzed = analyzed?;
        if analyzed.is_streaming {
            return Err(Error::new("INVALID_SUBQUERY_EXPRESSION.STREAMING_QUERY")
                .message("Invalid subquery: Streaming query is not allowed in subquery expressions.")
                .exception("AnalysisException"));
        }
        let mut outer: Vec<DfExpr> = Vec::new();
        let mut names = Vec::new();
        for a in used {
            if !over.columns().any(|c| c.id == a.id) && !self.is_outer_aggregate(&a) {
                continue;
            }
            let expr = a.outer_column();
            names.push((expr.clone(), a.name.clone()));
            if !outer.contains(&expr) {
                outer.push(expr);
            }
        }
        let names = in_order_of_plan(&analyzed.plan, names)?;
        Ok((analyzed, outer, names))
    }

    /// A subquery does not see the aliases of the list that it stands in. Whether there were any to hide.
    fn hide_lateral_aliases(&mut self) -> bool {
        let is_alias = |value: &TypedExpr| value.name.starts_with(LATERAL_ALIAS);
        let Some(sight) = self.function_parameters.last() else { return false };
        if !sight.values().any(is_alias) {
            return false;
        }
        let others = sight.iter().filter(|(_, v)| !is_alias(v)).map(|(k, v)| (k.clone(), v.clone()));
        let others = others.collect();
        self.function_parameters.push(others);
        true
    }

    pub(super) fn scalar_subquery(&mut self, query: &Relation, over: &Analyzed) -> Result<TypedExpr> {
        let (analyzed, outer) = self.subquery(query, over)?;
        let [column] = analyzed.output.as_slice() else {
            return Err(Error::new(
                "INVALID_SUBQUERY_EXPRESSION.SCALAR_SUBQUERY_RETURN_MORE_THAN_ONE_OUTPUT_COLUMN",
            )
            .param("number", analyzed.output.len())
            .message(format!("A scalar subquery gives one column, not {}.", analyzed.output.len())));
        };
        let column = column.clone();
        let plan = if gives_one_row(&analyzed.plan) {
            analyzed.plan
        } else {
            // Of a correlated one Spark does not say where it stands.
            let origin = if outer.is_empty() { self.origin.clone() } else { Origin::default() };
            self.single_value(analyzed.plan, &column, origin)?
        };
        let outer_shown = self.outer_names.join(", ");
        let subquery = Subquery { subquery: Arc::new(plan), outer_ref_columns: outer, spans: Spans::new() };
        let name = format!("scalarsubquery({outer_shown})");
        let strength = CollationStrength::Implicit;
        Ok(TypedExpr::new(DfExpr::ScalarSubquery(subquery), column.data_type, true, name)
            .with_collation(strength))
    }

    /// An aggregation that gives the one value of the plan, NULL for no row, and an error for more.
    fn single_value(&mut self, plan: LogicalPlan, column: &Attribute, origin: Origin) -> Result<LogicalPlan> {
        let t = column.data_type.clone();
        let arrow_type = boathouse_bridge::arrow_type(&t);
        let udf = SparkAggregate::new(
            "single_value",
            std::slice::from_ref(&t),
            &t,
            true,
            vec![("value", t.clone()), ("rows", DataType::Long)],
            &self.context,
            move || {
                let value = ScalarValue::try_from(&arrow_type)?;
                Ok(Box::new(SingleValue { value, rows: 0, origin: origin.clone() }) as Box<dyn Accumulator>)
            },
        )
        .build();
        let expr = DfExpr::AggregateFunction(AggregateFunction {
            func: udf,
            params: AggregateFunctionParams {
                args: vec![column.column()],
                distinct: false,
                filter: None,
                order_by: vec![],
                null_treatment: None,
            },
        });
        let renamed = self.renewed(column);
        let aggregate =
            Aggregate::try_new(Arc::new(plan), vec![], vec![expr.alias(renamed.internal_name())]).spark()?;
        Ok(LogicalPlan::Aggregate(aggregate))
    }

    pub(super) fn exists(&mut self, query: &Relation, over: &Analyzed) -> Result<TypedExpr> {
        let (analyzed, outer) = self.subquery(query, over)?;
        let shown = format!("exists({})", self.outer_names.join(", "));
        let subquery =
            Subquery { subquery: Arc::new(analyzed.plan), outer_ref_columns: outer, spans: Spans::new() };
        Ok(TypedExpr::new(DfExpr::Exists(Exists::new(subquery, false)), DataType::Boolean, false, shown))
    }

    pub(super) fn in_subquery(
        &mut self,
        values: &[Expr],
        query: &Relation,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        let values = values.iter().map(|value| self.expr(value, over)).collect::<Result<Vec<_>>>()?;
        let (analyzed, outer) = self.subquery(query, over)?;
        let names = values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ");
        let shown = match values.len() {
            1 => format!("({names} IN (listquery({})))", self.outer_names.join(", ")),
            _ => format!("({} IN (listquery({})))", struct_of_values(&values), self.outer_names.join(", ")),
        };
        if values.len() != analyzed.output.len() {
            return Err(Error::new("DATATYPE_MISMATCH.IN_SUBQUERY_LENGTH_MISMATCH")
                .param("sqlExpr", format!("\"{shown}\""))
                .param("leftLength", values.len())
                .param("rightLength", analyzed.output.len())
                .param("leftColumns", &names)
                .param("rightColumns", analyzed.schema().names().join(", "))
                .message(format!(
                    "IN compares {} values with the {} columns of its subquery.",
                    values.len(),
                    analyzed.output.len()
                )));
        }
        let mut left = Vec::new();
        let mut right = Vec::new();
        let mut nullable = false;
        for (value, column) in values.into_iter().zip(&analyzed.output) {
            let mut both = self.one_collation(vec![value, column.typed()])?;
            let (Some(inner), Some(value)) = (both.pop(), both.pop()) else {
                return Err(Error::internal("IN without both sides"));
            };
            self.determinate(&[&value, &inner], &shown)?;
            let Some(common) = coercion::wider_type(&value.data_type, &inner.data_type, &self.context) else {
                return Err(Error::new("DATATYPE_MISMATCH.IN_SUBQUERY_DATA_TYPE_MISMATCH")
                    .param("sqlExpr", format!("\"{shown}\""))
                    .param("mismatchedColumns", format!("({}, {})", value.name, column.name))
                    .param("leftType", super::error::quoted(&value.data_type))
                    .param("rightType", super::error::quoted(&column.data_type))
                    .message(format!(
                        "{} cannot be compared with the subquery's {}.",
                        value.data_type.sql(),
                        column.data_type.sql()
                    )));
            };
            if !common.is_orderable() {
                return Err(super::error::mismatch(
                    "INVALID_ORDERING_TYPE",
                    &shown,
                    format!("values of {} have no order.", common.sql()),
                )
                .param("functionName", "`insubquery`")
                .param("dataType", super::error::quoted(&common)));
            }
            nullable |= value.nullable || column.nullable;
            let value = self.implicit(value, &common)?;
            left.push(self.comparison_key(value)?);
            let inner = self.implicit(inner, &common)?;
            let inner = self.comparison_key(inner)?;
            let attribute = self.attribute(&column.name, inner.data_type, column.nullable);
            right.push((inner.expr, attribute));
        }
        let unchanged = right.iter().zip(&analyzed.output).all(|((e, _), a)| *e == a.column());
        let plan = if unchanged {
            analyzed.plan
        } else {
            project(right.iter().map(|(e, a)| super::project::named(e.clone(), a)).collect(), analyzed.plan)?
        };
        let value = match left.as_slice() {
            [value] => value.expr.clone(),
            _ => self.in_values(left)?,
        };
        let subquery = Subquery { subquery: Arc::new(plan), outer_ref_columns: outer, spans: Spans::new() };
        if matches!(&value, DfExpr::Literal(v, _) if v.is_null()) {
            // NULL is neither in nor out of anything but nothing.
            let exists = DfExpr::Exists(Exists::new(subquery, false));
            let null = DfExpr::Literal(ScalarValue::Boolean(None), None);
            let case = datafusion::logical_expr::Case::new(
                None,
                vec![(Box::new(exists), Box::new(null))],
                Some(Box::new(datafusion::logical_expr::lit(false))),
            );
            return Ok(TypedExpr::new(DfExpr::Case(case), DataType::Boolean, true, shown));
        }
        let expr = DfExpr::InSubquery(InSubquery::new(Box::new(value), subquery, false));
        Ok(TypedExpr::new(expr, DataType::Boolean, nullable, shown))
    }

    /// Several values before IN as one expression; `unnest` takes it apart again.
    fn in_values(&self, values: Vec<TypedExpr>) -> Result<DfExpr> {
        let types = values.iter().map(|v| v.data_type.clone()).collect();
        let resolved = boathouse_functions::Resolved::new(types, DataType::Boolean, true, |_| {
            Err(Error::internal("IN with several values was not planned"))
        });
        let udf = boathouse_functions::scalar_udf(crate::unnest::IN_VALUES, resolved, &self.context);
        Ok(udf.call(values.into_iter().map(|v| v.expr).collect()))
    }

    /// A subquery of the DataFrame API, whose relation came beside the plan.
    pub(super) fn plan_subquery(
        &mut self,
        plan_id: i64,
        kind: &PlanSubqueryKind,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        let Some(query) = self.references.get(&plan_id).cloned() else {
            return Err(Error::internal(format!("the plan {plan_id} of a subquery was not sent")));
        };
        match kind {
            PlanSubqueryKind::Scalar => self.scalar_subquery(&query, over),
            PlanSubqueryKind::Exists => self.exists(&query, over),
            PlanSubqueryKind::In(values) => self.in_subquery(values, &query, over),
            PlanSubqueryKind::Table { .. } => Err(Error::new("UNSUPPORTED_FEATURE.TABLE_ARGUMENT")
                .message("A table argument can only be given to a table function.")),
        }
    }
}

/// Whether subqueries of the expressions use other columns around them than the relation's.
pub(super) fn use_others(exprs: &[TypedExpr], relation: &Analyzed) -> Result<bool> {
    let is_other = |e: &DfExpr| match e {
        DfExpr::OuterReferenceColumn(_, c) => !relation.columns().any(|a| a.internal_name() == c.name),
        _ => false,
    };
    let uses = |e: &DfExpr| match e {
        DfExpr::ScalarSubquery(s) => s.outer_ref_columns.iter().any(is_other),
        DfExpr::Exists(e) => e.subquery.outer_ref_columns.iter().any(is_other),
        DfExpr::InSubquery(e) => e.subquery.outer_ref_columns.iter().any(is_other),
        _ => false,
    };
    for value in exprs {
        if value.expr.exists(|e| Ok(uses(e))).spark()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names of the outer columns that a subquery uses, as often as it does, in the order in which its plan has them from
/// the top (Spark's `SubExprUtils.getOuterReferences`).
fn in_order_of_plan(plan: &LogicalPlan, mut used: Vec<(DfExpr, String)>) -> Result<Vec<String>> {
    let mut names = Vec::with_capacity(used.len());
    let mut take = |column: &DfExpr| {
        if let Some(at) = used.iter().position(|(outer, _)| outer == column) {
            names.push(used.remove(at).1);
        }
    };
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                match e {
                    DfExpr::OuterReferenceColumn(..) => take(e),
                    DfExpr::ScalarSubquery(s) => s.outer_ref_columns.iter().for_each(&mut take),
                    DfExpr::Exists(e) => e.subquery.outer_ref_columns.iter().for_each(&mut take),
                    DfExpr::InSubquery(e) => e.subquery.outer_ref_columns.iter().for_each(&mut take),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .spark()?;
    Ok(names)
}

/// Whether a scalar subquery that uses columns of the query around it is part of the expression.
pub(super) fn has_correlated_scalar(expr: &DfExpr) -> Result<bool> {
    // A column that an argument becomes is of the expression itself.
    let bound = crate::bound_arguments::columns_in(expr).spark()?;
    let is_outer = |e: &DfExpr| !matches!(e, DfExpr::OuterReferenceColumn(_, c) if bound.contains(&c.name));
    let is_correlated =
        |e: &DfExpr| matches!(e, DfExpr::ScalarSubquery(s) if s.outer_ref_columns.iter().any(is_outer));
    expr.exists(|e| Ok(is_correlated(e))).spark()
}

/// Whether the plan cannot give more than one row.
pub(super) fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(a) => a.group_expr.is_empty(),
        LogicalPlan::Projection(p) => gives_one_row(&p.input),
        LogicalPlan::SubqueryAlias(s) => gives_one_row(&s.input),
        LogicalPlan::Sort(s) => gives_one_row(&s.input),
        LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    }
}

#[derive(Debug)]
struct SingleValue {
    value: ScalarValue,
    rows: i64,
    /// Where the subquery stands.
    origin: Origin,
}

impl SingleValue {
    fn check(&self) -> DataFusionResult<()> {
        if self.rows <= 1 {
            return Ok(());
        }
        Err(boathouse_bridge::to_datafusion(
            Error::new("SCALAR_SUBQUERY_TOO_MANY_ROWS")
                .message("A subquery used as a value gave more than one row.")
                .at(&self.origin),
        ))
    }
}

impl Accumulator for SingleValue {
    fn update_batch(&mut self, values: &[arrow::array::ArrayRef]) -> DataFusionResult<()> {
        let rows = values[0].len();
        if rows > 0 {
            self.value = ScalarValue::try_from_array(&values[0], 0)?;
            self.rows += rows as i64;
        }
        self.check()
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        self.check()?;
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Int64(Some(self.rows))])
    }

    fn merge_batch(&mut self, states: &[arrow::array::ArrayRef]) -> DataFusionResult<()> {
        for i in 0..states[0].len() {
            let ScalarValue::Int64(Some(rows)) = ScalarValue::try_from_array(&states[1], i)? else {
                return Err(DataFusionError::Internal("the state of single_value has no row count".into()));
            };
            if rows > 0 {
                self.value = ScalarValue::try_from_array(&states[0], i)?;
                self.rows += rows;
            }
        }
        self.check()
    }
}

/// How Spark shows the values of `(a, b + 1) IN (..)`: those that have a name by it, others by their position.
fn struct_of_values(values: &[TypedExpr]) -> String {
    let pair = |(i, value): (usize, &TypedExpr)| {
        let is_named =
            matches!(value.expr, DfExpr::Column(_) | DfExpr::OuterReferenceColumn(..) | DfExpr::Literal(..));
        match is_named {
            true => format!("'{}', {}", value.name, value.name),
            false => format!("'_{i}', {}", value.name),
        }
    };
    let pairs: Vec<String> = values.iter().enumerate().map(pair).collect();
    format!("named_struct({})", pairs.join(", "))
}
