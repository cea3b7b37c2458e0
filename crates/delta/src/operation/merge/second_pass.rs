//! The second pass: writes what rows become and what is inserted, and takes out what was there.

use std::collections::BTreeSet;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Result, StructType};
use datafusion::catalog::Session;
use datafusion::logical_expr::LogicalPlan;

use super::super::delete::{DmlOptions, take_out};
use super::super::dml::{self, FileChanges, RowSets};
use super::find::Found;
use super::plan::Read;
use super::source::MergeSource;
use super::{
    CLAUSE_COLUMN, COPY, MATCHED, Merge, MergeAction, MergeClause, NOT_MATCHED, NOT_MATCHED_BY_SOURCE, pick,
    plan,
};
use crate::action::{Cdc, Metadata, Protocol};
use crate::change_feed::{self, ChangeType};
use crate::data_file::{RowActions, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::file_set::FileWithStats;
use crate::row_tracking;
use crate::scan::{DeltaScan, HiddenColumn};
use crate::schema::stored;
use crate::snapshot::Snapshot;

/// The table as it is to be afterwards.
pub(super) struct Evolved {
    pub metadata: Metadata,
    pub schema: StructType,
    pub protocol: Protocol,
    pub is_changed: bool,
}

impl Evolved {
    pub fn of(table: &Snapshot, merge: &Merge) -> Result<Self> {
        let mut out = Self {
            metadata: table.metadata().clone(),
            schema: table.schema().clone(),
            protocol: table.protocol().clone(),
            is_changed: false,
        };
        if let Some(wanted) = merge.evolved_schema.as_ref().filter(|s| *s != table.schema()) {
            let wanted = stored::stored_schema(wanted)?;
            stored::check_names(&wanted, table.columns().is_mapped())?;
            out.schema = stored::assign_mapping(&wanted, &mut out.metadata, false);
            out.metadata.schema_string = out.schema.json();
            out.protocol = crate::protocol::upgraded(table.protocol(), &out.metadata, &out.schema)?;
            out.is_changed = true;
        }
        Ok(out)
    }
}

/// What the second pass did.
#[derive(Default)]
pub(super) struct Outcome {
    pub changes: FileChanges,
    pub written: WrittenFiles,
    pub counts: Counts,
}

/// All that a merge did.
pub(super) struct Done {
    pub outcome: Outcome,
    /// The files of the change feed.
    pub change_files: Vec<Cdc>,
}

#[derive(Clone, Copy)]
pub(super) struct SecondPass<'a> {
    pub table: &'a Snapshot,
    pub session: &'a dyn Session,
    pub merge: &'a Merge,
    pub options: &'a DmlOptions,
    pub source: &'a MergeSource,
    pub scan: &'a DeltaScan,
    pub candidates: &'a [FileWithStats],
    pub new: &'a Evolved,
}

