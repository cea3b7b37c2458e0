//! Python data sources that are written to: `DataSourceStreamWriter` of the user's, which commits each batch.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::{PythonSink, Session};
use boathouse_spec::Result;

use crate::query::{Batch, OutputMode, Sink};

pub(super) struct SourceSink {
    sink: PythonSink,
    mode: OutputMode,
}

impl SourceSink {
    pub fn new(sink: PythonSink, mode: OutputMode) -> Self {
        Self { sink, mode }
    }
}

#[async_trait]
impl Sink for SourceSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let complete = self.mode == OutputMode::Complete;
        self.sink.write(session, batch.rows, complete, batch.id).await
    }

    fn description(&self) -> String {
        format!("PythonTable[{}]", self.sink.name())
    }
}
