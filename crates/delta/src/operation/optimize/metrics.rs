//! The figures of OPTIMIZE: the row it gives, and what its commit records.

use std::collections::HashSet;

use boathouse_spec::{DataType, Name, Result, StructType};
use serde_json::{Value, json};

use crate::action::{Add, Remove};
use crate::file_set::FileWithStats;
use crate::report::{Report, field, required};
use crate::snapshot::Snapshot;
use crate::transaction::Metrics;

/// Sizes of files, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SizeSummary {
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub avg: f64,
    pub total_files: i64,
    pub total_size: i64,
}

impl SizeSummary {
    fn of(sizes: &[i64]) -> Self {
        let total_size: i64 = sizes.iter().sum();
        Self {
            min: sizes.iter().copied().min(),
            max: sizes.iter().copied().max(),
            avg: if sizes.is_empty() { 0.0 } else { total_size as f64 / sizes.len() as f64 },
            total_files: sizes.len() as i64,
            total_size,
        }
    }

    fn json(&self) -> Value {
        json!({
            "min": self.min, "max": self.max, "avg": self.avg,
            "totalFiles": self.total_files, "totalSize": self.total_size,
        })
    }
}

/// Files and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileCount {
    pub files: i64,
    pub bytes: i64,
}

impl FileCount {
    pub(super) fn add(&mut self, bytes: i64) {
        self.files += 1;
        self.bytes += bytes;
    }

    fn json(self) -> Value {
        json!({"numFiles": self.files, "size": self.bytes})
    }
}

/// What clustering found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClusteringStats {
    /// Files that were clustered by these columns before, and how many times files were clustered.
    pub cube_files: FileCount,
    pub cubes: i64,
    pub other_files: FileCount,
    pub merged: FileCount,
    pub new_cubes: i64,
}

impl ClusteringStats {
    fn json(&self) -> Value {
        json!({
            "inputZCubeFiles": self.cube_files.json(),
            "inputOtherFiles": self.other_files.json(),
            "inputNumZCubes": self.cubes,
            "mergedFiles": self.merged.json(),
            "numOutputZCubes": self.new_cubes,
        })
    }
}

/// What OPTIMIZE did (delta-spark's `OptimizeMetrics`).
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizeMetrics {
    pub files_added: SizeSummary,
    pub files_removed: SizeSummary,
    pub partitions_optimized: i64,
    pub zordered: bool,
    /// Of a clustered table.
    pub clustering: Option<ClusteringStats>,
    pub num_bins: i64,
    pub total_considered_files: i64,
    pub total_files_skipped: i64,
    pub deletion_vectors_removed: i64,
    pub deletion_vector_rows_removed: i64,
    pub num_table_columns: i64,
    pub num_table_columns_with_stats: i64,
    pub start_time_ms: i64,
    pub end_time_ms: i64,
}

impl OptimizeMetrics {
    pub(super) fn new(
        table: &Snapshot,
        bins: &[Vec<FileWithStats>],
        considered: usize,
        adds: &[Add],
        zorder_by: &[Name],
        start_time_ms: i64,
    ) -> Self {
        let files: Vec<&FileWithStats> = bins.iter().flatten().collect();
        let partitions: HashSet<Vec<String>> = files
            .iter()
            .map(|f| f.file.partition_values.iter().map(|(k, v)| format!("{k}={v:?}")).collect())
            .collect();
        let vectors = files.iter().filter_map(|f| f.file.deletion_vector.as_ref());
        let indexed = table
            .property("delta.dataSkippingNumIndexedCols")
            .and_then(|v| v.parse::<i64>().ok())
            .filter(|n| *n >= 0)
            .unwrap_or(32);
        let columns = table.schema().fields.len() as i64;
        Self {
            files_added: SizeSummary::of(&adds.iter().map(|a| a.size).collect::<Vec<_>>()),
            files_removed: SizeSummary::of(&files.iter().map(|f| f.file.size).collect::<Vec<_>>()),
            partitions_optimized: partitions.len() as i64,
            zordered: !zorder_by.is_empty(),
            clustering: None,
            num_bins: bins.len() as i64,
            total_considered_files: considered as i64,
            total_files_skipped: (considered - files.len()) as i64,
            deletion_vectors_removed: vectors.clone().count() as i64,
            deletion_vector_rows_removed: vectors.map(|v| v.cardinality).sum(),
            num_table_columns: columns,
            num_table_columns_with_stats: columns.min(indexed),
            start_time_ms,
            end_time_ms: start_time_ms,
        }
    }

    /// The commit's figures.
    pub(super) fn record(&self, out: &mut Metrics, adds: &[Add], removes: &[Remove]) {
        let mut sizes: Vec<i64> = adds.iter().map(|a| a.size).collect();
        sizes.sort_unstable();
        let at = |part: usize| {
            sizes.get((sizes.len() * part / 4).min(sizes.len().saturating_sub(1))).copied().unwrap_or(0)
        };
        out.set("numRemovedFiles", removes.len());
        out.set("numRemovedBytes", removes.iter().filter_map(|r| r.size).sum::<i64>());
        out.set("p25FileSize", at(1));
        out.set("numDeletionVectorsRemoved", self.deletion_vectors_removed);
        out.set("minFileSize", at(0));
        out.set("p75FileSize", at(3));
        out.set("p50FileSize", at(2));
        out.set("numAddedBytes", sizes.iter().sum::<i64>());
        out.set("numAddedFiles", adds.len());
        out.set("maxFileSize", sizes.last().copied().unwrap_or(0));
    }

