//! Values of plans as literals of `spec`.

use arrow::array::{Array, ArrayRef, AsArray};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Expr, Interval, Literal, Result};
use datafusion::scalar::ScalarValue;

/// A value of a Spark type as a literal.
pub(crate) fn from_scalar(value: &ScalarValue, data_type: &DataType) -> Result<Literal> {
    if value.is_null() {
        return Ok(Literal::Null(data_type.clone()));
    }
    Ok(match (value, data_type) {
        (ScalarValue::Boolean(Some(v)), _) => Literal::Boolean(*v),
        (ScalarValue::Int8(Some(v)), _) => Literal::Byte(*v),
        (ScalarValue::Int16(Some(v)), _) => Literal::Short(*v),
        (ScalarValue::Int32(Some(v)), _) => Literal::Integer(*v),
        (ScalarValue::Int64(Some(v)), _) => Literal::Long(*v),
        (ScalarValue::Float32(Some(v)), _) => Literal::Float(*v),
        (ScalarValue::Float64(Some(v)), _) => Literal::Double(*v),
        (ScalarValue::Decimal128(Some(v), precision, scale), _) => {
            Literal::Decimal { unscaled: *v, precision: *precision, scale: u8::try_from(*scale).unwrap_or(0) }
        }
        (
            ScalarValue::Utf8(Some(v)) | ScalarValue::LargeUtf8(Some(v)) | ScalarValue::Utf8View(Some(v)),
            _,
        ) => Literal::String(v.clone()),
        (
            ScalarValue::Binary(Some(v))
            | ScalarValue::LargeBinary(Some(v))
            | ScalarValue::BinaryView(Some(v)),
            _,
        ) => Literal::Binary(v.clone()),
        (ScalarValue::Date32(Some(v)), _) => Literal::Date(*v),
        (ScalarValue::Time64Nanosecond(Some(v)), t) => Literal::Time {
            nanoseconds: *v,
            precision: match t {
                DataType::Time { precision } => *precision,
                _ => 6,
            },
        },
        (ScalarValue::TimestampMicrosecond(Some(v), Some(_)), _) => Literal::Timestamp(*v),
        (ScalarValue::TimestampMicrosecond(Some(v), None), _) => Literal::TimestampNtz(*v),
        (ScalarValue::IntervalYearMonth(Some(v)), t) => {
            Literal::YearMonthInterval { months: *v, data_type: t.clone() }
        }
        (ScalarValue::DurationMicrosecond(Some(v)), t) => {
            Literal::DayTimeInterval { microseconds: *v, data_type: t.clone() }
        }
        (ScalarValue::IntervalMonthDayNano(Some(v)), _) => Literal::CalendarInterval(Interval {
            months: v.months,
            days: v.days,
            microseconds: v.nanoseconds / 1000,
        }),
        (ScalarValue::List(list), DataType::Array { element, .. }) => {
            Literal::Array { element_type: (**element).clone(), values: all(&list.value(0), element)? }
        }
        (ScalarValue::Map(map), DataType::Map { key, value, .. }) => {
            let entries = map.value(0);
            Literal::Map {
                key_type: (**key).clone(),
                value_type: (**value).clone(),
                keys: all(entries.column(0), key)?,
                values: all(entries.column(1), value)?,
            }
        }
        (ScalarValue::Struct(row), DataType::Struct(s)) => {
            let mut values = Vec::with_capacity(s.fields.len());
            for (field, column) in s.fields.iter().zip(row.columns()) {
                values.extend(all(column, &field.data_type)?);
            }
            Literal::Struct { fields: s.fields.clone(), values }
        }
        (other, t) => {
            return Err(Error::unsupported(format!(
                "a parameter or variable of the type {} ({})",
                t.sql(),
                other.data_type()
            )));
        }
    })
}

/// A value of a Spark type as SQL writes it: a literal, with COLLATE where its type has a collation.
pub(crate) fn written(value: &ScalarValue, data_type: &DataType) -> Result<Expr> {
    let literal = Expr::Literal(from_scalar(value, data_type)?);
    Ok(match data_type {
        DataType::String { collation: Some(name) } if !value.is_null() => {
            Expr::operator("collate", vec![literal, Expr::string(name.clone())])
        }
        _ => literal,
    })
}

/// Whether an expression is a value as [`written`] gives it.
pub(crate) fn is_written(expr: &Expr) -> bool {
    let is_literal = |e: &Expr| matches!(e, Expr::Literal(_));
    match expr {
        Expr::Call(call) => call.is_operator && call.name == ["collate"] && call.args.iter().all(is_literal),
        other => is_literal(other),
    }
}

fn all(array: &ArrayRef, data_type: &DataType) -> Result<Vec<Literal>> {
    (0..array.len())
        .map(|i| from_scalar(&ScalarValue::try_from_array(array, i).spark()?, data_type))
        .collect()
}

/// The text of a string value.
pub(crate) fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    let strings = array.as_string_opt::<i32>()?;
    strings.is_valid(row).then(|| strings.value(row))
}
