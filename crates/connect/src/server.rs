//! The server: the service on a listener, with threads of its own.

use std::future::Future;
use std::time::Duration;

use boathouse_spec::{Error, Result};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::ConnectService;
use crate::proto::spark::spark_connect_service_server::SparkConnectServiceServer;

/// Decoding and converting a deep plan takes deep stacks. This is address space, not memory.
const STACK_BYTES: usize = 32 << 20;
/// Connections are asked for a sign of life so often.
const KEEPALIVE: Duration = Duration::from_secs(60);

impl ConnectService {
    /// Serves on the listener until `shutdown` is ready; requests that run then are finished.
    ///
    /// Call it on a runtime with deep stacks, such as [`runtime`] makes; queries run on the engine's.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<()> {
        let housekeeping = tokio::spawn(self.housekeeping());
        let max_message_bytes = self.options().max_message_bytes;
        let service = SparkConnectServiceServer::new(self)
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(usize::MAX)
            // Requests may be compressed; responses are not: clients always offer to take them so, and it costs more time
            // than it saves.
            .accept_compressed(CompressionEncoding::Gzip);
        // Small messages go out at once.
        let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .initial_stream_window_size(Some(8 << 20))
            .initial_connection_window_size(Some(16 << 20))
            .add_service(service)
            .serve_with_incoming_shutdown(connections, shutdown)
            .await;
        housekeeping.abort();
        served.map_err(|e| Error::io("serving Spark Connect", e))
    }
}

/// A runtime for the service, apart from the one queries run on.
pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(2))
        .thread_stack_size(STACK_BYTES)
        .thread_name("connect")
        .enable_all()
        .build()
        .map_err(|e| Error::io("starting the threads of Spark Connect", e))
}
