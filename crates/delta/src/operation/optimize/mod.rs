//! OPTIMIZE: small files become large ones, and with ZORDER BY rows that are alike come together.

mod auto;
mod clustering;
mod metrics;
mod zorder;

use std::collections::BTreeMap;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Name, Result, clock, quote_paths_if_needed};
use datafusion::catalog::Session;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::delete::DmlOptions;
use super::dml;
use super::write::Predicate;
use crate::action::{Add, Remove};
use crate::data_file::{FileOptions, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::file_set::FileWithStats;
use crate::partition::{self, SessionZone};
use crate::row_tracking;
use crate::scan::DeltaScan;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, Transaction};

pub use auto::AutoCompact;
pub(crate) use auto::after_commit;
pub use metrics::{ClusteringStats, FileCount, OptimizeMetrics, SizeSummary, optimize_report};

/// Files smaller than this are compacted, and compacted files grow to this.
const DEFAULT_FILE_SIZE: i64 = 1024 * 1024 * 1024;
/// Bins rewritten at a time.
const PARALLEL_BINS: usize = 4;

/// What to optimize, and how.
#[derive(Debug, Clone, Default)]
pub struct OptimizeOptions {
    /// A condition on partition columns.
    pub condition: Option<Predicate>,
    pub zorder_by: Vec<Name>,
    /// Bytes; 1 GiB where `None`.
    pub target_file_size: Option<u64>,
    /// Files below so many bytes are compacted; those below the target's size where `None`.
    pub min_file_size: Option<u64>,
    /// Recorded: whether it ran without being asked to.
    pub auto: bool,
    /// REORG .. APPLY (PURGE): only files with deleted rows are written anew.
    pub purge: bool,
    /// Of a clustered table: files that are clustered are clustered anew.
    pub full: bool,
    pub commit: DmlOptions,
}

/// Compacts the files of a table.
pub async fn optimize(
    table: &Snapshot,
    session: &dyn Session,
    options: &OptimizeOptions,
) -> Result<(OptimizeMetrics, Option<Committed>)> {
    let start_ms = clock::now_ms();
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    let cluster_by = clustering::columns(table, options).await?;
    let zorder = match cluster_by.is_empty() {
        true => zorder::columns(table, &options.zorder_by)?,
        false => cluster_by.clone(),
    };
    let conjuncts = dml::conjuncts(options.condition.as_ref().map(|c| &c.expr))?;
    refuse_data_columns(table, &conjuncts)?;
    let scan = DeltaScan::with_hidden(table.clone(), row_tracking::carried(table))?;
    let mut candidates = scan.candidate_files(session, &conjuncts).await?;
    if options.purge {
        candidates.retain(|f| f.file.deletion_vector.is_some());
    }
    let considered = candidates.len();
    let mut clustering_stats = None;
    if !cluster_by.is_empty() {
        let (chosen, stats) = clustering::candidates(candidates, &cluster_by, options.full);
        candidates = chosen;
        clustering_stats = Some(stats);
    }
    let size = options
        .target_file_size
        .and_then(|s| i64::try_from(s).ok())
        .or_else(|| {
            let text = table.property("delta.targetFileSize")?;
            i64::try_from(crate::data_file::parse_size(text)?).ok()
        })
        .unwrap_or(DEFAULT_FILE_SIZE);
    let below = options.min_file_size.and_then(|s| i64::try_from(s).ok());
    if let Some(below) = below.filter(|_| zorder.is_empty()) {
        candidates.retain(|f| f.file.size < below || f.file.deletion_vector.is_some());
    }
    let bins = bins(table, session, candidates, size, !zorder.is_empty())?;
    let work = Work { table, session, options, size, zorder: &zorder, cluster_by: &cluster_by, start_ms };
    let (metrics, committed) = work.run(scan, bins, considered).await?;
    Ok((OptimizeMetrics { clustering: clustering_stats, ..metrics }, committed))
}

/// Files of clustered tables that wait for their turn, before a keeper gives it to them.
const WAITING_FILES: i64 = 50;
const WAITING_BYTES: i64 = 1024 * 1024 * 1024;

