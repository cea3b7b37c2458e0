//! The home directory, and `server.json` in it.

use std::io::Write;
use std::path::{Path, PathBuf};

use boathouse_spec::Error;
use serde_json::json;

use crate::arguments::Arguments;
use crate::exit::{Failure, Result};

/// The home that the arguments, the environment or the default name; made if it is missing.
pub fn open(arguments: &Arguments) -> Result<PathBuf> {
    let home = match &arguments.home {
        Some(home) => home.clone(),
        None => match std::env::home_dir() {
            Some(user) => user.join(".boathouse"),
            None => return Err(Failure::Usage("there is no home directory: name one with --home".into())),
        },
    };
    std::fs::create_dir_all(&home)
        .map_err(|e| Failure::Failed(format!("The home {} cannot be made: {e}", home.display())))?;
    std::path::absolute(&home)
        .map_err(|e| Failure::Failed(format!("The home {} cannot be resolved: {e}", home.display())))
}

/// `HOME/server.json`: there while the server takes requests.
pub struct ServerFile {
    path: PathBuf,
}

impl ServerFile {
    pub fn write(home: &Path, connect: &str, http: &str) -> Result<Self, Error> {
        let path = home.join("server.json");
        let text = json!({
            "connect": connect,
            "http": http,
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
        })
        .to_string();
        // Whole or not at all: readers poll for the file.
        let unfinished = home.join(format!("server.json.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)
        };
        write().map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
        Ok(Self { path })
    }
}

impl Drop for ServerFile {
    fn drop(&mut self) {
        // It may be gone already: another server of the same home, or a clean-up by hand.
        let _ = std::fs::remove_file(&self.path);
    }
}
