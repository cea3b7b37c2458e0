//! The quantile summary of Greenwald and Khanna ("Space-efficient Online Computation of Quantile Summaries"), with
//! Spark's buffering, so that approximate percentiles are the same values as there.

/// A sample: its value, the gap in rank to the sample before, and by how much its rank may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    value: f64,
    gap: i64,
    slack: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct QuantileSummary {
    /// The error of ranks, relative to the count.
    error: f64,
    samples: Vec<Sample>,
    count: i64,
    /// Values not yet among the samples.
    head: Vec<f64>,
    compressed: bool,
}

/// Values gathered before they are sorted into the samples.
const HEAD: usize = 50_000;
/// Samples from which on the summary is compressed.
const SAMPLES: usize = 10_000;

impl QuantileSummary {
    pub fn new(error: f64) -> Self {
        Self { error, samples: Vec::new(), count: 0, head: Vec::new(), compressed: true }
    }

    pub fn insert(&mut self, value: f64) {
        self.head.push(value);
        self.compressed = false;
        if self.head.len() >= HEAD {
            self.insert_head();
            if self.samples.len() >= SAMPLES {
                self.compress();
            }
        }
    }

    fn insert_head(&mut self) {
        if self.head.is_empty() {
            return;
        }
        let mut sorted = std::mem::take(&mut self.head);
        sorted.sort_by(f64::total_cmp);
        let mut merged = Vec::with_capacity(self.samples.len() + sorted.len());
        let mut next = 0;
        let last = sorted.len() - 1;
        for (i, value) in sorted.into_iter().enumerate() {
            while next < self.samples.len() && self.samples[next].value <= value {
                merged.push(self.samples[next]);
                next += 1;
            }
            self.count += 1;
            // The smallest and the greatest value are known exactly.
            let at_an_end = merged.is_empty() || (next == self.samples.len() && i == last);
            let slack = if at_an_end { 0 } else { (2.0 * self.error * self.count as f64).floor() as i64 };
            merged.push(Sample { value, gap: 1, slack });
        }
        merged.extend_from_slice(&self.samples[next..]);
        self.samples = merged;
    }

    pub fn compress(&mut self) {
        if self.compressed {
            return;
        }
        self.insert_head();
        self.samples = compressed(&self.samples, 2.0 * self.error * self.count as f64);
        self.compressed = true;
    }

