//! Settings of a session that say how queries run; values are checked where they are set.

use boathouse_engine::Session;

use crate::interval;

pub(crate) fn number(session: &Session, key: &str, otherwise: i64) -> i64 {
    session.conf().get(key).and_then(|v| v.trim().parse().ok()).unwrap_or(otherwise)
}

pub(crate) fn flag(session: &Session, key: &str, otherwise: bool) -> bool {
    session.conf().get(key).map_or(otherwise, |v| v.trim().eq_ignore_ascii_case("true"))
}

pub(crate) fn milliseconds(session: &Session, key: &str, otherwise: i64) -> i64 {
    session.conf().get(key).and_then(|v| interval::parse_ms(&v)).unwrap_or(otherwise)
}
