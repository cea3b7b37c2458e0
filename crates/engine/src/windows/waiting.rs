//! Rows whose values are not all known yet.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr_common::utils::evaluate_expressions_to_arrays;
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
    begun: ByGroup<Begun>,
    /// What each function that rows wait for has said, from the group on that the first of them is in.
    ended: Vec<Option<ArrayRef>>,
    rows: VecDeque<Held>,
    /// A batch whose rows had nothing to wait for.
    complete: Option<RecordBatch>,
    pieces: Pieces,
}

/// One of each kind of [`Group`].
#[derive(Default)]
struct ByGroup<T> {
    row: T,
    peers: T,
    partition: T,
}

impl<T> ByGroup<T> {
    fn of(&self, group: Group) -> &T {
        match group {
            Group::Row => &self.row,
            Group::Peers => &self.peers,
            Group::Partition => &self.partition,
        }
    }
}

/// A batch whose rows wait.
struct Held {
    piece: Piece,
    places: ByGroup<InGroups>,
}

/// Which groups the rows of a batch are in.
struct InGroups {
    /// The number of the first row's group.
    first: usize,
    rows: usize,
    begins: Begins,
}

/// The rows with which further groups begin.
enum Begins {
    At(Vec<usize>),
    /// Each row is a group.
    Everywhere,
}

impl InGroups {
    fn last(&self) -> usize {
        match &self.begins {
            Begins::At(starts) => self.first + starts.len(),
            Begins::Everywhere => self.first + self.rows - 1,
        }
    }
}

/// How many groups have begun, and the number of the first whose values are kept.
#[derive(Default)]
struct Begun {
    count: usize,
    kept: usize,
}

impl Begun {
    /// Notes that groups begin at some rows of a batch.
    fn place(&mut self, rows: usize, mut starts: Vec<usize>) -> InGroups {
        let mut first = self.count;
        self.count += starts.len();
        match starts.first() {
            Some(0) => drop(starts.remove(0)),
            _ => first -= 1,
        }
        InGroups { first, rows, begins: Begins::At(starts) }
    }

    /// The same where each row is a group.
    fn place_each(&mut self, rows: usize) -> InGroups {
        let first = self.count;
        self.count += rows;
        InGroups { first, rows, begins: Begins::Everywhere }
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
            begun: ByGroup::default(),
            rows: VecDeque::new(),
            complete: None,
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
        let Starts { rows, partitions, peers } = starts;
        let places = ByGroup {
            row: self.begun.row.place_each(rows),
            peers: self.begun.peers.place(rows, peers),
            partition: self.begun.partition.place(rows, partitions),
        };
        self.rows.push_back(Held { piece: self.pieces.hold(batch)?, places });
        Ok(())
    }

    /// No rows come any more.
    pub fn end(&mut self) -> Result<()> {
        for i in 0..self.functions.len() {
            if let Some(values) = self.functions[i].end()? {
                self.note(i, values)?;
            }
        }
        Ok(())
    }

    /// The next batch of which all values are known.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.complete.is_some() {
            return Ok(self.complete.take());
        }
        let Some(held) = self.rows.pop_front_if(|held| {
            self.functions.iter().zip(&self.ended).all(|(function, ended)| {
                let Some(group) = function.waits_for() else { return true };
                let ended = ended.as_ref().map_or(0, |values| values.len());
                held.places.of(group).last() < self.begun.of(group).kept + ended
            })
        }) else {
            return Ok(None);
        };
        let lacking = || internal_datafusion_err!("rows that waited are gone");
        let batch = self.pieces.read(held.piece)?.next().await.ok_or_else(lacking)??;
        let inputs = self.schema.fields().len() - self.functions.len();
        let mut known = batch.columns()[inputs..].iter();
        let mut columns: Vec<ArrayRef> = batch.columns()[..inputs].to_vec();
        for (function, ended) in self.functions.iter().zip(&self.ended) {
            columns.push(match (function.waits_for(), ended) {
                (Some(group), Some(values)) => {
                    of_rows(values, held.places.of(group), self.begun.of(group).kept)?
                }
                _ => Arc::clone(known.next().ok_or_else(lacking)?),
            });
        }
        self.forget(&held.places);
        Ok(Some(rows_of(&self.schema, columns, batch.num_rows())?))
    }

    fn starts(&mut self, batch: &RecordBatch) -> Result<Starts> {
        let rows = batch.num_rows();
        let window = &self.exprs[0];
        let mut keys = evaluate_expressions_to_arrays(window.partition_by(), batch)?;
        let partitions = self.partitions.starts(&keys, rows)?;
        if !self.functions.iter().any(Function::looks_at_peers) {
            return Ok(Starts { rows, peers: partitions.clone(), partitions });
        }
        keys.extend(evaluate_expressions_to_arrays(window.order_by().iter().map(|o| &o.expr), batch)?);
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
    fn forget(&mut self, places: &ByGroup<InGroups>) {
        for (function, ended) in self.functions.iter().zip(&mut self.ended) {
            if let (Some(group), Some(values)) = (function.waits_for(), ended) {
                let gone = places.of(group).last() - self.begun.of(group).kept;
                *values = values.slice(gone, values.len() - gone);
            }
        }
        self.begun.row.kept = places.row.last();
        self.begun.peers.kept = places.peers.last();
        self.begun.partition.kept = places.partition.last();
    }
}

/// A batch of as many rows, also where it has no columns.
fn rows_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The values of the groups that rows are in; `kept`: the number of the first group of `values`.
fn of_rows(values: &ArrayRef, rows: &InGroups, kept: usize) -> Result<ArrayRef> {
    let starts = match &rows.begins {
        Begins::At(starts) => starts,
        Begins::Everywhere => return Ok(values.slice(rows.first - kept, rows.rows)),
    };
    let places = numbers(rows.first - kept, rows.rows, starts);
    Ok(take(values, &UInt64Array::from_iter_values(places.into_iter().map(|p| p as u64)), None)?)
}
