//! Making tables of files: a record in the catalog, and the files of a query.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, TableKind, TableRecord};
use boathouse_spec::{CreateMode, Error, Result, StructField, StructType, quote};
use url::Url;

use crate::commands::create_table::{Definition, managed_location, record, store};
use crate::commands::target;
use crate::{Session, sources, storage};

/// A table of files, or of an external system.
pub(super) async fn make(
    session: &Arc<Session>,
    mut definition: Definition,
    existing: Option<TableRecord>,
) -> Result<()> {
    if existing.is_some() {
        let name = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
        let operation = if definition.query.is_some() { "REPLACE TABLE AS SELECT" } else { "REPLACE TABLE" };
        return Err(target::no_operation(&name, operation));
    }
    if matches!(definition.mode, CreateMode::OrReplace | CreateMode::Replace) {
        let name = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
        return Err(target::no_operation(&name, "REPLACE TABLE"));
    }
    if definition.provider.eq_ignore_ascii_case("kafka") && definition.query.is_none() {
        let given = Some(&definition.schema).filter(|s| !s.fields.is_empty());
        definition.schema = sources::kafka_columns(&definition.options, given)?;
    } else {
        sources::check_provider(&definition.provider)?;
    }
    let Some(name) = definition.name.clone() else {
        return Err(Error::internal("a table of files without a name"));
    };
    let schema = &definition.schema;
    for column in &definition.partition_by {
        if definition.query.is_none() && schema.field(column).is_none() && !schema.fields.is_empty() {
            return Err(Error::new("COLUMN_NOT_DEFINED_IN_TABLE")
                .param("colType", "partition")
                .param("colName", quote(column))
                .param("tableName", name.quoted())
                .param(
                    "tableCols",
                    schema.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", "),
                )
                .message(format!("{} is no column of {}.", quote(column), name.quoted()))
                .exception("AnalysisException"));
        }
    }
    definition.refuse_partitions_of_all()?;
    let has_place = sources::has_files(&definition.provider);
    let managed = definition.location.is_none();
    let url = match &definition.location {
        Some(location) => session.storage().url(location)?,
        None if has_place => free_location(session, &definition, &name).await?,
        None => managed_location(session, &definition).await?,
    };
    let owns_files = managed && has_place;
    if let Err(e) = write_or_infer(session, &mut definition, &url).await {
        if owns_files {
            session.storage().delete(&url).await?;
        }
        return Err(e);
    }
    if owns_files {
        session.storage().create_directory(&url).await?;
    }
    let mut record = record(session, &definition, name, managed, &url);
    if !has_place {
        record.location = definition.location.clone();
        record.kind = TableKind::External;
    }
    store(session, record, &definition, owns_files, &url).await
}

/// Writes the rows of the statement, and makes its columns those that the table will have.
async fn write_or_infer(session: &Arc<Session>, definition: &mut Definition, url: &Url) -> Result<()> {
    if let Some(query) = definition.query.take() {
        definition.schema = sources::create_as(session, definition, url, query).await?;
        lay_out(definition);
    } else if definition.schema.fields.is_empty() {
        let (schema, partition_by) = sources::infer(session, definition, url).await?;
        definition.schema = schema;
        if definition.partition_by.is_empty() {
            definition.partition_by = partition_by;
        }
    } else {
        lay_out(definition);
    }
    Ok(())
}

/// Partition columns come last, in the order in which they partition, as Spark lays tables of files out.
fn lay_out(definition: &mut Definition) {
    let fields = std::mem::take(&mut definition.schema.fields);
    let partition_by = &definition.partition_by;
    let place = |f: &StructField| partition_by.iter().position(|p| p.eq_ignore_ascii_case(&f.name));
    let (mut last, first): (Vec<_>, Vec<_>) = fields.into_iter().partition(|f| place(f).is_some());
    last.sort_by_key(place);
    // Files cannot promise that a column has no NULLs.
    let nullable = |f: StructField| StructField { nullable: true, ..f };
    definition.schema = StructType::new(first.into_iter().chain(last).map(nullable).collect());
}

/// Takes a place for a managed table, whose own by its name has to be empty.
async fn free_location(session: &Session, definition: &Definition, name: &ObjectName) -> Result<Url> {
    let wanted = managed_location(session, definition).await?;
    if session.storage().is_empty(&wanted).await? {
        return session.storage().claim(&wanted).await;
    }
    Err(Error::new("LOCATION_ALREADY_EXISTS")
        .param("location", format!("'{}'", storage::shown(&wanted)))
        .param("identifier", name.quoted())
        .message(format!(
            "The place of the managed table {} is not empty: {}.",
            name.quoted(),
            storage::shown(&wanted)
        ))
        .exception("SparkRuntimeException"))
}
