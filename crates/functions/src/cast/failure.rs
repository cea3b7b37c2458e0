//! The errors of casts under ANSI.

use boathouse_spec::{DataType, Error};

use super::text::{write_decimal, write_double, write_float};

/// A string that is no value of the type.
pub fn invalid_input(text: &str, from: &DataType, to: &DataType) -> Error {
    malformed(&quoted(text), from, to)
}

/// CAST_INVALID_INPUT for a value written as SQL.
pub fn malformed(expression: &str, from: &DataType, to: &DataType) -> Error {
    Error::new("CAST_INVALID_INPUT")
        .param("expression", expression)
        .param("sourceType", format!("\"{}\"", from.sql()))
        .param("targetType", format!("\"{}\"", to.sql()))
        .param("ansiConfig", "\"spark.sql.ansi.enabled\"")
        .message(format!(
            "{expression} of the type \"{}\" is no value of \"{}\". Correct the value, or use `try_cast` to get NULL.",
            from.sql(),
            to.sql()
        ))
}

/// CAST_OVERFLOW for a value written as SQL.
pub fn overflow(value: &str, from: &DataType, to: &DataType) -> Error {
    Error::new("CAST_OVERFLOW")
        .param("value", value)
        .param("sourceType", format!("\"{}\"", from.sql()))
        .param("targetType", format!("\"{}\"", to.sql()))
        .param("ansiConfig", "\"spark.sql.ansi.enabled\"")
        .message(format!(
            "{value} of the type \"{}\" is out of the range of \"{}\". Use `try_cast` to get NULL.",
            from.sql(),
            to.sql()
        ))
}

/// NUMERIC_VALUE_OUT_OF_RANGE for a number that a decimal type does not hold.
pub fn out_of_decimal(value: &str, precision: u8, scale: u8) -> Error {
    Error::new("NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION")
        .param("value", value)
        .param("precision", precision)
        .param("scale", scale)
        .param("config", "\"spark.sql.ansi.enabled\"")
        .message(format!(
            "{value} cannot be a DECIMAL({precision}, {scale}). Set \"spark.sql.ansi.enabled\" to \"false\" to get NULL."
        ))
}

/// DATETIME_OVERFLOW; `operation` says what was done.
pub fn datetime_overflow(operation: &str, from: &DataType, to: &DataType) -> Error {
    Error::new("DATETIME_OVERFLOW").param("operation", operation).message(format!(
        "Cannot {operation}: the {} is out of the range of {}.",
        from.sql(),
        to.sql()
    ))
}

/// A string as a SQL literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

pub fn double_sql(v: f64) -> String {
    let mut out = String::new();
    write_double(v, &mut out);
    if v.is_finite() { out + "D" } else { out }
}

pub fn float_sql(v: f32) -> String {
    let mut out = String::new();
    write_float(v, &mut out);
    out
}

/// A double's shortest digits without an exponent.
pub fn plain_double(v: f64) -> String {
    let mut text = String::new();
    write_double(v, &mut text);
    let Some((mantissa, exponent)) = text.split_once('E') else { return text };
    let (Some((whole, fraction)), Ok(exponent)) = (mantissa.split_once('.'), exponent.parse::<usize>())
    else {
        return text;
    };
    let fraction = if fraction == "0" { "" } else { fraction };
    if exponent >= fraction.len() {
        return format!("{whole}{fraction}{}", "0".repeat(exponent - fraction.len()));
    }
    format!("{whole}{}.{}", &fraction[..exponent], &fraction[exponent..])
}

pub fn integer_sql(v: i64, t: &DataType) -> String {
    match t {
        DataType::Byte => format!("{v}Y"),
        DataType::Short => format!("{v}S"),
        DataType::Long => format!("{v}L"),
        _ => v.to_string(),
    }
}

pub fn decimal_sql(v: i128, scale: u8) -> String {
    decimal_text(v, scale) + "BD"
}

pub fn decimal_text(v: i128, scale: u8) -> String {
    let mut out = String::new();
    write_decimal(v, scale, &mut out);
    out
}
