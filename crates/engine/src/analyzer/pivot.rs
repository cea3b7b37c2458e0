//! PIVOT and UNPIVOT.

use std::collections::BTreeMap;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_functions::{Entry, coercion, registry};
use boathouse_spec::{
    Aggregate, Call, DataType, Error, Expr, GroupingKind, Literal, Pivot, RelationNode, Result, Unpivot,
};
use datafusion::logical_expr::Expr as DfExpr;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, Below, TypedExpr};
use super::session_function::VARIABLE;
use crate::watermark::{StreamOperationKind, noted};

impl Analyzer {
    pub(super) fn pivot(&mut self, pivot: &Pivot) -> Result<Analyzed> {
        if pivot.grouping.is_some() && pivot.aggregates.iter().any(holds_star) {
            return Err(Error::new("INVALID_USAGE_OF_STAR_OR_REGEX")
                .param("elem", "'*'")
                .param("prettyName", "Pivot")
                .message("A pivot of a DataFrame takes no star: count(lit(1)) counts rows."));
        }
        let input = self.relation(&pivot.input)?;
        let values = if pivot.values.is_empty() { self.pivot_values(pivot)? } else { pivot.values.clone() };
        let grouping = match &pivot.grouping {
            Some(grouping) => grouping.clone(),
            None => self.other_columns(pivot, &input)?,
        };
        for column in &pivot.columns {
            let column = self.expr(column, &input)?;
            if !column.data_type.is_orderable() {
                return Err(Error::new("INCOMPARABLE_PIVOT_COLUMN")
                    .param("columnName", boathouse_spec::quote(&column.name))
                    .message(format!(
                        "PIVOT compares its column, and values of {} cannot be.",
                        column.name
                    )));
            }
        }
        let mut all_simple = true;
        for aggregate in &pivot.aggregates {
            let resolved = self.expr(aggregate, &input)?;
            all_simple &= is_simple(&resolved.data_type);
            if super::window::has_window(&resolved.expr) {
                return Err(Error::new("MISSING_AGGREGATION")
                    .param("expression", format!("\"{}\"", resolved.name))
                    .param("expressionAnyValue", format!("\"any_value({})\"", resolved.name))
                    .message(format!(
                        "PIVOT needs aggregate functions, not the window of {}.",
                        resolved.name
                    )));
            }
            if !super::aggregate::has_aggregate(&resolved.expr) {
                return Err(Error::new("_LEGACY_ERROR_TEMP_1006")
                    .param("sql", &resolved.name)
                    .message(format!("PIVOT needs aggregate functions, not {}.", resolved.name)));
            }
        }
        let mut aggregates = Vec::new();
        for value in &values {
            let (value, value_name) = self.pivot_value(value, &input)?;
            let condition = self.pivot_condition(pivot, &value, &input, all_simple)?;
            for aggregate in &pivot.aggregates {
                let name = if pivot.aggregates.len() == 1 {
                    value_name.clone()
                } else {
                    let own = match aggregate {
                        Expr::Alias { names, .. } if names.len() == 1 => names[0].clone(),
                        other => self.expr(other, &input)?.name,
                    };
                    format!("{value_name}_{own}")
                };
                let inner = match aggregate {
                    Expr::Alias { expr, .. } => expr.as_ref(),
                    other => other,
                };
                let mut value = filtered(inner, &condition);
                if all_simple {
                    // A group without rows of the value has NULL, a count too (Spark's `PivotFirst`).
                    let rows =
                        filtered(&Expr::call("count", vec![Expr::literal(Literal::Integer(1))]), &condition);
                    let present = Expr::operator(">", vec![rows, Expr::literal(Literal::Integer(0))]);
                    value = Expr::call("when", vec![present, value]);
                }
                aggregates.push(value.alias(name));
            }
        }
        let made = aggregates.len();
        let aggregate = Aggregate {
            input: pivot.input.clone(),
            kind: GroupingKind::GroupBy,
            grouping,
            aggregates,
            grouping_first: true,
        };
        let is_streaming = input.is_streaming;
        let pivoted = self.aggregate_analyzed(input, &aggregate)?;
        let plan = noted(pivoted.plan.clone(), StreamOperationKind::Pivot, is_streaming);
        let pivoted = Analyzed { plan, ..pivoted };
        Ok(if all_simple { over_groups(pivoted, made) } else { pivoted })
    }

