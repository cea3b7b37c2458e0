//! CONVERT TO DELTA: a log for Parquet files that are there.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::cast;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result, StructField, StructType, quote};
use futures::{StreamExt, TryStreamExt, stream};
use indexmap::IndexMap;
use object_store::ObjectMeta;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::create::{self, NewTable};
use super::delete::DmlOptions;
use crate::action::{Add, PartitionValues};
use crate::data_file::FileLayout;
use crate::location::{LOG_DIRECTORY, TableLocation, encode_path};
use crate::log::commit_file::make_log_directory;
use crate::partition::{DEFAULT_PARTITION, parse_value};
use crate::scan::open_file;
use crate::stats::collect::StatsColumns;
use crate::transaction::{Committed, Operation, Transaction};

/// Files read at a time.
const PARALLEL_READS: usize = 4;

/// What the files are.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// The columns in the files, without those of the partitioning.
    pub schema: StructType,
    pub partition_schema: StructType,
    pub collect_statistics: bool,
    /// The table's name in the catalog, for the history.
    pub catalog_table: Option<String>,
    pub properties: IndexMap<String, String>,
    pub commit: DmlOptions,
}

/// Makes a Delta table of a directory of Parquet files, none of which is written anew.
pub async fn convert(location: &TableLocation, options: &ConvertOptions) -> Result<Committed> {
    let files = list(location).await?;
    if files.is_empty() {
        return Err(Error::new("DELTA_EMPTY_DIRECTORY")
            .param("directory", location.uri())
            .message(format!("There are no Parquet files in {}.", location.uri()))
            .exception("FileNotFoundException"));
    }
    let mut schema = options.schema.clone();
    schema
        .fields
        .retain(|f| !options.partition_schema.fields.iter().any(|p| p.name.eq_ignore_ascii_case(&f.name)));
    schema
        .fields
        .extend(options.partition_schema.fields.iter().map(|f| StructField { nullable: true, ..f.clone() }));
    let new = NewTable {
        schema,
        partition_by: options.partition_schema.names().into_iter().map(str::to_string).collect(),
        properties: options.properties.clone(),
        ..NewTable::default()
    };
    let (protocol, metadata) = create::metadata_of(location, &new, None, false)?;
    let schema = StructType::from_json(&metadata.schema_string)?;
    let layout = Arc::new(FileLayout::new(&schema, &metadata)?);
    let stats = options
        .collect_statistics
        .then(|| StatsColumns::new(&metadata, &layout, &options.commit.files, false));
    let work: Vec<_> = files
        .into_iter()
        .map(|file| add_of(location.clone(), file, &options.partition_schema, stats.clone(), layout.clone()))
        .collect();
    let adds: Vec<Add> = stream::iter(work).buffered(PARALLEL_READS).try_collect().await?;

    make_log_directory(location).await?;
    let mut operation = Operation::new("CONVERT")
        .raw("numFiles", adds.len() as u64)
        .json("partitionedBy", &json!(new.partition_by))
        .raw("collectStats", options.collect_statistics);
    if let Some(name) = &options.catalog_table {
        operation = operation.text("catalogTable", name.clone());
    }
    let operation = operation.text("sourceFormat", "parquet");
    let mut transaction = Transaction::new(location, None, operation);
    transaction.user_metadata.clone_from(&options.commit.user_metadata);
    transaction.tags = options.commit.commit_fields.clone();
    transaction.protocol = Some(protocol);
    transaction.metadata = Some(metadata);
    transaction.blind_append = Some(false);
    transaction.metrics.set("numConvertedFiles", adds.len());
    transaction.add(adds);
    transaction.commit().await
}

/// The data files below a directory, by name.
async fn list(location: &TableLocation) -> Result<Vec<ObjectMeta>> {
    let mut all: Vec<ObjectMeta> = location
        .store()
        .list(Some(location.prefix()))
        .try_collect()
        .await
        .map_err(|e| Error::io(format!("listing {}", location.uri()), e))?;
    all.retain(|meta| location.relativize(&meta.location).is_some_and(|path| !is_hidden(path)));
    all.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(all)
}

/// Names that begin with `_` or `.` are no data, but for directories of partitions.
fn is_hidden(relative: &str) -> bool {
    relative.starts_with(LOG_DIRECTORY)
        || relative
            .split('/')
            .any(|part| part.starts_with('.') || (part.starts_with('_') && !part.contains('=')))
}

async fn add_of(
    location: TableLocation,
    file: ObjectMeta,
    partitions: &StructType,
    stats: Option<StatsColumns>,
    layout: Arc<FileLayout>,
) -> Result<Add> {
    let relative = location.relativize(&file.location).unwrap_or_default().to_string();
    let partition_values = values(&location, &relative, partitions)?;
    let stats = match stats {
        Some(columns) => statistics(&location, &file, &columns, &layout).await?,
        None => None,
    };
    let size = i64::try_from(file.size).unwrap_or(i64::MAX);
    Ok(Add {
        modification_time: file.last_modified.timestamp_millis(),
        stats,
        ..Add::new(encode_path(&relative), partition_values, size)
    })
}

