//! `sum`, `try_sum`.

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow::datatypes::{
    Decimal128Type, DurationMicrosecondType, Float64Type, Int64Type, IntervalYearMonthType,
};
use boathouse_spec::{DataType, Error, Result};
use num_traits::AsPrimitive;

use super::fold::{Fold, booleans, primitive};
use super::overflow::{Overflow, decimal_overflow, integer_overflow, interval_overflow};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::{Call, Context, Registry};
use std::sync::Arc;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["sum"], |c| resolve(c, false));
    r.aggregate(&["try_sum"], |c| resolve(c, true));
}

/// What `sum` and `avg` take: numbers (strings as doubles) and the two ANSI intervals.
pub(super) fn number_or_interval(call: &Call) -> Result<DataType> {
    call.arity(1..=1)?;
    let given = call.types().swap_remove(0);
    match &given {
        DataType::YearMonthInterval { .. } | DataType::DayTimeInterval { .. } => Ok(given),
        t if t.is_numeric() => Ok(given),
        DataType::Null => Ok(DataType::Double),
        t if t.is_string() => Ok(DataType::Double),
        // Seconds since 1970.
        DataType::Timestamp => Ok(DataType::Double),
        _ => Err(call.unexpected_input(0, "\"NUMERIC\" or \"ANSI INTERVAL\"")),
    }
}

fn resolve(c: &AggregateCall, is_try: bool) -> Result<ResolvedAggregate> {
    let (call, context) = (&c.call, c.call.context);
    let given = number_or_interval(call)?;
    let overflow = match (is_try, context.ansi) {
        (true, _) => Overflow::Null,
        (false, true) => Overflow::Fail,
        (false, false) => Overflow::Wrap,
    };
    let name = call.name;
    let (coerced, returned, udf) = match given {
        DataType::Byte | DataType::Short | DataType::Integer | DataType::Long => {
            let t = DataType::Long;
            (t.clone(), t.clone(), integers::<Int64Type>(name, &t, &t, overflow, integer_overflow, context))
        }
        DataType::YearMonthInterval { .. } => {
            let overflow = if is_try { Overflow::Null } else { Overflow::Fail };
            let udf =
                integers::<IntervalYearMonthType>(name, &given, &given, overflow, interval_overflow, context);
            (given.clone(), given, udf)
        }
        DataType::DayTimeInterval { .. } => {
            let overflow = if is_try { Overflow::Null } else { Overflow::Fail };
            let udf = integers::<DurationMicrosecondType>(
                name,
                &given,
                &given,
                overflow,
                interval_overflow,
                context,
            );
            (given.clone(), given, udf)
        }
        DataType::Decimal { precision, scale } => {
            let returned = DataType::Decimal { precision: (precision + 10).min(38), scale };
            let fold = SumDecimal {
                total: returned.clone(),
                limit: limit_of(&returned),
                overflow: if overflow == Overflow::Wrap { Overflow::Null } else { overflow },
            };
            let udf =
                SparkAggregate::of_fold(name, std::slice::from_ref(&given), &returned, true, context, fold);
            (given, returned, udf)
        }
        _ => {
            let t = DataType::Double;
            (
                t.clone(),
                t.clone(),
                SparkAggregate::of_fold(name, std::slice::from_ref(&t), &t, true, context, SumDouble),
            )
        }
    };
    Ok(ResolvedAggregate::new(vec![coerced], returned, true, udf.with_parameters(overflow).build()))
}

/// The sum of integers, or of intervals counted in integers.
fn integers<T>(
    name: &str,
    coerced: &DataType,
    returned: &DataType,
    overflow: Overflow,
    error: fn() -> Error,
    context: &Context,
) -> SparkAggregate
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: AsPrimitive<i128>,
    i128: TryInto<T::Native> + AsPrimitive<T::Native>,
{
    let sliding = super::fold::one(
        WideSum::<T> { t: returned.clone(), overflow, error, of: std::marker::PhantomData },
        returned,
    );
    SparkAggregate::of_fold(
        name,
        std::slice::from_ref(coerced),
        returned,
        true,
        context,
        SumInteger::<T> { t: returned.clone(), overflow, error, of: std::marker::PhantomData },
    )
    .with_sliding(sliding)
}

