//! Aggregations before joins (Yan and Larson's eager aggregation).
//!
//! `GROUP BY customer.name, ..` over sales joined to customers looks long names up for each sale. Where sales name a customer
//! much less often than there are sales, they are aggregated by the customer's key first; what is joined and grouped by names
//! are these groups. It is right for any join by equality: a group meets the rows that each of its rows would have met, and
//! the states of the functions are merged ([`in_two_steps`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use boathouse_functions::{FirstStep, TwoSteps, first_step, in_two_steps};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, NullEquality, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, Join, JoinConstraint, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::enumerate;
use super::estimate::estimate;
use super::graph::{JoinGraph, Pair, TableSet, Tree};
use crate::aggregate_steps::{calls, named_as};
use crate::operator_rule::OperatorRule;
use crate::operators::{MapPartitionsExec, PartitionWork};

/// Fewer rows are grouped at once in any way.
const MANY: f64 = 200_000.0;
/// The first step has to leave this part of the rows, or less.
const WORTHWHILE: f64 = 0.4;
/// A table of which filters leave less than this part is joined before: it takes rows away.
const UNFILTERED: f64 = 0.8;

pub(super) fn eager_aggregates(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        match eager(aggregate)? {
            Some(steps) => Ok(Transformed::yes(steps)),
            None => Ok(Transformed::no(node)),
        }
    })
}

/// An aggregation whose keys and arguments are said in columns of the joins below.
struct OverJoins<'a> {
    whole: &'a Aggregate,
    /// The keys as the aggregation has them, and over the joins.
    keys: Vec<(Expr, Expr)>,
    functions: Vec<(AggregateFunction, TwoSteps)>,
    graph: JoinGraph,
}

fn eager(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(over) = OverJoins::of(aggregate)? else { return Ok(None) };
    let late = over.late_tables()?;
    if late == 0 {
        return Ok(None);
    }
    over.in_steps(late)
}

impl<'a> OverJoins<'a> {
    fn of(whole: &'a Aggregate) -> Result<Option<Self>> {
        let mut functions = Vec::new();
        let results = &whole.schema.fields()[whole.schema.fields().len() - whole.aggr_expr.len()..];
        for (expr, result) in whole.aggr_expr.iter().zip(results) {
            let Expr::AggregateFunction(function) = expr.clone().unalias() else { return Ok(None) };
            let Some(steps) = steps(&function, result) else { return Ok(None) };
            functions.push((function, steps));
        }
        let Some((base, known)) = through_projections(&whole.input)? else { return Ok(None) };
        let Some(graph) = JoinGraph::of(base) else { return Ok(None) };
        let over_base = |expr: &Expr| said_in(expr, &known);
        let keys = grouping_set_to_exprlist(&whole.group_expr)?;
        let keys = keys.into_iter().map(|key| Ok((key.clone(), over_base(key)?)));
        let keys: Vec<(Expr, Expr)> = keys.collect::<Result<_>>()?;
        let repeated = keys.iter().enumerate().any(|(i, (_, key))| keys[..i].iter().any(|(_, k)| k == key));
        if repeated || keys.iter().any(|(_, key)| key.is_volatile()) {
            return Ok(None);
        }
        for (function, _) in &mut functions {
            let given = &mut function.params;
            given.args = given.args.iter().map(over_base).collect::<Result<_>>()?;
            given.filter = given.filter.take().map(|f| over_base(&f).map(Box::new)).transpose()?;
            if given.args.iter().chain(given.filter.as_deref()).any(Expr::is_volatile) {
                return Ok(None);
            }
        }
        Ok(Some(Self { whole, keys, functions, graph }))
    }

    /// The tables that are there for long keys alone, each joined by equal columns and not filtered.
    fn late_tables(&self) -> Result<TableSet> {
        let mut late = 0;
        for table in 0..self.graph.tables.len() {
            if self.is_late(table)? {
                late |= 1 << table;
            }
        }
        Ok(late)
    }

    fn is_late(&self, table: usize) -> Result<bool> {
        let schema = self.graph.tables[table].schema();
        let size = &self.graph.estimates()[table];
        let uses = |expr: &Expr| expr.column_refs().into_iter().any(|c| schema.has_column(c));
        let is_argument = |(f, _): &(AggregateFunction, TwoSteps)| {
            f.params.args.iter().chain(f.params.filter.as_deref()).any(uses)
        };
        if !size.is_known
            || size.rows < size.unfiltered * UNFILTERED
            || self.functions.iter().any(is_argument)
        {
            return Ok(false);
        }
        let mut is_long = false;
        for (_, key) in self.keys.iter().filter(|(_, key)| uses(key)) {
            if !key.column_refs().into_iter().all(|c| schema.has_column(c)) {
                return Ok(false);
            }
            is_long |= !key.get_type(schema.as_ref())?.is_primitive();
        }
        let joined = self.graph.conditions.iter().filter(|c| c.tables & (1 << table) != 0);
        let mut joined = joined.map(|c| {
            c.pair.as_ref().is_some_and(|p| {
                matches!((&p.left, &p.right), (Expr::Column(_), Expr::Column(_)))
                    && (p.left_tables == 1 << table) != (p.right_tables == 1 << table)
            })
        });
        Ok(is_long && joined.all(|by_columns| by_columns))
    }

