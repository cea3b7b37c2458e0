//! Relations of one input, and the door to all others.

use boathouse_spec::{
    Aggregate, Expr, GroupingKind, Pivot, Relation, RelationNode, Result, Sample, Unpivot, WithColumn,
};

use super::data_type::schema_from_proto;
use super::literal::literal_from_proto;
use super::{Converter, Error, invalid_plan, missing, not_set, unknown_enum};
use crate::failure::illegal_argument;
use crate::proto::spark::{self as proto, aggregate::GroupType, relation::RelType};

const MESSAGE: &str = "spark.connect.Relation";

impl Converter<'_> {
    pub fn relation(&mut self, message: proto::Relation) -> Result<Relation> {
        let plan_id = message.common.and_then(|c| c.plan_id);
        let rel_type = message.rel_type.ok_or_else(|| not_set(MESSAGE, "RELTYPE_NOT_SET"))?;
        let node = self.deeper(|this| this.node(rel_type))?;
        Ok(Relation::new(node).with_plan_id(plan_id))
    }

    /// The input of a relation that has one.
    pub(super) fn input(&mut self, message: Option<Box<proto::Relation>>) -> Result<Relation> {
        self.relation(*message.ok_or_else(|| missing(MESSAGE, "input"))?)
    }

    fn node(&mut self, rel_type: RelType) -> Result<RelationNode> {
        Ok(match rel_type {
            RelType::Read(r) => self.read(r)?,
            RelType::RelationChanges(r) => self.changes(r)?,
            RelType::LocalRelation(r) => self.local(r)?,
            RelType::CachedLocalRelation(r) => self.cached_local(&r.hash)?,
            RelType::ChunkedCachedLocalRelation(r) => self.chunked_local(r)?,
            RelType::CachedRemoteRelation(r) => RelationNode::CachedRemote(r.relation_id),
            RelType::Sql(s) => RelationNode::Sql(self.sql_text(s)?),
            RelType::Range(r) => self.range(&r)?,
            RelType::UnresolvedTableValuedFunction(f) => RelationNode::TableFunction {
                name: boathouse_sql::parse_name(&f.function_name)?,
                args: self.expressions(f.arguments)?,
            },
            RelType::CommonInlineUserDefinedTableFunction(f) => self.call_table_function(f)?,
            RelType::Catalog(c) => RelationNode::CommandResult(Box::new(self.catalog(c)?)),
            RelType::Extension(any) => self.delta_relation(&any)?,

            RelType::Project(p) => {
                // A projection of nothing but expressions (`spark.range` is not needed for `select(lit(1))`).
                let input = match p.input {
                    Some(input) => self.relation(*input)?,
                    None => RelationNode::OneRow.into(),
                };
                RelationNode::Project { input, exprs: self.expressions(p.expressions)? }
            }
            RelType::Filter(f) => RelationNode::Filter {
                input: self.input(f.input)?,
                condition: self.expression(f.condition.ok_or_else(|| missing(MESSAGE, "condition"))?)?,
            },
            RelType::Aggregate(a) => self.aggregate(*a)?,
            RelType::Sort(s) => RelationNode::Sort {
                input: self.input(s.input)?,
                order: self.sort_orders(s.order)?,
                global: s.is_global.unwrap_or(false),
            },
            RelType::Limit(l) => RelationNode::Limit {
                input: self.input(l.input)?,
                limit: Expr::Literal(integer(l.limit)),
                origin: Default::default(),
            },
            RelType::Offset(o) => RelationNode::Offset {
                input: self.input(o.input)?,
                offset: Expr::Literal(integer(o.offset)),
                origin: Default::default(),
            },
            RelType::Tail(t) => RelationNode::Tail { input: self.input(t.input)?, limit: i64::from(t.limit) },
            RelType::Deduplicate(d) => self.deduplicate(*d)?,
            RelType::SubqueryAlias(s) => RelationNode::SubqueryAlias {
                input: self.input(s.input)?,
                alias: s.alias,
                qualifier: s.qualifier,
                columns: Vec::new(),
            },
            RelType::Sample(s) => RelationNode::Sample(Sample {
                input: self.input(s.input)?,
                lower_bound: s.lower_bound,
                upper_bound: s.upper_bound,
                with_replacement: s.with_replacement.unwrap_or(false),
                seed: s.seed,
                rows: None,
                deterministic_order: s.deterministic_order,
            }),
            RelType::Repartition(r) => RelationNode::Repartition {
                input: self.input(r.input)?,
                partitions: partitions(r.num_partitions)?,
                shuffle: r.shuffle.unwrap_or(false),
            },
            RelType::RepartitionByExpression(r) => RelationNode::RepartitionBy {
                input: self.input(r.input)?,
                exprs: self.expressions(r.partition_exprs)?,
                partitions: r.num_partitions.map(partitions).transpose()?,
            },
            RelType::ToDf(t) => RelationNode::ToDf { input: self.input(t.input)?, names: t.column_names },
            RelType::ToSchema(t) => RelationNode::ToSchema {
                input: self.input(t.input)?,
                schema: schema_from_proto(
                    t.schema.ok_or_else(|| missing("spark.connect.ToSchema", "schema"))?,
                )?,
            },
            RelType::WithColumns(w) => self.with_columns(*w)?,
            RelType::WithColumnsRenamed(w) => self.rename_columns(*w)?,
            RelType::Drop(d) => RelationNode::Drop {
                input: self.input(d.input)?,
                columns: self.expressions(d.columns)?,
                names: d.column_names,
            },
            RelType::Hint(h) => RelationNode::Hint {
                input: self.input(h.input)?,
                name: h.name,
                parameters: self.expressions(h.parameters)?,
            },
            RelType::Unpivot(u) => self.unpivot(*u)?,
            RelType::Transpose(t) => RelationNode::Transpose {
                input: self.input(t.input)?,
                index: self.expressions(t.index_columns)?,
            },
            RelType::WithWatermark(w) => RelationNode::WithWatermark {
                input: self.input(w.input)?,
                event_time: w.event_time,
                delay: w.delay_threshold,
            },
            RelType::CollectMetrics(m) => RelationNode::CollectMetrics {
                input: self.input(m.input)?,
                name: m.name,
                metrics: self.expressions(m.metrics)?,
            },
            RelType::ShowString(s) => RelationNode::ShowString {
                input: self.input(s.input)?,
                rows: s.num_rows,
                truncate: s.truncate,
                vertical: s.vertical,
            },
            RelType::HtmlString(s) => RelationNode::HtmlString {
                input: self.input(s.input)?,
                rows: s.num_rows,
                truncate: s.truncate,
            },
            RelType::Parse(p) => self.parse(*p)?,
            RelType::MapPartitions(m) => self.map_partitions(*m)?,
            RelType::GroupMap(g) => self.group_map(*g)?,
            RelType::CoGroupMap(g) => self.cogroup_map(*g)?,

            RelType::Join(j) => self.join(*j)?,
            RelType::LateralJoin(j) => self.lateral_join(*j)?,
            RelType::AsOfJoin(j) => self.as_of_join(*j)?,
            RelType::SetOp(s) => self.set_operation(*s)?,
            RelType::WithRelations(w) => self.with_relations(*w)?,

            RelType::FillNa(n) => self.fill_na(*n)?,
            RelType::DropNa(n) => self.drop_na(*n)?,
            RelType::Replace(n) => self.replace_na(*n)?,
            RelType::Summary(s) => self.summary(*s)?,
            RelType::Describe(s) => self.describe(*s)?,
            RelType::Crosstab(s) => self.crosstab(*s)?,
            RelType::Cov(s) => self.covariance(*s)?,
            RelType::Corr(s) => self.correlation(*s)?,
            RelType::ApproxQuantile(s) => self.approx_quantile(*s)?,
            RelType::FreqItems(s) => self.frequent_items(*s)?,
            RelType::SampleBy(s) => self.sample_by(*s)?,

            RelType::ApplyInPandasWithState(a) => self.apply_with_state(*a)?,
            RelType::NearestByJoin(j) => self.nearest_by_join(*j)?,
            RelType::CommonInlineUserDefinedDataSource(_) => {
                return Err(Error::unsupported("Python data sources sent inline as a relation"));
            }
            RelType::MlRelation(_) => return Err(Error::unsupported("machine learning (pyspark.ml)")),
            RelType::Unknown(_) => return Err(Error::unsupported("the relation spark.connect.Unknown")),
        })
    }

    fn range(&mut self, r: &proto::Range) -> Result<RelationNode> {
        let partitions = r.num_partitions.map(partitions).transpose()?;
        Ok(RelationNode::Range { start: r.start.unwrap_or(0), end: r.end, step: r.step, partitions })
    }

    fn aggregate(&mut self, a: proto::Aggregate) -> Result<RelationNode> {
        let group_type = GroupType::try_from(a.group_type)
            .ok()
            .filter(|t| *t != GroupType::Unspecified)
            .ok_or_else(|| unknown_enum("spark.connect.Aggregate.GroupType", a.group_type))?;
        let input = a.input.ok_or_else(|| {
            invalid_plan("AGGREGATE_NEEDS_PLAN_INPUT").message("An aggregation has no input.")
        })?;
        let input = self.relation(*input)?;
        let grouping = self.expressions(a.grouping_expressions)?;
        let aggregates = self.expressions(a.aggregate_expressions)?;
        let kind = match group_type {
            GroupType::Rollup => GroupingKind::Rollup,
            GroupType::Cube => GroupingKind::Cube,
            GroupType::GroupingSets => {
                let sets = a.grouping_sets.into_iter().map(|s| self.expressions(s.grouping_set));
                GroupingKind::GroupingSets(sets.collect::<Result<_>>()?)
            }
            GroupType::Pivot => {
                let pivot = a.pivot.ok_or_else(|| {
                    invalid_plan("AGGREGATE_WITH_PIVOT_REQUIRES_PIVOT")
                        .message("A pivot has no pivot column.")
                })?;
                let column =
                    self.expression(pivot.col.ok_or_else(|| missing("spark.connect.Pivot", "col"))?)?;
                let values = pivot.values.into_iter().map(|v| literal_from_proto(v).map(Expr::Literal));
                let values = values.collect::<Result<Vec<_>>>()?;
                let grouping = Some(grouping);
                return Ok(RelationNode::Pivot(Pivot {
                    input,
                    grouping,
                    columns: vec![column],
                    values,
                    aggregates,
                }));
            }
            GroupType::Groupby | GroupType::Unspecified => GroupingKind::GroupBy,
        };
        Ok(RelationNode::Aggregate(Aggregate { input, kind, grouping, aggregates, grouping_first: true }))
    }

    fn deduplicate(&mut self, d: proto::Deduplicate) -> Result<RelationNode> {
        let all = d.all_columns_as_keys.unwrap_or(false);
        if all && !d.column_names.is_empty() {
            return Err(invalid_plan("DEDUPLICATE_ALL_COLUMNS_AND_SUBSET")
                .message("Rows are made distinct by all columns or by some, not by both."));
        }
        if !all && d.column_names.is_empty() {
            return Err(invalid_plan("DEDUPLICATE_REQUIRES_COLUMNS_OR_ALL")
                .message("Say by which columns rows are made distinct, or that all count."));
        }
        Ok(RelationNode::Deduplicate {
            input: self.input(d.input)?,
            columns: (!all).then_some(d.column_names),
            within_watermark: d.within_watermark.unwrap_or(false),
        })
    }

    fn with_columns(&mut self, w: proto::WithColumns) -> Result<RelationNode> {
        let input = self.input(w.input)?;
        let columns = w.aliases.into_iter().map(|mut alias| {
            if alias.name.len() != 1 {
                return Err(invalid_plan("WITH_COLUMNS_REQUIRE_SINGLE_NAME_PART")
                    .param("got", alias.name.join("."))
                    .message(format!("A new column has a name of one part, not {}.", alias.name.join("."))));
            }
            let name = alias.name.remove(0);
            Ok(WithColumn { name, expr: self.required(alias.expr, "expr")?, metadata: alias.metadata })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RelationNode::WithColumns { input, columns })
    }

    #[allow(deprecated)]
    fn rename_columns(&mut self, w: proto::WithColumnsRenamed) -> Result<RelationNode> {
        let renames = if w.renames.is_empty() {
            w.rename_columns_map.into_iter().collect()
        } else {
            w.renames.into_iter().map(|r| (r.col_name, r.new_col_name)).collect()
        };
        Ok(RelationNode::RenameColumns { input: self.input(w.input)?, renames })
    }

    fn unpivot(&mut self, u: proto::Unpivot) -> Result<RelationNode> {
        let input = self.input(u.input)?;
        let ids = self.expressions(u.ids)?;
        let values = match u.values {
            Some(values) => {
                let values = self.expressions(values.values)?;
                Some(values.into_iter().map(|v| (vec![v], None)).collect())
            }
            None => None,
        };
        Ok(RelationNode::Unpivot(Unpivot {
            input,
            ids: Some(ids),
            values,
            variable_column: u.variable_column_name,
            value_columns: vec![u.value_column_name],
            include_nulls: true,
        }))
    }

    fn parse(&mut self, p: proto::Parse) -> Result<RelationNode> {
        use proto::parse::ParseFormat;
        let format = match ParseFormat::try_from(p.format) {
            Ok(ParseFormat::Csv) => "csv",
            Ok(ParseFormat::Json) => "json",
            Ok(ParseFormat::Xml) => "xml",
            _ => return Err(unknown_enum("spark.connect.Parse.ParseFormat", p.format)),
        };
        Ok(RelationNode::Parse {
            input: self.input(p.input)?,
            format: format.into(),
            schema: p.schema.filter(|s| s.kind.is_some()).map(schema_from_proto).transpose()?,
            options: p.options.into_iter().collect(),
        })
    }

    fn map_partitions(&mut self, m: proto::MapPartitions) -> Result<RelationNode> {
        if m.profile_id.is_some() {
            return Err(Error::unsupported("resource profiles (mapInPandas and mapInArrow with `profile`)"));
        }
        let input = self.input(m.input)?;
        let func = m.func.ok_or_else(|| missing("spark.connect.MapPartitions", "func"))?;
        let name = func.function_name.clone();
        let (function, _) = self.inline_function(func)?;
        Ok(RelationNode::MapPartitions { input, function, name, barrier: m.is_barrier.unwrap_or(false) })
    }

    fn group_map(&mut self, mut g: proto::GroupMap) -> Result<RelationNode> {
        if let Some(info) = g.transform_with_state_info.take() {
            return self.transform_with_state(g, info);
        }
        if g.is_map_groups_with_state.is_some() || g.state_schema.is_some() {
            return Err(Error::unsupported("mapGroupsWithState and flatMapGroupsWithState"));
        }
        if g.initial_input.is_some() || !g.initial_grouping_expressions.is_empty() {
            return Err(Error::unsupported("an initial state for a grouped map"));
        }
        let input = self.input(g.input)?;
        let grouping = self.expressions(g.grouping_expressions)?;
        let sort = self.sort_expressions(g.sorting_expressions)?;
        let func = g.func.ok_or_else(|| missing("spark.connect.GroupMap", "func"))?;
        let name = func.function_name.clone();
        let (function, args) = self.inline_function(func)?;
        Ok(RelationNode::GroupMap { input, grouping, sort, function, name, args })
    }

    fn cogroup_map(&mut self, g: proto::CoGroupMap) -> Result<RelationNode> {
        if !g.input_sorting_expressions.is_empty() || !g.other_sorting_expressions.is_empty() {
            return Err(Error::unsupported("sorted groups in a cogrouped map"));
        }
        let left = self.input(g.input)?;
        let right = self.input(g.other)?;
        let func = g.func.ok_or_else(|| missing("spark.connect.CoGroupMap", "func"))?;
        let name = func.function_name.clone();
        Ok(RelationNode::CoGroupMap {
            left,
            right,
            left_grouping: self.expressions(g.input_grouping_expressions)?,
            right_grouping: self.expressions(g.other_grouping_expressions)?,
            function: self.inline_function(func)?.0,
            name,
        })
    }
}

