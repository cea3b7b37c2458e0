//! `round`, `bround`, `ceil`, `floor`.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, Result};

use crate::cast::decimal::POWERS;
use crate::cast::failure::decimal_text;
use crate::cast::text::{write_double, write_float};
use crate::coercion::decimal_of;
use crate::mismatch::{not_constant, whole_number};
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["round"], |c| round(c, Rule::HalfUp));
    r.scalar(&["bround"], |c| round(c, Rule::HalfEven));
    r.scalar(&["ceil", "ceiling"], |c| whole(c, Rule::Ceiling));
    r.scalar(&["floor"], |c| whole(c, Rule::Floor));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    HalfUp,
    HalfEven,
    Ceiling,
    Floor,
}

impl Rule {
    /// `v / unit`, rounded.
    fn divide(self, v: i128, unit: i128) -> i128 {
        let (quotient, rest) = (v / unit, v % unit);
        if rest == 0 {
            return quotient;
        }
        let half = unit / 2;
        let away = match self {
            Self::Ceiling => v > 0,
            Self::Floor => v < 0,
            Self::HalfUp => rest.abs() >= half,
            Self::HalfEven => rest.abs() > half || (rest.abs() == half && quotient % 2 != 0),
        };
        if away { quotient + v.signum() } else { quotient }
    }

    /// An unscaled decimal of `scale` at `digits` after the point, still in `scale` where digits are cut before it.
    fn round(self, v: i128, scale: i32, digits: i32) -> Option<i128> {
        let cut = scale - digits;
        if cut <= 0 {
            return Some(v);
        }
        match POWERS.get(cut as usize) {
            Some(unit) => self.divide(v, *unit).checked_mul(*unit),
            // Beyond all digits: only the direction counts.
            None => match self {
                Self::Ceiling if v > 0 => None,
                Self::Floor if v < 0 => None,
                _ => Some(0),
            },
        }
    }
}

/// NUMERIC_VALUE_OUT_OF_RANGE for a rounded number with too many digits, which no setting makes NULL.
fn too_large(value: &str, precision: u8, scale: u8) -> Error {
    Error::new("NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION")
        .param("value", value)
        .param("precision", precision)
        .param("scale", scale)
        .message(format!("{value} cannot be a DECIMAL({precision}, {scale})."))
}

/// The constant scale; `None` for NULL.
fn scale_of(call: &Call) -> Result<Option<i32>> {
    let Some(arg) = call.args.get(1) else { return Ok(Some(0)) };
    if arg.data_type == DataType::Null {
        return Ok(None);
    }
    if crate::coercion::implicit_cast(&arg.data_type, &Want::INT, call.context).is_none() {
        return Err(call.unexpected_input(1, "\"INT\""));
    }
    let Some(constant) = &arg.constant else { return Err(not_constant(call, 1, "scale", "INT")) };
    if let Some(n) = whole_number(arg) {
        return Ok(n.map(|n| n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32));
    }
    let array = constant.to_array_of_size(1).map_err(boathouse_bridge::from_datafusion)?;
    let mode = crate::cast::Mode::of(call.context);
    let array = crate::cast::cast(&array, &arg.data_type, &DataType::Integer, mode, call.context)?;
    use arrow::array::AsArray;
    let numbers = array.as_primitive::<Int32Type>();
    Ok(numbers.is_valid(0).then(|| numbers.value(0)))
}

/// The decimal type after rounding to `scale` digits.
fn decimal_result(precision: u8, own_scale: u8, scale: i32) -> DataType {
    let integral = i32::from(precision) - i32::from(own_scale) + 1;
    if scale < 0 {
        let precision = integral.max(-scale + 1).min(38);
        return DataType::Decimal { precision: precision as u8, scale: 0 };
    }
    let scale = scale.min(i32::from(own_scale));
    DataType::Decimal { precision: (integral + scale).min(38) as u8, scale: scale as u8 }
}

