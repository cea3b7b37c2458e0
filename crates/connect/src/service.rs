//! The calls of the service. Each finds its session, hands the work on, and turns errors into statuses.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use boathouse_engine::{Engine, Session};
use boathouse_spec::{Error, Result};
use futures::{FutureExt, Stream, StreamExt};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::analyze::Analysis;
use crate::config;
use crate::convert::{open_plan, query_function_context};
use crate::execute::{Execution, panicked};
use crate::failure::{Failures, error_messages, illegal_argument};
use crate::operation::{Cursor, Identity, Limits, Operation};
use crate::operations::{Admission, Operations, invalid_handle};
use crate::options::ConnectOptions;
use crate::permanent;
use crate::proto::spark::execute_plan_request::request_option::RequestOption;
use crate::proto::spark::get_status_response::OperationStatus;
use crate::proto::spark::interrupt_request::{Interrupt, InterruptType};
use crate::proto::spark::spark_connect_service_server::SparkConnectService;
use crate::proto::spark::{
    AddArtifactsRequest, AddArtifactsResponse, AnalyzePlanRequest, AnalyzePlanResponse,
    ArtifactStatusesRequest, ArtifactStatusesResponse, CloneSessionRequest, CloneSessionResponse,
    ConfigRequest, ConfigResponse, ExecutePlanRequest, ExecutePlanResponse, FetchErrorDetailsRequest,
    FetchErrorDetailsResponse, GetStatusRequest, GetStatusResponse, InterruptRequest, InterruptResponse,
    ReattachExecuteRequest, ReleaseExecuteRequest, ReleaseExecuteResponse, ReleaseSessionRequest,
    ReleaseSessionResponse, UserContext, artifact_statuses_response, release_execute_request,
};
use crate::run_pipeline;
use crate::uploads::Upload;

/// Sessions are looked through this often for those to close, and operations for those nobody reads.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

/// The Spark Connect service over an engine.
pub struct ConnectService {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<Engine>,
    options: Arc<ConnectOptions>,
    operations: Operations,
    failures: Failures,
}

impl ConnectService {
    pub fn new(engine: Arc<Engine>, options: ConnectOptions) -> Self {
        let options = Arc::new(options);
        let shared =
            Shared { engine, options, operations: Operations::default(), failures: Failures::default() };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn options(&self) -> &ConnectOptions {
        &self.shared.options
    }

    /// Starts the streaming queries that are permanent.
    pub fn resume_streams(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            if let Some(streaming) = &shared.options.streaming {
                permanent::resume(&shared.engine, streaming.as_ref()).await;
            }
        }
    }

    /// Closes idle sessions and gives abandoned operations up, as long as it runs.
    pub(crate) fn housekeeping(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                tokio::time::sleep(HOUSEKEEPING).await;
                shared.operations.remove_abandoned(shared.options.detached);
                shared.engine.sessions().expire_idle(shared.options.session_idle);
            }
        }
    }
}

/// Who calls, and in which session.
struct Caller {
    user: String,
    session_id: String,
}

impl Shared {
    async fn caller(
        &self,
        metadata: &MetadataMap,
        user: Option<&UserContext>,
        session_id: &str,
    ) -> Result<Caller, Status> {
        let claimed = user.map_or("", |u| u.user_id.as_str());
        let user = match &self.options.authenticator {
            None => claimed.to_string(),
            Some(authenticator) => {
                let token = metadata.get("authorization").and_then(|v| v.to_str().ok());
                let token =
                    token.and_then(|t| t.strip_prefix("Bearer ").or_else(|| t.strip_prefix("bearer ")));
                let found = authenticator.authenticate(token, claimed).await;
                found.map_err(|e| self.failures.status_of(Code::Unauthenticated, session_id, e))?
            }
        };
        Ok(Caller { user, session_id: session_id.to_string() })
    }

    fn status(&self, caller: &Caller, error: Error) -> Status {
        self.failures.status(&caller.session_id, error)
    }

    /// The session of a request, made where it is missing.
    async fn session(&self, caller: &Caller, observed: Option<&str>) -> Result<Arc<Session>> {
        let session = self.engine.sessions().get_or_create(&caller.user, &caller.session_id).await?;
        check_observed(&session, observed)?;
        Ok(session)
    }

