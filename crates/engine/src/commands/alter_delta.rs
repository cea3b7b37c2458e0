//! `ALTER TABLE` on Delta tables: a commit of new metadata.

use std::sync::Arc;

use boathouse_delta::{
    ColumnChange as DeltaChange, ColumnPlace, Committed, DmlOptions, NewColumn as DeltaColumn,
};
use boathouse_functions::cast;
use boathouse_spec::{
    ColumnChange, ColumnDefinition, ColumnPosition, DataType, Error, NewColumn, Result, StructType,
    TableChange, TableConstraint, TextExpr,
};
use indexmap::IndexMap;

use crate::commands::table_expressions::{TableScope, dml_options};
use crate::commands::{alter_table, column_default, create_table, insert, write};
use crate::resolver::{DeltaSource, ResolvedTable};
use crate::{Session, execute};

fn is_mapping_mode(key: &str) -> bool {
    key.eq_ignore_ascii_case("delta.columnMapping.mode")
}

const ALLOWS_REMOVAL: &str = "columnMapping.allowRemoval";

/// Refuses a change that the session has switched off.
fn refuse_unless(session: &Session, key: &str, class: &str) -> Result<()> {
    let key = format!("spark.databricks.delta.{key}");
    match session.conf().flag(&key) {
        true => Ok(()),
        false => Err(Error::new(class)
            .message(format!("The session does not allow this change: {key} is false."))
            .exception("AnalysisException")),
    }
}

/// Spark says of a value that a catalog does not take that the change is not supported.
fn not_taken(e: Error) -> Error {
    if e.class() != "DELTA_VIOLATE_TABLE_PROPERTY_VALIDATION_FAILED" {
        return e;
    }
    let text = e.text().to_string();
    Error::new("UNSUPPORTED_TABLE_CHANGE")
        .param("message", &text)
        .message(format!("The table cannot be changed so: {text}"))
}

fn sets_no_mapping(properties: &IndexMap<String, String>) -> bool {
    properties.iter().any(|(key, value)| is_mapping_mode(key) && value.eq_ignore_ascii_case("none"))
}

