//! Python data sources that stream: `DataSourceStreamReader` and `SimpleDataSourceStreamReader` of the user's.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::{PythonStream, Session};
use boathouse_spec::{DataSourceRef, Result, StructType};
use datafusion::catalog::TableProvider;

use super::{Limit, Source};

pub(super) struct Python {
    reader: PythonStream,
    schema: StructType,
    /// Where the first batch begins.
    initial: Option<String>,
    /// With `availableNow`, where the reader knows nothing of that: all that is there at the first look is one batch.
    is_one_batch: bool,
    /// The end of that batch.
    last: Option<String>,
    latest: Option<String>,
}

impl Python {
    pub async fn open(session: &Arc<Session>, source: &DataSourceRef) -> Result<Self> {
        let reader = PythonStream::open(session, source).await?;
        let schema = reader.schema().clone();
        Ok(Self { reader, schema, initial: None, is_one_batch: false, last: None, latest: None })
    }

    async fn start(&mut self, start: Option<&str>) -> Result<String> {
        if let Some(start) = start {
            return Ok(start.to_string());
        }
        match &self.initial {
            Some(initial) => Ok(initial.clone()),
            None => {
                let initial = self.reader.initial_offset().await?;
                Ok(self.initial.insert(initial).clone())
            }
        }
    }
}

#[async_trait]
impl Source for Python {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn description(&self) -> String {
        format!("PythonMicroBatchStream({})", self.reader.name())
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        if self.reader.prepares_available_now() {
            return self.reader.prepare_available_now().await;
        }
        self.is_one_batch = true;
        Ok(())
    }

    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>> {
        let first = start.is_none();
        let start = self.start(start).await?;
        let end = match &self.last {
            Some(last) => last.clone(),
            None => self.reader.latest_offset(&start, self.is_one_batch || limit == Limit::All).await?,
        };
        if self.is_one_batch {
            self.last = Some(end.clone());
        }
        self.latest = self.reader.reported_offset().await?;
        // A first batch without rows is none.
        Ok(Some(end).filter(|end| !first || *end != start))
    }

    fn latest_offset(&self) -> Option<String> {
        self.latest.clone()
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let start = self.start(start).await?;
        self.reader.rows(&start, end).await
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        self.reader.commit(end).await
    }
}
