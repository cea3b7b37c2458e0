//! Entries as batches: by their places, by other columns than their keys, by their times.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::interleave;
use boathouse_spec::{Error, Result};

use super::{Entries, Place};
use crate::blocking::each;
use crate::stateful::store::internal;
use crate::stateful::store::segment::Segment;

/// Rows from which on it is worth to look for them with all cores.
const MANY: usize = 32 * 1024;

impl Entries {
    /// Rows of several segments, in their order.
    pub fn gather(&self, places: &[Place]) -> Result<RecordBatch> {
        let columns = &self.columns;
        if let Some(first) = places.first()
            && let Some(segment) = self.segment(first.segment)
            && places.iter().all(|p| p.segment == first.segment)
        {
            let rows: Vec<u32> = places.iter().map(|p| p.row).collect();
            return segment.rows(columns, &rows);
        }
        // The rows of segments on disk are read first; what is in memory is taken as it lies.
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut source_of: HashMap<u32, usize> = HashMap::new();
        let mut wanted: Vec<Vec<u32>> = Vec::new();
        let mut indices = Vec::with_capacity(places.len());
        let (mut last, mut source) = (None, 0);
        for place in places {
            if last != Some(place.segment) {
                last = Some(place.segment);
                source = *source_of.entry(place.segment).or_insert_with(|| {
                    wanted.push(Vec::new());
                    wanted.len() - 1
                });
            }
            let in_memory = self.segment(place.segment).is_some_and(Segment::is_in_memory);
            let row = if in_memory { place.row as usize } else { wanted[source].len() };
            wanted[source].push(place.row);
            indices.push((source, row));
        }
        let mut ids: Vec<(u32, usize)> = source_of.into_iter().collect();
        ids.sort_unstable_by_key(|(_, source)| *source);
        for (id, source) in ids {
            let segment = self.segment(id).ok_or_else(|| Error::internal("state that is nowhere"))?;
            sources.push(match segment.batch() {
                Some(batch) => batch.clone(),
                None => segment.rows(columns, &wanted[source])?,
            });
        }
        let column = |i: usize| -> Result<ArrayRef> {
            let of: Vec<&dyn Array> = sources.iter().map(|b| b.column(i).as_ref()).collect();
            match of.is_empty() {
                true => Ok(arrow::array::new_empty_array(columns.schema.field(i).data_type())),
                false => interleave(&of, &indices).map_err(internal),
            }
        };
        let made = (0..columns.schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        RecordBatch::try_new_with_options(Arc::clone(&columns.schema), made, &options).map_err(internal)
    }

    /// Rows of several segments, not too many at once.
    pub fn gathered(&self, places: &[Place]) -> Result<Vec<RecordBatch>> {
        let chunks: Vec<&[Place]> = places.chunks(self.columns.limits.rows).collect();
        each(&chunks, |places| self.gather(places)).into_iter().collect()
    }

    /// The entries with some values of the index, each once.
    pub fn matching(&self, values: &[ArrayRef]) -> Result<Vec<Place>> {
        let by = self.columns.by.as_ref().ok_or_else(|| Error::internal("state without index"))?;
        if self.table.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = by.wanted(values)?;
        let distinct = wanted.distinct();
        let found = |(id, segment): &(u32, &Segment)| -> Result<Vec<Place>> {
            let index = segment.index(&self.columns)?;
            let rows = distinct.iter().flat_map(|value| index.rows(*value));
            let live = rows.filter(|row| segment.is_live(*row));
            Ok(live.map(|row| Place { segment: *id, row }).collect())
        };
        let segments: Vec<(u32, &Segment)> = self.segments().collect();
        let found = match segments.iter().map(|(_, s)| s.len()).sum::<usize>() + distinct.len() {
            0..MANY => segments.iter().map(found).collect::<Result<Vec<_>>>()?,
            _ => each(&segments, found).into_iter().collect::<Result<Vec<_>>>()?,
        };
        Ok(found.concat())
    }

    /// The entries with some values of the index, in the order of the values, and there in that of their keys; and of each the
    /// place of its value.
    pub fn matching_in_order(&self, values: &[ArrayRef]) -> Result<(Vec<i32>, Vec<Place>)> {
        let by = self.columns.by.as_ref().ok_or_else(|| Error::internal("state without index"))?;
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        if self.table.is_empty() {
            return Ok((rows, places));
        }
        let segments: Vec<_> = self.segments().collect();
        let indexes = segments.iter().map(|(_, s)| s.index(&self.columns)).collect::<Result<Vec<_>>>()?;
        for (i, value) in by.wanted(values)?.iter().enumerate() {
            let Some(value) = value else { continue };
            let mut found: Vec<Place> = Vec::new();
            for ((id, segment), index) in segments.iter().zip(&indexes) {
                let live = index.rows(value).filter(|row| segment.is_live(*row));
                found.extend(live.map(|row| Place { segment: *id, row }));
            }
            found.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
            rows.resize(rows.len() + found.len(), i as i32);
            places.append(&mut found);
        }
        Ok((rows, places))
    }

    /// The entries that are over at a time, in the order of their times and keys.
    pub fn due(&self, at_us: i64) -> Vec<Place> {
        let mut places = self.over(at_us);
        places.sort_unstable_by(|a, b| {
            self.time(*a).cmp(&self.time(*b)).then_with(|| self.key(*a).cmp(self.key(*b)))
        });
        places
    }

    /// The entries that are over at a time.
    pub fn over(&self, at_us: i64) -> Vec<Place> {
        let of =
            |(segment, s): (u32, &Segment)| s.over(at_us).into_iter().map(move |row| Place { segment, row });
        self.segments().flat_map(of).collect()
    }

    /// When the first entry is over, if any ever is.
    pub fn first_time(&self) -> Option<i64> {
        self.segments().filter_map(|(_, s)| s.first_time()).min()
    }

    /// The keys alone of some entries.
    pub fn keys_of(&self, places: &[Place]) -> Result<RecordBatch> {
        let mut keys = self.columns.key_encoding.none(places.len());
        for place in places {
            if let Some(segment) = self.segment(place.segment) {
                keys.push(&segment.keys, place.row as usize);
            }
        }
        let count = keys.len();
        let columns = self.columns.key_encoding.decoded(&keys, 0..count)?;
        let schema =
            self.columns.schema.project(&(0..columns.len()).collect::<Vec<_>>()).map_err(internal)?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::new(schema), columns, &options).map_err(internal)
    }
}
