//! Whether rows fit a table, and what the table becomes where it may change to fit them.

use std::collections::HashSet;

use boathouse_spec::{DataType, Error, Result, StructField, StructType};

use super::automatic_widening::{AutomaticWidening, Widening};
use super::widening::{widened, widened_inside};
use crate::snapshot::Snapshot;

/// How far a write may change the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Evolution {
    /// New columns and nested fields are added (`mergeSchema`).
    pub merge: bool,
    /// Which types that are wider than the table's become its own, where columns are added too.
    pub widening: Widening,
}

/// How types of one column meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Types {
    /// Values that Spark casts by itself are no reason to refuse.
    casts: bool,
    /// Which wider types become the column's.
    widening: Widening,
}

/// The schema of a table that a MERGE evolves, for these columns of its source: new columns and fields are added, and types
/// widened where the table lets them (`SchemaMergingUtils.mergeSchemas` with implicit conversions).
pub fn evolved_schema(table: &StructType, data: &StructType, widening: Widening) -> Result<StructType> {
    refuse_duplicates(data)?;
    merge_structs(table, data, Types { casts: true, widening })
}

/// The table's schema once the data is written.
pub(crate) fn merged_schema(
    table_id: &str,
    table: &StructType,
    data: &StructType,
    evolution: Evolution,
) -> Result<StructType> {
    refuse_duplicates(data)?;
    let widening = if evolution.merge { evolution.widening } else { Widening::default() };
    let types = Types { casts: false, widening };
    let merged = merge_structs(table, data, types)?;
    if merged != *table && !evolution.merge {
        return Err(schema_mismatch(table_id, table, data));
    }
    Ok(merged)
}

/// Whether a write that may change the schema of a table gives a column of it this type.
pub fn evolves_type(table: &Snapshot, allowed: AutomaticWidening, from: &DataType, to: &DataType) -> bool {
    Widening::of(table, allowed).takes(from, to)
}

/// Refuses rows whose columns are not those of a table, unless the write may add some (`mergeSchema`).
pub fn refuse_mismatch(
    table: &Snapshot,
    data: &StructType,
    merges: bool,
    allowed: AutomaticWidening,
) -> Result<()> {
    let evolution = Evolution { merge: merges, widening: Widening::of(table, allowed) };
    merged_schema(table.id(), table.schema(), data, evolution).map(|_| ())
}

/// Column names must differ in more than case.
pub(crate) fn refuse_duplicates(data: &StructType) -> Result<()> {
    let mut seen = HashSet::new();
    let mut duplicates: Vec<String> =
        data.fields.iter().map(|f| f.name.to_lowercase()).filter(|name| !seen.insert(name.clone())).collect();
    duplicates.dedup();
    if duplicates.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_DUPLICATE_COLUMNS_FOUND.DATA")
        .param("duplicateCols", duplicates.join(", "))
        .message(format!("The data to save has columns of the same name: {}.", duplicates.join(", ")))
        .exception("AnalysisException"))
}

/// Where in a column a type is, and the elements, keys and values of it that get wider types.
#[derive(Default)]
struct Inside {
    way: Vec<String>,
    grown: Vec<(Vec<String>, DataType)>,
}

impl Inside {
    /// Merges the element, the key or the value.
    fn part(
        &mut self,
        name: &str,
        table: &DataType,
        data: &DataType,
        types: Types,
    ) -> Option<Result<DataType>> {
        self.way.push(name.to_string());
        let merged = merge_types(table, data, self, types);
        self.way.pop();
        merged
    }
}

