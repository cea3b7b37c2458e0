//! Keys and values as bytes, in the row format of Arrow.

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use arrow::row::{RowConverter, Rows, SortField};
use boathouse_spec::{Error, Result};

use super::internal;

/// How some columns are as bytes.
pub(super) struct Encoding(Option<RowConverter>);

/// Rows of columns as bytes; empty where there are no columns.
pub(super) enum Encoded {
    /// So many without columns: all are one.
    Empty(usize),
    Rows(Rows),
}

impl Encoding {
    pub fn of(fields: &[FieldRef]) -> Result<Self> {
        if fields.is_empty() {
            return Ok(Self(None));
        }
        if let Some(field) =
            fields.iter().find(|f| !RowConverter::supports_fields(&[SortField::new(f.data_type().clone())]))
        {
            return Err(Error::unsupported(format!("state with values of the type {}", field.data_type())));
        }
        let fields = fields.iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(Self(Some(RowConverter::new(fields).map_err(internal)?)))
    }

    pub fn rows(&self, columns: &[ArrayRef], count: usize) -> Result<Encoded> {
        match &self.0 {
            None => Ok(Encoded::Empty(count)),
            Some(converter) => Ok(Encoded::Rows(converter.convert_columns(columns).map_err(internal)?)),
        }
    }

    /// No rows, with room for some.
    pub fn none(&self, rows: usize) -> Encoded {
        match &self.0 {
            None => Encoded::Empty(0),
            Some(converter) => Encoded::Rows(converter.empty_rows(rows, 0)),
        }
    }

    /// The columns of bytes that come from elsewhere.
    pub fn columns<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.0 else { return Ok(Vec::new()) };
        let parser = converter.parser();
        converter.convert_rows(rows.into_iter().map(|r| parser.parse(r))).map_err(internal)
    }

    /// The columns of rows that this one made.
    pub fn decoded(&self, rows: &Encoded, which: impl Iterator<Item = usize>) -> Result<Vec<ArrayRef>> {
        match (&self.0, rows) {
            (Some(converter), Encoded::Rows(rows)) => {
                converter.convert_rows(which.map(|i| rows.row(i))).map_err(internal)
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Encoded {
    pub fn len(&self) -> usize {
        match self {
            Self::Empty(count) => *count,
            Self::Rows(rows) => rows.num_rows(),
        }
    }

    pub fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Empty(_) => &[],
            Self::Rows(rows) => rows.row(row).data(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Adds a row of others that the same encoding made.
    pub fn push(&mut self, of: &Self, row: usize) {
        match (self, of) {
            (Self::Rows(rows), Self::Rows(of)) => rows.push(of.row(row)),
            (Self::Empty(count), _) => *count += 1,
            (Self::Rows(_), Self::Empty(_)) => {}
        }
    }

    pub fn clear(&mut self) {
        match self {
            Self::Empty(count) => *count = 0,
            Self::Rows(rows) => rows.clear(),
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Empty(_) => 0,
            Self::Rows(rows) => rows.size(),
        }
    }
}
