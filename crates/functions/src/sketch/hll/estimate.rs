//! How many different values a sketch saw (DataSketches' `HllEstimators`).

use std::sync::LazyLock;

use super::state::{Hll, Mode, Registers};

impl Hll {
    pub fn estimate(&self) -> f64 {
        match &self.mode {
            Mode::List(coupons) => of_coupons(coupons.len()),
            Mode::Set { count, .. } => of_coupons(*count),
            Mode::Registers(r) if r.is_out_of_order => composite(r, self.lg_k),
            Mode::Registers(r) => r.hip,
        }
    }
}

/// Numbers of coupons, and of how many values each is the expected number (the library's table, as far as coupons go).
const COUPONS: [(f64, f64); 8] = [
    (0.0, 0.0),
    (1.0, 1.0),
    (20.0, 20.000_000_943_740_22),
    (400.0, 400.000_396_371_338_4),
    (8_000.0, 8_000.158_929_460_209),
    (160_000.0, 160_063.606_776_375_96),
    (300_000.0, 300_223.707_159_766_3),
    (600_000.0, 600_895.593_385_617),
];

/// The number of values that gives so many different coupons on average.
pub(super) fn of_coupons(count: usize) -> f64 {
    let count = count as f64;
    let at = COUPONS.partition_point(|(c, _)| *c <= count).saturating_sub(1);
    let first = at.saturating_sub(1).min(COUPONS.len() - 4);
    cubic(&COUPONS[first..first + 4], count).max(count)
}

/// The estimate of a union: corrected raw estimate, or linear counting where few registers are set.
fn composite(r: &Registers, lg_k: u8) -> f64 {
    let k = r.values.len() as f64;
    let correction = match lg_k {
        4 => 0.673,
        5 => 0.697,
        6 => 0.709,
        _ => 0.7213 / (1.0 + 1.079 / k),
    };
    let raw = correction * k * k / (r.kxq.0 + r.kxq.1);
    let Some((stride, xs)) = TABLES.get(usize::from(lg_k) - 4) else { return raw };
    let Some(last) = xs.last() else { return raw };
    if raw < xs[0] {
        return 0.0;
    }
    if raw > *last {
        return raw * (stride * (xs.len() - 1) as f64 / last);
    }
    let adjusted = interpolated(xs, *stride, raw);
    if adjusted > 3.0 * k {
        return adjusted;
    }
    let unhit = r.values.iter().filter(|v| **v == 0).count() as f64;
    let linear = if unhit == 0.0 { k * (k / 0.5).ln() } else { k * (harmonic(k) - harmonic(unhit)) };
    let crossover = match lg_k {
        4 => 0.718,
        5 => 0.672,
        _ => 0.64,
    };
    if (adjusted + linear) / 2.0 > crossover * k { adjusted } else { linear }
}

/// The `x`-th harmonic number.
fn harmonic(x: f64) -> f64 {
    if x < 25.0 {
        return (1..=x as u32).map(|i| 1.0 / f64::from(i)).sum();
    }
    const EULER: f64 = 0.577_215_664_901_532_9;
    let inverse_square = 1.0 / (x * x);
    let mut sum = x.ln() + EULER + 0.5 / x;
    let mut power = inverse_square;
    for (sign, divisor) in [(-1.0, 12.0), (1.0, 120.0), (-1.0, 252.0), (1.0, 240.0)] {
        sum += sign * power / divisor;
        power *= inverse_square;
    }
    sum
}

/// The library's correction of raw estimates: for each size the distance of the true counts, and the raw estimate of each.
static TABLES: LazyLock<Vec<(f64, Vec<f64>)>> = LazyLock::new(|| {
    let line = |line: &str| -> Option<(f64, Vec<f64>)> {
        let mut numbers = line.split('\t').skip(1).map(|n| n.parse::<f64>().ok());
        Some((numbers.next()??, numbers.collect::<Option<Vec<_>>>()?))
    };
    include_str!("composite.tsv").lines().filter_map(line).collect()
});

/// Cubic interpolation between four points around `x`.
fn interpolated(xs: &[f64], stride: f64, x: f64) -> f64 {
    let at = xs.partition_point(|p| *p <= x).saturating_sub(1);
    let first = at.saturating_sub(1).min(xs.len() - 4);
    let points: Vec<(f64, f64)> = (first..first + 4).map(|i| (xs[i], stride * i as f64)).collect();
    cubic(&points, x)
}

/// The polynomial through the points, at `x`.
fn cubic(points: &[(f64, f64)], x: f64) -> f64 {
    (0..points.len())
        .map(|i| {
            let others = (0..points.len()).filter(|j| *j != i);
            others.fold(points[i].1, |y, j| y * (x - points[j].0) / (points[i].0 - points[j].0))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: std::ops::Range<i64>, lg_k: u8) -> Hll {
        let mut sketch = Hll::new(lg_k);
        values.for_each(|v| sketch.update_long(v));
        sketch
    }

    /// What Spark 4.2 says.
    #[test]
    fn estimates_are_those_of_the_library() {
        let rounded = |values, lg_k| of(values, lg_k).estimate().round();
        assert_eq!(
            [rounded(0..3, 12), rounded(0..10_000, 12), rounded(0..10_000, 8), rounded(0..10_000, 4)],
            [3.0, 9967.0, 10089.0, 9472.0]
        );
        assert_eq!(
            [rounded(0..100_000, 12), rounded(0..100_000, 21), rounded(0..100_000, 20)],
            [101_148.0, 100_009.0, 100_019.0]
        );
    }

    #[test]
    fn unions_are_those_of_the_library() {
        let mut union = Hll::new(12);
        union.unite(&of(0..1000, 12));
        union.unite(&of(500..1500, 12));
        assert_eq!(union.estimate().round(), 1488.0);
    }
}
