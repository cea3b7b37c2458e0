//! `CREATE TABLE .. SHALLOW CLONE` and `.. DEEP CLONE`.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, Properties, TableRecord};
use boathouse_delta::{CloneOptions, Committed, DeltaTable};
use boathouse_spec::{
    CreateMode, Error, Name, Options, Result, StructType, TableRef, TimeTravel, quote_name,
};

use crate::commands::create_table::{self, Definition, location_of, place, record, store};
use crate::commands::delta_maintenance::reported;
use crate::commands::table_expressions::dml_options;
use crate::commands::target;
use crate::managed_tables::Target;
use crate::resolver::{self, DeltaSource, Resolved, ResolvedTable, Scope};
use crate::{QueryResult, Session, names, storage};

pub(super) struct CloneTable {
    pub target: Name,
    pub source: Name,
    pub time_travel: Option<TimeTravel>,
    pub shallow: bool,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub properties: Options,
    pub location: Option<String>,
}

pub(super) fn result_schema() -> Option<StructType> {
    boathouse_delta::clone_report(None).ok().map(|r| r.schema)
}

pub(super) async fn run(session: &Arc<Session>, clone: CloneTable) -> Result<QueryResult> {
    let (table, source) = source(session, &clone).await?;
    let definition = definition(session, &clone, &source).await?;
    let existing = create_table::existing(session, &definition).await.map_err(|e| match &definition.name {
        Some(name) if e.is("TABLE_OR_VIEW_ALREADY_EXISTS") => already_exists(&name.quoted()),
        _ => e,
    });
    let Some(existing) = existing? else {
        return boathouse_delta::clone_report(None).map(reported);
    };
    let committed = make(session, &clone, definition, existing, &table, &source).await?;
    boathouse_delta::clone_report(committed.as_ref()).map(reported)
}

fn already_exists(name: &str) -> Error {
    Error::new("DELTA_TABLE_ALREADY_EXISTS")
        .param("tableName", name)
        .message(format!("The table {name} exists already."))
        .exception("AnalysisException")
}

/// The version of the table that is cloned.
async fn source(session: &Arc<Session>, clone: &CloneTable) -> Result<(ResolvedTable, DeltaSource)> {
    let reference = TableRef {
        name: clone.source.clone(),
        time_travel: clone.time_travel.clone(),
        ..TableRef::default()
    };
    let as_of = session.analyze(move |analyzer| analyzer.as_of(&reference)).await?;
    let path = target::relation_path(session);
    let resolved =
        resolver::resolve(session, &clone.source, &Vec::new(), as_of, &Scope::of(session)).await.map_err(
            |e| if e.is("TABLE_OR_VIEW_NOT_FOUND") { names::not_found(&clone.source, &path) } else { e },
        )?;
    let table = match resolved {
        Resolved::Table(table) => *table,
        _ => return Err(unsupported_source(&quote_name(&clone.source), "View")),
    };
    match table.delta.clone() {
        Some(delta) => Ok((table, delta)),
        None => Err(unsupported_source(&table.display_name(), &table.format)),
    }
}

fn unsupported_source(name: &str, format: &str) -> Error {
    Error::new("DELTA_CLONE_UNSUPPORTED_SOURCE")
        .param("mode", "CLONE")
        .param("name", name)
        .param("format", format)
        .message(format!("{name} cannot be cloned: it is {format}, and no Delta table."))
        .exception("AnalysisException")
}

async fn definition(session: &Arc<Session>, clone: &CloneTable, source: &DeltaSource) -> Result<Definition> {
    let (name, path) = place(session, &clone.target).await?;
    Ok(Definition {
        name,
        mode: match (clone.or_replace, clone.if_not_exists) {
            (true, _) => CreateMode::OrReplace,
            (false, true) => CreateMode::IfNotExists,
            (false, false) => CreateMode::Create,
        },
        provider: "delta".to_string(),
        schema: source.snapshot.schema().clone(),
        partition_by: source.snapshot.partition_columns().to_vec(),
        cluster_by: Vec::new(),
        bucket: None,
        location: clone.location.clone().or(path),
        comment: None,
        collation: None,
        properties: Properties::new(),
        options: Options::new(),
        query: None,
        operation: "CLONE",
    })
}

async fn make(
    session: &Arc<Session>,
    clone: &CloneTable,
    definition: Definition,
    existing: Option<TableRecord>,
    source_table: &ResolvedTable,
    source: &DeltaSource,
) -> Result<Option<Committed>> {
    let (url, managed) = location_of(session, &definition, existing.as_ref()).await?;
    let target = Target::of(session, existing.as_ref(), &url)?;
    let table = &target.table;
    let is_there = DeltaTable::is_delta_table(table.location()).await?;
    if is_there && !clone.or_replace {
        if clone.if_not_exists && definition.name.is_none() {
            return Ok(None);
        }
        let place = storage::shown(&url);
        return Err(Error::new("DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION")
            .param("tableId", quote_name(&["delta".to_string(), place.clone()]))
            .param("tableLocation", &place)
            .message(format!("There is a table in {place} already, which the clone is not to replace."))
            .exception("AnalysisException"));
    }
    let is_free = is_there
        || managed
        || session.storage().is_empty(&url).await?
        || boathouse_delta::is_interrupted_clone(table.location(), &source.snapshot).await?;
    if !is_free {
        return Err(Error::new("DELTA_UNSUPPORTED_NON_EMPTY_CLONE")
            .message(format!("{} holds files: a clone goes to an empty directory.", storage::shown(&url)))
            .exception("IllegalArgumentException"));
    }
    let replaced = if is_there { Some(table.latest().await?) } else { None };
    let name = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
    let keys = clone.properties.iter().map(|(key, _)| key);
    let target = target.managed_if_asked(session, keys, &name, (&url, managed, is_there)).await?;
    let table = &target.table;
    let options = CloneOptions {
        source_name: match &source_table.record {
            Some(record) => record.name.parts().join("."),
            None => format!("delta.`{}`", storage::shown(&source.url)),
        },
        shallow: clone.shallow,
        properties: clone.properties.iter().cloned().collect(),
        commit: dml_options(session, Vec::new()),
    };
    let committed =
        boathouse_delta::clone_table(table.location(), replaced.as_ref(), &source.snapshot, &options).await;
    let committed = match committed {
        Ok(committed) => committed,
        Err(e) => {
            if managed && !is_there {
                session.storage().delete(&url).await?;
            }
            return target.made(session, Err(e)).await;
        }
    };
    session.committed(table, &committed);
    session.engine.cache.changed(&table.location().uri()).await;
    if let Some(name) = definition.name.clone() {
        let mut record = record(session, &definition, name, managed, &url);
        record.id = target.id.unwrap_or(record.id);
        record.schema = committed.snapshot.schema().clone();
        record.properties =
            committed.snapshot.metadata().configuration.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let stored = store(session, record, &definition, managed && !is_there, &url).await;
        target.made(session, stored).await?;
    }
    Ok(Some(committed))
}
