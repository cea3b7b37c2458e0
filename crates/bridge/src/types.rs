//! Spark type <-> Arrow field.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Fields, IntervalUnit, Schema, TimeUnit};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};

/// Field metadata: the JSON of the Spark type, where the Arrow type does not tell it.
pub const TYPE_KEY: &str = "spark.type";
/// Field metadata: the metadata object of the Spark field, as JSON text.
pub const METADATA_KEY: &str = "spark.metadata";
/// The zone of every Arrow timestamp that is an instant.
pub const UTC: &str = "UTC";

/// The Arrow type of a Spark type.
pub fn arrow_type(t: &DataType) -> ArrowType {
    match t {
        DataType::Null => ArrowType::Null,
        DataType::Boolean => ArrowType::Boolean,
        DataType::Byte => ArrowType::Int8,
        DataType::Short => ArrowType::Int16,
        DataType::Integer => ArrowType::Int32,
        DataType::Long => ArrowType::Int64,
        DataType::Float => ArrowType::Float32,
        DataType::Double => ArrowType::Float64,
        DataType::Decimal { precision, scale } => ArrowType::Decimal128(*precision, *scale as i8),
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => ArrowType::Utf8,
        DataType::Binary => ArrowType::Binary,
        DataType::Date => ArrowType::Date32,
        DataType::Time { .. } => ArrowType::Time64(TimeUnit::Nanosecond),
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        DataType::TimestampNtz => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        DataType::CalendarInterval => ArrowType::Interval(IntervalUnit::MonthDayNano),
        DataType::YearMonthInterval { .. } => ArrowType::Interval(IntervalUnit::YearMonth),
        DataType::DayTimeInterval { .. } => ArrowType::Duration(TimeUnit::Microsecond),
        DataType::Array { element, contains_null } => {
            ArrowType::List(Arc::new(typed_field("item", element, *contains_null)))
        }
        DataType::Map { key, value, value_contains_null } => {
            let entries = Fields::from(vec![
                typed_field("key", key, false),
                typed_field("value", value, *value_contains_null),
            ]);
            ArrowType::Map(Arc::new(Field::new("entries", ArrowType::Struct(entries), false)), false)
        }
        DataType::Struct(s) => ArrowType::Struct(s.fields.iter().map(arrow_field).collect()),
        DataType::Variant => ArrowType::Struct(Fields::from(vec![
            Field::new("metadata", ArrowType::Binary, false),
            Field::new("value", ArrowType::Binary, false),
        ])),
        DataType::Geometry { .. } | DataType::Geography { .. } => ArrowType::Struct(Fields::from(vec![
            Field::new("srid", ArrowType::Int32, false),
            Field::new("wkb", ArrowType::Binary, false),
        ])),
        DataType::Udt { sql_type, .. } => arrow_type(sql_type),
    }
}

/// A field of a Spark type, with the metadata that lets [`spark_field`] find the type again.
pub fn typed_field(name: impl Into<String>, t: &DataType, nullable: bool) -> Field {
    let field = Field::new(name, arrow_type(t), nullable);
    match type_tag(t) {
        Some(tag) => field.with_metadata(HashMap::from([(TYPE_KEY.to_string(), tag)])),
        None => field,
    }
}

/// The value of [`TYPE_KEY`] for types whose Arrow type is not enough.
fn type_tag(t: &DataType) -> Option<String> {
    match t {
        DataType::String { collation: Some(_) }
        | DataType::Char(_)
        | DataType::Varchar(_)
        | DataType::Variant
        | DataType::Geometry { .. }
        | DataType::Geography { .. } => Some(t.simple_string()),
        DataType::Time { precision } if *precision != 6 => Some(t.simple_string()),
        DataType::YearMonthInterval { .. } if *t != DataType::YEAR_MONTH => Some(t.simple_string()),
        DataType::DayTimeInterval { .. } if *t != DataType::DAY_TIME => Some(t.simple_string()),
        DataType::Udt { .. } => Some(t.json_value().to_string()),
        _ => None,
    }
}

