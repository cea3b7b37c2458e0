//! What a query groups by: expressions, positions and aliases, ROLLUP, CUBE and sets, GROUP BY ALL.

use boathouse_spec::{Aggregate, Error, Expr, GroupingKind, Literal, Result};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr as DfExpr;

use super::Analyzer;
use super::aggregate::has_aggregate;
use super::analyzed::{Analyzed, TypedExpr};
use super::canonical::same;

impl Analyzer {
    /// The items without aggregates (Spark's `ResolveReferencesInAggregate.expandGroupByAll`).
    pub(super) fn group_by_all(&mut self, select: &[Expr], input: &Analyzed) -> Result<Vec<TypedExpr>> {
        let select = self.with_arguments_of_generators(select, input)?;
        let items = self.items(&select, input)?;
        let mut keys: Vec<TypedExpr> = Vec::new();
        let mut has_others = false;
        for value in items.into_iter().map(|item| item.value) {
            if has_aggregate(&value.expr) {
                has_others |= has_column_outside_aggregates(&value.expr);
            } else if !super::window::has_window(&value.expr)
                && !keys.iter().any(|k| same(&k.expr, &value.expr))
            {
                keys.push(value);
            }
        }
        if keys.is_empty() && has_others {
            return Err(Error::new("UNRESOLVED_ALL_IN_GROUP_BY").message(
                "GROUP BY ALL cannot tell the grouping columns of expressions that mix them with aggregates.",
            ));
        }
        Ok(keys)
    }

    /// The list with what its generator takes in the generator's place: it works on the groups.
    fn with_arguments_of_generators(&mut self, select: &[Expr], input: &Analyzed) -> Result<Vec<Expr>> {
        let mut list = Vec::with_capacity(select.len());
        for item in select {
            if !self.is_generator_item(item) {
                list.push(item.clone());
                continue;
            }
            for arg in self.take_generator(item)?.0.args.clone() {
                let arg = match arg {
                    Expr::NamedArgument { value, .. } => *value,
                    other => other,
                };
                let is_constant = |value: TypedExpr| super::expr::is_foldable(&value.expr);
                if !self.expr(&arg, input).is_ok_and(is_constant) {
                    list.push(arg);
                }
            }
        }
        Ok(list)
    }

    pub(super) fn grouping_keys(
        &mut self,
        kind: &GroupingKind,
        grouping: &[Expr],
        select: &[Expr],
        input: &Analyzed,
    ) -> Result<(Vec<TypedExpr>, Option<Vec<Vec<usize>>>)> {
        let mut keys: Vec<TypedExpr> = Vec::new();
        let mut place = |analyzer: &mut Self, expr: &Expr| -> Result<Vec<usize>> {
            let mut places = Vec::new();
            for key in analyzer.grouping_key(expr, select, input)? {
                let at = match keys.iter().position(|k| same(&k.expr, &key.expr)) {
                    Some(at) => at,
                    None => {
                        keys.push(key);
                        keys.len() - 1
                    }
                };
                places.push(at);
            }
            Ok(places)
        };
        let sets = match kind {
            GroupingKind::GroupBy | GroupingKind::All => {
                for e in grouping {
                    place(self, e)?;
                }
                None
            }
            GroupingKind::Rollup | GroupingKind::Cube => {
                let places = grouping.iter().map(|e| place(self, e)).collect::<Result<Vec<_>>>()?;
                Some(if *kind == GroupingKind::Rollup { rollup(&places) } else { cube(&places)? })
            }
            GroupingKind::GroupingSets(sets) => {
                for e in grouping {
                    place(self, e)?;
                }
                Some(
                    sets.iter()
                        .map(|set| {
                            Ok(set.iter().map(|e| place(self, e)).collect::<Result<Vec<_>>>()?.concat())
                        })
                        .collect::<Result<Vec<_>>>()?,
                )
            }
            GroupingKind::Combined(elements) => {
                let mut product: Vec<Vec<usize>> = vec![Vec::new()];
                for sets in elements {
                    let mut next = Vec::new();
                    let placed = sets
                        .iter()
                        .map(|set| {
                            Ok(set.iter().map(|e| place(self, e)).collect::<Result<Vec<_>>>()?.concat())
                        })
                        .collect::<Result<Vec<Vec<usize>>>>()?;
                    for left in &product {
                        for right in &placed {
                            let mut set = left.clone();
                            set.extend(right.iter().filter(|p| !left.contains(p)));
                            next.push(set);
                        }
                    }
                    product = next;
                }
                Some(product)
            }
        };
        Ok((keys, sets))
    }

    /// What an alias of the SELECT list stands for, or else an expression with session variables in sight.
    fn aliased_key(&mut self, expr: &Expr, select: &[Expr], input: &Analyzed) -> Result<Vec<TypedExpr>> {
        let takes_aliases = self.session.conf().group_by_aliases();
        let Some((name, aliased)) = aliased(expr, select).filter(|_| takes_aliases) else {
            let key = self.expr(expr, input)?;
            return Ok(vec![self.named_as_item(expr, key, input)?]);
        };
        let key = self.expr(aliased, input)?;
        if has_aggregate(&key.expr) {
            return Err(Error::new("GROUP_BY_AGGREGATE")
                .param("sqlExpr", &key.name)
                .message(format!("GROUP BY cannot hold the aggregate {}.", key.name)));
        }
        Ok(vec![key.named(name)])
    }