pub(super) struct SumInteger<T> {
    pub t: DataType,
    pub overflow: Overflow,
    pub error: fn() -> Error,
    pub of: std::marker::PhantomData<fn() -> T>,
}

/// A sum and whether it left its type.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum<N> {
    pub sum: N,
    pub count: i64,
    pub overflowed: bool,
}

impl<T: ArrowPrimitiveType + Send + Sync> SumInteger<T> {
    fn add(&self, state: &mut Sum<T::Native>, value: T::Native) -> Result<()> {
        if self.overflow == Overflow::Wrap {
            state.sum = state.sum.add_wrapping(value);
        } else {
            match state.sum.add_checked(value) {
                Ok(sum) => state.sum = sum,
                Err(_) if self.overflow == Overflow::Null => state.overflowed = true,
                Err(_) => return Err((self.error)()),
            }
        }
        Ok(())
    }
}

impl<T: ArrowPrimitiveType + Send + Sync> Fold for SumInteger<T> {
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
        let has_nulls = values.null_count() > 0;
        let numbers = values.values();
        for (row, group) in rows {
            if has_nulls && values.is_null(row) {
                continue;
            }
            let state = &mut states[group];
            state.count += 1;
            self.add(state, numbers[row])?;
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.t.clone()), ("count", DataType::Long), ("overflow", DataType::Boolean)]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(vec![
            Arc::new(PrimitiveArray::<T>::from_iter_values(states.iter().map(|s| s.sum))),
            counts(states),
            overflows(states),
        ])
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
            let state = &mut states[group];
            state.count += counts.value(row);
            state.overflowed |= overflows.value(row);
            self.add(state, sums.value(row))?;
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        Ok(Arc::new(
            states
                .iter()
                .map(|s| (s.count > 0 && !s.overflowed).then_some(s.sum))
                .collect::<PrimitiveArray<T>>(),
        ))
    }
}

pub(super) fn counts<N>(states: &[Sum<N>]) -> ArrayRef {
    Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(states.iter().map(|s| s.count)))
}

pub(super) fn overflows<N>(states: &[Sum<N>]) -> ArrayRef {
    Arc::new(states.iter().map(|s| Some(s.overflowed)).collect::<BooleanArray>())
}

/// The sum over a sliding frame: wide enough that rows may enter before others leave.
struct WideSum<T> {
    t: DataType,
    overflow: Overflow,
    error: fn() -> Error,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T> Fold for WideSum<T>
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: AsPrimitive<i128>,
    i128: TryInto<T::Native> + AsPrimitive<T::Native>,
{
    type State = Sum<i128>;
    const RETRACTS: bool = true;

    fn start(&self) -> Self::State {
        Sum::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        _rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        for value in primitive::<T>(columns, 0)?.iter().flatten() {
            states[0].sum += value.as_();
            states[0].count += 1;
        }
        Ok(())
    }

    fn retract(&self, columns: &[ArrayRef], state: &mut Self::State) -> Result<()> {
        for value in primitive::<T>(columns, 0)?.iter().flatten() {
            state.sum -= value.as_();
            state.count -= 1;
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.t.clone())]
    }

    fn save(&self, _: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Err(Error::internal("a window frame has no partial state"))
    }

    fn merge(
        &self,
        _: &[ArrayRef],
        _: impl Iterator<Item = (usize, usize)>,
        _: &mut [Self::State],
    ) -> Result<()> {
        Err(Error::internal("a window frame has no partial state"))
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let state = states[0];
        let value = match (state.count > 0, state.sum.try_into().ok(), self.overflow) {
            (false, ..) => None,
            (true, Some(sum), _) => Some(sum),
            (true, None, Overflow::Wrap) => Some(state.sum.as_()),
            (true, None, Overflow::Null) => None,
            (true, None, Overflow::Fail) => return Err((self.error)()),
        };
        Ok(Arc::new([value].into_iter().collect::<PrimitiveArray<T>>()))
    }
}

/// Doubles are added one after the other, so that they round as in Spark.
struct SumDouble;

impl Fold for SumDouble {
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
        Ok(Arc::new(
            states.iter().map(|s| (s.count > 0).then_some(s.sum)).collect::<PrimitiveArray<Float64Type>>(),
        ))
    }
}

