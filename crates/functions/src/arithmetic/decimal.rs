//! Decimals: Spark's result types, and exact arithmetic rounded half up into them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::datatypes::{Decimal128Type, Int64Type};
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, Result};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use super::failure::{divide_by_zero, remainder_by_zero};
use super::typing::Operands;
use super::{Operator, Overflow};
use crate::apply::{map2, map2_result};
use crate::cast::decimal::{POWERS, divide_half_up, fits};
use crate::cast::failure::out_of_decimal;
use crate::coercion::adjusted_decimal;
use crate::{Arg, Call, Context, Inputs, Resolved};

/// The decimal type of an integer literal beside a decimal: as many digits as it has.
pub(crate) fn integral_literal(arg: &Arg) -> Option<DataType> {
    arg.constant.as_ref()?;
    if !matches!(arg.data_type, DataType::Short | DataType::Integer | DataType::Long) {
        return None;
    }
    let digits = arg.sql.trim_start_matches('-').trim_end_matches(['S', 'L']);
    let literal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    literal.then(|| DataType::Decimal {
        precision: digits.trim_start_matches('0').len().clamp(1, 38) as u8,
        scale: 0,
    })
}

/// Precision and scale of the result.
pub(super) fn result_type(operator: Operator, a: (i32, i32), b: (i32, i32), context: &Context) -> DataType {
    let ((p1, s1), (p2, s2)) = (a, b);
    let loss = context.allow_precision_loss;
    let (precision, scale) = match operator {
        Operator::Add | Operator::Subtract | Operator::Multiply => exact_type(operator, a, b),
        Operator::Divide if loss => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        Operator::Divide => {
            let mut integral = (p1 - s1 + s2).min(38);
            let mut scale = (s1 + p2 + 1).clamp(6, 38);
            let excess = integral + scale - 38;
            if excess > 0 {
                scale -= excess / 2 + 1;
                integral = 38 - scale;
            }
            (integral + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
    };
    adjusted_decimal(precision, scale, loss)
}

/// Precision and scale in which every sum, difference or product of two decimals is exact, be they as large as they may.
fn exact_type(operator: Operator, (p1, s1): (i32, i32), (p2, s2): (i32, i32)) -> (i32, i32) {
    if operator == Operator::Multiply {
        return (p1 + p2 + 1, s1 + s2);
    }
    let scale = s1.max(s2);
    ((p1 - s1).max(p2 - s2) + scale + 1, scale)
}

fn parts(t: &DataType) -> Result<(i32, i32)> {
    match t {
        DataType::Decimal { precision, scale } => Ok((i32::from(*precision), i32::from(*scale))),
        other => Err(Error::internal(format!("{} where a decimal was expected", other.sql()))),
    }
}

pub(super) fn resolve(
    call: &Call,
    operator: Operator,
    overflow: Overflow,
    types: Operands,
) -> Result<Resolved> {
    let (a, b) = (parts(&types.coerced[0])?, parts(&types.coerced[1])?);
    if operator == Operator::IntegralDivide {
        return Ok(Resolved::new(types.coerced, DataType::Long, true, move |i| {
            integral_divide(i, a.1, b.1, overflow)
        }));
    }
    let linear = matches!(operator, Operator::Add | Operator::Subtract | Operator::Multiply);
    let nullable = types.nullable || !linear || overflow != Overflow::Fail;
    let t = result_type(operator, a, b, call.context);
    let (precision, scale) = parts(&t)?;
    let kernel = Kernel {
        operator,
        a: a.1 as u8,
        b: b.1 as u8,
        precision: precision as u8,
        scale: scale as u8,
        overflow,
    };
    if linear && exact_type(operator, a, b) == (precision, scale) {
        return Ok(Resolved::new(types.coerced, t, nullable, move |inputs| kernel.run_exact(inputs)));
    }
    Ok(Resolved::new(types.coerced, t, nullable, move |inputs| kernel.run(inputs)))
}

#[derive(Debug, Clone, Copy)]
struct Kernel {
    operator: Operator,
    /// Scales of the operands.
    a: u8,
    b: u8,
    precision: u8,
    scale: u8,
    overflow: Overflow,
}

impl Kernel {
    /// Into a type that holds every result exactly ([`exact_type`]): nothing is rounded and nothing overflows.
    fn run_exact(&self, inputs: &Inputs) -> Result<ArrayRef> {
        let (a, b) = (inputs.numbers::<Decimal128Type>(0)?, inputs.numbers::<Decimal128Type>(1)?);
        let rows = inputs.rows();
        let up = |from: u8| POWERS[usize::from(self.scale.saturating_sub(from))];
        let (x_up, y_up) = (up(self.a), up(self.b));
        let out: Decimal128Array = match self.operator {
            Operator::Multiply => map2(&a, &b, rows, i128::wrapping_mul),
            Operator::Add if self.a == self.b => map2(&a, &b, rows, i128::wrapping_add),
            Operator::Subtract if self.a == self.b => map2(&a, &b, rows, i128::wrapping_sub),
            Operator::Add => {
                map2(&a, &b, rows, |x, y| x.wrapping_mul(x_up).wrapping_add(y.wrapping_mul(y_up)))
            }
            _ => map2(&a, &b, rows, |x, y| x.wrapping_mul(x_up).wrapping_sub(y.wrapping_mul(y_up))),
        };
        let out = out.with_precision_and_scale(self.precision, self.scale as i8).map_err(from_arrow)?;
        Ok(Arc::new(out))
    }

    fn run(&self, inputs: &Inputs) -> Result<ArrayRef> {
        let (a, b) = (inputs.numbers::<Decimal128Type>(0)?, inputs.numbers::<Decimal128Type>(1)?);
        let out = map2_result::<_, _, Decimal128Type>(&a, &b, inputs.rows(), |x, y| {
            if y == 0 && !matches!(self.operator, Operator::Add | Operator::Subtract | Operator::Multiply) {
                return match self.overflow {
                    Overflow::Fail if self.operator == Operator::Divide => Err(divide_by_zero()),
                    Overflow::Fail => Err(remainder_by_zero()),
                    _ => Ok(None),
                };
            }
            match self.narrow(x, y).or_else(|| self.wide(x, y)) {
                Some(v) if fits(v, self.precision) => Ok(Some(v)),
                _ if self.overflow == Overflow::Fail => {
                    Err(out_of_decimal(&self.exact_text(x, y), self.precision, self.scale))
                }
                _ => Ok(None),
            }
        })?;
        let out = out.with_precision_and_scale(self.precision, self.scale as i8).map_err(from_arrow)?;
        Ok(Arc::new(out))
    }

    /// In 128 bits; `None` where they do not suffice.
    fn narrow(&self, x: i128, y: i128) -> Option<i128> {
        let power = |n: u8| POWERS.get(usize::from(n)).copied();
        match self.operator {
            Operator::Multiply => self.to_scale(x.checked_mul(y)?, self.a + self.b),
            Operator::Divide => {
                let shift = i32::from(self.scale) - i32::from(self.a) + i32::from(self.b);
                let (n, d) = match shift >= 0 {
                    true => (x.checked_mul(power(shift as u8)?)?, y),
                    false => (x, y.checked_mul(power(shift.unsigned_abs() as u8)?)?),
                };
                let (quotient, rest) = (n / d, n % d);
                let (rest, d) = (rest.unsigned_abs(), d.unsigned_abs());
                // Java rounds to 38 digits after the point first, then to the scale: so the half may be missed by a little.
                let slack = d / (10u128.checked_pow(u32::from(38 - self.scale))?);
                let up = rest >= d - rest || d - 2 * rest <= slack;
                Some(
                    quotient
                        + if !up {
                            0
                        } else if (x < 0) != (y < 0) {
                            -1
                        } else {
                            1
                        },
                )
            }
            _ => {
                let scale = self.a.max(self.b);
                let x = x.checked_mul(power(scale - self.a)?)?;
                let y = y.checked_mul(power(scale - self.b)?)?;
                let exact = match self.operator {
                    Operator::Add => x.checked_add(y)?,
                    Operator::Subtract => x.checked_sub(y)?,
                    Operator::Remainder => x % y,
                    _ => {
                        let rest = x % y;
                        if rest < 0 { rest.checked_add(y)? % y } else { rest }
                    }
                };
                self.to_scale(exact, scale)
            }
        }
    }

    fn to_scale(&self, v: i128, scale: u8) -> Option<i128> {
        match scale.cmp(&self.scale) {
            std::cmp::Ordering::Equal => Some(v),
            std::cmp::Ordering::Less => v.checked_mul(*POWERS.get(usize::from(self.scale - scale))?),
            std::cmp::Ordering::Greater => {
                Some(divide_half_up(v, *POWERS.get(usize::from(scale - self.scale))?))
            }
        }
    }

    /// In any number of bits.
    fn wide(&self, x: i128, y: i128) -> Option<i128> {
        let (exact, scale) = self.exact(x, y);
        rescale_big(exact, scale, i32::from(self.scale)).to_i128()
    }

    /// The result before rounding into the type, with its scale.
    fn exact(&self, x: i128, y: i128) -> (BigInt, i32) {
        let (a, b) = (i32::from(self.a), i32::from(self.b));
        let (x, y) = (BigInt::from(x), BigInt::from(y));
        match self.operator {
            Operator::Multiply => (x * y, a + b),
            Operator::Divide => {
                let shift = 38 - a + b;
                let (n, d) = if shift >= 0 { (x * ten(shift), y) } else { (x, y * ten(-shift)) };
                (divide_big_half_up(n, d), 38)
            }
            _ => {
                let scale = a.max(b);
                let (x, y) = (x * ten(scale - a), y * ten(scale - b));
                let exact = match self.operator {
                    Operator::Add => x + y,
                    Operator::Subtract => x - y,
                    Operator::Remainder => x % y,
                    _ => {
                        let rest = &x % &y;
                        if rest.is_negative() { (rest + &y) % y } else { rest }
                    }
                };
                (exact, scale)
            }
        }
    }

    fn exact_text(&self, x: i128, y: i128) -> String {
        let (exact, scale) = self.exact(x, y);
        let digits = exact.abs().to_string();
        let scale = scale.max(0) as usize;
        let sign = if exact.is_negative() { "-" } else { "" };
        if scale == 0 {
            return format!("{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }
}

fn ten(n: i32) -> BigInt {
    BigInt::from(10).pow(n.max(0) as u32)
}

fn divide_big_half_up(n: BigInt, d: BigInt) -> BigInt {
    let quotient = &n / &d;
    let rest = &n % &d;
    if rest.is_zero() || rest.abs() * 2 < d.abs() {
        return quotient;
    }
    if n.is_negative() != d.is_negative() { quotient - 1 } else { quotient + 1 }
}

fn rescale_big(v: BigInt, from: i32, to: i32) -> BigInt {
    if to >= from { v * ten(to - from) } else { divide_big_half_up(v, ten(from - to)) }
}

/// The quotient without its fraction, as a LONG.
fn integral_divide(inputs: &Inputs, a: i32, b: i32, overflow: Overflow) -> Result<ArrayRef> {
    let (x, y) = (inputs.numbers::<Decimal128Type>(0)?, inputs.numbers::<Decimal128Type>(1)?);
    let out = map2_result::<_, _, Int64Type>(&x, &y, inputs.rows(), |x, y| {
        if y == 0 {
            return if overflow == Overflow::Fail { Err(divide_by_zero()) } else { Ok(None) };
        }
        let quotient = BigInt::from(x) * ten(b - a) / (BigInt::from(y) * ten(a - b));
        // Java's cut to 64 bits.
        Ok(quotient.to_i128().map(|v| v as i64))
    })?;
    Ok(Arc::new(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    #[test]
    fn result_types() {
        let c = Context::default();
        let t = |o, a, b| result_type(o, a, b, &c);
        assert_eq!(t(Operator::Divide, (10, 2), (10, 2)), decimal(23, 13));
        assert_eq!(t(Operator::Multiply, (38, 18), (38, 18)), decimal(38, 6));
        assert_eq!(t(Operator::Add, (38, 18), (38, 18)), decimal(38, 17));
        assert_eq!(t(Operator::Divide, (38, 18), (10, 2)), decimal(38, 16));
        assert_eq!(t(Operator::Remainder, (10, 2), (38, 18)), decimal(26, 18));
    }

    #[test]
    fn narrow_and_wide_agree() {
        let operators = [
            Operator::Add,
            Operator::Subtract,
            Operator::Multiply,
            Operator::Divide,
            Operator::Remainder,
            Operator::PositiveModulo,
        ];
        for operator in operators {
            for (a, b, scale) in [(2, 3, 6), (0, 0, 6), (5, 1, 4), (3, 3, 10)] {
                let kernel = Kernel { operator, a, b, precision: 38, scale, overflow: Overflow::Fail };
                for x in [0, 1, -1, 7, 12345, -98765, 333_333_333] {
                    for y in [1, -1, 3, -7, 1000, 66_667] {
                        assert_eq!(kernel.narrow(x, y), kernel.wide(x, y), "{operator:?} {x} {y}");
                    }
                }
            }
        }
    }
}
