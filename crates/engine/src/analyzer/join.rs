//! Joins of every kind.

use boathouse_bridge::ResultExt;
use boathouse_spec::{
    Error, Expr, Join, JoinCondition, JoinKind, PythonFunction, Relation, RelationNode, Result, quote,
};
use datafusion::common::Spans;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{
    Case, Expr as DfExpr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery,
};
use std::sync::Arc;

use super::analyzed::{Analyzed, Attribute};
use super::{Analyzer, join_hint};

impl Analyzer {
    pub(super) fn join(&mut self, join: &Join) -> Result<Analyzed> {
        let left = self.relation(&join.left)?;
        let right = self.relation(&join.right)?;
        self.check_outer_columns_of_sides(&left, &right, join.kind)?;
        match &join.condition {
            JoinCondition::None => self.join_on(left, right, join.kind, None),
            JoinCondition::On(condition) => self.join_on(left, right, join.kind, Some(condition)),
            JoinCondition::Using(columns) => self.join_using(left, right, join.kind, columns),
            JoinCondition::Natural => {
                let mut common: Vec<String> = Vec::new();
                for Attribute { name, .. } in &left.output {
                    let same = |other: &String| other.eq_ignore_ascii_case(name);
                    if right.output.iter().any(|r| same(&r.name)) && !common.iter().any(same) {
                        common.push(name.clone());
                    }
                }
                if common.is_empty() {
                    return self.join_on(left, right, join.kind, None);
                }
                self.join_using(left, right, join.kind, &common)
            }
        }
    }

    /// In a correlated subquery, the side of a join whose rows may be missing cannot use columns of the query around it
    /// (Spark's `CheckAnalysis.checkCorrelationsInSubquery`).
    fn check_outer_columns_of_sides(&self, left: &Analyzed, right: &Analyzed, kind: JoinKind) -> Result<()> {
        let sides: &[&Analyzed] = match kind {
            JoinKind::Inner | JoinKind::Cross => &[],
            JoinKind::LeftOuter | JoinKind::LeftSemi | JoinKind::LeftAnti => &[right],
            JoinKind::RightOuter => &[left],
            JoinKind::FullOuter => &[left, right],
        };
        let part = "A side of an outer, semi or anti join";
        sides.iter().try_for_each(|side| self.forbid_outer_columns(&side.plan, part))
    }

    /// Refuses a part of a correlated subquery that uses columns of the query around it.
    pub(super) fn forbid_outer_columns(&self, plan: &LogicalPlan, part: &str) -> Result<()> {
        let Some(around) = self.outer.last() else { return Ok(()) };
        let used = crate::unnest::outer_columns(plan).spark()?;
        let Some(a) = around.iter().find(|a| used.contains(&a.df_column())) else { return Ok(()) };
        let class = "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.ACCESSING_OUTER_QUERY_COLUMN_IS_NOT_ALLOWED";
        Err(Error::new(class)
            .param("treeNode", &a.name)
            .message(format!("{part} uses the column {} of the query around it.", a.name)))
    }

    fn join_on(
        &mut self,
        left: Analyzed,
        right: Analyzed,
        kind: JoinKind,
        condition: Option<&Expr>,
    ) -> Result<Analyzed> {
        let both = combined(&left, &right);
        let condition = match condition {
            Some(expr) => {
                let resolved = self.expr(expr, &both)?;
                let resolved = self.condition(resolved, "join")?;
                super::aggregate::forbid_aggregates(&resolved.expr, &resolved.name, "JOIN")?;
                super::window::forbid_uncomputed_windows(&resolved, "JOIN")?;
                if super::subquery::has_correlated_scalar(&resolved.expr)? {
                    let class =
                        "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.UNSUPPORTED_CORRELATED_SCALAR_SUBQUERY";
                    return Err(Error::new(class).param("treeNode", &resolved.name).message(format!(
                        "The condition of a join cannot hold the correlated subquery in {}.",
                        resolved.name
                    )));
                }
                Some(resolved.expr)
            }
            None => None,
        };
        let plan = plan_hinted(&left, &right, kind, condition)?;
        in_order(joined(plan, left, right, kind))
    }

