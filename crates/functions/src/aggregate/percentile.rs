//! `percentile`, `median`, `percentile_cont`, `percentile_disc`: exact percentiles of all values of a group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, DurationMicrosecondType, Float64Type, Int64Type, IntervalYearMonthType,
};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};

use super::fold::{Fold, column, primitive, unexpected};
use super::percentage::Percentages;
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::collection::ListItem;
use crate::mismatch::with_sql;
use crate::{Call, Registry, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["percentile"], percentile);
    r.aggregate(&["median"], median);
    r.aggregate(&["percentile_cont"], |c| within_group(c, false));
    r.aggregate(&["percentile_disc"], |c| within_group(c, true));
}

/// What percentiles are taken of: the type values are cast to, and the result's.
fn value_type(call: &Call, i: usize) -> Result<(DataType, DataType)> {
    match &call.args[i].data_type {
        DataType::YearMonthInterval { .. } => Ok((DataType::YEAR_MONTH, DataType::YEAR_MONTH)),
        DataType::DayTimeInterval { .. } => Ok((DataType::DAY_TIME, DataType::DAY_TIME)),
        t if t.is_numeric() || t.is_string() || *t == DataType::Null => {
            Ok((DataType::Double, DataType::Double))
        }
        _ => Err(call.unexpected_input(
            i,
            "(\"NUMERIC\" or \"INTERVAL DAY TO SECOND\" or \"INTERVAL YEAR TO MONTH\")",
        )),
    }
}

fn percentile(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(2..=3)?;
    let frequency = call.args.get(2);
    let shown_frequency = frequency.map_or("1", |f| f.sql.as_str());
    let sql = format!("{}({}, {}, {shown_frequency})", call.name, call.args[0].sql, call.args[1].sql);
    let (value, of) = value_type(call, 0).map_err(|e| with_sql(e, &sql))?;
    let percentages = Percentages::of(call, 1, &sql)?;
    let mut coerced = vec![value, percentages.coerced()];
    if let Some(f) = frequency {
        if !f.data_type.is_integral() && f.data_type != DataType::Null {
            return Err(call.unexpected_input(2, "\"INTEGRAL\""));
        }
        coerced.push(DataType::Long);
    }
    let shown = vec![
        ShownArg::Arg(0),
        ShownArg::Arg(1),
        if frequency.is_some() { ShownArg::Arg(2) } else { ShownArg::Text("1".into()) },
    ];
    let fold = Percentile {
        frequency: frequency.map(|f| (2, f.sql.clone())),
        ..Percentile::new(0, of, percentages)
    };
    Ok(build(c, coerced, fold).shown_with(shown))
}

fn median(c: &AggregateCall) -> Result<ResolvedAggregate> {
    c.call.arity(1..=1)?;
    let (value, of) = value_type(&c.call, 0)?;
    Ok(build(c, vec![value], Percentile::new(0, of, Percentages::single(0.5))))
}

fn within_group(c: &AggregateCall, discrete: bool) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=1)?;
    let error = |class: &str| {
        Error::new(format!("INVALID_WITHIN_GROUP_EXPRESSION.{class}"))
            .param("funcName", format!("`{}`", call.name))
    };
    if c.distinct {
        return Err(error("DISTINCT_UNSUPPORTED")
            .message(format!("`{}` takes no DISTINCT with WITHIN GROUP.", call.name)));
    }
    let (key, ascending) = match c.order_by.as_slice() {
        [one] => (one.0.clone(), one.1),
        [] => {
            return Err(error("WITHIN_GROUP_MISSING")
                .message(format!("`{}` needs WITHIN GROUP (ORDER BY ...).", call.name)));
        }
        many => {
            return Err(error("WRONG_NUM_ORDERINGS")
                .param("expectedNum", 1)
                .param("actualNum", many.len())
                .message(format!("`{}` is ordered by one expression, not {}.", call.name, many.len())));
        }
    };
    let sql = format!("{}({}, {})", call.name, key.sql, call.args[0].sql);
    let of_key = Call { name: call.name, args: &[key], context: call.context };
    let (value, of) = value_type(&of_key, 0).map_err(|e| with_sql(e, &sql))?;
    let percentages = Percentages::of(call, 0, &sql)?;
    let coerced = vec![percentages.coerced(), value];
    let fold = Percentile { discrete, descending: !ascending, ..Percentile::new(1, of, percentages) };
    let shown = format!(
        "{}({}) WITHIN GROUP (ORDER BY {}{})",
        call.name,
        call.args[0].sql,
        of_key.args[0].sql,
        if ascending { "" } else { " DESC" }
    );
    Ok(build(c, coerced, fold).with_order_as_arguments().shown_as(shown))
}