/// The partition values that directories name, each of which is one of its column's type.
fn values(location: &TableLocation, relative: &str, partitions: &StructType) -> Result<PartitionValues> {
    let shown = format!("{}/{relative}", location.uri());
    let directories = relative.rsplit_once('/').map_or("", |(directories, _)| directories);
    let mut found = Vec::new();
    for part in directories.split('/') {
        if let Some((name, value)) = part.split_once('=') {
            let decoded = |text: &str| {
                percent_decode_str(text).decode_utf8().map(|t| t.into_owned()).unwrap_or_else(|_| text.into())
            };
            found.push((decoded(name), decoded(value)));
        }
    }
    if found.len() != partitions.fields.len() {
        return Err(unexpected_number(&shown, &found, partitions));
    }
    let mut out = PartitionValues::new();
    for (field, (name, value)) in partitions.fields.iter().zip(found) {
        if !field.name.eq_ignore_ascii_case(&name) {
            return Err(Error::new("DELTA_UNEXPECTED_PARTITION_COLUMN_FROM_FILE_NAME")
                .param("expectedCol", quote(&field.name))
                .param("parsedCol", quote(&name))
                .param("path", &shown)
                .message(format!(
                    "The partition column should be {}, and the directory of {shown} names {}.",
                    quote(&field.name),
                    quote(&name)
                ))
                .exception("AnalysisException"));
        }
        let value = (value != DEFAULT_PARTITION).then_some(value);
        parse_value(&field.name, value.as_deref(), &field.data_type, &Zone::UTC).map_err(|_| {
            Error::new("DELTA_FAILED_CAST_PARTITION_VALUE")
                .param("value", value.as_deref().unwrap_or_default())
                .param("dataType", field.data_type.sql())
                .message(format!(
                    "The partition value {} in {shown} is no {}.",
                    value.as_deref().unwrap_or_default(),
                    field.data_type.sql()
                ))
        })?;
        out.insert(field.name.clone(), value);
    }
    Ok(out)
}

fn unexpected_number(path: &str, found: &[(String, String)], partitions: &StructType) -> Error {
    let list = |names: Vec<String>| format!("[{}]", names.join(", "));
    let expected = list(partitions.fields.iter().map(|f| quote(&f.name)).collect());
    let parsed = list(found.iter().map(|(n, _)| quote(n)).collect());
    Error::new("DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME")
        .param("expectedColsSize", partitions.fields.len())
        .param("expectedCols", &expected)
        .param("parsedColsSize", found.len())
        .param("parsedCols", &parsed)
        .param("path", path)
        .message(format!(
            "The table is to be partitioned by {expected}, and the directories of {path} name {parsed}. Say \
             PARTITIONED BY with the columns that the directories name."
        ))
        .exception("AnalysisException")
}

/// The statistics of a file, which is read for them.
async fn statistics(
    location: &TableLocation,
    file: &ObjectMeta,
    columns: &StatsColumns,
    layout: &FileLayout,
) -> Result<Option<String>> {
    let failed = |e: &dyn std::fmt::Display| not_parquet(file.location.as_ref(), e);
    let reader = open_file(location, file.clone()).map_err(|e| failed(&e))?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|e| failed(&e))?;
    let mut batches = builder.build().map_err(|e| failed(&e))?;
    let mut collector = columns.collector();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|e| failed(&e))?;
        let typed = layout.physical.fields().iter().map(|field| {
            match batch.schema().fields().iter().position(|f| f.name().eq_ignore_ascii_case(field.name())) {
                Some(index) => cast(batch.column(index), field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        });
        let typed = typed.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
        // A file may hold NULL where the table will not.
        let fields: Vec<_> =
            layout.physical.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(schema, typed, &options).map_err(|e| failed(&e))?;
        collector.update(&batch)?;
    }
    Ok(collector.finish())
}

fn not_parquet(file: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::new("CANNOT_READ_FILE_FOOTER")
        .param("file", file)
        .message(format!("{file} cannot be read as Parquet: {cause}"))
}

#[cfg(test)]
mod tests {
    use boathouse_spec::DataType;

    use super::*;

    #[test]
    fn directories_name_partition_values() {
        let location = TableLocation::local("/t").unwrap();
        let partitions = StructType::new(vec![
            StructField::new("p", DataType::Integer, true),
            StructField::new("Q", DataType::STRING, true),
        ]);
        let found = values(&location, "p=1/q=a%2Fb/x.parquet", &partitions).unwrap();
        assert_eq!(found.get("p"), Some(&Some("1".to_string())));
        assert_eq!(found.get("Q"), Some(&Some("a/b".to_string())));
        let class = |path: &str| values(&location, path, &partitions).unwrap_err().class().to_string();
        assert_eq!(class("p=1/x.parquet"), "DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME");
        assert_eq!(class("r=1/q=2/x.parquet"), "DELTA_UNEXPECTED_PARTITION_COLUMN_FROM_FILE_NAME");
        assert_eq!(class("p=z/q=2/x.parquet"), "DELTA_FAILED_CAST_PARTITION_VALUE");
        assert!(is_hidden("_x/a.parquet") && is_hidden("a/.b") && !is_hidden("_p=1/a.parquet"));
    }
}
