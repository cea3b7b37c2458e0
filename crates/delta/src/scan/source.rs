//! The physical scan: files of the log as partitioned files of a `ParquetSource`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_array};
use arrow::datatypes::{Field, FieldRef, Schema};
use boathouse_bridge::ResultExt;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result};
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricBuilder;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::scalar::ScalarValue;
use object_store::ObjectMeta;

use super::converted::Converted;
use super::file_columns::FileColumns;
use super::live_rows::{LiveRows, LiveRowsExec};
use super::provider::{HiddenColumn, HiddenValue};
use super::reader::ReaderFactory;
use super::selection::Selection;
use super::{selection, statistics};
use crate::file_set::{FileWithStats, StatsGroup};
use crate::partition::{SessionZone, parse_value};
use crate::row_tracking;
use crate::schema::relabel::relabel;
use crate::schema::{MappingMode, TableColumn};
use crate::snapshot::Snapshot;

/// The metric of a scan that counts the files of its table that filters left out by the log.
pub const FILES_PRUNED: &str = "files_pruned_by_log";

/// A column of the scan, in the order of the provider's schema.
enum Output<'a> {
    Table(&'a TableColumn),
    Hidden(&'a HiddenColumn),
}

/// How the columns of a table and its hidden columns lie in a `ParquetSource`: data, constants of the file, virtual.
pub(crate) struct ScanSource<'a> {
    snapshot: &'a Snapshot,
    outputs: Vec<Output<'a>>,
    data: Vec<&'a TableColumn>,
    /// The columns in which files keep what rows brought along from other files.
    kept: Vec<(HiddenValue, FieldRef)>,
    partitions: Vec<&'a TableColumn>,
    constants: Vec<HiddenColumn>,
    row_index: Option<HiddenColumn>,
}

impl<'a> ScanSource<'a> {
    pub fn new(snapshot: &'a Snapshot, hidden: &'a [HiddenColumn]) -> Result<Self> {
        let columns = snapshot.columns();
        if columns.mode == MappingMode::Id {
            // Files of Delta writers have the physical names too; only files of others must be read by id.
            tracing::debug!(
                "{} maps columns by id; its files are read by physical name",
                snapshot.location().uri()
            );
        }
        let kept: Vec<_> = hidden
            .iter()
            .filter_map(|h| row_tracking::kept_column(snapshot, h.value).map(|field| (h.value, field)))
            .collect();
        let stored = hidden.iter().filter(|h| !h.value.is_tracked()).cloned();
        let (mut rows, mut constants): (Vec<_>, Vec<_>) =
            stored.partition(|h| h.value == HiddenValue::RowIndex);
        if rows.len() > 1 {
            return Err(Error::internal("a scan gives the row index once"));
        }
        for needed in hidden.iter().flat_map(|h| row_tracking::defaults(h.value)) {
            let list = if *needed == HiddenValue::RowIndex { &mut rows } else { &mut constants };
            if !list.iter().any(|h| h.value == *needed) {
                list.push(HiddenColumn::new(format!("__delta_{needed:?}"), *needed));
            }
        }
        Ok(Self {
            snapshot,
            outputs: columns.iter().map(Output::Table).chain(hidden.iter().map(Output::Hidden)).collect(),
            data: columns.data().collect(),
            kept,
            partitions: columns.iter().filter(|c| c.is_partition).collect(),
            constants,
            row_index: rows.pop(),
        })
    }

    /// The field of a data column as the source gives it.
    fn source_field(&self, column: &TableColumn) -> FieldRef {
        if self.snapshot.columns().is_mapped() { column.physical_field.clone() } else { column.field.clone() }
    }

