//! Statistics of data files: the JSON in the log, as columns for pruning, and gathered while writing.

mod bounds;
pub(crate) mod collect;
pub(crate) mod columns;
pub(crate) mod json;
mod loosened;
pub(crate) mod prune;
pub(crate) mod table;

pub(crate) use loosened::loosened;
pub(crate) use table::{StatsTable, StatsTableBuilder};