    /// The session of a request that makes no sense without one.
    fn existing_session(&self, caller: &Caller, observed: Option<&str>) -> Result<Arc<Session>> {
        let session = self.engine.sessions().get(&caller.user, &caller.session_id);
        let session = session.ok_or_else(|| invalid_handle("SESSION_NOT_FOUND", &caller.session_id))?;
        check_observed(&session, observed)?;
        session.touch();
        Ok(session)
    }

    async fn execute(
        self: &Arc<Self>,
        caller: &Caller,
        request: ExecutePlanRequest,
    ) -> Result<ResponseStream> {
        let session = self.session(caller, request.client_observed_server_side_session_id.as_deref()).await?;
        for tag in &request.tags {
            check_tag(tag)?;
        }
        let id = match request.operation_id {
            Some(id) if Uuid::parse_str(&id).is_err() => return Err(invalid_handle("FORMAT", &id)),
            Some(id) => id,
            None => Uuid::new_v4().to_string(),
        };
        let (mut is_reattachable, mut chunking) = (false, None);
        for option in request.request_options.into_iter().filter_map(|o| o.request_option) {
            match option {
                RequestOption::ReattachOptions(o) => is_reattachable = o.reattachable,
                RequestOption::ResultChunkingOptions(o) if o.allow_arrow_batch_chunking => {
                    chunking = Some(o.preferred_arrow_chunk_size);
                }
                RequestOption::ResultChunkingOptions(_) => {}
                RequestOption::Extension(any) => return Err(crate::convert::no_handler(&any.type_url)),
            }
        }
        let identity = Identity {
            id,
            session_id: caller.session_id.clone(),
            server_side_session_id: session.server_side_id().to_string(),
            tags: request.tags,
            is_reattachable,
            plan_hash: if is_reattachable { hash(request.plan.as_ref()) } else { 0 },
        };
        let limits = Limits {
            max_unsent_bytes: self.options.max_unsent_bytes,
            max_kept_bytes: self.options.max_kept_bytes,
            stream_duration: self.options.stream_duration,
        };
        let operation = Operation::new(identity, limits);
        let cursor = match self.operations.admit(&caller.user, &operation)? {
            Admission::Joined(cursor) => cursor,
            Admission::Started(cursor) => {
                let execution = Execution {
                    session,
                    operation: Arc::clone(&operation),
                    options: Arc::clone(&self.options),
                    chunking,
                    context: request.user_context.and_then(|u| query_function_context(&u.extensions)),
                };
                let plan = open_plan(request.plan);
                let task = tokio::spawn(execution.run(plan));
                operation.runs_as(task.abort_handle());
                cursor
            }
        };
        Ok(self.stream(caller, &operation, cursor))
    }

    /// The responses a cursor reads. An operation that cannot be attached again is gone with its stream.
    fn stream(self: &Arc<Self>, caller: &Caller, operation: &Operation, cursor: Cursor) -> ResponseStream {
        let forget = (!operation.is_reattachable()).then(|| Forget {
            shared: Arc::clone(self),
            user: caller.user.clone(),
            session: caller.session_id.clone(),
            id: operation.id().to_string(),
        });
        let shared = Arc::clone(self);
        let session_id = caller.session_id.clone();
        let stream = futures::stream::unfold(Some((cursor, forget)), move |state| {
            let (shared, session_id) = (Arc::clone(&shared), session_id.clone());
            async move {
                let (mut cursor, forget) = state?;
                match cursor.next().await? {
                    Ok(response) => Some((Ok(response), Some((cursor, forget)))),
                    Err(error) => Some((Err(shared.failures.status(&session_id, error)), None)),
                }
            }
        });
        Box::pin(stream)
    }

    async fn close_session(&self, caller: &Caller) -> Option<Arc<Session>> {
        let session = self.engine.sessions().get(&caller.user, &caller.session_id);
        self.operations.remove_session(&caller.user, &caller.session_id);
        self.engine.sessions().close(&caller.user, &caller.session_id).await;
        session
    }

