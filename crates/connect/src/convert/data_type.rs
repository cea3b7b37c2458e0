//! Data types, both ways.

use boathouse_spec::{DataType, Error, IntervalField, Result, StructField, StructType, check_srid};

use super::{invalid_plan, missing, not_set};
use crate::proto::spark::{self, data_type as proto, data_type::Kind};

const MESSAGE: &str = "spark.connect.DataType";

const YEAR_MONTH: [IntervalField; 2] = [IntervalField::Year, IntervalField::Month];
const DAY_TIME: [IntervalField; 4] =
    [IntervalField::Day, IntervalField::Hour, IntervalField::Minute, IntervalField::Second];

/// The Spark type of a message.
pub fn data_type_from_proto(message: spark::DataType) -> Result<DataType> {
    let kind = message.kind.ok_or_else(|| not_set(MESSAGE, "KIND_NOT_SET"))?;
    Ok(match kind {
        Kind::Null(_) => DataType::Null,
        Kind::Binary(_) => DataType::Binary,
        Kind::Boolean(_) => DataType::Boolean,
        Kind::Byte(_) => DataType::Byte,
        Kind::Short(_) => DataType::Short,
        Kind::Integer(_) => DataType::Integer,
        Kind::Long(_) => DataType::Long,
        Kind::Float(_) => DataType::Float,
        Kind::Double(_) => DataType::Double,
        Kind::Decimal(d) => decimal(d.precision.unwrap_or(10), d.scale.unwrap_or(0))?,
        Kind::String(s) => DataType::String {
            collation: (!s.collation.is_empty() && s.collation != boathouse_spec::UTF8_BINARY)
                .then_some(s.collation),
        },
        Kind::Char(c) => DataType::Char(length(c.length)?),
        Kind::VarChar(c) => DataType::Varchar(length(c.length)?),
        Kind::Date(_) => DataType::Date,
        Kind::Time(t) => DataType::Time { precision: time_precision(t.precision)? },
        Kind::Timestamp(_) => DataType::Timestamp,
        Kind::TimestampNtz(_) => DataType::TimestampNtz,
        Kind::CalendarInterval(_) => DataType::CalendarInterval,
        Kind::YearMonthInterval(i) => {
            let (start, end) = interval_fields(&YEAR_MONTH, i.start_field, i.end_field)?;
            DataType::YearMonthInterval { start, end }
        }
        Kind::DayTimeInterval(i) => {
            let (start, end) = interval_fields(&DAY_TIME, i.start_field, i.end_field)?;
            DataType::DayTimeInterval { start, end }
        }
        Kind::Array(a) => DataType::array(inner(a.element_type, "element_type")?, a.contains_null),
        Kind::Map(m) => DataType::map(
            inner(m.key_type, "key_type")?,
            inner(m.value_type, "value_type")?,
            m.value_contains_null,
        ),
        Kind::Struct(s) => DataType::Struct(struct_from_proto(s)?),
        Kind::Variant(_) => DataType::Variant,
        Kind::Udt(u) => {
            if u.r#type != "udt" {
                return Err(invalid_plan("UDT_TYPE_FIELD_INVALID").param("udtType", &u.r#type).message(
                    format!("The `type` of a user-defined type must be `udt`, not `{}`.", u.r#type),
                ));
            }
            DataType::Udt {
                python_class: u.python_class,
                jvm_class: u.jvm_class,
                serialized_class: u.serialized_python_class,
                sql_type: Box::new(inner(u.sql_type, "sql_type")?),
            }
        }
        Kind::Geometry(g) => DataType::Geometry { srid: system(g.srid, false)? },
        Kind::Geography(g) => DataType::Geography { srid: system(g.srid, true)? },
        Kind::Unparsed(u) => parse_type_text(&u.data_type_string)?,
    })
}

/// The number by which clients mean that each value has its own spatial reference system.
const ANY_SYSTEM: i32 = -1;

fn system(srid: i32, is_geography: bool) -> Result<Option<i32>> {
    if srid == ANY_SYSTEM { Ok(None) } else { check_srid(srid, is_geography).map(Some) }
}

pub fn struct_from_proto(message: proto::Struct) -> Result<StructType> {
    let fields = message.fields.into_iter().map(|f| {
        let metadata = f.metadata.filter(|m| m != "{}").unwrap_or_default();
        Ok(StructField { metadata, ..StructField::new(f.name, inner(f.data_type, "data_type")?, f.nullable) })
    });
    fields.collect::<Result<Vec<_>>>().map(StructType::new)
}

fn inner(message: Option<impl Into<Boxed>>, field: &str) -> Result<DataType> {
    data_type_from_proto(message.map(|m| m.into().0).ok_or_else(|| missing(MESSAGE, field))?)
}

/// A nested type, boxed by the generated code or not.
struct Boxed(spark::DataType);

impl From<spark::DataType> for Boxed {
    fn from(message: spark::DataType) -> Self {
        Self(message)
    }
}

