//! ALTER TABLE: columns and properties.

use boathouse_spec::{
    DataType, Error, Name, Result, StructField, StructType, quote_name, quote_paths_if_needed,
};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::backfill;
use super::delete::DmlOptions;
use super::dml;
use crate::action::Metadata;
use crate::catalog_managed;
use crate::clustering;
use crate::property;
use crate::row_tracking;
use crate::schema::constraints;
use crate::schema::mentions::mentions;
use crate::schema::path::{self, ColumnPlace};
use crate::schema::{reconcile, stored, widening};
use crate::snapshot::Snapshot;
use crate::stats::columns;
use crate::transaction::{Committed, Operation, Transaction};

/// A column to be added.
#[derive(Debug, Clone)]
pub struct NewColumn {
    /// The struct it goes into; empty for the table.
    pub parent: Vec<String>,
    pub field: StructField,
    pub place: ColumnPlace,
}

/// Changes of a column; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ColumnChange {
    pub data_type: Option<DataType>,
    /// `Some(None)` takes the comment away.
    pub comment: Option<Option<String>>,
    pub nullable: Option<bool>,
    /// The SQL text of the default; `Some(None)` takes it away.
    pub default: Option<Option<String>>,
    pub place: Option<ColumnPlace>,
}

/// ALTER TABLE ADD COLUMNS.
pub async fn add_columns(table: &Snapshot, columns: &[NewColumn], options: &DmlOptions) -> Result<Committed> {
    let mut schema = table.schema().clone();
    let mut listed = Vec::new();
    for column in columns {
        if !column.field.nullable {
            return Err(Error::new("DELTA_OPERATION_NOT_ALLOWED")
                .param("operation", "NOT NULL in ALTER TABLE ADD COLUMNS")
                .message("Rows that exist have no value for a new column: it cannot be NOT NULL.")
                .exception("AnalysisException"));
        }
        let whole = schema.clone();
        schema = path::change_struct(&schema, &column.parent, &mut |fields| {
            if fields.iter().any(|f| f.name.eq_ignore_ascii_case(&column.field.name)) {
                return Err(already_exists("add", column, &whole));
            }
            path::insert(fields, column.field.clone(), &column.place)
        })?;
        listed.push(listing(column));
    }
    let operation = Operation::new("ADD COLUMNS").json("columns", &Value::Array(listed));
    commit_schema(table, schema, operation, false, options).await
}

fn listing(column: &NewColumn) -> Value {
    let mut name = column.parent.clone();
    name.push(column.field.name.clone());
    let field = StructField { name: name.join("."), ..column.field.clone() };
    let mut out = json!({"column": field_json(&field)});
    if let Some(place) = place_text(&column.place) {
        out["position"] = place.into();
    }
    out
}

fn place_text(place: &ColumnPlace) -> Option<String> {
    match place {
        ColumnPlace::First => Some("FIRST".into()),
        ColumnPlace::After(name) => Some(format!("AFTER {name}")),
        ColumnPlace::Last => None,
    }
}

pub(super) fn field_json(field: &StructField) -> Value {
    let schema = DataType::structure(vec![field.clone()]).json_value();
    schema.get("fields").and_then(|f| f.get(0)).cloned().unwrap_or(Value::Null)
}

fn already_exists(what: &str, column: &NewColumn, schema: &StructType) -> Error {
    let mut name = column.parent.clone();
    name.push(column.field.name.clone());
    let text = DataType::Struct(schema.clone()).sql();
    Error::new("FIELD_ALREADY_EXISTS")
        .param("op", what)
        .param("fieldNames", quote_name(&name))
        .param("struct", format!("\"{text}\""))
        .message(format!("The column {} exists already in {text}.", quote_name(&name)))
        .exception("AnalysisException")
}

