//! Python functions of the user inside plans.
//!
//! An expression holds a [`PythonCall`] where a function is called. Before a plan runs, [`extract`] takes the calls out
//! of its expressions and puts an operator below the node, which asks a worker process (`boathouse_python`) for the
//! results and adds them as columns. Functions over partitions, groups and tables are operators from the start.

mod analyze;
mod call;
mod evaluate;
mod extract;
mod group;
mod map;
mod setup;
mod source;
mod source_stream;
mod source_write;
mod state_batch;
mod state_parts;
mod stateful;
mod stream;
mod table;

pub(crate) use analyze::{Argument, analyze};
pub(crate) use call::PythonCall;
pub(crate) use extract::extract;
pub(crate) use group::{ApplyGroups, apply_groups};
pub(crate) use map::map_partitions;
pub(crate) use setup::{Profiles, Setup, return_type};
pub(crate) use source::{PythonSource, options_of};
pub use source_stream::PythonStream;
pub use source_write::PythonSink;
pub(crate) use source_write::save as save_to_source;
pub use state_batch::parsed_columns;
pub(crate) use state_batch::stateful_batch;
pub use state_parts::{GroupPart, GroupedRows};
pub use stateful::{Remembered, StateTime, StateTimes, StatefulGroups, StatefulTask};
pub(crate) use table::{TableFunction, table_function};
