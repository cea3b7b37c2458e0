//! Commands of declarative pipelines.

use boathouse_spec::{Error, Result, parse_attribute_names};
use prost::{Message, Name};
use prost_types::Any;

use super::data_type::{parse_schema_text, schema_from_proto};
use super::{Converter, missing, not_set, unknown_enum};
use crate::proto::spark::pipeline_command::{self as proto, CommandType, define_flow, define_output};
use crate::proto::spark::{OutputType, PipelineAnalysisContext, PipelineCommand, SourceCodeLocation};
use boathouse_pipelines::request::{
    AutoCdc, CreateGraph, DefineFlow, DefineOutput, Extension, FlowDetails, OutputKind, PipelineRequest,
    QueryFunctionContext, SinkDetails, SourceLocation, SqlFile, StartRun, TableDetails,
};

const MESSAGE: &str = "spark.connect.PipelineCommand";

impl Converter<'_> {
    pub(super) fn pipeline_request(&mut self, command: PipelineCommand) -> Result<PipelineRequest> {
        Ok(match command.command_type.ok_or_else(|| not_set(MESSAGE, "COMMANDTYPE_NOT_SET"))? {
            CommandType::CreateDataflowGraph(g) => PipelineRequest::CreateGraph(CreateGraph {
                default_catalog: g.default_catalog,
                default_database: g.default_database,
                sql_conf: g.sql_conf.into_iter().collect(),
            }),
            CommandType::DropDataflowGraph(d) => PipelineRequest::DropGraph(graph_id(d.dataflow_graph_id)?),
            CommandType::DefineOutput(o) => PipelineRequest::DefineOutput(Box::new(output(o)?)),
            CommandType::DefineFlow(f) => PipelineRequest::DefineFlow(Box::new(self.flow(f)?)),
            CommandType::DefineSqlGraphElements(s) => PipelineRequest::DefineSql(SqlFile {
                graph_id: graph_id(s.dataflow_graph_id)?,
                path: s.sql_file_path.unwrap_or_default(),
                text: s.sql_text.unwrap_or_default(),
            }),
            CommandType::StartRun(r) => PipelineRequest::StartRun(StartRun {
                graph_id: graph_id(r.dataflow_graph_id)?,
                full_refresh: r.full_refresh_selection,
                full_refresh_all: r.full_refresh_all.unwrap_or(false),
                refresh: r.refresh_selection,
                dry: r.dry.unwrap_or(false),
                storage: r.storage.filter(|s| !s.is_empty()),
            }),
            CommandType::Extension(any) => PipelineRequest::Extension(extension(any)),
            CommandType::ExecuteOutputFlows(_) => {
                return Err(Error::unsupported("the pipeline command ExecuteOutputFlows"));
            }
            CommandType::GetQueryFunctionExecutionSignalStream(_) => {
                return Err(Error::unsupported("the pipeline command GetQueryFunctionExecutionSignalStream"));
            }
            CommandType::DefineFlowQueryFunctionResult(_) => {
                return Err(Error::unsupported("the pipeline command DefineFlowQueryFunctionResult"));
            }
        })
    }

    fn flow(&mut self, f: proto::DefineFlow) -> Result<DefineFlow> {
        let details = match f.details {
            None => FlowDetails::Relation(None),
            Some(define_flow::Details::RelationFlowDetails(d)) => {
                FlowDetails::Relation(d.relation.map(|r| self.relation(r)).transpose()?)
            }
            Some(define_flow::Details::AutoCdcFlowDetails(d)) => {
                FlowDetails::AutoCdc(Box::new(self.auto_cdc(d)?))
            }
            Some(define_flow::Details::Extension(any)) => FlowDetails::Extension(extension(any)),
        };
        let name = f.flow_name.ok_or_else(|| missing(MESSAGE, "flow_name"))?;
        Ok(DefineFlow {
            graph_id: graph_id(f.dataflow_graph_id)?,
            target: f.target_dataset_name.unwrap_or_else(|| name.clone()),
            name,
            sql_conf: f.sql_conf.into_iter().collect(),
            client_id: f.client_id,
            location: location(f.source_code_location),
            once: f.once.unwrap_or(false),
            details,
        })
    }

    fn auto_cdc(&mut self, d: define_flow::AutoCdcFlowDetails) -> Result<AutoCdc> {
        Ok(AutoCdc {
            source: d.source.ok_or_else(|| missing(MESSAGE, "source"))?,
            keys: self.expressions(d.keys)?,
            sequence_by: d.sequence_by.map(|e| self.expression(e)).transpose()?,
            apply_as_deletes: d.apply_as_deletes.map(|e| self.expression(e)).transpose()?,
            apply_as_truncates: d.apply_as_truncates.map(|e| self.expression(e)).transpose()?,
            columns: self.expressions(d.column_list)?,
            except_columns: self.expressions(d.except_column_list)?,
            ignore_null_columns: self.expressions(d.ignore_null_updates_column_list)?,
            ignore_null_except_columns: self.expressions(d.ignore_null_updates_except_column_list)?,
        })
    }
}

