//! Which rows of files are read, as row selections: those that are not deleted, or some of them.

use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::util::bit_util;
use boathouse_spec::{Error, Result};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;

use super::reader::footer;
use crate::deletion_vector;
use crate::file_set::FileWithStats;
use crate::location::TableLocation;

/// Deletion vectors read at a time.
const PARALLEL_READS: usize = 16;

/// For each file the rows that are read; `None` where all are.
pub(crate) async fn selections(
    location: &TableLocation,
    files: &[FileWithStats],
) -> Result<Vec<Option<ParquetRowSelection>>> {
    if files.iter().all(FileWithStats::is_whole) {
        return Ok(vec![None; files.len()]);
    }
    let reads: Vec<_> = files.iter().map(|file| selection_of(location.clone(), file.clone())).collect();
    stream::iter(reads).buffered(PARALLEL_READS).try_collect().await
}

async fn selection_of(location: TableLocation, file: FileWithStats) -> Result<Option<ParquetRowSelection>> {
    if file.is_whole() {
        return Ok(None);
    }
    let rows = row_count(&location, &file).await?;
    let selection = match (&file.chosen, &file.file.deletion_vector) {
        (Some(chosen), _) => choose(chosen, rows, true),
        (None, Some(vector)) => choose(&deletion_vector::read(&location, vector).await?, rows, false),
        (None, None) => return Ok(None),
    };
    Ok(Some(ParquetRowSelection::new(selection)))
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

/// Where there is a listed row among so few, a bit for each row is smaller than its runs.
const DENSE: u64 = 256;

/// A file of `rows` rows in which the listed ones are read, or all others.
fn choose(listed: &RoaringTreemap, rows: u64, reads_listed: bool) -> RowSelection {
    if listed.len() < rows / DENSE {
        return runs(listed, rows, reads_listed);
    }
    RowSelection::from_boolean_buffer(bits(listed, rows as usize, reads_listed))
}

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

fn runs(listed: &RoaringTreemap, rows: u64, reads_listed: bool) -> RowSelection {
    let run = |length: u64, is_listed: bool| match is_listed == reads_listed {
        true => RowSelector::select(length as usize),
        false => RowSelector::skip(length as usize),
    };
    let mut selectors = Vec::new();
    let mut at = 0u64;
    let mut listed = listed.iter().take_while(|row| *row < rows).peekable();
    while let Some(first) = listed.next() {
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
    RowSelection::from(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_cover_the_file() {
        let listed: RoaringTreemap = [0u64, 1, 5, 9].into_iter().collect();
        let (select, skip) = (RowSelector::select, RowSelector::skip);
        let others: Vec<RowSelector> = runs(&listed, 10, false).into();
        assert_eq!(others, [skip(2), select(3), skip(1), select(3), skip(1)]);
        let those: Vec<RowSelector> = runs(&listed, 10, true).into();
        assert_eq!(those, [select(2), skip(3), select(1), skip(3), select(1)]);
        let all: Vec<RowSelector> = runs(&RoaringTreemap::new(), 3, false).into();
        assert_eq!(all, [select(3)]);
        // Both forms say the same, rows behind the end left out.
        let listed: RoaringTreemap = (0..3000u64).step_by(7).collect();
        for (rows, reads_listed) in [(2999u64, true), (2999, false), (1, true), (8, false), (0, true)] {
            let dense = RowSelection::from_boolean_buffer(bits(&listed, rows as usize, reads_listed));
            assert_eq!(dense, runs(&listed, rows, reads_listed), "{rows} {reads_listed}");
        }
    }
}
