//! Rows in groups of equal keys, in parts for a worker.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::row::{RowConverter, Rows, SortField};
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;

use super::stateful::StatefulTask;

/// Rows in one part.
const MAX_ROWS: usize = 10_000;
/// Groups in one part: at most so many, and so few that every worker has some.
const MAX_GROUPS: usize = 2_000;
const MIN_GROUPS: usize = 100;

/// The rows of a batch, keys first, sorted by group.
struct Side {
    batch: RecordBatch,
    order: Vec<u32>,
    rows: Option<Rows>,
}

/// A group: where its key is, and its rows among those of each side.
struct Group {
    key: (usize, usize),
    sides: [Range<usize>; 2],
}

/// Rows, and those that the state begins with, in groups.
pub struct GroupedRows {
    key_count: usize,
    sides: [Side; 2],
    groups: Vec<Group>,
}

/// Some of the groups.
pub struct GroupPart {
    /// The groups' keys, a row each.
    pub keys: Vec<ArrayRef>,
    counts: [Int32Array; 2],
    columns: [Vec<ArrayRef>; 2],
}

impl GroupedRows {
    /// `key_count` columns of both batches are the keys.
    pub fn new(key_count: usize, rows: RecordBatch, initial: RecordBatch) -> Result<Self> {
        let fields = rows.columns()[..key_count].iter().map(|k| SortField::new(k.data_type().clone()));
        let converter = match key_count {
            0 => None,
            _ => Some(RowConverter::new(fields.collect()).spark()?),
        };
        let sides = [
            Side::new(rows, key_count, converter.as_ref())?,
            Side::new(initial, key_count, converter.as_ref())?,
        ];
        let groups = groups(&sides);
        Ok(Self { key_count, sides, groups })
    }

    /// The groups in parts, for so many workers.
    pub fn parts(&self, workers: usize) -> Result<Vec<GroupPart>> {
        let most = (self.groups.len() / (workers.max(1) * 4)).clamp(MIN_GROUPS, MAX_GROUPS);
        let mut parts = Vec::new();
        let (mut from, mut rows) = (0, 0);
        for (i, group) in self.groups.iter().enumerate() {
            rows += group.sides.iter().map(|s| s.len()).sum::<usize>();
            if rows >= MAX_ROWS || i + 1 - from >= most {
                parts.push(self.part(from..i + 1)?);
                (from, rows) = (i + 1, 0);
            }
        }
        if from < self.groups.len() {
            parts.push(self.part(from..self.groups.len())?);
        }
        Ok(parts)
    }

    fn part(&self, range: Range<usize>) -> Result<GroupPart> {
        let groups = &self.groups[range];
        let places: Vec<(usize, usize)> = groups.iter().map(|g| g.key).collect();
        let key = |i: usize| {
            let both: Vec<&dyn Array> = self.sides.iter().map(|s| s.batch.column(i).as_ref()).collect();
            interleave(&both, &places).spark()
        };
        let keys = (0..self.key_count).map(key).collect::<Result<Vec<_>>>()?;
        let counts = |side: usize| groups.iter().map(|g| g.sides[side].len() as i32).collect();
        let columns = |side: usize| {
            let all = match (groups.first(), groups.last()) {
                (Some(first), Some(last)) => first.sides[side].start..last.sides[side].end,
                _ => 0..0,
            };
            self.sides[side].columns(self.key_count, all)
        };
        Ok(GroupPart { keys, counts: [counts(0), counts(1)], columns: [columns(0)?, columns(1)?] })
    }
}

impl Side {
    fn new(batch: RecordBatch, key_count: usize, converter: Option<&RowConverter>) -> Result<Self> {
        let rows = converter.map(|c| c.convert_columns(&batch.columns()[..key_count])).transpose().spark()?;
        let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
        if let Some(rows) = &rows {
            // Stable: the rows of a group stay in their order.
            order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
        }
        Ok(Self { batch, order, rows })
    }

    fn key(&self, at: usize) -> Option<&[u8]> {
        let row = *self.order.get(at)? as usize;
        Some(self.rows.as_ref().map_or(&[][..], |r| r.row(row).data()))
    }

    /// How far the key at a place goes.
    fn end(&self, from: usize, key: &[u8]) -> usize {
        (from..self.order.len()).find(|at| self.key(*at) != Some(key)).unwrap_or(self.order.len())
    }

    fn columns(&self, key_count: usize, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        let indices = UInt32Array::from(self.order[range].to_vec());
        self.batch.columns()[key_count..].iter().map(|c| take(c, &indices, None).spark()).collect()
    }
}

/// The groups of both sides, in the order of their keys.
fn groups(sides: &[Side; 2]) -> Vec<Group> {
    let mut found = Vec::new();
    let mut at = [0, 0];
    loop {
        let keys = [sides[0].key(at[0]), sides[1].key(at[1])];
        let (side, key) = match keys {
            [Some(a), Some(b)] if b < a => (1, b),
            [Some(a), _] => (0, a),
            [None, Some(b)] => (1, b),
            [None, None] => return found,
        };
        let row = sides[side].order[at[side]] as usize;
        let ends = [sides[0].end(at[0], key), sides[1].end(at[1], key)];
        found.push(Group { key: (side, row), sides: [at[0]..ends[0], at[1]..ends[1]] });
        at = ends;
    }
}

