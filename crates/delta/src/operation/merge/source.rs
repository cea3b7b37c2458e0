//! The source of a merge: read once and held where it fits, since it is joined twice and must be the same both times.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::catalog::{MemTable, Session};
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit};
use datafusion::physical_plan::{collect, execute_stream};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use crate::stats::table::has_bounds;

/// Sources up to this size are held in memory.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;

pub(crate) struct MergeSource {
    original: LogicalPlan,
    held: Option<Held>,
}

struct Held {
    table: Arc<MemTable>,
    rows: u64,
    bytes: usize,
    /// Keeps the memory accounted for.
    _reservation: datafusion::execution::memory_pool::MemoryReservation,
}

/// Reads the source, if it fits.
pub(crate) async fn prepare(session: &dyn Session, plan: &LogicalPlan) -> Result<MergeSource> {
    let held = hold(session, plan, MAX_HELD_BYTES).await?;
    if held.is_none() && is_volatile(plan)? {
        return Err(Error::new("UNABLE_TO_ACQUIRE_MEMORY")
            .param("requestedBytes", MAX_HELD_BYTES)
            .param("receivedBytes", 0)
            .message(
                "The source of MERGE gives other rows each time it is read, and is too large to be held in memory. \
                 Save it as a table first.",
            ));
    }
    Ok(MergeSource { original: plan.clone(), held })
}

async fn hold(session: &dyn Session, plan: &LogicalPlan, limit: usize) -> Result<Option<Held>> {
    let context = session.task_ctx();
    let reservation = MemoryConsumer::new("merge source").register(context.memory_pool());
    let physical = session.create_physical_plan(plan).await.spark()?;
    let mut stream = execute_stream(physical, context).spark()?;
    let mut batches: Vec<RecordBatch> = Vec::new();
    let (mut rows, mut bytes) = (0u64, 0usize);
    // Columns of several tables may share a name: positions name them.
    let fields: Vec<Field> = stream
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(i, f)| f.as_ref().clone().with_name(format!("c{i}")).with_nullable(true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    while let Some(batch) = stream.next().await {
        let batch = batch.spark()?;
        let size = batch.get_array_memory_size();
        bytes += size;
        if bytes > limit || reservation.try_grow(size).is_err() {
            return Ok(None);
        }
        rows += batch.num_rows() as u64;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        batches.push(RecordBatch::try_new_with_options(schema.clone(), columns, &options).spark()?);
    }
    let partitions = spread(batches, session.config().target_partitions().max(1));
    let table = Arc::new(MemTable::try_new(schema, partitions).spark()?);
    Ok(Some(Held { table, rows, bytes, _reservation: reservation }))
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

fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        node.apply_expressions(|e| {
            found |= e.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })
    })
    .spark()?;
    Ok(found)
}

impl MergeSource {
    /// The rows, with the columns and qualifiers of the source.
    pub fn plan(&self) -> Result<LogicalPlan> {
        let Some(held) = &self.held else {
            return Ok(self.original.clone());
        };
        let source = Arc::new(DefaultTableSource::new(held.table.clone()));
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

    pub fn bytes(&self) -> i64 {
        self.held.as_ref().map_or(i64::MAX, |h| h.bytes as i64)
    }

    pub async fn rows(&self, session: &dyn Session) -> Result<u64> {
        if let Some(held) = &self.held {
            return Ok(held.rows);
        }
        let plan = LogicalPlanBuilder::from(self.original.clone())
            .aggregate(Vec::<Expr>::new(), vec![count(lit(1i64))])
            .spark()?
            .build()
            .spark()?;
        let row = single_row(session, plan).await?;
        Ok(match row.first() {
            Some(ScalarValue::Int64(Some(n))) => n.unsigned_abs(),
            _ => 0,
        })
    }
}

async fn single_row(session: &dyn Session, plan: LogicalPlan) -> Result<Vec<ScalarValue>> {
    let physical = session.create_physical_plan(&plan).await.spark()?;
    for batch in collect(physical, session.task_ctx()).await.spark()? {
        if batch.num_rows() > 0 {
            return batch.columns().iter().map(|c| ScalarValue::try_from_array(c, 0).spark()).collect();
        }
    }
    Ok(Vec::new())
}

/// `target column = expression of the source`, either way round.
pub(crate) fn equality(conjunct: &Expr, is_target: &dyn Fn(&Column) -> bool) -> Option<(Column, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { return None };
    let of_source = |e: &Expr| {
        let columns = e.column_refs();
        !columns.is_empty() && columns.iter().all(|c| !is_target(c))
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(c), other) | (other, Expr::Column(c)) if is_target(c) && of_source(other) => {
            Some((c.clone(), other.clone()))
        }
        _ => None,
    }
}

/// For each key of the target the range of its values in the source, as filters on the target.
pub(crate) async fn key_ranges(
    session: &dyn Session,
    source: &MergeSource,
    keys: Vec<(Column, Expr)>,
) -> Result<Vec<Expr>> {
    // A source that is not held would be read once more.
    if source.held.is_none() || keys.is_empty() {
        return Ok(Vec::new());
    }
    let plan = source.plan()?;
    let mut aggregates = Vec::new();
    let mut ranged = Vec::new();
    for (column, key) in keys {
        use datafusion::logical_expr::ExprSchemable;
        if key.get_type(plan.schema()).is_ok_and(|t| has_bounds(&t)) {
            aggregates.push(min(key.clone()).alias(format!("min{}", ranged.len())));
            aggregates.push(max(key).alias(format!("max{}", ranged.len())));
            ranged.push(column);
        }
    }
    if ranged.is_empty() {
        return Ok(Vec::new());
    }
    let plan =
        LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), aggregates).spark()?.build().spark()?;
    let row = single_row(session, plan).await?;
    let mut out = Vec::new();
    for (column, bounds) in ranged.into_iter().zip(row.chunks(2)) {
        let [low, high] = bounds else { continue };
        if low.is_null() || high.is_null() {
            // No key at all: nothing matches.
            out.push(lit(false));
            continue;
        }
        let column = Expr::Column(Column::from_name(column.name));
        out.push(column.clone().gt_eq(Expr::Literal(low.clone(), None)));
        out.push(column.lt_eq(Expr::Literal(high.clone(), None)));
    }
    Ok(out)
}
