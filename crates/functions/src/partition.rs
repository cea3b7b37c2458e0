//! The partition of a plan that a thread works on: some functions give each partition its own numbers (`rand`,
//! `monotonically_increasing_id`, `spark_partition_id`).
//!
//! The engine says which partition it is ([`within`]) around the nodes of a plan that hold such functions.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The partition that is worked on; 0 where nobody said.
pub fn current() -> usize {
    CURRENT.get()
}

/// Does work of a partition.
pub fn within<T>(partition: usize, work: impl FnOnce() -> T) -> T {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(partition));
    work()
}

/// State that a function keeps for each partition.
pub(crate) struct PerPartition<S> {
    states: Mutex<HashMap<usize, S>>,
    start: Box<dyn Fn(usize) -> S + Send + Sync>,
}

impl<S> PerPartition<S> {
    pub fn new(start: impl Fn(usize) -> S + Send + Sync + 'static) -> Self {
        Self { states: Mutex::default(), start: Box::new(start) }
    }

    /// Works on the state of the current partition.
    pub fn with<T>(&self, work: impl FnOnce(&mut S) -> T) -> T {
        let partition = current();
        let mut states: MutexGuard<_> = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        work(states.entry(partition).or_insert_with(|| (self.start)(partition)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_have_their_own_state() {
        let counters = PerPartition::new(|partition| partition * 100);
        let next = || {
            counters.with(|n| {
                *n += 1;
                *n
            })
        };
        assert_eq!((next(), within(2, next), within(2, next), next()), (1, 201, 202, 2));
        assert_eq!(current(), 0);
    }
}
