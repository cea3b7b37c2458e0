//! Sketches that are known by name and not supported: their results are binary forms of the DataSketches library, which
//! nothing here writes.

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

const AGGREGATES: &[&str] = &[
    "approx_top_k_accumulate",
    "approx_top_k_combine",
    "tuple_intersection_agg_double",
    "tuple_intersection_agg_integer",
    "tuple_sketch_agg_double",
    "tuple_sketch_agg_integer",
    "tuple_union_agg_double",
    "tuple_union_agg_integer",
];

const FUNCTIONS: &[&str] = &[
    "approx_top_k_estimate",
    "tuple_difference_double",
    "tuple_difference_integer",
    "tuple_difference_theta_double",
    "tuple_difference_theta_integer",
    "tuple_intersection_double",
    "tuple_intersection_integer",
    "tuple_intersection_theta_double",
    "tuple_intersection_theta_integer",
    "tuple_sketch_estimate_double",
    "tuple_sketch_estimate_integer",
    "tuple_sketch_summary_double",
    "tuple_sketch_summary_integer",
    "tuple_sketch_theta_double",
    "tuple_sketch_theta_integer",
    "tuple_union_double",
    "tuple_union_integer",
    "tuple_union_theta_double",
    "tuple_union_theta_integer",
];
