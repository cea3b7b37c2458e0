//! What a commit to a compatible table must be, in delta-spark's order of checks.

use boathouse_spec::{DataType, Result, StructField, StructType, quote};
use serde_json::Value;

use super::{MAPPING_MODE, Version, violation};
use crate::action::{Add, Metadata, Protocol};
use crate::schema::stored::declared_schema;
use crate::schema::widening::{TYPE_CHANGES, is_wider};
use crate::snapshot::Snapshot;
use crate::stats::json;

/// A commit, as far as it matters here.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The table before; `None` where the commit makes it.
    pub before: Option<&'a Snapshot>,
    pub protocol: &'a Protocol,
    pub metadata: &'a Metadata,
    pub schema: &'a StructType,
    /// Whether REORG .. UPGRADE UNIFORM makes it, which turns deletion vectors off.
    pub upgrades: bool,
}

/// Refuses a commit that breaks what the table promises (`IcebergCompatBase.enforceInvariantsAndDependencies`).
pub(crate) fn check<'a>(change: &Change<'_>, added: impl Iterator<Item = &'a Add> + Clone) -> Result<()> {
    for version in Version::ALL.into_iter().filter(|v| v.is_enabled(change.metadata)) {
        check_mapping(version, change)?;
        if Version::ALL.iter().filter(|v| v.is_enabled(change.metadata)).count() > 1 {
            return Err(violation::mutually_exclusive(version));
        }
        check_statistics(version, change.metadata, added.clone())?;
        // The language of a string is in the column's metadata.
        let schema = declared_schema(change.schema);
        check_types(version, change.metadata, &schema)?;
        check_partitioning(version, change)?;
        check_deletion_vectors(version, change)?;
        check_type_changes(version, change)?;
    }
    Ok(())
}

/// Refuses what a statement is about to make of a table, before it writes files.
pub(crate) fn check_early(
    before: Option<&Snapshot>,
    protocol: &Protocol,
    metadata: &Metadata,
    schema: &StructType,
) -> Result<()> {
    check(&Change { before, protocol, metadata, schema, upgrades: false }, std::iter::empty())
}

fn check_mapping(version: Version, change: &Change<'_>) -> Result<()> {
    const FEATURE: &str = "columnMapping";
    let had = change.before.is_some_and(|table| table.protocol().has(FEATURE));
    if had && !change.protocol.has(FEATURE) {
        return Err(violation::disables_feature(version, FEATURE));
    }
    match change.metadata.configuration.get(MAPPING_MODE).map(String::as_str) {
        Some("name" | "id") => Ok(()),
        _ => Err(violation::wrong_property(version, MAPPING_MODE, "name", "NoMapping")),
    }
}

fn check_statistics<'a>(
    version: Version,
    metadata: &Metadata,
    mut added: impl Iterator<Item = &'a Add>,
) -> Result<()> {
    let counts = |add: &Add| {
        let stats = add.stats.as_deref().and_then(json::parse);
        stats.is_some_and(|s| s.get("numRecords").and_then(json::Node::as_i64).is_some())
    };
    match added.find(|add| !counts(add)) {
        Some(add) => Err(violation::no_statistics(version, &metadata.id, &add.path, add.stats.as_deref())),
        None => Ok(()),
    }
}

fn check_types(version: Version, metadata: &Metadata, schema: &StructType) -> Result<()> {
    let whole = DataType::Struct(schema.clone());
    let refused = match version {
        Version::V1 => find_type(&whole, &|t| {
            matches!(t, DataType::Map { .. } | DataType::Array { .. } | DataType::Null) || t.is_spatial()
        }),
        Version::V2 => find_type(&whole, &|t| !is_in_iceberg(t)),
    };
    if let Some(refused) = refused {
        return Err(violation::unsupported_type(version, refused, schema));
    }
    if version == Version::V1 {
        return Ok(());
    }
    let fields: Vec<StructField> =
        metadata.partition_columns.iter().filter_map(|name| schema.field(name)).cloned().collect();
    let partitions = StructType::new(fields);
    // delta-spark's list of types of partitions has no DECIMAL of any precision.
    match partitions.fields.iter().find(|f| matches!(f.data_type, DataType::Decimal { .. })) {
        Some(field) => Err(violation::unsupported_partition_type(version, &field.data_type, &partitions)),
        None => Ok(()),
    }
}

/// The types of the second version (`CheckTypeInV2AllowList`).
fn is_in_iceberg(t: &DataType) -> bool {
    use DataType::{
        Array, Binary, Boolean, Byte, Date, Decimal, Double, Float, Integer, Long, Map, Short, String,
        Struct, Timestamp, TimestampNtz,
    };
    match t {
        Byte | Short | Integer | Long | Float | Double | Decimal { .. } | Binary | Boolean => true,
        Timestamp | TimestampNtz | Date | Array { .. } | Map { .. } | Struct(_) => true,
        String { collation } => collation.is_none(),
        _ => false,
    }
}

