//! The levels at work, one above the other: each hands on what comes from above, and then what it has made of some of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{EmptyRecordBatchStream, ExecutionPlan};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use super::Levels;

/// Groups, and the level that they are of.
type Numbered = (usize, RecordBatch);

/// The groups of all sets that are asked for, of one partition's groups by all keys.
pub(super) fn groups_of_sets(
    work: &Levels,
    groups: SendableRecordBatchStream,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let first = work.clone();
    let mut rows: BoxStream<'static, Result<Numbered>> =
        groups.map(move |batch| Ok((0, first.numbered(0, &batch?)?))).boxed();
    for level in 1..work.levels.len() {
        rows = Step::new(work, level, rows, context)?.boxed();
    }
    let has_all_keys = work.has_all_keys;
    let asked_for = rows.filter_map(move |rows| async move {
        match rows {
            Ok((0, _)) if !has_all_keys => None,
            rows => Some(rows.map(|(_, batch)| batch)),
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&work.schema), asked_for)))
}

impl Levels {
    /// Groups of a level, its keys and the states of the functions, as rows of the result.
    fn numbered(&self, level: usize, groups: &RecordBatch) -> Result<RecordBatch> {
        let (level, rows) = (&self.levels[level], groups.num_rows());
        let states = &groups.columns()[level.keys.len().max(1)..];
        let fields = self.schema.fields();
        let mut columns: Vec<ArrayRef> =
            fields[..self.keys].iter().map(|f| new_null_array(f.data_type(), rows)).collect();
        for (key, values) in level.keys.iter().zip(groups.columns()) {
            columns[*key] = Arc::clone(values);
        }
        columns.push(cast(&UInt64Array::from_value(level.id, rows), fields[self.keys].data_type())?);
        columns.extend_from_slice(states);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// The columns of rows above that a level groups by and aggregates. Without keys these are groups of one number.
    fn columns_of(&self, level: usize) -> (Vec<usize>, PhysicalGroupBy) {
        let keys = &self.levels[level].keys;
        let keys = if keys.is_empty() { vec![self.keys] } else { keys.clone() };
        let grouped_by = keys.iter().enumerate().map(|(i, key)| {
            let name = self.schema.field(*key).name();
            (Arc::new(Column::new(name, i)) as Arc<dyn PhysicalExpr>, name.clone())
        });
        let grouped_by = PhysicalGroupBy::new_single(grouped_by.collect());
        let states = self.keys + 1..self.schema.fields().len();
        (keys.into_iter().chain(states).collect(), grouped_by)
    }
}

/// A level among those above it.
struct Step {
    work: Levels,
    level: usize,
    /// What has come from above since, which goes on before groups of this level.
    passing: Passing,
    groups: SendableRecordBatchStream,
    made: Option<Option<Result<Numbered>>>,
}

/// A batch that goes past an aggregation which reads it, too.
type Passing = Arc<Mutex<Option<Numbered>>>;

impl Step {
    fn new(
        work: &Levels,
        level: usize,
        above: BoxStream<'static, Result<Numbered>>,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let (columns, grouped_by) = work.columns_of(level);
        let schema = Arc::new(work.schema.project(&columns)?);
        let passing = Passing::default();
        let read = Read {
            above,
            from: work.levels[level].from,
            columns,
            schema: Arc::clone(&schema),
            passing: Arc::clone(&passing),
        };
        let once = Once { schema: Arc::clone(&schema), rows: Mutex::new(Some(Box::pin(read))) };
        let input = StreamingTableExec::try_new(schema, vec![Arc::new(once)], None, [], false, None)?;
        let aggregation = AggregateExec::try_new(
            AggregateMode::PartialReduce,
            grouped_by,
            work.functions.to_vec(),
            vec![None; work.functions.len()],
            Arc::new(input),
            Arc::clone(&work.rows),
        )?;
        let groups = aggregation.execute(0, Arc::clone(context))?;
        Ok(Self { work: work.clone(), level, passing, groups, made: None })
    }
}

impl Stream for Step {
    type Item = Result<Numbered>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(passing) = self.passing.lock().take() {
                return Poll::Ready(Some(Ok(passing)));
            }
            if let Some(made) = self.made.take() {
                return Poll::Ready(made);
            }
            let polled = self.groups.poll_next_unpin(context);
            match polled {
                Poll::Ready(groups) => {
                    let numbered = |batch| Ok((self.level, self.work.numbered(self.level, &batch?)?));
                    self.made = Some(groups.map(numbered));
                }
                Poll::Pending if self.passing.lock().is_none() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

/// What a level reads of the rows above it.
struct Read {
    above: BoxStream<'static, Result<Numbered>>,
    from: usize,
    columns: Vec<usize>,
    schema: SchemaRef,
    passing: Passing,
}

impl Stream for Read {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            // One batch at a time: the step polls again once it is handed on, so that nobody need be woken.
            if self.passing.lock().is_some() {
                return Poll::Pending;
            }
            let Some(rows) = ready!(self.above.poll_next_unpin(context)) else { return Poll::Ready(None) };
            let (level, batch) = rows?;
            let read = (level == self.from).then(|| batch.project(&self.columns));
            *self.passing.lock() = Some((level, batch));
            if let Some(read) = read {
                return Poll::Ready(Some(Ok(read?)));
            }
        }
    }
}

impl RecordBatchStream for Read {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// A stream as the input of a plan that runs once.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let nothing = || EmptyRecordBatchStream::new(Arc::clone(&self.schema));
        self.rows.lock().take().unwrap_or_else(|| Box::pin(nothing()))
    }
}
