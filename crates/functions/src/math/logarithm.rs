//! Logarithms: NULL where there is none.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::Float64Type;
use boathouse_spec::{DataType, Result};

use crate::apply::map2_option;
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["ln"], |c| logarithm(c, "ln", 0.0, libm::log));
    r.scalar(&["log"], log);
    r.scalar(&["log10"], |c| logarithm(c, "LOG10", 0.0, libm::log10));
    r.scalar(&["log2"], |c| logarithm(c, "LOG2", 0.0, |x| libm::log(x) / libm::log(2.0)));
    r.scalar(&["log1p"], |c| logarithm(c, "LOG1P", -1.0, libm::log1p));
}

/// Defined above `least`.
fn logarithm(call: &Call, name: &str, least: f64, f: fn(f64) -> f64) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::DOUBLE])?;
    Ok(Resolved::new(coerced, DataType::Double, true, move |inputs| {
        let values = inputs.primitives::<Float64Type>(0)?;
        // NaN is not at or below the least: it stays.
        let out: Float64Array = values.unary_opt(|x| if x <= least { None } else { Some(f(x)) });
        Ok(Arc::new(out))
    })
    .shown_as(name))
}

/// `log(x)` is natural, `log(base, x)` to a base.
fn log(call: &Call) -> Result<Resolved> {
    if call.args.len() == 1 {
        let resolved = logarithm(call, "ln", 0.0, libm::log)?;
        return Ok(resolved.shown_as("LOG").shown_with(vec![ShownArg::Text("E()".into()), ShownArg::Arg(0)]));
    }
    call.arity(1..=2)?;
    let coerced = call.want(&[Want::DOUBLE])?;
    Ok(Resolved::new(coerced, DataType::Double, true, |inputs| {
        let (base, value) = (inputs.numbers::<Float64Type>(0)?, inputs.numbers::<Float64Type>(1)?);
        let out = map2_option::<_, _, Float64Type>(&base, &value, inputs.rows(), |b, x| {
            if b <= 0.0 || x <= 0.0 { None } else { Some(libm::log(x) / libm::log(b)) }
        });
        Ok(Arc::new(out))
    })
    .shown_as("LOG"))
}
