//! What Spark refuses in the definition of a table of files before there is one (`PreprocessTableCreation`).

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_catalog::ObjectName;
use boathouse_spec::{Bucket, CreateMode, DataType, Error, Result, StructField, StructType, quote};

use crate::Session;
use crate::commands::create_table::{Definition, refuse_duplicates};

/// The most buckets of a table where nothing else is set.
const MOST_BUCKETS: i64 = 100_000;

pub(super) async fn check(session: &Arc<Session>, definition: &Definition) -> Result<()> {
    // Tables of files are not replaced at all.
    if matches!(definition.mode, CreateMode::OrReplace | CreateMode::Replace) {
        return Ok(());
    }
    let is_laid_out = !definition.partition_by.is_empty() || definition.bucket.is_some();
    match &definition.query {
        Some(query) if is_laid_out => {
            let schema = session.schema(query).await?;
            check_layout(definition, &schema)
        }
        Some(_) => Ok(()),
        None if definition.schema.fields.is_empty() => Ok(()),
        None => {
            definition.schema.fields.iter().try_for_each(|f| refuse_fields_twice(&f.data_type))?;
            check_layout(definition, &definition.schema)?;
            check_types(definition)
        }
    }
}

pub(super) fn check_bucket_count(session: &Session, bucket: &Bucket) -> Result<()> {
    let most = session.conf().integer("spark.sql.sources.bucketing.maxBuckets").unwrap_or(MOST_BUCKETS);
    if bucket.count > 0 && i64::from(bucket.count) <= most {
        return Ok(());
    }
    Err(Error::new("INVALID_BUCKET_COUNT")
        .param("bucketingMaxBuckets", most)
        .param("numBuckets", bucket.count)
        .message(format!("A table has from 1 to {most} buckets, not {}.", bucket.count))
        .exception("AnalysisException"))
}

/// The names of the fields of structs, at any depth.
fn refuse_fields_twice(t: &DataType) -> Result<()> {
    match t {
        DataType::Struct(s) => {
            refuse_duplicates(s.fields.iter().map(|f| f.name.as_str()))?;
            s.fields.iter().try_for_each(|f| refuse_fields_twice(&f.data_type))
        }
        DataType::Array { element, .. } => refuse_fields_twice(element),
        DataType::Map { key, value, .. } => {
            refuse_fields_twice(key)?;
            refuse_fields_twice(value)
        }
        _ => Ok(()),
    }
}

/// The columns that partition the table and those of its buckets.
fn check_layout(definition: &Definition, schema: &StructType) -> Result<()> {
    let partition_by = &definition.partition_by;
    for column in partition_by {
        defined(definition, schema, "partition", column)?;
    }
    refuse_duplicates(partition_by.iter().map(String::as_str))?;
    if partition_by.len() < schema.fields.len() {
        partition_by.iter().filter_map(|p| schema.field(p)).try_for_each(check_partition_type)?;
    }
    let Some(bucket) = &definition.bucket else { return Ok(()) };
    let sort: Vec<&str> = bucket.sort.iter().map(|(column, _)| column.as_str()).collect();
    for column in &bucket.columns {
        defined(definition, schema, "bucket", column)?;
    }
    for column in &sort {
        defined(definition, schema, "sort", column)?;
    }
    refuse_duplicates(bucket.columns.iter().map(String::as_str))?;
    refuse_duplicates(sort.iter().copied())?;
    let partitions: HashSet<String> = partition_by.iter().map(|p| p.to_lowercase()).collect();
    let shown = partition_by.join(", ");
    if let Some(column) = bucket.columns.iter().find(|c| partitions.contains(&c.to_lowercase())) {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1166")
            .param("bucketCol", column)
            .param("normalizedPartCols", shown)
            .message(format!("{} partitions the table: it cannot be a column of its buckets.", quote(column)))
            .exception("AnalysisException"));
    }
    if let Some(column) = sort.iter().find(|c| partitions.contains(&c.to_lowercase())) {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1167")
            .param("sortCol", column)
            .param("normalizedPartCols", shown)
            .message(format!("{} partitions the table: its buckets cannot be sorted by it.", quote(column)))
            .exception("AnalysisException"));
    }
    let unsorted = sort.iter().filter_map(|c| schema.field(c)).find(|f| !f.data_type.is_orderable());
    match unsorted {
        Some(field) => {
            let text = format!("Cannot use {} for sorting column", field.data_type.simple_string());
            Err(Error::new("_LEGACY_ERROR_TEMP_3072")
                .param("msg", &text)
                .message(text)
                .exception("AnalysisException"))
        }
        None => Ok(()),
    }
}

