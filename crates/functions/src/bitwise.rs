//! `& | ^ ~`, shifts, and the bits of a number.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use crate::apply::{map2, map2_result, number_rows};
use crate::coercion::tightest_common_type;
use crate::{Call, Registry, Resolved, Want};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["&"], |c| two(c, |a, b| a & b));
    r.scalar(&["|"], |c| two(c, |a, b| a | b));
    r.scalar(&["^"], |c| two(c, |a, b| a ^ b));
    r.scalar(&["~"], not);
    r.scalar(&["shiftleft", "<<"], |c| shift(c, i32::wrapping_shl, i64::wrapping_shl));
    r.scalar(&["shiftright", ">>"], |c| shift(c, i32::wrapping_shr, i64::wrapping_shr));
    r.scalar(&["shiftrightunsigned", ">>>"], |c| {
        shift(c, |v, n| (v as u32).wrapping_shr(n) as i32, |v, n| (v as u64).wrapping_shr(n) as i64)
    });
    r.scalar(&["bit_count"], bit_count);
    r.scalar(&["bit_get", "getbit"], bit_get);
    r.scalar(&["bitmap_bit_position"], |c| bitmap_place(c, false));
    r.scalar(&["bitmap_bucket_number"], |c| bitmap_place(c, true));
    r.scalar(&["bitmap_count"], bitmap_count);
}

fn differ(call: &Call) -> Error {
    let (left, right) = (&call.args[0].data_type, &call.args[1].data_type);
    Error::new("DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("left", format!("\"{}\"", left.sql()))
        .param("right", format!("\"{}\"", right.sql()))
        .message(format!(
            "Cannot resolve \"{}\": the operands have different types, \"{}\" and \"{}\".",
            call.sql(),
            left.sql(),
            right.sql()
        ))
}

fn wrong(call: &Call, t: &DataType) -> Error {
    Error::new("DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("inputType", "\"INTEGRAL\"")
        .param("actualDataType", format!("\"{}\"", t.sql()))
        .message(format!(
            "Cannot resolve \"{}\": the operands must be whole numbers, not \"{}\".",
            call.sql(),
            t.sql()
        ))
}

fn two(call: &Call, f: fn(i64, i64) -> i64) -> Result<Resolved> {
    call.arity(2..=2)?;
    let (left, right) = (&call.args[0].data_type, &call.args[1].data_type);
    let t = match (left, right) {
        (DataType::Null, DataType::Null) => DataType::Integer,
        // Under ANSI a string beside a whole number is one.
        (s, t) | (t, s) if s.is_string() && t.is_integral() && call.context.ansi => DataType::Long,
        (a, b) => {
            let t = tightest_common_type(a, b, call.context).ok_or_else(|| differ(call))?;
            if !t.is_integral() {
                return Err(if a == b || *a == DataType::Null || *b == DataType::Null {
                    wrong(call, &t)
                } else {
                    differ(call)
                });
            }
            t
        }
    };
    let coerced = vec![t.clone(); 2];
    let nullable = call.nullable_as(&coerced);
    let computed = t.clone();
    let shown = format!("({} {} {})", call.args[0].sql, call.name, call.args[1].sql);
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let rows = inputs.rows();
        macro_rules! run {
            ($type:ty, $native:ty) => {{
                let (a, b) = (inputs.numbers::<$type>(0)?, inputs.numbers::<$type>(1)?);
                let out: ArrayRef = Arc::new(map2::<$type, $type, $type>(&a, &b, rows, |a, b| {
                    f(i64::from(a), i64::from(b)) as $native
                }));
                out
            }};
        }
        Ok(match computed {
            DataType::Byte => run!(Int8Type, i8),
            DataType::Short => run!(Int16Type, i16),
            DataType::Integer => run!(Int32Type, i32),
            _ => run!(Int64Type, i64),
        })
    })
    .shown_bare(shown))
}

fn not(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let t = match &call.args[0].data_type {
        t if t.is_integral() => t.clone(),
        DataType::Null => DataType::Integer,
        _ => {
            let arg = &call.args[0];
            return Err(Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
                .param("sqlExpr", format!("\"~{}\"", arg.sql))
                .param("paramIndex", "first")
                .param("inputSql", format!("\"{}\"", arg.sql))
                .param("inputType", format!("\"{}\"", arg.data_type.sql()))
                .param("requiredType", "\"INTEGRAL\"")
                .message(format!("Cannot resolve \"~{}\": the operand must be a whole number.", arg.sql)));
        }
    };
    let nullable = call.args[0].nullable;
    let shown = format!("~{}", call.args[0].sql);
    Ok(Resolved::new(vec![t.clone()], t, nullable, |inputs| {
        let array = inputs.array(0)?;
        fn run<T: ArrowPrimitiveType>(array: &ArrayRef, f: impl Fn(T::Native) -> T::Native) -> ArrayRef {
            Arc::new(array.as_primitive::<T>().unary::<_, T>(f))
        }
        Ok(match array.data_type() {
            arrow::datatypes::DataType::Int8 => run::<Int8Type>(&array, |v| !v),
            arrow::datatypes::DataType::Int16 => run::<Int16Type>(&array, |v| !v),
            arrow::datatypes::DataType::Int32 => run::<Int32Type>(&array, |v| !v),
            _ => run::<Int64Type>(&array, |v| !v),
        })
    })
    .shown_bare(shown))
}

