//! Reading variants in place.

use boathouse_spec::Result;

use super::*;

/// A value and the dictionary of its names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant<'a> {
    metadata: &'a [u8],
    value: &'a [u8],
}

/// What a variant is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind<'a> {
    Null,
    Boolean(bool),
    /// An integer of any width.
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal {
        unscaled: i128,
        scale: u8,
    },
    String(&'a str),
    Binary(&'a [u8]),
    /// Days since the epoch.
    Date(i32),
    /// Microseconds since the epoch.
    Timestamp(i64),
    TimestampNtz(i64),
    Uuid([u8; 16]),
    /// So many fields.
    Object(usize),
    /// So many elements.
    Array(usize),
}

/// An unsigned number of so many little-endian bytes.
fn unsigned(bytes: &[u8], at: usize, width: usize) -> Result<usize> {
    let bytes = bytes.get(at..at.saturating_add(width)).ok_or_else(malformed)?;
    Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
}

fn fixed<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes.get(at..at + N).and_then(|b| b.try_into().ok()).ok_or_else(malformed)
}

/// The frame of an object or an array.
struct Layout {
    size: usize,
    ids_at: usize,
    id_width: usize,
    offsets_at: usize,
    offset_width: usize,
    data_at: usize,
}

impl<'a> Variant<'a> {
    /// A variant of its two parts. They are checked as they are read.
    pub fn new(metadata: &'a [u8], value: &'a [u8]) -> Self {
        Self { metadata, value }
    }

