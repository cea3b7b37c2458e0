//! GROUP BY: grouping expressions, aggregates, grouping sets, and what ORDER BY and HAVING may add to them.

use boathouse_bridge::ResultExt;
use boathouse_spec::{Aggregate, DataType, Error, Expr, GroupingKind, Relation, Result};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr as DfExpr, lit};

use super::Analyzer;
use super::aggregation::{Aggregation, GroupingKey, is_left_out};
use super::analyzed::{Analyzed, Attribute, Below, TypedExpr};
use super::canonical::same;
use super::grouping::with_nullable;
use super::project::Item;
use crate::relation_walk::has_subquery;

impl Analyzer {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Analyzed> {
        let input = self.relation(&aggregate.input)?;
        self.aggregate_analyzed(input, aggregate)
    }

    pub(super) fn aggregate_analyzed(&mut self, input: Analyzed, aggregate: &Aggregate) -> Result<Analyzed> {
        self.knowing_subqueries(|analyzer| analyzer.aggregate_clauses(input, aggregate))
    }

    fn aggregate_clauses(&mut self, input: Analyzed, aggregate: &Aggregate) -> Result<Analyzed> {
        let select = super::project::parsed(&aggregate.aggregates)?;
        let mut grouping = super::project::parsed(&aggregate.grouping)?;
        // A number that was text is no position.
        for (parsed, given) in grouping.iter_mut().zip(&aggregate.grouping) {
            if matches!(parsed, Expr::Literal(_)) {
                parsed.clone_from(given);
            }
        }
        let in_sets = super::project::parsed(&super::grouping::expressions_of(&aggregate.kind))?;
        let all: Vec<Expr> = grouping.into_iter().chain(in_sets).chain(select).collect();
        let windowed = self.with_time_windows(input, &all, Some(aggregate))?;
        let input = windowed.input.with_sort_columns();
        let super::grouping::Clauses { grouping, kind, select } =
            super::grouping::Clauses::split(aggregate, &windowed.exprs);
        // The list that positions count: that of a DataFrame begins with what it is grouped by.
        let list = match aggregate.grouping_first {
            true => [grouping, select].concat(),
            false => select.to_vec(),
        };
        let list = list.as_slice();
        let (keys, sets) = match &kind {
            GroupingKind::All => (self.group_by_all(select, &input)?, None),
            kind => self.grouping_keys(kind, grouping, list, &input)?,
        };
        // What is computed of a key that a set leaves out is NULL: functions have to know.
        let (input, keys) = match &sets {
            Some(sets) => {
                let left_out = keys.iter().enumerate().filter(|(i, _)| is_left_out(sets, *i));
                let left_out: Vec<TypedExpr> = left_out.map(|(_, key)| key.clone()).collect();
                let input = with_nullable(input, &left_out);
                self.forget_subqueries();
                let keys = self.grouping_keys(&kind, grouping, list, &input)?.0;
                (input, keys)
            }
            None => (input, keys),
        };
        let mut shown: Vec<DfExpr> = keys.iter().map(|key| key.expr.clone()).collect();
        let in_sets = matches!(kind, GroupingKind::GroupingSets(_));
        if aggregate.grouping_first && (in_sets || (sets.is_none() && shown.len() < grouping.len())) {
            // A key that stands twice is shown twice, and one that stands in grouping sets only is not shown.
            shown.clear();
            for e in grouping {
                shown.extend(self.grouping_key(e, list, &input)?.into_iter().map(|key| key.expr));
            }
        }
        let mut aggregation = self.aggregation(input.clone(), keys, sets)?;
        if let Some(set) = windowed.set {
            aggregation.take_one_set_of_each_row(self, set);
        }
        if select.iter().any(|e| self.is_generator_item(e)) {
            let keys = if aggregate.grouping_first { grouping } else { &[] };
            let list: Vec<Expr> = keys.iter().chain(select).cloned().collect();
            return self.generate_over_aggregate(aggregation, &list);
        }
        let mut items: Vec<Item> = Vec::new();
        if aggregate.grouping_first {
            let named = grouping.len() == shown.len();
            for (i, key) in shown.iter().enumerate() {
                let Some((_, a)) = aggregation.grouping.iter().find(|(e, _)| same(e, key)) else { continue };
                items.push(match grouping.get(i).filter(|_| named) {
                    // A column that is grouped by under another name.
                    Some(Expr::Alias { names, .. }) if names.len() == 1 && names[0] != a.name => Item {
                        metadata: Some(a.metadata.clone()),
                        ..Item::new(a.typed().named(names[0].clone()))
                    },
                    // A position is grouped by, and shown as the number that it is.
                    Some(number @ Expr::Literal(_)) if !matches!(key, DfExpr::Literal(..)) => {
                        Item::new(self.expr(number, &input)?)
                    }
                    // A column that is written in another case than its own.
                    Some(Expr::Column(column)) if is_in_other_case(&column.name, &a.name) => Item {
                        metadata: Some(a.metadata.clone()),
                        written: Some(a.id),
                        ..Item::new(a.typed().named(column.name.last().cloned().unwrap_or_default()))
                    },
                    _ => Item::passing(a.clone()),
                });
            }
        }
        let grouping_functions = self.with_grouping(&aggregation);
        let resolved = self.items(select, &input);
        self.restore_grouping(grouping_functions);
        let before = items.len();
        items.extend(resolved?.into_iter().map(|i| Item { repeats: i.repeats.map(|r| r + before), ..i }));
        let mut written = Vec::new();
        for item in items {
            let value = if item
                .passthrough
                .as_ref()
                .is_some_and(|p| aggregation.grouping.iter().any(|(_, a)| a.id == p.id))
            {
                item.value.expr.clone()
            } else {
                let value = aggregation.rewrite(self, item.value.expr.clone(), &item.value.name)?;
                check_scalar_subqueries(&value, &item.value.name)?;
                value
            };
            let key = match &value {
                DfExpr::Column(c) => aggregation
                    .grouping
                    .iter()
                    .map(|(_, a)| a)
                    .find(|a| a.internal_name() == c.name && a.name == item.value.name)
                    .cloned(),
                _ => None,
            };
            let item = Item { passthrough: key, ..item };
            let attribute = self.item_attribute(&item, &aggregation.select);
            written.extend(item.written.map(|id| (id, attribute.clone())));
            aggregation.select.push((value, attribute));
        }
        Ok(aggregation.build(self)?.still_of_frames(&written))
    }

