//! `WHERE rank() OVER (PARTITION BY a ORDER BY b) <= 10`: rows that ten others of their group come before are dropped before
//! the rows are shuffled and sorted (Spark's `InsertWindowGroupLimit`).
//!
//! The operator keeps the least values of the order for each group and lets pass what is not beyond them. It is a filter that
//! may let too much pass: the filter over the window stays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr, split_conjunction};
use datafusion::physical_expr_common::utils::evaluate_expressions_to_arrays;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowUDFExpr;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use crate::operator_rule::OperatorRule;
use crate::operators::{MapPartitionsExec, PartitionWork};
use crate::windows::window;

/// Spark's `spark.sql.optimizer.windowGroupLimitThreshold`.
const MOST: usize = 1000;
/// Values that are kept over all groups; where there are more groups, all rows pass.
const MOST_KEPT: usize = 1_000_000;
/// After so many rows it is asked whether enough are dropped for the work to pay.
const ROWS_A_LOOK: usize = 65_536;
const WORTHWHILE: f64 = 0.7;

type Plan = Arc<dyn ExecutionPlan>;

/// Drops rows below windows of which a filter wants the first ranks.
pub(crate) const RANK_LIMITS: OperatorRule =
    OperatorRule { name: "boathouse_rank_limits", replacement: with_limit };

fn with_limit(node: &Plan) -> Result<Option<Plan>> {
    let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(None) };
    for (column, most) in split_conjunction(filter.predicate()).into_iter().filter_map(limit) {
        if let Some(input) = limited(filter.input(), column, most)? {
            return replace_children_if_necessary(Arc::clone(node), vec![input]).map(Some);
        }
    }
    Ok(None)
}

/// `column <= most`, however it is written.
fn limit(condition: &Arc<dyn PhysicalExpr>) -> Option<(usize, usize)> {
    let condition = condition.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (condition.left(), condition.right());
    let (column, op, value) = match (left.downcast_ref::<Column>(), right.downcast_ref::<Column>()) {
        (Some(column), None) => (column, *condition.op(), right),
        (None, Some(column)) => (column, condition.op().swap()?, left),
        _ => return None,
    };
    let ScalarValue::Int32(Some(value)) = value.downcast_ref::<Literal>()?.value() else { return None };
    let most = match op {
        Operator::LtEq | Operator::Eq => *value,
        Operator::Lt => value.checked_sub(1)?,
        _ => return None,
    };
    let most = usize::try_from(most).ok()?;
    (1..=MOST).contains(&most).then_some((column.index(), most))
}

/// The plan below a filter of ranks with rows dropped early, where the column is the rank of a window over sorted rows.
fn limited(plan: &Plan, column: usize, most: usize) -> Result<Option<Plan>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = projection.expr().get(column).and_then(|e| e.expr.downcast_ref::<Column>());
        let Some(below) = below else { return Ok(None) };
        let input = limited(projection.input(), below.index(), most)?;
        return input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose();
    }
    let Some((functions, input)) = window(plan) else { return Ok(None) };
    let place = column.checked_sub(input.schema().fields().len());
    let Some(kind) = place.and_then(|i| functions.get(i)).and_then(Rank::of) else { return Ok(None) };
    // The ranks of rows do not depend on those that come after; other functions may.
    if !functions.iter().all(|f| Rank::of(f).is_some()) {
        return Ok(None);
    }
    let Some(sort) = input.downcast_ref::<SortExec>() else { return Ok(None) };
    if sort.fetch().is_some() {
        return Ok(None);
    }
    let (groups, order) = (functions[0].partition_by(), functions[0].order_by());
    let schema = sort.input().schema();
    // Two zeros are one to a rank, and two to an order.
    let is_float = |o: &PhysicalSortExpr| o.expr.data_type(&schema).is_ok_and(|t| t.is_floating());
    if order.is_empty() || order.iter().any(is_float) {
        return Ok(None);
    }
    let work = RankLimit { groups: groups.to_vec(), order: order.to_vec(), most, kind };
    let limited = below_shuffles(sort.input(), &work)?;
    let sorted = replace_children_if_necessary(Arc::clone(input), vec![limited])?;
    replace_children_if_necessary(Arc::clone(plan), vec![sorted]).map(Some)
}

/// What is dropped is not shuffled.
fn below_shuffles(plan: &Plan, work: &RankLimit) -> Result<Plan> {
    if plan.is::<RepartitionExec>() || plan.is::<CoalescePartitionsExec>() {
        let input = below_shuffles(plan.children()[0], work)?;
        return replace_children_if_necessary(Arc::clone(plan), vec![input]);
    }
    let schema = plan.schema();
    Ok(Arc::new(MapPartitionsExec::new(Arc::clone(plan), Arc::new(work.clone()), schema)))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rank {
    /// `row_number` and `rank`: as many rows come before.
    Rows,
    /// `dense_rank`: as many different values come before.
    Values,
}

impl Rank {
    fn of(function: &Arc<dyn WindowExpr>) -> Option<Self> {
        let function = function.as_any().downcast_ref::<StandardWindowExpr>()?;
        let function = function.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()?;
        match function.fun().name() {
            "row_number" | "rank" => Some(Self::Rows),
            "dense_rank" => Some(Self::Values),
            _ => None,
        }
    }
}

#[derive(Clone)]
struct RankLimit {
    groups: Vec<Arc<dyn PhysicalExpr>>,
    order: Vec<PhysicalSortExpr>,
    most: usize,
    kind: Rank,
}

impl fmt::Debug for RankLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RankLimit({:?} <= {} by [{:?}] of {:?})", self.kind, self.most, self.order, self.groups)
    }
}

