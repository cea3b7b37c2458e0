//! How `information_schema` describes a data type in its many columns.

use boathouse_spec::{DataType, IntervalField};

/// The type columns that `columns`, `routines` and `parameters` share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TypeFacets {
    /// `INT`, `ARRAY`, `STRUCT`, ...
    pub data_type: String,
    /// The type as a definition would write it: `decimal(10,2)`, `array<int>`.
    pub full_data_type: String,
    /// Bits of base-2 numbers, digits of decimals.
    pub numeric_precision: Option<i32>,
    pub numeric_precision_radix: Option<i32>,
    pub numeric_scale: Option<i32>,
    pub datetime_precision: Option<i32>,
    pub interval_type: Option<String>,
}

impl TypeFacets {
    pub fn of(t: &DataType) -> Self {
        let mut facets = Self { data_type: name(t), full_data_type: t.simple_string(), ..Self::default() };
        let binary = |bits: i32, scale: Option<i32>| (Some(bits), Some(2), scale);
        (facets.numeric_precision, facets.numeric_precision_radix, facets.numeric_scale) = match t {
            DataType::Byte => binary(8, Some(0)),
            DataType::Short => binary(16, Some(0)),
            DataType::Integer => binary(32, Some(0)),
            DataType::Long => binary(64, Some(0)),
            DataType::Float => binary(32, None),
            DataType::Double => binary(64, None),
            DataType::Decimal { precision, scale } => {
                (Some(i32::from(*precision)), Some(10), Some(i32::from(*scale)))
            }
            _ => (None, None, None),
        };
        facets.datetime_precision = match t {
            DataType::Date | DataType::YearMonthInterval { .. } => Some(0),
            DataType::Timestamp | DataType::TimestampNtz => Some(3),
            DataType::Time { precision } => Some(i32::from(*precision)),
            DataType::DayTimeInterval { end, .. } => Some(if *end == IntervalField::Second { 3 } else { 0 }),
            _ => None,
        };
        if let DataType::YearMonthInterval { .. } | DataType::DayTimeInterval { .. } = t {
            facets.interval_type = Some(t.sql().trim_start_matches("INTERVAL ").to_string());
        }
        facets
    }
}

fn name(t: &DataType) -> String {
    match t {
        DataType::Array { .. } => "ARRAY".into(),
        DataType::Map { .. } => "MAP".into(),
        DataType::Struct(_) => "STRUCT".into(),
        DataType::Decimal { .. } => "DECIMAL".into(),
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => "STRING".into(),
        DataType::Byte => "BYTE".into(),
        DataType::Short => "SHORT".into(),
        DataType::Integer => "INT".into(),
        DataType::Long => "LONG".into(),
        DataType::YearMonthInterval { .. } | DataType::DayTimeInterval { .. } => "INTERVAL".into(),
        DataType::Time { .. } => "TIME".into(),
        other => other.sql(),
    }
}
