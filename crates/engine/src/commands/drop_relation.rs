//! `DROP TABLE` and `DROP VIEW`.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_spec::{Error, Result, quote_name};

use crate::names::{self, RelationName};
use crate::{QueryResult, Session};

pub(super) async fn table(session: &Arc<Session>, name: &[String], if_exists: bool) -> Result<QueryResult> {
    if drop_temporary(session, name)? {
        return Ok(QueryResult::empty());
    }
    if let [format, path] = name
        && format.eq_ignore_ascii_case("delta")
        && path.contains('/')
    {
        return Err(Error::unsupported(format!(
            "DROP TABLE {} (a path has no name to drop)",
            quote_name(name)
        )));
    }
    let full = session.known_object_name(name).await?;
    if session.engine.catalog.find_table(&full).await?.is_none() {
        if if_exists {
            return Ok(QueryResult::empty());
        }
        let path = quote_name(&[full.catalog.as_str(), full.schema.as_str()]);
        return Err(names::not_found(&full.parts(), &[path]));
    }
    // A view is dropped as well, as Spark does.
    let record = session.engine.catalog.drop_table(&full).await?;
    session.engine.cache.dropped(&full.parts());
    remove_files(session, &record).await?;
    Ok(QueryResult::empty())
}

pub(super) async fn view(session: &Arc<Session>, name: &[String], if_exists: bool) -> Result<QueryResult> {
    if drop_temporary(session, name)? {
        return Ok(QueryResult::empty());
    }
    let full = session.known_object_name(name).await?;
    match session.engine.catalog.drop_view(&full).await {
        Ok(_) => {
            session.engine.cache.dropped(&full.parts());
            Ok(QueryResult::empty())
        }
        Err(e) if e.class() == "TABLE_OR_VIEW_NOT_FOUND" => {
            if if_exists {
                return Ok(QueryResult::empty());
            }
            let path = quote_name(&[full.catalog.as_str(), full.schema.as_str()]);
            Err(names::not_found(&full.parts(), &[path]))
        }
        Err(e) => Err(e),
    }
}

/// Drops the temporary view of the name, where there is one.
fn drop_temporary(session: &Arc<Session>, name: &[String]) -> Result<bool> {
    let (catalog, schema) = session.current_namespace();
    Ok(match names::relation_name(name, &catalog, &schema)? {
        RelationName::Bare(bare) => {
            let view = session.temp_views.get(&bare);
            if let Some(view) = &view {
                session.engine.cache.unpersist(session, &view.relation);
            }
            view.is_some() && session.temp_views.remove(&bare)
        }
        RelationName::GlobalTemp(view) => {
            if !session.engine.global_temp_views.remove(&view) {
                return Err(names::not_found(name, &super::target::relation_path(session)));
            }
            true
        }
        RelationName::Qualified(_) => false,
    })
}

/// Removes the files of a managed table that was dropped.
pub(super) async fn remove_files(session: &Arc<Session>, record: &TableRecord) -> Result<()> {
    if !record.owns_files() {
        return Ok(());
    }
    let Some(location) = &record.location else { return Ok(()) };
    let url = session.storage().url(location)?;
    session.engine.cache.changed(&session.storage().location(&url)?.uri()).await;
    session.storage().delete(&url).await
}
