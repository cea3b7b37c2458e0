//! Aggregations of distinct values in two steps (Spark's `RewriteDistinctAggregates`).
//!
//! `SELECT k, count(DISTINCT x), sum(y) .. GROUP BY k` is grouped by `k` and `x` first, where `y` is summed, and then by `k`.
//! DataFusion would keep a set of values for each group, which cannot be spilled and is merged by one thread. Where
//! distinct values of several kinds are asked for, the first step has one set of keys for each; what has no DISTINCT is
//! taken from the first of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, IntervalUnit};
use boathouse_functions::{FirstStep, TwoSteps, in_two_steps};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, GroupingSet, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::aggregate_steps;
use crate::grouping_sets::set_id;

/// The number of a set of keys has a bit for each key.
const MAX_KEYS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct DistinctSteps;

impl OptimizerRule for DistinctSteps {
    fn name(&self) -> &str {
        "boathouse_distinct_steps"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        Ok(match Steps::of(aggregate)? {
            Some(steps) => Transformed::yes(steps.plan(aggregate)?),
            None => Transformed::no(plan),
        })
    }
}

/// What a function of the aggregation becomes.
enum Call {
    /// Over the rows of one of [`Steps::sets`], with the places of its arguments among the first step's keys.
    Distinct {
        function: AggregateFunction,
        args: Vec<usize>,
        set: usize,
    },
    Plain {
        function: AggregateFunction,
        steps: TwoSteps,
    },
}

struct Steps {
    /// The keys of the first step: those of the aggregation, then the values that are to be distinct.
    keys: Vec<Expr>,
    /// Where the keys of the aggregation are among them.
    whole: Vec<usize>,
    /// The sets of keys that rows are grouped by, each with [`Steps::whole`].
    sets: Vec<BTreeSet<usize>>,
    calls: Vec<Call>,
}

impl Steps {
    /// `None` where nothing is distinct, or the sets of values have to be kept.
    fn of(aggregate: &Aggregate) -> Result<Option<Self>> {
        if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        let mut steps = Self { keys: Vec::new(), whole: Vec::new(), sets: Vec::new(), calls: Vec::new() };
        steps.whole = aggregate.group_expr.iter().map(|key| steps.place(key)).collect();
        let results = &aggregate.schema.fields()[aggregate.group_expr.len()..];
        for (expr, result) in aggregate.aggr_expr.iter().zip(results) {
            let Expr::AggregateFunction(function) = expr.clone().unalias() else { return Ok(None) };
            let Some(call) = steps.call(function, result, aggregate)? else { return Ok(None) };
            steps.calls.push(call);
        }
        Ok((!steps.sets.is_empty() && steps.keys.len() <= MAX_KEYS).then_some(steps))
    }

    fn call(
        &mut self,
        mut function: AggregateFunction,
        result: &FieldRef,
        of: &Aggregate,
    ) -> Result<Option<Call>> {
        // What is kept by this has small states and does not ask for an order of rows.
        let Some(steps) = in_two_steps(&function.func, result, FirstStep::Whole) else { return Ok(None) };
        let given = &mut function.params;
        if !given.order_by.is_empty() {
            return Ok(None);
        }
        if !given.distinct {
            return Ok(Some(Call::Plain { function, steps }));
        }
        if given.filter.is_some() || given.null_treatment.is_some() || !has_columns(&given.args) {
            return Ok(None);
        }
        for arg in &given.args {
            if !groups_as_distinct(&arg.get_type(of.input.schema().as_ref())?) {
                return Ok(None);
            }
        }
        given.distinct = false;
        let args: Vec<usize> = given.args.iter().map(|arg| self.place(arg)).collect();
        let keys = self.whole.iter().chain(&args).copied().collect();
        let set = self.sets.iter().position(|set| *set == keys).unwrap_or_else(|| {
            self.sets.push(keys);
            self.sets.len() - 1
        });
        Ok(Some(Call::Distinct { function, args, set }))
    }

    /// Where a key of the first step stands.
    fn place(&mut self, key: &Expr) -> usize {
        self.keys.iter().position(|k| k == key).unwrap_or_else(|| {
            self.keys.push(key.clone());
            self.keys.len() - 1
        })
    }

    fn plan(self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        let keys: Vec<Expr> = self.keys.iter().enumerate().map(|(i, key)| named(key, i)).collect();
        let column = |(relation, name)| Expr::Column(Column::new(relation, name));
        let after = keys.iter().map(|key| column(key.qualified_name()));
        let after: Vec<Expr> = after.collect();
        let conditions: Vec<Option<Expr>> = (0..self.sets.len()).map(|set| self.is_of_set(set)).collect();
        let grouped_by = self.grouped_by(&keys);
        let mut first = Vec::new();
        let mut second = Vec::new();
        for (i, call) in self.calls.into_iter().enumerate() {
            match call {
                Call::Distinct { mut function, args, set } => {
                    function.params.args = args.iter().map(|arg| after[*arg].clone()).collect();
                    function.params.filter = conditions[set].clone().map(Box::new);
                    second.push(aggregate_steps::merged(i, function));
                }
                Call::Plain { function, steps } => {
                    let (states, merged) = aggregate_steps::calls(i, function, steps, conditions[0].clone());
                    first.push(states);
                    second.push(merged);
                }
            }
        }
        let groups = Aggregate::try_new(Arc::clone(&aggregate.input), grouped_by, first)?;
        let whole = self.whole.iter().map(|key| after[*key].clone()).collect();
        let merged = Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(groups)), whole, second)?;
        aggregate_steps::named_as(LogicalPlan::Aggregate(merged), &aggregate.schema)
    }

    /// What the first step groups by. Its keys come in the order in which they are named first, which is that of
    /// [`Steps::keys`].
    fn grouped_by(&self, keys: &[Expr]) -> Vec<Expr> {
        match self.sets.as_slice() {
            [_] => keys.to_vec(),
            sets => {
                let sets = sets.iter().map(|set| set.iter().map(|key| keys[*key].clone()).collect());
                vec![Expr::GroupingSet(GroupingSet::GroupingSets(sets.collect()))]
            }
        }
    }

    /// The condition that a row of the first step comes from a set; `None` where all do.
    fn is_of_set(&self, set: usize) -> Option<Expr> {
        if self.sets.len() == 1 {
            return None;
        }
        let number = set_id(self.keys.len(), |key| self.sets[set].contains(&key));
        let number = match Aggregate::grouping_id_type(self.keys.len(), 0) {
            DataType::UInt8 => ScalarValue::UInt8(Some(number as u8)),
            DataType::UInt16 => ScalarValue::UInt16(Some(number as u16)),
            DataType::UInt32 => ScalarValue::UInt32(Some(number as u32)),
            _ => ScalarValue::UInt64(Some(number)),
        };
        let of_row = Expr::Column(Column::new_unqualified(Aggregate::INTERNAL_GROUPING_ID));
        Some(of_row.eq(Expr::Literal(number, None)))
    }
}

/// A key of the first step under a name that the second can say.
fn named(key: &Expr, place: usize) -> Expr {
    match key {
        Expr::Column(_) => key.clone(),
        _ => key.clone().alias(format!("__key{place}")),
    }
}

fn has_columns(args: &[Expr]) -> bool {
    args.iter().any(|arg| !arg.column_refs().is_empty())
}

/// Whether values of a type are told apart by GROUP BY as by DISTINCT. (The analyzer has made equal floats one.)
fn groups_as_distinct(t: &DataType) -> bool {
    !matches!(t, DataType::Null | DataType::Interval(IntervalUnit::MonthDayNano))
}
