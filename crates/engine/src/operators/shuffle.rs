//! `repartition`: rows to the partitions that Spark would put them in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_record_batch};
use arrow::datatypes::Int32Type;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use boathouse_bridge::one_input;
use boathouse_functions::XorShift;
use datafusion::common::tree_node::{TreeNodeIterator, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr_common::utils::evaluate_expressions_to_arrays;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::coalesce::CoalesceExec;
use super::pieces::{Piece, Pieces, row_bytes};
use super::{Operator, only, plan};

/// Which partition a row goes to.
#[derive(Debug, Clone)]
pub(crate) enum Scheme {
    /// One after the other.
    RoundRobin,
    /// The partition that an INT expression says; NULL: the first.
    Direct(Expr),
    /// Ranges of a sort order.
    Range(Vec<(Expr, SortOptions)>),
    /// Neighbouring partitions become one: nothing moves.
    Neighbours,
    /// So many bytes to a partition: few rows are one. Beyond the last partition it begins anew.
    Balanced { bytes: usize },
}

/// The rows in another number of partitions.
pub(crate) fn shuffle(input: LogicalPlan, scheme: Scheme, partitions: usize) -> LogicalPlan {
    let (kind, exprs) = match scheme {
        Scheme::RoundRobin => (Kind::RoundRobin, Vec::new()),
        Scheme::Direct(expr) => (Kind::Direct, vec![expr]),
        Scheme::Range(keys) => {
            let (exprs, options) = keys.into_iter().unzip();
            (Kind::Range(options), exprs)
        }
        Scheme::Neighbours => (Kind::Neighbours, Vec::new()),
        Scheme::Balanced { bytes } => (Kind::Balanced { bytes }, Vec::new()),
    };
    plan(Shuffle { kind, partitions }, vec![input], exprs, None)
}

#[derive(Debug, Clone)]
enum Kind {
    RoundRobin,
    Direct,
    Range(Vec<SortOptions>),
    Neighbours,
    Balanced { bytes: usize },
}

#[derive(Debug)]
struct Shuffle {
    kind: Kind,
    partitions: usize,
}

impl Operator for Shuffle {
    fn name(&self) -> &str {
        "Shuffle"
    }

    fn key(&self) -> String {
        format!("Repartition {:?} {}", self.kind, self.partitions)
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only(inputs, "Shuffle")?;
        Ok(match self.kind {
            Kind::Neighbours => Arc::new(CoalesceExec::new(input, self.partitions)),
            _ => Arc::new(ShuffleExec::new(input, self.kind.clone(), exprs, self.partitions)),
        })
    }
}

#[derive(Debug)]
struct ShuffleExec {
    input: Arc<dyn ExecutionPlan>,
    kind: Kind,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    partitions: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// What the output partitions read from, once one of them was asked for.
    running: Mutex<Option<Running>>,
}

/// The shuffle at work. It ends with the last of its readers.
struct Running {
    receivers: Vec<Option<UnboundedReceiver<Result<Piece>>>>,
    tasks: Arc<JoinSet<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} readers", self.receivers.len())
    }
}

impl ShuffleExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        kind: Kind,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
        partitions: usize,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            input.pipeline_behavior(),
            input.boundedness(),
        ));
        Self {
            input,
            kind,
            exprs,
            partitions,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
            running: Mutex::new(None),
        }
    }

    fn start(&self, context: &Arc<TaskContext>) -> Running {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..self.partitions).map(|_| unbounded_channel()).unzip();
        let pieces =
            Pieces::new("shuffle", context, SpillMetrics::new(&self.metrics, 0), self.input.schema());
        let out = Out { senders, pieces };
        let mut tasks = JoinSet::new();
        let inputs = self.input.output_partitioning().partition_count();
        let (plan, exprs) = (Arc::clone(&self.input), self.exprs.clone());
        if let Kind::Range(options) = &self.kind {
            let options = options.clone();
            let context = Arc::clone(context);
            tasks.spawn(async move {
                let result = by_range(&plan, inputs, &exprs, options, &context, &out).await;
                out.failed(result);
            });
        } else {
            let balance = match self.kind {
                Kind::Balanced { bytes } => Some(Balance { bytes: bytes.max(1), seen: Arc::default() }),
                _ => None,
            };
            for i in 0..inputs {
                let (plan, exprs, out, context) =
                    (Arc::clone(&plan), exprs.clone(), out.clone(), Arc::clone(context));
                let balance = balance.clone();
                tasks.spawn(async move {
                    let result = match &balance {
                        Some(balance) => by_size(&plan, i, balance, context, &out).await,
                        None => by_row(&plan, i, &exprs, context, &out).await,
                    };
                    out.failed(result);
                });
            }
        }
        Running { receivers: receivers.into_iter().map(Some).collect(), tasks: Arc::new(tasks) }
    }
}

