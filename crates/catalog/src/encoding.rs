//! Records to and from the JSON columns of the metastore. Unknown members are left alone by older versions, and
//! missing ones read as empty, so that a newer version can add to them without a migration.

use boathouse_spec::{Bucket, DataType, Error, Name, Result, StructType};
use serde_json::{Map, Value, json};

use crate::errors::corrupt;
use crate::records::{ParameterRecord, Properties, ViewDefinition, ViewSchemaMode};

pub(crate) fn properties_to_json(properties: &Properties) -> String {
    let map: Map<String, Value> =
        properties.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect();
    Value::Object(map).to_string()
}

pub(crate) fn properties_from_json(text: &str) -> Result<Properties> {
    properties_from_value(&parse("properties", text)?)
}

fn properties_from_value(value: &Value) -> Result<Properties> {
    let Value::Object(map) = value else {
        return Ok(Properties::new());
    };
    Ok(map.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_string())).collect())
}

pub(crate) fn names_to_json(names: &[String]) -> String {
    json!(names).to_string()
}

pub(crate) fn names_from_json(text: &str) -> Result<Vec<String>> {
    Ok(names_from_value(&parse("a list of names", text)?))
}

pub(crate) fn paths_to_json(paths: &[Name]) -> String {
    json!(paths).to_string()
}

/// Paths of columns; a text alone is the name of an outermost column.
pub(crate) fn paths_from_json(text: &str) -> Result<Vec<Name>> {
    let paths = parse("a list of columns", text)?;
    Ok(paths.as_array().into_iter().flatten().map(path_from_value).collect())
}

fn path_from_value(value: &Value) -> Name {
    value.as_str().map_or_else(|| names_from_value(value), |name| vec![name.to_string()])
}

fn names_from_value(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

pub(crate) fn bucket_to_json(bucket: &Bucket) -> String {
    json!({"count": bucket.count, "columns": bucket.columns, "sort": bucket.sort}).to_string()
}

pub(crate) fn bucket_from_json(text: &str) -> Result<Bucket> {
    let value = parse("a bucket specification", text)?;
    let sort = value["sort"].as_array().into_iter().flatten();
    Ok(Bucket {
        count: u32::try_from(value["count"].as_u64().unwrap_or(0)).unwrap_or(u32::MAX),
        columns: names_from_value(&value["columns"]),
        sort: sort
            .filter_map(|s| Some((s[0].as_str()?.to_string(), s[1].as_bool().unwrap_or(true))))
            .collect(),
    })
}

pub(crate) fn view_to_json(view: &ViewDefinition) -> String {
    json!({
        "text": view.text,
        "currentCatalog": view.current_catalog,
        "currentSchema": view.current_schema,
        "configs": view.configs,
        "queryColumns": view.query_columns,
        "schemaMode": view.schema_mode.as_str(),
    })
    .to_string()
}

pub(crate) fn view_from_json(text: &str) -> Result<ViewDefinition> {
    let value = parse("a view", text)?;
    Ok(ViewDefinition {
        text: text_of(&value, "text"),
        current_catalog: text_of(&value, "currentCatalog"),
        current_schema: text_of(&value, "currentSchema"),
        configs: properties_from_value(&value["configs"])?,
        query_columns: names_from_value(&value["queryColumns"]),
        schema_mode: ViewSchemaMode::parse(&text_of(&value, "schemaMode")).unwrap_or_default(),
    })
}

pub(crate) fn parameters_to_json(parameters: &[ParameterRecord]) -> String {
    let list: Vec<Value> = parameters
        .iter()
        .map(|p| {
            json!({
                "name": p.name, "type": type_to_value(&p.data_type), "default": p.default, "comment": p.comment
            })
        })
        .collect();
    Value::Array(list).to_string()
}

pub(crate) fn parameters_from_json(text: &str) -> Result<Vec<ParameterRecord>> {
    let value = parse("parameters", text)?;
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| {
            Ok(ParameterRecord {
                name: text_of(p, "name"),
                data_type: DataType::from_json_value(&p["type"])?,
                default: p["default"].as_str().map(str::to_string),
                comment: p["comment"].as_str().map(str::to_string),
            })
        })
        .collect()
}

pub(crate) fn type_to_json(t: &DataType) -> String {
    type_to_value(t).to_string()
}

/// The schema JSON of a bare string has no place for its collation; its spelling has.
fn type_to_value(t: &DataType) -> Value {
    match t {
        DataType::String { collation: Some(_) } => Value::String(t.simple_string()),
        other => other.json_value(),
    }
}

pub(crate) fn type_from_json(text: &str) -> Result<DataType> {
    DataType::from_json(text).map_err(|e| corrupt("a data type", e))
}

pub(crate) fn schema_from_json(text: &str) -> Result<StructType> {
    StructType::from_json(text).map_err(|e| corrupt("a schema", e))
}

fn parse(what: &str, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|e| corrupt(what, e))
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_string()
}
