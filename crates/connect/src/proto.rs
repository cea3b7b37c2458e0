//! The messages of the protocols, generated from the descriptors in `proto/`.

#[allow(clippy::all, clippy::unwrap_used, rustdoc::all, missing_docs)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub use generated::delta::connect as delta;
pub use generated::spark::connect as spark;