    /// `SELECT explode(collect_list(a)) FROM t`: a generator over the one group of all rows, if the list aggregates.
    pub(super) fn generate_over_global_aggregate(
        &mut self,
        input: &Analyzed,
        select: &[Expr],
    ) -> Result<Option<Analyzed>> {
        let mut aggregates = false;
        for expr in select {
            let parts = match self.is_generator_item(expr) {
                true => self.take_generator(expr)?.0.args.clone(),
                false => vec![expr.clone()],
            };
            // What cannot be resolved alone, as stars and aliases of the list, aggregates nothing.
            aggregates |= parts.iter().any(|e| self.expr(e, input).is_ok_and(|v| has_aggregate(&v.expr)));
        }
        if !aggregates {
            return Ok(None);
        }
        let aggregation = self.aggregation(input.clone(), Vec::new(), None)?;
        self.generate_over_aggregate(aggregation, select).map(Some)
    }

    /// `SELECT sum(a) FROM t`: one group of all rows.
    pub(super) fn global_aggregate(&mut self, input: Analyzed, items: Vec<Item>) -> Result<Analyzed> {
        let mut aggregation = self.aggregation(input, Vec::new(), None)?;
        for item in items {
            let value = aggregation.rewrite(self, item.value.expr.clone(), &item.value.name)?;
            check_scalar_subqueries(&value, &item.value.name)?;
            let attribute = self.item_attribute(&Item { passthrough: None, ..item }, &aggregation.select);
            aggregation.select.push((value, attribute));
        }
        aggregation.build(self)
    }

    /// The different rows, by what groups are told apart by.
    pub(super) fn distinct_rows(&mut self, input: Analyzed) -> Result<Analyzed> {
        if input.is_streaming {
            let keys = input.output.clone();
            return Ok(super::set_operation::deduplicated_stream(input, &keys, false));
        }
        if !input.output.iter().any(|a| boathouse_functions::needs_grouping_key(&a.data_type)) {
            let plan = self.distinct_plan(input.plan.clone())?;
            return Ok(input.with_plan(plan));
        }
        self.grouped_rows(input)
    }

