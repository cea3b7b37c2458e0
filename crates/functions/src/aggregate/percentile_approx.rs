//! `percentile_approx` (`approx_percentile`): the result has the type of the values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, DurationMicrosecondType, Float64Type, Int32Type,
    Int64Type, IntervalYearMonthType,
};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};

use super::fold::{Fold, column};
use super::percentage::Percentages;
use super::percentile::doubles;
use super::quantile_summary::QuantileSummary;
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::cast::decimal::from_double;
use crate::mismatch::{whole_number, with_sql};
use crate::{Context, Registry, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["percentile_approx", "approx_percentile"], resolve);
}

pub(super) const RANGED: &str = "(\"NUMERIC\" or \"DATE\" or \"TIMESTAMP\" or \"TIMESTAMP_NTZ\" or \
                                 \"INTERVAL YEAR TO MONTH\" or \"INTERVAL DAY TO SECOND\")";

/// The type of values that can be counted in doubles; `None` for others.
pub(super) fn ranged(t: &DataType) -> Option<DataType> {
    match t {
        DataType::Date
        | DataType::Timestamp
        | DataType::TimestampNtz
        | DataType::YearMonthInterval { .. }
        | DataType::DayTimeInterval { .. } => Some(t.clone()),
        t if t.is_numeric() => Some(t.clone()),
        t if t.is_string() || *t == DataType::Null => Some(DataType::Double),
        // Spark casts a time to the first of these that it may, and then has no such cast.
        DataType::Time { .. } => Some(DataType::Date),
        _ => None,
    }
}

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(2..=3)?;
    let shown_accuracy = call.args.get(2).map_or("10000", |a| a.sql.as_str());
    let sql = format!("{}({}, {}, {shown_accuracy})", call.name, call.args[0].sql, call.args[1].sql);
    let t =
        ranged(&call.args[0].data_type).ok_or_else(|| with_sql(call.unexpected_input(0, RANGED), &sql))?;
    let mismatch =
        |class: &str| Error::new(format!("DATATYPE_MISMATCH.{class}")).param("sqlExpr", format!("\"{sql}\""));
    let accuracy = match call.args.get(2) {
        None => 10_000,
        Some(arg) => {
            if !arg.data_type.is_integral() && arg.data_type != DataType::Null {
                return Err(call.unexpected_input(2, "\"INTEGRAL\""));
            }
            match whole_number(arg) {
                None => {
                    return Err(mismatch("NON_FOLDABLE_INPUT")
                        .param("inputName", "`accuracy`")
                        .param("inputType", format!("\"{}\"", arg.data_type.sql()))
                        .param("inputExpr", format!("\"{}\"", arg.sql))
                        .message(format!("Cannot resolve \"{sql}\": the accuracy must be a constant.")));
                }
                Some(None) => {
                    return Err(mismatch("UNEXPECTED_NULL")
                        .param("exprName", "accuracy")
                        .message(format!("Cannot resolve \"{sql}\": the accuracy must not be null.")));
                }
                Some(Some(n)) => n,
            }
        }
    };
    if !(1..=i64::from(i32::MAX)).contains(&accuracy) {
        return Err(mismatch("VALUE_OUT_OF_RANGE")
            .param("exprName", "accuracy")
            .param("valueRange", "(0, 2147483647]")
            .param("currentValue", format!("{accuracy}L"))
            .message(format!("Cannot resolve \"{sql}\": the accuracy {accuracy} is out of range.")));
    }
    let percentages = Percentages::of(call, 1, &sql)?.without_nan(&sql)?;
    let mut coerced = vec![t.clone(), percentages.coerced()];
    coerced.extend(call.args.get(2).map(|_| DataType::Long));
    let returned = percentages.returned(t.clone());
    let parameters = format!("{percentages:?} {accuracy}");
    let fold = Approximate { t, error: 1.0 / accuracy as f64, percentages, never_null: false };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &returned, true, call.context, fold)
        .with_parameters(parameters);
    let accuracy = if call.args.len() > 2 { ShownArg::Arg(2) } else { ShownArg::Text("10000".into()) };
    Ok(ResolvedAggregate::new(coerced, returned, true, udf.build()).shown_with(vec![
        ShownArg::Arg(0),
        ShownArg::Arg(1),
        accuracy,
    ]))
}