/// ALTER TABLE ALTER COLUMN. `session` reads the table where a column becomes NOT NULL.
pub async fn change_column(
    table: &Snapshot,
    session: &dyn Session,
    column: &[String],
    change: &ColumnChange,
    options: &DmlOptions,
) -> Result<Committed> {
    if let Some(length) = path::field_around(table.schema(), column) {
        return change_type_inside(table, column, length, change, options).await;
    }
    let (name, parent) = column.split_last().ok_or_else(|| Error::internal("a column has a name"))?;
    let mut changed: Option<StructField> = None;
    let schema = path::change_struct(table.schema(), parent, &mut |fields| {
        let index = path::position(fields, name)?;
        let mut field = fields[index].clone();
        if let Some(wanted) = &change.data_type
            && *wanted != stored::declared_type(&field)
        {
            field = with_type(table, &field, wanted, column)?;
        }
        if let Some(default) = &change.default {
            field = with_default(&field, default.as_deref());
        }
        if let Some(comment) = &change.comment {
            field = field.with_comment(comment.as_deref());
        }
        if let Some(nullable) = change.nullable {
            field.nullable = nullable;
        }
        changed = Some(field.clone());
        match &change.place {
            Some(place) => {
                fields.remove(index);
                path::insert(fields, field, place)
            }
            None => {
                fields[index] = field;
                Ok(())
            }
        }
    })?;
    let changed =
        without_type_changes(&changed.ok_or_else(|| Error::internal("a column was found but not changed"))?);
    let sets_not_null = change.nullable == Some(false) && *table.schema() != schema;
    if sets_not_null {
        refuse_nulls(table, session, column).await?;
    }
    let mut operation = Operation::new("CHANGE COLUMN").json("column", &field_json(&changed));
    if let Some(place) = change.place.as_ref().and_then(place_text) {
        operation = operation.text("position", place);
    }
    commit_schema(table, schema, operation, sets_not_null, options).await
}

/// Gives the elements of an array, or the keys or values of a map, a wider type. `length`: the parts of the path that lead to
/// the array or the map.
async fn change_type_inside(
    table: &Snapshot,
    column: &[String],
    length: usize,
    change: &ColumnChange,
    options: &DmlOptions,
) -> Result<Committed> {
    let lost = || Error::internal("a column was found but not changed");
    let inside = path::field_at(table.schema(), column).ok_or_else(lost)?;
    match change.nullable {
        Some(false) if inside.nullable => return Err(never_not_null(column)),
        Some(true) if !inside.nullable => {
            let name = quote_name(column);
            return Err(Error::unsupported(format!(
                "ALTER COLUMN {name} DROP NOT NULL inside of arrays and maps"
            )));
        }
        Some(_) => {
            let operation = Operation::new("CHANGE COLUMN").json("column", &field_json(&inside));
            return commit_schema(table, table.schema().clone(), operation, false, options).await;
        }
        None => {}
    }
    let Some(wanted) = &change.data_type else {
        return Err(Error::unsupported(format!("ALTER COLUMN {} but for its type", quote_name(column))));
    };
    let (way, (name, parent)) = (&column[length..], column[..length].split_last().ok_or_else(lost)?);
    let mut changed: Option<StructField> = None;
    let schema = path::change_struct(table.schema(), parent, &mut |fields| {
        let index = path::position(fields, name)?;
        let inner = path::field_inside(&fields[index], way).ok_or_else(lost)?;
        if *wanted != inner.data_type {
            with_type(table, &inner, wanted, column)?;
            fields[index] = widening::widened_inside(&fields[index], way, wanted).ok_or_else(lost)?;
        }
        changed = Some(StructField { data_type: wanted.clone(), name: column.join("."), ..inner });
        Ok(())
    })?;
    let operation = Operation::new("CHANGE COLUMN").json("column", &field_json(&changed.ok_or_else(lost)?));
    commit_schema(table, schema, operation, false, options).await
}

/// The field as history tells of it.
fn without_type_changes(field: &StructField) -> StructField {
    let mut notes = field.metadata_map();
    notes.remove(widening::TYPE_CHANGES);
    field.clone().with_metadata(&notes)
}

