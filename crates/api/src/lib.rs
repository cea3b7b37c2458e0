//! `api`: what the server says over HTTP.
//!
//! So far its health and version, and the history of queries (`queries.rs`); the workspace, the REST interfaces and Delta
//! Sharing come to live here. It owns HTTP: no other crate knows the protocol, and this one opens no tables itself.

mod queries;

use std::future::Future;
use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use boathouse_engine::Engine;
use boathouse_spec::{Error, Result};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves HTTP until `shutdown` is done.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let routes =
        Router::new().route("/health", get(health)).route("/", get(about)).merge(queries::routes(engine));
    axum::serve(listener, routes)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(|e| Error::io("serving HTTP", e))
}

/// `GET /health`: 200 while the server takes requests.
async fn health() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /`: what runs here, for whoever opens the address in a browser.
async fn about() -> String {
    format!(
        "Boathouse {} is running. Point PySpark at its Spark Connect address (see server.json in its home).\n",
        env!("CARGO_PKG_VERSION")
    )
}
