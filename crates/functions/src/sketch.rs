//! Sketches and bitmaps: functions whose results are binary summaries, and the hashes they rest on.

mod bitmap;
mod count_min;
pub(crate) mod data_sketch_hash;
mod distinct_count;
mod frequent;
mod hash;
mod hll;
pub(crate) mod java_random;
mod kll;
mod theta;
mod tuple;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    bitmap::register(r);
    count_min::register(r);
    distinct_count::register(r);
    frequent::register(r);
    hll::register(r);
    kll::register(r);
    theta::register(r);
    tuple::register(r);
}
