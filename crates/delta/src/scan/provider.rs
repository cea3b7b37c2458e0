//! The table provider: which files a query reads, with which columns.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use boathouse_bridge::{ResultExt, to_datafusion};
use boathouse_formats::zone::Zone;
use boathouse_spec::Result;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DFSchemaRef, Statistics};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use futures::future::BoxFuture;

use super::source::ScanSource;
use crate::action::Add;
use crate::file_set::FileWithStats;
use crate::partition::{SessionZone, parse_value};
use crate::snapshot::Snapshot;
use crate::stats::StatsTable;
use crate::transaction::OwnReads;

/// What a hidden column tells of a row's file, or of the row's place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HiddenValue {
    /// The file's position among the files of the scan (`BIGINT`).
    FileIndex,
    /// The row's position in its file, deleted rows counted (`BIGINT`).
    RowIndex,
    /// The file's URI (`STRING`).
    FilePath,
    FileName,
    /// Bytes (`BIGINT`).
    FileSize,
    /// `TIMESTAMP`
    FileModificationTime,
    /// The row's id, where the table tracks rows (`BIGINT`).
    RowId,
    /// The version that last wrote the row, where the table tracks rows (`BIGINT`).
    RowCommitVersion,
    /// The id of the file's first row, as far as rows did not bring their own (`BIGINT`).
    BaseRowId,
    /// The version of rows that do not bring their own (`BIGINT`).
    DefaultRowCommitVersion,
}

impl HiddenValue {
    /// Whether files may keep the value row by row.
    pub(crate) fn is_tracked(self) -> bool {
        matches!(self, Self::RowId | Self::RowCommitVersion)
    }
}

/// A column that a scan gives beside the table's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HiddenColumn {
    pub name: String,
    pub value: HiddenValue,
}

impl HiddenColumn {
    pub fn new(name: impl Into<String>, value: HiddenValue) -> Self {
        Self { name: name.into(), value }
    }

    pub(crate) fn field(&self) -> FieldRef {
        let t = match self.value {
            HiddenValue::FileIndex
            | HiddenValue::RowIndex
            | HiddenValue::FileSize
            | HiddenValue::RowId
            | HiddenValue::RowCommitVersion
            | HiddenValue::BaseRowId
            | HiddenValue::DefaultRowCommitVersion => ArrowType::Int64,
            HiddenValue::FilePath | HiddenValue::FileName => ArrowType::Utf8,
            HiddenValue::FileModificationTime => {
                ArrowType::Timestamp(TimeUnit::Microsecond, Some(boathouse_bridge::UTC.into()))
            }
        };
        // Files that came before the table tracked rows have no ids.
        let nullable = self.value.is_tracked()
            || matches!(self.value, HiddenValue::BaseRowId | HiddenValue::DefaultRowCommitVersion);
        let field = Field::new(&self.name, t, nullable);
        match self.value {
            HiddenValue::RowIndex => Arc::new(field.with_extension_type(parquet::arrow::RowNumber)),
            _ => Arc::new(field),
        }
    }
}

/// Finds filters that follow from others, such as those of partition columns that are generated from the columns of a filter.
pub trait DeriveFilters: std::fmt::Debug + Send + Sync {
    /// Further filters over the table's columns, without qualifier; rows that pass the given ones pass them.
    fn derive<'a>(&'a self, filters: &'a [Expr]) -> BoxFuture<'a, Result<Vec<Expr>>>;
}

/// The rows of a snapshot, as a table of DataFusion.
#[derive(Debug, Clone)]
pub struct DeltaScan {
    snapshot: Snapshot,
    hidden: Vec<HiddenColumn>,
    /// Only these files, in this order; all of the snapshot's where `None`.
    files: Option<Arc<Vec<FileWithStats>>>,
    /// How many files of the snapshot a statement has ruled out before.
    ruled_out: usize,
    derives: Option<Arc<dyn DeriveFilters>>,
    schema: SchemaRef,
    df_schema: DFSchemaRef,
}

impl DeltaScan {
    pub fn new(snapshot: Snapshot) -> Result<Self> {
        Self::with_hidden(snapshot, Vec::new())
    }

