//! Commands.

use boathouse_spec::{Command, Error, Relation, RelationNode, Result, SqlText};

use super::streaming::{manager_request, query_request};
use super::{Converter, invalid_plan, missing, not_set};
use crate::proto::spark::{self as proto, command::CommandType, ml_command, relation::RelType};
use crate::streaming::{ManagerRequest, QueryId, QueryRequest, StartQuery};
use boathouse_pipelines::request::PipelineRequest;

/// A command, by who runs it.
#[derive(Debug)]
pub enum Converted {
    /// The engine runs it; it gives no rows to the client.
    Plan(Box<Command>),
    /// SQL text: a query is answered with its own relation, a statement is run and answered with its rows.
    Sql(Box<SqlCommand>),
    /// Where the rows are kept is the server's business, so `local` and a storage level change nothing.
    Checkpoint {
        relation: Relation,
        eager: bool,
    },
    RemoveCached(String),
    GetResources,
    /// There are no models, so there is nothing to clean, and nothing cached.
    MlCleanCache,
    MlCacheInfo,
    StartQuery(Box<StartQuery>),
    Query(QueryId, QueryRequest),
    Manage(ManagerRequest),
    Listen,
    StopListening,
    Pipeline(PipelineRequest),
}

#[derive(Debug)]
pub struct SqlCommand {
    pub text: SqlText,
    /// DataFrames that the text names as views.
    pub views: Vec<Relation>,
    /// What the client sent, to answer with where it is a query.
    pub message: proto::Relation,
}

impl Converter<'_> {
    pub fn command(&mut self, message: proto::Command) -> Result<Converted> {
        let plan = |command: Command| Converted::Plan(Box::new(command));
        Ok(
            match message
                .command_type
                .ok_or_else(|| not_set("spark.connect.Command", "COMMANDTYPE_NOT_SET"))?
            {
                CommandType::RegisterFunction(f) => plan(self.register_function(f)?),
                CommandType::RegisterTableFunction(f) => plan(self.register_table_function(f)?),
                CommandType::RegisterDataSource(d) => plan(register_data_source(d)?),
                CommandType::WriteOperation(w) => plan(self.write(w)?),
                CommandType::WriteOperationV2(w) => plan(self.write_to(w)?),
                CommandType::CreateDataframeView(v) => plan(self.create_view(v)?),
                CommandType::MergeIntoTableCommand(m) => plan(self.merge_into(m)?),
                CommandType::SqlCommand(s) => Converted::Sql(Box::new(self.sql_command(s)?)),
                CommandType::CheckpointCommand(c) => {
                    let relation =
                        c.relation.ok_or_else(|| missing("spark.connect.CheckpointCommand", "relation"))?;
                    Converted::Checkpoint { relation: self.relation(relation)?, eager: c.eager }
                }
                CommandType::RemoveCachedRemoteRelationCommand(r) => {
                    let relation = r.relation;
                    let relation = relation.ok_or_else(|| {
                        missing("spark.connect.RemoveCachedRemoteRelationCommand", "relation")
                    })?;
                    Converted::RemoveCached(relation.relation_id)
                }
                CommandType::GetResourcesCommand(_) => Converted::GetResources,
                CommandType::WriteStreamOperationStart(w) => {
                    Converted::StartQuery(Box::new(self.start_query(w)?))
                }
                CommandType::StreamingQueryCommand(c) => {
                    let (id, request) = query_request(c)?;
                    Converted::Query(id, request)
                }
                CommandType::StreamingQueryManagerCommand(c) => Converted::Manage(manager_request(c)?),
                CommandType::StreamingQueryListenerBusCommand(c) => {
                    use proto::streaming_query_listener_bus_command::Command as Bus;
                    match c.command {
                        Some(Bus::AddListenerBusListener(_)) => Converted::Listen,
                        Some(Bus::RemoveListenerBusListener(_)) => Converted::StopListening,
                        None => {
                            let message = "spark.connect.StreamingQueryListenerBusCommand";
                            return Err(not_set(message, "COMMAND_NOT_SET"));
                        }
                    }
                }
                CommandType::PipelineCommand(c) => Converted::Pipeline(self.pipeline_request(c)?),
                CommandType::MlCommand(c) => match c.command {
                    Some(ml_command::Command::CleanCache(_)) => Converted::MlCleanCache,
                    Some(ml_command::Command::GetCacheInfo(_)) => Converted::MlCacheInfo,
                    _ => return Err(Error::unsupported("machine learning (pyspark.ml)")),
                },
                CommandType::CreateResourceProfileCommand(_) => {
                    return Err(Error::unsupported("resource profiles"));
                }
                CommandType::ExecuteExternalCommand(c) => {
                    return Err(Error::unsupported(format!(
                        "commands of external systems (runner `{}`)",
                        c.runner
                    )));
                }
                CommandType::Extension(any) => plan(self.delta_command(&any)?),
            },
        )
    }

    /// Newer clients send the text as a relation, older ones as fields of the command.
    #[allow(deprecated)]
    fn sql_command(&mut self, s: proto::SqlCommand) -> Result<SqlCommand> {
        let message = match s.input {
            Some(input) => input,
            None => {
                let sql = proto::Sql {
                    query: s.sql,
                    args: s.args,
                    pos_args: s.pos_args,
                    named_arguments: s.named_arguments,
                    pos_arguments: s.pos_arguments,
                };
                proto::Relation { common: None, rel_type: Some(RelType::Sql(sql)) }
            }
        };
        let relation = self.relation(message.clone())?;
        let refused = || {
            invalid_plan("SQL_COMMAND_EXPECTS_SQL_OR_WITH_RELATIONS")
                .param("other", "another relation")
                .message("A SQL command holds SQL text, alone or with the DataFrames it names.")
        };
        match *relation.node {
            RelationNode::Sql(text) => Ok(SqlCommand { text, views: Vec::new(), message }),
            RelationNode::WithRelations { root, references } => match *root.node {
                RelationNode::Sql(text) => Ok(SqlCommand { text, views: references, message }),
                _ => Err(refused()),
            },
            _ => Err(refused()),
        }
    }
}