    /// The different rows, as groups.
    pub(super) fn grouped_rows(&mut self, input: Analyzed) -> Result<Analyzed> {
        let keys = input.output.iter().map(Attribute::typed).collect();
        let mut aggregation = self.aggregation(input, keys, None)?;
        aggregation.select = aggregation.grouping.iter().map(|(_, a)| (a.column(), a.clone())).collect();
        Ok(Analyzed { below: None, ..aggregation.build(self)? })
    }

    /// The different rows of all columns but the last, with the sums of that one which are above 0; the column of the sums.
    pub(super) fn rows_with_sums(&mut self, input: Analyzed) -> Result<(Analyzed, Attribute)> {
        let mut columns = input.output.clone();
        let counted = columns.pop().ok_or_else(|| Error::internal("rows without a count"))?;
        let keys = columns.iter().map(Attribute::typed).collect();
        let call = self.aggregate_of("sum", &counted)?;
        let mut aggregation = self.aggregation(input, keys, None)?;
        let sum = self.attribute("sum", DataType::Long, true);
        aggregation.aggregates.push((call, sum.clone()));
        aggregation.having.push(sum.column().gt(lit(0_i64)));
        let shown = aggregation.grouping.iter().map(|(_, a)| a).chain([&sum]);
        aggregation.select = shown.map(|a| (a.column(), a.clone())).collect();
        Ok((aggregation.build(self)?, sum))
    }

    fn aggregation(
        &mut self,
        input: Analyzed,
        keys: Vec<TypedExpr>,
        sets: Option<Vec<Vec<usize>>>,
    ) -> Result<Aggregation> {
        let mut grouping = Vec::with_capacity(keys.len());
        let mut grouping_keys = Vec::with_capacity(keys.len());
        let mut names = Vec::new();
        let mut refused = None;
        for key in keys {
            if has_aggregate(&key.expr) {
                return Err(Error::new("GROUP_BY_AGGREGATE")
                    .param("sqlExpr", &key.name)
                    .message(format!("GROUP BY cannot hold the aggregate {}.", key.name)));
            }
            refused = refused.or(super::window::forbid_uncomputed_windows(&key, "GROUP BY").err());
            if !super::relation::can_group_by(&key.data_type) {
                return Err(Error::new("GROUP_EXPRESSION_TYPE_IS_NOT_ORDERABLE")
                    .param("sqlExpr", format!("\"{}\"", key.name))
                    .param("dataType", super::error::quoted(&key.data_type))
                    .message(format!(
                        "Rows cannot be grouped by {} of the type {}.",
                        key.name,
                        key.data_type.sql()
                    )));
            }
            names.push(key.name.clone());
            let may_be_absent = sets.as_ref().is_some_and(|sets| is_left_out(sets, grouping.len()));
            // A grouping column keeps its identity, so that names and DataFrame columns still reach it.
            let kept = match &key.expr {
                DfExpr::Column(c) => {
                    input.columns().find(|a| a.internal_name() == c.name).map(Attribute::by_any_name)
                }
                _ => None,
            };
            let attribute = match (kept, &sets) {
                (Some(a), None) => a,
                // Under grouping sets the column may be NULL where the input's is not: another column.
                (Some(a), Some(_)) => {
                    let mut new = self.renewed(&a);
                    new.nullable |= may_be_absent;
                    new
                }
                (None, _) => self.attribute(&key.name, key.data_type.clone(), key.nullable || may_be_absent),
            };
            let key_of = self.grouping_key_of(&key, &attribute)?;
            let attribute = match (&key_of, attribute.column() == key.expr) {
                // Another value than the input's column.
                (Some(_), true) => self.renewed(&attribute),
                _ => attribute,
            };
            grouping_keys.push(key_of);
            grouping.push((key.expr, attribute));
        }
        let grouping_id = sets.is_some().then(|| self.attribute("grouping_id", DataType::Long, false));
        Ok(Aggregation {
            input,
            grouping,
            keys: grouping_keys,
            sets,
            set: None,
            grouping_id,
            aggregates: Vec::new(),
            having: Vec::new(),
            select: Vec::new(),
            extra: Vec::new(),
            names,
            refused,
        })
    }

