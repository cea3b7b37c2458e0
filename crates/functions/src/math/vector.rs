//! Functions of vectors, which are arrays of FLOAT: products, distances, norms.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float32Array, ListArray, ListBuilder, PrimitiveBuilder};
use arrow::datatypes::Float32Type;
use boathouse_spec::{DataType, Error, Result};

use crate::apply::number_rows;
use crate::{Call, Inputs, Registry, Resolved, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["vector_inner_product"], |c| pair(c, |a, b| Some(dot(a, b))));
    r.scalar(&["vector_cosine_similarity"], |c| pair(c, cosine));
    r.scalar(&["vector_l2_distance"], |c| pair(c, |a, b| Some(distance(a, b))));
    r.scalar(&["vector_norm"], vector_norm);
    r.scalar(&["vector_normalize"], vector_normalize);
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + x * y)
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    let (x, y) = (dot(a, a), dot(b, b));
    let length = (f64::from(x) * f64::from(y)).sqrt() as f32;
    (length != 0.0).then(|| dot(a, b) / length)
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let sum = a.iter().zip(b).fold(0f32, |sum, (x, y)| sum + (x - y) * (x - y));
    f64::from(sum).sqrt() as f32
}

fn vector_type() -> DataType {
    DataType::array(DataType::Float, true)
}

fn check(call: &Call, i: usize) -> Result<()> {
    match call.args.get(i).map(|a| &a.data_type) {
        Some(DataType::Array { element, .. }) if **element == DataType::Float => Ok(()),
        _ => Err(call.unexpected_input(i, "\"ARRAY<FLOAT>\"")),
    }
}

/// The numbers of a row; `None` where the vector or one of them is NULL.
fn vector<'a>(list: &'a ListArray, values: &'a Float32Array, row: usize) -> Option<&'a [f32]> {
    if list.is_null(row) {
        return None;
    }
    let range = list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize;
    if values.null_count() > 0 && range.clone().any(|i| values.is_null(i)) {
        return None;
    }
    Some(&values.values()[range])
}

fn column(inputs: &Inputs, i: usize) -> Result<ListArray> {
    let array = inputs.array(i)?;
    array.as_list_opt::<i32>().cloned().ok_or_else(|| Error::internal("a vector is no list"))
}

fn pair(call: &Call, f: fn(&[f32], &[f32]) -> Option<f32>) -> Result<Resolved> {
    call.arity(2..=2)?;
    check(call, 0)?;
    check(call, 1)?;
    let name = call.name.to_string();
    Ok(Resolved::new(vec![vector_type(); 2], DataType::Float, true, move |inputs| {
        let (a, b) = (column(inputs, 0)?, column(inputs, 1)?);
        let (x, y) = (a.values().as_primitive::<Float32Type>(), b.values().as_primitive::<Float32Type>());
        let out = number_rows::<Float32Type>(inputs.rows(), |row| {
            let (Some(left), Some(right)) = (vector(&a, x, row), vector(&b, y, row)) else { return Ok(None) };
            if left.len() != right.len() {
                return Err(Error::new("VECTOR_DIMENSION_MISMATCH")
                    .param("functionName", format!("`{name}`"))
                    .param("leftDim", left.len())
                    .param("rightDim", right.len())
                    .message(format!(
                        "`{name}`: the vectors have {} and {} dimensions.",
                        left.len(),
                        right.len()
                    )));
            }
            Ok(f(left, right))
        })?;
        Ok(Arc::new(out))
    }))
}

/// The norm of degree 1, 2 or infinity.
fn norm(v: &[f32], degree: f32, name: &str) -> Result<f32> {
    if degree == 1.0 {
        Ok(v.iter().fold(0.0, |sum, x| sum + x.abs()))
    } else if degree == 2.0 {
        Ok(f64::from(dot(v, v)).sqrt() as f32)
    } else if degree == f32::INFINITY {
        Ok(v.iter().fold(0.0, |most, x| if x.abs() > most { x.abs() } else { most }))
    } else {
        let mut shown = String::new();
        crate::cast::text::write_float(degree, &mut shown);
        Err(Error::new("INVALID_VECTOR_NORM_DEGREE")
            .param("functionName", format!("`{name}`"))
            .param("degree", &shown)
            .message(format!("`{name}`: the degree is 1, 2 or infinity, not {shown}.")))
    }
}

fn degrees(call: &Call) -> Result<Vec<DataType>> {
    call.arity(1..=2)?;
    check(call, 0)?;
    let mut coerced = vec![vector_type()];
    if let Some(degree) = call.args.get(1) {
        if !matches!(degree.data_type, DataType::Float | DataType::Null) {
            return Err(call.unexpected_input(1, "\"FLOAT\""));
        }
        coerced.push(DataType::Float);
    }
    Ok(coerced)
}

fn degree_at(inputs: &Inputs) -> Result<impl Fn(usize) -> Option<f32> + use<>> {
    let given = if inputs.len() > 1 { Some(inputs.numbers::<Float32Type>(1)?) } else { None };
    Ok(move |row: usize| given.as_ref().map_or(Some(2.0), |g| g.get(row)))
}

fn shown(call: &Call, resolved: Resolved) -> Resolved {
    match call.args.len() {
        1 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text("2.0".into())]),
        _ => resolved,
    }
}

fn vector_norm(call: &Call) -> Result<Resolved> {
    let coerced = degrees(call)?;
    let resolved = Resolved::new(coerced, DataType::Float, true, |inputs| {
        let list = column(inputs, 0)?;
        let values = list.values().as_primitive::<Float32Type>();
        let degree = degree_at(inputs)?;
        let out = number_rows::<Float32Type>(inputs.rows(), |row| {
            match (vector(&list, values, row), degree(row)) {
                (Some(v), Some(d)) => norm(v, d, "vector_norm").map(Some),
                _ => Ok(None),
            }
        })?;
        Ok(Arc::new(out))
    });
    Ok(shown(call, resolved))
}

fn vector_normalize(call: &Call) -> Result<Resolved> {
    let coerced = degrees(call)?;
    let resolved = Resolved::new(coerced, vector_type(), true, |inputs| {
        let list = column(inputs, 0)?;
        let values = list.values().as_primitive::<Float32Type>();
        let degree = degree_at(inputs)?;
        let mut out = ListBuilder::new(PrimitiveBuilder::<Float32Type>::new());
        for row in 0..inputs.rows() {
            let (Some(v), Some(d)) = (vector(&list, values, row), degree(row)) else {
                out.append_null();
                continue;
            };
            let length = norm(v, d, "vector_normalize")?;
            // A vector without a length has no direction; one without dimensions is itself.
            if length == 0.0 && !v.is_empty() {
                out.append_null();
                continue;
            }
            v.iter().for_each(|x| out.values().append_value(x / length));
            out.append(true);
        }
        Ok(Arc::new(out.finish()))
    });
    Ok(shown(call, resolved))
}
