//! Commits: what a change read and wrote, whether others came between, and the optimistic loop that settles it.

mod commit;
mod conflict;
mod operation;

pub(crate) use commit::Transaction;
pub use commit::{Committed, IsolationLevel};
pub(crate) use conflict::ReadSet;
pub(crate) use operation::Metrics;
pub use operation::Operation;
