//! A subquery for all values of its outer columns at once: the distinct values, its *domain*, are joined to its leaves and
//! carried up as further columns.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue, Spans};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{
    AggregateFunction, Alias, Exists, InSubquery, Sort as SortExpr, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::{
    Aggregate, Case, Distinct, Expr, Filter, GroupingSet, Join, JoinType, Limit, LogicalPlan,
    LogicalPlanBuilder, Operator, Sort, Subquery, Union, Window, WindowFrame, WindowFunctionDefinition,
    binary_expr, lit,
};

use super::{columns_of, fresh, outer_columns, project};
use crate::operators::{BARRIER, barrier, join_hint, join_hint_of};

/// Distinct values of outer columns.
#[derive(Clone)]
pub(super) struct Domain {
    plan: LogicalPlan,
    /// The outer columns.
    pub outer: Vec<Column>,
    /// What they are called in the plan that is made.
    pub columns: Vec<Column>,
}

impl Domain {
    /// The domain of some columns of a plan, for a subquery. It cannot use a map as such, only what an outer key picks.
    pub fn of(input: &LogicalPlan, outer: Vec<Column>, subquery: &LogicalPlan) -> Result<Self> {
        for column in whole_maps(subquery)? {
            if outer.contains(&column) {
                return Err(boathouse_bridge::to_datafusion(unsupported_type(&column)));
            }
        }
        let list: Vec<(Expr, Column)> =
            outer.iter().map(|c| (Expr::Column(c.clone()), fresh("outer"))).collect();
        let columns: Vec<Column> = list.iter().map(|(_, c)| c.clone()).collect();
        let list = list.into_iter().map(|(e, c)| e.alias(c.name)).collect();
        let named = project(list, input.clone())?;
        let keys = columns.iter().cloned().map(Expr::Column).collect();
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(named), keys, vec![])?);
        Ok(Self { plan, outer, columns })
    }

    /// The same values under other names.
    fn renamed(&self) -> Result<Self> {
        let columns: Vec<Column> = self.columns.iter().map(|_| fresh("outer")).collect();
        let pairs = self.columns.iter().zip(&columns);
        let list = pairs.map(|(from, to)| Expr::Column(from.clone()).alias(to.name.clone())).collect();
        Ok(Self { plan: project(list, self.plan.clone())?, outer: self.outer.clone(), columns })
    }

    /// The outer column is the domain's column.
    pub fn matches(&self) -> Option<Expr> {
        let pairs = self.outer.iter().zip(&self.columns);
        all(pairs.map(|(o, c)| same(Expr::Column(o.clone()), Expr::Column(c.clone()))))
    }

    fn equals(&self, other: &Self) -> Option<Expr> {
        let pairs = self.columns.iter().zip(&other.columns);
        all(pairs.map(|(a, b)| same(Expr::Column(a.clone()), Expr::Column(b.clone()))))
    }

    fn exprs(&self) -> Vec<Expr> {
        self.columns.iter().cloned().map(Expr::Column).collect()
    }

    /// The expression over the domain's columns instead of the outer ones.
    fn rewritten(&self, expr: Expr) -> Result<Expr> {
        let rewritten = expr.transform(|e| {
            Ok(match e {
                Expr::OuterReferenceColumn(_, c) if self.outer.contains(&c) => {
                    let at = self.outer.iter().position(|o| *o == c).unwrap_or_default();
                    Transformed::yes(Expr::Column(self.columns[at].clone()))
                }
                // Subqueries that were left for DataFusion use columns of their own input only.
                Expr::ScalarSubquery(s) => Transformed::no(Expr::ScalarSubquery(self.kept(s)?)),
                Expr::Exists(e) => {
                    Transformed::no(Expr::Exists(Exists::new(self.kept(e.subquery)?, e.negated)))
                }
                Expr::InSubquery(e) => Transformed::no(Expr::InSubquery(InSubquery::new(
                    e.expr,
                    self.kept(e.subquery)?,
                    e.negated,
                ))),
                other => Transformed::no(other),
            })
        })?;
        Ok(rewritten.data)
    }

    fn kept(&self, subquery: Subquery) -> Result<Subquery> {
        if self.is_used(&subquery.subquery)? {
            return Err(DataFusionError::NotImplemented(
                "a subquery that uses columns from two queries around it".into(),
            ));
        }
        Ok(Subquery { spans: Spans::new(), ..subquery })
    }

    fn is_used(&self, plan: &LogicalPlan) -> Result<bool> {
        Ok(outer_columns(plan)?.iter().any(|c| self.outer.contains(c)))
    }

    fn is_used_by(&self, exprs: &[Expr]) -> bool {
        let uses = |e: &Expr| matches!(e, Expr::OuterReferenceColumn(_, c) if self.outer.contains(c));
        exprs.iter().any(|e| e.exists(|e| Ok(uses(e))).unwrap_or(false))
    }

    /// The plan for each value of the domain, whose columns come last.
    pub fn push(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !self.is_used(&plan)? {
            let columns = columns_of(&plan).into_iter().chain(self.columns.clone());
            let crossed = LogicalPlanBuilder::from(plan).cross_join(self.plan.clone())?.build()?;
            return project(columns.map(Expr::Column).collect(), crossed);
        }
        if let Some(hint) = join_hint_of(&plan)
            && let Some(input) = plan.inputs().into_iter().next()
        {
            return Ok(join_hint(self.push(input.clone())?, hint));
        }
        match plan {
            LogicalPlan::Projection(p) => {
                let input = self.push(Arc::unwrap_or_clone(p.input))?;
                let mut exprs = p.expr.into_iter().map(|e| self.rewritten(e)).collect::<Result<Vec<_>>>()?;
                exprs.extend(self.exprs());
                project(exprs, input)
            }
            LogicalPlan::Filter(f) => {
                let input = self.push(Arc::unwrap_or_clone(f.input))?;
                Ok(LogicalPlan::Filter(Filter::try_new(self.rewritten(f.predicate)?, Arc::new(input))?))
            }
            LogicalPlan::SubqueryAlias(a) => self.push(Arc::unwrap_or_clone(a.input)),
            LogicalPlan::Aggregate(a) => self.aggregate(a),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.push(Arc::unwrap_or_clone(input))?;
                Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
            }
            // The order of a subquery's rows counts only below a limit.
            LogicalPlan::Sort(s) => match s.fetch {
                None => self.push(Arc::unwrap_or_clone(s.input)),
                Some(fetch) => {
                    let limit = (None, Some(lit(fetch as i64)));
                    self.limited(s.expr.clone(), limit, Arc::unwrap_or_clone(s.input))
                }
            },
            LogicalPlan::Limit(l) => self.limit(l),
            LogicalPlan::Union(u) => self.union(u),
            LogicalPlan::Window(w) => self.window(w),
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::Unnest(u) => {
                let input = self.push(Arc::unwrap_or_clone(u.input))?;
                let plan = LogicalPlanBuilder::from(input)
                    .unnest_columns_with_options(u.exec_columns, u.options)?
                    .build()?;
                // The columns it unnests may have come to stand elsewhere.
                let columns = u.schema.columns().into_iter().chain(self.columns.clone());
                project(columns.map(Expr::Column).collect(), plan)
            }
            LogicalPlan::Extension(e) if e.node.name() == BARRIER => {
                let inputs =
                    e.node.inputs().into_iter().cloned().map(|i| self.push(i)).collect::<Result<Vec<_>>>()?;
                Ok(inputs.into_iter().next().map_or_else(|| LogicalPlan::Extension(e), barrier))
            }
            other => Err(DataFusionError::NotImplemented(format!("outer columns in {}", other.display()))),
        }
    }

    fn aggregate(&self, a: Aggregate) -> Result<LogicalPlan> {
        let columns = a.schema.columns();
        let rewrite =
            |exprs: Vec<Expr>| exprs.into_iter().map(|e| self.rewritten(e)).collect::<Result<Vec<_>>>();
        let (keys, aggregates) = (rewrite(a.group_expr)?, rewrite(a.aggr_expr)?);
        let input = Arc::new(self.push(Arc::unwrap_or_clone(a.input))?);
        let is_global = keys.is_empty();
        let keys = match keys.as_slice() {
            [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => {
                let sets = sets.iter().map(|s| s.iter().cloned().chain(self.exprs()).collect()).collect();
                vec![Expr::GroupingSet(GroupingSet::GroupingSets(sets))]
            }
            _ => keys.into_iter().chain(self.exprs()).collect(),
        };
        if !is_global {
            let plan = LogicalPlan::Aggregate(Aggregate::try_new(input, keys, aggregates)?);
            let order = columns.into_iter().chain(self.columns.clone());
            return project(order.map(Expr::Column).collect(), plan);
        }
        // An aggregate without groups has a row where there is no input, too: for each value of the domain.
        let inner = self.renamed()?;
        let defaults = aggregates.iter().map(|e| empty_value(e, &input)).collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(input, keys, aggregates)?);
        let marker = fresh("present");
        let mut list: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
        list.push(lit(true).alias(marker.name.clone()));
        let pairs = self.columns.iter().zip(&inner.columns);
        list.extend(pairs.map(|(from, to)| Expr::Column(from.clone()).alias(to.name.clone())));
        let plan = project(list, plan)?;
        let joined = LogicalPlanBuilder::from(self.plan.clone())
            .join_on(plan, JoinType::Left, self.equals(&inner))?
            .build()?;
        let value = |(c, default): (Column, ScalarValue)| {
            if default.is_null() {
                return Expr::Column(c);
            }
            let present = Expr::IsNotNull(Box::new(Expr::Column(marker.clone())));
            let when = (Box::new(present), Box::new(Expr::Column(c.clone())));
            Expr::Case(Case::new(None, vec![when], Some(Box::new(Expr::Literal(default, None)))))
                .alias(c.name)
        };
        let mut list: Vec<Expr> = columns.into_iter().zip(defaults).map(value).collect();
        list.extend(self.exprs());
        project(list, joined)
    }

    fn limit(&self, l: Limit) -> Result<LogicalPlan> {
        let limit = (l.skip.map(|e| *e), l.fetch.map(|e| *e));
        match Arc::unwrap_or_clone(l.input) {
            LogicalPlan::Sort(Sort { expr, input, fetch: None }) => {
                self.limited(expr, limit, Arc::unwrap_or_clone(input))
            }
            // A projection between the limit and its order.
            LogicalPlan::Projection(p) if matches!(p.input.as_ref(), LogicalPlan::Sort(s) if s.fetch.is_none()) =>
            {
                let limited = LogicalPlan::Limit(Limit {
                    skip: limit.0.map(Box::new),
                    fetch: limit.1.map(Box::new),
                    input: p.input,
                });
                let input = self.push(limited)?;
                let mut exprs = p.expr.into_iter().map(|e| self.rewritten(e)).collect::<Result<Vec<_>>>()?;
                exprs.extend(self.exprs());
                project(exprs, input)
            }
            input => self.limited(Vec::new(), limit, input),
        }
    }

    /// The first rows for each value of the domain.
    fn limited(
        &self,
        order: Vec<SortExpr>,
        (skip, fetch): (Option<Expr>, Option<Expr>),
        input: LogicalPlan,
    ) -> Result<LogicalPlan> {
        let input = self.push(input)?;
        let columns = columns_of(&input);
        let order = order
            .into_iter()
            .map(|s| Ok(SortExpr { expr: self.rewritten(s.expr)?, ..s }))
            .collect::<Result<Vec<_>>>()?;
        let number = fresh("number");
        let function = WindowFunction {
            fun: WindowFunctionDefinition::WindowUDF(
                datafusion::functions_window::row_number::row_number_udwf(),
            ),
            params: WindowFunctionParams {
                args: vec![],
                partition_by: self.exprs(),
                window_frame: WindowFrame::new(Some(!order.is_empty()).filter(|ordered| *ordered)),
                order_by: order,
                filter: None,
                null_treatment: None,
                distinct: false,
            },
        };
        let numbered = Expr::WindowFunction(Box::new(function)).alias(number.name.clone());
        let mut plan = LogicalPlan::Window(Window::try_new(vec![numbered], Arc::new(input))?);
        let long = |e: Expr| datafusion::logical_expr::cast(e, arrow::datatypes::DataType::Int64);
        let at = long(Expr::Column(number));
        let skip = long(skip.unwrap_or_else(|| lit(0i64)));
        let mut condition = at.clone().gt(skip.clone());
        if let Some(fetch) = fetch {
            condition = condition.and(at.lt_eq(binary_expr(skip, Operator::Plus, long(fetch))));
        }
        plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?);
        project(columns.into_iter().map(Expr::Column).collect(), plan)
    }

    fn union(&self, u: Union) -> Result<LogicalPlan> {
        let names: Vec<Column> = u.schema.columns().into_iter().chain(self.columns.clone()).collect();
        let inputs = u
            .inputs
            .into_iter()
            .map(|input| {
                let pushed = self.push(Arc::unwrap_or_clone(input))?;
                let columns = columns_of(&pushed);
                let list = columns.into_iter().zip(&names).map(|(c, n)| match c == *n {
                    true => Expr::Column(c),
                    false => Expr::Column(c).alias(n.name.clone()),
                });
                Ok(Arc::new(project(list.collect(), pushed)?))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(LogicalPlan::Union(Union::try_new(inputs)?))
    }

    fn window(&self, w: Window) -> Result<LogicalPlan> {
        let columns = w.schema.columns();
        let input = self.push(Arc::unwrap_or_clone(w.input))?;
        let exprs = w
            .window_expr
            .into_iter()
            .map(|e| {
                let partitioned = self.rewritten(e)?.transform(|e| {
                    Ok(match e {
                        Expr::WindowFunction(mut f) => {
                            f.params.partition_by.extend(self.exprs());
                            Transformed::yes(Expr::WindowFunction(f))
                        }
                        other => Transformed::no(other),
                    })
                })?;
                Ok(partitioned.data)
            })
            .collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?);
        project(columns.into_iter().chain(self.columns.clone()).map(Expr::Column).collect(), plan)
    }

    fn join(&self, j: Join) -> Result<LogicalPlan> {
        let columns = j.schema.columns();
        let mut conditions: Vec<Expr> = j.on.into_iter().map(|(l, r)| l.eq(r)).collect();
        conditions.extend(j.filter);
        let in_condition = self.is_used_by(&conditions);
        let conditions = conditions.into_iter().map(|e| self.rewritten(e)).collect::<Result<Vec<_>>>()?;
        let (left, right) = (Arc::unwrap_or_clone(j.left), Arc::unwrap_or_clone(j.right));
        let (in_left, in_right) = (self.is_used(&left)?, self.is_used(&right)?);
        let (left_needed, right_needed) = match j.join_type {
            JoinType::Inner => (in_left || (in_condition && !in_right), in_right),
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                (in_left, true)
            }
            JoinType::Full => (true, true),
            _ => (true, in_right),
        };
        // Where both sides have the domain, it is the same value on both.
        let inner = self.renamed()?;
        let (kept, other) = match j.join_type {
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                (&inner, self)
            }
            _ => (self, &inner),
        };
        let mut conditions = conditions;
        let (left_domain, right_domain) = match (left_needed, right_needed) {
            (true, true) => {
                conditions.extend(self.equals(&inner));
                if std::ptr::eq(kept, self) { (Some(self), Some(other)) } else { (Some(&inner), Some(self)) }
            }
            (true, false) => (Some(self), None),
            _ => (None, Some(self)),
        };
        let left = self.side(left, left_domain)?;
        let right = self.side(right, right_domain)?;
        let joined = match conditions.is_empty() && j.join_type == JoinType::Inner {
            true => LogicalPlanBuilder::from(left).cross_join(right)?.build()?,
            false => LogicalPlanBuilder::from(left).join_on(right, j.join_type, conditions)?.build()?,
        };
        let own: Vec<Expr> = match j.join_type {
            JoinType::Full => {
                let pairs = self.columns.iter().zip(&inner.columns);
                pairs.map(|(a, b)| either(a.clone(), b.clone())).collect()
            }
            _ => self.exprs(),
        };
        project(columns.into_iter().map(Expr::Column).chain(own).collect(), joined)
    }

    /// One side of a join, under the names of the given domain.
    fn side(&self, plan: LogicalPlan, domain: Option<&Self>) -> Result<LogicalPlan> {
        let Some(domain) = domain else { return Ok(plan) };
        let columns = columns_of(&plan);
        let pushed = self.push(plan)?;
        let pairs = self.columns.iter().zip(&domain.columns);
        let own = pairs.map(|(from, to)| match from == to {
            true => Expr::Column(from.clone()),
            false => Expr::Column(from.clone()).alias(to.name.clone()),
        });
        project(columns.into_iter().map(Expr::Column).chain(own).collect(), pushed)
    }
}

