//! `ALTER VIEW v AS query` and `ALTER VIEW v WITH SCHEMA ..`.

use std::sync::Arc;

use boathouse_catalog::ViewSchemaMode;
use boathouse_spec::{Error, Result, ViewQuery};

use crate::commands::create_view;
use crate::commands::target::{self, Found};
use crate::temp_views::TempView;
use crate::{QueryResult, Session};

pub(super) async fn query(session: &Arc<Session>, name: &[String], query: ViewQuery) -> Result<QueryResult> {
    match target::find(session, name, &target::command_path(session)).await? {
        Found::Table(table) => Err(expect_view(&table.display_name(), "ALTER VIEW ... AS")),
        Found::TempView { name, view } => {
            let schema = session.view_schema(&query.query, view.collation.as_deref()).await?;
            let changed = TempView {
                relation: query.query,
                text: Some(query.text),
                query_columns: create_view::owned_names(&schema),
                schema,
                environment: None,
                namespace: session.current_namespace(),
                ..(*view).clone()
            };
            match name.as_slice() {
                [bare] => session.temp_views.put(bare, changed, true),
                [_, bare] => session.engine.global_temp_views.put(bare, changed, true),
                _ => false,
            };
            Ok(QueryResult::empty())
        }
        Found::View(record) => {
            let full = record.name.clone();
            create_view::refuse_cycle(session, &full.parts(), &query.query).await?;
            let collation = record.collation.as_deref();
            let schema =
                create_view::lasting_schema(session, &query.query, collation, &full.quoted()).await?;
            let columns = create_view::view_columns(&schema, &[], &full.quoted())?;
            let (catalog, current) = session.current_namespace();
            let configs = session.conf().recorded();
            session
                .engine
                .catalog
                .alter_table(&full, &session.user, move |record| {
                    record.schema = columns;
                    if let Some(view) = &mut record.view {
                        view.text = query.text;
                        view.current_catalog = catalog;
                        view.current_schema = current;
                        view.configs = configs.into_iter().collect();
                        view.query_columns = create_view::owned_names(&schema);
                    }
                    Ok(())
                })
                .await?;
            session.engine.cache.dropped(&full.parts());
            Ok(QueryResult::empty())
        }
    }
}

pub(super) async fn schema_mode(session: &Arc<Session>, name: &[String], mode: &str) -> Result<QueryResult> {
    let parsed = ViewSchemaMode::parse(mode)
        .ok_or_else(|| Error::unsupported(format!("ALTER VIEW .. WITH SCHEMA {mode}")))?;
    match target::find(session, name, &target::command_path(session)).await? {
        Found::View(record) => {
            session
                .engine
                .catalog
                .alter_table(&record.name, &session.user, move |record| {
                    if let Some(view) = &mut record.view {
                        view.schema_mode = parsed;
                    }
                    Ok(())
                })
                .await?;
            Ok(QueryResult::empty())
        }
        Found::Table(table) => Err(expect_view(&table.display_name(), "ALTER VIEW ... WITH SCHEMA")),
        Found::TempView { name, .. } => Err(Error::new("EXPECT_PERMANENT_VIEW_NOT_TEMP")
            .param("viewName", boathouse_spec::quote_name(&name))
            .param("operation", "ALTER VIEW ... WITH SCHEMA")
            .message("A temporary view has no schema mode.")
            .exception("AnalysisException")),
    }
}

/// EXPECT_VIEW_NOT_TABLE
pub(super) fn expect_view(name: &str, operation: &str) -> Error {
    Error::new("EXPECT_VIEW_NOT_TABLE.USE_ALTER_TABLE")
        .param("tableName", name)
        .param("operation", operation)
        .message(format!("{operation} is about views, and {name} is a table. Use ALTER TABLE."))
        .exception("AnalysisException")
}
