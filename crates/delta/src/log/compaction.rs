//! Compacted log files: some commits as one, for readers that are far behind a checkpoint ("Log Compaction Files" in
//! PROTOCOL.md).
//!
//! The rule is our own, as no property says when to write them: between two checkpoints that are further apart than
//! [`COMMITS`] (`delta.checkpointInterval`), each run of so many commits is compacted once.

use std::collections::BTreeMap;

use boathouse_spec::{Error, Result};
use object_store::PutMode;

use crate::action::{Action, FileKey};
use crate::location::TableLocation;
use crate::snapshot::Snapshot;

/// Commits in a compacted file.
const COMMITS: i64 = 10;

/// Writes the compacted file that ends with a version, where one is due. A failure fails nothing.
pub(crate) async fn write_if_due(table: &Snapshot, checkpoint_interval: i64) {
    let version = table.version();
    if checkpoint_interval <= COMMITS || version % COMMITS != 0 || version % checkpoint_interval == 0 {
        return;
    }
    let from = (version - COMMITS + 1).max(version - version % checkpoint_interval + 1);
    if from < 1 || from >= version {
        return;
    }
    if let Err(e) = write(table.location(), from, version).await {
        tracing::debug!(
            table = table.location().uri(),
            "commits {from} to {version} were not compacted: {e}"
        );
    }
}

async fn write(location: &TableLocation, from: i64, until: i64) -> Result<()> {
    let mut state = Reconciled::default();
    for version in from..=until {
        let Some(actions) = super::read_commit(location, version).await? else {
            return Err(Error::io(format!("reading commit {version}"), "it is not there"));
        };
        actions.into_iter().for_each(|action| state.add(action));
    }
    let mut content = String::new();
    for action in state.into_actions() {
        content.push_str(&action.to_json()?);
        content.push('\n');
    }
    let path = location.log_path(&format!("{from:020}.{until:020}.compacted.json"));
    super::put_derived(location, &path, content.into_bytes(), PutMode::Create).await
}

/// The last word on each thing ("Action Reconciliation" in PROTOCOL.md). What was removed stays, for it may be in an
/// earlier version; who committed and the files of the change feed are left to the commits themselves.
#[derive(Default)]
struct Reconciled {
    protocol: Option<Action>,
    metadata: Option<Action>,
    txns: BTreeMap<String, Action>,
    domains: BTreeMap<String, Action>,
    files: BTreeMap<FileKey, Action>,
}

impl Reconciled {
    fn add(&mut self, action: Action) {
        match &action {
            Action::Protocol(_) => self.protocol = Some(action),
            Action::Metadata(_) => self.metadata = Some(action),
            Action::Txn(txn) => {
                self.txns.insert(txn.app_id.clone(), action);
            }
            Action::DomainMetadata(domain) => {
                self.domains.insert(domain.domain.clone(), action);
            }
            Action::Add(add) => {
                self.files.insert(add.key(), action);
            }
            Action::Remove(remove) => {
                self.files.insert(remove.key(), action);
            }
            Action::CommitInfo(_) | Action::Cdc(_) => {}
        }
    }

    fn into_actions(self) -> impl Iterator<Item = Action> {
        let about = self.protocol.into_iter().chain(self.metadata);
        about.chain(self.txns.into_values()).chain(self.domains.into_values()).chain(self.files.into_values())
    }
}
