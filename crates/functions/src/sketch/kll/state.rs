//! The sketch itself: levels of sampled values, each value of level `n` standing for `2^n` of the input (Karnin, Lang, Liberty).

use super::Item;

/// The least capacity of a level.
pub(super) const M: u32 = 8;

#[derive(Debug, Clone)]
pub(crate) struct Kll<T> {
    pub(super) k: u16,
    /// The least `k` of what was merged.
    pub(super) min_k: u16,
    pub(super) n: u64,
    pub(super) range: Option<(T, T)>,
    pub(super) levels: Vec<Vec<T>>,
    pub(super) is_level_zero_sorted: bool,
    /// Which half of a level is kept, each time anew.
    coin: u64,
}

impl<T: Item> Kll<T> {
    pub fn new(k: u16) -> Self {
        Self {
            k,
            min_k: k,
            n: 0,
            range: None,
            levels: vec![Vec::new()],
            is_level_zero_sorted: false,
            coin: 0x9E37_79B9_7F4A_7C15,
        }
    }

    pub fn update(&mut self, item: T) {
        if item.is_nan() {
            return;
        }
        self.widen(item, item);
        self.push(item);
        self.n += 1;
    }

    fn widen(&mut self, low: T, high: T) {
        self.range = Some(match self.range {
            None => (low, high),
            Some((least, most)) => (
                if T::order(&low, &least).is_lt() { low } else { least },
                if T::order(&high, &most).is_gt() { high } else { most },
            ),
        });
    }

    fn push(&mut self, item: T) {
        if self.retained() >= self.capacity() {
            self.compress_one_level();
        }
        self.levels[0].push(item);
        self.is_level_zero_sorted = false;
    }

    pub fn merge(&mut self, other: &Self) {
        let Some((low, high)) = other.range else { return };
        self.widen(low, high);
        for item in &other.levels[0] {
            self.push(*item);
        }
        if other.levels.len() > 1 {
            self.merge_higher_levels(other);
            self.min_k = self.min_k.min(other.min_k);
        }
        self.n += other.n;
    }

    fn merge_higher_levels(&mut self, other: &Self) {
        let count = self.levels.len().max(other.levels.len());
        self.levels.resize(count, Vec::new());
        for (level, items) in other.levels.iter().enumerate().skip(1) {
            self.levels[level] = merged(&self.levels[level], items);
        }
        let mut retained = self.retained();
        let mut target = self.capacity();
        let mut level = 0;
        while level < self.levels.len() {
            if retained >= target && self.levels[level].len() >= self.level_capacity(level) {
                let was_last = level + 1 == self.levels.len();
                retained -= self.compact(level);
                if was_last {
                    target = self.capacity();
                }
            }
            level += 1;
        }
    }

    fn compress_one_level(&mut self) {
        let full = (0..self.levels.len()).find(|l| self.levels[*l].len() >= self.level_capacity(*l));
        if let Some(level) = full {
            self.compact(level);
        }
    }

    /// Moves half of a level's values up; gives how many are gone.
    fn compact(&mut self, level: usize) -> usize {
        if level + 1 == self.levels.len() {
            self.levels.push(Vec::new());
        }
        let mut items = std::mem::take(&mut self.levels[level]);
        // An odd one stays.
        let left_over = (items.len() % 2 == 1).then(|| items.remove(0));
        if level == 0 && !self.is_level_zero_sorted {
            items.sort_by(T::order);
        }
        let offset = self.flip();
        let kept: Vec<T> = items.iter().skip(offset).step_by(2).copied().collect();
        let gone = items.len() - kept.len();
        self.levels[level].extend(left_over);
        self.levels[level + 1] = merged(&kept, &self.levels[level + 1]);
        gone
    }

    /// A fair coin, the same for the same input.
    fn flip(&mut self) -> usize {
        self.coin ^= self.coin << 13;
        self.coin ^= self.coin >> 7;
        self.coin ^= self.coin << 17;
        (self.coin >> 40 & 1) as usize
    }

