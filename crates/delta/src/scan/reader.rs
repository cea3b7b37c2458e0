//! Reading data files: their footers are kept, as files of a table never change, and errors name the file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use boathouse_bridge::Footers;
use boathouse_spec::Error;
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::location::TableLocation;

pub(crate) struct ReaderFactory {
    inner: CachedParquetFileReaderFactory,
    location: TableLocation,
}

impl ReaderFactory {
    pub fn new(session: &dyn Session, location: &TableLocation) -> boathouse_spec::Result<Self> {
        let footers = Footers::of_store(session, &location.object_store_url()?);
        Ok(Self {
            inner: CachedParquetFileReaderFactory::new(location.store().clone(), footers),
            location: location.clone(),
        })
    }
}

impl fmt::Debug for ReaderFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReaderFactory({})", self.location.uri())
    }
}

impl ParquetFileReaderFactory for ReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let path = file.object_meta.location.clone();
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(Reader { inner, path, store: self.location.store().clone() }))
    }
}

/// A file that is read for itself and not as a part of a table: its footer is not kept.
pub(crate) fn open(location: &TableLocation, file: ObjectMeta) -> Result<impl AsyncFileReader + use<>> {
    let path = file.location.clone();
    let inner = DefaultParquetFileReaderFactory::new(location.store().clone()).create_reader(
        0,
        PartitionedFile::from(file),
        None,
        &ExecutionPlanMetricsSet::new(),
    )?;
    Ok(Reader { inner, path, store: location.store().clone() })
}

/// The footer of a file that a table names, by itself.
pub(crate) async fn footer(
    location: &TableLocation,
    file: &str,
) -> boathouse_spec::Result<Arc<ParquetMetaData>> {
    let path = location.resolve(file)?;
    let failed = |e: &dyn fmt::Display| Error::io(format!("reading the footer of {path}"), e);
    let meta = location.store().head(&path).await.map_err(|e| failed(&e))?;
    let footer = DFParquetMetadata::new(location.store().as_ref(), &meta).fetch_metadata().await;
    footer.map_err(|e| failed(&e))
}

struct Reader {
    inner: Box<dyn AsyncFileReader + Send>,
    path: object_store::path::Path,
    store: Arc<dyn ObjectStore>,
}

/// What a file could not be read for: it is gone, or it is not what it should be.
async fn named(store: Arc<dyn ObjectStore>, path: object_store::path::Path, e: ParquetError) -> ParquetError {
    let error = match store.head(&path).await {
        Err(object_store::Error::NotFound { .. }) => {
            Error::new("FAILED_READ_FILE.FILE_NOT_EXIST").param("path", &path).message(format!(
                "Encountered an error while reading the file {path}: it does not exist. A table that lost files can be repaired by \
                 RESTORE, or by deleting the rows that were in them."
            ))
        }
        _ => crate::error::unreadable(path.as_ref(), e),
    };
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let (store, path) = (self.store.clone(), self.path.clone());
        let bytes = self.inner.get_bytes(range);
        async move {
            match bytes.await {
                Ok(bytes) => Ok(bytes),
                Err(e) => Err(named(store, path, e).await),
            }
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let (store, path) = (self.store.clone(), self.path.clone());
        let bytes = self.inner.get_byte_ranges(ranges);
        async move {
            match bytes.await {
                Ok(bytes) => Ok(bytes),
                Err(e) => Err(named(store, path, e).await),
            }
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let (store, path) = (self.store.clone(), self.path.clone());
        let metadata = self.inner.get_metadata(options);
        async move {
            match metadata.await {
                Ok(metadata) => Ok(metadata),
                Err(e) => Err(named(store, path, e).await),
            }
        }
        .boxed()
    }
}
