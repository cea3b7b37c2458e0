//! What a session says of the data files that its statements write.

use super::codec::Codec;
use crate::action::Metadata;
use boathouse_formats::zone::Zone;
use boathouse_spec::Result;

/// Characters of a string bound where nothing else is said.
const STRING_BOUND: usize = 32;

/// How all files of a statement are written, whichever statement it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// A codec by Spark's name that the statement asks for (option `compression`).
    pub compression: Option<String>,
    /// The codec where neither statement nor table names one (`spark.sql.parquet.compression.codec`); snappy where `None`.
    pub default_compression: Option<String>,
    /// Rows (`maxRecordsPerFile`, `spark.sql.files.maxRecordsPerFile`).
    pub max_records_per_file: Option<u64>,
    /// Whether files get statistics (`spark.databricks.delta.stats.collect`).
    pub collects_statistics: bool,
    /// Characters of the bounds of strings (`spark.databricks.io.skipping.stringPrefixLength`).
    pub string_bound: usize,
    /// The session's time zone, by whose wall clock directories of partitions by TIMESTAMP are named.
    pub zone: Zone,
    /// Whether the log has such values in UTC, and not on that wall clock
    /// (`spark.databricks.delta.write.utcTimestampPartitionValues`).
    pub utc_partition_times: bool,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self {
            compression: None,
            default_compression: None,
            max_records_per_file: None,
            collects_statistics: true,
            string_bound: STRING_BOUND,
            zone: Zone::UTC,
            utc_partition_times: true,
        }
    }
}

impl FileSettings {
    /// The codec of a table's files: the statement's, the table's own (`delta.parquet.compression.codec`, as on Databricks),
    /// the session's.
    pub(super) fn codec(&self, table: &Metadata) -> Result<Codec> {
        let of_table = table.configuration.get("delta.parquet.compression.codec");
        let named = self.compression.as_ref().or(of_table).or(self.default_compression.as_ref());
        named.map_or(Ok(Codec::SNAPPY), |name| Codec::parse(name))
    }
}
