//! Functions of two numbers and more: `pow`, `atan2`, `hypot`, `nanvl`, `width_bucket`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DurationMicrosecondType, Float32Type, Float64Type, Int64Type, IntervalYearMonthType};
use boathouse_spec::{DataType, Result};

use crate::apply::{map2, number_rows};
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["pow"], |c| two(c, "pow", power));
    r.scalar(&["power"], |c| two(c, "POWER", power));
    // Java adds 0.0 so that a negative zero is one.
    r.scalar(&["atan2"], |c| two(c, "ATAN2", |y, x| libm::atan2(y + 0.0, x + 0.0)));
    r.scalar(&["hypot"], |c| two(c, "HYPOT", libm::hypot));
    r.scalar(&["nanvl"], nanvl);
    r.scalar(&["width_bucket"], width_bucket);
}

/// Java's `StrictMath.pow`: C's gives 1 for a base of 1, and of -1 with an infinite exponent.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || (base.abs() == 1.0 && exponent.is_infinite()) {
        return f64::NAN;
    }
    libm::pow(base, exponent)
}

fn two(call: &Call, name: &str, f: fn(f64, f64) -> f64) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::DOUBLE])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Double, nullable, move |inputs| {
        let (a, b) = (inputs.numbers::<Float64Type>(0)?, inputs.numbers::<Float64Type>(1)?);
        Ok(Arc::new(map2::<_, _, Float64Type>(&a, &b, inputs.rows(), f)))
    })
    .shown_as(name))
}

/// The first, or the second where the first is NaN.
fn nanvl(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let fractional = |t: &DataType| matches!(t, DataType::Float | DataType::Double);
    let t = match (&call.args[0].data_type, &call.args[1].data_type) {
        (DataType::Float, DataType::Float | DataType::Null) | (DataType::Null, DataType::Float) => {
            DataType::Float
        }
        (a, b) if fractional(a) || fractional(b) => DataType::Double,
        _ => DataType::Double,
    };
    call.want(&[Want::one_of([Want::DOUBLE, Want::Exact(DataType::Float)])])?;
    let coerced = vec![t.clone(); 2];
    let nullable = call.nullable_as(&coerced);
    let float = t == DataType::Float;
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        macro_rules! run {
            ($type:ty) => {{
                let (a, b) = (inputs.numbers::<$type>(0)?, inputs.numbers::<$type>(1)?);
                let out: ArrayRef = Arc::new(number_rows::<$type>(inputs.rows(), |row| {
                    Ok(match a.get(row) {
                        Some(v) if v.is_nan() => b.get(row),
                        v => v,
                    })
                })?);
                out
            }};
        }
        Ok(if float { run!(Float32Type) } else { run!(Float64Type) })
    }))
}

/// `width_bucket(value, min, max, buckets)`
fn width_bucket(call: &Call) -> Result<Resolved> {
    call.arity(4..=4)?;
    let first = &call.args[0].data_type;
    let kind = match first {
        DataType::YearMonthInterval { .. } => Want::YearMonthInterval,
        DataType::DayTimeInterval { .. } => Want::DayTimeInterval,
        _ => Want::DOUBLE,
    };
    let any = Want::one_of([Want::DOUBLE, Want::YearMonthInterval, Want::DayTimeInterval]);
    call.want(&[any.clone(), any.clone(), any, Want::LONG])?;
    let coerced =
        call.want(&[kind.clone(), kind.clone(), kind, Want::LONG]).map_err(|_| call.different_types())?;
    let t = coerced[0].clone();
    Ok(Resolved::new(coerced, DataType::Long, true, move |inputs| {
        let counts = inputs.numbers::<Int64Type>(3)?;
        let columns = (0..3).map(|i| doubles(inputs, i, &t)).collect::<Result<Vec<_>>>()?;
        let out = number_rows::<Int64Type>(inputs.rows(), |row| {
            let get = |i: usize| columns.get(i).and_then(|c| c(row));
            let (Some(v), Some(min), Some(max), Some(n)) = (get(0), get(1), get(2), counts.get(row)) else {
                return Ok(None);
            };
            Ok(bucket(v, min, max, n))
        })?;
        Ok(Arc::new(out))
    }))
}

type Column = Box<dyn Fn(usize) -> Option<f64>>;

fn doubles(inputs: &Inputs, i: usize, t: &DataType) -> Result<Column> {
    Ok(match t {
        DataType::YearMonthInterval { .. } => {
            let column = inputs.numbers::<IntervalYearMonthType>(i)?;
            Box::new(move |row| column.get(row).map(f64::from))
        }
        DataType::DayTimeInterval { .. } => {
            let column = inputs.numbers::<DurationMicrosecondType>(i)?;
            Box::new(move |row| column.get(row).map(|v| v as f64))
        }
        _ => {
            let column = inputs.numbers::<Float64Type>(i)?;
            Box::new(move |row| column.get(row))
        }
    })
}

fn bucket(v: f64, min: f64, max: f64, n: i64) -> Option<i64> {
    if n <= 0 || n == i64::MAX || v.is_nan() || min == max || !min.is_finite() || !max.is_finite() {
        return None;
    }
    let (lower, upper) = (min.min(max), min.max(max));
    if min < max {
        if v < lower {
            return Some(0);
        }
        if v >= upper {
            return Some(n + 1);
        }
        Some((n as f64 * (v - lower) / (upper - lower)) as i64 + 1)
    } else {
        if v > upper {
            return Some(0);
        }
        if v <= lower {
            return Some(n + 1);
        }
        Some((n as f64 * (upper - v) / (upper - lower)) as i64 + 1)
    }
}
