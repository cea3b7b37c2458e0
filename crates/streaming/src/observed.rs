//! What a query observes of each batch (`df.observe`), as progress reports have it: Spark's `Row.jsonValue`.

use base64::Engine as _;
use boathouse_engine::Session;
use boathouse_formats::datetime_text::{write_date, write_timestamp_text};
use boathouse_formats::zone::Zone;
use boathouse_spec::Literal;
use datafusion::logical_expr::LogicalPlan;
use serde_json::{Map, Value, json};

/// The metrics of a plan that has run, by their names.
pub(crate) fn metrics(session: &Session, plan: &LogicalPlan) -> Map<String, Value> {
    let zone = session.conf().get("spark.sql.session.timeZone").and_then(|id| Zone::parse(&id));
    let zone = zone.unwrap_or(Zone::UTC);
    let row = |values: Vec<(String, Literal)>| -> Value {
        values.into_iter().map(|(name, value)| (name, json_of(&value, &zone))).collect()
    };
    boathouse_engine::observed(plan).into_iter().map(|(name, values)| (name, row(values))).collect()
}

fn json_of(value: &Literal, zone: &Zone) -> Value {
    let each = |values: &[Literal]| values.iter().map(|v| json_of(v, zone)).collect::<Vec<_>>();
    match value {
        Literal::Null(_) => Value::Null,
        Literal::Boolean(v) => json!(v),
        Literal::Byte(v) => json!(v),
        Literal::Short(v) => json!(v),
        Literal::Integer(v) => json!(v),
        Literal::Long(v) => json!(v),
        Literal::Float(v) => json!(v),
        Literal::Double(v) => json!(v),
        Literal::Decimal { unscaled, scale, .. } => decimal(*unscaled, *scale),
        Literal::Binary(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        Literal::Date(days) => text(|out| write_date(i64::from(*days), out)),
        Literal::Timestamp(us) => {
            let offset_us = i64::from(zone.offset_at(*us)) * 1_000_000;
            text(|out| write_timestamp_text(us.saturating_add(offset_us), out))
        }
        Literal::TimestampNtz(us) => text(|out| write_timestamp_text(*us, out)),
        Literal::String(v) => v.as_str().into(),
        Literal::Array { values, .. } => Value::Array(each(values)),
        Literal::Map { keys, values, .. } => {
            let key = |key: &Literal| match json_of(key, zone) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            keys.iter().map(key).zip(each(values)).collect()
        }
        Literal::Struct { fields, values } => {
            fields.iter().map(|f| f.name.clone()).zip(each(values)).collect()
        }
        other => format!("{other:?}").into(),
    }
}

fn text(write: impl FnOnce(&mut String)) -> Value {
    let mut out = String::new();
    write(&mut out);
    out.into()
}

/// A number, as exact as JSON's readers have it.
fn decimal(unscaled: i128, scale: u8) -> Value {
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if unscaled < 0 { "-" } else { "" };
    let text =
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
    text.parse::<serde_json::Number>().map_or_else(|_| text.into(), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_numbers() {
        for (unscaled, scale, wanted) in [(1250, 2, "12.5"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.0")] {
            assert_eq!(decimal(unscaled, scale).as_f64(), wanted.parse().ok(), "{unscaled} {scale}");
        }
    }
}
