//! What a statement reads of the table it writes: `INSERT INTO t SELECT .. FROM t`, a MERGE whose source reads its target.
//!
//! As in Spark, where scans ask the active transaction for their files (`PrepareDeltaScan`): such a statement is no blind
//! append, and commits of others that concern what it read are conflicts.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use parking_lot::Mutex;

use super::conflict::ReadSet;
use crate::file_set::FileWithStats;
use crate::scan::unqualified;
use crate::snapshot::Snapshot;

/// An extension of the configuration of a session that plans one statement: scans of the table note here what they read.
#[derive(Debug)]
pub struct OwnReads {
    table: Snapshot,
    found: Mutex<ReadSet>,
}

impl OwnReads {
    /// For a statement that writes to a table as it is at a snapshot.
    pub fn of(table: &Snapshot) -> Arc<Self> {
        Arc::new(Self { table: table.clone(), found: Mutex::default() })
    }

    /// Notes a scan. Versions of before are read by time travel: no commit changes them.
    pub(crate) fn note(
        session: &dyn Session,
        read: &Snapshot,
        filters: &[Expr],
        files: &[FileWithStats],
    ) -> Result<()> {
        let Some(reads) = session.config().get_extension::<Self>() else { return Ok(()) };
        if read.version() < reads.table.version() || read.location().uri() != reads.table.location().uri() {
            return Ok(());
        }
        let schema = DFSchema::try_from(read.arrow_schema()).spark()?;
        let mut predicates = Vec::with_capacity(filters.len());
        for filter in filters {
            // Without a filter over hidden columns more is read.
            predicates.extend(session.create_physical_expr(unqualified(filter.clone())?, &schema).ok());
        }
        let mut found = reads.found.lock();
        found.predicates.push(predicates);
        found.files.extend(files.iter().map(|f| f.file.key()));
        Ok(())
    }

    /// What the statement of a session has read of its table.
    pub(crate) fn found(session: &dyn Session) -> ReadSet {
        let reads = session.config().get_extension::<Self>();
        reads.map(|r| r.found.lock().clone()).unwrap_or_default()
    }
}
