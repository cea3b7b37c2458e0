//! Delta Connect: what `delta.tables.DeltaTable` sends inside relations and commands.
//!
//! DELETE, UPDATE, MERGE and their like are relations that a client collects exactly once; their rows are what the
//! command gives.

use boathouse_spec::{
    ColumnDefinition, Command, CreateMode, CreateTable, Error, Expr, Identity, Literal, Merge, MergeAction,
    MergeClause, Name, PartitionField, RelationNode, Result, TableChange, TableRef, TextExpr, TimeTravel,
    VacuumMode, parse_attribute_name, parse_attribute_names,
};
use prost_types::Any;

use super::data_type::{data_type_from_proto, parse_schema_text, schema_from_proto};
use super::expression::no_handler;
use super::plan::decode;
use super::{Converter, missing, not_set, unknown_enum};
use crate::proto::delta::{self as proto, delta_command::CommandType, delta_relation::RelationType};
use crate::proto::spark;

const RELATION: &str = "delta.connect.DeltaRelation";
const COMMAND: &str = "delta.connect.DeltaCommand";

impl Converter<'_> {
    pub(super) fn delta_relation(&mut self, any: &Any) -> Result<RelationNode> {
        if !any.type_url.ends_with(RELATION) {
            return Err(no_handler(&any.type_url));
        }
        let message: proto::DeltaRelation = decode(&any.value)?;
        let relation = message.relation_type.ok_or_else(|| not_set(RELATION, "RELATIONTYPE_NOT_SET"))?;
        let command = match relation {
            RelationType::Scan(s) => {
                let name = table(s.table)?;
                return Ok(RelationNode::Table(TableRef { name, is_delta: true, ..TableRef::default() }));
            }
            RelationType::DescribeHistory(d) => {
                Command::DescribeHistory { table: table(d.table)?, limit: None }
            }
            RelationType::DescribeDetail(d) => Command::DescribeDetail { table: table(d.table)? },
            RelationType::IsDeltaTable(d) => Command::IsDeltaTable { path: d.path },
            RelationType::ConvertToDelta(c) => {
                use proto::convert_to_delta::PartitionSchema;
                let partition_schema = match c.partition_schema {
                    None => None,
                    Some(PartitionSchema::PartitionSchemaString(text)) => Some(parse_schema_text(&text)?),
                    Some(PartitionSchema::PartitionSchemaStruct(t)) => Some(schema_from_proto(t)?),
                };
                let table = boathouse_sql::parse_name(&c.identifier)?;
                Command::ConvertToDelta { table, partition_schema, no_statistics: false, names_table: true }
            }
            RelationType::RestoreTable(r) => {
                use proto::restore_table::VersionOrTimestamp;
                let to = match r
                    .version_or_timestamp
                    .ok_or_else(|| missing(RELATION, "version_or_timestamp"))?
                {
                    VersionOrTimestamp::Version(v) => TimeTravel::Version(Expr::Literal(Literal::Long(v))),
                    VersionOrTimestamp::Timestamp(t) => TimeTravel::Timestamp(Expr::string(t)),
                };
                Command::Restore { table: table(r.table)?, to }
            }
            RelationType::DeleteFromTable(d) => {
                let (table, alias) = self.target(d.target)?;
                Command::Delete {
                    table,
                    alias,
                    condition: d.condition.map(|c| self.expression(c)).transpose()?,
                }
            }
            RelationType::UpdateTable(u) => {
                let (table, alias) = self.target(u.target)?;
                let condition = u.condition.map(|c| self.expression(c)).transpose()?;
                let assignments = self.assignments(u.assignments)?.into_iter();
                let assignments = assignments.map(|(field, value)| Ok((column_name(field)?, value)));
                let assignments = assignments.collect::<Result<Vec<_>>>()?;
                Command::Update { table, alias, assignments, condition }
            }
            RelationType::MergeIntoTable(m) => self.delta_merge(m)?,
            RelationType::OptimizeTable(o) => Command::Optimize {
                table: table(o.table)?,
                condition: filters(o.partition_filters),
                zorder_by: parse_attribute_names(&o.zorder_columns)?,
                full: false,
            },
        };
        Ok(RelationNode::CommandResult(Box::new(command)))
    }

    pub(super) fn delta_command(&mut self, any: &Any) -> Result<Command> {
        if !any.type_url.ends_with(COMMAND) {
            return Err(no_handler(&any.type_url));
        }
        let message: proto::DeltaCommand = decode(&any.value)?;
        Ok(match message.command_type.ok_or_else(|| not_set(COMMAND, "COMMANDTYPE_NOT_SET"))? {
            CommandType::CloneTable(c) => {
                use proto::clone_table::VersionOrTimestamp;
                let time_travel = c.version_or_timestamp.map(|at| match at {
                    VersionOrTimestamp::Version(v) => TimeTravel::Version(Expr::Literal(Literal::Integer(v))),
                    VersionOrTimestamp::Timestamp(t) => TimeTravel::Timestamp(Expr::string(t)),
                });
                Command::Clone {
                    target: name_or_path(&c.target)?,
                    source: table(c.table)?,
                    time_travel,
                    shallow: c.is_shallow,
                    or_replace: c.replace,
                    if_not_exists: false,
                    properties: c.properties.into_iter().collect(),
                    location: None,
                }
            }
            CommandType::VacuumTable(v) => Command::Vacuum {
                table: table(v.table)?,
                retain_hours: v.retention_hours,
                dry_run: false,
                mode: VacuumMode::Default,
                inventory: None,
            },
            CommandType::UpgradeTableProtocol(u) => {
                let versions = [
                    ("delta.minReaderVersion", u.reader_version),
                    ("delta.minWriterVersion", u.writer_version),
                ];
                let properties = versions.map(|(key, version)| (key.to_string(), version.to_string()));
                alter(table(u.table)?, TableChange::SetProperties(properties.to_vec()))
            }
            CommandType::AddFeatureSupport(f) => {
                alter(table(f.table)?, TableChange::AddFeature(f.feature_name))
            }
            CommandType::DropFeatureSupport(f) => {
                let truncate_history = f.truncate_history.unwrap_or(false);
                alter(table(f.table)?, TableChange::DropFeature { name: f.feature_name, truncate_history })
            }
            CommandType::Generate(g) => Command::Generate { table: table(g.table)?, mode: g.mode },
            CommandType::CreateDeltaTable(c) => create_table(c)?,
        })
    }

    /// The table under an UPDATE or DELETE, with its alias. A client sends a scan of it, or an alias over one.
    fn target(&mut self, message: Option<spark::Relation>) -> Result<(Name, Option<String>)> {
        let relation = self.relation(message.ok_or_else(|| missing(RELATION, "target"))?)?;
        let (alias, node) = match *relation.node {
            RelationNode::SubqueryAlias { input, alias, .. } => (Some(alias), *input.node),
            other => (None, other),
        };
        match node {
            RelationNode::Table(t) => Ok((t.name, alias)),
            _ => Err(Error::new("DELTA_UNSUPPORTED_SOURCE")
                .param("operation", "DELETE or UPDATE")
                .param("plan", "the target")
                .exception("AnalysisException")
                .message("DELETE and UPDATE change a Delta table, and the target of this one is none.")),
        }
    }

    fn delta_merge(&mut self, m: proto::MergeIntoTable) -> Result<Command> {
        let required = |field: &'static str| move || missing("delta.connect.MergeIntoTable", field);
        Ok(Command::Merge(Box::new(Merge {
            target: self.relation(m.target.ok_or_else(required("target"))?)?,
            source: self.relation(m.source.ok_or_else(required("source"))?)?,
            condition: self.expression(m.condition.ok_or_else(required("condition"))?)?,
            matched: self.delta_clauses(m.matched_actions)?,
            not_matched: self.delta_clauses(m.not_matched_actions)?,
            not_matched_by_source: self.delta_clauses(m.not_matched_by_source_actions)?,
            with_schema_evolution: m.with_schema_evolution.unwrap_or(false),
        })))
    }

    fn delta_clauses(&mut self, actions: Vec<proto::merge_into_table::Action>) -> Result<Vec<MergeClause>> {
        use proto::merge_into_table::action::ActionType;
        let clauses = actions.into_iter().map(|a| {
            let condition = a.condition.map(|c| self.expression(c)).transpose()?;
            let action = a.action_type;
            let action = match action
                .ok_or_else(|| not_set("delta.connect.MergeIntoTable.Action", "ACTIONTYPE_NOT_SET"))?
            {
                ActionType::DeleteAction(_) => MergeAction::Delete,
                ActionType::UpdateAction(u) => MergeAction::Update(self.assignments(u.assignments)?),
                ActionType::UpdateStarAction(_) => MergeAction::UpdateAll,
                ActionType::InsertAction(i) => MergeAction::Insert(self.assignments(i.assignments)?),
                ActionType::InsertStarAction(_) => MergeAction::InsertAll,
            };
            Ok(MergeClause { condition, action })
        });
        clauses.collect()
    }

    fn assignments(&mut self, messages: Vec<proto::Assignment>) -> Result<Vec<(Expr, Expr)>> {
        messages.into_iter().map(|a| self.assignment(a.field, a.value)).collect()
    }
}

