//! Where groups begin among sorted rows that come batch by batch.

use arrow::array::{Array, ArrayRef};
use arrow::compute::{concat, partition};
use datafusion::error::Result;

/// Rows with the same values of some columns are neighbours.
#[derive(Default)]
pub(super) struct Groups {
    /// The columns in the last row so far.
    last: Option<Vec<ArrayRef>>,
}

impl Groups {
    /// The rows of a batch with which a group begins, ascending.
    pub fn starts(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let goes_on = match &self.last {
            None => false,
            Some(last) => !differ(last, columns)?,
        };
        let skipped = usize::from(goes_on);
        let starts = match columns.is_empty() {
            true => std::iter::once(0).skip(skipped).collect(),
            false => partition(columns)?.ranges().into_iter().map(|r| r.start).skip(skipped).collect(),
        };
        self.last = Some(columns.iter().map(|c| c.slice(rows - 1, 1)).collect());
        Ok(starts)
    }
}

/// Whether the row kept differs from the first of the columns.
fn differ(last: &[ArrayRef], columns: &[ArrayRef]) -> Result<bool> {
    if columns.is_empty() {
        return Ok(false);
    }
    let pairs = last.iter().zip(columns).map(|(last, column)| {
        let first = column.slice(0, 1);
        Ok(concat(&[last.as_ref() as &dyn Array, first.as_ref()])?)
    });
    Ok(partition(&pairs.collect::<Result<Vec<_>>>()?)?.len() > 1)
}

/// The number of each row's group, where the first rows belong to group `first` and others begin at `starts`.
pub(super) fn numbers(first: usize, rows: usize, starts: &[usize]) -> Vec<usize> {
    let mut out = Vec::with_capacity(rows);
    let mut number = first;
    for start in starts {
        out.resize(*start, number);
        number += 1;
    }
    out.resize(rows, number);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};

    use super::*;

    #[test]
    fn groups_go_on_from_batch_to_batch() {
        let column = |values: Vec<Option<i32>>| vec![Arc::new(Int32Array::from(values)) as ArrayRef];
        let mut groups = Groups::default();
        assert_eq!(groups.starts(&column(vec![None, None, Some(1)]), 3).unwrap(), [0, 2]);
        assert_eq!(groups.starts(&column(vec![Some(1), Some(2), Some(2)]), 3).unwrap(), [1]);
        assert_eq!(groups.starts(&column(vec![Some(3)]), 1).unwrap(), [0]);
        let texts: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["a", "a"]))];
        assert_eq!(Groups::default().starts(&texts, 2).unwrap(), [0]);
    }

    #[test]
    fn all_rows_are_one_group_without_columns() {
        let mut groups = Groups::default();
        assert_eq!(groups.starts(&[], 3).unwrap(), [0]);
        assert!(groups.starts(&[], 3).unwrap().is_empty());
    }

    #[test]
    fn rows_have_the_numbers_of_their_groups() {
        // The first row is of the group before, whose number is 6.
        assert_eq!(numbers(6, 5, &[1, 3]), [6, 7, 7, 8, 8]);
        assert_eq!(numbers(6, 2, &[]), [6, 6]);
    }
}
