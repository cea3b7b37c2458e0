//! A scan of Parquet files that takes columns from the cache.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, SchemaRef};
use boathouse_bridge::{no_expressions, one_input, rows_of_input, statistics_of_input};
use boathouse_delta::{LiveRowsExec, LiveRowsFilter};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccessPlanFilter};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr};
use futures::{Stream, TryStreamExt};
use parquet::arrow::RowNumber;
use parquet::file::metadata::ParquetMetaData;

use super::ColumnCache;
use super::learnt::{LearntFilters, LearntRows};
use super::piece::Piece;
use super::pruning::may_match;
use super::store::{ALL_ROWS, Key, Pieces};

/// A scan of more files than this is not looked at: its columns would not fit.
const MAX_FILES: usize = 10_000;
/// What a decoded column takes at most, mostly, for each byte of its encoded pages.
const DECODED: usize = 2;

/// The rows of its input, a scan of Parquet files or the live rows of one, some of them without reading the files.
#[derive(Debug)]
pub(crate) struct CachedColumnsExec {
    input: Arc<dyn ExecutionPlan>,
    scan: Arc<Scan>,
    cache: Arc<ColumnCache>,
    metrics: ExecutionPlanMetricsSet,
}

/// What an output column is.
#[derive(Debug)]
enum Output {
    /// A column of the files: its place in the table's schema.
    Data(usize, FieldRef),
    /// Of the values that a file has for all its rows.
    OfFile(usize),
    RowNumber,
    Constant(ScalarValue),
}

/// The parts of a scan that matter here.
#[derive(Debug)]
struct Scan {
    store: ObjectStoreUrl,
    source: ParquetSource,
    factory: Arc<dyn ParquetFileReaderFactory>,
    /// Makes the columns of files those of the table.
    adapter: Option<Arc<dyn PhysicalExprAdapterFactory>>,
    batch_size: Option<usize>,
    outputs: Vec<Output>,
    live: Option<Live>,
    learnt: LearntFilters,
}

/// The live rows of a scan, and which of a file's values is the number that they are found by.
#[derive(Debug)]
struct Live {
    filter: LiveRowsFilter,
    number: usize,
}

/// What a scan of files reads, below the filter that leaves deleted rows out.
fn config_of(plan: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    let scan = plan.downcast_ref::<LiveRowsExec>().map_or(plan, |live| live.input().as_ref());
    scan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

impl Scan {
    /// `None` for scans that are not of columns of Parquet files alone, and for those whose rows are not all rows.
    fn of(plan: &dyn ExecutionPlan) -> Option<Self> {
        let config = config_of(plan)?;
        let source = config.file_source().downcast_ref::<ParquetSource>()?;
        let filters_rows = source.table_parquet_options().global.pushdown_filters;
        if config.limit.is_some() || (filters_rows && source.filter().is_some()) {
            return None;
        }
        let outputs = source.projection()?.iter().map(|p| output(source, &p.expr));
        let mut outputs = outputs.collect::<Option<Vec<_>>>()?;
        let live = match plan.downcast_ref::<LiveRowsExec>() {
            None => None,
            Some(rows) => {
                let Some(Output::OfFile(number)) = outputs.get(rows.width()) else { return None };
                let number = *number;
                outputs.truncate(rows.width());
                // Live rows are not numbered one by one.
                if outputs.iter().any(|o| matches!(o, Output::RowNumber)) {
                    return None;
                }
                Some(Live { filter: rows.filter().clone(), number })
            }
        };
        let has_data = outputs.iter().any(|o| matches!(o, Output::Data(..)));
        let columns = source.table_schema().file_schema().fields().len();
        let place = |column: usize| {
            outputs.iter().position(|output| match output {
                Output::Data(index, _) => *index == column,
                Output::OfFile(index) => index + columns == column,
                Output::RowNumber | Output::Constant(_) => false,
            })
        };
        let learnt = source.filter().map(|filter| LearntFilters::of(&filter, &plan.schema(), place));
        let factory = Arc::clone(source.parquet_file_reader_factory()?);
        has_data.then(|| Self {
            store: config.object_store_url.clone(),
            source: source.clone(),
            factory,
            adapter: config.expr_adapter_factory.clone(),
            batch_size: config.batch_size,
            learnt: learnt.unwrap_or_default(),
            outputs,
            live,
        })
    }

    /// How files are read, beyond the types that columns have.
    fn reading(&self, batch_size: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?}", self.adapter, self.source.table_parquet_options()).hash(&mut hasher);
        batch_size.hash(&mut hasher);
        hasher.finish()
    }

    /// A bit for each live row of a file; `None` where all are.
    fn live_rows(&self, file: &PartitionedFile) -> Option<&BooleanBuffer> {
        let live = self.live.as_ref()?;
        match file.partition_values.get(live.number)? {
            ScalarValue::Int64(Some(number)) => live.filter.of_file(*number),
            _ => None,
        }
    }

    fn data(&self) -> impl Iterator<Item = (usize, &FieldRef)> {
        self.outputs.iter().filter_map(|o| match o {
            Output::Data(index, field) => Some((*index, field)),
            _ => None,
        })
    }
}

