//! The interpreter, and the runtime modules we ship.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boathouse_spec::{Error, Result};

/// The interpreter: `BOATHOUSE_PYTHON`, the active virtual environment's, that of the environment the program lies in,
/// `.venv` here, or `python3`: the first that has PySpark's client.
pub fn interpreter() -> Result<PathBuf> {
    let mut candidates: Vec<PathBuf> = Vec::new();
    if let Some(named) = std::env::var_os("BOATHOUSE_PYTHON") {
        candidates.push(named.into());
    } else {
        if let Some(environment) = std::env::var_os("VIRTUAL_ENV") {
            candidates.push(Path::new(&environment).join("bin/python"));
        }
        if let Ok(program) = std::env::current_exe()
            && let Some(directory) = program.parent()
        {
            candidates.push(directory.join("python"));
            candidates.extend(directory.ancestors().take(4).map(|d| d.join(".venv/bin/python")));
        }
        candidates.push(".venv/bin/python".into());
        candidates.push("python3".into());
        candidates.push("python".into());
    }
    let found = candidates.iter().find(|c| has_client(c)).cloned();
    found.ok_or_else(|| {
        let tried: Vec<String> = candidates.iter().map(|c| c.display().to_string()).collect();
        Error::new("PYTHON_NOT_FOUND")
            .message(format!(
                "No Python with the package pyspark-client was found to run Python functions with. Tried: {}. Name one in \
                 BOATHOUSE_PYTHON, or install pyspark-client.",
                tried.join(", ")
            ))
            .exception("SparkException")
    })
}

/// Whether the interpreter runs and has PySpark.
fn has_client(python: &Path) -> bool {
    let probe = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('pyspark') else 3)";
    let status = Command::new(python)
        .args(["-c", probe])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|s| s.success())
}

/// The directory of the runtime modules, where it is not on the interpreter's path anyway.
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
    places.into_iter().find(|p| p.join("boathouse_runtime").is_dir())
}
