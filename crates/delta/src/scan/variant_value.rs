//! Variants in bytes ("Variant Binary Encoding" of the Parquet format): as much of it as making values whole again needs.

use std::collections::HashMap;

use boathouse_spec::{Error, Result};

const SHORT_STRING: u8 = 1;
const OBJECT: u8 = 2;
const ARRAY: u8 = 3;

pub(super) const NULL: u8 = 0;

fn broken(what: &str) -> Error {
    Error::new("MALFORMED_VARIANT")
        .message(format!("A VARIANT in a file is broken: {what}."))
        .exception("SparkRuntimeException")
}

fn number(bytes: &[u8], at: usize, size: usize) -> Result<usize> {
    let end = at.checked_add(size).ok_or_else(|| broken("a size"))?;
    let bytes = bytes.get(at..end).ok_or_else(|| broken("it ends too early"))?;
    Ok(bytes.iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b)))
}

/// The names of fields by which objects name theirs.
pub(super) struct Names {
    names: Vec<String>,
    ids: HashMap<String, usize>,
}

impl Names {
    pub fn parse(metadata: &[u8]) -> Result<Self> {
        let header = *metadata.first().ok_or_else(|| broken("no metadata"))?;
        let size = usize::from(header >> 6) + 1;
        let count = number(metadata, 1, size)?;
        let first = 1 + size;
        let start = first + (count + 1) * size;
        let mut names = Vec::with_capacity(count.min(metadata.len()));
        for i in 0..count {
            let from = start + number(metadata, first + i * size, size)?;
            let to = start + number(metadata, first + (i + 1) * size, size)?;
            let name = metadata.get(from..to).and_then(|b| std::str::from_utf8(b).ok());
            names.push(name.ok_or_else(|| broken("a field's name"))?.to_string());
        }
        let ids = names.iter().enumerate().map(|(i, name)| (name.clone(), i)).collect();
        Ok(Self { names, ids })
    }

    /// The fields of an object: names and values.
    pub fn fields_of(&self, object: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let header = *object.first().ok_or_else(|| broken("no value"))?;
        if header & 3 != OBJECT {
            return Err(broken("the rest of an object is none"));
        }
        let (offset_size, id_size) = (usize::from(header >> 2 & 3) + 1, usize::from(header >> 4 & 3) + 1);
        let count_size = if header >> 6 & 1 == 1 { 4 } else { 1 };
        let count = number(object, 1, count_size)?;
        let ids = 1 + count_size;
        let offsets = ids + count * id_size;
        let values = offsets + (count + 1) * offset_size;
        let mut out = Vec::with_capacity(count.min(object.len()));
        for i in 0..count {
            let id = number(object, ids + i * id_size, id_size)?;
            let from = values + number(object, offsets + i * offset_size, offset_size)?;
            let value = object.get(from..).ok_or_else(|| broken("a field's place"))?;
            let value = value.get(..length(value)?).ok_or_else(|| broken("a field's value"))?;
            let name = self.names.get(id).ok_or_else(|| broken("a field without name"))?;
            out.push((name.clone(), value.to_vec()));
        }
        Ok(out)
    }

    /// An object of fields.
    pub fn object(&self, mut fields: Vec<(String, Vec<u8>)>) -> Result<Vec<u8>> {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let mut ids = Vec::with_capacity(fields.len());
        for (name, _) in &fields {
            ids.push(*self.ids.get(name).ok_or_else(|| broken("a field that the metadata lacks"))?);
        }
        let total: usize = fields.iter().map(|(_, v)| v.len()).sum();
        let (id_size, offset_size) = (size_of(ids.iter().copied().max().unwrap_or(0)), size_of(total));
        let large = fields.len() > 255;
        let header = u8::from(large) << 4 | ((id_size - 1) as u8) << 2 | (offset_size - 1) as u8;
        let mut out = vec![header << 2 | OBJECT];
        put(&mut out, fields.len(), if large { 4 } else { 1 });
        ids.iter().for_each(|id| put(&mut out, *id, id_size));
        put_values(&mut out, fields.into_iter().map(|(_, v)| v).collect(), offset_size);
        Ok(out)
    }
}

/// The bytes of a value, which others may follow.
fn length(value: &[u8]) -> Result<usize> {
    let header = *value.first().ok_or_else(|| broken("no value"))?;
    let kind = header >> 2;
    Ok(match header & 3 {
        SHORT_STRING => 1 + usize::from(kind),
        OBJECT | ARRAY => {
            let is_object = header & 3 == OBJECT;
            let offset_size = usize::from(kind & 3) + 1;
            let large = if is_object { kind >> 4 & 1 } else { kind >> 2 & 1 };
            let count_size = if large == 1 { 4 } else { 1 };
            let count = number(value, 1, count_size)?;
            let ids = if is_object { count * (usize::from(kind >> 2 & 3) + 1) } else { 0 };
            let offsets = 1 + count_size + ids;
            offsets + (count + 1) * offset_size + number(value, offsets + count * offset_size, offset_size)?
        }
        _ => match kind {
            0..=2 => 1,
            3 => 2,
            4 => 3,
            5 | 11 | 14 => 5,
            6 | 7 | 12 | 13 | 17..=19 => 9,
            8 => 6,
            9 => 10,
            10 => 18,
            15 | 16 => 5 + number(value, 1, 4)?,
            20 => 17,
            _ => return Err(broken("a type that is not known")),
        },
    })
}

