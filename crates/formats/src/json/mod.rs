//! JSON to and from Arrow, as Spark reads and writes it.
//!
//! Reading is one pass from bytes to columns, with no tree between: [`Parser`] for files (records to rows),
//! [`ValueParser`] for `from_json`. [`Inference`] finds the schema of records, [`type_of`] that of one text.
//! Writing is [`Generator`] and [`to_json`].

mod convert;
mod generate;
mod infer;
mod options;
mod parser;
mod scanner;

pub use generate::{Generator, copy_value, to_json, write_text};
pub use infer::{Inference, type_of};
pub use options::{Leniency, Options};
pub use parser::{Parser, ValueParser, nullable_schema};
pub(crate) use parser::{corrupt_column, insert_columns, shown_row};
pub use scanner::{Limits, MAX_DEPTH, Number, Scanner, Start, SyntaxError};

#[cfg(test)]
mod tests;
