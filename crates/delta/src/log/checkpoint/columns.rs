//! The rows of checkpoints as Arrow batches ("Checkpoint Schema" in PROTOCOL.md).

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray, StringBuilder, StructArray,
    new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType as ArrowType, Field, Fields, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use datafusion::scalar::ScalarValue;
use serde_json::Value;

use crate::action::{Action, Add, PartitionValues, is_true};
use crate::partition::parse_value;
use crate::report::{field, strings};
use crate::schema::TableColumns;
use crate::snapshot::Snapshot;
use crate::stats::table::has_bounds;

/// Which rows go into one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Everything ("V1 Spec").
    Classic,
    /// What is not about files, and the names of the sidecars ("V2 Spec"); the columns of files are empty.
    Manifest,
    /// Files only ("Sidecar Files").
    Sidecar,
}

/// How the rows of a table's checkpoints look.
pub(super) struct CheckpointColumns {
    schema: SchemaRef,
    add: Fields,
    json_stats: bool,
    stats: Option<SchemaRef>,
    columns: Arc<TableColumns>,
}

impl CheckpointColumns {
    pub fn new(table: &Snapshot, contents: Contents) -> Self {
        let on = |key: &str, default: bool| table.property(key).map_or(default, is_true);
        let parsed = on("delta.checkpoint.writeStatsAsStruct", false);
        let columns = table.columns().clone();
        let stats = parsed.then(|| stats_schema(&columns));
        let schema = arrow_schema(&declared(contents));
        let mut add = Fields::empty();
        let fields = schema.fields().iter().cloned().map(|f| match f.data_type() {
            ArrowType::Struct(inner) if f.name() == "add" => {
                add = with_parsed(inner, stats.as_ref(), &columns);
                Arc::new(f.as_ref().clone().with_data_type(ArrowType::Struct(add.clone())))
            }
            _ => f,
        });
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let json_stats = on("delta.checkpoint.writeStatsAsJson", true);
        Self { schema: Arc::new(schema), add, json_stats, stats, columns }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows of actions other than `add`; `extra` are rows that are no actions, such as `sidecar`.
    pub fn of_actions(&self, actions: &[Action], extra: &[Value]) -> Result<Option<RecordBatch>> {
        if actions.is_empty() && extra.is_empty() {
            return Ok(None);
        }
        let rows = actions.len() + extra.len();
        let mut decoder =
            ReaderBuilder::new(self.schema.clone()).with_batch_size(rows).build_decoder().spark()?;
        for line in actions.iter().map(Action::to_json).chain(extra.iter().map(|v| Ok(v.to_string()))) {
            decoder.decode(line?.as_bytes()).spark()?;
            decoder.decode(b"\n").spark()?;
        }
        let batch = decoder.flush().spark()?;
        if batch.as_ref().map_or(0, RecordBatch::num_rows) != rows {
            return Err(Error::internal("rows of a checkpoint got lost"));
        }
        Ok(batch)
    }

    /// Rows of files.
    pub fn of_files(&self, files: &[Arc<Add>]) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.add.len());
        for column in &self.add {
            arrays.push(self.column(column, files)?);
        }
        let add = StructArray::try_new(self.add.clone(), arrays, None).spark()?;
        let columns = self.schema.fields().iter().map(|f| match f.name().as_str() {
            "add" => Arc::new(add.clone()) as ArrayRef,
            _ => new_null_array(f.data_type(), files.len()),
        });
        RecordBatch::try_new(self.schema.clone(), columns.collect()).spark()
    }

    fn column(&self, column: &Field, files: &[Arc<Add>]) -> Result<ArrayRef> {
        let text = |of: &dyn Fn(&Add) -> Option<&str>| -> ArrayRef {
            Arc::new(files.iter().map(|f| of(f)).collect::<StringArray>())
        };
        let long = |of: &dyn Fn(&Add) -> Option<i64>| -> ArrayRef {
            Arc::new(files.iter().map(|f| of(f)).collect::<Int64Array>())
        };
        Ok(match column.name().as_str() {
            "path" => text(&|f| Some(&f.path)),
            "partitionValues" => texts(column, files.iter().map(|f| Some(&f.partition_values)))?,
            "size" => long(&|f| Some(f.size)),
            "modificationTime" => long(&|f| Some(f.modification_time)),
            // Whoever reads a checkpoint has nothing to do with what changed.
            "dataChange" => Arc::new(BooleanArray::from(vec![false; files.len()])),
            "tags" => texts(column, files.iter().map(|f| f.tags.as_ref()))?,
            "deletionVector" => vectors(column, files)?,
            "baseRowId" => long(&|f| f.base_row_id),
            "defaultRowCommitVersion" => long(&|f| f.default_row_commit_version),
            "clusteringProvider" => text(&|f| f.clustering_provider.as_deref()),
            "stats" => text(&|f| f.stats.as_deref().filter(|_| self.json_stats)),
            "stats_parsed" => self.parsed_stats(column, files)?,
            "partitionValues_parsed" => self.parsed_partitions(column, files)?,
            other => return Err(Error::internal(format!("a checkpoint has no column add.{other}"))),
        })
    }

    /// Statistics as columns. What is not of a column's type is unknown.
    fn parsed_stats(&self, column: &Field, files: &[Arc<Add>]) -> Result<ArrayRef> {
        let Some(schema) = &self.stats else { return Ok(new_null_array(column.data_type(), files.len())) };
        let one = |texts: &[&str]| -> std::result::Result<Option<RecordBatch>, arrow::error::ArrowError> {
            let mut decoder =
                ReaderBuilder::new(schema.clone()).with_batch_size(texts.len()).build_decoder()?;
            for text in texts {
                decoder.decode(text.as_bytes())?;
                decoder.decode(b"\n")?;
            }
            decoder.flush()
        };
        let texts: Vec<&str> = files.iter().map(|f| f.stats.as_deref().unwrap_or("{}")).collect();
        let batch = match one(&texts) {
            Ok(Some(batch)) if batch.num_rows() == files.len() => batch,
            // One of them cannot be read: each for itself.
            _ => {
                let empty = RecordBatch::try_new(
                    schema.clone(),
                    schema.fields().iter().map(|f| new_null_array(f.data_type(), 1)).collect(),
                )
                .spark()?;
                let single = |text: &&str| match one(&[text]) {
                    Ok(Some(batch)) if batch.num_rows() == 1 => batch,
                    _ => empty.clone(),
                };
                arrow::compute::concat_batches(schema, &texts.iter().map(single).collect::<Vec<_>>())
                    .spark()?
            }
        };
        let known: NullBuffer = files.iter().map(|f| f.stats.is_some()).collect();
        let (fields, arrays) = (schema.fields().clone(), batch.columns().to_vec());
        Ok(Arc::new(StructArray::try_new(fields, arrays, Some(known)).spark()?))
    }

    fn parsed_partitions(&self, column: &Field, files: &[Arc<Add>]) -> Result<ArrayRef> {
        let ArrowType::Struct(fields) = column.data_type() else {
            return Err(Error::internal("parsed partition values are a struct"));
        };
        let partitions = self.columns.iter().filter(|c| c.is_partition);
        let mut arrays = Vec::with_capacity(fields.len());
        for partition in partitions {
            let value = |file: &Arc<Add>| {
                let text = file.partition_values.get(&partition.physical).and_then(|v| v.as_deref());
                // A checkpoint is of no session; readers take the texts first.
                parse_value(partition.logical(), text, &partition.data_type, &Zone::UTC)
            };
            let values = files.iter().map(value).collect::<Result<Vec<_>>>()?;
            arrays.push(ScalarValue::iter_to_array(values).spark()?);
        }
        Ok(Arc::new(StructArray::try_new(fields.clone(), arrays, None).spark()?))
    }
}

