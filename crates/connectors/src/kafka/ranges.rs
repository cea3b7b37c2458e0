//! Which offsets a query reads: how a batch's share is divided among partitions, and how partitions are divided among tasks.

use super::offsets::{Offsets, TopicPartition};

/// The offsets `from..until` of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub place: TopicPartition,
    pub from: i64,
    pub until: i64,
}

impl Range {
    pub fn size(&self) -> i64 {
        self.until - self.from
    }
}

/// How far a batch of at most `limit` records goes: each partition gives in proportion to what it has, and at least one
/// record. `from` has all partitions of `latest`. Spark: `KafkaMicroBatchStream.rateLimit`.
pub fn limited(limit: i64, from: &Offsets, latest: &Offsets) -> Offsets {
    let size = |place: &TopicPartition, end: i64| from.get(place).map_or(0, |begin| end - begin).max(0);
    let total: f64 = latest.iter().map(|(place, end)| size(place, *end) as f64).sum();
    if total < 1.0 {
        return latest.clone();
    }
    let until = |(place, end): (&TopicPartition, &i64)| {
        let size = size(place, *end);
        if size == 0 {
            return (place.clone(), *end);
        }
        let share = limit as f64 * (size as f64 / total);
        let share = if share < 1.0 { share.ceil() } else { share.floor() } as i64;
        let begin = from.get(place).copied().unwrap_or(0);
        (place.clone(), begin.saturating_add(share).min(*end))
    };
    latest.iter().map(until).collect()
}

/// Ranges as tasks: without limits one each; with `max_records` none is larger; with `min_partitions` large ones are divided
/// until there are about so many. Empty ranges are left out. Spark: `KafkaOffsetRangeCalculator.getRanges`.
pub fn divided(ranges: Vec<Range>, min_partitions: Option<usize>, max_records: Option<i64>) -> Vec<Range> {
    let mut ranges: Vec<Range> = ranges.into_iter().filter(|r| r.size() > 0).collect();
    if let Some(max) = max_records {
        let parts = |r: &Range| usize::try_from((r.size() + max - 1) / max).unwrap_or(1);
        ranges = ranges.iter().flat_map(|r| split(r, parts(r))).collect();
    }
    match min_partitions {
        Some(min) if ranges.len() < min => spread(&ranges, min),
        _ => ranges,
    }
}

fn spread(ranges: &[Range], min: usize) -> Vec<Range> {
    let parts = |size: i64, total: i64, min: usize| {
        ((size as f64 / total as f64 * min as f64 + 0.5).floor() as usize).max(1)
    };
    let total: i64 = ranges.iter().map(Range::size).sum();
    let is_small = |r: &Range| parts(r.size(), total, min) == 1;
    let small: Vec<&Range> = ranges.iter().filter(|r| is_small(r)).collect();
    let rest = total - small.iter().map(|r| r.size()).sum::<i64>();
    let left = min.saturating_sub(small.len()).max(1);
    let pieces = |r: &Range| if is_small(r) { 1 } else { parts(r.size(), rest, left) };
    ranges.iter().flat_map(|r| split(r, pieces(r))).filter(|r| r.size() > 0).collect()
}

fn split(range: &Range, parts: usize) -> Vec<Range> {
    let (mut from, mut remaining) = (range.from, range.size());
    let mut out = Vec::with_capacity(parts);
    for part in 0..parts {
        let left = i64::try_from(parts - part).unwrap_or(1);
        let until = (from + remaining / left).min(range.until);
        remaining -= remaining / left;
        out.push(Range { place: range.place.clone(), from, until });
        from = until;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(of: &[i64]) -> Offsets {
        of.iter()
            .enumerate()
            .map(|(i, o)| (TopicPartition::new("t", i32::try_from(i).unwrap()), *o))
            .collect()
    }

    fn range(from: i64, until: i64) -> Range {
        Range { place: TopicPartition::new("t", 0), from, until }
    }

    #[test]
    fn a_limit_is_shared_in_proportion() {
        let limited = |limit, from: &[i64], latest: &[i64]| {
            super::limited(limit, &offsets(from), &offsets(latest)).into_values().collect::<Vec<_>>()
        };
        // 100, 10 and 1 records, 20 of them: floor(18.01), floor(1.8), and the smallest is not starved.
        assert_eq!(limited(20, &[0, 0, 0], &[100, 10, 1]), [18, 1, 1]);
        assert_eq!(limited(10, &[5, 7], &[5, 9]), [5, 9]);
        assert_eq!(limited(i64::MAX, &[5, 7], &[6, 9]), [6, 9]);
        // A partition that went backwards has nothing to give.
        assert_eq!(limited(4, &[50, 0], &[10, 8]), [10, 4]);
    }

    #[test]
    fn large_ranges_are_divided() {
        assert_eq!(divided(vec![range(0, 0), range(3, 5)], None, None), [range(3, 5)]);
        assert_eq!(divided(vec![range(0, 10)], Some(3), None), [range(0, 3), range(3, 6), range(6, 10)]);
        assert_eq!(divided(vec![range(0, 5)], None, Some(2)), [range(0, 1), range(1, 3), range(3, 5)]);
        assert_eq!(divided(vec![range(0, 5), range(0, 5)], Some(2), None).len(), 2);
    }
}