/// A table by its name, or by its path as the name `` delta.`path` ``.
fn table(message: Option<proto::DeltaTable>) -> Result<Name> {
    use proto::delta_table::AccessType;
    let message = message.ok_or_else(|| missing("delta.connect.DeltaTable", "table"))?;
    match message.access_type.ok_or_else(|| not_set("delta.connect.DeltaTable", "ACCESSTYPE_NOT_SET"))? {
        AccessType::Path(p) if !p.hadoop_conf.is_empty() => {
            Err(Error::unsupported("Hadoop settings for one table (hadoopConf of DeltaTable.forPath)"))
        }
        AccessType::Path(p) => Ok(vec!["delta".into(), p.path]),
        AccessType::TableOrViewName(name) => name_or_path(&name),
    }
}

/// A name, or the absolute path of a table without one: the target of a clone may be either, and the client then opens the
/// clone by `forName` whichever it is.
fn name_or_path(text: &str) -> Result<Name> {
    if text.starts_with('/') || text.contains(":/") {
        return Ok(vec!["delta".to_string(), text.to_string()]);
    }
    boathouse_sql::parse_name(text)
}

fn column_name(field: Expr) -> Result<Name> {
    match field {
        Expr::Column(column) => Ok(column.name),
        Expr::Text(text) => parse_attribute_name(&text),
        other => Err(Error::new("DELTA_UNSUPPORTED_FIELD_UPDATE_NON_STRUCT")
            .param("columnName", format!("{other:?}"))
            .exception("AnalysisException")
            .message("UPDATE sets columns and fields of structs only.")),
    }
}

