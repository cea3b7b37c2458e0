//! Growing columns for text parsers: what Arrow's builders are, and that rows can be taken back.
//!
//! A parser learns that a row is malformed when parts of it are already written; [`Column::truncate`] undoes them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, ListArray, MapArray, NullArray,
    NullBufferBuilder, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Date32Type, Decimal128Type, DurationMicrosecondType, Field,
    FieldRef, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalYearMonthType, Time64NanosecondType,
    TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, UTC, arrow_field, arrow_type, typed_field};
use boathouse_spec::{DataType, Error, IntervalField, Result, StructType};

use crate::interval_parse::{parse_calendar_interval, parse_day_time, parse_year_month};
use crate::variant;

/// A column that grows row by row.
pub enum Column {
    Null(usize),
    Boolean(Booleans),
    Byte(Values<Int8Type>),
    Short(Values<Int16Type>),
    Integer(Values<Int32Type>),
    Long(Values<Int64Type>),
    Float(Values<Float32Type>),
    Double(Values<Float64Type>),
    Decimal(Values<Decimal128Type>, u8, u8),
    String(Bytes),
    Binary(Bytes),
    Date(Values<Date32Type>),
    Timestamp(Values<TimestampMicrosecondType>),
    TimestampNtz(Values<TimestampMicrosecondType>),
    Time(Values<Time64NanosecondType>),
    YearMonth(Values<IntervalYearMonthType>, IntervalField, IntervalField),
    DayTime(Values<DurationMicrosecondType>, IntervalField, IntervalField),
    Calendar(Values<IntervalMonthDayNanoType>),
    List(Box<List>),
    Map(Box<Map>),
    Struct(Struct),
    Variant(Box<VariantBytes>),
}

/// Variants: NULL where the value is.
pub struct VariantBytes {
    metadata: Bytes,
    value: Bytes,
}

impl VariantBytes {
    pub fn push(&mut self, variant: &variant::Builder) -> Result<()> {
        variant.write_metadata(self.metadata.open())?;
        self.metadata.close();
        self.value.push(variant.value());
        Ok(())
    }
}

/// Values of one width.
pub struct Values<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Values<T> {
    fn new() -> Self {
        Self { values: Vec::new(), valid: NullBufferBuilder::new(0) }
    }

    #[inline]
    pub fn push(&mut self, value: T::Native) {
        self.values.push(value);
        self.valid.append_non_null();
    }

    #[inline]
    fn push_null(&mut self) {
        self.values.push(T::Native::default());
        self.valid.append_null();
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.valid.truncate(rows);
    }

    fn finish(&mut self) -> PrimitiveArray<T> {
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        PrimitiveArray::new(values, self.valid.finish())
    }
}

pub struct Booleans {
    values: BooleanBufferBuilder,
    valid: NullBufferBuilder,
}

impl Booleans {
    #[inline]
    pub fn push(&mut self, value: bool) {
        self.values.append(value);
        self.valid.append_non_null();
    }
}

/// Texts or binaries.
pub struct Bytes {
    values: Vec<u8>,
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
    /// More than an offset can count was written: told at the end.
    overflow: bool,
}

impl Bytes {
    fn new() -> Self {
        Self { values: Vec::new(), offsets: vec![0], valid: NullBufferBuilder::new(0), overflow: false }
    }

    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.close();
    }

    /// The end of the bytes so far: a value can be written in pieces behind it, then [`Bytes::close`]d.
    #[inline]
    pub fn open(&mut self) -> &mut Vec<u8> {
        &mut self.values
    }

    #[inline]
    pub fn close(&mut self) {
        self.push_offset();
        self.valid.append_non_null();
    }

    /// Takes back the pieces of a value that was not closed.
    pub fn abandon(&mut self) {
        let end = self.offsets.last().copied().unwrap_or(0) as usize;
        self.values.truncate(end);
    }

    fn push_offset(&mut self) {
        match i32::try_from(self.values.len()) {
            Ok(end) => self.offsets.push(end),
            Err(_) => {
                self.overflow = true;
                self.offsets.push(self.offsets.last().copied().unwrap_or(0));
            }
        }
    }

    fn push_null(&mut self) {
        self.push_offset();
        self.valid.append_null();
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.offsets.truncate(rows + 1);
            self.valid.truncate(rows);
        }
        self.abandon();
    }

    fn parts(&mut self) -> Result<(OffsetBuffer<i32>, Buffer, Option<arrow::buffer::NullBuffer>)> {
        if self.overflow {
            return Err(Error::batch_too_large());
        }
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        Ok((OffsetBuffer::new(offsets.into()), values, self.valid.finish()))
    }
}

