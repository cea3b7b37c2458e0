//! Time zones as `spark.sql.session.timeZone` takes them.

use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result};

/// Refuses what names no zone: a region, an offset, or one of Java's short names.
pub(crate) fn check_zone(name: &str) -> Result<()> {
    if Zone::parse(name).is_some() {
        return Ok(());
    }
    Err(Error::new("INVALID_CONF_VALUE.TIME_ZONE")
        .param("confName", "\"spark.sql.session.timeZone\"")
        .param("confValue", name)
        .message(format!(
            "'{name}' is no time zone. Use a region such as Europe/Berlin, or an offset such as +02:00."
        ))
        .exception("IllegalArgumentException"))
}

/// The zone of the machine, as `TZ` names it; UTC where it does not.
pub(crate) fn local_zone() -> String {
    named_zone().unwrap_or_else(|| "Etc/UTC".to_string())
}

/// The zone that `TZ` names.
pub(super) fn named_zone() -> Option<String> {
    let name = std::env::var("TZ").ok()?.trim_start_matches(':').to_string();
    Zone::parse(&name).is_some().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        for name in ["+02:00", "GMT+2", "+05:30", "-03:30:15", "PST", "Europe/Berlin"] {
            assert!(check_zone(name).is_ok(), "{name}");
        }
        for name in ["Foo/Bar", "+25:00", ""] {
            assert_eq!(check_zone(name).unwrap_err().class(), "INVALID_CONF_VALUE.TIME_ZONE", "{name}");
        }
    }
}
