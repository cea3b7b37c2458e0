//! One data file: written, closed, forced to disk, described by its `add` action.

use std::sync::Arc;

use arrow::array::{RecordBatch, make_array};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result, clock, fault};
use object_store::path::Path;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::encoder::Encoder;
use super::output::Output;
use super::target::{ROW_GROUP_BYTES, ROW_GROUP_ROWS, WriteTarget};
use super::variant;
use crate::action::{Add, PartitionValues};
use crate::error;
use crate::location::encode_path;
use crate::schema::relabel::relabel;
use crate::stats::collect::StatsCollector;

pub(crate) struct FileWriter {
    /// Relative to the table, not encoded.
    relative: String,
    path: Path,
    partition_values: PartitionValues,
    writer: Encoder,
    stats: StatsCollector,
}

impl FileWriter {
    pub fn new(target: &WriteTarget, relative: String, partition_values: PartitionValues) -> Result<Self> {
        let path = target.location.relative(&relative)?;
        let output = Output::new(&target.location, &path, &target.under_way);
        let mut options = ArrowWriterOptions::new()
            .with_properties(target.properties.clone())
            // The types of the file say all; readers that know Arrow's own would take them for the truth.
            .with_skip_arrow_metadata(true);
        let schema = target.layout.physical.clone();
        if let Some(annotated) = variant::annotated(&schema)? {
            options = options.with_parquet_schema(annotated);
        }
        let writer = Encoder::new(output, schema, options, ROW_GROUP_ROWS, ROW_GROUP_BYTES)
            .map_err(|e| failed(target, &path, &e))?;
        Ok(Self { relative, path, partition_values, writer, stats: target.stats.collector() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes rows that have all columns of the table.
    pub async fn write(&mut self, target: &WriteTarget, batch: &RecordBatch) -> Result<()> {
        let physical = physical_batch(target, batch)?;
        self.stats.update(&physical)?;
        self.writer.write(&physical).await.map_err(|e| failed(target, &self.path, &e))
    }

    pub fn rows(&self) -> u64 {
        self.stats.rows() as u64
    }

    /// The size the file would have about now.
    pub fn estimated_size(&self) -> u64 {
        self.writer.size() as u64
    }

    pub async fn close(mut self, target: &WriteTarget) -> Result<Add> {
        let size = self.writer.finish().await.map_err(|e| failed(target, &self.path, &e))?;
        fault::point("delta::after-data-file")?;
        Ok(Add {
            modification_time: clock::now_ms(),
            data_change: target.data_change,
            stats: self.stats.finish(),
            ..Add::new(encode_path(&self.relative), self.partition_values, size as i64)
        })
    }
}

/// The columns of the file, with their names and types in files.
fn physical_batch(target: &WriteTarget, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = target
        .layout
        .data
        .iter()
        .map(|(i, field)| {
            let array = batch.column(*i);
            if array.data_type() == field.data_type() {
                return Ok(array.clone());
            }
            relabel(array.to_data(), field.data_type()).map(make_array)
        })
        .collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(&target.layout.physical), columns, &options).spark()
}

fn failed(target: &WriteTarget, path: &Path, e: &dyn std::fmt::Display) -> Error {
    error::write_failed(&target.location, format!("{path}: {e}"))
}