    /// What groups are told apart by, where it is not the value itself: `-0.0` is `0.0` to them, every NaN is one, strings
    /// are as their collation says, and the entries of a map have no order.
    fn grouping_key_of(&mut self, value: &TypedExpr, attribute: &Attribute) -> Result<Option<GroupingKey>> {
        if !boathouse_functions::needs_grouping_key(&value.data_type) {
            return Ok(None);
        }
        let key = self.builtin("grouping_key", vec![value.clone()])?;
        let first = match key.data_type == value.data_type {
            true => None,
            false => Some(self.aggregate_of("first", attribute)?),
        };
        let column = self.attribute("grouping_key", key.data_type, true);
        Ok(Some(GroupingKey { column, key: key.expr, value: first }))
    }

    /// An aggregate of a column: `first(column)`
    fn aggregate_of(&mut self, name: &str, attribute: &Attribute) -> Result<DfExpr> {
        let call =
            boathouse_spec::Call { name: vec![name.into()], args: vec![Expr::star()], ..Default::default() };
        let over = Analyzed { output: vec![attribute.clone()], ..Analyzed::one_row()? };
        for entry in boathouse_functions::registry().get(name) {
            if let boathouse_functions::Entry::Aggregate(resolve) = entry {
                return Ok(self.aggregate_call(name, *resolve, &call, &over)?.expr);
            }
        }
        Err(Error::internal(format!("there is no aggregate {name}")))
    }

    pub(super) fn having(&mut self, input: &Relation, condition: &Expr) -> Result<Analyzed> {
        let around = std::mem::replace(&mut self.subquery_in_having, has_subquery(condition));
        let input = self.relation(input);
        self.subquery_in_having = around;
        let input = input?;
        if !matches!(input.below.as_deref(), Some(Below::Aggregate(_))) {
            return self.filter_analyzed(input, condition);
        }
        let Some(Below::Aggregate(mut aggregation)) = input.below.as_deref().cloned() else {
            return Err(Error::internal("HAVING without an aggregation"));
        };
        // A grouping column comes before an alias of the same name.
        let mut sight = input.clone();
        let grouped =
            |name: &str| aggregation.grouping.iter().any(|(_, a)| a.name.eq_ignore_ascii_case(name));
        sight.output.retain(|o| !grouped(&o.name) || aggregation.grouping.iter().any(|(_, a)| a.id == o.id));
        // Window functions are computed above HAVING.
        let of_window = |o: &Attribute| {
            aggregation.select.iter().any(|(e, a)| a.id == o.id && super::window::has_window(e))
        };
        sight.output.retain(|o| !of_window(o));
        let (resolved, outer) = self
            .with_outer_aggregates(|analyzer| analyzer.over_aggregation(condition, &sight, &aggregation))?;
        aggregation.aggregates.extend(outer);
        let resolved = self.condition(resolved, "having")?;
        super::window::forbid_windows(&resolved.expr, &resolved.name, "HAVING")?;
        let inlined = inline(resolved.expr, &aggregation.select)?;
        let rewritten = aggregation
            .rewrite(self, inlined, &resolved.name)
            .map_err(|e| unresolved_in_clause(e, &input))?;
        aggregation.having.push(rewritten);
        let built = aggregation.build(self)?;
        Ok(Analyzed { plan_ids: input.plan_ids, ..built })
    }

    /// An expression over an aggregation's output or, where names are missing there, over its input.
    fn over_aggregation(
        &mut self,
        expr: &Expr,
        output: &Analyzed,
        aggregation: &Aggregation,
    ) -> Result<TypedExpr> {
        let mut merged = output.clone();
        merged.hidden.extend(aggregation.grouping.iter().map(|(_, a)| a.clone()));
        // Under grouping sets a grouping column stands for the column of the input that it comes from.
        let stands_for =
            |c: &Attribute| aggregation.grouping.iter().any(|(e, a)| a.id != c.id && *e == c.column());
        merged.hidden.extend(aggregation.input.columns().filter(|c| !stands_for(c)).cloned());
        merged.hidden.retain(|h| !output.output.iter().any(|o| o.id == h.id));
        dedup(&mut merged.hidden);
        let saved = self.with_grouping(aggregation);
        let resolved = self.expr(expr, &merged);
        self.restore_grouping(saved);
        resolved
    }

