//! GROUPING SETS, ROLLUP and CUBE, each set from groups that are there already.
//!
//! DataFusion looks each row up once for every set. Here rows are aggregated by all keys first, as by a plain GROUP BY
//! (`Partial`). The groups of a set are then made of the groups of the smallest set before it that has all of its keys (`Levels`):
//! what ROLLUP makes of months is made of days, of years of months. Each step is DataFusion's `PartialReduce`.

mod cascade;
mod level;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use boathouse_functions::{FirstStep, depends_on_order, first_step};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};

use crate::operator_rule::OperatorRule;
use crate::operators::{MapPartitionsExec, PartitionWork};
use level::Level;

/// Makes the first step of an aggregation over several sets of keys one of all keys, and of its groups those of the sets.
pub(crate) const ALL_KEYS_FIRST: OperatorRule =
    OperatorRule { name: "boathouse_all_keys_first", replacement: all_keys_first };

fn all_keys_first(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(whole) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let sets = whole.group_expr();
    // Groups do not come in the order of their rows.
    let in_order = whole.aggr_expr().iter().any(|f| !f.order_bys().is_empty() || depends_on_order(f.fun()));
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
    let schema: SchemaRef = Arc::new(Schema::new(whole.schema().fields().clone()));
    let work = Levels {
        keys: sets.expr().len(),
        has_all_keys: sets.groups().iter().any(|set| set.iter().all(|absent| !absent)),
        levels: level::of_sets(sets.groups()).into(),
        functions: functions.into(),
        rows: whole.input_schema(),
        schema: Arc::clone(&schema),
    };
    Ok(Some(Arc::new(MapPartitionsExec::new(Arc::new(plain), Arc::new(work), schema))))
}

/// The number of a set of keys: a bit for each that it has not, the first highest.
pub(crate) fn set_id(keys: usize, has: impl Fn(usize) -> bool) -> u64 {
    (0..keys).fold(0, |id, key| id << 1 | u64::from(!has(key)))
}

/// Groups by all keys become the groups of every set: their keys, the number of the set, the states of the functions.
#[derive(Clone)]
struct Levels {
    /// How many there are.
    keys: usize,
    /// Whether groups by all keys are asked for themselves.
    has_all_keys: bool,
    /// The first is that of all keys.
    levels: Arc<[Level]>,
    functions: Arc<[Arc<AggregateFunctionExpr>]>,
    /// The columns of what was aggregated.
    rows: SchemaRef,
    schema: SchemaRef,
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Levels(")?;
        for (i, level) in self.levels.iter().enumerate().skip(1) {
            let separator = if i == 1 { "" } else { ", " };
            write!(f, "{separator}{:?} of {:?}", level.keys, self.levels[level.from].keys)?;
        }
        write!(f, ")")
    }
}

impl PartitionWork for Levels {
    fn name(&self) -> &str {
        "Levels"
    }

    fn run(
        &self,
        _: usize,
        groups: SendableRecordBatchStream,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        cascade::groups_of_sets(self, groups, &context)
    }
}
