//! The options of streams of files.

use boathouse_connectors::ResolvedPath;
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, Error, Result};

use super::cleaner::{Cleaner, Cleaning, at_once};
use super::file_listing::Place;
use crate::options::{Given, invalid};

/// How old a file may be beside the newest (`maxFileAge`): a week.
const MAX_FILE_AGE_MS: i64 = 7 * 24 * 3_600_000;

/// Below this part of a full batch, files that are left over are listed again (`discardCachedInputRatio`).
pub(super) const DISCARD_RATIO: f64 = 0.2;

/// Files that are kept for later batches; those beyond are found again (`maxCachedFiles`).
pub(super) const MAX_CACHED_FILES: usize = 10_000;

/// How a stream of files chooses, and what its offsets look like.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub max_files: Option<i64>,
    pub max_bytes: Option<i64>,
    pub latest_first: bool,
    pub by_name: bool,
    pub by_time: bool,
    pub max_age_ms: Option<i64>,
    pub max_cached: usize,
    pub discard_ratio: f64,
    pub ignore_missing: bool,
    /// Files that are there when the query starts for the first time are read.
    pub include_existing: bool,
    /// What becomes of files that were read.
    pub cleaner: Option<Cleaning>,
    /// The offset's key: `logOffset`, `seqNum`.
    pub offset_key: &'static str,
    pub description: String,
}

impl Rules {
    pub fn of_spark(session: &Session, source: &DataSourceRef, place: &Place) -> Result<Self> {
        let given = Given(&source.options);
        refuse_times(given)?;
        let max_files = given.positive("maxFilesPerTrigger")?;
        let max_bytes = given.positive("maxBytesPerTrigger")?;
        if max_files.is_some() && max_bytes.is_some() {
            return Err(Error::new("_LEGACY_ERROR_TEMP_3226")
                .message(
                    "Options maxFilesPerTrigger & maxBytesPerTrigger can't be both set at the same time.",
                )
                .exception("IllegalArgumentException"));
        }
        let latest_first = given.flag("latestFirst", false)?;
        let age = given.java_time_ms("maxFileAge")?.unwrap_or(MAX_FILE_AGE_MS);
        // The newest first and not all of them: old ones would never have their turn.
        let max_age_ms = (!(latest_first && (max_files.is_some() || max_bytes.is_some()))).then_some(age);
        Ok(Self {
            max_files,
            max_bytes,
            latest_first,
            by_name: given.flag("fileNameOnly", false)?,
            by_time: false,
            max_age_ms,
            max_cached: max_cached(given)?,
            discard_ratio: discard_ratio(given)?,
            ignore_missing: given.flag("ignoreMissingFiles", place.context.ignore_missing_files)?,
            include_existing: true,
            cleaner: Cleaner::of(given, place, at_once(session))?,
            offset_key: "logOffset",
            description: format!(
                "FileStreamSource[{}]",
                place.resolved()?.first().map(ResolvedPath::display).unwrap_or_default()
            ),
        })
    }
}

/// Which files a stream has read is known by their log, not by when they were changed (`FileStreamSource`).
fn refuse_times(given: Given<'_>) -> Result<()> {
    // As Spark writes them.
    let asked = ["modifiedbefore", "modifiedafter"].into_iter().find(|key| given.text(key).is_some());
    asked.map_or(Ok(()), |key| {
        Err(Error::new("")
            .message(format!("option '{key}' is not allowed in file stream sources"))
            .exception("IllegalArgumentException"))
    })
}

/// `maxCachedFiles`
fn max_cached(given: Given<'_>) -> Result<usize> {
    let key = "maxCachedFiles";
    match given.text(key) {
        None => Ok(MAX_CACHED_FILES),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| invalid(key, text, "must be an integer greater than or equal to 0")),
    }
}

/// `discardCachedInputRatio`
fn discard_ratio(given: Given<'_>) -> Result<f64> {
    let key = "discardCachedInputRatio";
    let Some(text) = given.text(key) else { return Ok(DISCARD_RATIO) };
    let ratio = text.trim().parse().ok().filter(|r| (0.0..=1.0).contains(r));
    ratio.ok_or_else(|| invalid(key, text, "must be a number between 0 and 1"))
}