    pub fn retained(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    pub fn capacity(&self) -> usize {
        (0..self.levels.len()).map(|l| self.level_capacity(l)).sum()
    }

    fn level_capacity(&self, level: usize) -> usize {
        let depth = self.levels.len() - level - 1;
        capacity_at(u64::from(self.k), depth).max(u64::from(M)) as usize
    }

    /// All values with their weights, in order.
    fn sorted(&self) -> Vec<(T, u64)> {
        let weighted = |(level, items): (usize, &Vec<T>)| {
            items.iter().map(move |i| (*i, 1u64 << level)).collect::<Vec<_>>()
        };
        let mut all: Vec<(T, u64)> = self.levels.iter().enumerate().flat_map(weighted).collect();
        all.sort_by(|a, b| T::order(&a.0, &b.0));
        all
    }

    /// The value at each rank of 0 to 1; `None` for an empty sketch.
    pub fn quantiles(&self, ranks: &[f64]) -> Option<Vec<T>> {
        let sorted = self.sorted();
        let last = sorted.last()?.0;
        let of = |rank: &f64| {
            let wanted = (rank * self.n as f64).ceil() as u64;
            let mut weight = 0;
            sorted.iter().find(|(_, w)| {
                weight += w;
                weight >= wanted
            })
        };
        Some(ranks.iter().map(|r| of(r).map_or(last, |(item, _)| *item)).collect())
    }

    /// The share of values that are at most each of the given; `None` for an empty sketch.
    pub fn ranks(&self, items: &[T]) -> Option<Vec<f64>> {
        if self.n == 0 {
            return None;
        }
        let sorted = self.sorted();
        let of = |item: &T| {
            let below =
                sorted.iter().take_while(|(i, _)| !T::order(i, item).is_gt()).map(|(_, w)| w).sum::<u64>();
            below as f64 / self.n as f64
        };
        Some(items.iter().map(of).collect())
    }
}

/// `k * (2/3)^depth`, rounded as the library does.
fn capacity_at(k: u64, depth: usize) -> u64 {
    if depth <= 30 {
        return ((((k << 1) << depth) / 3u64.pow(depth as u32)) + 1) >> 1;
    }
    let half = depth / 2;
    capacity_at(capacity_at(k, half), depth - half)
}

fn merged<T: Item>(a: &[T], b: &[T]) -> Vec<T> {
    let mut out: Vec<T> = a.iter().chain(b).copied().collect();
    out.sort_by(T::order);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_those_of_the_library() {
        let mut sketch = Kll::<f64>::new(8);
        (0..1000).for_each(|i| sketch.update(f64::from(i)));
        assert_eq!((sketch.levels.len(), sketch.capacity(), sketch.retained()), (7, 56, 52));
        let weight: usize = sketch.levels.iter().enumerate().map(|(l, items)| items.len() << l).sum();
        assert_eq!(weight, 1000);
        assert_eq!(sketch.range, Some((0.0, 999.0)));
    }

    #[test]
    fn small_sketches_are_exact() {
        let mut sketch = Kll::<i64>::new(200);
        (0..7).for_each(|i| sketch.update(i));
        assert_eq!(sketch.quantiles(&[0.0, 0.1, 0.5, 1.0]), Some(vec![0, 0, 3, 6]));
        assert_eq!(sketch.ranks(&[-1, 0, 3, 100]), Some(vec![0.0, 1.0 / 7.0, 4.0 / 7.0, 1.0]));
        let mut whole = Kll::<i64>::new(200);
        whole.merge(&sketch);
        whole.merge(&sketch);
        assert_eq!((whole.n, whole.retained()), (14, 14));
    }

    #[test]
    fn large_sketches_stay_near() {
        let mut parts: Vec<Kll<i64>> = (0..4).map(|_| Kll::new(200)).collect();
        (0..100_000i64).for_each(|i| parts[(i % 4) as usize].update(i));
        let mut whole = Kll::new(200);
        parts.iter().for_each(|p| whole.merge(p));
        assert_eq!(whole.n, 100_000);
        let weight: usize = whole.levels.iter().enumerate().map(|(l, items)| items.len() << l).sum();
        assert_eq!(weight, 100_000);
        let median = whole.quantiles(&[0.5]).unwrap()[0];
        assert!((median - 50_000).abs() < 3_000, "{median}");
    }
}