fn build(c: &AggregateCall, coerced: Vec<DataType>, fold: Percentile) -> ResolvedAggregate {
    let returned = fold.percentages.returned(fold.of.clone());
    let parameters = format!("{:?} {} {}", fold.percentages, fold.discrete, fold.descending);
    let udf = SparkAggregate::of_fold(c.call.name, &coerced, &returned, true, c.call.context, fold)
        .with_parameters(parameters);
    ResolvedAggregate::new(coerced, returned, true, udf.build())
}

/// Keeps every value, and how often it counts where that is given.
struct Percentile {
    /// The column of the values.
    values: usize,
    /// The column of the frequencies, and its SQL text.
    frequency: Option<(usize, String)>,
    /// The type of a result.
    of: DataType,
    percentages: Percentages,
    discrete: bool,
    descending: bool,
}

/// Values with their frequencies. Without frequencies the second list stays empty.
#[derive(Clone, Default)]
pub(super) struct Values {
    values: Vec<f64>,
    counts: Vec<i64>,
}

impl Percentile {
    fn new(values: usize, of: DataType, percentages: Percentages) -> Self {
        Self { values, frequency: None, of, percentages, discrete: false, descending: false }
    }

    /// The percentiles of a group; `None` where it is empty.
    fn percentiles(&self, state: &Values) -> Option<Vec<f64>> {
        let mut counted: Vec<(f64, i64)> = match state.counts.is_empty() {
            true => state.values.iter().map(|v| (*v, 1)).collect(),
            false => state.values.iter().copied().zip(state.counts.iter().copied()).collect(),
        };
        let order = |a: &(f64, i64), b: &(f64, i64)| {
            a.0.partial_cmp(&b.0).unwrap_or_else(|| a.0.is_nan().cmp(&b.0.is_nan()))
        };
        counted.sort_by(|a, b| if self.descending { order(b, a) } else { order(a, b) });
        // How many values come up to and with each.
        let mut total = 0i64;
        for (_, count) in &mut counted {
            total = total.saturating_add(*count);
            *count = total;
        }
        // Of no percentages there is no list either.
        if total == 0 || self.percentages.values.is_empty() {
            return None;
        }
        let at = |rank: i64| {
            let i = counted.partition_point(|(_, up_to)| *up_to < rank + 1);
            counted.get(i).or(counted.last()).map_or(f64::NAN, |(v, _)| *v)
        };
        let percentile = |p: f64| {
            if self.discrete {
                // The first value with a cumulative share of at least p.
                let wanted = (p * total as f64).ceil() as i64;
                return at((wanted - 1).max(0));
            }
            let position = (total - 1) as f64 * p;
            let (lower, higher) = (position.floor(), position.ceil());
            let (low, high) = (at(lower as i64), at(higher as i64));
            if low == high || lower == higher {
                return low;
            }
            (higher - position) * low + (position - lower) * high
        };
        Some(self.percentages.values.iter().map(|p| percentile(*p)).collect())
    }
}