/// OPTIMIZE where it pays: by the thresholds of auto compaction, or of clustering.
pub(super) async fn where_it_pays(
    table: &Snapshot,
    session: &dyn Session,
    commit: &DmlOptions,
) -> Result<Option<Committed>> {
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    let options = OptimizeOptions { auto: true, commit: commit.clone(), ..OptimizeOptions::default() };
    let cluster_by = clustering::columns(table, &options).await?;
    if cluster_by.is_empty() {
        return auto::compact(table, session, &AutoCompact::default(), commit, None).await;
    }
    let files = DeltaScan::new(table.clone())?.candidate_files(session, &[]).await?;
    let waiting = clustering::candidates(files, &cluster_by, false).1.other_files;
    if waiting.files < WAITING_FILES && waiting.bytes < WAITING_BYTES {
        return Ok(None);
    }
    optimize(table, session, &options).await.map(|(_, committed)| committed)
}

/// Writes files again because of how they were written; nothing is committed where there are none.
pub(crate) async fn rewrite_files(
    table: &Snapshot,
    session: &dyn Session,
    files: Vec<FileWithStats>,
    commit: &DmlOptions,
) -> Result<(OptimizeMetrics, Option<Committed>)> {
    let options = OptimizeOptions { purge: true, commit: commit.clone(), ..OptimizeOptions::default() };
    let scan = DeltaScan::with_hidden(table.clone(), row_tracking::carried(table))?;
    let (size, start_ms, considered) = (DEFAULT_FILE_SIZE, clock::now_ms(), files.len());
    let work = Work { table, session, options: &options, size, zorder: &[], cluster_by: &[], start_ms };
    work.run(scan, bins(table, session, files, size, true)?, considered).await
}

/// What is to be compacted, and how.
struct Work<'a> {
    table: &'a Snapshot,
    session: &'a dyn Session,
    options: &'a OptimizeOptions,
    /// Bytes of the files that are written.
    size: i64,
    zorder: &'a [Name],
    /// The clustering columns, which are then those of the order.
    cluster_by: &'a [Name],
    start_ms: i64,
}

impl Work<'_> {
    async fn run(
        &self,
        scan: DeltaScan,
        bins: Vec<Vec<FileWithStats>>,
        considered: usize,
    ) -> Result<(OptimizeMetrics, Option<Committed>)> {
        let (table, options) = (self.table, self.options);
        let work: Vec<_> = bins.iter().map(|bin| self.rewrite(&scan, bin.clone())).collect();
        let written: Vec<WrittenFiles> = stream::iter(work).buffered(PARALLEL_BINS).try_collect().await?;

        let now = clock::now_ms();
        let files: Vec<&FileWithStats> = bins.iter().flatten().collect();
        let removes: Vec<Remove> = files.iter().map(|f| f.file.remove(now, false)).collect();
        let mut adds: Vec<Add> = written.into_iter().flat_map(|w| w.adds).collect();
        if !self.cluster_by.is_empty() {
            clustering::mark(&mut adds, self.cluster_by);
        }
        let mut metrics =
            OptimizeMetrics::new(table, &bins, considered, &adds, &options.zorder_by, self.start_ms);
        if removes.is_empty() {
            metrics.end_time_ms = clock::now_ms();
            return Ok((metrics, None));
        }
        let mut transaction = Transaction::new(table.location(), Some(table), self.operation());
        transaction.user_metadata.clone_from(&options.commit.user_metadata);
        transaction.tags = options.commit.commit_fields.clone();
        transaction.keeps_ids();
        transaction.reads.files = files.iter().map(|f| f.file.key()).collect();
        metrics.record(&mut transaction.metrics, &adds, &removes);
        transaction.remove(removes);
        transaction.add_written(adds);
        let committed = transaction.commit().await?;
        metrics.end_time_ms = clock::now_ms();
        Ok((metrics, Some(committed)))
    }

    fn operation(&self) -> Operation {
        let options = self.options;
        let predicates: Vec<String> = options.condition.iter().map(|c| c.sql.clone()).collect();
        if options.purge {
            return Operation::new("REORG").predicates("predicate", &predicates).raw("applyPurge", true);
        }
        let operation = Operation::new("OPTIMIZE")
            .predicates("predicate", &predicates)
            .json("zOrderBy", &json!(zorder::attribute_names(&options.zorder_by)))
            .json("clusterBy", &json!(quote_paths_if_needed(self.cluster_by)))
            .raw("auto", options.auto);
        match self.cluster_by.is_empty() {
            true => operation,
            false => operation.raw("isFull", options.full),
        }
    }

    async fn rewrite(&self, scan: &DeltaScan, bin: Vec<FileWithStats>) -> Result<WrittenFiles> {
        let scan = scan.clone().with_files(bin);
        let plan = if self.zorder.is_empty() {
            let plan = dml::rows_of(scan)?.build().spark()?;
            self.session.create_physical_plan(&plan).await.spark()?
        } else {
            zorder::plan(self.session, scan, self.zorder).await?
        };
        let commit = &self.options.commit;
        let file_options =
            FileOptions { target_file_size: u64::try_from(self.size).ok(), ..commit.file_options() };
        let version = TableVersion::of(self.table);
        let target =
            WriteTarget::unchecked(&version, &file_options, false)?.keeping_ids(self.table.metadata());
        write_plan(single(plan), self.session.task_ctx(), Arc::new(target)).await
    }
}

