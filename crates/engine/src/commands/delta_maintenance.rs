//! `RESTORE`, `OPTIMIZE`, `REORG`, `GENERATE`.

use std::sync::Arc;

use boathouse_delta::{OptimizeMetrics, OptimizeOptions, Predicate, Report, RestoreTo, SizeSummary};
use boathouse_spec::{CastMode, DataType, Error, Expr, Name, Result, StructType, TextExpr, TimeTravel};
use datafusion::scalar::ScalarValue;

use crate::commands::table_expressions::{TableScope, dml_options};
use crate::commands::{evaluate, target, write};
use crate::resolver::ResolvedTable;
use crate::rows::column;
use crate::{QueryResult, Session, execute, storage};

/// The rows of a report.
pub(super) fn reported(report: Report) -> QueryResult {
    QueryResult::of(report.schema, vec![report.batch])
}

pub(super) fn optimize_schema() -> Option<StructType> {
    let nothing = OptimizeMetrics {
        files_added: SizeSummary::default(),
        files_removed: SizeSummary::default(),
        partitions_optimized: 0,
        zordered: false,
        clustering: None,
        num_bins: 0,
        total_considered_files: 0,
        total_files_skipped: 0,
        deletion_vectors_removed: 0,
        deletion_vector_rows_removed: 0,
        num_table_columns: 0,
        num_table_columns_with_stats: 0,
        start_time_ms: 0,
        end_time_ms: 0,
    };
    boathouse_delta::optimize_report("", &nothing).ok().map(|r| r.schema)
}

pub(super) fn restore_schema() -> StructType {
    let names = [
        "table_size_after_restore",
        "num_of_files_after_restore",
        "num_removed_files",
        "num_restored_files",
        "removed_files_size",
        "restored_files_size",
    ];
    StructType::new(names.iter().map(|n| column(n, DataType::Long, true)).collect())
}

pub(super) async fn restore(session: &Arc<Session>, name: &[String], to: TimeTravel) -> Result<QueryResult> {
    let (table, delta) =
        target::delta(session, name, "RESTORE TABLE", &target::relation_path(session)).await?;
    let to = match to {
        TimeTravel::Version(expr) => match value(session, expr, DataType::Long).await? {
            (ScalarValue::Int64(Some(version)), _) => RestoreTo::Version(version),
            (_, text) => return Err(no_version(&text)),
        },
        TimeTravel::Timestamp(expr) => match value(session, expr, DataType::Timestamp).await? {
            (ScalarValue::TimestampMicrosecond(Some(us), _), text) => {
                RestoreTo::Timestamp(us.div_euclid(1000), text)
            }
            (_, text) => return Err(no_version(&text)),
        },
    };
    let lowers = session.conf().flag("spark.databricks.delta.restore.protocolDowngradeAllowed");
    let committed =
        boathouse_delta::restore(&delta.table, &to, lowers, &dml_options(session, Vec::new())).await?;
    let report = boathouse_delta::restore_report(&committed)?;
    session.committed(&delta.table, &committed);
    session.engine.cache.changed(&delta.table.location().uri()).await;
    write::sync_record(session, &table).await?;
    Ok(reported(report))
}

/// A constant of a type, and its text.
pub(super) async fn value(session: &Arc<Session>, expr: Expr, to: DataType) -> Result<(ScalarValue, String)> {
    let text = expr.clone().cast(DataType::STRING);
    let cast = Expr::Cast { expr: Box::new(expr), to, mode: CastMode::Try, origin: Default::default() };
    let mut values = evaluate::row(session, vec![cast, text]).await?;
    let text = values.pop().map(|(v, _)| v.to_string()).unwrap_or_default();
    let value = values.pop().map_or(ScalarValue::Null, |(v, _)| v);
    Ok((value, text))
}

fn no_version(text: &str) -> Error {
    Error::new("DELTA_TIMESTAMP_INVALID")
        .param("timeTravelKey", "RESTORE")
        .param("timeTravelValue", text)
        .message(format!("{text} is no version or time of a table."))
        .exception("AnalysisException")
}