    /// Adds another summary; both are compressed first.
    pub fn merge(&mut self, mut other: Self) {
        self.compress();
        other.compress();
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other;
            return;
        }
        let more_here = (2.0 * other.error * other.count as f64).floor() as i64;
        let more_there = (2.0 * self.error * self.count as f64).floor() as i64;
        let (mut i, mut j) = (0, 0);
        let mut merged = Vec::with_capacity(self.samples.len() + other.samples.len());
        while i < self.samples.len() && j < other.samples.len() {
            if self.samples[i].value < other.samples[j].value {
                let slack = self.samples[i].slack + if j > 0 { more_here } else { 0 };
                merged.push(Sample { slack, ..self.samples[i] });
                i += 1;
            } else {
                let slack = other.samples[j].slack + if i > 0 { more_there } else { 0 };
                merged.push(Sample { slack, ..other.samples[j] });
                j += 1;
            }
        }
        merged.extend_from_slice(&self.samples[i..]);
        merged.extend_from_slice(&other.samples[j..]);
        self.error = self.error.max(other.error);
        self.count += other.count;
        self.samples = compressed(&merged, 2.0 * self.error * self.count as f64);
    }

    /// The values at the percentiles; `None` where there are no values.
    pub fn query(&mut self, percentiles: &[f64]) -> Option<Vec<f64>> {
        self.compress();
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let target = self.samples.iter().map(|s| s.slack + s.gap).max().unwrap_or(0) / 2;
        let mut order: Vec<usize> = (0..percentiles.len()).collect();
        order.sort_by(|a, b| percentiles[*a].total_cmp(&percentiles[*b]));
        let mut out = vec![0.0; percentiles.len()];
        let (mut at, mut rank) = (0, first.gap);
        for place in order {
            let p = percentiles[place];
            out[place] = if p <= self.error || self.samples.len() == 1 {
                first.value
            } else if p >= 1.0 - self.error {
                last.value
            } else {
                let wanted = (p * self.count as f64).ceil() as i64;
                loop {
                    if at + 1 >= self.samples.len() {
                        (at, rank) = (self.samples.len() - 1, 0);
                        break last.value;
                    }
                    let most = rank + self.samples[at].slack;
                    if most - target <= wanted && wanted <= rank + target {
                        break self.samples[at].value;
                    }
                    at += 1;
                    rank += self.samples[at].gap;
                }
            };
        }
        Some(out)
    }

    /// The summary as bytes, for states on the wire.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        self.compress();
        let mut out = Vec::with_capacity(16 + self.samples.len() * 24);
        out.extend(self.error.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        for s in &self.samples {
            out.extend(s.value.to_le_bytes());
            out.extend(s.gap.to_le_bytes());
            out.extend(s.slack.to_le_bytes());
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let words: Vec<[u8; 8]> = bytes.chunks(8).map(|c| c.try_into().ok()).collect::<Option<_>>()?;
        let (head, rest) = words.split_at_checked(2)?;
        let samples = rest
            .chunks(3)
            .map(|s| match s {
                [value, gap, slack] => Some(Sample {
                    value: f64::from_le_bytes(*value),
                    gap: i64::from_le_bytes(*gap),
                    slack: i64::from_le_bytes(*slack),
                }),
                _ => None,
            })
            .collect::<Option<_>>()?;
        Some(Self {
            error: f64::from_le_bytes(head[0]),
            count: i64::from_le_bytes(head[1]),
            samples,
            head: Vec::new(),
            compressed: true,
        })
    }

    pub fn bytes(&self) -> usize {
        self.samples.capacity() * size_of::<Sample>() + self.head.capacity() * 8
    }
}

/// Merges samples into the one after, from the greatest down, as long as the ranks stay exact enough.
fn compressed(samples: &[Sample], threshold: f64) -> Vec<Sample> {
    let Some((last, rest)) = samples.split_last() else { return Vec::new() };
    let mut kept = Vec::new();
    let mut head = *last;
    for sample in rest.iter().skip(1).rev() {
        if ((sample.gap + head.gap + head.slack) as f64) < threshold {
            head.gap += sample.gap;
        } else {
            kept.push(head);
            head = *sample;
        }
    }
    kept.push(head);
    if let Some(first) = rest.first()
        && first.value <= head.value
    {
        kept.push(*first);
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl Iterator<Item = i64>, accuracy: f64, percentiles: &[f64]) -> Vec<f64> {
        let mut summary = QuantileSummary::new(1.0 / accuracy);
        values.for_each(|v| summary.insert(v as f64));
        summary.query(percentiles).expect("values")
    }

    #[test]
    fn answers_are_sparks() {
        assert_eq!(of(0..1000, 10.0, &[0.5]), [412.0]);
        assert_eq!(of(0..1000, 10_000.0, &[0.5]), [499.0]);
        assert_eq!(of(0..1000, 5.0, &[0.1, 0.9]), [0.0, 999.0]);
        let scattered = (0..100_000).map(|id| (id * 7919) % 10_007);
        let percentiles = [0.01, 0.1, 0.25, 0.5, 0.9, 0.99];
        assert_eq!(of(scattered, 20.0, &percentiles), [0.0, 1057.0, 2610.0, 4955.0, 9006.0, 10_006.0]);
        let squares = (0..200_000).map(|id: i64| id * id % 977);
        assert_eq!(of(squares, 1000.0, &[0.9, 0.1, 0.5]), [883.0, 94.0, 488.0]);
    }
}
