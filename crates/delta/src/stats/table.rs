//! The statistics of many files, column by column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array, UInt64Builder, new_empty_array, new_null_array};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use boathouse_formats::zone::Zone;
use datafusion::scalar::ScalarValue;

use super::bounds::BoundsBuilder;
use super::json::{self, Node};
use crate::action::{Add, PartitionValues};
use crate::partition::{depends_on_zone, parse_value};
use crate::schema::{TableColumn, TableColumns};

/// The bounds of one column in each file. A NULL bound is unknown.
#[derive(Debug, Clone)]
pub(crate) struct ColumnBounds {
    pub min: ArrayRef,
    pub max: ArrayRef,
    pub null_count: UInt64Array,
    /// The bounds are values of the column, not only around them.
    pub exact: bool,
}

/// Statistics of files in the order of the files, by the column's name in the table.
#[derive(Debug)]
pub(crate) struct StatsTable {
    pub files: usize,
    /// Rows in the file, deleted ones included.
    pub num_records: UInt64Array,
    pub columns: HashMap<String, ColumnBounds>,
}

impl StatsTable {
    pub fn build(files: &[Arc<Add>], columns: &TableColumns) -> Self {
        let mut builder = StatsTableBuilder::new(columns);
        for file in files {
            builder.push(file.stats.as_deref(), &file.partition_values);
        }
        builder.finish()
    }

    /// Rows in some files, deleted ones included; `None` where one does not tell.
    pub fn total_records(&self, rows: impl Iterator<Item = usize>) -> Option<u64> {
        let records = |row: usize| self.num_records.is_valid(row).then(|| self.num_records.value(row));
        rows.map(records).try_fold(0u64, |sum, n| Some(sum.saturating_add(n?)))
    }
}

/// Makes a table of statistics file by file, from their JSON to columns without anything in between.
pub(crate) struct StatsTableBuilder<'a> {
    num_records: UInt64Builder,
    data: Vec<DataColumn<'a>>,
    /// By physical name, where it is in `data`.
    positions: HashMap<&'a str, usize>,
    partitions: Vec<PartitionColumn<'a>>,
}

/// A column whose bounds come from statistics; those of some types have a count of NULLs only.
struct DataColumn<'a> {
    column: &'a TableColumn,
    bounds: Option<(BoundsBuilder, BoundsBuilder)>,
    nulls: UInt64Builder,
}

/// A partition column: its bounds are its value, where that is one for all sessions.
struct PartitionColumn<'a> {
    column: &'a TableColumn,
    /// Each value once; `None` where one cannot be read, and nothing is known of the column.
    values: Option<Vec<PartitionBound>>,
    by_text: HashMap<Option<String>, usize>,
    rows: Vec<usize>,
}

struct PartitionBound {
    /// NULL where it is or is not known.
    value: ScalarValue,
    is_known: bool,
}

/// What the statistics of one file say of each data column.
#[derive(Default)]
struct Found<'t> {
    records: Option<u64>,
    loose: bool,
    min: Vec<Option<Node<'t>>>,
    max: Vec<Option<Node<'t>>>,
    nulls: Vec<Option<Node<'t>>>,
}

impl<'a> StatsTableBuilder<'a> {
    pub fn new(columns: &'a TableColumns) -> Self {
        let data: Vec<_> = columns.iter().filter(|c| !c.is_partition).map(DataColumn::new).collect();
        let positions = data.iter().enumerate().map(|(i, d)| (d.column.physical.as_str(), i)).collect();
        let partitions = columns.iter().filter(|c| c.is_partition).map(PartitionColumn::new).collect();
        Self { num_records: UInt64Builder::new(), data, positions, partitions }
    }

    pub fn push(&mut self, stats: Option<&str>, partition_values: &PartitionValues) {
        let found = stats.and_then(|text| self.find(text)).unwrap_or_default();
        self.num_records.append_option(found.records);
        for (i, column) in self.data.iter_mut().enumerate() {
            if let Some((min, max)) = &mut column.bounds {
                min.push(found.min.get(i).and_then(Option::as_ref));
                max.push(found.max.get(i).and_then(Option::as_ref));
            }
            let nulls = found.nulls.get(i).and_then(Option::as_ref).and_then(Node::as_i64);
            // With `tightBounds: false` (a deletion vector came later) the null count still bounds from above only.
            let nulls = nulls.and_then(|n| u64::try_from(n).ok()).filter(|_| !found.loose);
            column.nulls.append_option(nulls);
        }
        self.partitions.iter_mut().for_each(|p| p.push(partition_values));
    }

