//! `memory`: keeps the rows in this process, as the temporary view of the query's name.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::arrow_schema;
use boathouse_engine::Session as EngineSession;
use boathouse_spec::{Command, CreateMode, CreateView, Error, Plan, Relation, Result, StructType, ViewKind};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::query::{Batch, OutputMode, Sink};

/// Batches, or parts of them, by their numbers.
type Rows = Arc<Mutex<Vec<((i64, u64), Vec<RecordBatch>)>>>;

/// The view of a query's name, which is read as SQL reads names: one word, or anything between backticks.
pub(super) fn view_name(session: &EngineSession, query: Option<&str>) -> Result<String> {
    let query = query.ok_or_else(|| {
        Error::new("_LEGACY_ERROR_TEMP_1194")
            .message("queryName must be specified for memory sink.")
            .exception("AnalysisException")
    })?;
    let parts = session.parse_name(query).map_err(|_| {
        Error::new("_LEGACY_ERROR_TEMP_1321")
            .param("viewName", query)
            .message(format!(
                "The memory sink keeps its rows in a view of the query's name, and {query} is no name of a view."
            ))
            .exception("AnalysisException")
    })?;
    match parts.as_slice() {
        [view] => Ok(view.clone()),
        _ => Err(Error::new("TEMP_VIEW_NAME_TOO_MANY_NAME_PARTS")
            .param("actualName", query)
            .message(format!(
                "The memory sink keeps its rows in a temporary view of the query's name, which has one part, and {query} has more."
            ))
            .exception("AnalysisException")),
    }
}

#[derive(Debug)]
pub(super) struct MemorySink {
    rows: Rows,
    mode: OutputMode,
    written: AtomicI64,
}

impl MemorySink {
    pub async fn open(
        session: &Arc<EngineSession>,
        name: &str,
        input: &Relation,
        mode: OutputMode,
    ) -> Result<Self> {
        let schema = session.schema(input).await?;
        let nullable = StructType::new(
            schema
                .fields
                .iter()
                .map(|f| boathouse_spec::StructField { nullable: true, ..f.clone() })
                .collect(),
        );
        let rows = Rows::default();
        let table = MemoryTable { schema: Arc::new(arrow_schema(&nullable)), rows: Arc::clone(&rows) };
        let relation = session.keep_table(Arc::new(table), nullable);
        let view = CreateView {
            name: vec![name.to_string()],
            mode: CreateMode::OrReplace,
            kind: ViewKind::Temporary,
            columns: Vec::new(),
            comment: None,
            collation: None,
            properties: Vec::new(),
            schema_mode: None,
            query: None,
            source: Some(relation),
        };
        session
            .execute(Plan::Command(Box::new(Command::CreateView(Box::new(view)))))
            .await?
            .collect()
            .await?;
        Ok(Self { rows, mode, written: AtomicI64::new(0) })
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn write(&self, session: &Arc<EngineSession>, batch: Batch) -> Result<()> {
        let (_, batches) = session.execute(Plan::Query(batch.rows)).await?.collect().await?;
        let written = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        self.written.store(i64::try_from(written).unwrap_or(0), Ordering::Relaxed);
        let mut rows = self.rows.lock();
        if self.mode == OutputMode::Complete {
            rows.clear();
        }
        // The same batch again changes nothing.
        let number = (batch.id, batch.part);
        if rows.last().is_none_or(|(last, _)| *last < number) {
            rows.push((number, batches));
        }
        Ok(())
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn description(&self) -> String {
        "MemorySink".to_string()
    }

    fn num_output_rows(&self) -> Option<i64> {
        Some(self.written.load(Ordering::Relaxed))
    }
}

/// The rows as they are when they are read.
#[derive(Debug)]
struct MemoryTable {
    schema: SchemaRef,
    rows: Rows,
}

#[async_trait]
impl TableProvider for MemoryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let batches = self.rows.lock().iter().flat_map(|(_, b)| b.iter().cloned()).collect::<Vec<_>>();
        let batches = batches
            .into_iter()
            .map(|b| RecordBatch::try_new(Arc::clone(&self.schema), b.columns().to_vec()))
            .collect::<Result<Vec<_>, _>>()?;
        MemTable::try_new(Arc::clone(&self.schema), vec![batches])?
            .scan(state, projection, filters, limit)
            .await
    }
}