impl GroupPart {
    pub fn len(&self) -> usize {
        self.counts[0].len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first groups, and the others; `None` where there is only one.
    pub fn split(&self) -> Option<[Self; 2]> {
        let at = self.len() / 2;
        if at == 0 {
            return None;
        }
        let sum = |side: usize| self.counts[side].values()[..at].iter().sum::<i32>() as usize;
        let rows = [sum(0), sum(1)];
        let part = |from: usize, to: usize, from_rows: [usize; 2], rows: [usize; 2]| {
            let columns = |side: usize| -> Vec<ArrayRef> {
                let all = &self.columns[side];
                all.iter().map(|c| c.slice(from_rows[side], rows[side])).collect()
            };
            Self {
                keys: self.keys.iter().map(|k| k.slice(from, to - from)).collect(),
                counts: [self.counts[0].slice(from, to - from), self.counts[1].slice(from, to - from)],
                columns: [columns(0), columns(1)],
            }
        };
        let all = |side: usize| self.counts[side].values().iter().sum::<i32>() as usize;
        let rest = [all(0) - rows[0], all(1) - rows[1]];
        Some([part(0, at, [0, 0], rows), part(at, self.len(), rows, rest)])
    }

    /// Groups without rows.
    pub fn of_keys(task: &StatefulTask, keys: Vec<ArrayRef>) -> Self {
        let count = keys.first().map_or(1, |k| k.len());
        let none = |fields: &[boathouse_spec::StructField]| -> Vec<ArrayRef> {
            fields
                .iter()
                .map(|f| arrow::array::new_empty_array(&boathouse_bridge::arrow_type(&f.data_type)))
                .collect()
        };
        let zeros = || Int32Array::from(vec![0; count]);
        Self { keys, counts: [zeros(), zeros()], columns: [none(&task.columns), none(&task.initial)] }
    }

    /// What the worker takes: the groups, with how many rows they have, and the rows.
    pub fn batches(&self, task: &StatefulTask) -> Result<Vec<(String, RecordBatch)>> {
        use arrow::datatypes::{DataType, Field, Schema};
        let keys = task.sent(&task.keys, &self.keys, self.len())?;
        let mut fields: Vec<_> = keys.schema().fields().iter().cloned().collect();
        let mut columns = keys.columns().to_vec();
        let both = matches!(task.remembered, super::Remembered::Variables);
        for (counts, name) in self.counts.iter().zip(["rows", "initial"]).take(if both { 2 } else { 1 }) {
            fields.push(std::sync::Arc::new(Field::new(name, DataType::Int32, false)));
            columns.push(std::sync::Arc::new(counts.clone()));
        }
        let groups = RecordBatch::try_new(std::sync::Arc::new(Schema::new(fields)), columns).spark()?;
        let sum = |side: usize| self.counts[side].values().iter().sum::<i32>() as usize;
        let mut all = vec![
            ("groups".to_string(), groups),
            ("rows".to_string(), task.sent(&task.columns, &self.columns[0], sum(0))?),
        ];
        if sum(1) > 0 {
            all.push(("initial".to_string(), task.sent(&task.initial, &self.columns[1], sum(1))?));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn batch(rows: &[(Option<&str>, i64)]) -> RecordBatch {
        let fields = vec![Field::new("k", DataType::Utf8, true), Field::new("v", DataType::Int64, false)];
        let keys: ArrayRef = Arc::new(rows.iter().map(|(k, _)| *k).collect::<StringArray>());
        let values: ArrayRef = Arc::new(rows.iter().map(|(_, v)| *v).collect::<Int64Array>());
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![keys, values]).unwrap()
    }

    /// By group: its key, and the values of both sides.
    fn shown(part: &GroupPart) -> Vec<(Option<String>, Vec<i64>, Vec<i64>)> {
        let keys = part.keys[0].as_string::<i32>();
        let mut at = [0, 0];
        let mut values = |side: usize, group: usize| {
            let count = part.counts[side].value(group) as usize;
            let all = part.columns[side][0].as_primitive::<Int64Type>();
            at[side] += count;
            all.values()[at[side] - count..at[side]].to_vec()
        };
        (0..part.len())
            .map(|g| (keys.is_valid(g).then(|| keys.value(g).to_string()), values(0, g), values(1, g)))
            .collect()
    }

    #[test]
    fn rows_of_a_group_are_together_and_in_order() {
        let rows = batch(&[(Some("b"), 1), (Some("a"), 2), (None, 3), (Some("b"), 4), (Some("a"), 5)]);
        let initial = batch(&[(Some("c"), 6), (Some("a"), 7), (Some("c"), 8)]);
        let parts = GroupedRows::new(1, rows, initial).unwrap().parts(2).unwrap();
        let [part] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        let wanted = [
            (None, vec![3], vec![]),
            (Some("a".to_string()), vec![2, 5], vec![7]),
            (Some("b".to_string()), vec![1, 4], vec![]),
            (Some("c".to_string()), vec![], vec![6, 8]),
        ];
        assert_eq!(shown(part), wanted);
        let [first, second] = part.split().unwrap();
        assert_eq!((shown(&first), shown(&second)), (wanted[..2].to_vec(), wanted[2..].to_vec()));
        assert!(first.split().unwrap()[0].split().is_none());
    }

    #[test]
    fn many_groups_are_many_parts() {
        let names: Vec<String> = (0..25_000).map(|n| format!("{n}")).collect();
        let rows: Vec<_> = names.iter().map(|n| (Some(n.as_str()), 1)).collect();
        let none = batch(&[]);
        let parts = GroupedRows::new(1, batch(&rows), none).unwrap().parts(2).unwrap();
        assert!(parts.iter().all(|p| p.len() <= MAX_GROUPS));
        assert_eq!(parts.iter().map(GroupPart::len).sum::<usize>(), 25_000);
        assert!(GroupedRows::new(1, batch(&[]), batch(&[])).unwrap().parts(2).unwrap().is_empty());
    }
}
