//! What each query did: its operators with rows, time, memory, spill, files and bytes. Kept in the history, which
//! `system.query.history` and HTTP show; `EXPLAIN ANALYZE` shows the operators of a query that runs for it.
//!
//! A [`Recorder`] goes along with a statement. Plans are noted when they are about to run and read when the statement has come
//! to its end, so that a running query pays nothing but the counting of its batches.

mod history;
mod operators;
mod recorder;
mod table;

pub(crate) use history::History;
pub(crate) use operators::{OperatorProfile, Totals};
pub(crate) use recorder::{first_word, note, note_command, note_memory, plan_watch, recorded, text_of};
pub(crate) use table::open;
