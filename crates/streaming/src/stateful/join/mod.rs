//! Joins of two streams: each side remembers its rows, and new rows of one meet all of the other (Spark's
//! `StreamingSymmetricHashJoinExec`). Rows are forgotten when the watermark says that they can meet no more; those of an outer
//! join that met none come out then.

mod condition;
mod pruned;
mod side;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::common::{DFSchema, DFSchemaRef, JoinType};
use datafusion::logical_expr::{Join, LogicalPlan};

pub(super) use condition::Condition;
use pruned::{pruned, widened};
use side::{Side, as_met, count, internal, numbered, numbers_of, unmet};

use super::needed::Needed;
use super::run::{Batches, in_memory};
use super::store::StateStore;
use super::{Operator, OperatorProgress, Times};

/// Runs a batch: the new rows of the inputs meet what is remembered. `needed` is what is read of the rows that come out.
pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    join: &Join,
    inputs: [LogicalPlan; 2],
    times: [Times; 2],
    needed: &Needed,
) -> Result<Vec<RecordBatch>> {
    let all = Arc::clone(&join.schema);
    let (join, inputs) = pruned(join, inputs, needed)?;
    let rows = met(batches, operator, &join, inputs, times).await?;
    rows.iter().map(|rows| widened(rows, &join.schema, &all)).collect()
}

async fn met(
    batches: &Batches,
    operator: &mut Operator,
    join: &Join,
    inputs: [LogicalPlan; 2],
    times: [Times; 2],
) -> Result<Vec<RecordBatch>> {
    let condition = Condition::of(join, times.clone());
    let [left, right] = inputs;
    let mut left = Side::read(batches, operator, 0, &condition, left, &times[0]).await?;
    let mut right = Side::read(batches, operator, 1, &condition, right, &times[1]).await?;
    let Operator { stores, progress, .. } = operator;
    let [left_store, right_store] = stores.as_mut_slice() else {
        return Err(Error::internal("a join has two stores"));
    };
    let meeting = Meeting { batches, join, schemas: [&left.schema.clone(), &right.schema.clone()] };
    let mut out = if join.join_type == JoinType::LeftSemi {
        meeting.once([&mut left, &mut right], [&mut *left_store, &mut *right_store], progress).await?
    } else {
        meeting.all([&mut left, &mut right], [&mut *left_store, &mut *right_store], progress).await?
    };

    for (side, store, outer) in [(&left, left_store, JoinType::Left), (&right, right_store, JoinType::Right)]
    {
        progress.dropped += side.dropped;
        if join.join_type != outer && join.join_type != JoinType::Full {
            progress.removed += side.forget(store, batches)?;
            continue;
        }
        // Spark does not count those that come out as removed.
        let gone = side.give_up(store, batches)?;
        let alone = gone.iter().map(|rows| Ok(side.columns(&unmet(rows)?))).collect::<Result<Vec<_>>>()?;
        for columns in side.missed.iter().map(|rows| rows.columns().to_vec()).chain(alone) {
            out.push(meeting.without_partner(columns, outer == JoinType::Left)?);
        }
    }
    Ok(out)
}

/// How rows meet.
struct Meeting<'a> {
    batches: &'a Batches,
    join: &'a Join,
    schemas: [&'a DFSchemaRef; 2],
}

/// Rows that met: the columns of both, and the numbers of either, where it matters who met one.
struct Pairs {
    rows: Vec<RecordBatch>,
    left: HashSet<i64>,
    right: HashSet<i64>,
}

