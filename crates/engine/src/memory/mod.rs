//! Memory for rows: the pool that all share, and what one query holds of it.

mod pool;
mod query;

pub(crate) use pool::FairPool;
pub(crate) use query::{Held, QueryMemory};
