//! Values as text: `CAST(x AS STRING)` and what `show()` prints.

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    DurationMicrosecondArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, IntervalYearMonthArray, StringArray, StringBuilder, Time64NanosecondArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Error, Result};

use super::calendar::civil_from_days;
use super::interval_text::{write_calendar_interval, write_day_time, write_year_month};
use super::rules::stored;
use super::zone::Zone;

/// How values are written.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// `show()`: NULL is written, binaries are hexadecimal.
    pub pretty: bool,
    /// Decimals without an exponent (off in a CAST without ANSI).
    pub plain_decimals: bool,
    pub zone: Zone,
}

type Writer<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

/// The values of an array as strings; a NULL stays NULL.
pub fn to_strings(array: &ArrayRef, t: &DataType, style: &Style) -> Result<StringArray> {
    if !style.pretty
        && let Some(binaries) = array.as_any().downcast_ref::<BinaryArray>()
        && let Some(texts) = as_texts(binaries)
    {
        return Ok(texts);
    }
    let write = writer(array, t, style)?;
    let mut out = StringBuilder::with_capacity(array.len(), array.len() * 12);
    let mut text = String::new();
    // An array of the null type has no bitmap: all its values are NULL all the same.
    let nulls = array.logical_nulls();
    for row in 0..array.len() {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            out.append_null();
            continue;
        }
        text.clear();
        write(row, &mut text);
        out.append_value(&text);
    }
    Ok(out.finish())
}

/// Binaries that are texts all: their bytes stay where they are.
fn as_texts(binaries: &BinaryArray) -> Option<StringArray> {
    let (offsets, values, nulls) = binaries.clone().into_parts();
    StringArray::try_new(offsets, values, nulls).ok()
}