fn round(call: &Call, rule: Rule) -> Result<Resolved> {
    call.arity(1..=2)?;
    let given = call.want(&[Want::Numeric])?;
    let scale = scale_of(call)?;
    let t = given[0].clone();
    let mut coerced = vec![t.clone()];
    if call.args.len() == 2 {
        coerced.push(DataType::Integer);
    }
    let ansi = call.context.ansi;
    let result = match &t {
        DataType::Decimal { precision, scale: s } => decimal_result(*precision, *s, scale.unwrap_or(0)),
        other => other.clone(),
    };
    let computed = result.clone();
    let resolved = Resolved::new(coerced, result, true, move |inputs| {
        let array = inputs.array(0)?;
        let Some(digits) = scale else {
            return Ok(arrow::array::new_null_array(&boathouse_bridge::arrow_type(&computed), array.len()));
        };
        match &t {
            DataType::Byte => integers::<Int8Type>(&array, digits, rule, ansi),
            DataType::Short => integers::<Int16Type>(&array, digits, rule, ansi),
            DataType::Integer => integers::<Int32Type>(&array, digits, rule, ansi),
            DataType::Long => integers::<Int64Type>(&array, digits, rule, ansi),
            DataType::Float => {
                let buffer = RefCell::new(String::new());
                let values = inputs.primitives::<Float32Type>(0)?;
                Ok(Arc::new(values.unary::<_, Float32Type>(|v| {
                    let mut buffer = buffer.borrow_mut();
                    buffer.clear();
                    write_float(v, &mut buffer);
                    round_text(&buffer, digits, rule).unwrap_or(v)
                })))
            }
            DataType::Double => {
                let buffer = RefCell::new(String::new());
                let values = inputs.primitives::<Float64Type>(0)?;
                Ok(Arc::new(values.unary::<_, Float64Type>(|v| {
                    let mut buffer = buffer.borrow_mut();
                    buffer.clear();
                    write_double(v, &mut buffer);
                    round_text(&buffer, digits, rule).unwrap_or(v)
                })))
            }
            DataType::Decimal { scale, .. } => {
                let scale = i32::from(*scale);
                let values = inputs.primitives::<Decimal128Type>(0)?;
                decimals(&values, scale, digits, rule, &computed, ansi)
            }
            other => Err(Error::internal(format!("rounding of {}", other.sql()))),
        }
    });
    Ok(shown_scale(resolved, call))
}

fn shown_scale(resolved: Resolved, call: &Call) -> Resolved {
    match call.args.len() {
        2 => resolved,
        _ => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text("0".into())]),
    }
}

fn integers<T: ArrowPrimitiveType>(array: &ArrayRef, digits: i32, rule: Rule, ansi: bool) -> Result<ArrayRef>
where
    T::Native: Into<i64> + TryFrom<i64>,
{
    if digits >= 0 {
        return Ok(Arc::clone(array));
    }
    use arrow::array::AsArray;
    let out = array
        .as_primitive::<T>()
        .iter()
        .map(|v| match v {
            None => Ok(None),
            Some(v) => {
                let rounded = rule.round(i128::from(v.into()), 0, digits).unwrap_or(0);
                match i64::try_from(rounded).ok().and_then(|v| T::Native::try_from(v).ok()) {
                    Some(v) => Ok(Some(v)),
                    None if ansi => Err(Error::new("ARITHMETIC_OVERFLOW")
                        .param("message", "Overflow")
                        .param("alternative", "")
                        .param("config", "\"spark.sql.ansi.enabled\"")
                        .message("The rounded number is out of the range of its type.")),
                    // Without ANSI the low bits stay, as Java narrows.
                    None => Ok(wrapped::<T>(rounded)),
                }
            }
        })
        .collect::<Result<PrimitiveArray<T>>>()?;
    Ok(Arc::new(out))
}

fn wrapped<T: ArrowPrimitiveType>(v: i128) -> Option<T::Native>
where
    T::Native: TryFrom<i64>,
{
    let bits = 8 * size_of::<T::Native>() as u32;
    let low = (v as i64).wrapping_shl(64 - bits).wrapping_shr(64 - bits);
    T::Native::try_from(low).ok()
}

