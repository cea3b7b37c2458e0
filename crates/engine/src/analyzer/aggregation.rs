//! An aggregation in parts, and the plan that is built of them.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{
    Aggregate as DfAggregate, Case, Expr as DfExpr, GroupingSet, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use datafusion::scalar::ScalarValue;

use super::aggregate::has_aggregate;
use super::analyzed::{Analyzed, Attribute, Below, project};
use super::project::named;
use super::{Analyzer, canonical};
use crate::grouping_sets::set_id;

/// An aggregation in parts, so that clauses above can add to it before the plan is built anew.
#[derive(Debug, Clone)]
pub(crate) struct Aggregation {
    pub(super) input: Analyzed,
    /// Over `input`; each is a column of the aggregate's output under its attribute.
    pub(super) grouping: Vec<(DfExpr, Attribute)>,
    /// What is grouped by instead of the value itself, beside each of `grouping`.
    pub(super) keys: Vec<Option<GroupingKey>>,
    /// Positions in `grouping`, where there are grouping sets.
    pub(super) sets: Option<Vec<Vec<usize>>>,
    /// The column of the input that says which of the sets a row counts for, where it is not all of them.
    pub(super) set: Option<Attribute>,
    /// `grouping_id()`, where there are sets.
    pub(super) grouping_id: Option<Attribute>,
    /// Aggregate functions over `input`.
    pub(super) aggregates: Vec<(DfExpr, Attribute)>,
    /// HAVING, over grouping and aggregates.
    pub(super) having: Vec<DfExpr>,
    /// The output, over grouping and aggregates.
    pub(super) select: Vec<(DfExpr, Attribute)>,
    /// Further output that `*` does not show.
    pub(super) extra: Vec<(DfExpr, Attribute)>,
    /// Names of the grouping expressions, for messages.
    pub(super) names: Vec<String>,
    /// What is wrong with the keys, told after what is wrong with the rest.
    pub(super) refused: Option<Error>,
}

/// A key that tells the values of a group from others where the values themselves do not.
#[derive(Debug, Clone)]
pub(super) struct GroupingKey {
    pub(super) column: Attribute,
    /// Over the input.
    pub(super) key: DfExpr,
    /// The group's value: the key itself, or the first value that has it.
    pub(super) value: Option<DfExpr>,
}

/// Whether one of the grouping sets has not this key: its column is NULL there.
pub(super) fn is_left_out(sets: &[Vec<usize>], key: usize) -> bool {
    sets.iter().any(|set| !set.contains(&key))
}

/// A key in the rows of the sets that have it, and NULL in others; `set` is the number of a row's set.
pub(super) fn where_set_has(key: DfExpr, at: usize, sets: &[Vec<usize>], set: &Attribute) -> DfExpr {
    let with = sets.iter().enumerate().filter(|(_, keys)| keys.contains(&at));
    let with: Vec<DfExpr> = with.map(|(number, _)| lit(number as i32)).collect();
    let has = if with.is_empty() { lit(false) } else { set.column().in_list(with, false) };
    let branch = (Box::new(has), Box::new(key));
    DfExpr::Case(Case::new(None, vec![branch], None))
}

