//! Rows as text: a table for people, JSON and CSV for programs.

mod csv;
mod json;
mod table;

use arrow::array::RecordBatch;
use boathouse_functions::Context;
use boathouse_spec::{Result, StructType};

use crate::arguments::Format;

/// What a person at a terminal is shown of a table. Programs get everything.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub rows: Option<usize>,
    /// The columns of the terminal.
    pub width: Option<usize>,
}

/// The rows in the wanted format, a newline at the end.
pub fn rows(
    schema: &StructType,
    batches: &[RecordBatch],
    format: Format,
    limits: &Limits,
    context: &Context,
) -> Result<String> {
    match format {
        Format::Table => table::render(schema, batches, limits, context),
        Format::Json => json::render(schema, batches, context),
        Format::Csv => csv::render(schema, batches, context),
    }
}
