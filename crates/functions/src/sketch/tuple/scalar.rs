//! Functions on sketches: what they say, and sets of two.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use boathouse_spec::{DataType, Result};

use super::aggregate::Column;
use super::arguments::{DEFAULT_MODE, constant_mode, constant_size, invalid_buffer, mode_of, shown};
use super::sketch::{Sketch, Union};
use super::summary::{Mode, Number, Summary};
use crate::apply::{byte_rows, number_rows};
use crate::sketch::theta::{DEFAULT_LG_NOMINAL, Theta, invalid_buffer as invalid_theta, nominal_size};
use crate::{Call, Inputs, Registry, Resolved, Want};

/// The sum, least or greatest of the numbers of a sketch; whole numbers add up to a BIGINT.
pub(super) trait Total: Column {
    const TOTAL: DataType;

    fn totals(
        rows: usize,
        total: impl FnMut(usize) -> Result<Option<(Sketch<Self>, Mode)>>,
    ) -> Result<ArrayRef>;
}

impl Total for f64 {
    const TOTAL: DataType = DataType::Double;

    fn totals(
        rows: usize,
        mut total: impl FnMut(usize) -> Result<Option<(Sketch<Self>, Mode)>>,
    ) -> Result<ArrayRef> {
        let of = |(sketch, mode): (Sketch<Self>, Mode)| match mode {
            Mode::Sum => sketch.entries.iter().map(|(_, s)| s.value).sum(),
            Mode::AlwaysOne => sketch.entries.len() as f64,
            _ => extreme(&sketch, mode).unwrap_or(0.0),
        };
        Ok(Arc::new(number_rows::<Float64Type>(rows, |row| Ok(total(row)?.map(of)))?))
    }
}

impl Total for i32 {
    const TOTAL: DataType = DataType::Long;

    fn totals(
        rows: usize,
        mut total: impl FnMut(usize) -> Result<Option<(Sketch<Self>, Mode)>>,
    ) -> Result<ArrayRef> {
        let of = |(sketch, mode): (Sketch<Self>, Mode)| match mode {
            Mode::Sum => sketch.entries.iter().map(|(_, s)| i64::from(s.value)).sum(),
            Mode::AlwaysOne => sketch.entries.len() as i64,
            _ => i64::from(extreme(&sketch, mode).unwrap_or(0)),
        };
        Ok(Arc::new(number_rows::<Int64Type>(rows, |row| Ok(total(row)?.map(of)))?))
    }
}

fn extreme<N: Number>(sketch: &Sketch<N>, mode: Mode) -> Option<N> {
    sketch.entries.iter().map(|(_, s)| s.value).reduce(|a, b| a.combined(b, mode))
}

pub(super) fn register<N: Total>(r: &mut Registry) {
    let names = N::NAMES;
    r.scalar(&[names.estimate], |c| figure::<N>(c, Sketch::estimate));
    r.scalar(&[names.theta], |c| figure::<N>(c, Sketch::fraction));
    r.scalar(&[names.summary], summary::<N>);
    r.scalar(&[names.union], |c| union::<N>(c, parsed));
    r.scalar(&[names.union_theta], |c| union::<N>(c, of_theta));
    r.scalar(&[names.intersection], |c| intersection::<N>(c, parsed));
    r.scalar(&[names.intersection_theta], |c| intersection::<N>(c, of_theta));
    r.scalar(&[names.difference], |c| difference::<N>(c, parsed));
    r.scalar(&[names.difference_theta], |c| difference::<N>(c, of_theta));
}

/// The second sketch of an operation: one of the same kind, or a Theta sketch.
type Second<N> = fn(&[u8], Mode, &str) -> Result<Sketch<N>>;

fn parsed<N: Number>(bytes: &[u8], _: Mode, function: &str) -> Result<Sketch<N>> {
    Sketch::from_bytes(bytes).ok_or_else(|| invalid_buffer(function))
}

fn of_theta<N: Number>(bytes: &[u8], mode: Mode, function: &str) -> Result<Sketch<N>> {
    let theta = Theta::from_bytes(bytes).ok_or_else(|| invalid_theta(function))?;
    Ok(Sketch::of_theta(&theta, mode))
}

/// Sketches are of the type BINARY and cast from no other; what follows them is cast as usual.
fn coerced(call: &Call, sketches: usize, others: &[Want]) -> Result<Vec<DataType>> {
    let mut types = Vec::with_capacity(call.args.len());
    for (i, arg) in call.args.iter().enumerate() {
        types.push(match i.checked_sub(sketches).and_then(|n| others.get(n)) {
            Some(want) => crate::coercion::implicit_cast(&arg.data_type, want, call.context)
                .ok_or_else(|| call.unexpected_input(i, &want.sql()))?,
            None if matches!(arg.data_type, DataType::Binary | DataType::Null) => DataType::Binary,
            None => return Err(call.unexpected_input(i, "\"BINARY\"")),
        });
    }
    Ok(types)
}

