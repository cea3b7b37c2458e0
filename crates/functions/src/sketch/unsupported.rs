//! Functions on sketches that are known by name and not supported: those whose state is the DataSketches library's sketch of
//! frequent items, which nothing here writes or reads.

use boathouse_spec::Error;

use crate::Registry;

pub(super) fn register(r: &mut Registry) {
    for name in AGGREGATES {
        r.aggregate(&[*name], |c| Err(Error::unsupported(format!("the function {}", c.call.name))));
    }
    for name in FUNCTIONS {
        r.scalar(&[*name], |c| Err(Error::unsupported(format!("the function {}", c.name))));
    }
}

const AGGREGATES: &[&str] = &["approx_top_k_accumulate", "approx_top_k_combine"];

const FUNCTIONS: &[&str] = &["approx_top_k_estimate"];
