//! `array_contains`, `array_position`, `arrays_overlap`, `map_contains_key`: is it in there, and where.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use boathouse_spec::{DataType, Error, Result};

use super::extract::map_mismatch;
use super::lists::{bounds, lists, map_bounds, maps};
use crate::coercion::{decimal_of, tightest_common_type};
use crate::comparison::Comparison;
use crate::mismatch::check_orderable;
use crate::{Call, Context, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["array_contains"], array_contains);
    r.scalar(&["array_position"], array_position);
    r.scalar(&["arrays_overlap"], arrays_overlap);
    r.scalar(&["map_contains_key"], map_contains_key);
}

/// DATATYPE_MISMATCH.ARRAY_FUNCTION_DIFF_TYPES and its kin: a collection and a value of another type.
pub(super) fn element_mismatch(call: &Call, class: &str, collection: &str, value: usize) -> Error {
    let sql = |i: usize| call.args.get(i).map(|a| a.data_type.sql()).unwrap_or_default();
    Error::new(format!("DATATYPE_MISMATCH.{class}"))
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("functionName", format!("`{}`", call.name))
        .param("dataType", format!("\"{collection}\""))
        .param("leftType", format!("\"{}\"", sql(0)))
        .param("rightType", format!("\"{}\"", sql(value)))
        .message(format!(
            "Cannot resolve \"{}\": a value of \"{}\" was expected, not \"{}\".",
            call.sql(),
            sql(0),
            sql(value)
        ))
}

pub(super) fn array_mismatch(call: &Call, value: usize) -> Error {
    element_mismatch(call, "ARRAY_FUNCTION_DIFF_TYPES", "ARRAY", value)
}

/// The common type of an array's elements and the argument `value`, and whether elements may be NULL.
pub(super) fn element_and_value(call: &Call, value: usize) -> Result<(DataType, bool)> {
    element_and(call, value, element_type)
}

/// [`element_and_value`] by another rule of what is common.
fn element_and(
    call: &Call,
    value: usize,
    common: fn(&DataType, &DataType, &Context) -> Option<DataType>,
) -> Result<(DataType, bool)> {
    let DataType::Array { element, contains_null } = &call.args[0].data_type else {
        return Err(call.unexpected_input(0, "\"ARRAY\""));
    };
    let common = common(element, &call.args[value].data_type, call.context)
        .ok_or_else(|| array_mismatch(call, value))?;
    Ok((common, *contains_null))
}

/// The type that an array's elements and another one share: that of one of both where they are numbers, also under ANSI
/// (Spark's `TypeCoercion.findTightestCommonType`).
pub(super) fn element_type(element: &DataType, value: &DataType, context: &Context) -> Option<DataType> {
    let plain = Context { ansi: false, ..context.clone() };
    let common = tightest_common_type(element, value, &plain)?;
    let is_one_of_both = common.same_type(element) || common.same_type(value);
    let has_decimal = [element, value].iter().any(|t| matches!(t, DataType::Decimal { .. }));
    let keeps_decimal = !has_decimal || matches!(common, DataType::Decimal { .. });
    (!common.is_numeric() || (is_one_of_both && keeps_decimal)).then_some(common)
}

fn refuse_null(call: &Call) -> Result<()> {
    if call.args.iter().all(|a| a.data_type != DataType::Null) {
        return Ok(());
    }
    Err(Error::new("DATATYPE_MISMATCH.NULL_TYPE")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("functionName", format!("`{}`", call.name))
        .message(format!("Cannot resolve \"{}\": `{}` takes no bare NULL.", call.sql(), call.name)))
}

fn array_contains(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    refuse_null(call)?;
    // Unlike the others, also a type that holds both (Spark's `ArrayContains.inputTypes`).
    let (element, contains_null) = element_and(call, 1, tightest_common_type)?;
    check_orderable(call, &element)?;
    let nullable = call.any_nullable() || contains_null;
    let coerced = vec![DataType::array(element.clone(), contains_null), element.clone()];
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        let value = inputs.array(1)?;
        let (elements, wanted) = Comparison::of_both_values(list.values(), &value, &element)?;
        let element_nulls = list.values().logical_nulls();
        let value_nulls = value.logical_nulls();
        let found: BooleanArray = (0..list.len())
            .map(|row| {
                if value_nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                    return None;
                }
                let wanted = wanted.row(row);
                let mut range = bounds(&list, row)?;
                let nulls = element_nulls.as_ref();
                // A NULL never equals the wanted value: its key is another.
                if range.clone().any(|i| elements.row(i) == wanted) {
                    return Some(true);
                }
                let has_null = range.any(|i| nulls.is_some_and(|n| n.is_null(i)));
                (!has_null).then_some(false)
            })
            .collect();
        Ok(Arc::new(found))
    }))
}

fn array_position(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    if !matches!(call.args[0].data_type, DataType::Array { .. }) {
        refuse_null(call)?;
    }
    let (element, contains_null) = element_and_value(call, 1)?;
    check_orderable(call, &element)?;
    let coerced = vec![DataType::array(element.clone(), contains_null), element.clone()];
    Ok(Resolved::new(coerced, DataType::Long, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let value = inputs.array(1)?;
        let (elements, wanted) = Comparison::of_both_values(list.values(), &value, &element)?;
        let value_nulls = value.logical_nulls();
        let found: Int64Array = (0..list.len())
            .map(|row| {
                if value_nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                    return None;
                }
                let wanted = wanted.row(row);
                let place = bounds(&list, row)?.position(|i| elements.row(i) == wanted);
                Some(place.map_or(0, |p| p as i64 + 1))
            })
            .collect();
        Ok(Arc::new(found))
    }))
}

