//! The change data feed: which rows each commit inserted, deleted and changed ("Change Data Files" in PROTOCOL.md).
//!
//! A commit with files of changes says with them all that it changed. Of others, the rows of files that came are inserts,
//! those of files that went are deletes, and where a file only got another deletion vector, the difference of the two.

mod lookup;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use indexmap::IndexMap;
use roaring::RoaringTreemap;

use crate::action::{Add, DeletionVector, Metadata, Remove, is_true};
use crate::changes::{CommitChanges, changes};
use crate::deletion_vector;
use crate::error;
use crate::file_set::FileWithStats;
use crate::scan::{DeltaScan, HiddenColumn, HiddenValue};
use crate::snapshot::Snapshot;
use crate::stats::StatsTable;
use crate::table::{DeltaTable, TimestampRules};
use lookup::FileConstant;

pub(crate) use write::{ChangeType, ChangedTable, of_added, of_delete, of_update, write_rows};

/// What a row of the feed says of itself: the columns after the table's.
pub const CHANGE_TYPE: &str = "_change_type";
pub const COMMIT_VERSION: &str = "_commit_version";
pub const COMMIT_TIMESTAMP: &str = "_commit_timestamp";

const FILE: &str = "__delta_file";

/// Before the names of columns in the parts of a feed. The optimizer takes a column and its alias of the same name for two
/// when it moves accesses of fields below a union.
const IN_PARTS: &str = "__delta_part_";

impl Snapshot {
    /// The table as its files of changes have it: with a column for what happened, and without conditions, which the rows
    /// were held against where they were written first.
    pub(crate) fn with_change_type(&self, metadata: &Metadata, schema: &StructType) -> Result<Snapshot> {
        let mut metadata = metadata.clone();
        metadata.configuration.retain(|key, _| !key.starts_with("delta.constraints."));
        let mut schema = schema.clone();
        for field in schema.fields.iter_mut().filter(|f| !f.metadata.is_empty()) {
            let mut notes = field.metadata_map();
            notes.retain(|key, _| key.starts_with("delta.columnMapping."));
            *field = StructField { nullable: true, ..field.clone() }.with_metadata(&notes);
        }
        let mut change_type = StructField::new(CHANGE_TYPE, DataType::STRING, true);
        if self.columns().is_mapped() {
            let mut notes = serde_json::Map::new();
            notes.insert("delta.columnMapping.physicalName".into(), CHANGE_TYPE.into());
            change_type = change_type.with_metadata(&notes);
        }
        schema.fields.push(change_type);
        metadata.schema_string = schema.json();
        self.with_columns(metadata, schema)
    }
}

/// Where a feed begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangePoint {
    Version(i64),
    /// Milliseconds since the epoch.
    Timestamp(i64),
}

/// Whether a table keeps its changes.
pub fn keeps_changes(table: &Snapshot) -> bool {
    table.metadata().is_on("delta.enableChangeDataFeed")
}

/// Whether a commit's configuration of a table makes it keep its changes.
pub fn is_change_feed_on(configuration: &IndexMap<String, String>) -> bool {
    configuration.get("delta.enableChangeDataFeed").is_some_and(|v| is_true(v))
}

/// The columns of a feed: the table's, then what happened to the row, by which commit, and when.
pub fn change_feed_schema(table: &StructType) -> StructType {
    let mut out = table.clone();
    out.fields.push(StructField::new(CHANGE_TYPE, DataType::STRING, true));
    out.fields.push(StructField::new(COMMIT_VERSION, DataType::Long, true));
    out.fields.push(StructField::new(COMMIT_TIMESTAMP, DataType::Timestamp, true));
    out
}

/// The changes of the commits from one point to another, the latest where `None`; and the version whose columns they have.
/// `out_of_range`: a feed may begin after the last commit, and has no rows then.
pub async fn change_feed(
    table: &DeltaTable,
    from: ChangePoint,
    to: Option<ChangePoint>,
    out_of_range: bool,
) -> Result<(Snapshot, Arc<dyn TableProvider>)> {
    let latest = table.latest().await?;
    let from = match first_version(table, &latest, from).await {
        Err(e) if out_of_range && AFTER_THE_END.iter().any(|class| e.is(class)) => {
            let plan = plan(&latest, &[], &HashMap::new()).await?;
            return Ok((latest, Arc::new(ViewTable::new(plan, None))));
        }
        from => from?,
    };
    let to = match to {
        Some(to) => last_version(table, &latest, to).await?,
        None => latest.version(),
    };
    if from > to {
        return Err(invalid_range(from, to));
    }
    // A table that maps its columns may have renamed them since.
    let columns = if latest.columns().is_mapped() { table.at_version(to).await? } else { latest.clone() };
    let reserved = [CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP];
    if let Some(taken) =
        columns.schema().fields.iter().find(|f| reserved.contains(&f.name.to_lowercase().as_str()))
    {
        return Err(Error::new("DELTA_TABLE_ALREADY_CONTAINS_CDC_COLUMNS")
            .param("columnList", format!("[{}]", taken.name))
            .message(format!("The change feed has columns of its own named as the table's `{}`.", taken.name))
            .exception("AnalysisException"));
    }
    let (first, last) = table.versions().await?;
    if from < first {
        return Err(error::log_file_not_found(table.location(), from, first, last));
    }
    let begin = table.cache().at(table.location(), from).await?;
    let commits = changes(table.location(), from, Some(to)).await?;
    refuse_gaps(&begin, &commits, to)?;
    let times: HashMap<i64, i64> = table.version_times().await?.into_iter().collect();
    let plan = plan(&columns, &commits, &times).await?;
    Ok((columns, Arc::new(ViewTable::new(plan, None))))
}