    /// The distinct values of the pivot column, in order.
    fn pivot_values(&mut self, pivot: &Pivot) -> Result<Vec<Expr>> {
        let [column] = pivot.columns.as_slice() else {
            return Err(Error::unsupported("PIVOT over several columns without values"));
        };
        let project = RelationNode::Project { input: pivot.input.clone(), exprs: vec![column.clone()] };
        let distinct = RelationNode::Distinct { input: project.into() };
        let sorted = RelationNode::SortAll { input: distinct.into(), ascending: true, nulls_first: true };
        let most = self.session.conf().integer("spark.sql.pivotMaxValues");
        let limit = most.and_then(|n| i32::try_from(n).ok()).unwrap_or(10_000);
        let limited = RelationNode::Limit {
            input: sorted.into(),
            limit: Expr::Literal(Literal::Integer(limit.saturating_add(1))),
            origin: Default::default(),
        };
        let analyzed = self.query(&limited.into())?;
        let data_type = analyzed.output[0].data_type.clone();
        let name = analyzed.output[0].name.clone();
        let batches = self.collect(&analyzed)?;
        let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
        if usize::try_from(limit).is_ok_and(|limit| rows > limit) {
            return Err(Error::new("_LEGACY_ERROR_TEMP_1324")
                .param("pivotColumn", &name)
                .param("maxValues", limit)
                .param("config", "spark.sql.pivotMaxValues")
                .message(format!(
                    "The pivot column {name} has more than {limit} distinct values; name those that are wanted, or raise \
                     spark.sql.pivotMaxValues."
                )));
        }
        let mut out = Vec::with_capacity(rows);
        for batch in &batches {
            for i in 0..batch.num_rows() {
                out.push(Expr::Literal(crate::literals::from_scalar(
                    &ScalarValue::try_from_array(batch.column(0), i).spark()?,
                    &data_type,
                )?));
            }
        }
        Ok(out)
    }

    /// A pivot value and the name of its column.
    fn pivot_value(&mut self, value: &Expr, input: &Analyzed) -> Result<(Expr, String)> {
        if let Expr::Alias { expr, names, .. } = value
            && let [name] = names.as_slice()
        {
            return Ok((expr.as_ref().clone(), name.clone()));
        }
        let no_constant = |name: &str| {
            Error::new("NON_LITERAL_PIVOT_VALUES")
                .param("expression", format!("\"{name}\""))
                .message(format!("PIVOT needs constant values, not {name}."))
        };
        let typed = self.expr(value, input)?;
        if !super::expr::is_foldable(&typed.expr) {
            return Err(no_constant(&typed.name));
        }
        // A session variable gives the column its own name, not its value's.
        if let Expr::Column(column) = value
            && typed.name.starts_with(VARIABLE)
            && let Some(name) = column.name.last()
        {
            return Ok((value.clone(), name.clone()));
        }
        let folded = self.fold(&typed)?;
        let array = folded.to_array().map_err(boathouse_bridge::from_datafusion)?;
        let text = boathouse_functions::cast::cast(
            &array,
            &typed.data_type,
            &DataType::STRING,
            boathouse_functions::cast::Mode::Legacy,
            &self.context,
        )?;
        let name = match datafusion::scalar::ScalarValue::try_from_array(&text, 0) {
            Ok(datafusion::scalar::ScalarValue::Utf8(Some(s))) => s,
            _ => "null".to_string(),
        };
        Ok((value.clone(), name))
    }

