//! Logs: structured lines in HOME/logs, a file a day.

use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use crate::arguments::LogLevel;

/// Starts logging; lines are written as long as the guard lives.
pub fn start(home: &Path, level: LogLevel) -> Option<WorkerGuard> {
    let directory = home.join("logs");
    std::fs::create_dir_all(&directory).ok()?;
    let file = tracing_appender::rolling::daily(&directory, "boathouse.log");
    let (writer, guard) = tracing_appender::non_blocking(file);
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Our crates at the level that is asked for, the libraries below only when something is wrong with them.
    let filter = EnvFilter::try_new(format!("warn,boathouse={level}")).ok()?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(writer).try_init().ok()?;
    Some(guard)
}
