//! One data file: written, closed, forced to disk, described by its `add` action.

use std::io;
use std::sync::Arc;

use arrow::array::{RecordBatch, make_array, new_null_array};
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result, clock, fault};
use object_store::path::Path;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Encoding, Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::SchemaDescriptor;

use super::encoder::Encoder;
use super::output::Output;
use super::shredding::{Sample, Shredding};
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
    state: State,
    stats: StatsCollector,
}

/// How far a file is.
enum State {
    /// Its first rows say how variants are taken apart.
    Sampling(Sample, Output),
    Open(Encoder, Option<Shredding>),
    /// It could not be opened.
    Failed,
}

impl FileWriter {
    pub fn new(target: &WriteTarget, relative: String, partition_values: PartitionValues) -> Result<Self> {
        let path = target.location.relative(&relative)?;
        let output = Output::new(&target.location, &path, &target.under_way);
        let state = if target.shreds_variants {
            State::Sampling(Sample::default(), output)
        } else {
            let schema = target.layout.physical.clone();
            State::Open(encoder(target, &path, schema, output)?, None)
        };
        Ok(Self { relative, path, partition_values, state, stats: target.stats.collector() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes rows that have all columns of the table.
    pub async fn write(&mut self, target: &WriteTarget, batch: &RecordBatch) -> Result<()> {
        let physical = self.physical_batch(target, batch)?;
        self.stats.update(&physical)?;
        match &mut self.state {
            State::Sampling(sample, _) => {
                sample.push(physical);
                if sample.is_enough() { self.open(target).await } else { Ok(()) }
            }
            State::Open(encoder, shredding) => {
                encode(target, &self.path, encoder, shredding, &physical).await
            }
            State::Failed => Err(not_open(&self.path)),
        }
    }

    /// The columns of the file, with their names and types in files.
    fn physical_batch(&self, target: &WriteTarget, batch: &RecordBatch) -> Result<RecordBatch> {
        let layout = &target.layout;
        let of_table = layout.data.len() - layout.materialized;
        let columns = layout.data.iter().enumerate().map(|(at, (i, field))| {
            let array = batch.column(*i);
            let value = self.partition_values.get(field.name()).and_then(Option::as_deref);
            if at >= of_table && value.is_none_or(str::is_empty) {
                return Ok(new_null_array(field.data_type(), batch.num_rows()));
            }
            if array.data_type() == field.data_type() {
                return Ok(array.clone());
            }
            relabel(array.to_data(), field.data_type()).map(make_array)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&layout.physical), columns, &options).spark()
    }

    /// Ends the sample.
    async fn open(&mut self, target: &WriteTarget) -> Result<()> {
        let (sample, output) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Sampling(sample, output) => (sample, output),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        let shredding = Shredding::of(&target.layout.physical, &sample)?;
        let mut encoder = encoder(target, &self.path, shredding.schema().clone(), output)?;
        let shredding = Some(shredding);
        for batch in sample.into_batches() {
            encode(target, &self.path, &mut encoder, &shredding, &batch).await?;
        }
        self.state = State::Open(encoder, shredding);
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.stats.rows() as u64
    }

    /// The size the file would have about now.
    pub fn estimated_size(&self) -> u64 {
        match &self.state {
            State::Sampling(sample, _) => sample.bytes() as u64,
            State::Open(encoder, _) => encoder.size() as u64,
            State::Failed => 0,
        }
    }

    pub async fn close(mut self, target: &WriteTarget) -> Result<Add> {
        self.open(target).await?;
        let State::Open(encoder, _) = &mut self.state else {
            return Err(not_open(&self.path));
        };
        let size = encoder.finish().await.map_err(|e| failed(target, &self.path, &e))?;
        fault::point("delta::after-data-file")?;
        Ok(Add {
            modification_time: clock::now_ms(),
            data_change: target.data_change,
            stats: self.stats.finish(),
            tags: target.tags.clone(),
            ..Add::new(encode_path(&self.relative), self.partition_values, size as i64)
        })
    }
}

fn encoder(target: &WriteTarget, path: &Path, schema: SchemaRef, output: Output) -> Result<Encoder> {
    ArrowSchemaConverter::new()
        .convert(&schema)
        .and_then(|made| variant::annotated(made, &schema))
        .and_then(|columns| {
            let mut properties = target.properties.clone();
            if target.differences {
                properties = with_differences(properties, &columns);
            }
            let options = ArrowWriterOptions::new()
                .with_properties(properties)
                // The types of the file say all; readers that know Arrow's own would take them for the truth.
                .with_skip_arrow_metadata(true)
                .with_parquet_schema(columns);
            Encoder::new(output, schema, options, &target.under_way, ROW_GROUP_ROWS, ROW_GROUP_BYTES)
        })
        .map_err(|e| failed(target, path, &e))
}

/// Whole numbers, dates, times and short decimals become differences (`DELTA_BINARY_PACKED`) where a dictionary does not hold
/// them: fewer bytes than Snappy makes of them, and fewer instructions to read. All that read deletion vectors can read it.
fn with_differences(properties: WriterProperties, schema: &SchemaDescriptor) -> WriterProperties {
    let numbers = schema.columns().iter().filter(|c| matches!(c.physical_type(), Type::INT32 | Type::INT64));
    let builder = properties.into_builder();
    numbers
        .fold(builder, |b, c| b.set_column_encoding(c.path().clone(), Encoding::DELTA_BINARY_PACKED))
        .build()
}

async fn encode(
    target: &WriteTarget,
    path: &Path,
    encoder: &mut Encoder,
    shredding: &Option<Shredding>,
    batch: &RecordBatch,
) -> Result<()> {
    let written = match shredding {
        Some(shredding) => encoder.write(&shredding.apply(batch)?).await,
        None => encoder.write(batch).await,
    };
    written.map_err(|e| failed(target, path, &e))
}

/// The error of the attempt came first.
fn not_open(path: &Path) -> Error {
    Error::internal(format!("{path} was written to after it could not be opened"))
}

fn failed(target: &WriteTarget, path: &Path, e: &ParquetError) -> Error {
    let is_missing = matches!(e, ParquetError::External(e)
        if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound));
    if is_missing || target.location.has_lost_its_log() {
        // The disk's words for a table that was dropped while rows were written to it.
        return error::gone(&target.location);
    }
    error::write_failed(&target.location, format!("{path}: {e}"))
}
