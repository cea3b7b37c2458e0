//! VARIANT: parsing, paths, casts, schemas. The binary encoding is `formats::variant`'s.

mod cast;
mod explode;
mod get;
mod object;
mod parse;
mod path;
mod schema;

pub(crate) use cast::{castable, from_variants, to_variants};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::arrow_type;
use boathouse_formats::variant::{Builder, Variant};
use boathouse_spec::{DataType, Error, Result};

use crate::{Call, Inputs, Registry, Want};

pub(crate) fn register(r: &mut Registry) {
    explode::register(r);
    get::register(r);
    object::register(r);
    parse::register(r);
    schema::register(r);
}

const VARIANT: Want = Want::Exact(DataType::Variant);

/// A column of variants.
pub(crate) struct Variants {
    metadata: BinaryArray,
    value: BinaryArray,
    nulls: Option<NullBuffer>,
}

impl Variants {
    pub fn of(array: &ArrayRef) -> Result<Self> {
        let parts = array.as_struct_opt().and_then(|s| {
            let metadata = s.column_by_name("metadata")?.as_binary_opt::<i32>()?.clone();
            let value = s.column_by_name("value")?.as_binary_opt::<i32>()?.clone();
            Some(Self { metadata, value, nulls: s.nulls().cloned() })
        });
        match parts {
            Some(variants) => Ok(variants),
            // A bare NULL.
            None if array.null_count() == array.len() || array.data_type() == &ArrowType::Null => Ok(Self {
                metadata: BinaryArray::new_null(array.len()),
                value: BinaryArray::new_null(array.len()),
                nulls: Some(NullBuffer::new_null(array.len())),
            }),
            None => Err(Error::internal(format!("a VARIANT column holds {}", array.data_type()))),
        }
    }

    pub fn argument(inputs: &Inputs, i: usize) -> Result<Self> {
        Self::of(&inputs.array(i)?)
    }

    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// The value of a row; `None` of SQL's NULL.
    pub fn get(&self, row: usize) -> Option<Variant<'_>> {
        let null = self.nulls.as_ref().is_some_and(|n| n.is_null(row)) || self.value.is_null(row);
        (!null).then(|| Variant::new(self.metadata.value(row), self.value.value(row)))
    }

    pub fn iter(&self) -> impl Iterator<Item = Option<Variant<'_>>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

/// Collects variants into a column.
pub(crate) struct VariantColumn {
    metadata: BinaryBuilder,
    value: BinaryBuilder,
    valid: Vec<bool>,
    scratch: Vec<u8>,
}

impl VariantColumn {
    pub fn new(rows: usize) -> Self {
        Self {
            metadata: BinaryBuilder::with_capacity(rows, rows * 8),
            value: BinaryBuilder::with_capacity(rows, rows * 16),
            valid: Vec::with_capacity(rows),
            scratch: Vec::new(),
        }
    }

    pub fn push_null(&mut self) {
        self.metadata.append_value([]);
        self.value.append_value([]);
        self.valid.push(false);
    }

    pub fn push(&mut self, built: &Builder) -> Result<()> {
        self.scratch.clear();
        built.write_metadata(&mut self.scratch)?;
        self.metadata.append_value(&self.scratch);
        self.value.append_value(built.value());
        self.valid.push(true);
        Ok(())
    }

    pub fn finish(mut self) -> Result<ArrayRef> {
        let ArrowType::Struct(fields) = arrow_type(&DataType::Variant) else {
            return Err(Error::internal("a VARIANT is a struct"));
        };
        let nulls = self.valid.iter().any(|v| !v).then(|| NullBuffer::from(self.valid));
        let columns: Vec<ArrayRef> = fields
            .iter()
            .map(|f| match f.name().as_str() {
                "metadata" => std::sync::Arc::new(self.metadata.finish()) as ArrayRef,
                _ => std::sync::Arc::new(self.value.finish()) as ArrayRef,
            })
            .collect();
        Ok(std::sync::Arc::new(StructArray::new(fields, columns, nulls)))
    }
}

/// The types of arguments of which the first must be a variant.
fn variant_first(call: &Call) -> Result<()> {
    match call.args.first().map(|a| &a.data_type) {
        Some(DataType::Variant | DataType::Null) => Ok(()),
        _ => Err(call.unexpected_input(0, &VARIANT.sql())),
    }
}
