//! JSON: values out of texts by path, texts to typed values and back. Reading and writing JSON is `formats`' business;
//! here are Spark's functions on it.

mod convert;
mod get;
mod keys;
mod path;
mod tuple;

pub use convert::from_json;

use boathouse_formats::json::Leniency;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    convert::register(r);
    get::register(r);
    keys::register(r);
    tuple::register(r);
}

/// What the functions on bare JSON texts accept.
const LENIENCY: Leniency = Leniency {
    comments: false,
    single_quotes: true,
    unquoted_names: false,
    leading_zeros: false,
    non_numeric_numbers: false,
    any_escape: false,
    control_characters: true,
};

/// Whether a byte order mark stands first, which is no JSON here (files may have one).
fn is_marked(text: &str) -> bool {
    text.starts_with('\u{feff}')
}
