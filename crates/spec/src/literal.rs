//! Literal values.

use crate::{DataType, StructField};

/// Months, days and microseconds; each has its own sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

/// A value written in the query or sent by the client. Its type is [`Literal::data_type`].
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// NULL of a type (`DataType::Null` for a bare NULL).
    Null(DataType),
    Boolean(bool),
    Byte(i8),
    Short(i16),
    Integer(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// `unscaled` / 10^`scale`.
    Decimal {
        unscaled: i128,
        precision: u8,
        scale: u8,
    },
    String(String),
    Binary(Vec<u8>),
    /// Days since the epoch.
    Date(i32),
    /// Nanoseconds since midnight.
    Time {
        nanoseconds: i64,
        precision: u8,
    },
    /// Microseconds since the epoch.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00 on the wall clock.
    TimestampNtz(i64),
    /// `TIMESTAMP '...'` or `TIMESTAMP_LTZ '...'` text without a zone: read in the session time zone by the analyzer.
    TimestampText(String),
    CalendarInterval(Interval),
    /// Months, with the type's fields.
    YearMonthInterval {
        months: i32,
        data_type: DataType,
    },
    /// Microseconds, with the type's fields.
    DayTimeInterval {
        microseconds: i64,
        data_type: DataType,
    },
    Array {
        element_type: DataType,
        values: Vec<Literal>,
    },
    Map {
        key_type: DataType,
        value_type: DataType,
        keys: Vec<Literal>,
        values: Vec<Literal>,
    },
    Struct {
        fields: Vec<StructField>,
        values: Vec<Literal>,
    },
}

impl Literal {
    pub const NULL: Literal = Literal::Null(DataType::Null);

    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null(t) => t.clone(),
            Self::Boolean(_) => DataType::Boolean,
            Self::Byte(_) => DataType::Byte,
            Self::Short(_) => DataType::Short,
            Self::Integer(_) => DataType::Integer,
            Self::Long(_) => DataType::Long,
            Self::Float(_) => DataType::Float,
            Self::Double(_) => DataType::Double,
            Self::Decimal { precision, scale, .. } => {
                DataType::Decimal { precision: *precision, scale: *scale }
            }
            Self::String(_) => DataType::STRING,
            Self::Binary(_) => DataType::Binary,
            Self::Date(_) => DataType::Date,
            Self::Time { precision, .. } => DataType::Time { precision: *precision },
            Self::Timestamp(_) | Self::TimestampText(_) => DataType::Timestamp,
            Self::TimestampNtz(_) => DataType::TimestampNtz,
            Self::CalendarInterval(_) => DataType::CalendarInterval,
            Self::YearMonthInterval { data_type, .. } | Self::DayTimeInterval { data_type, .. } => {
                data_type.clone()
            }
            Self::Array { element_type, values } => {
                DataType::array(element_type.clone(), values.iter().any(Literal::is_null))
            }
            Self::Map { key_type, value_type, values, .. } => {
                DataType::map(key_type.clone(), value_type.clone(), values.iter().any(Literal::is_null))
            }
            Self::Struct { fields, .. } => DataType::structure(fields.clone()),
        }
    }
}
