//! Writing rows as data files: in parallel, one task for each partition of the plan.

mod codec;
mod encoder;
mod file_writer;
mod output;
mod row_action;
mod settings;
mod shredding;
mod tail;
mod target;
mod task;
mod variant;

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result, fault};
use datafusion::common::runtime::JoinSet;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parking_lot::Mutex;

use crate::action::Add;
use crate::location::TableLocation;
use crate::plan_watch::PlanWatch;

pub(crate) use output::{Output, UnderWay};
pub(crate) use row_action::RowActions;
pub use settings::FileSettings;
pub(crate) use target::{FileLayout, FileOptions, TableVersion, WriteTarget, parse_size};

/// What a write left in storage.
#[derive(Debug, Default)]
pub(crate) struct WrittenFiles {
    pub adds: Vec<Add>,
    pub rows: u64,
    pub bytes: u64,
}

impl WrittenFiles {
    pub fn extend(&mut self, other: WrittenFiles) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.adds.extend(other.adds);
    }
}

/// Runs the plan and writes its rows. Where it fails, the files it has written are deleted.
pub(crate) async fn write_plan(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    target: Arc<WriteTarget>,
) -> Result<WrittenFiles> {
    let plan = sorted_by_partition(plan, &target)?;
    let started: Arc<Mutex<Vec<Path>>> = Arc::default();
    let written = run(plan.clone(), context.clone(), &target, &started).await;
    PlanWatch::ran(&context, &plan);
    match written {
        Ok(written) => Ok(written),
        Err(e) => {
            target.under_way.ended().await;
            let paths = started.lock().clone();
            delete_quietly(&target.location, paths).await;
            Err(e)
        }
    }
}

async fn run(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    target: &Arc<WriteTarget>,
    started: &Arc<Mutex<Vec<Path>>>,
) -> Result<WrittenFiles> {
    let mut tasks = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        // Rows are made while others are written.
        let stream = spawn_buffered(plan.execute(partition, context.clone()).spark()?, 2);
        let (target, started) = (target.clone(), started.clone());
        tasks.spawn(
            async move { (partition, task::write_stream(partition, stream, &target, &started).await) },
        );
    }
    let mut results = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        let ended = joined.map_err(|e| Error::internal(format!("a task that writes files did not end: {e}")));
        match ended.and_then(|(partition, result)| result.map(|written| (partition, written))) {
            Ok(result) => results.push(result),
            Err(e) => {
                tasks.shutdown().await;
                return Err(e);
            }
        }
    }
    results.sort_by_key(|(partition, _)| *partition);
    let tasks = results.len();
    let mut out = WrittenFiles::default();
    let mut left = Vec::new();
    for (_, (written, rows)) in results {
        out.extend(written);
        left.extend(rows);
    }
    if !left.is_empty() {
        out.extend(task::write_batches(tasks, left, target, started).await?);
    }
    Ok(out)
}

/// Rows of one table partition come together, so that one file at a time is open; all of them to one task where files
/// are to be few.
fn sorted_by_partition(
    mut plan: Arc<dyn ExecutionPlan>,
    target: &WriteTarget,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let columns: Vec<Arc<dyn PhysicalExpr>> = target
        .layout
        .partitions
        .iter()
        .filter_map(|p| schema.fields().iter().position(|f| f.name().eq_ignore_ascii_case(p.logical())))
        .map(|i| Arc::new(Column::new(schema.field(i).name(), i)) as Arc<dyn PhysicalExpr>)
        .collect();
    let tasks = plan.output_partitioning().partition_count();
    if target.gathers && !columns.is_empty() && tasks > 1 {
        plan = Arc::new(RepartitionExec::try_new(plan, Partitioning::Hash(columns.clone(), tasks)).spark()?);
    }
    let order: Vec<PhysicalSortExpr> = columns.into_iter().map(PhysicalSortExpr::new_default).collect();
    let Some(order) = LexOrdering::new(order) else {
        return Ok(plan);
    };
    let sort = SortExec::new(order, plan).with_preserve_partitioning(true);
    Ok(Arc::new(sort))
}

/// Deletes files that no commit names; what stays is VACUUM's.
pub(crate) async fn delete_quietly(location: &TableLocation, paths: Vec<Path>) {
    for path in paths {
        if fault::point("delta::before-deletion").is_err() {
            return;
        }
        if let Err(e) = location.store().delete(&path).await
            && !matches!(e, object_store::Error::NotFound { .. })
        {
            tracing::debug!("{path} stays behind: {e}");
        }
    }
}
