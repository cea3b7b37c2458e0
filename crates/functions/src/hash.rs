//! `hash` (Spark's Murmur3), `xxhash64`, and digests of bytes.
//!
//! Both hashes run over the columns of a row with the hash so far as the seed; a NULL leaves it as it is. Spark's Murmur3
//! treats the bytes after the last whole word one by one, unlike the original.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array};
use arrow::datatypes::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalYearMonthType, Time64NanosecondType,
    TimestampMicrosecondType,
};
use boathouse_spec::{DataType, Error, Result};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use twox_hash::XxHash64;

use crate::apply::{number_rows, text_rows};
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["hash"], |c| hash(c, Algorithm::Murmur3));
    r.scalar(&["xxhash64"], |c| hash(c, Algorithm::Xx64));
    r.scalar(&["md5"], |c| digest(c, push_digest::<Md5>));
    r.scalar(&["sha", "sha1"], |c| digest(c, push_digest::<Sha1>));
    r.scalar(&["sha2"], sha2_of);
    r.scalar(&["crc32"], crc32);
}

/// The seed of both hashes.
const SEED: u64 = 42;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Algorithm {
    Murmur3,
    Xx64,
}

fn mix(k: u32) -> u32 {
    k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

fn stir(h: u32, k: u32) -> u32 {
    (h ^ mix(k)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

fn finish(h: u32, length: u32) -> u32 {
    let h = h ^ length;
    let h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    let h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

fn avalanche(h: u64) -> u64 {
    let h = (h ^ h >> 33).wrapping_mul(P2);
    let h = (h ^ h >> 29).wrapping_mul(P3);
    h ^ h >> 32
}

impl Algorithm {
    pub fn int(self, v: i32, seed: u64) -> u64 {
        match self {
            Self::Murmur3 => u64::from(finish(stir(seed as u32, v as u32), 4)),
            Self::Xx64 => {
                let h = seed.wrapping_add(P5).wrapping_add(4) ^ u64::from(v as u32).wrapping_mul(P1);
                avalanche(h.rotate_left(23).wrapping_mul(P2).wrapping_add(P3))
            }
        }
    }

    pub fn long(self, v: i64, seed: u64) -> u64 {
        match self {
            Self::Murmur3 => {
                let h = stir(stir(seed as u32, v as u32), (v >> 32) as u32);
                u64::from(finish(h, 8))
            }
            Self::Xx64 => {
                let k = (v as u64).wrapping_mul(P2).rotate_left(31).wrapping_mul(P1);
                let h = seed.wrapping_add(P5).wrapping_add(8) ^ k;
                avalanche(h.rotate_left(27).wrapping_mul(P1).wrapping_add(P4))
            }
        }
    }

    pub fn bytes(self, bytes: &[u8], seed: u64) -> u64 {
        match self {
            Self::Murmur3 => {
                let mut words = bytes.chunks_exact(4);
                let mut h = seed as u32;
                for w in words.by_ref() {
                    h = stir(h, u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
                }
                for b in words.remainder() {
                    h = stir(h, i32::from(*b as i8) as u32);
                }
                u64::from(finish(h, bytes.len() as u32))
            }
            Self::Xx64 => XxHash64::oneshot(seed, bytes),
        }
    }
}

/// The hash of one value that is not NULL.
type Hasher<'a> = Box<dyn Fn(usize, u64) -> u64 + 'a>;

/// Two's complement in as few bytes as hold it, big-endian, as Java's `BigInteger.toByteArray`.
fn big_integer(v: i128) -> Vec<u8> {
    let bytes = v.to_be_bytes();
    let sign = if v < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] >> 7) == (sign >> 7) {
        start += 1;
    }
    bytes[start..].to_vec()
}

fn hasher<'a>(array: &'a ArrayRef, t: &'a DataType, a: Algorithm) -> Result<Hasher<'a>> {
    macro_rules! number {
        ($type:ty, $hash:expr) => {{
            let values = array.as_primitive_opt::<$type>().ok_or_else(|| broken(t, array))?;
            Box::new(move |i, seed| $hash(values.value(i), seed))
        }};
    }
    Ok(match t {
        DataType::Null => Box::new(|_, seed| seed),
        DataType::Boolean => {
            let values = array.as_boolean_opt().ok_or_else(|| broken(t, array))?;
            Box::new(move |i, seed| a.int(i32::from(values.value(i)), seed))
        }
        DataType::Byte => number!(Int8Type, |v, s| a.int(i32::from(v), s)),
        DataType::Short => number!(Int16Type, |v, s| a.int(i32::from(v), s)),
        DataType::Integer => number!(Int32Type, |v, s| a.int(v, s)),
        DataType::Long => number!(Int64Type, |v, s| a.long(v, s)),
        DataType::Float => number!(Float32Type, |v: f32, s| {
            let v = if v.is_nan() { f32::NAN } else { v + 0.0 };
            a.int(v.to_bits() as i32, s)
        }),
        DataType::Double => number!(Float64Type, |v: f64, s| {
            let v = if v.is_nan() { f64::NAN } else { v + 0.0 };
            a.long(v.to_bits() as i64, s)
        }),
        DataType::Decimal { precision, .. } if *precision <= 18 => {
            number!(Decimal128Type, |v, s| a.long(v as i64, s))
        }
        DataType::Decimal { .. } => number!(Decimal128Type, |v, s| a.bytes(&big_integer(v), s)),
        DataType::Date => number!(Date32Type, |v, s| a.int(v, s)),
        DataType::Time { .. } => number!(Time64NanosecondType, |v, s| a.long(v, s)),
        DataType::Timestamp | DataType::TimestampNtz => {
            number!(TimestampMicrosecondType, |v, s| a.long(v, s))
        }
        DataType::YearMonthInterval { .. } => number!(IntervalYearMonthType, |v, s| a.int(v, s)),
        DataType::DayTimeInterval { .. } => number!(DurationMicrosecondType, |v, s| a.long(v, s)),
        DataType::CalendarInterval => {
            let values =
                array.as_primitive_opt::<IntervalMonthDayNanoType>().ok_or_else(|| broken(t, array))?;
            Box::new(move |i, seed| {
                let v = values.value(i);
                a.int(v.months, a.int(v.days, a.long(v.nanoseconds / 1000, seed)))
            })
        }
        t if t.is_string() => {
            let values = array.as_string_opt::<i32>().ok_or_else(|| broken(t, array))?;
            Box::new(move |i, seed| a.bytes(values.value(i).as_bytes(), seed))
        }
        DataType::Binary => {
            let values = array.as_binary_opt::<i32>().ok_or_else(|| broken(t, array))?;
            Box::new(move |i, seed| a.bytes(values.value(i), seed))
        }
        DataType::Array { element, .. } => {
            let list = array.as_list_opt::<i32>().ok_or_else(|| broken(t, array))?;
            let values = hasher(list.values(), element, a)?;
            Box::new(move |i, seed| {
                let range = list.value_offsets()[i] as usize..list.value_offsets()[i + 1] as usize;
                range.fold(seed, |h, j| if list.values().is_null(j) { h } else { values(j, h) })
            })
        }
        DataType::Map { key, value, .. } => {
            let map = array.as_map_opt().ok_or_else(|| broken(t, array))?;
            let (keys, values) = (hasher(map.keys(), key, a)?, hasher(map.values(), value, a)?);
            Box::new(move |i, seed| {
                let range = map.value_offsets()[i] as usize..map.value_offsets()[i + 1] as usize;
                range.fold(seed, |h, j| {
                    let h = keys(j, h);
                    if map.values().is_null(j) { h } else { values(j, h) }
                })
            })
        }
        DataType::Struct(s) => {
            let rows = array.as_struct_opt().ok_or_else(|| broken(t, array))?;
            let fields = rows
                .columns()
                .iter()
                .zip(&s.fields)
                .map(|(c, f)| Ok((c, hasher(c, &f.data_type, a)?)))
                .collect::<Result<Vec<_>>>()?;
            Box::new(move |i, seed| {
                fields.iter().fold(seed, |h, (c, f)| if c.is_null(i) { h } else { f(i, h) })
            })
        }
        DataType::Udt { sql_type, .. } => hasher(array, sql_type, a)?,
        other => return Err(Error::unsupported(format!("the hash of a {}", other.sql()))),
    })
}

fn broken(t: &DataType, array: &ArrayRef) -> Error {
    Error::internal(format!("a {} column holds {}", t.sql(), array.data_type()))
}

/// Folds a column into the hashes of its rows.
pub(crate) fn fold(array: &ArrayRef, t: &DataType, algorithm: Algorithm, hashes: &mut [u64]) -> Result<()> {
    let hash = hasher(array, t, algorithm)?;
    let nulls = array.logical_nulls();
    for (i, h) in hashes.iter_mut().enumerate() {
        if nulls.as_ref().is_none_or(|n| n.is_valid(i)) {
            *h = hash(i, *h);
        }
    }
    Ok(())
}

fn has_map(t: &DataType) -> bool {
    match t {
        DataType::Map { .. } => true,
        DataType::Array { element, .. } => has_map(element),
        DataType::Struct(s) => s.fields.iter().any(|f| has_map(&f.data_type)),
        _ => false,
    }
}

fn hash(call: &Call, algorithm: Algorithm) -> Result<Resolved> {
    if call.args.is_empty() {
        return Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", format!("`{}`", call.name))
            .param("expectedNum", "> 0")
            .param("actualNum", 0)
            .message(format!("`{}` takes at least one argument.", call.name)));
    }
    if call.args.iter().any(|a| has_map(&a.data_type)) {
        return Err(Error::new("DATATYPE_MISMATCH.HASH_MAP_TYPE")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("functionName", format!("`{}`", call.name))
            .message(format!("Cannot resolve \"{}\": maps have no hash.", call.sql())));
    }
    if call.args.iter().any(|a| a.data_type == DataType::Variant) {
        return Err(Error::new("DATATYPE_MISMATCH.HASH_VARIANT_TYPE")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("functionName", format!("`{}`", call.name))
            .message(format!("Cannot resolve \"{}\": variants have no hash.", call.sql())));
    }
    let types = call.types();
    let coerced = types.clone();
    let t = if algorithm == Algorithm::Murmur3 { DataType::Integer } else { DataType::Long };
    Ok(Resolved::new(coerced, t, false, move |inputs| {
        let mut hashes = vec![SEED; inputs.rows()];
        for (i, t) in types.iter().enumerate() {
            fold(&inputs.array(i)?, t, algorithm, &mut hashes)?;
        }
        let out: ArrayRef = match algorithm {
            Algorithm::Murmur3 => {
                Arc::new(Int32Array::from_iter_values(hashes.iter().map(|h| *h as u32 as i32)))
            }
            Algorithm::Xx64 => Arc::new(Int64Array::from_iter_values(hashes.iter().map(|h| *h as i64))),
        };
        Ok(out)
    }))
}

fn push_digest<D: Digest>(bytes: &[u8], out: &mut String) {
    for byte in D::digest(bytes) {
        let _ = write!(out, "{byte:02x}");
    }
}

fn digest(call: &Call, f: fn(&[u8], &mut String)) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, move |inputs| {
        let bytes = inputs.bytes(0)?;
        text_rows(inputs.rows(), |row, out| Ok(bytes.get(row).map(|b| f(b, out))))
    }))
}