/// The outer maps that a subquery uses otherwise than by `map[key]` with keys of the query around it.
fn whole_maps(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|e| {
                Ok(match e {
                    Expr::ScalarFunction(f)
                        if f.func.name() == "getmapvalue" && e.column_refs().is_empty() =>
                    {
                        TreeNodeRecursion::Jump
                    }
                    Expr::OuterReferenceColumn(field, column) => {
                        if matches!(field.data_type(), arrow::datatypes::DataType::Map(..)) {
                            found.push(column.clone());
                        }
                        TreeNodeRecursion::Continue
                    }
                    _ => TreeNodeRecursion::Continue,
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn unsupported_type(column: &Column) -> boathouse_spec::Error {
    let name = column.name.rsplit_once('#').map_or(column.name.as_str(), |(n, _)| n);
    boathouse_spec::Error::new(
        "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.UNSUPPORTED_CORRELATED_REFERENCE_DATA_TYPE",
    )
    .param("expr", name)
    .param("dataType", "\"MAP\"")
    .message(format!("A subquery cannot use the map {name} of the query around it."))
}

/// The first that is not NULL, under the first's name.
fn either(a: Column, b: Column) -> Expr {
    let present = Expr::IsNotNull(Box::new(Expr::Column(a.clone())));
    let when = (Box::new(present), Box::new(Expr::Column(a.clone())));
    Expr::Case(Case::new(None, vec![when], Some(Box::new(Expr::Column(b))))).alias(a.name)
}

fn same(a: Expr, b: Expr) -> Expr {
    binary_expr(a, Operator::IsNotDistinctFrom, b)
}

fn all(conditions: impl Iterator<Item = Expr>) -> Option<Expr> {
    conditions.reduce(Expr::and)
}

/// What an aggregate gives for no rows.
pub(super) fn empty_value(expr: &Expr, input: &LogicalPlan) -> Result<ScalarValue> {
    use datafusion::logical_expr::ExprSchemable;
    match expr {
        Expr::Alias(Alias { expr, .. }) => empty_value(expr, input),
        Expr::AggregateFunction(AggregateFunction { func, .. }) => {
            func.default_value(&expr.get_type(input.schema())?)
        }
        _ => Ok(ScalarValue::Null),
    }
}
