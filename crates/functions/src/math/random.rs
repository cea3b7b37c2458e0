//! `rand`, `randn`, `uniform`: Spark's XORShift generator, so that a seed gives Spark's numbers.
//!
//! Each partition has a generator of its own, seeded with the seed plus the partition's number, as in Spark.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, PrimitiveArray};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, Result};

use crate::mismatch::{not_constant, whole_number};
use crate::partition::PerPartition;
use crate::{Call, Registry, Resolved, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["rand", "random"], |c| random(c, "rand", XorShift::next_double));
    r.scalar(&["randn"], |c| random(c, "randn", XorShift::next_gaussian));
    r.scalar(&["uniform"], uniform);
}

/// Spark's `XORShiftRandom` under `java.util.Random`.
#[derive(Debug, Clone)]
pub struct XorShift {
    seed: i64,
    /// The second of a pair of normal numbers.
    gaussian: Option<f64>,
}

/// MurmurHash3 (32 bits) as Scala's `MurmurHash3.bytesHash`.
fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let mut h = seed;
    let mut chunks = bytes.chunks_exact(4);
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    for chunk in chunks.by_ref() {
        let k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        h = (h ^ mix(k)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let k = rest.iter().rev().fold(0u32, |k, b| k << 8 | u32::from(*b));
        h ^= mix(k);
    }
    h ^= bytes.len() as u32;
    h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

impl XorShift {
    pub fn new(seed: i64) -> Self {
        let bytes = seed.to_be_bytes();
        let low = murmur3(&bytes, 0x3c07_4a61);
        let high = murmur3(&bytes, low);
        Self { seed: (i64::from(high) << 32) | i64::from(low), gaussian: None }
    }

    fn next(&mut self, bits: u32) -> i32 {
        let mut next = self.seed ^ (self.seed << 21);
        next ^= ((next as u64) >> 35) as i64;
        next ^= next << 4;
        self.seed = next;
        (next & ((1i64 << bits) - 1)) as i32
    }

    pub fn next_int(&mut self) -> i32 {
        self.next(32)
    }

    pub fn next_double(&mut self) -> f64 {
        let high = i64::from(self.next(26)) << 27;
        (high + i64::from(self.next(27))) as f64 * (1.0 / (1i64 << 53) as f64)
    }

    /// From 0 to below `bound`, as `java.util.Random.nextInt`.
    pub fn below(&mut self, bound: i32) -> i32 {
        if bound & (bound - 1) == 0 {
            return ((i64::from(bound) * i64::from(self.next(31))) >> 31) as i32;
        }
        loop {
            let bits = self.next(31);
            let value = bits % bound;
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
        }
    }

    /// Marsaglia's polar method, as Java's.
    pub fn next_gaussian(&mut self) -> f64 {
        if let Some(kept) = self.gaussian.take() {
            return kept;
        }
        loop {
            let v1 = 2.0 * self.next_double() - 1.0;
            let v2 = 2.0 * self.next_double() - 1.0;
            let s = v1 * v1 + v2 * v2;
            if s < 1.0 && s != 0.0 {
                let multiplier = (-2.0 * libm::log(s) / s).sqrt();
                self.gaussian = Some(v2 * multiplier);
                return v1 * multiplier;
            }
        }
    }
}

/// The seed an argument gives; a random one where there is none, 0 for NULL.
pub(crate) fn seed_of(call: &Call, i: usize) -> i64 {
    match call.args.get(i) {
        None => rand::random(),
        Some(arg) => whole_number(arg).flatten().unwrap_or(0),
    }
}

/// A generator for each partition.
pub(crate) fn generators(seed: i64) -> PerPartition<XorShift> {
    PerPartition::new(move |partition| XorShift::new(seed.wrapping_add(partition as i64)))
}

fn random(call: &Call, name: &str, next: fn(&mut XorShift) -> f64) -> Result<Resolved> {
    call.arity(0..=1)?;
    if let Some(seed) = call.args.first() {
        if !matches!(seed.data_type, DataType::Integer | DataType::Long | DataType::Null) {
            return Err(call.unexpected_input(0, "(\"INT\" or \"BIGINT\")"));
        }
        if seed.constant.is_none() {
            return Err(Error::new("SEED_EXPRESSION_IS_UNFOLDABLE")
                .param("seedExpr", format!("\"{}\"", seed.sql))
                .param("exprWithSeed", format!("\"{}\"", call.sql()))
                .message(format!("The seed {} of {name} is not constant.", seed.sql)));
        }
    }
    let generators = generators(seed_of(call, 0));
    Ok(Resolved::new(call.types(), DataType::Double, false, move |inputs| {
        let values: Vec<f64> = generators.with(|g| (0..inputs.rows()).map(|_| next(g)).collect());
        Ok(Arc::new(Float64Array::from(values)))
    })
    .volatile()
    .shown_as(name))
}

/// `uniform(min, max, seed)`: the type is that of the bounds.
fn uniform(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    for (i, name) in ["min", "max"].iter().enumerate() {
        let arg = &call.args[i];
        if !arg.data_type.is_numeric() && arg.data_type != DataType::Null {
            return Err(call.unexpected_input(i, "integer or floating-point"));
        }
        if arg.constant.is_none() {
            return Err(not_constant(call, i, name, "integer or floating-point"));
        }
    }
    if let Some(seed) = call.args.get(2) {
        if !matches!(seed.data_type, DataType::Null) && !seed.data_type.is_integral() {
            return Err(call.unexpected_input(2, "integer or floating-point"));
        }
        if seed.constant.is_none() {
            return Err(not_constant(call, 2, "seed", "integer"));
        }
    }
    let bounds = [&call.args[0].data_type, &call.args[1].data_type];
    let common = || {
        crate::coercion::tightest_common_type(bounds[0], bounds[1], call.context)
            .ok_or_else(|| call.different_types())
    };
    let t = match bounds {
        // A bare NULL counts as a double.
        b if b.iter().any(|t| matches!(t, DataType::Null | DataType::Double)) => DataType::Double,
        b if b.contains(&&DataType::Float) => DataType::Float,
        _ => common()?,
    };
    let t = match t {
        // Of two decimals the wider as it is, of a decimal and a whole number the decimal.
        DataType::Decimal { .. } => call
            .args
            .iter()
            .take(2)
            .map(|a| &a.data_type)
            .filter_map(|t| match t {
                DataType::Decimal { precision, scale } => Some((*precision, *scale)),
                _ => None,
            })
            .max()
            .map_or(t, |(precision, scale)| DataType::Decimal { precision, scale }),
        t => t,
    };
    let mut coerced = vec![DataType::Double, DataType::Double];
    if call.args.len() == 3 {
        coerced.push(DataType::Long);
    }
    let generators = generators(seed_of(call, 2));
    let nullable = call.args[..2].iter().any(|a| a.nullable);
    let computed = t.clone();
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let (min, max) = (inputs.numbers::<Float64Type>(0)?, inputs.numbers::<Float64Type>(1)?);
        let number = |generator: &mut XorShift, row| {
            let (min, max) = (min.get(row)?, max.get(row)?);
            Some(min + (max - min) * generator.next_double())
        };
        let values: Vec<Option<f64>> =
            generators.with(|generator| (0..inputs.rows()).map(|row| number(generator, row)).collect());
        let each = |f: &dyn Fn(f64) -> i128| values.iter().map(|v| v.map(f)).collect::<Vec<Option<i128>>>();
        let whole = || each(&|v| v as i128);
        let out: ArrayRef = match &computed {
            DataType::Byte => Arc::new(
                whole().into_iter().map(|v| v.map(|v| v as i8)).collect::<PrimitiveArray<Int8Type>>(),
            ),
            DataType::Short => Arc::new(
                whole().into_iter().map(|v| v.map(|v| v as i16)).collect::<PrimitiveArray<Int16Type>>(),
            ),
            DataType::Integer => Arc::new(
                whole().into_iter().map(|v| v.map(|v| v as i32)).collect::<PrimitiveArray<Int32Type>>(),
            ),
            DataType::Long => Arc::new(
                whole().into_iter().map(|v| v.map(|v| v as i64)).collect::<PrimitiveArray<Int64Type>>(),
            ),
            DataType::Float => {
                Arc::new(values.iter().map(|v| v.map(|v| v as f32)).collect::<PrimitiveArray<Float32Type>>())
            }
            DataType::Decimal { precision, scale } => {
                let mut buffer = String::new();
                let out: PrimitiveArray<Decimal128Type> = values
                    .iter()
                    .map(|v| {
                        v.and_then(|v| crate::cast::decimal::from_double(v, *precision, *scale, &mut buffer))
                    })
                    .collect();
                Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
            }
            DataType::Null => arrow::array::new_null_array(&arrow::datatypes::DataType::Null, inputs.rows()),
            _ => Arc::new(Float64Array::from(values)),
        };
        Ok(out)
    })
    .said_not_null()
    .volatile();
    Ok(match call.args.len() {
        3 => resolved,
        _ => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1)]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sparks() {
        assert_eq!(XorShift::new(0).next_double(), 0.760_495_375_828_591_5);
        assert_eq!(XorShift::new(0).next_gaussian(), 1.603_499_160_927_843_3);
    }
}
