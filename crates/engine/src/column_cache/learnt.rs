//! What joins and sorts learn while they run, applied to the rows of a scan.
//!
//! A hash join knows the keys of its build side before it asks for the first row of the other; a sort with a limit knows
//! the worst row that it still keeps. DataFusion hands both down to the scans as filters that become known late
//! (`DynamicFilterPhysicalExpr`), and the scans leave out row groups by them. Here rows are left out, too. The node that the
//! filter is of checks its rows in any case, so a filter may be left alone: where most rows pass, it is, from then on.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{BatchCoalescer, and, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNullExpr, Literal,
};
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_expr_common::physical_expr::snapshot_generation;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::joins::{HashExpr, HashTableLookupExpr};
use datafusion::physical_plan::metrics::Count;

/// So many rows show what a condition is worth.
const ROWS_OF_A_TRIAL: usize = 32 * 1024;
/// In percent of the rows: where more pass a condition, it is not evaluated again.
const OF_USE: usize = 75;
/// In percent of the rows: where more pass, none is left out. Their values would be copied, all columns of them, where the
/// join above copies those that pass it.
const FEW: usize = 10;
/// What it takes to look a value up in a set, or in the keys of a join, in comparisons.
const COST_OF_A_SET: usize = 8;

/// The filters of a scan that are learnt, over its output columns.
#[derive(Debug, Clone, Default)]
pub(super) struct LearntFilters(Vec<Arc<dyn PhysicalExpr>>);

impl LearntFilters {
    /// Those among the conjuncts of a scan's filter. `place` gives for a column of the table the column of the output.
    pub fn of(
        filter: &Arc<dyn PhysicalExpr>,
        schema: &SchemaRef,
        place: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let learnt = split_conjunction(filter).into_iter().filter(|e| e.is::<DynamicFilterPhysicalExpr>());
        Self(learnt.filter_map(|e| over_output(e, schema, &place)).collect())
    }

    /// The filters for the rows of one partition; `None` where nothing is learnt.
    pub fn rows(&self, schema: SchemaRef, batch_size: usize, left_out: Count) -> Option<LearntRows> {
        let learnt = |filter| Learnt { filter: Arc::clone(filter), generation: 0 };
        (!self.0.is_empty()).then(|| LearntRows {
            filters: self.0.iter().map(learnt).collect(),
            conditions: Vec::new(),
            trial: Trial::default(),
            kept: BatchCoalescer::new(schema, batch_size),
            left_out,
        })
    }
}

/// The filter over the columns of the output; `None` where it needs another, or one whose equality is not that of its bytes.
fn over_output(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    place: &impl Fn(usize) -> Option<usize>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let mut fits = true;
    let moved = Arc::clone(filter).transform_up(|e| {
        let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
        match place(column.index()).map(|index| (index, schema.field(index))) {
            // Zeros are equal, and an order of bits has one before the other.
            Some((index, field)) if !field.data_type().is_floating() => {
                Ok(Transformed::yes(Arc::new(Column::new(field.name(), index)) as _))
            }
            _ => {
                fits = false;
                Ok(Transformed::new(e, false, TreeNodeRecursion::Stop))
            }
        }
    });
    moved.ok().filter(|_| fits).map(|moved| moved.data)
}

/// The rows of a partition that pass.
pub(super) struct LearntRows {
    filters: Vec<Learnt>,
    /// Of all filters; first what leaves out most for what it takes.
    conditions: Vec<Condition>,
    trial: Trial,
    kept: BatchCoalescer,
    left_out: Count,
}

#[derive(Debug)]
struct Learnt {
    filter: Arc<dyn PhysicalExpr>,
    /// Which state of the filter the conditions are of.
    generation: u64,
}

/// A part of a filter.
#[derive(Debug)]
struct Condition {
    expr: Arc<dyn PhysicalExpr>,
    /// The place of its filter.
    of: usize,
    /// What a row takes, in comparisons.
    cost: usize,
    trial: Trial,
}

/// How many rows passed so far.
#[derive(Debug, Default)]
struct Trial {
    seen: usize,
    passed: usize,
}

impl Trial {
    fn add(&mut self, seen: usize, passed: usize) {
        self.seen += seen;
        self.passed += passed;
    }

    /// Whether more than so many percent of enough rows passed.
    fn is_above(&self, percent: usize) -> bool {
        self.seen >= ROWS_OF_A_TRIAL && self.passed * 100 > self.seen * percent
    }
}