fn with_default(field: &StructField, default: Option<&str>) -> StructField {
    let mut metadata = field.metadata_map();
    match default {
        Some(sql) => metadata.insert("CURRENT_DEFAULT".into(), sql.into()),
        None => metadata.remove("CURRENT_DEFAULT"),
    };
    field.clone().with_metadata(&metadata)
}

/// The lengths of strings may grow, and other types where the table has type widening.
fn with_type(
    table: &Snapshot,
    field: &StructField,
    wanted: &DataType,
    column: &[String],
) -> Result<StructField> {
    let widens = table.metadata().is_on("delta.enableTypeWidening");
    if widens && widening::is_wider(&field.data_type, wanted) {
        refuse_constrained(table, column)?;
        return Ok(widening::widened(field, wanted));
    }
    let declared = stored::declared_type(field);
    let fits = match (&declared, wanted) {
        (DataType::Varchar(a) | DataType::Char(a), DataType::Varchar(b)) => a <= b,
        (DataType::Varchar(_) | DataType::Char(_), DataType::String { collation: None }) => true,
        (a, b) => a == b,
    };
    if !fits {
        return Err(Error::new("DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP")
            .param("fieldPath", column.join("."))
            .param("oldField", declared.sql())
            .param("newField", wanted.sql())
            .message(format!(
                "The column {} is {}; it cannot be changed to {}.",
                column.join("."),
                declared.sql(),
                wanted.sql()
            ))
            .exception("AnalysisException"));
    }
    let mut metadata = field.metadata_map();
    metadata.remove(stored::CHAR_VARCHAR_KEY);
    if matches!(wanted, DataType::Varchar(_)) {
        metadata.insert(stored::CHAR_VARCHAR_KEY.into(), wanted.simple_string().into());
    }
    Ok(field.clone().with_metadata(&metadata))
}

/// As Spark says it of fields, elements, keys and values that may be NULL.
fn never_not_null(column: &[String]) -> Error {
    let name = quote_name(column);
    Error::new("_LEGACY_ERROR_TEMP_2330")
        .param("fieldName", &name)
        .message(format!("Cannot change nullable column to non-nullable: {name}."))
        .exception("AnalysisException")
}

async fn refuse_nulls(table: &Snapshot, session: &dyn Session, column: &[String]) -> Result<()> {
    let [name] = column else { return Err(never_not_null(column)) };
    let field = table.schema().field(name).map_or(name.as_str(), |f| f.name.as_str());
    let is_null = Expr::Column(Column::from_name(field)).is_null();
    let found = dml::find(session, table, &dml::Search::plain(vec![is_null])).await?;
    let rows: u64 = found.touched.iter().filter_map(|t| t.matching).sum();
    if rows == 0 && found.touched.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_NEW_NOT_NULL_VIOLATION")
        .param("numRows", rows)
        .param("tableName", table.location().uri())
        .param("colName", field)
        .message(format!("{rows} rows of {} have NULL in {field}.", table.location().uri()))
        .exception("AnalysisException"))
}

/// ALTER TABLE RENAME COLUMN, of a table that maps its columns.
pub async fn rename_column(
    table: &Snapshot,
    column: &[String],
    new_name: &str,
    options: &DmlOptions,
) -> Result<Committed> {
    require_mapping(table, "DELTA_UNSUPPORTED_RENAME_COLUMN", "RENAME COLUMN")?;
    let (name, parent) = column.split_last().ok_or_else(|| Error::internal("a column has a name"))?;
    let mut old_name = name.clone();
    let schema = path::change_struct(table.schema(), parent, &mut |fields| {
        let index = path::position(fields, name)?;
        if fields.iter().enumerate().any(|(i, f)| i != index && f.name.eq_ignore_ascii_case(new_name)) {
            let field = StructField { name: new_name.to_string(), ..fields[index].clone() };
            let column = NewColumn { parent: parent.to_vec(), field, place: ColumnPlace::Last };
            return Err(already_exists("rename", &column, table.schema()));
        }
        old_name.clone_from(&fields[index].name);
        fields[index].name = new_name.to_string();
        Ok(())
    })?;
    refuse_constrained(table, column)?;
    let mut metadata = table.metadata().clone();
    if parent.is_empty() {
        for partition in &mut metadata.partition_columns {
            if *partition == old_name {
                *partition = new_name.to_string();
            }
        }
    }
    metadata.schema_string = schema.json();
    let with_parent = |last: &str| {
        let mut all = parent.to_vec();
        all.push(last.to_string());
        all
    };
    let (old_path, new_path) = (with_parent(&old_name), with_parent(new_name));
    columns::rename(&mut metadata, &old_path, &new_path);
    let operation = Operation::new("RENAME COLUMN")
        .text("oldColumnPath", old_path.join("."))
        .text("newColumnPath", new_path.join("."));
    commit_metadata(table, metadata, operation, false, options).await
}