/// The aggregate behind `df.approxQuantile`: an array of the values at the probabilities, without elements where there
/// are no rows.
pub fn approx_quantile(probabilities: &[f64], error: f64, context: &Context) -> ResolvedAggregate {
    let percentages = Percentages::several(probabilities.to_vec());
    let returned = percentages.returned(DataType::Double);
    let parameters = format!("{percentages:?} {error}");
    let fold = Approximate { t: DataType::Double, error, percentages, never_null: true };
    let coerced = vec![DataType::Double];
    let udf = SparkAggregate::of_fold("approx_quantile", &coerced, &returned, false, context, fold)
        .with_parameters(parameters);
    ResolvedAggregate::new(coerced, returned, false, udf.build())
}

struct Approximate {
    t: DataType,
    error: f64,
    percentages: Percentages,
    /// A group without values gives an array without elements.
    never_null: bool,
}

/// Values of a [`ranged`] type as doubles.
pub(super) fn to_doubles(array: &ArrayRef) -> Result<Float64Array> {
    match array.data_type() {
        ArrowType::Date32 => doubles(&cast(array, &ArrowType::Int32).spark()?),
        ArrowType::Timestamp(..) => doubles(&cast(array, &ArrowType::Int64).spark()?),
        ArrowType::Decimal128(_, scale) => {
            let divisor = 10f64.powi(i32::from(*scale));
            let values = array.as_primitive::<Decimal128Type>();
            Ok(values.unary::<_, Float64Type>(|v| v as f64 / divisor))
        }
        _ => doubles(array),
    }
}

/// Doubles as values of a [`ranged`] type again, cut to whole numbers where the type has those.
pub(super) fn of_doubles(values: Float64Array, t: &DataType) -> Result<ArrayRef> {
    let arrow = arrow_type(t);
    Ok(match t {
        DataType::Double => Arc::new(values),
        // As Java narrows: what lies beyond is the end of the range.
        DataType::Long => Arc::new(values.unary::<_, Int64Type>(|v| v as i64)),
        DataType::Float | DataType::Byte | DataType::Short | DataType::Integer => {
            cast(&(Arc::new(values) as ArrayRef), &arrow).spark()?
        }
        DataType::Date => {
            Arc::new(values.unary::<_, Int32Type>(|v| v as i32).reinterpret_cast::<Date32Type>())
        }
        DataType::Timestamp | DataType::TimestampNtz => {
            let micros: ArrayRef = Arc::new(values.unary::<_, Int64Type>(|v| v as i64));
            cast(&micros, &arrow).spark()?
        }
        DataType::YearMonthInterval { .. } => {
            Arc::new(values.unary::<_, IntervalYearMonthType>(|v| v as i32))
        }
        DataType::DayTimeInterval { .. } => {
            Arc::new(values.unary::<_, DurationMicrosecondType>(|v| v as i64))
        }
        DataType::Decimal { precision, scale } => {
            let mut buffer = String::new();
            let unscaled: PrimitiveArray<Decimal128Type> = values
                .iter()
                .map(|v| v.and_then(|v| from_double(v, *precision, *scale, &mut buffer)))
                .collect();
            Arc::new(unscaled.with_data_type(arrow))
        }
        other => return Err(Error::internal(format!("{} is not counted in doubles", other.sql()))),
    })
}

impl Fold for Approximate {
    type State = QuantileSummary;
    const ON_HEAP: bool = true;

    fn start(&self) -> QuantileSummary {
        QuantileSummary::new(self.error)
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [QuantileSummary],
    ) -> Result<()> {
        let values = to_doubles(column(columns, 0)?)?;
        for (row, group) in rows {
            if values.is_valid(row) {
                states[group].insert(values.value(row));
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("summary", DataType::Binary)]
    }

    fn save(&self, states: &[QuantileSummary]) -> Result<Vec<ArrayRef>> {
        let saved = BinaryArray::from_iter_values(states.iter().map(|s| s.clone().to_bytes()));
        Ok(vec![Arc::new(saved)])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [QuantileSummary],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            let summary = QuantileSummary::from_bytes(saved.value(row));
            states[group].merge(summary.ok_or_else(|| Error::internal("a broken quantile summary"))?);
        }
        Ok(())
    }

    fn finish(&self, states: &[QuantileSummary]) -> Result<ArrayRef> {
        let result = |s: &QuantileSummary| match s.clone().query(&self.percentages.values) {
            None if self.never_null => Some(Vec::new()),
            // Of no percentages there is no list either.
            Some(values) if values.is_empty() && !self.never_null => None,
            result => result,
        };
        let groups = states.iter().map(result).collect();
        self.percentages.results(groups, &self.t, |v| of_doubles(v, &self.t))
    }

    fn bytes(&self, state: &QuantileSummary) -> usize {
        state.bytes()
    }
}
