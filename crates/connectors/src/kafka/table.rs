//! Messages as a table: ranges of offsets, read side by side.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::{arrow_schema, to_datafusion};
use boathouse_spec::{Options, Result, StructType};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::cluster::Cluster;
use super::fetch;
use super::options::{BatchOptions, Limit};
use super::ranges::{Range, divided};
use super::rows::{Rows, schema};

/// Batches that wait between a reader and the plan above it.
const AHEAD: usize = 2;

/// Messages of topics. Nothing is asked of the cluster before a plan is made.
#[derive(Clone)]
pub struct KafkaTable {
    cluster: Cluster,
    schema: SchemaRef,
    extent: Extent,
}

#[derive(Clone)]
enum Extent {
    /// Between two limits, looked up for each plan.
    Limits(Limit, Limit),
    Ranges(Vec<Range>),
}

impl KafkaTable {
    /// `spark.read.format("kafka")`
    pub fn batch(options: &Options) -> Result<Self> {
        let options = BatchOptions::new(options)?;
        let cluster = Cluster::new(options.source, "relation");
        Ok(Self::new(cluster, Extent::Limits(options.starting, options.ending)))
    }

    /// What a batch of a stream reads.
    pub fn ranges(cluster: Cluster, ranges: Vec<Range>) -> Self {
        Self::new(cluster, Extent::Ranges(ranges))
    }

    fn new(cluster: Cluster, extent: Extent) -> Self {
        let schema = Arc::new(arrow_schema(&schema(cluster.options().include_headers)));
        Self { cluster, schema, extent }
    }

    pub fn spark_schema(&self) -> StructType {
        schema(self.cluster.options().include_headers)
    }

    async fn tasks(&self, parallelism: usize) -> Result<Vec<Vec<Range>>> {
        let ranges = match &self.extent {
            Extent::Limits(starting, ending) => self.cluster.between(starting, ending).await?,
            Extent::Ranges(ranges) => ranges.clone(),
        };
        self.cluster.readers().expect(ranges.len());
        let options = self.cluster.options();
        let ranges = divided(ranges, options.min_partitions, options.max_records_per_partition);
        // Each task waits on a thread of its own: no more of them than were asked for, or than can run.
        let wanted = ranges.len().min(parallelism.max(options.min_partitions.unwrap_or(1))).max(1);
        let mut tasks = vec![Vec::new(); wanted];
        for (i, range) in ranges.into_iter().enumerate() {
            tasks[i % wanted].push(range);
        }
        Ok(tasks)
    }
}

impl fmt::Debug for KafkaTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka {}", self.cluster.description())
    }
}

#[async_trait]
impl TableProvider for KafkaTable {
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
        _: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let tasks = self.tasks(state.config().target_partitions()).await.map_err(to_datafusion)?;
        let part = |ranges| {
            let part = Part { cluster: self.cluster.clone(), schema: Arc::clone(&schema), ranges };
            Arc::new(part) as Arc<dyn PartitionStream>
        };
        let parts = tasks.into_iter().map(part).collect();
        let exec = StreamingTableExec::try_new(Arc::clone(&schema), parts, None, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

/// The ranges of one task.
struct Part {
    cluster: Cluster,
    schema: SchemaRef,
    ranges: Vec<Range>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.ranges.iter().map(|r| format!("{}[{}, {})", r.place, r.from, r.until));
        write!(f, "{}", ranges.collect::<Vec<_>>().join(", "))
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), AHEAD);
        let (out, cluster, schema) = (builder.tx(), self.cluster.clone(), Arc::clone(&self.schema));
        let ranges = self.ranges.clone();
        builder.spawn_blocking(move || {
            for range in &ranges {
                let mut rows = Rows::new(Arc::clone(&schema), range.place.clone()).map_err(to_datafusion)?;
                let mut is_wanted = true;
                let read = fetch::read(&cluster, range, |message| {
                    rows.add(message)?;
                    if rows.is_full()
                        && let Some(batch) = rows.finish()?
                    {
                        is_wanted = out.blocking_send(Ok(batch)).is_ok();
                    }
                    Ok(is_wanted)
                });
                read.map_err(to_datafusion)?;
                if is_wanted && let Some(batch) = rows.finish().map_err(to_datafusion)? {
                    is_wanted = out.blocking_send(Ok(batch)).is_ok();
                }
                if !is_wanted {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}
