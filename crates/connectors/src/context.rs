//! What reading and writing files needs to know of the session.

use std::sync::Arc;

use boathouse_formats::options::SessionDefaults;
use datafusion::execution::object_store::ObjectStoreRegistry;

use crate::paths::Paths;

/// A session's paths, stores and settings.
#[derive(Debug, Clone)]
pub struct Context {
    pub paths: Paths,
    /// The registry that DataFusion's runtime has too: scans look stores up there.
    pub stores: Arc<dyn ObjectStoreRegistry>,
    pub session: SessionDefaults,
    /// `spark.sql.sources.partitionColumnTypeInference.enabled`
    pub infer_partition_types: bool,
    /// `spark.sql.parquet.mergeSchema`
    pub merge_parquet_schemas: bool,
    /// `spark.sql.orc.mergeSchema`
    pub merge_orc_schemas: bool,
    /// `spark.sql.orc.compression.codec`
    pub orc_codec: String,
    /// `spark.sql.parquet.compression.codec`
    pub parquet_codec: String,
    /// `spark.sql.files.ignoreCorruptFiles`
    pub ignore_corrupt_files: bool,
    /// `spark.sql.files.ignoreMissingFiles`
    pub ignore_missing_files: bool,
    /// `spark.sql.files.ignoreInvalidPartitionPaths`
    pub ignore_invalid_partitions: bool,
    /// `spark.sql.streaming.fileStreamSink.ignoreMetadata`: what a streaming query wrote is read without its log.
    pub ignore_sink_log: bool,
    /// `spark.databricks.sql.rescuedDataColumn.filePath.enabled`
    pub rescued_file_path: bool,
    /// `spark.sql.sources.partitionOverwriteMode` is `DYNAMIC`
    pub dynamic_partition_overwrite: bool,
}

impl Context {
    /// A context with Spark's default settings.
    pub fn new(paths: Paths, stores: Arc<dyn ObjectStoreRegistry>, session: SessionDefaults) -> Self {
        Self {
            paths,
            stores,
            session,
            infer_partition_types: true,
            merge_parquet_schemas: false,
            merge_orc_schemas: false,
            orc_codec: "zstd".to_string(),
            parquet_codec: "snappy".to_string(),
            ignore_corrupt_files: false,
            ignore_missing_files: false,
            ignore_invalid_partitions: false,
            ignore_sink_log: false,
            rescued_file_path: true,
            dynamic_partition_overwrite: false,
        }
    }

    /// Whether files are found, read and written alike under both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self {
            paths,
            stores,
            session,
            infer_partition_types,
            merge_parquet_schemas,
            merge_orc_schemas,
            orc_codec,
            parquet_codec,
            ignore_corrupt_files,
            ignore_missing_files,
            ignore_invalid_partitions,
            ignore_sink_log,
            rescued_file_path,
            dynamic_partition_overwrite,
        } = self;
        *paths == other.paths
            && Arc::ptr_eq(stores, &other.stores)
            && *session == other.session
            && *infer_partition_types == other.infer_partition_types
            && *merge_parquet_schemas == other.merge_parquet_schemas
            && *merge_orc_schemas == other.merge_orc_schemas
            && *orc_codec == other.orc_codec
            && *parquet_codec == other.parquet_codec
            && *ignore_corrupt_files == other.ignore_corrupt_files
            && *ignore_missing_files == other.ignore_missing_files
            && *ignore_invalid_partitions == other.ignore_invalid_partitions
            && *ignore_sink_log == other.ignore_sink_log
            && *rescued_file_path == other.rescued_file_path
            && *dynamic_partition_overwrite == other.dynamic_partition_overwrite
    }
}
