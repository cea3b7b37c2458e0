//! The scan of Parquet files: DataFusion's, with Spark's names and types, and errors that name the file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use boathouse_bridge::{Footers, UTC, arrow_field, arrow_schema};
use boathouse_formats::json;
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::ProjectionExec;
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
    let mut partition_fields: Vec<_> =
        table.partition_fields().iter().map(|f| Arc::new(arrow_field(f))).collect();
    let mut files = files;
    let rescued = rescued_column(table, projection);
    if rescued.is_some() {
        partition_fields.push(Arc::new(Field::new(TAIL, DataType::Utf8, false)));
        for file in &mut files {
            let tail = table.rescued_tail(&file.meta);
            file.partition_values.push(ScalarValue::Utf8(Some(tail)));
        }
    }
    let partition_columns = partition_fields.len();
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
    let mut indices: Vec<usize> = projection
        .iter()
        .map(|i| match table.sources[*i] {
            Source::Data(d) => d,
            Source::Partition(p) => data_columns + p,
        })
        .collect();
    if rescued.is_some() {
        indices.push(data_columns + partition_columns - 1);
    }
    let session = &table.context.session;
    let json = json::Options { zone: session.zone.clone(), ..json::Options::default() };
    let adapter = AdapterFactory::new(session.case_sensitive, table.rescue.clone(), Arc::new(json));
    let mut config = FileScanConfigBuilder::new(table.place.store_url.clone(), Arc::new(source));
    // Where data is rescued, a column of a file may be another one's of the table.
    if let Some(statistics) = table.statistics_of(&files).filter(|_| table.rescue.is_none()) {
        config = config.with_statistics(statistics);
    }
    let config = config
        .with_file_groups(groups(files, state.config().target_partitions()))
        .with_projection_indices(Some(indices))?
        .with_limit(limit)
        .with_expr_adapter(Some(Arc::new(adapter)))
        .build();
    let scan = DataSourceExec::from_data_source(config);
    match rescued {
        Some(place) => with_tail(scan, place),
        None => Ok(scan),
    }
}

/// The hidden column of what ends rescued data: it tells the file.
const TAIL: &str = "\u{0}rescued_tail";

/// The place of rescued data among the columns that are read.
fn rescued_column(table: &FileTable, projection: &[usize]) -> Option<usize> {
    let rescue = table.rescue.as_ref()?;
    projection.iter().position(
        |i| matches!(table.sources[*i], Source::Data(d) if table.data_schema.fields[d].name == rescue.column),
    )
}

/// Ends rescued data, whose place is given, with the last column, which is left out.
fn with_tail(scan: Arc<dyn ExecutionPlan>, place: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = scan.schema();
    let last = schema.fields().len() - 1;
    let column = |i: usize| Arc::new(Column::new(schema.field(i).name(), i)) as Arc<dyn PhysicalExpr>;
    let expressions = (0..last).map(|i| {
        let value = column(i);
        let value = if i == place {
            Arc::new(BinaryExpr::new(value, Operator::StringConcat, column(last)))
        } else {
            value
        };
        (value, schema.field(i).name().clone())
    });
    Ok(Arc::new(ProjectionExec::try_new(expressions.collect::<Vec<_>>(), scan)?))
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