impl SecondPass<'_> {
    /// Does what the merge says. `marks`: old rows are marked as deleted.
    pub async fn run(&self, found: &Found, marks: bool) -> Result<Done> {
        if self.updates_vary() {
            return self.run_once(found, marks).await;
        }
        let change_files = self.change_files(found, marks).await?;
        let outcome = if self.merge.only_inserts() {
            self.insert().await?
        } else if marks {
            self.change_apart(found, true).await?.0
        } else {
            self.rewrite(found).await?
        };
        Ok(Done { outcome, change_files })
    }

    /// The same, but what rows become is computed once: the change feed reads it from the files.
    async fn run_once(&self, found: &Found, marks: bool) -> Result<Done> {
        let (mut outcome, copies) = self.change_apart(found, marks).await?;
        let mut change_files = self.old_change_files(found).await?;
        change_files.extend(self.added_change_files(&outcome.written, ChangeType::UpdatePostimage).await?);
        outcome.counts.copied = copies.rows as i64;
        outcome.written.extend(copies);
        Ok(Done { outcome, change_files })
    }

    /// Whether the change feed is to tell new values that differ each time they are computed.
    fn updates_vary(&self) -> bool {
        let mut clauses = self.merge.matched.iter().chain(&self.merge.not_matched_by_source);
        change_feed::keeps_changes(self.table) && clauses.any(MergeClause::varies)
    }

    /// Whether rows are inserted beside changes of others, and cannot be made twice, for the table and for the change feed:
    /// they get numbers, or values that differ each time they are computed.
    pub fn inserts_apart(&self) -> bool {
        let varies =
            !self.options.identities.is_empty() || self.merge.not_matched.iter().any(MergeClause::varies);
        !self.merge.not_matched.is_empty()
            && !self.merge.only_inserts()
            && change_feed::keeps_changes(self.table)
            && (varies || self.updates_vary())
    }

    /// The same in two steps: what rows become, and then what is inserted, which the change feed reads from its files.
    pub async fn apart(&self, found: &Found, marks: bool) -> Result<Done> {
        let changes = Merge { not_matched: Vec::new(), ..self.merge.clone() };
        let mut done = SecondPass { merge: &changes, ..*self }.run(found, marks).await?;
        let inserts = Merge { matched: Vec::new(), not_matched_by_source: Vec::new(), ..self.merge.clone() };
        let inserted = SecondPass { merge: &inserts, ..*self }.insert().await?;
        if !done.change_files.is_empty() {
            let files = self.added_change_files(&inserted.written, ChangeType::Insert).await?;
            done.change_files.extend(files);
        }
        done.outcome.written.extend(inserted.written);
        done.outcome.counts.inserted = inserted.counts.inserted;
        Ok(done)
    }

    /// Rows of the source without match.
    pub async fn insert(&self) -> Result<Outcome> {
        let scan = match self.merge.only_inserts() {
            true => self.scan.clone().having_ruled_out_others(self.candidates).await?,
            false => self.scan.clone(),
        };
        let plan = plan::inserts_plan(self.merge, self.source, &scan, self.candidates, &self.new.schema)?;
        let (written, counts) = self.write(&plan, self.source.bytes(), false).await?;
        Ok(Outcome { changes: FileChanges::default(), written, counts })
    }

    /// Writes what becomes of the rows that change, and takes out what they were: they are marked as deleted, or their files
    /// go and the other rows of these are copied.
    pub async fn change_apart(&self, found: &Found, marks: bool) -> Result<(Outcome, WrittenFiles)> {
        let mut out = Outcome::default();
        if self.merge.only_deletes() {
            out.counts.matched_deleted = found.acting.len() as i64;
            out.counts.unmatched_deleted = found.unmatched.len() as i64;
        } else if !self.merge.not_matched.is_empty() || found.changing().len() > 0 {
            // What the source does not match is told by all rows that it does match, those that stay included.
            let read = if self.merge.not_matched.is_empty() {
                found.changing()
            } else {
                let mut read = found.matched.clone();
                read.merge(found.unmatched.clone());
                read
            };
            let files = self.choosing(read);
            let bytes = files.iter().map(dml::bytes_read).sum::<i64>().saturating_add(self.source.bytes());
            let plan = self.changes(files, None, &row_tracking::carried(self.table))?;
            (out.written, out.counts) = self.write(&plan, bytes, false).await?;
            out.counts.matched_deleted -= found.matched.repeated() as i64;
        }
        let touched = dml::touched_by(self.table, self.candidates, found.changing()).await?;
        let (changes, copies) = take_out(self.table, self.session, touched, marks, self.options).await?;
        out.changes = changes;
        Ok((out, copies))
    }

    /// Writes the files anew that have rows that change.
    pub async fn rewrite(&self, found: &Found) -> Result<Outcome> {
        let changing = found.changing_files();
        if changing.is_empty() && self.merge.not_matched.is_empty() {
            return Ok(Outcome::default());
        }
        let mut read = changing.clone();
        if !self.merge.not_matched.is_empty() {
            read.extend(found.matched.files.keys());
        }
        let only = (read.len() > changing.len()).then_some(&changing);
        let files = pick(self.candidates, &read);
        let plan = self.changes(files, only, &row_tracking::carried(self.table))?;
        let removed = pick(self.candidates, &changing);
        let bytes = removed.iter().map(|f| f.file.size).sum::<i64>().saturating_add(self.source.bytes());
        let (written, mut counts) = self.write(&plan, bytes, true).await?;
        counts.matched_deleted -= found.matched.repeated() as i64;
        let mut changes = FileChanges::default();
        changes.remove_files(&removed);
        Ok(Outcome { changes, written, counts })
    }

    /// The files with these rows, of which the others are not read.
    pub(super) fn choosing(&self, mut rows: RowSets) -> Vec<FileWithStats> {
        let chosen = self.candidates.iter().filter_map(|file| {
            let rows = rows.files.remove(&(file.index as i64))?;
            Some(file.clone().choosing(Arc::new(rows)))
        });
        chosen.collect()
    }

    pub(super) fn changes(
        &self,
        files: Vec<FileWithStats>,
        changing: Option<&BTreeSet<i64>>,
        carried: &[HiddenColumn],
    ) -> Result<LogicalPlan> {
        let read = Read { scan: self.scan, files, changing, carried };
        plan::changes_plan(self.merge, self.source, read, self.table, &self.new.schema)
    }

    async fn write(&self, plan: &LogicalPlan, bytes: i64, copies: bool) -> Result<(WrittenFiles, Counts)> {
        let physical = self.session.create_physical_plan(plan).await.spark()?;
        let version = TableVersion {
            location: self.table.location(),
            protocol: &self.new.protocol,
            metadata: &self.new.metadata,
            schema: &self.new.schema,
        };
        let actions = Arc::new(RowActions::new(CLAUSE_COLUMN, plan::dropped(self.merge, copies)));
        let mut target = WriteTarget::new(
            self.session,
            &version,
            &self.options.constraints,
            &self.options.file_options(),
            true,
        )?
        .with_actions(actions.clone());
        if !self.merge.only_inserts() {
            target = target.keeping_ids(&self.new.metadata);
        }
        let plan = dml::gathered(physical, bytes);
        let written = write_plan(plan, self.session.task_ctx(), Arc::new(target)).await?;
        let mut counts = Counts::of(self.merge, &actions);
        if !copies {
            counts.copied = 0;
        }
        Ok((written, counts))
    }
}

