//! `SHOW PARTITIONS`.

use std::sync::Arc;

use boathouse_spec::{Error, PartitionSpec, Result, StructType};

use crate::commands::{partitions, target};
use crate::rows::{self, text};
use crate::{QueryResult, Session};

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    partition: Option<PartitionSpec>,
) -> Result<QueryResult> {
    let table = target::table(session, name, "SHOW PARTITIONS", &target::command_path(session)).await?;
    if partitions::columns(&table).is_empty() {
        return Err(Error::new("INVALID_PARTITION_OPERATION.PARTITION_SCHEMA_IS_EMPTY")
            .param("name", table.display_name())
            .message(format!("{} has no partition columns.", table.display_name()))
            .exception("AnalysisException"));
    }
    let wanted = match &partition {
        Some(partition) => partitions::values(session, &table, partition).await?,
        None => Vec::new(),
    };
    let all = partitions::list(session, &table).await?;
    let rows =
        all.iter().filter(|p| partitions::matches(p, &wanted)).map(|p| vec![partitions::shown(p).into()]);
    rows::result(StructType::new(vec![text("partition", false)]), rows.collect())
}
