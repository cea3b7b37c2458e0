//! ORDER BY, SORT BY.

use arrow::compute::SortOptions;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Expr, Literal, Relation, Result, SortOrder};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr as DfExpr, Filter, LogicalPlan, Sort as SortPlan};
use std::sync::Arc;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute};
use crate::watermark::{StreamOperationKind, noted};

impl Analyzer {
    pub(super) fn sort(&mut self, input: &Relation, order: &[SortOrder], global: bool) -> Result<Analyzed> {
        let input = self.relation(input)?;
        self.sort_analyzed(input, order, global)
    }

    pub(super) fn sort_all(
        &mut self,
        input: &Relation,
        ascending: bool,
        nulls_first: bool,
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let key = |a: &Attribute| sort_keys(a.column(), &a.data_type, ascending, nulls_first);
        let keys = input.output.iter().flat_map(key).collect();
        self.sorted(input, keys)
    }

    fn sort_analyzed(&mut self, input: Analyzed, order: &[SortOrder], global: bool) -> Result<Analyzed> {
        let mut exprs = Vec::with_capacity(order.len());
        let mut ordinals: Vec<Option<usize>> = Vec::with_capacity(order.len());
        for o in order {
            match &o.expr {
                Expr::Literal(Literal::Integer(n)) if self.session.conf().order_by_ordinal() => {
                    let Some(i) = usize::try_from(*n)
                        .ok()
                        .and_then(|n| n.checked_sub(1))
                        .filter(|i| *i < input.output.len())
                    else {
                        return Err(Error::new("ORDER_BY_POS_OUT_OF_RANGE")
                            .param("index", n)
                            .param("size", input.output.len())
                            .message(format!(
                                "ORDER BY position {n} is not among the {} columns.",
                                input.output.len()
                            )));
                    };
                    ordinals.push(Some(i));
                }
                other => {
                    ordinals.push(None);
                    exprs.push(other.clone());
                }
            }
        }
        let output = input.output.clone();
        let (resolved, input) = self
            .exprs_reaching_below(&exprs, input, "ORDER BY")
            .map_err(|e| none_of_several(super::relation::outside_select(e), &output))?;
        resolved.iter().try_for_each(|key| super::window::forbid_uncomputed_windows(key, "ORDER BY"))?;
        self.forbid_sql_functions(&exprs, "Sort")?;
        let mut resolved = resolved.into_iter();
        let mut keys: Vec<(DfExpr, DataType, String)> = Vec::new();
        for ordinal in ordinals {
            match ordinal {
                Some(i) => {
                    keys.push((output[i].column(), output[i].data_type.clone(), output[i].name.clone()))
                }
                None => {
                    if let Some(r) = resolved.next() {
                        keys.push((r.expr, r.data_type, r.name));
                    }
                }
            }
        }
        keys.iter().try_for_each(|(e, _, name)| {
            check_subqueries(e, name)?;
            super::aggregate::forbid_aggregates(e, name, "ORDER BY")
        })?;
        for (e, t, name) in &mut keys {
            if super::collation::is_collated(t) {
                let typed = super::TypedExpr::new(e.clone(), t.clone(), true, name.as_str());
                *e = self.collation_key(typed)?.expr;
            }
        }
        for (_, t, name) in &keys {
            if !t.is_orderable() && *t != DataType::Null {
                return Err(super::error::mismatch(
                    "INVALID_ORDERING_TYPE",
                    &format!("{name} ASC NULLS FIRST"),
                    format!("values of {} have no order.", t.sql()),
                )
                .param("functionName", "`sortorder`")
                .param("dataType", super::error::quoted(t)));
            }
        }
        // Equal values that are told apart (two zeros) would keep the keys after them from their work.
        let last = keys.len().saturating_sub(1);
        for (i, (e, t, name)) in keys.iter_mut().enumerate() {
            if !t.is_string() && (i < last || super::collation::holds_collated(t)) {
                let typed = super::TypedExpr::new(e.clone(), t.clone(), true, name.as_str());
                *e = self.sort_key(typed)?.expr;
            }
        }
        let sorts = keys
            .into_iter()
            .zip(order)
            .flat_map(|((e, t, _), o)| sort_keys(e, &t, o.ascending, o.nulls_first))
            .collect();
        let sorted = if global { self.sorted(input, sorts)? } else { self.sorted_within(input, sorts)? };
        Ok(Analyzed { output, ..sorted })
    }

    /// Each partition for itself.
    fn sorted_within(&mut self, input: Analyzed, keys: Vec<Sort>) -> Result<Analyzed> {
        let options = |s: &Sort| SortOptions { descending: !s.asc, nulls_first: s.nulls_first };
        let keys = keys.into_iter().map(|s| (s.expr.clone(), options(&s))).collect();
        let plan = crate::operators::sort_within(input.plan.clone(), keys);
        let plan = noted(plan, StreamOperationKind::SortWithinPartitions, input.is_streaming);
        input.with_plan(plan).without_hidden()
    }