fn figure<N: Total>(call: &Call, of: fn(&Sketch<N>) -> f64) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = coerced(call, 1, &[])?;
    let name = call.name.to_string();
    Ok(Resolved::new(coerced, DataType::Double, call.any_nullable(), move |inputs| {
        let sketches = inputs.bytes(0)?;
        let of = |bytes| Ok(of(&parsed(bytes, Mode::Sum, &name)?));
        Ok(Arc::new(number_rows::<Float64Type>(inputs.rows(), |row| sketches.get(row).map(of).transpose())?))
    }))
}

/// The mode of each row, from the argument `i` where there is one.
fn modes(inputs: &Inputs, i: usize, function: &str) -> Result<impl Fn(usize) -> Result<Option<Mode>>> {
    let texts = (inputs.len() > i).then(|| inputs.text(i)).transpose()?;
    let function = function.to_string();
    Ok(move |row: usize| match &texts {
        None => Ok(Some(Mode::Sum)),
        Some(texts) => texts.get(row).map(|text| mode_of(text, &function)).transpose(),
    })
}

/// What is wrong with constants is said before any row is read.
fn check(call: &Call, size: Option<usize>, mode: usize) -> Result<()> {
    let is_constant = |i: &usize| call.args.get(*i).is_some_and(|a| a.constant.is_some());
    if let Some(i) = size.filter(is_constant) {
        constant_size(call, i)?;
    }
    if is_constant(&mode) {
        constant_mode(call, mode)?;
    }
    Ok(())
}

fn summary<N: Total>(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let coerced = coerced(call, 1, &[Want::Str])?;
    check(call, None, 1)?;
    let name = call.name.to_string();
    let resolved = Resolved::new(coerced, N::TOTAL, call.any_nullable(), move |inputs| {
        let (sketches, modes) = (inputs.bytes(0)?, modes(inputs, 1, &name)?);
        N::totals(inputs.rows(), |row| {
            let (Some(bytes), Some(mode)) = (sketches.get(row), modes(row)?) else { return Ok(None) };
            Ok(Some((parsed(bytes, mode, &name)?, mode)))
        })
    });
    Ok(resolved.shown_with(shown(call.args.len(), &["", DEFAULT_MODE])))
}

fn union<N: Total>(call: &Call, second: Second<N>) -> Result<Resolved> {
    call.arity(2..=4)?;
    let coerced = coerced(call, 2, &[Want::INT, Want::Str])?;
    check(call, Some(2), 3)?;
    let (name, has_size) = (call.name.to_string(), call.args.len() > 2);
    let resolved = Resolved::new(coerced, DataType::Binary, call.any_nullable(), move |inputs| {
        let (left, right) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let sizes = has_size.then(|| inputs.numbers::<Int32Type>(2)).transpose()?;
        let modes = modes(inputs, 3, &name)?;
        byte_rows(inputs.rows(), |row, out| {
            let size = match &sizes {
                None => Some(DEFAULT_LG_NOMINAL),
                Some(sizes) => sizes.get(row).map(i64::from),
            };
            let (Some(a), Some(b), Some(size), Some(mode)) =
                (left.get(row), right.get(row), size, modes(row)?)
            else {
                return Ok(None);
            };
            let mut union = Union::new(nominal_size(size, &name)?, mode);
            union.add(&parsed::<N>(a, mode, &name)?);
            union.add(&second(b, mode, &name)?);
            out.extend(union.result().to_bytes());
            Ok(Some(()))
        })
    });
    Ok(resolved.shown_with(shown(call.args.len(), &["", "", "12", DEFAULT_MODE])))
}

fn intersection<N: Total>(call: &Call, second: Second<N>) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = coerced(call, 2, &[Want::Str])?;
    check(call, None, 2)?;
    let name = call.name.to_string();
    let resolved = Resolved::new(coerced, DataType::Binary, call.any_nullable(), move |inputs| {
        let (left, right, modes) = (inputs.bytes(0)?, inputs.bytes(1)?, modes(inputs, 2, &name)?);
        byte_rows(inputs.rows(), |row, out| {
            let (Some(a), Some(b), Some(mode)) = (left.get(row), right.get(row), modes(row)?) else {
                return Ok(None);
            };
            let both = parsed::<N>(a, mode, &name)?.intersected(&second(b, mode, &name)?, mode);
            out.extend(both.to_bytes());
            Ok(Some(()))
        })
    });
    Ok(resolved.shown_with(shown(call.args.len(), &["", "", DEFAULT_MODE])))
}

fn difference<N: Total>(call: &Call, second: Second<N>) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = coerced(call, 2, &[])?;
    let name = call.name.to_string();
    Ok(Resolved::new(coerced, DataType::Binary, call.any_nullable(), move |inputs| {
        let (left, right) = (inputs.bytes(0)?, inputs.bytes(1)?);
        byte_rows(inputs.rows(), |row, out| {
            let (Some(a), Some(b)) = (left.get(row), right.get(row)) else { return Ok(None) };
            let other: Sketch<N> = second(b, Mode::Sum, &name)?;
            let hashes = other.entries.iter().map(|(hash, _): &(u64, Summary<N>)| *hash);
            let rest = parsed::<N>(a, Mode::Sum, &name)?.without(hashes, other.theta);
            out.extend(rest.to_bytes());
            Ok(Some(()))
        })
    }))
}
