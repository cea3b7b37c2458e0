//! `FSCK REPAIR TABLE`

use std::sync::Arc;

use boathouse_delta::{DeltaTable, FsckMode as Checks, Report};
use boathouse_spec::{DataType, Error, Expr, FsckMode, Result, StructType};
use datafusion::scalar::ScalarValue;

use super::delta_maintenance::{reported, value};
use super::table_expressions::dml_options;
use super::target;
use crate::{QueryResult, Session};

/// So many rows where `spark.databricks.delta.fsck.maxNumEntriesInResult` says nothing.
const MAX_LISTED: usize = 1000;

pub(super) fn schema(mode: &FsckMode) -> Option<StructType> {
    let checks = match mode {
        FsckMode::Default => Checks::Files,
        FsckMode::MetadataOnly => Checks::MetadataOnly,
        FsckMode::VerifyAll | FsckMode::VerifyModified { .. } => Checks::Verify(None),
    };
    report(&checks, None, MAX_LISTED).ok().map(|r| r.schema)
}

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    mode: FsckMode,
    dry_run: bool,
) -> Result<QueryResult> {
    let path = target::relation_path(session);
    let (_, delta) = target::delta(session, name, "FSCK REPAIR TABLE", &path).await?;
    let checks = match mode {
        FsckMode::Default => Checks::Files,
        FsckMode::MetadataOnly => Checks::MetadataOnly,
        FsckMode::VerifyAll => Checks::Verify(None),
        FsckMode::VerifyModified { from, to } => {
            Checks::Verify(Some(milliseconds(session, from).await?..=milliseconds(session, to).await?))
        }
    };
    let listed = session.conf().integer("spark.databricks.delta.fsck.maxNumEntriesInResult");
    let listed = listed.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_LISTED);
    // What is kept of the table in memory says nothing of what storage has.
    let table = DeltaTable::load(delta.table.location(), None).await?;
    let options = dml_options(session, Vec::new());
    let found = boathouse_delta::fsck(&table, &checks, dry_run, &options).await?;
    if let Some(committed) = &found.committed {
        session.committed(&delta.table, committed);
        session.engine.cache.changed(&delta.table.location().uri()).await;
    }
    report(&checks, Some(&found), listed).map(reported)
}

fn report(checks: &Checks, found: Option<&boathouse_delta::FsckResult>, listed: usize) -> Result<Report> {
    let (log, files) = found.map(|f| (f.log.as_slice(), f.files.as_slice())).unwrap_or_default();
    match checks {
        Checks::MetadataOnly => boathouse_delta::fsck_log_report(log, listed),
        _ => boathouse_delta::fsck_report(checks, files, listed),
    }
}

async fn milliseconds(session: &Arc<Session>, time: Expr) -> Result<i64> {
    match value(session, time, DataType::Timestamp).await? {
        (ScalarValue::TimestampMicrosecond(Some(us), _), _) => Ok(us.div_euclid(1000)),
        (_, text) => Err(Error::new("DELTA_TIMESTAMP_INVALID")
            .param("expr", &text)
            .message(format!("The time {text} that files were modified at is no timestamp."))
            .exception("AnalysisException")),
    }
}
