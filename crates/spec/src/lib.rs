//! `spec`: the unresolved plan, the language both front ends speak.
//!
//! Spark Connect messages (`crates/connect`) and SQL text (`crates/sql`) both become the plain enums of this
//! crate; the analyzer in `crates/engine` is the only reader. What stands here is what a user *said*: names are
//! unresolved, types of expressions unknown, nothing is bound to a catalog.
//!
//! The crate owns Spark's data types ([`DataType`]) and the one error type of the project ([`Error`]) with Spark's
//! error classes. It knows neither Arrow nor DataFusion, nor protobuf, and must not.
//!
//! Start with [`Plan`], then [`Relation`], [`Expr`] and [`Command`].

mod attribute_name;
pub mod clock;
mod command;
mod error;
mod error_class;
mod expr;
pub mod fault;
mod governance;
mod literal;
mod origin;
mod relation;
mod script;
mod spatial;
mod special_time;
mod types;
mod walk;

pub use attribute_name::{parse_attribute_name, parse_attribute_names};
pub use command::*;
pub use error::{Error, QueryContext, Result};
pub use error_class::sqlstate;
pub use expr::*;
pub use governance::*;
pub use literal::{Interval, Literal};
pub use origin::Origin;
pub use relation::*;
pub use script::*;
pub use spatial::{check_srid, geospatial_disabled};
pub use special_time::SpecialTime;
pub use types::*;

/// A multipart name as the user wrote it, outermost part first: `catalog.schema.table`, `alias.column.field`.
pub type Name = Vec<String>;

/// What a client can ask for: rows, or an effect (which may have rows too).
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    Query(Relation),
    Command(Box<Command>),
}

/// Writes a name as Spark quotes it in messages and SQL: `` `a`.`b` ``, backticks doubled inside.
pub fn quote_name<S: AsRef<str>>(name: &[S]) -> String {
    name.iter().map(|part| quote(part.as_ref())).collect::<Vec<_>>().join(".")
}

/// Writes one identifier in backticks.
pub fn quote(part: &str) -> String {
    format!("`{}`", part.replace('`', "``"))
}

/// Writes a name of several parts with backticks only where they are needed.
pub fn quote_path_if_needed<S: AsRef<str>>(path: &[S]) -> String {
    path.iter().map(|part| quote_if_needed(part.as_ref())).collect::<Vec<_>>().join(".")
}

/// Writes each of several names with backticks only where they are needed.
pub fn quote_paths_if_needed(paths: &[Name]) -> Vec<String> {
    paths.iter().map(|path| quote_path_if_needed(path)).collect()
}

/// Writes one identifier in backticks only where it would not parse bare (Spark's `quoteIfNeeded`).
pub fn quote_if_needed(part: &str) -> String {
    let bare = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if bare { part.to_string() } else { quote(part) }
}
