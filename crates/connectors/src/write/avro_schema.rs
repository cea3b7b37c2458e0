//! The Avro schema that Spark gives to its rows.

use boathouse_spec::{DataType, Error, Result, StructType};
use serde_json::{Value, json};

/// The schema of the records of a file.
pub(super) fn avro_schema(schema: &StructType, name: &str, namespace: &str) -> Result<String> {
    Ok(record(schema, name, namespace)?.to_string())
}

fn record(schema: &StructType, name: &str, namespace: &str) -> Result<Value> {
    let inner = if namespace.is_empty() { name.to_string() } else { format!("{namespace}.{name}") };
    let fields = schema
        .fields
        .iter()
        // Every column of a write may hold NULL.
        .map(|f| Ok(json!({"name": f.name, "type": of(&f.data_type, true, &f.name, &inner)?})))
        .collect::<Result<Vec<_>>>()?;
    let mut record = json!({"type": "record", "name": name, "fields": fields});
    if !namespace.is_empty() {
        record["namespace"] = json!(namespace);
    }
    Ok(record)
}

fn of(t: &DataType, nullable: bool, name: &str, namespace: &str) -> Result<Value> {
    let logical = |base: &str, logical: &str| json!({"type": base, "logicalType": logical});
    let value = match t {
        DataType::Boolean => json!("boolean"),
        DataType::Byte | DataType::Short | DataType::Integer => json!("int"),
        DataType::Long => json!("long"),
        DataType::Float => json!("float"),
        DataType::Double => json!("double"),
        DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => json!("string"),
        DataType::Binary => json!("bytes"),
        DataType::Date => logical("int", "date"),
        DataType::Timestamp => logical("long", "timestamp-micros"),
        DataType::TimestampNtz => logical("long", "local-timestamp-micros"),
        DataType::Decimal { precision, scale } => json!({
            "type": "fixed",
            "name": "fixed",
            "namespace": if namespace.is_empty() { name.to_string() } else { format!("{namespace}.{name}") },
            "size": bytes_for(*precision),
            "logicalType": "decimal",
            "precision": precision,
            "scale": scale,
        }),
        DataType::Array { element, contains_null } => {
            json!({"type": "array", "items": of(element, *contains_null, name, namespace)?})
        }
        DataType::Map { key, value, value_contains_null } if matches!(**key, DataType::String { .. }) => {
            json!({"type": "map", "values": of(value, *value_contains_null, name, namespace)?})
        }
        DataType::Struct(s) => record(s, name, namespace)?,
        other => return Err(Error::unsupported(format!("writing columns of the type {} to Avro files", other.sql()))),
    };
    Ok(if nullable { json!([value, "null"]) } else { value })
}

/// How many bytes a decimal of that precision needs.
fn bytes_for(precision: impl Into<u32>) -> u32 {
    let precision = precision.into();
    (1..=16).find(|bytes| 2_f64.powi(8 * bytes - 1) >= 10_f64.powi(precision as i32)).map_or(16, |b| b as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_decimals() {
        // Spark's minBytesForPrecision.
        assert_eq!([1_u32, 2, 3, 9, 10, 18, 19, 38].map(bytes_for), [1, 1, 2, 4, 5, 8, 9, 16]);
    }
}
