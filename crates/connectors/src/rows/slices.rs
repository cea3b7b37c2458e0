//! Files cut into slices, and slices dealt to partitions.

use std::ops::Range;

use crate::table::TableFile;

/// A part of a file.
#[derive(Debug, Clone)]
pub(crate) struct FileSlice {
    pub(crate) file: TableFile,
    /// Bytes.
    pub(crate) range: Range<u64>,
}

/// What a file costs besides its bytes (Spark's `spark.sql.files.openCostInBytes`).
const OPEN_COST: u64 = 4 << 20;
/// No slice is smaller, except a file's last.
const SMALLEST_SLICE: u64 = 1 << 20;

/// Cuts files into about `partitions` equal shares, in the files' order: partition by partition gives the files' rows.
pub(crate) fn deal(
    files: Vec<TableFile>,
    partitions: usize,
    splittable: impl Fn(&TableFile) -> bool,
) -> Vec<Vec<FileSlice>> {
    let partitions = partitions.max(1) as u64;
    let total: u64 = files.iter().map(|f| f.meta.size + OPEN_COST).sum();
    let share = (total / partitions).max(SMALLEST_SLICE);
    let mut dealt: Vec<Vec<FileSlice>> = vec![Vec::new()];
    let mut filled = 0;
    for file in files {
        let size = file.meta.size;
        let mut start = 0;
        let mut cost = OPEN_COST;
        loop {
            if filled >= share && (dealt.len() as u64) < partitions {
                dealt.push(Vec::new());
                filled = 0;
            }
            let room = share.saturating_sub(filled + cost).max(SMALLEST_SLICE);
            let last = (dealt.len() as u64) == partitions;
            let end = if last || !splittable(&file) || start + room + SMALLEST_SLICE >= size {
                size
            } else {
                start + room
            };
            filled += end - start + cost;
            cost = 0;
            if let Some(partition) = dealt.last_mut() {
                partition.push(FileSlice { file: file.clone(), range: start..end });
            }
            start = end;
            if start >= size {
                break;
            }
        }
    }
    dealt.retain(|slices| !slices.is_empty());
    dealt
}

#[cfg(test)]
mod tests {
    use object_store::ObjectMeta;
    use object_store::path::Path;

    use super::*;

    fn file(size: u64) -> TableFile {
        let meta = ObjectMeta {
            location: Path::from("f"),
            last_modified: Default::default(),
            size,
            e_tag: None,
            version: None,
        };
        TableFile { meta, partition_values: Vec::new() }
    }

    fn sizes(dealt: &[Vec<FileSlice>]) -> Vec<Vec<u64>> {
        dealt.iter().map(|p| p.iter().map(|s| s.range.end - s.range.start).collect()).collect()
    }

    #[test]
    fn shares_cover_the_files() {
        const MB: u64 = 1 << 20;
        let dealt = deal(vec![file(100 * MB)], 4, |_| true);
        assert_eq!(dealt.len(), 4);
        assert_eq!(sizes(&dealt).concat().iter().sum::<u64>(), 100 * MB);
        assert!(sizes(&dealt).concat().iter().all(|s| *s < 40 * MB));
        assert_eq!(sizes(&deal(vec![file(100 * MB)], 4, |_| false)), [[100 * MB]]);
        assert_eq!(sizes(&deal(vec![file(10), file(0), file(20)], 1, |_| true)), [[10, 0, 20]]);
        assert_eq!(deal((0..10).map(|_| file(10)).collect(), 4, |_| true).len(), 4);
    }
}