pub struct List {
    pub element: Column,
    field: FieldRef,
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
}

impl List {
    /// Ends a row whose elements were appended to `element`.
    pub fn close(&mut self) {
        self.offsets.push(i32::try_from(self.element.len()).unwrap_or(i32::MAX));
        self.valid.append_non_null();
    }

    /// The number of elements of closed rows.
    pub fn start(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0) as usize
    }
}

pub struct Map {
    pub keys: Bytes,
    pub values: Column,
    entries: FieldRef,
    fields: Fields,
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
}

impl Map {
    /// Ends a row whose entries were appended to `keys` and `values`.
    pub fn close(&mut self) {
        self.offsets.push(i32::try_from(self.values.len()).unwrap_or(i32::MAX));
        self.valid.append_non_null();
    }

    pub fn start(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0) as usize
    }

    /// The key of an entry of the open row.
    pub fn key(&self, entry: usize) -> &[u8] {
        let (start, end) = (self.keys.offsets[entry] as usize, self.keys.offsets[entry + 1] as usize);
        &self.keys.values[start..end]
    }
}

pub struct Struct {
    pub columns: Vec<Column>,
    fields: Fields,
    /// Field numbers by name, where there are too many to compare with each.
    index: HashMap<Box<[u8]>, usize>,
    /// No two fields have the same name.
    unique_names: bool,
    rows: usize,
    valid: NullBufferBuilder,
}

/// Up to so many fields are found by comparing names.
const FEW_FIELDS: usize = 8;

impl Struct {
    pub fn new(s: &StructType) -> Result<Self> {
        let mut index: HashMap<Box<[u8]>, usize> =
            s.fields.iter().enumerate().map(|(i, f)| (f.name.as_bytes().into(), i)).collect();
        let unique_names = index.len() == s.fields.len();
        if s.fields.len() <= FEW_FIELDS {
            index.clear();
        }
        Ok(Self {
            unique_names,
            columns: s.fields.iter().map(|f| Column::new(&f.data_type)).collect::<Result<_>>()?,
            fields: s
                .fields
                .iter()
                .map(|f| {
                    let mut f = f.clone();
                    f.data_type = nullable(&f.data_type);
                    f.nullable = true;
                    arrow_field(&f)
                })
                .collect(),
            index,
            rows: 0,
            valid: NullBufferBuilder::new(0),
        })
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Takes rows back until `rows` are left, and what was written of an open one.
    pub fn truncate(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
        self.valid.truncate(rows);
        self.rows = self.rows.min(rows);
    }

    /// The arrays of the columns, and how many rows they have; the struct is empty afterwards.
    pub fn finish_columns(&mut self) -> Result<(Vec<ArrayRef>, usize)> {
        let rows = std::mem::take(&mut self.rows);
        self.valid.finish();
        Ok((self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>>>()?, rows))
    }

    /// About how many bytes the columns hold.
    pub fn size(&self) -> usize {
        self.columns.iter().map(Column::size).sum()
    }

    /// The field of that name, exactly; of several the last, as in Spark. `guess` is looked at first: objects mostly have
    /// their fields in one order.
    #[inline]
    pub fn find(&self, name: &[u8], guess: usize) -> Option<usize> {
        if self.unique_names && self.fields.get(guess).is_some_and(|f| f.name().as_bytes() == name) {
            return Some(guess);
        }
        if self.fields.len() <= FEW_FIELDS {
            return self.fields.iter().rposition(|f| f.name().as_bytes() == name);
        }
        self.index.get(name).copied()
    }

    /// The column of a name in any case.
    pub fn find_in_any_case(&self, name: &[u8]) -> Option<usize> {
        let name = String::from_utf8_lossy(name).to_lowercase();
        self.fields.iter().position(|f| f.name().to_lowercase() == name)
    }

    /// The number of closed rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Ends a row. Columns without a value of it get NULL.
    #[inline]
    pub fn close(&mut self) {
        self.rows += 1;
        for column in &mut self.columns {
            if column.len() < self.rows {
                column.push_null();
            }
        }
        self.valid.append_non_null();
    }
}

impl Column {
    /// Appends an interval's text; `None` where the column is of no interval type, or the text is no such interval.
    pub fn push_interval(&mut self, text: &str) -> Option<()> {
        match self {
            Self::YearMonth(values, start, end) => values.push(parse_year_month(text, *start, *end).ok()?),
            Self::DayTime(values, start, end) => values.push(parse_day_time(text, *start, *end).ok()?),
            Self::Calendar(values) => {
                let v = parse_calendar_interval(text)?;
                let nanoseconds = v.microseconds.checked_mul(1000)?;
                values.push(IntervalMonthDayNano { months: v.months, days: v.days, nanoseconds });
            }
            _ => return None,
        }
        Some(())
    }

