//! ZORDER BY: rows along a curve that keeps rows near each other in all columns near each other in files.
//!
//! A column's values count by their rank among a sample, not by their distance, so that skew does no harm. The bits of
//! the ranks are interleaved, and rows are sorted by the result.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, RecordBatch, UInt64Array};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::row::{OwnedRow, RowConverter, SortField};
use boathouse_bridge::{ResultExt, from_arrow, to_datafusion};
use boathouse_spec::{Error, Name, Result, quote, quote_path_if_needed};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::super::dml;
use crate::scan::DeltaScan;
use crate::schema::path;
use crate::snapshot::Snapshot;
use crate::stats::columns;

/// Ranks are below 2 to this.
const RANK_BITS: usize = 10;
/// A place of so many columns is a number.
const NUMBERED: usize = 64 / RANK_BITS;
const PLACE_COLUMN: &str = "__delta_place";
/// Values of a sample, at most twice as many while it is taken.
const SAMPLE_ROWS: usize = 50_000;

/// The columns as the table spells them.
pub(super) fn columns(table: &Snapshot, given: &[Name]) -> Result<Vec<Name>> {
    let mut out = Vec::new();
    for name in given {
        let shown = quote_path_if_needed(name);
        let Some((path, data_type)) = path::spelled(table.schema(), name) else {
            return Err(Error::new("DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST")
                .param("columnName", &shown)
                .message(format!("There is no column {shown} to order by."))
                .exception("IllegalArgumentException"));
        };
        if let [column] = path.as_slice()
            && table.partition_columns().contains(column)
        {
            return Err(Error::new("DELTA_ZORDERING_ON_PARTITION_COLUMN")
                .param("colName", column)
                .message(format!(
                    "{column} is a partition column: files have one value of it, and nothing is to be ordered."
                ))
                .exception("IllegalArgumentException"));
        }
        let has_order = data_type.is_orderable();
        if !has_order || !columns::are_gathered(table.metadata(), table.schema(), &path)? {
            return Err(Error::new("DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS")
                .param("cols", format!("[{shown}]"))
                .param(
                    "zorderColStatKey",
                    "spark.databricks.delta.optimize.zorder.checkStatsCollection.enabled",
                )
                .message(format!("Ordering by {shown} has no effect: files have no statistics of it."))
                .exception("AnalysisException"));
        }
        // Named twice, a column orders no better.
        if !out.contains(&path) {
            out.push(path);
        }
    }
    Ok(out)
}

/// The columns as Spark records them (`UnresolvedAttribute.name`): quoted where they have a dot.
pub(super) fn attribute_names(paths: &[Name]) -> Vec<String> {
    let part = |part: &String| if part.contains('.') { quote(part) } else { part.clone() };
    paths.iter().map(|path| path.iter().map(part).collect::<Vec<_>>().join(".")).collect()
}

