//! `ALTER TABLE` and `ALTER VIEW`.

use std::sync::Arc;

use boathouse_catalog::{SESSION_CATALOG, TableRecord};
use boathouse_spec::{
    ColumnChange, ColumnDefinition, Error, Name, Options, Result, TableChange, quote, quote_name,
};

use crate::commands::target::{self, Found};
use crate::commands::{alter_delta, alter_files, create_table};
use crate::names;
use crate::resolver::ResolvedTable;
use crate::temp_views::TempView;
use crate::{QueryResult, Session};

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    if_exists: bool,
    is_view: bool,
    changes: Vec<TableChange>,
) -> Result<QueryResult> {
    let found = match target::find(session, name, &target::command_path(session)).await {
        Err(e) if if_exists && e.class() == "TABLE_OR_VIEW_NOT_FOUND" => return Ok(QueryResult::empty()),
        other => other?,
    };
    for change in changes {
        one(session, &found, is_view, change).await?;
    }
    Ok(QueryResult::empty())
}

async fn one(session: &Arc<Session>, found: &Found, is_view: bool, change: TableChange) -> Result<()> {
    let statement = if is_view { "ALTER VIEW" } else { "ALTER TABLE" };
    let operation = format!("{statement} ... {}", clause(&change));
    match found {
        Found::Table(table) => {
            if is_view {
                return Err(super::alter_view::expect_view(&table.display_name(), &operation));
            }
            if let TableChange::RenameTo(to) = &change {
                return rename(session, table, to).await;
            }
            refuse_reserved(session, &change)?;
            let change = in_collation(table, change)?;
            match &table.delta {
                Some(_) => alter_delta::change(session, table, change).await,
                None => alter_files::change(session, table, change).await,
            }
        }
        Found::View(record) => {
            let has_alternative = matches!(
                change,
                TableChange::SetProperties(_)
                    | TableChange::UnsetProperties { .. }
                    | TableChange::RenameTo(_)
            );
            if !is_view && !has_alternative {
                return Err(target::not_a_view(&record.name.quoted(), &operation));
            }
            if !is_view {
                return Err(Error::new("EXPECT_TABLE_NOT_VIEW.USE_ALTER_VIEW")
                    .param("viewName", record.name.quoted())
                    .param("operation", operation)
                    .message(format!("{} is a view. Use ALTER VIEW.", record.name.quoted()))
                    .exception("AnalysisException"));
            }
            view(session, record, change).await
        }
        Found::TempView { name, view } => match change {
            TableChange::RenameTo(to) => rename_temporary(session, name, view, &to),
            _ if !is_view => Err(target::not_a_view(&quote_name(name), &operation)),
            _ => Err(Error::new("EXPECT_PERMANENT_VIEW_NOT_TEMP")
                .param("viewName", quote_name(name))
                .param("operation", operation)
                .message(format!("{} is a temporary view: drop it and make it anew.", quote_name(name)))
                .exception("AnalysisException")),
        },
    }
}

/// Properties that are not for a statement to set.
fn refuse_reserved(session: &Session, change: &TableChange) -> Result<()> {
    match change {
        TableChange::SetProperties(properties) => {
            create_table::refuse_reserved(session, properties.iter().map(|(key, _)| key.as_str()))
        }
        TableChange::UnsetProperties { keys, .. } => {
            create_table::refuse_reserved(session, keys.iter().map(String::as_str))
        }
        _ => Ok(()),
    }
}

/// New columns of STRING have the default collation of their table.
fn in_collation(table: &ResolvedTable, mut change: TableChange) -> Result<TableChange> {
    let collation = table.record.as_ref().and_then(|r| r.collation.as_deref());
    let Some(collation) = collation else { return Ok(change) };
    let text = boathouse_functions::collation::collated(collation)?;
    let apply = |column: &mut ColumnDefinition| {
        column.data_type = create_table::with_text_type(&column.data_type, &text);
    };
    match &mut change {
        TableChange::AddColumns { columns, .. } => {
            columns.iter_mut().for_each(|c| apply(&mut c.definition));
        }
        TableChange::ReplaceColumns(columns) => columns.iter_mut().for_each(apply),
        _ => {}
    }
    Ok(change)
}