    /// A grouping expression: an ordinal or an alias of the SELECT list, or an expression over the input.
    pub(super) fn grouping_key(
        &mut self,
        expr: &Expr,
        select: &[Expr],
        input: &Analyzed,
    ) -> Result<Vec<TypedExpr>> {
        match expr {
            Expr::Literal(Literal::Integer(n))
                if self.session.conf().group_by_ordinal() && !select.is_empty() =>
            {
                if select.iter().any(|e| matches!(e, Expr::Star(_))) {
                    return Err(Error::new("STAR_GROUP_BY_POS")
                        .message("A star in the SELECT list cannot stand beside a position in GROUP BY."));
                }
                let items = self.items(select, input)?;
                let Some(item) =
                    usize::try_from(*n).ok().and_then(|n| n.checked_sub(1)).and_then(|i| items.get(i))
                else {
                    return Err(Error::new("GROUP_BY_POS_OUT_OF_RANGE")
                        .param("index", n)
                        .param("size", items.len())
                        .message(format!(
                            "GROUP BY position {n} is not among the {} columns of the SELECT list.",
                            items.len()
                        )));
                };
                if has_aggregate(&item.value.expr) {
                    return Err(Error::new("GROUP_BY_POS_AGGREGATE")
                        .param("index", n)
                        .param("aggExpr", &item.value.name)
                        .message(format!("GROUP BY position {n} is the aggregate {}.", item.value.name)));
                }
                Ok(vec![item.value.clone()])
            }
            Expr::Call(call)
                if call.is_operator && super::project::is_call(call, "struct") && call.args.is_empty() =>
            {
                Ok(Vec::new())
            }
            other => match self.without_variables(|analyzer| analyzer.expr(other, input)) {
                Ok(key) => Ok(vec![self.named_as_item(other, key, input)?]),
                Err(e) if e.is("UNRESOLVED_COLUMN") => self.aliased_key(other, select, input),
                Err(e) => Err(e),
            },
        }
    }
}

/// The expression of the SELECT list that a name in GROUP BY is the alias of.
fn aliased<'a>(name: &'a Expr, select: &'a [Expr]) -> Option<(&'a String, &'a Expr)> {
    let Expr::Column(column) = name else { return None };
    let [name] = column.name.as_slice() else { return None };
    select.iter().find_map(|item| match item {
        Expr::Alias { expr, names, .. } if names.len() == 1 && names[0].eq_ignore_ascii_case(name) => {
            Some((name, expr.as_ref()))
        }
        _ => None,
    })
}

/// The clauses of an aggregation whose expressions went through a step together.
pub(super) struct Clauses<'a> {
    pub grouping: &'a [Expr],
    pub kind: GroupingKind,
    pub select: &'a [Expr],
}

impl<'a> Clauses<'a> {
    /// `exprs` has what is grouped by, what stands in grouping sets, and the SELECT list, one after the other.
    pub fn split(aggregate: &Aggregate, exprs: &'a [Expr]) -> Self {
        let (grouping, rest) = exprs.split_at(aggregate.grouping.len());
        let (in_sets, select) = rest.split_at(expressions_of(&aggregate.kind).len());
        Self { grouping, kind: with_expressions(&aggregate.kind, in_sets), select }
    }
}

/// The expressions of grouping sets that are written out, one after the other.
pub(super) fn expressions_of(kind: &GroupingKind) -> Vec<Expr> {
    match kind {
        GroupingKind::GroupingSets(sets) => sets.concat(),
        GroupingKind::Combined(elements) => elements.iter().flatten().flatten().cloned().collect(),
        _ => Vec::new(),
    }
}

/// The same kind with other expressions in the places of [`expressions_of`].
pub(super) fn with_expressions(kind: &GroupingKind, exprs: &[Expr]) -> GroupingKind {
    let mut rest = exprs.iter().cloned();
    let mut sets_like =
        |sets: &[Vec<Expr>]| sets.iter().map(|set| rest.by_ref().take(set.len()).collect()).collect();
    match kind {
        GroupingKind::GroupingSets(sets) => GroupingKind::GroupingSets(sets_like(sets)),
        GroupingKind::Combined(elements) => {
            GroupingKind::Combined(elements.iter().map(|sets| sets_like(sets)).collect())
        }
        other => other.clone(),
    }
}

fn rollup(places: &[Vec<usize>]) -> Vec<Vec<usize>> {
    (0..=places.len()).rev().map(|n| places[..n].concat()).collect()
}

fn cube(places: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
    if places.len() > 12 {
        return Err(Error::new("GROUPING_SIZE_LIMIT_EXCEEDED")
            .param("maxSize", 12)
            .message("CUBE takes at most 12 expressions: it makes a grouping set of every subset."));
    }
    Ok((0..1usize << places.len())
        .rev()
        .map(|mask| {
            let n = places.len();
            places
                .iter()
                .enumerate()
                .filter(|(i, _)| mask >> (n - 1 - i) & 1 == 1)
                .flat_map(|(_, p)| p.clone())
                .collect()
        })
        .collect())
}

/// The relation with the columns that keys are computed of as ones that may be NULL.
pub(super) fn with_nullable(mut input: Analyzed, keys: &[TypedExpr]) -> Analyzed {
    let used: Vec<&str> = keys.iter().flat_map(|k| k.expr.column_refs()).map(|c| c.name.as_str()).collect();
    let by_id = input.plan_ids.values_mut().flatten().map(|column| &mut column.attribute);
    for attribute in input.output.iter_mut().chain(&mut input.hidden).chain(by_id) {
        attribute.nullable |= used.contains(&attribute.internal_name().as_str());
    }
    input
}

fn has_column_outside_aggregates(expr: &DfExpr) -> bool {
    let mut found = false;
    let _ = expr.apply(|e| {
        found |= matches!(e, DfExpr::Column(_));
        Ok(match e {
            DfExpr::AggregateFunction(_) => TreeNodeRecursion::Jump,
            _ => TreeNodeRecursion::Continue,
        })
    });
    found
}
