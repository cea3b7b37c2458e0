//! Aggregates over rows that were sorted (`orderBy(..).groupBy(..).agg(first(..))`).
//!
//! Neither partial aggregation nor a shuffle keeps the order of rows, so the aggregate takes the keys of the sort along
//! as arguments and puts its rows in order itself.

use std::fmt;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::{SortOptions, concat, filter, take};
use arrow::datatypes::DataType as ArrowType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::{AccumulatorFactory, SparkAggregate, list_fields};
use crate::comparison::normalize_floats;

/// What an aggregate depends on of its rows in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pub rows: Rows,
    /// Rows whose first argument is NULL do not count.
    pub skips_nulls: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    First,
    Last,
}

/// The same aggregate, with these sort keys as further arguments; `None` where it does not depend on the order of rows.
pub fn in_order(udf: &AggregateUDF, keys: &[(ArrowType, SortOptions)]) -> Option<Arc<AggregateUDF>> {
    let inner = udf.inner().downcast_ref::<SparkAggregate>()?;
    let needs = inner.needs?;
    let factory = Arc::clone(&inner.accumulator);
    let arguments = inner.inputs.len();
    let options: Vec<SortOptions> = keys.iter().map(|(_, o)| *o).collect();
    let mut outer = inner.clone();
    outer.inputs.extend(keys.iter().map(|(t, _)| t.clone()));
    outer.parameters = format!("{}, in order {options:?}", inner.parameters);
    outer.state = list_fields("in_order", &outer.inputs);
    (outer.groups, outer.sliding, outer.ordered, outer.needs) = (None, None, None, None);
    let types = outer.inputs.clone();
    outer.accumulator = Arc::new(move || {
        Ok(Box::new(InOrder {
            factory: Arc::clone(&factory),
            needs,
            arguments,
            options: options.clone(),
            rows: KeptRows::new(types.clone()),
        }))
    });
    Some(outer.build())
}

/// Rows of a group, as the columns of the batches they came in.
pub(super) struct KeptRows {
    types: Vec<ArrowType>,
    batches: Vec<Vec<ArrayRef>>,
    bytes: usize,
}

impl KeptRows {
    pub fn new(types: Vec<ArrowType>) -> Self {
        Self { types, batches: Vec::new(), bytes: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn push(&mut self, columns: Vec<ArrayRef>) {
        if columns.first().is_some_and(|c| !c.is_empty()) {
            self.bytes += columns.iter().map(held_bytes).sum::<usize>();
            self.batches.push(columns);
        }
    }

    /// The rows in place of all before.
    fn replace(&mut self, columns: Vec<ArrayRef>) {
        self.batches.clear();
        self.bytes = 0;
        self.push(columns);
    }

    /// All rows, column by column.
    pub fn columns(&self) -> DataFusionResult<Vec<ArrayRef>> {
        if let [columns] = self.batches.as_slice() {
            return Ok(columns.clone());
        }
        (0..self.types.len())
            .map(|i| {
                let parts: Vec<&dyn Array> =
                    self.batches.iter().filter_map(|p| p.get(i)).map(|a| a.as_ref()).collect();
                if parts.is_empty() {
                    return Ok(new_empty_array(&self.types[i]));
                }
                Ok(concat(&parts)?)
            })
            .collect()
    }

    pub fn state(&self) -> DataFusionResult<Vec<ScalarValue>> {
        let columns = self.columns()?.into_iter();
        Ok(columns.map(|c| SingleRowListArrayBuilder::new(c).build_list_scalar()).collect())
    }

    pub fn merge(&mut self, states: &[ArrayRef]) {
        for row in 0..states.first().map_or(0, |s| s.len()) {
            self.push(states.iter().map(|s| s.as_list::<i32>().value(row)).collect());
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The bytes that an array keeps in memory. Those of its buffers that other rows of the same batch have are not counted:
/// the groups that keep these count them.
pub(super) fn held_bytes(array: &ArrayRef) -> usize {
    /// About what an array takes beside its values.
    const OVERHEAD: usize = 128;
    let data = array.to_data();
    data.get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()) + OVERHEAD
}

/// The rows whose first column is not NULL.
pub(super) fn without_nulls(columns: &[ArrayRef]) -> DataFusionResult<Vec<ArrayRef>> {
    let nulls = columns.first().and_then(|c| c.logical_nulls()).filter(|n| n.null_count() > 0);
    let Some(nulls) = nulls else { return Ok(columns.to_vec()) };
    let valid = BooleanArray::new(nulls.inner().clone(), None);
    columns.iter().map(|c| Ok(filter(c, &valid)?)).collect()
}

/// The rows in the order of the keys; ties stay in the order they came.
pub(super) fn sorted(keys: &[ArrayRef], options: &[SortOptions]) -> DataFusionResult<UInt32Array> {
    let fields = keys.iter().enumerate().map(|(i, key)| {
        let options = options.get(i).copied().unwrap_or_default();
        SortField::new_with_options(key.data_type().clone(), options)
    });
    let keys: Vec<ArrayRef> = keys.iter().map(normalize_floats).collect();
    let keys = RowConverter::new(fields.collect())?.convert_columns(&keys)?;
    let mut places: Vec<u32> = (0..keys.num_rows() as u32).collect();
    places.sort_by_key(|place| keys.row(*place as usize));
    Ok(UInt32Array::from(places))
}

struct InOrder {
    factory: AccumulatorFactory,
    needs: Needs,
    /// How many of the columns are the aggregate's own; the others are keys.
    arguments: usize,
    options: Vec<SortOptions>,
    rows: KeptRows,
}

impl fmt::Debug for InOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} batches to sort", self.rows.batches.len())
    }
}

impl InOrder {
    /// The arguments' columns, sorted; only the row that matters where only one does.
    fn ordered(&self) -> DataFusionResult<Vec<ArrayRef>> {
        let columns = self.rows.columns()?;
        let order = sorted(&columns[self.arguments..], &self.options)?;
        columns.iter().map(|c| Ok(take(c, &order, None)?)).collect()
    }

    /// Forgets the rows that cannot be the one asked for.
    fn prune(&mut self) -> DataFusionResult<()> {
        if self.needs.rows == Rows::All || self.rows.is_empty() {
            return Ok(());
        }
        let columns = self.rows.columns()?;
        let order = sorted(&columns[self.arguments..], &self.options)?;
        let kept = if self.needs.rows == Rows::First { 0 } else { order.len() - 1 };
        let one = order.slice(kept, 1);
        let columns = columns.iter().map(|c| Ok(take(c, &one, None)?)).collect::<DataFusionResult<_>>()?;
        self.rows.replace(columns);
        Ok(())
    }
}

impl Accumulator for InOrder {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = if self.needs.skips_nulls { without_nulls(values)? } else { values.to_vec() };
        self.rows.push(rows);
        self.prune()
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut inner = (self.factory)()?;
        if !self.rows.is_empty() {
            inner.update_batch(&self.ordered()?[..self.arguments])?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.bytes()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.rows.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.rows.merge(states);
        self.prune()
    }
}
