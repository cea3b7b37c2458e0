//! SELECT lists: stars, aliases, aggregates without GROUP BY, windows, generators, lateral column aliases.

use boathouse_bridge::ResultExt;
use boathouse_spec::{Call, Error, Expr, Relation, Result, WithColumn};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlanBuilder};
use std::sync::Arc;

use super::analyzed::{Analyzed, Attribute, Below, TypedExpr, project};
use super::session_function::VARIABLE;
use super::shared_aliases::{self, SharedAlias};
use super::time_window::Windowed;
use super::{Analyzer, source_metadata};

/// One item of a SELECT list, resolved.
pub(super) struct Item {
    pub value: TypedExpr,
    pub metadata: Option<String>,
    /// The item is a bare column and keeps its identity.
    pub passthrough: Option<Attribute>,
    /// The identity of the column that the item is, written in another case than the column's.
    pub written: Option<u64>,
    /// The place of the item whose alias this one names, and is.
    pub repeats: Option<usize>,
}

impl Item {
    pub(super) fn new(value: TypedExpr) -> Self {
        Self { value, metadata: None, passthrough: None, written: None, repeats: None }
    }

    pub(super) fn passing(column: Attribute) -> Self {
        Self { passthrough: Some(column.clone()), ..Self::new(column.typed()) }
    }
}

impl Analyzer {
    pub(super) fn project(&mut self, input: &Relation, exprs: &[Expr]) -> Result<Analyzed> {
        let input = self.relation(input)?;
        self.project_analyzed(input, exprs)
    }

    pub(super) fn project_analyzed(&mut self, input: Analyzed, exprs: &[Expr]) -> Result<Analyzed> {
        let exprs = &parsed(exprs)?;
        let Windowed { input, exprs, .. } = self.with_time_windows(input, exprs, None)?;
        let input = self.numbered_input(input, &exprs).with_sort_columns();
        let exprs = &exprs;
        if exprs.iter().any(|e| self.is_generator_item(e)) {
            return match self.generate_over_global_aggregate(&input, exprs)? {
                Some(generated) => Ok(generated),
                None => self.project_with_generator(input, exprs),
            };
        }
        self.project_or_aggregate(input, exprs, |items| items)
    }

    /// The projection of a list, or, where an item aggregates, of the one group of all rows. `placed` puts the resolved items
    /// among others.
    fn project_or_aggregate(
        &mut self,
        input: Analyzed,
        exprs: &[Expr],
        placed: impl FnOnce(Vec<Item>) -> Vec<Item>,
    ) -> Result<Analyzed> {
        let (mut items, shared) = self.items_and_shared(exprs, &input)?;
        let mut values = items.iter().map(|i| &i.value.expr).chain(shared.iter().map(|s| &s.value));
        if values.any(super::aggregate::has_aggregate) {
            shared_aliases::unshare(&mut items, shared)?;
            return self.global_aggregate(input, placed(items));
        }
        let input = self.with_shared(input, shared)?;
        self.project_items(input, placed(items))
    }

    /// Rows are numbered from the first to the last in one partition.
    fn numbered_input(&mut self, input: Analyzed, exprs: &[Expr]) -> Analyzed {
        fn numbers(expr: &Expr) -> bool {
            match expr {
                Expr::Call(call) => is_call(call, "distributed_sequence_id") || call.args.iter().any(numbers),
                Expr::Alias { expr, .. } | Expr::Cast { expr, .. } => numbers(expr),
                _ => false,
            }
        }
        if !exprs.iter().any(numbers) {
            return input;
        }
        let plan = crate::operators::shuffle(input.plan.clone(), crate::operators::Scheme::Neighbours, 1);
        Analyzed { plan, below: None, ..input }
    }

    /// Resolves the items of a SELECT list. An item may use the aliases of earlier ones where no column has the name.
    pub(super) fn items(&mut self, exprs: &[Expr], input: &Analyzed) -> Result<Vec<Item>> {
        let (mut items, shared) = self.items_and_shared(exprs, input)?;
        shared_aliases::unshare(&mut items, shared)?;
        Ok(items)
    }

