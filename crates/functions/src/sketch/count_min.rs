//! `count_min_sketch(value, eps, confidence, seed)`: a count-min sketch in Spark's binary form.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::java_random::JavaRandom;
use crate::aggregate::fold::{Fold, column};
use crate::aggregate::murmur3;
use crate::mismatch::{not_constant, out_of_range, unexpected_null, whole_number};
use crate::{AggregateCall, Registry, ResolvedAggregate, SparkAggregate};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["count_min_sketch"], resolve);
}

/// The most counters of a sketch: eight bytes each, for every group.
const MOST_COUNTERS: f64 = 100_000_000.0;

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(4..=4)?;
    let value = &call.args[0].data_type;
    if !value.is_integral() && !value.is_string() && *value != DataType::Binary {
        return Err(call.unexpected_input(0, "(\"INTEGRAL\" or \"STRING\" or \"BINARY\")"));
    }
    let number = |i: usize, name: &str| -> Result<f64> {
        let arg = &call.args[i];
        if !matches!(arg.data_type, DataType::Double | DataType::Null) {
            return Err(call.unexpected_input(i, "\"DOUBLE\""));
        }
        match &arg.constant {
            Some(ScalarValue::Float64(Some(v))) => Ok(*v),
            Some(_) => Err(unexpected_null(call, name)),
            None => Err(not_constant(call, i, name, "DOUBLE")),
        }
    };
    let (eps, confidence) = (number(1, "eps")?, number(2, "confidence")?);
    let seed = &call.args[3];
    if !seed.data_type.is_integral() && seed.data_type != DataType::Null {
        return Err(call.unexpected_input(3, "\"INTEGRAL\""));
    }
    let seed = whole_number(seed).ok_or_else(|| not_constant(call, 3, "seed", "INT"))?;
    let seed = seed.ok_or_else(|| unexpected_null(call, "seed"))?;
    if eps.is_nan() || eps <= 0.0 {
        return Err(out_of_range(call, "eps", "(0.0, 1.7976931348623157E308]", &format!("{eps:?}D")));
    }
    // NaN passes, and makes a sketch without lines.
    if confidence <= 0.0 || confidence >= 1.0 {
        return Err(out_of_range(call, "confidence", "(0.0, 1.0]", &format!("{confidence:?}D")));
    }
    let width = (2.0 / eps).ceil();
    let depth = (-(1.0 - confidence).ln() / 2f64.ln()).ceil();
    if width * depth > MOST_COUNTERS {
        return Err(Error::unsupported(format!("a count-min sketch with {width} by {depth} counters")));
    }
    let mut random = JavaRandom::new(i64::from(seed as i32));
    let multipliers = (0..depth as usize).map(|_| i64::from(random.below(i32::MAX))).collect();
    let fold = CountMin { width: width as usize, multipliers };
    let empty = ScalarValue::Binary(Some(fold.bytes_of(&fold.start())));
    let t = DataType::Binary;
    let mut coerced = call.types();
    coerced[0] = match value {
        t if t.is_integral() => DataType::Long,
        DataType::Binary => DataType::Binary,
        _ => DataType::STRING,
    };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &t, false, call.context, fold)
        .with_parameters((width, depth, seed))
        .with_empty(empty);
    Ok(ResolvedAggregate::new(coerced, t, false, udf.build()))
}

struct CountMin {
    width: usize,
    /// One a line of counters.
    multipliers: Vec<i64>,
}

#[derive(Clone)]
struct Counters {
    total: i64,
    /// Line by line.
    counters: Vec<i64>,
}

impl CountMin {
    fn bucket_of_number(&self, item: i64, line: usize) -> usize {
        // A number modulo 2^31 - 1, nearly.
        let hash = self.multipliers[line].wrapping_mul(item);
        let hash = hash.wrapping_add(hash >> 32) & ((1 << 31) - 1);
        (hash as i32 % self.width as i32) as usize
    }

    fn bytes_of(&self, state: &Counters) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + 8 * (self.multipliers.len() + state.counters.len()));
        out.extend(1i32.to_be_bytes());
        out.extend(state.total.to_be_bytes());
        out.extend((self.multipliers.len() as i32).to_be_bytes());
        out.extend((self.width as i32).to_be_bytes());
        self.multipliers.iter().chain(&state.counters).for_each(|n| out.extend(n.to_be_bytes()));
        out
    }
}

impl Fold for CountMin {
    type State = Counters;
    const ON_HEAP: bool = true;

    fn start(&self) -> Counters {
        Counters { total: 0, counters: vec![0; self.width * self.multipliers.len()] }
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Counters],
    ) -> Result<()> {
        let values = column(columns, 0)?;
        let depth = self.multipliers.len();
        if *values.data_type() == ArrowType::Int64 {
            let numbers = values.as_primitive::<Int64Type>();
            for (row, group) in rows {
                if numbers.is_valid(row) {
                    states[group].total += 1;
                    for line in 0..depth {
                        let bucket = self.bucket_of_number(numbers.value(row), line);
                        states[group].counters[line * self.width + bucket] += 1;
                    }
                }
            }
            return Ok(());
        }
        let bytes = cast(values, &ArrowType::Binary).spark()?;
        let bytes = bytes.as_binary::<i32>();
        for (row, group) in rows {
            if bytes.is_valid(row) {
                let item = bytes.value(row);
                let first = murmur3(item, 0);
                let second = murmur3(item, first);
                states[group].total += 1;
                for line in 0..depth {
                    let hash = first.wrapping_add((line as i32).wrapping_mul(second));
                    let bucket = (hash % self.width as i32).unsigned_abs() as usize;
                    states[group].counters[line * self.width + bucket] += 1;
                }
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Counters]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(states)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Counters],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            let bytes = saved.value(row);
            let number = |at: usize| -> Result<i64> {
                let word = bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
                word.map(i64::from_be_bytes).ok_or_else(|| Error::internal("a broken count-min sketch"))
            };
            let state = &mut states[group];
            state.total += number(4)?;
            let first = 20 + 8 * self.multipliers.len();
            for (i, counter) in state.counters.iter_mut().enumerate() {
                *counter += number(first + 8 * i)?;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Counters]) -> Result<ArrayRef> {
        Ok(Arc::new(BinaryArray::from_iter_values(states.iter().map(|s| self.bytes_of(s)))))
    }

    fn bytes(&self, state: &Counters) -> usize {
        state.counters.capacity() * 8
    }
}
