//! `tuple_sketch_agg_*(key, summary, lgNomEntries, mode)`, `tuple_union_agg_*(sketch, lgNomEntries, mode)`,
//! `tuple_intersection_agg_*(sketch, mode)`.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int32Type, Int64Type};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::arguments::{DEFAULT_MODE, constant_mode, constant_size, invalid_buffer, shown, size_type};
use super::sketch::{Sketch, Union};
use super::summary::{Mode, Number, Summary};
use super::table::Table;
use crate::aggregate::fold::{Fold, column};
use crate::coercion::implicit_cast;
use crate::collation::{Collator, collator_of};
use crate::sketch::data_sketch_hash::{SEED, hash_bytes, hash_long};
use crate::sketch::theta::{ALL, list_bytes};
use crate::{AggregateCall, Registry, ResolvedAggregate, SparkAggregate, Want};

/// Numbers as columns have them.
pub(super) trait Column: Number {
    const WANT: Want;

    fn at(column: &ArrayRef, row: usize) -> Self;
}

impl Column for f64 {
    const WANT: Want = Want::DOUBLE;

    fn at(column: &ArrayRef, row: usize) -> Self {
        column.as_primitive::<Float64Type>().value(row)
    }
}

impl Column for i32 {
    const WANT: Want = Want::INT;

    fn at(column: &ArrayRef, row: usize) -> Self {
        column.as_primitive::<Int32Type>().value(row)
    }
}

pub(super) fn register<N: Column>(r: &mut Registry) {
    r.aggregate(&[N::NAMES.sketch_agg], sketch_agg::<N>);
    r.aggregate(&[N::NAMES.union_agg], |c| combine::<N>(c, How::Union));
    r.aggregate(&[N::NAMES.intersection_agg], |c| combine::<N>(c, How::Intersection));
}

/// What keys are cast to, so that they have a hash.
fn key_type(t: &DataType) -> DataType {
    match t {
        DataType::Integer | DataType::Long | DataType::Null => DataType::Long,
        t if t.is_numeric() => DataType::Double,
        DataType::Binary => DataType::Binary,
        DataType::String { .. } => t.clone(),
        DataType::Array { element, .. } if matches!(**element, DataType::Integer | DataType::Long) => {
            t.clone()
        }
        _ => DataType::STRING,
    }
}

fn sketch_agg<N: Column>(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(2..=4)?;
    let given = &call.args[0].data_type;
    if !given.is_atomic() && !matches!(given, DataType::Null | DataType::Array { .. }) {
        return Err(call.unexpected_input(
            0,
            "(\"ARRAY<INT>\" or \"ARRAY<BIGINT>\" or \"BINARY\" or \"DOUBLE\" or \"FLOAT\" or \"INT\" or \"BIGINT\" or \"STRING\")",
        ));
    }
    let key = key_type(given);
    let number = implicit_cast(&call.args[1].data_type, &N::WANT, call.context)
        .ok_or_else(|| call.unexpected_input(1, &N::WANT.sql()))?;
    let (lg, mode) = (constant_size(call, 2)?, constant_mode(call, 3)?);
    let mut coerced = vec![key.clone(), number, size_type(), DataType::STRING];
    coerced.truncate(call.args.len());
    let fold = Values::<N> { lg, mode, collator: collator_of(&key)?, number: PhantomData };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters((lg, mode.code()))
        .with_empty(ScalarValue::Binary(Some(Sketch::<N>::empty().to_bytes())));
    let resolved = ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build());
    Ok(resolved.shown_with(shown(call.args.len(), &["", "", "12", DEFAULT_MODE])))
}

struct Values<N> {
    lg: u8,
    mode: Mode,
    collator: Option<Arc<Collator>>,
    number: PhantomData<N>,
}

