//! `concat`, `concat_ws`, `elt`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray, StringBuilder};
use boathouse_spec::{DataType, Error, Result};

use crate::apply::{Operand, byte_rows, check_size, text_rows};
use crate::coercion::implicit_cast;
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["concat"], concat);
    r.scalar(&["concat_ws"], concat_ws);
    r.scalar(&["elt"], elt);
}

/// Strings where any argument is one; arrays where all are.
fn concat(call: &Call) -> Result<Resolved> {
    let types = call.types();
    if types.is_empty() {
        return Ok(Resolved::new(vec![], DataType::STRING, false, |inputs| {
            Ok(Arc::new(StringArray::from(vec![""; inputs.rows()])))
        }));
    }
    if types.iter().any(|t| matches!(t, DataType::Array { .. })) {
        return crate::collection::concat_arrays(call);
    }
    if types.iter().all(|t| *t == DataType::Binary) && !call.context.concat_binary_as_string {
        return Ok(Resolved::new(types, DataType::Binary, call.any_nullable(), concat_binaries));
    }
    let mut coerced = call.want(&[Want::Str])?;
    let t = coerced
        .iter()
        .find(|t| matches!(t, DataType::String { collation: Some(_) }))
        .cloned()
        .unwrap_or(DataType::STRING);
    for c in &mut coerced {
        *c = t.clone();
    }
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, t, nullable, concat_strings))
}

fn concat_strings(inputs: &Inputs) -> Result<ArrayRef> {
    let parts = (0..inputs.len()).map(|i| inputs.text(i)).collect::<Result<Vec<_>>>()?;
    let rows = inputs.rows();
    let total: usize =
        parts.iter().map(|p| p.array.value_data().len() * if p.constant { rows } else { 1 }).sum();
    let mut out = StringBuilder::with_capacity(rows, total.min(i32::MAX as usize));
    let mut size = 0;
    for row in 0..rows {
        if parts.iter().any(|p| p.is_null(row)) {
            out.append_null();
            continue;
        }
        for part in &parts {
            let text = part.array.value(part.at(row));
            size += text.len();
            check_size(size)?;
            use std::fmt::Write;
            let _ = out.write_str(text);
        }
        out.append_value("");
    }
    Ok(Arc::new(out.finish()))
}

fn concat_binaries(inputs: &Inputs) -> Result<ArrayRef> {
    let parts = (0..inputs.len()).map(|i| inputs.bytes(i)).collect::<Result<Vec<_>>>()?;
    byte_rows(inputs.rows(), |row, out| {
        for part in &parts {
            let Some(bytes) = part.get(row) else { return Ok(None) };
            out.extend_from_slice(bytes);
        }
        Ok(Some(()))
    })
}

/// `concat_ws(separator, strings and arrays of strings...)`; NULLs are left out.
fn concat_ws(call: &Call) -> Result<Resolved> {
    call.arity(1..=usize::MAX)?;
    let strings = Want::one_of([Want::array_of(Want::Str), Want::Str]);
    let mut coerced = Vec::new();
    for (i, arg) in call.args.iter().enumerate() {
        let want = if i == 0 { &Want::Str } else { &strings };
        let t = match (&arg.data_type, i) {
            (DataType::Null, _) => Some(DataType::STRING),
            (t @ DataType::Array { .. }, 1..) => implicit_cast(t, &Want::array_of(Want::Str), call.context),
            (t, _) => implicit_cast(t, &Want::Str, call.context),
        };
        coerced.push(t.ok_or_else(|| call.unexpected_input(i, &want.sql()))?);
    }
    let nullable = call.args[0].nullable;
    // All strings have one collation by now.
    let returned = coerced[0].clone();
    Ok(Resolved::new(coerced, returned, nullable, |inputs| {
        let separator = inputs.text(0)?;
        let parts = (1..inputs.len()).map(|i| inputs.operand(i)).collect::<Result<Vec<_>>>()?;
        text_rows(inputs.rows(), |row, out| {
            let Some(separator) = separator.get(row) else { return Ok(None) };
            let mut first = true;
            let mut push = |text: &str| {
                if !first {
                    out.push_str(separator);
                }
                first = false;
                out.push_str(text);
            };
            for part in &parts {
                let at = part.at(row);
                if part.array.is_null(at) {
                    continue;
                }
                if let Some(text) = part.array.as_string_opt::<i32>() {
                    push(text.value(at));
                } else if let Some(list) = part.array.as_list_opt::<i32>() {
                    let values = list.values().as_string::<i32>();
                    for i in list.value_offsets()[at] as usize..list.value_offsets()[at + 1] as usize {
                        if values.is_valid(i) {
                            push(values.value(i));
                        }
                    }
                }
            }
            Ok(Some(()))
        })
    }))
}

/// `elt(n, first, second, ...)`
fn elt(call: &Call) -> Result<Resolved> {
    call.arity(2..=usize::MAX)?;
    let binary =
        call.args[1..].iter().all(|a| a.data_type == DataType::Binary) && !call.context.elt_output_as_string;
    let mut wants = vec![Want::INT];
    wants.push(if binary { Want::BINARY } else { Want::Str });
    let coerced = call.want(&wants)?;
    let t = if binary { DataType::Binary } else { DataType::STRING };
    let ansi = call.context.ansi;
    Ok(Resolved::new(coerced, t, true, move |inputs| {
        let choice = inputs.numbers::<arrow::datatypes::Int32Type>(0)?;
        let (rows, count) = (inputs.rows(), inputs.len() as i32 - 1);
        for row in 0..rows {
            if let Some(n) = choice.get(row)
                && ansi
                && !(1..=count).contains(&n)
            {
                return Err(Error::new("INVALID_ARRAY_INDEX")
                    .param("indexValue", n)
                    .param("arraySize", count)
                    .message(format!("The index {n} is out of bounds: there are {count} values.")));
            }
        }
        let chosen = |row: usize| choice.get(row).filter(|n| (1..=count).contains(n));
        if binary {
            let values: Vec<Operand<BinaryArray>> =
                (1..inputs.len()).map(|i| inputs.bytes(i)).collect::<Result<_>>()?;
            return byte_rows(rows, |row, out| {
                Ok(chosen(row)
                    .and_then(|n| values[n as usize - 1].get(row))
                    .map(|b| out.extend_from_slice(b)))
            });
        }
        let values = (1..inputs.len()).map(|i| inputs.text(i)).collect::<Result<Vec<_>>>()?;
        text_rows(rows, |row, out| {
            Ok(chosen(row).and_then(|n| values[n as usize - 1].get(row)).map(|s| out.push_str(s)))
        })
    }))
}
