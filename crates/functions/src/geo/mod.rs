//! Functions on GEOMETRY and GEOGRAPHY: points, lines and areas with the number of their spatial reference system (SRID).
//!
//! A value is the number and the value as well-known binary (`wkb.rs`), little-endian, which is its form in results, too.

mod wkb;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int32Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType as ArrowType, Int32Type};
use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Error, Result, check_srid, geospatial_disabled};
use datafusion::scalar::ScalarValue;

use crate::apply::byte_rows;
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};
use wkb::Endianness;

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["st_asbinary"], |call| enabled(call, as_binary));
    r.scalar(&["st_geogfromwkb"], |call| enabled(call, geography_from_wkb));
    r.scalar(&["st_geomfromwkb"], |call| enabled(call, geometry_from_wkb));
    r.scalar(&["st_setsrid"], |call| enabled(call, set_srid));
    r.scalar(&["st_srid"], |call| enabled(call, srid));
}

fn enabled(call: &Call, resolve: fn(&Call) -> Result<Resolved>) -> Result<Resolved> {
    if call.context.geospatial { resolve(call) } else { Err(geospatial_disabled()) }
}

/// The system of geographies that say no other.
const WGS_84: i32 = 4326;

const SPATIAL: &str = "(\"GEOGRAPHY\" or \"GEOMETRY\")";

/// The type of the first argument, which is spatial or NULL.
fn spatial(call: &Call) -> Result<DataType> {
    match call.args.first().map(|a| &a.data_type) {
        Some(t @ (DataType::Geometry { .. } | DataType::Geography { .. })) => Ok(t.clone()),
        Some(DataType::Null) => Ok(DataType::Geography { srid: None }),
        _ => Err(call.unexpected_input(0, SPATIAL)),
    }
}

fn wanted(call: &Call, wanted: &[Want]) -> Result<Vec<DataType>> {
    let first = spatial(call)?;
    let mut coerced = vec![first];
    for (i, want) in wanted.iter().enumerate().take(call.args.len().saturating_sub(1)) {
        let from = &call.args[i + 1].data_type;
        let to = crate::coercion::implicit_cast(from, want, call.context);
        coerced.push(to.ok_or_else(|| call.unexpected_input(i + 1, &want.sql()))?);
    }
    Ok(coerced)
}

/// The parts of an array of spatial values.
struct Values {
    array: StructArray,
    srids: Int32Array,
    wkb: BinaryArray,
}

impl Values {
    fn of(inputs: &Inputs, i: usize) -> Result<Self> {
        let array = inputs.array(i)?;
        if *array.data_type() == ArrowType::Null {
            let nulls =
                arrow::array::new_null_array(&arrow_type(&DataType::Geometry { srid: None }), array.len());
            return Self::of_array(&nulls);
        }
        Self::of_array(&array)
    }

    fn of_array(array: &ArrayRef) -> Result<Self> {
        let parts = array.as_struct_opt().filter(|s| s.num_columns() == 2);
        let found = parts.and_then(|s| {
            let srids = s.column(0).as_primitive_opt::<Int32Type>()?.clone();
            let wkb = s.column(1).as_binary_opt::<i32>()?.clone();
            Some(Self { array: s.clone(), srids, wkb })
        });
        found.ok_or_else(|| Error::internal("spatial values of another form"))
    }
}

/// Spatial values of their parts, NULL where one is.
fn values(t: &DataType, srids: Int32Array, wkb: BinaryArray) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(srids.nulls(), wkb.nulls());
    let ArrowType::Struct(fields) = arrow_type(t) else {
        return Err(Error::internal("a spatial type of another form"));
    };
    // What a NULL hides has to be there nevertheless.
    let srids: Int32Array = srids.iter().map(|s| Some(s.unwrap_or_default())).collect();
    let wkb: BinaryArray = wkb.iter().map(|w| Some(w.unwrap_or_default())).collect();
    StructArray::try_new(fields, vec![Arc::new(srids), Arc::new(wkb)], nulls)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(boathouse_bridge::from_arrow)
}

/// The system that a constant INT says, checked; `None` where each row has its own.
fn constant_srid(call: &Call, i: usize, is_geography: bool) -> Result<Option<i32>> {
    let number = match call.args.get(i).and_then(|a| a.constant.as_ref()) {
        Some(ScalarValue::Int32(Some(n))) => Some(*n),
        _ => None,
    };
    number.map(|srid| check_srid(srid, is_geography)).transpose()
}