/// A temporary view stays one of the session, or one of all.
fn rename_temporary(session: &Session, name: &[String], view: &TempView, to: &[String]) -> Result<()> {
    let is_global = name.len() > 1;
    let new = match to {
        [new] => new,
        [schema, new] if is_global && schema.eq_ignore_ascii_case(names::GLOBAL_TEMP) => new,
        _ => {
            return Err(Error::new("INVALID_TEMP_OBJ_QUALIFIER")
                .param("objectType", "VIEW")
                .param("objectName", name.last().map(|bare| quote(bare)).unwrap_or_default())
                .param("qualifier", quote_name(&to[..to.len().saturating_sub(1)]))
                .message("A temporary view belongs to no schema.")
                .exception("AnalysisException"));
        }
    };
    let views = if is_global { &session.engine.global_temp_views } else { &session.temp_views };
    if !views.put(new, view.clone(), false) {
        return Err(Error::new("TEMP_TABLE_OR_VIEW_ALREADY_EXISTS")
            .param("relationName", quote(new))
            .message(format!("The temporary view {} exists already.", quote(new)))
            .exception("AnalysisException"));
    }
    if let Some(bare) = name.last() {
        views.remove(bare);
    }
    Ok(())
}

/// The clause of a change, as messages name it.
fn clause(change: &TableChange) -> &'static str {
    match change {
        TableChange::AddColumns { .. } => "ADD COLUMNS",
        TableChange::DropColumns { .. } => "DROP COLUMNS",
        TableChange::RenameColumn { .. } => "RENAME COLUMN",
        TableChange::AlterColumn { .. } => "ALTER COLUMN",
        TableChange::ReplaceColumns(_) => "REPLACE COLUMNS",
        TableChange::RenameTo(_) => "RENAME TO",
        TableChange::SetProperties(_) => "SET TBLPROPERTIES",
        TableChange::UnsetProperties { .. } => "UNSET TBLPROPERTIES",
        TableChange::SetLocation { .. } => "SET LOCATION ...",
        TableChange::AddPartitions { .. } => "ADD PARTITION ...",
        TableChange::DropPartitions { .. } => "DROP PARTITION ...",
        TableChange::RenamePartition { .. } => "RENAME TO PARTITION",
        TableChange::RecoverPartitions => "RECOVER PARTITIONS",
        TableChange::AddConstraint(_) => "ADD CONSTRAINT",
        TableChange::DropConstraint { .. } => "DROP CONSTRAINT",
        TableChange::SetRowFilter { .. } => "SET ROW FILTER",
        TableChange::DropRowFilter => "DROP ROW FILTER",
        TableChange::SetMask { .. } => "ALTER COLUMN SET MASK",
        TableChange::DropMask { .. } => "ALTER COLUMN DROP MASK",
        TableChange::ClusterBy(_) => "CLUSTER BY",
        TableChange::AddFeature(_) => "ADD FEATURE",
        TableChange::DropFeature { .. } => "DROP FEATURE",
        TableChange::SetOwner(_) => "OWNER TO",
        TableChange::SetCollation(_) => "DEFAULT COLLATION",
        TableChange::SetSerde { .. } => "SET SERDE|SERDEPROPERTIES",
        TableChange::SetTags(_) => "SET TAGS",
        TableChange::UnsetTags(_) => "UNSET TAGS",
    }
}

async fn rename(session: &Arc<Session>, table: &ResolvedTable, to: &Name) -> Result<()> {
    let Some(record) = &table.record else {
        return Err(Error::unsupported("renaming a table that is only a path"));
    };
    rename_record(session, record, to).await
}

