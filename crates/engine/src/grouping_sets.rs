//! GROUPING SETS, ROLLUP and CUBE in two steps.
//!
//! DataFusion looks each row up once for every set. Here rows are aggregated by all keys first, as by a plain GROUP BY; what
//! is handed on to the sets are the groups of that, which are fewer, mostly by far: `Partial (all keys)`, its groups once for
//! each set, and `PartialReduce`, which gives what the aggregation of each row would have given.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use boathouse_functions::{FirstStep, first_step};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{
    AggregateExec, AggregateMode, PhysicalGroupBy, evaluate_group_by,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};

use crate::operator_rule::OperatorRule;
use crate::operators::{MapPartitionsExec, PartitionWork};

/// Puts a plain aggregation below the first step of those over several sets of keys.
pub(crate) const ALL_KEYS_FIRST: OperatorRule =
    OperatorRule { name: "boathouse_all_keys_first", replacement: two_steps };

fn two_steps(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(whole) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let sets = whole.group_expr();
    let in_order = whole.aggr_expr().iter().any(|function| !function.order_bys().is_empty());
    // Values that are to be distinct, with or without functions beside them, are many: all of them together are about as many
    // groups as there are rows.
    let of_distinct = whole.aggr_expr().iter().all(|f| first_step(f.fun()) == Some(FirstStep::Whole));
    if *whole.mode() != AggregateMode::Partial
        || sets.groups().len() < 2
        || sets.expr().is_empty()
        || in_order
        || of_distinct
        || whole.limit_options().is_some()
    {
        return Ok(None);
    }
    let functions = whole.aggr_expr().to_vec();
    let plain = AggregateExec::try_new(
        AggregateMode::Partial,
        PhysicalGroupBy::new_single(sets.expr().to_vec()),
        functions.clone(),
        whole.filter_expr().to_vec(),
        Arc::clone(whole.input()),
        whole.input_schema(),
    )?;
    let schema = whole.schema();
    let groups: SchemaRef = Arc::new(Schema::new(schema.fields().clone()));
    let each = Arc::new(MapPartitionsExec::new(
        Arc::new(plain),
        Arc::new(OncePerSet { sets: over_groups(sets), schema: Arc::clone(&groups) }),
        groups,
    ));
    // The number of the set is one key more.
    let keys = schema.fields()[..sets.expr().len() + 1].iter().enumerate();
    let keys = keys.map(|(i, field)| (column(field.name(), i), field.name().clone())).collect();
    let filters = vec![None; functions.len()];
    let reduced = AggregateExec::try_new(
        AggregateMode::PartialReduce,
        PhysicalGroupBy::new_single(keys),
        functions,
        filters,
        each,
        whole.input_schema(),
    )?;
    Ok(Some(Arc::new(reduced)))
}

/// The number of a set of keys: a bit for each that it has not, the first highest.
pub(crate) fn set_id(keys: usize, has: impl Fn(usize) -> bool) -> u64 {
    (0..keys).fold(0, |id, key| id << 1 | u64::from(!has(key)))
}

/// The sets of keys over the columns that an aggregation by all of them gives.
fn over_groups(sets: &PhysicalGroupBy) -> PhysicalGroupBy {
    let keys = sets.expr().iter().enumerate();
    let keys = keys.map(|(i, (_, name))| (column(name, i), name.clone())).collect();
    PhysicalGroupBy::new(keys, sets.null_expr().to_vec(), sets.groups().to_vec(), sets.has_grouping_set())
}

fn column(name: &str, index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(name, index))
}

/// Groups once for each set: the keys that it has, its number, and the states of the functions.
struct OncePerSet {
    sets: PhysicalGroupBy,
    schema: SchemaRef,
}

impl fmt::Debug for OncePerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OncePerSet({} sets)", self.sets.groups().len())
    }
}

impl OncePerSet {
    fn of_batch(&self, groups: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let states = &groups.columns()[self.sets.expr().len()..];
        let of_set = |mut columns: Vec<ArrayRef>| {
            columns.extend_from_slice(states);
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        };
        evaluate_group_by(&self.sets, groups)?.into_iter().map(of_set).collect()
    }
}

impl PartitionWork for OncePerSet {
    fn name(&self) -> &str {
        "OncePerSet"
    }

    fn run(
        &self,
        _: usize,
        groups: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let each = Self { sets: self.sets.clone(), schema: Arc::clone(&self.schema) };
        let batches = groups
            .map(move |batch| {
                let of_sets = each.of_batch(&batch?)?;
                Ok::<_, DataFusionError>(futures::stream::iter(of_sets.into_iter().map(Ok)))
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }
}