pub(super) fn add_doubles(
    columns: &[ArrayRef],
    rows: impl Iterator<Item = (usize, usize)>,
    states: &mut [Sum<f64>],
) -> Result<()> {
    let values = primitive::<Float64Type>(columns, 0)?;
    let has_nulls = values.null_count() > 0;
    let numbers = values.values();
    for (row, group) in rows {
        if !has_nulls || values.is_valid(row) {
            let state = &mut states[group];
            state.sum += numbers[row];
            state.count += 1;
        }
    }
    Ok(())
}

pub(super) fn save_doubles(states: &[Sum<f64>]) -> Vec<ArrayRef> {
    let sums = PrimitiveArray::<Float64Type>::from_iter_values(states.iter().map(|s| s.sum));
    vec![Arc::new(sums), counts(states)]
}

pub(super) fn merge_doubles(
    columns: &[ArrayRef],
    rows: impl Iterator<Item = (usize, usize)>,
    states: &mut [Sum<f64>],
) -> Result<()> {
    let (sums, counts) = (primitive::<Float64Type>(columns, 0)?, primitive::<Int64Type>(columns, 1)?);
    for (row, group) in rows {
        states[group].sum += sums.value(row);
        states[group].count += counts.value(row);
    }
    Ok(())
}

/// The sum of decimals, in a decimal of ten more digits.
pub(super) struct SumDecimal {
    pub total: DataType,
    /// The greatest unscaled value of `total`.
    pub limit: i128,
    pub overflow: Overflow,
}

/// The greatest unscaled value of a decimal type.
pub(super) fn limit_of(t: &DataType) -> i128 {
    match t {
        DataType::Decimal { precision, .. } => 10i128.pow(u32::from(*precision).min(38)) - 1,
        _ => i128::MAX,
    }
}

impl SumDecimal {
    fn add(&self, state: &mut Sum<i128>, value: i128) {
        match state.sum.checked_add(value) {
            Some(sum) if sum.unsigned_abs() <= self.limit.unsigned_abs() => state.sum = sum,
            _ => state.overflowed = true,
        }
    }

    pub fn add_all(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Sum<i128>],
    ) -> Result<()> {
        let values = primitive::<Decimal128Type>(columns, 0)?;
        let has_nulls = values.null_count() > 0;
        let numbers = values.values();
        for (row, group) in rows {
            if !has_nulls || values.is_valid(row) {
                let state = &mut states[group];
                state.count += 1;
                self.add(state, numbers[row]);
            }
        }
        Ok(())
    }

    pub fn saved_states(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.total.clone()), ("count", DataType::Long), ("overflow", DataType::Boolean)]
    }

    pub fn save_all(&self, states: &[Sum<i128>]) -> Vec<ArrayRef> {
        let sums = PrimitiveArray::<Decimal128Type>::from_iter_values(states.iter().map(|s| s.sum));
        vec![Arc::new(with_decimal_type(sums, &self.total)), counts(states), overflows(states)]
    }

    pub fn merge_all(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Sum<i128>],
    ) -> Result<()> {
        let (sums, counts) = (primitive::<Decimal128Type>(columns, 0)?, primitive::<Int64Type>(columns, 1)?);
        let overflows = booleans(columns, 2)?;
        for (row, group) in rows {
            let state = &mut states[group];
            state.count += counts.value(row);
            state.overflowed |= overflows.value(row);
            self.add(state, sums.value(row));
        }
        Ok(())
    }
}

/// Labels unscaled values with a decimal type.
pub(super) fn with_decimal_type(
    values: PrimitiveArray<Decimal128Type>,
    t: &DataType,
) -> PrimitiveArray<Decimal128Type> {
    values.with_data_type(boathouse_bridge::arrow_type(t))
}

impl Fold for SumDecimal {
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
        self.add_all(columns, rows, states)
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        self.saved_states()
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(self.save_all(states))
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.merge_all(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        if self.overflow == Overflow::Fail && states.iter().any(|s| s.overflowed) {
            return Err(decimal_overflow("try_sum"));
        }
        let sums = states.iter().map(|s| (s.count > 0 && !s.overflowed).then_some(s.sum));
        Ok(Arc::new(with_decimal_type(sums.collect(), &self.total)))
    }
}
