//! Inner joins of two streams: each side remembers its rows, and new rows of one meet all of the other.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Operator as Comparison};

use super::aggregate::drop_late;
use super::run::{Batches, in_memory};
use super::{Operator, Times};

/// One side: its new rows, and those that were there before.
pub(super) struct Side {
    plan: LogicalPlan,
    new: Vec<RecordBatch>,
    old: Vec<RecordBatch>,
}

/// Takes in the new rows of a side. `time` is the column of the side that says when a row can meet no more.
pub(super) async fn side(
    batches: &Batches,
    operator: &mut Operator,
    plan: LogicalPlan,
    times: &Times,
    time: Option<usize>,
) -> Result<Side> {
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let fields: Vec<FieldRef> = plan.schema().fields().iter().cloned().collect();
    let mut new = batches.collect(batches.physical(&plan).await?).await?;
    if let Some(column) = fields.iter().position(|f| times.contains_key(f.name())) {
        operator.progress.dropped += drop_late(&mut new, column, batches.late_us)?;
    }
    let number: FieldRef = Arc::new(Field::new("number", DataType::Int64, false));
    let store = operator.store(batches, vec![number], fields, time.map(|i| i + 1)).await?;
    let known = store.all()?;
    let width = known.num_columns();
    let old = known.project(&(1..width).collect::<Vec<_>>()).map_err(internal)?;
    // Numbers of a batch begin anew when it runs again, upon the state before it.
    let mut next = batches.batch_id << 32;
    let mut added = 0;
    for batch in &new {
        let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(next..next + rows))];
        columns.extend(batch.columns().iter().cloned());
        next += rows;
        added += batch.num_rows();
        store.put(
            &RecordBatch::try_new(super::deduplicate::loose(&store.schema()), columns).map_err(internal)?,
        )?;
    }
    let removed = if time.is_some() { store.expire(batches.watermark_us)?.num_rows() } else { 0 };
    operator.progress.updated += added;
    operator.progress.removed += removed;
    Ok(Side { plan, new, old: vec![old] })
}

/// The pairs that are new: new rows on the left with all on the right, old ones with the new.
pub(super) async fn pairs(
    batches: &Batches,
    join: &LogicalPlan,
    left: Side,
    right: Side,
) -> Result<Vec<RecordBatch>> {
    let all_right = right.old.iter().chain(&right.new).cloned().collect();
    let mut out = Vec::new();
    for (l, r) in [(left.new, all_right), (left.old, right.new)] {
        let inputs = vec![in_memory(l, left.plan.schema())?, in_memory(r, right.plan.schema())?];
        let joined = join.with_new_exprs(join.expressions(), inputs).spark()?;
        out.extend(batches.collect(batches.physical(&joined).await?).await?);
    }
    Ok(out)
}

/// The columns, left and right, of an equality of two event times: rows before the watermark meet no more.
pub(super) fn equal_times(join: &Join, left: &Times, right: &Times) -> Option<(usize, usize)> {
    equalities(join).into_iter().find_map(|(l, r)| {
        let (Expr::Column(l), Expr::Column(r)) = (l, r) else { return None };
        let (l, r) = if left.contains_key(&l.name) { (l, r) } else { (r, l) };
        if !left.contains_key(&l.name) || !right.contains_key(&r.name) {
            return None;
        }
        Some((join.left.schema().maybe_index_of_column(&l)?, join.right.schema().maybe_index_of_column(&r)?))
    })
}

/// The equalities that rows must fulfil to meet.
pub(super) fn equalities(join: &Join) -> Vec<(Expr, Expr)> {
    let mut found = join.on.clone();
    let mut waiting: Vec<&Expr> = join.filter.iter().collect();
    while let Some(expr) = waiting.pop() {
        match expr {
            Expr::BinaryExpr(b) if b.op == Comparison::And => {
                waiting.extend([b.left.as_ref(), b.right.as_ref()])
            }
            Expr::BinaryExpr(b) if b.op == Comparison::Eq => {
                found.push((b.left.as_ref().clone(), b.right.as_ref().clone()));
            }
            _ => {}
        }
    }
    found
}
