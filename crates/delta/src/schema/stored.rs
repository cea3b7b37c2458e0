//! The schema as the log stores it: only types that Delta has, lengths of strings as metadata, ids for mapped columns.

use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use serde_json::Value;

use super::columns::PHYSICAL_NAME;
use super::lengths::Lengths;
use crate::action::Metadata;
use crate::iceberg_compat::{self, Version, nested_ids};

/// Spark's key for the declared type of a CHAR or VARCHAR column.
pub(crate) const CHAR_VARCHAR_KEY: &str = "__CHAR_VARCHAR_TYPE_STRING";
/// Spark's key for the collation of a string column.
const COLLATIONS_KEY: &str = "__COLLATIONS";
const COLUMN_ID: &str = "delta.columnMapping.id";
const MAX_COLUMN_ID: &str = "delta.columnMapping.maxColumnId";

/// The columns as declared: strings in the collation that their metadata names.
pub fn declared_schema(schema: &StructType) -> StructType {
    let declared = |f: &StructField| {
        let mut metadata = f.metadata_map();
        let named = metadata.get(COLLATIONS_KEY).and_then(|c| c.get(&f.name)).and_then(Value::as_str);
        let collation = named.and_then(|n| n.split_once('.')).map(|(_, name)| name.to_string());
        match (&f.data_type, collation) {
            (DataType::String { .. }, Some(c)) => {
                metadata.remove(COLLATIONS_KEY);
                let data_type = DataType::String { collation: Some(c) };
                StructField { data_type, ..f.clone() }.with_metadata(&metadata)
            }
            _ => f.clone(),
        }
    };
    StructType::new(schema.fields.iter().map(declared).collect())
}

/// The type that a column was declared with: with the lengths of strings that are noted.
pub fn declared_type(field: &StructField) -> DataType {
    Lengths::of(field).map_or_else(|| field.data_type.clone(), |lengths| lengths.declared(&field.data_type))
}

/// The schema with stored types; refuses types that Delta tables do not have. A column with lengths of strings anywhere in it
/// has its whole type noted, as Spark does it: fields inside of it have no notes.
pub(crate) fn stored_schema(schema: &StructType) -> Result<StructType> {
    let fields = schema.fields.iter().map(stored_field).collect::<Result<Vec<_>>>()?;
    Ok(StructType::new(fields))
}

fn stored_field(field: &StructField) -> Result<StructField> {
    refuse_types(&field.name, &field.data_type)?;
    let mut metadata = field.metadata_map();
    if let DataType::String { collation: Some(c) } = &field.data_type {
        let provider = if c.starts_with("UTF8_") { "spark" } else { "icu" };
        let mut named = serde_json::Map::new();
        named.insert(field.name.clone(), format!("{provider}.{c}").into());
        metadata.insert(COLLATIONS_KEY.into(), Value::Object(named));
    }
    if has_length(&field.data_type) {
        metadata.insert(CHAR_VARCHAR_KEY.into(), field.data_type.simple_string().into());
    }
    Ok(StructField {
        name: field.name.clone(),
        data_type: without_lengths(&field.data_type)?,
        nullable: field.nullable,
        metadata: String::new(),
    }
    .with_metadata(&metadata))
}

fn has_length(t: &DataType) -> bool {
    match t {
        DataType::Char(_) | DataType::Varchar(_) => true,
        DataType::Array { element, .. } => has_length(element),
        DataType::Map { key, value, .. } => has_length(key) || has_length(value),
        DataType::Struct(s) => s.fields.iter().any(|f| has_length(&f.data_type)),
        _ => false,
    }
}

fn without_lengths(t: &DataType) -> Result<DataType> {
    Ok(match t {
        DataType::Char(_) | DataType::Varchar(_) | DataType::String { .. } => DataType::STRING,
        DataType::Array { element, contains_null } => {
            DataType::array(without_lengths(element)?, *contains_null)
        }
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(without_lengths(key)?, without_lengths(value)?, *value_contains_null)
        }
        DataType::Struct(s) => {
            let field =
                |f: &StructField| Ok(StructField { data_type: without_lengths(&f.data_type)?, ..f.clone() });
            DataType::structure(s.fields.iter().map(field).collect::<Result<_>>()?)
        }
        DataType::Udt { sql_type, .. } => without_lengths(sql_type)?,
        other => other.clone(),
    })
}