/// A float by its shortest decimal text, rounded half up or half even: `None` where it stays as it is.
fn round_text<F: std::str::FromStr>(text: &str, digits: i32, rule: Rule) -> Option<F> {
    let (mantissa, exponent) = match text.split_once('E') {
        Some((m, e)) => (m, e.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = fraction.len() as i32 - exponent;
    if digits >= scale {
        return None;
    }
    let cut = scale - digits;
    let (rounded, places) = match POWERS.get(cut as usize) {
        Some(unit) => (rule.divide(unscaled, *unit), -digits),
        None => (0, 0),
    };
    if rounded == 0 {
        return "0".parse().ok();
    }
    format!("{rounded}e{places}").parse().ok()
}

fn decimals(
    values: &PrimitiveArray<Decimal128Type>,
    scale: i32,
    digits: i32,
    rule: Rule,
    result: &DataType,
    ansi: bool,
) -> Result<ArrayRef> {
    let DataType::Decimal { precision, scale: to } = *result else {
        return Err(Error::internal("rounding of a decimal to no decimal"));
    };
    let out = values
        .iter()
        .map(|v| {
            let Some(v) = v else { return Ok(None) };
            let rounded =
                rule.round(v, scale, digits).map(|r| r / POWERS[(scale - i32::from(to)).max(0) as usize]);
            match rounded.filter(|r| crate::cast::decimal::fits(*r, precision)) {
                Some(r) => Ok(Some(r)),
                None if ansi => Err(too_large(&decimal_text(v, scale as u8), precision, to)),
                None => Ok(None),
            }
        })
        .collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
    Ok(Arc::new(out.with_precision_and_scale(precision, to as i8).map_err(from_arrow)?))
}

/// `ceil(x)` gives a LONG of a float, `ceil(x, scale)` always a decimal.
fn whole(call: &Call, rule: Rule) -> Result<Resolved> {
    call.arity(1..=2)?;
    if call.args.len() == 2 {
        return whole_scaled(call, rule);
    }
    let want = Want::one_of([Want::DOUBLE, Want::Decimal, Want::LONG]);
    let t = match &call.args[0].data_type {
        t if t.is_integral() => DataType::Long,
        DataType::Float => DataType::Double,
        _ => call.want(&[want])?[0].clone(),
    };
    let result = match &t {
        DataType::Decimal { precision, scale: 0 } => DataType::Decimal { precision: *precision, scale: 0 },
        DataType::Decimal { precision, scale } => {
            DataType::Decimal { precision: (precision - scale + 1).min(38), scale: 0 }
        }
        _ => DataType::Long,
    };
    let (computed, ansi) = (result.clone(), call.context.ansi);
    let resolved = Resolved::new(vec![t.clone()], result, true, move |inputs| match &t {
        DataType::Long => inputs.array(0),
        DataType::Decimal { scale, .. } => {
            decimals(&inputs.primitives(0)?, i32::from(*scale), 0, rule, &computed, ansi)
        }
        _ => {
            let values = inputs.primitives::<Float64Type>(0)?;
            // Java's conversion: NaN is 0, what is too large is the largest.
            Ok(Arc::new(values.unary::<_, Int64Type>(|v| match rule {
                Rule::Ceiling => v.ceil() as i64,
                _ => v.floor() as i64,
            })))
        }
    });
    Ok(match call.name {
        "ceil" => resolved.shown_as("CEIL"),
        "floor" => resolved.shown_as("FLOOR"),
        _ => resolved,
    })
}

fn whole_scaled(call: &Call, rule: Rule) -> Result<Resolved> {
    let Some(arg) = call.args.get(1) else { return Err(Error::internal("no scale")) };
    if !matches!(arg.data_type, DataType::Integer | DataType::Short | DataType::Byte | DataType::Null) {
        return Err(scale_must_be_int(call));
    }
    let Some(Some(scale)) = whole_number(arg) else { return Err(scale_must_be_int(call)) };
    let given = call.want(&[Want::Decimal])?[0].clone();
    let t = if matches!(given, DataType::Decimal { .. }) { given } else { decimal_of(&given) };
    let DataType::Decimal { precision, scale: own } = t else { return Err(Error::internal("no decimal")) };
    let digits = scale.clamp(-38, 38) as i32;
    let result = decimal_result(precision, own, digits);
    let (computed, ansi) = (result.clone(), call.context.ansi);
    Ok(Resolved::new(vec![t, DataType::Integer], result, true, move |inputs| {
        decimals(&inputs.primitives(0)?, i32::from(own), digits, rule, &computed, ansi)
    }))
}

fn scale_must_be_int(call: &Call) -> Error {
    Error::new("NON_FOLDABLE_ARGUMENT")
        .param("funcName", format!("`{}`", call.name))
        .param("paramName", "`scale`")
        .param("paramType", "\"INT\"")
        .message(format!("The scale of `{}` must be a constant INT.", call.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_round_by_their_text() {
        let r = |v: f64, digits, rule| {
            let mut text = String::new();
            write_double(v, &mut text);
            round_text::<f64>(&text, digits, rule).unwrap_or(v)
        };
        assert_eq!(r(2.5, 0, Rule::HalfUp), 3.0);
        assert_eq!(r(2.5, 0, Rule::HalfEven), 2.0);
        assert_eq!(r(1.005, 2, Rule::HalfUp), 1.01);
        assert_eq!(r(-1.5, 0, Rule::HalfUp), -2.0);
        assert_eq!(r(1e20, 3, Rule::HalfUp), 1e20);
        assert_eq!(r(12345.6, -2, Rule::HalfUp), 12300.0);
        assert_eq!(r(0.4, 0, Rule::HalfUp), 0.0);
        assert_eq!(r(5e-324, 5, Rule::HalfUp), 0.0);
    }

    #[test]
    fn result_types() {
        let d = |precision, scale| DataType::Decimal { precision, scale };
        assert_eq!(decimal_result(10, 2, 0), d(9, 0));
        assert_eq!(decimal_result(10, 2, 1), d(10, 1));
        assert_eq!(decimal_result(5, 4, -3), d(4, 0));
    }
}
