//! `REFRESH TABLE`, `REFRESH`, `REFRESH FUNCTION`: what is cached is read again.

use std::sync::Arc;

use boathouse_spec::{Error, Result};

use crate::commands::target;
use crate::{QueryResult, Session};

pub(super) async fn table(session: &Arc<Session>, name: &[String]) -> Result<QueryResult> {
    target::find(session, name, &target::command_path(session)).await?;
    session.engine.cache.refresh_all().await;
    Ok(QueryResult::empty())
}

/// Files are listed anew by each query: only cached rows can be old.
pub(super) async fn path(session: &Arc<Session>) -> Result<QueryResult> {
    session.engine.cache.refresh_all().await;
    Ok(QueryResult::empty())
}

pub(super) async fn function(session: &Arc<Session>, name: &[String]) -> Result<QueryResult> {
    if let [bare] = name
        && (session.functions.contains(bare) || boathouse_functions::registry().contains(bare))
    {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1256")
            .param("functionName", bare)
            .message(format!("{bare} is built in: there is nothing to refresh."))
            .exception("AnalysisException"));
    }
    session.engine.catalog.get_function(&session.object_name(name)?).await?;
    Ok(QueryResult::empty())
}