impl PartitionWork for RankLimit {
    fn name(&self) -> &str {
        "RankLimit"
    }

    fn run(
        &self,
        _: usize,
        mut rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = rows.schema();
        let mut least = Some(LeastOfGroups::new(self.clone(), &schema)?);
        let limited = async_stream::try_stream! {
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                let Some(keeping) = &mut least else {
                    yield batch;
                    continue;
                };
                let kept = keeping.of_batch(&batch)?;
                if !keeping.pays {
                    least = None;
                }
                if kept.num_rows() > 0 {
                    yield kept;
                }
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, limited)))
    }
}

/// The least values of the order, by group. Groups and values are what `RowConverter` makes of them: bytes that compare as they do.
struct LeastOfGroups {
    work: RankLimit,
    /// `None` where all rows are one group.
    group_rows: Option<RowConverter>,
    order_rows: RowConverter,
    groups: HashMap<Box<[u8]>, Least>,
    /// Values that are kept for all groups.
    kept: usize,
    /// Rows since the last look, and those of them that passed.
    seen: usize,
    passed: usize,
    pays: bool,
}

impl LeastOfGroups {
    fn new(work: RankLimit, schema: &Schema) -> Result<Self> {
        let groups = work.groups.iter().map(|e| Ok(SortField::new(e.data_type(schema)?)));
        let groups: Vec<SortField> = groups.collect::<Result<_>>()?;
        let order =
            work.order.iter().map(|o| Ok(SortField::new_with_options(o.expr.data_type(schema)?, o.options)));
        Ok(Self {
            group_rows: if groups.is_empty() { None } else { Some(RowConverter::new(groups)?) },
            order_rows: RowConverter::new(order.collect::<Result<_>>()?)?,
            work,
            groups: HashMap::new(),
            kept: 0,
            seen: 0,
            passed: 0,
            pays: true,
        })
    }

    /// The rows of a batch that may have one of the first ranks.
    fn of_batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let order = evaluate_expressions_to_arrays(self.work.order.iter().map(|o| &o.expr), batch)?;
        let order = self.order_rows.convert_columns(&order)?;
        let groups = match &mut self.group_rows {
            Some(converter) => {
                Some(converter.convert_columns(&evaluate_expressions_to_arrays(&self.work.groups, batch)?)?)
            }
            None => None,
        };
        let mut passes = BooleanBufferBuilder::new(batch.num_rows());
        for (row, value) in order.iter().enumerate() {
            let group = groups.as_ref().map(|groups| groups.row(row));
            let passed = self.passes(group.as_ref().map_or(&[], |group| group.as_ref()), value.as_ref());
            self.passed += usize::from(passed);
            passes.append(passed);
        }
        self.seen += batch.num_rows();
        self.look();
        Ok(filter_record_batch(batch, &BooleanArray::new(passes.finish(), None))?)
    }

    fn passes(&mut self, group: &[u8], value: &[u8]) -> bool {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.into(), Least::default());
        }
        let Some(least) = self.groups.get_mut(group) else { return true };
        let before = least.values.len();
        let passes = least.passes(value, self.work.most, self.work.kind);
        self.kept += least.values.len();
        self.kept -= before;
        passes
    }

    fn look(&mut self) {
        if self.kept + self.groups.len() > MOST_KEPT {
            self.pays = false;
        }
        if self.seen >= ROWS_A_LOOK {
            self.pays &= (self.passed as f64) < self.seen as f64 * WORTHWHILE;
            (self.seen, self.passed) = (0, 0);
        }
    }
}

/// The least values of a group, and how many rows have each.
#[derive(Default)]
struct Least {
    values: BTreeMap<Box<[u8]>, usize>,
    rows: usize,
}

impl Least {
    /// Whether a row may have one of the first ranks, as far as rows were seen.
    fn passes(&mut self, value: &[u8], most: usize, kind: Rank) -> bool {
        let size = |least: &Self| match kind {
            Rank::Rows => least.rows,
            Rank::Values => least.values.len(),
        };
        if size(self) >= most
            && let Some((greatest, _)) = self.values.last_key_value()
        {
            match value.cmp(greatest) {
                Ordering::Greater => return false,
                Ordering::Equal => return true,
                Ordering::Less => {}
            }
        }
        self.rows += 1;
        match self.values.get_mut(value) {
            Some(rows) => *rows += 1,
            None => {
                self.values.insert(value.into(), 1);
            }
        }
        // The greatest goes where enough are left without it.
        while let Some((_, rows)) = self.values.last_key_value() {
            let left = match kind {
                Rank::Rows => self.rows - rows,
                Rank::Values => self.values.len() - 1,
            };
            if left < most {
                break;
            }
            self.rows -= rows;
            self.values.pop_last();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(values: &[u8], most: usize, kind: Rank) -> Vec<u8> {
        let mut least = Least::default();
        values.iter().copied().filter(|v| least.passes(&[*v], most, kind)).collect()
    }

    #[test]
    fn values_that_enough_come_before_are_dropped() {
        assert_eq!(passing(&[5, 3, 4, 1, 6, 3, 2], 2, Rank::Rows), [5, 3, 4, 1, 3, 2]);
        assert_eq!(passing(&[1, 1, 1, 2, 0, 1], 2, Rank::Rows), [1, 1, 1, 0, 1]);
        assert_eq!(passing(&[7, 7, 8, 7], 1, Rank::Rows), [7, 7, 7]);
    }

    #[test]
    fn dense_ranks_count_different_values() {
        assert_eq!(passing(&[1, 1, 1, 2, 3, 2, 0, 2, 1], 2, Rank::Values), [1, 1, 1, 2, 2, 0, 1]);
    }
}
