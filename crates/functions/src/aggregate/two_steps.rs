//! An aggregate function in two steps: the first gives states as rows, the second makes of such rows what the function gives.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar, StructArray, new_empty_array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{self as kernels, prep_null_mask_filter};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Schema};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;

use super::{GroupsAccumulatorFactory, SparkAggregate};
use crate::Context;

/// What the steps are called, after the name of the function.
const FIRST: &str = "_first_step";
const FIRST_IN_PARTS: &str = "_first_step_in_parts";
const SECOND: &str = "_second_step";

/// What the first step gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStep {
    /// A row a group.
    Whole,
    /// Rows that the second step merges: a group may have several.
    InParts,
}

/// The steps of a function: `second(first(x))` over any parts of the rows is `f(x)` over all of them.
pub struct TwoSteps {
    pub first: Arc<AggregateUDF>,
    pub second: Arc<AggregateUDF>,
}

/// The two steps of an aggregate function that gives `result`, where its states are small and no order of rows matters to it.
pub fn in_two_steps(function: &AggregateUDF, result: &FieldRef, first: FirstStep) -> Option<TwoSteps> {
    let whole = match spark(function) {
        Some(whole) => whole.clone(),
        None => of_datafusion(function, result)?,
    };
    let groups = whole.groups.clone()?;
    let is_step = [FIRST, FIRST_IN_PARTS, SECOND].iter().any(|step| whole.name.ends_with(step));
    let is_large = |state: &FieldRef| match (state.data_type(), first) {
        (ArrowType::Boolean, _) | (ArrowType::Utf8, FirstStep::Whole) => false,
        (t, _) => !t.is_primitive(),
    };
    if is_step || whole.needs.is_some() || whole.ordered.is_some() || whole.state.iter().any(is_large) {
        return None;
    }
    let states = ArrowType::Struct(whole.state.iter().cloned().collect());
    let name = match first {
        FirstStep::Whole => FIRST,
        FirstStep::InParts => FIRST_IN_PARTS,
    };
    let first = SparkAggregate {
        name: format!("{}{name}", whole.name),
        return_field: Arc::new(Field::new("states", states.clone(), false)),
        ..of_step(&whole, &groups, Step::First)
    };
    let second = of_step(&whole, &groups, Step::Second);
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
        accumulator: Arc::new(|| internal_err!("the steps of an aggregation are made of its groups")),
        groups: Some(groups),
        sliding: None,
        running: None,
        ordered: None,
        needs: None,
        distinct: None,
        empty: None,
        parameters: String::new(),
        context: Context::default(),
    })
}

/// What a function gives as the first of two steps, where it is one.
pub fn first_step(function: &AggregateUDF) -> Option<FirstStep> {
    let name = &spark(function)?.name;
    let is = |step: &str| name.ends_with(step);
    is(FIRST).then_some(FirstStep::Whole).or_else(|| is(FIRST_IN_PARTS).then_some(FirstStep::InParts))
}

/// Whether the order of the rows shows in what a function gives.
pub fn depends_on_order(function: &AggregateUDF) -> bool {
    let by_name = ["collect_list", "max_by", "min_by"];
    spark(function)
        .is_some_and(|f| f.needs.is_some() || f.ordered.is_some() || by_name.contains(&f.name.as_str()))
}

fn spark(function: &AggregateUDF) -> Option<&SparkAggregate> {
    (function.inner().as_ref() as &dyn Any).downcast_ref()
}

fn of_step(whole: &SparkAggregate, groups: &GroupsAccumulatorFactory, step: Step) -> SparkAggregate {
    let (factory, fields): (_, Fields) = (Arc::clone(groups), whole.state.iter().cloned().collect());
    let of_step = move || -> Result<StepGroups> {
        Ok(StepGroups { inner: factory()?, factory: Arc::clone(&factory), fields: fields.clone(), step })
    };
    let of_all_rows = of_step.clone();
    SparkAggregate {
        accumulator: Arc::new(move || Ok(Box::new(OneGroup::of(of_all_rows()?)?))),
        groups: Some(Arc::new(move || Ok(Box::new(of_step()?)))),
        sliding: None,
        running: None,
        ..whole.clone()
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    First,
    Second,
}

struct StepGroups {
    inner: Box<dyn GroupsAccumulator>,
    factory: GroupsAccumulatorFactory,
    /// The columns of a state.
    fields: Fields,
    step: Step,
}

/// The columns of states that came as rows.
fn states(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    match values.first().and_then(|rows| rows.as_struct_opt()) {
        Some(rows) if rows.null_count() == 0 => Ok(rows.columns().to_vec()),
        _ => internal_err!("the second step of an aggregation needs states"),
    }
}

impl StepGroups {
    /// The state of a group without rows, as one row.
    fn empty(&self) -> Result<Vec<ArrayRef>> {
        let mut group = (self.factory)()?;
        group.merge_batch(&self.no_states(), &[], 1)?;
        group.state(EmitTo::All)
    }

    fn no_states(&self) -> Vec<ArrayRef> {
        self.fields.iter().map(|field| new_empty_array(field.data_type())).collect()
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
            (Step::First, _) => self.inner.update_batch(values, group_indices, filter, total_num_groups),
            (Step::Second, None) => self.inner.merge_batch(&states(values)?, group_indices, total_num_groups),
            (Step::Second, Some(filter)) => {
                let kept: Vec<ArrayRef> =
                    states(values)?.iter().map(|s| kernels::filter(s, filter)).collect::<Result<_, _>>()?;
                let groups = group_indices.iter().zip(filter).filter(|(_, keep)| *keep == Some(true));
                let groups: Vec<usize> = groups.map(|(group, _)| *group).collect();
                self.inner.merge_batch(&kept, &groups, total_num_groups)
            }
        }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        match &self.step {
            Step::First => {
                let columns = self.inner.state(emit_to)?;
                Ok(Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?))
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
        match (&self.step, filter) {
            (Step::First, _) => self.inner.convert_to_state(values, filter),
            (Step::Second, None) => states(values),
            (Step::Second, Some(filter)) => {
                let filter = prep_null_mask_filter(filter);
                let columns = states(values)?.into_iter().zip(self.empty()?);
                Ok(columns.map(|(c, none)| zip(&filter, &c, &Scalar::new(none))).collect::<Result<_, _>>()?)
            }
        }
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// An aggregation without keys: all rows are of one group.
struct OneGroup {
    group: Mutex<StepGroups>,
}

impl OneGroup {
    fn of(mut group: StepGroups) -> Result<Self> {
        let none = group.no_states();
        group.merge_batch(&none, &[], 1)?;
        Ok(Self { group: Mutex::new(group) })
    }
}

impl fmt::Debug for OneGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneGroup")
    }
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.group.get_mut().update_batch(values, &vec![0; rows], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.group.get_mut().merge_batch(states, &vec![0; rows], 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = self.group.get_mut().state(EmitTo::All)?;
        columns.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.group.get_mut().evaluate(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        self.group.lock().size()
    }
}