fn merge_structs(table: &StructType, data: &StructType, types: Types) -> Result<StructType> {
    let mut fields = Vec::with_capacity(table.fields.len());
    for field in &table.fields {
        match data.field(&field.name) {
            None => fields.push(field.clone()),
            Some(given) => {
                if types.widening.takes(&field.data_type, &given.data_type) {
                    fields.push(widened(field, &given.data_type));
                    continue;
                }
                let mut inside = Inside::default();
                let data_type = merge_types(&field.data_type, &given.data_type, &mut inside, types)
                    .ok_or_else(|| cannot_merge(&field.name, &given.name, field, given))??;
                let merged = StructField { data_type, ..field.clone() };
                let grown = inside.grown.iter().try_fold(merged, |f, (way, to)| widened_inside(&f, way, to));
                fields.push(grown.ok_or_else(|| Error::internal("a type inside a column was lost"))?);
            }
        }
    }
    for given in &data.fields {
        if table.index_of(&given.name).is_none() {
            // Rows that exist have no value for a new column.
            fields.push(StructField {
                name: given.name.clone(),
                data_type: stored_type(&given.data_type).as_nullable(),
                nullable: true,
                metadata: given.metadata.clone(),
            });
        }
    }
    Ok(StructType::new(fields))
}

/// The type of a column that has the one and gets the other; `None` where there is none.
fn merge_types(
    table: &DataType,
    data: &DataType,
    inside: &mut Inside,
    types: Types,
) -> Option<Result<DataType>> {
    use DataType::{Array, Byte, Integer, Map, Null, Short, Struct};
    Some(Ok(match (table, data) {
        (Struct(a), Struct(b)) => match merge_structs(a, b, types) {
            Ok(merged) => Struct(merged),
            Err(e) => return Some(Err(e)),
        },
        (Array { element: a, contains_null }, Array { element: b, .. }) => {
            match inside.part("element", a, b, types)? {
                Ok(element) => DataType::array(element, *contains_null),
                Err(e) => return Some(Err(e)),
            }
        }
        (Map { key: ka, value: va, value_contains_null }, Map { key: kb, value: vb, .. }) => {
            match (inside.part("key", ka, kb, types)?, inside.part("value", va, vb, types)?) {
                (Ok(key), Ok(value)) => DataType::map(key, value, *value_contains_null),
                (Err(e), _) | (_, Err(e)) => return Some(Err(e)),
            }
        }
        (t, d) if !inside.way.is_empty() && types.widening.takes(t, d) => {
            inside.grown.push((inside.way.clone(), d.clone()));
            t.clone()
        }
        (t, d) if types.casts && is_cast(d, t) => t.clone(),
        // Parquet keeps these three as 32 bits.
        (Byte, Short | Integer) | (Short, Integer) => data.clone(),
        (Short | Integer, Byte) | (Integer, Short) => table.clone(),
        (t, Null) => t.clone(),
        // What a plan computed may have lost the type, but not the parts that a VARIANT is kept as.
        (DataType::Variant, Struct(parts)) if is_variant(parts) => DataType::Variant,
        (t, d) if stored_type(t) == stored_type(d) => t.clone(),
        _ => return None,
    }))
}

fn is_variant(parts: &StructType) -> bool {
    parts.names() == ["metadata", "value"] && parts.fields.iter().all(|f| f.data_type == DataType::Binary)
}

/// The casts that Spark does by itself (`TypeCoercion.implicitCast`).
fn is_cast(from: &DataType, to: &DataType) -> bool {
    (from.is_numeric() && to.is_numeric())
        || (from.is_datetime() && to.is_datetime())
        || (from.is_string() && to.is_atomic())
        || (from.is_atomic() && to.is_string())
}

/// The type as files have it: lengths of strings are the table's matter.
pub(crate) fn stored_type(t: &DataType) -> DataType {
    match t {
        DataType::Char(_) | DataType::Varchar(_) | DataType::String { .. } => DataType::STRING,
        DataType::Udt { sql_type, .. } => stored_type(sql_type),
        DataType::Array { element, contains_null } => DataType::array(stored_type(element), *contains_null),
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(stored_type(key), stored_type(value), *value_contains_null)
        }
        DataType::Struct(s) => DataType::structure(
            s.fields
                .iter()
                .map(|f| StructField { data_type: stored_type(&f.data_type), ..f.clone() })
                .collect(),
        ),
        other => other.clone(),
    }
}

