//! `min`, `max`.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{DataType as ArrowType, Float32Type, Float64Type};
use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Result};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::scalar::ScalarValue;
use num_traits::Float;

use super::fold::{Fold, array_of, column, primitive, scalar};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::Registry;
use crate::collation::{Collator, collator_of};
use crate::comparison::{Comparison, Key};
use crate::mismatch::check_orderable;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["max"], |c| resolve(c, Ordering::Greater));
    r.aggregate(&["min"], |c| resolve(c, Ordering::Less));
}

fn resolve(c: &AggregateCall, wanted: Ordering) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=1)?;
    let types = call.types();
    let t = &types[0];
    check_orderable(call, t)?;
    let (name, context) = (call.name, call.context);
    let udf = match arrow_type(t) {
        ArrowType::Float32 => {
            let fold = Extreme::<Float32Type> { t: t.clone(), wanted, of: std::marker::PhantomData };
            SparkAggregate::of_fold(name, &types, t, true, context, fold).with_parameters(wanted).build()
        }
        ArrowType::Float64 => {
            let fold = Extreme::<Float64Type> { t: t.clone(), wanted, of: std::marker::PhantomData };
            SparkAggregate::of_fold(name, &types, t, true, context, fold).with_parameters(wanted).build()
        }
        _ if collator_of(t)?.is_some() => {
            let fold = ExtremeBy::of(t, wanted)?;
            SparkAggregate::of_fold(name, &types, t, true, context, fold).with_parameters((wanted, t)).build()
        }
        ArrowType::Null | ArrowType::List(_) | ArrowType::Struct(_) => {
            let fold = ExtremeBy::of(t, wanted)?;
            SparkAggregate::of_fold(name, &types, t, true, context, fold).with_parameters(wanted).build()
        }
        // DataFusion's own orders these as Spark does, and answers from statistics where it can.
        _ if wanted == Ordering::Greater => max_udaf(),
        _ => min_udaf(),
    };
    Ok(ResolvedAggregate::new(types.clone(), t.clone(), true, udf).ignoring_distinct())
}

/// The smallest or greatest float: NaN is greatest.
struct Extreme<T> {
    t: DataType,
    wanted: Ordering,
    of: std::marker::PhantomData<fn() -> T>,
}

fn compare<F: Float>(a: F, b: F) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl<T> Fold for Extreme<T>
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: Float,
{
    type State = Option<T::Native>;

    fn start(&self) -> Self::State {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let values = primitive::<T>(columns, 0)?;
        for (row, group) in rows {
            if values.is_valid(row) {
                let value = values.value(row);
                if states[group].is_none_or(|best| compare(value, best) == self.wanted) {
                    states[group] = Some(value);
                }
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("best", self.t.clone())]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(states)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        Ok(Arc::new(states.iter().copied().collect::<PrimitiveArray<T>>()))
    }
}

/// The value at the smallest or greatest key, for keys of any type. Rows without key do not count.
pub(super) struct ExtremeBy {
    pub value: DataType,
    pub key: DataType,
    /// The column of the key: 0 where value and key are one.
    pub by: usize,
    pub wanted: Ordering,
    /// Of keys that are strings in a collation.
    pub collator: Option<Arc<Collator>>,
}

impl ExtremeBy {
    /// Of values that are their own keys.
    fn of(t: &DataType, wanted: Ordering) -> Result<Self> {
        Ok(Self { value: t.clone(), key: t.clone(), by: 0, wanted, collator: collator_of(t)? })
    }
}

#[derive(Clone)]
pub(super) struct Best {
    /// The key to compare.
    rank: Key,
    key: ScalarValue,
    value: ScalarValue,
}

impl Fold for ExtremeBy {
    type State = Option<Best>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Self::State {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let (values, keys) = (column(columns, 0)?, column(columns, self.by)?);
        let ranks = match self.collator.as_deref() {
            Some(collator) => Comparison::of(&crate::collation::keys(keys, Some(collator)))?,
            None => Comparison::of(keys)?,
        };
        let nulls = keys.logical_nulls();
        for (row, group) in rows {
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                continue;
            }
            let rank = ranks.row(row);
            // Of equal keys the last one wins, of values the first.
            let better = states[group].as_ref().is_none_or(|b| match rank.cmp(&b.rank.row()) {
                Ordering::Equal => self.by != 0,
                order => order == self.wanted,
            });
            if better {
                states[group] =
                    Some(Best { rank: rank.owned(), key: scalar(keys, row)?, value: scalar(values, row)? });
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        if self.by == 0 {
            return vec![("best", self.value.clone())];
        }
        vec![("value", self.value.clone()), ("key", self.key.clone())]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![self.finish(states)?];
        if self.by != 0 {
            let t = arrow_type(&self.key);
            let none = ScalarValue::try_from(&t).map_err(boathouse_bridge::from_datafusion)?;
            let keys = states.iter().map(|s| s.as_ref().map_or_else(|| none.clone(), |b| b.key.clone()));
            columns.push(array_of(keys, &t)?);
        }
        Ok(columns)
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let t = arrow_type(&self.value);
        let none = ScalarValue::try_from(&t).map_err(boathouse_bridge::from_datafusion)?;
        let values = states.iter().map(|s| s.as_ref().map_or_else(|| none.clone(), |b| b.value.clone()));
        array_of(values, &t)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, |b| b.rank.row().as_ref().len() + b.key.size() + b.value.size())
    }
}
