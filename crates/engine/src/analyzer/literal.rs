//! Literals: values, and the names Spark gives them.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as ArrowType, IntervalMonthDayNano};
use boathouse_bridge::{ResultExt, arrow_type, from_datafusion};
use boathouse_functions::cast::{self, Mode};
use boathouse_spec::{DataType, Error, Literal, Result};
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::TypedExpr;

impl Analyzer {
    pub(super) fn literal(&mut self, literal: &Literal) -> Result<TypedExpr> {
        let value = self.literal_value(literal)?;
        let data_type = match literal {
            Literal::String(_) => self.string_type(),
            other => other.data_type(),
        };
        let name = self.literal_name(literal, &value, &data_type)?;
        Ok(TypedExpr::new(Expr::Literal(value, None), data_type, literal.is_null(), name))
    }

    /// The Arrow scalar of a literal.
    pub(super) fn literal_value(&mut self, literal: &Literal) -> Result<ScalarValue> {
        Ok(match literal {
            Literal::Null(t) => ScalarValue::try_from(&arrow_type(t)).map_err(from_datafusion)?,
            Literal::Boolean(v) => ScalarValue::Boolean(Some(*v)),
            Literal::Byte(v) => ScalarValue::Int8(Some(*v)),
            Literal::Short(v) => ScalarValue::Int16(Some(*v)),
            Literal::Integer(v) => ScalarValue::Int32(Some(*v)),
            Literal::Long(v) => ScalarValue::Int64(Some(*v)),
            Literal::Float(v) => ScalarValue::Float32(Some(*v)),
            Literal::Double(v) => ScalarValue::Float64(Some(*v)),
            Literal::Decimal { unscaled, precision, scale } => {
                ScalarValue::Decimal128(Some(*unscaled), *precision, *scale as i8)
            }
            Literal::String(v) => ScalarValue::Utf8(Some(v.clone())),
            Literal::Binary(v) => ScalarValue::Binary(Some(v.clone())),
            Literal::Date(v) => ScalarValue::Date32(Some(*v)),
            Literal::Time { nanoseconds, .. } => ScalarValue::Time64Nanosecond(Some(*nanoseconds)),
            Literal::Timestamp(v) => {
                ScalarValue::TimestampMicrosecond(Some(*v), Some(boathouse_bridge::UTC.into()))
            }
            Literal::TimestampNtz(v) => ScalarValue::TimestampMicrosecond(Some(*v), None),
            Literal::TimestampText(text) => {
                let array: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![text.as_str()]));
                let cast =
                    cast::cast(&array, &DataType::STRING, &DataType::Timestamp, Mode::Ansi, &self.context)
                        .map_err(|_| {
                            Error::new("INVALID_TYPED_LITERAL")
                                .param("valueType", "\"TIMESTAMP\"")
                                .param("value", format!("'{text}'"))
                                .exception("ParseException")
                                .message(format!("'{text}' is no TIMESTAMP."))
                        })?;
                ScalarValue::try_from_array(&cast, 0).spark()?
            }
            Literal::CalendarInterval(i) => {
                let nanos = i.microseconds.checked_mul(1000).ok_or_else(|| {
                    Error::new("INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION")
                        .message("The interval is too long.")
                })?;
                ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(i.months, i.days, nanos)))
            }
            Literal::YearMonthInterval { months, .. } => ScalarValue::IntervalYearMonth(Some(*months)),
            Literal::DayTimeInterval { microseconds, .. } => {
                ScalarValue::DurationMicrosecond(Some(*microseconds))
            }
            Literal::Array { element_type, values } => {
                let ArrowType::List(field) = arrow_type(&literal.data_type()) else {
                    return Err(Error::internal("an array literal without a list type"));
                };
                let items = self.literal_array(element_type, values)?;
                let offsets = OffsetBuffer::from_lengths([items.len()]);
                let list = ListArray::try_new(field, offsets, items, None).spark()?;
                ScalarValue::List(Arc::new(list))
            }
            Literal::Map { key_type, value_type, keys, values } => {
                let ArrowType::Map(field, _) = arrow_type(&literal.data_type()) else {
                    return Err(Error::internal("a map literal without a map type"));
                };
                let ArrowType::Struct(fields) = field.data_type() else {
                    return Err(Error::internal("a map literal without entries"));
                };
                let keys = self.literal_array(key_type, keys)?;
                let values = self.literal_array(value_type, values)?;
                let offsets = OffsetBuffer::from_lengths([keys.len()]);
                let entries = StructArray::try_new(fields.clone(), vec![keys, values], None).spark()?;
                ScalarValue::Map(Arc::new(
                    MapArray::try_new(Arc::clone(&field), offsets, entries, None, false).spark()?,
                ))
            }
            Literal::Struct { values, .. } => {
                let ArrowType::Struct(fields) = arrow_type(&literal.data_type()) else {
                    return Err(Error::internal("a struct literal without fields"));
                };
                let mut columns = Vec::with_capacity(values.len());
                for (value, field) in values.iter().zip(&fields) {
                    let array = self.literal_value(value)?.to_array().spark()?;
                    columns.push(boathouse_functions::conform(array, field.data_type())?);
                }
                if columns.is_empty() {
                    return Ok(ScalarValue::Struct(Arc::new(StructArray::new_empty_fields(1, None))));
                }
                ScalarValue::Struct(Arc::new(StructArray::try_new(fields, columns, None).spark()?))
            }
        })
    }

    fn literal_array(&mut self, element: &DataType, values: &[Literal]) -> Result<ArrayRef> {
        let wanted = arrow_type(element);
        if values.is_empty() {
            return Ok(arrow::array::new_empty_array(&wanted));
        }
        let arrays = values
            .iter()
            .map(|v| {
                let array = self.literal_value(v)?.to_array().spark()?;
                boathouse_functions::conform(array, &wanted)
            })
            .collect::<Result<Vec<_>>>()?;
        arrow::compute::concat(&arrays.iter().map(|a| a.as_ref()).collect::<Vec<_>>()).spark()
    }

    fn literal_name(&self, literal: &Literal, value: &ScalarValue, data_type: &DataType) -> Result<String> {
        let text = |value: &ScalarValue| -> Result<String> {
            let array = value.to_array().spark()?;
            // Decimals are shown as Java writes them, with an exponent where they are small.
            let mut context = self.context.clone();
            context.ansi = context.ansi && !matches!(data_type, DataType::Decimal { .. });
            let strings = cast::cast(&array, data_type, &DataType::STRING, Mode::Legacy, &context)?;
            Ok(match ScalarValue::try_from_array(&strings, 0).spark()? {
                ScalarValue::Utf8(Some(s)) => s,
                _ => "NULL".into(),
            })
        };
        Ok(match literal {
            Literal::Null(_) => "NULL".into(),
            Literal::String(s) => s.clone(),
            Literal::Boolean(b) => b.to_string(),
            Literal::Byte(n) => n.to_string(),
            Literal::Short(n) => n.to_string(),
            Literal::Integer(n) => n.to_string(),
            Literal::Long(n) => n.to_string(),
            Literal::Binary(b) => format!("X'{}'", b.iter().map(|x| format!("{x:02X}")).collect::<String>()),
            Literal::Date(_) => format!("DATE '{}'", text(value)?),
            Literal::Time { .. } => format!("TIME '{}'", text(value)?),
            Literal::Timestamp(_) | Literal::TimestampText(_) => format!("TIMESTAMP '{}'", text(value)?),
            Literal::TimestampNtz(_) => format!("TIMESTAMP_NTZ '{}'", text(value)?),
            Literal::CalendarInterval(_) => format!("INTERVAL '{}'", text(value)?),
            Literal::Array { values, .. } => {
                let mut names = Vec::new();
                for v in values {
                    names.push(self.nested_name(v)?);
                }
                format!("array({})", names.join(", "))
            }
            Literal::Map { keys, values, .. } => {
                let mut names = Vec::new();
                for (k, v) in keys.iter().zip(values) {
                    names.push(self.nested_name(k)?);
                    names.push(self.nested_name(v)?);
                }
                format!("map({})", names.join(", "))
            }
            Literal::Struct { fields, values } => {
                let mut names = Vec::new();
                for (f, v) in fields.iter().zip(values) {
                    names.push(f.name.clone());
                    names.push(self.nested_name(v)?);
                }
                format!("named_struct({})", names.join(", "))
            }
            _ => text(value)?,
        })
    }

    fn nested_name(&self, literal: &Literal) -> Result<String> {
        match literal {
            Literal::Array { .. } | Literal::Map { .. } | Literal::Struct { .. } => {
                Ok(literal.data_type().simple_string())
            }
            simple => {
                let mut probe = Analyzer::new(Arc::clone(&self.session))?;
                let value = probe.literal_value(simple)?;
                self.literal_name(simple, &value, &simple.data_type())
            }
        }
    }
}
