//! Functions of one DOUBLE.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, IntervalYearMonthType};
use boathouse_spec::{DataType, Result};

use crate::apply::number_rows;
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["acos"], |c| shown(c, "ACOS", libm::acos));
    r.scalar(&["asin"], |c| shown(c, "ASIN", libm::asin));
    r.scalar(&["atan"], |c| shown(c, "ATAN", libm::atan));
    r.scalar(&["cos"], |c| shown(c, "COS", f64::cos));
    r.scalar(&["sin"], |c| shown(c, "SIN", f64::sin));
    r.scalar(&["tan"], |c| shown(c, "TAN", f64::tan));
    r.scalar(&["cot"], |c| shown(c, "COT", |x| 1.0 / x.tan()));
    r.scalar(&["sec"], |c| shown(c, "SEC", |x| 1.0 / x.cos()));
    r.scalar(&["csc"], |c| shown(c, "CSC", |x| 1.0 / x.sin()));
    r.scalar(&["cosh"], |c| shown(c, "COSH", libm::cosh));
    r.scalar(&["sinh"], |c| shown(c, "SINH", libm::sinh));
    r.scalar(&["tanh"], |c| shown(c, "TANH", libm::tanh));
    r.scalar(&["acosh"], |c| shown(c, "ACOSH", |x| libm::log(x + (x * x - 1.0).sqrt())));
    r.scalar(&["asinh"], |c| shown(c, "ASINH", libm::asinh));
    r.scalar(&["atanh"], |c| shown(c, "ATANH", |x| 0.5 * (libm::log1p(x) - libm::log1p(-x))));
    r.scalar(&["cbrt"], |c| shown(c, "CBRT", libm::cbrt));
    r.scalar(&["exp"], |c| shown(c, "EXP", libm::exp));
    r.scalar(&["expm1"], |c| shown(c, "EXPM1", libm::expm1));
    r.scalar(&["sqrt"], |c| shown(c, "SQRT", f64::sqrt));
    r.scalar(&["degrees"], |c| shown(c, "DEGREES", |x| x * (180.0 / std::f64::consts::PI)));
    r.scalar(&["radians"], |c| shown(c, "RADIANS", |x| x * (std::f64::consts::PI / 180.0)));
    r.scalar(&["rint"], |c| shown(c, "rint", f64::round_ties_even));
    r.scalar(&["sign", "signum"], sign);
    r.scalar(&["e"], |c| constant(c, "E()", std::f64::consts::E));
    r.scalar(&["pi"], |c| constant(c, "PI()", std::f64::consts::PI));
    r.scalar(&["factorial"], factorial);
    r.scalar(&["isnan"], isnan);
}

fn shown(call: &Call, name: &str, f: fn(f64) -> f64) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::DOUBLE])?;
    Ok(Resolved::new(coerced, DataType::Double, true, move |inputs| {
        Ok(Arc::new(inputs.primitives::<Float64Type>(0)?.unary::<_, Float64Type>(f)))
    })
    .shown_as(name))
}

fn constant(call: &Call, shown: &str, value: f64) -> Result<Resolved> {
    call.arity(0..=0)?;
    Ok(Resolved::new(vec![], DataType::Double, false, move |inputs| {
        Ok(Arc::new(Float64Array::from(vec![value; inputs.rows()])))
    })
    .shown_bare(shown))
}

/// Of numbers and intervals.
fn sign(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced =
        call.want(&[Want::one_of([Want::DOUBLE, Want::YearMonthInterval, Want::DayTimeInterval])])?;
    let t = coerced[0].clone();
    let resolved = Resolved::new(coerced, DataType::Double, true, move |inputs| {
        let signum = |v: f64| if v.is_nan() || v == 0.0 { v } else { v.signum() };
        let out: ArrayRef = Arc::new(match t {
            DataType::YearMonthInterval { .. } => inputs
                .primitives::<IntervalYearMonthType>(0)?
                .unary::<_, Float64Type>(|v| f64::from(v.signum())),
            DataType::DayTimeInterval { .. } => inputs
                .primitives::<DurationMicrosecondType>(0)?
                .unary::<_, Float64Type>(|v| v.signum() as f64),
            _ => inputs.primitives::<Float64Type>(0)?.unary::<_, Float64Type>(signum),
        });
        Ok(out)
    });
    Ok(if call.name == "signum" { resolved.shown_as("SIGNUM") } else { resolved })
}

fn factorial(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::INT])?;
    Ok(Resolved::new(coerced, DataType::Long, true, |inputs| {
        let numbers = inputs.numbers::<Int32Type>(0)?;
        let out = number_rows::<arrow::datatypes::Int64Type>(inputs.rows(), |row| {
            Ok(numbers.get(row).filter(|n| (0..=20).contains(n)).map(|n| (1..=i64::from(n)).product()))
        })?;
        Ok(Arc::new(out))
    }))
}

/// NULL is not NaN.
fn isnan(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::one_of([Want::DOUBLE, Want::Exact(DataType::Float)])])?;
    let float = coerced[0] == DataType::Float;
    Ok(Resolved::new(coerced, DataType::Boolean, false, move |inputs| {
        use arrow::array::BooleanArray;
        let out: BooleanArray = match float {
            true => inputs
                .primitives::<arrow::datatypes::Float32Type>(0)?
                .iter()
                .map(|v| Some(v.is_some_and(f32::is_nan)))
                .collect(),
            false => inputs
                .primitives::<Float64Type>(0)?
                .iter()
                .map(|v| Some(v.is_some_and(f64::is_nan)))
                .collect(),
        };
        Ok(Arc::new(out))
    }))
}