/// Filters that all hold, as one text.
fn filters(texts: Vec<String>) -> Option<TextExpr> {
    let text = match texts.as_slice() {
        [] => return None,
        [one] => one.clone(),
        several => several.iter().map(|t| format!("({t})")).collect::<Vec<_>>().join(" AND "),
    };
    Some(TextExpr { expr: Expr::Text(text.clone()), text })
}

fn alter(name: Name, change: TableChange) -> Command {
    Command::AlterTable { name, if_exists: false, is_view: false, changes: vec![change] }
}

fn create_table(c: proto::CreateDeltaTable) -> Result<Command> {
    use proto::create_delta_table::Mode;
    let mode = match Mode::try_from(c.mode) {
        Ok(Mode::Create) => CreateMode::Create,
        Ok(Mode::CreateIfNotExists) => CreateMode::IfNotExists,
        Ok(Mode::Replace) => CreateMode::Replace,
        Ok(Mode::CreateOrReplace) => CreateMode::OrReplace,
        _ => return Err(unknown_enum("delta.connect.CreateDeltaTable.Mode", c.mode)),
    };
    let name = match (&c.table_name, &c.location) {
        (Some(name), _) => boathouse_sql::parse_name(name)?,
        (None, Some(path)) => vec!["delta".into(), path.clone()],
        (None, None) => return Err(missing("delta.connect.CreateDeltaTable", "table_name")),
    };
    let location = if c.table_name.is_some() { c.location } else { None };
    let columns = c.columns.into_iter().map(column).collect::<Result<Vec<_>>>()?;
    let partition_by =
        c.partitioning_columns.iter().map(|p| parse_attribute_name(p).map(PartitionField::Column));
    let partition_by = partition_by.collect::<Result<Vec<_>>>()?;
    let cluster_by = parse_attribute_names(&c.clustering_columns)?;
    Ok(Command::CreateTable(Box::new(CreateTable {
        name,
        mode,
        columns,
        provider: Some("delta".into()),
        partition_by,
        cluster_by: (!cluster_by.is_empty()).then_some(cluster_by),
        location,
        comment: c.comment,
        properties: c.properties.into_iter().collect(),
        ..CreateTable::default()
    })))
}

