//! State as tables: the data sources `statestore` and `state-metadata` over the checkpoint of a query (Spark's
//! `StateDataSource`, `StateMetadataSource`).

mod metadata;
mod options;
mod partial;
mod shown;

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::{ResultExt, to_datafusion};
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, Error, Result, option};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::blocking::aside;
use crate::checkpoint::{Checkpoint, Directory, Retention};
use crate::stateful::{DEFAULT_STORE, Memory, StateStore};
use metadata::StoreInfo;
use options::{Asked, Changes, refused, required};
use shown::Shown;

/// A data source over a checkpoint. State is read when its rows are asked for.
pub(crate) async fn open(session: &Arc<Session>, source: &DataSourceRef) -> Result<Arc<dyn TableProvider>> {
    let path = match source.paths.as_slice() {
        [path] => path.as_str(),
        _ => option(&source.options, "path").ok_or_else(|| required("path"))?,
    };
    let checkpoint = Checkpoint::new(Directory::open(session, path)?, Retention::of(session));
    if source.format == "state-metadata" {
        let rows = metadata::table(&checkpoint).await?;
        return Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]]).spark()?));
    }
    let asked = Asked::of(&source.options)?;
    let Some(last) = checkpoint.done().await?.pop() else { return Err(no_batch(&checkpoint)) };
    let state = State::find(checkpoint, &asked, Memory::of(session)).await?;
    let batches = match &asked.changes {
        Some(changes) => changed_batches(changes, last)?,
        None => asked.batch.unwrap_or(last)..=asked.batch.unwrap_or(last),
    };
    let are_changes = asked.changes.is_some();
    let columns = state.columns(*batches.start()).await?;
    let none = RecordBatch::new_empty(columns.schema());
    let schema = match are_changes {
        false => state.shown(&columns, &none)?.schema(),
        true => state.shown_changes(&columns, *batches.start(), &none, "update", false)?.schema(),
    };
    Ok(Arc::new(StateTable(Rows { state: Arc::new(state), batches, are_changes, schema })))
}

/// The batches whose changes are asked for.
fn changed_batches(changes: &Changes, last: i64) -> Result<RangeInclusive<i64>> {
    let end = changes.end.unwrap_or(last);
    if end > last || end < changes.start {
        return Err(refused(
            "changeEndBatchId",
            &format!(
                "It must lie between changeStartBatchId ({}) and the last batch ({last})",
                changes.start
            ),
        ));
    }
    Ok(changes.start..=end)
}

#[derive(Debug)]
struct StateTable(Rows);

/// What a batch left, or what batches changed.
#[derive(Debug, Clone)]
struct Rows {
    state: Arc<State>,
    batches: RangeInclusive<i64>,
    are_changes: bool,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for StateTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn datafusion::catalog::Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let table = StreamingTable::try_new(self.schema(), vec![Arc::new(self.0.clone())])?;
        table.scan(session, projection, filters, limit).await
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let state = Arc::clone(&self.state);
        let rows = match self.are_changes {
            true => state.changes(self.batches.clone()).left_stream(),
            false => state.at(*self.batches.end()).right_stream(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows.map_err(to_datafusion)))
    }
}

/// The state of a store of an operator.
#[derive(Debug)]
struct State {
    checkpoint: Checkpoint,
    directory: Directory,
    operator: i64,
    /// The place of the store among those of the operator.
    store: usize,
    info: StoreInfo,
    memory: Arc<Memory>,
}

impl State {
    async fn find(checkpoint: Checkpoint, asked: &Asked, memory: Arc<Memory>) -> Result<Self> {
        let stores = metadata::stores(&checkpoint).await?;
        let of_operator: Vec<&StoreInfo> =
            stores.iter().filter(|s| s.operator_id == asked.operator).collect();
        let name = asked.side.as_deref().unwrap_or(&asked.store);
        let known = of_operator.iter().position(|s| s.store_name == name);
        let Some(store) = known else {
            let is_operator = !of_operator.is_empty();
            return Err(if is_operator && asked.side.is_none() && asked.store != DEFAULT_STORE {
                refused(
                    "storeName",
                    &format!("The store '{}' of the operator {} does not exist", asked.store, asked.operator),
                )
            } else {
                no_schema(&checkpoint, asked)
            });
        };
        let info = of_operator[store].clone();
        let mut directory = checkpoint.root().child(&format!("state/{}/0", asked.operator));
        if info.store_name != DEFAULT_STORE {
            directory = directory.child(&info.store_name);
        }
        Ok(Self { checkpoint, directory, operator: asked.operator, store, info, memory })
    }

