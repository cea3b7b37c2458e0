//! `INSERT .. PARTITION (..)` into tables of files.

use std::sync::Arc;

use boathouse_spec::{Error, PartitionSpec, Result, quote};

use crate::Session;
use crate::analyzer::TypedExpr;
use crate::commands::Partition;
use crate::commands::partitions;
use crate::resolver::ResolvedTable;

/// What Spark says of a query that has not one column for each that the clause gives no value of.
pub(super) fn arity(e: Error, given: &[(String, TypedExpr)]) -> Error {
    if given.is_empty() || !e.class().starts_with("INSERT_COLUMN_ARITY_MISMATCH") {
        return e;
    }
    let columns = given.iter().map(|(name, _)| quote(name)).collect::<Vec<_>>().join(", ");
    let message = format!("The query must have one column for each of the table's other than {columns}.");
    let error = Error::new("INSERT_PARTITION_COLUMN_ARITY_MISMATCH");
    let error = e.parameters().iter().fold(error, |error, (key, value)| error.param(key, value));
    error.param("staticPartCols", columns).message(message).exception("AnalysisException")
}

/// A clause names all partition columns. Directories are one in the other: a column whose values the rows have is below those
/// whose value the statement gives.
pub(super) fn check(table: &ResolvedTable, partition: &PartitionSpec) -> Result<()> {
    let columns = partitions::columns(table);
    if partition.len() != columns.len() {
        let named: Vec<&str> = partition.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::new("_LEGACY_ERROR_TEMP_1169")
            .param("tableName", table.display_name())
            .param("normalizedPartSpec", named.join(","))
            .param("partColNames", columns.join(","))
            .message(format!(
                "{} is partitioned by {}, and the PARTITION clause names {}.",
                table.display_name(),
                columns.join(", "),
                named.join(", ")
            ))
            .exception("AnalysisException"));
    }
    let is_given = |column: &String| {
        partition.iter().any(|(name, value)| value.is_some() && name.eq_ignore_ascii_case(column))
    };
    if columns.iter().skip_while(|c| is_given(c)).any(is_given) {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1147")
            .param("partColumns", format!("[{}]", columns.join(",")))
            .message(format!(
                "Of the partition columns {} the first ones can have a value in the statement, and the rest in the rows.",
                columns.join(", ")
            ))
            .exception("AnalysisException"));
    }
    Ok(())
}

/// Whether an overwrite is of the partitions that get rows, and of no others: the rows say columns of them.
pub(super) fn is_by_rows(table: &ResolvedTable, given: Option<&PartitionSpec>, dynamic: bool) -> bool {
    dynamic && given.map_or(0, Vec::len) < partitions::columns(table).len()
}

/// The partition that `INSERT OVERWRITE t PARTITION (p = 1)` empties.
pub(super) async fn overwritten(
    session: &Arc<Session>,
    table: &ResolvedTable,
    partition: &PartitionSpec,
    dynamic: bool,
) -> Result<Option<Partition>> {
    if partition.is_empty() || is_by_rows(table, Some(partition), dynamic) {
        return Ok(None);
    }
    let columns = partitions::columns(table);
    let values = partitions::values(session, table, partition).await?;
    // Outermost column first, as directories are.
    let value = |column: &String| values.iter().find(|(name, _)| name == column).cloned();
    Ok(Some(columns.iter().filter_map(value).collect()))
}
