//! Tables from the first commit to the last, as the engine uses them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use boathouse_spec::{DataType, StructField, StructType};
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::Column;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::*;

mod commit;
mod conflicts;
mod deletion_vectors;
mod dml;
mod features;
mod log_files;
mod managed;
mod of_spark;
mod row_tracking;
mod statements;
mod write;

struct World {
    directory: tempfile::TempDir,
    context: SessionContext,
}

impl World {
    fn new() -> Self {
        let config = SessionConfig::new().with_target_partitions(2);
        Self { directory: tempfile::tempdir().unwrap(), context: SessionContext::new_with_config(config) }
    }

    fn location(&self, name: &str) -> TableLocation {
        TableLocation::local(self.directory.path().join(name)).unwrap()
    }

    fn session(&self) -> SessionState {
        self.context.state()
    }

    async fn append(
        &self,
        location: &TableLocation,
        batch: RecordBatch,
        options: &WriteOptions,
    ) -> Committed {
        self.try_append(location, batch, options).await.unwrap().unwrap()
    }

    async fn try_append(
        &self,
        location: &TableLocation,
        batch: RecordBatch,
        options: &WriteOptions,
    ) -> boathouse_spec::Result<Option<Committed>> {
        let table = match DeltaTable::is_delta_table(location).await? {
            true => Some(DeltaTable::load(location, None).await?),
            false => None,
        };
        write(location, table.as_ref(), &self.session(), rows(batch), options).await
    }

    async fn read(&self, snapshot: &Snapshot, filter: Option<Expr>) -> Vec<RecordBatch> {
        let plan = self.plan(snapshot, filter).await;
        collect(plan, self.session().task_ctx()).await.unwrap()
    }

    async fn plan(&self, snapshot: &Snapshot, filter: Option<Expr>) -> Arc<dyn ExecutionPlan> {
        let source = Arc::new(DefaultTableSource::new(Arc::new(DeltaScan::new(snapshot.clone()).unwrap())));
        let mut builder = LogicalPlanBuilder::scan("t", source, None).unwrap();
        if let Some(filter) = filter {
            builder = builder.filter(filter).unwrap();
        }
        let first = Expr::Column(Column::new(Some("t"), &snapshot.schema().fields[0].name));
        let plan = builder.sort(vec![first.sort(true, true)]).unwrap().build().unwrap();
        self.session().create_physical_plan(&plan).await.unwrap()
    }

    async fn show(&self, snapshot: &Snapshot, filter: Option<Expr>) -> String {
        pretty_format_batches(&self.read(snapshot, filter).await).unwrap().to_string()
    }

    async fn longs(&self, snapshot: &Snapshot, filter: Option<Expr>) -> Vec<i64> {
        let batches = self.read(snapshot, filter).await;
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }
}

fn rows(batch: RecordBatch) -> Arc<dyn ExecutionPlan> {
    MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

fn ids(values: &[i64]) -> RecordBatch {
    batch(vec![("id", Arc::new(Int64Array::from(values.to_vec())))])
}

fn people(rows: &[(i64, Option<&str>, Option<&str>)]) -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)))),
        ("name", Arc::new(StringArray::from_iter(rows.iter().map(|r| r.1)))),
        ("p", Arc::new(StringArray::from_iter(rows.iter().map(|r| r.2)))),
    ])
}

fn append() -> WriteOptions {
    WriteOptions::new(WriteMode::Append)
}

fn overwrite() -> WriteOptions {
    WriteOptions::new(WriteMode::Overwrite)
}

fn predicate(expr: Expr, sql: &str) -> Predicate {
    Predicate::new(expr, sql)
}