    /// The items, and the values of theirs that are to be computed once, below the list.
    fn items_and_shared(
        &mut self,
        exprs: &[Expr],
        input: &Analyzed,
    ) -> Result<(Vec<Item>, Vec<SharedAlias>)> {
        self.items_in_order(exprs, input).map_err(|e| match exprs {
            [_, .., last] if e.is("UNRESOLVED_COLUMN") && is_from(last) => {
                Error::new("TRAILING_COMMA_IN_SELECT")
                    .message("There is a comma before FROM: the last item of the SELECT list is missing.")
                    .at(last.origin())
            }
            _ => e,
        })
    }

    fn items_in_order(&mut self, exprs: &[Expr], input: &Analyzed) -> Result<(Vec<Item>, Vec<SharedAlias>)> {
        let mut items: Vec<Item> = Vec::with_capacity(exprs.len());
        // What later items see of the aliases, and where these stand among the items.
        let mut aliased: Vec<TypedExpr> = Vec::new();
        let mut places: Vec<usize> = Vec::new();
        let mut shared: Vec<SharedAlias> = Vec::new();
        for expr in exprs {
            // An alias of the list comes before a session variable of the name.
            let first = match aliased.is_empty() {
                true => self.item(expr, input),
                false => self.without_variables(|analyzer| analyzer.item(expr, input)),
            };
            let before = items.len();
            match first {
                Ok(resolved) => items.extend(resolved),
                Err(e) if e.is("UNRESOLVED_COLUMN") && !aliased.is_empty() => {
                    check_ambiguous_alias(&e, expr, &aliased)?;
                    shared.extend(self.share_volatile(&mut aliased, &places));
                    let depth = self.function_parameters.len();
                    let mut sight = lateral_aliases(&aliased);
                    sight.extend(self.function_parameters.last().cloned().unwrap_or_default());
                    self.function_parameters.push(sight);
                    let again = self.item(expr, input);
                    self.function_parameters.truncate(depth);
                    match again {
                        Ok(mut resolved) => {
                            let repeated = alias_named(expr, &aliased).map(|i| places[i]);
                            resolved.iter_mut().for_each(|item| item.repeats = repeated);
                            items.extend(resolved);
                        }
                        Err(again) if again.is("UNRESOLVED_COLUMN") => return Err(e),
                        Err(again) => return Err(again),
                    }
                }
                Err(e) => return Err(e),
            }
            if matches!(expr, Expr::Alias { .. }) {
                aliased.extend(items[before..].iter().map(|item| item.value.clone()));
                places.extend(before..items.len());
            }
        }
        let shared = shared_aliases::in_use(&mut items, shared);
        Ok((items, shared))
    }

    fn item(&mut self, expr: &Expr, input: &Analyzed) -> Result<Vec<Item>> {
        let plain = |value: TypedExpr, input: &Analyzed| Item {
            passthrough: passthrough(&value, input),
            ..Item::new(value)
        };
        Ok(match expr {
            Expr::Star(star) => self.expand_star(star, input)?.into_iter().map(|v| plain(v, input)).collect(),
            Expr::ColumnRegex { pattern } => {
                self.matching_columns(pattern, input)?.into_iter().map(|v| plain(v, input)).collect()
            }
            Expr::Alias { expr, names, metadata } => {
                let mut value = self.expr(expr, input)?;
                match names.as_slice() {
                    [name] => value.name.clone_from(name),
                    _ => {
                        return Err(Error::new("MULTI_ALIAS_WITHOUT_GENERATOR")
                            .param("names", names.join(", "))
                            .param("expr", format!("\"{}\"", value.name))
                            .message(format!(
                                "The names ({}) need a generator of as many columns, which \"{}\" is not.",
                                names.join(", "),
                                value.name
                            ))
                            .exception("AnalysisException"));
                    }
                }
                let metadata = metadata.clone().or_else(|| source_metadata(&value, input));
                vec![Item { metadata, ..Item::new(value) }]
            }
            other => {
                let value = self.expr(other, input)?;
                let mut value = self.named_as_item(other, value, input)?;
                if let (Expr::Column(column), true) = (other, value.name.starts_with(LATERAL_ALIAS)) {
                    value = value.named(column.name.last().cloned().unwrap_or_default());
                }
                let metadata = source_metadata(&value, input);
                let written = if matches!(other, Expr::Column(_)) { source_id(&value, input) } else { None };
                let item = plain(value, input);
                let written = written.filter(|_| item.passthrough.is_none());
                vec![Item { metadata, written, ..item }]
            }
        })
    }