/// The first type that meets a condition, the outer before the inner.
fn find_type<'a>(t: &'a DataType, is_wanted: &dyn Fn(&DataType) -> bool) -> Option<&'a DataType> {
    if is_wanted(t) {
        return Some(t);
    }
    match t {
        DataType::Struct(s) => s.fields.iter().find_map(|f| find_type(&f.data_type, is_wanted)),
        DataType::Array { element, .. } => find_type(element, is_wanted),
        DataType::Map { key, value, .. } => find_type(key, is_wanted).or_else(|| find_type(value, is_wanted)),
        _ => None,
    }
}

fn check_partitioning(version: Version, change: &Change<'_>) -> Result<()> {
    let before = change.before.map_or(&[][..], Snapshot::partition_columns);
    let after = &change.metadata.partition_columns;
    if before.is_empty() || before == after {
        return Ok(());
    }
    Err(violation::changed_partitioning(version, before, after))
}

fn check_deletion_vectors(version: Version, change: &Change<'_>) -> Result<()> {
    const FEATURE: &str = "deletionVectors";
    const ENABLED: &str = "delta.enableDeletionVectors";
    if !change.protocol.has(FEATURE) {
        return Ok(());
    }
    let had = change
        .before
        .filter(|_| !change.upgrades)
        .is_some_and(|t| t.protocol().has(FEATURE) && t.metadata().is_on(ENABLED));
    match had || change.metadata.is_on(ENABLED) {
        true => Err(violation::deletion_vectors(version)),
        false => Ok(()),
    }
}

fn check_type_changes(version: Version, change: &Change<'_>) -> Result<()> {
    let widens = change.protocol.has("typeWidening") || change.protocol.has("typeWidening-preview");
    if !widens {
        return Ok(());
    }
    each_field(change.schema, &mut Vec::new(), &mut |path, field| {
        let notes = field.metadata_map();
        let Some(changes) = notes.get(TYPE_CHANGES).and_then(Value::as_array) else { return Ok(()) };
        for noted in changes {
            let t = |key: &str| noted.get(key).and_then(|t| DataType::from_json_value(t).ok());
            let (Some(from), Some(to)) = (t("fromType"), t("toType")) else { continue };
            if is_wider(&from, &to) && !widens_in_iceberg(&from, &to) {
                return Err(violation::type_change(version, &shown(path), &from, &to));
            }
        }
        Ok(())
    })
}

/// The path of a column as delta-spark writes it (`UnresolvedAttribute.name`).
fn shown(path: &[String]) -> String {
    let part = |part: &String| if part.contains('.') { quote(part) } else { part.clone() };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}

/// Whether Iceberg reads values of the one type as the other (`TypeWidening.isTypeChangeSupportedByIceberg`).
pub(crate) fn widens_in_iceberg(from: &DataType, to: &DataType) -> bool {
    use DataType::{Byte, Decimal, Double, Float, Integer, Long, Short};
    match (from, to) {
        (Byte, Short | Integer | Long) | (Short, Integer | Long) | (Integer, Long) | (Float, Double) => true,
        (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => scale == s && precision >= p,
        _ => from == to,
    }
}

/// Visits all fields, those of structs in arrays and maps too.
fn each_field(
    schema: &StructType,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&[String], &StructField) -> Result<()>,
) -> Result<()> {
    for field in &schema.fields {
        path.push(field.name.clone());
        visit(path, field)?;
        each_inside(&field.data_type, path, visit)?;
        path.pop();
    }
    Ok(())
}

fn each_inside(
    t: &DataType,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&[String], &StructField) -> Result<()>,
) -> Result<()> {
    let mut inside = |name: &str, t: &DataType| {
        path.push(name.to_string());
        each_inside(t, path, visit)?;
        path.pop();
        Ok(())
    };
    match t {
        DataType::Array { element, .. } => inside("element", element),
        DataType::Map { key, value, .. } => {
            inside("key", key)?;
            inside("value", value)
        }
        DataType::Struct(s) => each_field(s, path, visit),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iceberg_widens() {
        use DataType::{Byte, Date, Double, Float, Integer, Long, TimestampNtz};
        let decimal = |precision, scale| DataType::Decimal { precision, scale };
        for (from, to, wanted) in [
            (Byte, Long, true),
            (Integer, Long, true),
            (Float, Double, true),
            (decimal(5, 2), decimal(10, 2), true),
            (decimal(5, 2), decimal(10, 4), false),
            (Integer, Double, false),
            (Integer, decimal(12, 2), false),
            (Date, TimestampNtz, false),
        ] {
            assert_eq!(widens_in_iceberg(&from, &to), wanted, "{from:?} to {to:?}");
        }
    }
}
