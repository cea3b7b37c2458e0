//! `hll_sketch_estimate(sketch)` and `hll_union(sketch, sketch, allowDifferentLgConfigK)`.

use std::sync::Arc;

use arrow::datatypes::Int64Type;
use boathouse_spec::{DataType, Result};

use super::state::Hll;
use super::{different_k, invalid_buffer};
use crate::apply::{byte_rows, number_rows};
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["hll_sketch_estimate"], estimate);
    r.scalar(&["hll_union"], union);
}

fn estimate(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let (nullable, name) = (call.nullable_as(&coerced), call.name.to_string());
    Ok(Resolved::new(coerced, DataType::Long, nullable, move |inputs| {
        let sketches = inputs.bytes(0)?;
        let of = |bytes| {
            Ok(Hll::from_bytes(bytes).ok_or_else(|| invalid_buffer(&name))?.estimate().round() as i64)
        };
        Ok(Arc::new(number_rows::<Int64Type>(inputs.rows(), |row| sketches.get(row).map(of).transpose())?))
    }))
}

fn union(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let wanted = [Want::BINARY, Want::BINARY, Want::BOOLEAN];
    let coerced = call.want(&wanted[..call.args.len()])?;
    let (nullable, name, has_flag) =
        (call.nullable_as(&coerced), call.name.to_string(), call.args.len() == 3);
    let resolved = Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let (left, right) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let allowed = has_flag.then(|| inputs.flags(2)).transpose()?;
        byte_rows(inputs.rows(), |row, out| {
            let allowed = match &allowed {
                None => Some(false),
                Some(flags) => flags.get(row),
            };
            let (Some(a), Some(b), Some(allowed)) = (left.get(row), right.get(row), allowed) else {
                return Ok(None);
            };
            let mut whole = Hll::from_bytes(a).ok_or_else(|| invalid_buffer(&name))?;
            let other = Hll::from_bytes(b).ok_or_else(|| invalid_buffer(&name))?;
            if whole.lg_k != other.lg_k && !allowed {
                return Err(different_k(whole.lg_k, other.lg_k, &name));
            }
            if other.lg_k < whole.lg_k && whole.is_small() {
                // A union is no finer than either.
                let mut coarse = Hll::new(other.lg_k);
                coarse.unite(&whole);
                whole = coarse;
            }
            whole.unite(&other);
            out.extend(whole.to_bytes());
            Ok(Some(()))
        })
    });
    Ok(match call.args.len() {
        2 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text("false".into())]),
        _ => resolved,
    })
}
