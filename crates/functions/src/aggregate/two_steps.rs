//! An aggregate function in two steps: the first gives states as rows, the second makes of such rows what the function gives.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, EmitTo, GroupsAccumulator, Signature, Volatility};

use super::{AccumulatorFactory, GroupsAccumulatorFactory, SparkAggregate};
use crate::Context;

/// What the steps are called, after the name of the function.
const FIRST: &str = "_first_step";
const SECOND: &str = "_second_step";

/// The steps of a function: `second(first(x))` over any parts of the rows is `f(x)` over all of them.
pub struct TwoSteps {
    pub first: Arc<AggregateUDF>,
    pub second: Arc<AggregateUDF>,
}

/// The two steps of an aggregate function that gives `result`, where its states are small and no order of rows matters to it.
pub fn in_two_steps(function: &AggregateUDF, result: &FieldRef) -> Option<TwoSteps> {
    let whole = match spark(function) {
        Some(whole) => whole.clone(),
        None => of_datafusion(function, result)?,
    };
    let groups = whole.groups.clone()?;
    let is_step = whole.name.ends_with(FIRST) || whole.name.ends_with(SECOND);
    let is_large =
        |state: &FieldRef| !state.data_type().is_primitive() && *state.data_type() != ArrowType::Boolean;
    if is_step || whole.needs.is_some() || whole.ordered.is_some() || whole.state.iter().any(is_large) {
        return None;
    }
    let fields: Fields = whole.state.iter().cloned().collect();
    let states = ArrowType::Struct(fields.clone());
    let first = of_step(&whole, &groups, Step::First(fields));
    let second = of_step(&whole, &groups, Step::Second);
    let first = SparkAggregate {
        name: format!("{}{FIRST}", whole.name),
        return_field: Arc::new(Field::new("states", states.clone(), false)),
        ..first
    };
    let second = SparkAggregate { name: format!("{}{SECOND}", whole.name), inputs: vec![states], ..second };
    Some(TwoSteps { first: first.build(), second: second.build() })
}

/// The functions that are DataFusion's own: their state is the result so far.
fn of_datafusion(function: &AggregateUDF, result: &FieldRef) -> Option<SparkAggregate> {
    if !matches!(function.name(), "count" | "min" | "max") {
        return None;
    }
    let name = function.name().to_string();
    let (function, field) = (function.clone(), Arc::clone(result));
    let groups: GroupsAccumulatorFactory = Arc::new(move || {
        function.create_groups_accumulator(AccumulatorArgs {
            return_field: Arc::clone(&field),
            schema: &Schema::empty(),
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: function.name(),
            is_distinct: false,
            exprs: &[],
            expr_fields: std::slice::from_ref(&field),
        })
    });
    groups().ok()?;
    Some(SparkAggregate {
        name,
        signature: Signature::variadic_any(Volatility::Immutable),
        return_field: Arc::clone(result),
        state: vec![Arc::new(Field::new("value", result.data_type().clone(), true))],
        inputs: Vec::new(),
        accumulator: no_accumulator(),
        groups: Some(groups),
        sliding: None,
        ordered: None,
        needs: None,
        empty: None,
        parameters: String::new(),
        context: Context::default(),
    })
}

/// Steps are made of aggregations with keys.
fn no_accumulator() -> AccumulatorFactory {
    Arc::new(|| Err(DataFusionError::Internal("the steps of an aggregation have keys".into())))
}

/// Whether a function is the first of two steps.
pub fn is_first_step(function: &AggregateUDF) -> bool {
    spark(function).is_some_and(|f| f.name.ends_with(FIRST))
}

fn spark(function: &AggregateUDF) -> Option<&SparkAggregate> {
    (function.inner().as_ref() as &dyn Any).downcast_ref()
}

fn of_step(whole: &SparkAggregate, groups: &GroupsAccumulatorFactory, step: Step) -> SparkAggregate {
    let inner = Arc::clone(groups);
    let groups: GroupsAccumulatorFactory =
        Arc::new(move || Ok(Box::new(StepGroups { inner: inner()?, step: step.clone() })));
    SparkAggregate { accumulator: no_accumulator(), groups: Some(groups), sliding: None, ..whole.clone() }
}

#[derive(Debug, Clone)]
enum Step {
    /// With the columns of a state.
    First(Fields),
    Second,
}

struct StepGroups {
    inner: Box<dyn GroupsAccumulator>,
    step: Step,
}

/// The columns of states that came as rows.
fn states(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    match values.first().and_then(|rows| rows.as_struct_opt()) {
        Some(rows) if rows.null_count() == 0 => Ok(rows.columns().to_vec()),
        _ => Err(DataFusionError::Internal("the second step of an aggregation needs states".into())),
    }
}

impl GroupsAccumulator for StepGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        match (&self.step, filter) {
            (Step::First(_), _) => self.inner.update_batch(values, group_indices, filter, total_num_groups),
            (Step::Second, None) => self.inner.merge_batch(&states(values)?, group_indices, total_num_groups),
            (Step::Second, Some(_)) => {
                Err(DataFusionError::Internal("a filter belongs to the first step of an aggregation".into()))
            }
        }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        match &self.step {
            Step::First(fields) => {
                let columns = self.inner.state(emit_to)?;
                Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
            }
            Step::Second => self.inner.evaluate(emit_to),
        }
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.inner.merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        match self.step {
            Step::First(_) => self.inner.convert_to_state(values, filter),
            Step::Second => states(values),
        }
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
