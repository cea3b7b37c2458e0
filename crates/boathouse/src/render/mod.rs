//! Rows as text: a table for people, JSON and CSV for programs.

mod csv;
mod json;
mod table;

use arrow::array::RecordBatch;
use boathouse_functions::Context;
use boathouse_spec::{Result, StructType};

use crate::arguments::Format;

/// The rows in the wanted format, a newline at the end.
pub fn rows(schema: &StructType, batches: &[RecordBatch], format: Format, context: &Context) -> Result<String> {
    match format {
        Format::Table => table::render(schema, batches, context),
        Format::Json => json::render(schema, batches, context),
        Format::Csv => csv::render(schema, batches, context),
    }
}
