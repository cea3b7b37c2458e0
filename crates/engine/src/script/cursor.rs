//! Cursors, and rows that are taken one by one.

use arrow::array::RecordBatch;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use crate::QueryResult;

/// A query of a script, and its rows once it is open.
pub(crate) struct Cursor {
    pub name: String,
    pub query: String,
    pub rows: tokio::sync::Mutex<Option<Rows>>,
}

impl Cursor {
    pub fn new(name: String, query: String) -> Self {
        Self { name, query, rows: tokio::sync::Mutex::default() }
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cursor({})", self.name)
    }
}

/// The rows of a query that are left.
pub(crate) struct Rows {
    pub result: QueryResult,
    batch: Option<(RecordBatch, usize)>,
}

impl From<QueryResult> for Rows {
    fn from(result: QueryResult) -> Self {
        Self { result, batch: None }
    }
}

impl Rows {
    /// The next row: a batch, and its place in it.
    pub async fn next(&mut self) -> Result<Option<(RecordBatch, usize)>> {
        loop {
            if let Some((batch, row)) = &mut self.batch
                && *row < batch.num_rows()
            {
                let at = *row;
                *row += 1;
                return Ok(Some((batch.clone(), at)));
            }
            match self.result.stream.next().await {
                Some(batch) => self.batch = Some((batch.spark()?, 0)),
                None => return Ok(None),
            }
        }
    }

    /// The values of the next row.
    pub async fn next_values(&mut self) -> Result<Option<Vec<(ScalarValue, DataType)>>> {
        let Some((batch, row)) = self.next().await? else { return Ok(None) };
        let fields = self.result.schema.fields.iter().zip(batch.columns());
        let values = fields.map(|(field, column)| {
            Ok((ScalarValue::try_from_array(column, row).spark()?, field.data_type.clone()))
        });
        values.collect::<Result<Vec<_>>>().map(Some)
    }
}
