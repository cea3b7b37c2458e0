//! `boathouse server`: Spark Connect and HTTP until it is told to stop.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use boathouse_connect::{ConnectOptions, ConnectService};
use boathouse_engine::Engine;
use boathouse_pipelines::Pipelines;
use boathouse_spec::Error;
use boathouse_streaming::{ManagerOptions, StreamManager};
use tokio_util::sync::CancellationToken;

use crate::arguments::{Arguments, ServerArguments};
use crate::exit::{Failure, Result};
use crate::home::{self, ServerFile};
use crate::{embedded, logs};

pub fn run(arguments: &Arguments, server: &ServerArguments) -> Result<()> {
    let address = loopback(&server.host)?;
    let home = home::open(arguments)?;
    let _logs = logs::start(&home, arguments.log_level);
    let memory_limit = arguments.memory_limit;
    let connect = bind(address, server.connect_port)?;
    let http = bind(address, server.http_port)?;
    let (connect_port, http_port) = (port(&connect)?, port(&http)?);

    let runtime = boathouse_connect::runtime(1)?;
    runtime.block_on(async move {
        let engine = embedded::open(&home, memory_limit).await?;
        let stop = CancellationToken::new();
        let every = Duration::from_secs(server.maintenance_interval);
        let keeping = tokio::spawn(boathouse_engine::keep_tables(Arc::clone(&engine), every, stop.clone()));
        let serving = serve(Arc::clone(&engine), connect, Some(http), Permanent::Go, stop.clone())?;
        let connect_url = format!("sc://localhost:{connect_port}");
        let http_url = format!("http://localhost:{http_port}");
        println!("Spark Connect  {connect_url}");
        println!("HTTP           {http_url}");
        println!("Home           {}", home.display());
        let _file = ServerFile::write(&home, &connect_url, &http_url)?;
        tracing::info!(connect = connect_url, http = http_url, "the server is ready");
        tokio::select! {
            () = told_to_stop() => {}
            () = stop.cancelled() => {}
        }
        stop.cancel();
        serving.await?;
        keeping.await.map_err(|e| Error::internal(format!("a server task ended: {e}")))?;
        // The last queries are not written yet.
        engine.shutdown().await;
        Ok::<(), Error>(())
    })?;
    Ok(())
}

/// What becomes of the permanent streams of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permanent {
    Go,
    /// They are for a server that stays.
    Wait,
}

/// Serves an engine on the listeners until `stop`.
pub fn serve(
    engine: Arc<Engine>,
    connect: TcpListener,
    http: Option<TcpListener>,
    permanent: Permanent,
    stop: CancellationToken,
) -> Result<impl Future<Output = std::result::Result<(), Error>>, Error> {
    let listening = |l: TcpListener| {
        l.set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(l))
            .map_err(|e| Error::io("listening", e))
    };
    let pipelines = Some(Arc::new(Pipelines::default()));
    let streaming = streams(&connect)?;
    let streams = Arc::clone(&streaming);
    let options = ConnectOptions { pipelines, streaming: Some(streaming), ..ConnectOptions::default() };
    let service = ConnectService::new(Arc::clone(&engine), options);
    let connect = listening(connect)?;
    let streams_stop = stop.clone();
    // Clients may wait for the end of a query: it must come before the service ends. What a query has begun and not finished,
    // its next start finishes.
    let streams_task = tokio::spawn(async move {
        streams_stop.cancelled().await;
        streams.shutdown().await;
    });
    if permanent == Permanent::Go {
        tokio::spawn(service.resume_streams());
    }
    let connect_stop = stop.clone();
    let connect_task =
        tokio::spawn(async move { service.serve(connect, connect_stop.cancelled_owned()).await });
    let http_task = match http {
        Some(l) => {
            let l = listening(l)?;
            let http_stop = stop.clone();
            Some(tokio::spawn(
                async move { boathouse_api::serve(l, engine, http_stop.cancelled_owned()).await },
            ))
        }
        None => None,
    };
    Ok(async move {
        let ended = |e: tokio::task::JoinError| Error::internal(format!("a server task ended: {e}"));
        connect_task.await.map_err(ended)??;
        streams_task.await.map_err(ended)?;
        if let Some(task) = http_task {
            task.await.map_err(ended)??;
        }
        Ok(())
    })
}

/// The streaming queries of a server; `connect` is where their Python workers find it.
fn streams(connect: &TcpListener) -> std::result::Result<Arc<StreamManager>, Error> {
    let address = connect.local_addr().map_err(|e| Error::io("looking at a port", e))?;
    let url = format!("sc://localhost:{}", address.port());
    let options = ManagerOptions { connect_url: Some(url) };
    Ok(Arc::new(StreamManager::new(options)))
}

/// Only this machine's own addresses, until there is authentication.
fn loopback(host: &str) -> Result<IpAddr> {
    let refused = || {
        Failure::Usage(format!(
            "--host {host} is refused: without authentication the server listens on this machine only (127.0.0.1, ::1, localhost)"
        ))
    };
    let address = match host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        other => other.parse().map_err(|_| refused())?,
    };
    if address.is_loopback() { Ok(address) } else { Err(refused()) }
}

fn bind(address: IpAddr, port: u16) -> Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, port)).map_err(|e| {
        Failure::Failed(format!(
            "Port {port} of {address} cannot be opened: {e}. Name another port, or 0 for a free one."
        ))
    })
}

fn port(listener: &TcpListener) -> Result<u16> {
    listener
        .local_addr()
        .map(|a| a.port())
        .map_err(|e| Failure::Failed(format!("A port has no address: {e}")))
}

/// A listener on a free port of this machine.
pub fn free_port() -> Result<(TcpListener, u16)> {
    let listener = bind(IpAddr::from([127, 0, 0, 1]), 0)?;
    let number = port(&listener)?;
    Ok((listener, number))
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        std::future::pending::<()>().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
