//! Casts between numbers and booleans.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use boathouse_bridge::{from_arrow, to_arrow};
use boathouse_spec::{DataType, Error, Result};
use num_traits::AsPrimitive;

use super::failure::{
    decimal_sql, decimal_text, double_sql, float_sql, integer_sql, out_of_decimal, overflow, plain_double,
};
use super::{Mode, decimal};

/// Applies `f` to every value: what fails is an error under ANSI and NULL otherwise.
pub fn convert<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    array: &PrimitiveArray<I>,
    mode: Mode,
    f: impl Fn(I::Native) -> Option<O::Native>,
    failure: impl Fn(I::Native) -> Error,
) -> Result<PrimitiveArray<O>> {
    if mode == Mode::Ansi {
        array.try_unary(|v| f(v).ok_or_else(|| to_arrow(failure(v)))).map_err(from_arrow)
    } else {
        Ok(array.unary_opt(f))
    }
}

/// A column of the Arrow type `T`.
pub fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    array
        .as_primitive_opt::<T>()
        .ok_or_else(|| Error::internal(format!("{} where {} was expected", array.data_type(), T::DATA_TYPE)))
}

pub fn boolean(array: &ArrayRef) -> Result<&BooleanArray> {
    array
        .as_boolean_opt()
        .ok_or_else(|| Error::internal(format!("{} where a boolean was expected", array.data_type())))
}

/// Casts one number type to another.
pub fn cast_number(array: &ArrayRef, from: &DataType, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    match from {
        DataType::Byte => from_integer(primitive::<Int8Type>(array)?, from, to, mode),
        DataType::Short => from_integer(primitive::<Int16Type>(array)?, from, to, mode),
        DataType::Integer => from_integer(primitive::<Int32Type>(array)?, from, to, mode),
        DataType::Long => from_integer(primitive::<Int64Type>(array)?, from, to, mode),
        DataType::Float => from_float(primitive::<Float32Type>(array)?, from, to, mode, float_sql),
        DataType::Double => from_float(primitive::<Float64Type>(array)?, from, to, mode, double_sql),
        DataType::Decimal { scale, .. } => {
            from_decimal(primitive::<Decimal128Type>(array)?, *scale, from, to, mode)
        }
        DataType::Boolean => from_boolean(boolean(array)?, to, mode),
        other => Err(Error::internal(format!("{} is no number", other.sql()))),
    }
}

fn with_decimal_type(array: Decimal128Array, precision: u8, scale: u8) -> Result<ArrayRef> {
    Ok(Arc::new(array.with_precision_and_scale(precision, scale as i8).map_err(from_arrow)?))
}

fn not_a_number(to: &DataType) -> Error {
    Error::internal(format!("no cast of a number to {}", to.sql()))
}

fn from_integer<I>(array: &PrimitiveArray<I>, from: &DataType, to: &DataType, mode: Mode) -> Result<ArrayRef>
where
    I: ArrowPrimitiveType,
    I::Native: AsPrimitive<i64>,
{
    // Legacy narrows as Java does, by cutting bits off.
    macro_rules! narrow {
        ($type:ty, $native:ty) => {{
            if mode == Mode::Legacy {
                Arc::new(array.unary::<_, $type>(|v| AsPrimitive::<i64>::as_(v) as $native))
            } else {
                Arc::new(convert::<I, $type>(
                    array,
                    mode,
                    |v| <$native>::try_from(AsPrimitive::<i64>::as_(v)).ok(),
                    |v| overflow(&integer_sql(v.as_(), from), from, to),
                )?)
            }
        }};
    }
    Ok(match to {
        DataType::Boolean => {
            let values = array.values().iter().map(|v| AsPrimitive::<i64>::as_(*v) != 0).collect();
            Arc::new(BooleanArray::new(values, array.nulls().cloned()))
        }
        DataType::Byte => narrow!(Int8Type, i8),
        DataType::Short => narrow!(Int16Type, i16),
        DataType::Integer => narrow!(Int32Type, i32),
        DataType::Long => Arc::new(array.unary::<_, Int64Type>(|v| v.as_())),
        DataType::Float => Arc::new(array.unary::<_, Float32Type>(|v| AsPrimitive::<i64>::as_(v) as f32)),
        DataType::Double => Arc::new(array.unary::<_, Float64Type>(|v| AsPrimitive::<i64>::as_(v) as f64)),
        DataType::Decimal { precision, scale } => {
            let out = convert::<I, Decimal128Type>(
                array,
                mode,
                |v| decimal::rescale(i128::from(AsPrimitive::<i64>::as_(v)), 0, *precision, *scale),
                |v| out_of_decimal(&AsPrimitive::<i64>::as_(v).to_string(), *precision, *scale),
            )?;
            with_decimal_type(out, *precision, *scale)?
        }
        other => return Err(not_a_number(other)),
    })
}

