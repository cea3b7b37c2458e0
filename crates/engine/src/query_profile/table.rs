//! `system.query.history`: the history as a table.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, QueryRecord};
use boathouse_spec::{DataType, Result, StructType};

use crate::Session;
use crate::resolver::ResolvedTable;
use crate::rows::{Value, column, text};

/// The table with the rows of this moment; `None` where `system.query` has no such table.
pub(crate) async fn open(session: &Arc<Session>, name: &ObjectName) -> Result<Option<ResolvedTable>> {
    if !name.name.eq_ignore_ascii_case("history") {
        return Ok(None);
    }
    let records = session.engine.history.newest(i64::MAX).await?;
    let rows: Vec<Vec<Value>> = records.into_iter().map(row).collect();
    ResolvedTable::of_rows(name, "query_history", columns(), &rows).map(Some)
}

fn columns() -> StructType {
    let number = |name: &str| column(name, DataType::Long, false);
    StructType::new(vec![
        text("query_id", false),
        text("session_id", false),
        text("executed_by", false),
        text("statement_text", false),
        text("execution_status", false),
        text("error_class", true),
        text("error_message", true),
        column("start_time", DataType::Timestamp, false),
        column("end_time", DataType::Timestamp, false),
        number("duration_us"),
        number("produced_rows"),
        column("peak_memory_bytes", DataType::Long, true),
        number("spilled_bytes"),
        number("read_files"),
        number("pruned_files"),
        number("read_bytes"),
        text("operators", false),
    ])
}

fn row(r: QueryRecord) -> Vec<Value> {
    vec![
        r.id.into(),
        r.session_id.into(),
        r.user.into(),
        r.statement.into(),
        r.status.into(),
        r.error_class.into(),
        r.error_message.into(),
        Value::Timestamp(r.started_at_us),
        Value::Timestamp(r.started_at_us + r.duration_us),
        r.duration_us.into(),
        r.rows_produced.into(),
        r.peak_memory_bytes.into(),
        r.spilled_bytes.into(),
        r.files_read.into(),
        r.files_pruned.into(),
        r.bytes_read.into(),
        r.operators.into(),
    ]
}
