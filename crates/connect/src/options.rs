//! How the service is set up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boathouse_pipelines::Pipelines;
use boathouse_spec::Result;

use crate::streaming::StreamingHandler;

/// Settings of a [`ConnectService`](crate::ConnectService).
#[derive(Clone)]
pub struct ConnectOptions {
    /// Sessions without requests for so long are closed.
    pub session_idle: Duration,
    /// Operations that no client is attached to for so long are given up.
    pub detached: Duration,
    /// After so long a response stream ends, and the client attaches again: proxies cut long streams.
    pub stream_duration: Duration,
    /// The largest message accepted.
    pub max_message_bytes: usize,
    /// Rows are sent in batches of about this size.
    pub max_batch_bytes: usize,
    /// A query waits while so much of its result was not sent yet.
    pub max_unsent_bytes: usize,
    /// Responses that were sent are kept, up to this size, for a client that lost its connection.
    pub max_kept_bytes: usize,
    /// The largest artifact accepted.
    pub max_artifact_bytes: usize,
    /// Tells who calls; without one, the client's word counts.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    pub streaming: Option<Arc<dyn StreamingHandler>>,
    pub pipelines: Option<Arc<Pipelines>>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            session_idle: Duration::from_secs(60 * 60),
            detached: Duration::from_secs(5 * 60),
            stream_duration: Duration::from_secs(2 * 60),
            max_message_bytes: 256 << 20,
            max_batch_bytes: 4 << 20,
            max_unsent_bytes: 32 << 20,
            max_kept_bytes: 10 << 20,
            max_artifact_bytes: 1 << 30,
            authenticator: None,
            streaming: None,
            pipelines: None,
        }
    }
}

/// Finds the user behind a request.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The user's name. `token` is the bearer token of the request, `claimed` the name the client gave itself.
    async fn authenticate(&self, token: Option<&str>, claimed: &str) -> Result<String>;
}