    fn table_schema(&self) -> TableSchema {
        let mut data: Vec<FieldRef> = self.data.iter().map(|c| self.source_field(c)).collect();
        data.extend(self.kept.iter().map(|(_, field)| field.clone()));
        // Partition columns may be NULL whatever the schema says of them.
        let constants: Vec<FieldRef> = self
            .partitions
            .iter()
            .map(|c| Arc::new(c.field.as_ref().clone().with_name(&c.physical)))
            .chain(self.constants.iter().map(|h| h.field()))
            .collect();
        let rows: Vec<FieldRef> = self.row_index.iter().map(|h| h.field()).collect();
        TableSchema::builder(Arc::new(Schema::new(data)))
            .with_table_partition_cols(constants)
            .with_virtual_columns(rows)
            .build()
    }

    /// The columns of the source's schema that an output column is made of: one, or what files keep of a tracked value and
    /// then what it is otherwise.
    fn source_indices(&self, output: &Output<'_>) -> Option<Vec<usize>> {
        let data = self.data.len() + self.kept.len();
        let constants = data + self.partitions.len();
        let rows = constants + self.constants.len();
        let constant = |value: HiddenValue| match value {
            HiddenValue::RowIndex => self.row_index.is_some().then_some(rows),
            value => self.constants.iter().position(|c| c.value == value).map(|i| constants + i),
        };
        let index = match output {
            Output::Table(c) if c.is_partition => {
                self.partitions.iter().position(|p| p.physical == c.physical).map(|i| data + i)
            }
            Output::Table(c) => self.data.iter().position(|d| d.physical == c.physical),
            Output::Hidden(h) if h.value.is_tracked() => {
                let kept = self.kept.iter().position(|(value, _)| *value == h.value);
                let defaults = row_tracking::defaults(h.value).iter().map(|v| constant(*v));
                let kept = kept.map(|i| Some(self.data.len() + i));
                return kept.into_iter().chain(defaults).collect();
            }
            Output::Hidden(h) if h.value == HiddenValue::RowIndex => constant(h.value),
            Output::Hidden(h) => self.constants.iter().position(|c| c.name == h.name).map(|i| constants + i),
        };
        index.map(|i| vec![i])
    }

    /// Makes the source give the place of each row, for [`LiveRowsExec`].
    fn add_places(&mut self) {
        if !self.constants.iter().any(|h| h.value == HiddenValue::FileIndex) {
            self.constants.push(HiddenColumn::new("__delta_file", HiddenValue::FileIndex));
        }
        self.row_index.get_or_insert_with(|| HiddenColumn::new("__delta_row", HiddenValue::RowIndex));
    }

    /// The columns of the source's schema with the place of a row: the number of its file, and its own in the file.
    fn places(&self) -> Result<[usize; 2]> {
        let file = self.constants.iter().position(|h| h.value == HiddenValue::FileIndex);
        let file = file.ok_or_else(|| Error::internal("a scan without the numbers of its files"))?;
        let constants = self.data.len() + self.kept.len() + self.partitions.len();
        Ok([constants + file, constants + self.constants.len()])
    }

    pub async fn plan(
        mut self,
        session: &dyn Session,
        files: Vec<FileWithStats>,
        pruned: usize,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let selections = selection::selections(self.snapshot.location(), &files).await?;
        let is_marked = selections.iter().any(|s| matches!(s, Selection::Marked(_)));
        if is_marked {
            self.add_places();
        }
        let outputs: Vec<&Output<'_>> = match projection {
            Some(indices) => indices.iter().filter_map(|i| self.outputs.get(*i)).collect(),
            None => self.outputs.iter().collect(),
        };
        if files.is_empty() {
            let fields: Vec<FieldRef> = outputs.iter().map(|o| output_field(o)).collect();
            return Ok(Arc::new(EmptyExec::new(Arc::new(Schema::new(fields)))));
        }
        let table_schema = self.table_schema();
        let mut parquet = TableParquetOptions {
            global: session.config_options().execution.parquet.clone(),
            ..Default::default()
        };
        // Timestamps of old writers (INT96) are instants like all others.
        parquet.global.coerce_int96 = Some("us".into());
        parquet.global.coerce_int96_tz = Some(boathouse_bridge::UTC.into());
        parquet.global.schema_force_view_types = false;
        let source = ParquetSource::new(table_schema.clone())
            .with_table_parquet_options(parquet)
            .with_parquet_file_reader_factory(Arc::new(ReaderFactory::new(
                session,
                self.snapshot.location(),
            )?));
        MetricBuilder::new(source.metrics()).global_counter(FILES_PRUNED).add(pruned);