/// Rows by what became of them.
#[derive(Default)]
pub(super) struct Counts {
    pub copied: i64,
    pub inserted: i64,
    pub matched_updated: i64,
    pub matched_deleted: i64,
    pub unmatched_updated: i64,
    pub unmatched_deleted: i64,
}

impl Counts {
    fn of(merge: &Merge, actions: &RowActions) -> Self {
        let mut out = Self::default();
        for (clause, rows) in actions.counts() {
            let kind = clause_of(merge, clause).map(|c| &c.action);
            let slot = match kind {
                None if clause == COPY => &mut out.copied,
                None => continue,
                Some(MergeAction::Insert(_)) => &mut out.inserted,
                Some(MergeAction::Update(_)) if clause < NOT_MATCHED => &mut out.matched_updated,
                Some(MergeAction::Update(_)) => &mut out.unmatched_updated,
                Some(MergeAction::Delete) if clause < NOT_MATCHED => &mut out.matched_deleted,
                Some(MergeAction::Delete) => &mut out.unmatched_deleted,
            };
            *slot += rows;
        }
        out
    }
}

fn clause_of(merge: &Merge, clause: i64) -> Option<&MergeClause> {
    let (list, base) = match clause {
        c if c >= NOT_MATCHED_BY_SOURCE => (&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE),
        c if c >= NOT_MATCHED => (&merge.not_matched, NOT_MATCHED),
        c if c >= MATCHED => (&merge.matched, MATCHED),
        _ => return None,
    };
    list.get(usize::try_from(clause - base).ok()?)
}
