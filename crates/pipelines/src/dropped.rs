//! Rows that expectations dropped: kept beside the pipeline, for `dropped_records('table')`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileReader;
use boathouse_bridge::{ResultExt, arrow_schema, spark_schema};
use boathouse_engine::{ExpectationOutcome, Session};
use boathouse_spec::{
    Command, DataType, Error, Expr, Literal, Options, Relation, RelationNode, Result, SaveMode, StructField,
    StructType, WithColumn, Write, WriteTarget, clock,
};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::table::{Place, run};

pub(crate) const UPDATE_ID: &str = "_update_id";
pub(crate) const DROPPED_AT: &str = "_dropped_at";

/// What a dropped row says beside its columns.
pub(crate) struct Origin<'a> {
    pub update_id: &'a str,
    /// The transaction of the batch that dropped it: the same batch again adds nothing.
    pub txn: Option<&'a (String, i64)>,
    pub mode: SaveMode,
}

/// Writes what an outcome kept aside to a table. An overwrite with nothing empties the table, where there is one.
pub(crate) async fn write(
    session: &Arc<Session>,
    outcome: &ExpectationOutcome,
    location: &str,
    origin: &Origin<'_>,
) -> Result<()> {
    let Some(file) = outcome.take_dropped()? else {
        return if origin.mode == SaveMode::Overwrite { empty(session, location).await } else { Ok(()) };
    };
    let rows = DroppedRows::open(file)?;
    let schema = spark_schema(&rows.schema)?;
    let provider = StreamingTable::try_new(Arc::clone(&rows.schema), vec![Arc::new(rows)]).spark()?;
    let kept = session.keep_table(Arc::new(provider), schema);
    let written = run(
        session,
        Command::Write(Box::new(to(location, with_origin(kept.clone(), origin.update_id), origin))),
    )
    .await;
    session.remove_table(&kept);
    written
}

fn to(location: &str, input: Relation, origin: &Origin<'_>) -> Write {
    let overwrites = origin.mode == SaveMode::Overwrite;
    let schema_option = if overwrites { "overwriteSchema" } else { "mergeSchema" };
    let mut options: Options = vec![(schema_option.to_string(), "true".to_string())];
    if let Some((app, version)) = origin.txn {
        options.push(("txnAppId".to_string(), app.clone()));
        options.push(("txnVersion".to_string(), version.to_string()));
    }
    Write {
        input,
        format: Some("delta".to_string()),
        mode: Some(origin.mode),
        target: WriteTarget::Path(location.to_string()),
        partition_by: Vec::new(),
        cluster_by: Vec::new(),
        bucket: None,
        options,
    }
}

fn with_origin(input: Relation, update_id: &str) -> Relation {
    let column = |name: &str, value: Literal| WithColumn {
        name: name.to_string(),
        expr: Expr::Literal(value),
        metadata: None,
    };
    let columns = vec![
        column(UPDATE_ID, Literal::String(update_id.to_string())),
        column(DROPPED_AT, Literal::Timestamp(clock::now_us())),
    ];
    Relation::new(RelationNode::WithColumns { input, columns })
}

async fn empty(session: &Arc<Session>, location: &str) -> Result<()> {
    let place = Place::Path(location.to_string());
    match place.find(session).await? {
        Some(_) => run(session, Command::Delete { table: place.name(), alias: None, condition: None }).await,
        None => Ok(()),
    }
}

/// The columns of `dropped_records` of a table with these columns.
pub(crate) fn schema(columns: &StructType) -> StructType {
    let mut fields = columns.fields.clone();
    let reasons = DataType::array(DataType::STRING, true);
    fields.push(StructField::new(boathouse_engine::FAILED_EXPECTATIONS, reasons, true));
    fields.push(StructField::new(UPDATE_ID, DataType::STRING, true));
    fields.push(StructField::new(DROPPED_AT, DataType::Timestamp, true));
    StructType::new(fields)
}

/// A file of rows, read as it is scanned.
#[derive(Debug)]
struct DroppedRows {
    file: PathBuf,
    schema: SchemaRef,
}

impl DroppedRows {
    fn open(file: PathBuf) -> Result<Self> {
        let schema = reader(&file)?.schema();
        // The schema as the engine knows it, nothing else of the file's.
        let schema = Arc::new(arrow_schema(&spark_schema(&schema)?));
        Ok(Self { file, schema })
    }
}

fn reader(file: &Path) -> Result<FileReader<BufReader<File>>> {
    let failed = |e: &dyn std::fmt::Display| Error::io("reading dropped rows", e);
    let opened = File::open(file).map_err(|e| failed(&e))?;
    FileReader::try_new(BufReader::new(opened), None).map_err(|e| failed(&e))
}

impl PartitionStream for DroppedRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let wanted = Arc::clone(&schema);
        let rows = match reader(&self.file) {
            Ok(reader) => futures::future::Either::Left(futures::stream::iter(reader.map(move |batch| {
                boathouse_bridge::conform_batch(&batch?, &wanted).map_err(boathouse_bridge::to_datafusion)
            }))),
            Err(e) => {
                let failed = Err(boathouse_bridge::to_datafusion(e));
                futures::future::Either::Right(futures::stream::iter([failed]))
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}
