//! Relations, dispatched by kind.

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Expr, Literal, Relation, RelationNode, Result, SortOrder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::Analyzer;
use super::analyzed::Analyzed;
use crate::operators::Strategy;
use std::sync::Arc;

impl Analyzer {
    pub(super) fn relation(&mut self, relation: &Relation) -> Result<Analyzed> {
        let session = Arc::clone(&self.session);
        let mut analyzed = match session.engine.cache.lookup(&session, relation) {
            Some(cached) => self.scan(&cached, None)?,
            None => self.relation_node(relation)?,
        };
        analyzed.plan_ids.values_mut().flatten().for_each(|column| column.depth += 1);
        if let Some(id) = relation.plan_id {
            analyzed.is_frame(id);
        }
        Ok(analyzed)
    }

    fn relation_node(&mut self, relation: &Relation) -> Result<Analyzed> {
        use RelationNode as N;
        match relation.node.as_ref() {
            N::Table(table) => self.table(table),
            N::DataSource(source) => self.data_source(source),
            N::OneRow => Analyzed::one_row(),
            N::LocalData { arrow_ipc, schema } => self.local_data(arrow_ipc, schema.as_ref()),
            N::Empty(schema) => self.empty(schema),
            N::Values(rows) => self.values(rows),
            N::Range { start, end, step, partitions } => self.range(*start, *end, *step, *partitions),
            N::TableFunction { name, args } => self.table_function(name, args),
            N::PythonTableFunction { name, args, function, .. } => {
                self.python_table_function(name, args, function)
            }
            N::CachedRemote(id) => self.cached_remote(id),
            N::CommandResult(command) => self.command_result(relation.plan_id, command),
            N::Sql(text) => self.sql_text(text),

            N::Stream { input } => self.function_stream(input),
            N::Project { input, exprs } => self.project(input, exprs),
            N::Filter { input, condition } => self.filter(input, condition),
            N::Having { input, condition } => self.having(input, condition),
            N::Qualify { input, condition } => self.qualify(input, condition),
            N::Aggregate(aggregate) => self.aggregate(aggregate),
            N::Sort { input, order, global } => self.sort(input, order, *global),
            N::SortAll { input, ascending, nulls_first } => self.sort_all(input, *ascending, *nulls_first),
            N::Limit { input, limit, origin } => self.limit(input, limit, origin),
            N::Offset { input, offset, origin } => self.offset(input, offset, origin),
            N::Tail { input, limit } => self.tail(input, *limit),
            N::Distinct { input } => self.distinct(input),
            N::Deduplicate { input, columns, within_watermark } => {
                self.deduplicate(input, columns.as_deref(), *within_watermark)
            }
            N::SubqueryAlias { input, alias, qualifier, columns } => {
                self.subquery_alias(input, alias, qualifier, columns)
            }
            N::With { input, tables, recursive } => self.with(input, tables, *recursive),
            N::WindowDefinitions { input, windows } => {
                let depth = self.windows.len();
                self.windows.extend(windows.iter().cloned());
                let analyzed = self.relation(input);
                self.windows.truncate(depth);
                analyzed
            }
            N::LateralView { input, generator, table_alias, columns, outer } => {
                self.lateral_view(input, generator, table_alias.as_deref(), columns, *outer)
            }
            N::Pivot(pivot) => self.pivot(pivot),
            N::Unpivot(unpivot) => self.unpivot(unpivot),
            N::Sample(sample) => self.sample(sample),
            N::Repartition { input, partitions, shuffle } => self.repartition(input, *partitions, *shuffle),
            N::RepartitionBy { input, exprs, partitions } => self.repartition_by(input, exprs, *partitions),
            N::ToDf { input, names } => self.to_df(input, names),
            N::ToSchema { input, schema } => self.to_schema(input, schema),
            N::WithColumns { input, columns } => self.with_columns(input, columns),
            N::RenameColumns { input, renames } => self.rename_columns(input, renames),
            N::Drop { input, columns, names } => self.drop_columns(input, columns, names),
            N::Hint { input, name, parameters } => self.hint(input, name, parameters),
            N::WithWatermark { input, event_time, delay } => self.with_watermark(input, event_time, delay),
            N::CollectMetrics { input, name, metrics } => self.observe(input, name, metrics),
            N::Expect { input, rules, outcome } => self.expect(input, rules, outcome),
            N::ShowString { input, rows, truncate, vertical } => {
                self.show_string(input, *rows, *truncate, *vertical)
            }
            N::HtmlString { input, rows, truncate } => self.html_string(input, *rows, *truncate),
            N::Parse { input, format, schema, options } => {
                self.parse(input, format, schema.as_ref(), options)
            }
            N::Transpose { input, index } => self.transpose(input, index),
            N::FillNa { input, columns, values } => self.fill_na(input, columns, values),
            N::DropNa { input, columns, min_non_nulls } => self.drop_na(input, columns, *min_non_nulls),
            N::ReplaceNa { input, columns, replacements } => self.replace_na(input, columns, replacements),
            N::Statistic { input, statistic } => self.statistic(input, statistic),
            N::MapPartitions { input, function, name, .. } => self.map_in_python(input, function, name),
            N::GroupMap { input, grouping, function, name, .. } => {
                self.apply_in_python(input, grouping, function, name)
            }
            N::StatefulGroups(groups) => self.stateful_groups(groups),
            N::Pipe { input, operator } => self.pipe(input, operator),

            N::Join(join) => self.join(join),
            N::LateralJoin { left, right, kind, condition } => {
                self.lateral_join(left, right, *kind, condition.as_ref())
            }
            N::AsOfJoin(join) => self.as_of_join(join),
            N::SetOperation { left, right, operation, all, by_name, allow_missing } => {
                self.set_operation(left, right, *operation, *all, *by_name, *allow_missing)
            }
            N::CoGroupMap { left, right, left_grouping, right_grouping, function, name } => {
                self.cogroup_in_python([(left, left_grouping), (right, right_grouping)], function, name)
            }
            N::WithRelations { root, references } => {
                for reference in references {
                    match reference.node.as_ref() {
                        // A named reference is a view for this query only (Connect's SQL with DataFrames as arguments).
                        N::SubqueryAlias { input, alias, .. } => self.define_table(alias, input.clone()),
                        _ => {
                            if let Some(id) = reference.plan_id {
                                self.references.insert(id, reference.clone());
                            }
                        }
                    }
                }
                self.relation(root)
            }
        }
    }

