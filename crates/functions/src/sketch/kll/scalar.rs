//! Functions of a KLL sketch: its size, quantiles, ranks, text, and the merger of two.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Field, Float64Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use super::state::Kll;
use super::{Item, invalid_buffer};
use crate::apply::{Operand, byte_rows, number_rows, text_rows};
use crate::mismatch::not_constant;
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["kll_sketch_get_n_bigint"], count::<i64>);
    r.scalar(&["kll_sketch_get_n_float"], count::<f32>);
    r.scalar(&["kll_sketch_get_n_double"], count::<f64>);
    r.scalar(&["kll_sketch_to_string_bigint"], to_string::<i64>);
    r.scalar(&["kll_sketch_to_string_float"], to_string::<f32>);
    r.scalar(&["kll_sketch_to_string_double"], to_string::<f64>);
    r.scalar(&["kll_sketch_merge_bigint"], merge::<i64>);
    r.scalar(&["kll_sketch_merge_float"], merge::<f32>);
    r.scalar(&["kll_sketch_merge_double"], merge::<f64>);
    r.scalar(&["kll_sketch_get_quantile_bigint"], quantile::<i64>);
    r.scalar(&["kll_sketch_get_quantile_float"], quantile::<f32>);
    r.scalar(&["kll_sketch_get_quantile_double"], quantile::<f64>);
    r.scalar(&["kll_sketch_get_rank_bigint"], rank::<i64>);
    r.scalar(&["kll_sketch_get_rank_float"], rank::<f32>);
    r.scalar(&["kll_sketch_get_rank_double"], rank::<f64>);
}

fn parsed<T: Item>(bytes: &[u8], function: &str) -> Result<Kll<T>> {
    Kll::from_bytes(bytes).ok_or_else(|| invalid_buffer(function))
}

fn count<T: Item>(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let (nullable, name) = (call.nullable_as(&coerced), call.name.to_string());
    Ok(Resolved::new(coerced, DataType::Long, nullable, move |inputs| {
        let sketches = inputs.bytes(0)?;
        let n = |row| sketches.get(row).map(|b| Ok(parsed::<T>(b, &name)?.n as i64)).transpose();
        Ok(Arc::new(number_rows::<Int64Type>(inputs.rows(), n)?))
    }))
}

fn to_string<T: Item>(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let (nullable, name) = (call.nullable_as(&coerced), call.name.to_string());
    Ok(Resolved::new(coerced, DataType::STRING, nullable, move |inputs| {
        let sketches = inputs.bytes(0)?;
        text_rows(inputs.rows(), |row, out| {
            let Some(bytes) = sketches.get(row) else { return Ok(None) };
            out.push_str(&parsed::<T>(bytes, &name)?.summary());
            Ok(Some(()))
        })
    }))
}

fn merge<T: Item>(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::BINARY, Want::BINARY])?;
    let (nullable, name) = (call.nullable_as(&coerced), call.name.to_string());
    Ok(Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let (left, right) = (inputs.bytes(0)?, inputs.bytes(1)?);
        byte_rows(inputs.rows(), |row, out| {
            let (Some(a), Some(b)) = (left.get(row), right.get(row)) else { return Ok(None) };
            let mut whole = parsed::<T>(a, &name)?;
            whole.merge(&parsed::<T>(b, &name)?);
            out.extend(whole.to_bytes());
            Ok(Some(()))
        })
    }))
}

/// The second argument: one value or an array of them, a constant.
fn positions(call: &Call, element: DataType, name: &str) -> Result<Vec<DataType>> {
    call.arity(2..=2)?;
    let one = Want::Exact(element.clone());
    let several = Want::array_of(Want::Exact(element.clone()));
    let is_array = matches!(call.args[1].data_type, DataType::Array { .. });
    let coerced = call.want(&[Want::BINARY, if is_array { several } else { one }])?;
    if call.args[1].constant.is_none() {
        return Err(not_constant(call, 1, name, &element.sql()));
    }
    Ok(coerced)
}

fn quantile<T: Item>(call: &Call) -> Result<Resolved> {
    let coerced = positions(call, DataType::Double, "rank")?;
    let name = call.name.to_string();
    per_position::<Float64Type, T::Arrow>(call, coerced, T::data_type(), move |bytes, ranks| {
        // NaN passes, and counts as the lowest rank.
        if ranks.iter().any(|r| !r.is_nan() && !(0.0..=1.0).contains(r)) {
            return Err(Error::new("KLL_SKETCH_INVALID_QUANTILE_RANGE")
                .param("functionName", format!("`{name}`"))
                .message(format!("`{name}` takes ranks between 0.0 and 1.0 (inclusive).")));
        }
        parsed::<T>(bytes, &name)?.quantiles(ranks).ok_or_else(|| invalid_buffer(&name))
    })
}

fn rank<T: Item>(call: &Call) -> Result<Resolved> {
    let coerced = positions(call, T::data_type(), "quantile")?;
    let name = call.name.to_string();
    per_position::<T::Arrow, Float64Type>(call, coerced, DataType::Double, move |bytes, items| {
        parsed::<T>(bytes, &name)?.ranks(items).ok_or_else(|| invalid_buffer(&name))
    })
}

/// A function of a sketch and a position, or of an array of positions: then it gives an array.
fn per_position<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    call: &Call,
    coerced: Vec<DataType>,
    result: DataType,
    of: impl Fn(&[u8], &[I::Native]) -> Result<Vec<O::Native>> + Send + Sync + 'static,
) -> Result<Resolved> {
    let nullable = call.nullable_as(&coerced);
    let is_array = matches!(coerced[1], DataType::Array { .. });
    let return_type = if is_array { DataType::array(result.clone(), false) } else { result };
    Ok(Resolved::new(coerced, return_type, nullable, move |inputs| {
        let sketches = inputs.bytes(0)?;
        if !is_array {
            let at = inputs.numbers::<I>(1)?;
            let value = |row| match (sketches.get(row), at.get(row)) {
                (Some(bytes), Some(at)) => Ok(of(bytes, &[at])?.pop()),
                _ => Ok(None),
            };
            return Ok(Arc::new(number_rows::<O>(inputs.rows(), value)?));
        }
        array_rows::<I, O>(inputs, &sketches, &of)
    }))
}

fn array_rows<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    inputs: &Inputs,
    sketches: &Operand<arrow::array::BinaryArray>,
    of: &impl Fn(&[u8], &[I::Native]) -> Result<Vec<O::Native>>,
) -> Result<ArrayRef> {
    let lists = inputs.array(1)?;
    let lists = lists.as_list::<i32>();
    let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..inputs.rows() {
        let at = lists.is_valid(row).then(|| lists.value(row));
        let (Some(bytes), Some(at)) = (sketches.get(row), at) else {
            lengths.push(0);
            valid.push(false);
            continue;
        };
        // A NULL among the positions counts as 0, as it does in Spark.
        let at: Vec<I::Native> = at.as_primitive::<I>().iter().map(Option::unwrap_or_default).collect();
        let found = of(bytes, &at)?;
        lengths.push(found.len());
        valid.push(true);
        values.extend(found);
    }
    let field = Arc::new(Field::new("element", O::DATA_TYPE, false));
    let items: PrimitiveArray<O> = PrimitiveArray::from_iter_values(values);
    let list = ListArray::try_new(
        field,
        OffsetBuffer::from_lengths(lengths),
        Arc::new(items),
        Some(NullBuffer::from(valid)),
    );
    Ok(Arc::new(list.map_err(boathouse_bridge::from_arrow)?))
}
