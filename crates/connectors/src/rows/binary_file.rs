//! `binaryFile`: a row for each file, with its contents.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use boathouse_bridge::{ResultExt, UTC};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use object_store::ObjectMeta;

/// `path`, `modificationTime`, `length`, `content`
pub(crate) fn schema() -> StructType {
    StructType::new(vec![
        StructField::new("path", DataType::STRING, true),
        StructField::new("modificationTime", DataType::Timestamp, true),
        StructField::new("length", DataType::Long, true),
        StructField::new("content", DataType::Binary, true),
    ])
}

/// Whether the columns that are read want the contents.
pub(super) fn wants_content(projection: &[usize]) -> bool {
    projection.contains(&3)
}

/// The row of a file.
pub(super) fn row(
    meta: &ObjectMeta,
    path: &str,
    content: Option<&[u8]>,
    projection: &[usize],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let columns = projection
        .iter()
        .map(|column| -> Result<ArrayRef> {
            Ok(match column {
                0 => Arc::new(StringArray::from(vec![path])),
                1 => {
                    // Spark knows milliseconds.
                    let us = meta.last_modified.timestamp_millis() * 1000;
                    Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone(UTC))
                }
                2 => Arc::new(Int64Array::from(vec![i64::try_from(meta.size).unwrap_or(i64::MAX)])),
                3 => {
                    if content.is_some_and(|c| c.len() > i32::MAX as usize) {
                        return Err(Error::unsupported(format!(
                            "reading {path}, which has more than 2 GiB, as a binary"
                        )));
                    }
                    Arc::new(BinaryArray::from(vec![content]))
                }
                other => return Err(Error::internal(format!("binaryFile has no column {other}"))),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).spark()
}
