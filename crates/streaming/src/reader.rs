//! What stands for the streaming leaves of a plan: schemas only, the sources of a query, or the slices of a batch.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::{Session, StreamLeaf, StreamReader, StreamTable};
use boathouse_spec::{DataSourceRef, Error, Result, StructType};
use parking_lot::Mutex;

use crate::checkpoint::Checkpoint;
use crate::slice::StreamSlice;
use crate::source::{self, Source};
use crate::state_tables;

/// Gives streaming leaves their schemas, outside of any query. See [`boathouse_engine::Engine::set_stream_reader`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources;

#[async_trait]
impl StreamReader for Sources {
    async fn read(&self, session: &Arc<Session>, leaf: StreamLeaf) -> Result<StreamTable> {
        let schema = source::schema(session, &leaf.origin).await?;
        Ok(streaming(schema))
    }

    async fn checkpoint_table(&self, session: &Arc<Session>, source: &DataSourceRef) -> Result<StreamTable> {
        let provider = state_tables::open(session, source).await?;
        let schema = boathouse_bridge::spark_schema(&provider.schema())?;
        Ok(StreamTable { provider, schema, is_streaming: false })
    }
}

/// Opens the sources of a query as the analyzer meets them.
pub(crate) struct Opening {
    checkpoint: Checkpoint,
    opened: Mutex<Vec<Box<dyn Source>>>,
}

impl Opening {
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, opened: Mutex::default() }
    }

    /// The sources, in the order of the query.
    pub fn take(&self) -> Vec<Box<dyn Source>> {
        std::mem::take(&mut self.opened.lock())
    }
}

#[async_trait]
impl StreamReader for Opening {
    async fn read(&self, session: &Arc<Session>, leaf: StreamLeaf) -> Result<StreamTable> {
        let index = leaf.index.ok_or_else(|| Error::internal("a checked leaf was opened"))?;
        let opened = source::open(session, leaf.origin, self.checkpoint.source(index)).await?;
        let table = streaming(opened.schema().clone());
        let mut all = self.opened.lock();
        if index != all.len() {
            return Err(Error::internal("the leaves of a query came out of order"));
        }
        all.push(opened);
        Ok(table)
    }
}

/// The slices of a batch.
pub(crate) struct Bound {
    pub slices: Vec<(StreamSlice, StructType)>,
    /// Whether the plan shall still show where it streams, for stateful operators.
    pub is_streaming: bool,
}

#[async_trait]
impl StreamReader for Bound {
    async fn read(&self, _: &Arc<Session>, leaf: StreamLeaf) -> Result<StreamTable> {
        let found = leaf.index.and_then(|i| self.slices.get(i));
        let (slice, schema) =
            found.ok_or_else(|| Error::internal("a query has more leaves than it began with"))?;
        Ok(StreamTable {
            provider: Arc::new(slice.clone()),
            schema: schema.clone(),
            is_streaming: self.is_streaming,
        })
    }
}

fn streaming(schema: StructType) -> StreamTable {
    StreamTable { provider: Arc::new(StreamSlice::empty(&schema)), schema, is_streaming: true }
}
