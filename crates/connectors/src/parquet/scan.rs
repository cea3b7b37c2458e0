//! The scan of Parquet files: DataFusion's, with Spark's names and types, and errors that name the file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use boathouse_bridge::{Footers, UTC, arrow_field, arrow_schema};
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::adapter::AdapterFactory;
use crate::errors;
use crate::paths::ResolvedPath;
use crate::table::{FileTable, Source, TableFile};

/// Plans the reading of some columns of some files.
pub(crate) fn scan(
    table: &FileTable,
    state: &dyn Session,
    projection: &[usize],
    files: Vec<TableFile>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let file_schema = Arc::new(arrow_schema(&table.data_schema));
    let partition_fields: Vec<_> =
        table.partition_fields().iter().map(|f| Arc::new(arrow_field(f))).collect();
    let data_columns = file_schema.fields().len();
    let mut options = TableParquetOptions {
        global: state.config().options().execution.parquet.clone(),
        ..Default::default()
    };
    options.global.coerce_int96 = Some("us".to_string());
    options.global.coerce_int96_tz = Some(UTC.to_string());
    options.global.schema_force_view_types = false;
    options.global.skip_metadata = true;
    let reader = CachedParquetFileReaderFactory::new(
        table.place.store.clone(),
        Footers::of_store(state, &table.place.store_url),
    );
    let table_schema = TableSchema::builder(file_schema).with_table_partition_cols(partition_fields).build();
    let source = ParquetSource::new(table_schema)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(NamingFactory {
            inner: reader,
            place: table.place.clone(),
        }));
    // DataFusion's table has the columns of files first, then those of directories.
    let indices = projection
        .iter()
        .map(|i| match table.sources[*i] {
            Source::Data(d) => d,
            Source::Partition(p) => data_columns + p,
        })
        .collect();
    let statistics = table.statistics_of(&files);
    let mut config = FileScanConfigBuilder::new(table.place.store_url.clone(), Arc::new(source));
    if let Some(statistics) = statistics {
        config = config.with_statistics(statistics);
    }
    let config = config
        .with_file_groups(groups(files, state.config().target_partitions()))
        .with_projection_indices(Some(indices))?
        .with_limit(limit)
        .with_expr_adapter(Some(Arc::new(AdapterFactory {
            case_sensitive: table.context.session.case_sensitive,
        })))
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Files in partitions of about the same size, in the files' order.
fn groups(files: Vec<TableFile>, partitions: usize) -> Vec<FileGroup> {
    let total: u64 = files.iter().map(|f| f.meta.size).sum();
    let share = (total / partitions.max(1) as u64).max(1);
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new()];
    let mut filled = 0;
    for file in files {
        if filled >= share && groups.len() < partitions {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += file.meta.size;
        let mut partitioned = PartitionedFile::from(file.meta);
        partitioned.partition_values = file.partition_values;
        if let Some(group) = groups.last_mut() {
            group.push(partitioned);
        }
    }
    groups.into_iter().filter(|g| !g.is_empty()).map(FileGroup::new).collect()
}

/// Readers whose errors name the file.
struct NamingFactory {
    inner: CachedParquetFileReaderFactory,
    place: ResolvedPath,
}

impl fmt::Debug for NamingFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamingFactory({})", self.place.display())
    }
}

impl ParquetFileReaderFactory for NamingFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let url = self.place.url_of(&file.object_meta.location);
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(NamingReader { inner, url }))
    }
}

struct NamingReader {
    inner: Box<dyn AsyncFileReader + Send>,
    url: String,
}

fn named(url: &str, e: ParquetError) -> ParquetError {
    let missing = matches!(&e, ParquetError::External(inner)
        if inner.downcast_ref::<object_store::Error>().is_some_and(|e| matches!(e, object_store::Error::NotFound { .. })));
    let error = if missing { errors::file_not_exist(url) } else { errors::failed_read(url, e) };
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for NamingReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let url = self.url.clone();
        let bytes = self.inner.get_bytes(range);
        async move { bytes.await.map_err(|e| named(&url, e)) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let url = self.url.clone();
        let bytes = self.inner.get_byte_ranges(ranges);
        async move { bytes.await.map_err(|e| named(&url, e)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let url = self.url.clone();
        let metadata = self.inner.get_metadata(options);
        async move { metadata.await.map_err(|e| named(&url, e)) }.boxed()
    }
}
