//! Files as a table: schema, partition columns, and the scan.

use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType as ArrowType, Schema, SchemaRef};
use async_trait::async_trait;
use boathouse_bridge::{ResultExt, UTC, arrow_schema, to_datafusion};
use boathouse_formats::column::nullable;
use boathouse_formats::options::Lookup;
use boathouse_formats::rescue::{self, Rescue};
use boathouse_spec::{DataType, Error, Options, Result, StructField, StructType};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue, Statistics};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use crate::context::Context;
use crate::errors;
use crate::format::Format;
use crate::layout::{Depth, Layout};
use crate::listing::{self, Choice, Found, Wanted};
use crate::partitions::{self, Inference, Values};
use crate::paths::ResolvedPath;
use crate::{base_path, parquet, rows};

/// A file of a table, with the values of the partition columns.
#[derive(Debug, Clone)]
pub struct TableFile {
    pub meta: ObjectMeta,
    pub partition_values: Vec<ScalarValue>,
}

/// Types of partition columns for which a text that does not fit is an error.
fn is_checked(t: &DataType) -> bool {
    t.is_numeric() || t.is_datetime() || *t == DataType::Boolean
}

/// The hidden column that tells where a row is from.
pub const METADATA_COLUMN: &str = "_metadata";

/// The type of [`METADATA_COLUMN`].
pub fn metadata_type() -> DataType {
    DataType::structure(vec![
        StructField::new("file_path", DataType::STRING, false),
        StructField::new("file_name", DataType::STRING, false),
        StructField::new("file_size", DataType::Long, false),
        StructField::new("file_block_start", DataType::Long, false),
        StructField::new("file_block_length", DataType::Long, false),
        StructField::new("file_modification_time", DataType::Timestamp, false),
    ])
}

/// Where a column of the table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A column of the files, by its number in the data schema.
    Data(usize),
    Partition(usize),
}

/// Files of one format as a table that can be read.
#[derive(Debug)]
pub struct FileTable {
    pub(crate) format: Format,
    pub(crate) options: Options,
    pub(crate) context: Context,
    pub(crate) choice: Choice,
    /// The column that takes what the schema has no place for.
    pub(crate) rescue: Option<Rescue>,
    /// A place in the store of all files.
    pub(crate) place: ResolvedPath,
    pub(crate) files: Vec<TableFile>,
    pub(crate) data_schema: StructType,
    partition_fields: Vec<StructField>,
    schema: StructType,
    arrow_schema: SchemaRef,
    pub(crate) sources: Vec<Source>,
    /// Of the files' columns and the partition columns, once they were asked for.
    statistics: OnceLock<Statistics>,
}

/// Opens paths as a table. Without a schema, it is inferred from the files.
///
/// Columns that the names of directories give come last, also where the schema names them, unless a streaming query wrote the
/// files.
pub async fn open(
    format: &str,
    schema: Option<&StructType>,
    options: &Options,
    paths: &[String],
    context: &Context,
) -> Result<FileTable> {
    let format = Format::find(format)?;
    let found = FoundFiles::of_table(format, options, paths, context).await?;
    FileTable::new(format, schema, options, found, context, true).await
}

/// The files that paths mean now and that are wanted, each with the root it was found below: those of a stream, for which a glob
/// may match nothing yet. The first is a place in their store.
pub async fn find_if(
    format: &str,
    options: &Options,
    paths: &[String],
    context: &Context,
    wanted: &Wanted,
    depth: Depth,
) -> Result<(ResolvedPath, Vec<Found>)> {
    let search = Search { wanted, depth, waits: true };
    let found = FoundFiles::find(Format::find(format)?, options, paths, context, search).await?;
    Ok((found.place, found.files))
}

/// Files that are known already as a table, such as those of one batch of a stream. The schema says where each column is.
pub async fn open_files(
    format: &str,
    schema: Option<&StructType>,
    options: &Options,
    place: &ResolvedPath,
    files: Vec<Found>,
    context: &Context,
) -> Result<FileTable> {
    let format = Format::find(format)?;
    let found = FoundFiles::of(format, options, place.clone(), files, context)?;
    FileTable::new(format, schema, options, found, context, false).await
}

/// The schema of files, partition columns included, and the names of the partition columns.
pub async fn infer_schema(
    format: &str,
    options: &Options,
    paths: &[String],
    context: &Context,
) -> Result<(StructType, Vec<String>)> {
    let table = open(format, None, options, paths, context).await?;
    let partitions = table.partition_columns();
    Ok((table.schema, partitions))
}