    /// The name of an item without alias, where it is not its text: a nested field goes by the field's name, a cast of a
    /// column by the column's (Spark's `ResolveAliases`).
    pub(super) fn named_as_item(
        &mut self,
        expr: &Expr,
        value: TypedExpr,
        input: &Analyzed,
    ) -> Result<TypedExpr> {
        let is_column = |e: &DfExpr| matches!(e, DfExpr::Column(_) | DfExpr::OuterReferenceColumn(..));
        match expr {
            Expr::Identifier(name) if value.name.starts_with(VARIABLE) => {
                let name = self.identifier(name)?;
                Ok(value.named(name.last().cloned().unwrap_or_default()))
            }
            Expr::Column(column) if value.name.starts_with(VARIABLE) => {
                Ok(value.named(column.name.last().cloned().unwrap_or_default()))
            }
            Expr::Column(column) if matches!(value.expr, DfExpr::OuterReferenceColumn(..)) => {
                Ok(value.named(column.name.last().cloned().unwrap_or_default()))
            }
            Expr::Column(column) if column.name.len() > 1 && !is_column(&value.expr) => {
                match column.name.last() {
                    Some(field) => Ok(value.named(field)),
                    None => Ok(value),
                }
            }
            Expr::Cast { expr, .. } if matches!(**expr, Expr::Column(_)) => {
                let inner = self.expr(expr, input)?;
                Ok(if is_column(&inner.expr) { value.named(inner.name) } else { value })
            }
            _ => Ok(value),
        }
    }

    /// The projection of resolved items, window functions computed first.
    pub(super) fn project_items(&mut self, input: Analyzed, items: Vec<Item>) -> Result<Analyzed> {
        let mut exprs: Vec<(DfExpr, Attribute)> = Vec::with_capacity(items.len());
        let mut written = Vec::new();
        for item in items {
            let attribute = self.item_attribute(&item, &exprs);
            written.extend(item.written.map(|id| (id, attribute.clone())));
            exprs.push((item.value.expr, attribute));
        }
        Ok(self.project_pairs(input, exprs)?.still_of_frames(&written))
    }

    pub(super) fn item_attribute(&mut self, item: &Item, taken: &[(DfExpr, Attribute)]) -> Attribute {
        if let Some(a) = &item.passthrough
            && !taken.iter().any(|(_, t)| t.id == a.id)
        {
            return a.clone();
        }
        let mut a = self.attribute(&item.value.name, item.value.data_type.clone(), item.value.nullable);
        a.metadata = item.metadata.clone().unwrap_or_default();
        let repeated = match item.repeats {
            Some(place) => taken.get(place).map(|(_, a)| a),
            None => item.passthrough.as_ref().filter(|p| p.name == a.name),
        };
        a.repeats = repeated.map(|r| r.repeats.unwrap_or(r.id));
        self.note_char(&a);
        a
    }

