//! The event log of a pipeline: a Delta table in its storage, and the stream of events to the client that runs it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef};
use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_catalog::PipelineRecord;
use boathouse_engine::Session;
use boathouse_spec::{
    Command, DataType, Plan, Relation, RelationNode, Result, SaveMode, StructField, StructType, Write,
    WriteTarget, clock,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::event::Event;
use crate::name::shown;
use crate::request::PipelineEvent;

/// Events wait for so long to be written together.
const WRITE_EVERY_US: i64 = 2_000_000;

/// What the events of an update have in common.
#[derive(Debug, Clone)]
struct Origin {
    pipeline_id: String,
    pipeline_name: String,
    update_id: String,
    user: String,
}

/// Takes the events of one update.
pub(crate) struct EventLog {
    session: Arc<Session>,
    origin: Origin,
    /// The URL of the log's table.
    location: String,
    /// Nothing is written, only sent: a dry run.
    is_dry: bool,
    as_json: bool,
    client: mpsc::Sender<PipelineEvent>,
    pending: Mutex<Pending>,
}

struct Pending {
    rows: Vec<Row>,
    next_sequence: i64,
    written_us: i64,
}

struct Row {
    id: String,
    sequence: i64,
    timestamp_us: i64,
    event: Event,
}

impl EventLog {
    pub fn new(
        session: Arc<Session>,
        pipeline: &PipelineRecord,
        update_id: &str,
        location: String,
        (is_dry, as_json): (bool, bool),
        client: mpsc::Sender<PipelineEvent>,
    ) -> Self {
        let origin = Origin {
            pipeline_id: pipeline.id.to_string(),
            pipeline_name: pipeline.name.clone(),
            update_id: update_id.to_string(),
            user: session.user().to_string(),
        };
        // Sequences of later updates are larger: they begin at the time.
        let now = clock::now_us();
        let pending = Mutex::new(Pending { rows: Vec::new(), next_sequence: now, written_us: now });
        Self { session, origin, location, is_dry, as_json, client, pending }
    }

    /// Sends an event to the client and, soon, to the table.
    pub async fn emit(&self, event: Event) -> Result<()> {
        let mut pending = self.pending.lock().await;
        let timestamp_us = clock::now_us();
        let row = Row {
            id: uuid::Uuid::new_v4().to_string(),
            sequence: pending.next_sequence,
            timestamp_us,
            event,
        };
        pending.next_sequence += 1;
        tracing::info!(pipeline = self.origin.pipeline_name, "{}", row.event.message);
        let message = if self.as_json { self.json(&row).to_string() } else { row.event.message.clone() };
        // A client that is gone is noticed by whoever runs the update for it.
        let _ = self.client.send(PipelineEvent { timestamp_us, message }).await;
        pending.rows.push(row);
        if timestamp_us - pending.written_us >= WRITE_EVERY_US {
            self.write(&mut pending).await?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub async fn flush(&self) -> Result<()> {
        self.write(&mut *self.pending.lock().await).await
    }

    async fn write(&self, pending: &mut Pending) -> Result<()> {
        let rows = std::mem::take(&mut pending.rows);
        pending.written_us = clock::now_us();
        if rows.is_empty() || self.is_dry {
            return Ok(());
        }
        let schema = schema();
        let batch = self.batch(&schema, &rows)?;
        let arrow_ipc = vec![boathouse_engine::to_ipc(&schema, &[batch])?];
        let write = Write {
            input: Relation::new(RelationNode::LocalData { arrow_ipc, schema: Some(schema) }),
            format: Some("delta".to_string()),
            mode: Some(SaveMode::Append),
            target: WriteTarget::Path(self.location.clone()),
            partition_by: Vec::new(),
            cluster_by: Vec::new(),
            bucket: None,
            options: vec![("mergeSchema".to_string(), "true".to_string())],
        };
        self.session
            .execute(Plan::Command(Box::new(Command::Write(Box::new(write)))))
            .await?
            .collect()
            .await?;
        Ok(())
    }

    /// An event as the client shows it.
    fn json(&self, row: &Row) -> Value {
        let e = &row.event;
        json!({
            "id": row.id,
            "sequence": {"data_plane_id": {"instance": "execution", "seq_no": row.sequence}},
            "origin": {
                "user_id": self.origin.user,
                "pipeline_id": self.origin.pipeline_id,
                "pipeline_name": self.origin.pipeline_name,
                "update_id": self.origin.update_id,
                "dataset_name": e.dataset.as_ref().map(shown),
                "flow_name": e.flow.as_ref().map(shown),
                "batch_id": e.batch,
            },
            "timestamp_us": row.timestamp_us,
            "message": e.message,
            "level": e.level.name(),
            "maturity_level": "STABLE",
            "error": e.error.as_ref().map(|error| json!({
                "fatal": true,
                "exceptions": [{"class_name": error.class(), "message": error.to_string()}],
            })),
            "details": e.details,
            "event_type": e.event_type,
        })
    }

    fn batch(&self, schema: &StructType, rows: &[Row]) -> Result<RecordBatch> {
        let arrow = Arc::new(arrow_schema(schema));
        let text = |value: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(value).collect::<StringArray>())
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(arrow.fields().len());
        for field in arrow.fields() {
            columns.push(match field.name().as_str() {
                "id" => text(&|r| Some(r.id.clone())),
                "sequence" => self.sequence(field, rows)?,
                "origin" => self.origins(field, rows)?,
                "timestamp" => {
                    let times =
                        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.timestamp_us));
                    Arc::new(times.with_data_type(field.data_type().clone()))
                }
                "message" => text(&|r| Some(r.event.message.clone())),
                "level" => text(&|r| Some(r.event.level.name().to_string())),
                "maturity_level" => text(&|_| Some("STABLE".to_string())),
                "error" => errors(field, rows)?,
                "details" => text(&|r| Some(r.event.details.to_string())),
                _ => text(&|r| Some(r.event.event_type.to_string())),
            });
        }
        RecordBatch::try_new(arrow, columns).spark()
    }

    fn sequence(&self, field: &FieldRef, rows: &[Row]) -> Result<ArrayRef> {
        structure(field.data_type(), rows.len(), |outer| match outer.name().as_str() {
            "data_plane_id" => structure(outer.data_type(), rows.len(), |inner| {
                Ok(match inner.name().as_str() {
                    "instance" => Arc::new(StringArray::from(vec!["execution"; rows.len()])) as ArrayRef,
                    _ => Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.sequence))),
                })
            }),
            _ => Ok(new_null_array(outer.data_type(), rows.len())),
        })
    }

    fn origins(&self, field: &FieldRef, rows: &[Row]) -> Result<ArrayRef> {
        let same = |value: &str| Arc::new(StringArray::from(vec![value; rows.len()])) as ArrayRef;
        structure(field.data_type(), rows.len(), |f| {
            Ok(match f.name().as_str() {
                "user_id" => same(&self.origin.user),
                "pipeline_id" => same(&self.origin.pipeline_id),
                "pipeline_name" => same(&self.origin.pipeline_name),
                "update_id" => same(&self.origin.update_id),
                "dataset_name" => Arc::new(
                    rows.iter().map(|r| r.event.dataset.as_ref().map(shown)).collect::<StringArray>(),
                ),
                "flow_name" => {
                    Arc::new(rows.iter().map(|r| r.event.flow.as_ref().map(shown)).collect::<StringArray>())
                }
                _ => Arc::new(rows.iter().map(|r| r.event.batch).collect::<Int64Array>()),
            })
        })
    }
}

