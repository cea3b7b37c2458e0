//! DISTINCT for any accumulator: keeps the distinct argument rows and feeds them at the end.

use std::collections::HashSet;
use std::fmt;
use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::datatypes::DataType as ArrowType;
use arrow::row::Rows;
use boathouse_bridge::{arrow_type, to_datafusion};
use boathouse_spec::{DataType, Result};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;
use indexmap::IndexSet;

use super::AccumulatorFactory;
use crate::comparison::Comparison;
use crate::grouping_key::comparable;
use crate::scalar::conform;

pub(super) struct DistinctAccumulator {
    factory: AccumulatorFactory,
    inputs: Vec<ArrowType>,
    comparison: Comparison,
    /// Keys of the argument rows, in the order they came.
    rows: IndexSet<Box<[u8]>>,
    equal: Option<EqualRows>,
    bytes: usize,
}

/// Rows that are equal in the collations of their strings: the first of them stands for all.
struct EqualRows {
    types: Vec<DataType>,
    comparison: Comparison,
    seen: HashSet<Box<[u8]>>,
}

impl EqualRows {
    fn new(types: &[DataType]) -> Result<Self> {
        let empty = types.iter().map(|t| comparable(&new_empty_array(&arrow_type(t)), t));
        let keys: Vec<ArrowType> = empty.map(|k| Ok(k?.data_type().clone())).collect::<Result<_>>()?;
        Ok(Self { types: types.to_vec(), comparison: Comparison::new(&keys)?, seen: HashSet::new() })
    }

    fn keys(&self, values: &[ArrayRef]) -> Result<Rows> {
        let keys = values.iter().zip(&self.types).map(|(v, t)| comparable(v, t));
        self.comparison.keys(&keys.collect::<Result<Vec<_>>>()?)
    }
}

impl DistinctAccumulator {
    /// Of rows of these types; with Spark's types where their bytes do not tell whether they are equal.
    pub fn new(
        factory: AccumulatorFactory,
        inputs: &[ArrowType],
        collated: Option<&[DataType]>,
    ) -> DataFusionResult<Self> {
        Ok(Self {
            factory,
            inputs: inputs.to_vec(),
            comparison: Comparison::new(inputs).map_err(to_datafusion)?,
            rows: IndexSet::new(),
            equal: collated.map(EqualRows::new).transpose().map_err(to_datafusion)?,
            bytes: 0,
        })
    }

    fn columns(&self) -> DataFusionResult<Vec<ArrayRef>> {
        if self.rows.is_empty() {
            return Ok(self.inputs.iter().map(new_empty_array).collect());
        }
        let columns = self.comparison.values_of_bytes(self.rows.iter().map(AsRef::as_ref));
        let columns = columns
            .and_then(|c| c.into_iter().zip(&self.inputs).map(|(c, t)| conform(c, t)).collect::<Result<_>>());
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
        let equal = self.equal.as_ref().map(|e| e.keys(values)).transpose().map_err(to_datafusion)?;
        for (row, key) in self.comparison.keys(values).map_err(to_datafusion)?.iter().enumerate() {
            if let (Some(equal), Some(keys)) = (&mut self.equal, &equal) {
                let key = keys.row(row);
                if equal.seen.contains(key.as_ref()) {
                    continue;
                }
                self.bytes += key.as_ref().len();
                equal.seen.insert(key.as_ref().into());
            }
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
