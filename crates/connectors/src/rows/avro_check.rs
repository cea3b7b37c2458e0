//! Whether the blocks of an Avro file hold what their headers say.
//!
//! The reader trusts them: a block with fewer rows than bytes keeps it busy for ever. Here each row is walked over without
//! being decoded, as Avro's own `DataFileStream` does when it says "Block read partially, the data may be corrupt".

use std::collections::HashMap;
use std::io::{Cursor, Read};

use arrow_avro::compression::CompressionCodec;
use arrow_avro::reader::read_header_info;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use serde_json::Value;

/// Rows that take no bytes at all, at most.
const MOST_EMPTY_ITEMS: u64 = 1 << 24;
/// How deep values of a recursive type may nest.
const DEEPEST: usize = 200;

/// An error where a block is cut off, ends elsewhere than it says, or holds other rows than its count.
pub(super) fn check(file: &[u8]) -> Result<()> {
    let header = read_header_info(Cursor::new(file)).map_err(arrow::error::ArrowError::from).spark()?;
    let schema = header.writer_schema().map_err(arrow::error::ArrowError::from).spark()?;
    let codec = header.compression().map_err(arrow::error::ArrowError::from).spark()?;
    let schema: Value = serde_json::from_str(&schema.json_string).map_err(|e| broken(e.to_string()))?;
    let mut shapes = Shapes::default();
    let row = shapes.of(&schema, "").ok_or_else(|| broken("its schema is none"))?;
    let start = usize::try_from(header.header_len()).unwrap_or(usize::MAX);
    let mut rest = file.get(start..).ok_or_else(|| broken("it ends in its header"))?;
    while !rest.is_empty() {
        let (count, data) = block(&mut rest, &header.sync()).ok_or_else(|| broken("a block is cut off"))?;
        let data = decompressed(data, codec)?;
        let mut left = data.as_ref();
        if !shapes.skip_many(&row, count, &mut left, 0) || !left.is_empty() {
            return Err(broken("a block holds other rows than it says"));
        }
    }
    Ok(())
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new("MALFORMED_AVRO_MESSAGE").message(format!("The Avro file is corrupt: {what}."))
}

/// The number of rows of the next block, and its bytes.
fn block<'a>(rest: &mut &'a [u8], sync: &[u8; 16]) -> Option<(u64, &'a [u8])> {
    let count = u64::try_from(varint(rest)?).ok()?;
    let size = usize::try_from(varint(rest)?).ok()?;
    let data = take(rest, size)?;
    (take(rest, sync.len())? == sync).then_some((count, data))
}

fn decompressed(data: &[u8], codec: Option<CompressionCodec>) -> Result<std::borrow::Cow<'_, [u8]>> {
    let mut out = Vec::new();
    let read = match codec {
        None => return Ok(data.into()),
        Some(CompressionCodec::Deflate) => {
            flate2::read::DeflateDecoder::new(data).read_to_end(&mut out).map(|_| ())
        }
        Some(CompressionCodec::ZStandard) => {
            zstd::Decoder::new(data).and_then(|mut d| d.read_to_end(&mut out)).map(|_| ())
        }
        Some(CompressionCodec::Snappy) => {
            // Four bytes of checksum follow, which the reader looks at.
            let data =
                data.len().checked_sub(4).map(|n| &data[..n]).ok_or_else(|| broken("a block is cut off"))?;
            let decoded = snap::raw::Decoder::new().decompress_vec(data);
            decoded.map(|d| out = d).map_err(std::io::Error::other)
        }
        Some(other) => return Err(Error::unsupported(format!("Avro files compressed by {other:?}"))),
    };
    read.map_err(|e| broken(format!("a block does not decompress: {e}")))?;
    Ok(out.into())
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
}