    fn join_using(
        &mut self,
        left: Analyzed,
        right: Analyzed,
        kind: JoinKind,
        columns: &[String],
    ) -> Result<Analyzed> {
        let mut condition: Option<DfExpr> = None;
        let mut keys: Vec<(Attribute, Attribute)> = Vec::new();
        for name in columns {
            let l = named_column(&left, name, "left")?;
            let r = named_column(&right, name, "right")?;
            let equal = self.comparison(Operator::Eq, l.typed(), r.typed())?.expr;
            condition = Some(match condition {
                None => equal,
                Some(all) => Self::both(all, equal),
            });
            keys.push((l, r));
        }
        let plan = plan_hinted(&left, &right, kind, condition)?;
        if matches!(kind, JoinKind::LeftSemi | JoinKind::LeftAnti) {
            return in_order(joined(plan, left, right, kind));
        }
        let (left_keys, right_keys): (Vec<u64>, Vec<u64>) = keys.iter().map(|(l, r)| (l.id, r.id)).unzip();
        let joined = joined(plan, left, right, kind);
        let find = |id: u64| joined.output.iter().find(|a| a.id == id).cloned();
        let mut pairs: Vec<(DfExpr, Attribute)> = Vec::new();
        let mut hidden: Vec<Attribute> = Vec::new();
        for (l, r) in &keys {
            let (Some(l), Some(r)) = (find(l.id), find(r.id)) else {
                return Err(Error::internal("a USING column left the join"));
            };
            match kind {
                // A column that is named twice stands there twice.
                _ if hidden.iter().any(|h| h.id == l.id || h.id == r.id) => {
                    let Some((value, first)) = pairs.iter().find(|(_, a)| a.name == l.name).cloned() else {
                        return Err(Error::internal("a USING column left the join"));
                    };
                    let repeats = Some(first.repeats.unwrap_or(first.id));
                    pairs.push((value, Attribute { repeats, ..self.renewed(&first) }));
                }
                JoinKind::RightOuter => {
                    pairs.push((r.column(), r.clone()));
                    hidden.push(l);
                }
                JoinKind::FullOuter => {
                    let common =
                        self.comparison_type(&l.typed(), &r.typed()).unwrap_or_else(|| l.data_type.clone());
                    let (a, b) = (self.implicit(l.typed(), &common)?, self.implicit(r.typed(), &common)?);
                    let when = (Box::new(DfExpr::IsNotNull(Box::new(a.expr.clone()))), Box::new(a.expr));
                    let merged = DfExpr::Case(Case::new(None, vec![when], Some(Box::new(b.expr))));
                    let attribute = self.attribute(&l.name, common, true);
                    pairs.push((merged, attribute));
                    hidden.push(l);
                    hidden.push(r);
                }
                _ => {
                    pairs.push((l.column(), l.clone()));
                    hidden.push(r);
                }
            }
        }
        let rest = joined.output.iter().filter(|a| !left_keys.contains(&a.id) && !right_keys.contains(&a.id));
        pairs.extend(rest.map(|a| (a.column(), a.clone())));
        hidden.iter_mut().for_each(|key| key.qualified_only = true);
        hidden.extend(joined.hidden.iter().cloned());
        let output = pairs.iter().map(|(_, a)| a.clone()).collect();
        let mut list: Vec<DfExpr> = pairs.iter().map(|(e, a)| super::project::named(e.clone(), a)).collect();
        list.extend(hidden.iter().map(Attribute::column));
        let plan = super::analyzed::project(list, joined.plan.clone())?;
        Ok(Analyzed { plan, output, hidden, below: None, ..joined })
    }

    pub(super) fn lateral_join(
        &mut self,
        left: &Relation,
        right: &Relation,
        kind: JoinKind,
        condition: Option<&Expr>,
    ) -> Result<Analyzed> {
        let left = self.relation(left)?;
        if condition.is_none()
            && let Some((call, alias, columns)) = generator_relation(right, self)?
        {
            let call = super::named_arguments::in_from(call)?;
            return self.generate(left, &call, alias.as_deref(), &columns, kind == JoinKind::LeftOuter);
        }
        if let Some(found) = self.python_relation(right)? {
            if condition.is_some() {
                return Err(Error::unsupported("a condition on a lateral join with a table function"));
            }
            let alias = (found.alias.as_deref(), found.columns.as_slice());
            let outer = kind == JoinKind::LeftOuter;
            return self.python_lateral(left, &found.name, &found.args, &found.function, alias, outer);
        }
        let (analyzed, outer) = self.subquery(right, &left)?;
        self.check_lateral(&left, &analyzed, condition)?;
        if outer.is_empty() {
            return self.join_on(left, analyzed, kind, condition);
        }
        let plan = LogicalPlan::Subquery(Subquery {
            subquery: Arc::new(analyzed.plan.clone()),
            outer_ref_columns: outer,
            spans: Spans::new(),
        });
        let right = Analyzed { plan, below: None, ..analyzed };
        self.join_on(left, right, kind, condition)
    }
}