    /// Projects to the given expressions, each under its attribute.
    pub(super) fn project_pairs(
        &mut self,
        input: Analyzed,
        exprs: Vec<(DfExpr, Attribute)>,
    ) -> Result<Analyzed> {
        // What scans tell of their rows stays in reach.
        let hidden: Vec<Attribute> =
            input.hidden.iter().filter(|h| source_metadata::is_part(h)).cloned().collect();
        let (plan, mut list) = self.plan_windows(input.plan.clone(), exprs.clone())?;
        list.extend(
            hidden
                .iter()
                .filter(|h| !exprs.iter().any(|(_, a)| a.id == h.id))
                .map(|h| (h.column(), h.clone())),
        );
        let varies = list.iter().any(|(e, _)| e.is_volatile());
        let mut plan = project(list.into_iter().map(|(e, a)| named(e, &a)).collect(), plan)?;
        if varies {
            plan = crate::operators::barrier(plan);
        }
        let output: Vec<Attribute> = exprs.iter().map(|(_, a)| a.clone()).collect();
        let hidden = hidden.into_iter().filter(|h| !output.iter().any(|a| a.id == h.id)).collect();
        let plan_ids = input.plan_ids.clone();
        let is_streaming = input.is_streaming;
        let below = Some(Arc::new(Below::Project { input, exprs }));
        Ok(Analyzed { plan, output, hidden, plan_ids, below, is_streaming })
    }