fn refuse_types(column: &str, t: &DataType) -> Result<()> {
    let refused = match t {
        DataType::CalendarInterval
        | DataType::YearMonthInterval { .. }
        | DataType::DayTimeInterval { .. }
        | DataType::Time { .. } => true,
        DataType::Array { element, .. } => return refuse_nested(column, element),
        DataType::Map { key, value, .. } => {
            refuse_nested(column, key)?;
            return refuse_nested(column, value);
        }
        DataType::Struct(s) => return s.fields.iter().try_for_each(|f| refuse_nested(&f.name, &f.data_type)),
        t => t.is_spatial(),
    };
    if refused { Err(unsupported(column, t)) } else { Ok(()) }
}

fn refuse_nested(column: &str, t: &DataType) -> Result<()> {
    if matches!(t, DataType::String { collation: Some(_) }) {
        return Err(unsupported(column, t));
    }
    if *t == DataType::Null {
        return Err(Error::new("DELTA_COMPLEX_TYPE_COLUMN_CONTAINS_NULL_TYPE")
            .param("columName", column)
            .param("dataType", t.sql())
            .message(format!(
                "The column `{column}` has a nested value without a type; Delta does not store it."
            ))
            .exception("AnalysisException"));
    }
    refuse_types(column, t)
}

fn unsupported(column: &str, t: &DataType) -> Error {
    let list = format!("[{column}: {}]", t.sql());
    Error::new("DELTA_UNSUPPORTED_DATA_TYPES")
        .param("dataTypeList", &list)
        .message(format!("A Delta table has no columns of these types: {list}."))
        .exception("AnalysisException")
}

/// Lets the columns of a table that replaces another have ids which none of the other's had: files of both are in its history.
pub(crate) fn inherit_ids(replaced: &Metadata, metadata: &mut Metadata) {
    if let Some(highest) = replaced.configuration.get(MAX_COLUMN_ID)
        && metadata.configuration.get("delta.columnMapping.mode").is_some_and(|m| m != "none")
    {
        metadata.configuration.insert(MAX_COLUMN_ID.into(), highest.clone());
    }
}

/// Gives every column an id and a name in files where the table maps its columns. Columns of files that exist
/// (`existing`) keep their names.
pub(crate) fn assign_mapping(schema: &StructType, metadata: &mut Metadata, existing: bool) -> StructType {
    if metadata.configuration.get("delta.columnMapping.mode").is_none_or(|m| m == "none") {
        return schema.clone();
    }
    let mut last = metadata.configuration.get(MAX_COLUMN_ID).and_then(|v| v.parse::<i64>().ok()).unwrap_or(0);
    last = last.max(highest_id(schema));
    let mut schema =
        StructType::new(schema.fields.iter().map(|f| assign_field(f, &mut last, existing)).collect());
    if iceberg_compat::enabled(metadata) >= Some(Version::V2) {
        schema = nested_ids::assign(&schema, &mut last);
    }
    metadata.configuration.insert(MAX_COLUMN_ID.into(), last.to_string());
    schema
}

fn highest_id(schema: &StructType) -> i64 {
    let own =
        schema.fields.iter().filter_map(|f| f.metadata_map().get(COLUMN_ID).and_then(Value::as_i64)).max();
    let nested = schema.fields.iter().map(|f| highest_in(&f.data_type).max(nested_ids::highest(f))).max();
    own.unwrap_or(0).max(nested.unwrap_or(0))
}

fn highest_in(t: &DataType) -> i64 {
    match t {
        DataType::Struct(s) => highest_id(s),
        DataType::Array { element, .. } => highest_in(element),
        DataType::Map { key, value, .. } => highest_in(key).max(highest_in(value)),
        _ => 0,
    }
}

