//! Literals, both ways.

use boathouse_spec::{DataType, Error, Interval, Literal, Result, StructField};

use super::data_type::{
    data_type_from_proto, data_type_to_proto, decimal, struct_from_proto, time_precision,
};
use super::{invalid_plan, not_set};
use crate::proto::spark::data_type::Kind;
use crate::proto::spark::expression::literal::{self as proto, LiteralType, specialized_array};
use crate::proto::spark::{self, expression};

/// A literal; nested values take their type from the outermost one where the client gave it only there.
pub fn literal_from_proto(message: expression::Literal) -> Result<Literal> {
    convert(message, None)
}

fn convert(message: expression::Literal, expected: Option<&DataType>) -> Result<Literal> {
    let declared = message.data_type.map(data_type_from_proto).transpose()?;
    let expected = declared.as_ref().or(expected);
    let value = message
        .literal_type
        .ok_or_else(|| not_set("spark.connect.Expression.Literal", "LITERALTYPE_NOT_SET"))?;
    Ok(match value {
        LiteralType::Null(t) => Literal::Null(match (t.kind, expected) {
            (None | Some(Kind::Null(_)), Some(expected)) => expected.clone(),
            (None, None) => DataType::Null,
            (kind, _) => data_type_from_proto(spark::DataType { kind })?,
        }),
        LiteralType::Binary(bytes) => Literal::Binary(bytes),
        LiteralType::Boolean(b) => Literal::Boolean(b),
        LiteralType::Byte(n) => Literal::Byte(i8::try_from(n).map_err(|_| out_of_range("BYTE", n))?),
        LiteralType::Short(n) => Literal::Short(i16::try_from(n).map_err(|_| out_of_range("SHORT", n))?),
        LiteralType::Integer(n) => Literal::Integer(n),
        LiteralType::Long(n) => Literal::Long(n),
        LiteralType::Float(n) => Literal::Float(n),
        LiteralType::Double(n) => Literal::Double(n),
        LiteralType::Decimal(d) => decimal_literal(&d)?,
        LiteralType::String(s) => Literal::String(s),
        LiteralType::Date(days) => Literal::Date(days),
        LiteralType::Timestamp(us) => Literal::Timestamp(us),
        LiteralType::TimestampNtz(us) => Literal::TimestampNtz(us),
        LiteralType::CalendarInterval(i) => Literal::CalendarInterval(Interval {
            months: i.months,
            days: i.days,
            microseconds: i.microseconds,
        }),
        LiteralType::YearMonthInterval(months) => {
            let data_type = expected.cloned().unwrap_or(DataType::YEAR_MONTH);
            Literal::YearMonthInterval { months, data_type }
        }
        LiteralType::DayTimeInterval(microseconds) => {
            let data_type = expected.cloned().unwrap_or(DataType::DAY_TIME);
            Literal::DayTimeInterval { microseconds, data_type }
        }
        LiteralType::Time(t) => {
            Literal::Time { nanoseconds: t.nano, precision: time_precision(t.precision)? }
        }
        LiteralType::Array(a) => array_literal(a, expected)?,
        LiteralType::Map(m) => map_literal(m, expected)?,
        LiteralType::Struct(s) => struct_literal(s, expected)?,
        LiteralType::SpecializedArray(a) => specialized_literal(a)?,
    })
}

fn out_of_range(t: &str, value: i32) -> Error {
    invalid_plan("INCOMPATIBLE_LITERAL_DATA_TYPE")
        .param("dataTypeKindCase", t)
        .param("literalTypeCase", value)
        .message(format!("The value {value} does not fit the literal's type {t}."))
}

/// The value keeps its digits; the type is at least as wide as declared (`lit(Decimal("1.1"))` declares (10, 0)).
fn decimal_literal(d: &proto::Decimal) -> Result<Literal> {
    let malformed = || {
        invalid_plan("ASSERTION_FAILURE")
            .param("message", format!("`{}` is no decimal number", d.value))
            .message(format!("The decimal literal `{}` is no decimal number of at most 38 digits.", d.value))
    };
    let text = d.value.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| malformed())?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed());
    }
    let mut unscaled = all.parse::<i128>().map_err(|_| malformed())?;
    let mut scale =
        i32::try_from(fraction.len()).ok().and_then(|n| n.checked_sub(exponent)).ok_or_else(malformed)?;
    if scale < 0 {
        let power = 10i128.checked_pow(scale.unsigned_abs()).ok_or_else(malformed)?;
        unscaled = unscaled.checked_mul(power).ok_or_else(malformed)?;
        scale = 0;
    }
    let precision = (unscaled.checked_ilog10().map_or(1, |n| n as i32 + 1)).max(scale);
    let wanted_scale = scale.max(d.scale.unwrap_or(0));
    let wanted_precision = precision.max(d.precision.unwrap_or(0)).max(wanted_scale);
    let power = 10i128.checked_pow((wanted_scale - scale) as u32).ok_or_else(malformed)?;
    unscaled = unscaled.checked_mul(power).ok_or_else(malformed)?;
    match decimal(wanted_precision, wanted_scale)? {
        DataType::Decimal { precision, scale } => {
            Ok(Literal::Decimal { unscaled: sign * unscaled, precision, scale })
        }
        _ => Err(malformed()),
    }
}

