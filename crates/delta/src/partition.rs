//! Values of partition columns: as the log writes them, and as directories are named.

use boathouse_formats::calendar::MICROS_PER_DAY;
use boathouse_formats::datetime_text::{
    parse_date, parse_timestamp, parse_timestamp_ntz, split_timestamp, write_date, write_time,
    write_timestamp_text,
};
use boathouse_formats::number_text::{write_double, write_float};
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result};
use datafusion::catalog::Session;
use datafusion::scalar::ScalarValue;

use crate::action::PartitionValues;
use crate::schema::TableColumn;

/// The directory name for NULL, Hive's.
pub const DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// An extension of the configuration of a session: the time zone of TIMESTAMPs that the log has without an offset, as old
/// writers put them there, those with `spark.databricks.delta.write.utcTimestampPartitionValues = false`, and CONVERT.
#[derive(Debug, Clone)]
pub struct SessionZone(pub Zone);

impl SessionZone {
    /// The zone of a session, UTC where it says none.
    pub(crate) fn of(session: &dyn Session) -> Zone {
        session.config().get_extension::<Self>().map_or(Zone::UTC, |zone| zone.0.clone())
    }
}

/// Whether sessions of different time zones read a text as different values.
pub(crate) fn depends_on_zone(text: Option<&str>, t: &DataType) -> bool {
    *t == DataType::Timestamp
        && text.and_then(split_timestamp).is_some_and(|timestamp| timestamp.zone.is_none())
}

/// What tells the partition of a file from others: texts that are one for each value, whoever wrote them.
pub(crate) fn key(
    columns: &[&TableColumn],
    values: &PartitionValues,
    zone: &Zone,
) -> Result<Vec<Option<String>>> {
    let of_column = |column: &&TableColumn| {
        let text = values.get(&column.physical).and_then(Option::as_deref).filter(|text| !text.is_empty());
        match column.data_type {
            DataType::Timestamp
            | DataType::TimestampNtz
            | DataType::Decimal { .. }
            | DataType::Float
            | DataType::Double => {
                format_value(&parse_value(column.logical(), text, &column.data_type, zone)?, None)
            }
            _ => Ok(text.map(str::to_string)),
        }
    };
    columns.iter().map(of_column).collect()
}

/// The value of a partition column from its text ("Partition Value Serialization" in PROTOCOL.md). The empty text is NULL.
/// Times are read as Spark casts them, in the time zone of a session where they have no offset.
pub fn parse_value(column: &str, text: Option<&str>, t: &DataType, zone: &Zone) -> Result<ScalarValue> {
    let null =
        || ScalarValue::try_from(&boathouse_bridge::arrow_type(t)).map_err(boathouse_bridge::from_datafusion);
    let Some(text) = text.filter(|t| !t.is_empty()) else {
        return null();
    };
    let value = match t {
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => {
            Some(ScalarValue::Utf8(Some(text.to_string())))
        }
        DataType::Boolean => match text {
            "true" => Some(ScalarValue::Boolean(Some(true))),
            "false" => Some(ScalarValue::Boolean(Some(false))),
            _ => None,
        },
        DataType::Byte => text.parse().ok().map(|v| ScalarValue::Int8(Some(v))),
        DataType::Short => text.parse().ok().map(|v| ScalarValue::Int16(Some(v))),
        DataType::Integer => text.parse().ok().map(|v| ScalarValue::Int32(Some(v))),
        DataType::Long => text.parse().ok().map(|v| ScalarValue::Int64(Some(v))),
        DataType::Float => text.parse().ok().map(|v| ScalarValue::Float32(Some(v))),
        DataType::Double => text.parse().ok().map(|v| ScalarValue::Float64(Some(v))),
        DataType::Decimal { precision, scale } => {
            parse_decimal(text, *scale).map(|v| ScalarValue::Decimal128(Some(v), *precision, *scale as i8))
        }
        DataType::Date => parse_date(text).map(|v| ScalarValue::Date32(Some(v))),
        DataType::Timestamp => parse_timestamp(text, zone)
            .map(|v| ScalarValue::TimestampMicrosecond(Some(v), Some(boathouse_bridge::UTC.into()))),
        DataType::TimestampNtz => {
            parse_timestamp_ntz(text, true).map(|v| ScalarValue::TimestampMicrosecond(Some(v), None))
        }
        DataType::Binary => Some(ScalarValue::Binary(Some(text.as_bytes().to_vec()))),
        _ => None,
    };
    value.ok_or_else(|| {
        Error::new("DELTA_PARTITION_COLUMN_CAST_FAILED")
            .param("value", text)
            .param("dataType", t.sql())
            .param("columnName", column)
            .message(format!("The value `{text}` of the partition column `{column}` is no {}.", t.sql()))
    })
}