fn assign_field(field: &StructField, last: &mut i64, existing: bool) -> StructField {
    let mut metadata = field.metadata_map();
    if !metadata.contains_key(COLUMN_ID) {
        *last += 1;
        metadata.insert(COLUMN_ID.into(), (*last).into());
    }
    if !metadata.contains_key(PHYSICAL_NAME) {
        let name = if existing { field.name.clone() } else { format!("col-{}", uuid::Uuid::new_v4()) };
        metadata.insert(PHYSICAL_NAME.into(), name.into());
    }
    StructField { data_type: assign_type(&field.data_type, last, existing), ..field.clone() }
        .with_metadata(&metadata)
}

fn assign_type(t: &DataType, last: &mut i64, existing: bool) -> DataType {
    match t {
        DataType::Struct(s) => {
            DataType::structure(s.fields.iter().map(|f| assign_field(f, last, existing)).collect())
        }
        DataType::Array { element, contains_null } => {
            DataType::array(assign_type(element, last, existing), *contains_null)
        }
        DataType::Map { key, value, value_contains_null } => DataType::map(
            assign_type(key, last, existing),
            assign_type(value, last, existing),
            *value_contains_null,
        ),
        other => other.clone(),
    }
}

/// Names of columns, and of fields inside of them, that files cannot have, unless the table maps its columns.
pub(crate) fn check_names(schema: &StructType, mapped: bool) -> Result<()> {
    super::reconcile::refuse_duplicates(schema).map_err(|_| duplicate_columns(schema))?;
    refuse_duplicate_fields(schema)?;
    if mapped {
        return Ok(());
    }
    let mut invalid = Vec::new();
    add_invalid_names(schema, &mut invalid);
    if invalid.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES")
        .param("invalidColumnNames", invalid.join(", "))
        .message(format!(
            "Column names with one of ' ,;{{}}()\\n\\t=' need column mapping (the table property \
             delta.columnMapping.mode = 'name'): {}.",
            invalid.join(", ")
        ))
        .exception("AnalysisException"))
}

/// Fields of a struct have names of their own, whatever their case.
fn refuse_duplicate_fields(schema: &StructType) -> Result<()> {
    let mut result = Ok(());
    for field in &schema.fields {
        structs_in(&field.data_type, &mut |inner| {
            let mut seen = std::collections::HashSet::new();
            let twice = inner.fields.iter().map(|f| f.name.to_lowercase()).find(|n| !seen.insert(n.clone()));
            if let Some(name) = twice {
                result = Err(Error::new("COLUMN_ALREADY_EXISTS")
                    .param("columnName", boathouse_spec::quote(&name))
                    .message(format!("{} would have two fields of the name `{name}`.", field.name))
                    .exception("AnalysisException"));
            } else if let Err(e) = refuse_duplicate_fields(inner) {
                result = Err(e);
            }
        });
    }
    result
}

fn add_invalid_names<'a>(schema: &'a StructType, out: &mut Vec<&'a str>) {
    for field in &schema.fields {
        if field.name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']) {
            out.push(&field.name);
        }
        structs_in(&field.data_type, &mut |inner| add_invalid_names(inner, out));
    }
}

/// The outermost structs in a type: itself, or those in its elements, keys and values.
fn structs_in<'a>(t: &'a DataType, each: &mut dyn FnMut(&'a StructType)) {
    match t {
        DataType::Struct(s) => each(s),
        DataType::Array { element, .. } => structs_in(element, each),
        DataType::Map { key, value, .. } => {
            structs_in(key, each);
            structs_in(value, each);
        }
        _ => {}
    }
}

/// Refuses NOT NULL where no constraint can see it: in structs that are elements of arrays, keys or values of maps
/// (delta-spark's `removeUnenforceableNotNullConstraints`).
pub(crate) fn check_not_null(schema: &StructType) -> Result<()> {
    schema.fields.iter().try_for_each(|field| match &field.data_type {
        DataType::Struct(s) => check_not_null(s),
        t => {
            let mut forbids = false;
            structs_in(t, &mut |s| forbids |= has_not_null(s));
            if forbids { Err(nested_not_null(field)) } else { Ok(()) }
        }
    })
}

fn has_not_null(schema: &StructType) -> bool {
    schema.fields.iter().any(|field| {
        let mut inside = !field.nullable;
        structs_in(&field.data_type, &mut |s| inside |= has_not_null(s));
        inside
    })
}