    pub(super) fn with_columns(&mut self, input: &Relation, columns: &[WithColumn]) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let mut exprs: Vec<Expr> = Vec::new();
        let mut replaced = vec![false; columns.len()];
        let mut seen: Vec<String> = Vec::new();
        for c in columns {
            if seen.iter().any(|s| s.eq_ignore_ascii_case(&c.name)) {
                return Err(super::error::column_twice(&c.name));
            }
            seen.push(c.name.clone());
        }
        let wanted = |c: &WithColumn| Expr::Alias {
            expr: Box::new(c.expr.clone()),
            names: vec![c.name.clone()],
            metadata: c.metadata.clone(),
        };
        // Columns are placed by position: equal names would be ambiguous as names.
        let mut items: Vec<Option<Item>> = Vec::new();
        for a in input.output.clone() {
            match columns.iter().position(|c| c.name.eq_ignore_ascii_case(&a.name)) {
                Some(i) => {
                    replaced[i] = true;
                    exprs.push(wanted(&columns[i]));
                    items.push(None);
                }
                None => items.push(Some(Item::passing(a))),
            }
        }
        for (c, _) in columns.iter().zip(&replaced).filter(|(_, done)| !**done) {
            exprs.push(wanted(c));
            items.push(None);
        }
        if exprs.iter().any(|e| self.is_generator_item(e)) {
            // A generator changes the number of rows: the kept columns go through the same projection by name.
            let mut new = exprs.into_iter();
            let list: Vec<Expr> = items
                .iter()
                .map(|i| match i {
                    Some(item) => Expr::column([item.value.name.clone()]),
                    None => new.next().unwrap_or_else(Expr::star),
                })
                .collect();
            return self.project_with_generator(input, &list);
        }
        let Windowed { input, exprs, .. } = self.with_time_windows(input, &exprs, None)?;
        let input = self.numbered_input(input, &exprs);
        // New columns see those before them, where the relation has none of the name.
        self.project_or_aggregate(input, &exprs, |new| {
            let mut new = new.into_iter();
            items.into_iter().filter_map(|kept| kept.or_else(|| new.next())).collect()
        })
    }

    pub(super) fn matching_columns(&mut self, pattern: &str, input: &Analyzed) -> Result<Vec<TypedExpr>> {
        let bad = |e: &dyn std::fmt::Display| {
            Error::new("INVALID_PARAMETER_VALUE.PATTERN")
                .param("parameter", "`regex`")
                .param("functionName", "`colRegex`")
                .param("value", format!("'{pattern}'"))
                .message(format!("`{pattern}` is no regular expression: {e}"))
        };
        // `` table.`regex` ``
        let quoted = pattern.strip_suffix('`').and_then(|p| p.split_once('`'));
        let (table, inner) = quoted.unwrap_or(("", pattern));
        let table: Vec<String> = table.split('.').filter(|p| !p.is_empty()).map(str::to_string).collect();
        let flags = if self.context.case_sensitive { "" } else { "(?i)" };
        let regex = fancy_regex::Regex::new(&format!("{flags}^(?:{inner})$")).map_err(|e| bad(&e))?;
        let mut out = Vec::new();
        for a in &input.output {
            if !table.is_empty() && !super::column::qualifier_matches(&a.qualifier, &table) {
                continue;
            }
            if regex.is_match(&a.name).map_err(|e| bad(&e))? {
                out.push(a.typed());
            }
        }
        Ok(out)
    }

    /// Resolves expressions over a relation, or over what its projection or aggregation was made from; the relation
    /// comes back with the columns they need.
    pub(super) fn exprs_reaching_below(
        &mut self,
        exprs: &[Expr],
        input: Analyzed,
        clause: &str,
    ) -> Result<(Vec<TypedExpr>, Analyzed)> {
        let direct: Result<Vec<TypedExpr>> = exprs.iter().map(|e| self.expr(e, &input)).collect();
        let may_aggregate = clause != "WHERE";
        // A name that several items have is none of them, but may be a column below.
        let is_ambiguous = clause == "ORDER BY"
            && matches!(&direct, Err(e) if e.is("AMBIGUOUS_REFERENCE"))
            && matches!(input.below.as_deref(), Some(Below::Project { .. } | Below::Aggregate(_)));
        let error = match direct {
            Ok(resolved) => {
                let aggregated = resolved.iter().any(|r| super::aggregate::has_aggregate(&r.expr));
                if !aggregated
                    || !may_aggregate
                    || !matches!(input.below.as_deref(), Some(Below::Aggregate(_)))
                {
                    return Ok((resolved, input));
                }
                None
            }
            Err(e) if e.is("UNRESOLVED_COLUMN") || e.is("CANNOT_RESOLVE_DATAFRAME_COLUMN") => Some(e),
            Err(_) if is_ambiguous => None,
            // `grouping(a)` is for the aggregation below to say.
            Err(e)
                if e.is("UNSUPPORTED_GROUPING_EXPRESSION")
                    && matches!(input.below.as_deref(), Some(Below::Aggregate(_))) =>
            {
                Some(e)
            }
            Err(e) => return Err(e),
        };
        let Some(below) = input.below.clone() else {
            return match error {
                Some(e) => Err(e),
                None => Err(Error::internal("an expression without an input")),
            };
        };
        let is_shared =
            |a: &Attribute| input.output.iter().filter(|o| o.name.eq_ignore_ascii_case(&a.name)).count() > 1;
        if let Below::Aggregate(aggregation) = below.as_ref() {
            let mut sight = input.clone();
            if is_ambiguous {
                sight.output.retain(|a| !is_shared(a));
            }
            return match self.exprs_over_aggregation(exprs, &sight, aggregation.clone(), clause) {
                Err(e) if e.is("UNRESOLVED_COLUMN") => Err(error.unwrap_or(e)),
                other => other,
            };
        }
        let reachable = reachable_columns(&input);
        let mut level = match below.as_ref() {
            Below::Project { input: inner, .. } if is_ambiguous => Some(inner),
            _ => None,
        };
        let (merged, again) = loop {
            let mut merged = input.clone();
            if let Some(inner) = level {
                let from_below = |a: &&Attribute| is_shared(a) && inner.columns().any(|c| c.id == a.id);
                merged.hidden.extend(input.output.iter().filter(from_below).cloned());
                merged.output.retain(|a| !is_shared(a));
            }
            merged.hidden.extend(reachable.iter().cloned());
            let again: Result<Vec<TypedExpr>> = exprs.iter().map(|e| self.expr(e, &merged)).collect();
            // The projection below that one may be of fewer columns of the name.
            let still = matches!(&again, Err(e) if e.is("AMBIGUOUS_REFERENCE"));
            level = match level.and_then(|inner| inner.below.as_deref()) {
                Some(Below::Project { input: next, .. }) if still => Some(next),
                _ => break (merged, again),
            };
        };
        let resolved = match again {
            Ok(resolved) => resolved,
            Err(e) if e.is("UNRESOLVED_COLUMN") => return Err(error.unwrap_or(e)),
            Err(e) => return Err(e),
        };
        // What a list left out, the subqueries of ORDER BY do not reach.
        if clause == "ORDER BY"
            && let Some(e) = error
            && super::subquery::use_others(&resolved, &input)?
        {
            return Err(e);
        }
        let mut missing: Vec<Attribute> = Vec::new();
        for r in &resolved {
            for column in r.expr.column_refs() {
                let present = |a: &Attribute| a.internal_name() == column.name;
                if !input.columns().any(present)
                    && !missing.iter().any(present)
                    && let Some(a) = merged.hidden.iter().find(|a| present(a))
                {
                    missing.push(a.clone());
                }
            }
        }
        let extended = self.extend(input, &missing)?;
        Ok((resolved, extended))
    }

    /// Rebuilds the relation so that it has the columns, which lie below it, as hidden ones.
    fn extend(&mut self, relation: Analyzed, wanted: &[Attribute]) -> Result<Analyzed> {
        let missing: Vec<Attribute> =
            wanted.iter().filter(|w| !relation.columns().any(|c| c.id == w.id)).cloned().collect();
        if missing.is_empty() {
            return Ok(relation);
        }
        match relation.below.as_deref() {
            Some(Below::Project { input, exprs }) => {
                let input = self.extend(input.clone(), &missing)?;
                let hidden: Vec<Attribute> = relation
                    .hidden
                    .iter()
                    .filter(|h| input.columns().any(|c| c.id == h.id))
                    .chain(&missing)
                    .cloned()
                    .collect();
                let mut all = exprs.clone();
                all.extend(hidden.iter().map(|a| (a.column(), a.clone())));
                let (plan, all) = self.plan_windows(input.plan.clone(), all)?;
                let plan = project(all.into_iter().map(|(e, a)| named(e, &a)).collect(), plan)?;
                let below = Below::Project { input, exprs: exprs.clone() };
                Ok(Analyzed { plan, hidden, below: Some(Arc::new(below)), ..relation })
            }
            Some(Below::Filter { input, condition }) => {
                let input = self.extend(input.clone(), &missing)?;
                let plan = LogicalPlanBuilder::from(input.plan.clone())
                    .filter(condition.clone())
                    .spark()?
                    .build()
                    .spark()?;
                let hidden = input.hidden.clone();
                let below = Below::Filter { input, condition: condition.clone() };
                Ok(Analyzed { plan, hidden, below: Some(Arc::new(below)), ..relation })
            }
            _ => Err(Error::internal("columns were found below a relation that has nothing below")),
        }
    }
}