        let mut file_groups = Vec::new();
        let mut live = LiveRows::new();
        let table_statistics = statistics::of_table(
            &StatsGroup::among(&files),
            &self.statistics_columns(),
            table_schema.table_schema(),
        );
        let per_file = files.len().saturating_mul(table_schema.table_schema().fields().len())
            <= statistics::MAX_PER_FILE_STATISTICS;
        let target = session.config().target_partitions().max(1);
        let zone = SessionZone::of(session);
        let mut partitioned = Vec::with_capacity(files.len());
        for (file, selection) in files.iter().zip(selections) {
            let mut part = self.partitioned_file(file, &zone)?;
            if per_file {
                part.statistics = Some(Arc::new(statistics::of_file(
                    file,
                    &self.statistics_columns(),
                    table_schema.table_schema(),
                )));
            }
            match selection {
                Selection::All => {}
                Selection::Skipping(selection) => part = part.with_extension(selection),
                Selection::Marked(bits) => drop(live.insert(file.index as i64, bits)),
            }
            partitioned.push(part);
        }
        for group in balanced(partitioned, target) {
            file_groups.push(FileGroup::new(group));
        }

        let made_of = outputs
            .iter()
            .map(|o| self.source_indices(o).ok_or_else(|| Error::internal("a column is not in its scan")))
            .collect::<Result<Vec<_>>>()?;
        let mut indices: Vec<usize> = Vec::with_capacity(outputs.len());
        for index in made_of.iter().flatten() {
            if !indices.contains(index) {
                indices.push(*index);
            }
        }
        let mut read = indices.clone();
        if is_marked {
            read.extend(self.places()?);
        }
        let config =
            FileScanConfigBuilder::new(self.snapshot.location().object_store_url()?, Arc::new(source))
                .with_file_groups(file_groups)
                .with_statistics(table_statistics)
                .with_limit(limit.filter(|_| !is_marked))
                .with_expr_adapter(Some(Arc::new(FileColumns)))
                .with_projection_indices(Some(read))
                .spark()?
                .build();
        let mut scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        if is_marked {
            scan = Arc::new(LiveRowsExec::new(scan, Arc::new(live), indices.len()));
        }
        let is_tracked = |o: &&Output<'_>| matches!(o, Output::Hidden(h) if h.value.is_tracked());
        if !self.snapshot.columns().is_mapped() && !outputs.iter().any(is_tracked) {
            return Ok(scan);
        }
        let place = |i: &usize| indices.iter().position(|index| index == i);
        let places: Vec<Vec<usize>> =
            made_of.iter().map(|of| of.iter().filter_map(place).collect()).collect();
        with_table_names(scan, &outputs, &places)
    }

    /// For each column of the source's schema, the table column whose statistics hold for it.
    fn statistics_columns(&self) -> Vec<Option<&'a TableColumn>> {
        let mut out: Vec<Option<&'a TableColumn>> = self.data.iter().copied().map(Some).collect();
        out.extend(self.kept.iter().map(|_| None));
        out.extend(self.partitions.iter().copied().map(Some));
        out.extend(self.constants.iter().map(|_| None));
        out.extend(self.row_index.iter().map(|_| None));
        out
    }

    fn partitioned_file(&self, file: &FileWithStats, zone: &Zone) -> Result<PartitionedFile> {
        let location = self.snapshot.location();
        let add = &file.file;
        let path = location.resolve(&add.path)?;
        let mut values = Vec::with_capacity(self.partitions.len() + self.constants.len());
        for column in &self.partitions {
            let text = add.partition_values.get(&column.physical).and_then(|v| v.as_deref());
            values.push(parse_value(column.logical(), text, &column.data_type, zone)?);
        }
        for hidden in &self.constants {
            values.push(match hidden.value {
                HiddenValue::FileIndex => ScalarValue::Int64(Some(file.index as i64)),
                HiddenValue::FilePath => ScalarValue::Utf8(Some(location.object_url(&path).into())),
                HiddenValue::FileName => {
                    ScalarValue::Utf8(Some(path.filename().unwrap_or_default().to_string()))
                }
                HiddenValue::FileSize => ScalarValue::Int64(Some(add.size)),
                HiddenValue::FileModificationTime => ScalarValue::TimestampMicrosecond(
                    Some(add.modification_time.saturating_mul(1000)),
                    Some(boathouse_bridge::UTC.into()),
                ),
                HiddenValue::BaseRowId => ScalarValue::Int64(add.base_row_id),
                HiddenValue::DefaultRowCommitVersion => ScalarValue::Int64(add.default_row_commit_version),
                HiddenValue::RowIndex | HiddenValue::RowId | HiddenValue::RowCommitVersion => {
                    return Err(Error::internal("what differs from row to row is no constant"));
                }
            });
        }
        let size = u64::try_from(add.size).map_err(|_| {
            crate::error::corrupt(
                location,
                Some(self.snapshot.version()),
                format!("{} has a negative size", add.path),
            )
        })?;
        Ok(PartitionedFile::new_from_meta(ObjectMeta {
            location: path,
            last_modified: DateTime::from_timestamp_millis(add.modification_time).unwrap_or_default(),
            size,
            e_tag: None,
            version: None,
        })
        .with_partition_values(values))
    }
}

