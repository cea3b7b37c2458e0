//! Spark's types in ORC files: the types of ORC, and an attribute that says what they cannot (Spark's `OrcUtils`).

use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use orc_rust::proto::r#type::Kind;
use orc_rust::proto::{StringPair, Type};

const ATTRIBUTE: &str = "spark.sql.catalyst.type";

/// The types of a schema: the root first, then each before what is inside of it.
pub(crate) fn of_schema(schema: &StructType) -> Result<Vec<Type>> {
    let mut types = Vec::new();
    push(&mut types, &DataType::Struct(schema.clone()))?;
    Ok(types)
}

fn push(types: &mut Vec<Type>, t: &DataType) -> Result<u32> {
    let at = types.len();
    types.push(Type { kind: Some(kind_of(t)?.into()), ..Type::default() });
    let mut this = types[at].clone();
    match t {
        DataType::Struct(fields) => {
            for field in &fields.fields {
                this.field_names.push(field.name.clone());
                this.subtypes.push(push(types, &field.data_type)?);
            }
        }
        DataType::Array { element, .. } => this.subtypes.push(push(types, element)?),
        DataType::Map { key, value, .. } => {
            this.subtypes.push(push(types, key)?);
            this.subtypes.push(push(types, value)?);
        }
        DataType::Decimal { precision, scale } => {
            this.precision = Some(u32::from(*precision));
            this.scale = Some(u32::from(*scale));
        }
        _ => this.attributes.extend(attribute(t)),
    }
    types[at] = this;
    Ok(at as u32)
}

fn attribute(t: &DataType) -> Option<StringPair> {
    let name = match t {
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => "string".to_string(),
        DataType::Timestamp => "timestamp".to_string(),
        DataType::TimestampNtz => "timestamp_ntz".to_string(),
        DataType::YearMonthInterval { .. } | DataType::DayTimeInterval { .. } => t.simple_string(),
        _ => return None,
    };
    Some(StringPair { key: Some(ATTRIBUTE.into()), value: Some(name) })
}

/// The kind of a type's values in the file; others are no part of the format in Spark.
pub(crate) fn kind_of(t: &DataType) -> Result<Kind> {
    Ok(match t {
        DataType::Boolean => Kind::Boolean,
        DataType::Byte => Kind::Byte,
        DataType::Short => Kind::Short,
        DataType::Integer | DataType::YearMonthInterval { .. } => Kind::Int,
        DataType::Long | DataType::DayTimeInterval { .. } | DataType::TimestampNtz => Kind::Long,
        DataType::Float => Kind::Float,
        DataType::Double => Kind::Double,
        DataType::Decimal { .. } => Kind::Decimal,
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => Kind::String,
        DataType::Binary => Kind::Binary,
        DataType::Date => Kind::Date,
        DataType::Timestamp => Kind::Timestamp,
        DataType::Array { .. } => Kind::List,
        DataType::Map { .. } => Kind::Map,
        DataType::Struct(_) => Kind::Struct,
        other => return Err(Error::internal(format!("{} is no type of ORC", other.sql()))),
    })
}

/// Readers go down into types by recursion.
const DEEPEST: usize = 100;

/// Whether each type but the first is inside of one before it, of one only, and none too deep.
pub(crate) fn is_tree(types: &[Type]) -> bool {
    let mut depths = vec![0; types.len()];
    for (at, this) in types.iter().enumerate() {
        for inner in &this.subtypes {
            let inner = *inner as usize;
            if inner <= at || depths.get(inner) != Some(&0) {
                return false;
            }
            depths[inner] = depths[at] + 1;
        }
    }
    depths.iter().all(|depth| *depth <= DEEPEST)
}

/// The schema of a file's types, which are a tree: everything may be NULL.
pub(crate) fn to_schema(types: &[Type]) -> Result<StructType> {
    match spark_type(types, 0)? {
        DataType::Struct(schema) => Ok(schema),
        other => Ok(StructType::new(vec![StructField::new("_col0", other, true)])),
    }
}

