//! Sinks of `writeStream`: a file each.

mod console;
mod files;
mod foreach;
mod foreach_batch;
mod kafka;
mod memory;
mod noop;
mod python;
mod table;
mod table_of_files;
mod worker;

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_engine::{PythonSink, Session};
use boathouse_spec::{Error, Options, Relation, Result, StructType, option};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::physical_plan::ExecutionPlan;

use crate::manager::ManagerOptions;
use crate::query::{OutputMode, Sink};
use crate::start::{PERMANENT, StartQuery, StreamTarget};

/// Options of the query that are none of the sink's.
const OF_THE_QUERY: &[&str] = &["checkpointLocation", "path", "queryName", PERMANENT];

/// What a query writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    ForeachBatch,
    Foreach,
    Memory {
        view: String,
    },
    Console,
    Noop,
    Kafka,
    /// A Python data source of the session's.
    Python(String),
    /// A Delta table by path.
    DeltaPath(String),
    /// A Delta table of the catalog, made where there is none.
    Table {
        name: Vec<String>,
    },
    /// A directory of files.
    Files {
        format: String,
        path: String,
    },
}

/// The plan of the rows of a batch, whose columns have the names that users gave them.
async fn named_rows(session: &Arc<Session>, rows: &Relation) -> Result<(Arc<dyn ExecutionPlan>, StructType)> {
    let (plan, schema) = session.logical_plan(rows).await?;
    let named = plan.schema().columns().into_iter().zip(&schema.fields);
    let named: Vec<Expr> = named.map(|(c, f): (Column, _)| Expr::Column(c).alias(&f.name)).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(named, Arc::new(plan)).spark()?);
    let physical = session.query_state().create_physical_plan(&plan).await.spark()?;
    Ok((physical, schema))
}

impl Target {
    pub async fn of(session: &Arc<Session>, start: &StartQuery) -> Result<Self> {
        if start.foreach_batch.is_some() {
            return Ok(Self::ForeachBatch);
        }
        if start.foreach.is_some() {
            return Ok(Self::Foreach);
        }
        let default =
            || session.conf().get("spark.sql.sources.default").unwrap_or_else(|| "delta".to_string());
        let format = if start.format.is_empty() { default() } else { start.format.clone() }.to_lowercase();
        if let StreamTarget::Table(name) = &start.target {
            return table_of_files::target(session, session.parse_name(name)?, start, &format).await;
        }
        let path = match &start.target {
            StreamTarget::Path(path) => Some(path.clone()),
            _ => option(&start.options, "path").map(str::to_string),
        };
        if PythonSink::find(session, &format, Options::new()).is_some() {
            return Ok(Self::Python(format));
        }
        match format.as_str() {
            "memory" => {
                memory::view_name(session, start.query_name.as_deref()).map(|view| Self::Memory { view })
            }
            "console" => Ok(Self::Console),
            "noop" => Ok(Self::Noop),
            "delta" => Ok(Self::DeltaPath(path.ok_or_else(no_path)?)),
            "kafka" => Ok(Self::Kafka),
            _ => {
                boathouse_connectors::Format::find(&format)?;
                Ok(Self::Files { path: path.ok_or_else(no_path)?, format })
            }
        }
    }

    pub fn is_memory(&self) -> bool {
        matches!(self, Self::Memory { .. })
    }

    /// Whether the sink takes whole batches only, as tables and files do.
    pub fn is_of_batches(&self) -> bool {
        matches!(self, Self::DeltaPath(_) | Self::Table { .. } | Self::Files { .. })
    }

