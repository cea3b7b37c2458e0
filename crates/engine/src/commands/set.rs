//! `SET`, `SET -v`, `RESET`, `SET TIME ZONE`.

use std::sync::Arc;

use boathouse_formats::zone::offset_id;
use boathouse_spec::{Error, Result, StructType, TimeZoneSetting};

use crate::conf::{KeyKind, known_keys, local_zone};
use crate::rows::{self, Value, text};
use crate::{QueryResult, Session};

const TIME_ZONE: &str = "spark.sql.session.timeZone";

pub(super) fn schema() -> StructType {
    StructType::new(vec![text("key", false), text("value", false)])
}

pub(super) fn verbose_schema() -> StructType {
    StructType::new(vec![
        text("key", false),
        text("value", false),
        text("meaning", false),
        text("Since version", false),
    ])
}

pub(super) fn set(session: &Arc<Session>, key: &str, value: &str) -> Result<QueryResult> {
    match key.strip_prefix("hivevar:") {
        // A variable of the text: `${name}`.
        Some(variable) => {
            session.conf().set(variable, value)?;
            one(key, value)
        }
        None => {
            refuse_variable(session, key)?;
            session.conf().set(key, value)?;
            let shown = if matches!(key, "mapred.reduce.tasks" | "mapreduce.job.reduces") {
                "spark.sql.shuffle.partitions"
            } else {
                key
            };
            one(shown, value)
        }
    }
}

/// `SET v = 1` where `v` is a variable of the session: SET VARIABLE is meant.
fn refuse_variable(session: &Session, key: &str) -> Result<()> {
    match boathouse_sql::parse_name(key) {
        Ok(name) if session.variables.lookup(&name).is_some() => {
            let shown = boathouse_spec::quote_name(&name);
            Err(Error::new("UNSUPPORTED_FEATURE.SET_VARIABLE_USING_SET")
                .param("variableName", &shown)
                .message(format!("{shown} is a variable: say SET VARIABLE {shown} = ..."))
                .exception("AnalysisException"))
        }
        _ => Ok(()),
    }
}

pub(super) fn show(session: &Arc<Session>, key: &str) -> Result<QueryResult> {
    let value = session.conf().get(key).unwrap_or_else(|| "<undefined>".to_string());
    let shown = if matches!(key, "mapred.reduce.tasks" | "mapreduce.job.reduces") {
        "spark.sql.shuffle.partitions"
    } else {
        key
    };
    one(shown, &value)
}

fn one(key: &str, value: &str) -> Result<QueryResult> {
    rows::result(schema(), vec![vec![key.into(), value.into()]])
}

pub(super) fn show_all(session: &Arc<Session>, verbose: bool) -> Result<QueryResult> {
    if !verbose {
        let all = session.conf().get_all(None);
        return rows::result(schema(), all.into_iter().map(|(k, v)| vec![k.into(), v.into()]).collect());
    }
    let all = known_keys()
        .iter()
        .filter(|k| k.is_public && k.kind != KeyKind::Core)
        .map(|k| {
            let value = if session.conf().is_set(k.name) { session.conf().get(k.name) } else { None };
            let value = value.unwrap_or_else(|| k.shown_default());
            vec![Value::from(k.name), value.into(), k.meaning().into(), k.version.into()]
        })
        .collect();
    rows::result(verbose_schema(), all)
}

pub(super) fn reset(session: &Arc<Session>, key: Option<&str>) -> Result<QueryResult> {
    match key {
        Some(key) => session.conf().unset(key)?,
        None => session.conf().reset(),
    }
    Ok(QueryResult::empty())
}

pub(super) fn time_zone(session: &Arc<Session>, zone: TimeZoneSetting) -> Result<QueryResult> {
    let zone = match zone {
        TimeZoneSetting::Local => local_zone(),
        TimeZoneSetting::Zone(zone) => zone,
        TimeZoneSetting::Offset(seconds) if seconds.abs() <= 18 * 3600 => offset_id(seconds),
        TimeZoneSetting::Offset(seconds) => {
            return Err(Error::new("INVALID_INTERVAL_FORMAT.TIMEZONE_INTERVAL_OUT_OF_RANGE")
                .param("input", seconds)
                .message(format!("{seconds} seconds are no time zone: offsets are from -18 to +18 hours."))
                .exception("ParseException"));
        }
    };
    session.conf().set(TIME_ZONE, &zone)?;
    one(TIME_ZONE, &zone)
}