/// ALTER TABLE DROP COLUMNS, of a table that maps its columns.
pub async fn drop_columns(
    table: &Snapshot,
    dropped: &[Vec<String>],
    options: &DmlOptions,
) -> Result<Committed> {
    require_mapping(table, "DELTA_UNSUPPORTED_DROP_COLUMN", "DROP COLUMN")?;
    let mut schema = table.schema().clone();
    clustering::refuse_drop(&table.clustering_columns().await?.unwrap_or_default(), dropped)?;
    for column in dropped {
        let (name, parent) = column.split_last().ok_or_else(|| Error::internal("a column has a name"))?;
        refuse_dropped_partition(table, column)?;
        refuse_constrained(table, column)?;
        schema = path::change_struct(&schema, parent, &mut |fields| {
            let index = path::position(fields, name)?;
            if fields.len() == 1 {
                return Err(Error::new("DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA")
                    .param("schema", StructType::new(fields.clone()).tree_string(None))
                    .message(format!("{name} is the only column there is: it cannot be dropped."))
                    .exception("AnalysisException"));
            }
            fields.remove(index);
            Ok(())
        })?;
    }
    let names: Vec<String> = dropped.iter().map(|c| c.join(".")).collect();
    let operation = Operation::new("DROP COLUMNS").json("columns", &json!(names));
    let mut metadata = table.metadata().clone();
    columns::drop(&mut metadata, dropped);
    commit_changed(table, metadata, schema, operation, false, options).await
}

/// A column that partitions a table stays.
pub(super) fn refuse_dropped_partition(table: &Snapshot, column: &[String]) -> Result<()> {
    match column {
        [name] if table.partition_columns().iter().any(|p| p.eq_ignore_ascii_case(name)) => {
            Err(Error::new("DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN")
                .param("columnList", name)
                .message(format!("The table is partitioned by {name}: it cannot be dropped."))
                .exception("AnalysisException"))
        }
        _ => Ok(()),
    }
}

fn require_mapping(table: &Snapshot, class: &str, what: &str) -> Result<()> {
    if table.columns().is_mapped() {
        return Ok(());
    }
    let advice = "Set the table property delta.columnMapping.mode to name first.";
    Err(Error::new(class)
        .param("advice", advice)
        .message(format!("{what} needs column mapping, which this table does not have. {advice}"))
        .exception("AnalysisException"))
}

/// A column that another is computed from stays as it is.
fn refuse_generating(table: &Snapshot, column: &[String], names: &dyn Fn(&str) -> bool) -> Result<()> {
    let generated: Vec<String> = table
        .schema()
        .fields
        .iter()
        .filter_map(|f| {
            let notes = f.metadata_map();
            let sql = notes.get("delta.generationExpression")?.as_str()?;
            names(sql).then(|| format!("{} -> {sql}", f.name))
        })
        .collect();
    if generated.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE")
        .param("columnName", column.join("."))
        .param("generatedColumns", generated.join("\n"))
        .message(format!("Columns are generated from {}:\n{}", column.join("."), generated.join("\n")))
        .exception("AnalysisException"))
}