    /// Which rows have the value. It is cast to the type of the column, not the column to its type.
    fn pivot_condition(
        &mut self,
        pivot: &Pivot,
        value: &Expr,
        input: &Analyzed,
        all_simple: bool,
    ) -> Result<Expr> {
        if let [column] = pivot.columns.as_slice() {
            let typed = self.expr(column, input)?;
            let (wanted, given) = (typed.data_type, self.expr(value, &Analyzed::one_row()?)?.data_type);
            // Spark's `PivotFirst` looks values up among the groups: a CHAR column keeps its trailing spaces.
            let column = match all_simple && self.is_char(&typed.expr) {
                true => Expr::call("concat", vec![column.clone()]),
                false => column.clone(),
            };
            let value = match given == wanted || (given.is_string() && wanted.is_string()) {
                true => value.clone(),
                false => value.clone().cast(wanted),
            };
            return Ok(Expr::operator("<=>", vec![column, value]));
        }
        let values: Vec<Expr> = match value {
            Expr::Call(call) if super::project::is_call(call, "struct") => call.args.clone(),
            other => {
                let typed = self.expr(other, &Analyzed::one_row()?)?;
                return Err(Error::new("PIVOT_VALUE_DATA_TYPE_MISMATCH")
                    .param("value", &typed.name)
                    .param("valueType", typed.data_type.simple_string())
                    .param("pivotType", "struct")
                    .message(format!(
                        "PIVOT over several columns needs tuples as values, not {}.",
                        typed.name
                    )));
            }
        };
        pivot
            .columns
            .iter()
            .zip(values)
            .map(|(c, v)| Expr::operator("<=>", vec![c.clone(), v]))
            .reduce(|a, b| Expr::operator("and", vec![a, b]))
            .ok_or_else(|| Error::internal("PIVOT without columns"))
    }

    /// SQL's PIVOT groups by all columns that neither pivot nor are aggregated.
    fn other_columns(&mut self, pivot: &Pivot, input: &Analyzed) -> Result<Vec<Expr>> {
        let mut used: Vec<String> = Vec::new();
        for expr in pivot.columns.iter().chain(&pivot.aggregates) {
            let resolved = self.expr(expr, input)?;
            used.extend(resolved.expr.column_refs().into_iter().map(|c| c.name.clone()));
        }
        Ok(input
            .output
            .iter()
            .filter(|a| !used.contains(&a.internal_name()))
            .map(|a| Expr::column(a.qualifier.iter().chain([&a.name]).cloned().collect::<Vec<_>>()))
            .collect())
    }

