//! URLs: their parts, and percent-encoding.

mod encode;
mod parse;
mod uri;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    encode::register(r);
    parse::register(r);
}
