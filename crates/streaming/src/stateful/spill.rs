//! Values of state on this machine's disk, where memory has no room for them. They are read again when their keys are touched.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use boathouse_spec::{Error, Result};

/// Bytes that are written at once.
const PAGE: usize = 1 << 20;

/// Values that nobody has any more are left where they are until they are this many bytes, and more than half of the file.
const WASTE: u64 = 16 << 20;

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    length: u32,
}

/// A file without a name, which is gone with the process.
#[derive(Debug)]
pub(super) struct SpillFile {
    file: File,
    length: u64,
    dead: u64,
}

impl SpillFile {
    pub fn create(directory: &Path) -> Result<Self> {
        let path = directory.join(format!("state-{}.spill", uuid::Uuid::new_v4()));
        let made = std::fs::create_dir_all(directory).and_then(|()| {
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        });
        Ok(Self { file: made.map_err(failed)?, length: 0, dead: 0 })
    }

    /// Writes values, and says where they are.
    pub fn write<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        let mut page: Vec<u8> = Vec::with_capacity(PAGE);
        for value in values {
            let length = u32::try_from(value.len()).map_err(|_| Error::internal("a value of 4 GiB"))?;
            places.push(Place { offset: self.length + page.len() as u64, length });
            page.extend_from_slice(value);
            if page.len() >= PAGE {
                self.flush(&mut page)?;
            }
        }
        self.flush(&mut page)?;
        Ok(places)
    }

    fn flush(&mut self, page: &mut Vec<u8>) -> Result<()> {
        self.file.write_all_at(page, self.length).map_err(failed)?;
        self.length += page.len() as u64;
        page.clear();
        Ok(())
    }

    pub fn read(&self, place: Place) -> Result<Vec<u8>> {
        let mut value = vec![0; place.length as usize];
        self.file.read_exact_at(&mut value, place.offset).map_err(failed)?;
        Ok(value)
    }

    /// Nobody has the value any more.
    pub fn forget(&mut self, place: Place) {
        self.dead += u64::from(place.length);
    }

    /// Whether the file should be written anew.
    pub fn is_wasteful(&self) -> bool {
        self.dead > WASTE && self.dead > self.length / 2
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::io("keeping state on disk", e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = SpillFile::create(directory.path()).unwrap();
        let values: Vec<Vec<u8>> = (0..3000_usize).map(|i| vec![(i % 251) as u8; i]).collect();
        let places = file.write(values.iter().map(Vec::as_slice)).unwrap();
        for (value, place) in values.iter().zip(&places) {
            assert_eq!(file.read(*place).unwrap(), *value);
        }
        assert!(!file.is_wasteful());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
