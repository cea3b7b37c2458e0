//! Which rows of files are read, as row selections: those that are not deleted, or some of them.

use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::util::bit_util;
use boathouse_spec::{Error, Result};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;

use super::reader::footer;
use super::selection_cache::{Key, SELECTIONS};
use crate::deletion_vector;
use crate::file_set::FileWithStats;
use crate::location::TableLocation;

/// Deletion vectors read at a time.
const PARALLEL_READS: usize = 16;

/// The rows of a file that are read.
#[derive(Clone)]
pub(super) enum Selection {
    All,
    /// The reader skips the others.
    Skipping(ParquetRowSelection),
    /// All are read, and those without a bit left out then.
    Marked(BooleanBuffer),
}

impl Selection {
    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Skipping(runs) => size_of::<RowSelector>() * runs.selection().iter().count(),
            Self::Marked(bits) => bits.len() / 8,
        }
    }
}

/// For each file the rows that are read.
pub(super) async fn selections(location: &TableLocation, files: &[FileWithStats]) -> Result<Vec<Selection>> {
    let reads: Vec<_> = files.iter().map(|file| selection_of(location.clone(), file.clone())).collect();
    stream::iter(reads).buffered(PARALLEL_READS).try_collect().await
}

async fn selection_of(location: TableLocation, file: FileWithStats) -> Result<Selection> {
    if file.is_whole() {
        return Ok(Selection::All);
    }
    let rows = row_count(&location, &file).await?;
    let skipping = |selection| Selection::Skipping(ParquetRowSelection::new(selection));
    Ok(match (&file.chosen, &file.file.deletion_vector) {
        (Some(chosen), _) => skipping(
            runs(chosen, rows, true)
                .unwrap_or_else(|| RowSelection::from_boolean_buffer(bits(chosen, rows as usize, true))),
        ),
        (None, Some(vector)) => {
            let key = Key { table: location.uri(), vector: vector.unique_id(), rows };
            if let Some(known) = SELECTIONS.get(&key) {
                return Ok(known);
            }
            let deleted = deletion_vector::read(&location, vector).await?;
            let selection = match runs(&deleted, rows, false) {
                Some(runs) => skipping(runs),
                None => Selection::Marked(bits(&deleted, rows as usize, false)),
            };
            SELECTIONS.put(key, &selection);
            selection
        }
        (None, None) => Selection::All,
    })
}

/// The number of rows in a file, deleted ones counted.
pub(crate) async fn row_count(location: &TableLocation, file: &FileWithStats) -> Result<u64> {
    if let Some(rows) = file.num_records() {
        return Ok(rows);
    }
    let path = &file.file.path;
    let rows = footer(location, path).await?.file_metadata().num_rows();
    u64::try_from(rows).map_err(|e| Error::io(format!("reading the footer of {path}"), e))
}

/// Rows are scattered where runs of them are shorter than this: a bit for each is smaller then, and skipping saves nothing.
const SCATTERED: u64 = 256;
/// So many runs are never too many.
const FEW_RUNS: usize = 16;

/// A bit for each row, set where it is read.
fn bits(listed: &RoaringTreemap, rows: usize, reads_listed: bool) -> BooleanBuffer {
    let fill = if reads_listed { 0 } else { 0xff };
    let mut bits = MutableBuffer::from_len_zeroed(bit_util::ceil(rows, 8));
    bits.as_slice_mut().fill(fill);
    for row in listed.iter().take_while(|row| *row < rows as u64) {
        bits.as_slice_mut()[row as usize / 8] ^= 1 << (row % 8);
    }
    BooleanBuffer::new(bits.into(), 0, rows)
}

/// A file of `rows` rows in which the listed ones are read, or all others. `None` where they are scattered.
fn runs(listed: &RoaringTreemap, rows: u64, reads_listed: bool) -> Option<RowSelection> {
    let run = |length: u64, is_listed: bool| match is_listed == reads_listed {
        true => RowSelector::select(length as usize),
        false => RowSelector::skip(length as usize),
    };
    let most = usize::try_from(rows / SCATTERED).unwrap_or(usize::MAX).max(FEW_RUNS);
    let mut selectors = Vec::new();
    let mut at = 0u64;
    let mut listed = listed.iter().take_while(|row| *row < rows).peekable();
    while let Some(first) = listed.next() {
        if selectors.len() > most {
            return None;
        }
        if first > at {
            selectors.push(run(first - at, false));
        }
        let mut end = first + 1;
        while listed.next_if_eq(&end).is_some() {
            end += 1;
        }
        selectors.push(run(end - first, true));
        at = end;
    }
    if at < rows {
        selectors.push(run(rows - at, false));
    }
    Some(RowSelection::from(selectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_cover_the_file() {
        let listed: RoaringTreemap = [0u64, 1, 5, 9].into_iter().collect();
        let selectors = |listed: &RoaringTreemap, rows, reads_listed| -> Option<Vec<RowSelector>> {
            runs(listed, rows, reads_listed).map(Into::into)
        };
        let (select, skip) = (RowSelector::select, RowSelector::skip);
        let others = vec![skip(2), select(3), skip(1), select(3), skip(1)];
        assert_eq!(selectors(&listed, 10, false), Some(others));
        let those = vec![select(2), skip(3), select(1), skip(3), select(1)];
        assert_eq!(selectors(&listed, 10, true), Some(those));
        assert_eq!(selectors(&RoaringTreemap::new(), 3, false), Some(vec![select(3)]));
        // Both forms say the same, rows behind the end left out.
        let listed: RoaringTreemap = (0..60u64).step_by(9).collect();
        for (rows, reads_listed) in [(57u64, true), (57, false), (1, true), (8, false), (0, true)] {
            let dense = RowSelection::from_boolean_buffer(bits(&listed, rows as usize, reads_listed));
            assert_eq!(runs(&listed, rows, reads_listed), Some(dense), "{rows} {reads_listed}");
        }
    }

    #[test]
    fn scattered_rows_are_told_from_runs() {
        let every = |step: usize| (0..100_000u64).step_by(step).collect::<RoaringTreemap>();
        assert!(runs(&every(20), 100_000, false).is_none());
        assert!(runs(&every(1000), 100_000, false).is_some());
        let half: RoaringTreemap = (0..50_000u64).collect();
        assert!(runs(&half, 100_000, false).is_some());
    }
}
