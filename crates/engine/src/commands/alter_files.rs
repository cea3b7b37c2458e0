//! `ALTER TABLE` on tables of files: the catalog's record is all there is to change.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_delta::Lengths;
use boathouse_spec::{ColumnChange, Error, NewColumn, Result, StructField, TableChange, quote, quote_name};

use crate::commands::{alter_table, column_default, create_table, insert, partitions, target};
use crate::resolver::ResolvedTable;
use crate::{Session, sources};

pub(super) async fn change(session: &Arc<Session>, table: &ResolvedTable, change: TableChange) -> Result<()> {
    let Some(change) = alter_table::in_catalog(session, table, change).await? else { return Ok(()) };
    let Some(record) = table.record.clone() else {
        return Err(Error::unsupported("ALTER TABLE on files that have no name in the catalog"));
    };
    match change {
        TableChange::SetProperties(properties) => {
            alter_table::set_properties(session, &record, properties).await
        }
        TableChange::UnsetProperties { keys, .. } => {
            alter_table::unset_properties(session, &record, keys).await
        }
        TableChange::AddColumns { columns, if_not_exists } => {
            add_columns(session, &record, columns, if_not_exists).await
        }
        TableChange::AlterColumn { column, change } => {
            alter_column(session, table, &record, &column, change).await
        }
        TableChange::SetLocation { location, partition: None } => {
            let url = session.storage().url(&location)?.to_string();
            update(session, &record, move |r| r.location = Some(url)).await
        }
        TableChange::SetSerde { class: None, properties } => {
            update(session, &record, move |r| r.options.extend(properties)).await
        }
        TableChange::DropPartitions { partitions, if_exists, .. } => {
            let all = partitions::list(session, table).await?;
            let mut dropped: Vec<&partitions::Partition> = Vec::new();
            for spec in partitions {
                let wanted = partitions::values(session, table, &spec).await?;
                let mut found = all.iter().filter(|p| partitions::matches(p, &wanted)).peekable();
                if found.peek().is_none() && !if_exists {
                    return Err(partitions::not_found(table, &wanted));
                }
                dropped.extend(found);
            }
            // Only now that all of them are known: a statement that fails drops none.
            for partition in dropped {
                sources::drop_partition(session, table, partition).await?;
            }
            Ok(())
        }
        TableChange::RecoverPartitions => partitions::repair(session, &record.name.parts()).await.map(|_| ()),
        TableChange::DropColumns { .. } => Err(target::no_operation(&table.display_name(), "DROP COLUMN")),
        TableChange::RenameColumn { .. } => Err(target::no_operation(&table.display_name(), "RENAME COLUMN")),
        TableChange::ReplaceColumns(_) => Err(target::no_operation(&table.display_name(), "REPLACE COLUMNS")),
        TableChange::AddConstraint(_) => Err(target::no_operation(&table.display_name(), "ADD CONSTRAINT")),
        TableChange::DropConstraint { .. } => {
            Err(target::no_operation(&table.display_name(), "DROP CONSTRAINT"))
        }
        TableChange::ClusterBy(_) => Err(target::no_operation(&table.display_name(), "CLUSTER BY")),
        other => {
            let debug = format!("{other:?}");
            let end = debug.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(debug.len());
            Err(Error::unsupported(format!("ALTER TABLE ({}) on a table of files", &debug[..end])))
        }
    }
}

async fn update(
    session: &Arc<Session>,
    record: &TableRecord,
    change: impl FnOnce(&mut TableRecord) + Send,
) -> Result<()> {
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, |r| {
            change(r);
            Ok(())
        })
        .await?;
    session.engine.cache.dropped(&record.name.parts());
    Ok(())
}

