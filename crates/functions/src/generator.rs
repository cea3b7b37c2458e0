//! The contract of generators: functions that give several rows for one (`explode`, `stack`, `json_tuple`), and those
//! of collections.

mod explode;
mod stack;

use boathouse_spec::StructField;

use crate::{Call, Registry, Resolved};

pub(crate) fn register(r: &mut Registry) {
    explode::register(r);
    stack::register(r);
}

pub struct GeneratorCall<'a> {
    pub call: Call<'a>,
}

/// A generator as a scalar function that gives an array, one element an output row.
#[derive(Clone)]
pub struct ResolvedGenerator {
    /// Returns `ARRAY<T>` (one column) or `ARRAY<STRUCT<..>>` (several).
    pub scalar: Resolved,
    /// The output columns with their default names: `col`, or `pos`, `key`, `value`, ... (In an outer generation all are
    /// nullable.)
    pub columns: Vec<StructField>,
    /// Elements are structs whose fields are the columns; else the element is the column.
    pub struct_elements: bool,
    /// The name says so (`explode_outer`): a row without elements gives one row of NULLs.
    pub outer: bool,
}