pub(super) async fn change(session: &Arc<Session>, table: &ResolvedTable, change: TableChange) -> Result<()> {
    let Some(change) = alter_table::in_catalog(session, table, change).await? else { return Ok(()) };
    let Some(delta) = &table.delta else {
        return Err(Error::internal("a change of a Delta table that is none"));
    };
    let options = dml_options(session, Vec::new());
    // Each change of one statement begins where the last ended.
    let snapshot = delta.table.latest().await?;
    let committed = match change {
        TableChange::SetProperties(properties) => {
            let mut properties: IndexMap<String, String> = properties.into_iter().collect();
            let mut current = snapshot.clone();
            if current.maps_columns() && sets_no_mapping(&properties) {
                refuse_unless(session, ALLOWS_REMOVAL, "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE")?;
                properties.retain(|key, _| !is_mapping_mode(key));
                let state = execute::query_state(session);
                let done = boathouse_delta::remove_mapping(&current, &state, Some("none"), &options).await?;
                if properties.is_empty() {
                    return self::done(session, table, delta, done).await;
                }
                current = done.snapshot;
            }
            boathouse_delta::set_properties(&current, &properties, &options).await.map_err(not_taken)?
        }
        TableChange::UnsetProperties { keys, .. }
            if snapshot.maps_columns() && keys.len() == 1 && is_mapping_mode(&keys[0]) =>
        {
            refuse_unless(session, ALLOWS_REMOVAL, "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE")?;
            let state = execute::query_state(session);
            boathouse_delta::remove_mapping(&snapshot, &state, None, &options).await?
        }
        TableChange::UnsetProperties { keys, .. } => {
            boathouse_delta::unset_properties(&snapshot, &keys, &options).await?
        }
        TableChange::AddColumns { columns, if_not_exists } => {
            let columns = new_columns(columns)?;
            let columns: Vec<DeltaColumn> = columns
                .into_iter()
                .filter(|c| {
                    !(if_not_exists
                        && c.parent.is_empty()
                        && snapshot.schema().field(&c.field.name).is_some())
                })
                .collect();
            if columns.is_empty() {
                return Ok(());
            }
            boathouse_delta::add_columns(&snapshot, &columns, &options).await?
        }
        TableChange::DropColumns { columns, if_exists } => {
            refuse_unless(session, "alterTable.dropColumn.enabled", "DELTA_UNSUPPORTED_DROP_COLUMN")?;
            let columns: Vec<_> = columns
                .into_iter()
                .filter(|c| !(if_exists && c.len() == 1 && snapshot.schema().field(&c[0]).is_none()))
                .collect();
            if columns.is_empty() {
                return Ok(());
            }
            boathouse_delta::drop_columns(&snapshot, &columns, &options).await?
        }
        TableChange::ReplaceColumns(columns) => {
            boathouse_delta::replace_columns(&snapshot, &replacing(&columns)?, &options).await?
        }
        TableChange::RenameColumn { from, to } => {
            boathouse_delta::rename_column(&snapshot, &from, &to, &options).await?
        }
        TableChange::AlterColumn { column, change: ColumnChange::SyncIdentity } => {
            let state = execute::query_state(session);
            let done = boathouse_delta::sync_identity(&snapshot, &state, &column.join("."), &options).await?;
            match done {
                Some(committed) => committed,
                None => return Ok(()),
            }
        }
        TableChange::ClusterBy(columns) => {
            boathouse_delta::cluster_by(&snapshot, &columns.unwrap_or_default(), &options).await?
        }
        TableChange::AlterColumn { column, change } => {
            match &change {
                ColumnChange::SetDefault(default) => check_default(session, table, &column, default).await?,
                ColumnChange::Type(wanted) => refuse_narrowing(table, snapshot.schema(), &column, wanted)?,
                _ => {}
            }
            let change = column_change(change)?;
            let state = execute::query_state(session);
            boathouse_delta::change_column(&snapshot, &state, &column, &change, &options).await?
        }
        TableChange::AddConstraint(TableConstraint::Check { name, condition }) => {
            let name = name.unwrap_or_else(|| "check".to_string());
            add_check(session, table, delta, &name, condition, &options).await?
        }
        TableChange::AddConstraint(constraint) => return add_key(session, table, constraint).await,
        TableChange::DropConstraint { name, if_exists, .. } => {
            if drop_key(session, table, &name).await? {
                return Ok(());
            }
            let passes_over =
                session.conf().flag("spark.databricks.delta.constraints.assumesDropIfExists.enabled");
            boathouse_delta::drop_constraint(&snapshot, &name, if_exists || passes_over, &options).await?
        }
        TableChange::AddFeature(feature) => {
            let properties = IndexMap::from([(format!("delta.feature.{feature}"), "supported".to_string())]);
            boathouse_delta::set_properties(&snapshot, &properties, &options).await?
        }
        TableChange::DropFeature { name, truncate_history } => {
            let state = execute::query_state(session);
            boathouse_delta::drop_feature(&delta.table, &state, &name, truncate_history, &options).await?;
            session.engine.cache.changed(&delta.table.location().uri()).await;
            return write::sync_record(session, table).await;
        }
        TableChange::SetLocation { location, partition: None } => {
            return set_location(session, table, &location).await;
        }
        other => {
            let debug = format!("{other:?}");
            let end = debug.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(debug.len());
            return Err(Error::unsupported(format!("ALTER TABLE ({}) on a Delta table", &debug[..end])));
        }
    };
    done(session, table, delta, committed).await
}

async fn done(
    session: &Arc<Session>,
    table: &ResolvedTable,
    delta: &DeltaSource,
    committed: Committed,
) -> Result<()> {
    session.committed(&delta.table, &committed);
    session.engine.cache.changed(&delta.table.location().uri()).await;
    write::sync_record(session, table).await
}