fn defined(definition: &Definition, schema: &StructType, kind: &str, column: &str) -> Result<()> {
    if schema.field(column).is_some() {
        return Ok(());
    }
    let table = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
    let columns: Vec<String> = schema.fields.iter().map(|f| quote(&f.name)).collect();
    Err(Error::new("COLUMN_NOT_DEFINED_IN_TABLE")
        .param("colType", kind)
        .param("colName", quote(column))
        .param("tableName", &table)
        .param("tableCols", columns.join(", "))
        .message(format!("{} is no column of {table}.", quote(column)))
        .exception("AnalysisException"))
}

/// The names of directories do for values of types without parts, and for strings that compare by their bytes.
fn check_partition_type(field: &StructField) -> Result<()> {
    let is_taken = match &field.data_type {
        DataType::Variant | DataType::String { collation: Some(_) } => false,
        t => t.is_atomic() && !t.is_spatial(),
    };
    if is_taken {
        return Ok(());
    }
    let shown = format!("\"{}\"", field.data_type.sql());
    Err(Error::new("INVALID_PARTITION_COLUMN_DATA_TYPE")
        .param("type", &shown)
        .message(format!("{} is of the type {shown}, which cannot partition a table.", quote(&field.name)))
        .exception("AnalysisException"))
}

/// The types that the format has no place for.
fn check_types(definition: &Definition) -> Result<()> {
    let format = match definition.provider.to_lowercase().as_str() {
        "parquet" => "Parquet",
        "orc" => "ORC",
        "json" => "JSON",
        "csv" => "CSV",
        "text" => "Text",
        "xml" => "XML",
        _ => return Ok(()),
    };
    // Columns that partition are in the names of directories.
    let partition_by = &definition.partition_by;
    let is_partition = |f: &StructField| partition_by.iter().any(|p| p.eq_ignore_ascii_case(&f.name));
    let mut stored = definition.schema.fields.iter().filter(|f| !is_partition(f));
    match stored.find(|f| !takes(format, &f.data_type)) {
        Some(field) => {
            let shown = format!("\"{}\"", field.data_type.sql());
            Err(Error::new("UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE")
                .param("columnName", quote(&field.name))
                .param("columnType", &shown)
                .param("format", format)
                .message(format!("Files of the format {format} hold no {shown}: {}.", quote(&field.name)))
                .exception("AnalysisException"))
        }
        None => Ok(()),
    }
}

/// Spark's `FileFormat.supportDataType`.
fn takes(format: &str, t: &DataType) -> bool {
    match (format, t) {
        ("Text", t) => t.is_string(),
        (_, DataType::Udt { sql_type, .. }) => takes(format, sql_type),
        ("CSV", t) => t.is_atomic() && *t != DataType::Variant,
        (_, DataType::Array { element, .. }) => takes(format, element),
        (_, DataType::Map { key, value, .. }) => takes(format, key) && takes(format, value),
        (_, DataType::Struct(s)) => s.fields.iter().all(|f| takes(format, &f.data_type)),
        ("ORC", DataType::Null | DataType::Variant) => false,
        (_, t) => *t != DataType::CalendarInterval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_their_types() {
        let array = DataType::array(DataType::Integer, true);
        assert!(takes("Parquet", &array));
        assert!(!takes("CSV", &array));
        assert!(!takes("CSV", &DataType::Variant));
        assert!(takes("Parquet", &DataType::Variant));
        assert!(!takes("Text", &DataType::Integer));
        assert!(!takes("JSON", &DataType::array(DataType::CalendarInterval, true)));
    }
}