    /// The members of a file's statistics, of which nothing is taken where the text is damaged.
    fn find<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        let columns = self.data.len();
        let mut found = Found {
            min: vec![None; columns],
            max: vec![None; columns],
            nulls: vec![None; columns],
            ..Found::default()
        };
        json::members(text, |key, reader| {
            let side = match key {
                "minValues" => &mut found.min,
                "maxValues" => &mut found.max,
                "nullCount" => &mut found.nulls,
                "numRecords" => {
                    found.records = reader.leaf()?.as_i64().and_then(|n| n.try_into().ok());
                    return Some(());
                }
                "tightBounds" => {
                    found.loose = reader.leaf()? == Node::Boolean(false);
                    return Some(());
                }
                _ => return reader.skip(),
            };
            // Writers name the columns in the order of the table.
            let mut next = 0;
            reader.each(|name, reader| {
                let expected = self.data.get(next).is_some_and(|d| d.column.physical == name);
                let position = if expected { Some(next) } else { self.positions.get(name).copied() };
                let Some(position) = position else { return reader.skip() };
                next = position + 1;
                side[position] = Some(reader.leaf()?);
                Some(())
            })
        })?;
        Some(found)
    }

    pub fn finish(mut self) -> StatsTable {
        let num_records = self.num_records.finish();
        let files = num_records.len();
        let mut columns = HashMap::new();
        for column in self.data {
            let name = column.column.logical().to_string();
            if let Some(bounds) = column.finish(files) {
                columns.insert(name, bounds);
            }
        }
        for column in self.partitions {
            let name = column.column.logical().to_string();
            if let Some(bounds) = column.finish(&num_records) {
                columns.insert(name, bounds);
            }
        }
        StatsTable { files, num_records, columns }
    }
}

impl<'a> DataColumn<'a> {
    fn new(column: &'a TableColumn) -> Self {
        let t = column.field.data_type();
        let bounds = BoundsBuilder::new(t, false).zip(BoundsBuilder::new(t, true));
        Self { column, bounds, nulls: UInt64Builder::new() }
    }

    fn finish(mut self, files: usize) -> Option<ColumnBounds> {
        let t = self.column.field.data_type();
        let null_count = self.nulls.finish();
        let Some((min, max)) = self.bounds else {
            let unknown = new_null_array(t, files);
            return Some(ColumnBounds { min: unknown.clone(), max: unknown, null_count, exact: false });
        };
        let exact = matches!(
            t,
            ArrowType::Int8
                | ArrowType::Int16
                | ArrowType::Int32
                | ArrowType::Int64
                | ArrowType::Date32
                | ArrowType::Decimal128(..)
        );
        Some(ColumnBounds { min: min.finish(t)?, max: max.finish(t)?, null_count, exact })
    }
}

impl<'a> PartitionColumn<'a> {
    fn new(column: &'a TableColumn) -> Self {
        Self { column, values: Some(Vec::new()), by_text: HashMap::new(), rows: Vec::new() }
    }

    fn push(&mut self, partition_values: &PartitionValues) {
        let Some(values) = &mut self.values else { return };
        let text = partition_values.get(&self.column.physical).cloned().flatten();
        if let Some(position) = self.by_text.get(&text) {
            self.rows.push(*position);
            return;
        }
        let t = &self.column.data_type;
        // Statistics are shared by the sessions of all time zones.
        let is_known = !depends_on_zone(text.as_deref(), t);
        let known = text.as_deref().filter(|_| is_known);
        match parse_value(self.column.logical(), known, t, &Zone::UTC) {
            Ok(value) => {
                self.rows.push(values.len());
                self.by_text.insert(text, values.len());
                values.push(PartitionBound { value, is_known });
            }
            Err(_) => self.values = None,
        }
    }

    fn finish(self, num_records: &UInt64Array) -> Option<ColumnBounds> {
        let values = self.values?;
        let is_null = |bound: &PartitionBound| bound.is_known && bound.value.is_null();
        let nulls = self.rows.iter().zip(num_records).map(|(row, records)| match is_null(&values[*row]) {
            true => records,
            false => Some(0),
        });
        let null_count = nulls.collect();
        let exact = values.iter().all(|bound| bound.is_known);
        let distinct = match values.is_empty() {
            true => new_empty_array(self.column.field.data_type()),
            false => ScalarValue::iter_to_array(values.into_iter().map(|bound| bound.value)).ok()?,
        };
        let rows: UInt64Array = self.rows.iter().map(|row| Some(*row as u64)).collect();
        let array = arrow::compute::take(&distinct, &rows, None).ok()?;
        Some(ColumnBounds { min: array.clone(), max: array, null_count, exact })
    }
}

/// The types whose bounds the log records.
pub(crate) fn has_bounds(t: &ArrowType) -> bool {
    matches!(
        t,
        ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Float32
            | ArrowType::Float64
            | ArrowType::Decimal128(..)
            | ArrowType::Date32
            | ArrowType::Timestamp(TimeUnit::Microsecond, _)
            | ArrowType::Utf8
    )
}
