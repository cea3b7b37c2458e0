//! `TRUNCATE TABLE`.

use std::sync::Arc;

use boathouse_spec::{Error, PartitionSpec, Result};

use crate::commands::{delete, target};
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
    if table.delta.is_none() {
        return sources::truncate(session, &table).await;
    }
    delete::run(session, name, None, None).await?;
    Ok(QueryResult::empty())
}