/// Maps of texts, in the shape of a field.
fn texts<'a>(column: &Field, maps: impl Iterator<Item = Option<&'a PartitionValues>>) -> Result<ArrayRef> {
    let ArrowType::Map(entry, sorted) = column.data_type() else {
        return Err(Error::internal("texts by name are a map"));
    };
    let ArrowType::Struct(fields) = entry.data_type() else {
        return Err(Error::internal("the entries of a map are structs"));
    };
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let (mut lengths, mut present) = (Vec::new(), Vec::new());
    for map in maps {
        present.push(map.is_some());
        lengths.push(map.map_or(0, |m| m.len()));
        for (key, value) in map.into_iter().flatten() {
            keys.append_value(key);
            values.append_option(value.as_deref());
        }
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(keys.finish()), Arc::new(values.finish())];
    let entries = StructArray::try_new(fields.clone(), columns, None).spark()?;
    let nulls = NullBuffer::from(present);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(entry.clone(), offsets, entries, Some(nulls), *sorted).spark()?))
}

fn vectors(column: &Field, files: &[Arc<Add>]) -> Result<ArrayRef> {
    let ArrowType::Struct(fields) = column.data_type() else {
        return Err(Error::internal("deletion vectors are structs"));
    };
    let vectors: Vec<_> = files.iter().map(|f| f.deletion_vector.as_ref()).collect();
    if vectors.iter().all(Option::is_none) {
        return Ok(new_null_array(column.data_type(), files.len()));
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(vectors.iter().map(|v| v.map(|v| v.storage_type.as_str())).collect::<StringArray>()),
        Arc::new(vectors.iter().map(|v| v.map(|v| v.path_or_inline_dv.as_str())).collect::<StringArray>()),
        Arc::new(vectors.iter().map(|v| v.and_then(|v| v.offset)).collect::<arrow::array::Int32Array>()),
        Arc::new(vectors.iter().map(|v| v.map(|v| v.size_in_bytes)).collect::<arrow::array::Int32Array>()),
        Arc::new(vectors.iter().map(|v| v.map(|v| v.cardinality)).collect::<Int64Array>()),
    ];
    let present: NullBuffer = vectors.iter().map(Option::is_some).collect();
    Ok(Arc::new(StructArray::try_new(fields.clone(), arrays, Some(present)).spark()?))
}

