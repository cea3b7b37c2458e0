//! Inner joins that stand next to each other, as tables and the conditions between them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{DataFusionError, JoinType, NullEquality, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, Join, JoinConstraint, LogicalPlan};

use super::enumerate;
use super::estimate::{Estimate, estimate};
use crate::operators::join_hint_of;

/// Tables by number, as bits.
pub(super) type TableSet = u32;

/// An order of joins: the left side is the one that is built.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Table(usize),
    Join(Box<Tree>, Box<Tree>),
}

impl Tree {
    pub fn tables(&self) -> TableSet {
        match self {
            Self::Table(i) => 1 << i,
            Self::Join(left, right) => left.tables() | right.tables(),
        }
    }
}

pub(super) struct Condition {
    pub expr: Expr,
    /// Both sides of an equality.
    pub pair: Option<Pair>,
    pub tables: TableSet,
}

pub(super) struct Pair {
    pub left: Expr,
    pub left_tables: TableSet,
    pub right: Expr,
    pub right_tables: TableSet,
}

pub(super) struct JoinGraph {
    /// What is joined, each anything but an inner join.
    pub tables: Vec<LogicalPlan>,
    estimates: OnceCell<Vec<Estimate>>,
    pub conditions: Vec<Condition>,
    /// The order as the plan has it.
    pub given: Tree,
}

impl JoinGraph {
    /// The graph of a plan whose root is an inner join (or a choice of columns of one).
    pub fn of(plan: &LogicalPlan) -> Option<Self> {
        if !is_join(plan) {
            return None;
        }
        let (mut tables, mut conditions) = (Vec::new(), Vec::new());
        let given = flatten(plan, &mut tables, &mut conditions)?;
        if tables.len() > TableSet::BITS as usize {
            return None;
        }
        let mut owner: HashMap<String, usize> = HashMap::new();
        for (i, table) in tables.iter().enumerate() {
            for column in table.schema().columns() {
                // Columns are told apart by name.
                if owner.insert(column.flat_name(), i).is_some() {
                    return None;
                }
            }
        }
        let conditions =
            conditions.into_iter().map(|c| c.resolved(&owner)).collect::<Option<Vec<Condition>>>()?;
        Some(Self { tables, estimates: OnceCell::new(), conditions, given })
    }

    /// What is expected of the tables, as they were when this was asked first.
    pub fn estimates(&self) -> &[Estimate] {
        self.estimates.get_or_init(|| self.tables.iter().map(estimate).collect())
    }

    /// What the plan costs in the order it has.
    pub fn given_cost(&self) -> f64 {
        enumerate::cost_of(self, &self.given)
    }

    /// The joins in an order.
    pub fn build(mut self, tree: &Tree) -> Result<LogicalPlan> {
        let mut plan = self.node(tree)?;
        // Conditions without a column, which no join has taken.
        if let Some(rest) = conjunction(self.conditions.drain(..).map(|c| c.expr)) {
            plan = LogicalPlan::Filter(Filter::try_new(rest, Arc::new(plan))?);
        }
        Ok(plan)
    }

    fn node(&mut self, tree: &Tree) -> Result<LogicalPlan> {
        match tree {
            Tree::Table(i) => {
                let plan = std::mem::take(&mut self.tables[*i]);
                let own = self.take_conditions(1 << i);
                match conjunction(own.into_iter().map(|c| c.expr)) {
                    Some(filter) => Ok(LogicalPlan::Filter(Filter::try_new(filter, Arc::new(plan))?)),
                    None => Ok(plan),
                }
            }
            Tree::Join(left, right) => {
                let (left_set, right_set) = (left.tables(), right.tables());
                let (left, right) = (self.node(left)?, self.node(right)?);
                let (mut on, mut filters) = (Vec::new(), Vec::new());
                for condition in self.take_conditions(left_set | right_set) {
                    match condition.pair {
                        Some(p) if p.left_tables & !left_set == 0 && p.right_tables & !right_set == 0 => {
                            on.push((p.left, p.right));
                        }
                        Some(p) if p.left_tables & !right_set == 0 && p.right_tables & !left_set == 0 => {
                            on.push((p.right, p.left));
                        }
                        _ => filters.push(condition.expr),
                    }
                }
                if on.is_empty() {
                    return Err(DataFusionError::Internal("an order of joins without a condition".into()));
                }
                Ok(LogicalPlan::Join(Join::try_new(
                    Arc::new(left),
                    Arc::new(right),
                    on,
                    conjunction(filters),
                    JoinType::Inner,
                    JoinConstraint::On,
                    NullEquality::NullEqualsNothing,
                    false,
                )?))
            }
        }
    }

