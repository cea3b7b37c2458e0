//! The first rows of a stream: how many there were is remembered.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::logical_expr::{FetchType, Limit, LogicalPlan, SkipType};

use super::Operator;
use super::run::Batches;
use super::store::Layout;

pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    limit: &Limit,
    input: LogicalPlan,
) -> Result<Vec<RecordBatch>> {
    let (SkipType::Literal(0), FetchType::Literal(Some(most))) =
        (limit.get_skip_type().spark()?, limit.get_fetch_type().spark()?)
    else {
        return Err(Error::unsupported("offsets of streams"));
    };
    let count: FieldRef = Arc::new(Field::new("count", DataType::Int64, true));
    let store = operator.store(Layout { values: vec![count], ..Layout::default() }).await?;
    let mut before = 0;
    for known in store.all() {
        before += known?.column(0).as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
    }
    let mut left = most.saturating_sub(usize::try_from(before).unwrap_or(usize::MAX));
    let mut out = Vec::new();
    // Also when there are enough: the times of the rows move the watermark.
    for batch in batches.collect(batches.physical(&input).await?).await? {
        let taken = batch.slice(0, batch.num_rows().min(left));
        left -= taken.num_rows();
        out.push(taken);
    }
    let after = i64::try_from(most - left).unwrap_or(i64::MAX);
    if after == before {
        return Ok(out);
    }
    let column: ArrayRef = Arc::new(Int64Array::from(vec![after]));
    store.put(
        &RecordBatch::try_new(store.schema(), vec![column]).map_err(|e| Error::internal(e.to_string()))?,
    )?;
    operator.progress.updated += 1;
    Ok(out)
}
