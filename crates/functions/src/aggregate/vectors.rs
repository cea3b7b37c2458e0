//! `vector_sum`, `vector_avg`: vectors (arrays of FLOAT) added up element by element. NULL, and vectors with NULL in them, do
//! not count.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Int64Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Float32Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use super::fold::{Fold, column, primitive, unexpected};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::Registry;
use crate::collection::ListItem;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["vector_sum"], |c| resolve(c, false));
    r.aggregate(&["vector_avg"], |c| resolve(c, true));
}

fn resolve(c: &AggregateCall, averages: bool) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=1)?;
    let given = &call.args[0].data_type;
    if !matches!(given, DataType::Array { element, .. } if **element == DataType::Float) {
        return Err(call.unexpected_input(0, "\"ARRAY<FLOAT>\""));
    }
    let coerced = vec![given.clone()];
    let fold = Vectors { function: call.name.to_string(), averages };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &result(), true, call.context, fold);
    Ok(ResolvedAggregate::new(coerced, result(), true, udf.build()))
}

fn result() -> DataType {
    DataType::array(DataType::Float, false)
}

struct Vectors {
    function: String,
    averages: bool,
}

/// The sum or the average so far, of how many vectors.
#[derive(Clone, Default)]
struct SoFar {
    values: Vec<f32>,
    count: i64,
}

impl Vectors {
    fn check(&self, so_far: &SoFar, other: &[f32]) -> Result<()> {
        if so_far.count == 0 || so_far.values.len() == other.len() {
            return Ok(());
        }
        Err(Error::new("VECTOR_DIMENSION_MISMATCH")
            .param("functionName", format!("`{}`", self.function))
            .param("leftDim", so_far.values.len())
            .param("rightDim", other.len())
            .message(format!(
                "`{}`: the vectors have {} and {} dimensions.",
                self.function,
                so_far.values.len(),
                other.len()
            )))
    }

    /// Adds `count` vectors of this sum or average.
    fn add(&self, so_far: &mut SoFar, values: &[f32], count: i64) -> Result<()> {
        self.check(so_far, values)?;
        if so_far.count == 0 {
            *so_far = SoFar { values: values.to_vec(), count };
            return Ok(());
        }
        so_far.count += count;
        // The average moves towards each vector, so that no sum overflows; the order of operations is Spark's.
        let share = count as f32 / so_far.count as f32;
        for (mine, other) in so_far.values.iter_mut().zip(values) {
            *mine += if self.averages { (other - *mine) * share } else { *other };
        }
        Ok(())
    }

    fn lists(&self, states: &[SoFar]) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(states.iter().map(|s| s.values.len()));
        let nulls: NullBuffer = states.iter().map(|s| s.count > 0).collect::<Vec<_>>().into();
        let values: Float32Array =
            states.iter().flat_map(|s| s.values.iter().copied()).collect::<Vec<_>>().into();
        ListItem::of(&result())?.list(offsets, Arc::new(values), Some(nulls))
    }
}

/// The numbers of a row; `None` where the vector or one of them is NULL.
fn vector<'a>(list: &ListArray, values: &'a Float32Array, row: usize) -> Option<&'a [f32]> {
    let offsets = list.value_offsets();
    let range = offsets[row] as usize..offsets[row + 1] as usize;
    let is_whole = list.is_valid(row) && range.clone().all(|i| values.is_valid(i));
    is_whole.then(|| &values.values()[range])
}

fn vectors(columns: &[ArrayRef]) -> Result<(&ListArray, &Float32Array)> {
    let array = column(columns, 0)?;
    let list = array.as_list_opt::<i32>().ok_or_else(|| unexpected(0, array))?;
    let values = list.values().as_primitive_opt::<Float32Type>().ok_or_else(|| unexpected(0, array))?;
    Ok((list, values))
}

impl Fold for Vectors {
    type State = SoFar;

    const ON_HEAP: bool = true;

    fn start(&self) -> SoFar {
        SoFar::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [SoFar],
    ) -> Result<()> {
        let (list, values) = vectors(columns)?;
        for (row, group) in rows {
            if let Some(vector) = vector(list, values, row) {
                self.add(&mut states[group], vector, 1)?;
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("values", result()), ("count", DataType::Long)]
    }

    fn save(&self, states: &[SoFar]) -> Result<Vec<ArrayRef>> {
        let counts: Int64Array = states.iter().map(|s| Some(s.count)).collect();
        Ok(vec![self.lists(states)?, Arc::new(counts)])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [SoFar],
    ) -> Result<()> {
        let (list, values) = vectors(columns)?;
        let counts = primitive::<Int64Type>(columns, 1)?;
        for (row, group) in rows {
            if let Some(vector) = vector(list, values, row) {
                self.add(&mut states[group], vector, counts.value(row))?;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[SoFar]) -> Result<ArrayRef> {
        self.lists(states)
    }

    fn bytes(&self, state: &SoFar) -> usize {
        size_of_val(state.values.as_slice())
    }
}