/// The rows of a scan along the curve.
pub(super) async fn plan(
    session: &dyn Session,
    scan: DeltaScan,
    columns: &[Name],
) -> Result<Arc<dyn ExecutionPlan>> {
    let keys: Vec<Expr> = columns.iter().map(key).collect();
    let sample = sample(session, scan.clone(), &keys).await?;
    let curve = ScalarUDF::new_from_impl(Curve::new(&sample)?);
    // The place is a column while rows are sorted, so that it is computed once.
    let rows = dml::rows_of(scan)?;
    let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let placed = columns.iter().cloned().chain([curve.call(keys).alias(PLACE_COLUMN)]);
    let place = Expr::Column(Column::from_name(PLACE_COLUMN));
    let plan = rows
        .project(placed)
        .and_then(|rows| rows.sort(vec![place.sort(true, true)]))
        .and_then(|rows| rows.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .spark()?;
    session.create_physical_plan(&plan).await.spark()
}

/// A column, or a field of one.
fn key(path: &Name) -> Expr {
    let mut parts = path.iter();
    let first = Expr::Column(Column::from_name(parts.next().cloned().unwrap_or_default()));
    parts.fold(first, |outer, field| outer.field(field.as_str()))
}

/// Evenly chosen rows of the key columns.
async fn sample(session: &dyn Session, scan: DeltaScan, keys: &[Expr]) -> Result<RecordBatch> {
    let plan = dml::rows_of(scan)?.project(keys.to_vec()).spark()?.build().spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let mut stream = execute_stream(physical, session.task_ctx()).spark()?;
    let schema = stream.schema();
    let mut kept: Vec<RecordBatch> = Vec::new();
    let (mut rows, mut every, mut seen) = (0usize, 1usize, 0usize);
    while let Some(batch) = stream.next().await {
        let batch = batch.spark()?;
        let wanted: Vec<u32> =
            (0..batch.num_rows()).filter(|i| (seen + i) % every == 0).map(|i| i as u32).collect();
        seen += batch.num_rows();
        let chosen = take(&batch, &wanted)?;
        rows += chosen.num_rows();
        kept.push(chosen);
        if rows > 2 * SAMPLE_ROWS {
            let all = arrow::compute::concat_batches(&schema, &kept).spark()?;
            let half: Vec<u32> = (0..all.num_rows() as u32).step_by(2).collect();
            kept = vec![take(&all, &half)?];
            rows = half.len();
            every *= 2;
        }
    }
    arrow::compute::concat_batches(&schema, &kept).spark()
}

fn take(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    arrow::compute::take_record_batch(batch, &arrow::array::UInt32Array::from(rows.to_vec())).spark()
}

/// The place of a row on the curve, as bytes that sort.
#[derive(Debug)]
struct Curve {
    signature: Signature,
    columns: Arc<Vec<Ranks>>,
}

/// Where the ranks of a column begin.
#[derive(Debug)]
enum Ranks {
    Numbers(Vec<i64>),
    Rows(RowConverter, Vec<OwnedRow>),
}

impl Curve {
    fn new(sample: &RecordBatch) -> Result<Self> {
        let columns = sample.columns().iter().map(Ranks::new).collect::<Result<Vec<_>>>()?;
        Ok(Self { signature: Signature::variadic_any(Volatility::Immutable), columns: Arc::new(columns) })
    }
}

impl Ranks {
    fn new(values: &ArrayRef) -> Result<Self> {
        if let Some(mut numbers) = ordered_numbers(values) {
            numbers.sort_unstable();
            return Ok(Self::Numbers(bounds(&numbers)));
        }
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())]).spark()?;
        let rows = converter.convert_columns(std::slice::from_ref(values)).spark()?;
        let mut sorted: Vec<OwnedRow> = rows.iter().map(|r| r.owned()).collect();
        sorted.sort();
        Ok(Self::Rows(converter, bounds(&sorted)))
    }

    fn of(&self, values: &ArrayRef) -> Result<Vec<usize>> {
        match self {
            Self::Numbers(bounds) => {
                let numbers = ordered_numbers(values)
                    .ok_or_else(|| Error::internal("a column that is ordered by changed its type"))?;
                Ok(numbers.into_iter().map(|v| bounds.partition_point(|b| *b <= v)).collect())
            }
            Self::Rows(converter, bounds) => {
                let rows = converter.convert_columns(std::slice::from_ref(values)).map_err(from_arrow)?;
                Ok(rows.iter().map(|row| bounds.partition_point(|b| b.row() <= row)).collect())
            }
        }
    }
}

/// The values at which ranks begin, of values in order.
fn bounds<T: Clone + PartialEq>(sorted: &[T]) -> Vec<T> {
    let ranks = 1 << RANK_BITS;
    let mut bounds: Vec<T> =
        (1..ranks).filter_map(|i| sorted.get(i * sorted.len() / ranks).cloned()).collect();
    bounds.dedup();
    bounds
}