fn output(o: proto::DefineOutput) -> Result<DefineOutput> {
    use define_output::{Details, table_details::Schema};
    let number = o.output_type.unwrap_or_default();
    let kind = match OutputType::try_from(number) {
        Ok(OutputType::MaterializedView) => OutputKind::MaterializedView,
        Ok(OutputType::Table) => OutputKind::StreamingTable,
        Ok(OutputType::TemporaryView) => OutputKind::TemporaryView,
        Ok(OutputType::Sink) => OutputKind::Sink,
        _ => return Err(unknown_enum("spark.connect.OutputType", number)),
    };
    let (mut table, mut sink, mut own) = (None, None, None);
    match o.details {
        None => {}
        Some(Details::TableDetails(t)) => {
            let schema = match t.schema {
                None => None,
                Some(Schema::SchemaDataType(t)) if t.kind.is_none() => None,
                Some(Schema::SchemaDataType(t)) => Some(schema_from_proto(t)?),
                Some(Schema::SchemaString(text)) if text.trim().is_empty() => None,
                Some(Schema::SchemaString(text)) => Some(parse_schema_text(&text)?),
            };
            table = Some(TableDetails {
                properties: t.table_properties.into_iter().collect(),
                partition_by: t.partition_cols,
                cluster_by: parse_attribute_names(&t.clustering_columns)?,
                format: t.format.filter(|f| !f.is_empty()),
                schema,
            });
        }
        Some(Details::SinkDetails(s)) => {
            sink = Some(SinkDetails { format: s.format, options: s.options.into_iter().collect() });
        }
        Some(Details::Extension(any)) => own = Some(extension(any)),
    }
    Ok(DefineOutput {
        graph_id: graph_id(o.dataflow_graph_id)?,
        name: o.output_name.ok_or_else(|| missing(MESSAGE, "output_name"))?,
        kind,
        comment: o.comment,
        location: location(o.source_code_location),
        table,
        sink,
        extension: own,
    })
}

fn graph_id(id: Option<String>) -> Result<String> {
    id.ok_or_else(|| missing(MESSAGE, "dataflow_graph_id"))
}

fn location(l: Option<SourceCodeLocation>) -> SourceLocation {
    let l = l.unwrap_or_default();
    SourceLocation { file: l.file_name, line: l.line_number, definition_path: l.definition_path }
}

fn extension(any: Any) -> Extension {
    Extension { type_url: any.type_url, value: any.value }
}

/// The context that a client adds to requests from inside a query function.
#[allow(deprecated)]
pub fn query_function_context(extensions: &[Any]) -> Option<QueryFunctionContext> {
    let any = extensions.iter().find(|any| any.type_url.ends_with(&PipelineAnalysisContext::full_name()))?;
    let context = PipelineAnalysisContext::decode(any.value.as_slice()).ok()?;
    let flow = context.flow_identifier.map(|i| i.table_name).or(context.flow_name);
    Some(QueryFunctionContext {
        graph_id: context.dataflow_graph_id,
        definition_path: context.definition_path,
        flow_name: flow,
    })
}
