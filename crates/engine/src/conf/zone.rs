//! Time zones as `spark.sql.session.timeZone` takes them.

use boathouse_spec::{Error, Result};
use chrono_tz::Tz;

/// Zones Java knows by three letters.
const SHORT: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
    ("EST", "Etc/GMT+5"),
    ("MST", "Etc/GMT+7"),
    ("HST", "Etc/GMT+10"),
];

/// Reads a zone: a region, an offset, or one of Java's short names.
pub(crate) fn parse_zone(name: &str) -> Result<Tz> {
    if matches!(name, "Z" | "z" | "UT" | "UTC" | "GMT") {
        return Ok(Tz::UTC);
    }
    if let Some(seconds) = parse_offset(name) {
        return fixed(name, seconds);
    }
    let region = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    region.parse().map_err(|_| {
        Error::new("INVALID_CONF_VALUE.TIME_ZONE")
            .param("confName", "\"spark.sql.session.timeZone\"")
            .param("confValue", name)
            .message(format!(
                "'{name}' is no time zone. Use a region such as Europe/Berlin, or an offset such as +02:00."
            ))
            .exception("IllegalArgumentException")
    })
}

/// Seconds east of UTC, of `+02:00`, `-8`, `GMT+2`, `UTC-03:30`, `+02:00:00`.
fn parse_offset(name: &str) -> Option<i32> {
    let rest = ["UTC", "GMT", "UT"].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
    let (sign, rest) = match rest.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let parts: Vec<&str> = if rest.contains(':') {
        rest.split(':').collect()
    } else {
        match rest.len() {
            1 | 2 => vec![rest],
            4 => vec![&rest[..2], rest.get(2..)?],
            6 => vec![&rest[..2], rest.get(2..4)?, rest.get(4..)?],
            _ => return None,
        }
    };
    let mut numbers = [0i32; 3];
    if parts.len() > 3 {
        return None;
    }
    for (i, part) in parts.iter().enumerate() {
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        numbers[i] = part.parse().ok()?;
    }
    let [hours, minutes, seconds] = numbers;
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}

/// The zone of a fixed offset. Time zone data has whole hours from -12 to +14; others are refused by name.
fn fixed(name: &str, seconds: i32) -> Result<Tz> {
    let zone = if seconds == 0 {
        Some(Tz::UTC)
    } else if seconds % 3600 == 0 {
        // The sign of these names is reversed: Etc/GMT-2 is two hours east.
        format!("Etc/GMT{:+}", -(seconds / 3600)).parse().ok()
    } else {
        None
    };
    zone.ok_or_else(|| {
        Error::unsupported(format!(
            "the time zone offset {name} (offsets are whole hours from -12:00 to +14:00)"
        ))
    })
}

/// `+02:00` for seconds east of UTC.
pub(crate) fn offset_text(seconds: i32) -> String {
    let (sign, absolute) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
    let (hours, minutes, rest) = (absolute / 3600, absolute / 60 % 60, absolute % 60);
    if seconds == 0 {
        "Z".to_string()
    } else if rest == 0 {
        format!("{sign}{hours:02}:{minutes:02}")
    } else {
        format!("{sign}{hours:02}:{minutes:02}:{rest:02}")
    }
}

/// The zone of the machine, as `TZ` names it; UTC where it does not.
pub(crate) fn local_zone() -> String {
    std::env::var("TZ")
        .ok()
        .map(|tz| tz.trim_start_matches(':').to_string())
        .filter(|tz| parse_zone(tz).is_ok())
        .unwrap_or_else(|| "Etc/UTC".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        assert_eq!(parse_zone("+02:00").unwrap(), Tz::Etc__GMTMinus2);
        assert_eq!(parse_zone("GMT+2").unwrap(), Tz::Etc__GMTMinus2);
        assert_eq!(parse_zone("-08:00").unwrap(), Tz::Etc__GMTPlus8);
        assert_eq!(parse_zone("PST").unwrap(), Tz::America__Los_Angeles);
        assert_eq!(parse_zone("Europe/Berlin").unwrap(), Tz::Europe__Berlin);
        assert_eq!(parse_zone("Foo/Bar").unwrap_err().class(), "INVALID_CONF_VALUE.TIME_ZONE");
        assert_eq!(parse_zone("+25:00").unwrap_err().class(), "INVALID_CONF_VALUE.TIME_ZONE");
        assert!(parse_zone("+05:30").unwrap_err().text().contains("+05:30"));
        assert_eq!(offset_text(10 * 3600), "+10:00");
    }
}