    pub(super) fn unpivot(&mut self, unpivot: &Unpivot) -> Result<Analyzed> {
        let input = self.relation(&unpivot.input)?;
        let ids: Option<Vec<TypedExpr>> = match &unpivot.ids {
            Some(ids) => Some(self.items(ids, &input)?.into_iter().map(|i| i.value).collect()),
            None => None,
        };
        let groups: Vec<(Vec<TypedExpr>, Option<String>)> = match &unpivot.values {
            Some(values) => values
                .iter()
                .map(|(exprs, alias)| {
                    Ok((
                        self.items(exprs, &input)?.into_iter().map(|i| i.value).collect::<Vec<_>>(),
                        alias.clone(),
                    ))
                })
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .flat_map(|(columns, alias)| {
                    // A star among the values is a group a column.
                    if unpivot.value_columns.len() == 1 && columns.len() > 1 {
                        columns.into_iter().map(|c| (vec![c], None)).collect::<Vec<_>>()
                    } else {
                        vec![(columns, alias)]
                    }
                })
                .collect(),
            None => input
                .output
                .iter()
                .filter(|a| !ids.iter().flatten().any(|i| i.expr == a.column()))
                .map(|a| (vec![a.typed()], None))
                .collect(),
        };
        if groups.is_empty() {
            return Err(
                Error::new("UNPIVOT_REQUIRES_VALUE_COLUMNS").message("UNPIVOT needs columns to unpivot.")
            );
        }
        // What is left of the columns is only known where those that are given are columns themselves.
        match (&ids, &unpivot.values) {
            (Some(ids), None) => check_attributes(ids, "id", "value")?,
            (None, Some(_)) => check_attributes(groups.iter().flat_map(|(c, _)| c), "value", "id")?,
            _ => {}
        }
        let width = unpivot.value_columns.len();
        if groups.iter().any(|(columns, _)| columns.len() != width) {
            return Err(Error::new("UNPIVOT_VALUE_SIZE_MISMATCH")
                .param("names", width)
                .message(format!("Every group of UNPIVOT needs {width} columns.")));
        }
        let ids = match ids {
            Some(ids) => ids,
            None => input
                .output
                .iter()
                .filter(|a| !groups.iter().any(|(columns, _)| columns.iter().any(|c| c.expr == a.column())))
                .map(|a| a.typed())
                .collect(),
        };
        let mut types = Vec::new();
        for i in 0..width {
            let all: Vec<DataType> = groups.iter().map(|(c, _)| c[i].data_type.clone()).collect();
            let common = all[1..]
                .iter()
                .try_fold(all[0].clone(), |a, b| coercion::tightest_common_type(&a, b, &self.context));
            types.push(common.ok_or_else(|| {
                Error::new("UNPIVOT_VALUE_DATA_TYPE_MISMATCH")
                    .param("types", types_of(groups.iter().filter_map(|(c, _)| c.get(i))))
                    .message("The columns of UNPIVOT have no common type.")
            })?);
        }
        let mut rows = Vec::new();
        for (columns, alias) in &groups {
            let label = alias
                .clone()
                .unwrap_or_else(|| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join("_"));
            let text = |s: &str| TypedExpr::new(datafusion::logical_expr::lit(s), DataType::STRING, false, s);
            let mut args = vec![text(&unpivot.variable_column), text(&label)];
            for (i, (column, t)) in columns.iter().zip(&types).enumerate() {
                let Some(name) = unpivot.value_columns.get(i) else { break };
                let nullable = groups.iter().any(|(columns, _)| columns[i].nullable);
                args.push(text(name));
                let mut value = self.implicit(column.clone(), t)?;
                value.nullable = nullable;
                args.push(value);
            }
            rows.push(self.builtin("named_struct", args)?);
        }
        let array = self.builtin("array", rows)?;
        let list = self.attribute("unpivoted", array.data_type.clone(), false);
        let mut pairs: Vec<(DfExpr, super::Attribute)> =
            input.columns().map(|a| (a.column(), a.clone())).collect();
        pairs.push((array.expr, list.clone()));
        let widened = self.project_pairs(input, pairs)?;
        let call = Call {
            name: vec!["inline".into()],
            args: vec![Expr::column(["unpivoted"])],
            ..Default::default()
        };
        let before = widened.output.len();
        let generated = self.generate(widened, &call, None, &[], false)?;
        let new = generated.output[before..].to_vec();
        let mut output: Vec<(DfExpr, super::Attribute)> = Vec::new();
        for id in ids {
            let a = generated.output.iter().find(|a| a.column() == id.expr).cloned();
            let attribute = match a {
                Some(a) if a.name == id.name => a,
                Some(a) => super::Attribute { name: id.name.clone(), ..self.renewed(&a) },
                None => self.attribute(&id.name, id.data_type.clone(), id.nullable),
            };
            output.push((id.expr, attribute));
        }
        output.extend(new.iter().map(|a| (a.column(), a.clone())));
        let values: Vec<DfExpr> = new[1..].iter().map(|a| DfExpr::IsNotNull(Box::new(a.column()))).collect();
        let projected = self.project_pairs(generated, output)?;
        if unpivot.include_nulls {
            return Ok(projected);
        }
        // Spark looks for NULL in the value columns by their names.
        for name in &unpivot.value_columns {
            let found = projected.output.iter().filter(|a| a.name.eq_ignore_ascii_case(name));
            let found: Vec<String> = found.map(|a| boathouse_spec::quote(&a.name)).collect();
            if found.len() > 1 {
                return Err(super::error::ambiguous(std::slice::from_ref(name), &found));
            }
        }
        let keep = values
            .into_iter()
            .reduce(|a, b| super::operator::binary(a, datafusion::logical_expr::Operator::Or, b));
        let Some(keep) = keep else { return Ok(projected) };
        let plan = datafusion::logical_expr::LogicalPlanBuilder::from(projected.plan.clone())
            .filter(keep)
            .spark()?
            .build()
            .spark()?;
        Ok(projected.with_plan(plan))
    }
}