/// The hashes of keys; `None` for those that have none.
fn hashes(keys: &ArrayRef, collator: Option<&Arc<Collator>>) -> Result<Vec<Option<u64>>> {
    let of_bytes = |bytes: &[u8]| (!bytes.is_empty()).then(|| hash_bytes(bytes, SEED).0 >> 1);
    let of_long = |value: i64| hash_long(value, SEED).0 >> 1;
    let valid = |row: usize| keys.is_valid(row);
    Ok(match keys.data_type() {
        ArrowType::Int64 => keys.as_primitive::<Int64Type>().iter().map(|k| k.map(of_long)).collect(),
        ArrowType::Float64 => {
            // One zero, one NaN.
            let whole = |k: f64| if k.is_nan() { f64::NAN } else { k + 0.0 };
            let numbers = keys.as_primitive::<Float64Type>();
            numbers.iter().map(|k| k.map(|k| of_long(whole(k).to_bits() as i64))).collect()
        }
        ArrowType::List(_) => {
            let lists = keys.as_list::<i32>();
            let of = |row: usize| match valid(row) {
                true => list_bytes(&lists.value(row)).map(|bytes| of_bytes(&bytes)),
                false => Ok(None),
            };
            (0..keys.len()).map(of).collect::<Result<_>>()?
        }
        _ => {
            let bytes = match (collator, keys.data_type()) {
                (Some(collator), ArrowType::Utf8) => crate::collation::keys(keys, Some(collator)),
                _ => cast(keys, &ArrowType::Binary).spark()?,
            };
            let bytes = bytes.as_binary::<i32>();
            (0..keys.len()).map(|row| valid(row).then(|| of_bytes(bytes.value(row))).flatten()).collect()
        }
    })
}

/// Rows in a table, or sketches of rows that are united.
#[derive(Clone)]
enum State<N> {
    Rows(Table<N>),
    United(Union<N>),
}

impl<N: Column> Values<N> {
    /// As Spark ends: what one task has seen goes through a union.
    fn result(&self, state: &State<N>) -> Sketch<N> {
        match state {
            State::United(union) => union.result(),
            State::Rows(table) => {
                let mut union = Union::new(self.lg, self.mode);
                union.add(&trimmed(table));
                union.result()
            }
        }
    }
}

fn trimmed<N: Number>(table: &Table<N>) -> Sketch<N> {
    let mut table = table.clone();
    table.trim();
    table.compact(ALL)
}

impl<N: Column> Fold for Values<N> {
    type State = State<N>;
    const ON_HEAP: bool = true;