fn nested_not_null(field: &StructField) -> Error {
    let kind = if matches!(field.data_type, DataType::Array { .. }) { "array" } else { "map" };
    let json = field.data_type.json_value().to_string();
    Error::new("DELTA_NESTED_NOT_NULL_CONSTRAINT")
        .param("nestType", kind)
        .param("parent", &field.name)
        .param("nestedPrettyJson", &json)
        .param("configKey", "spark.databricks.delta.constraints.allowUnenforcedNotNull.enabled")
        .message(format!("Fields inside of the {kind} {} cannot be NOT NULL: {json}", field.name))
        .exception("AnalysisException")
}

fn duplicate_columns(schema: &StructType) -> Error {
    let mut seen = std::collections::HashSet::new();
    let names: Vec<String> =
        schema.fields.iter().map(|f| f.name.to_lowercase()).filter(|n| !seen.insert(n.clone())).collect();
    Error::new("DELTA_DUPLICATE_COLUMNS_FOUND")
        .param("coltype", "in the table schema")
        .param("duplicateCols", names.join(", "))
        .message(format!("The table would have columns of the same name: {}.", names.join(", ")))
        .exception("AnalysisException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_metadata() {
        let schema = StructType::new(vec![StructField::new("v", DataType::Varchar(5), true)]);
        let stored = stored_schema(&schema).unwrap();
        assert_eq!(stored.fields[0].data_type, DataType::STRING);
        assert_eq!(stored.fields[0].metadata, r#"{"__CHAR_VARCHAR_TYPE_STRING":"varchar(5)"}"#);
        let inside = DataType::structure(vec![StructField::new("a", DataType::Char(2), false)]);
        let stored =
            stored_schema(&StructType::new(vec![StructField::new("s", inside.clone(), true)])).unwrap();
        assert_eq!(stored.fields[0].metadata, r#"{"__CHAR_VARCHAR_TYPE_STRING":"struct<a:char(2)>"}"#);
        assert_eq!(declared_type(&stored.fields[0]), inside);
        let DataType::Struct(fields) = &stored.fields[0].data_type else { panic!("a struct stays one") };
        assert_eq!(fields.fields[0], StructField::new("a", DataType::STRING, false));
        let interval = StructType::new(vec![StructField::new("i", DataType::DAY_TIME, true)]);
        assert_eq!(stored_schema(&interval).unwrap_err().class(), "DELTA_UNSUPPORTED_DATA_TYPES");
    }

    #[test]
    fn mapped_columns_get_ids() {
        let mut metadata = Metadata::default();
        metadata.configuration.insert("delta.columnMapping.mode".into(), "name".into());
        let schema = StructType::new(vec![StructField::new("a b", DataType::Long, true)]);
        let mapped = assign_mapping(&schema, &mut metadata, true);
        assert_eq!(mapped.fields[0].metadata_map()[PHYSICAL_NAME], "a b");
        assert_eq!(metadata.configuration[MAX_COLUMN_ID], "1");
        assert!(check_names(&schema, false).is_err() && check_names(&schema, true).is_ok());
    }

    #[test]
    fn names_inside_of_columns_are_checked() {
        let inside = |name: &str| DataType::structure(vec![StructField::new(name, DataType::Long, true)]);
        let column = |t: DataType| StructType::new(vec![StructField::new("c", t, true)]);
        for around in [inside as fn(&str) -> DataType, |name| {
            DataType::array(DataType::structure(vec![StructField::new(name, DataType::Long, true)]), true)
        }] {
            assert!(check_names(&column(around("a.b")), false).is_ok());
            let e = check_names(&column(around("a=b")), false).unwrap_err();
            assert_eq!(e.class(), "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES");
        }
    }

    #[test]
    fn no_element_has_fields_that_are_not_null() {
        let fields = DataType::structure(vec![StructField::new("a", DataType::Long, false)]);
        let column = |t: DataType| StructType::new(vec![StructField::new("c", t, true)]);
        assert!(check_not_null(&column(fields.clone())).is_ok());
        let e = check_not_null(&column(DataType::array(fields, true))).unwrap_err();
        assert_eq!(e.class(), "DELTA_NESTED_NOT_NULL_CONSTRAINT");
    }
}