fn output(source: &ParquetSource, expr: &Arc<dyn PhysicalExpr>) -> Option<Output> {
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return Some(Output::Constant(literal.value().clone()));
    }
    let index = expr.downcast_ref::<Column>()?.index();
    let schema = source.table_schema();
    let data = schema.file_schema().fields();
    if let Some(field) = data.get(index) {
        return Some(Output::Data(index, Arc::clone(field)));
    }
    let index = index - data.len();
    let of_file = schema.table_partition_cols().len();
    if index < of_file {
        return Some(Output::OfFile(index));
    }
    let field = schema.virtual_columns().get(index - of_file)?;
    field.try_extension_type::<RowNumber>().ok().map(|_| Output::RowNumber)
}

impl CachedColumnsExec {
    pub fn of(plan: &Arc<dyn ExecutionPlan>, cache: &Arc<ColumnCache>) -> Option<Self> {
        let files: usize = config_of(plan.as_ref())?.file_groups.iter().map(FileGroup::len).sum();
        if files > MAX_FILES {
            return None;
        }
        Some(Self {
            input: Arc::clone(plan),
            scan: Arc::new(Scan::of(plan.as_ref())?),
            cache: Arc::clone(cache),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

/// A row group of a file that is to be read.
struct RowGroup {
    index: usize,
    first_row: i64,
    /// For each data column of the output what is kept of it.
    kept: Vec<Option<Pieces>>,
    /// Whether what is missing shall be kept.
    is_admitted: bool,
}

impl RowGroup {
    fn is_plain(&self) -> bool {
        !self.is_admitted && self.kept.iter().any(Option::is_none)
    }
}

/// The row groups of a file that are to be read, and how many it has.
struct RowGroups {
    wanted: Vec<RowGroup>,
    all: usize,
    /// For the keys of their columns.
    file: Arc<str>,
    rows: u64,
}

/// One partition of a scan while it runs.
struct Reader {
    scan: Arc<Scan>,
    cache: Arc<ColumnCache>,
    context: Arc<TaskContext>,
    schema: SchemaRef,
    reading: u64,
    served: Count,
}

impl Reader {
    /// The file's row groups, where some are kept or to be kept; `None` where the file is read as if there were no cache.
    async fn row_groups(&self, file: &PartitionedFile) -> Result<Option<RowGroups>> {
        let scan = &self.scan;
        let name = self.name(file);
        // Partitions that share a file have a range of it each.
        let part = format!("{name} {:?}", file.range);
        if !file.extensions.is_empty() || file.arrow_schema.is_some() || !self.cache.has_seen(&part) {
            return Ok(None);
        }
        let reader = scan.factory.create_reader(0, file.clone(), None, scan.source.metrics());
        // What is wrong with a file says the scan itself.
        let Ok(mut reader) = reader else { return Ok(None) };
        let Ok(footer) = reader.get_metadata(None).await else { return Ok(None) };
        let wanted = wanted_row_groups(scan, file, &footer);
        let name: Arc<str> = name.into();
        let rows = scan.live_rows(file).map_or(ALL_ROWS, |live| self.cache.rows(live));
        let mut first_row = 0;
        let mut row_groups = Vec::new();
        for (index, group) in footer.row_groups().iter().enumerate() {
            if wanted[index] {
                let key = |field: &FieldRef| self.key(&name, index, rows, field);
                let kept: Vec<_> = scan.data().map(|(_, field)| self.cache.get(&key(field))).collect();
                let missing = kept.iter().any(Option::is_none);
                let bytes = usize::try_from(group.total_byte_size()).unwrap_or(usize::MAX);
                let share = bytes / group.num_columns().max(1) * scan.data().count();
                let is_admitted = missing && self.cache.has_room(share.saturating_mul(DECODED));
                row_groups.push(RowGroup { index, first_row, kept: agreeing(kept), is_admitted });
            }
            first_row += group.num_rows();
        }
        let all = footer.num_row_groups();
        let of_use = !row_groups.iter().all(RowGroup::is_plain);
        Ok(of_use.then_some(RowGroups { wanted: row_groups, all, file: name, rows }))
    }

    fn name(&self, file: &PartitionedFile) -> String {
        let (store, meta) = (self.scan.store.as_str(), &file.object_meta);
        let time = meta.last_modified.timestamp_micros();
        format!("{store}{} {} {time} {:?}", meta.location, meta.size, meta.e_tag)
    }

    fn key(&self, file: &Arc<str>, row_group: usize, rows: u64, field: &FieldRef) -> Key {
        Key { file: Arc::clone(file), reading: self.reading, row_group, rows, column: Arc::clone(field) }
    }

    /// Files, or parts of them, as the scan reads them.
    fn plain(&self, files: Vec<PartitionedFile>) -> Result<SendableRecordBatchStream> {
        let source = Arc::new(self.scan.source.clone());
        let rows = self.open(FileScanConfigBuilder::new(self.scan.store.clone(), source), files)?;
        let Some(live) = &self.scan.live else { return Ok(rows) };
        let filter = live.filter.clone();
        let living = rows.and_then(move |batch| std::future::ready(filter.living(&batch)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), living)))
    }

    fn open(
        &self,
        builder: FileScanConfigBuilder,
        files: Vec<PartitionedFile>,
    ) -> Result<SendableRecordBatchStream> {
        let config = builder
            .with_file_groups(vec![FileGroup::new(files)])
            .with_expr_adapter(self.scan.adapter.clone())
            .with_batch_size(self.scan.batch_size)
            .build();
        config.open(0, Arc::clone(&self.context))
    }

    /// The missing columns of a row group, all of their rows, which are kept then.
    async fn fill(&self, file: &PartitionedFile, group: &mut RowGroup, of: &RowGroups) -> Result<()> {
        let scan = &self.scan;
        let missing = scan.data().zip(&group.kept).filter(|(_, kept)| kept.is_none());
        let missing: Vec<(usize, &FieldRef)> = missing.map(|(column, _)| column).collect();
        let source = ParquetSource::new(scan.source.table_schema().clone())
            .with_table_parquet_options(scan.source.table_parquet_options().clone())
            .with_parquet_file_reader_factory(Arc::clone(&scan.factory));
        let columns = missing.iter().map(|(index, _)| *index).collect();
        let builder = FileScanConfigBuilder::new(scan.store.clone(), Arc::new(source))
            .with_projection_indices(Some(columns))?;
        let stream = self.open(builder, vec![part(file, group.index, of.all)])?;
        let mut batches: Vec<RecordBatch> = stream.try_collect().await?;
        if let Some(live) = scan.live_rows(file) {
            let mut row = usize::try_from(group.first_row).unwrap_or(usize::MAX);
            for batch in &mut batches {
                let rows = batch.num_rows();
                if row.checked_add(rows).is_none_or(|end| end > live.len()) {
                    return internal_err!("rows behind the end of {}", of.file);
                }
                *batch = filter_record_batch(batch, &BooleanArray::new(live.slice(row, rows), None))?;
                row += rows;
            }
        }
        let mut read = missing.iter().enumerate().map(|(i, (_, field))| {
            let pieces: Pieces =
                batches.iter().map(|batch| Piece::Whole(Arc::clone(batch.column(i)))).collect();
            self.cache.put(self.key(&of.file, group.index, of.rows, field), &pieces);
            pieces
        });
        for kept in group.kept.iter_mut().filter(|kept| kept.is_none()) {
            *kept = read.next();
        }
        Ok(())
    }

    /// A batch of a row group all of whose columns are there. `first_row` is where it begins in its file.
    fn batch(
        &self,
        file: &PartitionedFile,
        columns: &[Pieces],
        piece: usize,
        first_row: i64,
    ) -> Result<RecordBatch> {
        let rows = columns.first().map_or(0, |column| column[piece].len());
        let mut data = columns.iter();
        let arrays = self.scan.outputs.iter().map(|output| match output {
            Output::Data(..) => match data.next() {
                Some(column) => Ok(column[piece].array()),
                None => internal_err!("a cached row group without one of its columns"),
            },
            Output::OfFile(i) => file.partition_values[*i].to_array_of_size(rows),
            Output::Constant(value) => value.to_array_of_size(rows),
            Output::RowNumber => {
                Ok(Arc::new(Int64Array::from_iter_values(first_row..first_row + rows as i64)) as ArrayRef)
            }
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }

    /// The rows that pass what joins and sorts have learnt.
    fn run(self, files: Vec<PartitionedFile>, learnt: Option<LearntRows>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let Some(mut learnt) = learnt else {
            return Box::pin(RecordBatchStreamAdapter::new(schema, self.rows(files)));
        };
        let batches = async_stream::try_stream! {
            for await batch in self.rows(files) {
                for passing in learnt.push(batch?)? {
                    yield passing;
                }
            }
            for passing in learnt.finish()? {
                yield passing;
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }

    /// All rows that the scan reads.
    fn rows(self, files: Vec<PartitionedFile>) -> impl Stream<Item = Result<RecordBatch>> + Send {
        async_stream::try_stream! {
            let mut plain = Vec::new();
            for file in files {
                let Some(mut groups) = self.row_groups(&file).await? else {
                    plain.push(file);
                    continue;
                };
                if !plain.is_empty() {
                    for await batch in self.plain(std::mem::take(&mut plain))? {
                        yield batch?;
                    }
                }
                for mut group in std::mem::take(&mut groups.wanted) {
                    if group.is_plain() {
                        for await batch in self.plain(vec![part(&file, group.index, groups.all)])? {
                            yield batch?;
                        }
                        continue;
                    }
                    if group.is_admitted {
                        self.fill(&file, &mut group, &groups).await?;
                    } else {
                        self.served.add(1);
                    }
                    let columns: Vec<Pieces> = group.kept.into_iter().flatten().collect();
                    let mut first_row = group.first_row;
                    for piece in 0..columns.first().map_or(0, |column| column.len()) {
                        let batch = self.batch(&file, &columns, piece, first_row)?;
                        first_row += batch.num_rows() as i64;
                        if batch.num_rows() > 0 {
                            yield batch;
                        }
                    }
                }
            }
            if !plain.is_empty() {
                for await batch in self.plain(plain)? {
                    yield batch?;
                }
            }
        }
    }
}

/// One row group of a file of so many.
fn part(file: &PartitionedFile, row_group: usize, of: usize) -> PartitionedFile {
    let mut access = ParquetAccessPlan::new_none(of);
    access.scan(row_group);
    file.clone().with_extension(access)
}

/// Nothing where columns are not cut into the same batches.
fn agreeing(kept: Vec<Option<Pieces>>) -> Vec<Option<Pieces>> {
    let rows = |pieces: &Pieces| pieces.iter().map(|p| p.len()).collect::<Vec<_>>();
    let mut lengths = kept.iter().flatten().map(rows);
    let first = lengths.next();
    if lengths.all(|l| Some(&l) == first.as_ref()) { kept } else { vec![None; kept.len()] }
}

/// For each row group of a file whether the scan reads it: those that begin in its range of bytes and may have rows for its filter.
fn wanted_row_groups(scan: &Scan, file: &PartitionedFile, footer: &Arc<ParquetMetaData>) -> Vec<bool> {
    let schema = scan.source.table_schema();
    let mut wanted = vec![true; footer.num_row_groups()];
    if let Some(range) = &file.range {
        let mut access = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(wanted.len()));
        access.prune_by_range(footer.row_groups(), range);
        let access = access.build();
        for (index, wanted) in wanted.iter_mut().enumerate() {
            *wanted = access.should_scan(index);
        }
    }
    if let Some(filter) = scan.source.filter() {
        let names = schema.table_partition_cols().iter().map(|f| f.name().clone());
        let constants: HashMap<_, _> = names.zip(file.partition_values.iter().cloned()).collect();
        let matching = may_match(&filter, &constants, schema.table_schema(), footer);
        for (wanted, matches) in wanted.iter_mut().zip(matching) {
            *wanted &= matches;
        }
    }
    wanted
}

impl DisplayAs for CachedColumnsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "CachedColumnsExec")
    }
}

impl CachedColumnsExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        match Self::of(&input, &self.cache) {
            Some(scan) => Arc::new(scan),
            None => input,
        }
    }
}

impl ExecutionPlan for CachedColumnsExec {
    fn name(&self) -> &str {
        "CachedColumnsExec"
    }

    rows_of_input!();
    one_input!();
    no_expressions!();
    statistics_of_input!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let groups = config_of(self.input.as_ref()).map(|config| &config.file_groups);
        let Some(files) = groups.and_then(|groups| groups.get(partition)) else {
            return internal_err!("a scan without its partition {partition}");
        };
        let scan = Arc::clone(&self.scan);
        self.cache.tick();
        let files = files.files().to_vec();
        let batch_size = scan.batch_size.unwrap_or_else(|| context.session_config().batch_size());
        let left_out = MetricBuilder::new(&self.metrics).counter("rows_left_out", partition);
        let learnt = scan.learnt.rows(self.schema(), batch_size, left_out);
        let reader = Reader {
            reading: scan.reading(batch_size),
            scan,
            cache: Arc::clone(&self.cache),
            context,
            schema: self.schema(),
            served: MetricBuilder::new(&self.metrics).counter("row_groups_from_memory", partition),
        };
        Ok(reader.run(files, learnt))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