    fn start(&self) -> State<N> {
        State::Rows(Table::new(self.lg))
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [State<N>],
    ) -> Result<()> {
        let hashes = hashes(column(columns, 0)?, self.collator.as_ref())?;
        let numbers = column(columns, 1)?;
        for (row, group) in rows {
            let (Some(hash), true) = (hashes[row], numbers.is_valid(row)) else { continue };
            let (start, number) = (Summary::start(self.mode), N::at(numbers, row));
            match &mut states[group] {
                State::Rows(table) => table.update(hash, start, number),
                State::United(union) => union.update(hash, start, number),
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[State<N>]) -> Result<Vec<ArrayRef>> {
        let saved = states.iter().map(|state| match state {
            State::Rows(table) => trimmed(table).to_bytes(),
            State::United(union) => union.result().to_bytes(),
        });
        Ok(vec![Arc::new(BinaryArray::from_iter_values(saved))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [State<N>],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows.filter(|(row, _)| saved.is_valid(*row)) {
            let other = Sketch::from_bytes(saved.value(row))
                .ok_or_else(|| Error::internal("a broken tuple sketch"))?;
            if let State::Rows(table) = &states[group] {
                let mut union = Union::new(self.lg, self.mode);
                union.add(&trimmed(table));
                states[group] = State::United(union);
            }
            if let State::United(union) = &mut states[group] {
                union.add(&other);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[State<N>]) -> Result<ArrayRef> {
        let finished = states.iter().map(|state| self.result(state).to_bytes());
        Ok(Arc::new(BinaryArray::from_iter_values(finished)))
    }

    fn bytes(&self, state: &State<N>) -> usize {
        match state {
            State::Rows(table) => table.bytes(),
            State::United(union) => union.bytes(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Union,
    Intersection,
}

fn combine<N: Column>(c: &AggregateCall, how: How) -> Result<ResolvedAggregate> {
    let call = &c.call;
    let is_union = how == How::Union;
    call.arity(if is_union { 1..=3 } else { 1..=2 })?;
    if !matches!(call.args[0].data_type, DataType::Binary | DataType::Null) {
        return Err(call.unexpected_input(0, "\"BINARY\""));
    }
    let mut coerced = vec![DataType::Binary];
    let defaults: &[&str] = if is_union { &["", "12", DEFAULT_MODE] } else { &["", DEFAULT_MODE] };
    if is_union {
        coerced.push(size_type());
    }
    let lg = constant_size(call, if is_union { 1 } else { usize::MAX })?;
    let mode = constant_mode(call, if is_union { 2 } else { 1 })?;
    coerced.push(DataType::STRING);
    coerced.truncate(call.args.len());
    let fold = Sketches::<N> { lg, mode, how, function: call.name.to_string(), number: PhantomData };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters((lg, mode.code(), how))
        .with_empty(ScalarValue::Binary(Some(Sketch::<N>::empty().to_bytes())));
    let resolved = ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build());
    Ok(resolved.shown_with(shown(call.args.len(), defaults)))
}

struct Sketches<N> {
    lg: u8,
    mode: Mode,
    how: How,
    function: String,
    number: PhantomData<N>,
}

/// The sketches so far.
#[derive(Clone)]
enum Combined<N> {
    None,
    Union(Union<N>),
    Intersection(Sketch<N>),
}

impl<N: Column> Sketches<N> {
    fn add(&self, state: &mut Combined<N>, other: Sketch<N>) {
        *state = match (std::mem::replace(state, Combined::None), self.how) {
            (Combined::Intersection(known), _) => {
                Combined::Intersection(known.intersected(&other, self.mode))
            }
            (Combined::Union(mut union), _) => {
                union.add(&other);
                Combined::Union(union)
            }
            (Combined::None, How::Intersection) => Combined::Intersection(other),
            (Combined::None, How::Union) => {
                let mut union = Union::new(self.lg, self.mode);
                union.add(&other);
                Combined::Union(union)
            }
        };
    }
}

impl<N: Number> Combined<N> {
    fn result(&self) -> Option<Sketch<N>> {
        match self {
            Self::None => None,
            Self::Union(union) => Some(union.result()),
            Self::Intersection(sketch) => Some(sketch.clone()),
        }
    }
}

impl<N: Column> Fold for Sketches<N> {
    type State = Combined<N>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Combined<N> {
        Combined::None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Combined<N>],
    ) -> Result<()> {
        let sketches = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows.filter(|(row, _)| sketches.is_valid(*row)) {
            let other =
                Sketch::from_bytes(sketches.value(row)).ok_or_else(|| invalid_buffer(&self.function))?;
            self.add(&mut states[group], other);
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Combined<N>]) -> Result<Vec<ArrayRef>> {
        let saved = states.iter().map(|s| s.result().map(|sketch| sketch.to_bytes()));
        Ok(vec![Arc::new(saved.collect::<BinaryArray>())])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Combined<N>],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Combined<N>]) -> Result<ArrayRef> {
        let finished = states.iter().map(|s| s.result().unwrap_or_else(Sketch::empty).to_bytes());
        Ok(Arc::new(BinaryArray::from_iter_values(finished)))
    }

    fn bytes(&self, state: &Combined<N>) -> usize {
        match state {
            Combined::None => 0,
            Combined::Union(union) => union.bytes(),
            Combined::Intersection(sketch) => sketch.bytes(),
        }
    }
}
