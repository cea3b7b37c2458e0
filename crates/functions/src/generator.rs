//! The contract of generators: functions that give several rows for one (`explode`, `stack`, `json_tuple`).

use boathouse_spec::StructField;

use crate::{Call, Resolved};

pub struct GeneratorCall<'a> {
    pub call: Call<'a>,
}

/// A generator as a scalar function that gives an array, one element an output row.
#[derive(Clone)]
pub struct ResolvedGenerator {
    /// Returns `ARRAY<T>` (one column) or `ARRAY<STRUCT<..>>` (several).
    pub scalar: Resolved,
    /// The output columns with their default names: `col`, or `pos`, `key`, `value`, ...
    pub columns: Vec<StructField>,
    /// Elements are structs whose fields are the columns; else the element is the column.
    pub struct_elements: bool,
}