fn column(c: proto::create_delta_table::Column) -> Result<ColumnDefinition> {
    Ok(ColumnDefinition {
        name: c.name,
        data_type: data_type_from_proto(
            c.data_type.ok_or_else(|| missing("delta.connect.CreateDeltaTable.Column", "data_type"))?,
        )?,
        nullable: c.nullable,
        comment: c.comment,
        default: None,
        generated: c.generated_always_as.map(|text| TextExpr { expr: Expr::Text(text.clone()), text }),
        identity: c.identity_info.map(|i| Identity {
            start: i.start,
            step: i.step,
            allow_explicit: i.allow_explicit_insert,
        }),
        mask: None,
        mask_using: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use boathouse_spec::Relation;
    use prost::Message;

    use super::*;
    use crate::convert::test_support::Uploaded;

    fn relation(relation_type: RelationType) -> Result<Relation> {
        let message = proto::DeltaRelation { relation_type: Some(relation_type) };
        let any = Any { type_url: format!("type.googleapis.com/{RELATION}"), value: message.encode_to_vec() };
        let relation =
            spark::Relation { common: None, rel_type: Some(spark::relation::RelType::Extension(any)) };
        let artifacts = Uploaded::default();
        Converter::new(&artifacts).relation(relation)
    }

    fn by_path(path: &str) -> Option<proto::DeltaTable> {
        use proto::delta_table::{AccessType, Path};
        let path = Path { path: path.into(), ..Default::default() };
        Some(proto::DeltaTable { access_type: Some(AccessType::Path(path)) })
    }

    #[test]
    fn a_path_is_a_table_of_the_delta_format() {
        let scan = relation(RelationType::Scan(proto::Scan { table: by_path("/data/t") }));
        assert!(
            matches!(scan.map(|r| *r.node), Ok(RelationNode::Table(t)) if t.name == ["delta", "/data/t"])
        );
    }

    #[test]
    fn delete_finds_the_table_under_its_alias() {
        let scan = proto::DeltaRelation {
            relation_type: Some(RelationType::Scan(proto::Scan { table: by_path("/t") })),
        };
        let any = Any { type_url: format!("type.googleapis.com/{RELATION}"), value: scan.encode_to_vec() };
        let scan = spark::Relation { common: None, rel_type: Some(spark::relation::RelType::Extension(any)) };
        let alias =
            spark::SubqueryAlias { input: Some(Box::new(scan)), alias: "x".into(), qualifier: vec![] };
        let target = spark::Relation {
            common: None,
            rel_type: Some(spark::relation::RelType::SubqueryAlias(Box::new(alias))),
        };
        let delete = proto::DeleteFromTable { target: Some(target), condition: None };
        let node = relation(RelationType::DeleteFromTable(delete)).map(|r| *r.node);
        let Ok(RelationNode::CommandResult(command)) = node else { panic!("{node:?}") };
        let expected = Command::Delete {
            table: vec!["delta".into(), "/t".into()],
            alias: Some("x".into()),
            condition: None,
        };
        assert_eq!(*command, expected);
    }

    #[test]
    fn filters_hold_together() {
        assert_eq!(filters(vec![]), None);
        let both = filters(vec!["a = 1".into(), "b = 2".into()]);
        assert_eq!(both.map(|t| t.text).as_deref(), Some("(a = 1) AND (b = 2)"));
    }
}