/// Which files are looked for.
struct Search<'a> {
    wanted: &'a Wanted,
    depth: Depth,
    /// A glob may match nothing.
    waits: bool,
}

/// The files of all paths, before anything is known of their contents.
pub(crate) struct FoundFiles {
    pub(crate) place: ResolvedPath,
    pub(crate) choice: Choice,
    pub(crate) files: Vec<Found>,
    /// The option `basePath`.
    base: Option<ResolvedPath>,
}

impl FoundFiles {
    /// All files of a table.
    pub(crate) async fn of_table(
        format: Format,
        options: &Options,
        paths: &[String],
        context: &Context,
    ) -> Result<Self> {
        let search = Search { wanted: &listing::all(), depth: Depth::Partitions, waits: false };
        Self::find(format, options, paths, context, search).await
    }

    async fn find(
        format: Format,
        options: &Options,
        paths: &[String],
        context: &Context,
        search: Search<'_>,
    ) -> Result<Self> {
        let Search { wanted, depth, waits } = search;
        let given = Lookup(options);
        let mut all: Vec<String> = given.text("path").map(str::to_string).into_iter().collect();
        all.extend_from_slice(paths);
        let resolved = all
            .iter()
            .map(|path| context.paths.resolve(path, context.stores.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let Some(place) = resolved.first().cloned() else {
            return Err(errors::unable_to_infer(format.shown()));
        };
        if let Some(other) = resolved.iter().find(|p| p.store_url != place.store_url) {
            return Err(Error::unsupported(format!(
                "reading {} and {} at once: paths of one read must be in one store",
                place.display(),
                other.display()
            )));
        }
        let mut found = Self::of(format, options, place, Vec::new(), context)?;
        found.choice.waits = waits;
        let layout = Layout::default();
        let takes_all = depth == Depth::Everything || found.choice.recursive;
        let looked_at = match takes_all {
            true => Arc::clone(wanted),
            false => layout.looking_at(wanted, found.base.as_ref()),
        };
        let lists: Vec<Vec<Found>> = futures::stream::iter(
            resolved.iter().map(|p| listing::list(p, &found.choice, &looked_at).boxed()),
        )
        .buffered(8)
        .try_collect()
        .await?;
        found.files = lists.into_iter().flatten().collect();
        if let Some(base) = &found.base {
            base_path::check(base, &resolved, &found.files).await?;
        }
        if !takes_all {
            let (base, place) = (found.base.as_ref(), &found.place);
            let agreement = found.choice.agreement(context);
            layout.choose(&mut found.files, base, agreement, |path| place.display_of(path))?;
        }
        Ok(found)
    }

    fn of(
        format: Format,
        options: &Options,
        place: ResolvedPath,
        files: Vec<Found>,
        context: &Context,
    ) -> Result<Self> {
        crate::options::check(format, options)?;
        let given = Lookup(options);
        let mut choice = Choice::parse(options, &context.session.zone)?;
        choice.ignore_corrupt = given.flag("ignoreCorruptFiles", context.ignore_corrupt_files)?;
        choice.ignore_sink_log = context.ignore_sink_log;
        choice.ignore_missing = given.flag("ignoreMissingFiles", context.ignore_missing_files)?;
        choice.ignore_invalid_partitions =
            given.flag("ignoreInvalidPartitionPaths", context.ignore_invalid_partitions)?;
        let base = given
            .text("basePath")
            .map(|base| context.paths.resolve(base, context.stores.as_ref()))
            .transpose()?;
        Ok(Self { place, choice, files, base })
    }
}

impl FileTable {
    pub(crate) async fn new(
        format: Format,
        schema: Option<&StructType>,
        options: &Options,
        found: FoundFiles,
        context: &Context,
        partitions_last: bool,
    ) -> Result<Self> {
        let FoundFiles { place, choice, files, base } = found;
        // Of what a streaming query wrote the given schema says where they are (Spark's `MetadataLogFileIndex`).
        let partitions_last = partitions_last && !files.iter().any(|file| file.is_logged);
        let case_sensitive = context.session.case_sensitive;
        let same = |a: &str, b: &str| if case_sensitive { a == b } else { a.eq_ignore_ascii_case(b) };
        let mut values = files
            .iter()
            .map(|f| {
                let root = base.as_ref().map_or(&f.root, |b| &b.path);
                if choice.recursive || !f.meta.location.prefix_matches(root) {
                    return Ok(Values::default());
                }
                partitions::values_in(&f.meta.location, root)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut files = files;
        // Of files that are known already, too: beside partitions those without their values are no part of the table.
        if values.iter().any(|v| !v.columns.is_empty()) {
            let mut keep = values.iter().map(|v| !v.columns.is_empty());
            files.retain(|_| keep.next().unwrap_or(true));
            values.retain(|v| !v.columns.is_empty());
        }
        let inference =
            Inference::new(&context.session.zone, context.infer_partition_types, context.session.infer_ntz)?;
        let mut partition_fields =
            inference.columns(&values, choice.agreement(context), |path| place.display_of(path))?;
        // A schema that names a partition column says its type, and how it is written.
        let mut is_given = vec![false; partition_fields.len()];
        for (field, is_given) in partition_fields.iter_mut().zip(&mut is_given) {
            if let Some(given) = schema.and_then(|s| s.fields.iter().find(|g| same(&g.name, &field.name))) {
                *field = StructField { nullable: true, ..given.clone() };
                *is_given = true;
            }
        }
        let mut table_files = Vec::with_capacity(files.len());
        for (file, values) in files.into_iter().zip(&values) {
            let partition_values = partition_fields
                .iter()
                .zip(&values.columns)
                .zip(&is_given)
                .map(|((field, (name, value)), is_given)| {
                    let scalar = inference.scalar(value.as_deref(), &field.data_type)?;
                    match value {
                        Some(text) if *is_given && scalar.is_null() && is_checked(&field.data_type) => {
                            Err(errors::invalid_partition_value(text, name, &field.data_type))
                        }
                        _ => Ok(scalar),
                    }
                })
                .collect::<Result<_>>()?;
            table_files.push(TableFile { meta: file.meta, partition_values });
        }

        let mut table = Self {
            format,
            options: options.clone(),
            context: context.clone(),
            choice,
            rescue: Rescue::parse(options)?,
            place,
            files: table_files,
            data_schema: StructType::default(),
            partition_fields,
            schema: StructType::default(),
            arrow_schema: Arc::new(Schema::empty()),
            sources: Vec::new(),
            statistics: OnceLock::new(),
        };
        if format == Format::Parquet && table.choice.ignore_corrupt {
            parquet::drop_unreadable(&mut table).await?;
        }
        let mut whole = match (format, schema) {
            (Format::BinaryFile, _) => rows::binary_file_schema(),
            (Format::Text, Some(given)) => rows::check_text_schema(given, &table.partition_fields)?,
            (Format::Text, None) => rows::text_schema(),
            (_, Some(given)) => given.clone(),
            (Format::Parquet, None) => parquet::infer_schema(&table).await?,
            (Format::Json | Format::Csv | Format::Xml | Format::Avro | Format::Orc, None) => {
                rows::infer_schema(&table).await?
            }
        };
        if schema.is_some() && partitions_last {
            whole.fields.retain(|field| !table.partition_fields.iter().any(|p| same(&p.name, &field.name)));
        }
        if let Some(rescue) = &table.rescue
            && rescue.position(&whole)?.is_none()
        {
            whole.fields.push(StructField::new(&rescue.column, DataType::STRING, true));
        }
        table.arrange(whole, case_sensitive)?;
        rows::check_schema(&table)?;
        Ok(table)
    }

    /// Sets the schema: columns of files and of directories, each in its place.
    fn arrange(&mut self, whole: StructType, case_sensitive: bool) -> Result<()> {
        let same =
            |a: &str, b: &str| if case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() };
        let mut placed = vec![false; self.partition_fields.len()];
        for field in whole.fields {
            let nullable_field =
                StructField { data_type: nullable(&field.data_type), nullable: true, ..field.clone() };
            match self.partition_fields.iter().position(|p| same(&p.name, &field.name)) {
                Some(i) => {
                    placed[i] = true;
                    self.sources.push(Source::Partition(i));
                    self.schema.fields.push(self.partition_fields[i].clone());
                }
                None => {
                    self.sources.push(Source::Data(self.data_schema.fields.len()));
                    self.data_schema.fields.push(nullable_field.clone());
                    self.schema.fields.push(nullable_field);
                }
            }
        }
        for (i, field) in self.partition_fields.iter().enumerate() {
            if !placed[i] {
                self.sources.push(Source::Partition(i));
                self.schema.fields.push(field.clone());
            }
        }
        for (i, field) in self.schema.fields.iter().enumerate() {
            if self.schema.fields[..i].iter().any(|f| same(&f.name, &field.name)) {
                return Err(errors::column_already_exists(&field.name));
            }
        }
        self.arrow_schema = Arc::new(arrow_schema(&self.schema));
        Ok(())
    }

    /// All columns, partition columns included.
    pub fn spark_schema(&self) -> &StructType {
        &self.schema
    }

    pub fn partition_columns(&self) -> Vec<String> {
        self.partition_fields.iter().map(|f| f.name.clone()).filter(|name| name != METADATA_COLUMN).collect()
    }

    pub(crate) fn partition_fields(&self) -> &[StructField] {
        &self.partition_fields
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The files, in the order of their names.
    pub fn files(&self) -> &[TableFile] {
        &self.files
    }

    /// What ends the rescued data of a file.
    pub(crate) fn rescued_tail(&self, file: &ObjectMeta) -> String {
        let path = self.context.rescued_file_path.then(|| self.place.display_of(&file.location));
        rescue::tail(path.as_deref())
    }

    /// Whether some columns of the table have rescued data among them.
    pub(crate) fn reads_rescued(&self, projection: &[usize]) -> bool {
        self.rescue.as_ref().is_some_and(|r| {
            projection.iter().any(|i| self.data_schema.fields.get(*i).is_some_and(|f| f.name == r.column))
        })
    }

    /// The files' URLs, as `df.inputFiles()` gives them.
    pub fn input_files(&self) -> Vec<String> {
        self.files.iter().map(|f| self.place.url_of(&f.meta.location)).collect()
    }

    /// The same table with Spark's hidden column `_metadata`: where each row is from.
    ///
    /// It is the last column, and no partition column.
    pub fn with_metadata_column(mut self) -> Result<Self> {
        let field = StructField::new(METADATA_COLUMN, metadata_type(), false);
        let arrow = boathouse_bridge::arrow_type(&field.data_type);
        let ArrowType::Struct(fields) = &arrow else { return Ok(self) };
        for file in &mut self.files {
            let meta = &file.meta;
            let size = i64::try_from(meta.size).unwrap_or(i64::MAX);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from(vec![self.place.display_of(&meta.location)])),
                Arc::new(StringArray::from(vec![meta.location.filename().unwrap_or_default()])),
                Arc::new(Int64Array::from(vec![size])),
                Arc::new(Int64Array::from(vec![0])),
                Arc::new(Int64Array::from(vec![size])),
                Arc::new(
                    TimestampMicrosecondArray::from(vec![meta.last_modified.timestamp_millis() * 1000])
                        .with_timezone(UTC),
                ),
            ];
            let value = StructArray::try_new(fields.clone(), columns, None).spark()?;
            file.partition_values.push(ScalarValue::Struct(Arc::new(value)));
        }
        self.sources.push(Source::Partition(self.partition_fields.len()));
        self.partition_fields.push(field.clone());
        self.statistics = OnceLock::new();
        self.schema.fields.push(field);
        self.arrow_schema = Arc::new(arrow_schema(&self.schema));
        Ok(self)
    }

    /// The same table with other files, for reading a slice of a stream.
    pub fn with_files(&self, files: Vec<TableFile>) -> Self {
        Self {
            format: self.format,
            options: self.options.clone(),
            context: self.context.clone(),
            choice: self.choice.clone(),
            rescue: self.rescue.clone(),
            place: self.place.clone(),
            files,
            data_schema: self.data_schema.clone(),
            partition_fields: self.partition_fields.clone(),
            schema: self.schema.clone(),
            arrow_schema: self.arrow_schema.clone(),
            sources: self.sources.clone(),
            statistics: OnceLock::new(),
        }
    }

    /// Whether the table was opened with these.
    pub(crate) fn reads_as(&self, format: Format, options: &Options, context: &Context) -> bool {
        self.format == format && self.options == *options && self.context == *context
    }

    /// Whether another table reads the same files in the same way.
    pub fn is_same(&self, other: &Self) -> bool {
        self.format == other.format
            && self.place.store_url == other.place.store_url
            && self.options == other.options
            && self.schema == other.schema
            && self.context.session == other.context.session
            && self.files.iter().map(|f| &f.meta).eq(other.files.iter().map(|f| &f.meta))
    }

    /// Reads footers, after which [`TableProvider::statistics`] tells of the files. What is wrong with a file says the scan.
    pub async fn load_statistics(&self, state: &dyn Session) {
        if self.format == Format::Parquet
            && !self.files.is_empty()
            && self.statistics.get().is_none()
            && let Ok(statistics) = parquet::statistics(self, state).await
        {
            // Where two asked at once, the first answer stays.
            let _ = self.statistics.set(statistics);
        }
    }

    /// What is known of so many bytes of the files.
    pub(crate) fn statistics_of(&self, files: &[TableFile]) -> Option<Statistics> {
        let bytes = |files: &[TableFile]| files.iter().map(|f| f.meta.size as f64).sum::<f64>();
        let statistics = self.statistics.get()?;
        Some(parquet::scaled(statistics.clone(), bytes(files) / bytes(&self.files).max(1.0)))
    }

    /// Whether an expression reads nothing but partition columns, so that each file answers it once.
    fn is_partition_filter(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        !columns.is_empty()
            && !filter.is_volatile()
            && !contains_subquery(filter)
            && columns.iter().all(|c| self.partition_fields.iter().any(|p| p.name == c.name))
    }

    /// The files whose partition values pass the filters.
    fn matching_files(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> datafusion::error::Result<Vec<TableFile>> {
        let filters: Vec<&Expr> = filters.iter().filter(|f| self.is_partition_filter(f)).collect();
        if filters.is_empty() || self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let fields = StructType::new(self.partition_fields.clone());
        let schema = Arc::new(arrow_schema(&fields));
        let columns = (0..self.partition_fields.len())
            .map(|i| ScalarValue::iter_to_array(self.files.iter().map(|f| f.partition_values[i].clone())))
            .collect::<datafusion::error::Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(schema.clone(), columns)?;
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        let mut keep = vec![true; self.files.len()];
        for filter in filters {
            let bare = filter.clone().transform(|e| {
                Ok(match e {
                    Expr::Column(c) => Transformed::yes(Expr::Column(Column::new_unqualified(c.name))),
                    other => Transformed::no(other),
                })
            })?;
            let expression = state.create_physical_expr(bare.data, &df_schema)?;
            let passed = expression.evaluate(&batch)?.into_array(batch.num_rows())?;
            let passed = passed.as_boolean();
            for (i, keep) in keep.iter_mut().enumerate() {
                *keep &= passed.is_valid(i) && passed.value(i);
            }
        }
        Ok(self.files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(f, _)| f.clone()).collect())
    }
}

fn contains_subquery(filter: &Expr) -> bool {
    filter
        .exists(|e| {
            Ok(matches!(
                e,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(..)
            ))
        })
        .unwrap_or(true)
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.arrow_schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let known = self.statistics.get()?;
        let of_files = self.data_schema.fields.len();
        let columns = self.sources.iter().map(|source| match source {
            Source::Data(i) => known.column_statistics[*i].clone(),
            Source::Partition(i) => known.column_statistics[of_files + i].clone(),
        });
        Some(Statistics { column_statistics: columns.collect(), ..known.clone() })
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::error::Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|f| {
                if self.is_partition_filter(f) {
                    TableProviderFilterPushDown::Exact
                } else if self.format == Format::Parquet {
                    TableProviderFilterPushDown::Inexact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let projection: Vec<usize> =
            projection.cloned().unwrap_or_else(|| (0..self.schema.fields.len()).collect());
        rows::check_projection(self, &projection).map_err(to_datafusion)?;
        let schema = Arc::new(self.arrow_schema.project(&projection)?);
        let mut files = self.matching_files(state, filters)?;
        // Files of these formats have a head, but Spark divides a file into parts before it looks inside: there are none of nothing.
        if matches!(self.format, Format::Parquet | Format::Avro) {
            files.retain(|f| f.meta.size > 0);
        }
        // Large files first, as Spark deals them out.
        files.sort_by_key(|f| std::cmp::Reverse(f.meta.size));
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        match self.format {
            Format::Parquet => parquet::scan(self, state, &projection, files, limit),
            _ => rows::scan(self, state, &projection, schema, files, limit),
        }
    }
}

/// The type of a column, for messages.
pub(crate) fn is_plain_text(t: &DataType) -> bool {
    matches!(t, DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_))
}