    /// The conditions that can be decided over some tables and were not before.
    fn take_conditions(&mut self, tables: TableSet) -> Vec<Condition> {
        let (taken, left) = std::mem::take(&mut self.conditions)
            .into_iter()
            .partition(|c| c.tables != 0 && c.tables & !tables == 0);
        self.conditions = left;
        taken
    }
}

/// An inner join, or a choice of columns of one.
pub(super) fn is_join(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => is_plain(join),
        LogicalPlan::Projection(p) => {
            p.expr.iter().all(|e| matches!(e, Expr::Column(_))) && is_join(&p.input)
        }
        LogicalPlan::Filter(f) => !f.predicate.is_volatile() && is_join(&f.input),
        _ => false,
    }
}

fn is_plain(join: &Join) -> bool {
    join.join_type == JoinType::Inner
        // Where a hint says how to join two relations, these two are joined.
        && !is_hinted(&join.left)
        && !is_hinted(&join.right)
        && join.null_equality == NullEquality::NullEqualsNothing
        && !join.on.is_empty()
        && !join.filter.as_ref().is_some_and(Expr::is_volatile)
        && !join.on.iter().any(|(l, r)| l.is_volatile() || r.is_volatile())
}

fn is_hinted(side: &LogicalPlan) -> bool {
    match side {
        LogicalPlan::Projection(p) => is_hinted(&p.input),
        LogicalPlan::Filter(f) => is_hinted(&f.input),
        other => join_hint_of(other).is_some(),
    }
}

struct Found {
    expr: Expr,
    pair: Option<(Expr, Expr)>,
}

impl Found {
    fn resolved(self, owner: &HashMap<String, usize>) -> Option<Condition> {
        let tables = tables_of(&self.expr, owner)?;
        let pair = match self.pair {
            None => None,
            Some((left, right)) => {
                let (left_tables, right_tables) = (tables_of(&left, owner)?, tables_of(&right, owner)?);
                Some(Pair { left, left_tables, right, right_tables })
            }
        };
        Some(Condition { expr: self.expr, pair, tables })
    }
}

fn tables_of(expr: &Expr, owner: &HashMap<String, usize>) -> Option<TableSet> {
    expr.column_refs().iter().try_fold(0, |set, c| owner.get(&c.flat_name()).map(|i| set | (1 << i)))
}

fn flatten(plan: &LogicalPlan, tables: &mut Vec<LogicalPlan>, conditions: &mut Vec<Found>) -> Option<Tree> {
    if !is_join(plan) {
        tables.push(plan.clone());
        return Some(Tree::Table(tables.len() - 1));
    }
    match plan {
        LogicalPlan::Join(join) => {
            let left = flatten(&join.left, tables, conditions)?;
            let right = flatten(&join.right, tables, conditions)?;
            for (l, r) in &join.on {
                let expr = l.clone().eq(r.clone());
                conditions.push(Found { expr, pair: Some((l.clone(), r.clone())) });
            }
            if let Some(filter) = &join.filter {
                conditions.extend(
                    split_conjunction(filter).into_iter().map(|e| Found { expr: e.clone(), pair: None }),
                );
            }
            Some(Tree::Join(Box::new(left), Box::new(right)))
        }
        LogicalPlan::Projection(p) => flatten(&p.input, tables, conditions),
        LogicalPlan::Filter(f) => {
            let tree = flatten(&f.input, tables, conditions)?;
            conditions.extend(
                split_conjunction(&f.predicate).into_iter().map(|e| Found { expr: e.clone(), pair: None }),
            );
            Some(tree)
        }
        _ => None,
    }
}
