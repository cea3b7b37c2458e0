//! Appends and overwrites: `df.write`, INSERT, CREATE TABLE AS SELECT, the sink of a streaming query.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_spec::{DataType, Error, Name, Result, StructField, StructType, clock, quote_paths_if_needed};
use datafusion::catalog::Session;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use serde_json::{Map, Value, json};

use super::create::{self, NewTable};
use super::delete::DmlOptions;
use super::optimize::{self, AutoCompact};
use crate::action::{Add, Metadata, Protocol};
use crate::change_feed::{self, ChangeType, ChangedTable};
use crate::data_file::{FileOptions, FileSettings, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::iceberg_compat;
use crate::location::TableLocation;
use crate::log::commit_file::{make_log_directory, remove_empty_directories};
use crate::partition::{self, SessionZone};
use crate::schema::automatic_widening::{AutomaticWidening, Widening};
use crate::schema::constraints::CheckConstraint;
use crate::schema::identity::{self, IdentityColumn};
use crate::schema::reconcile::{self, Evolution};
use crate::schema::stored;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, OwnReads, ReadSet, Transaction};

/// How rows meet those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    Append,
    Overwrite,
    /// Fails where the table exists.
    ErrorIfExists,
    /// Does nothing where the table exists.
    Ignore,
}

impl WriteMode {
    fn name(self) -> &'static str {
        match self {
            Self::Append => "Append",
            Self::Overwrite => "Overwrite",
            Self::ErrorIfExists => "ErrorIfExists",
            Self::Ignore => "Ignore",
        }
    }
}

/// What an overwrite of a partitioned table replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartitionOverwrite {
    /// Everything, or what `replace_where` says.
    #[default]
    Static,
    /// The partitions that get rows.
    Dynamic,
}

/// A condition over a table's columns, without qualifier, and its SQL text.
#[derive(Debug, Clone)]
pub struct Predicate {
    pub expr: Expr,
    pub sql: String,
    /// The columns that subqueries of the condition speak of, by the table's names and by theirs.
    pub outer_names: Vec<(String, String)>,
}

impl Predicate {
    /// A condition whose subqueries, if any, do not speak of the table's columns.
    pub fn new(expr: Expr, sql: impl Into<String>) -> Self {
        Self { expr, sql: sql.into(), outer_names: Vec::new() }
    }
}

/// How to write.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    pub mode: WriteMode,
    /// The partitioning the write names; of a table that exists it must be the table's.
    pub partition_by: Option<Vec<String>>,
    pub merge_schema: bool,
    /// How far types may grow, where columns are added too.
    pub widening: AutomaticWidening,
    pub overwrite_schema: bool,
    pub replace_where: Option<Predicate>,
    /// Whether the rows must meet `replace_where` (`spark.databricks.delta.replaceWhere.constraintCheck.enabled`).
    pub checks_replace_where: bool,
    /// The option `replaceWhere` as it was given, which the history shows; in an append it has no other effect.
    pub replace_where_text: Option<String>,
    pub partition_overwrite: PartitionOverwrite,
    pub files: FileSettings,
    /// Bytes.
    pub target_file_size: Option<u64>,
    /// `optimizeWrite`: few files whichever task has the rows; what the table says where `None`.
    pub optimize_write: Option<bool>,
    /// Application and version (`txnAppId`, `txnVersion`): the same write again does nothing.
    pub txn: Option<(String, i64)>,
    pub user_metadata: Option<String>,
    pub data_change: bool,
    /// The table's CHECK constraints, resolved. See [`crate::Snapshot::check_constraints`].
    pub constraints: Vec<CheckConstraint>,
    /// The identity columns whose numbers the rows have.
    pub identities: Vec<IdentityColumn>,
    /// What the table is to be where the write makes or replaces it, beyond its rows' schema.
    pub new_table: NewTable,
    /// `CREATE TABLE AS SELECT`, `STREAMING UPDATE`, ...; `WRITE` where `None`. An overwrite by an operation whose name has
    /// `REPLACE TABLE` makes the table anew from `new_table`: nothing of the old one stays but its history.
    pub operation: Option<Operation>,
    /// More fields for the commit info: `userId`, `userName`, `job`, `notebook`, `clusterId`.
    pub commit_fields: Map<String, Value>,
    pub auto_compact: AutoCompact,
    /// Whether a write that changes nothing makes a version all the same (`spark.databricks.delta.skipRecordingEmptyCommits`).
    pub records_nothing: bool,
}

