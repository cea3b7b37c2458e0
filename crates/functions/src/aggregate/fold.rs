//! Aggregates as a fold: a state a group, updated row by row. One definition gives DataFusion's accumulator of a whole
//! column, its vectorized accumulator of many groups and that of a sliding frame.

use std::fmt;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{arrow_type, to_datafusion};
use boathouse_spec::{DataType, Error, Result};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::scalar::ScalarValue;

use super::{OfFold, SparkAggregate, plain_items};
use crate::Context;
use crate::scalar::{conform, first};

/// An aggregate function as a fold. `rows` are pairs of a row of the batch and the index of its state.
pub(crate) trait Fold: Send + Sync + 'static {
    type State: Clone + Send + Sync + 'static;

    /// Whether [`Fold::retract`] undoes [`Fold::update`] exactly.
    const RETRACTS: bool = false;
    /// Whether states own memory beyond their size ([`Fold::bytes`]).
    const ON_HEAP: bool = false;

    fn start(&self) -> Self::State;

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()>;

    fn retract(&self, _columns: &[ArrayRef], _state: &mut Self::State) -> Result<()> {
        Err(Error::internal("this aggregate cannot take rows back"))
    }

    /// The names and types of the columns a state is saved to.
    fn saved(&self) -> Vec<(&'static str, DataType)>;

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>>;

    /// Adds saved states.
    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()>;

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef>;

    fn bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

impl SparkAggregate {
    /// The aggregate function of a fold.
    pub(crate) fn of_fold<F: Fold>(
        name: &str,
        coerced: &[DataType],
        return_type: &DataType,
        nullable: bool,
        context: &Context,
        fold: F,
    ) -> Self {
        let fold = Arc::new(fold);
        let saved = fold.saved();
        let types = Types {
            result: arrow_type(return_type),
            saved: saved.iter().map(|(_, t)| plain_items(&arrow_type(t))).collect(),
        };
        let for_one = (Arc::clone(&fold), types.clone());
        let for_rows = (Arc::clone(&fold), types.result.clone());
        Self::new(name, coerced, return_type, nullable, saved, context, move || {
            Ok(Box::new(FoldOne {
                state: [for_one.0.start()],
                fold: Arc::clone(&for_one.0),
                types: for_one.1.clone(),
            }))
        })
        .with_running(move || Box::new(OfFold::new(Arc::clone(&for_rows.0), for_rows.1.clone())))
        .with_groups(move || {
            Ok(Box::new(FoldGroups {
                states: Vec::new(),
                fold: Arc::clone(&fold),
                types: types.clone(),
                heap: 0,
                updates: 0,
            }))
        })
    }
}

/// An accumulator of a fold over one column, for frames that slide.
pub(crate) fn one<F: Fold>(
    fold: F,
    return_type: &DataType,
) -> impl Fn() -> DataFusionResult<Box<dyn Accumulator>> + Send + Sync + 'static {
    let types = Types {
        result: arrow_type(return_type),
        saved: fold.saved().iter().map(|(_, t)| plain_items(&arrow_type(t))).collect(),
    };
    let fold = Arc::new(fold);
    move || Ok(Box::new(FoldOne { state: [fold.start()], fold: Arc::clone(&fold), types: types.clone() }))
}

#[derive(Clone)]
struct Types {
    result: ArrowType,
    saved: Vec<ArrowType>,
}

impl Types {
    fn saved(&self, columns: Vec<ArrayRef>) -> Result<Vec<ArrayRef>> {
        columns.into_iter().zip(&self.saved).map(|(c, t)| conform(c, t)).collect()
    }
}

struct FoldOne<F: Fold> {
    fold: Arc<F>,
    types: Types,
    state: [F::State; 1],
}

impl<F: Fold> fmt::Debug for FoldOne<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fold to {}", self.types.result)
    }
}

fn all_rows(columns: &[ArrayRef]) -> impl Iterator<Item = (usize, usize)> {
    (0..columns.first().map_or(0, |c| c.len())).map(|row| (row, 0))
}

impl<F: Fold> Accumulator for FoldOne<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.fold.update(values, all_rows(values), &mut self.state).map_err(to_datafusion)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let out = self.fold.finish(&self.state).and_then(|a| conform(a, &self.types.result));
        // With what is noted beside the type of a list's items: it tells a VARIANT from a struct.
        first(&out.map_err(to_datafusion)?)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.fold.bytes(&self.state[0])
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let columns = self.fold.save(&self.state).and_then(|c| self.types.saved(c)).map_err(to_datafusion)?;
        columns.iter().map(|c| ScalarValue::try_from_array(c, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.fold.merge(states, all_rows(states), &mut self.state).map_err(to_datafusion)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.fold.retract(values, &mut self.state[0]).map_err(to_datafusion)
    }

    fn supports_retract_batch(&self) -> bool {
        F::RETRACTS
    }
}

