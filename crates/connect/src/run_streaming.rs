//! Streaming commands: asked of the handler, answered in the protocol's messages.

use std::sync::Arc;

use boathouse_spec::{Error, Result};

use crate::execute::Execution;
use crate::permanent;
use crate::proto::spark::execute_plan_response::ResponseType;
use crate::proto::spark::{self as proto, streaming_query_command_result as query_result};
use crate::proto::spark::{
    StreamingQueryEventType, streaming_query_manager_command_result as manager_result,
};
use crate::streaming::{
    ManagerAnswer, ManagerRequest, NamedQuery, QueryAnswer, QueryEventKind, QueryId, QueryRequest,
    StartQuery, StreamingHandler,
};

fn handler(execution: &Execution) -> Result<Arc<dyn StreamingHandler>> {
    execution.options.streaming.clone().ok_or_else(|| Error::unsupported("streaming queries"))
}

pub async fn start(execution: &Execution, query: StartQuery) -> Result<()> {
    let (handler, session) = (handler(execution)?, &execution.session);
    let started = match query.permanent(session)? {
        Some(permanent) => permanent::register(session, handler.as_ref(), permanent).await?,
        None => handler.start(session, query).await?,
    };
    let result = proto::WriteStreamOperationStartResult {
        query_id: Some(id_message(started.id)),
        name: started.name,
        query_started_event_json: started.started_event,
    };
    execution.send(ResponseType::WriteStreamOperationStartResult(result)).await
}

pub async fn query(execution: &Execution, id: QueryId, request: QueryRequest) -> Result<()> {
    use query_result::{
        AwaitTerminationResult, ExceptionResult, ExplainResult, RecentProgressResult, ResultType,
    };
    let answer = handler(execution)?.query(&execution.session, &id, request).await?;
    let result_type = match answer {
        QueryAnswer::Status(s) => Some(ResultType::Status(query_result::StatusResult {
            status_message: s.message,
            is_data_available: s.is_data_available,
            is_trigger_active: s.is_trigger_active,
            is_active: s.is_active,
        })),
        QueryAnswer::Progress(recent_progress_json) => {
            Some(ResultType::RecentProgress(RecentProgressResult { recent_progress_json }))
        }
        QueryAnswer::Explanation(result) => Some(ResultType::Explain(ExplainResult { result })),
        QueryAnswer::Exception(failure) => Some(ResultType::Exception(match failure {
            Some(f) => ExceptionResult {
                exception_message: Some(f.message),
                error_class: f.error_class,
                stack_trace: f.stack_trace,
            },
            None => ExceptionResult::default(),
        })),
        QueryAnswer::Terminated(terminated) => {
            Some(ResultType::AwaitTermination(AwaitTerminationResult { terminated }))
        }
        QueryAnswer::Done => None,
    };
    let result = proto::StreamingQueryCommandResult { query_id: Some(id_message(id)), result_type };
    execution.send(ResponseType::StreamingQueryCommandResult(result)).await
}

pub async fn manage(execution: &Execution, request: ManagerRequest) -> Result<()> {
    use manager_result::{
        ActiveResult, AwaitAnyTerminationResult, ListStreamingQueryListenerResult, ResultType,
        StreamingQueryInstance,
    };
    let done = match &request {
        ManagerRequest::AddListener { .. } => ResultType::AddListener(true),
        ManagerRequest::RemoveListener { .. } => ResultType::RemoveListener(true),
        _ => ResultType::ResetTerminated(true),
    };
    let instance = |q: NamedQuery| StreamingQueryInstance { id: Some(id_message(q.id)), name: q.name };
    let result_type = match handler(execution)?.manage(&execution.session, request).await? {
        ManagerAnswer::Active(queries) => Some(ResultType::Active(ActiveResult {
            active_queries: queries.into_iter().map(instance).collect(),
        })),
        ManagerAnswer::Query(query) => query.map(|q| ResultType::Query(instance(q))),
        ManagerAnswer::Terminated(terminated) => {
            Some(ResultType::AwaitAnyTermination(AwaitAnyTerminationResult { terminated }))
        }
        ManagerAnswer::Listeners(listener_ids) => {
            Some(ResultType::ListListeners(ListStreamingQueryListenerResult { listener_ids }))
        }
        ManagerAnswer::Done => Some(done),
    };
    let result = proto::StreamingQueryManagerCommandResult { result_type };
    execution.send(ResponseType::StreamingQueryManagerCommandResult(result)).await
}

/// Sends events until the client stops listening.
pub async fn listen(execution: &Execution) -> Result<()> {
    let mut events = handler(execution)?.listen(&execution.session).await?;
    let added = proto::StreamingQueryListenerEventsResult {
        events: Vec::new(),
        listener_bus_listener_added: Some(true),
    };
    execution.send(ResponseType::StreamingQueryListenerEventsResult(added)).await?;
    while let Some(event) = events.recv().await {
        let event_type = match event.kind {
            QueryEventKind::Progress => StreamingQueryEventType::QueryProgressEvent,
            QueryEventKind::Terminated => StreamingQueryEventType::QueryTerminatedEvent,
            QueryEventKind::Idle => StreamingQueryEventType::QueryIdleEvent,
        };
        let event =
            proto::StreamingQueryListenerEvent { event_json: event.json, event_type: event_type.into() };
        let events = proto::StreamingQueryListenerEventsResult {
            events: vec![event],
            listener_bus_listener_added: None,
        };
        execution.send(ResponseType::StreamingQueryListenerEventsResult(events)).await?;
    }
    Ok(())
}

pub async fn stop_listening(execution: &Execution) -> Result<()> {
    handler(execution)?.stop_listening(&execution.session).await
}

fn id_message(id: QueryId) -> proto::StreamingQueryInstanceId {
    proto::StreamingQueryInstanceId { id: id.id, run_id: id.run_id }
}