/// The columns of `add` with those that `delta.checkpoint.writeStatsAsStruct` asks for.
fn with_parsed(add: &Fields, stats: Option<&SchemaRef>, columns: &TableColumns) -> Fields {
    let mut out: Vec<_> = add.iter().cloned().collect();
    if let Some(stats) = stats {
        let partitions: Fields = columns
            .iter()
            .filter(|c| c.is_partition)
            .map(|c| Arc::new(Field::new(&c.physical, c.field.data_type().clone(), true)))
            .collect();
        if !partitions.is_empty() {
            out.push(Arc::new(Field::new("partitionValues_parsed", ArrowType::Struct(partitions), true)));
        }
        out.push(Arc::new(Field::new("stats_parsed", ArrowType::Struct(stats.fields().clone()), true)));
    }
    out.into()
}

/// Statistics with the types of the table's columns ("Per-file Statistics" in PROTOCOL.md).
fn stats_schema(columns: &TableColumns) -> SchemaRef {
    let data: Vec<_> =
        columns.iter().filter(|c| !c.is_partition).map(|c| c.physical_field.as_ref()).collect();
    let mut fields = vec![
        Field::new("numRecords", ArrowType::Int64, true),
        Field::new("tightBounds", ArrowType::Boolean, true),
    ];
    let bounds: Fields = data.iter().filter_map(|f| bounds_field(f)).collect();
    if !bounds.is_empty() {
        fields.push(Field::new("minValues", ArrowType::Struct(bounds.clone()), true));
        fields.push(Field::new("maxValues", ArrowType::Struct(bounds), true));
    }
    let nulls: Fields = data.iter().map(|f| nulls_field(f)).collect();
    if !nulls.is_empty() {
        fields.push(Field::new("nullCount", ArrowType::Struct(nulls), true));
    }
    Arc::new(Schema::new(fields))
}