fn from_float<I>(
    array: &PrimitiveArray<I>,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    sql: fn(I::Native) -> String,
) -> Result<ArrayRef>
where
    I: ArrowPrimitiveType,
    I::Native: AsPrimitive<f64> + AsPrimitive<f32>,
{
    // Legacy: Java's conversion, which `as` is too: NaN is 0, what is too large is the largest. Bytes and shorts are
    // cut from the int.
    macro_rules! integer {
        ($type:ty, $native:ty, $java:expr) => {{
            if mode == Mode::Legacy {
                Arc::new(array.unary::<_, $type>(|v| $java(AsPrimitive::<f64>::as_(v))))
            } else {
                Arc::new(convert::<I, $type>(
                    array,
                    mode,
                    |v| {
                        let v: f64 = v.as_();
                        (v.floor() <= <$native>::MAX as f64 && v.ceil() >= <$native>::MIN as f64)
                            .then_some(v as $native)
                    },
                    |v| overflow(&sql(v), from, to),
                )?)
            }
        }};
    }
    Ok(match to {
        DataType::Boolean => {
            let values = array.values().iter().map(|v| AsPrimitive::<f64>::as_(*v) != 0.0).collect();
            Arc::new(BooleanArray::new(values, array.nulls().cloned()))
        }
        DataType::Byte => integer!(Int8Type, i8, |v: f64| v as i32 as i8),
        DataType::Short => integer!(Int16Type, i16, |v: f64| v as i32 as i16),
        DataType::Integer => integer!(Int32Type, i32, |v: f64| v as i32),
        DataType::Long => integer!(Int64Type, i64, |v: f64| v as i64),
        DataType::Float => Arc::new(array.unary::<_, Float32Type>(|v| v.as_())),
        DataType::Double => Arc::new(array.unary::<_, Float64Type>(|v| v.as_())),
        DataType::Decimal { precision, scale } => {
            let buffer = std::cell::RefCell::new(String::new());
            let out = convert::<I, Decimal128Type>(
                array,
                // A value that is no number is NULL in every mode.
                Mode::Try,
                |v| decimal::from_double(v.as_(), *precision, *scale, &mut buffer.borrow_mut()),
                |_| Error::internal("unused"),
            )?;
            if mode == Mode::Ansi && out.null_count() > array.null_count() {
                for (i, v) in array.iter().enumerate() {
                    if let Some(v) = v
                        && out.is_null(i)
                        && AsPrimitive::<f64>::as_(v).is_finite()
                    {
                        return Err(out_of_decimal(&plain_double(v.as_()), *precision, *scale));
                    }
                }
            }
            with_decimal_type(out, *precision, *scale)?
        }
        other => return Err(not_a_number(other)),
    })
}

