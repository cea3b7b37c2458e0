//! The physical scan: files of the log as partitioned files of a `ParquetSource`.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::scalar::ScalarValue;
use object_store::ObjectMeta;

use super::provider::{HiddenColumn, HiddenValue};
use super::reader::ReaderFactory;
use super::relabel::RelabelExpr;
use super::{selection, statistics};
use crate::file_set::{FileWithStats, StatsGroup};
use crate::partition::parse_value;
use crate::schema::{MappingMode, TableColumn};
use crate::snapshot::Snapshot;

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
    partitions: Vec<&'a TableColumn>,
    constants: Vec<&'a HiddenColumn>,
    row_index: Option<&'a HiddenColumn>,
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
        let (rows, constants): (Vec<_>, Vec<_>) =
            hidden.iter().partition(|h| h.value == HiddenValue::RowIndex);
        if rows.len() > 1 {
            return Err(Error::internal("a scan gives the row index once"));
        }
        Ok(Self {
            snapshot,
            outputs: columns.iter().map(Output::Table).chain(hidden.iter().map(Output::Hidden)).collect(),
            data: columns.data().collect(),
            partitions: columns.iter().filter(|c| c.is_partition).collect(),
            constants,
            row_index: rows.first().copied(),
        })
    }

    /// The field of a data column as the source gives it.
    fn source_field(&self, column: &TableColumn) -> FieldRef {
        if self.snapshot.columns().is_mapped() { column.physical_field.clone() } else { column.field.clone() }
    }

    fn table_schema(&self) -> TableSchema {
        let data: Vec<FieldRef> = self.data.iter().map(|c| self.source_field(c)).collect();
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

    /// Where an output column is in the source's schema.
    fn source_index(&self, output: &Output<'_>) -> Option<usize> {
        let (data, partitions, constants) = (self.data.len(), self.partitions.len(), self.constants.len());
        match output {
            Output::Table(c) if c.is_partition => {
                self.partitions.iter().position(|p| p.physical == c.physical).map(|i| data + i)
            }
            Output::Table(c) => self.data.iter().position(|d| d.physical == c.physical),
            Output::Hidden(h) if h.value == HiddenValue::RowIndex => Some(data + partitions + constants),
            Output::Hidden(h) => {
                self.constants.iter().position(|c| c.name == h.name).map(|i| data + partitions + i)
            }
        }
    }

    pub async fn plan(
        &self,
        session: &dyn Session,
        files: Vec<FileWithStats>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
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
            )));

        let mut file_groups = Vec::new();
        let table_statistics = statistics::of_table(
            &StatsGroup::among(&files),
            &self.statistics_columns(),
            table_schema.table_schema(),
        );
        let per_file = files.len().saturating_mul(table_schema.table_schema().fields().len())
            <= statistics::MAX_PER_FILE_STATISTICS;
        let selections = selection::selections(self.snapshot.location(), &files).await?;
        let target = session.config().target_partitions().max(1);
        let mut partitioned = Vec::with_capacity(files.len());
        for (file, selection) in files.iter().zip(selections) {
            let mut part = self.partitioned_file(file)?;
            if per_file {
                part.statistics = Some(Arc::new(statistics::of_file(
                    file,
                    &self.statistics_columns(),
                    table_schema.table_schema(),
                )));
            }
            if let Some(selection) = selection {
                part = part.with_extension(selection);
            }
            partitioned.push(part);
        }
        for group in balanced(partitioned, target) {
            file_groups.push(FileGroup::new(group));
        }

        let indices = outputs
            .iter()
            .map(|o| self.source_index(o).ok_or_else(|| Error::internal("a column is not in its scan")))
            .collect::<Result<Vec<_>>>()?;
        let config =
            FileScanConfigBuilder::new(self.snapshot.location().object_store_url()?, Arc::new(source))
                .with_file_groups(file_groups)
                .with_statistics(table_statistics)
                .with_limit(limit)
                .with_projection_indices(Some(indices))
                .spark()?
                .build();
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        self.with_table_names(scan, &outputs)
    }

    /// Gives the columns of a mapped table the names of the table.
    fn with_table_names(
        &self,
        scan: Arc<dyn ExecutionPlan>,
        outputs: &[&Output<'_>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !self.snapshot.columns().is_mapped() {
            return Ok(scan);
        }
        let schema = scan.schema();
        let exprs = outputs.iter().enumerate().map(|(i, output)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(i).name(), i));
            let wanted = output_field(output);
            let expr: Arc<dyn PhysicalExpr> = if schema.field(i).data_type() == wanted.data_type() {
                column
            } else {
                Arc::new(RelabelExpr::new(column, wanted.clone()))
            };
            (expr, wanted.name().clone())
        });
        let exprs: Vec<_> = exprs.collect();
        Ok(Arc::new(ProjectionExec::try_new(exprs, scan).spark()?))
    }

    /// For each column of the source's schema, the table column whose statistics hold for it.
    fn statistics_columns(&self) -> Vec<Option<&'a TableColumn>> {
        let mut out: Vec<Option<&'a TableColumn>> = self.data.iter().copied().map(Some).collect();
        out.extend(self.partitions.iter().copied().map(Some));
        out.extend(self.constants.iter().map(|_| None));
        out.extend(self.row_index.iter().map(|_| None));
        out
    }

    fn partitioned_file(&self, file: &FileWithStats) -> Result<PartitionedFile> {
        let location = self.snapshot.location();
        let add = &file.file;
        let path = location.resolve(&add.path)?;
        let mut values = Vec::with_capacity(self.partitions.len() + self.constants.len());
        for column in &self.partitions {
            let text = add.partition_values.get(&column.physical).and_then(|v| v.as_deref());
            values.push(parse_value(column.logical(), text, &column.data_type)?);
        }
        for hidden in &self.constants {
            values.push(match hidden.value {
                HiddenValue::FileIndex => ScalarValue::Int64(Some(file.index as i64)),
                HiddenValue::FilePath => ScalarValue::Utf8(Some(file_uri(self.snapshot, &path))),
                HiddenValue::FileName => {
                    ScalarValue::Utf8(Some(path.filename().unwrap_or_default().to_string()))
                }
                HiddenValue::FileSize => ScalarValue::Int64(Some(add.size)),
                HiddenValue::FileModificationTime => ScalarValue::TimestampMicrosecond(
                    Some(add.modification_time.saturating_mul(1000)),
                    Some(boathouse_bridge::UTC.into()),
                ),
                HiddenValue::RowIndex => return Err(Error::internal("the row index is no constant")),
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

/// `file:///data/t/x.parquet`, `s3://bucket/t/x.parquet`, as Spark's `_metadata.file_path`.
fn file_uri(snapshot: &Snapshot, path: &object_store::path::Path) -> String {
    let mut url = snapshot.location().url();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(path.as_ref().split('/'));
    }
    url.to_string()
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