/// A struct column, field by field; no row is NULL.
fn structure(
    data_type: &ArrowType,
    _rows: usize,
    column: impl Fn(&FieldRef) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let ArrowType::Struct(fields) = data_type else {
        return Err(boathouse_spec::Error::internal("a column of the event log that is no struct"));
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None).spark()?))
}

/// `error` of each row; NULL where there was none.
fn errors(field: &FieldRef, rows: &[Row]) -> Result<ArrayRef> {
    let ArrowType::Struct(fields) = field.data_type() else {
        return Err(boathouse_spec::Error::internal("the event log's errors are no structs"));
    };
    let has_error: Vec<bool> = rows.iter().map(|r| r.event.error.is_some()).collect();
    let columns: Result<Vec<ArrayRef>> = fields
        .iter()
        .map(|f| match f.data_type() {
            ArrowType::Boolean => Ok(Arc::new(BooleanArray::from(has_error.clone())) as ArrayRef),
            ArrowType::List(item) => exceptions(item, rows),
            other => Ok(new_null_array(other, rows.len())),
        })
        .collect();
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns?, Some(has_error.into())).spark()?))
}

fn exceptions(item: &Arc<Field>, rows: &[Row]) -> Result<ArrayRef> {
    let found: Vec<_> = rows.iter().filter_map(|r| r.event.error.as_ref()).collect();
    let values = structure(item.data_type(), found.len(), |f| {
        Ok(match f.name().as_str() {
            "class_name" => {
                Arc::new(found.iter().map(|e| Some(e.class())).collect::<StringArray>()) as ArrayRef
            }
            _ => Arc::new(found.iter().map(|e| Some(e.to_string())).collect::<StringArray>()),
        })
    })?;
    let lengths = rows.iter().map(|r| usize::from(r.event.error.is_some()));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, None).spark()?))
}

/// The columns of the event log, as Databricks documents them; of `origin`, those that have a meaning here.
pub(crate) fn schema() -> StructType {
    let field = |name: &str, t: DataType| StructField::new(name, t, true);
    let text = |name: &str| field(name, DataType::STRING);
    let sequence = DataType::structure(vec![
        field("data_plane_id", DataType::structure(vec![text("instance"), field("seq_no", DataType::Long)])),
        field("control_plane_seq_no", DataType::Long),
    ]);
    let origin = DataType::structure(vec![
        text("user_id"),
        text("pipeline_id"),
        text("pipeline_name"),
        text("update_id"),
        text("dataset_name"),
        text("flow_name"),
        field("batch_id", DataType::Long),
    ]);
    let exception = DataType::structure(vec![text("class_name"), text("message")]);
    let error = DataType::structure(vec![
        field("fatal", DataType::Boolean),
        field("exceptions", DataType::array(exception, true)),
    ]);
    StructType::new(vec![
        text("id"),
        field("sequence", sequence),
        field("origin", origin),
        field("timestamp", DataType::Timestamp),
        text("message"),
        text("level"),
        text("maturity_level"),
        field("error", error),
        text("details"),
        text("event_type"),
    ])
}
