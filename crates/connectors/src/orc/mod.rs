//! The parts of the ORC format that reading and writing share. Files are read by `orc-rust`; they are written here, because its
//! writer knows no decimals, arrays, maps and structs, and no attributes of types.
//!
//! Source: the specification of ORC v1 (orc.apache.org/specification/ORCv1); types as in Spark's `OrcUtils`.

pub(crate) mod codec;
pub(crate) mod column;
pub(crate) mod runs;
pub(crate) mod tail;
pub(crate) mod times;
pub(crate) mod types;
