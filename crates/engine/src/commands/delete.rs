//! `DELETE`.

use std::sync::Arc;

use boathouse_spec::{Expr, Result};

use crate::commands::table_expressions::{TableScope, row_options};
use crate::commands::{affected_schema, target};
use crate::rows::{self, Value};
use crate::{QueryResult, Session, execute};

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    alias: Option<&str>,
    condition: Option<Expr>,
) -> Result<QueryResult> {
    let (table, delta) = target::delta(session, name, "DELETE", &target::relation_path(session)).await?;
    let (alias, snapshot) = (alias.map(str::to_string), delta.snapshot.clone());
    let (condition, constraints) = session
        .analyze(move |analyzer| {
            analyzer.changes(&table);
            let scope = TableScope::open(analyzer, &table, alias.as_deref())?;
            let condition = match &condition {
                Some(condition) => Some(scope.search_condition(analyzer, condition, "DELETE")?),
                None => None,
            };
            Ok((condition, scope.constraints(analyzer, &snapshot)?))
        })
        .await?;
    let state = execute::changing_state(session, &delta.snapshot);
    let options = row_options(session, "delete", constraints)?;
    if delta.snapshot.was_written(options.txn.as_ref()).await? {
        return rows::result(affected_schema(), Vec::new());
    }
    let done = boathouse_delta::delete(&delta.snapshot, &state, condition.as_ref(), &options).await?;
    let rows = done.as_ref().map_or(0, |c| c.metric("numDeletedRows"));
    if let Some(committed) = done {
        session.committed(&delta.table, &committed);
        session.engine.cache.changed(&delta.table.location().uri()).await;
    }
    rows::result(affected_schema(), vec![vec![Value::Integer(rows)]])
}
