//! `randstr`: random strings.

use arrow::datatypes::Int64Type;
use boathouse_spec::{DataType, Error, Result};

use crate::apply::text_rows;
use crate::math::random::{XorShift, generators, seed_of};
use crate::mismatch::{not_constant, whole_number};
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["randstr"], randstr);
}

/// `randstr(length, seed)`: letters and digits.
fn randstr(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let length = &call.args[0];
    let takes = |t: &DataType| t.is_numeric() || t.is_string() || *t == DataType::Null;
    if !takes(&length.data_type) {
        return Err(call.unexpected_input(0, "INT or SMALLINT"));
    }
    if length.constant.is_none() {
        return Err(not_constant(call, 0, "length", "INT or SMALLINT"));
    }
    if let Some(Some(n)) = whole_number(length)
        && n < 0
    {
        return Err(Error::new("INVALID_PARAMETER_VALUE.LENGTH")
            .param("parameter", "`length`")
            .param("functionName", "`randstr`")
            .param("length", n)
            .message(format!("`randstr` takes a length of 0 or more, not {n}.")));
    }
    if let Some(seed) = call.args.get(1) {
        if !matches!(seed.data_type, DataType::Integer | DataType::Long | DataType::Null) {
            return Err(call.unexpected_input(1, "INT or BIGINT"));
        }
        if seed.constant.is_none() {
            return Err(not_constant(call, 1, "seed", "INT or BIGINT"));
        }
    }
    let coerced = call.want(&[Want::LONG, Want::LONG])?;
    let generators = generators(seed_of(call, 1));
    Ok(Resolved::new(coerced, DataType::STRING, false, move |inputs| {
        let lengths = inputs.numbers::<Int64Type>(0)?;
        let write = |generator: &mut XorShift, row: usize, out: &mut String| {
            // No length is 0.
            for _ in 0..lengths.get(row).unwrap_or(0).max(0) {
                let choice = (generator.next_int() % 62).unsigned_abs() as u8;
                out.push(char::from(match choice {
                    0..10 => b'0' + choice,
                    10..36 => b'a' + choice - 10,
                    _ => b'A' + choice - 36,
                }));
            }
            Some(())
        };
        generators.with(|generator| text_rows(inputs.rows(), |row, out| Ok(write(generator, row, out))))
    })
    .volatile())
}
