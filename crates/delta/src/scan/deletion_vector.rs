//! Deleted rows as row selections of their files.

use boathouse_spec::{Error, Result};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;

use crate::file_set::FileWithStats;
use crate::location::TableLocation;
use crate::log::kernel;

/// Deletion vectors read at a time.
const PARALLEL_READS: usize = 16;

/// For each file the rows that are not deleted; `None` where it has no deletion vector.
pub(crate) async fn selections(
    location: &TableLocation,
    files: &[FileWithStats],
) -> Result<Vec<Option<ParquetRowSelection>>> {
    if files.iter().all(|f| f.file.deletion_vector.is_none()) {
        return Ok(vec![None; files.len()]);
    }
    let reads: Vec<_> = files.iter().map(|file| selection_of(location.clone(), file.clone())).collect();
    stream::iter(reads).buffered(PARALLEL_READS).try_collect().await
}

async fn selection_of(location: TableLocation, file: FileWithStats) -> Result<Option<ParquetRowSelection>> {
    let Some(vector) = file.file.deletion_vector.clone() else {
        return Ok(None);
    };
    let deleted = kernel::deleted_rows(&location, vector).await?;
    let rows = row_count(&location, &file).await?;
    Ok(Some(ParquetRowSelection::new(selection(&deleted, rows))))
}

/// The number of rows in a file, deleted ones counted.
pub(crate) async fn row_count(location: &TableLocation, file: &FileWithStats) -> Result<u64> {
    if let Some(rows) = file.num_records() {
        return Ok(rows);
    }
    let path = location.resolve(&file.file.path)?;
    let failed = |e: &dyn std::fmt::Display| Error::io(format!("reading the footer of {path}"), e);
    let meta = location.store().head(&path).await.map_err(|e| failed(&e))?;
    let metadata = DFParquetMetadata::new(location.store().as_ref(), &meta)
        .fetch_metadata()
        .await
        .map_err(|e| failed(&e))?;
    u64::try_from(metadata.file_metadata().num_rows()).map_err(|e| failed(&e))
}

fn selection(deleted: &RoaringTreemap, rows: u64) -> RowSelection {
    let mut selectors = Vec::new();
    let mut at = 0u64;
    let mut deleted = deleted.iter().take_while(|row| *row < rows).peekable();
    while let Some(first) = deleted.next() {
        if first > at {
            selectors.push(RowSelector::select((first - at) as usize));
        }
        let mut end = first + 1;
        while deleted.next_if_eq(&end).is_some() {
            end += 1;
        }
        selectors.push(RowSelector::skip((end - first) as usize));
        at = end;
    }
    if at < rows {
        selectors.push(RowSelector::select((rows - at) as usize));
    }
    RowSelection::from(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_cover_the_file() {
        let deleted: RoaringTreemap = [0u64, 1, 5, 9].into_iter().collect();
        let selectors: Vec<RowSelector> = selection(&deleted, 10).into();
        assert_eq!(
            selectors,
            [
                RowSelector::skip(2),
                RowSelector::select(3),
                RowSelector::skip(1),
                RowSelector::select(3),
                RowSelector::skip(1)
            ]
        );
        let all: Vec<RowSelector> = selection(&RoaringTreemap::new(), 3).into();
        assert_eq!(all, [RowSelector::select(3)]);
    }
}