fn integer(value: i32) -> boathouse_spec::Literal {
    boathouse_spec::Literal::Integer(value)
}

fn partitions(count: i32) -> Result<u32> {
    u32::try_from(count)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| illegal_argument(format!("The number of partitions ({count}) must be positive.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::test_support::Uploaded;

    fn convert(rel_type: RelType) -> Result<Relation> {
        let artifacts = Uploaded::default();
        Converter::new(&artifacts).relation(proto::Relation { common: None, rel_type: Some(rel_type) })
    }

    fn range() -> Option<Box<proto::Relation>> {
        let range = proto::Range { start: None, end: 3, step: 1, num_partitions: None };
        Some(Box::new(proto::Relation { common: None, rel_type: Some(RelType::Range(range)) }))
    }

    #[test]
    fn an_empty_relation_is_refused_as_spark_does() {
        let artifacts = Uploaded::default();
        let error = Converter::new(&artifacts).relation(proto::Relation::default());
        assert!(error.is_err_and(|e| {
            e.class() == "CONNECT_INVALID_PLAN.INVALID_ONE_OF_FIELD_NOT_SET"
                && e.parameters()[1] == ("name".to_string(), "RELTYPE_NOT_SET".to_string())
        }));
    }

    #[test]
    fn plan_ids_are_kept() {
        let common = Some(proto::RelationCommon { plan_id: Some(7), ..Default::default() });
        let message = proto::Relation { common, ..*range().unwrap_or_default() };
        let artifacts = Uploaded::default();
        let relation = Converter::new(&artifacts).relation(message);
        assert_eq!(relation.ok().and_then(|r| r.plan_id), Some(7));
    }

    #[test]
    fn distinct_needs_its_columns() {
        let dedup = proto::Deduplicate { input: range(), ..Default::default() };
        let error = convert(RelType::Deduplicate(Box::new(dedup)));
        assert!(
            error.is_err_and(|e| e.class() == "CONNECT_INVALID_PLAN.DEDUPLICATE_REQUIRES_COLUMNS_OR_ALL")
        );
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = convert(RelType::MlRelation(Box::default()));
        assert!(error.is_err_and(|e| e.text().contains("machine learning")));
    }
}
