//! Columns inside columns: finding and changing a field by its path.

use boathouse_spec::{DataType, Error, Result, StructField, StructType};

/// Where a column goes among its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnPlace {
    First,
    After(String),
    Last,
}

/// Runs `change` on the fields of the struct at a path; the root is the empty path. Elements of arrays and the sides of
/// maps go by `element`, `key` and `value`.
pub(crate) fn change_struct(
    schema: &StructType,
    path: &[String],
    change: &mut dyn FnMut(&mut Vec<StructField>) -> Result<()>,
) -> Result<StructType> {
    let Some((first, rest)) = path.split_first() else {
        let mut fields = schema.fields.clone();
        change(&mut fields)?;
        return Ok(StructType::new(fields));
    };
    let index = schema.index_of(first).ok_or_else(|| not_found(first, schema))?;
    let mut out = schema.clone();
    out.fields[index].data_type = change_type(&schema.fields[index].data_type, first, rest, change)?;
    Ok(out)
}

fn change_type(
    t: &DataType,
    name: &str,
    path: &[String],
    change: &mut dyn FnMut(&mut Vec<StructField>) -> Result<()>,
) -> Result<DataType> {
    let inner = |part: &str| path.first().is_some_and(|p| p.eq_ignore_ascii_case(part));
    match t {
        DataType::Struct(s) => change_struct(s, path, change).map(DataType::Struct),
        DataType::Array { element, contains_null } if inner("element") => {
            Ok(DataType::array(change_type(element, "element", &path[1..], change)?, *contains_null))
        }
        DataType::Map { key, value, value_contains_null } if inner("key") => {
            let key = change_type(key, "key", &path[1..], change)?;
            Ok(DataType::map(key, value.as_ref().clone(), *value_contains_null))
        }
        DataType::Map { key, value, value_contains_null } if inner("value") => {
            let value = change_type(value, "value", &path[1..], change)?;
            Ok(DataType::map(key.as_ref().clone(), value, *value_contains_null))
        }
        other => Err(Error::new("DELTA_ADD_COLUMN_PARENT_NOT_STRUCT")
            .param("columnName", name)
            .param("other", other.sql())
            .message(format!("`{name}` is {}, and has no fields.", other.sql()))
            .exception("AnalysisException")),
    }
}

/// The position of a field among its siblings.
pub(crate) fn position(fields: &[StructField], name: &str) -> Result<usize> {
    fields
        .iter()
        .position(|f| f.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| not_found(name, &StructType::new(fields.to_vec())))
}

/// Puts a field to its place.
pub(crate) fn insert(fields: &mut Vec<StructField>, field: StructField, place: &ColumnPlace) -> Result<()> {
    let index = match place {
        ColumnPlace::First => 0,
        ColumnPlace::Last => fields.len(),
        ColumnPlace::After(name) => position(fields, name)? + 1,
    };
    fields.insert(index, field);
    Ok(())
}

pub(crate) fn not_found(name: &str, schema: &StructType) -> Error {
    Error::new("DELTA_COLUMN_NOT_FOUND_IN_SCHEMA")
        .param("columnName", name)
        .param("tableSchema", schema.tree_string(None))
        .message(format!("There is no column `{name}` in:\n{}", schema.tree_string(None)))
        .exception("AnalysisException")
}
