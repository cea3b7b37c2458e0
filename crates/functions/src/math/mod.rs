//! Mathematics.
//!
//! Where Java computes with its `StrictMath` (FreeBSD's library), so do we (the `libm` crate), to the last bit.

mod base;
mod logarithm;
pub(crate) mod random;
mod rounding;
mod simple;
mod two;
mod vector;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    base::register(r);
    logarithm::register(r);
    random::register(r);
    rounding::register(r);
    simple::register(r);
    two::register(r);
    vector::register(r);
}
