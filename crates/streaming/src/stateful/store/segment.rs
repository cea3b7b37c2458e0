//! Rows of state that came together: they stay as they are until they are all dead, or few enough are left to be put elsewhere.

use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take_record_batch;
use boathouse_spec::{Error, Result};

use super::index::Index;
use super::rows::Encoded;
use super::{Columns, internal, timestamps};
use crate::stateful::spill::SpillFile;

/// Rows whose order does not matter to a file.
const FEW: usize = 4096;

pub(super) struct Segment {
    pub keys: Encoded,
    body: Body,
    /// The rows that are entries: the others have later values elsewhere, or were taken out.
    live: BooleanBufferBuilder,
    live_count: usize,
    /// When rows are over.
    times: Option<TimestampMicrosecondArray>,
    /// No row is over before this.
    first_time: Option<i64>,
    /// Whether no file has the rows yet.
    pub is_new: bool,
    index: OnceLock<Index>,
}

enum Body {
    /// Keys and values.
    Memory { batch: RecordBatch, bytes: usize },
    /// The values as bytes, where there are any columns of them: where they begin, and where each ends from there.
    Disk { file: Arc<SpillFile>, start: u64, ends: Vec<u32> },
}

impl Segment {
    pub fn new(columns: &Columns, keys: Encoded, batch: RecordBatch, is_new: bool) -> Self {
        let count = batch.num_rows();
        let mut live = BooleanBufferBuilder::new(count);
        live.append_n(count, true);
        let times = columns.time.and_then(|i| timestamps(batch.column(i)));
        let first_time = times.as_ref().and_then(arrow::compute::min);
        let bytes = bytes_of(&batch);
        let body = Body::Memory { batch, bytes };
        Self { keys, body, live, live_count: count, times, first_time, is_new, index: OnceLock::new() }
    }

