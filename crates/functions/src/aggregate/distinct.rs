//! DISTINCT for any accumulator: keeps the distinct argument rows and feeds them at the end.

use std::fmt;
use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::to_datafusion;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;
use indexmap::IndexSet;

use super::AccumulatorFactory;
use crate::comparison::Comparison;
use crate::scalar::conform;

pub(super) struct DistinctAccumulator {
    factory: AccumulatorFactory,
    inputs: Vec<ArrowType>,
    comparison: Comparison,
    /// Keys of the argument rows, in the order they came.
    rows: IndexSet<Box<[u8]>>,
    bytes: usize,
}

impl DistinctAccumulator {
    pub fn new(factory: AccumulatorFactory, inputs: &[ArrowType]) -> DataFusionResult<Self> {
        Ok(Self {
            factory,
            inputs: inputs.to_vec(),
            comparison: Comparison::new(inputs).map_err(to_datafusion)?,
            rows: IndexSet::new(),
            bytes: 0,
        })
    }

    fn columns(&self) -> DataFusionResult<Vec<ArrayRef>> {
        if self.rows.is_empty() {
            return Ok(self.inputs.iter().map(new_empty_array).collect());
        }
        let columns = self.comparison.values_of_bytes(self.rows.iter().map(AsRef::as_ref));
        let columns = columns.and_then(|c| {
            c.into_iter().zip(&self.inputs).map(|(c, t)| conform(c, t)).collect::<boathouse_spec::Result<_>>()
        });
        columns.map_err(to_datafusion)
    }
}

impl fmt::Debug for DistinctAccumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "distinct rows: {}", self.rows.len())
    }
}

impl Accumulator for DistinctAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for key in &self.comparison.keys(values).map_err(to_datafusion)? {
            if !self.rows.contains(key.as_ref()) {
                self.bytes += key.as_ref().len();
                self.rows.insert(key.as_ref().into());
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut inner = (self.factory)()?;
        if !self.rows.is_empty() {
            inner.update_batch(&self.columns()?)?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes + self.rows.capacity() * 40
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let columns = self.columns()?.into_iter();
        Ok(columns.map(|c| SingleRowListArrayBuilder::new(c).build_list_scalar()).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = states.first().map_or(0, |s| s.len());
        for i in 0..rows {
            let lists: Vec<ArrayRef> =
                states.iter().filter(|s| s.is_valid(i)).map(|s| s.as_list::<i32>().value(i)).collect();
            if lists.len() == states.len() {
                self.update_batch(&lists)?;
            }
        }
        Ok(())
    }
}