    /// The version of the store that a batch left, and its id.
    async fn version(&self, batch: i64) -> Result<(i64, String)> {
        if !self.checkpoint.done().await?.contains(&batch) {
            return Err(no_batch(&self.checkpoint));
        }
        let commit = self.checkpoint.commit_of(batch).await?;
        let ids = commit.state_ids.get(&self.operator.to_string()).and_then(|p| p.first());
        let id = ids.and_then(|ids| ids.get(self.store)).ok_or_else(|| no_batch(&self.checkpoint))?;
        Ok((batch + 1, id.clone()))
    }

    async fn open(&self, batch: i64) -> Result<StateStore> {
        let (version, id) = self.version(batch).await?;
        StateStore::as_written(self.directory.clone(), version, &id, &self.memory).await
    }

    /// The store without its entries.
    async fn columns(&self, batch: i64) -> Result<StateStore> {
        let (version, id) = self.version(batch).await?;
        StateStore::without_rows(self.directory.clone(), version, &id, &self.memory).await
    }

    /// The entries that a batch left.
    fn at(self: Arc<Self>, batch: i64) -> impl Stream<Item = Result<RecordBatch>> {
        let rows = async move {
            let store = self.open(batch).await?;
            Ok::<_, Error>(stream::iter(store.parts()).filter_map(move |part| {
                let shown = aside(|| store.part(part)).and_then(|rows| match rows {
                    Some(rows) => self.shown(&store, &rows).map(Some),
                    None => Ok(None),
                });
                futures::future::ready(shown.transpose())
            }))
        };
        stream::once(rows).try_flatten()
    }

    fn shown(&self, store: &StateStore, rows: &RecordBatch) -> Result<RecordBatch> {
        let shown = Shown::of(&self.info, store)?;
        table(vec![
            ("key", shown.keys(rows)?),
            ("value", shown.values(rows, false)?),
            ("partition_id", partition(rows.num_rows())),
        ])
    }

    /// What each of some batches changed.
    fn changes(self: Arc<Self>, batches: RangeInclusive<i64>) -> impl Stream<Item = Result<RecordBatch>> {
        stream::iter(batches)
            .then(move |batch| {
                let state = Arc::clone(&self);
                async move { state.changes_of(batch).await }
            })
            .map_ok(|parts| stream::iter(parts.into_iter().map(Ok)))
            .try_flatten()
    }

    async fn changes_of(&self, batch: i64) -> Result<Vec<RecordBatch>> {
        let (version, id) = self.version(batch).await?;
        let store = self.columns(batch).await?;
        let (set, gone) = match store.changes(version, &id).await? {
            Some(changes) => (changes.set, changes.gone),
            None => self.open(batch).await?.difference(&self.open(batch - 1).await?)?,
        };
        let set = set.iter().map(|rows| self.shown_changes(&store, batch, rows, "update", false));
        let gone = gone.iter().map(|rows| self.shown_changes(&store, batch, rows, "delete", true));
        set.chain(gone).collect()
    }

    fn shown_changes(
        &self,
        store: &StateStore,
        batch: i64,
        rows: &RecordBatch,
        kind: &str,
        without_values: bool,
    ) -> Result<RecordBatch> {
        let shown = Shown::of(&self.info, store)?;
        let count = rows.num_rows();
        let batches: ArrayRef = Arc::new(Int64Array::from(vec![batch; count]));
        let kinds: ArrayRef = Arc::new(StringArray::from(vec![kind; count]));
        table(vec![
            ("batch_id", batches),
            ("change_type", kinds),
            ("key", shown.keys(rows)?),
            ("value", shown.values(rows, without_values)?),
            ("partition_id", partition(count)),
        ])
    }
}

fn partition(count: usize) -> ArrayRef {
    Arc::new(Int32Array::from(vec![0; count]))
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true)))
        .map_err(internal)
}

fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("state as a table: {e}"))
}

fn no_batch(checkpoint: &Checkpoint) -> Error {
    let place = checkpoint.root().display();
    Error::new("STDS_COMMITTED_BATCH_UNAVAILABLE")
        .param("checkpointLocation", &place)
        .message(format!(
            "No committed batch found, checkpoint location: {place}. Ensure that the query has run and committed any microbatch before \
             stopping."
        ))
        .exception("AnalysisException")
}

fn no_schema(checkpoint: &Checkpoint, asked: &Asked) -> Error {
    let place = checkpoint.root().display();
    Error::new("STDS_FAILED_TO_READ_STATE_SCHEMA")
        .param("sourceOptions", format!("operatorId={}, storeName={}", asked.operator, asked.store))
        .message(format!(
            "Failed to read the state schema. Either the file does not exist, or the file is corrupted. The checkpoint {place} has no \
             operator {} with the store {}.",
            asked.operator,
            asked.side.as_deref().unwrap_or(&asked.store)
        ))
        .exception("AnalysisException")
}
