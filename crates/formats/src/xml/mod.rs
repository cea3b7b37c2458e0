//! XML to and from Arrow, as Spark reads and writes it: elements are fields, attributes are fields with a prefix, an
//! element that comes again is an array.
//!
//! A record is small: it is read into a [`Document`] first, which `xpath` functions search, too.

mod document;
mod generate;
mod infer;
mod options;
mod parser;
mod records;
mod rescued;
mod variant;

pub use document::{Document, Kind, Node};
pub use generate::to_xml;
pub use infer::{schema_of, type_of};
pub use options::Options;
pub use parser::{from_xml, from_xml_as_variant};
pub use records::records;

#[cfg(test)]
mod tests;