/// The distance counts modulo the width, as Java's shifts.
fn shift(call: &Call, int: fn(i32, u32) -> i32, long: fn(i64, u32) -> i64) -> Result<Resolved> {
    call.arity(2..=2)?;
    let value = Want::one_of([Want::INT, Want::LONG]);
    let coerced = call.want(&[value, Want::INT])?;
    let t = coerced[0].clone();
    let nullable = call.nullable_as(&coerced);
    let computed = t.clone();
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let distance = inputs.numbers::<Int32Type>(1)?;
        let rows = inputs.rows();
        let out: ArrayRef = match computed {
            DataType::Long => Arc::new(map2::<_, _, Int64Type>(
                &inputs.numbers::<Int64Type>(0)?,
                &distance,
                rows,
                |v, n| long(v, n as u32),
            )),
            _ => Arc::new(map2::<_, _, Int32Type>(
                &inputs.numbers::<Int32Type>(0)?,
                &distance,
                rows,
                |v, n| int(v, n as u32),
            )),
        };
        Ok(out)
    });
    Ok(match call.name.starts_with('s') {
        true => resolved,
        false => resolved.shown_bare(format!("({} {} {})", call.args[0].sql, call.name, call.args[1].sql)),
    })
}

fn bit_count(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call
        .want(&[Want::one_of([Want::Integral, Want::BOOLEAN])])
        .map_err(|_| call.unexpected_input(0, "(\"INTEGRAL\" or \"BOOLEAN\")"))?;
    let nullable = call.args[0].nullable;
    let t = coerced[0].clone();
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let rows = inputs.rows();
        macro_rules! run {
            ($type:ty) => {{
                let column = inputs.numbers::<$type>(0)?;
                // Smaller types count the bits of the number as a LONG, sign and all.
                number_rows::<Int32Type>(rows, |row| {
                    Ok(column.get(row).map(|v| i64::from(v).count_ones() as i32))
                })?
            }};
        }
        let out = match t {
            DataType::Boolean => {
                let column = inputs.flags(0)?;
                number_rows::<Int32Type>(rows, |row| Ok(column.get(row).map(i32::from)))?
            }
            DataType::Byte => run!(Int8Type),
            DataType::Short => run!(Int16Type),
            DataType::Integer => run!(Int32Type),
            _ => run!(Int64Type),
        };
        Ok(Arc::new(out))
    }))
}

fn bit_get(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Integral, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let t = coerced[0].clone();
    let bits = match t {
        DataType::Byte => 8,
        DataType::Short => 16,
        DataType::Integer => 32,
        _ => 64,
    };
    Ok(Resolved::new(coerced, DataType::Byte, nullable, move |inputs| {
        let places = inputs.numbers::<Int32Type>(1)?;
        let rows = inputs.rows();
        macro_rules! run {
            ($type:ty) => {
                map2_result::<$type, Int32Type, Int8Type>(
                    &inputs.numbers::<$type>(0)?,
                    &places,
                    rows,
                    |v, place| {
                        if !(0..bits).contains(&place) {
                            return Err(Error::new("INVALID_PARAMETER_VALUE.BIT_POSITION_RANGE")
                                .param("functionName", "`bit_get`")
                                .param("parameter", "`pos`")
                                .param("upper", bits)
                                .param("invalidValue", place)
                                .message(format!(
                                    "`bit_get`: the position {place} is not among the {bits} bits."
                                )));
                        }
                        Ok(Some((i64::from(v) >> place & 1) as i8))
                    },
                )?
            };
        }
        Ok(Arc::new(match t {
            DataType::Byte => run!(Int8Type),
            DataType::Short => run!(Int16Type),
            DataType::Integer => run!(Int32Type),
            _ => run!(Int64Type),
        }))
    }))
}

/// Bits of one bitmap of `bitmap_construct_agg`.
const BITMAP_BITS: i64 = 8 * 4096;

fn bitmap_place(call: &Call, bucket: bool) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::LONG])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Long, nullable, move |inputs| {
        let out = inputs.primitives::<Int64Type>(0)?.unary::<_, Int64Type>(|v| match (bucket, v > 0) {
            (true, true) => 1 + (v - 1) / BITMAP_BITS,
            (true, false) => v / BITMAP_BITS,
            (false, true) => (v - 1) % BITMAP_BITS,
            (false, false) => v.wrapping_neg() % BITMAP_BITS,
        });
        Ok(Arc::new(out))
    }))
}

fn bitmap_count(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    if call.args[0].data_type != DataType::Binary {
        return Err(call.unexpected_input(0, "\"BINARY\""));
    }
    Ok(Resolved::new(vec![DataType::Binary], DataType::Long, call.args[0].nullable, |inputs| {
        let bytes = inputs.bytes(0)?;
        let out = number_rows::<Int64Type>(inputs.rows(), |row| {
            Ok(bytes.get(row).map(|b| b.iter().map(|byte| i64::from(byte.count_ones())).sum()))
        })?;
        Ok(Arc::new(out))
    }))
}