fn refuse_data_columns(table: &Snapshot, conjuncts: &[Expr]) -> Result<()> {
    for conjunct in conjuncts {
        for column in conjunct.column_refs() {
            if !table.partition_columns().contains(&column.name) {
                let list = table.partition_columns().join(", ");
                return Err(Error::new("DELTA_NON_PARTITION_COLUMN_REFERENCE")
                    .param("columnName", &column.name)
                    .param("columnList", &list)
                    .message(format!(
                        "OPTIMIZE WHERE takes partition columns only ([{list}]); `{}` is none.",
                        column.name
                    ))
                    .exception("AnalysisException"));
            }
        }
    }
    Ok(())
}

/// Files by the partition that they are in.
fn by_partition(
    table: &Snapshot,
    session: &dyn Session,
    files: Vec<FileWithStats>,
) -> Result<BTreeMap<Vec<Option<String>>, Vec<FileWithStats>>> {
    let columns = table.columns().partitions(table.metadata());
    let zone = SessionZone::of(session);
    let mut partitions: BTreeMap<_, Vec<FileWithStats>> = BTreeMap::new();
    for file in files {
        let key = partition::key(&columns, &file.file.partition_values, &zone)?;
        partitions.entry(key).or_default().push(file);
    }
    Ok(partitions)
}

/// The files that are rewritten together, partition by partition.
fn bins(
    table: &Snapshot,
    session: &dyn Session,
    files: Vec<FileWithStats>,
    size: i64,
    all: bool,
) -> Result<Vec<Vec<FileWithStats>>> {
    let mut out = Vec::new();
    for (_, files) in by_partition(table, session, files)? {
        if all {
            // The order of rows is one for the whole partition.
            out.push(files);
            continue;
        }
        let mut small: Vec<FileWithStats> =
            files.into_iter().filter(|f| f.file.size < size || f.file.deletion_vector.is_some()).collect();
        small.sort_by_key(|f| f.file.size);
        let mut bin: Vec<FileWithStats> = Vec::new();
        let mut filled = 0i64;
        for file in small {
            if !bin.is_empty() && filled.saturating_add(file.file.size) > size {
                out.push(std::mem::take(&mut bin));
                filled = 0;
            }
            filled = filled.saturating_add(file.file.size);
            bin.push(file);
        }
        if !bin.is_empty() {
            out.push(bin);
        }
    }
    // A file alone gains nothing, unless deleted rows go.
    out.retain(|bin| all || bin.len() > 1 || bin.iter().any(|f| f.file.deletion_vector.is_some()));
    Ok(out)
}

/// One stream: a bin becomes one file, or files in order.
fn single(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.output_partitioning().partition_count() > 1 {
        return Arc::new(CoalescePartitionsExec::new(plan));
    }
    plan
}