/// Columns below the relation's projections that are not among its own.
fn reachable_columns(relation: &Analyzed) -> Vec<Attribute> {
    let input = match relation.below.as_deref() {
        Some(Below::Project { input, .. } | Below::Filter { input, .. }) => input,
        _ => return Vec::new(),
    };
    let mut out: Vec<Attribute> = input.columns().cloned().collect();
    out.extend(reachable_columns(input));
    out.retain(|a| !relation.columns().any(|c| c.id == a.id));
    out
}

/// The expression under the attribute's name; a column that is the attribute already stays bare.
pub(super) fn named(expr: DfExpr, attribute: &Attribute) -> DfExpr {
    let name = attribute.internal_name();
    match &expr {
        DfExpr::Column(c) if c.name == name => expr,
        _ => expr.alias(name),
    }
}

fn passthrough(value: &TypedExpr, input: &Analyzed) -> Option<Attribute> {
    let DfExpr::Column(c) = &value.expr else { return None };
    let column = input.columns().find(|a| a.internal_name() == c.name && a.name == value.name);
    column.map(Attribute::by_any_name)
}

/// The identity of the column that an item is by its name, whatever the case. (The alias of an earlier item has another name.)
fn source_id(value: &TypedExpr, input: &Analyzed) -> Option<u64> {
    let DfExpr::Column(c) = &value.expr else { return None };
    let column = input.columns().find(|a| a.internal_name() == c.name)?;
    super::column::same_name(&column.name, &value.name, false).then_some(column.id)
}