pub(super) async fn optimize(
    session: &Arc<Session>,
    name: &[String],
    condition: Option<TextExpr>,
    zorder_by: Vec<Name>,
    full: bool,
) -> Result<QueryResult> {
    let (table, delta) = target::delta(session, name, "OPTIMIZE", &target::relation_path(session)).await?;
    let condition = partition_condition(session, table, condition, "OPTIMIZE").await?;
    let conf = session.conf();
    let size = |name: &str| {
        let key = format!("spark.databricks.delta.optimize.{name}");
        let set = if conf.is_set(&key) { conf.bytes(&key) } else { None };
        set.and_then(|bytes| u64::try_from(bytes).ok())
    };
    let options = OptimizeOptions {
        condition,
        zorder_by,
        target_file_size: size("maxFileSize"),
        min_file_size: size("minFileSize"),
        auto: false,
        purge: false,
        full,
        commit: dml_options(session, Vec::new()),
    };
    let state = execute::changing_state(session, &delta.snapshot);
    let (metrics, committed) = boathouse_delta::optimize(&delta.snapshot, &state, &options).await?;
    if let Some(committed) = committed {
        session.committed(&delta.table, &committed);
    }
    boathouse_delta::optimize_report(&storage::shown(&delta.url), &metrics).map(reported)
}

/// `REORG TABLE .. APPLY (PURGE)`: files with deleted rows are written without them.
pub(super) async fn reorg(
    session: &Arc<Session>,
    name: &[String],
    condition: Option<TextExpr>,
) -> Result<QueryResult> {
    let (table, delta) = target::delta(session, name, "REORG TABLE", &target::relation_path(session)).await?;
    let condition = partition_condition(session, table, condition, "REORG").await?;
    let options = OptimizeOptions {
        condition,
        purge: true,
        commit: dml_options(session, Vec::new()),
        ..OptimizeOptions::default()
    };
    let state = execute::changing_state(session, &delta.snapshot);
    let (metrics, committed) = boathouse_delta::optimize(&delta.snapshot, &state, &options).await?;
    if let Some(committed) = committed {
        session.committed(&delta.table, &committed);
    }
    boathouse_delta::optimize_report(&storage::shown(&delta.url), &metrics).map(reported)
}

/// `REORG TABLE .. APPLY (UPGRADE UNIFORM ..)`: the table becomes one that Iceberg can read.
pub(super) async fn upgrade_uniform(
    session: &Arc<Session>,
    name: &[String],
    version: i32,
) -> Result<QueryResult> {
    let (table, delta) = target::delta(session, name, "REORG TABLE", &target::relation_path(session)).await?;
    let state = execute::changing_state(session, &delta.snapshot);
    let options = dml_options(session, Vec::new());
    let (metrics, committed) =
        boathouse_delta::upgrade_uniform(&delta.snapshot, &state, version, &options).await?;
    if let Some(committed) = committed {
        session.committed(&delta.table, &committed);
        write::sync_record(session, &table).await?;
    }
    match metrics {
        Some(metrics) => {
            boathouse_delta::optimize_report(&storage::shown(&delta.url), &metrics).map(reported)
        }
        None => Ok(QueryResult::of(optimize_schema().unwrap_or_default(), Vec::new())),
    }
}

/// `GENERATE symlink_format_manifest FOR TABLE t`
pub(super) async fn generate(session: &Arc<Session>, name: &[String], mode: &str) -> Result<QueryResult> {
    let (_, delta) = target::delta(session, name, "GENERATE", &target::relation_path(session)).await?;
    boathouse_delta::generate(&delta.snapshot, mode).await?;
    Ok(QueryResult::empty())
}

async fn partition_condition(
    session: &Arc<Session>,
    table: ResolvedTable,
    condition: Option<TextExpr>,
    statement: &'static str,
) -> Result<Option<Predicate>> {
    let Some(condition) = condition else { return Ok(None) };
    let predicate = session.analyze(move |analyzer| {
        let scope = TableScope::open(analyzer, &table, None)?;
        scope.condition(analyzer, &condition.expr, statement)
    });
    predicate.await.map(Some)
}