/// Gives the columns of a mapped table the names of the table, and makes what is told of rows. `places` are the columns of
/// the scan that each output is made of.
fn with_table_names(
    scan: Arc<dyn ExecutionPlan>,
    outputs: &[&Output<'_>],
    places: &[Vec<usize>],
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = scan.schema();
    let mut exprs = Vec::with_capacity(outputs.len());
    for (output, places) in outputs.iter().zip(places) {
        let columns: Vec<Arc<dyn PhysicalExpr>> =
            places.iter().map(|i| Arc::new(Column::new(schema.field(*i).name(), *i)) as _).collect();
        let wanted = output_field(output);
        let expr = match output {
            Output::Hidden(h) if h.value.is_tracked() => row_tracking::value(h.value, columns, &schema)?,
            _ => {
                let column = columns
                    .into_iter()
                    .next()
                    .ok_or_else(|| Error::internal("a column is made of none of its scan"))?;
                if column.data_type(&schema).spark()? == *wanted.data_type() {
                    column
                } else {
                    Converted::of(column, wanted.clone(), "relabel", relabeled)
                }
            }
        };
        exprs.push((expr, wanted.name().clone()));
    }
    Ok(Arc::new(ProjectionExec::try_new(exprs, scan).spark()?))
}

/// Structs of a table with column mapping get the table's names: types differ in names and metadata of nested fields only.
fn relabeled(values: &ArrayRef, wanted: &Field) -> Result<ArrayRef> {
    relabel(values.to_data(), wanted.data_type()).map(make_array)
}

fn output_field(output: &Output<'_>) -> FieldRef {
    match output {
        Output::Table(c) => c.field.clone(),
        Output::Hidden(h) => h.field(),
    }
}

/// At most `target` groups of files in order, of about the same size.
fn balanced(files: Vec<PartitionedFile>, target: usize) -> Vec<Vec<PartitionedFile>> {
    let total: u64 = files.iter().map(|f| f.object_meta.size.max(1)).sum();
    let share = total.div_ceil(target as u64).max(1);
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new()];
    let mut filled = 0u64;
    for file in files {
        let size = file.object_meta.size.max(1);
        let open = groups.len();
        // A file goes where its middle falls.
        if open < target
            && filled + size / 2 >= share.saturating_mul(open as u64)
            && groups.last().is_some_and(|g| !g.is_empty())
        {
            groups.push(Vec::new());
        }
        filled += size;
        if let Some(group) = groups.last_mut() {
            group.push(file);
        }
    }
    groups
}