fn bounds_field(column: &Field) -> Option<Field> {
    let t = match column.data_type() {
        ArrowType::Struct(inner) => {
            let inner: Fields = inner.iter().filter_map(|f| bounds_field(f)).collect();
            (!inner.is_empty()).then_some(ArrowType::Struct(inner))?
        }
        t if has_bounds(t) => t.clone(),
        _ => return None,
    };
    Some(Field::new(column.name(), t, true))
}

fn nulls_field(column: &Field) -> Field {
    let t = match column.data_type() {
        ArrowType::Struct(inner) if !inner.is_empty() => {
            ArrowType::Struct(inner.iter().map(|f| nulls_field(f)).collect())
        }
        _ => ArrowType::Int64,
    };
    Field::new(column.name(), t, true)
}

fn text(name: &str) -> StructField {
    field(name, DataType::STRING)
}

fn long(name: &str) -> StructField {
    field(name, DataType::Long)
}

fn int(name: &str) -> StructField {
    field(name, DataType::Integer)
}

fn flag(name: &str) -> StructField {
    field(name, DataType::Boolean)
}

fn group(name: &str, fields: Vec<StructField>) -> StructField {
    field(name, DataType::structure(fields))
}

fn vector() -> StructField {
    let fields = vec![
        text("storageType"),
        text("pathOrInlineDv"),
        int("offset"),
        int("sizeInBytes"),
        long("cardinality"),
    ];
    group("deletionVector", fields)
}

/// The columns of a checkpoint, without those that depend on the table.
fn declared(contents: Contents) -> StructType {
    let mut out = Vec::new();
    if contents != Contents::Sidecar {
        out.extend(about_the_table());
    }
    // delta-spark looks for these in every file of a checkpoint, sidecars or not.
    out.extend(about_files());
    if contents == Contents::Manifest {
        out.push(group("checkpointMetadata", vec![long("version"), field("tags", strings())]));
        let sidecar =
            vec![text("path"), long("sizeInBytes"), long("modificationTime"), field("tags", strings())];
        out.push(group("sidecar", sidecar));
    }
    StructType::new(out)
}

fn about_files() -> [StructField; 2] {
    let add = vec![
        text("path"),
        field("partitionValues", strings()),
        long("size"),
        long("modificationTime"),
        flag("dataChange"),
        field("tags", strings()),
        vector(),
        long("baseRowId"),
        long("defaultRowCommitVersion"),
        text("clusteringProvider"),
        text("stats"),
    ];
    let remove = vec![
        text("path"),
        long("deletionTimestamp"),
        flag("dataChange"),
        flag("extendedFileMetadata"),
        field("partitionValues", strings()),
        long("size"),
        vector(),
        long("baseRowId"),
        long("defaultRowCommitVersion"),
    ];
    [group("add", add), group("remove", remove)]
}

fn about_the_table() -> [StructField; 4] {
    let names = |name: &str| field(name, DataType::array(DataType::STRING, true));
    let metadata = vec![
        text("id"),
        text("name"),
        text("description"),
        group("format", vec![text("provider"), field("options", strings())]),
        text("schemaString"),
        names("partitionColumns"),
        field("configuration", strings()),
        long("createdTime"),
    ];
    let protocol = vec![
        int("minReaderVersion"),
        int("minWriterVersion"),
        names("readerFeatures"),
        names("writerFeatures"),
    ];
    [
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group("metaData", metadata),
        group("protocol", protocol),
        group("domainMetadata", vec![text("domain"), text("configuration"), flag("removed")]),
    ]
}
