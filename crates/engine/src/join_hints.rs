//! Joins as hints ask for them (Spark's `JoinSelection`).
//!
//! DataFusion has chosen how to join by sizes when this rule runs, and has not distributed or sorted anything yet. Where a side
//! of a join is marked, and the join's type allows what the mark asks for, the rule chooses anew: a hash join that broadcasts
//! the side, one that hashes both and builds the side, a merge of sorted sides, or a product that is filtered.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType, NullEquality, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::join_order::{FIRST_STEPS_APART, FORGET_SIZES};
use crate::limit_fence::{FENCE_LIMITS, FREE_LIMITS, PLACES_SORTS};
use crate::operator_rule::OperatorRule;
use crate::operators::{JoinHintExec, Strategy};

type Plan = Arc<dyn ExecutionPlan>;

/// DataFusion's rule that chooses joins by sizes.
const JOIN_SELECTION: &str = "join_selection";

/// DataFusion's rules, with ours behind the one that chooses joins by the sizes that it was given, and around the one that
/// places sorts.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let place = rules.iter().position(|r| r.name() == JOIN_SELECTION).map_or(0, |i| i + 1);
    rules.insert(place, Arc::new(FORGET_SIZES));
    rules.insert(place + 1, Arc::new(JOIN_HINTS));
    if let Some(place) = rules.iter().position(|r| r.name() == PLACES_SORTS) {
        rules.insert(place + 1, Arc::new(FREE_LIMITS));
        rules.insert(place, Arc::new(FENCE_LIMITS));
    }
    rules.insert(0, Arc::new(FIRST_STEPS_APART));
    rules
}

const JOIN_HINTS: OperatorRule = OperatorRule { name: "boathouse_join_hints", replacement: as_hinted };

fn as_hinted(node: &Plan) -> Result<Option<Plan>> {
    let hints = Hints::of(node);
    if hints.is_empty() { Ok(None) } else { joined(node, hints) }
}

/// Whether a side of a join is marked.
pub(crate) fn is_hinted(join: &Plan) -> bool {
    !Hints::of(join).is_empty()
}

/// Whether a join is the product that a hint asks for. Says nothing to the log, as the planner has.
pub(crate) fn is_product(join: &Plan) -> bool {
    let hints = Hints::of(join);
    join.downcast_ref::<NestedLoopJoinExec>().is_some_and(|join| {
        *join.join_type() == JoinType::Inner
            && !hints.ask(Strategy::Broadcast)
            && hints.ask(Strategy::ShuffleReplicateNestedLoop)
    })
}

/// Whether a product is one that a hint lets one side be broadcast for.
pub(crate) fn is_broadcast(join: &Plan) -> bool {
    let hints = Hints::of(join);
    [hints.left, hints.right].contains(&Some(Strategy::Broadcast))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Broadcast(Side),
    Merge,
    ShuffleHash(Side),
    Product,
}

/// What the marks of both sides ask for.
#[derive(Debug, Clone, Copy, Default)]
struct Hints {
    left: Option<Strategy>,
    right: Option<Strategy>,
}

impl Hints {
    fn of(join: &Plan) -> Self {
        if !(join.is::<HashJoinExec>() || join.is::<NestedLoopJoinExec>() || join.is::<CrossJoinExec>()) {
            return Self::default();
        }
        match join.children().as_slice() {
            [left, right] => Self { left: mark(left), right: mark(right) },
            _ => Self::default(),
        }
    }

    fn is_empty(self) -> bool {
        self.left.is_none() && self.right.is_none()
    }

    fn asks(self, side: Side, strategy: Strategy) -> bool {
        let mark = if side == Side::Left { self.left } else { self.right };
        mark == Some(strategy)
    }

    fn ask(self, strategy: Strategy) -> bool {
        self.asks(Side::Left, strategy) || self.asks(Side::Right, strategy)
    }
}

/// The mark of a side, below what the optimizer has put on it.
fn mark(side: &Plan) -> Option<Strategy> {
    if let Some(mark) = side.downcast_ref::<JoinHintExec>() {
        return Some(mark.strategy());
    }
    match side.children().as_slice() {
        [only] => mark(only),
        _ => None,
    }
}