/// The changes of commits, for a slice of a stream.
pub async fn changes_plan(columns: &Snapshot, commits: &[CommitChanges]) -> Result<LogicalPlan> {
    plan(columns, commits, &HashMap::new()).await
}

/// What is wrong with a feed that begins after the last commit.
const AFTER_THE_END: [&str; 2] =
    ["DELTA_CDC_START_VERSION_AFTER_LATEST", "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"];

async fn first_version(table: &DeltaTable, latest: &Snapshot, from: ChangePoint) -> Result<i64> {
    let version = match from {
        ChangePoint::Version(version) => version,
        ChangePoint::Timestamp(at) => {
            let times = table.version_times().await?;
            match times.iter().find(|(_, time)| *time >= at) {
                Some((version, _)) => *version,
                // Says by its error when the last commit was.
                None => table.version_at_timestamp(at, TimestampRules::default()).await?,
            }
        }
    };
    if version > latest.version() {
        return Err(Error::new("DELTA_CDC_START_VERSION_AFTER_LATEST")
            .param("startingVersion", version)
            .param("latestVersion", latest.version())
            .message(format!(
                "The feed cannot begin at version {version}: the table's latest version is {}.",
                latest.version()
            ))
            .exception("IllegalArgumentException"));
    }
    Ok(version)
}

async fn last_version(table: &DeltaTable, latest: &Snapshot, to: ChangePoint) -> Result<i64> {
    match to {
        ChangePoint::Version(version) => Ok(version.min(latest.version())),
        ChangePoint::Timestamp(at) => {
            let times = table.version_times().await?;
            Ok(times.iter().rev().find(|(_, time)| *time <= at).map_or(-1, |(version, _)| *version))
        }
    }
}

fn invalid_range(from: i64, to: i64) -> Error {
    Error::new("DELTA_INVALID_CDC_RANGE")
        .param("start", from)
        .param("end", to)
        .message(format!(
            "The change feed cannot begin at version {from} and end at version {to}, before it."
        ))
        .exception("IllegalArgumentException")
}

/// Every commit was made while the table kept its changes.
fn refuse_gaps(begin: &Snapshot, commits: &[CommitChanges], to: i64) -> Result<()> {
    let (from, mut keeps) = (begin.version(), keeps_changes(begin));
    for commit in commits {
        if let Some(metadata) = &commit.metadata {
            keeps = is_change_feed_on(&metadata.configuration);
        }
        if !keeps {
            return Err(Error::new("DELTA_MISSING_CHANGE_DATA")
                .param("startVersion", from)
                .param("endVersion", to)
                .param("version", commit.version)
                .param("key", "delta.enableChangeDataFeed")
                .message(format!(
                    "The changes of the versions {from} to {to} cannot be told: at version {} the table did not keep \
                     them (delta.enableChangeDataFeed).",
                    commit.version
                ))
                .exception("AnalysisException"));
        }
    }
    Ok(())
}

/// Files with the same change of all their rows.
#[derive(Default)]
struct Changed {
    files: Vec<Add>,
    types: Vec<&'static str>,
    commits: Vec<(i64, i64)>,
    /// The rows that changed, where not all of the file did.
    rows: Vec<RoaringTreemap>,
}

impl Changed {
    fn push(&mut self, file: Add, change: ChangeType, commit: (i64, i64)) {
        self.files.push(file);
        self.types.push(change.name());
        self.commits.push(commit);
    }
}

