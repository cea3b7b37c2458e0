//! The search for the cheapest order: dynamic programming over sets of tables, bushy trees included.

use std::collections::HashMap;

use datafusion::logical_expr::Expr;

use super::estimate::{Estimate, joined, joined_rows};
use super::graph::{JoinGraph, TableSet, Tree};

/// What a row costs that is put into a hash table, looked up in one, and handed on. Relative to each other.
const BUILD: f64 = 3.0;
const PROBE: f64 = 1.0;
const OUTPUT: f64 = 1.5;

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub tree: Tree,
    pub cost: f64,
    estimate: Estimate,
}

/// The cheapest order that joins all tables without a cross product; `None` where there is none.
pub(super) fn cheapest(graph: &JoinGraph) -> Option<Order> {
    let n = graph.tables.len();
    let mut best: HashMap<TableSet, Order> = HashMap::new();
    for (i, estimate) in graph.estimates().iter().enumerate() {
        best.insert(1 << i, Order { tree: Tree::Table(i), cost: 0.0, estimate: estimate.clone() });
    }
    let all: TableSet = if n >= 32 { TableSet::MAX } else { (1 << n) - 1 };
    // A set comes after all of its subsets.
    for set in 1..=all {
        if set.count_ones() < 2 {
            continue;
        }
        let mut found: Option<Joined<'_>> = None;
        let mut left = (set - 1) & set;
        while left != 0 {
            let right = set & !left;
            // Each pair once: which side is built is decided by size.
            if left > right
                && let (Some(a), Some(b)) = (best.get(&left), best.get(&right))
                && let Some(joined) = Joined::of(graph, a, b)
                && found.as_ref().is_none_or(|f| joined.cost < f.cost)
            {
                found = Some(joined);
            }
            left = (left - 1) & set;
        }
        if let Some(order) = found.map(Joined::order) {
            best.insert(set, order);
        }
    }
    best.remove(&all)
}

/// What an order costs; infinite where it needs a cross product.
pub(super) fn cost_of(graph: &JoinGraph, tree: &Tree) -> f64 {
    priced(graph, tree).map_or(f64::INFINITY, |order| order.cost)
}

fn priced(graph: &JoinGraph, tree: &Tree) -> Option<Order> {
    match tree {
        Tree::Table(i) => {
            Some(Order { tree: tree.clone(), cost: 0.0, estimate: graph.estimates().get(*i)?.clone() })
        }
        Tree::Join(left, right) => {
            let (left, right) = (priced(graph, left)?, priced(graph, right)?);
            Some(Joined::of(graph, &left, &right)?.order())
        }
    }
}

/// Two parts joined, the smaller one built. Most are only compared with others, by what they cost.
struct Joined<'a> {
    left: &'a Order,
    right: &'a Order,
    keys: Vec<(&'a Expr, &'a Expr)>,
    others: usize,
    cost: f64,
}

impl<'a> Joined<'a> {
    /// `None` where nothing joins them.
    fn of(graph: &'a JoinGraph, a: &'a Order, b: &'a Order) -> Option<Self> {
        let (left, right) = if a.estimate.rows <= b.estimate.rows { (a, b) } else { (b, a) };
        let (left_set, right_set) = (left.tree.tables(), right.tree.tables());
        let mut keys = Vec::new();
        let mut others = 0;
        for condition in &graph.conditions {
            let decided = condition.tables & !(left_set | right_set) == 0
                && condition.tables & left_set != 0
                && condition.tables & right_set != 0;
            if !decided {
                continue;
            }
            match &condition.pair {
                Some(p) if p.left_tables & !left_set == 0 && p.right_tables & !right_set == 0 => {
                    keys.push((&p.left, &p.right));
                }
                Some(p) if p.left_tables & !right_set == 0 && p.right_tables & !left_set == 0 => {
                    keys.push((&p.right, &p.left));
                }
                _ => others += 1,
            }
        }
        if keys.is_empty() {
            return None;
        }
        let rows = joined_rows(&left.estimate, &right.estimate, &keys, others);
        let cost =
            left.cost + right.cost + BUILD * left.estimate.rows + PROBE * right.estimate.rows + OUTPUT * rows;
        Some(Self { left, right, keys, others, cost })
    }

    fn order(self) -> Order {
        let tree = Tree::Join(Box::new(self.left.tree.clone()), Box::new(self.right.tree.clone()));
        let estimate = joined(&self.left.estimate, &self.right.estimate, &self.keys, self.others);
        Order { tree, cost: self.cost, estimate }
    }
}
