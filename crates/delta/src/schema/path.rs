//! Columns inside columns: finding and changing a field by its path.

use boathouse_spec::{DataType, Error, Name, Result, StructField, StructType};

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

/// How many parts of a path lead to a field whose type is an array or a map, where the rest of the path leads to an element,
/// a key or a value of it that is no field of a struct.
pub(crate) fn field_around(schema: &StructType, path: &[String]) -> Option<usize> {
    let (mut fields, mut around) = (&schema.fields, None);
    let mut parts = path.iter().enumerate().peekable();
    while let Some((i, part)) = parts.next() {
        let mut t = &fields.iter().find(|f| f.name.eq_ignore_ascii_case(part))?.data_type;
        around = None;
        while let Some((_, part)) = parts.peek()
            && let Some(inner) = type_inside(t, part)
        {
            (t, around) = (inner, Some(i + 1));
            parts.next();
        }
        match t {
            DataType::Struct(s) => fields = &s.fields,
            _ if parts.peek().is_some() => return None,
            _ => {}
        }
    }
    around
}

/// The type of the elements, keys or values of an array or a map.
fn type_inside<'a>(t: &'a DataType, part: &str) -> Option<&'a DataType> {
    match t {
        DataType::Array { element, .. } if part.eq_ignore_ascii_case("element") => Some(element),
        DataType::Map { key, .. } if part.eq_ignore_ascii_case("key") => Some(key),
        DataType::Map { value, .. } if part.eq_ignore_ascii_case("value") => Some(value),
        _ => None,
    }
}

/// The type with another one inside, at a way by `element`, `key` and `value`.
pub(crate) fn with_type_inside(t: &DataType, way: &[String], inside: &DataType) -> Option<DataType> {
    let Some((part, rest)) = way.split_first() else { return Some(inside.clone()) };
    let inner = with_type_inside(type_inside(t, part)?, rest, inside)?;
    Some(match t {
        DataType::Array { contains_null, .. } => DataType::array(inner, *contains_null),
        DataType::Map { value, value_contains_null, .. } if part.eq_ignore_ascii_case("key") => {
            DataType::map(inner, value.as_ref().clone(), *value_contains_null)
        }
        DataType::Map { key, value_contains_null, .. } => {
            DataType::map(key.as_ref().clone(), inner, *value_contains_null)
        }
        _ => return None,
    })
}

/// The element, key or value at a way, as a field.
pub(crate) fn field_inside(field: &StructField, way: &[String]) -> Option<StructField> {
    let mut found = field.clone().with_metadata(&Default::default());
    for part in way {
        let nullable = match &found.data_type {
            DataType::Array { contains_null, .. } => *contains_null,
            DataType::Map { value_contains_null, .. } => {
                *value_contains_null && !part.eq_ignore_ascii_case("key")
            }
            _ => return None,
        };
        let data_type = type_inside(&found.data_type, part)?.clone();
        found = StructField { name: part.to_lowercase(), data_type, nullable, ..found };
    }
    Some(found)
}

/// A column, or a field of structs, as the schema spells it, and its type.
pub(crate) fn spelled<'a>(schema: &'a StructType, path: &[String]) -> Option<(Name, &'a DataType)> {
    let (name, parents) = path.split_last()?;
    let (mut inside, mut spelled) = (schema, Vec::with_capacity(path.len()));
    for parent in parents {
        let field = inside.field(parent)?;
        let DataType::Struct(fields) = &field.data_type else { return None };
        spelled.push(field.name.clone());
        inside = fields;
    }
    let field = inside.field(name)?;
    spelled.push(field.name.clone());
    Some((spelled, &field.data_type))
}

/// The column, field, element, key or value at a path.
pub fn field_at(schema: &StructType, path: &[String]) -> Option<StructField> {
    let (first, rest) = path.split_first()?;
    let column = schema.field(first)?.clone();
    rest.iter().try_fold(column, |field, part| match &field.data_type {
        DataType::Struct(s) => s.field(part).cloned(),
        _ => field_inside(&field, std::slice::from_ref(part)),
    })
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
