//! Making a segment of many files, with its statistics, while the log is read.

use std::sync::{Arc, OnceLock};

use super::files::{CompactFiles, FileRow, Files};
use super::{COMPACT_FROM, Part, Segment};
use crate::action::Add;
use crate::schema::TableColumns;
use crate::stats::StatsTableBuilder;

/// Files of one segment of a table that is read anew.
pub(crate) const SEGMENT_FILES: usize = 64 * 1024;

pub(crate) struct SegmentBuilder<'a> {
    files: CompactFiles,
    stats: StatsTableBuilder<'a>,
}

impl<'a> SegmentBuilder<'a> {
    pub fn new(columns: &'a TableColumns) -> Self {
        Self { files: CompactFiles::default(), stats: StatsTableBuilder::new(columns) }
    }

    pub fn push(&mut self, file: FileRow<'_>) {
        self.stats.push(file.stats, &file.partition_values);
        self.files.push(file);
    }

    pub fn finish(self) -> FinishedSegment {
        let compact = Files::Compact(self.files.finish());
        let files = if compact.len() < COMPACT_FROM {
            let mut cursor = compact.cursor();
            let listed: Vec<Arc<Add>> = (0..compact.len()).map(|row| cursor.get(row)).collect();
            Files::Listed(listed)
        } else {
            compact
        };
        let segment = Segment { stats: OnceLock::from(Arc::new(self.stats.finish())), ..Segment::new(files) };
        FinishedSegment(Part { segment: Arc::new(segment), live: None })
    }
}

/// A segment, to be made part of a set.
pub(crate) struct FinishedSegment(pub(super) Part);