    fn filter(&mut self, input: &Relation, condition: &boathouse_spec::Expr) -> Result<Analyzed> {
        let analyzed = self.relation(input)?;
        self.filter_analyzed(analyzed, condition)
    }

    pub(super) fn filter_analyzed(
        &mut self,
        input: Analyzed,
        condition: &boathouse_spec::Expr,
    ) -> Result<Analyzed> {
        let (mut resolved, input) = self
            .exprs_reaching_below(std::slice::from_ref(condition), input, "WHERE")
            .map_err(outside_select)?;
        let condition = resolved.remove(0);
        let condition = self.condition(condition, "filter")?;
        super::aggregate::forbid_aggregates(&condition.expr, &condition.name, "WHERE")?;
        super::window::forbid_windows(&condition.expr, &condition.name, "WHERE")?;
        let plan = LogicalPlanBuilder::from(input.plan.clone())
            .filter(condition.expr.clone())
            .spark()?
            .build()
            .spark()?;
        let below = super::analyzed::Below::Filter { input: input.clone(), condition: condition.expr };
        Ok(Analyzed { plan, below: Some(std::sync::Arc::new(below)), ..input })
    }

    fn distinct(&mut self, input: &Relation) -> Result<Analyzed> {
        let input = self.relation(input)?.without_hidden()?;
        check_groupable(&input.output)?;
        self.distinct_rows(input)
    }

    pub(super) fn distinct_plan(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        LogicalPlanBuilder::from(plan).distinct().spark()?.build().spark()
    }

