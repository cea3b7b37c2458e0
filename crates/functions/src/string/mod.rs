//! Strings (and the binaries beside them).
//!
//! Positions count characters from 1, as in SQL. Strings are UTF-8 throughout: where Spark lets bytes that are none into
//! a STRING, they are replaced when they become one.

mod case;
mod codec;
mod concat;
mod conversion;
mod decimal_format;
mod edit;
mod encryption;
mod java_blocks;
mod java_regex;
mod length;
mod like;
mod number_pattern;
mod pad;
mod phonetic;
mod printf;
mod random;
mod regex;
mod search;
mod split;
mod substring;
mod trim;
mod utf8;

use boathouse_spec::DataType;

pub(crate) use self::codec::check_charset;
use crate::{Registry, Want};

pub(crate) fn register(r: &mut Registry) {
    case::register(r);
    codec::register(r);
    concat::register(r);
    conversion::register(r);
    decimal_format::register(r);
    edit::register(r);
    encryption::register(r);
    length::register(r);
    like::register(r);
    pad::register(r);
    phonetic::register(r);
    printf::register(r);
    random::register(r);
    regex::register(r);
    search::register(r);
    split::register(r);
    substring::register(r);
    trim::register(r);
    utf8::register(r);
}

/// STRING, or else BINARY.
pub(crate) fn string_or_binary() -> Want {
    Want::one_of([Want::Str, Want::BINARY])
}

/// The collation of the first string that has one.
pub(crate) fn string_like(t: &DataType) -> DataType {
    match t {
        DataType::String { .. } => t.clone(),
        _ => DataType::STRING,
    }
}

/// The byte offset of a character, or the end.
pub(crate) fn byte_of_char(text: &str, n: usize) -> usize {
    if text.is_ascii() {
        return n.min(text.len());
    }
    text.char_indices().nth(n).map_or(text.len(), |(i, _)| i)
}

/// How many characters a string has.
pub(crate) fn chars(text: &str) -> usize {
    // Every byte that does not continue a character begins one.
    text.as_bytes().iter().filter(|b| (**b as i8) >= -0x40).count()
}
