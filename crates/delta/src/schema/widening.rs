//! Types that may become wider without files being written anew ("Type Widening" in PROTOCOL.md).

use boathouse_spec::{DataType, StructField};
use serde_json::{Value, json};

use super::path::{field_inside, with_type_inside};

/// The changes of a field's type, in the field's metadata.
pub(crate) const TYPE_CHANGES: &str = "delta.typeChanges";

/// Whether files with values of one type can be read as the other.
pub fn is_wider(from: &DataType, to: &DataType) -> bool {
    use DataType::{Byte, Date, Decimal, Double, Float, Integer, Long, Short, TimestampNtz};
    match (from, to) {
        (Byte, Short | Integer | Long | Double) | (Short, Integer | Long | Double) => true,
        (Integer, Long | Double) | (Float, Double) | (Date, TimestampNtz) => true,
        (Byte | Short | Integer, Decimal { precision, scale }) => precision.saturating_sub(*scale) >= 10,
        (Long, Decimal { precision, scale }) => precision.saturating_sub(*scale) >= 20,
        (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => {
            scale >= s && precision.saturating_sub(*scale) >= p.saturating_sub(*s)
        }
        _ => false,
    }
}

/// The field with a wider type, and a note of what it was.
pub(crate) fn widened(field: &StructField, to: &DataType) -> StructField {
    noted(field, to.clone(), json!({"toType": to.json_value(), "fromType": field.data_type.json_value()}))
}

/// The field with a wider type of its elements, keys or values, and a note of what it was (`fieldPath` in "Type Change
/// Metadata" of PROTOCOL.md). `None` where the way leads nowhere.
pub(crate) fn widened_inside(field: &StructField, way: &[String], to: &DataType) -> Option<StructField> {
    let from = field_inside(field, way)?.data_type;
    let way_text = way.iter().map(|part| part.to_lowercase()).collect::<Vec<_>>().join(".");
    let change = json!({"toType": to.json_value(), "fromType": from.json_value(), "fieldPath": way_text});
    Some(noted(field, with_type_inside(&field.data_type, way, to)?, change))
}

fn noted(field: &StructField, data_type: DataType, change: Value) -> StructField {
    let mut metadata = field.metadata_map();
    let mut changes = match metadata.remove(TYPE_CHANGES) {
        Some(Value::Array(changes)) => changes,
        _ => Vec::new(),
    };
    changes.push(change);
    metadata.insert(TYPE_CHANGES.into(), Value::Array(changes));
    StructField { data_type, ..field.clone() }.with_metadata(&metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_grow() {
        let decimal = |precision, scale| DataType::Decimal { precision, scale };
        assert!(is_wider(&DataType::Byte, &DataType::Long) && is_wider(&decimal(5, 2), &decimal(7, 4)));
        assert!(
            is_wider(&DataType::Integer, &decimal(12, 2)) && !is_wider(&DataType::Integer, &decimal(11, 2))
        );
        assert!(!is_wider(&DataType::Long, &DataType::Integer) && !is_wider(&decimal(5, 2), &decimal(6, 4)));
        let field = widened(&StructField::new("a", DataType::Integer, true), &DataType::Long);
        assert_eq!(field.metadata, r#"{"delta.typeChanges":[{"toType":"long","fromType":"integer"}]}"#);
        // As delta-spark writes it.
        let list = DataType::array(DataType::Float, true);
        let map =
            StructField::new("n", DataType::map(DataType::String { collation: None }, list, true), true);
        let way = ["value".to_string(), "element".to_string()];
        let field = widened_inside(&map, &way, &DataType::Double).unwrap();
        assert_eq!(
            field.metadata,
            r#"{"delta.typeChanges":[{"toType":"double","fromType":"float","fieldPath":"value.element"}]}"#
        );
        assert_eq!(field_inside(&field, &way).unwrap().data_type, DataType::Double);
    }
}
