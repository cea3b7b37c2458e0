//! `map_filter`, `transform_keys`, `transform_values`, `map_zip_with`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MapArray, UInt32Array, new_null_array};
use boathouse_spec::{DataType, Error, Result};

use super::elements::Elements;
use super::filter::{answers, check_condition};
use super::{
    HigherOrder, LambdaArg, LambdaBody, LambdaParameter, check_arity, check_shape, only, sql_with_lambdas,
};
use crate::coercion::tightest_common_type;
use crate::collection::{MapMaker, Picker, map_of, map_type_check, maps};
use crate::comparison::Comparison;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.higher_order(&["map_filter"], HigherOrder { parameters: entry, resolve: map_filter });
    r.higher_order(&["transform_keys"], HigherOrder { parameters: entry, resolve: transform_keys });
    r.higher_order(&["transform_values"], HigherOrder { parameters: entry, resolve: transform_values });
    r.higher_order(&["map_zip_with"], HigherOrder { parameters: zipped, resolve: map_zip_with });
}

/// Key type, value type and whether values may be NULL, of the map argument `i`.
fn map_parts<'a>(call: &'a Call, i: usize) -> Result<(&'a DataType, &'a DataType, bool)> {
    match call.args.get(i).map(|a| &a.data_type) {
        Some(DataType::Map { key, value, value_contains_null }) => Ok((key, value, *value_contains_null)),
        _ => Err(call.unexpected_input(i, "\"MAP\"")),
    }
}

fn entry(call: &Call, args: &[LambdaArg], _: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 1, 1..=1)?;
    let (key, value, value_nullable) = map_parts(call, 0)?;
    check_arity(args, &[2])?;
    Ok(vec![vec![
        LambdaParameter::new(key.clone(), false),
        LambdaParameter::new(value.clone(), value_nullable),
    ]])
}

fn map_filter(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    check_condition(call, args, 1, &body)?;
    let returned = call.args[0].data_type.clone();
    let t = returned.clone();
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let map = maps(inputs, 0)?;
        let entries = Elements::of_map(&map)?;
        let kept = answers(body.call(inputs, 1, &entries.columns, &entries.rows)?)?;
        let mut picker = Picker::with_capacity(map.len());
        for (row, w) in entries.offsets.windows(2).enumerate() {
            if map.is_null(row) {
                picker.null_row()?;
                continue;
            }
            (w[0] as usize..w[1] as usize)
                .filter(|i| kept.is_valid(*i) && kept.value(*i))
                .for_each(|i| picker.pick(0, i));
            picker.row()?;
        }
        let (keys, values) = (picker.values(&[&entries.columns[0]])?, picker.values(&[&entries.columns[1]])?);
        map_of(&t, picker.offsets(), keys, values, picker.nulls())
    }))
}

fn transform_keys(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    let (_, value, value_nullable) = map_parts(call, 0)?;
    map_type_check(call, &body.data_type).map_err(|e| {
        // The message names the whole call.
        Error::new(e.class())
            .param("sqlExpr", format!("\"{}\"", sql_with_lambdas(call, args)))
            .param("keyType", format!("\"{}\"", body.data_type.sql()))
            .message(e.text())
    })?;
    let returned = DataType::map(body.data_type.clone(), value.clone(), value_nullable);
    let maker = MapMaker::new(&returned, call.context)?;
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let entries = Elements::of_map(&maps(inputs, 0)?)?;
        let keys = body.call(inputs, 1, &entries.columns, &entries.rows)?;
        maker.make(entries.offsets, keys, Arc::clone(&entries.columns[1]), entries.nulls)
    }))
}

fn transform_values(call: &Call, _: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    let (key, ..) = map_parts(call, 0)?;
    let returned = DataType::map(key.clone(), body.data_type.clone(), body.nullable);
    let t = returned.clone();
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let entries = Elements::of_map(&maps(inputs, 0)?)?;
        let values = body.call(inputs, 1, &entries.columns, &entries.rows)?;
        map_of(&t, entries.offsets, Arc::clone(&entries.columns[0]), values, entries.nulls)
    }))
}

fn common_key(call: &Call, args: &[LambdaArg]) -> Result<DataType> {
    let ((left, ..), (right, ..)) = (map_parts(call, 0)?, map_parts(call, 1)?);
    tightest_common_type(left, right, call.context).ok_or_else(|| {
        Error::new("DATATYPE_MISMATCH.MAP_ZIP_WITH_DIFF_TYPES")
            .param("sqlExpr", format!("\"{}\"", sql_with_lambdas(call, args)))
            .param("functionName", format!("`{}`", call.name))
            .param("leftType", format!("\"{}\"", left.sql()))
            .param("rightType", format!("\"{}\"", right.sql()))
            .message(format!(
                "Cannot resolve \"{}\": the keys of the maps have the types \"{}\" and \"{}\".",
                sql_with_lambdas(call, args),
                left.sql(),
                right.sql()
            ))
    })
}

fn zipped(call: &Call, args: &[LambdaArg], _: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 2, 1..=1)?;
    let key = common_key(call, args)?;
    check_arity(args, &[3])?;
    // A key may be in one of the maps only.
    Ok(vec![vec![
        LambdaParameter::new(key, false),
        LambdaParameter::new(map_parts(call, 0)?.1.clone(), true),
        LambdaParameter::new(map_parts(call, 1)?.1.clone(), true),
    ]])
}

fn map_zip_with(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    let key = common_key(call, args)?;
    let coerced = (0..2)
        .map(|i| {
            map_parts(call, i).map(|(_, value, nullable)| DataType::map(key.clone(), value.clone(), nullable))
        })
        .collect::<Result<Vec<_>>>()?;
    let returned = DataType::map(key.clone(), body.data_type.clone(), body.nullable);
    let t = returned.clone();
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let (left, right) = (maps(inputs, 0)?, maps(inputs, 1)?);
        let (left_keys, right_keys) = Comparison::of_both_values(left.keys(), right.keys(), &key)?;
        // Sources: the first map (0), the second (1), NULL (2).
        let mut keys = Picker::with_capacity(left.len());
        let mut values = [Picker::with_capacity(0), Picker::with_capacity(0)];
        let mut rows = Vec::new();
        for row in 0..left.len() {
            if left.is_null(row) || right.is_null(row) {
                keys.null_row()?;
                continue;
            }
            let range =
                |map: &MapArray| map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
            let mut others: HashMap<&[u8], usize> = HashMap::new();
            for i in range(&right) {
                others.entry(right_keys.row(i).data()).or_insert(i);
            }
            for i in range(&left) {
                keys.pick(0, i);
                values[0].pick(0, i);
                match others.remove(left_keys.row(i).data()) {
                    Some(other) => values[1].pick(0, other),
                    None => values[1].pick(1, 0),
                }
                rows.push(row as u32);
            }
            for i in range(&right).filter(|i| others.get(right_keys.row(*i).data()) == Some(i)) {
                keys.pick(1, i);
                values[0].pick(1, 0);
                values[1].pick(0, i);
                rows.push(row as u32);
            }
            keys.row()?;
        }
        let value_column = |picker: &Picker, map: &MapArray| -> Result<ArrayRef> {
            let none = new_null_array(map.values().data_type(), 1);
            picker.values(&[map.values(), &none])
        };
        let key_column = keys.values(&[left.keys(), right.keys()])?;
        let parameters =
            [Arc::clone(&key_column), value_column(&values[0], &left)?, value_column(&values[1], &right)?];
        let out = body.call(inputs, 2, &parameters, &UInt32Array::from(rows))?;
        map_of(&t, keys.offsets(), key_column, out, keys.nulls())
    }))
}
