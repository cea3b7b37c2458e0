//! The elements of a batch of arrays, as a lambda is called with them: all rows' one after the other.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, ListArray, MapArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use boathouse_spec::Result;

use crate::collection::Picker;

pub(super) struct Elements {
    /// The columns of the elements: one of a list, keys and values of a map.
    pub columns: Vec<ArrayRef>,
    /// The row of the batch that each element belongs to.
    pub rows: UInt32Array,
    /// Where each row's elements are. NULL rows have none.
    pub offsets: OffsetBuffer<i32>,
    pub nulls: Option<NullBuffer>,
}

impl Elements {
    pub fn of_list(list: &ListArray) -> Result<Self> {
        Self::of(list.offsets(), list.nulls(), &[list.values()])
    }

    pub fn of_map(map: &MapArray) -> Result<Self> {
        Self::of(map.offsets(), map.nulls(), &[map.keys(), map.values()])
    }

    fn of(offsets: &OffsetBuffer<i32>, nulls: Option<&NullBuffer>, columns: &[&ArrayRef]) -> Result<Self> {
        let rows = offsets.len() - 1;
        let valid = |row: usize| nulls.is_none_or(|n| n.is_valid(row));
        let length = |row: usize| if valid(row) { (offsets[row + 1] - offsets[row]) as usize } else { 0 };
        let owners: Vec<u32> =
            (0..rows).flat_map(|row| std::iter::repeat_n(row as u32, length(row))).collect();
        let (first, last) = (offsets[0] as usize, offsets[rows] as usize);
        let dense = owners.len() == last - first;
        let columns = if dense {
            columns.iter().map(|c| c.slice(first, last - first)).collect()
        } else {
            let mut picker = Picker::with_capacity(rows);
            for row in (0..rows).filter(|row| valid(*row)) {
                picker.pick_all(0, offsets[row] as usize..offsets[row + 1] as usize);
            }
            columns.iter().map(|c| picker.values(&[c])).collect::<Result<_>>()?
        };
        Ok(Self {
            columns,
            rows: UInt32Array::from(owners),
            offsets: OffsetBuffer::from_lengths((0..rows).map(length)),
            nulls: nulls.cloned(),
        })
    }

    /// Each element's place in its array, from 0.
    pub fn positions(&self) -> ArrayRef {
        let positions = self.offsets.windows(2).flat_map(|w| 0..w[1] - w[0]);
        Arc::new(Int32Array::from_iter_values(positions))
    }
}
