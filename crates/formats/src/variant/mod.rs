//! VARIANT: the binary encoding of semi-structured values that Spark, Delta and Parquet share, and its JSON.
//!
//! A value is two byte strings: `metadata`, the dictionary of field names, and `value`. [`Variant`] reads them in place,
//! [`Builder`] writes them. Bytes may come from files: everything is checked, and nests only so deep.

mod build;
mod json;
mod read;

pub use build::{Builder, FieldEntry, object_of};
pub use json::{append_json, parse_json, write_json, write_plain_decimal};
pub use read::{Kind, Variant};

use boathouse_spec::Error;

/// The only version of the encoding.
const VERSION: u8 = 1;

/// How deep values may nest.
pub const MAX_DEPTH: usize = 1000;

/// The most bytes that `value` or `metadata` may have.
pub const SIZE_LIMIT: usize = 128 * 1024 * 1024;

// The two low bits of a value's first byte.
const PRIMITIVE: u8 = 0;
const SHORT_STRING: u8 = 1;
const OBJECT: u8 = 2;
const ARRAY: u8 = 3;

// The upper six bits of a primitive's first byte.
const NULL: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const INT8: u8 = 3;
const INT16: u8 = 4;
const INT32: u8 = 5;
const INT64: u8 = 6;
const DOUBLE: u8 = 7;
const DECIMAL4: u8 = 8;
const DECIMAL8: u8 = 9;
const DECIMAL16: u8 = 10;
const DATE: u8 = 11;
const TIMESTAMP: u8 = 12;
const TIMESTAMP_NTZ: u8 = 13;
const FLOAT: u8 = 14;
const BINARY: u8 = 15;
const LONG_STRING: u8 = 16;
const UUID: u8 = 20;

/// Bytes that are no variant.
pub fn malformed() -> Error {
    Error::new("MALFORMED_VARIANT").message("The bytes of a VARIANT value are malformed.")
}

/// A value larger than the encoding may be.
fn too_large() -> Error {
    Error::new("VARIANT_SIZE_LIMIT")
        .param("sizeLimit", "128.0 MiB")
        .param("functionName", "`parse_json`")
        .message("A VARIANT value cannot have more than 128 MiB.")
}

/// How many bytes a number takes, 1 to 4.
fn width_of(value: usize) -> usize {
    match value {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests;
