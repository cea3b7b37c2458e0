//! `avg` (`mean`), `try_avg`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{Decimal128Type, i256};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int64Type, IntervalYearMonthType};
use boathouse_spec::{DataType, Error, Result};
use num_traits::AsPrimitive;

use super::fold::{Fold, booleans, primitive};
use super::overflow::{Overflow, decimal_overflow, interval_overflow};
use super::sum::{
    Sum, SumDecimal, add_doubles, counts, limit_of, merge_doubles, number_or_interval, overflows,
    save_doubles, with_decimal_type,
};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::{Registry, Want};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["avg", "mean"], |c| resolve(c, false));
    r.aggregate(&["try_avg"], |c| resolve(c, true));
}

fn resolve(c: &AggregateCall, is_try: bool) -> Result<ResolvedAggregate> {
    let (call, context) = (&c.call, c.call.context);
    let given = number_or_interval(call)?;
    let name = call.name;
    let overflow = if is_try { Overflow::Null } else { Overflow::Fail };
    let (coerced, returned, udf) = match given {
        DataType::YearMonthInterval { .. } => {
            let t = DataType::YEAR_MONTH;
            let fold = AverageInterval::<IntervalYearMonthType>::new(&t, overflow);
            let udf = SparkAggregate::of_fold(name, std::slice::from_ref(&t), &t, true, context, fold);
            (t.clone(), t, udf)
        }
        DataType::DayTimeInterval { .. } => {
            let t = DataType::DAY_TIME;
            let fold = AverageInterval::<DurationMicrosecondType>::new(&t, overflow);
            let udf = SparkAggregate::of_fold(name, std::slice::from_ref(&t), &t, true, context, fold);
            (t.clone(), t, udf)
        }
        DataType::Decimal { precision, scale } => {
            let fold = decimals(precision, scale, if context.ansi { overflow } else { Overflow::Null });
            let returned = fold.returned.clone();
            let udf =
                SparkAggregate::of_fold(name, std::slice::from_ref(&given), &returned, true, context, fold);
            (given, returned, udf)
        }
        _ => {
            let t = DataType::Double;
            (
                t.clone(),
                t.clone(),
                SparkAggregate::of_fold(name, std::slice::from_ref(&t), &t, true, context, AverageDouble),
            )
        }
    };
    Ok(ResolvedAggregate::new(vec![coerced], returned, true, udf.with_parameters(overflow).build()))
}

/// The average of one of two columns, over the rows in which both have a value (`regr_avgx`, `regr_avgy`).
pub(super) fn of_complete_rows(c: &AggregateCall, of: usize) -> Result<ResolvedAggregate> {
    let (call, context) = (&c.call, c.call.context);
    call.arity(2..=2)?;
    let mut coerced = call.want(&[Want::Numeric])?;
    let (returned, udf) = match coerced[of].clone() {
        DataType::Decimal { precision, scale } => {
            let fold = decimals(precision, scale, if context.ansi { Overflow::Fail } else { Overflow::Null });
            let returned = fold.returned.clone();
            let fold = CompleteRows { of, fold };
            (returned.clone(), SparkAggregate::of_fold(call.name, &coerced, &returned, true, context, fold))
        }
        _ => {
            coerced[of] = DataType::Double;
            let t = DataType::Double;
            let fold = CompleteRows { of, fold: AverageDouble };
            (t.clone(), SparkAggregate::of_fold(call.name, &coerced, &t, true, context, fold))
        }
    };
    Ok(ResolvedAggregate::new(coerced, returned, true, udf.build()))
}

/// A fold of one column over the rows in which every column has a value.
struct CompleteRows<F> {
    of: usize,
    fold: F,
}

impl<F: Fold> Fold for CompleteRows<F> {
    type State = F::State;

    fn start(&self) -> Self::State {
        self.fold.start()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let nulls: Vec<_> = columns.iter().filter_map(|c| c.logical_nulls()).collect();
        let rows = rows.filter(|(row, _)| nulls.iter().all(|n| n.is_valid(*row)));
        self.fold.update(&columns[self.of..=self.of], rows, states)
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        self.fold.saved()
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        self.fold.save(states)
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.fold.merge(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        self.fold.finish(states)
    }
}

/// The average of decimals, in a decimal of four more digits, all of them after the point.
fn decimals(precision: u8, scale: u8, overflow: Overflow) -> AverageDecimal {
    let total = DataType::Decimal { precision: (precision + 10).min(38), scale };
    let returned_scale = (scale + 4).min(38);
    AverageDecimal {
        sum: SumDecimal { limit: limit_of(&total), total, overflow },
        returned: DataType::Decimal { precision: (precision + 4).min(38), scale: returned_scale },
        more_scale: returned_scale - scale,
    }
}

struct AverageDouble;

impl Fold for AverageDouble {
    type State = Sum<f64>;

