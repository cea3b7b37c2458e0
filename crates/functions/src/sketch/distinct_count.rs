//! `approx_count_distinct`: HyperLogLog++ (Heule, Nunkesser, Hall: "HyperLogLog in Practice") over Spark's hash, so that
//! estimates are the same. The tables of the estimator's bias are those of the paper's appendix.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::hash::xxhash64;
use crate::aggregate::fold::{Fold, column};
use crate::collation::by_collation;
use crate::{AggregateCall, Registry, ResolvedAggregate, ShownArg, SparkAggregate};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["approx_count_distinct"], resolve);
}

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    let deviation = match call.args.get(1) {
        None => 0.05,
        Some(arg) => match (&arg.data_type, &arg.constant) {
            (DataType::Double, Some(ScalarValue::Float64(Some(v)))) => *v,
            (DataType::Decimal { .. }, Some(ScalarValue::Decimal128(Some(v), _, scale))) => {
                *v as f64 / 10f64.powi(i32::from(*scale))
            }
            _ => {
                return Err(Error::new("_LEGACY_ERROR_TEMP_1104")
                    .message("The second argument of approx_count_distinct must be a double constant."));
            }
        },
    };
    let bits = (2.0 * (1.106 / deviation).ln() / 2f64.ln()).ceil();
    if !(4.0..=24.0).contains(&bits) {
        return Err(Error::new("FAILED_FUNCTION_CALL")
            .param("funcName", "`approx_count_distinct`")
            .message(format!("approx_count_distinct cannot keep a relative deviation of {deviation}.")));
    }
    let coerced = call.types();
    let fold = DistinctCount { bits: bits as u32, t: coerced[0].clone() };
    let udf = SparkAggregate::of_fold(
        "approx_count_distinct",
        &coerced,
        &DataType::Long,
        false,
        call.context,
        fold,
    )
    .with_parameters(bits)
    .with_empty(ScalarValue::Int64(Some(0)));
    Ok(ResolvedAggregate::new(coerced, DataType::Long, false, udf.build()).shown_with(vec![ShownArg::Arg(0)]))
}

struct DistinctCount {
    /// Bits of the hash that choose a register.
    bits: u32,
    t: DataType,
}

/// Registers, one byte each; none at first.
type Registers = Vec<u8>;

impl DistinctCount {
    fn size(&self) -> usize {
        1 << self.bits
    }
}

impl Fold for DistinctCount {
    type State = Registers;
    const ON_HEAP: bool = true;

    fn start(&self) -> Registers {
        Vec::new()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Registers],
    ) -> Result<()> {
        let values = by_collation(column(columns, 0)?, &self.t)?;
        let mut hashes = vec![42; values.len()];
        xxhash64(&values, &mut hashes)?;
        let nulls = values.logical_nulls();
        for (row, group) in rows {
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                continue;
            }
            let hash = hashes[row] as u64;
            let register = (hash >> (64 - self.bits)) as usize;
            let rest = (hash << self.bits) | (1 << (self.bits - 1));
            let rank = rest.leading_zeros() as u8 + 1;
            let state = &mut states[group];
            if state.is_empty() {
                state.resize(self.size(), 0);
            }
            state[register] = state[register].max(rank);
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("registers", DataType::Binary)]
    }

    fn save(&self, states: &[Registers]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(states))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Registers],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            let (state, other) = (&mut states[group], saved.value(row));
            if state.is_empty() {
                state.extend_from_slice(other);
            } else {
                state.iter_mut().zip(other).for_each(|(a, b)| *a = (*a).max(*b));
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Registers]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(states.iter().map(|s| estimate(s, self.bits)))))
    }

    fn bytes(&self, state: &Registers) -> usize {
        state.capacity()
    }
}

