//! The options of streams from Delta tables (delta-spark's `DeltaOptions`).

use boathouse_spec::{Error, Options, Result};
use fancy_regex::Regex;

use crate::options::Given;

/// How a stream reads a table, but where it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct DeltaOptions {
    pub max_files: Option<i64>,
    pub max_bytes: Option<i64>,
    pub allowed: Allowed,
    /// Files whose paths have this in them are not read.
    pub exclude: Option<Regex>,
    /// Commits that are gone are left out.
    pub passes_over_losses: bool,
    pub is_ordered: bool,
    pub reads_changes: bool,
}

/// What commits may do beside adding rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowed {
    pub deletes: bool,
    pub changes: bool,
    pub skip_commits: bool,
}

impl DeltaOptions {
    pub fn parse(options: &Options) -> Result<Self> {
        let given = Given(options);
        if given.text("versionAsOf").or(given.text("timestampAsOf")).is_some() {
            return Err(no_time_travel());
        }
        let skip_commits = flag(given, "skipChangeCommits", false)?;
        let changes = flag(given, "ignoreChanges", false)? | flag(given, "ignoreFileDeletion", false)?;
        let deletes = flag(given, "ignoreDeletes", false)?;
        Ok(Self {
            max_files: max_files(given)?,
            max_bytes: max_bytes(given)?,
            allowed: Allowed {
                deletes: deletes || changes || skip_commits,
                changes: changes || skip_commits,
                skip_commits,
            },
            exclude: exclude(given)?,
            passes_over_losses: !flag(given, "failOnDataLoss", true)?,
            is_ordered: flag(given, "withEventTimeOrder", false)?,
            reads_changes: flag(given, "readChangeFeed", false)? | flag(given, "readChangeData", false)?,
        })
    }

    /// Whether the file at a path of the log is read.
    pub fn takes(&self, path: &str) -> bool {
        self.exclude.as_ref().is_none_or(|pattern| !pattern.is_match(path).unwrap_or(false))
    }
}

fn flag(given: Given<'_>, key: &str, default: bool) -> Result<bool> {
    let text = given.text(key);
    given.flag(key, default).map_err(|_| illegal(key, text.unwrap_or_default(), "must be 'true' or 'false'"))
}

fn max_files(given: Given<'_>) -> Result<Option<i64>> {
    let key = "maxFilesPerTrigger";
    let Some(text) = given.text(key) else { return Ok(None) };
    match text.parse::<i32>() {
        Ok(n) if n > 0 => Ok(Some(i64::from(n))),
        _ => Err(illegal(key, text, "must be a positive integer")),
    }
}

fn max_bytes(given: Given<'_>) -> Result<Option<i64>> {
    let key = "maxBytesPerTrigger";
    given.bytes(key).map_err(|_| {
        illegal(
            key,
            given.text(key).unwrap_or_default(),
            "which takes a number of bytes, or one with a unit as in 10g",
        )
    })
}

fn exclude(given: Given<'_>) -> Result<Option<Regex>> {
    let Some(text) = given.text("excludeRegex") else { return Ok(None) };
    Regex::new(text).map(Some).map_err(|_| {
        Error::new("DELTA_REGEX_OPT_SYNTAX_ERROR")
            .param("regExpOption", text)
            .message(format!("'{text}' is no regular expression, as excludeRegex wants one."))
            .exception("IllegalArgumentException")
    })
}

fn no_time_travel() -> Error {
    Error::new("DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS")
        .message(
            "A stream does not travel in time by versionAsOf and timestampAsOf: it begins where startingVersion or \
             startingTimestamp says.",
        )
        .exception("AnalysisException")
}

/// An option with a value that it cannot have.
pub(super) fn illegal(key: &str, value: &str, why: &str) -> Error {
    Error::new("DELTA_ILLEGAL_OPTION")
        .param("name", key)
        .param("input", value)
        .param("explain", why)
        .message(format!("Invalid value '{value}' for option '{key}', {why}"))
        .exception("IllegalArgumentException")
}