fn register_data_source(d: proto::CommonInlineUserDefinedDataSource) -> Result<Command> {
    use proto::common_inline_user_defined_data_source::DataSource;
    let message = "spark.connect.CommonInlineUserDefinedDataSource";
    let DataSource::PythonDataSource(source) =
        d.data_source.ok_or_else(|| not_set(message, "DATASOURCE_NOT_SET"))?;
    Ok(Command::RegisterPythonDataSource {
        name: d.name,
        command: source.command,
        python_version: source.python_ver,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::test_support::Uploaded;

    fn convert(command_type: CommandType) -> Result<Converted> {
        let artifacts = Uploaded::default();
        Converter::new(&artifacts).command(proto::Command { command_type: Some(command_type) })
    }

    #[test]
    #[allow(deprecated)]
    fn sql_text_comes_in_two_forms() {
        let old = proto::SqlCommand { sql: "SELECT 1".into(), ..Default::default() };
        assert!(
            matches!(convert(CommandType::SqlCommand(old)), Ok(Converted::Sql(s)) if s.text.text == "SELECT 1")
        );
        let range = proto::Range { end: 1, step: 1, ..Default::default() };
        let input = Some(proto::Relation { common: None, rel_type: Some(RelType::Range(range)) });
        let other = proto::SqlCommand { input, ..Default::default() };
        assert!(convert(CommandType::SqlCommand(other)).is_err_and(|e| e.is("CONNECT_INVALID_PLAN")));
    }

    #[test]
    fn empty_commands_are_refused_as_spark_does() {
        let artifacts = Uploaded::default();
        let error = Converter::new(&artifacts).command(proto::Command::default());
        assert!(error.is_err_and(|e| e.parameters()[1].1 == "COMMANDTYPE_NOT_SET"));
    }
}