fn estimate(registers: &[u8], bits: u32) -> i64 {
    if registers.is_empty() {
        return 0;
    }
    let size = registers.len() as f64;
    let inverse: f64 = registers.iter().map(|r| 1.0 / (1u64 << u32::from(*r).min(63)) as f64).sum();
    let zeros = registers.iter().filter(|r| **r == 0).count() as f64;
    let alpha = match bits {
        4 => 0.673,
        5 => 0.697,
        6 => 0.709,
        _ => 0.7213 / (1.0 + 1.079 / size),
    };
    let raw = alpha * size * size / inverse;
    let corrected = if bits < 19 && raw < 5.0 * size { raw - bias(raw, bits) } else { raw };
    if zeros > 0.0 {
        // Linear counting.
        let linear = size * (size / zeros).ln();
        let small = match bits {
            4..19 => linear <= THRESHOLDS[bits as usize - 4],
            _ => corrected <= 2.5 * size,
        };
        if small {
            return linear.round() as i64;
        }
    }
    corrected.round() as i64
}

/// Up to which count linear counting is better, by the bits of the register.
const THRESHOLDS: [f64; 15] = [
    10.0, 20.0, 40.0, 80.0, 220.0, 400.0, 900.0, 1800.0, 3100.0, 6500.0, 15_500.0, 20_000.0, 50_000.0,
    120_000.0, 350_000.0,
];

struct BiasTable {
    estimates: Vec<f64>,
    biases: Vec<f64>,
}

static BIASES: LazyLock<Vec<BiasTable>> = LazyLock::new(|| {
    let numbers = |text: &str| text.split(',').filter_map(|n| n.parse().ok()).collect();
    include_str!("hll_bias.tsv")
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t').skip(1);
            Some(BiasTable { estimates: numbers(columns.next()?), biases: numbers(columns.next()?) })
        })
        .collect()
});

/// The mean bias of the six estimates nearest to a raw estimate.
fn bias(raw: f64, bits: u32) -> f64 {
    const NEIGHBOURS: usize = 6;
    let Some(table) = BIASES.get(bits as usize - 4) else { return 0.0 };
    let estimates = &table.estimates;
    let nearest = estimates.partition_point(|e| *e < raw);
    let distance = |i: usize| (raw - estimates[i]) * (raw - estimates[i]);
    let mut low = (nearest + 1).saturating_sub(NEIGHBOURS);
    let mut high = (low + NEIGHBOURS).min(estimates.len());
    while high < estimates.len() && distance(high) < distance(low) {
        low += 1;
        high += 1;
    }
    table.biases[low..high].iter().sum::<f64>() / (high - low) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(values: ArrayRef, deviation: f64) -> i64 {
        let bits = (2.0 * (1.106 / deviation).ln() / 2f64.ln()).ceil() as u32;
        // None of the types below has a collation.
        let fold = DistinctCount { bits, t: DataType::Long };
        let mut states = [fold.start()];
        let rows = (0..values.len()).map(|i| (i, 0));
        fold.update(&[Arc::clone(&values)], rows, &mut states).expect("updates");
        estimate(&states[0], bits)
    }

    #[test]
    fn estimates_are_sparks() {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
        assert_eq!((count(Arc::clone(&ids), 0.05), count(Arc::clone(&ids), 0.01)), (9571, 9965));
        let texts = arrow::compute::cast(&ids, &arrow::datatypes::DataType::Utf8).expect("texts");
        let doubles = arrow::compute::cast(&ids, &arrow::datatypes::DataType::Float64).expect("doubles");
        assert_eq!((count(texts, 0.05), count(doubles, 0.05)), (9093, 8811));
        let few = ids.slice(0, 300);
        assert_eq!((count(few.clone(), 0.05), count(few.clone(), 0.02), count(few, 0.3)), (296, 300, 302));
        let some = ids.slice(0, 2000);
        assert_eq!(
            (count(some.clone(), 0.05), count(some.clone(), 0.02), count(some, 0.3)),
            (1947, 2019, 2442)
        );
    }
}
