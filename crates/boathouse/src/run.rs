//! `boathouse run FILE`: a PySpark script, a notebook, or SQL.

use std::net::TcpListener;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::arguments::{Arguments, Format, RunArguments};
use crate::exit::{Failure, Result};
use crate::{embedded, home, logs, python, server, sql, target};

pub fn run(arguments: &Arguments, run: &RunArguments) -> Result<()> {
    if !run.file.is_file() {
        return Err(Failure::Usage(format!("there is no file {}", run.file.display())));
    }
    let extension = run.file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match extension.as_str() {
        "sql" => {
            let text = std::fs::read_to_string(&run.file)
                .map_err(|e| Failure::Usage(format!("{} cannot be read: {e}", run.file.display())))?;
            let home = home::open(arguments)?;
            let _logs = logs::start(&home, arguments.log_level);
            let target = target::open(run.remote.remote.as_deref(), &home, arguments.memory_limit)?;
            sql::run_statements(target.as_ref(), &text, Format::Table)
        }
        "py" | "ipynb" => with_server(arguments, run.remote.remote.as_deref(), |remote| {
            let mut command = python::command(remote, arguments)?;
            command.args(["-m", "boathouse_runtime.run"]).arg(&run.file).args(&run.arguments);
            wait(command, &run.file)
        }),
        _ => Err(Failure::Usage(format!("{} is no .py, .ipynb or .sql file", run.file.display()))),
    }
}

/// Runs a Python process to its end.
pub fn wait(mut command: std::process::Command, file: &Path) -> Result<()> {
    let status =
        command.status().map_err(|e| Failure::Failed(format!("{} cannot be run: {e}", file.display())))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => Err(Failure::Code(2)),
        // Python has printed what went wrong.
        _ => Err(Failure::Code(1)),
    }
}

/// Gives the address of the named server, or of one in this process that ends with the work.
pub fn with_server<T>(
    arguments: &Arguments,
    remote: Option<&str>,
    work: impl FnOnce(&str) -> Result<T>,
) -> Result<T> {
    if let Some(remote) = remote {
        // A client would try for minutes to reach a server that is not there.
        target::Remote::open(remote)?;
        return work(remote);
    }
    let home = home::open(arguments)?;
    let _logs = logs::start(&home, arguments.log_level);
    let (listener, port): (TcpListener, u16) = server::free_port()?;
    let runtime = boathouse_connect::runtime(1)?;
    let stop = CancellationToken::new();
    let serving = runtime.block_on(async {
        let engine = embedded::open(&home, arguments.memory_limit).await?;
        let serving = server::serve(engine, listener, None, server::Permanent::Wait, stop.clone())?;
        Ok::<_, boathouse_spec::Error>(tokio::spawn(serving))
    })?;
    let result = work(&format!("sc://localhost:{port}"));
    stop.cancel();
    // The process ends anyway; what was served is done.
    let _ = runtime.block_on(serving);
    result
}
