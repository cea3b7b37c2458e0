//! Rows whose values are not all known yet.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_plan::metrics::SpillMetrics;
use futures::StreamExt;

use super::function::{Function, Group, Starts, Values};
use super::groups::{Groups, numbers};
use crate::operators::{Piece, Pieces};

/// The rows of one partition of the plan, in the order in which they come.
pub(super) struct Waiting {
    exprs: Vec<Arc<dyn WindowExpr>>,
    functions: Vec<Function>,
    /// The columns of the input and then those of the functions.
    schema: SchemaRef,
    /// The same without the columns that rows wait for.
    held_schema: SchemaRef,
    partitions: Groups,
    peers: Groups,
    partition_ends: Ends,
    peer_ends: Ends,
    /// What a function that rows wait for has said, for the groups that some rows still wait in.
    ended: Vec<Option<ArrayRef>>,
    rows: VecDeque<Held>,
    /// A batch whose rows had nothing to wait for.
    complete: Option<RecordBatch>,
    pieces: Pieces,
    is_over: bool,
}

/// A batch whose rows wait.
struct Held {
    piece: Piece,
    partitions: InGroups,
    peers: InGroups,
}

/// Which groups the rows of a batch are in.
struct InGroups {
    /// The number of the first row's group.
    first: usize,
    rows: usize,
    /// The rows with which further groups begin.
    starts: Vec<usize>,
}

impl InGroups {
    fn last(&self) -> usize {
        self.first + self.starts.len()
    }
}

/// How many groups have begun, and of how many the values are kept no longer.
#[derive(Default)]
struct Ends {
    begun: usize,
    dropped: usize,
}

impl Ends {
    /// Notes that groups begin at some rows of a batch.
    fn place(&mut self, rows: usize, starts: &[usize]) -> InGroups {
        let begins_first = starts.first() == Some(&0);
        let first = if begins_first { self.begun } else { self.begun - 1 };
        self.begun += starts.len();
        InGroups { first, rows, starts: starts[usize::from(begins_first)..].to_vec() }
    }
}

impl Waiting {
    pub fn new(
        exprs: &[Arc<dyn WindowExpr>],
        schema: SchemaRef,
        context: &TaskContext,
        metrics: SpillMetrics,
    ) -> Result<Self> {
        let functions = exprs.iter().map(Function::of).collect::<Result<Vec<_>>>()?;
        let inputs = schema.fields().len() - exprs.len();
        let is_held = |i: usize| i < inputs || functions[i - inputs].waits_for().is_none();
        let fields = schema.fields().iter().enumerate().filter(|(i, _)| is_held(*i));
        let held_schema = Arc::new(Schema::new(fields.map(|(_, f)| Arc::clone(f)).collect::<Vec<_>>()));
        Ok(Self {
            pieces: Pieces::new("windows", context, metrics, Arc::clone(&held_schema)),
            ended: functions.iter().map(|_| None).collect(),
            exprs: exprs.to_vec(),
            functions,
            schema,
            held_schema,
            partitions: Groups::default(),
            peers: Groups::default(),
            partition_ends: Ends::default(),
            peer_ends: Ends::default(),
            rows: VecDeque::new(),
            complete: None,
            is_over: false,
        })
    }