impl LearntRows {
    /// Takes rows in; what there is to give out then, in order.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        self.refresh()?;
        let rows = batch.num_rows();
        let (batch, mask) = self.passing(batch)?;
        let passed = mask.as_ref().map_or(batch.num_rows(), BooleanArray::true_count);
        self.left_out.add(rows - passed);
        self.trial.add(rows, passed);
        match mask {
            Some(mask) => self.kept.push_batch_with_filter(batch, &mask)?,
            None if passed < rows => self.kept.push_batch(batch)?,
            None => {
                let mut out = self.finish()?;
                out.push(batch);
                return Ok(out);
            }
        }
        Ok(std::iter::from_fn(|| self.kept.next_completed_batch()).collect())
    }

    /// The rows that wait to become a batch.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        self.kept.finish_buffered_batch()?;
        Ok(std::iter::from_fn(|| self.kept.next_completed_batch()).collect())
    }

    /// Takes the conditions of filters that have become another.
    fn refresh(&mut self) -> Result<()> {
        for (of, learnt) in self.filters.iter_mut().enumerate() {
            let generation = snapshot_generation(&learnt.filter);
            if generation == learnt.generation {
                continue;
            }
            learnt.generation = generation;
            self.trial = Trial::default();
            self.conditions.retain(|c| c.of != of);
            if let Some(filter) = learnt.filter.downcast_ref::<DynamicFilterPhysicalExpr>() {
                let current = filter.current()?;
                let parts = split_conjunction(&current).into_iter();
                self.conditions.extend(parts.filter_map(|part| Condition::new(part, of)));
            }
        }
        Ok(())
    }

    /// The rows that may pass, and which of them do; `None` for all.
    fn passing(&mut self, mut batch: RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>)> {
        if self.trial.is_above(FEW) {
            self.conditions.clear();
        }
        self.conditions.retain(|c| !c.trial.is_above(OF_USE));
        self.conditions.sort_by_key(Condition::rank);
        let mut mask: Option<BooleanArray> = None;
        for condition in &mut self.conditions {
            // The others look at the rows that are left only.
            if let Some(few) = mask.take_if(|mask| mask.true_count() * 100 <= mask.len() * FEW) {
                batch = filter_record_batch(&batch, &few)?;
            }
            let passing = condition.evaluate(&batch)?;
            mask = Some(match mask {
                None => passing,
                Some(mask) => and(&mask, &passing)?,
            });
        }
        let all = batch.num_rows();
        Ok((batch, mask.filter(|mask| mask.true_count() * 100 <= all * FEW)))
    }
}

impl Condition {
    /// `None` for what says nothing yet.
    fn new(expr: &Arc<dyn PhysicalExpr>, of: usize) -> Option<Self> {
        let cost = cost(expr)?;
        (!expr.is::<Literal>()).then(|| Self { expr: Arc::clone(expr), of, cost, trial: Trial::default() })
    }

    /// What it takes for a row that it leaves out, in hundredths of a comparison.
    fn rank(&self) -> usize {
        match self.trial {
            Trial { seen: 0, .. } => self.cost * 200,
            Trial { seen, passed } => self.cost * 100 * seen / (seen - passed).max(1),
        }
    }

    fn evaluate(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let passing = self.expr.evaluate(batch)?.into_array(batch.num_rows())?;
        let passing = passing.as_boolean();
        let has_nulls = passing.null_count() > 0;
        let passing = if has_nulls { prep_null_mask_filter(passing) } else { passing.clone() };
        self.trial.add(batch.num_rows(), passing.true_count());
        Ok(passing)
    }
}

/// What an expression takes, in comparisons; `None` for what joins and sorts do not ask.
///
/// A join looks its rows up in any case: those that pass are looked up twice, which is why few must pass. What lies between the
/// scan and the join (an aggregate, an exchange) is spared the others.
fn cost(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    use Operator::{And, Eq, Gt, GtEq, Lt, LtEq, Modulo, NotEq, Or};
    let mut cost = 0;
    let mut is_known = true;
    let _ = expr.apply(|e| {
        if e.is::<InListExpr>() || e.is::<HashTableLookupExpr>() || e.is::<HashExpr>() {
            cost += COST_OF_A_SET;
        } else if let Some(binary) = e.downcast_ref::<BinaryExpr>() {
            cost += 1;
            is_known &= match binary.op() {
                And | Or | Lt | LtEq | Gt | GtEq | Eq | NotEq => true,
                // The partition of a hash. Of keys it could fail, for rows that are left out on the way to the join.
                Modulo => binary.left().is::<HashExpr>(),
                _ => false,
            };
        } else {
            // Where both sides of a join are partitioned, CASE finds the partition whose keys are asked.
            is_known &= e.is::<Column>() || e.is::<Literal>() || e.is::<IsNullExpr>() || e.is::<CaseExpr>();
        }
        Ok(if is_known { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    is_known.then_some(cost.max(1))
}
