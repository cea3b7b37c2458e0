//! Aggregates over all rows up to each row (`ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`): one value a row, a batch at a time.

use std::cmp::Ordering;
use std::iter::once;
use std::slice::from_mut;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, UInt64Array, make_comparator};
use arrow::compute::{SortOptions, concat, take};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::to_datafusion;
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::scalar::ScalarValue;

use super::SparkAggregate;
use super::fold::Fold;
use crate::scalar::conform;

/// The value after each row, over rows of several groups that come one group after the other.
pub trait Running: Send {
    /// The values after each of `rows` rows of the arguments. They go on with the group of the rows before, until the rows in
    /// `starts` (ascending), with which others begin.
    fn values(&mut self, columns: &[ArrayRef], rows: usize, starts: &[usize]) -> DataFusionResult<ArrayRef>;
}

pub type RunningFactory = Arc<dyn Fn() -> Box<dyn Running> + Send + Sync>;

/// The function over a frame that begins with its group and grows row by row.
pub fn running(function: &Arc<AggregateFunctionExpr>) -> DataFusionResult<Box<dyn Running>> {
    let known = match function.fun().inner().downcast_ref::<SparkAggregate>() {
        _ if function.is_distinct() || !function.order_bys().is_empty() => None,
        Some(ours) => ours.running.as_ref().map(|running| running()),
        None => of_datafusion(function),
    };
    match known {
        Some(known) => Ok(known),
        None => Ok(Box::new(OfAccumulator {
            function: Arc::clone(function),
            accumulator: function.create_accumulator()?,
        })),
    }
}

/// The functions that are DataFusion's own: those of one column.
fn of_datafusion(function: &AggregateFunctionExpr) -> Option<Box<dyn Running>> {
    match function.fun().name() {
        _ if function.expressions().len() != 1 => None,
        "count" => Some(Box::new(Count { count: 0 })),
        "max" => Some(Box::new(Extreme { wanted: Ordering::Greater, best: None })),
        "min" => Some(Box::new(Extreme { wanted: Ordering::Less, best: None })),
        _ => None,
    }
}

/// How many values of a column are not NULL.
struct Count {
    count: i64,
}

impl Running for Count {
    fn values(&mut self, columns: &[ArrayRef], rows: usize, starts: &[usize]) -> DataFusionResult<ArrayRef> {
        let nulls = columns.first().and_then(|c| c.logical_nulls());
        let mut starts = starts.iter().copied().peekable();
        let counts = (0..rows).map(|row| {
            if starts.next_if_eq(&row).is_some() {
                self.count = 0;
            }
            self.count += i64::from(nulls.as_ref().is_none_or(|n| n.is_valid(row)));
            self.count
        });
        Ok(Arc::new(Int64Array::from_iter_values(counts)))
    }
}

/// The least or greatest value of a column.
struct Extreme {
    wanted: Ordering,
    /// The one of the group so far.
    best: Option<ArrayRef>,
}

impl Running for Extreme {
    fn values(&mut self, columns: &[ArrayRef], rows: usize, starts: &[usize]) -> DataFusionResult<ArrayRef> {
        let column = columns.first().ok_or_else(|| internal_datafusion_err!("an extreme of nothing"))?;
        let before = self.best.take();
        // The one so far stands before the rows, where there is one.
        let shift = usize::from(before.is_some());
        let values = match &before {
            Some(before) => concat(&[before.as_ref(), column.as_ref()])?,
            None => Arc::clone(column),
        };
        let compare = make_comparator(&values, &values, SortOptions::default())?;
        let mut best = before.map(|_| 0);
        let mut starts = starts.iter().copied().peekable();
        let places = (0..rows).map(|row| {
            if starts.next_if_eq(&row).is_some() {
                best = None;
            }
            let row = row + shift;
            if values.is_valid(row) && best.is_none_or(|best| compare(row, best) == self.wanted) {
                best = Some(row);
            }
            best.map(|best| best as u64)
        });
        let places: UInt64Array = places.collect();
        let out = take(&values, &places, None)?;
        self.best = (rows > 0 && out.is_valid(rows - 1)).then(|| out.slice(rows - 1, 1));
        Ok(out)
    }
}

pub(super) struct OfFold<F: Fold> {
    fold: Arc<F>,
    result: ArrowType,
    state: F::State,
}

impl<F: Fold> OfFold<F> {
    pub fn new(fold: Arc<F>, result: ArrowType) -> Self {
        Self { state: fold.start(), fold, result }
    }

    /// Takes a row in; `begins`: the first of its group.
    fn add(&mut self, columns: &[ArrayRef], row: usize, begins: bool) -> boathouse_spec::Result<()> {
        if begins {
            self.state = self.fold.start();
        }
        self.fold.update(columns, once((row, 0)), from_mut(&mut self.state))
    }
}

impl<F: Fold> Running for OfFold<F> {
    fn values(&mut self, columns: &[ArrayRef], rows: usize, starts: &[usize]) -> DataFusionResult<ArrayRef> {
        let mut starts = starts.iter().copied().peekable();
        let mut begins = |row: usize| starts.next_if_eq(&row).is_some();
        let values = if F::ON_HEAP {
            // A copy of such a state costs as much as its rows.
            let mut values = Vec::with_capacity(rows);
            for row in 0..rows {
                self.add(columns, row, begins(row)).map_err(to_datafusion)?;
                values.push(self.fold.finish(std::slice::from_ref(&self.state)).map_err(to_datafusion)?);
            }
            concat(&values.iter().map(|v| v.as_ref()).collect::<Vec<_>>())?
        } else {
            let mut states = Vec::with_capacity(rows);
            for row in 0..rows {
                self.add(columns, row, begins(row)).map_err(to_datafusion)?;
                states.push(self.state.clone());
            }
            self.fold.finish(&states).map_err(to_datafusion)?
        };
        conform(values, &self.result).map_err(to_datafusion)
    }
}

/// Any function, asked for its value after each row.
struct OfAccumulator {
    function: Arc<AggregateFunctionExpr>,
    accumulator: Box<dyn Accumulator>,
}

impl Running for OfAccumulator {
    fn values(&mut self, columns: &[ArrayRef], rows: usize, starts: &[usize]) -> DataFusionResult<ArrayRef> {
        let mut starts = starts.iter().copied().peekable();
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            if starts.next_if_eq(&row).is_some() {
                self.accumulator = self.function.create_accumulator()?;
            }
            let columns: Vec<ArrayRef> = columns.iter().map(|c| c.slice(row, 1)).collect();
            self.accumulator.update_batch(&columns)?;
            values.push(self.accumulator.evaluate()?);
        }
        ScalarValue::iter_to_array(values)
    }
}