/// Where the rows go.
#[derive(Clone)]
struct Out {
    senders: Vec<UnboundedSender<Result<Piece>>>,
    pieces: Pieces,
}

impl Out {
    /// Sends each row of a batch to the partition with the number.
    fn send(&self, batch: &RecordBatch, places: &[u32]) -> Result<()> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.senders.len()];
        for (row, place) in places.iter().enumerate() {
            rows[*place as usize].push(row as u32);
        }
        for (sender, rows) in self.senders.iter().zip(rows) {
            if rows.is_empty() {
                continue;
            }
            let piece = take_record_batch(batch, &UInt32Array::from(rows))?;
            // A reader that has enough is gone.
            let _ = sender.send(Ok(self.pieces.hold(piece)?));
        }
        Ok(())
    }

    /// Tells every reader of a failure.
    fn failed(&self, result: Result<()>) {
        let Err(e) = result else { return };
        let shared = Arc::new(e);
        for sender in &self.senders {
            let _ = sender.send(Err(DataFusionError::Shared(Arc::clone(&shared))));
        }
    }
}

/// How much the inputs have given so far, and how much a partition takes.
#[derive(Clone)]
struct Balance {
    bytes: usize,
    seen: Arc<AtomicUsize>,
}

/// Whole batches to the partition that is being filled (what Spark's adaptive execution makes of `REBALANCE`).
async fn by_size(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    balance: &Balance,
    context: Arc<TaskContext>,
    out: &Out,
) -> Result<()> {
    let mut rows = plan.execute(partition, context)?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let before = balance.seen.fetch_add(row_bytes(&batch)?, Ordering::Relaxed);
        let place = before / balance.bytes % out.senders.len();
        out.send(&batch, &vec![place as u32; batch.num_rows()])?;
    }
    Ok(())
}

/// Round robin, or by an expression: each input partition for itself.
async fn by_row(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    exprs: &[Arc<dyn PhysicalExpr>],
    context: Arc<TaskContext>,
    out: &Out,
) -> Result<()> {
    let count = out.senders.len();
    // Spark begins somewhere else in each partition, so that small ones do not all fill the first.
    let mut next = XorShift::new(partition as i64).below(i32::try_from(count).unwrap_or(i32::MAX)) as usize;
    let mut rows = plan.execute(partition, context)?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let places: Vec<u32> = match exprs.first() {
            None => {
                let from = next + 1;
                next += batch.num_rows();
                (from..from + batch.num_rows()).map(|n| (n % count) as u32).collect()
            }
            Some(expr) => {
                let ids = expr.evaluate(&batch)?.into_array(batch.num_rows())?;
                let ids = ids.as_primitive_opt::<Int32Type>().ok_or_else(|| {
                    DataFusionError::Internal("the number of a partition is no INT".to_string())
                })?;
                let place = |id: Option<i32>| id.map_or(0, |id| id.rem_euclid(count as i32)) as u32;
                ids.iter().map(place).collect()
            }
        };
        out.send(&batch, &places)?;
    }
    Ok(())
}

