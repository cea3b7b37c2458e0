//! Streaming queries that outlive the session that asks for them: each has a session of its own, and is started again with
//! every server, by the message that the client sent.

use std::sync::Arc;

use boathouse_catalog::StreamRecord;
use boathouse_engine::{Engine, Session};
use boathouse_spec::{Error, Result};
use prost::Message;
use uuid::Uuid;

use crate::convert::Converter;
use crate::proto::spark::WriteStreamOperationStart;
use crate::streaming::{Permanent, StartedQuery, StreamingHandler};
use crate::uploads::Uploads;

/// Starts a query, and has every server that begins start it.
pub async fn register(
    session: &Arc<Session>,
    streaming: &dyn StreamingHandler,
    asked: Permanent,
) -> Result<StartedQuery> {
    let (catalog, schema) = session.current_namespace();
    let record = StreamRecord {
        name: asked.name,
        checkpoint: asked.checkpoint,
        request: asked.request,
        settings: session.conf().changed().into_iter().collect(),
        catalog,
        schema,
        owner: session.user().to_string(),
        created_at_us: 0,
    };
    // Now as after a restart: what only this session has is missed at once.
    let started = start(session.engine(), streaming, &record).await?;
    session.engine().catalog().put_stream(&record).await?;
    Ok(started)
}

/// Starts the queries that were registered. One that cannot be started is tried again by the next server.
pub async fn resume(engine: &Arc<Engine>, streaming: &dyn StreamingHandler) {
    let records = match engine.catalog().list_streams().await {
        Ok(records) => records,
        Err(e) => return tracing::error!("the permanent streams are not known: {e}"),
    };
    for record in records {
        match start(engine, streaming, &record).await {
            Ok(started) => {
                tracing::info!("the permanent stream {} goes on, run {}", record.name, started.id.run_id)
            }
            Err(e) => tracing::error!("the permanent stream {} cannot be started: {e}", record.name),
        }
    }
}

async fn start(
    engine: &Arc<Engine>,
    streaming: &dyn StreamingHandler,
    record: &StreamRecord,
) -> Result<StartedQuery> {
    let sessions = engine.sessions();
    let session = sessions.get_or_create(&record.owner, &Uuid::new_v4().to_string()).await?;
    let started = start_in(&session, streaming, record).await;
    if started.is_err() {
        sessions.close(session.user(), session.id()).await;
    }
    started
}

async fn start_in(
    session: &Arc<Session>,
    streaming: &dyn StreamingHandler,
    record: &StreamRecord,
) -> Result<StartedQuery> {
    session.begin_with(&record.settings, &record.catalog, &record.schema);
    let message = WriteStreamOperationStart::decode(record.request.as_slice()).map_err(|e| {
        Error::internal(format!("the request of the stream {} cannot be read: {e}", record.name))
    })?;
    let query = Converter::new(&Uploads(session)).start_query(message)?;
    streaming.start(session, query).await
}
