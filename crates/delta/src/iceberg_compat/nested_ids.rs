//! The ids of elements, keys and values, which are no fields of their own in Delta's schemas, and are some in Iceberg's.

use boathouse_spec::{DataType, StructField, StructType};
use serde_json::{Map, Value};

use crate::schema::columns::PHYSICAL_NAME;

/// The ids by the paths of physical names, in the metadata of the field around them.
pub(crate) const KEY: &str = "delta.columnMapping.nested.ids";

/// The schema with an id for each element, key and value; those that have one keep it. `last` is the highest id of the table
/// (delta-spark's `rewriteFieldIdsForIceberg`).
pub(crate) fn assign(schema: &StructType, last: &mut i64) -> StructType {
    let fields = schema.fields.iter().map(|field| {
        let mut notes = field.metadata_map();
        let name = notes.get(PHYSICAL_NAME).and_then(Value::as_str).unwrap_or(&field.name).to_string();
        let mut ids = match notes.remove(KEY) {
            Some(Value::Object(ids)) => ids,
            _ => Map::new(),
        };
        let data_type = inside(&field.data_type, &name, &mut ids, last);
        notes.insert(KEY.into(), Value::Object(ids));
        StructField { data_type, ..field.clone() }.with_metadata(&notes)
    });
    StructType::new(fields.collect())
}

fn inside(t: &DataType, path: &str, ids: &mut Map<String, Value>, last: &mut i64) -> DataType {
    let mut part = |name: &str, t: &DataType| {
        let path = format!("{path}.{name}");
        if !ids.contains_key(&path) {
            *last += 1;
            ids.insert(path.clone(), (*last).into());
        }
        inside(t, &path, ids, last)
    };
    match t {
        DataType::Array { element, contains_null } => {
            DataType::array(part("element", element), *contains_null)
        }
        DataType::Map { key, value, value_contains_null } => {
            let key = part("key", key);
            DataType::map(key, part("value", value), *value_contains_null)
        }
        DataType::Struct(s) => DataType::Struct(assign(s, last)),
        other => other.clone(),
    }
}

/// The highest id that a field notes for what is inside of it, 0 where it notes none.
pub(crate) fn highest(field: &StructField) -> i64 {
    let notes = field.metadata_map();
    let ids = notes.get(KEY).and_then(Value::as_object).into_iter().flatten();
    ids.filter_map(|(_, id)| id.as_i64()).max().unwrap_or(0)
}

/// The ids of one field, and where in it one is.
#[derive(Debug, Clone)]
pub(crate) struct Inside<'a> {
    ids: Option<&'a Map<String, Value>>,
    path: String,
}

impl<'a> Inside<'a> {
    /// The ids in the notes of a field, which files call `name`.
    pub fn new(notes: &'a Map<String, Value>, name: &str) -> Self {
        Self { ids: notes.get(KEY).and_then(Value::as_object), path: name.to_string() }
    }

    /// The element, the key or the value.
    pub fn part(&self, name: &str) -> Self {
        Self { ids: self.ids, path: format!("{}.{name}", self.path) }
    }

    pub fn id(&self) -> Option<i64> {
        self.ids?.get(&self.path)?.as_i64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of PROTOCOL.md ("Example of storing identifiers for nested fields in ArrayType and MapType").
    #[test]
    fn the_protocols_example() {
        let ints = || DataType::array(DataType::Integer, true);
        let field = |name: &str, t: DataType| {
            let mut notes = Map::new();
            notes.insert(PHYSICAL_NAME.into(), format!("col-{name}").into());
            StructField::new(name, t, true).with_metadata(&notes)
        };
        let inner = DataType::structure(vec![field("ddd", ints())]);
        let schema = StructType::new(vec![
            field("aaa", DataType::array(ints(), true)),
            field("bbb", DataType::map(DataType::Integer, ints(), true)),
            field("ccc", DataType::map(DataType::Integer, inner, true)),
        ]);
        let mut last = 99;
        let assigned = assign(&schema, &mut last);
        let ids = |f: &StructField| f.metadata_map()[KEY].clone();
        assert_eq!(
            ids(&assigned.fields[0]),
            serde_json::json!({"col-aaa.element": 100, "col-aaa.element.element": 101})
        );
        assert_eq!(
            ids(&assigned.fields[1]),
            serde_json::json!({"col-bbb.key": 102, "col-bbb.value": 103, "col-bbb.value.element": 104})
        );
        assert_eq!(ids(&assigned.fields[2]), serde_json::json!({"col-ccc.key": 105, "col-ccc.value": 106}));
        let DataType::Map { value, .. } = &assigned.fields[2].data_type else { panic!("no map") };
        let DataType::Struct(inner) = value.as_ref() else { panic!("no struct") };
        assert_eq!(ids(&inner.fields[0]), serde_json::json!({"col-ddd.element": 107}));
        assert_eq!(last, 107);
        // Who has an id keeps it.
        assert_eq!(assign(&assigned, &mut last), assigned);
        assert_eq!(last, 107);
        assert_eq!(highest(&assigned.fields[1]), 104);
    }
}