fn array_literal(a: proto::Array, expected: Option<&DataType>) -> Result<Literal> {
    let declared = match (a.element_type, expected) {
        (Some(t), _) => Some(data_type_from_proto(t)?),
        (None, Some(DataType::Array { element, .. })) => Some(element.as_ref().clone()),
        (None, _) => None,
    };
    let values = convert_all(a.elements, declared.as_ref())?;
    let element_type = declared
        .or_else(|| common_type(&values))
        .ok_or_else(|| untyped("ARRAY_LITERAL_MISSING_DATA_TYPE", "array"))?;
    Ok(Literal::Array { element_type, values })
}

fn map_literal(m: proto::Map, expected: Option<&DataType>) -> Result<Literal> {
    let (key, value) = match expected {
        Some(DataType::Map { key, value, .. }) => (Some(key.as_ref().clone()), Some(value.as_ref().clone())),
        _ => (None, None),
    };
    let key = m.key_type.map(data_type_from_proto).transpose()?.or(key);
    let value = m.value_type.map(data_type_from_proto).transpose()?.or(value);
    if m.keys.len() != m.values.len() {
        return Err(invalid_plan("ASSERTION_FAILURE")
            .param("message", "a map literal has as many keys as values")
            .message(format!("A map literal has {} keys but {} values.", m.keys.len(), m.values.len())));
    }
    let keys = convert_all(m.keys, key.as_ref())?;
    let values = convert_all(m.values, value.as_ref())?;
    let missing = || untyped("MAP_LITERAL_MISSING_DATA_TYPE", "map");
    Ok(Literal::Map {
        key_type: key.or_else(|| common_type(&keys)).ok_or_else(missing)?,
        value_type: value.or_else(|| common_type(&values)).ok_or_else(missing)?,
        keys,
        values,
    })
}

fn struct_literal(s: proto::Struct, expected: Option<&DataType>) -> Result<Literal> {
    let fields = match (s.struct_type.and_then(|t| t.kind), expected) {
        (Some(Kind::Struct(t)), _) => struct_from_proto(t)?.fields,
        (_, Some(DataType::Struct(t))) => t.fields.clone(),
        _ => return Err(untyped("STRUCT_LITERAL_MISSING_DATA_TYPE", "struct")),
    };
    if fields.len() != s.elements.len() {
        return Err(invalid_plan("ASSERTION_FAILURE")
            .param("message", "a struct literal has one value for each field")
            .message(format!(
                "A struct literal has {} values for {} fields.",
                s.elements.len(),
                fields.len()
            )));
    }
    let values = s.elements.into_iter().zip(&fields).map(|(v, f)| convert(v, Some(&f.data_type)));
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(Literal::Struct { fields, values })
}

fn specialized_literal(a: proto::SpecializedArray) -> Result<Literal> {
    use specialized_array::ValueType;
    let value = a
        .value_type
        .ok_or_else(|| not_set("spark.connect.Expression.Literal.SpecializedArray", "VALUETYPE_NOT_SET"))?;
    fn array<T>(element_type: DataType, values: Vec<T>, literal: fn(T) -> Literal) -> Literal {
        Literal::Array { element_type, values: values.into_iter().map(literal).collect() }
    }
    Ok(match value {
        ValueType::Bools(v) => array(DataType::Boolean, v.values, Literal::Boolean),
        ValueType::Ints(v) => array(DataType::Integer, v.values, Literal::Integer),
        ValueType::Longs(v) => array(DataType::Long, v.values, Literal::Long),
        ValueType::Floats(v) => array(DataType::Float, v.values, Literal::Float),
        ValueType::Doubles(v) => array(DataType::Double, v.values, Literal::Double),
        ValueType::Strings(v) => array(DataType::STRING, v.values, Literal::String),
    })
}

fn convert_all(values: Vec<expression::Literal>, expected: Option<&DataType>) -> Result<Vec<Literal>> {
    values.into_iter().map(|v| convert(v, expected)).collect()
}

/// The type of the first value that has one.
fn common_type(values: &[Literal]) -> Option<DataType> {
    values.iter().map(Literal::data_type).find(|t| *t != DataType::Null)
}

fn untyped(class: &str, what: &str) -> Error {
    invalid_plan(class).message(format!("The type of the values of an {what} literal is missing."))
}

