//! The pool of memory that all queries share.
//!
//! Operators that can spill have equal parts of what the others leave, as in DataFusion's `FairSpillPool`. There they may hold
//! all of it, and an operator that cannot spill, come later, finds nothing: a sum of 13 bytes failed its query beside two
//! aggregations that would have spilled gladly, if they had been asked before. Here a part of the pool is never theirs.

use std::fmt;

use datafusion::common::{human_readable_size, resources_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

/// One part in so many is for operators that cannot spill.
const KEPT_FREE: usize = 5;

#[derive(Debug)]
pub(crate) struct FairPool {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many consumers can spill.
    spilling: usize,
    spillable: usize,
    unspillable: usize,
}

impl FairPool {
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    fn kept_free(&self) -> usize {
        self.limit / KEPT_FREE
    }

    /// How large a consumer that can spill may be at most.
    fn share(&self, state: &State) -> usize {
        let all = self.limit.saturating_sub(state.unspillable.max(self.kept_free()));
        all / state.spilling.max(1)
    }

    /// By how much all that cannot spill may grow together. Those that can may hold more than they should, while one that came
    /// before the others has yet to notice that its share is smaller now: this is not at the cost of the part that is kept free.
    fn left(&self, state: &State) -> usize {
        let spillable = state.spillable.min(self.limit - self.kept_free());
        self.limit.saturating_sub(spillable + state.unspillable)
    }
}

impl State {
    fn of(&mut self, reservation: &MemoryReservation) -> &mut usize {
        match reservation.consumer().can_spill() {
            true => &mut self.spillable,
            false => &mut self.unspillable,
        }
    }
}

impl MemoryPool for FairPool {
    fn name(&self) -> &str {
        "fair"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.state.lock().spilling += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut state = self.state.lock();
            state.spilling = state.spilling.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.state.lock().of(reservation) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state.lock();
        let held = state.of(reservation);
        *held = held.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state.lock();
        let remain = match reservation.consumer().can_spill() {
            true => self.share(&state).saturating_sub(reservation.size()),
            false => self.left(&state),
        };
        if additional > remain {
            return Err(resources_datafusion_err!(
                "{} holds {} and asks for {} more, of which {} remain: {self}",
                reservation.consumer().name(),
                human_readable_size(reservation.size()),
                human_readable_size(additional),
                human_readable_size(remain)
            ));
        }
        *state.of(reservation) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        let state = self.state.lock();
        state.spillable + state.unspillable
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for FairPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fair(pool_size: {})", human_readable_size(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn consumer(pool: &Arc<dyn MemoryPool>, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new("rows").with_can_spill(can_spill).register(pool)
    }

    #[test]
    fn who_cannot_spill_finds_room_beside_those_that_took_all_they_could() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairPool::new(100));
        let first = consumer(&pool, true);
        first.try_grow(80).unwrap();
        assert!(first.try_grow(1).is_err());
        let second = consumer(&pool, true);
        second.try_grow(40).unwrap();
        // 120 are held; the last fifth is there all the same, and no more.
        let sum = consumer(&pool, false);
        sum.try_grow(20).unwrap();
        assert!(sum.try_grow(1).is_err());
    }

    #[test]
    fn parts_are_equal_and_of_what_is_left() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairPool::new(100));
        let fixed = consumer(&pool, false);
        fixed.try_grow(60).unwrap();
        let (one, other) = (consumer(&pool, true), consumer(&pool, true));
        one.try_grow(20).unwrap();
        assert!(one.try_grow(1).is_err());
        drop(other);
        one.try_grow(20).unwrap();
        assert_eq!(pool.reserved(), 100);
        assert!(fixed.try_grow(1).is_err());
        one.shrink(40);
        fixed.try_grow(40).unwrap();
    }
}