/// Ranges of a sort order: all rows are seen before the bounds are known (Spark's `RangePartitioner`).
async fn by_range(
    plan: &Arc<dyn ExecutionPlan>,
    inputs: usize,
    exprs: &[Arc<dyn PhysicalExpr>],
    options: Vec<SortOptions>,
    context: &Arc<TaskContext>,
    out: &Out,
) -> Result<()> {
    let schema = plan.schema();
    let fields = exprs
        .iter()
        .zip(options)
        .map(|(e, o)| Ok(SortField::new_with_options(e.data_type(&schema)?, o)))
        .collect::<Result<Vec<_>>>()?;
    let converter = RowConverter::new(fields)?;
    let mut all = Vec::new();
    let mut keys: Vec<OwnedRow> = Vec::new();
    let mut seen = 0usize;
    let mut step = 1usize;
    for i in 0..inputs {
        let mut rows = plan.execute(i, Arc::clone(context))?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            for key in key_rows(&converter, exprs, &batch)?.iter() {
                if seen.is_multiple_of(step) {
                    keys.push(key.owned());
                }
                seen += 1;
            }
            if keys.len() > MAX_SAMPLE {
                // Every second key is enough from here on.
                let mut n = 0usize;
                keys.retain(|_| {
                    n += 1;
                    n % 2 == 1
                });
                step *= 2;
            }
            all.push(out.pieces.hold(batch)?);
        }
    }
    let bounds = bounds(keys, out.senders.len());
    for piece in all {
        let mut batches = out.pieces.read(piece)?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let keys = key_rows(&converter, exprs, &batch)?;
            let places: Vec<u32> =
                keys.iter().map(|k| bounds.partition_point(|b| b.row() < k) as u32).collect();
            out.send(&batch, &places)?;
        }
    }
    Ok(())
}

/// Keys that bounds are found from.
const MAX_SAMPLE: usize = 1 << 20;

fn key_rows(converter: &RowConverter, exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Rows> {
    let columns = evaluate_expressions_to_arrays(exprs, batch)?;
    let mut rows = converter.empty_rows(columns.first().map_or(0, |c| c.len()), 0);
    converter.append(&mut rows, &columns)?;
    Ok(rows)
}

/// The last key of each partition but the last.
fn bounds(mut keys: Vec<OwnedRow>, partitions: usize) -> Vec<OwnedRow> {
    keys.sort_unstable();
    let step = keys.len() as f64 / partitions as f64;
    let mut bounds: Vec<OwnedRow> = Vec::with_capacity(partitions);
    let (mut weight, mut target) = (0.0, step);
    for key in keys {
        if bounds.len() + 1 >= partitions {
            break;
        }
        weight += 1.0;
        if weight >= target && bounds.last().is_none_or(|last| key > *last) {
            bounds.push(key);
            target += step;
        }
    }
    bounds
}

impl DisplayAs for ShuffleExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let keys = self.exprs.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        write!(f, "Shuffle {:?} [{keys}] {}", self.kind, self.partitions)
    }
}

impl ShuffleExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, self.kind.clone(), self.exprs.clone(), self.partitions))
    }
}

impl ExecutionPlan for ShuffleExec {
    fn name(&self) -> &str {
        "Shuffle"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.exprs.iter().apply_until_stop(f)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (receiver, tasks) = {
            let mut running = self.running.lock();
            let running = running.get_or_insert_with(|| self.start(&context));
            let receiver = running.receivers.get_mut(partition).and_then(Option::take);
            (receiver, Arc::clone(&running.tasks))
        };
        let Some(receiver) = receiver else {
            return Err(DataFusionError::Internal(format!(
                "partition {partition} of a shuffle was asked for twice"
            )));
        };
        let schema = self.input.schema();
        let pieces = Pieces::new(
            "shuffle",
            &context,
            SpillMetrics::new(&self.metrics, partition),
            Arc::clone(&schema),
        );
        let wanted = Arc::clone(&schema);
        // The tasks live as long as somebody reads.
        let arriving = futures::stream::unfold((receiver, tasks), |(mut receiver, tasks)| async move {
            let piece = receiver.recv().await?;
            Some((piece, (receiver, tasks)))
        });
        let rows = arriving.flat_map(move |piece| {
            let stream: SendableRecordBatchStream = match piece.and_then(|p| pieces.read(p)) {
                Ok(stream) => stream,
                Err(e) => Box::pin(RecordBatchStreamAdapter::new(
                    Arc::clone(&wanted),
                    futures::stream::once(async move { Err(e) }),
                )),
            };
            stream
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