    fn interrupt(&self, caller: &Caller, request: &InterruptRequest) -> Result<Vec<String>> {
        let of_session = || self.operations.of_session(&caller.user, &caller.session_id);
        let chosen: Vec<Arc<Operation>> = match InterruptType::try_from(request.interrupt_type) {
            Ok(InterruptType::All) => of_session(),
            Ok(InterruptType::Tag) => match &request.interrupt {
                Some(Interrupt::OperationTag(tag)) => {
                    check_tag(tag)?;
                    of_session().into_iter().filter(|op| op.has_tag(tag)).collect()
                }
                _ => return Err(interrupt_needs("INTERRUPT_TYPE_TAG_REQUIRES_TAG", "operation_tag")),
            },
            Ok(InterruptType::OperationId) => match &request.interrupt {
                Some(Interrupt::OperationId(id)) => {
                    self.operations.get(&caller.user, &caller.session_id, id).into_iter().collect()
                }
                _ => return Err(interrupt_needs("INTERRUPT_TYPE_OPERATION_ID_REQUIRES_ID", "operation_id")),
            },
            _ => {
                return Err(Error::new("UNSUPPORTED_FEATURE.INTERRUPT_TYPE")
                    .param("interruptType", "INTERRUPT_TYPE_UNSPECIFIED")
                    .message("The request does not say what to interrupt."));
            }
        };
        Ok(chosen.iter().filter(|op| op.interrupt()).map(|op| op.id().to_string()).collect())
    }
}

/// Takes an operation off the list when its stream is gone.
struct Forget {
    shared: Arc<Shared>,
    user: String,
    session: String,
    id: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.shared.operations.remove(&self.user, &self.session, &self.id);
    }
}

type ResponseStream = Pin<Box<dyn Stream<Item = Result<ExecutePlanResponse, Status>> + Send>>;

#[tonic::async_trait]
impl SparkConnectService for ConnectService {
    type ExecutePlanStream = ResponseStream;
    type ReattachExecuteStream = ResponseStream;