/// `sha2(bytes, 224 | 256 | 384 | 512 | 0)`; NULL for other lengths.
fn sha2_of(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::BINARY, Want::INT])?;
    Ok(Resolved::new(coerced, DataType::STRING, true, |inputs: &Inputs| {
        let (bytes, lengths) = (inputs.bytes(0)?, inputs.numbers::<Int32Type>(1)?);
        text_rows(inputs.rows(), |row, out| {
            let (Some(bytes), Some(length)) = (bytes.get(row), lengths.get(row)) else { return Ok(None) };
            match length {
                224 => push_digest::<Sha224>(bytes, out),
                0 | 256 => push_digest::<Sha256>(bytes, out),
                384 => push_digest::<Sha384>(bytes, out),
                512 => push_digest::<Sha512>(bytes, out),
                _ => return Ok(None),
            }
            Ok(Some(()))
        })
    }))
}

fn crc32(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Long, nullable, |inputs| {
        let bytes = inputs.bytes(0)?;
        let out = number_rows::<Int64Type>(inputs.rows(), |row| {
            Ok(bytes.get(row).map(|b| i64::from(crc32fast::hash(b))))
        })?;
        Ok(Arc::new(out))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_sparks() {
        // SELECT hash(1), hash(1L), hash('Spark'), xxhash64(1), xxhash64('Spark')
        assert_eq!(Algorithm::Murmur3.int(1, SEED) as i32, -559_580_957);
        assert_eq!(Algorithm::Murmur3.long(1, SEED) as i32, -1_712_319_331);
        assert_eq!(Algorithm::Murmur3.bytes(b"Spark", SEED) as i32, 228_093_765);
        assert_eq!(Algorithm::Xx64.int(1, SEED) as i64, -6_698_625_589_789_238_999);
    }

    #[test]
    fn big_integers_are_short() {
        assert_eq!(big_integer(0), [0]);
        assert_eq!(big_integer(127), [127]);
        assert_eq!(big_integer(128), [0, 128]);
        assert_eq!(big_integer(-1), [255]);
        assert_eq!(big_integer(-129), [255, 127]);
    }
}
