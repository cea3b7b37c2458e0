//! Delta tables whose commits the catalog manages: the catalog, as `boathouse_delta` asks it.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_catalog::{Catalog, TableRecord};
use boathouse_delta::{CommitCoordinator, DeltaTable, Ratified};
use boathouse_spec::{Error, Result};
use url::Url;
use uuid::Uuid;

use crate::Session;

/// The commits of one table.
#[derive(Debug)]
struct CatalogCommits {
    catalog: Catalog,
    table: Uuid,
}

#[async_trait]
impl CommitCoordinator for CatalogCommits {
    fn table_id(&self) -> String {
        self.table.to_string()
    }

    async fn ratify(&self, version: i64, staged: &str) -> Result<bool> {
        self.catalog.ratify_commit(self.table, version, staged).await
    }

    async fn ratified(&self) -> Result<Option<Ratified>> {
        let known = self.catalog.ratified_commits(self.table).await?;
        Ok(known.map(|known| Ratified { latest: known.latest, unpublished: known.unpublished }))
    }

    async fn published(&self, until: i64) -> Result<()> {
        self.catalog.commits_are_published(self.table, until).await
    }
}

/// The Delta table of a record.
pub(crate) fn table_of(session: &Session, record: &TableRecord, url: &Url) -> Result<DeltaTable> {
    match record.manages_commits {
        true => managed(session, record.id, url),
        false => session.storage().delta(url),
    }
}

fn managed(session: &Session, id: Uuid, url: &Url) -> Result<DeltaTable> {
    let table = session.storage().delta(url)?;
    let commits = CatalogCommits { catalog: session.engine.catalog.clone(), table: id };
    let location = table.location().clone().managed_by(Arc::new(commits));
    Ok(DeltaTable::new(location, Arc::clone(table.cache())))
}

/// The table that a statement makes or replaces.
pub(crate) struct Target {
    pub table: DeltaTable,
    /// The id under which the catalog manages its commits, which its record is to have.
    pub id: Option<Uuid>,
    begun: bool,
}

impl Target {
    /// What is at a place, whether it is a table or not; `existing` has the name that the table is to have.
    pub fn of(session: &Session, existing: Option<&TableRecord>, url: &Url) -> Result<Self> {
        let is_here = |location: &str| session.storage().url(location).is_ok_and(|l| l == *url);
        let record = existing.filter(|r| r.manages_commits && r.location.as_deref().is_some_and(is_here));
        let table = match record {
            Some(record) => table_of(session, record, url)?,
            None => session.storage().delta(url)?,
        };
        Ok(Self { table, id: record.map(|r| r.id), begun: false })
    }

    /// Has the catalog manage the commits, where the table's properties ask for that: of its own tables, from the first on.
    pub async fn managed_if_asked(
        mut self,
        session: &Session,
        mut properties: impl Iterator<Item = &String>,
        name: &str,
        (url, is_managed, is_there): (&Url, bool, bool),
    ) -> Result<Self> {
        if self.id.is_some() || !properties.any(|key| boathouse_delta::asks_for_catalog(key)) {
            return Ok(self);
        }
        if !is_managed {
            return Err(only_managed_tables());
        }
        if is_there {
            return Err(no_upgrade(name));
        }
        let id = Uuid::new_v4();
        session.engine.catalog.manage_commits(id).await?;
        self.table = managed(session, id, url)?;
        Ok(Self { id: Some(id), begun: true, ..self })
    }

    /// What became of the table: where it was not made in the end, the catalog forgets it.
    pub async fn made<T>(&self, session: &Session, made: Result<T>) -> Result<T> {
        if made.is_err() {
            self.give_up(session).await?;
        }
        made
    }

    async fn give_up(&self, session: &Session) -> Result<()> {
        match self.id.filter(|_| self.begun) {
            Some(id) => session.engine.catalog.forget_commits(id).await,
            None => Ok(()),
        }
    }
}

fn only_managed_tables() -> Error {
    Error::new("DELTA_UNSUPPORTED_CATALOG_MANAGED_TABLE_CREATION")
        .message(
            "The catalog manages the commits of its own tables only: make the table by a name, and without a LOCATION.",
        )
        .exception("UnsupportedOperationException")
}

fn no_upgrade(name: &str) -> Error {
    Error::new("DELTA_REPLACE_TABLE_WITH_CATALOG_MANAGED_NOT_SUPPORTED")
        .param("tableName", name)
        .message(format!(
            "{name} exists, and the catalog does not manage its commits: REPLACE TABLE does not change that. Drop it first, or \
             choose another name."
        ))
        .exception("UnsupportedOperationException")
}
