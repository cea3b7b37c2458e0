//! `functions`: Spark's built-in functions, with Spark's argument coercion, result types, nullability and errors.
//!
//! The analyzer (`crates/engine`) looks a function up in the [`Registry`], gives it the types of its arguments
//! ([`Call`]) and gets back what to cast the arguments to, the result type and the code ([`Resolved`]); it wraps that
//! as a DataFusion UDF ([`scalar_udf`]). Types are decided once, here, in Spark's terms: DataFusion never coerces.
//!
//! One family of functions is one file (`string/case.rs`, `datetime/truncate.rs`, ...), found by its name and listed
//! in `registry.rs`. Start with `call.rs` (the contract) and any small family.
//!
//! The crate knows no catalog, no session and no plan: what a function needs to know of the session is [`Context`].

mod aggregate;
mod apply;
mod arithmetic;
mod bitwise;
mod call;
pub mod cast;
pub mod coercion;
pub mod collation;
mod collection;
mod comparison;
pub mod conditional;
mod context;
pub mod csv;
pub mod datetime;
mod documentation;
mod generator;
mod geo;
#[cfg(test)]
mod golden;
mod grouping_key;
mod hash;
mod higher_order;
mod inputs;
mod interval;
pub mod json;
mod math;
mod mismatch;
mod never_fails;
mod options;
mod packages;
pub mod partition;
mod predicate;
mod registry;
mod scalar;
mod sketch;
mod string;
mod system;
mod url;
mod variant;
mod window;
pub mod xml;

pub use aggregate::{
    AccumulatorFactory, AggregateCall, FirstStep, ResolvedAggregate, SparkAggregate, TwoSteps,
    approx_quantile, depends_on_order, first_step, frequent_items, in_order, in_two_steps,
};
pub use aggregate::{Running, distinct_by_collation, running};
pub use call::{Arg, Call, ReplacedArg, Replacement, Resolved, ShownArg, Want, ordinal};
pub use context::{Context, MapKeyPolicy};
pub use documentation::{documentation, documented};
pub use generator::{GeneratorCall, ResolvedGenerator};
pub use grouping_key::needs_grouping_key;
pub use higher_order::{
    HigherOrder, HigherOrderInputs, Lambda, LambdaArg, LambdaBody, LambdaParameter, finishes_unwritten,
};
pub use inputs::Inputs;
pub use math::random::XorShift;
pub use never_fails::never_fails;
pub use options::{SchemaParser, refuse_char, set_schema_parser};
pub use packages::package_refusal;
pub use registry::{Entry, Registry, registry};
pub use scalar::{SparkScalar, conform, scalar_udf, scalar_udf_at};
pub use sketch::java_random::JavaRandom;
pub use window::{ResolvedWindow, ShiftedRows, WindowCall};
