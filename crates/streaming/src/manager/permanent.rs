//! Queries that outlive the session that asks for them, and the server: what they have to be, and who may end them.

use boathouse_engine::Session;
use boathouse_spec::{Error, Result};

use super::run::Trigger;
use super::running::RunningQuery;
use super::{CheckpointPlace, StreamManager, given_checkpoint};
use crate::options::Given;
use crate::sink::Target;
use crate::start::{PERMANENT, Permanent, StartQuery};

impl StartQuery {
    /// Whether the query is to be started with every server; what is wrong with it is said now.
    pub fn permanent(&self, session: &Session) -> Result<Option<Permanent>> {
        if !is_permanent(self)? {
            return Ok(None);
        }
        let name = self.query_name.clone().ok_or_else(|| refused("it has no name (`queryName`)"))?;
        let checkpoint = given_checkpoint(session, self);
        let checkpoint = checkpoint.ok_or_else(|| refused("it has no `checkpointLocation`"))?;
        let request = self.request.clone().ok_or_else(|| refused("its request is not known"))?;
        Ok(Some(Permanent { name, checkpoint, request }))
    }
}

pub(super) fn is_permanent(start: &StartQuery) -> Result<bool> {
    Given(&start.options).flag(PERMANENT, false)
}

/// Queries that end by themselves, and those whose rows are gone with them, are not to come back.
pub(super) fn check(trigger: Trigger, target: &Target, checkpoint: &CheckpointPlace) -> Result<()> {
    if checkpoint.is_temporary {
        return Err(refused("it has no `checkpointLocation`"));
    }
    if matches!(trigger, Trigger::AvailableNow | Trigger::Once) {
        return Err(refused("its trigger ends it"));
    }
    if target.is_memory() {
        return Err(refused("its rows are in memory"));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::new("PERMANENT_STREAM_NOT_ALLOWED")
        .param("reason", why)
        .message(format!("The streaming query cannot be permanent: {why}."))
        .exception("AnalysisException")
}

/// The name of a permanent query is its own, also while it does not run: the next server starts it.
pub(super) async fn check_name(
    session: &Session,
    name: &str,
    checkpoint: &str,
    is_permanent: bool,
) -> Result<()> {
    let registered = session.engine().catalog().list_streams().await?;
    let Some(other) = registered.into_iter().find(|q| q.name == name) else { return Ok(()) };
    if is_permanent && other.checkpoint == checkpoint {
        return Ok(());
    }
    Err(Error::new("PERMANENT_STREAM_ALREADY_EXISTS")
        .param("name", name)
        .param("checkpointLocation", &other.checkpoint)
        .message(format!(
            "Cannot start query with name {name} as a permanent query has that name, with its checkpoint in {}. Stop that query, or start \
             it again on its checkpoint and then stop it.",
            other.checkpoint
        ))
        .exception("IllegalArgumentException"))
}

impl StreamManager {
    /// Stops a query because somebody says so: one that is permanent is so no longer.
    pub async fn stop(&self, session: &Session, query: &RunningQuery) -> Result<()> {
        forget(session, query).await?;
        query.stop().await
    }
}

/// No server starts the query on this checkpoint any more, where there is one.
pub(super) async fn forget_at(session: &Session, checkpoint: &str) -> Result<()> {
    let catalog = session.engine().catalog();
    for query in catalog.list_streams().await?.into_iter().filter(|q| q.checkpoint == checkpoint) {
        catalog.remove_stream(&query.name).await?;
    }
    Ok(())
}

/// No server starts the query any more.
pub(super) async fn forget(session: &Session, query: &RunningQuery) -> Result<()> {
    match query.name().filter(|_| query.is_permanent()) {
        Some(name) => session.engine().catalog().remove_stream(name).await,
        None => Ok(()),
    }
}
