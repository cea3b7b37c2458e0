//! The keeper of a server: now and then it looks at the tables of all catalogs, and maintains those whose property
//! `boathouse.maintenance` is `auto`, one after another. What it does are ordinary commits; where another writer was faster it
//! tries again the next time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use boathouse_catalog::TableRecord;
use boathouse_delta::{DmlOptions, Upkeep, keep_up, wants_maintenance};
use boathouse_spec::{Result, clock};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::resolver::{self, Resolved, Scope};
use crate::{Engine, Session, execute};

/// What its sessions and commits say of who they are.
const USER: &str = "keeper";
/// A table is not cleaned up more often: that lists its directory.
const CLEAN_UP_EVERY_MS: i64 = 3_600_000;

/// Maintains tables until it is stopped, looking at them every so often; never where that is no time at all.
pub async fn keep_tables(engine: Arc<Engine>, every: Duration, stop: CancellationToken) {
    if every.is_zero() {
        return;
    }
    let mut keeper = Keeper { engine: Arc::clone(&engine), cleaned_ms: HashMap::new() };
    let work = async move {
        loop {
            tokio::time::sleep(every).await;
            if let Err(e) = keeper.round().await {
                tracing::warn!("tables were not maintained: {e}");
            }
        }
    };
    // On the threads of queries, as every statement.
    let running = engine.runtime.spawn(stop.run_until_cancelled_owned(work));
    if let Err(e) = running.await {
        tracing::error!("the maintenance of tables ended: {e}");
    }
}

struct Keeper {
    engine: Arc<Engine>,
    /// When tables were last cleaned up, in milliseconds since the epoch.
    cleaned_ms: HashMap<Uuid, i64>,
}

impl Keeper {
    async fn round(&mut self) -> Result<()> {
        let id = Uuid::new_v4().to_string();
        let session = self.engine.sessions.get_or_create(USER, &id).await?;
        let result = self.look_at_all(&session).await;
        self.engine.sessions.close(USER, &id).await;
        result
    }

    async fn look_at_all(&mut self, session: &Arc<Session>) -> Result<()> {
        let engine = Arc::clone(&self.engine);
        for catalog in engine.catalog.list_catalogs().await? {
            for schema in engine.catalog.list_schemas(&catalog.name).await? {
                for record in engine.catalog.list_tables(&schema.name).await? {
                    if let Err(e) = self.keep(session, &record).await {
                        tracing::warn!(table = %record.name, "a table was not maintained: {e}");
                    }
                }
            }
        }
        Ok(())
    }

    async fn keep(&mut self, session: &Arc<Session>, record: &TableRecord) -> Result<()> {
        if record.provider.as_deref() != Some("delta") {
            return Ok(());
        }
        let name = record.name.parts();
        let found = resolver::resolve(session, &name, &Vec::new(), None, &Scope::of(session)).await?;
        let Resolved::Table(table) = found else { return Ok(()) };
        let Some(delta) = table.delta.clone().filter(|delta| wants_maintenance(&delta.snapshot)) else {
            return Ok(());
        };
        let now = clock::now_ms();
        let cleans = self.cleaned_ms.get(&record.id).is_none_or(|last| now - last >= CLEAN_UP_EVERY_MS);
        let state = execute::query_state(session);
        let done = keep_up(&delta.snapshot, &state, &DmlOptions::default(), cleans).await?;
        if cleans {
            self.cleaned_ms.insert(record.id, now);
        }
        let Upkeep { optimized, vacuumed } = done;
        if let Some(committed) = &optimized {
            tracing::info!(table = %record.name, version = committed.version, "files were compacted");
        }
        if let Some(vacuumed) = &vacuumed {
            tracing::info!(table = %record.name, files = vacuumed.files, bytes = vacuumed.bytes, "files were deleted");
        }
        let last = vacuumed.and_then(|v| v.committed).or(optimized);
        if let Some(committed) = last {
            delta.table.cache().put(committed.snapshot);
        }
        Ok(())
    }
}