/// A column that a constraint names stays as it is.
pub(super) fn refuse_constrained(table: &Snapshot, column: &[String]) -> Result<()> {
    let names_it = |text: &str| mentions(text, column);
    refuse_generating(table, column, &names_it)?;
    let named: Vec<String> = constraints::checks(table.metadata(), table.schema())
        .into_iter()
        .filter(|(_, sql)| names_it(sql))
        .map(|(name, sql)| format!("{name} -> {sql}"))
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE")
        .param("columnName", column.join("."))
        .param("constraints", named.join("\n"))
        .message(format!("CHECK constraints name the column {}:\n{}", column.join("."), named.join("\n")))
        .exception("AnalysisException"))
}

/// ALTER TABLE SET TBLPROPERTIES. The property `comment` is the table's description.
pub async fn set_properties(
    table: &Snapshot,
    properties: &IndexMap<String, String>,
    options: &DmlOptions,
) -> Result<Committed> {
    if properties.keys().any(|k| k.to_ascii_lowercase().starts_with("delta.constraints.")) {
        return Err(Error::new("DELTA_ADD_CONSTRAINTS")
            .message("CHECK constraints are added by ALTER TABLE ADD CONSTRAINT.")
            .exception("AnalysisException"));
    }
    catalog_managed::refuse_upgrade(table, properties.keys())?;
    catalog_managed::check_change(table, properties.keys())?;
    let given = property::split(properties, &mut table.protocol().clone(), false, options.property_checks)?;
    let mut wanted = table.metadata().clone();
    wanted.configuration.extend(given);
    row_tracking::check_properties(&wanted)?;
    if row_tracking::is_enabled(&wanted) && !row_tracking::is_enabled(table.metadata()) {
        row_tracking::check_resumed(table.metadata())?;
        let ready = backfill::backfill(table, options).await?;
        return put_properties(&ready, properties, options).await;
    }
    put_properties(table, properties, options).await
}

async fn put_properties(
    table: &Snapshot,
    properties: &IndexMap<String, String>,
    options: &DmlOptions,
) -> Result<Committed> {
    let mut metadata = table.metadata().clone();
    let mut protocol = table.protocol().clone();
    let given = property::split(properties, &mut protocol, false, options.property_checks)?;
    for (key, value) in given {
        if key == "comment" {
            metadata.description = Some(value);
            continue;
        }
        if key == "delta.columnMapping.mode" {
            check_mapping_change(table, &value)?;
        }
        metadata.configuration.insert(key, value);
    }
    property::check_retention(&metadata)?;
    let schema = stored::assign_mapping(table.schema(), &mut metadata, true);
    metadata.schema_string = schema.json();
    columns::check(&metadata, &schema)?;
    let texts: serde_json::Map<String, Value> =
        properties.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    let operation = Operation::new("SET TBLPROPERTIES").json("properties", &Value::Object(texts));
    let protocol = crate::protocol::upgraded(&protocol, &metadata, &schema)?;
    row_tracking::name_columns(&protocol, &mut metadata);
    let mut transaction = transaction(table, operation, options);
    if row_tracking::only_enables(properties) {
        transaction.notes.insert(row_tracking::ONLY_ENABLES.into(), "true".into());
    }
    if protocol != *table.protocol() {
        transaction.protocol = Some(protocol);
    }
    transaction.metadata = Some(metadata);
    transaction.commit().await
}

pub(super) fn check_mapping_change(table: &Snapshot, wanted: &str) -> Result<()> {
    let now = table.property("delta.columnMapping.mode").unwrap_or("none");
    if now == wanted || (now == "none" && wanted == "name") {
        return Ok(());
    }
    Err(Error::new("DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE")
        .param("oldMode", now)
        .param("newMode", wanted)
        .message(format!("The column mapping mode cannot change from {now} to {wanted}."))
        .exception("AnalysisException"))
}

