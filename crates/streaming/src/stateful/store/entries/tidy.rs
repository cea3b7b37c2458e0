//! Segments of a good size: rows come in parts that are not too large, small segments become one, values go to the disk.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use boathouse_spec::Result;

use super::{Entries, Place, kill, spread};
use crate::stateful::spill::SpillFile;
use crate::stateful::store::segment::{Segment, bytes_of};
use crate::stateful::store::{Columns, internal};

/// Segments that are not full, beyond which some become one.
const MOST_SMALL: usize = 8;

/// Dead rows of a segment that are not worth the work.
const FEW_DEAD: usize = 1024;

impl Entries {
    /// Makes one of small segments and rids those that are mostly dead of their dead; `all`: also those that files have.
    pub fn tidy(&mut self, all: bool) -> Result<()> {
        let limits = self.columns.limits;
        let mut small: Vec<(usize, u32)> = Vec::new();
        let mut wasteful: Vec<u32> = Vec::new();
        for (id, segment) in self.segments().filter(|(_, s)| all || s.is_new) {
            let (live, dead) = (segment.live_count(), segment.len() - segment.live_count());
            if live < limits.rows / 2 && segment.size() < limits.bytes / 2 {
                small.push((live, id));
            } else if dead > live && dead > FEW_DEAD {
                wasteful.push(id);
            }
        }
        if small.len() > MOST_SMALL {
            small.sort_unstable();
            // Each row moves into a segment at least half as large again, so that it moves few times.
            let (mut rows, mut bytes, mut taken) = (0, 0, Vec::new());
            for (live, id) in small {
                let size = self.segment(id).map_or(0, Segment::size);
                if rows + live > limits.rows
                    || bytes + size > limits.bytes
                    || (taken.len() > 2 && live > rows)
                {
                    break;
                }
                (rows, bytes) = (rows + live, bytes + size);
                taken.push(id);
            }
            if taken.len() > 1 {
                self.unite(&taken)?;
            }
        }
        for id in wasteful {
            self.unite(&[id])?;
        }
        Ok(())
    }

    /// Makes one segment of the entries of several.
    fn unite(&mut self, ids: &[u32]) -> Result<()> {
        let mut places = Vec::new();
        let mut is_new = true;
        for id in ids {
            let Some(segment) = self.segment(*id) else { continue };
            is_new &= segment.is_new;
            places.extend(Self::places(*id, segment));
        }
        if places.is_empty() {
            return Ok(());
        }
        let batch = self.gather(&places)?;
        let mut keys = self.columns.key_encoding.none(places.len());
        for place in &places {
            if let Some(segment) = self.segment(place.segment) {
                keys.push(&segment.keys, place.row as usize);
            }
        }
        let id = self.reserve()?;
        for (row, before) in places.iter().enumerate() {
            let hash = self.hash(keys.get(row));
            if let Some(slot) = self.table.find_mut(spread(hash), |slot| slot.place == *before) {
                slot.place = Place { segment: id, row: row as u32 };
            }
            kill(&mut self.segments, &mut self.vacant, *before);
        }
        let segment = Segment::new(&self.columns, keys, batch, is_new);
        self.settle(id, segment);
        Ok(())
    }

    /// Moves the values to this machine's disk; what stays in memory are the keys.
    pub fn spill(&mut self, directory: &Path) -> Result<()> {
        for segment in self.segments.iter_mut().flatten() {
            let Some((bytes, ends)) = segment.values(&self.columns)? else { continue };
            let file = match self.spill_file.take().filter(|file| !file.is_full()) {
                Some(file) => file,
                None => Arc::new(SpillFile::create(directory)?),
            };
            let start = file.write(&bytes)?;
            self.spill_file = Some(Arc::clone(&file));
            segment.move_to(file, start, ends);
        }
        Ok(())
    }
}

impl Columns {
    /// The rows as segments have them: with the store's columns, in parts that are not too large, without what else is in the
    /// memory that they are slices of.
    pub fn parts(&self, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let batch = self.conformed(batch)?;
        let count = batch.num_rows();
        let bytes = bytes_of(&batch);
        let batch = match batch.get_array_memory_size() > 2 * bytes + 4096 * batch.num_columns() {
            true => {
                let all = UInt32Array::from_iter_values(0..count as u32);
                take_record_batch(&batch, &all).map_err(internal)?
            }
            false => batch,
        };
        let pieces = (count.div_ceil(self.limits.rows)).max(bytes.div_ceil(self.limits.bytes)).max(1);
        let rows = count.div_ceil(pieces).max(1);
        Ok((0..count).step_by(rows).map(|at| batch.slice(at, rows.min(count - at))).collect())
    }

    /// The rows of several batches, which may be small, as segments have them.
    pub fn parts_of(&self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let parts = self.whole(batches)?.into_iter().map(|batch| self.parts(&batch));
        Ok(parts.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Small batches as larger ones.
    fn whole(&self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let mut out = Vec::new();
        let mut begun: Vec<RecordBatch> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        for batch in batches.iter().filter(|b| b.num_rows() > 0) {
            let size = bytes_of(batch);
            if !begun.is_empty()
                && (rows + batch.num_rows() > self.limits.rows || bytes + size > self.limits.bytes)
            {
                out.push(self.concatenated(&std::mem::take(&mut begun))?);
                (rows, bytes) = (0, 0);
            }
            (rows, bytes) = (rows + batch.num_rows(), bytes + size);
            begun.push(self.conformed(batch)?);
        }
        if !begun.is_empty() {
            out.push(self.concatenated(&begun)?);
        }
        Ok(out)
    }

    fn concatenated(&self, batches: &[RecordBatch]) -> Result<RecordBatch> {
        match batches {
            [one] => Ok(one.clone()),
            several => concat_batches(&self.schema, several).map_err(internal),
        }
    }
}
