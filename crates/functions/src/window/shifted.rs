//! `lag` and `lead` over rows that come batch by batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_empty_array, new_null_array};
use arrow::compute::{concat, interleave};
use boathouse_bridge::to_datafusion;
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::WindowUDF;

use super::offset::Shift;
use crate::scalar::conform;

/// Rows further away are not kept for those that come.
const FARTHEST: usize = 8192;

/// The values of other rows of the same partition, a fixed number of rows away.
pub struct ShiftedRows {
    /// Back where negative.
    by: i64,
    /// Of the last rows of the open partition, as many as the distance: their values, and what stands for values that are not there.
    kept: Option<(ArrayRef, ArrayRef)>,
}

impl ShiftedRows {
    /// What a function does, where it is `lag` or `lead` by few rows.
    pub fn of(function: &WindowUDF) -> Option<Self> {
        let shift = function.inner().downcast_ref::<Shift>()?;
        let is_near = (1..=FARTHEST as u64).contains(&shift.rows.unsigned_abs());
        (is_near && !shift.ignore_nulls).then_some(Self { by: shift.rows, kept: None })
    }

    /// Whether rows have their values when they come.
    pub fn looks_back(&self) -> bool {
        self.by < 0
    }

    /// The next values that are known, in the order of the rows: of these rows where it looks back, else of those before them too,
    /// and not of the last. The rows go on with the partition of those before, until the rows in `starts` (ascending).
    pub fn values(&mut self, arguments: &[ArrayRef], starts: &[usize]) -> Result<ArrayRef> {
        let source = arguments.first().ok_or_else(|| internal_datafusion_err!("lag without its argument"))?;
        let default = match arguments.get(2) {
            Some(default) => conform(Arc::clone(default), source.data_type()).map_err(to_datafusion)?,
            None => new_null_array(source.data_type(), source.len()),
        };
        let (source, default, kept) = match self.kept.take() {
            None => (Arc::clone(source), default, 0),
            Some((before, default_before)) => (
                concat(&[before.as_ref(), source.as_ref()])?,
                concat(&[default_before.as_ref(), default.as_ref()])?,
                before.len(),
            ),
        };
        let (rows, distance) = (source.len(), self.by.unsigned_abs() as usize);
        let mut picks = Vec::with_capacity(rows);
        let mut from = 0;
        for start in starts {
            self.pick(from..start + kept, kept, false, &mut picks);
            from = start + kept;
        }
        self.pick(from..rows, kept, true, &mut picks);
        let last = distance.min(rows - from);
        self.kept = Some((source.slice(rows - last, last), default.slice(rows - last, last)));
        if picks.is_empty() {
            return Ok(new_empty_array(source.data_type()));
        }
        Ok(interleave(&[source.as_ref(), default.as_ref()], &picks)?)
    }

    /// Where the values of a partition's rows are: in the source (0) or what stands for it (1).
    fn pick(
        &self,
        rows: std::ops::Range<usize>,
        kept: usize,
        is_open: bool,
        picks: &mut Vec<(usize, usize)>,
    ) {
        let distance = self.by.unsigned_abs() as usize;
        if self.looks_back() {
            let those = rows.start.max(kept)..rows.end;
            picks.extend(those.map(|row| match row >= rows.start + distance {
                true => (0, row - distance),
                false => (1, row),
            }));
            return;
        }
        let known = rows.end.saturating_sub(distance).max(rows.start);
        picks.extend((rows.start..known).map(|row| (0, row + distance)));
        if !is_open {
            picks.extend((known..rows.end).map(|row| (1, row)));
        }
    }

    /// The values of the last rows, when no more come.
    pub fn end(&mut self) -> Option<ArrayRef> {
        self.kept.take().filter(|_| !self.looks_back()).map(|(_, default)| default)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn shifted(by: i64, batches: &[(&[i32], &[usize])]) -> Vec<Vec<Option<i32>>> {
        let mut shifted = ShiftedRows { by, kept: None };
        let numbers = |array: ArrayRef| array.as_primitive::<Int32Type>().iter().collect();
        let mut out = Vec::new();
        for (rows, starts) in batches {
            let column: ArrayRef = Arc::new(Int32Array::from(rows.to_vec()));
            out.push(numbers(shifted.values(&[column], starts).unwrap()));
        }
        out.extend(shifted.end().map(numbers));
        out
    }

    #[test]
    fn values_of_rows_before() {
        let batches: &[(&[i32], &[usize])] = &[(&[1, 2, 3], &[0]), (&[4], &[]), (&[5, 6, 7], &[1])];
        let wanted = [vec![None, None, Some(1)], vec![Some(2)], vec![Some(3), None, None]];
        assert_eq!(shifted(-2, batches), wanted);
    }

    #[test]
    fn values_of_rows_after() {
        // The partitions are 1 to 5, and 6 and 7.
        let batches: &[(&[i32], &[usize])] = &[(&[1, 2, 3], &[0]), (&[4], &[]), (&[5, 6, 7], &[1])];
        let wanted = [vec![Some(3)], vec![Some(4)], vec![Some(5), None, None], vec![None, None]];
        assert_eq!(shifted(2, batches), wanted);
    }
}
