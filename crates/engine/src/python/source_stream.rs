//! Python data sources that stream: a reader in a process of its own says how far its data goes, and plans what lies between
//! two offsets (PySpark's `python_streaming_source_runner`).

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use boathouse_bridge::{ResultExt, arrow_schema, conform_batch};
use boathouse_python::{Dialogue, Question};
use boathouse_spec::{DataSourceRef, DataType, Error, PythonFunction, Result, StructField, StructType};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::DFSchema;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::source::{Opened, PythonSource, ReadPlan, options_of};
use super::{Setup, map};
use crate::Session;

const INITIAL_OFFSET: i32 = 884;
const LATEST_OFFSET: i32 = 885;
const PARTITIONS: i32 = 886;
const COMMIT: i32 = 887;
const SUPPORTED: i32 = 888;
const PREPARE_AVAILABLE_NOW: i32 = 889;
const LATEST_OFFSET_WITHIN: i32 = 890;
const DEFAULT_LIMIT: i32 = 891;
const REPORTED_OFFSET: i32 = 892;

/// Bits of what a reader supports.
const ADMISSION_CONTROL: i32 = 1;
const AVAILABLE_NOW: i32 = 2;

/// What comes with the partitions.
const NOT_FETCHED: i32 = 0;
const FETCHED: i32 = 1;

/// A reader of a stream.
pub struct PythonStream {
    source: PythonSource,
    setup: Arc<Setup>,
    opened: Opened,
    reader: Dialogue,
    supported: i32,
    /// The read function, once it was asked for.
    read: Option<PythonFunction>,
}

impl PythonStream {
    /// Whether the session knows a source by the name.
    pub fn is_known(session: &Session, name: &str) -> bool {
        session.python_sources.contains_key(&name.to_lowercase())
    }

    /// The columns of a source.
    pub async fn columns(session: &Arc<Session>, source: &DataSourceRef) -> Result<StructType> {
        let (python, setup) = known(session, source)?;
        Ok(python.open(&setup, source.schema.as_ref(), &options_of(source)).await?.schema)
    }

    pub async fn open(session: &Arc<Session>, source: &DataSourceRef) -> Result<Self> {
        let (python, setup) = known(session, source)?;
        let opened = python.open(&setup, source.schema.as_ref(), &options_of(source)).await?;
        let module = "pyspark.sql.streaming.python_streaming_source_runner";
        let mut question = Question::of_stream(module, &python.python_version, &setup.files, &setup.includes);
        question.bytes(&opened.instance);
        question.text(&opened.schema.json());
        question.count(setup.batch_rows.min(10_000));
        let begun = async {
            let mut reader = setup.workers.open(&setup.options, question).await?;
            reader.int().await?;
            reader.ask(SUPPORTED, &[]).await?;
            let supported = reader.int().await?;
            Ok((reader, supported))
        };
        let (reader, supported) = begun.await.map_err(|e| python.failed_stream("initializeSource", &e))?;
        Ok(Self { source: python, opened, reader, supported, read: None, setup })
    }

    pub fn name(&self) -> &str {
        &self.source.name
    }

    pub fn schema(&self) -> &StructType {
        &self.opened.schema
    }

    pub fn prepares_available_now(&self) -> bool {
        self.supported & AVAILABLE_NOW != 0
    }

    fn failed<T>(&self, action: &str, result: Result<T>) -> Result<T> {
        result.map_err(|e| self.source.failed_stream(action, &e))
    }

    async fn text(&mut self, action: &str, what: i32, texts: &[&str]) -> Result<String> {
        let asked = async {
            self.reader.ask(what, texts).await?;
            self.reader.text().await
        };
        let answer = asked.await;
        self.failed(action, answer)
    }

    /// Tells the reader something that it only takes note of.
    async fn tell(&mut self, action: &str, what: i32, texts: &[&str]) -> Result<()> {
        let asked = async {
            self.reader.ask(what, texts).await?;
            self.reader.int().await
        };
        let answer = asked.await;
        self.failed(action, answer).map(|_| ())
    }

    pub async fn initial_offset(&mut self) -> Result<String> {
        self.text("initialOffset", INITIAL_OFFSET, &[]).await
    }

    /// The end of what a batch shall read that begins at an offset; of all there is with `all`.
    pub async fn latest_offset(&mut self, start: &str, all: bool) -> Result<String> {
        if self.supported & ADMISSION_CONTROL == 0 {
            return self.text("latestOffset", LATEST_OFFSET, &[]).await;
        }
        let limit = match all {
            true => r#"{"_type":"ReadAllAvailable"}"#.to_string(),
            false => self.text("getDefaultReadLimit", DEFAULT_LIMIT, &[]).await?,
        };
        self.text("latestOffset", LATEST_OFFSET_WITHIN, &[start, &limit]).await
    }