    pub fn metadata(&self) -> &'a [u8] {
        self.metadata
    }

    /// The bytes of the value, without what may stand behind it.
    pub fn value(&self) -> Result<&'a [u8]> {
        let size = self.size()?;
        self.value.get(..size).ok_or_else(malformed)
    }

    fn header(&self) -> Result<(u8, u8)> {
        let byte = *self.value.first().ok_or_else(malformed)?;
        Ok((byte & 3, byte >> 2))
    }

    pub fn kind(&self) -> Result<Kind<'a>> {
        let (basic, info) = self.header()?;
        let value = self.value;
        let bytes = |at: usize, length: usize| value.get(at..at.saturating_add(length)).ok_or_else(malformed);
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).map_err(|_| malformed());
        Ok(match basic {
            SHORT_STRING => Kind::String(text(bytes(1, usize::from(info))?)?),
            OBJECT => Kind::Object(self.layout()?.size),
            ARRAY => Kind::Array(self.layout()?.size),
            _ => match info {
                NULL => Kind::Null,
                TRUE => Kind::Boolean(true),
                FALSE => Kind::Boolean(false),
                INT8 => Kind::Long(i64::from(i8::from_le_bytes(fixed(value, 1)?))),
                INT16 => Kind::Long(i64::from(i16::from_le_bytes(fixed(value, 1)?))),
                INT32 => Kind::Long(i64::from(i32::from_le_bytes(fixed(value, 1)?))),
                INT64 => Kind::Long(i64::from_le_bytes(fixed(value, 1)?)),
                FLOAT => Kind::Float(f32::from_le_bytes(fixed(value, 1)?)),
                DOUBLE => Kind::Double(f64::from_le_bytes(fixed(value, 1)?)),
                DECIMAL4 | DECIMAL8 | DECIMAL16 => {
                    let scale = *value.get(1).ok_or_else(malformed)?;
                    let (unscaled, most) = match info {
                        DECIMAL4 => (i128::from(i32::from_le_bytes(fixed(value, 2)?)), 9),
                        DECIMAL8 => (i128::from(i64::from_le_bytes(fixed(value, 2)?)), 18),
                        _ => (i128::from_le_bytes(fixed(value, 2)?), 38),
                    };
                    if scale > most || unscaled.unsigned_abs() >= 10u128.pow(u32::from(most)) {
                        return Err(malformed());
                    }
                    Kind::Decimal { unscaled, scale }
                }
                DATE => Kind::Date(i32::from_le_bytes(fixed(value, 1)?)),
                TIMESTAMP => Kind::Timestamp(i64::from_le_bytes(fixed(value, 1)?)),
                TIMESTAMP_NTZ => Kind::TimestampNtz(i64::from_le_bytes(fixed(value, 1)?)),
                BINARY => Kind::Binary(bytes(5, unsigned(value, 1, 4)?)?),
                LONG_STRING => Kind::String(text(bytes(5, unsigned(value, 1, 4)?)?)?),
                UUID => Kind::Uuid(fixed(value, 1)?),
                other => {
                    return Err(Error::new("UNKNOWN_PRIMITIVE_TYPE_IN_VARIANT")
                        .param("id", other)
                        .message(format!("A VARIANT value has the unknown primitive type {other}.")));
                }
            },
        })
    }

    /// Bytes of the value.
    fn size(&self) -> Result<usize> {
        let (basic, info) = self.header()?;
        Ok(match basic {
            SHORT_STRING => 1 + usize::from(info),
            OBJECT | ARRAY => {
                let layout = self.layout()?;
                layout.data_at
                    + unsigned(
                        self.value,
                        layout.offsets_at + layout.size * layout.offset_width,
                        layout.offset_width,
                    )?
            }
            _ => match info {
                NULL | TRUE | FALSE => 1,
                INT8 => 2,
                INT16 => 3,
                INT32 | DATE | FLOAT => 5,
                INT64 | DOUBLE | TIMESTAMP | TIMESTAMP_NTZ => 9,
                DECIMAL4 => 6,
                DECIMAL8 => 10,
                DECIMAL16 => 18,
                UUID => 17,
                BINARY | LONG_STRING => 5 + unsigned(self.value, 1, 4)?,
                _ => return Err(malformed()),
            },
        })
    }

    fn layout(&self) -> Result<Layout> {
        let (basic, info) = self.header()?;
        let offset_width = usize::from(info & 3) + 1;
        let (large, id_width) = match basic {
            OBJECT => (info >> 4 & 1 == 1, usize::from(info >> 2 & 3) + 1),
            _ => (info >> 2 & 1 == 1, 0),
        };
        let size_width = if large { 4 } else { 1 };
        let size = unsigned(self.value, 1, size_width)?;
        let ids_at = 1 + size_width;
        let offsets_at = ids_at + size * id_width;
        let data_at = offsets_at + (size + 1) * offset_width;
        if data_at > self.value.len() {
            return Err(malformed());
        }
        Ok(Layout { size, ids_at, id_width, offsets_at, offset_width, data_at })
    }

    fn child(&self, layout: &Layout, i: usize) -> Result<Variant<'a>> {
        let offset = unsigned(self.value, layout.offsets_at + i * layout.offset_width, layout.offset_width)?;
        let value = self.value.get(layout.data_at.saturating_add(offset)..).ok_or_else(malformed)?;
        Ok(Variant { metadata: self.metadata, value })
    }

    fn name_at(&self, layout: &Layout, i: usize) -> Result<&'a str> {
        self.name(unsigned(self.value, layout.ids_at + i * layout.id_width, layout.id_width)?)
    }

    /// A name of the dictionary.
    fn name(&self, id: usize) -> Result<&'a str> {
        let header = *self.metadata.first().ok_or_else(malformed)?;
        if header & 0x0f != VERSION {
            return Err(malformed());
        }
        let width = usize::from(header >> 6) + 1;
        let size = unsigned(self.metadata, 1, width)?;
        if id >= size {
            return Err(malformed());
        }
        let offset = |i: usize| unsigned(self.metadata, 1 + (i + 1) * width, width);
        let names = 1 + (size + 2) * width;
        let (start, end) = (names.saturating_add(offset(id)?), names.saturating_add(offset(id + 1)?));
        let bytes = self.metadata.get(start..end).ok_or_else(malformed)?;
        std::str::from_utf8(bytes).map_err(|_| malformed())
    }

    /// The field of an object; `None` where it has no such field, or is no object.
    pub fn field(&self, name: &str) -> Result<Option<Variant<'a>>> {
        if self.header()?.0 != OBJECT {
            return Ok(None);
        }
        let layout = self.layout()?;
        if layout.size < 32 {
            for i in 0..layout.size {
                if self.name_at(&layout, i)? == name {
                    return self.child(&layout, i).map(Some);
                }
            }
            return Ok(None);
        }
        // The fields are sorted by name.
        let (mut low, mut high) = (0, layout.size);
        while low < high {
            let middle = low + (high - low) / 2;
            match super::build::compare_names(self.name_at(&layout, middle)?, name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.child(&layout, middle).map(Some),
            }
        }
        Ok(None)
    }

    /// The element of an array; `None` where it has none there, or is no array.
    pub fn element(&self, i: usize) -> Result<Option<Variant<'a>>> {
        if self.header()?.0 != ARRAY {
            return Ok(None);
        }
        let layout = self.layout()?;
        if i >= layout.size {
            return Ok(None);
        }
        self.child(&layout, i).map(Some)
    }

    /// Visits the fields of an object in the order of their names.
    pub fn for_each_field(&self, mut visit: impl FnMut(&'a str, Variant<'a>) -> Result<()>) -> Result<()> {
        if self.header()?.0 != OBJECT {
            return Err(malformed());
        }
        let layout = self.layout()?;
        (0..layout.size).try_for_each(|i| visit(self.name_at(&layout, i)?, self.child(&layout, i)?))
    }

    /// Visits the fields of an object in the order of their names, with the numbers of the names in the dictionary.
    pub fn for_each_field_with_id(
        &self,
        mut visit: impl FnMut(u32, &'a str, Variant<'a>) -> Result<()>,
    ) -> Result<()> {
        if self.header()?.0 != OBJECT {
            return Err(malformed());
        }
        let layout = self.layout()?;
        (0..layout.size).try_for_each(|i| {
            let id = unsigned(self.value, layout.ids_at + i * layout.id_width, layout.id_width)?;
            let id = u32::try_from(id).map_err(|_| malformed())?;
            visit(id, self.name_at(&layout, i)?, self.child(&layout, i)?)
        })
    }

    /// Visits the elements of an array.
    pub fn for_each_element(&self, mut visit: impl FnMut(Variant<'a>) -> Result<()>) -> Result<()> {
        if self.header()?.0 != ARRAY {
            return Err(malformed());
        }
        let layout = self.layout()?;
        (0..layout.size).try_for_each(|i| visit(self.child(&layout, i)?))
    }

    /// Fails where any part of the bytes is malformed.
    pub fn check(&self) -> Result<()> {
        self.check_at(0)
    }

    fn check_at(&self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(malformed());
        }
        match self.kind()? {
            Kind::Object(_) => {
                self.for_each_field(|_, value| value.check_at(depth + 1))?;
                self.value().map(|_| ())
            }
            Kind::Array(_) => {
                self.for_each_element(|value| value.check_at(depth + 1))?;
                self.value().map(|_| ())
            }
            _ => Ok(()),
        }
    }
}