async fn add_columns(
    session: &Arc<Session>,
    record: &TableRecord,
    columns: Vec<NewColumn>,
    if_not_exists: bool,
) -> Result<()> {
    let mut new: Vec<StructField> = Vec::with_capacity(columns.len());
    let definitions: Vec<_> = columns.iter().map(|c| c.definition.clone()).collect();
    create_table::schema_of(session, "ALTER TABLE ADD COLUMNS", &definitions).await?;
    for column in columns {
        let [bare] = column.name.as_slice() else {
            return Err(Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
                .param("objectName", quote_name(&column.name[..column.name.len().saturating_sub(1)]))
                .param(
                    "proposal",
                    record.schema.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", "),
                )
                .message(format!(
                    "{} names a field inside a column; that is for Delta tables.",
                    quote_name(&column.name)
                ))
                .exception("AnalysisException"));
        };
        if record.schema.field(bare).is_some() || new.iter().any(|f| f.name.eq_ignore_ascii_case(bare)) {
            if if_not_exists {
                continue;
            }
            return Err(insert::duplicate(bare));
        }
        if column.position.is_some() {
            return Err(target::no_operation(&record.name.quoted(), "ADD COLUMN with a position"));
        }
        if !column.definition.nullable {
            return Err(Error::new("_LEGACY_ERROR_TEMP_1052")
                .message("A column that is added cannot be NOT NULL: the rows that are there have no value for it.")
                .exception("AnalysisException"));
        }
        if column.definition.default.is_some() {
            return Err(Error::unsupported(
                "ADD COLUMN .. DEFAULT on a table of files: the rows that are there would not have the default",
            ));
        }
        new.push(create_table::field_of(&column.definition)?);
    }
    update(session, record, move |r| {
        // Partition columns stay last.
        let at = r.schema.fields.len() - r.partition_columns.len().min(r.schema.fields.len());
        for (i, field) in new.into_iter().enumerate() {
            r.schema.fields.insert(at + i, field);
        }
    })
    .await
}

async fn alter_column(
    session: &Arc<Session>,
    table: &ResolvedTable,
    record: &TableRecord,
    column: &[String],
    change: ColumnChange,
) -> Result<()> {
    let index = match column {
        [one] => record.schema.index_of(one),
        _ => None,
    };
    let Some(index) = index else {
        let proposal = record.schema.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", ");
        return Err(Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
            .param("objectName", quote_name(column))
            .param("proposal", &proposal)
            .message(format!("The table has no column {}. Its columns are {proposal}.", quote_name(column)))
            .exception("AnalysisException"));
    };
    let field = record.schema.fields[index].clone();
    if record.partition_columns.iter().any(|p| p.eq_ignore_ascii_case(&field.name)) {
        return Err(Error::new("CANNOT_ALTER_PARTITION_COLUMN")
            .param("tableName", record.name.quoted())
            .param("columnName", quote(&field.name))
            .message(format!(
                "{} partitions {}, and stays as it is.",
                quote(&field.name),
                record.name.quoted()
            ))
            .exception("AnalysisException"));
    }
    // A CHAR or VARCHAR is kept as a string with a note.
    let declared = Lengths::of(&field)
        .map_or_else(|| field.data_type.clone(), |lengths| lengths.declared(&field.data_type));
    let changed = match change {
        ColumnChange::Comment(comment) => field.with_comment(comment.as_deref()),
        ColumnChange::SetDefault(default) => {
            let (name, data_type, text) = (field.name.clone(), field.data_type.clone(), default.text.clone());
            session
                .analyze(move |analyzer| {
                    column_default::check(analyzer, "ALTER TABLE ALTER COLUMN", &name, &data_type, &default)
                })
                .await?;
            let mut metadata = field.metadata_map();
            metadata.insert(column_default::CURRENT.into(), text.into());
            field.with_metadata(&metadata)
        }
        ColumnChange::DropDefault => {
            let mut metadata = field.metadata_map();
            metadata.remove(column_default::CURRENT);
            field.with_metadata(&metadata)
        }
        ColumnChange::Type(to) if to.same_type(&declared) => field,
        ColumnChange::Type(to) => {
            return Err(Error::new("NOT_SUPPORTED_CHANGE_COLUMN")
                .param("table", table.display_name())
                .param("originName", quote(&field.name))
                .param("originType", format!("\"{}\"", declared.sql()))
                .param("newName", quote(&field.name))
                .param("newType", format!("\"{}\"", to.sql()))
                .message(format!(
                    "{} of {} is {}, and cannot become {}.",
                    quote(&field.name),
                    table.display_name(),
                    declared.sql(),
                    to.sql()
                ))
                .exception("AnalysisException"));
        }
        ColumnChange::SetNotNull | ColumnChange::DropNotNull => {
            return Err(target::no_operation(&table.display_name(), "ALTER COLUMN ... SET NOT NULL"));
        }
        ColumnChange::Position(_) => {
            return Err(target::no_operation(&table.display_name(), "ALTER COLUMN ... FIRST | AFTER"));
        }
        ColumnChange::SyncIdentity | ColumnChange::SetTags(_) | ColumnChange::UnsetTags(_) => {
            return Err(target::no_operation(&table.display_name(), "ALTER COLUMN"));
        }
    };
    update(session, record, move |r| r.schema.fields[index] = changed).await
}
