//! Python beside us: the interpreter, and the runtime modules we ship.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::arguments::Arguments;
use crate::exit::{Failure, Result};

/// The interpreter: `BOATHOUSE_PYTHON`, the active virtual environment's, `.venv` here, or `python3`.
pub fn interpreter() -> Result<PathBuf> {
    let mut candidates: Vec<PathBuf> = Vec::new();
    if let Some(named) = std::env::var_os("BOATHOUSE_PYTHON") {
        candidates.push(named.into());
    } else {
        if let Some(environment) = std::env::var_os("VIRTUAL_ENV") {
            candidates.push(Path::new(&environment).join("bin/python"));
        }
        // Installed as a wheel: the interpreter of the environment the program lies in.
        if let Ok(program) = std::env::current_exe()
            && let Some(directory) = program.parent()
        {
            candidates.push(directory.join("python"));
            // Built from source: the project's own environment.
            candidates.extend(directory.ancestors().take(4).map(|d| d.join(".venv/bin/python")));
        }
        candidates.push(".venv/bin/python".into());
        candidates.push("python3".into());
        candidates.push("python".into());
    }
    let mut without_client = None;
    for candidate in candidates {
        match has_client(&candidate) {
            Some(true) => return Ok(candidate),
            Some(false) => {
                without_client.get_or_insert(candidate);
            }
            None => {}
        }
    }
    Err(match without_client {
        Some(python) => Failure::Failed(format!(
            "{} has no PySpark client. Install it with: {} -m pip install 'pyspark-client==4.2.*'",
            python.display(),
            python.display()
        )),
        None => Failure::Failed("There is no Python 3. Install it, or name one in BOATHOUSE_PYTHON.".into()),
    })
}

/// Whether the interpreter has PySpark with Spark Connect; `None` where it does not run.
fn has_client(python: &Path) -> Option<bool> {
    let probe = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('pyspark') and u.find_spec('grpc') else 3)";
    let status =
        Command::new(python).args(["-c", probe]).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    match status.code() {
        Some(0) => Some(true),
        Some(3) => Some(false),
        _ => None,
    }
}

/// The directory of the runtime modules (`dlt`, `delta`, `dbruntime`), where it is not on the interpreter's path anyway.
pub fn modules() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(named) = std::env::var_os("BOATHOUSE_PYTHON_MODULES") {
        places.push(named.into());
    }
    if let Ok(program) = std::env::current_exe() {
        for directory in program.ancestors().skip(1).take(5) {
            places.push(directory.join("python"));
            places.push(directory.join("share/boathouse/python"));
        }
    }
    places.into_iter().find(|p| p.join("dlt").is_dir() || p.join("boathouse_runtime").is_dir())
}

/// A Python process that finds the runtime modules and the server.
pub fn command(remote: &str, arguments: &Arguments) -> Result<Command> {
    let mut command = Command::new(interpreter()?);
    command.env("SPARK_REMOTE", remote);
    if let Some(home) = &arguments.home {
        // `dbutils` looks for the DBFS root there.
        command.env("BOATHOUSE_HOME", std::path::absolute(home).unwrap_or_else(|_| home.clone()));
    }
    command.env_remove("SPARK_HOME");
    if let Some(modules) = modules() {
        let mut path = modules.into_os_string();
        if let Some(existing) = std::env::var_os("PYTHONPATH")
            && !existing.is_empty()
        {
            path.push(":");
            path.push(existing);
        }
        command.env("PYTHONPATH", path);
    }
    Ok(command)
}
