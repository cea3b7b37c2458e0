//! The change feed of Delta tables as a relation: `readChangeFeed`, `table_changes(..)`.

use std::sync::Arc;

use boathouse_delta::{ChangePoint, DeltaTable};
use boathouse_spec::{Error, Options, Result, option};
use url::Url;

use crate::Session;
use crate::resolver::ResolvedTable;

const OPTIONS: [&str; 2] = ["readChangeFeed", "readChangeData"];

/// Whether the options of a read ask for a table's changes.
pub(crate) fn is_asked_for(options: &Options) -> bool {
    OPTIONS.iter().any(|name| option(options, name).is_some_and(|v| v.eq_ignore_ascii_case("true")))
}

/// The options of a read without those of the feed: a stream opens the table, and its source the feed.
pub(crate) fn without(options: &Options) -> Options {
    options
        .iter()
        .filter(|(key, _)| !OPTIONS.iter().any(|name| name.eq_ignore_ascii_case(key)))
        .cloned()
        .collect()
}

pub(crate) fn no_time_travel() -> Error {
    Error::new("DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS")
        .message("The change feed is read from a version to a version, not as of one.")
        .exception("AnalysisException")
}

/// The changes that the options ask for.
pub(crate) async fn open(
    session: &Arc<Session>,
    table: DeltaTable,
    url: Url,
    options: &Options,
) -> Result<ResolvedTable> {
    let from = point(session, options, "starting")?.ok_or_else(|| {
        Error::new("DELTA_NO_START_FOR_CDC_READ")
            .message("The change feed is read from somewhere: give startingVersion or startingTimestamp.")
            .exception("AnalysisException")
    })?;
    let to = point(session, options, "ending")?;
    let out_of_range =
        session.conf().flag("spark.databricks.delta.changeDataFeed.timestampOutOfRange.enabled");
    let (snapshot, provider) = boathouse_delta::change_feed(&table, from, to, out_of_range)
        .await
        .map_err(|e| if e.is("DELTA_MISSING_DELTA_TABLE") { missing(&url, e) } else { e })?;
    let declared = boathouse_delta::declared_schema(snapshot.schema());
    Ok(ResolvedTable {
        provider,
        schema: boathouse_delta::change_feed_schema(&declared),
        qualifier: Vec::new(),
        // What the feed gives is no table to be changed.
        delta: None,
        record: None,
        format: "delta".to_string(),
        is_streaming: false,
    })
}

fn missing(url: &Url, _: Error) -> Error {
    let path = crate::storage::shown(url);
    Error::new("DELTA_TABLE_NOT_FOUND")
        .param("tableName", &path)
        .message(format!("{path} is not a Delta table."))
        .exception("AnalysisException")
}

/// `startingVersion` or `startingTimestamp`; the same with `ending`.
fn point(session: &Session, options: &Options, side: &str) -> Result<Option<ChangePoint>> {
    let (version_key, time_key) = (format!("{side}Version"), format!("{side}Timestamp"));
    match (option(options, &version_key), option(options, &time_key)) {
        (Some(_), Some(_)) => Err(Error::new("DELTA_MULTIPLE_CDC_BOUNDARY")
            .param("startingOrEnding", side)
            .message(format!("Give either {version_key} or {time_key}, not both."))
            .exception("AnalysisException")),
        (Some(version), None) => match version.trim().parse::<i64>() {
            Ok(version) if version >= 0 => Ok(Some(ChangePoint::Version(version))),
            _ => Err(Error::new("DELTA_INVALID_SOURCE_VERSION")
                .param("version", version)
                .message(format!("'{version}' is no version of a table: versions are numbers from 0."))
                .exception("IllegalArgumentException")),
        },
        (None, Some(text)) => timestamp_ms(session, text).map(|ms| Some(ChangePoint::Timestamp(ms))),
        (None, None) => Ok(None),
    }
}

fn timestamp_ms(session: &Session, text: &str) -> Result<i64> {
    Ok(crate::resolver::parse_timestamp(session, text)?.div_euclid(1000))
}
