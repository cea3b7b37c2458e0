//! The source of a merge: read once and held, in memory where it fits and on disk where not, since it is joined twice and must be
//! the same both times.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::Column;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{collect, execute_stream};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::joins::memory_limit;
use super::spilled::SpillWriter;
use crate::plan_watch::PlanWatch;

/// Sources up to this size are held in memory, if that is no more than a quarter of what operators may use.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;

pub(crate) struct MergeSource {
    original: LogicalPlan,
    rows_held: Arc<dyn TableProvider>,
    rows: u64,
    bytes: usize,
    is_on_disk: bool,
    /// Keeps the memory accounted for.
    _reservation: MemoryReservation,
}

/// Reads the source, into memory or onto disk.
pub(crate) async fn prepare(session: &dyn Session, plan: &LogicalPlan) -> Result<MergeSource> {
    let context = session.task_ctx();
    let limit = memory_limit(context.memory_pool().as_ref())
        .map_or(MAX_HELD_BYTES, |all| MAX_HELD_BYTES.min(all / 4));
    let partitions = session.config().target_partitions().max(1);
    let reservation = MemoryConsumer::new("merge source").register(context.memory_pool());
    let physical = session.create_physical_plan(plan).await.spark()?;
    let mut stream = execute_stream(Arc::clone(&physical), Arc::clone(&context)).spark()?;
    let schema = numbered(&stream.schema());
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut on_disk: Option<SpillWriter> = None;
    let (mut rows, mut bytes) = (0u64, 0usize);
    while let Some(batch) = stream.next().await {
        let batch = batch.spark()?;
        let size = batch.get_array_memory_size();
        rows += batch.num_rows() as u64;
        bytes += size;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch =
            RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options).spark()?;
        match &mut on_disk {
            Some(writer) => writer.push(&batch)?,
            None if bytes <= limit && reservation.try_grow(size).is_ok() => batches.push(batch),
            None => {
                let mut writer = SpillWriter::new(context.runtime_env(), schema.clone(), partitions)?;
                batches.drain(..).chain([batch]).try_for_each(|batch| writer.push(&batch))?;
                reservation.free();
                on_disk = Some(writer);
            }
        }
    }
    PlanWatch::ran(&context, &physical);
    let is_on_disk = on_disk.is_some();
    let rows_held: Arc<dyn TableProvider> = match on_disk {
        Some(writer) => writer.finish()?,
        None => Arc::new(MemTable::try_new(schema, spread(batches, partitions)).spark()?),
    };
    Ok(MergeSource { original: plan.clone(), rows_held, rows, bytes, is_on_disk, _reservation: reservation })
}

/// Columns of several tables may share a name: positions name them.
fn numbered(schema: &Schema) -> SchemaRef {
    let named =
        |(i, f): (usize, &FieldRef)| f.as_ref().clone().with_name(format!("c{i}")).with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().enumerate().map(named).collect::<Vec<Field>>()))
}

/// The batches in as many partitions as there is work for.
fn spread(batches: Vec<RecordBatch>, target: usize) -> Vec<Vec<RecordBatch>> {
    let count = batches.len().clamp(1, target);
    let mut out = vec![Vec::new(); count];
    for (i, batch) in batches.into_iter().enumerate() {
        out[i % count].push(batch);
    }
    out
}

impl MergeSource {
    /// The rows, with the columns and qualifiers of the source.
    pub fn plan(&self) -> Result<LogicalPlan> {
        let source = Arc::new(DefaultTableSource::new(self.rows_held.clone()));
        let columns: Vec<Expr> = self
            .original
            .schema()
            .iter()
            .enumerate()
            .map(|(i, (relation, field))| {
                Expr::Column(Column::new(Some("__delta_held"), format!("c{i}")))
                    .alias_qualified(relation.cloned(), field.name())
            })
            .collect();
        LogicalPlanBuilder::scan("__delta_held", source, None)
            .spark()?
            .project(columns)
            .spark()?
            .build()
            .spark()
    }

    /// In memory, not in files.
    pub fn bytes(&self) -> i64 {
        i64::try_from(self.bytes).unwrap_or(i64::MAX)
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// On average.
    pub fn bytes_of_a_row(&self) -> usize {
        usize::try_from(self.rows).map_or(0, |rows| self.bytes / rows.max(1))
    }

    /// Whether the source was too large for memory.
    pub fn is_on_disk(&self) -> bool {
        self.is_on_disk
    }
}

/// The only row of a plan, or none.
pub(super) async fn single_row(session: &dyn Session, plan: LogicalPlan) -> Result<Vec<ScalarValue>> {
    let physical = session.create_physical_plan(&plan).await.spark()?;
    for batch in collect(physical, session.task_ctx()).await.spark()? {
        if batch.num_rows() > 0 {
            return batch.columns().iter().map(|c| ScalarValue::try_from_array(c, 0).spark()).collect();
        }
    }
    Ok(Vec::new())
}
