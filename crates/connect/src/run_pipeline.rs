//! Pipeline commands: asked of the handler, answered in the protocol's messages.

use std::sync::Arc;

use boathouse_engine::Session;
use boathouse_pipelines::Pipelines;
use boathouse_pipelines::request::{PipelineRequest, QueryFunctionContext, ResolvedName};
use boathouse_spec::{Command, Error, Plan, Result, SqlText};
use tokio::sync::mpsc;

use crate::execute::Execution;
use crate::options::ConnectOptions;
use crate::proto::spark::execute_plan_response::ResponseType;
use crate::proto::spark::pipeline_command_result::{
    CreateDataflowGraphResult, DefineFlowResult, DefineOutputResult, ResultType,
};
use crate::proto::spark::{self as proto, PipelineCommandResult};

/// Events of a run that may wait for the client.
const BUFFERED_EVENTS: usize = 256;

fn pipelines(options: &ConnectOptions) -> Result<Arc<Pipelines>> {
    options.pipelines.clone().ok_or_else(|| Error::unsupported("declarative pipelines"))
}

pub async fn run(execution: &Execution, request: PipelineRequest) -> Result<()> {
    let handler = pipelines(&execution.options)?;
    let session = &execution.session;
    let result_type = match request {
        PipelineRequest::CreateGraph(graph) => {
            let dataflow_graph_id = Some(handler.create_graph(session, graph).await?);
            Some(ResultType::CreateDataflowGraphResult(CreateDataflowGraphResult { dataflow_graph_id }))
        }
        PipelineRequest::DropGraph(id) => {
            handler.drop_graph(session, &id).await?;
            None
        }
        PipelineRequest::DefineOutput(output) => {
            let resolved_identifier = Some(identifier(handler.define_output(session, *output).await?));
            Some(ResultType::DefineOutputResult(DefineOutputResult { resolved_identifier }))
        }
        PipelineRequest::DefineFlow(flow) => {
            let resolved_identifier = Some(identifier(handler.define_flow(session, *flow).await?));
            Some(ResultType::DefineFlowResult(DefineFlowResult { resolved_identifier }))
        }
        PipelineRequest::DefineSql(file) => {
            handler.define_sql(session, file).await?;
            None
        }
        PipelineRequest::StartRun(run) => {
            let (sender, mut events) = mpsc::channel(BUFFERED_EVENTS);
            let run = handler.start_run(session, run, sender);
            let forward = async {
                while let Some(event) = events.recv().await {
                    let timestamp = prost_types::Timestamp {
                        seconds: event.timestamp_us.div_euclid(1_000_000),
                        nanos: (event.timestamp_us.rem_euclid(1_000_000) * 1000) as i32,
                    };
                    let event =
                        proto::PipelineEvent { timestamp: Some(timestamp), message: Some(event.message) };
                    let result = proto::PipelineEventResult { event: Some(event) };
                    execution.send(ResponseType::PipelineEventResult(result)).await?;
                }
                Ok(())
            };
            // The events that came before a failure are shown before it.
            let (outcome, sent) = tokio::join!(run, forward);
            outcome?;
            sent?;
            None
        }
        PipelineRequest::Extension(extension) => {
            handler.extension(session, extension).await?;
            None
        }
    };
    execution.send(ResponseType::PipelineCommandResult(PipelineCommandResult { result_type })).await
}

/// The session that a request is answered in: inside a pipeline's query function it knows the pipeline's datasets.
pub async fn session_inside(
    session: Arc<Session>,
    options: &ConnectOptions,
    context: Option<&QueryFunctionContext>,
) -> Result<Arc<Session>> {
    match context {
        Some(context) => pipelines(options)?.query_function_session(&session, context).await,
        None => Ok(session),
    }
}

/// Whether SQL text inside a query function is a query, which stays unanalyzed. Statements that show something run;
/// others may not stand there.
pub fn is_query(session: &Session, text: &SqlText) -> Result<bool> {
    match boathouse_sql::parse_statement(&text.text, &session.conf().parser_options())? {
        Plan::Query(_) => Ok(true),
        Plan::Command(command) if only_shows(&command) => Ok(false),
        Plan::Command(_) => Err(Error::new("UNSUPPORTED_PIPELINE_SPARK_SQL_COMMAND")
            .param("className", "command")
            .exception("AnalysisException")
            .message(
                "A query function of a pipeline may run queries only, no statements that change something.",
            )),
    }
}

fn only_shows(command: &Command) -> bool {
    matches!(
        command,
        Command::ShowSetting { .. }
            | Command::ShowSettings { .. }
            | Command::ShowCatalogs { .. }
            | Command::ShowSchemas { .. }
            | Command::ShowTables { .. }
            | Command::ShowViews { .. }
            | Command::ShowColumns { .. }
            | Command::ShowFunctions { .. }
            | Command::ShowProperties { .. }
            | Command::ShowCreateTable { .. }
            | Command::ShowCurrentSchema
            | Command::DescribeTable { .. }
            | Command::DescribeSchema { .. }
            | Command::DescribeFunction { .. }
    )
}

fn identifier(name: ResolvedName) -> proto::ResolvedIdentifier {
    proto::ResolvedIdentifier { catalog_name: name.catalog, namespace: name.namespace, table_name: name.name }
}
