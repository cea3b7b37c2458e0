//! `TRUNCATE TABLE`.

use std::sync::Arc;

use boathouse_spec::{Error, PartitionSpec, Result};

use crate::commands::{table_expressions, target};
use crate::{QueryResult, Session, sources};

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    partition: Option<PartitionSpec>,
) -> Result<QueryResult> {
    let table = target::table(session, name, "TRUNCATE TABLE", &target::command_path(session)).await?;
    if partition.is_some() {
        return Err(Error::unsupported("TRUNCATE TABLE .. PARTITION (use DELETE with a condition)"));
    }
    let Some(delta) = &table.delta else {
        return sources::truncate(session, &table).await;
    };
    let options = table_expressions::dml_options(session, Vec::new());
    if let Some(committed) = boathouse_delta::truncate(&delta.snapshot, &options).await? {
        session.committed(&delta.table, &committed);
        session.engine.cache.changed(&delta.table.location().uri()).await;
    }
    Ok(QueryResult::empty())
}
