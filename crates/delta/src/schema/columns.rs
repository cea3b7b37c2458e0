//! The columns of a table version, with their names in the files ("Column Mapping" in PROTOCOL.md).

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Schema, SchemaRef};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};

use crate::action::Metadata;
use crate::iceberg_compat::nested_ids::Inside;

pub(crate) const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";
const COLUMN_ID: &str = "delta.columnMapping.id";

/// How columns are found in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MappingMode {
    None,
    Name,
    Id,
}

/// A top-level column.
#[derive(Debug, Clone)]
pub(crate) struct TableColumn {
    /// As the table has it.
    pub field: FieldRef,
    pub data_type: DataType,
    /// The name in files, in statistics and in partition values.
    pub physical: String,
    /// The field as files have it: nested names are physical too.
    pub physical_field: FieldRef,
    pub is_partition: bool,
}

impl TableColumn {
    pub fn logical(&self) -> &str {
        self.field.name()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TableColumns {
    columns: Vec<TableColumn>,
    pub mode: MappingMode,
    /// The table's schema.
    pub logical: SchemaRef,
}

impl TableColumns {
    pub fn new(schema: &StructType, metadata: &Metadata) -> Result<Self> {
        let mode = match metadata.configuration.get("delta.columnMapping.mode").map(String::as_str) {
            None | Some("none") => MappingMode::None,
            Some("name") => MappingMode::Name,
            Some("id") => MappingMode::Id,
            Some(other) => return Err(Error::unsupported(format!("the column mapping mode `{other}`"))),
        };
        let mut columns = Vec::with_capacity(schema.fields.len());
        for f in &schema.fields {
            let field = boathouse_bridge::arrow_field(f);
            let physical_field = physical_field(f, mode)?;
            columns.push(TableColumn {
                data_type: f.data_type.clone(),
                physical: physical_field.name().clone(),
                physical_field: Arc::new(physical_field),
                is_partition: metadata.partition_columns.contains(&f.name),
                field: Arc::new(field),
            });
        }
        let logical = Arc::new(Schema::new(columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>()));
        Ok(Self { columns, mode, logical })
    }

    pub fn iter(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns.iter()
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn get(&self, index: usize) -> &TableColumn {
        &self.columns[index]
    }

    pub fn data(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns.iter().filter(|c| !c.is_partition)
    }

    /// The partition columns in the order of the table's partitioning.
    pub fn partitions<'a>(&'a self, metadata: &'a Metadata) -> Vec<&'a TableColumn> {
        metadata
            .partition_columns
            .iter()
            .filter_map(|name| self.columns.iter().find(|c| c.logical() == name))
            .collect()
    }

    /// The path of a column in files, for its path in the table.
    pub fn physical_path(&self, schema: &StructType, path: &[String]) -> Option<Vec<String>> {
        self.renamed_path(schema, path, |field| field.name.clone(), |field| self.physical_name(field))
    }

    /// The path of a column in the table, for its path in files.
    pub fn logical_path(&self, schema: &StructType, path: &[String]) -> Option<Vec<String>> {
        self.renamed_path(schema, path, |field| self.physical_name(field), |field| field.name.clone())
    }

    fn physical_name(&self, field: &StructField) -> String {
        let name = match self.mode {
            MappingMode::None => None,
            _ => field.metadata_map().get(PHYSICAL_NAME).and_then(|v| v.as_str().map(str::to_string)),
        };
        name.unwrap_or_else(|| field.name.clone())
    }

    fn renamed_path(
        &self,
        schema: &StructType,
        path: &[String],
        from: impl Fn(&StructField) -> String,
        to: impl Fn(&StructField) -> String,
    ) -> Option<Vec<String>> {
        let mut fields = &schema.fields;
        let mut out = Vec::with_capacity(path.len());
        for (i, part) in path.iter().enumerate() {
            let field = fields.iter().find(|f| from(f).eq_ignore_ascii_case(part))?;
            out.push(to(field));
            match &field.data_type {
                DataType::Struct(s) => fields = &s.fields,
                _ if i + 1 < path.len() => return None,
                _ => {}
            }
        }
        Some(out)
    }

    /// Whether files have other names than the table.
    pub fn is_mapped(&self) -> bool {
        self.mode != MappingMode::None
    }
}

/// The field as files have it, without what only the table knows.
fn physical_field(f: &StructField, mode: MappingMode) -> Result<Field> {
    let metadata = if mode == MappingMode::None { Default::default() } else { f.metadata_map() };
    let name = match mode {
        MappingMode::None => f.name.clone(),
        _ => metadata
            .get(PHYSICAL_NAME)
            .and_then(|v| v.as_str())
            .map(str::to_string)
            .ok_or_else(|| missing_mapping(&f.name))?,
    };
    let data_type = physical_type(&f.data_type, mode, &Inside::new(&metadata, &name))?;
    let field = tagged(Field::new(name, data_type, f.nullable), &f.data_type);
    Ok(with_id(field, metadata.get(COLUMN_ID).and_then(serde_json::Value::as_i64)))
}

/// The field with the id that files say of it.
fn with_id(field: Field, id: Option<i64>) -> Field {
    let Some(id) = id else { return field };
    let mut notes = field.metadata().clone();
    notes.insert(parquet::arrow::PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string());
    field.with_metadata(notes)
}

/// The field, which says that it is a VARIANT where it is one: the parts alone do not tell.
fn tagged(field: Field, t: &DataType) -> Field {
    match t {
        DataType::Variant => field.with_metadata(
            [(boathouse_bridge::TYPE_KEY.to_string(), DataType::Variant.simple_string())].into(),
        ),
        _ => field,
    }
}

/// Whether a field of a file is a VARIANT.
pub(crate) fn is_variant(field: &Field) -> bool {
    field.metadata().get(boathouse_bridge::TYPE_KEY).is_some_and(|tag| tag == "variant")
}

/// Whether a field of a file is a VARIANT, or has one inside.
pub(crate) fn holds_variant(field: &Field) -> bool {
    is_variant(field)
        || match field.data_type() {
            ArrowType::Struct(fields) => fields.iter().any(|f| holds_variant(f)),
            ArrowType::List(element) => holds_variant(element),
            ArrowType::Map(entries, _) => holds_variant(entries),
            _ => false,
        }
}

fn physical_type(t: &DataType, mode: MappingMode, ids: &Inside<'_>) -> Result<ArrowType> {
    // An element, a key or a value.
    let part = |name: &str, t: &DataType, nullable: bool| {
        let ids = ids.part(name);
        let field = tagged(Field::new(name, physical_type(t, mode, &ids)?, nullable), t);
        Ok::<_, Error>(with_id(field, ids.id()))
    };
    Ok(match t {
        DataType::Struct(s) => {
            ArrowType::Struct(s.fields.iter().map(|f| physical_field(f, mode)).collect::<Result<Fields>>()?)
        }
        DataType::Array { element, contains_null } => {
            ArrowType::List(Arc::new(part("element", element, *contains_null)?))
        }
        DataType::Map { key, value, value_contains_null } => {
            let entries =
                Fields::from(vec![part("key", key, false)?, part("value", value, *value_contains_null)?]);
            ArrowType::Map(Arc::new(Field::new("key_value", ArrowType::Struct(entries), false)), false)
        }
        DataType::Udt { sql_type, .. } => physical_type(sql_type, mode, ids)?,
        other => boathouse_bridge::arrow_type(other),
    })
}

fn missing_mapping(column: &str) -> Error {
    Error::new("DELTA_STATE_RECOVER_ERROR")
        .param("operation", "schema")
        .param("version", "?")
        .message(format!("The table maps its columns, but `{column}` has no name in files."))
}
