//! Tuple sketches in the binary form of the DataSketches library: Theta sketches whose entries carry a number each.
//!
//! `table.rs` holds the entries as the library's hash table does, so that the order in binary forms is the same;
//! `sketch.rs` is the form in which sketches are passed on, with the operations on sets.

mod aggregate;
mod arguments;
mod scalar;
mod sketch;
mod summary;
mod table;

use crate::Registry;

pub(super) fn register(r: &mut Registry) {
    aggregate::register::<f64>(r);
    aggregate::register::<i32>(r);
    scalar::register::<f64>(r);
    scalar::register::<i32>(r);
}
