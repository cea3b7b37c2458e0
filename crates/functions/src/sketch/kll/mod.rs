//! KLL quantile sketches, in the binary form of the DataSketches library: `kll_sketch_agg_bigint` and its kin.

mod aggregate;
mod bytes;
mod scalar;
mod state;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{ArrowPrimitiveType, Float32Type, Float64Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use crate::Registry;

pub(super) fn register(r: &mut Registry) {
    aggregate::register(r);
    scalar::register(r);
}

/// What a sketch holds: the values of one type.
pub(super) trait Item: Copy + Send + Sync + 'static {
    type Arrow: ArrowPrimitiveType<Native = Self>;
    /// As the library names the sketch.
    const SKETCH: &'static str;
    const BYTES: usize;
    fn data_type() -> DataType;
    fn order(a: &Self, b: &Self) -> std::cmp::Ordering;
    fn is_nan(self) -> bool {
        false
    }
    fn write(self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Option<Self>;
    fn show(self) -> String;
}

impl Item for i64 {
    type Arrow = Int64Type;
    const SKETCH: &'static str = "KllLongsSketch";
    const BYTES: usize = 8;

    fn data_type() -> DataType {
        DataType::Long
    }

    fn order(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.cmp(b)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }

    fn show(self) -> String {
        self.to_string()
    }
}

impl Item for f32 {
    type Arrow = Float32Type;
    const SKETCH: &'static str = "KllFloatsSketch";
    const BYTES: usize = 4;

    fn data_type() -> DataType {
        DataType::Float
    }

    fn order(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.total_cmp(b)
    }

    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }

    fn show(self) -> String {
        let mut out = String::new();
        boathouse_formats::number_text::write_float(self, &mut out);
        out
    }
}

impl Item for f64 {
    type Arrow = Float64Type;
    const SKETCH: &'static str = "KllDoublesSketch";
    const BYTES: usize = 8;

    fn data_type() -> DataType {
        DataType::Double
    }

    fn order(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.total_cmp(b)
    }

    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }

    fn show(self) -> String {
        let mut out = String::new();
        boathouse_formats::number_text::write_double(self, &mut out);
        out
    }
}

/// The values of a column of items.
pub(super) fn items<T: Item>(array: &ArrayRef) -> Result<impl Fn(usize) -> Option<T>> {
    let values = array.as_primitive_opt::<T::Arrow>().cloned();
    let values = values.ok_or_else(|| Error::internal(format!("items of the type {}", array.data_type())))?;
    Ok(move |row: usize| values.is_valid(row).then(|| values.value(row)))
}

/// What is no sketch.
pub(super) fn invalid_buffer(function: &str) -> Error {
    Error::new("KLL_INVALID_INPUT_SKETCH_BUFFER").param("function", format!("`{function}`")).message(format!(
        "`{function}` takes KLL sketches, such as `kll_sketch_agg` makes; this binary value is none."
    ))
}