impl WriteOptions {
    pub fn new(mode: WriteMode) -> Self {
        Self {
            mode,
            partition_by: None,
            merge_schema: false,
            widening: AutomaticWidening::default(),
            overwrite_schema: false,
            replace_where: None,
            checks_replace_where: true,
            replace_where_text: None,
            partition_overwrite: PartitionOverwrite::Static,
            files: FileSettings::default(),
            target_file_size: None,
            optimize_write: None,
            txn: None,
            user_metadata: None,
            data_change: true,
            constraints: Vec::new(),
            identities: Vec::new(),
            new_table: NewTable::default(),
            operation: None,
            commit_fields: Map::new(),
            auto_compact: AutoCompact::default(),
            records_nothing: false,
        }
    }

    /// The same, as far as it concerns rows that are there.
    fn dml(&self) -> DmlOptions {
        DmlOptions {
            constraints: self.constraints.clone(),
            files: self.files.clone(),
            commit_fields: self.commit_fields.clone(),
            ..DmlOptions::default()
        }
    }

    /// Whether the table gets the schema of the rows: not where some of its own stay.
    fn overwrites_schema(&self) -> bool {
        self.overwrite_schema && self.replace_where.is_none()
    }

    fn replaces_table(&self) -> bool {
        self.operation.as_ref().is_some_and(|o| o.name.contains("REPLACE TABLE"))
    }

    /// Whether the table becomes what the write says of it: its schema, its partitioning, its clustering.
    fn redefines(&self) -> bool {
        self.mode == WriteMode::Overwrite && (self.overwrites_schema() || self.replaces_table())
    }

    /// The columns that rows for a table that exists are to be clustered by. The batches of a stream, which have a `txn`, say
    /// it of the table that the first of them makes.
    fn clustering(&self) -> Option<&Vec<Name>> {
        self.new_table.cluster_by.as_ref().filter(|_| self.txn.is_none())
    }

    /// Whether all rows go and the new ones say by which columns they are to be clustered.
    fn clusters_anew(&self) -> bool {
        self.mode == WriteMode::Overwrite && self.replace_where.is_none() && self.clustering().is_some()
    }

    pub(crate) fn file_options(&self) -> FileOptions {
        FileOptions {
            settings: self.files.clone(),
            target_file_size: self.target_file_size,
            gathers: self.optimize_write,
        }
    }
}

/// What the table is after the write, and what of that is new.
struct Plan {
    protocol: Protocol,
    metadata: Metadata,
    schema: StructType,
    new_protocol: bool,
    new_metadata: bool,
}

/// Writes the rows of a plan to a table, which is made where `table` is `None`. `None` where nothing was to be done: the
/// same `txn` was written before, the mode is `Ignore`, or no rows came and none went.
pub async fn write(
    location: &TableLocation,
    table: Option<&Snapshot>,
    session: &dyn Session,
    input: Arc<dyn ExecutionPlan>,
    options: &WriteOptions,
) -> Result<Option<Committed>> {
    check_options(table, options)?;
    if table.is_some() {
        match options.mode {
            WriteMode::ErrorIfExists => return Err(path_exists(location)),
            WriteMode::Ignore => return Ok(None),
            _ => {}
        }
    }
    if let Some(table) = table
        && table.was_written(options.txn.as_ref()).await?
    {
        return Ok(None);
    }
    let data = boathouse_bridge::spark_schema(&input.schema())?;
    if table.is_none() {
        refuse_no_columns(&data)?;
    }
    let plan = plan(location, table, &data, options)?;
    iceberg_compat::check_early(table, &plan.protocol, &plan.metadata, &plan.schema)?;
    let domains = match table.is_none() || options.redefines() || options.clusters_anew() {
        true => create::clustering_of(&options.new_table, &plan.metadata, table)?,
        false => {
            refuse_other_clustering(table, options).await?;
            Vec::new()
        }
    };
    if table.is_some() {
        identity::refuse_missing(&plan.schema, &data, &options.identities)?;
    }

    let mut constraints = options.constraints.clone();
    if let Some(predicate) = options.replace_where.as_ref().filter(|_| options.checks_replace_where) {
        let name = format!("EXPRESSION({})", predicate.sql);
        constraints.push(CheckConstraint { name, sql: predicate.sql.clone(), expr: predicate.expr.clone() });
    }
    let target = Arc::new(WriteTarget::new(
        session,
        &TableVersion { location, protocol: &plan.protocol, metadata: &plan.metadata, schema: &plan.schema },
        &constraints,
        &options.file_options(),
        options.data_change,
    )?);
    for required in target.constraints.required() {
        if data.index_of(required).is_none() {
            return Err(Error::new("DELTA_MISSING_NOT_NULL_COLUMN_VALUE")
                .param("columnName", required)
                .message(format!(
                    "The column {required} is NOT NULL, and the data to be written does not have it."
                ))
                .exception("DeltaInvariantViolationException"));
        }
    }
    if table.is_none() {
        make_log_directory(location).await?;
    }
    let written = match write_plan(input, session.task_ctx(), target).await {
        Ok(written) => written,
        Err(e) => {
            if table.is_none() {
                remove_empty_directories(location).await;
            }
            return Err(replace_where_mismatch(e, options.replace_where.as_ref()));
        }
    };

    let mut transaction = Transaction::new(location, table, operation(table, options));
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    transaction.of_application(options.txn.as_ref());
    transaction.domains = domains;
    if plan.new_metadata {
        transaction.metadata = Some(plan.metadata);
    }
    if plan.new_protocol {
        transaction.protocol = Some(plan.protocol);
    }
    transaction.record_identities(&options.identities)?;
    let Some(committed) = finish(transaction, table, session, written, options).await? else {
        return Ok(None);
    };
    Ok(Some(optimize::after_commit(committed, session, &options.auto_compact, &options.dml()).await))
}

