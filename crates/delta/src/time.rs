//! Instants as Delta's messages, statistics and partition values write them.

use chrono::{DateTime, NaiveDateTime};

/// `2026-11-23 14:56:18.663`, in UTC, with the fraction that `java.sql.Timestamp` prints.
pub(crate) fn format_timestamp(ms: i64) -> String {
    let Some(at) = DateTime::from_timestamp_millis(ms) else {
        return ms.to_string();
    };
    let fraction = format!("{:03}", ms.rem_euclid(1000));
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{}", at.format("%Y-%m-%d %H:%M:%S"), if fraction.is_empty() { "0" } else { fraction })
}

/// Microseconds since the epoch of a timestamp text: `2021-01-01T10:00:00.000Z`, `2021-01-01 10:00:00`, with any offset,
/// UTC where there is none.
pub(crate) fn parse_timestamp_us(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_micros());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.f%z"] {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Some(at.timestamp_micros());
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(at.and_utc().timestamp_micros());
        }
    }
    chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|d| d.and_hms_opt(0, 0, 0))
        .map(|at| at.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(format_timestamp(946_684_800_000), "2000-01-01 00:00:00.0");
        assert_eq!(format_timestamp(1_795_445_778_663), "2026-11-23 14:56:18.663");
        let micros = parse_timestamp_us("2021-01-01T10:00:00.123456Z");
        assert_eq!(micros, Some(1_609_495_200_123_456));
        assert_eq!(parse_timestamp_us("2021-01-01 10:00:00.123456"), micros);
        assert_eq!(parse_timestamp_us("2021-01-01T11:00:00.123456+01:00"), micros);
        assert_eq!(parse_timestamp_us("x"), None);
    }
}
