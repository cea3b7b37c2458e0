//! Which files a table has loaded.
//!
//! The n-th load of a table writes all files loaded so far to `_delta_log/_copy_into_log/<n>-<uuid>.json`, then commits with
//! the transaction (`boathouse.copyInto`, n) and the file's name in the commit. So the list counts from the moment the rows
//! do, and two loads at once conflict. A load that failed or died leaves a file that no commit names.

use std::collections::BTreeSet;

use boathouse_delta::{Snapshot, TableLocation, history};
use boathouse_spec::{Error, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

pub(super) const APPLICATION: &str = "boathouse.copyInto";
/// The field of a commit that names the list.
pub(super) const COMMIT_FIELD: &str = "copyIntoLog";

pub(super) struct Loaded {
    /// The number of the load that is to come, from 1.
    number: i64,
    files: BTreeSet<String>,
}

impl Loaded {
    /// What was loaded up to a version of the table.
    pub async fn read(table: &Snapshot) -> Result<Self> {
        let Some(number) = table.app_version(APPLICATION).await? else {
            return Ok(Self { number: 1, files: BTreeSet::new() });
        };
        let name = committed(table, number).await?;
        let path = directory(table.location()).join(name.as_str());
        let failed =
            |e: &dyn std::fmt::Display| Error::io(format!("reading the list of loaded files {path}"), e);
        let text = table.location().store().get(&path).await.map_err(|e| failed(&e))?;
        let text = text.bytes().await.map_err(|e| failed(&e))?;
        let files = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
        Ok(Self { number: number + 1, files })
    }

    pub fn number(&self) -> i64 {
        self.number
    }

    pub fn contains(&self, file: &str) -> bool {
        self.files.contains(file)
    }

    pub fn extend(&mut self, files: &[String]) {
        self.files.extend(files.iter().cloned());
    }

    /// Writes the list and gives its name.
    pub async fn write(&self, table: &TableLocation) -> Result<String> {
        let name = format!("{:020}-{}.json", self.number, uuid::Uuid::new_v4());
        let text =
            serde_json::to_vec(&self.files).map_err(|e| Error::internal(format!("a list of files: {e}")))?;
        let path = directory(table).join(name.as_str());
        let put = table.store().put(&path, PutPayload::from(text)).await;
        put.map_err(|e| Error::io(format!("writing the list of loaded files {path}"), e))?;
        Ok(name)
    }

    /// Removes a list that no commit names. A failure leaves a file that nobody reads.
    pub async fn remove(&self, table: &TableLocation, name: &str) {
        let path = directory(table).join(name);
        if let Err(e) = table.store().delete(&path).await {
            tracing::warn!("the list of loaded files {path} is left behind: {e}");
        }
    }

    /// Removes the lists that the one of this name replaces.
    pub async fn forget_others(&self, table: &TableLocation, name: &str) {
        let Ok(names) = lists(table).await else { return };
        for other in
            names.iter().filter(|n| n.as_str() != name && number_of(n).is_some_and(|k| k <= self.number))
        {
            self.remove(table, other).await;
        }
    }
}

fn directory(table: &TableLocation) -> Path {
    table.log_path("_copy_into_log")
}

async fn lists(table: &TableLocation) -> Result<Vec<String>> {
    let listed = table.store().list(Some(&directory(table))).try_collect::<Vec<_>>().await;
    let listed = listed.map_err(|e| Error::io("listing the lists of loaded files", e))?;
    Ok(listed.iter().filter_map(|meta| meta.location.filename().map(str::to_string)).collect())
}

fn number_of(name: &str) -> Option<i64> {
    name.split('-').next()?.parse().ok()
}

/// The list that the load of this number committed.
async fn committed(table: &Snapshot, number: i64) -> Result<String> {
    let mut names = lists(table.location()).await?;
    names.retain(|n| number_of(n) == Some(number));
    if let [name] = names.as_slice() {
        return Ok(name.clone());
    }
    // Another load of the same number died before its commit: the commit tells which list is the right one.
    let commits = history(table.location(), None).await?;
    let named =
        commits.iter().filter_map(|c| c.info.text(COMMIT_FIELD)).find(|n| number_of(n) == Some(number));
    named.map(str::to_string).filter(|n| names.contains(n)).ok_or_else(|| {
        Error::new("COPY_INTO_STATE_INVALID").message(format!(
            "The list of the files that {} has loaded is lost. COPY INTO with COPY_OPTIONS ('force' = 'true') loads files \
             whether they were loaded before or not.",
            table.location().uri()
        ))
    })
}