/// Rows that are added to others are clustered as the table is.
async fn refuse_other_clustering(table: Option<&Snapshot>, options: &WriteOptions) -> Result<()> {
    let (Some(table), Some(given)) = (table, options.clustering()) else { return Ok(()) };
    let own = table.clustering_columns().await?.unwrap_or_default();
    let (given, own) = (quote_paths_if_needed(given), quote_paths_if_needed(&own));
    let same = given.len() == own.len() && given.iter().zip(&own).all(|(a, b)| a.eq_ignore_ascii_case(b));
    match same {
        true => Ok(()),
        false => Err(reconcile::clustering_mismatch(&given, &own)),
    }
}

/// A table has a column, and one with values.
fn refuse_no_columns(data: &StructType) -> Result<()> {
    if data.fields.is_empty() {
        return Err(Error::new("DELTA_EMPTY_DATA")
            .message("The data that a Delta table is to be made of has no columns.")
            .exception("AnalysisException"));
    }
    if data.fields.iter().all(|f| f.data_type == DataType::Null) {
        return Err(Error::new("DELTA_CANNOT_WRITE_EMPTY_SCHEMA.TABLE_ALL_VOID_COLUMNS")
            .message("The Delta table would have columns of the type VOID only.")
            .exception("AnalysisException"));
    }
    Ok(())
}

/// Adds the new files, takes away what they replace, and commits, where that changes the table.
async fn finish(
    mut transaction: Transaction,
    table: Option<&Snapshot>,
    session: &dyn Session,
    written: WrittenFiles,
    options: &WriteOptions,
) -> Result<Option<Committed>> {
    let mut rows = written.rows;
    let mut bytes = written.bytes;
    let mut files = written.adds.len();
    let mut removed: Option<(usize, i64)> = None;
    let now = clock::now_ms();
    if let (WriteMode::Overwrite, Some(table)) = (options.mode, table) {
        if let Some(predicate) = &options.replace_where {
            let mut rewrite = super::delete::rewrite(table, session, predicate, &options.dml()).await?;
            transaction.reads = ReadSet { app_ids: transaction.reads.app_ids, ..rewrite.reads };
            rows += rewrite.written.rows;
            bytes += rewrite.written.bytes;
            files += rewrite.written.adds.len();
            let changes = rewrite.changes;
            removed = Some((changes.removed_files as usize, rewrite.removed_bytes));
            transaction.metrics.set("numCopiedRows", rewrite.copied_rows);
            if !rewrite.change_files.is_empty() {
                let metadata = transaction.metadata.as_ref().unwrap_or(table.metadata());
                let schema = StructType::from_json(&metadata.schema_string)?;
                let new = ChangedTable { snapshot: table, metadata, schema: &schema };
                let inserted =
                    change_feed::of_added(&new, session, &written.adds, ChangeType::Insert, &options.files)
                        .await?;
                rewrite.change_files.extend(inserted);
            }
            transaction.metrics.set("numAddedChangeFiles", rewrite.change_files.len());
            if let Some(deleted) = rewrite.deleted_rows {
                transaction.metrics.set("numDeletedRows", deleted);
            }
            changes.put_into(&mut transaction);
            transaction.add_written(rewrite.written.adds);
            transaction.add_changes(rewrite.change_files);
        } else {
            let mut gone: Vec<_> = table.files().await?.iter().collect();
            if options.partition_overwrite == PartitionOverwrite::Dynamic
                && !table.partition_columns().is_empty()
            {
                gone = of_same_partitions(gone, &written.adds, table, session)?;
            }
            let gone: Vec<_> = gone.iter().map(|f| f.remove(now, options.data_change)).collect();
            transaction.reads = ReadSet { app_ids: transaction.reads.app_ids, ..ReadSet::whole_table() };
            removed = Some((gone.len(), gone.iter().filter_map(|r| r.size).sum()));
            transaction.remove(gone);
        }
    }
    transaction.add_written(written.adds);
    transaction.metrics.set("numFiles", files);
    if let Some((count, size)) = removed {
        transaction.metrics.set("numRemovedFiles", count);
        transaction.metrics.set("numRemovedBytes", size);
    }
    transaction.metrics.set("numOutputRows", rows);
    transaction.metrics.set("numOutputBytes", bytes);
    transaction.reads.extend(OwnReads::found(session));
    match table.is_some() && transaction.is_empty() && !options.records_nothing {
        true => Ok(None),
        false => transaction.commit().await.map(Some),
    }
}

