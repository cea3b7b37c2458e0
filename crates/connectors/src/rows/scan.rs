//! The plan node that reads files row by row.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use boathouse_bridge::to_datafusion;
use boathouse_spec::Error;
use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning};
use futures::StreamExt;

use super::read::{Reader, read_slice};
use super::slices::{FileSlice, deal};
use super::{RowFormat, reader_schema};
use crate::errors;
use crate::paths::ResolvedPath;
use crate::table::{FileTable, Source, TableFile};

/// Plans the reading of some columns of some files.
pub(crate) fn scan(
    table: &FileTable,
    state: &dyn Session,
    projection: &[usize],
    schema: SchemaRef,
    files: Vec<TableFile>,
    limit: Option<usize>,
) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    let mut data = Vec::new();
    let sources = projection
        .iter()
        .map(|i| match table.sources[*i] {
            Source::Data(d) => {
                data.push(d);
                Source::Data(data.len() - 1)
            }
            partition => partition,
        })
        .collect();
    let format = RowFormat::new(table, &data).map_err(to_datafusion)?;
    let splittable = format.is_splittable();
    let partitions = deal(files, state.config().target_partitions(), |file| {
        splittable && super::blocks::compression(&file.meta.location).is_ok_and(|c| !c.is_compressed())
    });
    let scan = RowScan {
        place: table.place.clone(),
        format,
        data_schema: Arc::new(reader_schema(table, &data)),
        sources,
        schema,
        partitions,
        limit,
        ignore_corrupt: table.choice.ignore_corrupt,
        ignore_missing: table.choice.ignore_missing,
        names_files: table.rescue.is_some() && table.context.rescued_file_path,
        metrics: ExecutionPlanMetricsSet::new(),
    };
    Ok(DataSourceExec::from_data_source(scan))
}

/// The files that a scan of this crate's reads, as Spark names them; none for other operators.
pub fn scanned_files(plan: &dyn ExecutionPlan) -> Vec<String> {
    let scan = plan.downcast_ref::<DataSourceExec>().and_then(|s| s.data_source().downcast_ref::<RowScan>());
    let Some(scan) = scan else { return Vec::new() };
    scan.partitions.iter().flatten().map(|slice| scan.place.url_of(&slice.file.meta.location)).collect()
}

#[derive(Debug, Clone)]
struct RowScan {
    place: ResolvedPath,
    format: RowFormat,
    /// What the reader gives.
    data_schema: SchemaRef,
    /// Where each column of the output comes from: the reader's columns, or the file's partition values.
    sources: Vec<Source>,
    schema: SchemaRef,
    partitions: Vec<Vec<FileSlice>>,
    limit: Option<usize>,
    ignore_corrupt: bool,
    ignore_missing: bool,
    /// Rescued data tells its file.
    names_files: bool,
    metrics: ExecutionPlanMetricsSet,
}

impl RowScan {
    fn name(&self) -> &'static str {
        match self.format {
            RowFormat::Json { .. } => "json",
            RowFormat::Csv { .. } => "csv",
            RowFormat::Text { .. } => "text",
            RowFormat::BinaryFile { .. } => "binaryFile",
            RowFormat::Xml { .. } => "xml",
            RowFormat::Avro { .. } => "avro",
            RowFormat::Orc { .. } => "orc",
        }
    }
}