async fn plan(
    columns: &Snapshot,
    commits: &[CommitChanges],
    times: &HashMap<i64, i64>,
) -> Result<LogicalPlan> {
    let (mut whole, mut partly, mut recorded) = (Changed::default(), Changed::default(), Changed::default());
    for commit in commits {
        let at = times.get(&commit.version).copied().unwrap_or(commit.timestamp_ms);
        let id = (commit.version, at);
        if !commit.cdc.is_empty() {
            for file in &commit.cdc {
                recorded.push(file_of(file), ChangeType::Insert, id);
            }
            continue;
        }
        let mut gone: HashMap<&str, &Remove> =
            commit.removes.iter().filter(|r| r.data_change).map(|r| (r.path.as_str(), r)).collect();
        for add in commit.adds.iter().filter(|a| a.data_change) {
            match gone.remove(add.path.as_str()) {
                Some(old) => difference(columns, add, old, id, &mut partly).await?,
                None => whole.push(add.clone(), ChangeType::Insert, id),
            }
        }
        for remove in commit.removes.iter().filter(|r| gone.contains_key(r.path.as_str())) {
            whole.push(removed_file(remove), ChangeType::Delete, id);
        }
    }
    let mut parts = Vec::new();
    if !whole.files.is_empty() {
        parts.push(rows_of(columns, whole, false)?);
    }
    if !partly.files.is_empty() {
        parts.push(rows_of(columns, partly, false)?);
    }
    if !recorded.files.is_empty() {
        parts.push(rows_of(
            &columns.with_change_type(columns.metadata(), columns.schema())?,
            recorded,
            true,
        )?);
    }
    if parts.is_empty() {
        parts.push(rows_of(columns, Changed::default(), false)?);
    }
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| Error::internal("a feed without parts"))?;
    let all = parts
        .try_fold(first, |all, part| LogicalPlanBuilder::from(all).union(part).spark()?.build().spark())?;
    let names = columns.schema().fields.iter().map(|f| f.name.as_str());
    let list = names
        .chain([CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP])
        .map(|name| Expr::Column(Column::from_name(format!("{IN_PARTS}{name}"))).alias(name));
    LogicalPlanBuilder::from(all).project(list.collect::<Vec<_>>()).spark()?.build().spark()
}

/// The rows that one deletion vector of a file has and the other has not.
async fn difference(
    columns: &Snapshot,
    add: &Add,
    old: &Remove,
    id: (i64, i64),
    out: &mut Changed,
) -> Result<()> {
    let before = deleted(columns, old.deletion_vector.as_ref()).await?;
    let after = deleted(columns, add.deletion_vector.as_ref()).await?;
    for (rows, change) in [(&after - &before, ChangeType::Delete), (&before - &after, ChangeType::Insert)] {
        if !rows.is_empty() {
            out.push(Add { deletion_vector: None, stats: None, ..add.clone() }, change, id);
            out.rows.push(rows);
        }
    }
    Ok(())
}

async fn deleted(table: &Snapshot, vector: Option<&DeletionVector>) -> Result<RoaringTreemap> {
    match vector {
        Some(vector) => deletion_vector::read(table.location(), vector).await,
        None => Ok(RoaringTreemap::new()),
    }
}

fn removed_file(remove: &Remove) -> Add {
    let partition_values = remove.partition_values.clone().unwrap_or_default();
    Add {
        deletion_vector: remove.deletion_vector.clone(),
        ..Add::new(remove.path.clone(), partition_values, remove.size.unwrap_or(0))
    }
}

fn file_of(file: &crate::action::Cdc) -> Add {
    let partition_values = file.partition_values.clone();
    Add { data_change: false, ..Add::new(file.path.clone(), partition_values, file.size) }
}

/// Files that a commit named, for a scan.
fn numbered(adds: Vec<Arc<Add>>, columns: &Snapshot) -> Vec<FileWithStats> {
    let stats = Arc::new(StatsTable::build(&adds, columns.columns()));
    adds.into_iter()
        .enumerate()
        .map(|(row, file)| FileWithStats { file, stats: Arc::clone(&stats), row, index: row, chosen: None })
        .collect()
}

/// The rows of files with what happened to them. `types_in_files`: the files say it row by row.
fn rows_of(columns: &Snapshot, changed: Changed, types_in_files: bool) -> Result<LogicalPlan> {
    let mut files = numbered(changed.files.into_iter().map(Arc::new).collect(), columns);
    for (file, rows) in files.iter_mut().zip(changed.rows) {
        file.chosen = Some(Arc::new(rows));
    }
    let hidden = vec![HiddenColumn::new(FILE, HiddenValue::FileIndex)];
    let scan = DeltaScan::with_hidden(columns.clone(), hidden)?.with_files(files);
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let builder = crate::operation::rows_of(scan)?;
    let versions: ArrayRef = Arc::new(Int64Array::from_iter_values(changed.commits.iter().map(|c| c.0)));
    let times: ArrayRef = Arc::new(
        TimestampMicrosecondArray::from_iter_values(changed.commits.iter().map(|c| c.1.saturating_mul(1000)))
            .with_timezone(boathouse_bridge::UTC),
    );
    let named = |expr: Expr, name: &str| expr.alias(format!("{IN_PARTS}{name}"));
    let mut list: Vec<Expr> = columns
        .schema()
        .fields
        .iter()
        .filter(|f| !types_in_files || f.name != CHANGE_TYPE)
        .map(|f| named(column(&f.name), &f.name))
        .collect();
    let change_type = if types_in_files {
        column(CHANGE_TYPE)
    } else {
        let types: ArrayRef = Arc::new(StringArray::from_iter_values(changed.types));
        FileConstant::new(types).call(column(FILE))
    };
    list.push(named(change_type, CHANGE_TYPE));
    list.push(named(FileConstant::new(versions).call(column(FILE)), COMMIT_VERSION));
    list.push(named(FileConstant::new(times).call(column(FILE)), COMMIT_TIMESTAMP));
    builder.project(list).spark()?.build().spark()
}
