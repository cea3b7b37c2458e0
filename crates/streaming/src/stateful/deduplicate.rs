//! `dropDuplicates` over a stream: the keys that were seen are remembered, and forgotten when the watermark allows it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use boathouse_spec::{Error, Result};
use datafusion::common::Column;
use datafusion::logical_expr::LogicalPlan;

use super::aggregate::drop_late;
use super::run::Batches;
use super::store::{Layout, instants};
use super::{Operator, Times};

/// Gives the rows of the input whose keys are new.
pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    keys: &[Column],
    within_watermark: bool,
    input: LogicalPlan,
    times: &Times,
) -> Result<Vec<RecordBatch>> {
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let schema = Arc::clone(input.schema());
    let index = |c: &Column| schema.index_of_column(c).map_err(|e| Error::internal(e.to_string()));
    let columns = keys.iter().map(index).collect::<Result<Vec<usize>>>()?;
    // The event time, and the delay of its watermark.
    let timed = |i: usize| times.get(schema.field(i).name()).map(|delay| (i, *delay));
    // Late rows are told by the event time of the input, whether or not it is a key (Spark's `WatermarkSupport`).
    let all: Vec<_> = (0..schema.fields().len()).filter_map(timed).collect();
    if all.len() > 1 {
        return Err(several_event_times(all.iter().map(|(i, _)| schema.field(*i).name().as_str())));
    }
    let event_time = all.first().copied();
    let mut rows = batches.collect(batches.physical(&input).await?).await?;
    if let Some((column, _)) = event_time {
        operator.progress.dropped += drop_late(&mut rows, column, batches.marks.late_us)?;
    }
    let key_fields: Vec<FieldRef> = columns.iter().map(|i| Arc::clone(&schema.fields()[*i])).collect();
    let mut values: Vec<FieldRef> = Vec::new();
    let mut expiry = event_time.and_then(|(column, _)| columns.iter().position(|c| *c == column));
    if within_watermark {
        values.push(Arc::new(Field::new(
            "expiresAtMicros",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            true,
        )));
        expiry = Some(columns.len());
    }
    let store =
        operator.store(Layout { keys: key_fields, values, time: expiry, ..Layout::default() }).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for batch in &rows {
        let mut entry: Vec<ArrayRef> = columns.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        if let (true, Some((column, delay_us))) = (within_watermark, event_time) {
            let at = instants(batch.column(column)).unwrap_or_default();
            let over = at.into_iter().map(|t| t.map(|t| t.saturating_add(delay_us)));
            entry.push(Arc::new(over.collect::<TimestampMicrosecondArray>()));
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let entry = RecordBatch::try_new_with_options(store.schema(), entry, &options).map_err(internal)?;
        entries.push(entry);
    }
    let is_new = store.insert_new(&entries)?;
    let mut out = Vec::with_capacity(rows.len());
    let (mut kept, mut duplicates, mut from) = (0, 0, 0);
    for batch in &rows {
        let new = is_new[from..from + batch.num_rows()].to_vec();
        from += batch.num_rows();
        let fresh = arrow::compute::filter_record_batch(batch, &new.into()).map_err(internal)?;
        kept += fresh.num_rows();
        duplicates += batch.num_rows() - fresh.num_rows();
        out.push(fresh);
    }
    let removed = match expiry {
        Some(_) => store.forget_over(batches.marks.now_us)?,
        None => 0,
    };
    operator.progress.updated += kept;
    operator.progress.removed += removed;
    operator.progress.duplicates += duplicates;
    Ok(out)
}

fn several_event_times<'a>(columns: impl Iterator<Item = &'a str>) -> Error {
    let columns: Vec<&str> = columns.collect();
    let columns = format!("({})", columns.join(","));
    Error::new("_LEGACY_ERROR_TEMP_3077")
        .param("eventTimeCols", &columns)
        .message(format!(
            "More than one event time columns are available. Please ensure there is at most one event time column per stream. event \
             time columns: {columns}"
        ))
        .exception("AnalysisException")
}

/// The schema with every column nullable.
pub(super) fn loose(schema: &arrow::datatypes::SchemaRef) -> arrow::datatypes::SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(arrow::datatypes::Schema::new(fields))
}