/// The text of a value as the log has it; `None` is NULL. TIMESTAMPs are in UTC and say so, or on the wall clock of a zone.
pub fn format_value(value: &ScalarValue, local: Option<&Zone>) -> Result<Option<String>> {
    if value.is_null() {
        return Ok(None);
    }
    Ok(match value {
        ScalarValue::Utf8(Some(s)) | ScalarValue::LargeUtf8(Some(s)) | ScalarValue::Utf8View(Some(s)) => {
            // An empty text would be read back as NULL; Spark stores it so.
            (!s.is_empty()).then(|| s.clone())
        }
        ScalarValue::Boolean(Some(v)) => Some(v.to_string()),
        ScalarValue::Int8(Some(v)) => Some(v.to_string()),
        ScalarValue::Int16(Some(v)) => Some(v.to_string()),
        ScalarValue::Int32(Some(v)) => Some(v.to_string()),
        ScalarValue::Int64(Some(v)) => Some(v.to_string()),
        ScalarValue::Float32(Some(v)) => Some(written(|out| write_float(*v, out))),
        ScalarValue::Float64(Some(v)) => Some(written(|out| write_double(*v, out))),
        ScalarValue::Decimal128(Some(v), _, scale) => Some(format_decimal(*v, *scale)),
        ScalarValue::Date32(Some(days)) => Some(written(|out| write_date(i64::from(*days), out))),
        ScalarValue::TimestampMicrosecond(Some(us), Some(_)) => match local {
            Some(zone) => Some(written(|out| write_timestamp_text(zone.to_local(*us), out))),
            None => Some(written(|out| write_utc(*us, out))),
        },
        ScalarValue::TimestampMicrosecond(Some(us), None) => {
            Some(written(|out| write_timestamp_text(*us, out)))
        }
        ScalarValue::Binary(Some(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => (!text.is_empty()).then(|| text.to_string()),
            // The log has texts: others would be read back as other bytes.
            Err(_) => return Err(Error::unsupported("a partition column of bytes that are no UTF-8")),
        },
        other => {
            return Err(Error::unsupported(format!("a partition column of type {}", other.data_type())));
        }
    })
}

fn written(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    write(&mut out);
    out
}

/// `2021-01-01T10:00:00.123456Z`
fn write_utc(us: i64, out: &mut String) {
    write_date(us.div_euclid(MICROS_PER_DAY), out);
    let time = us.rem_euclid(MICROS_PER_DAY);
    out.push('T');
    write_time(time, out);
    out.push_str(&format!(".{:06}Z", time % 1_000_000));
}

/// The unscaled value of a decimal text at a scale; `None` where digits would be lost.
pub(crate) fn parse_decimal(text: &str, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty()
        || !(whole.chars().chain(fraction.chars())).all(|c| c.is_ascii_digit())
    {
        return None;
    }
    let mut value: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let mut shift = i32::from(scale) + exponent - i32::try_from(fraction.len()).ok()?;
    if shift.abs() > 80 {
        return (value == 0).then_some(0);
    }
    while shift > 0 {
        value = value.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        shift += 1;
    }
    Some(if negative { -value } else { value })
}

/// Plain digits, never an exponent.
pub(crate) fn format_decimal(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A name or value as a part of a directory name, with Hive's escapes.
pub fn escape_path_name(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let escaped = matches!(
            c,
            '\u{01}'
                ..='\u{1f}'
                    | '\u{7f}'
                    | '"'
                    | '#'
                    | '%'
                    | '\''
                    | '*'
                    | '/'
                    | ':'
                    | '='
                    | '?'
                    | '\\'
                    | '{'
                    | '['
                    | ']'
                    | '^'
        );
        if escaped {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The text of a value as directories are named by it: that of the log, but TIMESTAMPs on the wall clock of a zone.
pub(crate) fn named_value(column: &TableColumn, text: Option<&str>, zone: &Zone) -> Result<Option<String>> {
    match column.data_type {
        DataType::Timestamp => {
            let value = parse_value(column.logical(), text, &column.data_type, zone)?;
            format_value(&value, Some(zone))
        }
        _ => Ok(text.map(str::to_string)),
    }
}

/// `a=1/b=x`, the directory of a partition.
pub fn directory<'a>(values: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    values
        .into_iter()
        .map(|(name, value)| {
            let value =
                value.filter(|v| !v.is_empty()).map_or(DEFAULT_PARTITION.to_string(), escape_path_name);
            format!("{}={value}", escape_path_name(name))
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let cases = [
            (DataType::Long, "-5"),
            (DataType::Boolean, "true"),
            (DataType::Date, "1969-12-31"),
            (DataType::Date, "+10000-01-01"),
            (DataType::Date, "0000-12-31"),
            (DataType::Date, "-0001-12-31"),
            (DataType::Decimal { precision: 10, scale: 2 }, "-0.50"),
            (DataType::Timestamp, "2021-01-01T10:00:00.123456Z"),
            (DataType::Timestamp, "+290000-01-01T10:00:00.000000Z"),
            (DataType::Timestamp, "-0001-12-31T23:59:59.999999Z"),
            (DataType::TimestampNtz, "+290000-01-01 10:00:00"),
            (DataType::TimestampNtz, "2021-01-01 10:00:00"),
            (DataType::TimestampNtz, "2021-01-01 10:00:00.5"),
            (DataType::STRING, "a b/c"),
            (DataType::Double, "1.5"),
            (DataType::Double, "1.0E20"),
            (DataType::Double, "-Infinity"),
            (DataType::Double, "NaN"),
            (DataType::Float, "1.0E-5"),
            (DataType::Binary, "é"),
        ];
        for (t, text) in cases {
            let value = read(text, &t).unwrap();
            assert_eq!(format_value(&value, None).unwrap().as_deref(), Some(text), "{t:?}");
        }
        assert!(read("", &DataType::STRING).unwrap().is_null());
        assert!(parse_value("c", None, &DataType::Long, &Zone::UTC).unwrap().is_null());
        for (t, text) in [(DataType::Long, "x"), (DataType::Timestamp, "2021-02-30 00:00:00")] {
            assert_eq!(read(text, &t).unwrap_err().class(), "DELTA_PARTITION_COLUMN_CAST_FAILED");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let bytes = |bytes: &[u8]| format_value(&ScalarValue::Binary(Some(bytes.to_vec())), None);
        assert_eq!(bytes(b"").unwrap(), None);
        assert_eq!(bytes(b"\xff/").unwrap_err().class(), "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE");
    }

    fn read(text: &str, t: &DataType) -> Result<ScalarValue> {
        parse_value("c", Some(text), t, &Zone::UTC)
    }

    #[test]
    fn times_without_offset_are_of_a_zone() {
        let tokyo = Zone::parse("Asia/Tokyo").unwrap();
        let at = |text: &str| parse_value("c", Some(text), &DataType::Timestamp, &tokyo).unwrap();
        let same = at("2021-06-30T00:00:00.500000Z");
        assert_eq!(at("2021-06-30 09:00:00.5"), same);
        assert_eq!(format_value(&same, Some(&tokyo)).unwrap().as_deref(), Some("2021-06-30 09:00:00.5"));
        assert!(depends_on_zone(Some("2021-06-30"), &DataType::Timestamp));
        assert!(!depends_on_zone(Some("2021-06-30T00:00:00.500000Z"), &DataType::Timestamp));
        assert!(!depends_on_zone(Some("2021-06-30"), &DataType::TimestampNtz));
        // No zone has a part in those without zone, not even one in the text.
        let local = |text: &str| parse_value("c", Some(text), &DataType::TimestampNtz, &tokyo).unwrap();
        assert_eq!(local("2021-06-30 09:00:00+02:00"), local("2021-06-30T09:00"));
    }

    #[test]
    fn decimals() {
        assert_eq!(parse_decimal("1.5", 2), Some(150));
        assert_eq!(parse_decimal("1E+2", 2), Some(10_000));
        assert_eq!(parse_decimal("1.234", 2), None);
        assert_eq!(parse_decimal("1.230", 2), Some(123));
        assert_eq!(parse_decimal("-", 2), None);
        assert_eq!(format_decimal(5, 2), "0.05");
        assert_eq!(format_decimal(-500, 0), "-500");
    }

    #[test]
    fn directories_are_hives() {
        assert_eq!(
            directory([("p", Some("a b/c:é%=")), ("q", None)]),
            "p=a b%2Fc%3Aé%25%3D/q=__HIVE_DEFAULT_PARTITION__"
        );
    }
}