    /// ORDER BY over an aggregation: aggregates and grouping columns that the SELECT list lacks become hidden output.
    pub(super) fn exprs_over_aggregation(
        &mut self,
        exprs: &[Expr],
        output: &Analyzed,
        mut aggregation: Aggregation,
        clause: &str,
    ) -> Result<(Vec<TypedExpr>, Analyzed)> {
        if clause == "ORDER BY" && aggregation.select.iter().any(|(e, _)| super::window::has_window(e)) {
            return self.exprs_over_windows(exprs, output, aggregation);
        }
        let mut out = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let resolved = self.over_aggregation(expr, output, &aggregation)?;
            let inlined = inline(resolved.expr.clone(), &aggregation.select)?;
            let rewritten = aggregation
                .rewrite(self, inlined, &resolved.name)
                .map_err(|e| unresolved_in_clause(e, output))?;
            let found = aggregation
                .select
                .iter()
                .chain(&aggregation.extra)
                .find(|(e, _)| *e == rewritten)
                .map(|(_, a)| a.clone());
            let attribute = match found {
                Some(a) => a,
                None => {
                    let a = self.attribute(&resolved.name, resolved.data_type.clone(), resolved.nullable);
                    aggregation.extra.push((rewritten, a.clone()));
                    a
                }
            };
            out.push(attribute.typed().named(resolved.name));
        }
        let built = aggregation.build(self)?;
        Ok((out, Analyzed { plan_ids: output.plan_ids.clone(), ..built }))
    }

    /// ORDER BY over an aggregation whose list has window functions, which are computed in between: it sees the list and the
    /// columns that are grouped by; nothing is aggregated any more.
    fn exprs_over_windows(
        &mut self,
        exprs: &[Expr],
        output: &Analyzed,
        mut aggregation: Aggregation,
    ) -> Result<(Vec<TypedExpr>, Analyzed)> {
        let columns = aggregation.grouping.iter().filter(|(key, _)| matches!(key, DfExpr::Column(_)));
        let keys = columns.map(|(_, a)| a).filter(|a| !output.output.iter().any(|o| o.id == a.id));
        let keys: Vec<Attribute> = keys.cloned().collect();
        let sight = Analyzed { hidden: keys.clone(), ..output.clone() };
        let saved = self.with_grouping(&aggregation);
        let resolved = exprs.iter().map(|expr| self.expr(expr, &sight)).collect::<Result<Vec<_>>>();
        self.restore_grouping(saved);
        let resolved = resolved?;
        for value in &resolved {
            forbid_aggregates(&value.expr, &value.name, "ORDER BY over window functions")?;
        }
        let id = aggregation.grouping_id.clone();
        aggregation.extra.extend(keys.into_iter().chain(id).map(|a| (a.column(), a)));
        let built = aggregation.build(self)?;
        Ok((resolved, Analyzed { plan_ids: output.plan_ids.clone(), ..built }))
    }

    fn with_grouping(&mut self, aggregation: &Aggregation) -> Option<super::call::GroupingScope> {
        let scope = aggregation.grouping_id.as_ref().map(|id| super::call::GroupingScope {
            id: id.clone(),
            keys: aggregation.grouping.iter().map(|(e, _)| e.clone()).collect(),
            columns: aggregation.grouping.iter().map(|(_, a)| a.column()).collect(),
            left_out: aggregation.left_out(),
        });
        self.grouping_scope(scope)
    }

    fn restore_grouping(&mut self, saved: Option<super::call::GroupingScope>) {
        self.grouping_scope(saved);
    }

    /// The generator works on the aggregate's rows: aggregate first, generate over that.
    fn generate_over_aggregate(&mut self, aggregation: Aggregation, select: &[Expr]) -> Result<Analyzed> {
        let generators: Vec<&Expr> = select.iter().filter(|e| self.is_generator_item(e)).collect();
        if generators.len() > 1 {
            return Err(Error::new("UNSUPPORTED_GENERATOR.MULTI_GENERATOR")
                .param("num", generators.len())
                .message(format!("A list that aggregates takes one generator, not {}.", generators.len())));
        }
        let grouping_functions = self.with_grouping(&aggregation);
        let built = self.aggregate_for_generator(aggregation, select);
        self.restore_grouping(grouping_functions);
        let (built, list) = built?;
        self.project_with_generator(built, &list)
    }

    /// The aggregation with what a list has besides its generator and what the generator takes, and the list over that.
    fn aggregate_for_generator(
        &mut self,
        mut aggregation: Aggregation,
        select: &[Expr],
    ) -> Result<(Analyzed, Vec<Expr>)> {
        let mut outer_list: Vec<Expr> = Vec::new();
        let mut inner = Vec::new();
        let input = aggregation.input.clone();
        for (i, expr) in select.iter().enumerate() {
            let hidden = format!("_aggregated_{i}");
            if self.is_generator_item(expr) {
                let (call, rewrap) = self.take_generator(expr)?;
                let mut call = call.clone();
                // Numbers of columns and the like stay constants.
                let values = call.args.iter_mut().filter(|arg| !matches!(arg, Expr::Literal(_)));
                for (j, arg) in values.enumerate() {
                    let name = format!("{hidden}_{j}");
                    inner.push((arg.clone(), name.clone()));
                    *arg = Expr::column([name]);
                }
                outer_list.push(rewrap(Expr::Call(Box::new(call))));
            } else {
                let name = match expr {
                    Expr::Alias { names, .. } if names.len() == 1 => names[0].clone(),
                    other => self.expr(other, &input)?.name,
                };
                inner.push((expr.clone(), hidden.clone()));
                outer_list.push(Expr::column([hidden]).alias(name));
            }
        }
        for (expr, name) in inner {
            let expr = match expr {
                Expr::Alias { expr, .. } => *expr,
                other => other,
            };
            let value = self.expr(&expr, &input)?;
            let rewritten = aggregation.rewrite(self, value.expr, &value.name)?;
            let attribute = self.attribute(name, value.data_type, value.nullable);
            aggregation.select.push((rewritten, attribute));
        }
        Ok((aggregation.build(self)?, outer_list))
    }
}