    fn start(&self) -> Self::State {
        Sum::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        add_doubles(columns, rows, states)
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", DataType::Double), ("count", DataType::Long)]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(save_doubles(states))
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        merge_doubles(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let averages = states.iter().map(|s| (s.count > 0).then(|| s.sum / s.count as f64));
        Ok(Arc::new(averages.collect::<PrimitiveArray<Float64Type>>()))
    }
}

struct AverageDecimal {
    sum: SumDecimal,
    returned: DataType,
    /// Digits after the point that the average has more than its input.
    more_scale: u8,
}

impl AverageDecimal {
    /// `sum / count`, rounded half up to the result's scale.
    fn divide(&self, sum: i128, count: i64) -> Option<i128> {
        let scaled = i256::from_i128(sum).checked_mul(i256::from_i128(10i128.pow(self.more_scale.into())))?;
        let count = i256::from_i128(count.into());
        let quotient = scaled.checked_div(count)?;
        let rest = scaled.checked_rem(count)?;
        let twice = rest.wrapping_abs().checked_mul(i256::from_i128(2))?;
        let step = match (twice >= count, sum < 0) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => -1,
        };
        let rounded = quotient.checked_add(i256::from_i128(step))?.to_i128()?;
        (rounded.unsigned_abs() <= limit_of(&self.returned).unsigned_abs()).then_some(rounded)
    }
}

impl Fold for AverageDecimal {
    type State = Sum<i128>;

    fn start(&self) -> Self::State {
        Sum::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.sum.add_all(columns, rows, states)
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        self.sum.saved_states()
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(self.sum.save_all(states))
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.sum.merge_all(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let mut averages = Vec::with_capacity(states.len());
        for state in states {
            let average = match (state.count > 0, state.overflowed) {
                (false, _) => None,
                (true, true) => {
                    if self.sum.overflow == Overflow::Fail {
                        return Err(decimal_overflow("try_avg"));
                    }
                    None
                }
                (true, false) => match (self.divide(state.sum, state.count), self.sum.overflow) {
                    (None, Overflow::Fail) => return Err(out_of_range(&self.returned)),
                    (average, _) => average,
                },
            };
            averages.push(average);
        }
        Ok(Arc::new(with_decimal_type(
            averages.into_iter().collect::<PrimitiveArray<Decimal128Type>>(),
            &self.returned,
        )))
    }
}

fn out_of_range(t: &DataType) -> Error {
    let DataType::Decimal { precision, scale } = t else {
        return Error::internal("the average of decimals is a decimal");
    };
    Error::new("NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION")
        .param("precision", precision)
        .param("scale", scale)
        .param("config", "\"spark.sql.ansi.enabled\"")
        .message(format!("An average does not fit {}.", t.sql()))
}

struct AverageInterval<T> {
    t: DataType,
    overflow: Overflow,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T> AverageInterval<T> {
    fn new(t: &DataType, overflow: Overflow) -> Self {
        Self { t: t.clone(), overflow, of: std::marker::PhantomData }
    }
}

impl<T: ArrowPrimitiveType + Send + Sync> AverageInterval<T> {
    fn add(&self, state: &mut Sum<T::Native>, value: T::Native) -> Result<()> {
        match state.sum.add_checked(value) {
            Ok(sum) => state.sum = sum,
            Err(_) if self.overflow == Overflow::Null => state.overflowed = true,
            Err(_) => return Err(interval_overflow()),
        }
        Ok(())
    }
}

impl<T> Fold for AverageInterval<T>
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: AsPrimitive<i128>,
    i128: AsPrimitive<T::Native>,
{
    type State = Sum<T::Native>;

    fn start(&self) -> Self::State {
        Sum { sum: T::default_value(), count: 0, overflowed: false }
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let values = primitive::<T>(columns, 0)?;
        for (row, group) in rows {
            if arrow::array::Array::is_valid(values, row) {
                states[group].count += 1;
                self.add(&mut states[group], values.value(row))?;
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.t.clone()), ("count", DataType::Long), ("overflow", DataType::Boolean)]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        let sums = PrimitiveArray::<T>::from_iter_values(states.iter().map(|s| s.sum));
        Ok(vec![Arc::new(sums), counts(states), overflows(states)])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let (sums, counts) = (primitive::<T>(columns, 0)?, primitive::<Int64Type>(columns, 1)?);
        let overflows = booleans(columns, 2)?;
        for (row, group) in rows {
            states[group].count += counts.value(row);
            states[group].overflowed |= overflows.value(row);
            self.add(&mut states[group], sums.value(row))?;
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let averages = states.iter().map(|s| {
            if s.count == 0 || s.overflowed {
                return None;
            }
            let (sum, count): (i128, i128) = (s.sum.as_(), s.count.into());
            let (quotient, rest) = (sum / count, sum % count);
            // Half away from zero.
            Some((quotient + if 2 * rest.abs() >= count { sum.signum() } else { 0 }).as_())
        });
        Ok(Arc::new(averages.collect::<PrimitiveArray<T>>()))
    }
}
