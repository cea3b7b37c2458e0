//! Footers: the schema of a file, as Spark wrote it or as Parquet says it.

use arrow::datatypes::TimeUnit;
use boathouse_bridge::{UTC, spark_schema};
use boathouse_formats::column::nullable;
use boathouse_formats::options::Lookup;
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::errors;
use crate::paths::ResolvedPath;
use crate::table::{FileTable, TableFile};

/// Where Spark keeps its schema in a footer.
pub(crate) const SPARK_SCHEMA_KEY: &str = "org.apache.spark.sql.parquet.row.metadata";

const PARALLEL: usize = 16;

/// The schema of one file, or with `mergeSchema` of all of them.
pub(crate) async fn infer_schema(table: &FileTable) -> Result<StructType> {
    let merges = Lookup(&table.options).flag("mergeSchema", table.context.merge_parquet_schemas)?;
    let case_sensitive = table.context.session.case_sensitive;
    let Some(first) = table.files.first() else {
        return Err(errors::unable_to_infer("Parquet"));
    };
    if !merges {
        return file_schema(&table.place, first).await;
    }
    let schemas: Vec<StructType> =
        futures::stream::iter(table.files.iter().map(|file| file_schema(&table.place, file).boxed()))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
    merge_all(schemas, case_sensitive)
}

/// One schema of those of all files.
pub(crate) fn merge_all(schemas: Vec<StructType>, case_sensitive: bool) -> Result<StructType> {
    let mut schemas = schemas.into_iter();
    let mut merged = schemas.next().unwrap_or_default();
    for schema in schemas {
        merged = merge(&merged, &schema, case_sensitive).map_err(|cause| {
            Error::new("CANNOT_MERGE_SCHEMAS")
                .param("left", format!("\"{}\"", DataType::Struct(merged.clone()).sql()))
                .param("right", format!("\"{}\"", DataType::Struct(schema.clone()).sql()))
                .message(format!(
                    "The files' schemas do not go together. One is {}; another is {}.",
                    merged.ddl(),
                    schema.ddl()
                ))
                .caused_by(cause)
        })?;
    }
    Ok(merged)
}

/// Removes the files whose footers cannot be read.
pub(crate) async fn drop_unreadable(table: &mut FileTable) -> Result<()> {
    let place = table.place.clone();
    let checked: Vec<Option<TableFile>> = futures::stream::iter(table.files.drain(..).map(|file| {
        let place = &place;
        async move {
            match file_schema(place, &file).await {
                Ok(_) => Some(file),
                Err(e) => {
                    tracing::warn!("left out a file that cannot be read: {e}");
                    None
                }
            }
        }
    }))
    .buffered(PARALLEL)
    .collect()
    .await;
    table.files = checked.into_iter().flatten().collect();
    Ok(())
}

/// The reader of a file's footer.
pub(super) fn reader<'a>(place: &'a ResolvedPath, file: &'a TableFile) -> DFParquetMetadata<'a> {
    DFParquetMetadata::new(place.store.as_ref(), &file.meta)
        .with_metadata_size_hint(Some(64 << 10))
        // INT96 is an instant, whatever Parquet calls it.
        .with_coerce_int96(Some(TimeUnit::Microsecond))
        .with_coerce_int96_tz(Some(UTC.into()))
}

async fn file_schema(place: &ResolvedPath, file: &TableFile) -> Result<StructType> {
    let unreadable =
        |e: &dyn std::fmt::Display| errors::unreadable_footer(&place.display_of(&file.meta.location), e);
    let reader = reader(place, file);
    let metadata = reader.fetch_metadata().await.map_err(|e| unreadable(&e))?;
    let written = metadata.file_metadata().key_value_metadata().and_then(|pairs| {
        let value = pairs.iter().find(|p| p.key == SPARK_SCHEMA_KEY)?.value.as_deref()?;
        StructType::from_json(value).ok()
    });
    let schema = match written {
        Some(schema) => schema,
        None => spark_schema(reader.fetch_schema().await.map_err(|e| unreadable(&e))?.as_ref())?,
    };
    // What a file promises of nulls is not the table's promise.
    let fields = schema.fields.into_iter().map(|f| {
        let data_type = nullable(&f.data_type);
        StructField { data_type, nullable: true, ..f }
    });
    Ok(StructType::new(fields.collect()))
}

/// The columns of both schemas; a column of both must have types that go together.
fn merge(left: &StructType, right: &StructType, case_sensitive: bool) -> Result<StructType> {
    let same = |a: &str, b: &str| if case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() };
    let mut fields = left.fields.clone();
    for field in &right.fields {
        match fields.iter_mut().find(|f| same(&f.name, &field.name)) {
            Some(known) => known.data_type = merge_types(&known.data_type, &field.data_type, case_sensitive)?,
            None => fields.push(field.clone()),
        }
    }
    Ok(StructType::new(fields))
}

fn merge_types(left: &DataType, right: &DataType, case_sensitive: bool) -> Result<DataType> {
    match (left, right) {
        (a, b) if a == b => Ok(a.clone()),
        (DataType::Null, t) | (t, DataType::Null) => Ok(t.clone()),
        (DataType::Struct(a), DataType::Struct(b)) => merge(a, b, case_sensitive).map(DataType::Struct),
        (DataType::Array { element: a, .. }, DataType::Array { element: b, .. }) => {
            Ok(DataType::array(merge_types(a, b, case_sensitive)?, true))
        }
        (DataType::Map { key: a, value: b, .. }, DataType::Map { key: c, value: d, .. }) => {
            Ok(DataType::map(merge_types(a, c, case_sensitive)?, merge_types(b, d, case_sensitive)?, true))
        }
        (DataType::Decimal { precision: p, scale: s }, DataType::Decimal { precision: q, scale: t })
            if s == t =>
        {
            Ok(DataType::Decimal { precision: *p.max(q), scale: *s })
        }
        _ => Err(Error::new("CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE")
            .param("left", format!("\"{}\"", left.sql()))
            .param("right", format!("\"{}\"", right.sql()))
            .message(format!("The types {} and {} do not go together.", left.sql(), right.sql()))),
    }
}