impl Aggregation {
    /// The expression over the aggregation's own columns: aggregate functions become columns of the aggregate (added
    /// where new), grouping expressions their column. What is left over the input is an error.
    pub(super) fn rewrite(&mut self, analyzer: &mut Analyzer, expr: DfExpr, name: &str) -> Result<DfExpr> {
        let mut failure = None;
        let keys = canonical::Keys::new(self.grouping.iter().map(|(key, _)| key));
        let rewritten = expr
            .transform_down(|e| {
                if failure.is_some() {
                    return Ok(Transformed::new(e, false, TreeNodeRecursion::Stop));
                }
                let key = self.grouping.iter().position(|(g, _)| *g == e).or_else(|| keys.find(&e));
                if let Some((_, a)) = key.and_then(|key| self.grouping.get(key)) {
                    return Ok(Transformed::new(a.column(), true, TreeNodeRecursion::Jump));
                }
                match &e {
                    DfExpr::AggregateFunction(f) => {
                        if f.params.args.iter().any(has_aggregate) {
                            failure = Some(Error::new("NESTED_AGGREGATE_FUNCTION").message(format!(
                                "An aggregate function cannot be the argument of another, as in {name}."
                            )));
                            return Ok(Transformed::new(e, false, TreeNodeRecursion::Stop));
                        }
                        let id = self.grouping_id.as_ref().map(Attribute::internal_name);
                        if id.is_some_and(|id| e.column_refs().iter().any(|c| c.name == id)) {
                            failure = Some(Error::new("UNSUPPORTED_GROUPING_EXPRESSION").message(format!(
                                "grouping() and grouping_id() cannot stand inside an aggregate function, as in {name}."
                            )));
                            return Ok(Transformed::new(e, false, TreeNodeRecursion::Stop));
                        }
                        if f.params.args.iter().any(DfExpr::is_volatile) {
                            failure = Some(nondeterministic(name));
                            return Ok(Transformed::new(e, false, TreeNodeRecursion::Stop));
                        }
                        let a = match self.aggregates.iter().find(|(x, _)| *x == e) {
                            Some((_, a)) => a.clone(),
                            None => {
                                let a = analyzer.attribute(f.func.name(), DataType::Null, true);
                                self.aggregates.push((e.clone(), a.clone()));
                                a
                            }
                        };
                        Ok(Transformed::new(a.column(), true, TreeNodeRecursion::Jump))
                    }
                    DfExpr::Column(c) => {
                        let own = self.grouping_id.as_ref().is_some_and(|g| g.internal_name() == c.name)
                            || self.grouping.iter().any(|(_, a)| a.internal_name() == c.name)
                            || self.aggregates.iter().any(|(_, a)| a.internal_name() == c.name);
                        if !own && self.input.columns().any(|a| a.internal_name() == c.name) {
                            failure = Some(self.missing(c, name));
                        }
                        Ok(Transformed::no(e))
                    }
                    _ => Ok(Transformed::no(e)),
                }
            })
            .spark()?;
        match failure {
            Some(e) => Err(e),
            None => Ok(rewritten.data),
        }
    }

    fn missing(&self, column: &Column, name: &str) -> Error {
        let shown = column.name.rsplit_once('#').map_or(column.name.as_str(), |(n, _)| n);
        if self.grouping.is_empty() && self.sets.as_ref().is_none_or(|sets| sets.len() == 1) {
            return Error::new("MISSING_GROUP_BY").param("column", shown).message(format!(
                "The query aggregates without GROUP BY, so `{shown}` (in {name}) needs an aggregate function or a GROUP BY."
            ));
        }
        Error::new("MISSING_AGGREGATION")
            .param("column", shown)
            .param("expression", format!("\"{shown}\""))
            .param("expressionAnyValue", format!("\"any_value({shown})\""))
            .message(format!(
                "`{shown}` (in {name}) is neither grouped by ({}) nor inside an aggregate function. Group by it, or use any_value({shown}).",
                self.names.join(", ")
            ))
    }

    /// Rows are there once for every set already: each counts for the one that `set` says.
    pub(super) fn take_one_set_of_each_row(&mut self, analyzer: &mut Analyzer, set: Attribute) {
        let Some(sets) = &self.sets else { return };
        for (at, ((value, attribute), key)) in self.grouping.iter().zip(&mut self.keys).enumerate() {
            if !is_left_out(sets, at) {
                continue;
            }
            let key = key.get_or_insert_with(|| GroupingKey {
                column: analyzer.renewed(attribute),
                key: value.clone(),
                value: None,
            });
            key.key = where_set_has(key.key.clone(), at, sets, &set);
        }
        self.set = Some(set);
    }

    /// `grouping_id()` of rows that are there once for every set.
    fn id_of_set(&self, set: &Attribute, sets: &[Vec<usize>]) -> DfExpr {
        let id = |keys: &Vec<usize>| lit(set_id(self.grouping.len(), |key| keys.contains(&key)) as i64);
        let branches = sets.iter().enumerate();
        let branches = branches
            .map(|(number, keys)| (Box::new(set.column().eq(lit(number as i32))), Box::new(id(keys))));
        let otherwise = Some(Box::new(lit(0i64)));
        DfExpr::Case(Case::new(None, branches.collect(), otherwise))
    }