/// `SELECT a AS b` keeps the metadata of `a`.
fn source_metadata(value: &TypedExpr, input: &Analyzed) -> Option<String> {
    let DfExpr::Column(c) = &value.expr else { return None };
    input
        .columns()
        .find(|a| a.internal_name() == c.name)
        .map(|a| a.metadata.clone())
        .filter(|m| !m.is_empty())
}

/// How names show an alias of the same SELECT list.
pub(super) const LATERAL_ALIAS: &str = "lateralAliasReference(";

pub(super) fn lateral_name(alias: &str) -> String {
    format!("{LATERAL_ALIAS}{alias})")
}

/// The first alias of the same SELECT list in the text of an expression.
pub(super) fn lateral_alias_in(shown: &str) -> Option<&str> {
    let (_, rest) = shown.split_once(LATERAL_ALIAS)?;
    Some(rest.split(')').next().unwrap_or(rest))
}

/// Refuses an alias that two earlier items of the list have (Spark's AMBIGUOUS_LATERAL_COLUMN_ALIAS).
fn check_ambiguous_alias(error: &Error, expr: &Expr, aliased: &[TypedExpr]) -> Result<()> {
    fn names(expr: &Expr, name: &str) -> bool {
        match expr {
            Expr::Column(c) => c.name.first().is_some_and(|n| n.eq_ignore_ascii_case(name)),
            Expr::Call(call) => call.args.iter().any(|a| names(a, name)),
            Expr::Alias { expr, .. } | Expr::Cast { expr, .. } => names(expr, name),
            _ => false,
        }
    }
    let repeated = aliased.iter().enumerate().find(|(i, value)| {
        let same = |other: &TypedExpr| other.name.eq_ignore_ascii_case(&value.name);
        aliased[..*i].iter().any(same) && names(expr, &value.name)
    });
    match repeated {
        Some((_, value)) if error.is("UNRESOLVED_COLUMN") => {
            Err(Error::new("AMBIGUOUS_LATERAL_COLUMN_ALIAS")
                .param("name", boathouse_spec::quote(&value.name))
                .param("n", 2)
                .message(format!("Several items of the SELECT list are named {}.", value.name)))
        }
        _ => Ok(()),
    }
}

/// Which alias the item is, where it is nothing but its name.
fn alias_named(item: &Expr, aliased: &[TypedExpr]) -> Option<usize> {
    let Expr::Column(column) = item else { return None };
    let [name] = column.name.as_slice() else { return None };
    aliased.iter().position(|value| value.name.eq_ignore_ascii_case(name))
}

fn lateral_aliases(aliased: &[TypedExpr]) -> std::collections::HashMap<String, TypedExpr> {
    let reference = |value: &TypedExpr| value.clone().named(lateral_name(&value.name));
    aliased.iter().map(|value| (value.name.to_lowercase(), reference(value))).collect()
}

/// Expressions sent as SQL text, parsed: they may be stars and generators (`selectExpr("*", "explode(a)")`).
pub(super) fn parsed(exprs: &[Expr]) -> Result<Vec<Expr>> {
    let parsed = |e: &Expr| match e {
        Expr::Text(text) => boathouse_sql::parse_expression(text),
        Expr::Alias { expr, names, metadata } => match expr.as_ref() {
            Expr::Text(text) => Ok(Expr::Alias {
                expr: Box::new(boathouse_sql::parse_expression(text)?),
                names: names.clone(),
                metadata: metadata.clone(),
            }),
            _ => Ok(e.clone()),
        },
        other => Ok(other.clone()),
    };
    exprs.iter().map(parsed).collect()
}

/// Whether the call has the given single-part name.
pub(super) fn is_call(call: &Call, name: &str) -> bool {
    call.name.last().is_some_and(|n| n.eq_ignore_ascii_case(name))
}

/// Whether an item is the word FROM, which a comma before it made a column.
fn is_from(item: &Expr) -> bool {
    match item {
        Expr::Alias { expr, .. } => is_from(expr),
        Expr::Column(column) => matches!(column.name.as_slice(), [word] if word.eq_ignore_ascii_case("FROM")),
        _ => false,
    }
}