/// Numbers in the order of the values, NULL first; `None` where the type has none.
fn ordered_numbers(values: &ArrayRef) -> Option<Vec<i64>> {
    fn of<T: ArrowPrimitiveType>(values: &ArrayRef, number: impl Fn(T::Native) -> i64) -> Option<Vec<i64>> {
        let values = values.as_primitive_opt::<T>()?;
        Some(values.iter().map(|v| v.map_or(i64::MIN, &number)).collect())
    }
    match values.data_type() {
        DataType::Int8 => of::<Int8Type>(values, i64::from),
        DataType::Int16 => of::<Int16Type>(values, i64::from),
        DataType::Int32 => of::<Int32Type>(values, i64::from),
        DataType::Int64 => of::<Int64Type>(values, |v| v),
        DataType::Date32 => of::<Date32Type>(values, i64::from),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(values, |v| v),
        DataType::Float32 => of::<Float32Type>(values, |v| ordered_bits(f64::from(v))),
        DataType::Float64 => of::<Float64Type>(values, ordered_bits),
        _ => None,
    }
}

/// The bits of a number, which as an integer are in the order of the numbers.
fn ordered_bits(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The bits of each rank with room between them for those of the other columns.
fn spread(columns: usize) -> Vec<u64> {
    let of = |rank: u64| (0..RANK_BITS).fold(0u64, |out, bit| out | ((rank >> bit & 1) << (bit * columns)));
    (0..1u64 << RANK_BITS).map(of).collect()
}

/// The place of each row on the curve as a number.
fn numbers(ranks: &[Vec<usize>], rows: usize) -> Vec<u64> {
    let spread = spread(ranks.len());
    let mut out = vec![0u64; rows];
    for (i, column) in ranks.iter().enumerate() {
        let shift = ranks.len() - 1 - i;
        for (place, rank) in out.iter_mut().zip(column) {
            *place |= spread[*rank] << shift;
        }
    }
    out
}

/// The highest bits of all ranks first.
fn interleave(ranks: &[usize]) -> Vec<u8> {
    let mut out = vec![0u8; (ranks.len() * RANK_BITS).div_ceil(8)];
    let mut at = 0;
    for bit in (0..RANK_BITS).rev() {
        for rank in ranks {
            if rank >> bit & 1 == 1 {
                out[at / 8] |= 0x80 >> (at % 8);
            }
            at += 1;
        }
    }
    out
}

impl PartialEq for Curve {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.columns, &other.columns)
    }
}

impl Eq for Curve {}

impl Hash for Curve {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.columns).hash(state);
    }
}

impl ScalarUDFImpl for Curve {
    fn name(&self) -> &str {
        "delta_zorder"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(if arguments.len() <= NUMBERED { DataType::UInt64 } else { DataType::Binary })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let ranks = self
            .columns
            .iter()
            .zip(&arrays)
            .map(|(column, values)| column.of(values))
            .collect::<Result<Vec<_>>>()
            .map_err(to_datafusion)?;
        let rows = arrays.first().map_or(0, |a| a.len());
        if ranks.len() <= NUMBERED {
            let places = UInt64Array::from(numbers(&ranks, rows));
            return Ok(ColumnarValue::Array(Arc::new(places)));
        }
        let mut out = BinaryBuilder::new();
        for row in 0..rows {
            let of_row: Vec<usize> = ranks.iter().map(|r| r[row]).collect();
            out.append_value(interleave(&of_row));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn curves_interleave() {
        // 2 columns of 10 bits: x = 0b1000000000, y = 0 has the first bit only.
        assert_eq!(interleave(&[1 << 9, 0]), [0x80, 0, 0]);
        assert_eq!(interleave(&[0, 1 << 9]), [0x40, 0, 0]);
        assert_eq!(interleave(&[1, 1]), [0, 0, 0x30]);
        assert_eq!(numbers(&[vec![1 << 9, 0, 1], vec![0, 1 << 9, 1]], 3), [1 << 19, 1 << 18, 3]);
        let floats = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 2.0, f64::INFINITY, f64::NAN];
        assert!(floats.map(ordered_bits).is_sorted());
    }

    #[test]
    fn ranks_follow_values() {
        let values: ArrayRef =
            Arc::new(Int64Array::from_iter((0..5000).map(|i| if i == 0 { None } else { Some(i) })));
        let ranks = Ranks::new(&values).unwrap().of(&values).unwrap();
        assert!(ranks.is_sorted() && ranks[0] == 0 && *ranks.last().unwrap() == 1023);
    }
}
