//! ALTER TABLE ADD CONSTRAINT and DROP CONSTRAINT.

use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use datafusion::logical_expr::Expr;

use super::alter::{commit_metadata, transaction};
use super::delete::DmlOptions;
use super::dml;
use super::write::Predicate;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation};

fn property(name: &str) -> String {
    format!("delta.constraints.{}", name.to_lowercase())
}

/// Adds a CHECK constraint that all rows satisfy.
pub async fn add_constraint(
    table: &Snapshot,
    session: &dyn Session,
    name: &str,
    condition: &Predicate,
    options: &DmlOptions,
) -> Result<Committed> {
    if let Some(old) = table.property(&property(name)) {
        return Err(Error::new("DELTA_CONSTRAINT_ALREADY_EXISTS")
            .param("constraintName", name)
            .param("oldConstraint", old)
            .message(format!("There is a constraint {name} already: {old}. Drop it first."))
            .exception("AnalysisException"));
    }
    let breaks = Expr::IsNotTrue(Box::new(condition.expr.clone()));
    let search = dml::Search::plain(dml::conjuncts(Some(&breaks))?);
    let found = dml::find(session, table, &search).await?;
    if !found.touched.is_empty() {
        let rows: u64 = found.touched.iter().filter_map(|t| t.matching).sum();
        return Err(Error::new("DELTA_NEW_CHECK_CONSTRAINT_VIOLATION")
            .param("numRows", rows)
            .param("tableName", table.location().uri())
            .param("checkConstraint", &condition.sql)
            .message(format!(
                "{rows} rows of {} break the new constraint ({}).",
                table.location().uri(),
                condition.sql
            ))
            .exception("AnalysisException"));
    }
    let mut metadata = table.metadata().clone();
    metadata.configuration.insert(property(name), condition.sql.clone());
    let operation = Operation::new("ADD CONSTRAINT").text("name", name).text("expr", condition.sql.clone());
    // Rows that others add in the meantime were not held against it.
    commit_metadata(table, metadata, operation, true, options).await
}

/// Drops a CHECK constraint.
pub async fn drop_constraint(
    table: &Snapshot,
    name: &str,
    if_exists: bool,
    options: &DmlOptions,
) -> Result<Committed> {
    let mut metadata = table.metadata().clone();
    let old = metadata.configuration.shift_remove(&property(name));
    let mut operation = Operation::new("DROP CONSTRAINT").text("name", name);
    match &old {
        Some(sql) => operation = operation.text("expr", sql.clone()).text("existed", "true"),
        None if if_exists => operation = operation.text("existed", "false"),
        None => {
            return Err(Error::new("DELTA_CONSTRAINT_DOES_NOT_EXIST")
                .param("constraintName", name)
                .param("tableName", table.location().uri())
                .param("config", "spark.databricks.delta.constraints.assumesDropIfExists.enabled")
                .param("confValue", "true")
                .message(format!(
                    "{} has no constraint {name}. IF EXISTS passes it over.",
                    table.location().uri()
                ))
                .exception("AnalysisException"));
        }
    }
    if old.is_none() {
        return transaction(table, operation, options).commit().await;
    }
    commit_metadata(table, metadata, operation, false, options).await
}