    /// The aggregation in two steps, with some tables joined in between; `None` where that does not pay.
    fn in_steps(mut self, late: TableSet) -> Result<Option<LogicalPlan>> {
        let Some(early) = without(&self.graph.given, late) else { return Ok(None) };
        let (own, between): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.graph.conditions).into_iter().partition(|c| c.tables & late == 0);
        self.graph.conditions = own;
        if !enumerate::cost_of(&self.graph, &early).is_finite() {
            return Ok(None);
        }
        let mut late_tables: Vec<(usize, LogicalPlan)> = Vec::new();
        for table in 0..self.graph.tables.len() {
            if late & (1 << table) != 0 {
                late_tables.push((table, std::mem::take(&mut self.graph.tables[table])));
            }
        }
        let early_set = early.tables();
        let inner = self.graph.build(&early)?;
        let pairs: Vec<Pair> = between.into_iter().filter_map(|c| c.pair).collect();
        let keys = Keys::of(&self.keys, &inner, early_set, &pairs);
        if !is_worthwhile(&inner, &keys.first) {
            return Ok(None);
        }
        let functions = self.functions.into_iter().enumerate();
        let (first, second) = functions.map(|(i, (f, steps))| calls(i, f, steps, None)).unzip();
        let groups = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(inner), keys.first, first)?);
        let Some(joined) = joined(groups, early_set, late_tables, pairs)? else { return Ok(None) };
        let second_keys = self.whole.group_expr.iter().map(|key| with_keys(key.clone(), &keys.second));
        let merged = Aggregate::try_new(Arc::new(joined), second_keys.collect::<Result<_>>()?, second)?;
        Ok(Some(named_as(LogicalPlan::Aggregate(merged), &self.whole.schema)?))
    }
}

/// The keys of two steps.
struct Keys {
    /// What the tables that come later are joined by, and the keys of those that are joined by now.
    first: Vec<Expr>,
    /// What the keys of the aggregation are in the second step.
    second: HashMap<Expr, Expr>,
}

impl Keys {
    /// Of an aggregation's keys, as it has them and over the joins, where `inner` is what the first step groups.
    fn of(keys: &[(Expr, Expr)], inner: &LogicalPlan, early: TableSet, pairs: &[Pair]) -> Self {
        let mut first: Vec<Expr> = Vec::new();
        let mut add = |key: &Expr| {
            if !first.contains(key) {
                first.push(key.clone());
            }
        };
        for pair in pairs {
            for (side, tables) in [(&pair.left, pair.left_tables), (&pair.right, pair.right_tables)] {
                if tables & early != 0 {
                    add(side);
                }
            }
        }
        let mut second = HashMap::new();
        for (i, (key, over_base)) in keys.iter().enumerate() {
            let is_early = over_base.column_refs().into_iter().all(|c| inner.schema().has_column(c));
            let after = if !is_early {
                over_base.clone()
            } else if matches!(over_base, Expr::Column(_)) {
                add(over_base);
                over_base.clone()
            } else {
                let name = format!("__key{i}");
                add(&over_base.clone().alias(&name));
                Expr::Column(Column::new_unqualified(name))
            };
            second.insert(key.clone(), after);
        }
        Self { first, second }
    }
}

/// Whether a first step by some keys leaves few of many rows.
fn is_worthwhile(input: &LogicalPlan, keys: &[Expr]) -> bool {
    let rows = estimate(input);
    let groups: f64 = keys.iter().map(|key| rows.distinct(key)).product();
    rows.is_known && rows.rows >= MANY && groups <= rows.rows * WORTHWHILE
}

fn steps(function: &AggregateFunction, result: &FieldRef) -> Option<TwoSteps> {
    if function.params.distinct || !function.params.order_by.is_empty() {
        return None;
    }
    in_two_steps(&function.func, result, FirstStep::InParts)
}

/// What is below projections, and what their columns are there.
fn through_projections(plan: &LogicalPlan) -> Result<Option<(&LogicalPlan, HashMap<Column, Expr>)>> {
    let LogicalPlan::Projection(p) = plan else { return Ok(Some((plan, HashMap::new()))) };
    let Some((base, below)) = through_projections(&p.input)? else { return Ok(None) };
    let mut known = HashMap::new();
    for (column, expr) in p.schema.columns().into_iter().zip(&p.expr) {
        let expr = said_in(&expr.clone().unalias(), &below)?;
        if expr.is_volatile() {
            return Ok(None);
        }
        known.insert(column, expr);
    }
    Ok(Some((base, known)))
}

