//! Values as they cast to STRING: for the names of partition directories.

use arrow::array::ArrayRef;
use boathouse_spec::{DataType, Result};

use crate::cell::Cells;
use crate::csv;
use crate::zone::Zone;

/// The texts of a column's values.
pub struct Display {
    cells: Cells,
    options: csv::Options,
}

impl Display {
    /// Timestamps are shown on the wall clock of a zone.
    pub fn new(array: &ArrayRef, t: &DataType, zone: &Zone) -> Result<Self> {
        let options = csv::Options { zone: zone.clone(), ..csv::Options::default() };
        Ok(Self { cells: Cells::new(array, t)?, options })
    }

    /// The text of a row's value; `None` for NULL.
    pub fn text(&self, row: usize) -> Result<Option<String>> {
        if self.cells.is_null(row) {
            return Ok(None);
        }
        let mut out = String::new();
        csv::write_cast(&self.cells, row, &self.options, &mut out)?;
        Ok(Some(out))
    }
}
