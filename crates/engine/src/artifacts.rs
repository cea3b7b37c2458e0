//! Files a client sent for its session: Python modules, archives, and the data of large local relations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boathouse_spec::{Error, Result};
use bytes::Bytes;
use parking_lot::RwLock;

/// Artifacts by the name the client gave (`pyfiles/a.py`, `cache/<sha256>`); their bytes are files in a directory of the session.
#[derive(Debug)]
pub struct ArtifactStore {
    directory: PathBuf,
    stored: RwLock<BTreeMap<String, PathBuf>>,
}

impl ArtifactStore {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, stored: RwLock::new(BTreeMap::new()) }
    }

    /// Keeps an artifact, replacing one of the same name.
    pub fn put(&self, name: &str, data: &[u8]) -> Result<()> {
        let path = self.path_of(name)?;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| failed("keeping", name, e))?;
        }
        std::fs::write(&path, data).map_err(|e| failed("keeping", name, e))?;
        self.stored.write().insert(name.to_string(), path);
        Ok(())
    }

    pub fn exists(&self, name: &str) -> bool {
        self.stored.read().contains_key(name)
    }

    pub fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let Some(path) = self.stored.read().get(name).cloned() else {
            return Ok(None);
        };
        std::fs::read(path).map(|data| Some(Bytes::from(data))).map_err(|e| failed("reading", name, e))
    }

    /// Where the file of an artifact is.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.stored.read().get(name).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.stored.read().keys().cloned().collect()
    }

    /// The directory that holds `pyfiles/`, `files/` and the others.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn clear(&self) {
        self.stored.write().clear();
        let _ = std::fs::remove_dir_all(&self.directory);
    }

    /// Names are relative paths of plain parts: nothing may be written elsewhere.
    fn path_of(&self, name: &str) -> Result<PathBuf> {
        let plain = !name.is_empty()
            && name.len() <= 1024
            && name.split('/').all(|part| {
                !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':'])
            });
        if !plain {
            return Err(Error::new("INVALID_ARTIFACT_PATH").message(format!(
                "'{name}' cannot be the name of an artifact: it must be a relative path without '..'."
            )));
        }
        Ok(self.directory.join(name))
    }
}

fn failed(doing: &str, name: &str, cause: std::io::Error) -> Error {
    Error::io(format!("{doing} the artifact {name}"), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_stay_in_their_directory() {
        let directory = std::env::temp_dir().join(format!("artifacts-{}", uuid::Uuid::new_v4()));
        let store = ArtifactStore::new(directory);
        store.put("pyfiles/a.py", b"x = 1").unwrap();
        assert_eq!(store.get("pyfiles/a.py").unwrap().as_deref(), Some(&b"x = 1"[..]));
        assert!(!store.exists("pyfiles/b.py"));
        for bad in ["../a", "/etc/x", "a//b", "a/../b", ""] {
            assert!(store.put(bad, b"").is_err(), "{bad}");
        }
        store.clear();
    }
}