/// Adds the partition values to a batch of the file's columns.
fn complete(
    batch: &RecordBatch,
    sources: &[Source],
    file: &TableFile,
    schema: &SchemaRef,
) -> datafusion::error::Result<RecordBatch> {
    let columns = sources
        .iter()
        .map(|source| match source {
            Source::Data(i) => Ok(batch.column(*i).clone()),
            Source::Partition(i) => file.partition_values[*i].to_array_of_size(batch.num_rows()),
        })
        .collect::<datafusion::error::Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Names the file that could not be read. What is refused, or was named before, stays as it is.
fn in_file(e: Error, path: &str) -> Error {
    if e.is("FAILED_READ_FILE") || e.is("UNSUPPORTED_FEATURE") { e } else { errors::failed_read(path, e) }
}

impl DataSource for RowScan {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> datafusion::error::Result<SendableRecordBatchStream> {
        let scan = self.clone();
        let slices = self.partitions.get(partition).cloned().unwrap_or_default();
        let batch_rows = context.session_config().batch_size().max(1);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.schema.clone();
        let stream = async_stream::try_stream! {
            let mut left = scan.limit.unwrap_or(usize::MAX);
            for slice in slices {
                if left == 0 {
                    break;
                }
                let file = slice.file.clone();
                let url = scan.place.url_of(&file.meta.location);
                let reader = Reader {
                    store: scan.place.store.clone(),
                    format: scan.format.of_file(scan.names_files.then(|| scan.place.display_of(&file.meta.location))),
                    schema: scan.data_schema.clone(),
                    batch_rows,
                    shown_path: scan.place.display_of(&file.meta.location),
                };
                let mut batches = read_slice(reader, slice);
                loop {
                    let next = {
                        let _timer = metrics.elapsed_compute().timer();
                        batches.next().await
                    };
                    let batch = match next {
                        None => break,
                        Some(Ok(batch)) => batch,
                        Some(Err(e)) => {
                            let missing = is_missing(&scan, &file).await;
                            if missing && scan.ignore_missing {
                                break;
                            }
                            // Malformed records are no corrupt files: their mode says what becomes of them.
                            if scan.ignore_corrupt && !e.is("MALFORMED_RECORD_IN_PARSING") && !e.is("UNSUPPORTED_FEATURE") {
                                tracing::warn!("left out the rest of {url}: {e}");
                                break;
                            }
                            Err(to_datafusion(if missing { errors::file_not_exist(&url) } else { in_file(e, &url) }))?;
                            break;
                        }
                    };
                    let batch = complete(&batch, &scan.sources, &file, &scan.schema)?;
                    let batch = if batch.num_rows() > left { batch.slice(0, left) } else { batch };
                    left -= batch.num_rows();
                    metrics.record_output(batch.num_rows());
                    yield batch;
                    if left == 0 {
                        break;
                    }
                }
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.partitions.iter().map(Vec::len).sum();
        let columns: Vec<_> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        match t {
            DisplayFormatType::TreeRender => write!(f, "format={}\nslices={files}", self.name()),
            _ => {
                write!(f, "format={}, slices={files}, columns=[{}]", self.name(), columns.join(", "))?;
                match self.limit {
                    Some(limit) => write!(f, ", limit={limit}"),
                    None => Ok(()),
                }
            }
        }
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(self.schema.clone())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> datafusion::error::Result<Arc<Statistics>> {
        let bytes =
            |slices: &Vec<FileSlice>| -> u64 { slices.iter().map(|s| s.range.end - s.range.start).sum() };
        let total: u64 = match partition {
            Some(i) => self.partitions.get(i).map_or(0, bytes),
            None => self.partitions.iter().map(bytes).sum(),
        };
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.total_byte_size = Precision::Inexact(usize::try_from(total).unwrap_or(usize::MAX));
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(Self { limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(
        &self,
        _projection: &ProjectionExprs,
    ) -> datafusion::error::Result<Option<Arc<dyn DataSource>>> {
        // The columns were chosen when the scan was planned, and what is corrupt depends on them.
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> datafusion::error::Result<TreeNodeRecursion>,
    ) -> datafusion::error::Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

/// Whether a file is gone, asked only when reading it failed.
async fn is_missing(scan: &RowScan, file: &TableFile) -> bool {
    use object_store::ObjectStoreExt;
    matches!(scan.place.store.head(&file.meta.location).await, Err(object_store::Error::NotFound { .. }))
}
