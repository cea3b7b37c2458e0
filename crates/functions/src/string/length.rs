//! `length`, `octet_length`, `bit_length`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use boathouse_spec::{DataType, Error, Result};

use super::{chars, string_or_binary};
use crate::{Call, Inputs, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["length", "len", "char_length", "character_length"], |c| measured(c, Unit::Characters));
    r.scalar(&["octet_length"], |c| measured(c, Unit::Bytes));
    r.scalar(&["bit_length"], |c| measured(c, Unit::Bits));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Characters,
    Bytes,
    Bits,
}

fn measured(call: &Call, unit: Unit) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[string_or_binary()])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| run(inputs, unit)))
}

fn run(inputs: &Inputs, unit: Unit) -> Result<ArrayRef> {
    let array = inputs.array(0)?;
    let factor = if unit == Unit::Bits { 8 } else { 1 };
    let by_bytes = |offsets: &[i32]| -> Vec<i32> {
        offsets.windows(2).map(|w| (w[1] - w[0]).wrapping_mul(factor)).collect()
    };
    let values = if let Some(text) = array.as_string_opt::<i32>() {
        let offsets = text.value_offsets();
        let used = &text.value_data()[offsets[0] as usize..offsets[text.len()] as usize];
        match unit == Unit::Characters && !used.is_ascii() {
            true => (0..text.len()).map(|row| chars(text.value(row)) as i32).collect(),
            false => by_bytes(offsets),
        }
    } else if let Some(bytes) = array.as_binary_opt::<i32>() {
        by_bytes(bytes.value_offsets())
    } else {
        return Err(Error::internal(format!("the length of a {}", array.data_type())));
    };
    Ok(Arc::new(Int32Array::new(values.into(), array.nulls().cloned())))
}
