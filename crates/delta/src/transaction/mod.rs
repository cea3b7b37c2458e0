//! Commits: what a change read and wrote, whether others came between, and the optimistic loop that settles it.

mod commit;
mod conflict;
mod operation;
mod own_reads;

pub(crate) use commit::Transaction;
pub use commit::{Committed, IsolationLevel};
pub(crate) use conflict::ReadSet;
pub(crate) use operation::Metrics;
pub use operation::Operation;
pub use own_reads::OwnReads;
