//! A small client: SQL statements on a running server, their rows as batches. The command line uses it where it is told
//! of a server; it is no general client.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use boathouse_bridge::ResultExt;
use boathouse_spec::StructType;
use prost::Message;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::convert::schema_from_proto;
use crate::proto::rpc;
use crate::proto::spark::execute_plan_response::{ArrowBatch, ResponseType};
use crate::proto::spark::spark_connect_service_client::SparkConnectServiceClient;
use crate::proto::spark::{self as proto, command, config_request, plan, relation};

const CLIENT_TYPE: &str = concat!("boathouse/", env!("CARGO_PKG_VERSION"));

/// What the server, or the way to it, says against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// The address is none: nothing was asked of a server.
    Address(String),
    Failed(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Address(message) | Self::Failed(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for ClientError {}

impl From<boathouse_spec::Error> for ClientError {
    fn from(e: boathouse_spec::Error) -> Self {
        Self::Failed(e.to_string())
    }
}

type Result<T, E = ClientError> = std::result::Result<T, E>;

/// The rows of a statement.
#[derive(Debug, Clone)]
pub struct Answer {
    pub schema: StructType,
    pub batches: Vec<RecordBatch>,
}

/// A session on a server.
#[derive(Clone)]
pub struct Client {
    service: SparkConnectServiceClient<Channel>,
    session_id: String,
    user: String,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Opens a session on the server at `sc://HOST[:PORT][/;key=value;...]`. `user` is who asks, unless the address
    /// says so.
    pub async fn open(address: &str, user: &str) -> Result<Self> {
        let address = Address::parse(address)?;
        let endpoint = Endpoint::from_shared(format!("http://{}", address.host_and_port)).map_err(|e| {
            ClientError::Address(format!("{} is no address of a server: {e}", address.host_and_port))
        })?;
        let channel = endpoint.connect().await.map_err(|e| {
            ClientError::Failed(format!("There is no server at {}: {}", address.host_and_port, innermost(&e)))
        })?;
        let authorization = match address.token {
            None => None,
            Some(token) => Some(format!("Bearer {token}").parse().map_err(|_| {
                ClientError::Address("the token holds characters that no header may hold".into())
            })?),
        };
        Ok(Self {
            service: SparkConnectServiceClient::new(channel).max_decoding_message_size(usize::MAX),
            session_id: address.session_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            user: address.user.unwrap_or_else(|| user.to_string()),
            authorization,
        })
    }

    /// Runs one statement. Commands run at once; of queries all rows are fetched.
    pub async fn sql(&mut self, statement: &str) -> Result<Answer> {
        let sql = proto::Sql { query: statement.to_string(), ..Default::default() };
        let input = proto::Relation { rel_type: Some(relation::RelType::Sql(sql)), ..Default::default() };
        let command = proto::SqlCommand { input: Some(input), ..Default::default() };
        let command = proto::Command { command_type: Some(command::CommandType::SqlCommand(command)) };
        let mut rows = self.execute(plan::OpType::Command(command)).await?;
        if let Some(relation) = rows.relation.take() {
            rows = self.execute(plan::OpType::Root(relation)).await?;
        }
        Ok(Answer { schema: rows.schema.unwrap_or_default(), batches: rows.batches })
    }

    /// A setting of the session.
    pub async fn setting(&mut self, key: &str) -> Result<Option<String>> {
        let get = config_request::GetOption { keys: vec![key.to_string()] };
        let operation =
            config_request::Operation { op_type: Some(config_request::operation::OpType::GetOption(get)) };
        let request = proto::ConfigRequest {
            session_id: self.session_id.clone(),
            user_context: self.user_context(),
            operation: Some(operation),
            client_type: Some(CLIENT_TYPE.into()),
            ..Default::default()
        };
        let request = self.request(request);
        match self.service.config(request).await {
            Ok(response) => Ok(response.into_inner().pairs.into_iter().next().and_then(|p| p.value)),
            Err(status) => Err(self.error(status).await),
        }
    }

    /// Ends the session: what it holds on the server is let go.
    pub async fn close(&mut self) -> Result<()> {
        let request = proto::ReleaseSessionRequest {
            session_id: self.session_id.clone(),
            user_context: self.user_context(),
            client_type: Some(CLIENT_TYPE.into()),
            ..Default::default()
        };
        let request = self.request(request);
        match self.service.release_session(request).await {
            Ok(_) => Ok(()),
            Err(status) => Err(self.error(status).await),
        }
    }

    async fn execute(&mut self, op_type: plan::OpType) -> Result<Received> {
        let request = proto::ExecutePlanRequest {
            session_id: self.session_id.clone(),
            user_context: self.user_context(),
            plan: Some(proto::Plan { op_type: Some(op_type) }),
            client_type: Some(CLIENT_TYPE.into()),
            ..Default::default()
        };
        let request = self.request(request);
        let mut stream = match self.service.execute_plan(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Err(self.error(status).await),
        };
        let mut received = Received::default();
        loop {
            match stream.message().await {
                Ok(Some(response)) => received.take(response)?,
                Ok(None) => return Ok(received),
                Err(status) => return Err(self.error(status).await),
            }
        }
    }

    fn user_context(&self) -> Option<proto::UserContext> {
        Some(proto::UserContext {
            user_id: self.user.clone(),
            user_name: self.user.clone(),
            ..Default::default()
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }

    /// The whole message of an error: its status holds a shortened one.
    async fn error(&mut self, status: Status) -> ClientError {
        if status.code() == Code::Unavailable {
            return ClientError::Failed(format!("The server is gone: {}", status.message()));
        }
        let shortened = ClientError::Failed(status.message().to_string());
        let Some(error_id) = error_id(&status) else { return shortened };
        let request = proto::FetchErrorDetailsRequest {
            session_id: self.session_id.clone(),
            user_context: self.user_context(),
            error_id,
            client_type: Some(CLIENT_TYPE.into()),
            ..Default::default()
        };
        let request = self.request(request);
        match self.service.fetch_error_details(request).await {
            Ok(response) => {
                let details = response.into_inner();
                let root = details.root_error_idx.and_then(|i| usize::try_from(i).ok());
                match root.and_then(|i| details.errors.get(i)) {
                    Some(error) => ClientError::Failed(error.message.clone()),
                    None => shortened,
                }
            }
            Err(_) => shortened,
        }
    }
}

/// What has come of an execution so far.
#[derive(Default)]
struct Received {
    schema: Option<StructType>,
    batches: Vec<RecordBatch>,
    /// The rows of a statement are those of this relation.
    relation: Option<proto::Relation>,
    /// Chunks of a batch that is not complete.
    chunks: Vec<u8>,
}

impl Received {
    fn take(&mut self, response: proto::ExecutePlanResponse) -> Result<()> {
        if let Some(schema) = response.schema {
            self.schema = Some(schema_from_proto(schema)?);
        }
        match response.response_type {
            Some(ResponseType::SqlCommandResult(result)) => self.relation = result.relation,
            Some(ResponseType::ArrowBatch(batch)) => self.take_batch(batch)?,
            _ => {}
        }
        Ok(())
    }

    fn take_batch(&mut self, batch: ArrowBatch) -> Result<()> {
        self.chunks.extend_from_slice(&batch.data);
        let last = batch.num_chunks_in_batch.unwrap_or(1) - 1;
        if batch.chunk_index.unwrap_or(0) < last {
            return Ok(());
        }
        let data = std::mem::take(&mut self.chunks);
        for batch in StreamReader::try_new(data.as_slice(), None).spark()? {
            self.batches.push(batch.spark()?);
        }
        Ok(())
    }
}

/// The parts of `sc://HOST[:PORT][/;key=value;...]`.
#[derive(Debug, PartialEq, Eq, Default)]
struct Address {
    host_and_port: String,
    user: Option<String>,
    token: Option<String>,
    session_id: Option<String>,
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| ClientError::Address(format!("{text} {what}: write sc://HOST:PORT"));
        let rest =
            text.strip_prefix("sc://").ok_or_else(|| wrong("is no address of a Spark Connect server"))?;
        let (host, parameters) = match rest.split_once('/') {
            Some((host, parameters)) => (host, parameters),
            None => (rest, ""),
        };
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && !p.contains(']'));
        let host_and_port = if has_port { host.to_string() } else { format!("{host}:15002") };
        let mut address = Self { host_and_port, ..Self::default() };
        for parameter in parameters.split(';').filter(|p| !p.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "user_id" => address.user = Some(value.to_string()),
                "token" => address.token = Some(value.to_string()),
                "session_id" => address.session_id = Some(value.to_string()),
                "use_ssl" if value == "false" => {}
                "use_ssl" => return Err(wrong("asks for TLS, which this client does not speak")),
                "user_agent" => {}
                other => return Err(wrong(&format!("has the parameter {other}, which is not known"))),
            }
        }
        Ok(address)
    }
}

/// The id under which the server keeps the whole error.
fn error_id(status: &Status) -> Option<String> {
    let details = rpc::Status::decode(status.details()).ok()?;
    let info = details.details.iter().find(|d| d.type_url.ends_with("ErrorInfo"))?;
    rpc::ErrorInfo::decode(info.value.as_slice()).ok()?.metadata.remove("errorId")
}

/// The cause at the bottom: `Connection refused` rather than `transport error`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let host = |text| Address::parse(text).map(|a| a.host_and_port);
        assert_eq!(host("sc://localhost"), Ok("localhost:15002".into()));
        assert_eq!(host("sc://localhost:7/"), Ok("localhost:7".into()));
        assert_eq!(host("sc://[::1]"), Ok("[::1]:15002".into()));
        assert_eq!(host("sc://[::1]:7"), Ok("[::1]:7".into()));
        let full = Address::parse("sc://h:1/;user_id=ada;token=x=y;use_ssl=false").unwrap();
        assert_eq!((full.user.as_deref(), full.token.as_deref()), (Some("ada"), Some("x=y")));
        for wrong in ["localhost:15002", "sc://", "sc://h/;use_ssl=true", "sc://h/;colour=blue"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