impl From<Box<spark::DataType>> for Boxed {
    fn from(message: Box<spark::DataType>) -> Self {
        Self(*message)
    }
}

pub fn decimal(precision: i32, scale: i32) -> Result<DataType> {
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => {
            Ok(DataType::Decimal { precision, scale })
        }
        (_, Ok(scale)) if precision > 38 && scale <= 38 => {
            Err(Error::new("DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION")
                .param("precision", precision)
                .param("maxPrecision", 38)
                .exception("AnalysisException")
                .message(format!("A decimal has at most 38 digits, not {precision}.")))
        }
        _ => Err(Error::new("DECIMAL_CANNOT_GREATER_THAN_PRECISION")
            .param("scale", scale)
            .param("precision", precision)
            .exception("AnalysisException")
            .message(format!(
                "The scale of a decimal ({scale}) lies between 0 and its precision ({precision})."
            ))),
    }
}

fn length(length: i32) -> Result<u32> {
    u32::try_from(length).ok().filter(|n| *n > 0).ok_or_else(|| {
        invalid_plan("ASSERTION_FAILURE")
            .param("message", "the length of a CHAR or VARCHAR must be positive")
            .message(format!("The length of a CHAR or VARCHAR must be positive, not {length}."))
    })
}

pub fn time_precision(precision: Option<i32>) -> Result<u8> {
    match precision.unwrap_or(6) {
        p @ 0..=6 => Ok(p as u8),
        p => Err(Error::new("UNSUPPORTED_TIME_PRECISION")
            .param("precision", p)
            .exception("AnalysisException")
            .message(format!("A TIME has 0 to 6 fractional digits, not {p}."))),
    }
}

/// The fields of an interval type by their numbers; a missing end means one field, both missing all.
fn interval_fields(
    all: &[IntervalField],
    start: Option<i32>,
    end: Option<i32>,
) -> Result<(IntervalField, IntervalField)> {
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return Err(Error::internal("an interval type without fields"));
    };
    let field = |number: i32| {
        usize::try_from(number).ok().and_then(|n| all.get(n)).copied().ok_or_else(|| {
            invalid_plan("ASSERTION_FAILURE")
                .param("message", format!("no interval field {number}"))
                .message(format!("No interval field has the number {number}."))
        })
    };
    match (start, end) {
        (None, None) => Ok((*first, *last)),
        (Some(start), None) => Ok((field(start)?, field(start)?)),
        (start, Some(end)) => Ok((field(start.unwrap_or(0))?, field(end)?)),
    }
}

/// A type as text: the columns of a table (`a INT, b STRING`), one type, or the JSON of either.
pub fn parse_type_text(text: &str) -> Result<DataType> {
    let trimmed = text.trim();
    if trimmed.starts_with('{') || trimmed.starts_with('"') {
        return DataType::from_json(trimmed);
    }
    match boathouse_sql::parse_data_type(trimmed) {
        Ok(t) => Ok(t),
        // One word can only be a type; elsewhere the error of the more general reading is the one to show.
        Err(e) if trimmed.chars().all(|c| c.is_alphanumeric() || c == '_') => Err(e),
        Err(_) => boathouse_sql::parse_schema(trimmed).map(DataType::Struct),
    }
}

/// A schema as text; a type that is no struct becomes the one column `value`.
pub fn parse_schema_text(text: &str) -> Result<StructType> {
    Ok(match parse_type_text(text)? {
        DataType::Struct(s) => s,
        other => StructType::new(vec![StructField::new("value", other, true)]),
    })
}

/// The schema in a message that must hold a struct.
pub fn schema_from_proto(message: spark::DataType) -> Result<StructType> {
    match data_type_from_proto(message)? {
        DataType::Struct(s) => Ok(s),
        other => Err(invalid_plan("INVALID_SCHEMA_NON_STRUCT_TYPE")
            .param("inputSchema", other.sql())
            .param("dataType", other.sql())
            .message(format!("A schema must be a struct, not {}.", other.sql()))),
    }
}

