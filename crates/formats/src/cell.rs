//! Arrays as cells to write as text: one view for each Spark type, whatever Arrow array holds it.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    DurationMicrosecondArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, IntervalYearMonthArray, ListArray, MapArray, StringArray, StructArray,
    Time64NanosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalYearMonthType,
    Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, IntervalField, Result, StructType};

use crate::interval_text::{write_calendar, write_day_time, write_year_month};

/// The values of a column, by type.
pub(crate) enum Cells {
    Null,
    Boolean(BooleanArray),
    Byte(Int8Array),
    Short(Int16Array),
    Integer(Int32Array),
    Long(Int64Array),
    Float(Float32Array),
    Double(Float64Array),
    Decimal(Decimal128Array, i8),
    String(StringArray),
    Binary(BinaryArray),
    Date(Date32Array),
    Timestamp(TimestampMicrosecondArray),
    TimestampNtz(TimestampMicrosecondArray),
    Time(Time64NanosecondArray),
    YearMonth(IntervalYearMonthArray, IntervalField, IntervalField),
    DayTime(DurationMicrosecondArray, IntervalField, IntervalField),
    Calendar(IntervalMonthDayNanoArray),
    List(ListArray, Box<Cells>),
    Map(MapArray, Box<(Cells, Cells)>),
    Struct(StructArray, StructType, Vec<Cells>),
    /// Where it is NULL, and its metadata and value.
    Variant(StructArray, BinaryArray, BinaryArray),
}

impl Cells {
    /// The cells of an array that holds values of a Spark type.
    pub(crate) fn new(array: &ArrayRef, t: &DataType) -> Result<Self> {
        let array = as_expected(array, t)?;
        let wrong =
            || Error::internal(format!("{} values are in an Arrow array of {}", t.sql(), array.data_type()));
        macro_rules! primitive {
            ($type:ty) => {
                array.as_primitive_opt::<$type>().ok_or_else(wrong)?.clone()
            };
        }
        Ok(match t {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.as_boolean_opt().ok_or_else(wrong)?.clone()),
            DataType::Byte => Self::Byte(primitive!(Int8Type)),
            DataType::Short => Self::Short(primitive!(Int16Type)),
            DataType::Integer => Self::Integer(primitive!(Int32Type)),
            DataType::Long => Self::Long(primitive!(Int64Type)),
            DataType::Float => Self::Float(primitive!(Float32Type)),
            DataType::Double => Self::Double(primitive!(Float64Type)),
            DataType::Decimal { scale, .. } => Self::Decimal(primitive!(Decimal128Type), *scale as i8),
            DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => {
                Self::String(array.as_string_opt::<i32>().ok_or_else(wrong)?.clone())
            }
            DataType::Binary => Self::Binary(array.as_binary_opt::<i32>().ok_or_else(wrong)?.clone()),
            DataType::Date => Self::Date(primitive!(Date32Type)),
            DataType::Timestamp => Self::Timestamp(primitive!(TimestampMicrosecondType)),
            DataType::TimestampNtz => Self::TimestampNtz(primitive!(TimestampMicrosecondType)),
            DataType::Time { .. } => Self::Time(primitive!(Time64NanosecondType)),
            DataType::YearMonthInterval { start, end } => {
                Self::YearMonth(primitive!(IntervalYearMonthType), *start, *end)
            }
            DataType::DayTimeInterval { start, end } => {
                Self::DayTime(primitive!(DurationMicrosecondType), *start, *end)
            }
            DataType::CalendarInterval => Self::Calendar(primitive!(IntervalMonthDayNanoType)),
            DataType::Array { element, .. } => {
                let list = array.as_list_opt::<i32>().ok_or_else(wrong)?.clone();
                let cells = Self::new(list.values(), element)?;
                Self::List(list, Box::new(cells))
            }
            DataType::Map { key, value, .. } => {
                let map = array.as_map_opt().ok_or_else(wrong)?.clone();
                let cells = (Self::new(map.keys(), key)?, Self::new(map.values(), value)?);
                Self::Map(map, Box::new(cells))
            }
            DataType::Struct(s) => {
                let values = array.as_struct_opt().ok_or_else(wrong)?.clone();
                let cells = s
                    .fields
                    .iter()
                    .zip(values.columns())
                    .map(|(f, c)| Self::new(c, &f.data_type))
                    .collect::<Result<_>>()?;
                Self::Struct(values, s.clone(), cells)
            }
            DataType::Udt { sql_type, .. } => return Self::new(&array, sql_type),
            DataType::Geometry { .. } | DataType::Geography { .. } => {
                return Err(Error::unsupported(format!("the text of {}", t.sql())));
            }
            DataType::Variant => {
                let values = array.as_struct_opt().ok_or_else(wrong)?.clone();
                let part = |name: &str| {
                    values
                        .column_by_name(name)
                        .and_then(|c| c.as_binary_opt::<i32>())
                        .cloned()
                        .ok_or_else(wrong)
                };
                let (metadata, value) = (part("metadata")?, part("value")?);
                Self::Variant(values, metadata, value)
            }
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(a) => a.is_null(row),
            Self::Byte(a) => a.is_null(row),
            Self::Short(a) => a.is_null(row),
            Self::Integer(a) => a.is_null(row),
            Self::Long(a) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Double(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::String(a) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Timestamp(a) | Self::TimestampNtz(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::YearMonth(a, ..) => a.is_null(row),
            Self::DayTime(a, ..) => a.is_null(row),
            Self::Calendar(a) => a.is_null(row),
            Self::List(a, _) => a.is_null(row),
            Self::Map(a, _) => a.is_null(row),
            Self::Struct(a, ..) => a.is_null(row),
            Self::Variant(a, ..) => a.is_null(row),
        }
    }

    /// Appends an interval; false for other types.
    pub(crate) fn write_interval(&self, row: usize, out: &mut String) -> bool {
        match self {
            Self::YearMonth(a, start, end) => write_year_month(a.value(row), *start, *end, out),
            Self::DayTime(a, start, end) => write_day_time(a.value(row), *start, *end, out),
            Self::Calendar(a) => {
                let v = a.value(row);
                write_calendar(v.months, v.days, v.nanoseconds / 1000, out);
            }
            _ => return false,
        }
        true
    }
}

/// Plans give other arrays of the same values too (views, dictionaries, large offsets, other units).
fn as_expected(array: &ArrayRef, t: &DataType) -> Result<ArrayRef> {
    let expected = arrow_type(t);
    if array.data_type() == &expected || same_layout(array.data_type(), &expected) {
        return Ok(array.clone());
    }
    match t {
        DataType::Array { .. }
        | DataType::Map { .. }
        | DataType::Struct(_)
        | DataType::Null
        | DataType::Geometry { .. }
        | DataType::Geography { .. }
        | DataType::Variant => match (array.data_type(), &expected) {
            (ArrowType::List(_) | ArrowType::Map(..) | ArrowType::Struct(_) | ArrowType::Null, _) => {
                Ok(array.clone())
            }
            _ => cast(array, &expected).spark(),
        },
        _ => cast(array, &expected).spark(),
    }
}

fn same_layout(a: &ArrowType, b: &ArrowType) -> bool {
    matches!(
        (a, b),
        (ArrowType::Timestamp(u, Some(_)), ArrowType::Timestamp(v, Some(_))) if u == v
    )
}
