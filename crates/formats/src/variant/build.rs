//! Writing variants.

use std::cmp::Ordering;
use std::collections::HashMap;

use boathouse_spec::Result;

use super::*;

/// Writes values one behind the other; what was written last is put into an object or array when that is closed.
#[derive(Debug, Default)]
pub struct Builder {
    value: Vec<u8>,
    ids: HashMap<String, u32>,
    names: Vec<String>,
    names_size: usize,
}

/// A field of an object being built.
#[derive(Debug, Clone, Copy)]
pub struct FieldEntry {
    id: u32,
    offset: usize,
}

/// What comes before the values of an object: how many there are, the numbers of their names, and where they begin.
fn object_header(fields: impl ExactSizeIterator<Item = (u32, usize)> + Clone, data: usize) -> Vec<u8> {
    let count = fields.len();
    let offset_width = width_of(data);
    let id_width = width_of(fields.clone().map(|(id, _)| id as usize).max().unwrap_or(0));
    let large = count > 0xff;
    let mut header = Vec::with_capacity(5 + count * (id_width + offset_width) + offset_width);
    let info = usize::from(large) << 4 | (id_width - 1) << 2 | (offset_width - 1);
    header.push((info as u8) << 2 | OBJECT);
    push_number(&mut header, count, if large { 4 } else { 1 });
    for (id, _) in fields.clone() {
        push_number(&mut header, id as usize, id_width);
    }
    for (_, offset) in fields {
        push_number(&mut header, offset, offset_width);
    }
    push_number(&mut header, data, offset_width);
    header
}

/// The value of an object of some fields of another, in their order, by the same dictionary: the numbers of their names, and
/// their values.
pub fn object_of(fields: &[(u32, &[u8])]) -> Result<Vec<u8>> {
    let data: usize = fields.iter().map(|(_, value)| value.len()).sum();
    if data > SIZE_LIMIT {
        return Err(too_large());
    }
    let mut begun = 0;
    let places: Vec<(u32, usize)> = fields
        .iter()
        .map(|(id, value)| {
            begun += value.len();
            (*id, begun - value.len())
        })
        .collect();
    let mut out = object_header(places.iter().copied(), data);
    fields.iter().for_each(|(_, value)| out.extend_from_slice(value));
    Ok(out)
}