/// The choice for a join by equal keys. In this order: broadcast, merge, hash, product.
fn of_equal_keys(kind: JoinType, hints: Hints, smaller: impl Fn() -> Side) -> Option<Choice> {
    if let Some(side) = allowed(Strategy::Broadcast, kind, hints, can_broadcast, &smaller) {
        return Some(Choice::Broadcast(side));
    }
    if hints.ask(Strategy::Merge) {
        return Some(Choice::Merge);
    }
    if let Some(side) = allowed(Strategy::ShuffleHash, kind, hints, can_build, &smaller) {
        return Some(Choice::ShuffleHash(side));
    }
    product(kind, hints)
}

/// The choice for a join by any condition: any side can be broadcast.
fn of_any(kind: JoinType, hints: Hints, smaller: impl Fn() -> Side) -> Option<Choice> {
    if let Some(side) = allowed(Strategy::Broadcast, kind, hints, |_, _| true, &smaller) {
        return Some(Choice::Broadcast(side));
    }
    if hints.ask(Strategy::Merge) || hints.ask(Strategy::ShuffleHash) {
        tracing::warn!("A hint of how to join is not supported in the query: no equi-join keys.");
    }
    product(kind, hints)
}

fn product(kind: JoinType, hints: Hints) -> Option<Choice> {
    if !hints.ask(Strategy::ShuffleReplicateNestedLoop) {
        return None;
    }
    if kind != JoinType::Inner {
        let hint = Strategy::ShuffleReplicateNestedLoop;
        tracing::warn!("Hint {hint} is not supported in the query: {kind} join.");
        return None;
    }
    Some(Choice::Product)
}

/// The side that is to be built by a strategy; the smaller one where both are asked for.
fn allowed(
    strategy: Strategy,
    kind: JoinType,
    hints: Hints,
    can: fn(Side, JoinType) -> bool,
    smaller: &impl Fn() -> Side,
) -> Option<Side> {
    let is_allowed = |side: Side| {
        let is_asked = hints.asks(side, strategy);
        if is_asked && !can(side, kind) {
            let side = if side == Side::Left { "left" } else { "right" };
            tracing::warn!("Hint {strategy} is not supported in the query: build {side} for {kind} join.");
            return false;
        }
        is_asked
    };
    match (is_allowed(Side::Left), is_allowed(Side::Right)) {
        (true, true) => Some(smaller()),
        (true, false) => Some(Side::Left),
        (false, true) => Some(Side::Right),
        (false, false) => None,
    }
}

/// Spark's `canBuildBroadcastLeft` and `canBuildBroadcastRight`.
fn can_broadcast(side: Side, kind: JoinType) -> bool {
    use JoinType as J;
    match side {
        Side::Left => matches!(kind, J::Inner | J::Right | J::RightSemi | J::RightAnti | J::RightMark),
        Side::Right => matches!(kind, J::Inner | J::Left | J::LeftSemi | J::LeftAnti | J::LeftMark),
    }
}

/// Spark's `canBuildShuffledHashJoinLeft` and `canBuildShuffledHashJoinRight`.
fn can_build(side: Side, kind: JoinType) -> bool {
    can_broadcast(side, kind) || matches!(kind, JoinType::Left | JoinType::Right | JoinType::Full)
}

/// The join as its hints ask for it; `None` where it stays as it is.
fn joined(node: &Plan, hints: Hints) -> Result<Option<Plan>> {
    let smaller = || match node.children().as_slice() {
        [left, right] => smaller_side(left, right),
        _ => Side::Right,
    };
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        // `NOT IN` with NULLs is a join of its own kind.
        if join.null_aware {
            return Ok(None);
        }
        return match of_equal_keys(*join.join_type(), hints, smaller) {
            Some(Choice::Broadcast(side)) => hashed(join, side, PartitionMode::CollectLeft).map(Some),
            Some(Choice::ShuffleHash(side)) => hashed(join, side, PartitionMode::Partitioned).map(Some),
            Some(Choice::Merge) if !can_merge(join)? => Ok(None),
            Some(Choice::Merge) => merged(join).map(Some),
            Some(Choice::Product) => filtered_product(join).map(Some),
            None => Ok(None),
        };
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && of_any(*join.join_type(), hints, smaller) == Some(Choice::Broadcast(Side::Right))
    {
        return join.swap_inputs().map(Some);
    }
    if let Some(join) = node.downcast_ref::<CrossJoinExec>()
        && of_any(JoinType::Inner, hints, smaller) == Some(Choice::Broadcast(Side::Right))
    {
        return join.swap_inputs().map(Some);
    }
    Ok(None)
}

