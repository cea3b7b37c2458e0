//! `CACHE TABLE` and `UNCACHE TABLE`.

use std::sync::Arc;

use boathouse_spec::{
    CreateMode, CreateView, Error, Options, Plan, Relation, RelationNode, Result, StorageLevel, TableRef,
    ViewKind, ViewQuery, option, quote_name,
};

use crate::cache::MEMORY_AND_DISK;
use crate::commands::target::{self, Found};
use crate::commands::{create_view, table_columns};
use crate::{QueryResult, Session};

pub(super) async fn cache(
    session: &Arc<Session>,
    name: &[String],
    query: Option<Relation>,
    lazy: bool,
    options: Options,
) -> Result<QueryResult> {
    let level = match option(&options, "storageLevel") {
        None => MEMORY_AND_DISK,
        Some(text) => parse_level(text)?,
    };
    if let Some(query) = query {
        // `CACHE TABLE v AS query` makes a temporary view of the query.
        let view = CreateView {
            name: name.to_vec(),
            mode: CreateMode::Create,
            kind: ViewKind::Temporary,
            columns: Vec::new(),
            comment: None,
            collation: None,
            properties: Vec::new(),
            schema_mode: None,
            query: Some(ViewQuery { text: String::new(), query }),
            source: None,
        };
        create_view::run(session, view).await?;
    }
    let relation = keep(session, name, level).await?;
    if !lazy {
        let rows = session.execute_here(Plan::Query(counted(relation))).await?;
        rows.collect().await?;
    }
    Ok(QueryResult::empty())
}

/// Marks a table or view as cached; its rows come with the first use.
pub(super) async fn keep(session: &Arc<Session>, name: &[String], level: StorageLevel) -> Result<Relation> {
    let found = target::find(session, name, &target::relation_path(session)).await?;
    let columns = table_columns::of_found(session, &found).await?;
    let relation =
        Relation::new(RelationNode::Table(TableRef { name: name.to_vec(), ..TableRef::default() }));
    match &found {
        Found::Table(table) => {
            let full = match &table.record {
                Some(record) => record.name.parts(),
                None => table.qualifier.clone(),
            };
            session.engine.cache.persist_table(session, full, columns, level);
        }
        Found::View(record) => {
            let parsed = record
                .view
                .as_ref()
                .map(|v| boathouse_sql::parse_query(&v.text, &session.conf().parser_options()));
            if let Some(query) = parsed.transpose()? {
                session.engine.cache.persist(session, &query, columns, level);
            }
        }
        Found::TempView { view, .. } => {
            let schema = session.schema(&view.relation).await?;
            session.engine.cache.persist(session, &view.relation, schema, level);
        }
    }
    Ok(relation)
}

fn counted(input: Relation) -> Relation {
    Relation::new(RelationNode::Aggregate(boathouse_spec::Aggregate {
        input,
        kind: boathouse_spec::GroupingKind::GroupBy,
        grouping: Vec::new(),
        aggregates: vec![boathouse_spec::Expr::call(
            "count",
            vec![boathouse_spec::Expr::Literal(boathouse_spec::Literal::Integer(1))],
        )],
        grouping_first: false,
    }))
}

pub(super) async fn uncache(session: &Arc<Session>, name: &[String], if_exists: bool) -> Result<QueryResult> {
    let found = match target::find(session, name, &target::relation_path(session)).await {
        Err(e) if if_exists && e.class() == "TABLE_OR_VIEW_NOT_FOUND" => return Ok(QueryResult::empty()),
        other => other?,
    };
    remove(session, &found)?;
    Ok(QueryResult::empty())
}

pub(super) fn remove(session: &Arc<Session>, found: &Found) -> Result<()> {
    match found {
        Found::Table(table) => {
            let full = table.record.as_ref().map_or_else(|| table.qualifier.clone(), |r| r.name.parts());
            session.engine.cache.unpersist_table(&full);
        }
        Found::View(record) => {
            if let Some(view) = &record.view {
                let query = boathouse_sql::parse_query(&view.text, &session.conf().parser_options())?;
                session.engine.cache.unpersist(session, &query);
            }
        }
        Found::TempView { view, .. } => {
            session.engine.cache.unpersist(session, &view.relation);
        }
    }
    Ok(())
}

/// Whether the rows of a table or view are kept.
pub(super) fn is_cached(session: &Arc<Session>, found: &Found) -> Result<bool> {
    Ok(match found {
        Found::Table(table) => {
            let full = table.record.as_ref().map_or_else(|| table.qualifier.clone(), |r| r.name.parts());
            session.engine.cache.is_table_cached(&full)
        }
        Found::View(record) => match &record.view {
            Some(view) => {
                let query = boathouse_sql::parse_query(&view.text, &session.conf().parser_options())?;
                session.engine.cache.level(session, &query).is_some()
            }
            None => false,
        },
        Found::TempView { view, .. } => session.engine.cache.level(session, &view.relation).is_some(),
    })
}

/// `MEMORY_ONLY`, `DISK_ONLY_2`, ...
fn parse_level(text: &str) -> Result<StorageLevel> {
    let name = text.to_uppercase();
    let (base, replication) = match name.strip_suffix("_2") {
        Some(base) => (base, 2),
        None => match name.strip_suffix("_3") {
            Some(base) => (base, 3),
            None => (name.as_str(), 1),
        },
    };
    let (disk, memory, off_heap, deserialized) = match base {
        "NONE" => (false, false, false, false),
        "DISK_ONLY" => (true, false, false, false),
        "MEMORY_ONLY" => (false, true, false, true),
        "MEMORY_ONLY_SER" => (false, true, false, false),
        "MEMORY_AND_DISK" => (true, true, false, true),
        "MEMORY_AND_DISK_SER" => (true, true, false, false),
        "OFF_HEAP" => (true, true, true, false),
        _ => {
            return Err(Error::new("INVALID_STORAGE_LEVEL")
                .message(format!(
                    "'{text}' is no storage level. {} is the usual one.",
                    quote_name(&["MEMORY_AND_DISK"])
                ))
                .exception("IllegalArgumentException"));
        }
    };
    Ok(StorageLevel { use_disk: disk, use_memory: memory, use_off_heap: off_heap, deserialized, replication })
}