async fn rename_record(session: &Arc<Session>, record: &TableRecord, to: &Name) -> Result<()> {
    // A bare new name stays in the table's schema.
    let to = match to.as_slice() {
        [bare] => names::qualify(std::slice::from_ref(bare), &record.name.catalog, &record.name.schema)?,
        other => session.object_name(other)?,
    };
    if to.catalog != record.name.catalog {
        return Err(Error::unsupported("renaming a table into another catalog"));
    }
    if to.catalog == SESSION_CATALOG && to.schema != record.name.schema {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1073")
            .param("db", &record.name.schema)
            .param("newDb", &to.schema)
            .message(format!(
                "A table is renamed within its schema, which is {} and not {}.",
                record.name.schema, to.schema
            ))
            .exception("AnalysisException"));
    }
    session.engine.catalog.rename_table(&record.name, &to, &session.user).await?;
    session.engine.cache.dropped(&record.name.parts());
    Ok(())
}

async fn view(session: &Arc<Session>, record: &TableRecord, change: TableChange) -> Result<()> {
    match change {
        TableChange::RenameTo(to) => rename_record(session, record, &to).await,
        TableChange::SetProperties(properties) => set_properties(session, record, properties).await,
        TableChange::UnsetProperties { keys, .. } => unset_properties(session, record, keys).await,
        TableChange::SetOwner(owner) => {
            session
                .engine
                .catalog
                .alter_table(&record.name, &session.user, move |r| {
                    r.owner = owner;
                    Ok(())
                })
                .await?;
            Ok(())
        }
        TableChange::AlterColumn { column, change: ColumnChange::Comment(comment) } => {
            let Some(i) = column.first().and_then(|c| record.schema.index_of(c)) else {
                return Err(super::describe_table::column_not_found(&column));
            };
            session
                .engine
                .catalog
                .alter_table(&record.name, &session.user, move |r| {
                    let field = r.schema.fields[i].clone().with_comment(comment.as_deref());
                    r.schema.fields[i] = field;
                    Ok(())
                })
                .await?;
            Ok(())
        }
        other => Err(Error::unsupported(format!("ALTER VIEW .. {}", clause(&other)))),
    }
}

/// Puts properties into the catalog's record.
pub(super) async fn set_properties(
    session: &Arc<Session>,
    record: &TableRecord,
    properties: Options,
) -> Result<()> {
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, move |r| {
            r.properties.extend(properties);
            Ok(())
        })
        .await?;
    Ok(())
}

pub(super) async fn unset_properties(
    session: &Arc<Session>,
    record: &TableRecord,
    keys: Vec<String>,
) -> Result<()> {
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, move |r| {
            for key in keys {
                r.properties.shift_remove(&key);
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// `COMMENT ON TABLE`
pub(super) async fn set_comment(
    session: &Arc<Session>,
    table: &ResolvedTable,
    comment: Option<String>,
) -> Result<QueryResult> {
    if table.delta.is_some() {
        alter_delta::set_comment(session, table, comment.clone()).await?;
    }
    if let Some(record) = &table.record {
        session
            .engine
            .catalog
            .alter_table(&record.name, &session.user, move |r| {
                r.comment = comment;
                Ok(())
            })
            .await?;
    }
    Ok(QueryResult::empty())
}

/// Changes that are the catalog's alone, of whatever kind of table. `None` where it was one; else the change back.
pub(super) async fn in_catalog(
    session: &Arc<Session>,
    table: &ResolvedTable,
    change: TableChange,
) -> Result<Option<TableChange>> {
    match change {
        TableChange::SetOwner(owner) => {
            if let Some(record) = &table.record {
                session
                    .engine
                    .catalog
                    .alter_table(&record.name, &session.user, move |r| {
                        r.owner = owner;
                        Ok(())
                    })
                    .await?;
            }
            Ok(None)
        }
        TableChange::SetRowFilter { .. } | TableChange::DropRowFilter => {
            Err(Error::unsupported("row filters"))
        }
        TableChange::SetMask { .. } | TableChange::DropMask { .. } => Err(Error::unsupported("column masks")),
        TableChange::SetTags(_) | TableChange::UnsetTags(_) => Err(Error::unsupported("tags on tables")),
        other => Ok(Some(other)),
    }
}