    /// All rows, the dead ones too.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn live_count(&self) -> usize {
        self.live_count
    }

    pub fn is_live(&self, row: u32) -> bool {
        self.live.get_bit(row as usize)
    }

    pub fn kill(&mut self, row: u32) {
        if self.is_live(row) {
            self.live.set_bit(row as usize, false);
            self.live_count -= 1;
        }
    }

    pub fn live(&self) -> BooleanBuffer {
        self.live.finish_cloned()
    }

    pub fn time(&self, row: usize) -> Option<i64> {
        let times = self.times.as_ref()?;
        times.is_valid(row).then(|| times.value(row))
    }

    /// The rows that are over at a time.
    pub fn over(&self, at_us: i64) -> Vec<u32> {
        if self.first_time.is_none_or(|first| first > at_us) {
            return Vec::new();
        }
        let is_over = |row: &usize| self.time(*row).is_some_and(|t| t <= at_us);
        self.live().set_indices().filter(is_over).map(|row| row as u32).collect()
    }

    /// When the first of its rows is over, if any ever is.
    pub fn first_time(&self) -> Option<i64> {
        self.first_time?;
        self.live().set_indices().filter_map(|row| self.time(row)).min()
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let body = match &self.body {
            Body::Memory { bytes, .. } => *bytes,
            Body::Disk { ends, .. } => ends.len() * size_of::<u32>(),
        };
        let times = self.times.as_ref().map_or(0, |t| t.len() * size_of::<i64>());
        let index = self.index.get().map_or(0, Index::bytes);
        self.keys.bytes() + body + times + self.len() / 8 + index
    }

    /// What its rows take where they are read, in bytes, whether or not they are in memory now.
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Memory { bytes, .. } => *bytes,
            Body::Disk { ends, .. } => self.keys.bytes() + ends.last().map_or(0, |end| *end as usize),
        }
    }

    pub fn is_in_memory(&self) -> bool {
        matches!(self.body, Body::Memory { .. })
    }

    /// All rows as they lie in memory.
    pub fn batch(&self) -> Option<&RecordBatch> {
        match &self.body {
            Body::Memory { batch, .. } => Some(batch),
            Body::Disk { .. } => None,
        }
    }

    /// Some rows.
    pub fn rows(&self, columns: &Columns, which: &[u32]) -> Result<RecordBatch> {
        match &self.body {
            Body::Memory { batch, .. } => {
                let rows = UInt32Array::from(which.to_vec());
                take_record_batch(batch, &rows).map_err(internal)
            }
            Body::Disk { file, start, ends } => {
                let mut made = columns.key_encoding.decoded(&self.keys, which.iter().map(|r| *r as usize))?;
                made.extend(from_disk(columns, file, *start, ends, which)?);
                let options = RecordBatchOptions::new().with_row_count(Some(which.len()));
                RecordBatch::try_new_with_options(Arc::clone(&columns.schema), made, &options)
                    .map_err(internal)
            }
        }
    }

    /// The rows that are entries.
    pub fn entries(&self, columns: &Columns) -> Result<RecordBatch> {
        match &self.body {
            Body::Memory { batch, .. } if self.live_count == self.len() => Ok(batch.clone()),
            _ => {
                let rows: Vec<u32> = self.live().set_indices().map(|row| row as u32).collect();
                self.rows(columns, &rows)
            }
        }
    }

    /// The rows that are entries, in the order of their keys, where there are enough of them that they take less room so.
    pub fn ordered_entries(&self, columns: &Columns) -> Result<RecordBatch> {
        if self.live_count < FEW {
            return self.entries(columns);
        }
        let key = |row: &u32| self.keys.get(*row as usize);
        let mut rows: Vec<u32> = self.live().set_indices().map(|row| row as u32).collect();
        if rows.is_sorted_by_key(key) {
            return self.entries(columns);
        }
        rows.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        self.rows(columns, &rows)
    }

    /// The rows by the columns that entries are found by beside their keys.
    pub fn index(&self, columns: &Columns) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let by = columns.by.as_ref().ok_or_else(|| Error::internal("state without index"))?;
        let made = match &self.body {
            Body::Memory { batch, .. } => by.index(batch)?,
            Body::Disk { .. } => {
                let all: Vec<u32> = (0..self.len() as u32).collect();
                by.index(&self.rows(columns, &all)?)?
            }
        };
        Ok(self.index.get_or_init(|| made))
    }

    /// The values as bytes, and where each ends.
    pub fn values(&self, columns: &Columns) -> Result<Option<(Vec<u8>, Vec<u32>)>> {
        let Body::Memory { batch, .. } = &self.body else { return Ok(None) };
        let rows = columns.values_of(batch)?;
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        if matches!(rows, Encoded::Rows(_)) {
            for row in rows.iter() {
                bytes.extend_from_slice(row);
                ends.push(u32::try_from(bytes.len()).map_err(|_| Error::internal("values of 4 GiB"))?);
            }
        }
        Ok(Some((bytes, ends)))
    }

    /// The values are in a file from now on.
    pub fn move_to(&mut self, file: Arc<SpillFile>, start: u64, ends: Vec<u32>) {
        self.body = Body::Disk { file, start, ends };
    }
}

/// The columns of values of some rows.
fn from_disk(
    columns: &Columns,
    file: &SpillFile,
    start: u64,
    ends: &[u32],
    which: &[u32],
) -> Result<Vec<ArrayRef>> {
    let Some(last) = ends.last() else { return columns.value_encoding.columns([]) };
    let range = |row: u32| {
        let row = row as usize;
        (if row == 0 { 0 } else { ends[row - 1] as usize })..ends[row] as usize
    };
    // One long read is faster than many short ones.
    if which.len() > ends.len() / 8 {
        let bytes = file.read(start, *last as usize)?;
        return columns.value_encoding.columns(which.iter().map(|row| &bytes[range(*row)]));
    }
    let read = |row: &u32| {
        let range = range(*row);
        file.read(start + range.start as u64, range.len())
    };
    let values = which.iter().map(read).collect::<Result<Vec<_>>>()?;
    columns.value_encoding.columns(values.iter().map(Vec::as_slice))
}

/// What rows take, in bytes, without what else may be in the buffers that they are in.
pub(super) fn bytes_of(batch: &RecordBatch) -> usize {
    let size = |c: &ArrayRef| c.to_data().get_slice_memory_size().unwrap_or(c.get_array_memory_size());
    batch.columns().iter().map(size).sum()
}
