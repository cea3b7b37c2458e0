//! The values of a column of a stripe, on their way into its streams.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, filter, is_not_null};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, TimeUnit, TimestampMicrosecondType,
};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};
use orc_rust::proto::stream::Kind as StreamKind;
use orc_rust::proto::{ColumnStatistics, r#type::Kind};

use super::times::Clock;
use super::{runs, types};

pub(crate) struct Column {
    kind: Kind,
    rows: u64,
    /// Which rows have a value, where any has none.
    present: Vec<bool>,
    values: Values,
    /// What is inside: fields, elements, keys and values.
    inner: Vec<Column>,
    /// Of the whole file.
    all_values: u64,
    any_null: bool,
}

enum Values {
    /// Of a struct: they are inside.
    None,
    Bits(Vec<bool>),
    Bytes(Vec<u8>),
    Integers(Vec<i64>),
    /// As they are in the file.
    Floats(Vec<u8>),
    Texts {
        bytes: Vec<u8>,
        lengths: Vec<i64>,
    },
    Decimals {
        digits: Vec<u8>,
        scales: Vec<i64>,
    },
    Times {
        seconds: Vec<i64>,
        nanoseconds: Vec<i64>,
    },
    Lengths(Vec<i64>),
}

impl Column {
    pub(crate) fn new(t: &DataType) -> Result<Self> {
        let kind = types::kind_of(t)?;
        let inner = match t {
            DataType::Struct(fields) => {
                fields.fields.iter().map(|f| Self::new(&f.data_type)).collect::<Result<_>>()?
            }
            DataType::Array { element, .. } => vec![Self::new(element)?],
            DataType::Map { key, value, .. } => vec![Self::new(key)?, Self::new(value)?],
            _ => Vec::new(),
        };
        let (present, values) = (Vec::new(), no_values(kind));
        Ok(Self { kind, rows: 0, present, values, inner, all_values: 0, any_null: false })
    }

    /// Adds the values of an array; timestamps are counted by the clock.
    pub(crate) fn append(&mut self, array: &ArrayRef, clock: &Clock) -> Result<()> {
        let nulls = array.logical_nulls().filter(|n| n.null_count() > 0);
        match &nulls {
            Some(nulls) => {
                if self.present.is_empty() {
                    self.present = vec![true; self.rows as usize];
                }
                self.present.extend(nulls.iter());
            }
            None if self.present.is_empty() => {}
            None => self.present.extend(std::iter::repeat_n(true, array.len())),
        }
        self.rows += array.len() as u64;
        match nulls {
            Some(_) => {
                let some = filter(array, &is_not_null(array).spark()?).spark()?;
                self.append_values(&some, clock)
            }
            None => self.append_values(array, clock),
        }
    }

    fn append_values(&mut self, array: &ArrayRef, clock: &Clock) -> Result<()> {
        self.all_values += array.len() as u64;
        match &mut self.values {
            Values::None => {
                for (column, values) in self.inner.iter_mut().zip(array.as_struct().columns()) {
                    column.append(values, clock)?;
                }
            }
            Values::Bits(bits) => bits.extend(array.as_boolean().iter().map(|b| b.unwrap_or_default())),
            Values::Bytes(bytes) => {
                bytes.extend(array.as_primitive::<Int8Type>().values().iter().map(|v| *v as u8))
            }
            Values::Integers(out) => append_integers(out, array)?,
            Values::Floats(out) => match array.data_type() {
                ArrowType::Float32 => array
                    .as_primitive::<Float32Type>()
                    .values()
                    .iter()
                    .for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
                _ => array
                    .as_primitive::<Float64Type>()
                    .values()
                    .iter()
                    .for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
            },
            Values::Texts { bytes, lengths } => {
                let array = cast(array, &ArrowType::Binary).spark()?;
                for value in array.as_binary::<i32>().iter().flatten() {
                    bytes.extend_from_slice(value);
                    lengths.push(value.len() as i64);
                }
            }
            Values::Decimals { digits, scales } => {
                let decimals = array.as_primitive::<Decimal128Type>();
                for value in decimals.values() {
                    runs::varint(digits, runs::zigzag(*value));
                    scales.push(i64::from(decimals.scale()));
                }
            }
            Values::Times { seconds, nanoseconds } => {
                for instant in array.as_primitive::<TimestampMicrosecondType>().values() {
                    let (second, nanosecond) = clock.written(*instant);
                    seconds.push(second);
                    nanoseconds.push(nanosecond);
                }
            }
            Values::Lengths(lengths) => match array.data_type() {
                ArrowType::Map(..) => {
                    let map = array.as_map();
                    let (from, to) = put_lengths(lengths, map.offsets());
                    for (column, values) in self.inner.iter_mut().zip([map.keys(), map.values()]) {
                        column.append(&values.slice(from, to - from), clock)?;
                    }
                }
                _ => {
                    let list = array.as_list::<i32>();
                    let (from, to) = put_lengths(lengths, list.offsets());
                    for column in &mut self.inner {
                        column.append(&list.values().slice(from, to - from), clock)?;
                    }
                }
            },
        }
        Ok(())
    }

    /// About how many bytes wait here.
    pub(crate) fn size(&self) -> usize {
        let own = match &self.values {
            Values::None => 0,
            Values::Bits(v) => v.len() / 8,
            Values::Bytes(v) | Values::Floats(v) => v.len(),
            Values::Integers(v) | Values::Lengths(v) => v.len() * 8,
            Values::Texts { bytes, lengths } => bytes.len() + lengths.len() * 8,
            Values::Decimals { digits, scales } => digits.len() + scales.len() * 8,
            Values::Times { seconds, nanoseconds } => (seconds.len() + nanoseconds.len()) * 8,
        };
        own + self.present.len() / 8 + self.inner.iter().map(Self::size).sum::<usize>()
    }

    /// The streams of this column and those inside of it, by their columns' numbers; nothing waits here after that.
    pub(crate) fn take_streams(&mut self, number: &mut u32, out: &mut Vec<(u32, StreamKind, Vec<u8>)>) {
        let own = *number;
        *number += 1;
        let present = std::mem::take(&mut self.present);
        if !present.is_empty() {
            self.any_null = true;
            out.push((own, StreamKind::Present, runs::bits(&present)));
        }
        let values = std::mem::replace(&mut self.values, no_values(self.kind));
        let is_empty = std::mem::take(&mut self.rows) == 0;
        let mut put = |kind, bytes| out.push((own, kind, bytes));
        match values {
            Values::None => {}
            _ if is_empty => {}
            Values::Bits(bits) => put(StreamKind::Data, runs::bits(&bits)),
            Values::Bytes(bytes) => put(StreamKind::Data, runs::bytes(&bytes)),
            Values::Integers(values) => put(StreamKind::Data, runs::integers(&values, true)),
            Values::Floats(bytes) => put(StreamKind::Data, bytes),
            Values::Texts { bytes, lengths } => {
                put(StreamKind::Data, bytes);
                put(StreamKind::Length, runs::integers(&lengths, false));
            }
            Values::Decimals { digits, scales } => {
                put(StreamKind::Data, digits);
                put(StreamKind::Secondary, runs::integers(&scales, true));
            }
            Values::Times { seconds, nanoseconds } => {
                put(StreamKind::Data, runs::integers(&seconds, true));
                put(StreamKind::Secondary, runs::integers(&nanoseconds, false));
            }
            Values::Lengths(lengths) => put(StreamKind::Length, runs::integers(&lengths, false)),
        }
        for column in &mut self.inner {
            column.take_streams(number, out);
        }
    }

    /// How many values the file has, and whether NULLs are among them: of this column, and those inside of it.
    pub(crate) fn statistics(&self, out: &mut Vec<ColumnStatistics>) {
        out.push(ColumnStatistics {
            number_of_values: Some(self.all_values),
            has_null: Some(self.any_null),
            ..ColumnStatistics::default()
        });
        self.inner.iter().for_each(|column| column.statistics(out));
    }
}

fn no_values(kind: Kind) -> Values {
    match kind {
        Kind::Boolean => Values::Bits(Vec::new()),
        Kind::Byte => Values::Bytes(Vec::new()),
        Kind::Short | Kind::Int | Kind::Long | Kind::Date => Values::Integers(Vec::new()),
        Kind::Float | Kind::Double => Values::Floats(Vec::new()),
        Kind::String | Kind::Binary | Kind::Varchar | Kind::Char => {
            Values::Texts { bytes: Vec::new(), lengths: Vec::new() }
        }
        Kind::Decimal => Values::Decimals { digits: Vec::new(), scales: Vec::new() },
        Kind::Timestamp | Kind::TimestampInstant => {
            Values::Times { seconds: Vec::new(), nanoseconds: Vec::new() }
        }
        Kind::List | Kind::Map => Values::Lengths(Vec::new()),
        Kind::Struct | Kind::Union => Values::None,
    }
}

fn append_integers(out: &mut Vec<i64>, array: &ArrayRef) -> Result<()> {
    match array.data_type() {
        ArrowType::Int16 => {
            out.extend(array.as_primitive::<Int16Type>().values().iter().map(|v| i64::from(*v)))
        }
        ArrowType::Int32 => {
            out.extend(array.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)))
        }
        ArrowType::Int64 => out.extend_from_slice(array.as_primitive::<Int64Type>().values()),
        ArrowType::Date32 => {
            out.extend(array.as_primitive::<Date32Type>().values().iter().map(|v| i64::from(*v)))
        }
        ArrowType::Interval(_) => {
            let months = array.as_primitive_opt::<IntervalYearMonthType>();
            let months = months.ok_or_else(|| Error::internal("an interval that ORC files do not have"))?;
            out.extend(months.values().iter().map(|v| i64::from(*v)))
        }
        ArrowType::Duration(TimeUnit::Microsecond) | ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            let numbers = cast(array, &ArrowType::Int64).spark()?;
            out.extend_from_slice(numbers.as_primitive::<Int64Type>().values())
        }
        other => return Err(Error::internal(format!("{other} as whole numbers of an ORC file"))),
    }
    Ok(())
}

/// Adds the lengths between offsets; gives where their values are.
fn put_lengths(lengths: &mut Vec<i64>, offsets: &[i32]) -> (usize, usize) {
    lengths.extend(offsets.windows(2).map(|pair| i64::from(pair[1] - pair[0])));
    let end = |at: Option<&i32>| at.map_or(0, |o| *o as usize);
    (end(offsets.first()), end(offsets.last()))
}
