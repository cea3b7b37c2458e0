//! Leaves out the deleted rows of files in which they lie scattered.
//!
//! A row selection makes the Parquet reader skip rows, which pays where whole pages fall away. Where every few rows one is
//! deleted, all pages are decoded anyway, and the selection costs more than the rows that it saves: then batches are read
//! whole, with the place of their rows, and filtered here.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::FilterBuilder;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use boathouse_bridge::{ResultExt, no_expressions, one_input, statistics_of_input, to_datafusion};
use boathouse_spec::{Error, Result};
use datafusion::common::stats::Statistics;
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
};
use futures::StreamExt;

/// For files by their number a bit for each row, set where it lives. Files that are not named are whole.
pub(super) type LiveRows = HashMap<i64, BooleanBuffer>;

/// Leaves the deleted rows out of batches whose last two columns are the number of the file and the place of the row in it.
#[derive(Debug, Clone)]
pub struct LiveRowsFilter {
    live: Arc<LiveRows>,
    schema: SchemaRef,
}

impl LiveRowsFilter {
    /// A bit for each row of a file by its number; `None` where all are live.
    pub fn of_file(&self, number: i64) -> Option<&BooleanBuffer> {
        self.live.get(&number)
    }

    /// The live rows of a batch of one file.
    pub fn living(&self, batch: &RecordBatch) -> DataFusionResult<RecordBatch> {
        living(batch, &self.live, &self.schema).map_err(to_datafusion)
    }
}

/// The live rows of a scan of files whose last two columns are the number of the file and the place of the row in it.
#[derive(Debug)]
pub struct LiveRowsExec {
    input: Arc<dyn ExecutionPlan>,
    filter: LiveRowsFilter,
    /// How many of the input's columns go on: all, or all but the last two.
    width: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LiveRowsExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, live: Arc<LiveRows>, width: usize) -> Self {
        let fields = input.schema().fields().iter().take(width).cloned().collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(fields));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let filter = LiveRowsFilter { live, schema };
        Self {
            input,
            filter,
            width,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The scan of all rows, with the file and the place of each at the end.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// How many of the input's columns go on.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn filter(&self) -> &LiveRowsFilter {
        &self.filter
    }

    fn places(&self) -> Vec<ProjectionExpr> {
        let schema = self.input.schema();
        let fields = schema.fields();
        let column = |i: usize| {
            let name = fields[i].name();
            ProjectionExpr::new(Arc::new(Column::new(name, i)) as _, name.clone())
        };
        (fields.len().saturating_sub(2)..fields.len()).map(column).collect()
    }
}

impl DisplayAs for LiveRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "LiveRowsExec: files={}", self.filter.live.len())
    }
}

impl LiveRowsExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, Arc::clone(&self.filter.live), self.width))
    }

    /// The statistics of the scan, which count without deleted rows already.
    fn of_live_rows(&self, mut statistics: Statistics) -> Statistics {
        statistics.column_statistics.truncate(self.width);
        statistics
    }
}

impl ExecutionPlan for LiveRowsExec {
    fn name(&self) -> &str {
        "LiveRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();
    no_expressions!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.schema();
        let filter = self.filter.clone();
        let stream = rows.map(move |batch| {
            let _timer = metrics.elapsed_compute().timer();
            let batch = filter.living(&batch?)?;
            metrics.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    statistics_of_input!(of_live_rows);

    /// Columns may be left out below. Other expressions are not computed for rows that do not exist: they could fail.
    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let exprs = projection.expr();
        if !exprs.iter().all(|e| e.expr.downcast_ref::<Column>().is_some()) {
            return Ok(None);
        }
        let below = exprs.iter().cloned().chain(self.places());
        let below = ProjectionExec::try_new(below.collect::<Vec<_>>(), Arc::clone(&self.input))?;
        let input = self.input.try_swapping_with_projection(&below)?;
        Ok(input.map(|input| Arc::new(Self::new(input, Arc::clone(&self.filter.live), exprs.len())) as _))
    }

    /// Filters go on to the scan, which prunes by them.
    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> DataFusionResult<FilterDescription> {
        FilterDescription::from_children(filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> DataFusionResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}

/// The live rows of a batch of one file.
fn living(batch: &RecordBatch, live: &LiveRows, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns();
    let kept = &columns[..schema.fields().len()];
    let [.., file, rows] = columns else {
        return Err(Error::internal("a scan without the place of its rows"));
    };
    let (file, rows) = (file.as_primitive::<Int64Type>().values(), rows.as_primitive::<Int64Type>().values());
    let live = file.first().and_then(|file| live.get(file));
    let living = match live {
        Some(live) => bits_of(live, rows)?,
        None => BooleanBuffer::new_set(batch.num_rows()),
    };
    let count = living.count_set_bits();
    let kept: Vec<ArrayRef> = if count == living.len() {
        kept.to_vec()
    } else {
        let filter = FilterBuilder::new(&BooleanArray::new(living, None)).optimize().build();
        kept.iter().map(|column| filter.filter(column)).collect::<Result<_, _>>().spark()?
    };
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::clone(schema), kept, &options).spark()
}

/// The bits of some rows, which mostly follow each other.
fn bits_of(live: &BooleanBuffer, rows: &[i64]) -> Result<BooleanBuffer> {
    let place = |row: i64| {
        let row = usize::try_from(row).ok().filter(|row| *row < live.len());
        row.ok_or_else(|| Error::internal("a row behind the end of its file"))
    };
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(BooleanBuffer::new_unset(0));
    };
    let (first, last) = (place(*first)?, place(*last)?);
    if last.checked_sub(first).is_some_and(|span| span + 1 == rows.len()) {
        return Ok(live.slice(first, rows.len()));
    }
    let places: Vec<usize> = rows.iter().map(|row| place(*row)).collect::<Result<_>>()?;
    Ok(places.into_iter().map(|row| live.value(row)).collect())
}
