//! Work that keeps a thread busy, among tasks that must not wait for it.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Rows from which on it is worth to let the other tasks of the thread go elsewhere.
const MANY: usize = 8 * 1024;

/// Does work here, while the other tasks of the thread go on in another.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The same, where the work is with so many rows that it is worth it.
pub(crate) fn aside_if_many<T>(rows: usize, work: impl FnOnce() -> T) -> T {
    if rows >= MANY { aside(work) } else { work() }
}