fn new_columns(columns: Vec<NewColumn>) -> Result<Vec<DeltaColumn>> {
    columns
        .into_iter()
        .map(|column| {
            if column.definition.default.is_some() {
                return Err(Error::new("WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED")
                    .message(format!(
                        "Rows that exist would need the default of {}: add the column first, then set its default.",
                        boathouse_spec::quote_name(&column.name)
                    ))
                    .exception("AnalysisException"));
            }
            let mut field = create_table::field_of(&column.definition)?;
            let mut parent = column.name.clone();
            if let Some(last) = parent.pop() {
                field.name = last;
            }
            Ok(DeltaColumn { parent, field, place: place(column.position) })
        })
        .collect()
}

/// The columns of `REPLACE COLUMNS`, each named once.
fn replacing(columns: &[ColumnDefinition]) -> Result<StructType> {
    let fields = columns.iter().map(create_table::field_of).collect::<Result<Vec<_>>>()?;
    let is_twice = |i: &usize| fields[..*i].iter().any(|f| f.name.eq_ignore_ascii_case(&fields[*i].name));
    match (0..fields.len()).find(is_twice) {
        Some(i) => Err(insert::duplicate(&fields[i].name)),
        None => Ok(StructType::new(fields)),
    }
}

fn place(position: Option<ColumnPosition>) -> ColumnPlace {
    match position {
        None => ColumnPlace::Last,
        Some(ColumnPosition::First) => ColumnPlace::First,
        Some(ColumnPosition::After(column)) => ColumnPlace::After(column),
    }
}

fn column_change(change: ColumnChange) -> Result<DeltaChange> {
    let mut out = DeltaChange::default();
    match change {
        ColumnChange::Type(t) => out.data_type = Some(t),
        ColumnChange::Comment(comment) => out.comment = Some(comment),
        ColumnChange::Position(position) => out.place = Some(place(Some(position))),
        ColumnChange::SetNotNull => out.nullable = Some(false),
        ColumnChange::DropNotNull => out.nullable = Some(true),
        ColumnChange::SetDefault(default) => out.default = Some(Some(default.text)),
        ColumnChange::DropDefault => out.default = Some(None),
        ColumnChange::SyncIdentity => return Err(Error::unsupported("SYNC IDENTITY")),
        ColumnChange::SetTags(_) | ColumnChange::UnsetTags(_) => {
            return Err(Error::unsupported("tags on columns"));
        }
    }
    Ok(out)
}

/// A column keeps every value it has, whatever the table can do.
fn refuse_narrowing(
    table: &ResolvedTable,
    schema: &StructType,
    column: &[String],
    wanted: &DataType,
) -> Result<()> {
    let Some(field) = boathouse_delta::field_at(schema, column) else { return Ok(()) };
    let (old, new) = (&boathouse_delta::declared_type(&field), wanted);
    if old == new {
        return Ok(());
    }
    refuse_nested_type(table, column, new)?;
    let fits = match (old, new) {
        (DataType::Varchar(a) | DataType::Char(a), DataType::Varchar(b)) => a <= b,
        (_, DataType::Varchar(_) | DataType::Char(_)) => false,
        (old, DataType::String { .. }) => old.is_atomic(),
        (old, new) => (old.is_datetime() && new.is_datetime()) || cast::is_up_cast(old, new),
    };
    if fits {
        return Ok(());
    }
    let name = boathouse_spec::quote_name(column);
    Err(Error::new("NOT_SUPPORTED_CHANGE_COLUMN")
        .param("table", table.display_name())
        .param("originName", &name)
        .param("originType", format!("\"{}\"", old.sql()))
        .param("newName", &name)
        .param("newType", format!("\"{}\"", new.sql()))
        .message(format!(
            "The column {name} of {} is {}, and cannot become {}.",
            table.display_name(),
            old.sql(),
            new.sql()
        ))
        .exception("AnalysisException"))
}

/// The fields, elements and sides of a nested type are changed one by one.
fn refuse_nested_type(table: &ResolvedTable, column: &[String], wanted: &DataType) -> Result<()> {
    let (kind, parts) = match wanted {
        DataType::Struct(_) => ("STRUCT_TYPE", "the field"),
        DataType::Array { .. } => ("ARRAY_TYPE", "the field `element`"),
        DataType::Map { .. } => ("MAP_TYPE", "the field `key` or `value`"),
        _ => return Ok(()),
    };
    let name = boathouse_spec::quote_name(column);
    Err(Error::new(format!("CANNOT_UPDATE_FIELD.{kind}"))
        .param("table", table.display_name())
        .param("fieldName", &name)
        .message(format!("The type of {name} cannot be changed as a whole: change {parts} inside of it."))
        .exception("AnalysisException"))
}

