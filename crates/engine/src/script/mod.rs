//! SQL scripts, run (Spark's `SqlScriptingExecution`).
//!
//! `machine.rs` walks the statements with a stack of its own, so that no script can exhaust the thread's; `scope.rs` holds
//! the variables and cursors of the blocks that are open; `handler.rs` finds who handles an error.

pub(crate) mod cursor;
mod handler;
mod machine;
pub(crate) mod scope;

use std::sync::Arc;

use boathouse_spec::{Error, Result, ScriptBlock};

use crate::{QueryResult, Session};

/// Runs a script. Its rows are those of the last query that it ran.
pub(crate) async fn run(session: &Arc<Session>, script: ScriptBlock) -> Result<QueryResult> {
    if !session.conf.flag("spark.sql.scripting.enabled") {
        return Err(Error::new("UNSUPPORTED_FEATURE.SQL_SCRIPTING").message(
            "SQL scripts are turned off. Set \"spark.sql.scripting.enabled\" to true to run them.",
        ));
    }
    let scopes = Arc::new(scope::Scopes::default());
    let machine = machine::Machine::new(session, &scopes, &script)?;
    scope::during(Arc::clone(&scopes), machine.run()).await
}
