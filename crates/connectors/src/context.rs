//! What reading and writing files needs to know of the session.

use std::ops::Deref;
use std::sync::Arc;

use boathouse_formats::options::SessionDefaults;
use datafusion::execution::object_store::ObjectStoreRegistry;

use crate::paths::Paths;

/// A registry of stores; the same one is equal.
#[derive(Debug, Clone)]
pub struct Registry(Arc<dyn ObjectStoreRegistry>);

impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Registry {
    type Target = Arc<dyn ObjectStoreRegistry>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A session's paths, stores and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    pub paths: Paths,
    /// The registry that DataFusion's runtime has too: scans look stores up there.
    pub stores: Registry,
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
            stores: Registry(stores),
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
}