/// The right side where it is no larger, or where nothing is known.
fn smaller_side(left: &Plan, right: &Plan) -> Side {
    match (crate::small::bytes(left), crate::small::bytes(right)) {
        (Some(left), Some(right)) if left < right => Side::Left,
        _ => Side::Right,
    }
}

/// A hash join that builds a side: it is the left one that is built.
fn hashed(join: &HashJoinExec, side: Side, mode: PartitionMode) -> Result<Plan> {
    match side {
        Side::Left => Ok(Arc::new(join.builder().with_partition_mode(mode).build()?)),
        Side::Right => join.swap_inputs(mode),
    }
}

/// Whether DataFusion's merge can do the join. Those that ask only whether there is a match (`BitwiseSortMergeJoinStream`)
/// compare keys over the end of a batch by `compare_join_arrays`, which knows some types only, and of floats no NaN.
fn can_merge(join: &HashJoinExec) -> Result<bool> {
    use JoinType as J;
    let asks_for_a_match = matches!(
        join.join_type(),
        J::LeftSemi | J::RightSemi | J::LeftAnti | J::RightAnti | J::LeftMark | J::RightMark
    );
    if !asks_for_a_match {
        return Ok(true);
    }
    let (left_schema, right_schema) = (join.left().schema(), join.right().schema());
    for (left, right) in join.on() {
        let kinds = [left.data_type(&left_schema)?, right.data_type(&right_schema)?];
        if !kinds.iter().all(is_compared_over_batches) {
            tracing::warn!("A hint of a merge is not supported in the query: a {} join.", join.join_type());
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_compared_over_batches(key: &DataType) -> bool {
    use DataType as T;
    key.is_integer()
        || matches!(
            key,
            T::Null
                | T::Boolean
                | T::Utf8
                | T::LargeUtf8
                | T::Utf8View
                | T::Binary
                | T::LargeBinary
                | T::BinaryView
                | T::FixedSizeBinary(_)
                | T::Decimal128(..)
                | T::Timestamp(_, None)
                | T::Date32
                | T::Date64
        )
}

fn merged(join: &HashJoinExec) -> Result<Plan> {
    let merge = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        join.filter().map(of_nullable),
        *join.join_type(),
        vec![Default::default(); join.on().len()],
        join.null_equality(),
    )?;
    projected(Arc::new(merge), join.projection.as_deref())
}

/// A merge evaluates the condition over rows, too, that have met no other.
fn of_nullable(filter: &JoinFilter) -> JoinFilter {
    let nullable = |f: &Arc<arrow::datatypes::Field>| f.as_ref().clone().with_nullable(true);
    let fields: Vec<_> = filter.schema().fields().iter().map(nullable).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    JoinFilter::new(Arc::clone(filter.expression()), filter.column_indices().to_vec(), schema)
}

fn projected(plan: Plan, columns: Option<&[usize]>) -> Result<Plan> {
    let Some(columns) = columns else { return Ok(plan) };
    let schema = plan.schema();
    let exprs = columns.iter().map(|&i| {
        let name = schema.field(i).name();
        ProjectionExpr { expr: Arc::new(Column::new(name, i)), alias: name.clone() }
    });
    Ok(Arc::new(ProjectionExec::try_new(exprs.collect::<Vec<_>>(), plan)?))
}

/// The product of both sides, filtered by the keys and the condition of a join.
fn filtered_product(join: &HashJoinExec) -> Result<Plan> {
    let mut filter = ProductFilter::of(join.filter());
    let operator = match join.null_equality() {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    for (left, right) in join.on() {
        let left = filter.taken(left, JoinSide::Left, join.left())?;
        let right = filter.taken(right, JoinSide::Right, join.right())?;
        filter.conditions.push(Arc::new(BinaryExpr::new(left, operator, right)));
    }
    let columns = join.projection.as_deref().map(<[usize]>::to_vec);
    let product = NestedLoopJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        Some(filter.built()),
        join.join_type(),
        columns,
    )?;
    Ok(Arc::new(product))
}

/// The condition of a product in the making: conditions over columns that it takes from both sides.
struct ProductFilter {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    columns: Vec<ColumnIndex>,
    fields: Vec<Arc<arrow::datatypes::Field>>,
}

impl ProductFilter {
    fn of(filter: Option<&JoinFilter>) -> Self {
        match filter {
            None => Self { conditions: Vec::new(), columns: Vec::new(), fields: Vec::new() },
            Some(filter) => Self {
                conditions: vec![Arc::clone(filter.expression())],
                columns: filter.column_indices().to_vec(),
                fields: filter.schema().fields().iter().cloned().collect(),
            },
        }
    }

    /// An expression over a side, as one over the columns that are taken.
    fn taken(
        &mut self,
        expr: &Arc<dyn PhysicalExpr>,
        side: JoinSide,
        input: &Plan,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let schema = input.schema();
        let changed = Arc::clone(expr).transform(|e| {
            let Some(index) = (e.as_ref() as &dyn std::any::Any).downcast_ref::<Column>().map(Column::index)
            else {
                return Ok(Transformed::no(e));
            };
            let field = schema.field(index).clone();
            let column = Column::new(field.name(), self.columns.len());
            self.columns.push(ColumnIndex { index, side });
            self.fields.push(Arc::new(field));
            Ok(Transformed::yes(Arc::new(column) as _))
        })?;
        Ok(changed.data)
    }

    fn built(self) -> JoinFilter {
        let schema = Arc::new(arrow::datatypes::Schema::new(self.fields));
        JoinFilter::new(conjunction(self.conditions), self.columns, schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Strategy as S;

    fn of(kind: JoinType, left: impl Into<Option<S>>, right: impl Into<Option<S>>) -> Option<Choice> {
        of_equal_keys(kind, Hints { left: left.into(), right: right.into() }, || Side::Right)
    }

    /// Anywhere else it would choose before sizes have, or after rows are distributed.
    #[test]
    fn the_rule_stands_behind_the_choice_by_sizes() {
        let rules = rules();
        let place = rules.iter().position(|r| r.name() == JOIN_SELECTION).unwrap();
        assert_eq!(rules[place + 1].name(), FORGET_SIZES.name());
        assert_eq!(rules[place + 2].name(), JOIN_HINTS.name());
        assert_eq!(rules.iter().filter(|r| r.name() == JOIN_HINTS.name()).count(), 1);
    }

    /// What Spark 4.2 chose for the same pairs.
    #[test]
    fn hints_have_an_order() {
        let inner = JoinType::Inner;
        assert_eq!(of(inner, S::Broadcast, S::Merge), Some(Choice::Broadcast(Side::Left)));
        assert_eq!(of(inner, S::ShuffleHash, S::Merge), Some(Choice::Merge));
        assert_eq!(
            of(inner, S::ShuffleReplicateNestedLoop, S::ShuffleHash),
            Some(Choice::ShuffleHash(Side::Right))
        );
        assert_eq!(of(inner, S::Broadcast, S::Broadcast), Some(Choice::Broadcast(Side::Right)));
        assert_eq!(of(inner, None, S::ShuffleReplicateNestedLoop), Some(Choice::Product));
    }

    #[test]
    fn what_a_type_of_join_cannot_do_is_ignored() {
        assert_eq!(of(JoinType::Left, S::Broadcast, None), None);
        assert_eq!(of(JoinType::Left, None, S::Broadcast), Some(Choice::Broadcast(Side::Right)));
        assert_eq!(of(JoinType::Right, None, S::Broadcast), None);
        assert_eq!(of(JoinType::Full, S::Broadcast, S::Broadcast), None);
        assert_eq!(of(JoinType::Full, S::ShuffleHash, None), Some(Choice::ShuffleHash(Side::Left)));
        assert_eq!(of(JoinType::LeftSemi, S::ShuffleHash, None), None);
        assert_eq!(of(JoinType::RightSemi, S::ShuffleHash, None), Some(Choice::ShuffleHash(Side::Left)));
        assert_eq!(of(JoinType::Left, S::ShuffleReplicateNestedLoop, None), None);
    }

    #[test]
    fn any_side_of_a_join_without_keys_can_be_broadcast() {
        let hints = Hints { left: Some(S::Broadcast), right: Some(S::Merge) };
        assert_eq!(of_any(JoinType::Left, hints, || Side::Right), Some(Choice::Broadcast(Side::Left)));
        let hints = Hints { left: Some(S::Merge), right: Some(S::ShuffleHash) };
        assert_eq!(of_any(JoinType::Inner, hints, || Side::Right), None);
    }
}