    async fn execute_plan(
        &self,
        request: Request<ExecutePlanRequest>,
    ) -> Result<Response<ResponseStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let stream = self.shared.execute(&caller, request).await;
        stream.map(Response::new).map_err(|e| self.shared.status(&caller, e))
    }

    async fn analyze_plan(
        &self,
        request: Request<AnalyzePlanRequest>,
    ) -> Result<Response<AnalyzePlanResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let work = async {
            let observed = request.client_observed_server_side_session_id.as_deref();
            let session = self.shared.session(&caller, observed).await?;
            let server_side_session_id = session.server_side_id().to_string();
            let context = request.user_context.and_then(|u| query_function_context(&u.extensions));
            let session =
                run_pipeline::session_inside(session, &self.shared.options, context.as_ref()).await?;
            let result = Some(Analysis { session }.answer(request.analyze).await?);
            Ok(AnalyzePlanResponse { session_id: caller.session_id.clone(), server_side_session_id, result })
        };
        caught(work).await.map(Response::new).map_err(|e| self.shared.status(&caller, e))
    }

    async fn config(&self, request: Request<ConfigRequest>) -> Result<Response<ConfigResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let work = async {
            let observed = request.client_observed_server_side_session_id.as_deref();
            let session = self.shared.session(&caller, observed).await?;
            let (pairs, warnings) = config::run(&session, request.operation)?;
            Ok(ConfigResponse {
                session_id: caller.session_id.clone(),
                server_side_session_id: session.server_side_id().to_string(),
                pairs,
                warnings,
            })
        };
        caught(work).await.map(Response::new).map_err(|e| self.shared.status(&caller, e))
    }

    async fn add_artifacts(
        &self,
        request: Request<Streaming<AddArtifactsRequest>>,
    ) -> Result<Response<AddArtifactsResponse>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let Some(first) = messages.next().await.transpose()? else {
            return Err(self.shared.failures.status("", illegal_argument("An upload without a message.")));
        };
        let caller = self.shared.caller(&metadata, first.user_context.as_ref(), &first.session_id).await?;
        let observed = first.client_observed_server_side_session_id.clone();
        let session = self.shared.session(&caller, observed.as_deref()).await;
        let session = session.map_err(|e| self.shared.status(&caller, e))?;
        let mut upload = Upload::new(Arc::clone(&session), self.shared.options.max_artifact_bytes);
        let mut next = Some(first);
        while let Some(message) = next {
            if message.session_id != caller.session_id {
                let error = illegal_argument("All messages of an upload belong to one session.");
                return Err(self.shared.status(&caller, error));
            }
            let added = tokio::task::block_in_place(|| upload.add(message.payload));
            added.map_err(|e| self.shared.status(&caller, e))?;
            next = messages.next().await.transpose()?;
        }
        let artifacts = upload.finish().map_err(|e| self.shared.status(&caller, e))?;
        Ok(Response::new(AddArtifactsResponse {
            session_id: caller.session_id,
            server_side_session_id: session.server_side_id().to_string(),
            artifacts,
        }))
    }

    async fn artifact_status(
        &self,
        request: Request<ArtifactStatusesRequest>,
    ) -> Result<Response<ArtifactStatusesResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let observed = request.client_observed_server_side_session_id.as_deref();
        let session = self.shared.session(&caller, observed).await;
        let session = session.map_err(|e| self.shared.status(&caller, e))?;
        // Only blobs are asked about: files are sent anew each time.
        let status = |name: String| {
            let exists = name.starts_with("cache/") && session.artifacts().exists(&name);
            (name, artifact_statuses_response::ArtifactStatus { exists })
        };
        Ok(Response::new(ArtifactStatusesResponse {
            session_id: caller.session_id,
            server_side_session_id: session.server_side_id().to_string(),
            statuses: request.names.into_iter().map(status).collect(),
        }))
    }

    async fn interrupt(
        &self,
        request: Request<InterruptRequest>,
    ) -> Result<Response<InterruptResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let work = async {
            let observed = request.client_observed_server_side_session_id.as_deref();
            let session = self.shared.session(&caller, observed).await?;
            Ok(InterruptResponse {
                session_id: caller.session_id.clone(),
                server_side_session_id: session.server_side_id().to_string(),
                interrupted_ids: self.shared.interrupt(&caller, &request)?,
            })
        };
        work.await.map(Response::new).map_err(|e| self.shared.status(&caller, e))
    }

    async fn reattach_execute(
        &self,
        request: Request<ReattachExecuteRequest>,
    ) -> Result<Response<ResponseStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let attach = || {
            let observed = request.client_observed_server_side_session_id.as_deref();
            self.shared.existing_session(&caller, observed)?;
            let operation =
                self.shared.operations.find(&caller.user, &caller.session_id, &request.operation_id)?;
            if !operation.is_reattachable() {
                return Err(Error::new("INVALID_CURSOR.NOT_REATTACHABLE")
                    .message("The operation was not started as one that clients can attach to again."));
            }
            let cursor = operation.attach(request.last_response_id.as_deref())?;
            Ok(self.shared.stream(&caller, &operation, cursor))
        };
        attach().map(Response::new).map_err(|e| self.shared.status(&caller, e))
    }

    async fn release_execute(
        &self,
        request: Request<ReleaseExecuteRequest>,
    ) -> Result<Response<ReleaseExecuteResponse>, Status> {
        use release_execute_request::Release;
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let observed = request.client_observed_server_side_session_id.as_deref();
        let session = self.shared.existing_session(&caller, observed);
        let session = session.map_err(|e| self.shared.status(&caller, e))?;
        let operation = self.shared.operations.get(&caller.user, &caller.session_id, &request.operation_id);
        match (&operation, request.release) {
            (None, _) | (Some(_), None) => {}
            (Some(_), Some(Release::ReleaseAll(_))) => {
                self.shared.operations.remove(&caller.user, &caller.session_id, &request.operation_id);
            }
            (Some(operation), Some(Release::ReleaseUntil(until))) => {
                operation.release_until(&until.response_id)
            }
        }
        Ok(Response::new(ReleaseExecuteResponse {
            session_id: caller.session_id,
            server_side_session_id: session.server_side_id().to_string(),
            operation_id: operation.map(|op| op.id().to_string()),
        }))
    }

    async fn release_session(
        &self,
        request: Request<ReleaseSessionRequest>,
    ) -> Result<Response<ReleaseSessionResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let closed = self.shared.close_session(&caller).await;
        Ok(Response::new(ReleaseSessionResponse {
            session_id: caller.session_id,
            server_side_session_id: closed.map(|s| s.server_side_id().to_string()).unwrap_or_default(),
        }))
    }

    async fn fetch_error_details(
        &self,
        request: Request<FetchErrorDetailsRequest>,
    ) -> Result<Response<FetchErrorDetailsResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let session = self.shared.engine.sessions().get(&caller.user, &caller.session_id);
        let error = self.shared.failures.take(&caller.session_id, &request.error_id);
        Ok(Response::new(FetchErrorDetailsResponse {
            session_id: caller.session_id,
            server_side_session_id: session.map(|s| s.server_side_id().to_string()).unwrap_or_default(),
            root_error_idx: error.is_some().then_some(0),
            errors: error.map(|e| error_messages(&e)).unwrap_or_default(),
        }))
    }

    async fn clone_session(
        &self,
        request: Request<CloneSessionRequest>,
    ) -> Result<Response<CloneSessionResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let work = async {
            let observed = request.client_observed_server_side_session_id.as_deref();
            let source = self.shared.existing_session(&caller, observed)?;
            let new_id = request.new_session_id.unwrap_or_else(|| Uuid::new_v4().to_string());
            if Uuid::parse_str(&new_id).is_err() {
                return Err(invalid_clone("TARGET_SESSION_ID_FORMAT", &new_id, "is no UUID"));
            }
            let sessions = self.shared.engine.sessions();
            let copy = sessions.clone_session(&caller.user, &caller.session_id, &new_id).await;
            let copy = copy.map_err(|e| match e.class() {
                "INVALID_HANDLE.SESSION_CLOSED" => {
                    invalid_clone("TARGET_SESSION_ID_ALREADY_CLOSED", &new_id, "belongs to a closed session")
                }
                _ => e,
            })?;
            Ok(CloneSessionResponse {
                session_id: caller.session_id.clone(),
                server_side_session_id: source.server_side_id().to_string(),
                new_session_id: new_id,
                new_server_side_session_id: copy.server_side_id().to_string(),
            })
        };
        caught(work).await.map(Response::new).map_err(|e| self.shared.status(&caller, e))
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let caller =
            self.shared.caller(&metadata, request.user_context.as_ref(), &request.session_id).await?;
        let observed = request.client_observed_server_side_session_id.as_deref();
        let session = self.shared.existing_session(&caller, observed);
        let session = session.map_err(|e| self.shared.status(&caller, e))?;
        let states = match &request.operation_status {
            Some(asked) => {
                self.shared.operations.states(&caller.user, &caller.session_id, &asked.operation_ids)
            }
            None => Vec::new(),
        };
        let status = |(operation_id, state): (String, crate::operations::OperationState)| OperationStatus {
            operation_id,
            state: state.into(),
            extensions: Vec::new(),
        };
        Ok(Response::new(GetStatusResponse {
            session_id: caller.session_id,
            server_side_session_id: session.server_side_id().to_string(),
            operation_statuses: states.into_iter().map(status).collect(),
            extensions: Vec::new(),
        }))
    }
}

