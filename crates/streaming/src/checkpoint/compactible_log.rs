//! A log of lines by batch in which every tenth file holds all lines so far: `0`, `1`, .., `8`, `9.compact`, `10`, ...
//! Spark's file sources keep the files they have read in one, and its file sinks those they have written.

use std::collections::BTreeMap;

use boathouse_spec::{Error, Result};

use super::{Directory, versioned};

/// Files from one that holds all lines to the next (`spark.sql.streaming.fileSource.log.compactInterval`).
const INTERVAL: i64 = 10;

/// Files of the log older than this, in batches, are removed once a newer one holds their lines.
const KEPT: i64 = 100;

#[derive(Debug)]
pub struct CompactibleLog {
    directory: Directory,
    /// All lines so far, by batch.
    lines: BTreeMap<i64, Vec<String>>,
    latest: Option<i64>,
}

impl CompactibleLog {
    pub async fn open(directory: Directory) -> Result<Self> {
        let mut log = Self { directory, lines: BTreeMap::new(), latest: None };
        let names = log.directory.list().await?;
        let mut batches: Vec<(i64, bool)> = names.iter().filter_map(|n| number(n)).collect();
        batches.sort_unstable();
        let start = batches.iter().rposition(|(_, compact)| *compact).unwrap_or(0);
        for (batch, compact) in batches.drain(..).skip(start) {
            let lines = log.read(&name(batch, compact)).await?;
            log.lines.insert(batch, lines);
            log.latest = Some(batch);
        }
        Ok(log)
    }

    async fn read(&self, name: &str) -> Result<Vec<String>> {
        let text = self.directory.read_text(name).await?.unwrap_or_default();
        match versioned(&text, &["v1"]) {
            Ok((_, lines)) => Ok(lines.filter(|l| !l.is_empty()).map(str::to_string).collect()),
            Err(why) => Err(Error::new("STREAM_CHECKPOINT_CORRUPT")
                .param("file", format!("{}/{name}", self.directory.display()))
                .message(format!("The log {}/{name} cannot be used: {why}.", self.directory.display()))),
        }
    }

    /// The last batch that has lines.
    pub fn latest(&self) -> Option<i64> {
        self.latest
    }

    /// All lines, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.lines.values().flatten().map(String::as_str)
    }

    /// Adds the lines of a batch; false where another process did.
    pub async fn add(&mut self, batch: i64, lines: Vec<String>) -> Result<bool> {
        let compact = (batch + 1) % INTERVAL == 0;
        let mut text = String::from("v1");
        let before = self.lines.values().flatten().filter(|_| compact);
        for line in before.chain(&lines) {
            text.push('\n');
            text.push_str(line);
        }
        if !self.directory.create(&name(batch, compact), text).await? {
            return Ok(false);
        }
        self.lines.insert(batch, lines);
        self.latest = Some(batch);
        if compact {
            self.purge(batch).await?;
        }
        Ok(true)
    }

    async fn purge(&self, batch: i64) -> Result<()> {
        let old = batch - KEPT;
        for batch in (old - INTERVAL).max(0)..old.max(0) {
            self.directory.delete(&name(batch, (batch + 1) % INTERVAL == 0)).await?;
        }
        Ok(())
    }
}

fn name(batch: i64, compact: bool) -> String {
    if compact { format!("{batch}.compact") } else { batch.to_string() }
}

fn number(name: &str) -> Option<(i64, bool)> {
    match name.strip_suffix(".compact") {
        Some(number) => Some((number.parse().ok()?, true)),
        None => Some((name.parse().ok()?, false)),
    }
}