/// The files of partitions that new files are in.
fn of_same_partitions(
    files: Vec<Arc<Add>>,
    new: &[Add],
    table: &Snapshot,
    session: &dyn Session,
) -> Result<Vec<Arc<Add>>> {
    let columns = table.columns().partitions(table.metadata());
    let zone = SessionZone::of(session);
    let partition = |file: &Add| partition::key(&columns, &file.partition_values, &zone);
    let replaced = new.iter().map(&partition).collect::<Result<HashSet<_>>>()?;
    let mut out = Vec::new();
    for file in files {
        if replaced.contains(&partition(&file)?) {
            out.push(file);
        }
    }
    Ok(out)
}

fn plan(
    location: &TableLocation,
    table: Option<&Snapshot>,
    data: &StructType,
    options: &WriteOptions,
) -> Result<Plan> {
    let Some(table) = table else {
        reconcile::refuse_duplicates(data)?;
        let mut new = options.new_table.clone();
        if new.schema.fields.is_empty() {
            new.schema = all_nullable(data);
        }
        if let Some(partition_by) = &options.partition_by {
            new.partition_by.clone_from(partition_by);
        }
        let (protocol, metadata) = create::metadata_of(location, &new, None, options.operation.is_some())?;
        let schema = StructType::from_json(&metadata.schema_string)?;
        return Ok(Plan { protocol, metadata, schema, new_protocol: true, new_metadata: true });
    };
    crate::protocol::check_writable(location, table.protocol(), table.metadata(), table.schema())?;
    if options.redefines() {
        return replaced(location, table, data, options);
    }
    if let Some(given) = &options.partition_by {
        create::partition_columns(data, given)?;
        let same = given.len() == table.partition_columns().len()
            && given.iter().zip(table.partition_columns()).all(|(a, b)| a.eq_ignore_ascii_case(b));
        if !same {
            return Err(reconcile::partition_mismatch(given, table.partition_columns()));
        }
    }
    let merged = reconcile::merged_schema(
        table.id(),
        table.schema(),
        data,
        Evolution { merge: options.merge_schema, widening: Widening::of(table, options.widening) },
    )?;
    let protocol = match options.clusters_anew() {
        true => create::clustered_protocol(table.protocol(), table.partition_columns())?,
        false => table.protocol().clone(),
    };
    if merged == *table.schema() {
        return Ok(Plan {
            new_protocol: protocol != *table.protocol(),
            protocol,
            metadata: table.metadata().clone(),
            schema: merged,
            new_metadata: false,
        });
    }
    let mut metadata = table.metadata().clone();
    let stored = stored::stored_schema(&merged)?;
    stored::check_names(&stored, table.columns().is_mapped())?;
    let schema = stored::assign_mapping(&stored, &mut metadata, false);
    metadata.schema_string = schema.json();
    let protocol = crate::protocol::upgraded(&protocol, &metadata, &schema)?;
    Ok(Plan { new_protocol: protocol != *table.protocol(), protocol, metadata, schema, new_metadata: true })
}