/// Runs a call; a panic in it is its error.
async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// A client that knows another session of the server under its id must learn that its state is lost.
fn check_observed(session: &Session, observed: Option<&str>) -> Result<()> {
    match observed {
        Some(id) if !id.is_empty() && id != session.server_side_id() => {
            Err(invalid_handle("SESSION_CHANGED", session.id()))
        }
        _ => Ok(()),
    }
}

fn check_tag(tag: &str) -> Result<()> {
    if tag.is_empty() {
        return Err(illegal_argument("Spark Connect tag cannot be an empty string."));
    }
    if tag.contains(',') {
        return Err(illegal_argument("Spark Connect tag cannot contain ','."));
    }
    Ok(())
}

fn interrupt_needs(class: &str, parameter: &str) -> Error {
    Error::new(format!("INVALID_PARAMETER_VALUE.{class}"))
        .param("parameter", parameter)
        .param("functionName", "interrupt")
        .message(format!("The request to interrupt needs `{parameter}`."))
}

fn invalid_clone(class: &str, id: &str, why: &str) -> Error {
    Error::new(format!("INVALID_CLONE_SESSION_REQUEST.{class}"))
        .param("targetSessionId", id)
        .message(format!("The session cannot be cloned: the target session ID {id} {why}."))
}

fn hash(plan: Option<&crate::proto::spark::Plan>) -> u64 {
    let mut hasher = DefaultHasher::new();
    plan.map(Message::encode_to_vec).hash(&mut hasher);
    hasher.finish()
}
