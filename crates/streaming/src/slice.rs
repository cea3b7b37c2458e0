//! A slice of a stream as a table that counts the rows read from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::arrow_schema;
use boathouse_spec::{StructType, fault};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::tap::TapExec;

/// Rows read by each plan over a slice.
pub(crate) type Counters = Arc<Mutex<Vec<Arc<AtomicU64>>>>;

/// Rows of a source. It marks the leaf of a plan as one that streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamSlice {
    inner: Arc<dyn TableProvider>,
    counters: Counters,
}

impl StreamSlice {
    pub fn new(inner: Arc<dyn TableProvider>) -> Self {
        Self { inner, counters: Counters::default() }
    }

    /// No rows of a schema.
    pub fn empty(schema: &StructType) -> Self {
        Self::new(Arc::new(EmptyTable::new(Arc::new(arrow_schema(schema)))))
    }

    /// The rows that a plan read. A sink may run several; they read the same rows.
    pub fn rows_read(&self) -> i64 {
        let most = self.counters.lock().iter().map(|c| c.load(Ordering::Relaxed)).max();
        i64::try_from(most.unwrap_or(0)).unwrap_or(i64::MAX)
    }
}

#[async_trait]
impl TableProvider for StreamSlice {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = self.inner.scan(state, projection, filters, limit).await?;
        let rows = Arc::new(AtomicU64::new(0));
        self.counters.lock().push(Arc::clone(&rows));
        Ok(Arc::new(TapExec::new("StreamSliceExec", "", input, move |batch| {
            // Nothing is done with an error here: a test lets the program die.
            let _ = fault::point("streaming::reading");
            rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        })))
    }
}