/// A function that writes the value of a row that is not NULL.
fn writer<'a>(array: &'a ArrayRef, t: &'a DataType, style: &Style) -> Result<Writer<'a>> {
    let style = *style;
    macro_rules! typed {
        ($array:ty) => {
            array.as_any().downcast_ref::<$array>().ok_or_else(|| {
                Error::internal(format!("a {} column holds {}", t.simple_string(), array.data_type()))
            })?
        };
    }
    Ok(match stored(t) {
        DataType::Null => Box::new(|_, _| ()),
        DataType::Boolean => {
            let a = typed!(BooleanArray);
            Box::new(move |i, out| out.push_str(if a.value(i) { "true" } else { "false" }))
        }
        DataType::Byte => {
            let a = typed!(Int8Array);
            Box::new(move |i, out| write_integer(i64::from(a.value(i)), out))
        }
        DataType::Short => {
            let a = typed!(Int16Array);
            Box::new(move |i, out| write_integer(i64::from(a.value(i)), out))
        }
        DataType::Integer => {
            let a = typed!(Int32Array);
            Box::new(move |i, out| write_integer(i64::from(a.value(i)), out))
        }
        DataType::Long => {
            let a = typed!(Int64Array);
            Box::new(move |i, out| write_integer(a.value(i), out))
        }
        DataType::Float => {
            let a = typed!(Float32Array);
            Box::new(move |i, out| write_float(a.value(i), out))
        }
        DataType::Double => {
            let a = typed!(Float64Array);
            Box::new(move |i, out| write_double(a.value(i), out))
        }
        DataType::Decimal { scale, .. } => {
            let a = typed!(Decimal128Array);
            let scale = *scale;
            if style.plain_decimals {
                Box::new(move |i, out| write_decimal(a.value(i), scale, out))
            } else {
                Box::new(move |i, out| write_java_decimal(a.value(i), scale, out))
            }
        }
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => {
            let a = typed!(StringArray);
            Box::new(move |i, out| out.push_str(a.value(i)))
        }
        DataType::Binary if style.pretty => {
            let a = typed!(BinaryArray);
            Box::new(move |i, out| write_hex_bytes(a.value(i), out))
        }
        DataType::Binary => {
            let a = typed!(BinaryArray);
            Box::new(move |i, out| out.push_str(&String::from_utf8_lossy(a.value(i))))
        }
        DataType::Date => {
            let a = typed!(Date32Array);
            Box::new(move |i, out| write_date(i64::from(a.value(i)), out))
        }
        DataType::Time { .. } => {
            let a = typed!(Time64NanosecondArray);
            Box::new(move |i, out| write_time(a.value(i), out))
        }
        DataType::Timestamp => {
            let a = typed!(TimestampMicrosecondArray);
            Box::new(move |i, out| write_timestamp(a.value(i), &style.zone, out))
        }
        DataType::TimestampNtz => {
            let a = typed!(TimestampMicrosecondArray);
            Box::new(move |i, out| write_timestamp(a.value(i), &Zone::UTC, out))
        }
        DataType::CalendarInterval => {
            let a = typed!(IntervalMonthDayNanoArray);
            Box::new(move |i, out| {
                let v = a.value(i);
                write_calendar_interval(v.months, v.days, v.nanoseconds / 1000, out);
            })
        }
        DataType::YearMonthInterval { start, end } => {
            let a = typed!(IntervalYearMonthArray);
            Box::new(move |i, out| write_year_month(a.value(i), *start, *end, out))
        }
        DataType::DayTimeInterval { start, end } => {
            let a = typed!(DurationMicrosecondArray);
            Box::new(move |i, out| write_day_time(a.value(i), *start, *end, out))
        }
        DataType::Array { element, .. } => {
            let a =
                array.as_list_opt::<i32>().ok_or_else(|| Error::internal("an array column holds no list"))?;
            let values = writer(a.values(), element, &style)?;
            let nulls = a.values();
            Box::new(move |i, out| {
                let offsets = a.value_offsets();
                out.push('[');
                for j in offsets[i] as usize..offsets[i + 1] as usize {
                    if j > offsets[i] as usize {
                        out.push_str(", ");
                    }
                    write_or_null(nulls, j, &values, style.pretty, out);
                }
                out.push(']');
            })
        }
        DataType::Map { key, value, .. } => {
            let a = array.as_map_opt().ok_or_else(|| Error::internal("a map column holds no map"))?;
            let keys = writer(a.keys(), key, &style)?;
            let values = writer(a.values(), value, &style)?;
            Box::new(move |i, out| {
                let offsets = a.value_offsets();
                out.push('{');
                for j in offsets[i] as usize..offsets[i + 1] as usize {
                    if j > offsets[i] as usize {
                        out.push_str(", ");
                    }
                    keys(j, out);
                    out.push_str(" -> ");
                    write_or_null(a.values(), j, &values, style.pretty, out);
                }
                out.push('}');
            })
        }
        DataType::Struct(s) => {
            let a =
                array.as_struct_opt().ok_or_else(|| Error::internal("a struct column holds no struct"))?;
            let fields = a
                .columns()
                .iter()
                .zip(&s.fields)
                .map(|(column, f)| Ok((column, writer(column, &f.data_type, &style)?)))
                .collect::<Result<Vec<_>>>()?;
            Box::new(move |i, out| {
                out.push('{');
                for (n, (column, write)) in fields.iter().enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    write_or_null(column, i, write, style.pretty, out);
                }
                out.push('}');
            })
        }
        DataType::Variant => {
            let variants = crate::variant::Variants::of(array)?;
            let zone = crate::datetime::pattern_zone(&style.zone);
            Box::new(move |i, out| {
                if let Some(variant) = variants.get(i)
                    && boathouse_formats::variant::write_json(&variant, &zone, out).is_err()
                {
                    out.push_str("<malformed variant>");
                }
            })
        }
        // No value of another type is made of these; `show()` prints the reference system and the well-known binary.
        DataType::Geometry { .. } | DataType::Geography { .. } if style.pretty => {
            let parts = array.as_struct_opt().filter(|s| s.num_columns() == 2);
            let parts = parts.and_then(|s| {
                Some((s.column(0).as_primitive_opt::<Int32Type>()?, s.column(1).as_binary_opt::<i32>()?))
            });
            let (srids, values) =
                parts.ok_or_else(|| Error::internal("a spatial column without its parts"))?;
            Box::new(move |i, out| {
                let _ = write!(out, "SRID={};", srids.value(i));
                for byte in values.value(i) {
                    let _ = write!(out, "{byte:02X}");
                }
            })
        }
        DataType::Udt { .. } | DataType::Geometry { .. } | DataType::Geography { .. } => {
            return Err(Error::unsupported(format!("text of a {} value", t.simple_string())));
        }
    })
}