    pub(super) fn sorted(&mut self, input: Analyzed, keys: Vec<Sort>) -> Result<Analyzed> {
        let plan =
            LogicalPlan::Sort(SortPlan { expr: keys, input: Arc::new(input.plan.clone()), fetch: None });
        plan.check_invariants(datafusion::logical_expr::InvariantLevel::Always).spark()?;
        let sorted = input.with_plan(plan);
        // The hidden columns served the sort; above it they are gone.
        sorted.without_hidden()
    }
}

/// The keys that sort by a value. Inside of arrays and structs NULL is the least value, wherever NULLs themselves go: where
/// these two differ, the NULLs are sorted by a key of their own.
fn sort_keys(key: DfExpr, t: &DataType, ascending: bool, nulls_first: bool) -> Vec<Sort> {
    if ascending == nulls_first || !matches!(t, DataType::Array { .. } | DataType::Struct(_)) {
        return vec![Sort::new(key, ascending, nulls_first)];
    }
    let is_null = DfExpr::IsNull(Box::new(key.clone()));
    vec![Sort::new(is_null, !nulls_first, true), Sort::new(key, ascending, ascending)]
}

/// The order in which the rows of a plan come, where a sort below it says so; its keys are columns of the plan.
pub(super) fn order_of(plan: &LogicalPlan) -> Option<Vec<Sort>> {
    match plan {
        LogicalPlan::Sort(sort) => Some(sort.expr.clone()),
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::Limit(limit) => order_of(&limit.input),
        LogicalPlan::Projection(projection) => {
            let order = order_of(&projection.input)?;
            order.into_iter().map(|key| through(&projection.expr, key)).collect()
        }
        _ => None,
    }
}

/// The plan with the columns that its rows were sorted by, where projections above the sort left them out; `None` where
/// nothing is to be added.
pub(super) fn with_sort_columns(plan: &LogicalPlan) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let below = with_sort_columns(&projection.input);
            let input = below.map_or_else(|| Arc::clone(&projection.input), Arc::new);
            let order = order_of(&input)?;
            let mut exprs = projection.expr.clone();
            for column in order.iter().flat_map(|key| key.expr.column_refs()) {
                let key = Sort::new(DfExpr::Column(column.clone()), true, true);
                if through(&exprs, key).is_none() {
                    exprs.push(DfExpr::Column(column.clone()));
                }
            }
            let added = exprs.len() > projection.expr.len() || !Arc::ptr_eq(&input, &projection.input);
            added.then(|| super::analyzed::project(exprs, input.as_ref().clone()).ok())?
        }
        LogicalPlan::Filter(filter) => {
            let input = with_sort_columns(&filter.input)?;
            Filter::try_new(filter.predicate.clone(), Arc::new(input)).ok().map(LogicalPlan::Filter)
        }
        _ => None,
    }
}

/// A sort key by the names that a projection gives its columns; `None` where it leaves one out.
fn through(projected: &[DfExpr], key: Sort) -> Option<Sort> {
    let renamed = |column: &Column| {
        projected.iter().find_map(|e| match e {
            DfExpr::Column(c) if c == column => Some(c.clone()),
            DfExpr::Alias(a) if matches!(a.expr.as_ref(), DfExpr::Column(c) if c == column) => {
                Some(Column::new_unqualified(&a.name))
            }
            _ => None,
        })
    };
    let mut all = true;
    let expr = key.expr.transform(|e| match &e {
        DfExpr::Column(c) => Ok(match renamed(c) {
            Some(c) => Transformed::yes(DfExpr::Column(c)),
            None => {
                all = false;
                Transformed::no(e)
            }
        }),
        _ => Ok(Transformed::no(e)),
    });
    let expr = expr.ok()?.data;
    all.then_some(Sort { expr, ..key })
}

/// A sort key that several columns have the name of means none of them (Spark's `resolveExprsAndAddMissingAttrs`).
fn none_of_several(error: Error, known: &[Attribute]) -> Error {
    let name = error.parameters().iter().find(|(key, _)| key == "name").map(|(_, name)| name.as_str());
    match name.map(boathouse_sql::parse_name) {
        Some(Ok(name)) if error.is("AMBIGUOUS_REFERENCE") => {
            let unresolved = super::error::unresolved_column(&name, &super::column::full_names(known));
            error.contexts().iter().cloned().fold(unresolved, Error::context)
        }
        _ => error,
    }
}

/// Rows cannot be sorted by what a correlated subquery gives, nor by EXISTS and IN.
fn check_subqueries(key: &DfExpr, name: &str) -> Result<()> {
    let is_predicate = |e: &DfExpr| matches!(e, DfExpr::Exists(_) | DfExpr::InSubquery(_));
    let subclass = if key.exists(|e| Ok(is_predicate(e))).spark()? {
        "UNSUPPORTED_IN_EXISTS_SUBQUERY"
    } else if super::subquery::has_correlated_scalar(key)? {
        "UNSUPPORTED_CORRELATED_SCALAR_SUBQUERY"
    } else {
        return Ok(());
    };
    Err(Error::new(format!("UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.{subclass}"))
        .param("treeNode", name)
        .message(format!("Rows cannot be sorted by the subquery in {name}.")))
}

/// A sort key as Spark writes it.
pub(super) fn order_name(key: &str, order: &SortOrder) -> String {
    let direction = if order.ascending { "ASC" } else { "DESC" };
    let nulls = if order.nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
    format!("{key} {direction} {nulls}")
}