/// DATATYPE_MISMATCH.BINARY_ARRAY_DIFF_TYPES unless both are arrays of one element type, which it returns as the two
/// arrays are cast to.
pub(super) fn two_arrays(call: &Call) -> Result<(DataType, bool, bool)> {
    call.arity(2..=2)?;
    let (a, b) = (&call.args[0].data_type, &call.args[1].data_type);
    if let (
        DataType::Array { element: x, contains_null: m },
        DataType::Array { element: y, contains_null: n },
    ) = (a, b)
        && let Some(element) = common_element(x, y, call)
    {
        return Ok((element, *m, *n));
    }
    Err(Error::new("DATATYPE_MISMATCH.BINARY_ARRAY_DIFF_TYPES")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("functionName", format!("`{}`", call.name))
        .param("arrayType", "\"ARRAY\"")
        .param("leftType", format!("\"{}\"", a.sql()))
        .param("rightType", format!("\"{}\"", b.sql()))
        .message(format!(
            "Cannot resolve \"{}\": two arrays of one element type were expected, not \"{}\" and \"{}\".",
            call.sql(),
            a.sql(),
            b.sql()
        )))
}

/// The type of the elements of two arrays: of decimals only one that has room for the other (Spark's `findTightestCommonType`).
fn common_element(a: &DataType, b: &DataType, call: &Call) -> Option<DataType> {
    let wider = |decimal: &DataType, other: &DataType| match (decimal, decimal_of(other)) {
        (DataType::Decimal { precision: p, scale: s }, DataType::Decimal { precision: q, scale: t }) => {
            p - s >= q - t && *s >= t
        }
        _ => false,
    };
    match (a, b) {
        (x, y) if x == y => Some(x.clone()),
        (DataType::Decimal { .. }, y) if y.is_integral() => wider(a, y).then(|| a.clone()),
        (x, DataType::Decimal { .. }) if x.is_integral() => wider(b, x).then(|| b.clone()),
        (DataType::Decimal { .. }, y) | (y, DataType::Decimal { .. }) if y.is_numeric() => None,
        (x, y) => tightest_common_type(x, y, call.context),
    }
}

fn arrays_overlap(call: &Call) -> Result<Resolved> {
    let (element, left_null, right_null) = two_arrays(call)?;
    check_orderable(call, &element)?;
    let nullable = call.any_nullable() || left_null || right_null;
    let coerced =
        vec![DataType::array(element.clone(), left_null), DataType::array(element.clone(), right_null)];
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs| {
        let (left, right) = (lists(inputs, 0)?, lists(inputs, 1)?);
        let (left_keys, right_keys) = Comparison::of_both_values(left.values(), right.values(), &element)?;
        let (left_nulls, right_nulls) = (left.values().logical_nulls(), right.values().logical_nulls());
        let valid = |nulls: &Option<arrow::buffer::NullBuffer>, i: usize| {
            nulls.as_ref().is_none_or(|n| n.is_valid(i))
        };
        let out: BooleanArray = (0..left.len())
            .map(|row| {
                let (a, b): (Range<usize>, Range<usize>) = (bounds(&left, row)?, bounds(&right, row)?);
                let ours: HashSet<&[u8]> =
                    a.clone().filter(|i| valid(&left_nulls, *i)).map(|i| left_keys.row(i).data()).collect();
                let overlap =
                    b.clone().any(|i| valid(&right_nulls, i) && ours.contains(right_keys.row(i).data()));
                if overlap {
                    return Some(true);
                }
                let unsure = !a.is_empty()
                    && !b.is_empty()
                    && (a.clone().any(|i| !valid(&left_nulls, i))
                        || b.clone().any(|i| !valid(&right_nulls, i)));
                (!unsure).then_some(false)
            })
            .collect();
        Ok(Arc::new(out))
    }))
}

/// Keys of maps are looked up in their own collation only.
pub(super) fn same_collation(key: &DataType, given: &DataType) -> bool {
    key == given || !key.is_string() || !given.is_string()
}

fn map_contains_key(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    if call.args[1].data_type == DataType::Null {
        refuse_null(call)?;
    }
    let DataType::Map { key, value, value_contains_null } = &call.args[0].data_type else {
        return Err(map_mismatch(call));
    };
    let given = &call.args[1].data_type;
    let common = tightest_common_type(key, given, call.context)
        .filter(|_| same_collation(key, given))
        .ok_or_else(|| map_mismatch(call))?;
    check_orderable(call, &common)?;
    let map = DataType::map(common.clone(), value.as_ref().clone(), *value_contains_null);
    // Spark makes it `array_contains(map_keys(m), k)`, whose keys it takes for nullable.
    Ok(Resolved::new(vec![map, common.clone()], DataType::Boolean, true, move |inputs| {
        let map = maps(inputs, 0)?;
        let wanted = inputs.array(1)?;
        let (keys, wanted_keys) = Comparison::of_both_values(map.keys(), &wanted, &common)?;
        let nulls = wanted.logical_nulls();
        let out: BooleanArray = (0..map.len())
            .map(|row| {
                if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                    return None;
                }
                let wanted = wanted_keys.row(row);
                Some(map_bounds(&map, row)?.any(|i| keys.row(i) == wanted))
            })
            .collect();
        Ok(Arc::new(out) as ArrayRef)
    }))
}