    /// An empty column of a Spark type.
    pub fn new(t: &DataType) -> Result<Self> {
        Ok(match t {
            DataType::Null => Self::Null(0),
            DataType::Boolean => Self::Boolean(Booleans {
                values: BooleanBufferBuilder::new(0),
                valid: NullBufferBuilder::new(0),
            }),
            DataType::Byte => Self::Byte(Values::new()),
            DataType::Short => Self::Short(Values::new()),
            DataType::Integer => Self::Integer(Values::new()),
            DataType::Long => Self::Long(Values::new()),
            DataType::Float => Self::Float(Values::new()),
            DataType::Double => Self::Double(Values::new()),
            DataType::Decimal { precision, scale } => Self::Decimal(Values::new(), *precision, *scale),
            DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => Self::String(Bytes::new()),
            DataType::Binary => Self::Binary(Bytes::new()),
            DataType::Date => Self::Date(Values::new()),
            DataType::Timestamp => Self::Timestamp(Values::new()),
            DataType::TimestampNtz => Self::TimestampNtz(Values::new()),
            DataType::Time { .. } => Self::Time(Values::new()),
            DataType::YearMonthInterval { start, end } => Self::YearMonth(Values::new(), *start, *end),
            DataType::DayTimeInterval { start, end } => Self::DayTime(Values::new(), *start, *end),
            DataType::CalendarInterval => Self::Calendar(Values::new()),
            DataType::Array { element, .. } => Self::List(Box::new(List {
                element: Self::new(element)?,
                // Text can always hold a null where the schema promises none; the promise is dropped, as Spark does.
                field: Arc::new(typed_field("item", &nullable(element), true)),
                offsets: vec![0],
                valid: NullBufferBuilder::new(0),
            })),
            DataType::Map { key, value, .. } => {
                if !key.is_string() {
                    return Err(Error::new("INVALID_JSON_SCHEMA_MAP_TYPE")
                        .param("jsonSchema", format!("\"{}\"", t.sql()))
                        .message(format!("A map read from text has STRING keys, not {}.", key.sql())));
                }
                let fields = Fields::from(vec![
                    typed_field("key", key, false),
                    typed_field("value", &nullable(value), true),
                ]);
                Self::Map(Box::new(Map {
                    keys: Bytes::new(),
                    values: Self::new(value)?,
                    entries: Arc::new(Field::new("entries", ArrowType::Struct(fields.clone()), false)),
                    fields,
                    offsets: vec![0],
                    valid: NullBufferBuilder::new(0),
                }))
            }
            DataType::Struct(s) => Self::Struct(Struct::new(s)?),
            DataType::Udt { sql_type, .. } => Self::new(sql_type)?,
            DataType::Geometry { .. } | DataType::Geography { .. } => {
                return Err(Error::unsupported(format!("{} out of text", t.sql())));
            }
            DataType::Variant => {
                Self::Variant(Box::new(VariantBytes { metadata: Bytes::new(), value: Bytes::new() }))
            }
        })
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Null(n) => *n,
            Self::Boolean(b) => b.values.len(),
            Self::Byte(v) => v.values.len(),
            Self::Short(v) => v.values.len(),
            Self::Integer(v) => v.values.len(),
            Self::Long(v) => v.values.len(),
            Self::Float(v) => v.values.len(),
            Self::Double(v) => v.values.len(),
            Self::Decimal(v, ..) => v.values.len(),
            Self::String(b) | Self::Binary(b) => b.len(),
            Self::Date(v) => v.values.len(),
            Self::Timestamp(v) | Self::TimestampNtz(v) => v.values.len(),
            Self::Time(v) => v.values.len(),
            Self::YearMonth(v, ..) => v.values.len(),
            Self::DayTime(v, ..) => v.values.len(),
            Self::Calendar(v) => v.values.len(),
            Self::List(l) => l.offsets.len() - 1,
            Self::Map(m) => m.offsets.len() - 1,
            Self::Struct(s) => s.rows,
            Self::Variant(v) => v.value.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push_null(&mut self) {
        match self {
            Self::Null(n) => *n += 1,
            Self::Boolean(b) => {
                b.values.append(false);
                b.valid.append_null();
            }
            Self::Byte(v) => v.push_null(),
            Self::Short(v) => v.push_null(),
            Self::Integer(v) => v.push_null(),
            Self::Long(v) => v.push_null(),
            Self::Float(v) => v.push_null(),
            Self::Double(v) => v.push_null(),
            Self::Decimal(v, ..) => v.push_null(),
            Self::String(b) | Self::Binary(b) => b.push_null(),
            Self::Date(v) => v.push_null(),
            Self::Timestamp(v) | Self::TimestampNtz(v) => v.push_null(),
            Self::Time(v) => v.push_null(),
            Self::YearMonth(v, ..) => v.push_null(),
            Self::DayTime(v, ..) => v.push_null(),
            Self::Calendar(v) => v.push_null(),
            Self::List(l) => {
                l.offsets.push(l.start() as i32);
                l.valid.append_null();
            }
            Self::Map(m) => {
                m.offsets.push(m.start() as i32);
                m.valid.append_null();
            }
            Self::Struct(s) => {
                s.columns.iter_mut().for_each(Self::push_null);
                s.rows += 1;
                s.valid.append_null();
            }
            Self::Variant(v) => {
                v.metadata.push_null();
                v.value.push_null();
            }
        }
    }

    /// Takes rows back until `rows` are left; parts of a row that was not closed go too.
    pub fn truncate(&mut self, rows: usize) {
        match self {
            Self::Null(n) => *n = rows.min(*n),
            Self::Boolean(b) => {
                b.values.truncate(rows);
                b.valid.truncate(rows);
            }
            Self::Byte(v) => v.truncate(rows),
            Self::Short(v) => v.truncate(rows),
            Self::Integer(v) => v.truncate(rows),
            Self::Long(v) => v.truncate(rows),
            Self::Float(v) => v.truncate(rows),
            Self::Double(v) => v.truncate(rows),
            Self::Decimal(v, ..) => v.truncate(rows),
            Self::String(b) | Self::Binary(b) => b.truncate(rows),
            Self::Date(v) => v.truncate(rows),
            Self::Timestamp(v) | Self::TimestampNtz(v) => v.truncate(rows),
            Self::Time(v) => v.truncate(rows),
            Self::YearMonth(v, ..) => v.truncate(rows),
            Self::DayTime(v, ..) => v.truncate(rows),
            Self::Calendar(v) => v.truncate(rows),
            Self::List(l) => {
                l.offsets.truncate(rows + 1);
                l.valid.truncate(rows);
                let start = l.start();
                l.element.truncate(start);
            }
            Self::Map(m) => {
                m.offsets.truncate(rows + 1);
                m.valid.truncate(rows);
                let start = m.start();
                m.keys.truncate(start);
                m.values.truncate(start);
            }
            Self::Struct(s) => s.truncate(rows),
            Self::Variant(v) => {
                v.metadata.truncate(rows);
                v.value.truncate(rows);
            }
        }
    }

    /// The array of all rows; the column is empty afterwards. Texts must be UTF-8.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Null(n) => Arc::new(NullArray::new(std::mem::take(n))),
            Self::Boolean(b) => Arc::new(BooleanArray::new(b.values.finish(), b.valid.finish())),
            Self::Byte(v) => Arc::new(v.finish()),
            Self::Short(v) => Arc::new(v.finish()),
            Self::Integer(v) => Arc::new(v.finish()),
            Self::Long(v) => Arc::new(v.finish()),
            Self::Float(v) => Arc::new(v.finish()),
            Self::Double(v) => Arc::new(v.finish()),
            Self::Decimal(v, precision, scale) => {
                Arc::new(v.finish().with_precision_and_scale(*precision, *scale as i8).spark()?)
            }
            Self::String(b) => {
                let (offsets, values, nulls) = b.parts()?;
                Arc::new(StringArray::try_new(offsets, values, nulls).spark()?)
            }
            Self::Binary(b) => {
                let (offsets, values, nulls) = b.parts()?;
                Arc::new(BinaryArray::try_new(offsets, values, nulls).spark()?)
            }
            Self::Date(v) => Arc::new(v.finish()),
            Self::Timestamp(v) => Arc::new(v.finish().with_timezone(UTC)),
            Self::TimestampNtz(v) => Arc::new(v.finish()),
            Self::Time(v) => Arc::new(v.finish()),
            Self::YearMonth(v, ..) => Arc::new(v.finish()),
            Self::DayTime(v, ..) => Arc::new(v.finish()),
            Self::Calendar(v) => Arc::new(v.finish()),
            Self::List(l) => {
                let offsets = OffsetBuffer::new(std::mem::replace(&mut l.offsets, vec![0]).into());
                let values = l.element.finish()?;
                Arc::new(ListArray::try_new(l.field.clone(), offsets, values, l.valid.finish()).spark()?)
            }
            Self::Map(m) => {
                let offsets = OffsetBuffer::new(std::mem::replace(&mut m.offsets, vec![0]).into());
                let (key_offsets, keys, _) = m.keys.parts()?;
                let keys = StringArray::try_new(key_offsets, keys, None).spark()?;
                let entries =
                    StructArray::try_new(m.fields.clone(), vec![Arc::new(keys), m.values.finish()?], None)
                        .spark()?;
                Arc::new(
                    MapArray::try_new(m.entries.clone(), offsets, entries, m.valid.finish(), false)
                        .spark()?,
                )
            }
            Self::Variant(v) => {
                let (offsets, bytes, _) = v.metadata.parts()?;
                let metadata: ArrayRef = Arc::new(BinaryArray::try_new(offsets, bytes, None).spark()?);
                let (offsets, bytes, nulls) = v.value.parts()?;
                let value: ArrayRef = Arc::new(BinaryArray::try_new(offsets, bytes, None).spark()?);
                let ArrowType::Struct(fields) = arrow_type(&DataType::Variant) else {
                    return Err(Error::internal("a VARIANT is a struct"));
                };
                let columns = fields
                    .iter()
                    .map(|f| if f.name() == "metadata" { metadata.clone() } else { value.clone() })
                    .collect();
                Arc::new(StructArray::try_new(fields, columns, nulls).spark()?)
            }
            Self::Struct(s) => {
                let rows = std::mem::take(&mut s.rows);
                let valid = s.valid.finish();
                let arrays = s.columns.iter_mut().map(Self::finish).collect::<Result<Vec<_>>>()?;
                Arc::new(if arrays.is_empty() {
                    StructArray::new_empty_fields(rows, valid)
                } else {
                    StructArray::try_new(s.fields.clone(), arrays, valid).spark()?
                })
            }
        })
    }

    /// About how many bytes the column holds.
    pub fn size(&self) -> usize {
        match self {
            Self::String(b) | Self::Binary(b) => b.values.len() + 4 * b.offsets.len(),
            Self::List(l) => l.element.size() + 4 * l.offsets.len(),
            Self::Map(m) => m.keys.values.len() + m.values.size() + 4 * m.offsets.len(),
            Self::Struct(s) => s.size(),
            Self::Variant(v) => v.metadata.values.len() + v.value.values.len() + 8 * v.value.offsets.len(),
            other => 8 * other.len(),
        }
    }
}

/// The type with everything in it nullable: what a text can hold.
pub fn nullable(t: &DataType) -> DataType {
    match t {
        DataType::Array { element, .. } => DataType::array(nullable(element), true),
        DataType::Map { key, value, .. } => DataType::map(key.as_ref().clone(), nullable(value), true),
        DataType::Struct(s) => {
            let fields = s.fields.iter().cloned().map(|mut f| {
                f.data_type = nullable(&f.data_type);
                f.nullable = true;
                f
            });
            DataType::structure(fields.collect())
        }
        other => other.clone(),
    }
}

/// The Arrow type of the arrays that [`Column::finish`] gives.
pub fn column_type(t: &DataType) -> ArrowType {
    arrow_type(&nullable(t))
}