    /// With hidden columns after the table's.
    pub fn with_hidden(snapshot: Snapshot, hidden: Vec<HiddenColumn>) -> Result<Self> {
        let mut fields: Vec<FieldRef> = snapshot.arrow_schema().fields().iter().cloned().collect();
        fields.extend(hidden.iter().map(HiddenColumn::field));
        let schema = Arc::new(Schema::new(fields));
        let df_schema = Arc::new(DFSchema::try_from(schema.clone()).spark()?);
        Ok(Self { snapshot, hidden, files: None, ruled_out: 0, derives: None, schema, df_schema })
    }

    /// Whether another scan reads the same rows of the same version.
    pub fn is_same(&self, other: &Self) -> bool {
        self.snapshot.version() == other.snapshot.version()
            && self.snapshot.location().uri() == other.snapshot.location().uri()
            && self.hidden == other.hidden
            && self.files.is_none()
            && other.files.is_none()
            && self.derives.is_some() == other.derives.is_some()
    }

    /// The same scan with more hidden columns.
    pub fn and_hidden(&self, more: Vec<HiddenColumn>) -> Result<Self> {
        let hidden = self.hidden.iter().cloned().chain(more).collect();
        let (files, derives) = (self.files.clone(), self.derives.clone());
        Ok(Self { files, derives, ..Self::with_hidden(self.snapshot.clone(), hidden)? })
    }

    /// With what finds further filters.
    pub fn deriving(mut self, derives: Arc<dyn DeriveFilters>) -> Self {
        self.derives = Some(derives);
        self
    }

    /// The rows of files that commits of the table named, whether they are still part of the snapshot or not: a slice of a
    /// stream. The snapshot says the columns.
    pub fn of_files(snapshot: Snapshot, files: Vec<Arc<Add>>) -> Result<Self> {
        let stats = Arc::new(StatsTable::build(&files, snapshot.columns()));
        let files = files
            .into_iter()
            .enumerate()
            .map(|(row, file)| FileWithStats {
                file,
                stats: Arc::clone(&stats),
                row,
                index: row,
                chosen: None,
            })
            .collect();
        Ok(Self::new(snapshot)?.with_files_as_numbered(files))
    }

    /// Reads only some files; `FileIndex` counts in their order.
    pub(crate) fn with_files(mut self, mut files: Vec<FileWithStats>) -> Self {
        files.iter_mut().enumerate().for_each(|(i, f)| f.index = i);
        self.files = Some(Arc::new(files));
        self
    }

    /// Reads only some files, each with the `FileIndex` that it was given before.
    pub(crate) fn with_files_as_numbered(mut self, files: Vec<FileWithStats>) -> Self {
        self.files = Some(Arc::new(files));
        self
    }

    /// Says, for the profile, that all files of the snapshot but these were ruled out.
    pub(crate) async fn having_ruled_out_others(mut self, files: &[FileWithStats]) -> Result<Self> {
        self.ruled_out = self.snapshot.files().await?.len().saturating_sub(files.len());
        Ok(self)
    }