    /// The computed keys that one of the grouping sets has not.
    pub(super) fn left_out(&self) -> Vec<DfExpr> {
        let Some(sets) = &self.sets else { return Vec::new() };
        let is_computed = |e: &DfExpr| !matches!(e, DfExpr::Column(_));
        let keys = self.grouping.iter().enumerate();
        keys.filter(|(i, (e, _))| is_left_out(sets, *i) && is_computed(e))
            .map(|(_, (e, _))| e.clone())
            .collect()
    }

    /// Aggregates and what they group by are of the query's own columns.
    fn check_outer_columns(&self) -> Result<()> {
        let parts = self.grouping.iter().zip(&self.names).map(|((e, _), n)| (e, n.clone()));
        let aggregates = self.aggregates.iter().map(|(e, a)| (e, a.name.clone()));
        for (expr, name) in parts.chain(aggregates) {
            let bound = crate::bound_arguments::columns_in(expr).spark()?;
            let is_outer =
                |e: &DfExpr| matches!(e, DfExpr::OuterReferenceColumn(_, c) if !bound.contains(&c.name));
            let outer = expr.exists(|e| Ok(is_outer(e))).spark()?;
            if !outer {
                continue;
            }
            if matches!(expr, DfExpr::AggregateFunction(_)) && !expr.column_refs().is_empty() {
                return Err(Error::new(
                    "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.AGGREGATE_FUNCTION_MIXED_OUTER_LOCAL_REFERENCES",
                )
                .param("function", &name)
                .message(format!("The aggregate {name} mixes columns of its query with those of the query around it.")));
            }
            return Err(Error::new("UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.CORRELATED_REFERENCE")
                .param("sqlExprs", format!("\"{name}\""))
                .message(format!(
                    "{name} uses columns of the query around it, which only WHERE and HAVING may."
                )));
        }
        Ok(())
    }

    /// A correlated scalar subquery that is grouped by must be in the output too: Spark computes it there.
    fn check_grouped_subqueries(&self) -> Result<()> {
        for (key, attribute) in self.grouping.iter().filter(|_| self.sets.is_none()) {
            if !super::subquery::has_correlated_scalar(key)? {
                continue;
            }
            let column = attribute.internal_name();
            let mut shown = self.select.iter().chain(&self.extra).map(|(e, _)| e).chain(&self.having);
            if !shown.any(|e| e.column_refs().iter().any(|c| c.name == column)) {
                return Err(Error::new(
                    "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.MUST_AGGREGATE_CORRELATED_SCALAR_SUBQUERY",
                )
                .message("A correlated subquery that is grouped by must be in the SELECT list too."));
            }
        }
        Ok(())
    }