    fn json(&self) -> Value {
        let removed = json!({"num": self.files_removed.total_files, "size": self.files_removed.total_size});
        let zorder = json!({
            "strategyName": "all",
            "inputCubeFiles": {"num": 0, "size": 0},
            "inputOtherFiles": removed,
            "inputNumCubes": 0,
            "mergedFiles": removed,
            "numOutputCubes": self.num_bins,
            "mergedNumCubes": null,
        });
        let vectors = json!({
            "numDeletionVectorsRemoved": self.deletion_vectors_removed,
            "numDeletionVectorRowsRemoved": self.deletion_vector_rows_removed,
        });
        json!({
            "numFilesAdded": self.files_added.total_files,
            "numFilesRemoved": self.files_removed.total_files,
            "filesAdded": self.files_added.json(),
            "filesRemoved": self.files_removed.json(),
            "partitionsOptimized": self.partitions_optimized,
            "zOrderStats": if self.zordered { zorder } else { Value::Null },
            "clusteringStats": self.clustering.as_ref().map(ClusteringStats::json),
            "numBins": self.num_bins,
            "numBatches": 1,
            "totalConsideredFiles": self.total_considered_files,
            "totalFilesSkipped": self.total_files_skipped,
            "preserveInsertionOrder": false,
            "numFilesSkippedToReduceWriteAmplification": 0,
            "numBytesSkippedToReduceWriteAmplification": 0,
            "startTimeMs": self.start_time_ms,
            "endTimeMs": self.end_time_ms,
            "totalClusterParallelism": std::thread::available_parallelism().map_or(1, usize::from),
            "totalScheduledTasks": 0,
            "autoCompactParallelismStats": null,
            "deletionVectorStats": if self.deletion_vectors_removed > 0 { vectors } else { Value::Null },
            "numTableColumns": self.num_table_columns,
            "numTableColumnsWithStats": self.num_table_columns_with_stats,
        })
    }
}

/// The row that OPTIMIZE gives, for the table at `path`.
pub fn optimize_report(path: &str, metrics: &OptimizeMetrics) -> Result<Report> {
    let row = json!({"path": path, "metrics": metrics.json()});
    Report::new(schema(), &[row])
}

fn schema() -> StructType {
    let long = |name: &str| required(name, DataType::Long);
    let sizes = || {
        DataType::structure(vec![
            field("min", DataType::Long),
            field("max", DataType::Long),
            required("avg", DataType::Double),
            long("totalFiles"),
            long("totalSize"),
        ])
    };
    let files = |count: &str| DataType::structure(vec![long(count), long("size")]);
    let zorder = DataType::structure(vec![
        field("strategyName", DataType::STRING),
        field("inputCubeFiles", files("num")),
        field("inputOtherFiles", files("num")),
        long("inputNumCubes"),
        field("mergedFiles", files("num")),
        long("numOutputCubes"),
        field("mergedNumCubes", DataType::Long),
    ]);
    let clustering = DataType::structure(vec![
        field("inputZCubeFiles", files("numFiles")),
        field("inputOtherFiles", files("numFiles")),
        long("inputNumZCubes"),
        field("mergedFiles", files("numFiles")),
        long("numOutputZCubes"),
    ]);
    let parallelism = DataType::structure(
        [
            "maxClusterActiveParallelism",
            "minClusterActiveParallelism",
            "maxSessionActiveParallelism",
            "minSessionActiveParallelism",
        ]
        .iter()
        .map(|n| field(n, DataType::Long))
        .collect(),
    );
    let vectors =
        DataType::structure(vec![long("numDeletionVectorsRemoved"), long("numDeletionVectorRowsRemoved")]);
    let metrics = DataType::structure(vec![
        long("numFilesAdded"),
        long("numFilesRemoved"),
        field("filesAdded", sizes()),
        field("filesRemoved", sizes()),
        long("partitionsOptimized"),
        field("zOrderStats", zorder),
        field("clusteringStats", clustering),
        long("numBins"),
        long("numBatches"),
        long("totalConsideredFiles"),
        long("totalFilesSkipped"),
        required("preserveInsertionOrder", DataType::Boolean),
        long("numFilesSkippedToReduceWriteAmplification"),
        long("numBytesSkippedToReduceWriteAmplification"),
        long("startTimeMs"),
        long("endTimeMs"),
        long("totalClusterParallelism"),
        long("totalScheduledTasks"),
        field("autoCompactParallelismStats", parallelism),
        field("deletionVectorStats", vectors),
        long("numTableColumns"),
        long("numTableColumnsWithStats"),
    ]);
    StructType::new(vec![field("path", DataType::STRING), field("metrics", metrics)])
}