/// The table with the data's schema and the write's partitioning (`overwriteSchema`, `REPLACE TABLE`).
fn replaced(
    location: &TableLocation,
    table: &Snapshot,
    data: &StructType,
    options: &WriteOptions,
) -> Result<Plan> {
    reconcile::refuse_duplicates(data)?;
    let mut new = options.new_table.clone();
    if new.schema.fields.is_empty() {
        new.schema = all_nullable(data);
    }
    if let Some(partition_by) = &options.partition_by {
        new.partition_by.clone_from(partition_by);
    }
    if !options.replaces_table() {
        new.properties.clone_from(&table.metadata().configuration);
        new.name.clone_from(&table.metadata().name);
        new.description.clone_from(&table.metadata().description);
    }
    let (protocol, mut metadata) =
        create::metadata_of(location, &new, Some(table), options.replaces_table())?;
    if !options.replaces_table() {
        metadata.id = table.id().to_string();
        metadata.created_time = table.metadata().created_time;
    }
    let schema = StructType::from_json(&metadata.schema_string)?;
    Ok(Plan {
        new_protocol: protocol != *table.protocol(),
        new_metadata: metadata != *table.metadata(),
        protocol,
        metadata,
        schema,
    })
}

/// A table made by rows takes NULL in every column.
fn all_nullable(data: &StructType) -> StructType {
    StructType::new(
        data.fields
            .iter()
            .map(|f| StructField { data_type: f.data_type.as_nullable(), nullable: true, ..f.clone() })
            .collect(),
    )
}

fn operation(table: Option<&Snapshot>, options: &WriteOptions) -> Operation {
    if let Some(operation) = &options.operation {
        return operation.clone();
    }
    // Of a table that exists, the write's own partitioning says nothing new, but Spark records it.
    let partition_by = options.partition_by.clone().unwrap_or_default();
    let mut out =
        Operation::new("WRITE").text("mode", options.mode.name()).json("partitionBy", &json!(partition_by));
    let replaced = options.replace_where.as_ref().map(|p| &p.sql);
    if let Some(text) = options.replace_where_text.as_ref().or(replaced) {
        out = out.text("predicate", text.clone());
    }
    if options.merge_schema {
        out = out.raw("canMergeSchema", true);
    }
    if options.overwrite_schema {
        out = out.raw("canOverwriteSchema", true);
    }
    if options.partition_overwrite == PartitionOverwrite::Dynamic && table.is_some() {
        out = out.raw("isDynamicPartitionOverwrite", true);
    }
    out
}

fn check_options(table: Option<&Snapshot>, options: &WriteOptions) -> Result<()> {
    let exclusive =
        |class: &str, text: &str| Err(Error::new(class).message(text).exception("AnalysisException"));
    if options.partition_overwrite == PartitionOverwrite::Dynamic && options.mode == WriteMode::Overwrite {
        if options.overwrite_schema {
            return exclusive(
                "DELTA_OVERWRITE_SCHEMA_WITH_DYNAMIC_PARTITION_OVERWRITE",
                "overwriteSchema does not go with a dynamic overwrite of partitions.",
            );
        }
        if options.replace_where.is_some() {
            return exclusive(
                "DELTA_REPLACE_WHERE_WITH_DYNAMIC_PARTITION_OVERWRITE",
                "replaceWhere does not go with a dynamic overwrite of partitions.",
            );
        }
    }
    if !options.data_change && options.replace_where.is_some() {
        return exclusive(
            "DELTA_REPLACE_WHERE_WITH_FILTER_DATA_CHANGE_UNSET",
            "replaceWhere changes data: it does not go with dataChange = false.",
        );
    }
    if table.is_none() && options.replace_where.is_some() {
        return exclusive("DELTA_PATH_DOES_NOT_EXIST", "replaceWhere needs a table that exists.");
    }
    Ok(())
}

fn path_exists(location: &TableLocation) -> Error {
    Error::new("DELTA_PATH_EXISTS")
        .param("path", location.uri())
        .message(format!("There is a table in {}, and the write is not to overwrite it.", location.uri()))
        .exception("AnalysisException")
}

/// A row outside of what is replaced is an error of the option, not of a constraint of the table.
fn replace_where_mismatch(e: Error, predicate: Option<&Predicate>) -> Error {
    let Some(predicate) = predicate.filter(|_| e.is("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES")) else {
        return e;
    };
    let ours = format!("EXPRESSION({})", predicate.sql);
    if !e.parameters().iter().any(|(k, v)| k == "constraintName" && *v == ours) {
        return e;
    }
    Error::new("DELTA_REPLACE_WHERE_MISMATCH")
        .param("replaceWhere", &predicate.sql)
        .param("message", e.to_string())
        .message(format!("A row to be written is not within what is replaced ({}).\n{e}", predicate.sql))
        .exception("AnalysisException")
}