    pub(super) fn build(self, analyzer: &mut Analyzer) -> Result<Analyzed> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        self.check_outer_columns()?;
        if !analyzer.subquery_in_having {
            self.check_grouped_subqueries()?;
        }
        let mut plan = self.grouped_plan()?;
        if self.sets.is_some() && analyzer.outer.is_empty() && !self.input.is_streaming {
            plan = crate::operators::unordered(plan);
        }
        for condition in &self.having {
            plan = LogicalPlanBuilder::from(plan).filter(condition.clone()).spark()?.build().spark()?;
        }
        let all: Vec<_> = self.select.iter().chain(&self.extra).cloned().collect();
        let (plan, all) = analyzer.plan_windows(plan, all)?;
        let plan = project(all.iter().map(|(e, a)| named(e.clone(), a)).collect(), plan)?;
        let output = self.select.iter().map(|(_, a)| a.clone()).collect();
        let hidden = self.extra.iter().map(|(_, a)| a.clone()).collect();
        let plan_ids = self.input.plan_ids.clone();
        let is_streaming = self.input.is_streaming;
        Ok(Analyzed {
            plan,
            output,
            hidden,
            plan_ids,
            below: Some(Arc::new(Below::Aggregate(self))),
            is_streaming,
        })
    }

    /// The aggregate node: grouping expressions are columns computed below it, so that the node only names columns.
    fn grouped_plan(&self) -> Result<LogicalPlan> {
        let computed =
            self.grouping.iter().any(|(e, a)| *e != a.column()) || self.keys.iter().any(Option::is_some);
        let mut plan = self.input.plan.clone();
        if computed {
            let mut exprs: Vec<DfExpr> = self.input.columns().map(Attribute::column).collect();
            for (e, a) in &self.grouping {
                if *e != a.column() {
                    exprs.push(named(e.clone(), a));
                }
            }
            exprs.extend(self.keys.iter().flatten().map(|k| named(k.key.clone(), &k.column)));
            plan = project(exprs, plan)?;
        }
        let repeated = self.sets.as_ref().map_or(0, Vec::len);
        let of_all_rows = self.is_of_all_rows();
        if of_all_rows {
            let mut exprs: Vec<DfExpr> = plan.schema().columns().into_iter().map(DfExpr::Column).collect();
            exprs.push(lit(0i64).alias(ALL_ROWS));
            plan = project(exprs, plan)?;
        }
        let keys: Vec<DfExpr> = self
            .grouping
            .iter()
            .zip(&self.keys)
            .map(|((_, a), k)| k.as_ref().map_or_else(|| a.column(), |k| k.column.column()))
            .collect();
        let group_exprs = match self.sets.as_ref().filter(|_| self.set.is_none()) {
            None => keys.into_iter().chain(self.set.as_ref().map(Attribute::column)).collect(),
            Some(sets) => {
                let sets = sets
                    .iter()
                    .map(|set| set.iter().map(|i| keys[*i].clone()).collect::<Vec<_>>())
                    .collect::<Vec<_>>();
                if of_all_rows {
                    // No row makes no group here, as with all grouping sets; each set gives the group of all rows.
                    vec![DfExpr::Column(Column::from_name(ALL_ROWS))]
                } else if keys.is_empty() {
                    Vec::new()
                } else {
                    vec![DfExpr::GroupingSet(GroupingSet::GroupingSets(sets))]
                }
            }
        };
        let mut aggregates: Vec<DfExpr> =
            self.aggregates.iter().map(|(e, a)| e.clone().alias(a.internal_name())).collect();
        for ((_, a), key) in self.grouping.iter().zip(&self.keys) {
            if let Some(GroupingKey { value: Some(first), .. }) = key {
                aggregates.push(first.clone().alias(format!("first:{}", a.internal_name())));
            }
        }
        // Grouping sets give nothing for no rows, not even the set without columns.
        let counted = self.sets.is_some() && self.set.is_none() && !self.grouping.is_empty();
        if counted {
            aggregates.push(datafusion::functions_aggregate::count::count(lit(1i64)).alias(ROWS_OF_GROUP));
        }
        if group_exprs.is_empty() && aggregates.is_empty() {
            // No group, no aggregate: one row if `GROUP BY ()` or HAVING alone, whatever the input.
            return LogicalPlanBuilder::empty(true).build().spark();
        }
        let mut grouped =
            LogicalPlan::Aggregate(DfAggregate::try_new(Arc::new(plan), group_exprs, aggregates).spark()?);
        if counted {
            let any = DfExpr::Column(Column::from_name(ROWS_OF_GROUP)).gt(lit(0i64));
            grouped = LogicalPlanBuilder::from(grouped).filter(any).spark()?.build().spark()?;
        }
        if of_all_rows && repeated > 1 {
            let copies =
                LogicalPlanBuilder::values(vec![vec![lit(0i64)]; repeated]).spark()?.build().spark()?;
            grouped = LogicalPlanBuilder::from(grouped).cross_join(copies).spark()?.build().spark()?;
        }
        let (Some(id), Some(sets)) = (&self.grouping_id, &self.sets) else {
            if self.keys.iter().all(Option::is_none) {
                return Ok(grouped);
            }
            let mut exprs = self.group_values()?;
            exprs.extend(self.aggregates.iter().map(|(_, a)| a.column()));
            return project(exprs, grouped);
        };
        let value = match &self.set {
            Some(set) => self.id_of_set(set, sets),
            None => self.id_of_groups(sets),
        };
        let mut exprs = self.group_values()?;
        exprs.extend(self.aggregates.iter().map(|(_, a)| a.column()));
        exprs.push(value.alias(id.internal_name()));
        project(exprs, grouped)
    }

    /// Whether there are grouping sets, and all are without keys: each gives the group of all rows.
    fn is_of_all_rows(&self) -> bool {
        let Some(sets) = self.sets.as_ref().filter(|_| self.set.is_none()) else { return false };
        // A single set where there are no keys at all is an aggregation without GROUP BY.
        sets.iter().all(Vec::is_empty) && (sets.len() > 1 || !self.grouping.is_empty())
    }

    /// `grouping_id()` by DataFusion's, which has a bit a key of the sets, the first key highest, and above them a number
    /// for repeated sets.
    fn id_of_groups(&self, sets: &[Vec<usize>]) -> DfExpr {
        let order = key_order(sets);
        let n = self.grouping.len();
        let internal = DfExpr::Column(Column::from_name(DfAggregate::INTERNAL_GROUPING_ID));
        let raw = cast(internal, arrow::datatypes::DataType::Int64);
        // Bits in the order of the keys as Spark numbers them. That of a key in none of the sets is always set.
        (0..n)
            .map(|spark_position| {
                let bit = match order.iter().position(|k| *k == spark_position) {
                    Some(place) => (raw.clone() >> lit((order.len() - 1 - place) as i64)) & lit(1i64),
                    None => lit(1i64),
                };
                bit << lit((n - 1 - spark_position) as i64)
            })
            .reduce(|a, b| a | b)
            .unwrap_or_else(|| lit(0i64))
    }

    /// The grouping columns of the aggregate node's rows.
    fn group_values(&self) -> Result<Vec<DfExpr>> {
        let sets = self.sets.as_ref().filter(|_| self.set.is_none());
        let is_nowhere = |at: usize| sets.is_some_and(|sets| !sets.iter().flatten().any(|key| *key == at));
        let value = |((_, a), key): (&(DfExpr, Attribute), &Option<GroupingKey>)| match key {
            None => a.column(),
            Some(GroupingKey { column, value: None, .. }) => named(column.column(), a),
            Some(GroupingKey { column, .. }) => {
                // A set without the column has NULL for it.
                let present = DfExpr::IsNotNull(Box::new(column.column()));
                let first = DfExpr::Column(Column::from_name(format!("first:{}", a.internal_name())));
                let case = Case::new(None, vec![(Box::new(present), Box::new(first))], None);
                DfExpr::Case(case).alias(a.internal_name())
            }
        };
        let mut values = Vec::with_capacity(self.grouping.len());
        for (at, of_key) in self.grouping.iter().zip(&self.keys).enumerate() {
            if !is_nowhere(at) {
                values.push(value(of_key));
                continue;
            }
            let (_, attribute) = of_key.0;
            let null = ScalarValue::try_from(&boathouse_bridge::arrow_type(&attribute.data_type)).spark()?;
            values.push(named(DfExpr::Literal(null, None), attribute));
        }
        Ok(values)
    }
}

const ROWS_OF_GROUP: &str = "__rows_of_group";
const ALL_ROWS: &str = "__all_rows";

fn nondeterministic(name: &str) -> Error {
    Error::new("AGGREGATE_FUNCTION_WITH_NONDETERMINISTIC_EXPRESSION")
        .param("sqlExpr", format!("\"{name}\""))
        .message(format!(
            "An aggregate function cannot be of values that differ from call to call, as in {name}."
        ))
}

/// The order in which DataFusion lists the keys of grouping sets: as they first appear.
fn key_order(sets: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::new();
    for key in sets.iter().flatten() {
        if !order.contains(key) {
            order.push(*key);
        }
    }
    order
}