    /// Reads the list of files, after which [`TableProvider::statistics`] tells of them.
    pub async fn load(&self) -> Result<()> {
        self.snapshot.files().await.map(|_| ())
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The files in which the filters may find rows. Filters name columns of this scan, without qualifier.
    pub(crate) async fn candidate_files(
        &self,
        session: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<FileWithStats>> {
        let mut exact = Vec::new();
        let mut all = Vec::new();
        for filter in filters {
            let filter = unqualified(filter.clone())?;
            let physical = session.create_physical_expr(filter.clone(), &self.df_schema).spark()?;
            if self.is_partition_filter(&filter) {
                exact.push(physical.clone());
            }
            all.push(physical);
        }
        let set = self.snapshot.files().await?;
        let mut files = match &self.files {
            Some(files) => files.as_ref().clone(),
            None => set.pruned(self.snapshot.columns(), &self.schema, &all)?,
        };
        let zone = SessionZone::of(session);
        for filter in &exact {
            files = self.matching_partitions(files, filter, &zone)?;
        }
        Ok(files)
    }

    /// Whether a filter can be decided by partition values alone.
    pub(crate) fn is_partition_filter(&self, filter: &Expr) -> bool {
        !filter.is_volatile()
            && filter.column_refs().iter().all(|c| self.snapshot.partition_columns().contains(&c.name))
            && !filter.column_refs().is_empty()
    }

    fn matching_partitions(
        &self,
        files: Vec<FileWithStats>,
        filter: &Arc<dyn PhysicalExpr>,
        zone: &Zone,
    ) -> Result<Vec<FileWithStats>> {
        let batch = self.partition_batch(&files, zone)?;
        let values = filter.evaluate(&batch).and_then(|v| v.into_array(batch.num_rows())).spark()?;
        let Some(passes) = values.as_boolean_opt() else {
            return Ok(files);
        };
        Ok(files
            .into_iter()
            .enumerate()
            .filter(|(i, _)| passes.is_valid(*i) && passes.value(*i))
            .map(|(_, f)| f)
            .collect())
    }

    /// A row for each file, with its partition values; other columns are NULL.
    fn partition_batch(&self, files: &[FileWithStats], zone: &Zone) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        let mut fields = Vec::with_capacity(arrays.capacity());
        for (i, field) in self.schema.fields().iter().enumerate() {
            fields.push(field.as_ref().clone().with_nullable(true));
            let column = (i < self.snapshot.columns().len()).then(|| self.snapshot.columns().get(i));
            let array = match column.filter(|c| c.is_partition) {
                Some(column) if !files.is_empty() => {
                    let values = files
                        .iter()
                        .map(|f| {
                            let text =
                                f.file.partition_values.get(&column.physical).and_then(|v| v.as_deref());
                            parse_value(column.logical(), text, &column.data_type, zone)
                        })
                        .collect::<Result<Vec<_>>>()?;
                    ScalarValue::iter_to_array(values).spark()?
                }
                _ => arrow::array::new_null_array(field.data_type(), files.len()),
            };
            arrays.push(array);
        }
        RecordBatch::try_new_with_options(
            Arc::new(Schema::new(fields)),
            arrays,
            &arrow::array::RecordBatchOptions::new().with_row_count(Some(files.len())),
        )
        .spark()
    }

    async fn plan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut pruning = filters.to_vec();
        if let Some(derives) = &self.derives {
            pruning.extend(derives.derive(filters).await?);
        }
        let mut files = self.candidate_files(session, &pruning).await?;
        // Statements look for the rows that they change by themselves.
        if self.files.is_none() && !self.hidden.iter().any(|h| h.value == HiddenValue::FileIndex) {
            OwnReads::note(session, &self.snapshot, filters, &files)?;
        }
        let all_exact = filters.iter().all(|f| self.is_partition_filter(f));
        if let Some(limit) = limit.filter(|_| all_exact) {
            files = enough_for(files, limit);
        }
        let listed = match &self.files {
            Some(files) => files.len(),
            None => self.snapshot.files().await?.len(),
        };
        let pruned = self.ruled_out + listed.saturating_sub(files.len());
        ScanSource::new(&self.snapshot, &self.hidden)?
            .plan(session, files, pruned, projection, limit.filter(|_| all_exact))
            .await
    }
}

/// The first files that surely have `limit` rows.
fn enough_for(files: Vec<FileWithStats>, limit: usize) -> Vec<FileWithStats> {
    let mut rows = 0usize;
    let mut out = Vec::new();
    for file in files {
        if rows >= limit && !out.is_empty() {
            break;
        }
        rows = rows.saturating_add(file.live_rows().unwrap_or(0));
        out.push(file);
    }
    out
}

/// The expression without table qualifiers.
pub(crate) fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    expr.transform(|e| {
        Ok(match e {
            Expr::Column(mut c) if c.relation.is_some() => {
                c.relation = None;
                Transformed::yes(Expr::Column(c))
            }
            other => Transformed::no(other),
        })
    })
    .map(|t| t.data)
    .spark()
}

#[async_trait]
impl TableProvider for DeltaScan {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.plan(session, projection, filters, limit).await.map_err(to_datafusion)
    }

    /// Of the whole table, as soon as its files are known.
    fn statistics(&self) -> Option<Statistics> {
        if !self.hidden.is_empty() || self.files.is_some() {
            return None;
        }
        self.snapshot.statistics().cloned()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|f| {
                if self.is_partition_filter(f) {
                    TableProviderFilterPushDown::Exact
                } else if f.is_volatile() {
                    TableProviderFilterPushDown::Unsupported
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }
}
