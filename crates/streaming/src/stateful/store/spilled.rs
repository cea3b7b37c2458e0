//! Values on this machine's disk instead of in memory.

use boathouse_spec::Result;

use super::{StateStore, Value};
use crate::stateful::spill::SpillFile;

impl StateStore {
    /// Moves the values to this machine's disk; what stays in memory are the keys.
    pub fn spill(&mut self, directory: &std::path::Path) -> Result<()> {
        let mut file = match self.spilled.take() {
            Some(file) if !file.is_wasteful() => file,
            Some(old) => self.spilled_anew(old, directory)?,
            None => SpillFile::create(directory)?,
        };
        let in_memory = self.entries.values().filter_map(|e| match &e.value {
            Value::Row(row) if !row.is_empty() => Some(&**row),
            _ => None,
        });
        let mut places = file.write(in_memory)?.into_iter();
        for entry in self.entries.values_mut() {
            if let Value::Row(row) = &entry.value
                && !row.is_empty()
                && let Some(place) = places.next()
            {
                self.memory = self.memory.saturating_sub(row.len());
                entry.value = Value::Spilled(place);
            }
        }
        self.spilled = Some(file);
        Ok(())
    }

    /// The values of a file that others have, in a new one.
    fn spilled_anew(&mut self, old: SpillFile, directory: &std::path::Path) -> Result<SpillFile> {
        let mut file = SpillFile::create(directory)?;
        for entry in self.entries.values_mut() {
            if let Value::Spilled(place) = &mut entry.value {
                let value = old.read(*place)?;
                let placed = file.write(std::iter::once(value.as_slice()))?;
                *place = placed.first().copied().unwrap_or(*place);
            }
        }
        Ok(file)
    }
}
