//! Sliding frames for accumulators that cannot take rows back: the frame's rows are kept and aggregated anew, as
//! Spark does (so that floats round as there).

use std::collections::VecDeque;
use std::fmt;
use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::AccumulatorFactory;

pub(super) struct SlidingAccumulator {
    factory: AccumulatorFactory,
    /// Pieces of the argument columns, oldest first.
    pieces: VecDeque<Vec<ArrayRef>>,
}

/// Pieces that are joined into one when there are more.
const PIECES: usize = 32;

impl SlidingAccumulator {
    pub fn new(factory: AccumulatorFactory) -> Self {
        Self { factory, pieces: VecDeque::new() }
    }

    fn join(&mut self) -> DataFusionResult<()> {
        let columns = self.pieces.front().map_or(0, Vec::len);
        let joined = (0..columns)
            .map(|i| {
                let parts: Vec<&dyn Array> =
                    self.pieces.iter().filter_map(|p| p.get(i)).map(|a| a.as_ref()).collect();
                Ok(concat(&parts)?)
            })
            .collect::<DataFusionResult<Vec<_>>>()?;
        self.pieces.clear();
        self.pieces.push_back(joined);
        Ok(())
    }
}

fn len(piece: &[ArrayRef]) -> usize {
    piece.first().map_or(0, |c| c.len())
}

impl fmt::Debug for SlidingAccumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame of {} rows", self.pieces.iter().map(|p| len(p)).sum::<usize>())
    }
}

impl Accumulator for SlidingAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        if len(values) > 0 {
            self.pieces.push_back(values.to_vec());
        }
        if self.pieces.len() > PIECES {
            self.join()?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let mut leaving = len(values);
        while leaving > 0 {
            let Some(piece) = self.pieces.front_mut() else {
                return Err(DataFusionError::Internal("more rows leave a window frame than it has".into()));
            };
            let rows = len(piece);
            if rows <= leaving {
                self.pieces.pop_front();
                leaving -= rows;
            } else {
                for column in piece.iter_mut() {
                    *column = column.slice(leaving, rows - leaving);
                }
                leaving = 0;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut inner = (self.factory)()?;
        for piece in &self.pieces {
            inner.update_batch(piece)?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.pieces.iter().flatten().map(|c| c.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a window frame has no partial state".into()))
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> DataFusionResult<()> {
        Err(DataFusionError::Internal("a window frame has no partial state".into()))
    }
}
