//! A log of lines by batch in which every tenth file holds all lines so far: `0`, `1`, .., `8`, `9.compact`, `10`, ...
//! Spark's file sources keep the files they have read in one, and its file sinks those they have written.
//!
//! The lines are in the store and nowhere else: what another process wrote is never missing from the file that holds all.

use boathouse_spec::{Error, Result};

use super::{Directory, versioned};

/// Files of the log older than this, in batches, are removed once a newer one holds their lines.
const KEPT: i64 = 100;

#[derive(Debug)]
pub struct CompactibleLog {
    directory: Directory,
    /// Files from one that holds all lines to the next.
    interval: i64,
    latest: Option<i64>,
}

impl CompactibleLog {
    /// `interval` is what the session says (`spark.sql.streaming.fileSource.log.compactInterval`); a log that has files with all
    /// lines goes on in its own steps (Spark's `CompactibleFileStreamLog.compactInterval`).
    pub async fn open(directory: Directory, interval: i64) -> Result<Self> {
        let mut log = Self { directory, interval: interval.max(1), latest: None };
        let files = log.listed().await?;
        log.latest = files.last().map(|(batch, _)| *batch);
        let mut compact = files.iter().rev().filter(|(_, compact)| *compact).map(|(batch, _)| *batch);
        log.interval = match (compact.next(), compact.next()) {
            (Some(last), Some(before)) => last - before,
            (Some(last), None) => steps_to(last + 1, log.interval),
            _ => log.interval,
        };
        Ok(log)
    }

    /// The files, the oldest first, and whether each holds all lines.
    async fn listed(&self) -> Result<Vec<(i64, bool)>> {
        let names = self.directory.list().await?;
        let mut batches: Vec<(i64, bool)> = names.iter().filter_map(|n| number(n)).collect();
        batches.sort_unstable();
        Ok(batches)
    }

    /// The files that together hold all lines, the oldest first.
    async fn files(&self) -> Result<Vec<(i64, bool)>> {
        let mut batches = self.listed().await?;
        let start = batches.iter().rposition(|(_, compact)| *compact).unwrap_or(0);
        Ok(batches.split_off(start))
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
    pub async fn lines(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (batch, compact) in self.files().await? {
            lines.extend(self.read(&name(batch, compact)).await?);
        }
        Ok(lines)
    }

    /// Adds the lines of a batch; false where another process did.
    pub async fn add(&mut self, batch: i64, lines: &[String]) -> Result<bool> {
        let compact = self.is_compact(batch);
        let before = if compact { self.lines().await? } else { Vec::new() };
        let mut text = String::from("v1");
        for line in before.iter().chain(lines) {
            text.push('\n');
            text.push_str(line);
        }
        if !self.directory.create(&name(batch, compact), text).await? {
            return Ok(false);
        }
        self.latest = Some(batch);
        if compact {
            self.purge(batch).await?;
        }
        Ok(true)
    }

    fn is_compact(&self, batch: i64) -> bool {
        (batch + 1) % self.interval == 0
    }

    async fn purge(&self, batch: i64) -> Result<()> {
        let old = batch - KEPT;
        for batch in (old - self.interval).max(0)..old.max(0) {
            self.directory.delete(&name(batch, self.is_compact(batch))).await?;
        }
        Ok(())
    }
}

/// The steps from file to file in which one comes at `count` files, not shorter than `wanted` where that can be (Spark's
/// `CompactibleFileStreamLog.deriveCompactInterval`).
fn steps_to(count: i64, wanted: i64) -> i64 {
    if wanted >= count / 2 {
        return count;
    }
    (wanted..=count / 2).find(|n| count % n == 0).unwrap_or(count)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// By Spark's `CompactibleFileStreamLogSuite`.
    #[test]
    fn steps_come_by_the_file_that_holds_all() {
        for (count, wanted, expected) in
            [(4, 8, 4), (5, 5, 5), (10, 4, 5), (10, 6, 10), (12, 3, 3), (13, 3, 13)]
        {
            assert_eq!(steps_to(count, wanted), expected, "{count} {wanted}");
        }
    }

    /// A process that opened the log before another went on writing: nothing of what that one wrote is lost.
    #[tokio::test]
    async fn what_another_process_wrote_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let line = |n: i64| vec![format!("line {n}")];
        let mut one = CompactibleLog::open(Directory::at(root.path()), 10).await.unwrap();
        for batch in 0..5 {
            assert!(one.add(batch, &line(batch)).await.unwrap());
        }
        let mut two = CompactibleLog::open(Directory::at(root.path()), 10).await.unwrap();
        assert!(one.add(5, &line(5)).await.unwrap());
        assert!(!two.add(5, &["another".to_string()]).await.unwrap(), "the batch is the other's");
        for batch in 6..12 {
            assert!(two.add(batch, &line(batch)).await.unwrap());
        }
        let all: Vec<String> = (0..12).flat_map(line).collect();
        assert_eq!(two.lines().await.unwrap(), all);
        assert!(root.path().join("9.compact").exists());
        let again = CompactibleLog::open(Directory::at(root.path()), 10).await.unwrap();
        assert_eq!((again.latest(), again.lines().await.unwrap()), (Some(11), all));
    }
}
