//! Values of state on this machine's disk, where memory has no room for them. They are read again when their keys are touched.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use boathouse_spec::{Error, Result};

/// Bytes from which on a file takes no more.
const FULL: u64 = 256 << 20;

/// A file without a name, which is gone with the last of those who have something in it.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: File,
    length: AtomicU64,
}

impl SpillFile {
    pub fn create(directory: &Path) -> Result<Self> {
        Ok(Self { file: nameless(directory).map_err(failed)?, length: AtomicU64::new(0) })
    }

    /// Writes bytes at the end, and says where they begin.
    pub fn write(&self, bytes: &[u8]) -> Result<u64> {
        let start = self.length.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, start).map_err(failed)?;
        Ok(start)
    }

    /// Whether what comes next should go into another file: its room is free again only when nobody has anything in it.
    pub fn is_full(&self) -> bool {
        self.length.load(Ordering::Relaxed) > FULL
    }

    pub fn read(&self, start: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start).map_err(failed)?;
        Ok(bytes)
    }
}

/// A new file that no other process finds, and that nobody has to remove.
pub(crate) fn nameless(directory: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join(format!("state-{}.spill", uuid::Uuid::new_v4()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn failed(e: std::io::Error) -> Error {
    Error::io("keeping state on disk", e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = SpillFile::create(directory.path()).unwrap();
        assert_eq!(file.write(b"first").unwrap(), 0);
        assert_eq!(file.write(b"second").unwrap(), 5);
        assert_eq!(file.read(5, 6).unwrap(), b"second");
        assert_eq!(file.read(1, 3).unwrap(), b"irs");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
