//! Python data sources that are written to: a function over the rows of each partition gives a message, and the class commits
//! the messages, or aborts the write with those that there are.

use std::sync::Arc;

use arrow::array::AsArray;
use boathouse_bridge::ResultExt;
use boathouse_python::{Plain, pickle};
use boathouse_spec::{
    DataType, Error, Options, PythonFunction, Relation, Result, SaveMode, StructField, StructType,
};
use datafusion::common::DFSchema;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream_partitioned;
use futures::StreamExt;
use tokio::sync::OnceCell;

use super::source::PythonSource;
use super::{Setup, map};
use crate::sinks::unsupported_mode;
use crate::{QueryResult, Session, execute};

/// A write that is planned: the function over partitions, and the pickled writer.
struct WritePlan {
    function: PythonFunction,
    writer: Vec<u8>,
}

/// The messages of partitions; `None` where one gave none.
struct Written {
    messages: Vec<Option<Vec<u8>>>,
    failure: Option<Error>,
}

/// `df.write.format("name").save()`
pub(crate) async fn save(
    session: &Arc<Session>,
    source: &PythonSource,
    input: Relation,
    mode: SaveMode,
    options: &Options,
) -> Result<QueryResult> {
    let overwrite = match mode {
        SaveMode::Append => false,
        SaveMode::Overwrite => true,
        other => return Err(unsupported_mode(&source.name, other)),
    };
    let setup = Setup::of(session);
    let (rows, schema) = session.logical_plan(&input).await?;
    let plan = source.plan_write(&setup, &schema, options, overwrite, false).await?;
    let written = write_rows(session, source, &setup, (rows, &schema), &plan).await?;
    let mut question = source.question("commit_data_source_write", &setup);
    question.bytes(&plan.writer);
    say_messages(&mut question, &written);
    question.flag(written.failure.is_some());
    finish(source, &setup, question, written).await?;
    Ok(QueryResult::empty())
}

/// A source that the batches of a stream are written to.
#[derive(Debug, Clone)]
pub struct PythonSink {
    source: PythonSource,
    options: Options,
    /// The pickled instance, made for the first batch: the columns are the same in all.
    instance: Arc<OnceCell<Vec<u8>>>,
}

impl PythonSink {
    /// The source that the session knows by a name.
    pub fn find(session: &Session, name: &str, options: Options) -> Option<Self> {
        let source = session.python_sources.get(&name.to_lowercase())?.value().clone();
        Some(Self { source, options, instance: Arc::default() })
    }

    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// Writes a batch. `complete`: in place of all that there is.
    pub async fn write(
        &self,
        session: &Arc<Session>,
        rows: Relation,
        complete: bool,
        batch_id: i64,
    ) -> Result<()> {
        let (setup, source) = (Setup::of(session), &self.source);
        let (rows, schema) = session.logical_plan(&rows).await?;
        let open = || async { Ok(source.open(&setup, Some(&schema), &self.options).await?.instance) };
        let instance = self.instance.get_or_try_init(open).await?;
        let plan = source.plan_write(&setup, &schema, &self.options, complete, true).await?;
        let written = write_rows(session, source, &setup, (rows, &schema), &plan).await?;
        let mut question = source.question("python_streaming_sink_runner", &setup);
        question.bytes(instance);
        question.text(&schema.json());
        question.flag(complete);
        say_messages(&mut question, &written);
        question.long(batch_id);
        question.flag(written.failure.is_some());
        finish(source, &setup, question, written).await
    }
}

impl PythonSource {
    async fn plan_write(
        &self,
        setup: &Setup,
        schema: &StructType,
        options: &Options,
        overwrite: bool,
        is_streaming: bool,
    ) -> Result<WritePlan> {
        let mut question = self.question("write_into_data_source", setup);
        question.bytes(&self.command);
        question.text(&self.name);
        question.text(&schema.json());
        question.text(&message_type().json());
        question.count(options.len());
        for (key, value) in options {
            question.text(key);
            question.text(value);
        }
        question.flag(overwrite);
        question.flag(is_streaming);
        // Bytes are bytes.
        question.flag(true);
        let mut answer =
            setup.workers.ask(&setup.options, question).await.map_err(|e| self.failed("plan", &e))?;
        let function = self.map_function(answer.bytes()?, message_type());
        Ok(WritePlan { function, writer: answer.bytes()? })
    }
}

/// What a partition gives.
fn message_type() -> StructType {
    StructType::new(vec![StructField::new("message", DataType::Binary, true)])
}

async fn write_rows(
    session: &Arc<Session>,
    source: &PythonSource,
    setup: &Arc<Setup>,
    (rows, schema): (LogicalPlan, &StructType),
    plan: &WritePlan,
) -> Result<Written> {
    let fields = boathouse_bridge::arrow_schema(&message_type()).fields().clone();
    let output = DFSchema::from_unqualified_fields(fields, Default::default()).spark()?;
    let (function, setup) = (plan.function.clone(), Arc::clone(setup));
    let written =
        map::map_all_partitions(rows, &source.name, function, &schema.fields, Arc::new(output), setup);
    let physical = execute::physical_plan(session, &written).await?;
    let streams = execute_stream_partitioned(physical, execute::task_context(session)).spark()?;
    let partitions = streams.into_iter().map(|mut rows| async move {
        let mut messages = Vec::new();
        while let Some(batch) = rows.next().await {
            match batch.spark() {
                Ok(batch) => {
                    let column = batch.column(0).as_binary_opt::<i32>();
                    messages.extend(column.iter().flat_map(|c| c.iter()).map(|m| m.map(<[u8]>::to_vec)));
                }
                Err(e) => return (messages, Some(e)),
            }
        }
        (messages, None)
    });
    let mut written = Written { messages: Vec::new(), failure: None };
    for (messages, failure) in futures::future::join_all(partitions).await {
        written.messages.extend(messages);
        if let Some(failure) = failure {
            written.messages.push(None);
            written.failure.get_or_insert(failure);
        }
    }
    Ok(written)
}

fn say_messages(question: &mut boathouse_python::Question, written: &Written) {
    question.count(written.messages.len());
    for message in &written.messages {
        match message {
            Some(message) => question.bytes(message),
            None => question.bytes(&pickle(&Plain::None)),
        }
    }
}

/// Lets the class commit or abort. What has failed before is the error, whatever the class says of it.
async fn finish(
    source: &PythonSource,
    setup: &Setup,
    question: boathouse_python::Question,
    written: Written,
) -> Result<()> {
    let finished = setup.workers.ask(&setup.options, question).await;
    match (written.failure, finished) {
        (Some(failure), _) => Err(failure),
        (None, Err(e)) => Err(source.failed("commit", &e)),
        (None, Ok(mut answer)) => answer.int().map(|_| ()),
    }
}