/// Whether the last part of a name is that of the column, its case apart.
fn is_in_other_case(written: &[String], name: &str) -> bool {
    written.last().is_some_and(|last| last != name && super::column::same_name(last, name, false))
}

/// Beside aggregates a correlated scalar subquery must be what is grouped by.
fn check_scalar_subqueries(value: &DfExpr, name: &str) -> Result<()> {
    if !super::subquery::has_correlated_scalar(value)? {
        return Ok(());
    }
    Err(Error::new("SCALAR_SUBQUERY_IS_IN_GROUP_BY_OR_AGGREGATE_FUNCTION")
        .param("sqlExpr", format!("\"{name}\""))
        .message(format!(
            "The correlated subquery in {name} is neither grouped by nor inside an aggregate function; group by it, or wrap it in first()."
        )))
}

/// HAVING and ORDER BY cannot name what is neither grouped nor aggregated.
fn unresolved_in_clause(error: Error, output: &Analyzed) -> Error {
    if !error.is("MISSING_GROUP_BY") && !error.is("MISSING_AGGREGATION") {
        return error;
    }
    let name = error.parameters().iter().find(|(k, _)| *k == "column").map(|(_, v)| v.to_string());
    match name {
        Some(name) => super::error::unresolved_column(&[name], &super::column::candidates_by_name(output)),
        None => error,
    }
}

fn dedup(attributes: &mut Vec<Attribute>) {
    let mut seen = std::collections::HashSet::new();
    attributes.retain(|a| seen.insert(a.id));
}

/// Replaces columns of the output by what they stand for.
fn inline(expr: DfExpr, select: &[(DfExpr, Attribute)]) -> Result<DfExpr> {
    let replaced = expr
        .transform_down(|e| {
            if let DfExpr::Column(c) = &e
                && let Some((value, _)) = select.iter().find(|(_, a)| a.internal_name() == c.name)
            {
                return Ok(Transformed::new(value.clone(), true, TreeNodeRecursion::Jump));
            }
            Ok(Transformed::no(e))
        })
        .spark()?;
    Ok(replaced.data)
}

/// Whether an aggregate function (not over a window) is in the expression.
pub(crate) fn has_aggregate(expr: &DfExpr) -> bool {
    expr.exists(|e| Ok(matches!(e, DfExpr::AggregateFunction(_)))).unwrap_or(false)
}

pub(crate) fn forbid_aggregates(expr: &DfExpr, name: &str, clause: &str) -> Result<()> {
    if !has_aggregate(expr) {
        return Ok(());
    }
    if clause == "WHERE" {
        return Err(Error::new("INVALID_WHERE_CONDITION")
            .param("condition", format!("\"{name}\""))
            .param("expressionList", name)
            .message(format!("WHERE cannot hold the aggregate functions of {name}; use HAVING.")));
    }
    Err(Error::new("UNSUPPORTED_EXPR_FOR_OPERATOR")
        .param("invalidExprSqls", format!("\"{name}\""))
        .message(format!("{clause} cannot hold the aggregate functions of {name}.")))
}