    /// Hints of partitioning are operators; those of joins are marks for the planner of joins.
    fn hint(&mut self, input: &Relation, name: &str, parameters: &[Expr]) -> Result<Analyzed> {
        let upper = name.to_uppercase();
        let count = |e: &Expr| match e {
            Expr::Literal(Literal::Integer(n)) => Some(u32::try_from(*n).unwrap_or_default()),
            _ => None,
        };
        match upper.as_str() {
            "COALESCE" => match parameters {
                [only] if count(only).is_some() => {
                    self.repartition(input, count(only).unwrap_or_default(), false)
                }
                _ => Err(Error::new("_LEGACY_ERROR_TEMP_1048")
                    .param("hintName", &upper)
                    .message(format!("{upper} Hint expects a partition number as a parameter."))),
            },
            "REPARTITION" | "REPARTITION_BY_RANGE" | "REBALANCE" => {
                let partitions = parameters.first().and_then(count);
                let columns = parameters[usize::from(partitions.is_some())..]
                    .iter()
                    .map(|column| match column {
                        Expr::Column(_) => Ok(column.clone()),
                        Expr::Literal(Literal::String(text)) => Ok(Expr::column([text.as_str()])),
                        other => {
                            let shown = self.expr(other, &Analyzed::one_row()?).map_or_else(|_| String::new(), |e| e.name);
                            Err(Error::new("_LEGACY_ERROR_TEMP_1047")
                                .param("hintName", &upper)
                                .param("invalidParams", &shown)
                                .message(format!(
                                    "{upper} Hint parameters should include an optional integral partitionNum and/or columns, \
                                     but \"{shown}\" can not be recognized as either partitionNum or columns."
                                )))
                        }
                    })
                    .collect::<Result<Vec<_>>>()?;
                match partitions {
                    _ if upper == "REBALANCE" && columns.is_empty() => self.rebalance(input, partitions),
                    Some(n) if columns.is_empty() => self.repartition(input, n, true),
                    _ if upper == "REPARTITION_BY_RANGE" => {
                        let ordered =
                            columns.into_iter().map(|c| Expr::SortOrder(Box::new(SortOrder::ascending(c))));
                        self.repartition_by(input, &ordered.collect::<Vec<_>>(), partitions)
                    }
                    _ => self.repartition_by(input, &columns, partitions),
                }
            }
            _ => match Strategy::named(name) {
                Some(strategy) => self.join_strategy(input, name, strategy, parameters),
                None => {
                    tracing::warn!("Unrecognized hint: {name}");
                    self.relation(input)
                }
            },
        }
    }
}

/// Whether rows can be grouped by values of the type.
pub(super) fn can_group_by(t: &boathouse_spec::DataType) -> bool {
    use boathouse_spec::DataType as T;
    match t {
        T::Variant => false,
        T::Array { element, .. } => can_group_by(element),
        T::Map { key, value, .. } => can_group_by(key) && can_group_by(value),
        T::Struct(s) => s.fields.iter().all(|f| can_group_by(&f.data_type)),
        _ => true,
    }
}

/// A generator where no SELECT list is.
pub(super) fn outside_select(error: Error) -> Error {
    if error.class() != "UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS" {
        return error;
    }
    Error::new("UNSUPPORTED_GENERATOR.OUTSIDE_SELECT")
        .param("plan", "")
        .message("A generator can only be an item of a SELECT list.")
}

/// Refuses columns that DISTINCT and set operations cannot compare.
pub(super) fn check_groupable(columns: &[super::analyzed::Attribute]) -> Result<()> {
    use boathouse_spec::DataType as T;
    fn has_variant(t: &T) -> bool {
        match t {
            T::Variant => true,
            T::Array { element, .. } => has_variant(element),
            T::Map { key, value, .. } => has_variant(key) || has_variant(value),
            T::Struct(s) => s.fields.iter().any(|f| has_variant(&f.data_type)),
            _ => false,
        }
    }
    let Some(a) = columns.iter().find(|a| !is_groupable(&a.data_type)) else { return Ok(()) };
    let kind = if has_variant(&a.data_type) { "VARIANT" } else { "MAP" };
    Err(Error::new(format!("UNSUPPORTED_FEATURE.SET_OPERATION_ON_{kind}_TYPE"))
        .param("colName", boathouse_spec::quote(&a.name))
        .param("dataType", super::error::quoted(&a.data_type))
        .message(format!("Rows with the column {} of {} cannot be compared.", a.name, a.data_type.sql())))
}

/// Whether values of the type can be grouped and told apart.
pub(super) fn is_groupable(t: &boathouse_spec::DataType) -> bool {
    use boathouse_spec::DataType as T;
    match t {
        T::Map { .. } | T::Variant => false,
        T::Array { element, .. } => is_groupable(element),
        T::Struct(s) => s.fields.iter().all(|f| is_groupable(&f.data_type)),
        _ => true,
    }
}