fn geography_from_wkb(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let nullable = call.nullable_as(&coerced);
    let t = DataType::Geography { srid: Some(WGS_84) };
    Ok(Resolved::new(coerced, t.clone(), nullable, move |inputs| {
        let wkb = parsed(inputs, true)?;
        let srids = Int32Array::from_value(WGS_84, wkb.len());
        values(&t, srids, wkb)
    }))
}

fn geometry_from_wkb(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let coerced = call.want(&[Want::BINARY, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let has_srid = call.args.len() == 2;
    let srid = if has_srid { constant_srid(call, 1, false)? } else { Some(0) };
    let t = DataType::Geometry { srid };
    let resolved = Resolved::new(coerced, t.clone(), nullable, move |inputs| {
        let wkb = parsed(inputs, false)?;
        let srids = if has_srid { srids(inputs, 1, false)? } else { Int32Array::from_value(0, wkb.len()) };
        values(&t, srids, wkb)
    });
    Ok(match has_srid {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text("0".to_string())]),
    })
}

/// The first argument's bytes, read and written anew.
fn parsed(inputs: &Inputs, is_geography: bool) -> Result<BinaryArray> {
    let bytes = inputs.bytes(0)?;
    let array = byte_rows(inputs.rows(), |row, out| {
        let read = |wkb| wkb::rewritten(wkb, is_geography, Endianness::Little, out);
        bytes.get(row).map(read).transpose()
    })?;
    Ok(array.as_binary::<i32>().clone())
}

/// The numbers of systems, each checked.
fn srids(inputs: &Inputs, i: usize, is_geography: bool) -> Result<Int32Array> {
    let numbers = inputs.numbers::<Int32Type>(i)?;
    let checked =
        (0..inputs.rows()).map(|row| numbers.get(row).map(|srid| check_srid(srid, is_geography)).transpose());
    checked.collect()
}

fn as_binary(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let coerced = wanted(call, &[Want::Str])?;
    let has_order = call.args.len() == 2;
    let nullable = call.any_nullable();
    let resolved = Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let geo = Values::of(inputs, 0)?;
        let orders = has_order.then(|| inputs.text(1)).transpose()?;
        byte_rows(inputs.rows(), |row, out| {
            let order = match &orders {
                None => Endianness::Little,
                Some(orders) => match orders.get(row) {
                    None => return Ok(None),
                    Some(text) => endianness(text)?,
                },
            };
            if geo.array.is_null(row) {
                return Ok(None);
            }
            wkb::rewritten(geo.wkb.value(row), false, order, out).map(Some)
        })
    });
    Ok(match has_order {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text("NDR".to_string())]),
    })
}

fn endianness(text: &str) -> Result<Endianness> {
    if text.eq_ignore_ascii_case("NDR") {
        return Ok(Endianness::Little);
    }
    if text.eq_ignore_ascii_case("XDR") {
        return Ok(Endianness::Big);
    }
    Err(Error::new("ST_INVALID_ENDIANNESS_VALUE")
        .param("endianness", text)
        .message(format!("The order of bytes is 'NDR' (little-endian) or 'XDR' (big-endian), not '{text}'."))
        .exception("SparkRuntimeException"))
}

fn srid(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = wanted(call, &[])?;
    Ok(Resolved::new(coerced, DataType::Integer, call.any_nullable(), |inputs| {
        let geo = Values::of(inputs, 0)?;
        let srids = (0..geo.array.len()).map(|row| geo.array.is_valid(row).then(|| geo.srids.value(row)));
        Ok(Arc::new(srids.collect::<Int32Array>()))
    }))
}

fn set_srid(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = wanted(call, &[Want::INT])?;
    let is_geography = matches!(coerced.first(), Some(DataType::Geography { .. }));
    let srid = constant_srid(call, 1, is_geography)?;
    let t = if is_geography { DataType::Geography { srid } } else { DataType::Geometry { srid } };
    Ok(Resolved::new(coerced, t.clone(), call.any_nullable(), move |inputs| {
        let geo = Values::of(inputs, 0)?;
        let wkb: BinaryArray =
            (0..geo.array.len()).map(|row| geo.array.is_valid(row).then(|| geo.wkb.value(row))).collect();
        values(&t, srids(inputs, 1, is_geography)?, wkb)
    }))
}