    /// What Spark calls the sink in messages.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::ForeachBatch => "org.apache.spark.sql.execution.streaming.sources.ForeachBatchSink",
            Self::Foreach => "org.apache.spark.sql.execution.streaming.sources.ForeachWriterTable",
            Self::Memory { .. } => "org.apache.spark.sql.execution.streaming.sources.MemorySink",
            Self::Console => "org.apache.spark.sql.execution.streaming.ConsoleTable$",
            Self::Noop => "org.apache.spark.sql.execution.datasources.noop.NoopTable$",
            Self::Kafka => "org.apache.spark.sql.kafka010.KafkaSourceProvider.KafkaTable",
            Self::DeltaPath(_) | Self::Table { .. } => "org.apache.spark.sql.delta.sources.DeltaSink",
            Self::Files { .. } => "org.apache.spark.sql.execution.streaming.sinks.FileStreamSink",
            Self::Python(_) => "org.apache.spark.sql.execution.datasources.v2.python.PythonTable",
        }
    }

    /// Sinks for trying out, and those that are the user's own business.
    pub fn takes_temporary_checkpoint(&self) -> bool {
        matches!(self, Self::ForeachBatch | Self::Foreach | Self::Memory { .. } | Self::Console | Self::Noop)
    }

    /// Whether rows can take the place of earlier ones.
    pub fn is_delta(&self) -> bool {
        matches!(self, Self::DeltaPath(_) | Self::Table { .. })
    }

    pub fn check_mode(&self, mode: OutputMode) -> Result<()> {
        let (source, allowed): (&str, &[OutputMode]) = match self {
            Self::Files { format, .. } => (format, &[OutputMode::Append]),
            _ => return Ok(()),
        };
        if allowed.contains(&mode) {
            return Ok(());
        }
        let name = mode.name();
        Err(Error::new("STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE")
            .param("className", source)
            .param("outputMode", name)
            .message(format!(
                "Invalid streaming output mode: {name}. This output mode is not supported in Data Source {source}."
            ))
            .exception("AnalysisException"))
    }
}

/// Rows that change, of which it is not known which earlier ones they take the place of, are none for a Delta table.
pub(crate) fn no_updates() -> Error {
    Error::new("DELTA_UNSUPPORTED_OUTPUT_MODE")
        .param("dataSource", "org.apache.spark.sql.delta.sources.DeltaDataSource")
        .param("mode", "Update")
        .message(
            "Data source org.apache.spark.sql.delta.sources.DeltaDataSource does not support Update output mode; \
             but for an aggregation whose keys are all among the columns, in batches",
        )
        .exception("AnalysisException")
}

pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn no_path() -> Error {
    Error::new("_LEGACY_ERROR_TEMP_2047")
        .message("'path' is not specified.")
        .exception("IllegalArgumentException")
}

/// Opens a sink.
pub(crate) async fn open(
    session: &Arc<Session>,
    start: &StartQuery,
    target: Target,
    mode: OutputMode,
    options: &ManagerOptions,
) -> Result<Arc<dyn Sink>> {
    let own: Options = start
        .options
        .iter()
        .filter(|(k, _)| !OF_THE_QUERY.iter().any(|o| o.eq_ignore_ascii_case(k)))
        .cloned()
        .collect();
    Ok(match target {
        Target::Memory { view } => {
            Arc::new(memory::MemorySink::open(session, &view, &start.input, mode).await?)
        }
        Target::Console => Arc::new(console::ConsoleSink::new(&own)?),
        Target::Noop => Arc::new(noop::NoopSink::default()),
        Target::Python(name) => {
            let mut options = own;
            let path = match &start.target {
                StreamTarget::Path(path) => Some(path.clone()),
                _ => option(&start.options, "path").map(str::to_string),
            };
            options.extend(path.map(|path| ("path".to_string(), path)));
            let sink = PythonSink::find(session, &name, options)
                .ok_or_else(|| Error::internal("a Python data source that is gone"))?;
            Arc::new(python::SourceSink::new(sink, mode))
        }
        Target::Kafka => Arc::new(kafka::KafkaSink::new(&own)?),
        Target::DeltaPath(path) => Arc::new(table::TableSink::path(path, start, own, mode)),
        Target::Table { name } => Arc::new(table::TableSink::table(name, start, own, mode)),
        Target::Files { format, path } => Arc::new(files::FileSink::open(session, format, path, start, own)?),
        Target::ForeachBatch => {
            let function =
                start.foreach_batch.clone().ok_or_else(|| Error::internal("a sink without its function"))?;
            Arc::new(foreach_batch::ForeachBatchSink::new(session, function, options)?)
        }
        Target::Foreach => {
            let function =
                start.foreach.clone().ok_or_else(|| Error::internal("a sink without its function"))?;
            Arc::new(foreach::ForeachSink::new(function))
        }
    })
}
