//! HyperLogLog sketches in the binary form of the DataSketches library: `hll_sketch_agg` and its kin.

mod aggregate;
mod bytes;
mod estimate;
mod scalar;
mod state;

use boathouse_spec::Error;

use crate::Registry;

pub(super) fn register(r: &mut Registry) {
    aggregate::register(r);
    scalar::register(r);
}

/// What is no sketch.
fn invalid_buffer(function: &str) -> Error {
    Error::new("HLL_INVALID_INPUT_SKETCH_BUFFER").param("function", format!("`{function}`")).message(format!(
        "`{function}` takes HLL sketches, such as `hll_sketch_agg` makes; this binary value is none."
    ))
}

/// Sketches of different sizes.
fn different_k(left: u8, right: u8, function: &str) -> Error {
    Error::new("HLL_UNION_DIFFERENT_LG_K")
        .param("left", left)
        .param("right", right)
        .param("function", format!("`{function}`"))
        .message(format!(
            "Sketches have different `lgConfigK` values: {left} and {right}. Set the parameter \
             `allowDifferentLgConfigK` of `{function}` to true to unite them."
        ))
}
