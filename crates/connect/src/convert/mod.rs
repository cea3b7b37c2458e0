//! Protocol messages to `spec`: every relation, expression and command is converted, or refused by its name.

mod catalog;
mod command;
mod data_type;
mod delta;
mod expression;
mod function;
mod join;
#[allow(deprecated)] // The fields for the types of nested values that the Python client still reads.
mod literal;
mod merge;
mod pipeline;
mod plan;
mod read;
mod relation;
mod stateful;
mod statistics;
mod streaming;
mod write;

use boathouse_spec::{Error, Result};
use bytes::Bytes;

pub use catalog::storage_level;
pub use command::{Converted, SqlCommand};
pub use data_type::{data_type_to_proto, parse_type_text, schema_from_proto};
pub use expression::no_handler;
pub use literal::literal_to_proto;
pub use pipeline::query_function_context;
pub use plan::{PlanMessage, open_plan};

/// Relations and expressions around each other, `Any` payloads included. Depth within one message is limited before
/// it is decoded; this bounds what extensions add.
const MAX_LEVELS: usize = 2048;
/// Stack that must be left for one level, and what is added when it is not.
const RED_ZONE: usize = 128 << 10;
const MORE_STACK: usize = 4 << 20;

/// Blobs the client has uploaded: local relations are named by their hash.
pub trait Artifacts {
    fn read(&self, name: &str) -> Result<Option<Bytes>>;
    /// The server's id of the session, for messages.
    fn session(&self) -> &str;
}

/// Converts the messages of one request.
pub struct Converter<'a> {
    artifacts: &'a dyn Artifacts,
    levels: usize,
}

impl<'a> Converter<'a> {
    pub fn new(artifacts: &'a dyn Artifacts) -> Self {
        Self { artifacts, levels: 0 }
    }

    /// Runs `work` one level deeper, on more stack where the current one runs out.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.levels >= MAX_LEVELS {
            return Err(invalid_plan("ASSERTION_FAILURE")
                .param("message", "too many nested relations and expressions")
                .message(format!("The plan nests more than {MAX_LEVELS} relations and expressions.")));
        }
        self.levels += 1;
        let result = stacker::maybe_grow(RED_ZONE, MORE_STACK, || work(self));
        self.levels -= 1;
        result
    }
}

/// An error about a plan that no correct client sends.
pub fn invalid_plan(what: &str) -> Error {
    Error::new(format!("CONNECT_INVALID_PLAN.{what}")).exception("InvalidPlanInput")
}

/// A message without its payload.
pub fn not_set(message: &str, field: &str) -> Error {
    invalid_plan("INVALID_ONE_OF_FIELD_NOT_SET")
        .param("fullName", message)
        .param("name", field)
        .message(format!("The Spark Connect plan is invalid: a {message} has nothing set ({field})."))
}

/// A field that the message cannot do without.
fn missing(message: &str, field: &str) -> Error {
    invalid_plan("FIELD_CANNOT_BE_EMPTY")
        .param("fieldName", field)
        .param("fullName", message)
        .message(format!("The Spark Connect plan is invalid: `{field}` of a {message} is missing."))
}

/// An enum value that this server does not know.
fn unknown_enum(message: &str, number: i32) -> Error {
    invalid_plan("INVALID_ENUM")
        .param("fullName", message)
        .param("name", "UNRECOGNIZED")
        .param("number", number)
        .message(format!("The Spark Connect plan is invalid: {number} is no value of {message}."))
}

#[cfg(test)]
pub mod test_support {
    use std::collections::HashMap;

    use super::*;

    /// Artifacts in memory.
    #[derive(Default)]
    pub struct Uploaded(pub HashMap<String, Vec<u8>>);

    impl Artifacts for Uploaded {
        fn read(&self, name: &str) -> Result<Option<Bytes>> {
            Ok(self.0.get(name).map(|b| Bytes::from(b.clone())))
        }
        fn session(&self) -> &str {
            "test"
        }
    }
}