impl Analyzer {
    /// A lateral subquery is planned for all rows of the left side at once, so that it must give the same each time.
    fn check_lateral(&mut self, left: &Analyzed, right: &Analyzed, condition: Option<&Expr>) -> Result<()> {
        let varies = |plan: &LogicalPlan| {
            let mut found = false;
            plan.apply_with_subqueries(|node| {
                found |= node.expressions().iter().any(DfExpr::is_volatile);
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
            .map(|_| found)
        };
        let is_one_row = super::subquery::gives_one_row(&left.plan) || left.plan.max_rows() == Some(1);
        let (part, why) = if !is_one_row && varies(&right.plan).spark()? {
            ("NON_DETERMINISTIC_LATERAL_SUBQUERIES", "a lateral subquery that gives something else each time")
        } else if let Some(condition) = condition
            && self.expr(condition, &combined(left, right))?.expr.is_volatile()
        {
            ("LATERAL_JOIN_CONDITION_NON_DETERMINISTIC", "a lateral join's condition that varies")
        } else {
            return Ok(());
        };
        Err(Error::new(format!("UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.{part}"))
            .param("treeNode", "LateralJoin")
            .param("condition", "")
            .message(format!("Not supported: {why}.")))
    }
}

/// A Python table function in FROM.
struct PythonRelation {
    name: String,
    args: Vec<Expr>,
    function: Arc<PythonFunction>,
    alias: Option<String>,
    columns: Vec<String>,
}

impl Analyzer {
    /// The relation as a call of a Python table function without tables among its arguments, where it is one.
    fn python_relation(&mut self, relation: &Relation) -> Result<Option<PythonRelation>> {
        use crate::functions::SessionFunction as F;
        let is_table = |e: &Expr| matches!(e, Expr::TableArgument { .. } | Expr::PlanSubquery { .. });
        Ok(match relation.node.as_ref() {
            RelationNode::PythonTableFunction { name, args, function, .. } if !args.iter().any(is_table) => {
                let function = Arc::new(function.clone());
                Some(PythonRelation {
                    name: name.clone(),
                    args: args.clone(),
                    function,
                    alias: None,
                    columns: Vec::new(),
                })
            }
            RelationNode::TableFunction { name, args } if !args.iter().any(is_table) => {
                match self.find_function(name)? {
                    Some(F::Python { function, is_table_function: true, .. }) => Some(PythonRelation {
                        name: name.last().cloned().unwrap_or_default(),
                        args: args.clone(),
                        function,
                        alias: None,
                        columns: Vec::new(),
                    }),
                    _ => None,
                }
            }
            RelationNode::SubqueryAlias { input, alias, columns, .. } => {
                self.python_relation(input)?.map(|found| {
                    let columns = if columns.is_empty() { found.columns } else { columns.clone() };
                    PythonRelation { alias: Some(alias.clone()), columns, ..found }
                })
            }
            _ => None,
        })
    }
}

/// The relation as a generator call, where it is one: `LATERAL explode(x) AS t(c)`.
fn generator_relation(
    relation: &Relation,
    analyzer: &mut Analyzer,
) -> Result<Option<(boathouse_spec::Call, Option<String>, Vec<String>)>> {
    Ok(match relation.node.as_ref() {
        RelationNode::TableFunction { name, args } => {
            let call = boathouse_spec::Call { name: name.clone(), args: args.clone(), ..Default::default() };
            let expr = Expr::Call(Box::new(call.clone()));
            analyzer.is_generator_item(&expr).then_some((call, None, Vec::new()))
        }
        RelationNode::SubqueryAlias { input, alias, columns, .. } => generator_relation(input, analyzer)?
            .map(|(call, _, own)| {
                (call, Some(alias.clone()), if columns.is_empty() { own } else { columns.clone() })
            }),
        _ => None,
    })
}

/// The column that a join by names compares: of several of the name the first.
fn named_column(side: &Analyzed, name: &str, which: &str) -> Result<Attribute> {
    let found = side.output.iter().find(|a| a.name.eq_ignore_ascii_case(name)).cloned();
    found.ok_or_else(|| {
        Error::new("UNRESOLVED_USING_COLUMN_FOR_JOIN")
            .param("colName", quote(name))
            .param("side", which)
            .param("suggestion", super::column::quoted_names(side))
            .message(format!("The {which} side of the join has no column {name}."))
    })
}

/// Both sides' columns, to resolve a condition over.
pub(super) fn combined(left: &Analyzed, right: &Analyzed) -> Analyzed {
    let mut both =
        Analyzed::new(left.plan.clone(), left.output.iter().chain(&right.output).cloned().collect());
    both.hidden = left.hidden.iter().chain(&right.hidden).cloned().collect();
    both.with_plan_ids_of([left, right])
}

/// A join that does what hints of its sides ask for.
fn plan_hinted(
    left: &Analyzed,
    right: &Analyzed,
    kind: JoinKind,
    condition: Option<DfExpr>,
) -> Result<LogicalPlan> {
    // The state of a join of streams has its own way.
    let is_streaming = left.is_streaming || right.is_streaming;
    let side = if is_streaming { join_hint::without_hints } else { join_hint::taken };
    plan_join(&side(left.plan.clone())?, side(right.plan.clone())?, kind, condition)
}

pub(super) fn plan_join(
    left: &LogicalPlan,
    right: LogicalPlan,
    kind: JoinKind,
    condition: Option<DfExpr>,
) -> Result<LogicalPlan> {
    let builder = LogicalPlanBuilder::from(left.clone());
    let kind = match kind {
        JoinKind::Inner | JoinKind::Cross => JoinType::Inner,
        JoinKind::LeftOuter => JoinType::Left,
        JoinKind::RightOuter => JoinType::Right,
        JoinKind::FullOuter => JoinType::Full,
        JoinKind::LeftSemi => JoinType::LeftSemi,
        JoinKind::LeftAnti => JoinType::LeftAnti,
    };
    match condition {
        Some(c) => builder.join_on(right, kind, [c]).spark()?.build().spark(),
        None if kind == JoinType::Inner => builder.cross_join(right).spark()?.build().spark(),
        None => builder.join_on(right, kind, [datafusion::logical_expr::lit(true)]).spark()?.build().spark(),
    }
}

/// The join's columns, nullable where its kind fills them up.
fn joined(plan: LogicalPlan, left: Analyzed, right: Analyzed, kind: JoinKind) -> Analyzed {
    let (left_nullable, right_nullable, right_visible) = match kind {
        JoinKind::Inner | JoinKind::Cross => (false, false, true),
        JoinKind::LeftOuter => (false, true, true),
        JoinKind::RightOuter => (true, false, true),
        JoinKind::FullOuter => (true, true, true),
        JoinKind::LeftSemi | JoinKind::LeftAnti => (false, false, false),
    };
    let fill = |attributes: &[Attribute], nullable: bool| -> Vec<Attribute> {
        attributes.iter().map(|a| if nullable { a.clone().nullable() } else { a.clone() }).collect()
    };
    let mut output = fill(&left.output, left_nullable);
    let mut out = Analyzed::new(plan, Vec::new());
    let mut hidden = fill(&left.hidden, left_nullable);
    out = out.with_plan_ids_of([&left]);
    if right_visible {
        // The plan's columns come side by side: left's output and hidden, right's output and hidden.
        output.extend(fill(&right.output, right_nullable));
        hidden.extend(fill(&right.hidden, right_nullable));
        out = out.with_plan_ids_of([&right]);
    }
    out.output = output;
    out.hidden = hidden;
    for column in out.plan_ids.values_mut().flatten().map(|c| &mut c.attribute) {
        if let Some(a) = out.output.iter().chain(&out.hidden).find(|a| a.id == column.id) {
            column.nullable = a.nullable;
        }
    }
    out
}

/// Output first, then hidden columns: where a side has hidden ones, the join's plan has them in between.
fn in_order(joined: Analyzed) -> Result<Analyzed> {
    if joined.hidden.is_empty() {
        return Ok(joined);
    }
    let plan =
        super::analyzed::project(joined.columns().map(Attribute::column).collect(), joined.plan.clone())?;
    Ok(Analyzed { plan, ..joined })
}
