//! Files that were written before a column's type was widened: they are written again before type widening goes.

use arrow::datatypes::{DataType, Field, Fields};
use boathouse_spec::{DataType as SparkType, Error, Result, StructField, StructType};
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::parquet_to_arrow_schema;
use serde_json::Value;

use super::alter::field_json;
use crate::file_set::FileWithStats;
use crate::location::TableLocation;
use crate::scan::footer;
use crate::schema::widening::TYPE_CHANGES;
use crate::snapshot::Snapshot;

/// Footers read at a time.
const PARALLEL_READS: usize = 16;

/// The files of the table with a column of a narrower type than the table's.
pub(super) async fn narrow_files(table: &Snapshot) -> Result<Vec<FileWithStats>> {
    let files = table.files().await?.pruned(table.columns(), &table.arrow_schema(), &[])?;
    let fields: Fields = table.columns().data().map(|c| c.physical_field.clone()).collect();
    let checks: Vec<_> = files
        .into_iter()
        .map(|file| {
            let (location, fields) = (table.location().clone(), fields.clone());
            async move {
                let narrow = is_narrow(&location, &file.file.path, &fields).await?;
                Ok::<_, Error>(narrow.then_some(file))
            }
        })
        .collect();
    let found: Vec<Option<FileWithStats>> =
        stream::iter(checks).buffered(PARALLEL_READS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn is_narrow(location: &TableLocation, path: &str, fields: &Fields) -> Result<bool> {
    let footer = footer(location, path).await?;
    let schema = parquet_to_arrow_schema(footer.file_metadata().schema_descr(), None)
        .map_err(|e| Error::io(format!("reading the footer of {path}"), e))?;
    Ok(narrower(schema.fields(), fields))
}

/// Fields go by name; those that files lack are NULL in any type.
fn narrower(found: &Fields, wanted: &Fields) -> bool {
    wanted.iter().any(|w| found.iter().any(|f| f.name() == w.name() && is_narrower(f, w)))
}

fn is_narrower(found: &Field, wanted: &Field) -> bool {
    match (found.data_type(), wanted.data_type()) {
        (DataType::Struct(found), DataType::Struct(wanted)) => narrower(found, wanted),
        (DataType::List(found), DataType::List(wanted)) => is_narrower(found, wanted),
        (DataType::Map(found, _), DataType::Map(wanted, _)) => {
            match (found.data_type(), wanted.data_type()) {
                (DataType::Struct(found), DataType::Struct(wanted)) => {
                    found.iter().zip(wanted).any(|(f, w)| is_narrower(f, w))
                }
                _ => false,
            }
        }
        (found, wanted) => (found.is_numeric() || *found == DataType::Date32) && found != wanted,
    }
}

/// The schema without the notes of how types changed, and the fields that had some, under their paths.
pub(super) fn forget_changes(schema: &StructType) -> (StructType, Vec<Value>) {
    let mut changed = Vec::new();
    let schema = forgetting(schema, &mut Vec::new(), &mut changed);
    (schema, changed)
}

fn forgetting(schema: &StructType, path: &mut Vec<String>, changed: &mut Vec<Value>) -> StructType {
    let fields = schema.fields.iter().map(|field| {
        path.push(field.name.clone());
        let mut notes = field.metadata_map();
        if notes.remove(TYPE_CHANGES).is_some() {
            changed.push(field_json(&StructField { name: path.join("."), ..field.clone() }));
        }
        let data_type = forgetting_type(&field.data_type, path, changed);
        path.pop();
        StructField { data_type, ..field.clone() }.with_metadata(&notes)
    });
    StructType::new(fields.collect())
}

fn forgetting_type(t: &SparkType, path: &mut Vec<String>, changed: &mut Vec<Value>) -> SparkType {
    match t {
        SparkType::Struct(s) => SparkType::Struct(forgetting(s, path, changed)),
        SparkType::Array { element, contains_null } => {
            SparkType::array(forgetting_type(element, path, changed), *contains_null)
        }
        SparkType::Map { key, value, value_contains_null } => SparkType::map(
            forgetting_type(key, path, changed),
            forgetting_type(value, path, changed),
            *value_contains_null,
        ),
        other => other.clone(),
    }
}