    /// The end of all data, where the reader says it.
    pub async fn reported_offset(&mut self) -> Result<Option<String>> {
        let text = self.text("reportLatestOffset", REPORTED_OFFSET, &[]).await?;
        Ok(Some(text).filter(|t| !t.is_empty()))
    }

    pub async fn prepare_available_now(&mut self) -> Result<()> {
        self.tell("prepareForTriggerAvailableNow", PREPARE_AVAILABLE_NOW, &[]).await
    }

    pub async fn commit(&mut self, end: &str) -> Result<()> {
        self.tell("commitSource", COMMIT, &[end]).await
    }

    /// The rows between two offsets.
    pub async fn rows(&mut self, start: &str, end: &str) -> Result<Arc<dyn TableProvider>> {
        let planned = self.partitions(start, end).await;
        let (partitions, fetched) = self.failed("planPartitions", planned)?;
        if fetched.is_none() && !partitions.is_empty() {
            return self.read_plan(partitions).await;
        }
        let arrow = Arc::new(arrow_schema(&nullable(self.schema())));
        let batches = fetched.unwrap_or_default();
        let batches = batches.iter().map(|b| conform_batch(b, &arrow)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(MemTable::try_new(arrow, vec![batches]).spark()?))
    }

    async fn partitions(
        &mut self,
        start: &str,
        end: &str,
    ) -> Result<(Vec<Vec<u8>>, Option<Vec<RecordBatch>>)> {
        self.reader.ask(PARTITIONS, &[start, end]).await?;
        let count = self.reader.int().await?;
        let mut partitions = Vec::new();
        for _ in 0..count {
            partitions.push(self.reader.bytes().await?);
        }
        match self.reader.int().await? {
            NOT_FETCHED => Ok((partitions, None)),
            FETCHED => Ok((partitions, Some(self.reader.batches().await?))),
            _ => Ok((partitions, Some(Vec::new()))),
        }
    }

    /// The partitions' rows by the reader's function.
    async fn read_plan(&mut self, partitions: Vec<Vec<u8>>) -> Result<Arc<dyn TableProvider>> {
        let function = match &self.read {
            Some(function) => function.clone(),
            None => {
                let (function, _) = self.source.read_function(&self.setup, &self.opened, true).await?;
                self.read.insert(function).clone()
            }
        };
        let (schema, rows) = ReadPlan { function: function.clone(), partitions }.rows()?;
        let table = MemTable::try_new(schema, rows).spark()?;
        let source = datafusion::datasource::provider_as_source(Arc::new(table));
        let scan = LogicalPlanBuilder::scan("partitions", source, None).spark()?.build().spark()?;
        let fields = arrow_schema(&nullable(self.schema())).fields().clone();
        // Names may occur twice.
        let numbered = fields.iter().enumerate().map(|(i, f)| f.as_ref().clone().with_name(i.to_string()));
        let output = DFSchema::from_unqualified_fields(numbered.collect(), Default::default()).spark()?;
        let column = [StructField::new("partition", DataType::Binary, true)];
        let setup = Arc::clone(&self.setup);
        let plan = map::map_partitions(scan, &self.source.name, function, &column, Arc::new(output), setup);
        Ok(Arc::new(ViewTable::new(named(plan, &Schema::new(fields))?, None)))
    }
}

/// A plan's columns under other names.
fn named(plan: LogicalPlan, schema: &Schema) -> Result<LogicalPlan> {
    let columns = plan.schema().columns().into_iter().zip(schema.fields());
    let list: Vec<Expr> = columns.map(|(c, f)| Expr::Column(c).alias(f.name())).collect();
    crate::execute::project(list, plan)
}

fn nullable(schema: &StructType) -> StructType {
    StructType::new(schema.fields.iter().map(|f| StructField { nullable: true, ..f.clone() }).collect())
}

fn known(session: &Session, source: &DataSourceRef) -> Result<(PythonSource, Arc<Setup>)> {
    let found = session.python_sources.get(&source.format.to_lowercase()).map(|s| s.value().clone());
    let python = found.ok_or_else(|| Error::internal("a Python data source that is not registered"))?;
    Ok((python, Setup::of(session)))
}

impl PythonSource {
    fn failed_stream(&self, action: &str, error: &Error) -> Error {
        Error::new("PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR")
            .param("action", action)
            .param("msg", error.text())
            .message(format!("Failed when Python streaming data source perform {action}: {}", error.text()))
            .exception("SparkException")
    }
}