impl Builder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what was written, but keeps the memory.
    pub fn clear(&mut self) {
        self.value.clear();
        self.ids.clear();
        self.names.clear();
        self.names_size = 0;
    }

    /// The bytes of the value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Appends the bytes of the dictionary.
    pub fn write_metadata(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.value.len() > SIZE_LIMIT || self.names_size > SIZE_LIMIT {
            return Err(too_large());
        }
        let width = width_of(self.names_size.max(self.names.len()));
        out.push(VERSION | ((width - 1) << 6) as u8);
        push_number(out, self.names.len(), width);
        let mut offset = 0;
        for name in &self.names {
            push_number(out, offset, width);
            offset += name.len();
        }
        push_number(out, offset, width);
        for name in &self.names {
            out.extend_from_slice(name.as_bytes());
        }
        Ok(())
    }

    fn primitive(&mut self, kind: u8) {
        self.value.push(kind << 2 | PRIMITIVE);
    }

    pub fn null(&mut self) {
        self.primitive(NULL);
    }

    pub fn boolean(&mut self, v: bool) {
        self.primitive(if v { TRUE } else { FALSE });
    }

    /// An integer in as few bytes as it needs.
    pub fn long(&mut self, v: i64) {
        if let Ok(v) = i8::try_from(v) {
            self.primitive(INT8);
            self.value.extend(v.to_le_bytes());
        } else if let Ok(v) = i16::try_from(v) {
            self.primitive(INT16);
            self.value.extend(v.to_le_bytes());
        } else if let Ok(v) = i32::try_from(v) {
            self.primitive(INT32);
            self.value.extend(v.to_le_bytes());
        } else {
            self.primitive(INT64);
            self.value.extend(v.to_le_bytes());
        }
    }

    pub fn float(&mut self, v: f32) {
        self.primitive(FLOAT);
        self.value.extend(v.to_le_bytes());
    }

    pub fn double(&mut self, v: f64) {
        self.primitive(DOUBLE);
        self.value.extend(v.to_le_bytes());
    }

    /// A decimal of at most 38 digits and that scale.
    pub fn decimal(&mut self, unscaled: i128, scale: u8) {
        let digits = unscaled.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
        let needed = digits.max(u32::from(scale));
        if needed <= 9 {
            self.primitive(DECIMAL4);
            self.value.push(scale);
            self.value.extend((unscaled as i32).to_le_bytes());
        } else if needed <= 18 {
            self.primitive(DECIMAL8);
            self.value.push(scale);
            self.value.extend((unscaled as i64).to_le_bytes());
        } else {
            self.primitive(DECIMAL16);
            self.value.push(scale);
            self.value.extend(unscaled.to_le_bytes());
        }
    }

    pub fn string(&mut self, v: &str) {
        if v.len() < 64 {
            self.value.push((v.len() as u8) << 2 | SHORT_STRING);
        } else {
            self.primitive(LONG_STRING);
            push_number(&mut self.value, v.len(), 4);
        }
        self.value.extend_from_slice(v.as_bytes());
    }

    pub fn binary(&mut self, v: &[u8]) {
        self.primitive(BINARY);
        push_number(&mut self.value, v.len(), 4);
        self.value.extend_from_slice(v);
    }

    /// Days since the epoch.
    pub fn date(&mut self, days: i32) {
        self.primitive(DATE);
        self.value.extend(days.to_le_bytes());
    }

    /// Microseconds since the epoch.
    pub fn timestamp(&mut self, us: i64) {
        self.primitive(TIMESTAMP);
        self.value.extend(us.to_le_bytes());
    }

    pub fn timestamp_ntz(&mut self, us: i64) {
        self.primitive(TIMESTAMP_NTZ);
        self.value.extend(us.to_le_bytes());
    }

    /// Where the next value will begin: the start to close an object or an array with.
    pub fn position(&self) -> usize {
        self.value.len()
    }

    /// Declares that the next value is the field `name` of the object that began at `start`.
    pub fn field(&mut self, start: usize, name: &str) -> FieldEntry {
        let id = match self.ids.get(name) {
            Some(id) => *id,
            None => {
                let id = self.names.len() as u32;
                self.ids.insert(name.to_string(), id);
                self.names.push(name.to_string());
                self.names_size += name.len();
                id
            }
        };
        FieldEntry { id, offset: self.value.len() - start }
    }

    /// Makes an object of the values written since `start`. Fails where a name comes twice.
    pub fn close_object(&mut self, start: usize, fields: &mut [FieldEntry]) -> Result<()> {
        let names = &self.names;
        let name = |f: &FieldEntry| names.get(f.id as usize).map_or("", String::as_str);
        fields.sort_by(|a, b| compare_names(name(a), name(b)));
        if let Some(pair) = fields.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(Error::new("VARIANT_DUPLICATE_KEY")
                .param("key", name(&pair[0]))
                .message(format!("A VARIANT object has the field `{}` twice.", name(&pair[0]))));
        }
        let data = self.value.len() - start;
        let header = object_header(fields.iter().map(|f| (f.id, f.offset)), data);
        self.value.splice(start..start, header);
        self.check_size()
    }

    /// Makes an array of the values written since `start`, which begin at `offsets` behind it.
    pub fn close_array(&mut self, start: usize, offsets: &[usize]) -> Result<()> {
        let data = self.value.len() - start;
        let width = width_of(data);
        let large = offsets.len() > 0xff;
        let mut header = Vec::with_capacity(5 + (offsets.len() + 1) * width);
        let info = usize::from(large) << 2 | (width - 1);
        header.push((info as u8) << 2 | ARRAY);
        push_number(&mut header, offsets.len(), if large { 4 } else { 1 });
        for offset in offsets.iter().chain([&data]) {
            push_number(&mut header, *offset, width);
        }
        self.value.splice(start..start, header);
        self.check_size()
    }

    fn check_size(&self) -> Result<()> {
        if self.value.len() > SIZE_LIMIT { Err(too_large()) } else { Ok(()) }
    }

    /// Appends a variant, its names taken into this dictionary.
    pub fn variant(&mut self, v: &Variant) -> Result<()> {
        self.copy(v, 0)
    }

    fn copy(&mut self, v: &Variant, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(malformed());
        }
        let start = self.position();
        match v.kind()? {
            Kind::Object(size) => {
                let mut fields = Vec::with_capacity(size);
                v.for_each_field(|name, value| {
                    fields.push(self.field(start, name));
                    self.copy(&value, depth + 1)
                })?;
                self.close_object(start, &mut fields)
            }
            Kind::Array(size) => {
                let mut offsets = Vec::with_capacity(size);
                v.for_each_element(|value| {
                    offsets.push(self.position() - start);
                    self.copy(&value, depth + 1)
                })?;
                self.close_array(start, &offsets)
            }
            _ => {
                self.value.extend_from_slice(v.value()?);
                Ok(())
            }
        }
    }
}

fn push_number(out: &mut Vec<u8>, value: usize, width: usize) {
    out.extend_from_slice(&(value as u64).to_le_bytes()[..width]);
}

/// The order of names: Java's, by UTF-16 units.
pub(super) fn compare_names(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}
