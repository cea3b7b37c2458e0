//! `noop` and `console`: rows that are computed and dropped, and rows that are shown where the server runs.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Options, Plan, Relation, RelationNode, Result, SaveMode, Write, option};
use datafusion::arrow::array::AsArray;
use futures::TryStreamExt;

use crate::{QueryResult, Session};

/// Rows of `console` where `numRows` says nothing else, and characters of each value where they are cut.
const SHOWN: i32 = 20;

/// The refusal of a mode by a source that appends or overwrites, and cannot say what is there.
pub(crate) fn unsupported_mode(source: &str, mode: SaveMode) -> Error {
    let name = if mode == SaveMode::Ignore { "Ignore" } else { "ErrorIfExists" };
    Error::new("UNSUPPORTED_DATA_SOURCE_SAVE_MODE")
        .param("source", source)
        .param("createMode", format!("\"{name}\""))
        .message(format!(
            "The data source \"{source}\" cannot be written in the \"{name}\" mode. Please use either the \"Append\" or \
             \"Overwrite\" mode instead."
        ))
        .exception("AnalysisException")
}

/// `df.write.format("noop")`, by which queries are timed.
pub(crate) async fn save_nowhere(session: &Arc<Session>, write: Write) -> Result<QueryResult> {
    match write.mode.unwrap_or(SaveMode::ErrorIfExists) {
        SaveMode::Append | SaveMode::Overwrite => {}
        other => return Err(unsupported_mode(write.format.as_deref().unwrap_or("noop"), other)),
    }
    if !write.partition_by.is_empty() || !write.cluster_by.is_empty() || write.bucket.is_some() {
        return Err(illegal(
            "noop has no partitions: leave out partitionBy, clusterBy and bucketBy".to_string(),
        ));
    }
    drop_rows(session, write.input).await?;
    Ok(QueryResult::empty())
}

/// Computes all rows and keeps none; how many there were.
pub async fn drop_rows(session: &Arc<Session>, rows: Relation) -> Result<i64> {
    let mut result = session.execute(Plan::Query(rows)).await?;
    let mut count = 0;
    while let Some(batch) = result.stream.try_next().await.spark()? {
        count += i64::try_from(batch.num_rows()).unwrap_or(0);
    }
    Ok(count)
}

/// Spark gives these no class.
fn illegal(message: String) -> Error {
    Error::new("").message(message).exception("IllegalArgumentException")
}

/// What the sink `console` shows.
#[derive(Debug)]
pub struct Console {
    pub rows: i32,
    pub truncates: bool,
}

impl Default for Console {
    fn default() -> Self {
        Self { rows: SHOWN, truncates: true }
    }
}

impl Console {
    fn new(options: &Options) -> Result<Self> {
        let mut this = Self::default();
        let wrong =
            |name: &str, value: &str| illegal(format!("{value:?} cannot be the option {name} of console"));
        if let Some(text) = option(options, "numRows") {
            this.rows = text.trim().parse().map_err(|_| wrong("numRows", text))?;
        }
        if let Some(text) = option(options, "truncate") {
            this.truncates = text.trim().to_lowercase().parse().map_err(|_| wrong("truncate", text))?;
        }
        Ok(this)
    }

    /// The rows as `show` prints them.
    pub async fn text(&self, session: &Arc<Session>, rows: Relation) -> Result<String> {
        let shown = RelationNode::ShowString {
            input: rows,
            rows: self.rows,
            truncate: if self.truncates { SHOWN } else { 0 },
            vertical: false,
        };
        let (_, batches) = session.execute(Plan::Query(Relation::new(shown))).await?.collect().await?;
        let parts = batches.iter().filter_map(|b| b.columns().first()?.as_string_opt::<i32>());
        Ok(parts.flat_map(|p| p.iter().flatten()).collect())
    }
}

/// `df.write.format("console")`: in any mode, as nothing is kept.
pub(crate) async fn save_to_console(session: &Arc<Session>, write: Write) -> Result<QueryResult> {
    let text = Console::new(&write.options)?.text(session, write.input).await?;
    println!("{text}");
    Ok(QueryResult::empty())
}
