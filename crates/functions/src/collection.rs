//! Arrays, maps and structs.
//!
//! Arrays are Arrow lists. Most functions pick elements: a [`lists::Picker`] notes which element of which source goes
//! where, and copies them at once.

mod array_join;
mod array_size;
mod construct;
mod edit;
mod extract;
mod extremes;
mod lists;
mod map_build;
mod map_parts;
mod membership;
mod order;
mod reshape;
mod sequence;
mod set;
mod structure;

pub(crate) use construct::map_type_check;
pub(crate) use lists::{ListItem, Picker, lists, map_of, maps};
pub(crate) use map_build::MapMaker;
pub(crate) use order::reverse_array;
pub(crate) use reshape::concat_arrays;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    array_join::register(r);
    array_size::register(r);
    construct::register(r);
    edit::register(r);
    extract::register(r);
    extremes::register(r);
    map_build::register(r);
    map_parts::register(r);
    membership::register(r);
    order::register(r);
    reshape::register(r);
    sequence::register(r);
    set::register(r);
    structure::register(r);
}