fn write_or_null(array: &ArrayRef, row: usize, write: &Writer, pretty: bool, out: &mut String) {
    // An array of bare NULLs has no null buffer.
    if array.is_null(row) || *array.data_type() == arrow::datatypes::DataType::Null {
        out.push_str(if pretty { "NULL" } else { "null" });
    } else {
        write(row, out);
    }
}

pub fn write_integer(v: i64, out: &mut String) {
    let mut buffer = [0u8; 20];
    let mut at = buffer.len();
    let mut rest = v.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if v < 0 {
        out.push('-');
    }
    out.extend(buffer[at..].iter().map(|b| char::from(*b)));
}

/// Java's `Double.toString`.
pub fn write_double(v: f64, out: &mut String) {
    if v.is_nan() {
        out.push_str("NaN");
    } else if v.is_infinite() {
        out.push_str(if v > 0.0 { "Infinity" } else { "-Infinity" });
    } else if v == 0.0 {
        out.push_str(if v.is_sign_negative() { "-0.0" } else { "0.0" });
    } else if (1e-3..1e7).contains(&v.abs()) {
        plain_float(out, |out| write!(out, "{v}"));
    } else {
        // Java writes two digits at least, and of these the nearest: the smallest double is 4.9E-324.
        let two = format!("{v:.1E}");
        match two.parse() == Ok(v) {
            true => out.push_str(&two),
            false => scientific(out, |out| write!(out, "{v:E}")),
        }
    }
}

/// Java's `Float.toString`.
pub fn write_float(v: f32, out: &mut String) {
    if !v.is_finite() || v == 0.0 {
        return write_double(f64::from(v), out);
    }
    if (1e-3..1e7).contains(&v.abs()) {
        plain_float(out, |out| write!(out, "{v}"));
    } else {
        let two = format!("{v:.1E}");
        match two.parse() == Ok(v) {
            true => out.push_str(&two),
            false => scientific(out, |out| write!(out, "{v:E}")),
        }
    }
}

/// At least one digit after the point.
fn plain_float(out: &mut String, write: impl Fn(&mut String) -> std::fmt::Result) {
    let from = out.len();
    let _ = write(out);
    if !out[from..].contains('.') {
        out.push_str(".0");
    }
}

fn scientific(out: &mut String, write: impl Fn(&mut String) -> std::fmt::Result) {
    let from = out.len();
    let _ = write(out);
    if !out[from..].contains('.')
        && let Some(e) = out[from..].find('E')
    {
        out.insert_str(from + e, ".0");
    }
}

/// `BigDecimal.toPlainString`.
pub fn write_decimal(unscaled: i128, scale: u8, out: &mut String) {
    if unscaled < 0 {
        out.push('-');
    }
    let scale = usize::from(scale);
    let from = out.len();
    let _ = write!(out, "{}", unscaled.unsigned_abs());
    if scale == 0 {
        return;
    }
    let digits = out.len() - from;
    if digits <= scale {
        out.insert_str(from, &"0".repeat(scale + 1 - digits));
    }
    out.insert(out.len() - scale, '.');
}