/// A default is a constant that the column takes.
async fn check_default(
    session: &Arc<Session>,
    table: &ResolvedTable,
    column: &[String],
    default: &TextExpr,
) -> Result<()> {
    let field = match column {
        [name] => table.schema.field(name).cloned(),
        _ => None,
    };
    let Some(field) = field else { return Ok(()) };
    let default = default.clone();
    session
        .analyze(move |analyzer| {
            column_default::check(analyzer, "ALTER TABLE", &field.name, &field.data_type, &default)
        })
        .await
}

async fn add_check(
    session: &Arc<Session>,
    table: &ResolvedTable,
    delta: &DeltaSource,
    name: &str,
    condition: TextExpr,
    options: &DmlOptions,
) -> Result<Committed> {
    let opened = table.clone();
    let predicate = session
        .analyze(move |analyzer| {
            let scope = TableScope::open(analyzer, &opened, None)?;
            let mut predicate = scope.condition(analyzer, &condition.expr, "CHECK")?;
            predicate.sql = condition.text;
            Ok(predicate)
        })
        .await?;
    let state = execute::query_state(session);
    boathouse_delta::add_constraint(&delta.snapshot, &state, name, &predicate, options).await
}

/// Keys are recorded in the catalog and not enforced.
async fn add_key(session: &Arc<Session>, table: &ResolvedTable, constraint: TableConstraint) -> Result<()> {
    let Some(record) = &table.record else {
        return Err(Error::unsupported("keys of a table that is only a path"));
    };
    let (name, text) = match constraint {
        TableConstraint::PrimaryKey { name, columns } => (
            name.unwrap_or_else(|| "primary_key".to_string()),
            format!("PRIMARY KEY ({})", columns.join(", ")),
        ),
        TableConstraint::ForeignKey { name, columns, table, references } => (
            name.unwrap_or_else(|| "foreign_key".to_string()),
            format!(
                "FOREIGN KEY ({}) REFERENCES {} ({})",
                columns.join(", "),
                table.join("."),
                references.join(", ")
            ),
        ),
        _ => return Err(Error::unsupported("this kind of constraint on a table")),
    };
    alter_table::set_properties(session, record, vec![(create_table::key_property(&name), text)]).await
}

/// Drops a key of that name, where there is one.
async fn drop_key(session: &Arc<Session>, table: &ResolvedTable, name: &str) -> Result<bool> {
    let Some(record) = &table.record else { return Ok(false) };
    let key = create_table::key_property(name);
    if !record.properties.contains_key(&key) {
        return Ok(false);
    }
    alter_table::unset_properties(session, record, vec![key]).await?;
    Ok(true)
}

async fn set_location(session: &Arc<Session>, table: &ResolvedTable, location: &str) -> Result<()> {
    let Some(record) = &table.record else {
        return Err(Error::unsupported("SET LOCATION of a table that is only a path"));
    };
    if record.manages_commits {
        return Err(Error::unsupported("SET LOCATION of a table whose commits the catalog manages"));
    }
    let url = session.storage().url(location)?;
    let there = session.storage().delta(&url)?.latest().await?;
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, move |record| {
            record.location = Some(url.to_string());
            record.schema = there.schema().clone();
            record.partition_columns = there.partition_columns().to_vec();
            Ok(())
        })
        .await?;
    session.engine.cache.dropped(&record.name.parts());
    Ok(())
}

/// The description that the table's log keeps.
pub(super) async fn set_comment(
    session: &Arc<Session>,
    table: &ResolvedTable,
    comment: Option<String>,
) -> Result<()> {
    let change_ = match comment {
        Some(comment) => TableChange::SetProperties(vec![("comment".to_string(), comment)]),
        None => TableChange::UnsetProperties { keys: vec!["comment".to_string()], if_exists: true },
    };
    change(session, table, change_).await
}
