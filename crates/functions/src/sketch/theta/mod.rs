//! Theta sketches in the binary form of the DataSketches library: `theta_sketch_agg` and its kin.

mod aggregate;
mod bytes;
mod scalar;
mod state;

use boathouse_spec::{Error, Result};

use crate::Registry;

pub(super) fn register(r: &mut Registry) {
    aggregate::register(r);
    scalar::register(r);
}

pub(super) use aggregate::list_bytes;
pub(super) use bytes::{EMPTY, SEED_HASH};
pub(super) use state::{ALL, Theta};

pub(super) const DEFAULT_LG_NOMINAL: i64 = 12;

/// What is no sketch.
pub(super) fn invalid_buffer(function: &str) -> Error {
    Error::new("THETA_INVALID_INPUT_SKETCH_BUFFER").param("function", format!("`{function}`")).message(
        format!(
            "`{function}` takes Theta sketches, such as `theta_sketch_agg` makes; this binary value is none."
        ),
    )
}

pub(super) fn nominal_size(value: i64, function: &str) -> Result<u8> {
    match u8::try_from(value) {
        Ok(lg) if (4..=26).contains(&lg) => Ok(lg),
        _ => Err(Error::new("SKETCH_INVALID_LG_NOM_ENTRIES")
            .param("function", format!("`{function}`"))
            .param("min", 4)
            .param("max", 26)
            .param("value", value)
            .message(format!("`{function}` takes an `lgNomEntries` between 4 and 26, not {value}."))),
    }
}
