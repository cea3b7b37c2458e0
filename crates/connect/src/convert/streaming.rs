//! Commands of streaming queries.

use boathouse_spec::{Error, PythonFunction, Result, parse_attribute_names};
use prost::Message as _;

use super::function::python_function;
use super::{Converter, missing, not_set};
use crate::proto::spark as proto;
use crate::streaming::{ManagerRequest, PERMANENT, QueryId, QueryRequest, StartQuery, StreamTarget, Trigger};

impl Converter<'_> {
    pub fn start_query(&mut self, w: proto::WriteStreamOperationStart) -> Result<StartQuery> {
        use proto::write_stream_operation_start::{SinkDestination, Trigger as Message};
        let is_kept = w.options.keys().any(|key| key.eq_ignore_ascii_case(PERMANENT));
        let request = is_kept.then(|| w.encode_to_vec());
        let trigger = match w.trigger {
            None => Trigger::Default,
            Some(Message::ProcessingTimeInterval(interval)) => Trigger::ProcessingTime(interval),
            Some(Message::AvailableNow(_)) => Trigger::AvailableNow,
            Some(Message::Once(_)) => Trigger::Once,
            Some(Message::ContinuousCheckpointInterval(interval)) => Trigger::Continuous(interval),
            Some(Message::RealTimeBatchDuration(duration)) => Trigger::RealTime(duration),
        };
        let target = match w.sink_destination {
            None => StreamTarget::None,
            Some(SinkDestination::Path(path)) => StreamTarget::Path(path),
            Some(SinkDestination::TableName(name)) => StreamTarget::Table(name),
        };
        let input = w.input.ok_or_else(|| missing("spark.connect.WriteStreamOperationStart", "input"))?;
        Ok(StartQuery {
            input: self.relation(input)?,
            format: w.format,
            options: w.options.into_iter().collect(),
            partition_by: w.partitioning_column_names,
            cluster_by: parse_attribute_names(&w.clustering_column_names)?,
            trigger,
            output_mode: w.output_mode,
            query_name: Some(w.query_name).filter(|n| !n.is_empty()),
            target,
            foreach: w.foreach_writer.map(foreach_function).transpose()?,
            foreach_batch: w.foreach_batch.map(foreach_function).transpose()?,
            request,
        })
    }
}

fn foreach_function(f: proto::StreamingForeachFunction) -> Result<PythonFunction> {
    use proto::streaming_foreach_function::Function;
    match f.function.ok_or_else(|| not_set("spark.connect.StreamingForeachFunction", "FUNCTION_NOT_SET"))? {
        Function::PythonFunction(udf) => python_function(udf),
        Function::ScalaFunction(_) => {
            Err(Error::unsupported("foreach and foreachBatch functions written in Scala"))
        }
    }
}

pub(super) fn query_request(c: proto::StreamingQueryCommand) -> Result<(QueryId, QueryRequest)> {
    use proto::streaming_query_command::Command;
    let id = c.query_id.ok_or_else(|| missing("spark.connect.StreamingQueryCommand", "query_id"))?;
    let command =
        c.command.ok_or_else(|| not_set("spark.connect.StreamingQueryCommand", "COMMAND_NOT_SET"))?;
    let request = match command {
        Command::Status(_) => QueryRequest::Status,
        Command::LastProgress(_) => QueryRequest::LastProgress,
        Command::RecentProgress(_) => QueryRequest::RecentProgress,
        Command::Stop(_) => QueryRequest::Stop,
        Command::ProcessAllAvailable(_) => QueryRequest::ProcessAllAvailable,
        Command::Explain(e) => QueryRequest::Explain { extended: e.extended },
        Command::Exception(_) => QueryRequest::Exception,
        Command::AwaitTermination(a) => QueryRequest::AwaitTermination { timeout_ms: a.timeout_ms },
    };
    Ok((QueryId { id: id.id, run_id: id.run_id }, request))
}

pub(super) fn manager_request(c: proto::StreamingQueryManagerCommand) -> Result<ManagerRequest> {
    use proto::streaming_query_manager_command::Command;
    let message = "spark.connect.StreamingQueryManagerCommand";
    Ok(match c.command.ok_or_else(|| not_set(message, "COMMAND_NOT_SET"))? {
        Command::Active(_) => ManagerRequest::Active,
        Command::GetQuery(id) => ManagerRequest::Get(id),
        Command::AwaitAnyTermination(a) => ManagerRequest::AwaitAnyTermination { timeout_ms: a.timeout_ms },
        Command::ResetTerminated(_) => ManagerRequest::ResetTerminated,
        Command::AddListener(l) => {
            let udf = l.python_listener_payload;
            let udf =
                udf.ok_or_else(|| Error::unsupported("listeners of streaming queries written in Scala"))?;
            ManagerRequest::AddListener { id: l.id, listener: python_function(udf)? }
        }
        Command::RemoveListener(l) => ManagerRequest::RemoveListener { id: l.id },
        Command::ListListeners(_) => ManagerRequest::ListListeners,
    })
}