/// A number in zig-zag encoding, of ten bytes at most.
fn varint(from: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (i, byte) in from.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *from = &from[i + 1..];
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// How values of a type lie in bytes.
#[derive(Debug, Clone)]
enum Shape {
    Null,
    Varint,
    /// So many bytes.
    Fixed(usize),
    /// A length, and so many bytes.
    Bytes,
    /// One after the other.
    Record(Vec<Shape>),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Named(String),
}

/// The shapes of types that have names.
#[derive(Default)]
struct Shapes {
    named: HashMap<String, Shape>,
}

impl Shapes {
    /// The shape of a schema's type; `None` where the schema is wrong.
    fn of(&mut self, schema: &Value, namespace: &str) -> Option<Shape> {
        match schema {
            Value::String(name) => Some(match name.as_str() {
                "null" => Shape::Null,
                "boolean" => Shape::Fixed(1),
                "int" | "long" => Shape::Varint,
                "float" => Shape::Fixed(4),
                "double" => Shape::Fixed(8),
                "bytes" | "string" => Shape::Bytes,
                name => Shape::Named(full_name(name, namespace)),
            }),
            Value::Array(variants) => {
                variants.iter().map(|v| self.of(v, namespace)).collect::<Option<_>>().map(Shape::Union)
            }
            Value::Object(object) => {
                let kind = object.get("type")?;
                let Value::String(kind_name) = kind else { return self.of(kind, namespace) };
                let named = |object: &serde_json::Map<String, Value>| {
                    let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
                    Some(full_name(object.get("name")?.as_str()?, own))
                };
                match kind_name.as_str() {
                    "array" => Some(Shape::Array(Box::new(self.of(object.get("items")?, namespace)?))),
                    "map" => Some(Shape::Map(Box::new(self.of(object.get("values")?, namespace)?))),
                    "enum" => {
                        self.named.insert(named(object)?, Shape::Varint);
                        Some(Shape::Varint)
                    }
                    "fixed" => {
                        let shape = Shape::Fixed(usize::try_from(object.get("size")?.as_u64()?).ok()?);
                        self.named.insert(named(object)?, shape.clone());
                        Some(shape)
                    }
                    "record" | "error" => {
                        let name = named(object)?;
                        let inner = name.rsplit_once('.').map_or("", |(space, _)| space).to_string();
                        let fields = object.get("fields")?.as_array()?;
                        let fields =
                            fields.iter().map(|f| self.of(f.get("type")?, &inner)).collect::<Option<_>>()?;
                        self.named.insert(name.clone(), Shape::Record(fields));
                        Some(Shape::Named(name))
                    }
                    _ => self.of(kind, namespace),
                }
            }
            _ => None,
        }
    }

    /// Walks over a value; false where the bytes hold none.
    fn skip(&self, shape: &Shape, from: &mut &[u8], depth: usize) -> bool {
        if depth > DEEPEST {
            return false;
        }
        match shape {
            Shape::Null => true,
            Shape::Varint => varint(from).is_some(),
            Shape::Fixed(bytes) => take(from, *bytes).is_some(),
            Shape::Bytes => skip_bytes(from),
            Shape::Record(fields) => fields.iter().all(|f| self.skip(f, from, depth + 1)),
            Shape::Array(item) => self.skip_blocks(from, |from, n| self.skip_many(item, n, from, depth + 1)),
            Shape::Map(value) => self.skip_blocks(from, |from, n| {
                (0..n).all(|_| skip_bytes(from) && self.skip(value, from, depth + 1))
            }),
            Shape::Union(variants) => varint(from)
                .and_then(|i| variants.get(usize::try_from(i).ok()?))
                .is_some_and(|variant| self.skip(variant, from, depth + 1)),
            Shape::Named(name) => self.named.get(name).is_some_and(|shape| self.skip(shape, from, depth + 1)),
        }
    }

    fn skip_many(&self, shape: &Shape, count: u64, from: &mut &[u8], depth: usize) -> bool {
        count <= (from.len() as u64).max(MOST_EMPTY_ITEMS)
            && (0..count).all(|_| self.skip(shape, from, depth))
    }

    /// Arrays and maps come in blocks; an empty one is the last.
    fn skip_blocks(&self, from: &mut &[u8], mut items: impl FnMut(&mut &[u8], u64) -> bool) -> bool {
        loop {
            let Some(count) = varint(from) else { return false };
            // A negative count is followed by the size of the block.
            if count == 0 || count < 0 && varint(from).is_none() {
                return count == 0;
            }
            if !items(from, count.unsigned_abs()) {
                return false;
            }
        }
    }
}

fn skip_bytes(from: &mut &[u8]) -> bool {
    varint(from).and_then(|n| take(from, usize::try_from(n).ok()?)).is_some()
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_string() } else { format!("{namespace}.{name}") }
}