/// ALTER TABLE UNSET TBLPROPERTIES. Properties that are not set are passed over, as delta-spark does.
pub async fn unset_properties(table: &Snapshot, keys: &[String], options: &DmlOptions) -> Result<Committed> {
    catalog_managed::check_change(table, keys.iter())?;
    let mut metadata = table.metadata().clone();
    for key in keys {
        if key.eq_ignore_ascii_case("comment") {
            metadata.description = None;
        }
        if key.eq_ignore_ascii_case("delta.columnMapping.mode") {
            check_mapping_change(table, "none")?;
        }
        metadata.configuration.retain(|k, _| !k.eq_ignore_ascii_case(key));
    }
    property::check_retention(&metadata)?;
    let operation =
        Operation::new("UNSET TBLPROPERTIES").json("properties", &json!(keys)).raw("ifExists", true);
    commit_metadata(table, metadata, operation, false, options).await
}

/// ALTER TABLE CLUSTER BY: files to come are kept together by these columns; none for CLUSTER BY NONE.
pub async fn cluster_by(table: &Snapshot, columns: &[Name], options: &DmlOptions) -> Result<Committed> {
    if !table.partition_columns().is_empty() {
        return Err(Error::new("DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED")
            .message("A partitioned table cannot be clustered.")
            .exception("AnalysisException"));
    }
    let old = table.clustering_columns().await?.unwrap_or_default();
    let new = clustering::checked(table.schema(), table.metadata(), columns)?;
    let operation = Operation::new("CLUSTER BY")
        .text("oldClusteringColumns", quote_paths_if_needed(&old).join(","))
        .text("newClusteringColumns", quote_paths_if_needed(&new).join(","));
    let mut transaction = transaction(table, operation, options);
    let protocol = table.protocol().with_features(&["clustering", "domainMetadata"]);
    if protocol != *table.protocol() {
        transaction.protocol = Some(protocol);
    }
    transaction.domains.push(clustering::domain(table.columns(), table.schema(), &new)?);
    transaction.commit().await
}

pub(super) fn transaction(table: &Snapshot, operation: Operation, options: &DmlOptions) -> Transaction {
    options.transaction(table, operation)
}

async fn commit_schema(
    table: &Snapshot,
    schema: StructType,
    operation: Operation,
    reads_all: bool,
    options: &DmlOptions,
) -> Result<Committed> {
    commit_changed(table, table.metadata().clone(), schema, operation, reads_all, options).await
}

pub(super) async fn commit_changed(
    table: &Snapshot,
    mut metadata: Metadata,
    schema: StructType,
    operation: Operation,
    reads_all: bool,
    options: &DmlOptions,
) -> Result<Committed> {
    let schema = stored::stored_schema(&schema)?;
    reconcile::refuse_duplicates(&schema)?;
    stored::check_names(&schema, table.columns().is_mapped())?;
    stored::check_not_null(&schema)?;
    let schema = stored::assign_mapping(&schema, &mut metadata, false);
    metadata.schema_string = schema.json();
    commit_metadata(table, metadata, operation, reads_all, options).await
}

pub(super) async fn commit_metadata(
    table: &Snapshot,
    metadata: Metadata,
    operation: Operation,
    reads_all: bool,
    options: &DmlOptions,
) -> Result<Committed> {
    let schema = StructType::from_json(&metadata.schema_string)?;
    columns::check(&metadata, &schema)?;
    let protocol = crate::protocol::upgraded(table.protocol(), &metadata, &schema)?;
    let mut transaction = transaction(table, operation, options);
    if protocol != *table.protocol() {
        transaction.protocol = Some(protocol);
    }
    transaction.reads.whole_table = reads_all;
    transaction.metadata = Some(metadata);
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_sparks() {
        let column = NewColumn {
            parent: vec![],
            field: StructField::new("nc", DataType::Integer, true).with_comment(Some("c")),
            place: ColumnPlace::After("id".into()),
        };
        assert_eq!(
            listing(&column).to_string(),
            r#"{"column":{"name":"nc","type":"integer","nullable":true,"metadata":{"comment":"c"}},"position":"AFTER id"}"#
        );
    }
}
