//! Constructors of intervals. Their arithmetic is `arithmetic/`'s, their fields `datetime/extract.rs`'s.

mod make;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    make::register(r);
}
