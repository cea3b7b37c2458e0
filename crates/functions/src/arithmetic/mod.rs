//! `+ - * / % div`, unary minus and plus, `abs`, `pmod`, and the `try_` forms, on numbers, dates and intervals.
//!
//! `typing.rs` decides the types as Spark's coercion rules do; `integer.rs`, `float.rs` and `decimal.rs` hold the loops;
//! `datetime.rs` and `interval.rs` the forms with dates and intervals; `failure.rs` the errors.

mod datetime;
mod decimal;
mod failure;
mod float;
mod integer;
mod interval;
mod typing;
mod unary;

use boathouse_spec::{DataType, Result};

use crate::{Call, Registry, Resolved};

pub(crate) use failure::overflow;

/// An operation of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    IntegralDivide,
    PositiveModulo,
}

impl Operator {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::IntegralDivide => "div",
            Self::PositiveModulo => "pmod",
        }
    }

    /// The function that gives NULL where this fails.
    fn tolerant(self) -> &'static str {
        match self {
            Self::Add => "try_add",
            Self::Subtract => "try_subtract",
            Self::Multiply => "try_multiply",
            Self::Divide | Self::IntegralDivide => "try_divide",
            Self::Remainder | Self::PositiveModulo => "try_mod",
        }
    }
}

/// What a result out of range becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    Fail,
    Null,
    /// The low bits, as Java computes.
    Wrap,
}

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["+"], |c| binary(c, Operator::Add));
    r.scalar(&["-"], |c| if c.args.len() == 1 { unary::negative(c) } else { binary(c, Operator::Subtract) });
    r.scalar(&["*"], |c| binary(c, Operator::Multiply));
    r.scalar(&["/"], |c| binary(c, Operator::Divide));
    r.scalar(&["%", "mod"], |c| binary(c, Operator::Remainder));
    r.scalar(&["div"], |c| binary(c, Operator::IntegralDivide));
    r.scalar(&["pmod"], |c| binary(c, Operator::PositiveModulo));
    r.scalar(&["try_add"], |c| tolerant(c, Operator::Add));
    r.scalar(&["try_subtract"], |c| tolerant(c, Operator::Subtract));
    r.scalar(&["try_multiply"], |c| tolerant(c, Operator::Multiply));
    r.scalar(&["try_divide"], |c| tolerant(c, Operator::Divide));
    r.scalar(&["try_mod"], |c| tolerant(c, Operator::Remainder));
    r.scalar(&["negative"], unary::negative);
    r.scalar(&["positive"], unary::positive);
    r.scalar(&["abs"], unary::abs);
}

fn binary(call: &Call, operator: Operator) -> Result<Resolved> {
    call.arity(2..=2)?;
    let overflow = if call.context.ansi { Overflow::Fail } else { Overflow::Wrap };
    resolve(call, operator, overflow)
}

/// The `try_` functions: NULL for what fails, and only numbers fail so; their types are those of the operator.
fn tolerant(call: &Call, operator: Operator) -> Result<Resolved> {
    call.arity(2..=2)?;
    let mut resolved = resolve(call, operator, Overflow::Null)?;
    if resolved.coerced.iter().any(|t| t.is_numeric()) && resolved.return_type.is_numeric() {
        resolved.nullable = true;
        return Ok(resolved);
    }
    // Dates and intervals raise: the error becomes NULL row by row.
    let eval = resolved.eval.clone();
    let return_type = resolved.return_type.clone();
    let coerced = resolved.coerced.clone();
    let out = Resolved::new(coerced, return_type.clone(), true, move |inputs| match eval(inputs) {
        Ok(array) => Ok(array),
        Err(_) => row_by_row(inputs, &return_type, &eval),
    });
    Ok(out)
}

/// Evaluates each row alone; a row that fails is NULL.
fn row_by_row(
    inputs: &crate::Inputs,
    return_type: &DataType,
    eval: &crate::call::Eval,
) -> Result<arrow::array::ArrayRef> {
    use arrow::array::{Array, ArrayRef, new_null_array};
    use boathouse_bridge::{ResultExt, arrow_type};
    use datafusion::logical_expr::ColumnarValue;

    let columns = inputs.arrays()?;
    let null = new_null_array(&arrow_type(return_type), 1);
    let rows: Vec<ArrayRef> = (0..inputs.rows())
        .map(|row| {
            let values: Vec<ColumnarValue> =
                columns.iter().map(|c| ColumnarValue::Array(c.slice(row, 1))).collect();
            match eval(&crate::Inputs::new(&values, 1, inputs.context())) {
                Ok(value) => crate::scalar::conform(value, &arrow_type(return_type)),
                Err(_) => Ok(null.clone()),
            }
        })
        .collect::<Result<_>>()?;
    if rows.is_empty() {
        return Ok(null.slice(0, 0));
    }
    arrow::compute::concat(&rows.iter().map(|r| r.as_ref()).collect::<Vec<_>>()).spark()
}

fn resolve(call: &Call, operator: Operator, overflow: Overflow) -> Result<Resolved> {
    let (left, right) = (&call.args[0].data_type, &call.args[1].data_type);
    if let Some(resolved) = datetime::resolve(call, operator, left, right)? {
        return Ok(resolved);
    }
    let types = typing::operands(call, operator)?;
    match &types.computed {
        DataType::Byte | DataType::Short | DataType::Integer | DataType::Long => {
            integer::resolve(operator, overflow, types)
        }
        DataType::Float | DataType::Double => float::resolve(operator, overflow, types),
        DataType::Decimal { .. } => decimal::resolve(call, operator, overflow, types),
        _ => interval::resolve(call, operator, types),
    }
}