/// UNPIVOT_REQUIRES_ATTRIBUTES, where one of the values is no column.
fn check_attributes<'a>(
    values: impl IntoIterator<Item = &'a TypedExpr>,
    given: &str,
    empty: &str,
) -> Result<()> {
    let others = values.into_iter().filter(|v| !matches!(v.expr, DfExpr::Column(_)));
    let others: Vec<String> = others.map(|v| format!("\"{}\"", v.name)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let others = others.join(", ");
    Err(Error::new("UNPIVOT_REQUIRES_ATTRIBUTES")
        .param("given", given)
        .param("empty", empty)
        .param("expressions", &others)
        .message(format!("UNPIVOT takes columns, not {others}, where it has to find the other columns.")))
}

/// The types of values, each with the names of those that have it.
fn types_of<'a>(values: impl Iterator<Item = &'a TypedExpr>) -> String {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for value in values {
        let of_type = names.entry(super::error::quoted(&value.data_type)).or_default();
        of_type.push(boathouse_spec::quote(&value.name));
    }
    let shown = names.into_iter().map(|(data_type, mut of_type)| {
        of_type.sort();
        if of_type.len() > 3 {
            of_type.truncate(3);
            of_type.push("...".to_string());
        }
        format!("{data_type} ({})", of_type.join(", "))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn holds_star(expr: &Expr) -> bool {
    matches!(expr, Expr::Star(_)) || crate::relation_walk::operands(expr).into_iter().any(holds_star)
}

/// The last columns, which PIVOT made, as projected over the groups: what ORDER BY reaches below has the others only.
fn over_groups(pivoted: Analyzed, made: usize) -> Analyzed {
    let exprs = pivoted.output.iter().map(|a| (a.column(), a.clone())).collect();
    let groups = pivoted.output.len().saturating_sub(made);
    let mut input = Analyzed { below: None, ..pivoted.clone() };
    input.output.truncate(groups);
    Analyzed { below: Some(Arc::new(Below::Project { input, exprs })), ..pivoted }
}

/// The types of which Spark's `PivotFirst` picks values.
fn is_simple(t: &DataType) -> bool {
    t.is_numeric() || *t == DataType::Boolean
}

/// The expression with the condition as a filter on each of its aggregate functions.
fn filtered(expr: &Expr, condition: &Expr) -> Expr {
    match expr {
        Expr::Call(call) => {
            let mut call = call.as_ref().clone();
            let aggregates = call.name.len() == 1
                && registry().get(&call.name[0]).iter().any(|e| matches!(e, Entry::Aggregate(_)))
                && !registry().get(&call.name[0]).iter().any(|e| matches!(e, Entry::Scalar(_)));
            if aggregates {
                call.filter = Some(match call.filter.take() {
                    Some(own) => Expr::operator("and", vec![own, condition.clone()]),
                    None => condition.clone(),
                });
            } else {
                call.args = call.args.iter().map(|a| filtered(a, condition)).collect();
            }
            Expr::Call(Box::new(call))
        }
        Expr::Alias { expr, names, metadata } => Expr::Alias {
            expr: Box::new(filtered(expr, condition)),
            names: names.clone(),
            metadata: metadata.clone(),
        },
        Expr::Cast { expr, to, mode, origin } => Expr::Cast {
            expr: Box::new(filtered(expr, condition)),
            to: to.clone(),
            mode: *mode,
            origin: origin.clone(),
        },
        other => other.clone(),
    }
}
