//! `lpad`, `rpad`, `repeat`, `space`.

use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Result};

use super::{byte_of_char, chars, string_like};
use crate::apply::{byte_rows, check_size, text_rows};
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["lpad"], |c| pad(c, true));
    r.scalar(&["rpad"], |c| pad(c, false));
    r.scalar(&["repeat"], repeat);
    r.scalar(&["space"], space);
}

fn pad(call: &Call, left: bool) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = match (call.args[0].data_type == DataType::Binary, call.args.get(2).map(|a| &a.data_type)) {
        (true, None | Some(DataType::Binary | DataType::Null)) => {
            call.want(&[Want::BINARY, Want::INT, Want::BINARY])?
        }
        _ => call.want(&[Want::Str, Want::INT, Want::Str])?,
    };
    let nullable = call.nullable_as(&coerced);
    let binary = coerced[0] == DataType::Binary;
    let t = if binary { DataType::Binary } else { string_like(&coerced[0]) };
    let three = coerced.len() == 3;
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let lengths = inputs.numbers::<Int32Type>(1)?;
        if binary {
            let values = inputs.bytes(0)?;
            let pads = if three { Some(inputs.bytes(2)?) } else { None };
            return byte_rows(inputs.rows(), |row, out| {
                let pad = pads.as_ref().map_or(Some(&[0u8][..]), |p| p.get(row));
                let (Some(v), Some(n), Some(pad)) = (values.get(row), lengths.get(row), pad) else {
                    return Ok(None);
                };
                let n = n.max(0) as usize;
                let kept = &v[..v.len().min(n)];
                if !left {
                    out.extend_from_slice(kept);
                }
                if !pad.is_empty() {
                    out.extend(pad.iter().cycle().take(n - kept.len()));
                }
                if left {
                    out.extend_from_slice(kept);
                }
                Ok(Some(()))
            });
        }
        let values = inputs.text(0)?;
        let pads = if three { Some(inputs.text(2)?) } else { None };
        text_rows(inputs.rows(), |row, out| {
            let pad = pads.as_ref().map_or(Some(" "), |p| p.get(row));
            let (Some(v), Some(n), Some(pad)) = (values.get(row), lengths.get(row), pad) else {
                return Ok(None);
            };
            let n = n.max(0) as usize;
            let count = chars(v);
            if count >= n {
                out.push_str(&v[..byte_of_char(v, n)]);
                return Ok(Some(()));
            }
            if !left {
                out.push_str(v);
            }
            let pad_count = chars(pad);
            let missing = n - count;
            if let Some(times) = missing.checked_div(pad_count) {
                check_size(times * pad.len())?;
                for _ in 0..times {
                    out.push_str(pad);
                }
                out.push_str(&pad[..byte_of_char(pad, missing % pad_count)]);
            }
            if left {
                out.push_str(v);
            }
            Ok(Some(()))
        })
    });
    let fill = if binary { "X'00'" } else { " " };
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text(fill.into())]),
    })
}

fn repeat(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let t = string_like(&coerced[0]);
    Ok(Resolved::new(coerced, t, nullable, |inputs| {
        let (values, counts) = (inputs.text(0)?, inputs.numbers::<Int32Type>(1)?);
        text_rows(inputs.rows(), |row, out| {
            let (Some(v), Some(n)) = (values.get(row), counts.get(row)) else { return Ok(None) };
            let n = n.max(0) as usize;
            check_size(v.len().saturating_mul(n))?;
            for _ in 0..if v.is_empty() { 0 } else { n } {
                out.push_str(v);
            }
            Ok(Some(()))
        })
    }))
}

fn space(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, |inputs| {
        let counts = inputs.numbers::<Int32Type>(0)?;
        text_rows(inputs.rows(), |row, out| {
            Ok(counts.get(row).map(|n| out.extend(std::iter::repeat_n(' ', n.max(0) as usize))))
        })
    }))
}