fn spark_type(types: &[Type], at: u32) -> Result<DataType> {
    let this = types.get(at as usize).ok_or_else(malformed)?;
    let inner = |i: usize| {
        let at = this.subtypes.get(i).ok_or_else(malformed)?;
        spark_type(types, *at)
    };
    let named = this.attributes.iter().find(|a| a.key() == ATTRIBUTE).map(StringPair::value);
    Ok(match this.kind() {
        Kind::Boolean => DataType::Boolean,
        Kind::Byte => DataType::Byte,
        Kind::Short => DataType::Short,
        Kind::Int | Kind::Long => match named.map(named_type).transpose()? {
            Some(t @ (DataType::YearMonthInterval { .. } | DataType::DayTimeInterval { .. })) => t,
            Some(t @ DataType::TimestampNtz) => t,
            _ if this.kind() == Kind::Int => DataType::Integer,
            _ => DataType::Long,
        },
        Kind::Float => DataType::Float,
        Kind::Double => DataType::Double,
        Kind::String | Kind::Varchar | Kind::Char => DataType::STRING,
        Kind::Binary => DataType::Binary,
        Kind::Timestamp if named == Some("timestamp_ntz") => DataType::TimestampNtz,
        Kind::Timestamp | Kind::TimestampInstant => DataType::Timestamp,
        Kind::Date => DataType::Date,
        Kind::Decimal => match (this.precision.unwrap_or(38), this.scale.unwrap_or(10)) {
            (precision @ 1..=38, scale) if scale <= precision => {
                DataType::Decimal { precision: precision as u8, scale: scale as u8 }
            }
            _ => return Err(malformed()),
        },
        Kind::List => DataType::Array { element: Box::new(inner(0)?), contains_null: true },
        Kind::Map => {
            DataType::Map { key: Box::new(inner(0)?), value: Box::new(inner(1)?), value_contains_null: true }
        }
        Kind::Struct => {
            let fields = this.field_names.iter().enumerate();
            let fields = fields.map(|(i, name)| Ok(StructField::new(name.clone(), inner(i)?, true)));
            DataType::Struct(StructType::new(fields.collect::<Result<Vec<_>>>()?))
        }
        Kind::Union => return Err(Error::unsupported("columns of the type UNION of ORC files")),
    })
}

fn named_type(name: &str) -> Result<DataType> {
    DataType::from_json_value(&serde_json::Value::String(name.to_string()))
}

fn malformed() -> Error {
    Error::io("reading an ORC file", "its types are damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(of: u32) -> Type {
        Type { kind: Some(Kind::List.into()), subtypes: vec![of], ..Type::default() }
    }

    #[test]
    fn types_that_are_no_tree() {
        let number = Type { kind: Some(Kind::Int.into()), ..Type::default() };
        assert!(is_tree(&[list(1), number.clone()]));
        // Of itself, of one before, of none, and two of one.
        assert!(!is_tree(&[list(0)]));
        assert!(!is_tree(&[list(1), list(0)]));
        assert!(!is_tree(&[list(1)]));
        let twice = Type { kind: Some(Kind::Map.into()), subtypes: vec![1, 1], ..Type::default() };
        assert!(!is_tree(&[twice, number.clone()]));
        let deep = |depth: u32| (0..depth).map(|at| list(at + 1)).chain([number.clone()]).collect::<Vec<_>>();
        assert!(is_tree(&deep(DEEPEST as u32)));
        assert!(!is_tree(&deep(DEEPEST as u32 + 1)));
    }

    #[test]
    fn decimals_that_do_not_exist() {
        let decimal = |precision, scale| Type {
            kind: Some(Kind::Decimal.into()),
            precision: Some(precision),
            scale: Some(scale),
            ..Type::default()
        };
        assert!(to_schema(&[decimal(38, 38)]).is_ok());
        for (precision, scale) in [(0, 0), (39, 0), (200, 10), (5, 6)] {
            assert!(to_schema(&[decimal(precision, scale)]).is_err(), "{precision} {scale}");
        }
    }
}
