//! The rows that statements give about a table, with Spark's schemas.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::ReaderBuilder;
use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use serde_json::Value;

/// Rows with their schema.
#[derive(Debug, Clone)]
pub struct Report {
    pub schema: StructType,
    pub batch: RecordBatch,
}

impl Report {
    /// `rows` are objects; timestamps in them are microseconds.
    pub(crate) fn new(schema: StructType, rows: &[Value]) -> Result<Self> {
        let arrow = Arc::new(arrow_schema(&schema));
        let mut decoder =
            ReaderBuilder::new(arrow.clone()).with_batch_size(rows.len().max(1)).build_decoder().spark()?;
        decoder.serialize(rows).spark()?;
        let batch = decoder.flush().spark()?.unwrap_or_else(|| RecordBatch::new_empty(arrow));
        if batch.num_rows() != rows.len() {
            return Err(Error::internal("rows about a table got lost"));
        }
        Ok(Self { schema, batch })
    }
}

/// A nullable field.
pub(crate) fn field(name: &str, t: DataType) -> StructField {
    StructField::new(name, t, true)
}

/// A field that is never NULL.
pub(crate) fn required(name: &str, t: DataType) -> StructField {
    StructField::new(name, t, false)
}

pub(crate) fn strings() -> DataType {
    DataType::map(DataType::STRING, DataType::STRING, true)
}