/// An expression with what its columns are in place of them.
fn said_in(expr: &Expr, known: &HashMap<Column, Expr>) -> Result<Expr> {
    let said = expr.clone().transform_up(|e| match &e {
        Expr::Column(column) => match known.get(column) {
            Some(meaning) => Ok(Transformed::yes(meaning.clone())),
            None => Ok(Transformed::no(e)),
        },
        _ => Ok(Transformed::no(e)),
    });
    said.data()
}

/// A key, or several sets of them, with other expressions for each.
fn with_keys(key: Expr, renamed: &HashMap<Expr, Expr>) -> Result<Expr> {
    let renamed = key.transform_down(|e| match renamed.get(&e) {
        Some(other) => Ok(Transformed::new(other.clone(), true, TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(e)),
    });
    renamed.data()
}

/// Groups joined to the tables that were left for later; `None` where one is joined to nothing.
fn joined(
    groups: LogicalPlan,
    early: TableSet,
    mut tables: Vec<(usize, LogicalPlan)>,
    mut pairs: Vec<Pair>,
) -> Result<Option<LogicalPlan>> {
    let (mut plan, mut set) = (groups, early);
    while !tables.is_empty() {
        let connects = |pair: &Pair, table: TableSet| {
            let of_pair = pair.left_tables | pair.right_tables;
            of_pair & table != 0 && of_pair & !(set | table) == 0
        };
        let next = tables.iter().position(|(table, _)| pairs.iter().any(|p| connects(p, 1 << table)));
        let Some(next) = next else { return Ok(None) };
        let (table, late) = tables.remove(next);
        let (here, later): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|p| connects(p, 1 << table));
        let on = here.into_iter().map(|p| match p.left_tables == 1 << table {
            true => (p.left, p.right),
            false => (p.right, p.left),
        });
        // The left side is built.
        plan = LogicalPlan::Join(Join::try_new(
            Arc::new(late),
            Arc::new(plan),
            on.collect(),
            None,
            JoinType::Inner,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?);
        pairs = later;
        set |= 1 << table;
    }
    Ok(Some(plan))
}

/// An order of joins with some tables taken out.
fn without(tree: &Tree, tables: TableSet) -> Option<Tree> {
    match tree {
        Tree::Table(i) => (tables & (1 << i) == 0).then(|| tree.clone()),
        Tree::Join(left, right) => match (without(left, tables), without(right, tables)) {
            (Some(left), Some(right)) => Some(Tree::Join(Box::new(left), Box::new(right))),
            (left, right) => left.or(right),
        },
    }
}

/// The first of two steps need not be whole: what it gives is merged anyway. Each partition aggregates what it has, hands on as
/// they are the rows of which hardly two are alike, and shuffles nothing before the joins.
///
/// The rule comes before those that know what partitions an operator needs.
pub(crate) const FIRST_STEPS_APART: OperatorRule =
    OperatorRule { name: "boathouse_first_steps_apart", replacement: apart };

fn apart(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(whole) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(partial) = whole.input().downcast_ref::<AggregateExec>() else { return Ok(None) };
    let is_first = !whole.aggr_expr().is_empty()
        && whole.aggr_expr().iter().all(|f| first_step(f.fun()) == Some(FirstStep::InParts));
    if !is_first || *partial.mode() != AggregateMode::Partial {
        return Ok(None);
    }
    let (states, schema) = (Arc::clone(whole.input()), whole.schema());
    let rows = StatesAsRows { schema: Arc::clone(&schema), keys: whole.group_expr().expr().len() };
    Ok(Some(Arc::new(MapPartitionsExec::new(states, Arc::new(rows), schema))))
}

/// Columns of states as one row for each function.
#[derive(Clone)]
struct StatesAsRows {
    /// The keys, and a struct for each function.
    schema: SchemaRef,
    keys: usize,
}

impl fmt::Debug for StatesAsRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatesAsRows")
    }
}

impl StatesAsRows {
    fn of_batch(&self, groups: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = groups.columns()[..self.keys].to_vec();
        let mut states = groups.columns()[self.keys..].iter().cloned();
        for field in &self.schema.fields()[self.keys..] {
            let DataType::Struct(fields) = field.data_type() else {
                return internal_err!("the first step of an aggregation gives states");
            };
            let of_function = states.by_ref().take(fields.len()).collect();
            columns.push(Arc::new(StructArray::try_new(fields.clone(), of_function, None)?));
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl PartitionWork for StatesAsRows {
    fn name(&self) -> &str {
        "StatesAsRows"
    }

    fn run(
        &self,
        _: usize,
        groups: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let work = self.clone();
        let rows = groups.map(move |batch| work.of_batch(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }
}