/// The bytes that a number needs.
fn size_of(n: usize) -> usize {
    match n {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    }
}

fn put(out: &mut Vec<u8>, n: usize, size: usize) {
    out.extend_from_slice(&n.to_le_bytes()[..size]);
}

fn put_values(out: &mut Vec<u8>, values: Vec<Vec<u8>>, offset_size: usize) {
    let mut at = 0;
    put(out, at, offset_size);
    for value in &values {
        at += value.len();
        put(out, at, offset_size);
    }
    values.iter().for_each(|v| out.extend_from_slice(v));
}

pub(super) fn array(elements: Vec<Vec<u8>>) -> Vec<u8> {
    let offset_size = size_of(elements.iter().map(Vec::len).sum());
    let large = elements.len() > 255;
    let mut out = vec![(u8::from(large) << 2 | (offset_size - 1) as u8) << 2 | ARRAY];
    put(&mut out, elements.len(), if large { 4 } else { 1 });
    put_values(&mut out, elements, offset_size);
    out
}

/// A value of a primitive type, by the type's number and its bytes.
pub(super) fn primitive(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![kind << 2];
    out.extend_from_slice(bytes);
    out
}

/// An integer in as few bytes as hold it, as Spark makes them.
pub(super) fn integer(n: i64) -> Vec<u8> {
    if let Ok(n) = i8::try_from(n) {
        primitive(3, &n.to_le_bytes())
    } else if let Ok(n) = i16::try_from(n) {
        primitive(4, &n.to_le_bytes())
    } else if let Ok(n) = i32::try_from(n) {
        primitive(5, &n.to_le_bytes())
    } else {
        primitive(6, &n.to_le_bytes())
    }
}

pub(super) fn decimal(unscaled: i128, precision: u8, scale: i8) -> Vec<u8> {
    let scale = scale.unsigned_abs();
    let with = |kind: u8, bytes: &[u8]| {
        let mut all = vec![scale];
        all.extend_from_slice(bytes);
        primitive(kind, &all)
    };
    match (i32::try_from(unscaled), i64::try_from(unscaled)) {
        (Ok(n), _) if precision <= 9 => with(8, &n.to_le_bytes()),
        (_, Ok(n)) if precision <= 18 => with(9, &n.to_le_bytes()),
        _ => with(10, &unscaled.to_le_bytes()),
    }
}

pub(super) fn string(text: &str) -> Vec<u8> {
    if text.len() < 64 {
        let mut out = vec![(text.len() as u8) << 2 | SHORT_STRING];
        out.extend_from_slice(text.as_bytes());
        return out;
    }
    sized(16, text.as_bytes())
}

pub(super) fn binary(bytes: &[u8]) -> Vec<u8> {
    sized(15, bytes)
}

fn sized(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = (bytes.len() as u32).to_le_bytes().to_vec();
    all.extend_from_slice(bytes);
    primitive(kind, &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a":1,"b":"x"}` as Spark writes it: metadata with the names a and b, and an object of them.
    #[test]
    fn objects_come_apart_and_together() {
        let metadata = [0x01, 2, 0, 1, 2, b'a', b'b'];
        let names = Names::parse(&metadata).unwrap();
        let fields = vec![("b".to_string(), string("x")), ("a".to_string(), integer(1))];
        let made = names.object(fields).unwrap();
        assert_eq!(made, [0x02, 2, 0, 1, 0, 2, 4, 0x0c, 1, 0x05, b'x']);
        assert_eq!(length(&made).unwrap(), made.len());
        let apart = names.fields_of(&made).unwrap();
        assert_eq!(apart, [("a".to_string(), integer(1)), ("b".to_string(), string("x"))]);
        assert_eq!(names.object(apart).unwrap(), made);
        assert!(names.object(vec![("c".into(), integer(1))]).is_err());
        assert!(names.fields_of(&[0x02, 9]).is_err() && Names::parse(&[0x01, 200]).is_err());
        let list = array(vec![primitive(NULL, &[]), integer(300)]);
        assert_eq!(list, [0x03, 2, 0, 1, 4, 0x00, 0x10, 0x2c, 0x01]);
        assert_eq!(length(&list).unwrap(), list.len());
    }
}
