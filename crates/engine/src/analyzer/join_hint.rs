//! Hints of how to join: which relations they mark, and which join takes a mark up.
//!
//! A hint with names marks the relations of these names in its query, but not inside its subqueries, views and common tables
//! (Spark's `ResolveJoinStrategyHints`); one without names marks the whole. The next join above takes the mark up, through
//! operators of one input (`EliminateResolvedHint`). A hint that nothing takes up is said to be lost, and that is all.

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Expr, Literal, Relation, RelationNode, Result};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan};

use super::Analyzer;
use super::analyzed::{Analyzed, project};
use crate::operators::{JoinHint, Strategy, join_hint, join_hint_of};

impl Analyzer {
    pub(super) fn join_strategy(
        &mut self,
        input: &Relation,
        name: &str,
        strategy: Strategy,
        parameters: &[Expr],
    ) -> Result<Analyzed> {
        if parameters.is_empty() {
            let analyzed = self.relation(input)?;
            if analyzed.is_streaming {
                return Ok(analyzed);
            }
            let plan = join_hint(analyzed.plan, JoinHint { strategy, is_taken: false });
            return Ok(Analyzed { plan, ..analyzed });
        }
        let mut input = input.clone();
        self.mark_named(&mut input, name, parameters)?;
        self.relation(&input)
    }

    /// Marks the relations that a hint names. The hints inside come first: where two mean one relation, the outer one counts.
    fn mark_named(&mut self, input: &mut Relation, name: &str, parameters: &[Expr]) -> Result<()> {
        if let RelationNode::Hint { input: inner, name, parameters } = input.node.as_ref()
            && Strategy::named(name).is_some()
            && !parameters.is_empty()
        {
            let mut marked = inner.clone();
            let (name, parameters) = (name.clone(), parameters.clone());
            self.mark_named(&mut marked, &name, &parameters)?;
            *input = marked;
        }
        let mut wanted = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            wanted.push(Wanted { name: self.relation_name(parameter)?, is_found: false });
        }
        mark(input, name, &mut wanted);
        for lost in wanted.iter().filter(|w| !w.is_found) {
            tracing::warn!("Count not find relation '{}' specified in hint '{name}'.", lost.name.join("."));
        }
        Ok(())
    }

    fn relation_name(&mut self, parameter: &Expr) -> Result<Vec<String>> {
        match parameter {
            Expr::Column(column) => Ok(column.name.clone()),
            Expr::Literal(Literal::String(text)) => boathouse_sql::parse_name(text),
            other => {
                let shown =
                    self.expr(other, &Analyzed::one_row()?).map_or_else(|_| String::new(), |e| e.name);
                let message = format!(
                    "Join strategy hint parameter should be an identifier or string but was \"{shown}\"."
                );
                Err(Error::new("_LEGACY_ERROR_TEMP_1046").param("unsupported", shown).message(message))
            }
        }
    }
}

struct Wanted {
    name: Vec<String>,
    is_found: bool,
}

/// Marks the relations of the names, from the top down.
fn mark(relation: &mut Relation, hint: &str, wanted: &mut [Wanted]) {
    let found = match relation.node.as_ref() {
        RelationNode::Hint { input, name, parameters }
            if parameters.is_empty() && Strategy::named(name).is_some() =>
        {
            // A relation that an inner hint marked is marked anew: the outer hint counts.
            name_of(input).is_some_and(|name| is_wanted(&name, wanted))
        }
        _ => name_of(relation).is_some_and(|name| is_wanted(&name, wanted)),
    };
    if found {
        let input = std::mem::replace(relation, RelationNode::OneRow.into());
        *relation = RelationNode::Hint { input, name: hint.to_string(), parameters: Vec::new() }.into();
        return;
    }
    let is_another_scope =
        matches!(relation.node.as_ref(), RelationNode::SubqueryAlias { .. } | RelationNode::With { .. });
    if !is_another_scope {
        relation.node.inputs_mut().into_iter().for_each(|input| mark(input, hint, wanted));
    }
}

fn name_of(relation: &Relation) -> Option<Vec<String>> {
    match relation.node.as_ref() {
        RelationNode::Table(table) => Some(table.name.clone()),
        RelationNode::SubqueryAlias { alias, qualifier, .. } => {
            Some(qualifier.iter().chain([alias]).cloned().collect())
        }
        _ => None,
    }
}

/// A hint names a relation by the last parts of its name.
fn is_wanted(name: &[String], wanted: &mut [Wanted]) -> bool {
    let same = |w: &&mut Wanted| {
        w.name.len() <= name.len()
            && w.name.iter().rev().zip(name.iter().rev()).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    match wanted.iter_mut().find(same) {
        Some(found) => {
            found.is_found = true;
            true
        }
        None => false,
    }
}

/// The mark that a join above a plan takes up: the outermost.
pub(super) fn found(plan: &LogicalPlan) -> Option<Strategy> {
    if let Some(JoinHint { strategy, is_taken: false }) = join_hint_of(plan) {
        return Some(strategy);
    }
    match plan.inputs().as_slice() {
        [only] => found(only),
        _ => None,
    }
}

/// A side of a join with its mark, if it has one, on top.
pub(super) fn taken(plan: LogicalPlan) -> Result<LogicalPlan> {
    match found(&plan) {
        Some(strategy) => Ok(join_hint(without_hints(plan)?, JoinHint { strategy, is_taken: true })),
        None => Ok(plan),
    }
}

/// The plan without marks that a join could still take up.
pub(super) fn without_hints(plan: LogicalPlan) -> Result<LogicalPlan> {
    if found(&plan).is_none() {
        return Ok(plan);
    }
    let plan = plan.transform_down(|node| {
        let mut below = Transformed::no(node);
        while join_hint_of(&below.data).is_some_and(|hint| !hint.is_taken)
            && let Some(input) = below.data.inputs().into_iter().next().cloned()
        {
            below = Transformed::yes(input);
        }
        Ok(below)
    });
    Ok(plan.spark()?.data)
}

/// A subquery of a predicate is the right side of a join that is to come. The mark stands below what selects its rows and
/// columns, which those who make that join look at.
pub(super) fn of_subquery(analyzed: Analyzed) -> Result<Analyzed> {
    let Some(strategy) = found(&analyzed.plan) else { return Ok(analyzed) };
    let plan = without_hints(analyzed.plan)?;
    let plan = match plan {
        LogicalPlan::Projection(_) => plan,
        other => {
            let columns = other.schema().columns().into_iter().map(DfExpr::Column).collect();
            project(columns, other)?
        }
    };
    Ok(Analyzed { plan: marked_below(plan, strategy)?, ..analyzed })
}

fn marked_below(plan: LogicalPlan, strategy: Strategy) -> Result<LogicalPlan> {
    match &plan {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => {
            let inputs = plan.inputs().into_iter().cloned().map(|input| marked_below(input, strategy));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            plan.with_new_exprs(plan.expressions(), inputs).spark()
        }
        _ => Ok(join_hint(plan, JoinHint { strategy, is_taken: true })),
    }
}

/// The query of a common table: no join takes its mark up.
pub(super) fn lost(analyzed: Analyzed) -> Result<Analyzed> {
    if let Some(strategy) = found(&analyzed.plan) {
        tracing::warn!("A join hint {strategy} is specified but it is not part of a join relation.");
    }
    Ok(Analyzed { plan: without_hints(analyzed.plan)?, ..analyzed })
}