/// Numbers and intervals as doubles.
pub(super) fn doubles(array: &ArrayRef) -> Result<Float64Array> {
    let numbers: ArrayRef = match array.data_type() {
        ArrowType::Float64 => Arc::clone(array),
        ArrowType::Interval(_) => {
            let months = array.as_primitive::<IntervalYearMonthType>();
            Arc::new(months.unary::<_, Float64Type>(f64::from))
        }
        ArrowType::Duration(_) => {
            let micros = array.as_primitive::<DurationMicrosecondType>();
            Arc::new(micros.unary::<_, Float64Type>(|v| v as f64))
        }
        _ => cast(array, &ArrowType::Float64).spark()?,
    };
    Ok(numbers.as_primitive::<Float64Type>().clone())
}

/// Doubles as values of an interval type again.
fn from_doubles(values: Float64Array, t: &DataType) -> Result<ArrayRef> {
    Ok(match t {
        DataType::YearMonthInterval { .. } => {
            Arc::new(values.unary::<_, IntervalYearMonthType>(|v| v as i32)) as ArrayRef
        }
        DataType::DayTimeInterval { .. } => {
            Arc::new(values.unary::<_, DurationMicrosecondType>(|v| v as i64))
        }
        _ => Arc::new(values),
    })
}

impl Fold for Percentile {
    type State = Values;
    const ON_HEAP: bool = true;

    fn start(&self) -> Values {
        Values::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Values],
    ) -> Result<()> {
        let values = doubles(column(columns, self.values)?)?;
        let Some((frequency, sql)) = &self.frequency else {
            for (row, group) in rows {
                if values.is_valid(row) {
                    states[group].values.push(values.value(row));
                }
            }
            return Ok(());
        };
        let counts = primitive::<Int64Type>(columns, *frequency)?;
        for (row, group) in rows {
            if values.is_null(row) || counts.is_null(row) {
                continue;
            }
            let count = counts.value(row);
            if count < 0 {
                return Err(Error::new("NEGATIVE_VALUES_IN_FREQUENCY_EXPRESSION")
                    .param("frequencyExpression", format!("\"{sql}\""))
                    .param("negativeValue", format!("{count}L"))
                    .exception("IllegalArgumentException")
                    .message(format!("The frequency \"{sql}\" is negative: {count}.")));
            }
            if count > 0 {
                states[group].values.push(values.value(row));
                states[group].counts.push(count);
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![
            ("values", DataType::array(DataType::Double, false)),
            ("counts", DataType::array(DataType::Long, false)),
        ]
    }

    fn save(&self, states: &[Values]) -> Result<Vec<ArrayRef>> {
        let values = Float64Array::from_iter_values(states.iter().flat_map(|s| s.values.iter().copied()));
        let counts = Int64Array::from_iter_values(states.iter().flat_map(|s| s.counts.iter().copied()));
        let value_offsets = OffsetBuffer::from_lengths(states.iter().map(|s| s.values.len()));
        let count_offsets = OffsetBuffer::from_lengths(states.iter().map(|s| s.counts.len()));
        Ok(vec![
            ListItem::of(&DataType::array(DataType::Double, false))?.list(
                value_offsets,
                Arc::new(values),
                None,
            )?,
            ListItem::of(&DataType::array(DataType::Long, false))?.list(
                count_offsets,
                Arc::new(counts),
                None,
            )?,
        ])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Values],
    ) -> Result<()> {
        let list = |i: usize| -> Result<&ListArray> {
            let array = column(columns, i)?;
            array.as_list_opt::<i32>().ok_or_else(|| unexpected(i, array))
        };
        let (values, counts) = (list(0)?, list(1)?);
        for (row, group) in rows {
            let state = &mut states[group];
            state.values.extend(values.value(row).as_primitive::<Float64Type>().values());
            state.counts.extend(counts.value(row).as_primitive::<Int64Type>().values());
        }
        Ok(())
    }

    fn finish(&self, states: &[Values]) -> Result<ArrayRef> {
        let groups = states.iter().map(|s| self.percentiles(s)).collect();
        self.percentages.results(groups, &self.of, |v| from_doubles(v, &self.of))
    }

    fn bytes(&self, state: &Values) -> usize {
        (state.values.capacity() + state.counts.capacity()) * 8
    }
}
