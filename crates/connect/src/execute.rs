//! Running a plan and sending what it gives.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_engine::{QueryResult, Session, SqlCommandOutcome};
use boathouse_spec::{
    CatalogCall, Command, CreateMode, CreateView, Error, Plan, Relation, RelationNode, Result, ViewKind,
};
use futures::{FutureExt, StreamExt};

use crate::arrow_rows::{BatchEncoder, ipc_stream};
use crate::convert::{
    Converted, Converter, PlanMessage, SqlCommand, data_type_to_proto, invalid_plan, literal_to_proto,
};
use crate::operation::Operation;
use crate::options::ConnectOptions;
use crate::proto::spark::execute_plan_response::{ObservedMetrics, ResponseType, SqlCommandResult};
use crate::proto::spark::{self as proto, ExecutePlanResponse};
use crate::uploads::Uploads;
use crate::{run_pipeline, run_streaming};
use boathouse_pipelines::request::QueryFunctionContext;

/// One execution: what it needs to run, and the operation that takes its responses.
pub struct Execution {
    pub session: Arc<Session>,
    pub operation: Arc<Operation>,
    pub options: Arc<ConnectOptions>,
    /// Whether the client takes chunks, and of what size.
    pub chunking: Option<Option<i64>>,
    pub context: Option<QueryFunctionContext>,
}

impl Execution {
    /// Runs the plan to its end. Whatever happens becomes the outcome of the operation, a panic too.
    pub async fn run(self, plan: Result<PlanMessage>) {
        let work = AssertUnwindSafe(self.run_plan(plan)).catch_unwind().await;
        let outcome = work.unwrap_or_else(|panic| Err(panicked(&*panic)));
        self.operation.finish(outcome);
    }

    async fn run_plan(&self, plan: Result<PlanMessage>) -> Result<()> {
        let uploads = Uploads(&self.session);
        match plan? {
            PlanMessage::Relation(message) => {
                let relation = Converter::new(&uploads).relation(message)?;
                let session = Arc::clone(&self.session);
                let session =
                    run_pipeline::session_inside(session, &self.options, self.context.as_ref()).await?;
                let result = session.execute(Plan::Query(relation)).await?;
                self.send_rows(result).await
            }
            PlanMessage::Command(message) => {
                let command = Converter::new(&uploads).command(*message)?;
                self.run_command(command).await
            }
        }
    }

    async fn run_command(&self, command: Converted) -> Result<()> {
        match command {
            Converted::Plan(command) => self.run_plan_command(*command).await,
            Converted::Sql(command) => self.run_sql(*command).await,
            Converted::Checkpoint { relation, eager } => {
                // A lazy checkpoint keeps the plan.
                let relation_id = match eager {
                    true => self.session.checkpoint(&relation).await?,
                    false => self.session.keep_remote(relation),
                };
                let relation = Some(proto::CachedRemoteRelation { relation_id });
                self.send(ResponseType::CheckpointCommandResult(proto::CheckpointCommandResult { relation }))
                    .await
            }
            Converted::RemoveCached(id) => {
                self.session.remove_remote(&id);
                Ok(())
            }
            Converted::GetResources => {
                self.send(
                    ResponseType::GetResourcesCommandResult(proto::GetResourcesCommandResult::default()),
                )
                .await
            }
            Converted::MlCleanCache => self.send_ml(boathouse_spec::Literal::Integer(0)).await,
            Converted::MlCacheInfo => {
                let element_type = boathouse_spec::DataType::STRING;
                self.send_ml(boathouse_spec::Literal::Array { element_type, values: Vec::new() }).await
            }
            Converted::StartQuery(query) => run_streaming::start(self, *query).await,
            Converted::Query(id, request) => run_streaming::query(self, id, request).await,
            Converted::Manage(request) => run_streaming::manage(self, request).await,
            Converted::Listen => run_streaming::listen(self).await,
            Converted::StopListening => run_streaming::stop_listening(self).await,
            Converted::Pipeline(request) => run_pipeline::run(self, request).await,
        }
    }

    /// A command of the engine: its rows are not shown, its metrics are.
    async fn run_plan_command(&self, command: Command) -> Result<()> {
        let result = self.session.execute(Plan::Command(Box::new(command))).await?;
        let mut stream = result.stream;
        while let Some(batch) = stream.next().await {
            batch.spark()?;
        }
        self.send_observed(&result.observed).await
    }

