//! `RESTORE`, `VACUUM`, `OPTIMIZE`, `REORG`, `CONVERT TO DELTA`.

use std::sync::Arc;

use boathouse_spec::{DataType, Error, Name, Result, StructType, TextExpr, TimeTravel, VacuumMode};

use crate::rows::{column, text};
use crate::{QueryResult, Session};

pub(super) fn optimize_schema() -> StructType {
    StructType::new(vec![text("path", true)])
}

pub(super) fn restore_schema() -> StructType {
    StructType::new(vec![column("table_size_after_restore", DataType::Long, true)])
}

pub(super) async fn restore(_session: &Arc<Session>, _table: &[String], _to: TimeTravel) -> Result<QueryResult> {
    Err(Error::unsupported("RESTORE"))
}

pub(super) async fn vacuum(
    _session: &Arc<Session>,
    _table: &[String],
    _retain_hours: Option<f64>,
    _dry_run: bool,
    _mode: VacuumMode,
) -> Result<QueryResult> {
    Err(Error::unsupported("VACUUM"))
}

pub(super) async fn optimize(
    _session: &Arc<Session>,
    _table: &[String],
    _condition: Option<TextExpr>,
    _zorder_by: Vec<Name>,
    _full: bool,
) -> Result<QueryResult> {
    Err(Error::unsupported("OPTIMIZE"))
}

pub(super) async fn reorg(
    _session: &Arc<Session>,
    _table: &[String],
    _condition: Option<TextExpr>,
) -> Result<QueryResult> {
    Err(Error::unsupported("REORG"))
}

pub(super) async fn convert(
    _session: &Arc<Session>,
    _table: &[String],
    _partition_schema: Option<StructType>,
    _no_statistics: bool,
) -> Result<QueryResult> {
    Err(Error::unsupported("CONVERT TO DELTA"))
}