impl Meeting<'_> {
    /// The new pairs: new rows of the left with the right as it was, then new rows of the right with all of the left.
    async fn all(
        &self,
        [left, right]: [&mut Side; 2],
        [left_store, right_store]: [&mut StateStore; 2],
        progress: &mut OperatorProgress,
    ) -> Result<Vec<RecordBatch>> {
        // Who met one matters where rows come out by themselves.
        let is_told = self.join.join_type != JoinType::Inner;
        let known = left.partners(right_store)?;
        let mut first = self.pairs(&left.new, &known).await?;
        if is_told {
            left.met(&first.left)?;
            for known in &known {
                right_store.put(&as_met(&numbered(known, &first.right)?)?)?;
            }
        }
        left_store.put_all(&left.new)?;
        let known = right.partners(left_store)?;
        let second = self.pairs(&known, &right.new).await?;
        if is_told {
            for known in &known {
                left_store.put(&as_met(&numbered(known, &second.left)?)?)?;
            }
            right.met(&second.right)?;
        }
        let come_out_alone = matches!(self.join.join_type, JoinType::Right | JoinType::Full);
        let lasting = right.lasting(self.batches, come_out_alone)?;
        right_store.put_all(&lasting)?;
        progress.updated += count(&left.new) + count(&lasting);
        first.rows.extend(second.rows);
        first.rows.into_iter().map(|rows| self.output(rows.columns().to_vec(), rows.num_rows())).collect()
    }

    /// The rows of the left that met one for the first time, which are done with: those that waited, then new ones.
    async fn once(
        &self,
        [left, right]: [&mut Side; 2],
        [left_store, right_store]: [&mut StateStore; 2],
        progress: &mut OperatorProgress,
    ) -> Result<Vec<RecordBatch>> {
        let known = right.partners(left_store)?;
        let first = self.pairs(&known, &right.new).await?;
        let mut rows = Vec::new();
        for known in &known {
            let waited = numbered(known, &first.left)?;
            left_store.remove(&waited)?;
            progress.removed += waited.num_rows();
            rows.push(waited);
        }
        let kept = right.lasting(self.batches, false)?;
        right_store.put_all(&kept)?;
        let known = left.partners(right_store)?;
        let second = self.pairs(&left.new, &known).await?;
        left.met(&second.left)?;
        let lasting = left.new.iter().map(unmet).collect::<Result<Vec<_>>>()?;
        left_store.put_all(&lasting)?;
        progress.updated += count(&lasting) + count(&kept);
        for new in &left.new {
            rows.push(numbered(new, &second.left)?);
        }
        rows.iter().map(|rows| self.output(left.columns(rows), rows.num_rows())).collect()
    }

    async fn pairs(&self, left: &[RecordBatch], right: &[RecordBatch]) -> Result<Pairs> {
        let mut pairs = Pairs { rows: Vec::new(), left: HashSet::new(), right: HashSet::new() };
        if count(left) == 0 || count(right) == 0 {
            return Ok(pairs);
        }
        let left = numbered_plan(self.schemas[0], left, "number of the left")?;
        let right = numbered_plan(self.schemas[1], right, "number of the right")?;
        let met = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            self.join.on.clone(),
            self.join.filter.clone(),
            JoinType::Inner,
            self.join.join_constraint,
            self.join.null_equality,
            false,
        );
        let met = LogicalPlan::Join(met.spark()?);
        let rows = self.batches.collect(self.batches.physical(&met).await?).await?;
        let (width, schema) = (self.schemas[0].fields().len(), self.pair_schema());
        let is_told = self.join.join_type != JoinType::Inner;
        for batch in rows {
            if is_told {
                pairs.left.extend(numbers_of(&batch, 0));
                pairs.right.extend(numbers_of(&batch, width + 1));
            }
            let columns = (0..batch.num_columns()).filter(|i| *i != 0 && *i != width + 1);
            let columns = columns.map(|i| Arc::clone(batch.column(i))).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let rows = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options);
            pairs.rows.push(rows.map_err(internal)?);
        }
        Ok(pairs)
    }

    /// The columns of both sides.
    fn pair_schema(&self) -> SchemaRef {
        let fields = self.schemas.iter().flat_map(|s| s.fields().iter());
        let fields = fields.enumerate().map(|(i, f)| f.as_ref().clone().with_name(i.to_string()));
        Arc::new(Schema::new(fields.map(|f| f.with_nullable(true)).collect::<Vec<_>>()))
    }

    /// Columns as the output of the join.
    fn output(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let fields = self.join.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(internal)
    }

    /// Rows of one side, with NULL for the other.
    fn without_partner(&self, columns: Vec<ArrayRef>, is_left: bool) -> Result<RecordBatch> {
        let rows = columns.first().map_or(0, |c| c.len());
        let other = self.schemas[usize::from(is_left)].fields();
        let nulls = other.iter().map(|f| new_null_array(f.data_type(), rows));
        let columns = match is_left {
            true => columns.into_iter().chain(nulls).collect(),
            false => nulls.chain(columns).collect(),
        };
        self.output(columns, rows)
    }
}

/// Remembered rows as a leaf: their number, then the columns of the input.
fn numbered_plan(schema: &DFSchemaRef, rows: &[RecordBatch], number: &str) -> Result<LogicalPlan> {
    let fields = std::iter::once(Arc::new(Field::new(number, DataType::Int64, false)));
    let fields: Vec<_> = fields.chain(schema.fields().iter().cloned()).collect();
    let columns: Vec<usize> = (0..fields.len()).collect();
    let schema = DFSchema::from_unqualified_fields(fields.into(), Default::default()).spark()?;
    let rows = rows.iter().map(|rows| rows.project(&columns)).collect::<Result<Vec<_>, _>>();
    in_memory(rows.map_err(internal)?, &Arc::new(schema))
}
