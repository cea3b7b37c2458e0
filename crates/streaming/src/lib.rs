//! `streaming`: streaming queries.
mod query;
pub use query::{Batch, OutputMode, QueryDefinition, Sink};

use std::sync::Arc;
use boathouse_engine::Session;
use boathouse_spec::{Error, Result};
use tokio_util::sync::CancellationToken;

pub struct Progress;
pub struct MicroBatchQuery;
impl MicroBatchQuery {
    pub async fn open(_: Arc<Session>, _: QueryDefinition, _: Arc<dyn Sink>) -> Result<Self> {
        Err(Error::unsupported("streaming tables"))
    }
    pub async fn run_available_now(&mut self, _: CancellationToken, _: impl FnMut(&Progress) + Send) -> Result<()> {
        Ok(())
    }
}