    /// Takes rows in.
    pub fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let starts = self.starts(&batch)?;
        let mut known = Vec::new();
        for i in 0..self.functions.len() {
            let arguments = self.exprs[i].evaluate_args(&batch)?;
            match self.functions[i].add(&arguments, &starts)? {
                Values::Rows(values) => known.push(values),
                Values::Ended(values) => self.note(i, values)?,
            }
        }
        let columns = batch.columns().iter().cloned().chain(known).collect();
        let batch = rows_of(&self.held_schema, columns, starts.rows)?;
        if self.functions.iter().all(|f| f.waits_for().is_none()) {
            self.complete = Some(batch);
            return Ok(());
        }
        self.rows.push_back(Held {
            piece: self.pieces.hold(batch)?,
            partitions: self.partition_ends.place(starts.rows, &starts.partitions),
            peers: self.peer_ends.place(starts.rows, &starts.peers),
        });
        Ok(())
    }

    /// No rows come any more.
    pub fn end(&mut self) -> Result<()> {
        for i in 0..self.functions.len() {
            if let Some(values) = self.functions[i].end()? {
                self.note(i, values)?;
            }
        }
        self.is_over = true;
        Ok(())
    }

    /// The next batch of which all values are known.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.complete.is_some() {
            return Ok(self.complete.take());
        }
        let Some(held) = self.rows.pop_front_if(|held| {
            self.is_over
                || self.functions.iter().all(|f| match f.waits_for() {
                    None => true,
                    Some(Group::Peers) => held.peers.last() + 1 < self.peer_ends.begun,
                    Some(Group::Partition) => held.partitions.last() + 1 < self.partition_ends.begun,
                })
        }) else {
            return Ok(None);
        };
        let batch = self.pieces.read(held.piece)?.next().await;
        let batch = batch.ok_or_else(|| DataFusionError::Internal("rows that waited are gone".into()))??;
        let inputs = self.schema.fields().len() - self.functions.len();
        let mut known = batch.columns()[inputs..].iter();
        let mut columns: Vec<ArrayRef> = batch.columns()[..inputs].to_vec();
        for (function, ended) in self.functions.iter().zip(&mut self.ended) {
            columns.push(match (function.waits_for(), ended) {
                (Some(Group::Peers), Some(values)) => of_rows(values, &held.peers, self.peer_ends.dropped)?,
                (Some(Group::Partition), Some(values)) => {
                    of_rows(values, &held.partitions, self.partition_ends.dropped)?
                }
                _ => Arc::clone(
                    known.next().ok_or_else(|| DataFusionError::Internal("a value is lacking".into()))?,
                ),
            });
        }
        self.forget(held.peers.last(), held.partitions.last())?;
        Ok(Some(rows_of(&self.schema, columns, batch.num_rows())?))
    }

    fn starts(&mut self, batch: &RecordBatch) -> Result<Starts> {
        let rows = batch.num_rows();
        let window = &self.exprs[0];
        let mut keys = arrays(window.partition_by(), batch)?;
        let partitions = self.partitions.starts(&keys, rows)?;
        keys.extend(arrays(window.order_by().iter().map(|o| &o.expr), batch)?);
        let peers = self.peers.starts(&keys, rows)?;
        Ok(Starts { rows, partitions, peers })
    }

    /// Keeps the values of groups that have ended.
    fn note(&mut self, function: usize, values: ArrayRef) -> Result<()> {
        self.ended[function] = Some(match self.ended[function].take() {
            Some(before) if !before.is_empty() => concat(&[before.as_ref(), values.as_ref()])?,
            _ => values,
        });
        Ok(())
    }

    /// Drops the values of groups before those of the last row that was given out.
    fn forget(&mut self, peers: usize, partitions: usize) -> Result<()> {
        for (function, ended) in self.functions.iter().zip(&mut self.ended) {
            let gone = match function.waits_for() {
                None => continue,
                Some(Group::Peers) => peers - self.peer_ends.dropped,
                Some(Group::Partition) => partitions - self.partition_ends.dropped,
            };
            if let Some(values) = ended {
                let gone = gone.min(values.len());
                *values = match values.len() - gone {
                    0 => new_empty_array(values.data_type()),
                    left => values.slice(gone, left),
                };
            }
        }
        (self.peer_ends.dropped, self.partition_ends.dropped) = (peers, partitions);
        Ok(())
    }
}

/// A batch of as many rows, also where it has no columns.
fn rows_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The values of the groups that rows are in; `dropped`: the number of the first group of `values`.
fn of_rows(values: &ArrayRef, rows: &InGroups, dropped: usize) -> Result<ArrayRef> {
    let places = numbers(rows.first - dropped, rows.rows, &rows.starts);
    Ok(take(values, &UInt64Array::from_iter_values(places.into_iter().map(|p| p as u64)), None)?)
}

fn arrays<'a>(
    exprs: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>,
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    exprs.into_iter().map(|e| e.evaluate(batch)?.into_array(batch.num_rows())).collect()
}