/// The message of a Spark type.
pub fn data_type_to_proto(t: &DataType) -> spark::DataType {
    let kind = match t {
        DataType::Null => Kind::Null(proto::Null::default()),
        DataType::Boolean => Kind::Boolean(proto::Boolean::default()),
        DataType::Byte => Kind::Byte(proto::Byte::default()),
        DataType::Short => Kind::Short(proto::Short::default()),
        DataType::Integer => Kind::Integer(proto::Integer::default()),
        DataType::Long => Kind::Long(proto::Long::default()),
        DataType::Float => Kind::Float(proto::Float::default()),
        DataType::Double => Kind::Double(proto::Double::default()),
        DataType::Decimal { precision, scale } => Kind::Decimal(proto::Decimal {
            precision: Some(i32::from(*precision)),
            scale: Some(i32::from(*scale)),
            type_variation_reference: 0,
        }),
        DataType::String { collation } => Kind::String(proto::String {
            collation: collation.clone().unwrap_or_default(),
            ..Default::default()
        }),
        DataType::Char(n) => Kind::Char(proto::Char { length: *n as i32, ..Default::default() }),
        DataType::Varchar(n) => Kind::VarChar(proto::VarChar { length: *n as i32, ..Default::default() }),
        DataType::Binary => Kind::Binary(proto::Binary::default()),
        DataType::Date => Kind::Date(proto::Date::default()),
        DataType::Time { precision } => {
            Kind::Time(proto::Time { precision: Some(i32::from(*precision)), ..Default::default() })
        }
        DataType::Timestamp => Kind::Timestamp(proto::Timestamp::default()),
        DataType::TimestampNtz => Kind::TimestampNtz(proto::TimestampNtz::default()),
        DataType::CalendarInterval => Kind::CalendarInterval(proto::CalendarInterval::default()),
        DataType::YearMonthInterval { start, end } => Kind::YearMonthInterval(proto::YearMonthInterval {
            start_field: Some(field_number(&YEAR_MONTH, *start)),
            end_field: Some(field_number(&YEAR_MONTH, *end)),
            ..Default::default()
        }),
        DataType::DayTimeInterval { start, end } => Kind::DayTimeInterval(proto::DayTimeInterval {
            start_field: Some(field_number(&DAY_TIME, *start)),
            end_field: Some(field_number(&DAY_TIME, *end)),
            ..Default::default()
        }),
        DataType::Array { element, contains_null } => Kind::Array(Box::new(proto::Array {
            element_type: Some(Box::new(data_type_to_proto(element))),
            contains_null: *contains_null,
            ..Default::default()
        })),
        DataType::Map { key, value, value_contains_null } => Kind::Map(Box::new(proto::Map {
            key_type: Some(Box::new(data_type_to_proto(key))),
            value_type: Some(Box::new(data_type_to_proto(value))),
            value_contains_null: *value_contains_null,
            ..Default::default()
        })),
        DataType::Struct(s) => Kind::Struct(struct_to_proto(s)),
        DataType::Variant => Kind::Variant(proto::Variant::default()),
        DataType::Geometry { srid } => {
            Kind::Geometry(proto::Geometry { srid: srid.unwrap_or(ANY_SYSTEM), ..Default::default() })
        }
        DataType::Geography { srid } => {
            Kind::Geography(proto::Geography { srid: srid.unwrap_or(ANY_SYSTEM), ..Default::default() })
        }
        DataType::Udt { python_class, jvm_class, serialized_class, sql_type } => {
            Kind::Udt(Box::new(proto::Udt {
                r#type: "udt".into(),
                jvm_class: jvm_class.clone(),
                python_class: python_class.clone(),
                serialized_python_class: serialized_class.clone(),
                sql_type: Some(Box::new(data_type_to_proto(sql_type))),
            }))
        }
    };
    spark::DataType { kind: Some(kind) }
}

fn struct_to_proto(s: &StructType) -> proto::Struct {
    let fields = s.fields.iter().map(|f| proto::StructField {
        name: f.name.clone(),
        data_type: Some(data_type_to_proto(&f.data_type)),
        nullable: f.nullable,
        metadata: (!f.metadata.is_empty()).then(|| f.metadata.clone()),
    });
    proto::Struct { fields: fields.collect(), ..Default::default() }
}

fn field_number(all: &[IntervalField], field: IntervalField) -> i32 {
    all.iter().position(|f| *f == field).unwrap_or(0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back() {
        let types = [
            DataType::Null,
            DataType::Decimal { precision: 12, scale: 3 },
            DataType::String { collation: Some("UTF8_LCASE".into()) },
            DataType::Char(4),
            DataType::Time { precision: 3 },
            DataType::YearMonthInterval { start: IntervalField::Month, end: IntervalField::Month },
            DataType::DayTimeInterval { start: IntervalField::Hour, end: IntervalField::Second },
            DataType::Variant,
            DataType::map(DataType::STRING, DataType::array(DataType::TimestampNtz, false), true),
            DataType::structure(vec![StructField::new("a", DataType::Byte, false).with_comment(Some("x"))]),
        ];
        for t in types {
            assert_eq!(data_type_from_proto(data_type_to_proto(&t)).ok(), Some(t));
        }
    }

    #[test]
    fn missing_interval_fields_have_defaults() {
        let message = |start_field, end_field| spark::DataType {
            kind: Some(Kind::DayTimeInterval(proto::DayTimeInterval {
                start_field,
                end_field,
                ..Default::default()
            })),
        };
        assert_eq!(data_type_from_proto(message(None, None)).ok(), Some(DataType::DAY_TIME));
        let hour = DataType::DayTimeInterval { start: IntervalField::Hour, end: IntervalField::Hour };
        assert_eq!(data_type_from_proto(message(Some(1), None)).ok(), Some(hour));
        assert!(data_type_from_proto(message(Some(9), None)).is_err());
    }
}
