//! An engine in this process, for commands that name no remote server.

use std::path::Path;
use std::sync::Arc;

use boathouse_engine::{Engine, EngineOptions, Session};
use boathouse_spec::Error;
use tokio::runtime::Runtime;

/// Opens the engine of a home, with what the services around it give to queries.
pub async fn open(home: &Path, memory_limit: Option<usize>) -> Result<Arc<Engine>, Error> {
    // For tests: plans of several partitions over a few rows.
    let partitions = std::env::var("BOATHOUSE_PARTITIONS").ok().and_then(|n| n.parse().ok());
    let engine = Engine::open(EngineOptions { memory_limit, partitions, ..EngineOptions::new(home) }).await?;
    engine.set_stream_reader(Arc::new(boathouse_streaming::Sources));
    boathouse_pipelines::register_functions(&engine);
    Ok(engine)
}

/// An open engine and one session of it.
pub struct Embedded {
    pub runtime: Runtime,
    pub session: Arc<Session>,
}

impl Embedded {
    pub fn open(home: &Path, memory_limit: Option<usize>) -> Result<Self, Error> {
        let runtime = boathouse_connect::runtime(1)?;
        let session = runtime.block_on(async {
            let engine = open(home, memory_limit).await?;
            let id = uuid::Uuid::new_v4().to_string();
            engine.sessions().get_or_create(&user(), &id).await
        })?;
        Ok(Self { runtime, session })
    }
}

/// Who runs the command.
pub fn user() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "user".to_string())
}
