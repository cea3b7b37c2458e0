//! The types that operands are cast to (Spark's `ImplicitTypeCasts`, `DecimalPrecision`, `Division`, `IntegralDivision`).

use boathouse_spec::{DataType, Result};

use super::Operator;
use super::decimal::integral_literal;
use super::failure::{binary_types_differ, binary_wrong_type};
use crate::Call;
use crate::coercion::{decimal_of, tightest_common_type};

/// Operands once cast.
pub(super) struct Operands {
    pub coerced: Vec<DataType>,
    /// What is computed in: an integer, a float, an interval, or `DECIMAL` (of any precision).
    pub computed: DataType,
    /// Whether an operand can be NULL once cast.
    pub nullable: bool,
}

pub(super) fn operands(call: &Call, operator: Operator) -> Result<Operands> {
    let coerced = coerce(call, operator)?;
    let nullable = call.nullable_as(&coerced);
    let computed = match &coerced[0] {
        DataType::Long if operator == Operator::Divide => DataType::Double,
        t => t.clone(),
    };
    Ok(Operands { coerced, computed, nullable })
}

fn coerce(call: &Call, operator: Operator) -> Result<Vec<DataType>> {
    use DataType::*;
    let (left, right) = (plain(&call.args[0].data_type), plain(&call.args[1].data_type));
    let differ = || -> Result<Vec<DataType>> { Err(binary_types_differ(call, &left, &right)) };
    let both = |t: DataType| check(call, operator, vec![t.clone(), t]);
    let ansi = call.context.ansi;
    let division = operator == Operator::Divide;
    match (&left, &right) {
        // Beside FLOAT a decimal is a DOUBLE, which is another type.
        (Float, Decimal { .. }) if operator == Operator::IntegralDivide => {
            Err(binary_types_differ(call, &left, &Double))
        }
        (Decimal { .. }, Float) if operator == Operator::IntegralDivide => {
            Err(binary_types_differ(call, &Double, &right))
        }
        // Without ANSI strings are doubles; only `div` has no double.
        (s, t) | (t, s) if s.is_string() && !ansi && (t.is_numeric() || t.is_string() || *t == Null) => {
            if operator == Operator::IntegralDivide {
                return if t.is_integral() || *t == Null {
                    differ()
                } else {
                    Err(binary_wrong_type(call, operator, if t.is_string() { t } else { &Double }))
                };
            }
            both(Double)
        }
        (s, t) | (t, s) if s.is_string() && ansi && t.is_numeric() => match t.is_integral() {
            true if division => Ok(vec![Long, Long]),
            true => both(Long),
            false => both(Double),
        },
        (Null, Null) => both(if operator == Operator::IntegralDivide { Long } else { Double }),
        (Null, t) | (t, Null) if t.is_numeric() => {
            if division && !matches!((&left, &right), (Decimal { .. }, Null)) {
                both(Double)
            } else if operator == Operator::IntegralDivide && t.is_integral() {
                both(Long)
            } else {
                both(t.clone()).or_else(|_| differ())
            }
        }
        (Null, t) if t.is_interval() && division => differ(),
        (Null, t) | (t, Null) if t.is_interval() || t.is_string() => both(t.clone()),
        (x, y) if x.is_numeric() && y.is_numeric() => {
            let decimal = matches!(x, Decimal { .. }) || matches!(y, Decimal { .. });
            let float = matches!(x, Float | Double) || matches!(y, Float | Double);
            if decimal && !float {
                let as_decimal = |i: usize, t: &DataType| match t {
                    Decimal { .. } => t.clone(),
                    t => integral_literal(&call.args[i]).unwrap_or_else(|| decimal_of(t)),
                };
                return check(call, operator, vec![as_decimal(0, x), as_decimal(1, y)]);
            }
            if division {
                return both(Double);
            }
            if operator == Operator::IntegralDivide && x.is_integral() && y.is_integral() {
                return both(Long);
            }
            match tightest_common_type(x, y, call.context) {
                // Operands are left as they are where the operator does not take their common type; beside a floating-point
                // number a decimal has become one before.
                Some(t) => both(t).or_else(|e| if x == y || decimal { Err(e) } else { differ() }),
                None => differ(),
            }
        }
        (x, y) if x.is_interval() && y.is_interval() => match tightest_common_type(x, y, call.context) {
            Some(t) => both(t),
            None => differ(),
        },
        (x, y) if x == y => both(x.clone()),
        // Under ANSI a string meets another type as that type, and no operator takes those.
        (s, t) | (t, s) if s.is_string() && ansi && t.is_atomic() && !t.is_interval() => both(t.clone()),
        _ => differ(),
    }
}

fn plain(t: &DataType) -> DataType {
    match t {
        DataType::Char(_) | DataType::Varchar(_) => DataType::STRING,
        DataType::Udt { sql_type, .. } => sql_type.as_ref().clone(),
        other => other.clone(),
    }
}

/// Whether the operator takes the types.
fn check(call: &Call, operator: Operator, coerced: Vec<DataType>) -> Result<Vec<DataType>> {
    use DataType::*;
    let t = &coerced[0];
    let ok = match operator {
        Operator::Add | Operator::Subtract => t.is_numeric() || t.is_interval(),
        Operator::Multiply | Operator::Remainder | Operator::PositiveModulo => t.is_numeric(),
        Operator::Divide => matches!(t, Double | Decimal { .. }),
        Operator::IntegralDivide => {
            matches!(t, Long | Decimal { .. } | YearMonthInterval { .. } | DayTimeInterval { .. })
        }
    };
    if ok { Ok(coerced) } else { Err(binary_wrong_type(call, operator, t)) }
}
