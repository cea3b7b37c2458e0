//! Work that keeps a thread busy, among tasks that must not wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Does work with each of some things, where there are several of them by a thread for each core; the results in their order.
pub(crate) fn each<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if things.len() < 2 || cores < 2 {
        return things.iter().map(work).collect();
    }
    let (next, work) = (AtomicUsize::new(0), &work);
    let one_by_one = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(at) else { return done };
            done.push((at, work(thing)));
        }
    };
    let mut done = std::thread::scope(|threads| {
        let others: Vec<_> = (1..cores.min(things.len())).map(|_| threads.spawn(one_by_one)).collect();
        let mut done = one_by_one();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        let numbers: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&numbers, |n| n * 2), numbers.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(each(&[] as &[usize], |n| *n), Vec::<usize>::new());
    }
}