/// The Arrow field of a Spark field, metadata included.
pub fn arrow_field(f: &StructField) -> Field {
    let field = typed_field(&f.name, &f.data_type, f.nullable);
    if f.metadata.is_empty() {
        return field;
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(METADATA_KEY.to_string(), f.metadata.clone());
    field.with_metadata(metadata)
}

pub fn arrow_schema(s: &StructType) -> Schema {
    Schema::new(s.fields.iter().map(arrow_field).collect::<Vec<_>>())
}

/// The Spark field of an Arrow field. Types that no Spark type has (unsigned integers, other units) become the Spark
/// type that holds their values.
pub fn spark_field(f: &Field) -> Result<StructField> {
    Ok(StructField {
        name: f.name().clone(),
        data_type: spark_type(f)?,
        nullable: f.is_nullable(),
        metadata: f.metadata().get(METADATA_KEY).cloned().unwrap_or_default(),
    })
}

pub fn spark_schema(s: &Schema) -> Result<StructType> {
    s.fields().iter().map(|f| spark_field(f)).collect::<Result<Vec<_>>>().map(StructType::new)
}

/// The Spark type of an Arrow field.
pub fn spark_type(f: &Field) -> Result<DataType> {
    if let Some(tag) = f.metadata().get(TYPE_KEY) {
        return if tag.starts_with('{') {
            DataType::from_json(tag)
        } else {
            DataType::from_json_value(&serde_json::Value::String(tag.clone()))
        };
    }
    Ok(match f.data_type() {
        ArrowType::Null => DataType::Null,
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int8 => DataType::Byte,
        ArrowType::Int16 | ArrowType::UInt8 => DataType::Short,
        ArrowType::Int32 | ArrowType::UInt16 => DataType::Integer,
        ArrowType::Int64 | ArrowType::UInt32 => DataType::Long,
        ArrowType::UInt64 => DataType::Decimal { precision: 20, scale: 0 },
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float,
        ArrowType::Float64 => DataType::Double,
        ArrowType::Decimal32(p, s) | ArrowType::Decimal64(p, s) | ArrowType::Decimal128(p, s) if *s >= 0 => {
            DataType::Decimal { precision: *p, scale: *s as u8 }
        }
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::STRING,
        ArrowType::Binary
        | ArrowType::LargeBinary
        | ArrowType::BinaryView
        | ArrowType::FixedSizeBinary(_) => DataType::Binary,
        ArrowType::Date32 | ArrowType::Date64 => DataType::Date,
        ArrowType::Time32(_) | ArrowType::Time64(_) => DataType::Time { precision: 6 },
        ArrowType::Timestamp(_, Some(_)) => DataType::Timestamp,
        ArrowType::Timestamp(_, None) => DataType::TimestampNtz,
        ArrowType::Interval(IntervalUnit::YearMonth) => DataType::YEAR_MONTH,
        ArrowType::Interval(_) => DataType::CalendarInterval,
        ArrowType::Duration(_) => DataType::DAY_TIME,
        ArrowType::List(e)
        | ArrowType::LargeList(e)
        | ArrowType::FixedSizeList(e, _)
        | ArrowType::ListView(e) => DataType::array(spark_type(e)?, e.is_nullable()),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(kv) if kv.len() == 2 => {
                DataType::map(spark_type(&kv[0])?, spark_type(&kv[1])?, kv[1].is_nullable())
            }
            other => return Err(no_spark_type(f.name(), other)),
        },
        ArrowType::Struct(fields) if is_marked_variant(fields) => DataType::Variant,
        ArrowType::Struct(fields) => {
            DataType::structure(fields.iter().map(|f| spark_field(f)).collect::<Result<Vec<_>>>()?)
        }
        ArrowType::Dictionary(_, values) => spark_type(&Field::new("", values.as_ref().clone(), true))?,
        other => return Err(no_spark_type(f.name(), other)),
    })
}

/// Whether a struct is a variant in the form of Python's client, which marks it (pyspark's `is_variant`).
pub(crate) fn is_marked_variant(fields: &Fields) -> bool {
    let is_marked =
        |f: &Field| f.name() == "metadata" && f.metadata().get("variant").is_some_and(|v| v == "true");
    fields.len() == 2 && fields.iter().any(|f| is_marked(f)) && fields.iter().any(|f| f.name() == "value")
}

fn no_spark_type(column: &str, t: &ArrowType) -> Error {
    Error::new("UNSUPPORTED_ARROWTYPE")
        .param("typeName", t)
        .message(format!("Column `{column}` has the Arrow type {t}, for which Spark has no type."))
}

#[cfg(test)]
mod tests {
    use boathouse_spec::IntervalField;

    use super::*;

    #[test]
    fn every_type_comes_back() {
        let types = [
            DataType::Boolean,
            DataType::Decimal { precision: 12, scale: 3 },
            DataType::Varchar(7),
            DataType::String { collation: Some("UTF8_LCASE".into()) },
            DataType::Timestamp,
            DataType::TimestampNtz,
            DataType::Time { precision: 3 },
            DataType::Variant,
            DataType::CalendarInterval,
            DataType::YEAR_MONTH,
            DataType::DayTimeInterval { start: IntervalField::Hour, end: IntervalField::Minute },
            DataType::array(DataType::Char(3), false),
            DataType::map(DataType::STRING, DataType::array(DataType::Long, true), true),
            DataType::structure(vec![StructField::new("a", DataType::Byte, false).with_comment(Some("x"))]),
        ];
        for t in types {
            assert_eq!(spark_type(&typed_field("f", &t, true)).ok(), Some(t));
        }
    }
}