/// `BigDecimal.toString`: with an exponent where the number is small.
pub fn write_java_decimal(unscaled: i128, scale: u8, out: &mut String) {
    let digits = unscaled.unsigned_abs().checked_ilog10().unwrap_or(0) as i32 + 1;
    let exponent = digits - 1 - i32::from(scale);
    if scale == 0 || exponent >= -6 {
        return write_decimal(unscaled, scale, out);
    }
    if unscaled < 0 {
        out.push('-');
    }
    let from = out.len();
    let _ = write!(out, "{}", unscaled.unsigned_abs());
    if digits > 1 {
        out.insert(from + 1, '.');
    }
    let _ = write!(out, "E{exponent}");
}

/// `[41 42]`
fn write_hex_bytes(bytes: &[u8], out: &mut String) {
    out.push('[');
    for (n, byte) in bytes.iter().enumerate() {
        if n > 0 {
            out.push(' ');
        }
        let _ = write!(out, "{byte:02X}");
    }
    out.push(']');
}

fn two_digits(v: u32, out: &mut String) {
    out.push(char::from(b'0' + (v / 10 % 10) as u8));
    out.push(char::from(b'0' + (v % 10) as u8));
}

/// `2020-01-02`; years of more than four digits carry a sign.
pub fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        two_digits((year / 100) as u32, out);
        two_digits((year % 100) as u32, out);
    } else {
        let _ = write!(out, "{}{:04}", if year < 0 { '-' } else { '+' }, year.unsigned_abs());
    }
    out.push('-');
    two_digits(month, out);
    out.push('-');
    two_digits(day, out);
}

/// `.12` of a fraction of a second in units of 10^-`digits`; nothing for 0.
pub fn write_fraction(mut fraction: u64, mut digits: usize, out: &mut String) {
    if fraction == 0 {
        return;
    }
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        digits -= 1;
    }
    let _ = write!(out, ".{fraction:0digits$}");
}

/// `10:11:12.5` of seconds of a day and a fraction.
fn write_clock(seconds: u32, fraction: u64, digits: usize, out: &mut String) {
    two_digits(seconds / 3600, out);
    out.push(':');
    two_digits(seconds / 60 % 60, out);
    out.push(':');
    two_digits(seconds % 60, out);
    write_fraction(fraction, digits, out);
}

pub fn write_time(nanoseconds: i64, out: &mut String) {
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    write_clock(seconds.clamp(0, 86_399) as u32, nanoseconds.rem_euclid(1_000_000_000) as u64, 9, out);
}

/// An instant on a zone's wall clock, the fraction without trailing zeros.
pub fn write_timestamp(us: i64, zone: &Zone, out: &mut String) {
    let (seconds, fraction) = zone.local(us);
    write_date(seconds.div_euclid(86_400), out);
    out.push(' ');
    write_clock(seconds.rem_euclid(86_400) as u32, fraction as u64, 6, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn doubles_are_javas() {
        for (v, s) in [
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1e-3, "0.001"),
            (9.99e-4, "9.99E-4"),
            (1e10, "1.0E10"),
            (123_456.789, "123456.789"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (-0.0, "-0.0"),
            (f64::MAX, "1.7976931348623157E308"),
        ] {
            assert_eq!(text(|o| write_double(v, o)), s);
        }
        assert_eq!(text(|o| write_float(3.402_823_5e38, o)), "3.4028235E38");
    }

    #[test]
    fn decimals() {
        assert_eq!(text(|o| write_decimal(-5, 3, o)), "-0.005");
        assert_eq!(text(|o| write_decimal(12345, 2, o)), "123.45");
        assert_eq!(text(|o| write_java_decimal(1, 7, o)), "1E-7");
        assert_eq!(text(|o| write_java_decimal(1000, 10, o)), "1.000E-7");
        assert_eq!(text(|o| write_java_decimal(0, 8, o)), "0E-8");
        assert_eq!(text(|o| write_java_decimal(1, 6, o)), "0.000001");
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(text(|o| write_date(2_932_897, o)), "+10000-01-01");
        assert_eq!(text(|o| write_timestamp(-500_000, &Zone::UTC, o)), "1969-12-31 23:59:59.5");
        assert_eq!(text(|o| write_timestamp(0, &Zone::Fixed(3600), o)), "1970-01-01 01:00:00");
    }
}