fn from_decimal(
    array: &Decimal128Array,
    from_scale: u8,
    from: &DataType,
    to: &DataType,
    mode: Mode,
) -> Result<ArrayRef> {
    let unit = decimal::POWERS[usize::from(from_scale.min(38))];
    macro_rules! integer {
        ($type:ty, $native:ty) => {{
            if mode == Mode::Legacy {
                Arc::new(array.unary::<_, $type>(|v| (v / unit) as i64 as $native))
            } else {
                Arc::new(convert::<Decimal128Type, $type>(
                    array,
                    mode,
                    |v| <$native>::try_from(v / unit).ok(),
                    |v| overflow(&decimal_sql(v, from_scale), from, to),
                )?)
            }
        }};
    }
    let buffer = std::cell::RefCell::new(String::new());
    let double = |v: i128| decimal::to_double(v, from_scale, &mut buffer.borrow_mut());
    Ok(match to {
        DataType::Boolean => {
            let values = array.values().iter().map(|v| *v != 0).collect();
            Arc::new(BooleanArray::new(values, array.nulls().cloned()))
        }
        DataType::Byte => integer!(Int8Type, i8),
        DataType::Short => integer!(Int16Type, i16),
        DataType::Integer => integer!(Int32Type, i32),
        DataType::Long => integer!(Int64Type, i64),
        DataType::Float => Arc::new(array.unary::<_, Float32Type>(|v| double(v) as f32)),
        DataType::Double => Arc::new(array.unary::<_, Float64Type>(double)),
        DataType::Decimal { precision, scale } => {
            let out = if super::is_up_cast(from, to) {
                let factor = decimal::POWERS[usize::from(scale - from_scale)];
                array.unary::<_, Decimal128Type>(|v| v.wrapping_mul(factor))
            } else {
                convert::<Decimal128Type, Decimal128Type>(
                    array,
                    mode,
                    |v| decimal::rescale(v, from_scale, *precision, *scale),
                    |v| out_of_decimal(&decimal_text(v, from_scale), *precision, *scale),
                )?
            };
            with_decimal_type(out, *precision, *scale)?
        }
        other => return Err(not_a_number(other)),
    })
}

fn from_boolean(array: &BooleanArray, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    fn numbers<T: ArrowPrimitiveType>(array: &BooleanArray, one: T::Native) -> PrimitiveArray<T>
    where
        T::Native: Default,
    {
        let values: Vec<T::Native> =
            array.values().iter().map(|v| if v { one } else { T::Native::default() }).collect();
        PrimitiveArray::new(values.into(), array.nulls().cloned())
    }
    Ok(match to {
        DataType::Boolean => Arc::new(array.clone()),
        DataType::Byte => Arc::new(numbers::<Int8Type>(array, 1)),
        DataType::Short => Arc::new(numbers::<Int16Type>(array, 1)),
        DataType::Integer => Arc::new(numbers::<Int32Type>(array, 1)),
        DataType::Long => Arc::new(numbers::<Int64Type>(array, 1)),
        DataType::Float => Arc::new(numbers::<Float32Type>(array, 1.0)),
        DataType::Double => Arc::new(numbers::<Float64Type>(array, 1.0)),
        DataType::Decimal { precision, scale } => {
            let one = decimal::POWERS[usize::from(*scale)];
            if !decimal::fits(one, *precision) {
                if mode == Mode::Ansi && array.true_count() > 0 {
                    return Err(out_of_decimal("1", *precision, *scale));
                }
                let ones: BooleanArray = array.iter().map(|v| v.filter(|v| !v)).collect();
                return with_decimal_type(numbers::<Decimal128Type>(&ones, 0), *precision, *scale);
            }
            with_decimal_type(numbers::<Decimal128Type>(array, one), *precision, *scale)?
        }
        other => return Err(not_a_number(other)),
    })
}

/// Integers as big-endian bytes (a cast that exists without ANSI only).
pub fn to_binary(array: &ArrayRef, from: &DataType) -> Result<ArrayRef> {
    fn bytes<T: ArrowPrimitiveType, const N: usize>(
        array: &PrimitiveArray<T>,
        write: impl Fn(T::Native) -> [u8; N],
    ) -> ArrayRef {
        Arc::new(array.iter().map(|v| v.map(&write)).collect::<BinaryArray>())
    }
    Ok(match from {
        DataType::Byte => bytes(primitive::<Int8Type>(array)?, i8::to_be_bytes),
        DataType::Short => bytes(primitive::<Int16Type>(array)?, i16::to_be_bytes),
        DataType::Integer => bytes(primitive::<Int32Type>(array)?, i32::to_be_bytes),
        DataType::Long => bytes(primitive::<Int64Type>(array)?, i64::to_be_bytes),
        other => return Err(Error::internal(format!("no cast of {} to BINARY", other.sql()))),
    })
}