fn cannot_merge(current: &str, update: &str, a: &StructField, b: &StructField) -> Error {
    Error::new("DELTA_FAILED_TO_MERGE_FIELDS")
        .param("currentField", current)
        .param("updateField", update)
        .message(format!(
            "The column `{current}` of the table is {}, and cannot take `{update}`, which is {}.",
            a.data_type.sql(),
            b.data_type.sql()
        ))
        .exception("AnalysisException")
}

fn schema_mismatch(table_id: &str, table: &StructType, data: &StructType) -> Error {
    Error::new("DELTA_METADATA_MISMATCH")
        .message(format!(
            "The data does not have the columns of the Delta table (table ID: {table_id}).\nTo let the write add \
             columns, set the option mergeSchema to true, or spark.databricks.delta.schema.autoMerge.enabled for \
             other statements.\n\nTable schema:\n{}\nData schema:\n{}",
            table.tree_string(None),
            data.tree_string(None)
        ))
        .exception("AnalysisException")
}

/// The partitioning that a write names must be the table's.
pub(crate) fn partition_mismatch(given: &[String], table: &[String]) -> Error {
    columns_mismatch("partition", given, table)
}

pub(crate) fn clustering_mismatch(given: &[String], table: &[String]) -> Error {
    columns_mismatch("clustering", given, table)
}

fn columns_mismatch(what: &str, given: &[String], table: &[String]) -> Error {
    let list =
        |names: &[String]| names.iter().map(|n| boathouse_spec::quote(n)).collect::<Vec<_>>().join(", ");
    Error::new("DELTA_METADATA_MISMATCH")
        .message(format!(
            "The {what} columns are not those of the table: given [{}], the table has [{}].",
            list(given),
            list(table)
        ))
        .exception("AnalysisException")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> StructType {
        StructType::new(fields.iter().map(|(n, t)| StructField::new(*n, t.clone(), true)).collect())
    }

    #[test]
    fn rules_are_sparks() {
        let table = schema(&[("id", DataType::Long), ("n", DataType::Integer)]);
        let merge = |data: &StructType, merge| {
            merged_schema("x", &table, data, Evolution { merge, ..Evolution::default() })
        };
        // Missing columns and other case are fine.
        assert_eq!(merge(&schema(&[("ID", DataType::Long)]), false).unwrap(), table);
        assert_eq!(merge(&schema(&[("n", DataType::Short)]), false).unwrap(), table);
        // INT into BIGINT is not, in a DataFrame's append.
        let e = merge(&schema(&[("id", DataType::Integer)]), false).unwrap_err();
        assert_eq!(e.class(), "DELTA_FAILED_TO_MERGE_FIELDS");
        let more = schema(&[("id", DataType::Long), ("x", DataType::STRING)]);
        assert_eq!(merge(&more, false).unwrap_err().class(), "DELTA_METADATA_MISMATCH");
        assert_eq!(merge(&more, true).unwrap().names(), ["id", "n", "x"]);
        let twice = schema(&[("id", DataType::Long), ("ID", DataType::Long)]);
        assert_eq!(merge(&twice, true).unwrap_err().class(), "DELTA_DUPLICATE_COLUMNS_FOUND.DATA");
    }

    #[test]
    fn structs_grow_inside() {
        let inner = |f: &[(&str, DataType)]| DataType::Struct(schema(f));
        let table = schema(&[("s", inner(&[("a", DataType::Long)]))]);
        let data = schema(&[("s", inner(&[("b", DataType::Long)]))]);
        let merges = Evolution { merge: true, ..Evolution::default() };
        let merged = merged_schema("x", &table, &data, merges).unwrap();
        assert_eq!(merged, schema(&[("s", inner(&[("a", DataType::Long), ("b", DataType::Long)]))]));
    }
}
