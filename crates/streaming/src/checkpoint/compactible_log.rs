//! A log of lines by batch in which every tenth file holds all lines so far: `0`, `1`, .., `8`, `9.compact`, `10`, ...
//! Spark's file sources keep the files they have read in one, and its file sinks those they have written.
//!
//! The lines are in the store and nowhere else: what another process wrote is never missing from the file that holds all.

use boathouse_connectors::sink_log::number;
use boathouse_engine::Session;
use boathouse_spec::{Error, Result, clock, fault};

use super::{Directory, V1, lines_v1, min_batches_to_retain};
use crate::settings;

/// What the session says of a log, below `spark.sql.streaming.fileSource.log.` or `fileSink.log.`.
#[derive(Debug, Clone, Copy)]
pub struct LogRules {
    /// `compactInterval`: files from one that holds all lines to the next.
    pub interval: i64,
    /// `deletion`: files whose lines a newer one holds are removed.
    pub deletes: bool,
    /// `cleanupDelay`: not before they are so old, in milliseconds.
    pub cleanup_delay_ms: i64,
    /// `spark.sql.streaming.minBatchesToRetain`
    pub batches: i64,
}

impl LogRules {
    pub fn of(session: &Session, log: &str) -> Self {
        let key = |name: &str| format!("spark.sql.streaming.{log}.log.{name}");
        Self {
            interval: settings::number(session, &key("compactInterval"), 10).max(1),
            deletes: settings::flag(session, &key("deletion"), true),
            cleanup_delay_ms: settings::milliseconds(session, &key("cleanupDelay"), 600_000),
            batches: min_batches_to_retain(session),
        }
    }
}

#[derive(Debug)]
pub struct CompactibleLog {
    directory: Directory,
    rules: LogRules,
    latest: Option<i64>,
}

impl CompactibleLog {
    /// A log that has files with all lines goes on in its own steps (Spark's `CompactibleFileStreamLog.compactInterval`).
    pub async fn open(directory: Directory, rules: LogRules) -> Result<Self> {
        let mut log = Self { directory, rules, latest: None };
        let files = log.listed().await?;
        log.latest = files.last().map(|(batch, _)| *batch);
        let mut compact = files.iter().rev().filter(|(_, compact)| *compact).map(|(batch, _)| *batch);
        log.rules.interval = match (compact.next(), compact.next()) {
            (Some(last), Some(before)) => last - before,
            (Some(last), None) => steps_to(last + 1, log.rules.interval),
            _ => log.rules.interval,
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

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The last batch that has lines.
    pub fn latest(&self) -> Option<i64> {
        self.latest
    }

    /// Shows all lines, the oldest first, file by file: they may be many.
    pub async fn each_line(&self, mut see: impl FnMut(&str) -> Result<()>) -> Result<()> {
        for (batch, compact) in self.files().await? {
            let name = name(batch, compact);
            let text = self.directory.read_text(&name).await?.unwrap_or_default();
            let lines = lines_v1(&text).map_err(|why| {
                Error::new("STREAM_CHECKPOINT_CORRUPT")
                    .param("file", format!("{}/{name}", self.directory.display()))
                    .message(format!("The log {}/{name} cannot be used: {why}.", self.directory.display()))
            })?;
            lines.filter(|l| !l.is_empty()).try_for_each(&mut see)?;
        }
        Ok(())
    }

    /// Adds the lines of a batch; false where another process did. Where the file holds all lines, those of before that are not
    /// to be kept are left out.
    pub async fn add(&mut self, batch: i64, lines: &[String], keep: impl Fn(&str) -> bool) -> Result<bool> {
        let compact = self.is_compact(batch);
        let mut text = String::from(V1);
        let mut push = |line: &str| {
            text.push('\n');
            text.push_str(line);
        };
        if compact {
            self.each_line(|line| {
                if keep(line) {
                    push(line);
                }
                Ok(())
            })
            .await?;
        }
        lines.iter().for_each(|line| push(line));
        if !self.directory.create(&name(batch, compact), text).await? {
            return Ok(false);
        }
        self.latest = Some(batch);
        if compact && self.rules.deletes {
            self.purge(batch).await?;
        }
        Ok(true)
    }

    fn is_compact(&self, batch: i64) -> bool {
        (batch + 1) % self.rules.interval == 0
    }

    /// Removes what is older than the file that holds all lines of before the batches that are kept (Spark's
    /// `CompactibleFileStreamLog.deleteExpiredLog`).
    async fn purge(&self, batch: i64) -> Result<()> {
        let kept_from = batch + 1 - self.rules.batches;
        let whole = kept_from - kept_from.rem_euclid(self.rules.interval) - 1;
        if whole <= 0 {
            return Ok(());
        }
        let before_ms = clock::now_ms() - self.rules.cleanup_delay_ms;
        for (name, modified_ms) in self.directory.list_with_times().await? {
            if modified_ms <= before_ms && number(&name).is_some_and(|(number, _)| number < whole) {
                fault::point_at("streaming::before-purge", self.directory.display())?;
                self.directory.delete(&name).await?;
            }
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
        let all = |_: &str| true;
        let mut one = opened(root.path(), RULES).await;
        for batch in 0..5 {
            assert!(one.add(batch, &line(batch), all).await.unwrap());
        }
        let mut two = opened(root.path(), RULES).await;
        assert!(one.add(5, &line(5), all).await.unwrap());
        assert!(!two.add(5, &["another".to_string()], all).await.unwrap(), "the batch is the other's");
        for batch in 6..12 {
            assert!(two.add(batch, &line(batch), all).await.unwrap());
        }
        let written: Vec<String> = (0..12).flat_map(line).collect();
        assert_eq!(lines(&two).await, written);
        assert!(root.path().join("9.compact").exists());
        let again = opened(root.path(), RULES).await;
        assert_eq!((again.latest(), lines(&again).await), (Some(11), written));
    }

    const RULES: LogRules = LogRules { interval: 10, deletes: true, cleanup_delay_ms: 0, batches: 2 };

    async fn opened(root: &std::path::Path, rules: LogRules) -> CompactibleLog {
        CompactibleLog::open(Directory::at(root), rules).await.unwrap()
    }

    async fn lines(log: &CompactibleLog) -> Vec<String> {
        let mut lines = Vec::new();
        let see = |line: &str| {
            lines.push(line.to_string());
            Ok(())
        };
        log.each_line(see).await.unwrap();
        lines
    }

    #[tokio::test]
    async fn old_files_go_and_lines_that_are_not_kept() {
        for (rules, first) in [
            (RULES, 19),
            (LogRules { deletes: false, ..RULES }, 0),
            (LogRules { cleanup_delay_ms: 3_600_000, ..RULES }, 0),
        ] {
            let root = tempfile::tempdir().unwrap();
            let mut log = opened(root.path(), rules).await;
            for batch in 0..30 {
                let keep = |line: &str| !line.ends_with('3');
                assert!(log.add(batch, &[format!("line {batch}")], keep).await.unwrap());
            }
            let files = Directory::at(root.path()).list().await.unwrap();
            assert_eq!(
                files.iter().filter_map(|f| number(f)).map(|(n, _)| n).min(),
                Some(first),
                "{rules:?}"
            );
            assert_eq!(lines(&log).await.len(), 30 - 3);
        }
    }
}