/// The message of a literal, as observed metrics carry it.
pub fn literal_to_proto(value: &Literal) -> expression::Literal {
    let mut data_type = None;
    let literal_type = match value {
        Literal::Null(t) => LiteralType::Null(data_type_to_proto(t)),
        Literal::Boolean(b) => LiteralType::Boolean(*b),
        Literal::Byte(n) => LiteralType::Byte(i32::from(*n)),
        Literal::Short(n) => LiteralType::Short(i32::from(*n)),
        Literal::Integer(n) => LiteralType::Integer(*n),
        Literal::Long(n) => LiteralType::Long(*n),
        Literal::Float(n) => LiteralType::Float(*n),
        Literal::Double(n) => LiteralType::Double(*n),
        Literal::Decimal { unscaled, precision, scale } => LiteralType::Decimal(proto::Decimal {
            value: decimal_text(*unscaled, *scale),
            precision: Some(i32::from(*precision)),
            scale: Some(i32::from(*scale)),
        }),
        Literal::String(s) | Literal::TimestampText(s) => LiteralType::String(s.clone()),
        Literal::Binary(b) => LiteralType::Binary(b.clone()),
        Literal::Date(days) => LiteralType::Date(*days),
        Literal::Time { nanoseconds, precision } => {
            LiteralType::Time(proto::Time { nano: *nanoseconds, precision: Some(i32::from(*precision)) })
        }
        Literal::Timestamp(us) => LiteralType::Timestamp(*us),
        Literal::TimestampNtz(us) => LiteralType::TimestampNtz(*us),
        Literal::CalendarInterval(i) => LiteralType::CalendarInterval(proto::CalendarInterval {
            months: i.months,
            days: i.days,
            microseconds: i.microseconds,
        }),
        Literal::YearMonthInterval { months, data_type: t } => {
            data_type = Some(data_type_to_proto(t));
            LiteralType::YearMonthInterval(*months)
        }
        Literal::DayTimeInterval { microseconds, data_type: t } => {
            data_type = Some(data_type_to_proto(t));
            LiteralType::DayTimeInterval(*microseconds)
        }
        // The older fields for the types of nested values are the ones the Python client reads.
        Literal::Array { element_type, values } => LiteralType::Array(proto::Array {
            element_type: Some(data_type_to_proto(element_type)),
            elements: values.iter().map(literal_to_proto).collect(),
        }),
        Literal::Map { key_type, value_type, keys, values } => LiteralType::Map(proto::Map {
            key_type: Some(data_type_to_proto(key_type)),
            value_type: Some(data_type_to_proto(value_type)),
            keys: keys.iter().map(literal_to_proto).collect(),
            values: values.iter().map(literal_to_proto).collect(),
        }),
        Literal::Struct { fields, values } => LiteralType::Struct(proto::Struct {
            struct_type: Some(data_type_to_proto(&struct_type(fields))),
            elements: values.iter().map(literal_to_proto).collect(),
        }),
    };
    expression::Literal { data_type, literal_type: Some(literal_type) }
}

fn struct_type(fields: &[StructField]) -> DataType {
    DataType::structure(fields.to_vec())
}

fn decimal_text(unscaled: i128, scale: u8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(value: &str, precision: Option<i32>, scale: Option<i32>) -> Option<(i128, u8, u8)> {
        let d = proto::Decimal { value: value.into(), precision, scale };
        match decimal_literal(&d) {
            Ok(Literal::Decimal { unscaled, precision, scale }) => Some((unscaled, precision, scale)),
            _ => None,
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        // Types as Spark 4.2 gives for `lit(Decimal(..))`, which declares (10, 0).
        assert_eq!(dec("1.1", Some(10), Some(0)), Some((11, 10, 1)));
        assert_eq!(dec("-0.001", None, None), Some((-1, 3, 3)));
        assert_eq!(dec("1E+2", None, None), Some((100, 3, 0)));
        assert_eq!(dec("0", None, None), Some((0, 1, 0)));
        assert_eq!(dec("1E-7", None, None), Some((1, 7, 7)));
        assert_eq!(dec("NaN", None, None), None);
        assert_eq!(dec("1E999999999", None, None), None);
        assert_eq!(dec("", None, None), None);
    }

    #[test]
    fn literals_come_back() {
        let values = [
            Literal::Null(DataType::Long),
            Literal::Decimal { unscaled: -5, precision: 4, scale: 3 },
            Literal::Time { nanoseconds: 7, precision: 3 },
            Literal::DayTimeInterval { microseconds: 9, data_type: DataType::DAY_TIME },
            Literal::Array {
                element_type: DataType::Integer,
                values: vec![Literal::Null(DataType::Integer)],
            },
            Literal::Struct {
                fields: vec![StructField::new("a", DataType::STRING, true)],
                values: vec![Literal::string("x")],
            },
        ];
        for value in values {
            assert_eq!(literal_from_proto(literal_to_proto(&value)).ok(), Some(value));
        }
    }

    #[test]
    fn nested_types_come_from_outside() {
        let element = |t| expression::Literal { data_type: None, literal_type: Some(t) };
        let array = proto::Array {
            element_type: None,
            elements: vec![
                element(LiteralType::Null(spark::DataType::default())),
                element(LiteralType::Long(3)),
            ],
        };
        let got = literal_from_proto(expression::Literal {
            data_type: Some(data_type_to_proto(&DataType::array(DataType::Long, true))),
            literal_type: Some(LiteralType::Array(array)),
        });
        let values = vec![Literal::Null(DataType::Long), Literal::Long(3)];
        assert_eq!(got.ok(), Some(Literal::Array { element_type: DataType::Long, values }));
    }
}
