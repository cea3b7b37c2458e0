//! `ALTER TABLE` on Delta tables: a commit of new metadata.

use std::sync::Arc;

use boathouse_spec::{Error, Result, TableChange};

use crate::Session;
use crate::commands::alter_table;
use crate::resolver::ResolvedTable;

pub(super) async fn change(session: &Arc<Session>, table: &ResolvedTable, change: TableChange) -> Result<()> {
    let Some(change) = alter_table::in_catalog(session, table, change).await? else { return Ok(()) };
    let debug = format!("{change:?}");
    let end = debug.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(debug.len());
    Err(Error::unsupported(format!("ALTER TABLE ({}) on a Delta table", &debug[..end])))
}

pub(super) async fn set_comment(
    _session: &Arc<Session>,
    _table: &ResolvedTable,
    _comment: Option<String>,
) -> Result<()> {
    Err(Error::unsupported("COMMENT ON a Delta table"))
}
