//! CSV to and from Arrow, as Spark reads and writes it.
//!
//! [`Parser`] reads records into columns, [`Inference`] finds names and types, [`Generator`] writes lines.
//! `from_csv`, `to_csv` and `schema_of_csv` are [`from_csv`], [`to_csv`] and [`type_of`].

mod generate;
mod infer;
mod options;
mod parser;
mod tokenizer;

pub(crate) use generate::write_cast;
pub use generate::{Generator, check_schema_for_writing, to_csv, write_header};
pub use infer::{Inference, type_of};
pub use options::{Options, UnescapedQuote};
pub use parser::{Parser, check_schema, from_csv, unsupported_type};
pub use tokenizer::{Fields, Tokenizer, is_filler};

#[cfg(test)]
mod tests;