struct FoldGroups<F: Fold> {
    fold: Arc<F>,
    types: Types,
    states: Vec<F::State>,
    /// Memory the states own, counted anew from time to time.
    heap: usize,
    updates: usize,
}

/// Batches between two counts of the memory behind the states.
const BATCHES_PER_COUNT: usize = 8;

impl<F: Fold> FoldGroups<F> {
    fn updated(&mut self) {
        if F::ON_HEAP {
            if self.updates.is_multiple_of(BATCHES_PER_COUNT) {
                self.heap = self.states.iter().map(|s| self.fold.bytes(s)).sum();
            }
            self.updates += 1;
        }
    }

    fn taken(&mut self, emit_to: EmitTo) -> Vec<F::State> {
        let taken = emit_to.take_needed(&mut self.states);
        self.updates = 0;
        self.updated();
        taken
    }
}

impl<F: Fold> GroupsAccumulator for FoldGroups<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.states.resize_with(total_num_groups, || self.fold.start());
        let rows = group_indices.iter().copied().enumerate();
        match opt_filter {
            None => self.fold.update(values, rows, &mut self.states),
            Some(filter) => {
                let rows = rows.filter(|(row, _)| filter.is_valid(*row) && filter.value(*row));
                self.fold.update(values, rows, &mut self.states)
            }
        }
        .map_err(to_datafusion)?;
        self.updated();
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DataFusionResult<ArrayRef> {
        let states = self.taken(emit_to);
        self.fold.finish(&states).and_then(|a| conform(a, &self.types.result)).map_err(to_datafusion)
    }

    fn state(&mut self, emit_to: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        let states = self.taken(emit_to);
        self.fold.save(&states).and_then(|c| self.types.saved(c)).map_err(to_datafusion)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.states.resize_with(total_num_groups, || self.fold.start());
        let rows = group_indices.iter().copied().enumerate();
        self.fold.merge(values, rows, &mut self.states).map_err(to_datafusion)?;
        self.updated();
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> DataFusionResult<Vec<ArrayRef>> {
        let count = values.first().map_or(0, |v| v.len());
        let mut states = vec![self.fold.start(); count];
        let rows = (0..count).map(|row| (row, row));
        match opt_filter {
            None => self.fold.update(values, rows, &mut states),
            Some(filter) => {
                let rows = rows.filter(|(row, _)| filter.is_valid(*row) && filter.value(*row));
                self.fold.update(values, rows, &mut states)
            }
        }
        .and_then(|()| self.fold.save(&states))
        .and_then(|c| self.types.saved(c))
        .map_err(to_datafusion)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.states.capacity() * size_of::<F::State>() + self.heap
    }
}

/// A column of the batch.
pub(crate) fn column(columns: &[ArrayRef], i: usize) -> Result<&ArrayRef> {
    columns
        .get(i)
        .ok_or_else(|| Error::internal(format!("an aggregate asked for its column {i} of {}", columns.len())))
}

/// A column of the batch as a primitive array.
pub(crate) fn primitive<T: ArrowPrimitiveType>(columns: &[ArrayRef], i: usize) -> Result<&PrimitiveArray<T>> {
    let array = column(columns, i)?;
    array.as_primitive_opt().ok_or_else(|| unexpected(i, array))
}

pub(crate) fn booleans(columns: &[ArrayRef], i: usize) -> Result<&BooleanArray> {
    let array = column(columns, i)?;
    array.as_boolean_opt().ok_or_else(|| unexpected(i, array))
}

pub(crate) fn unexpected(i: usize, array: &ArrayRef) -> Error {
    Error::internal(format!("column {i} of an aggregate has the type {} at run time", array.data_type()))
}

/// The first value of each row's columns as a DataFusion scalar.
pub(crate) fn scalar(array: &ArrayRef, row: usize) -> Result<ScalarValue> {
    ScalarValue::try_from_array(array, row).map_err(boathouse_bridge::from_datafusion)
}

/// Scalars of one type as an array.
pub(crate) fn array_of(
    scalars: impl IntoIterator<Item = ScalarValue>,
    data_type: &ArrowType,
) -> Result<ArrayRef> {
    let mut scalars = scalars.into_iter().peekable();
    if scalars.peek().is_none() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(scalars).map_err(boathouse_bridge::from_datafusion)
}