    /// A query is answered with what the client sent, to be run when its rows are wanted; a statement has run and is
    /// answered with its rows.
    async fn run_sql(&self, command: SqlCommand) -> Result<()> {
        let SqlCommand { text, views, message } = command;
        if self.context.is_some() && run_pipeline::is_query(&self.session, &text)? {
            return self.send_sql_result(message).await;
        }
        let outcome = self.with_views(views, self.session.sql_command(text)).await?;
        match outcome {
            SqlCommandOutcome::Query(_) => self.send_sql_result(message).await,
            SqlCommandOutcome::Rows(result) => {
                let observed = Arc::clone(&result.observed);
                let (schema, batches) = result.collect().await?;
                let data = Some(ipc_stream(&arrow_schema(&schema), &batches)?.into());
                let local = proto::LocalRelation { data, schema: None };
                let rel_type = Some(proto::relation::RelType::LocalRelation(local));
                self.send_sql_result(proto::Relation { common: None, rel_type }).await?;
                self.send_observed(&observed).await
            }
        }
    }

    /// Runs `work` while the DataFrames are temporary views, under names that the client has made unique.
    async fn with_views<T>(&self, views: Vec<Relation>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut names = Vec::new();
        let mut outcome = Ok(());
        for view in views {
            outcome = match *view.node {
                RelationNode::SubqueryAlias { input, alias, .. } => {
                    names.push(alias.clone());
                    self.run_quietly(temporary_view(alias, input)).await
                }
                _ => Err(invalid_plan("INVALID_WITH_RELATION_REFERENCE")
                    .message("A DataFrame that SQL text refers to has no name.")),
            };
            if outcome.is_err() {
                break;
            }
        }
        let result = match outcome {
            Ok(()) => work.await,
            Err(e) => Err(e),
        };
        for name in names {
            self.run_quietly(Command::Catalog(CatalogCall::DropTempView(name))).await?;
        }
        result
    }

    async fn run_quietly(&self, command: Command) -> Result<()> {
        self.session.execute(Plan::Command(Box::new(command))).await?.collect().await.map(|_| ())
    }

    async fn send_sql_result(&self, relation: proto::Relation) -> Result<()> {
        self.send(ResponseType::SqlCommandResult(SqlCommandResult { relation: Some(relation) })).await
    }

    async fn send_ml(&self, value: boathouse_spec::Literal) -> Result<()> {
        let result_type = Some(proto::ml_command_result::ResultType::Param(literal_to_proto(&value)));
        self.send(ResponseType::MlCommandResult(proto::MlCommandResult { result_type })).await
    }

    /// Rows, with their schema beside the first; then metrics. Each message costs the client a call to release it.
    async fn send_rows(&self, result: QueryResult) -> Result<()> {
        let QueryResult { schema, mut stream, observed } = result;
        let zone = self.session.conf().get("spark.sql.session.timeZone").unwrap_or_else(|| "UTC".into());
        let mut encoder = BatchEncoder::new(&schema, &zone, self.options.max_batch_bytes, self.chunking);
        let mut schema = Some(data_type_to_proto(&boathouse_spec::DataType::Struct(schema)));
        loop {
            let next = stream.next().await.transpose().spark()?;
            let messages = match &next {
                Some(batch) => encoder.encode(batch)?,
                None => encoder.finish()?,
            };
            for message in messages {
                let response_type = Some(ResponseType::ArrowBatch(message));
                let response =
                    ExecutePlanResponse { response_type, schema: schema.take(), ..Default::default() };
                self.operation.push(response).await?;
            }
            if next.is_none() {
                break;
            }
        }
        self.send_observed(&observed).await
    }

    async fn send_observed(&self, observed: &boathouse_engine::ObservedMetrics) -> Result<()> {
        let metrics: Vec<_> = observed.lock().clone();
        if metrics.is_empty() {
            return Ok(());
        }
        let message = |(name, values): (String, Vec<(String, boathouse_spec::Literal)>)| {
            let (keys, values) = values.into_iter().map(|(k, v)| (k, literal_to_proto(&v))).unzip();
            ObservedMetrics { name, keys, values, ..ObservedMetrics::default() }
        };
        let observed_metrics = metrics.into_iter().map(message).collect();
        self.operation.push(ExecutePlanResponse { observed_metrics, ..ExecutePlanResponse::default() }).await
    }

    pub async fn send(&self, response_type: ResponseType) -> Result<()> {
        let response_type = Some(response_type);
        self.operation.push(ExecutePlanResponse { response_type, ..ExecutePlanResponse::default() }).await
    }
}

fn temporary_view(name: String, source: Relation) -> Command {
    Command::CreateView(Box::new(CreateView {
        name: vec![name],
        mode: CreateMode::OrReplace,
        kind: ViewKind::Temporary,
        columns: Vec::new(),
        comment: None,
        collation: None,
        properties: Vec::new(),
        schema_mode: None,
        query: None,
        source: Some(source),
    }))
}

/// The error a panic becomes.
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".to_string());
    tracing::error!("a request panicked: {text}");
    Error::internal(format!("The request failed by a defect of the server: {text}. Please report it."))
}
