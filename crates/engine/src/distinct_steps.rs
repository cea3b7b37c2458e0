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
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, GroupingSet, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

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
        let after: Vec<Expr> = self.keys.iter().enumerate().map(|(i, key)| named_column(key, i)).collect();
        let mut first = Vec::new();
        let mut second = Vec::new();
        for (i, call) in self.calls.iter().enumerate() {
            let merged = match call {
                Call::Distinct { function, args, set } => {
                    let mut function = function.clone();
                    function.params.args = args.iter().map(|arg| after[*arg].clone()).collect();
                    function.params.filter = self.is_of_set(*set).map(Box::new);
                    function
                }
                Call::Plain { function, steps } => {
                    let name = format!("__states{i}");
                    let states = Expr::Column(Column::new_unqualified(&name));
                    let states_of = AggregateFunction { func: Arc::clone(&steps.first), ..function.clone() };
                    first.push(Expr::AggregateFunction(states_of).alias(name));
                    let filter = self.is_of_set(0).map(Box::new);
                    let merge = Arc::clone(&steps.second);
                    AggregateFunction::new_udf(merge, vec![states], false, filter, Vec::new(), None)
                }
            };
            second.push(Expr::AggregateFunction(merged).alias(format!("__merged{i}")));
        }
        let groups = Aggregate::try_new(Arc::clone(&aggregate.input), self.grouped_by(&keys), first)?;
        let whole = self.whole.iter().map(|key| after[*key].clone()).collect();
        let merged = Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(groups)), whole, second)?;
        named_as(LogicalPlan::Aggregate(merged), &aggregate.schema)
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
        let keys = 0..self.keys.len();
        let missing = keys.filter(|key| !self.sets[set].contains(key));
        let number: u64 = missing.map(|key| 1 << (self.keys.len() - 1 - key)).sum();
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

/// The columns of a plan under the names of others.
pub(crate) fn named_as(plan: LogicalPlan, names: &DFSchema) -> Result<LogicalPlan> {
    let named = |(column, (qualifier, field)): (Column, (Option<&TableReference>, &FieldRef))| {
        // DataFusion's rules take a column under its own name for two of one name.
        let is_named = column.relation.as_ref() == qualifier && column.name == *field.name();
        let expr = Expr::Column(column);
        if is_named { expr } else { expr.alias_qualified(qualifier.cloned(), field.name()) }
    };
    let columns = plan.schema().columns().into_iter().zip(names.iter()).map(named).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// A key of the first step under a name that the second can say.
fn named(key: &Expr, place: usize) -> Expr {
    match key {
        Expr::Column(_) => key.clone(),
        _ => key.clone().alias(format!("__key{place}")),
    }
}

fn named_column(key: &Expr, place: usize) -> Expr {
    match key {
        Expr::Column(_) => key.clone(),
        _ => Expr::Column(Column::new_unqualified(format!("__key{place}"))),
    }
}

fn has_columns(args: &[Expr]) -> bool {
    args.iter().any(|arg| !arg.column_refs().is_empty())
}

/// Whether values of a type are told apart by GROUP BY as by DISTINCT. (The analyzer has made equal floats one.)
fn groups_as_distinct(t: &DataType) -> bool {
    !matches!(t, DataType::Null | DataType::Interval(IntervalUnit::MonthDayNano))
}
