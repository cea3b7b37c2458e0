//! `theta_sketch_estimate`, `theta_union`, `theta_intersection`, `theta_difference`.

use std::sync::Arc;

use arrow::datatypes::{Int32Type, Int64Type};
use boathouse_spec::{DataType, Result};

use super::state::Theta;
use super::{DEFAULT_LG_NOMINAL, invalid_buffer, nominal_size};
use crate::apply::{byte_rows, number_rows};
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["theta_sketch_estimate"], estimate);
    r.scalar(&["theta_union"], union);
    r.scalar(&["theta_intersection"], |c| of_two(c, Theta::intersect));
    r.scalar(&["theta_difference"], |c| of_two(c, Theta::subtract));
}

fn parsed(bytes: &[u8], function: &str) -> Result<Theta> {
    Theta::from_bytes(bytes).ok_or_else(|| invalid_buffer(function))
}

fn estimate(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let (nullable, name) = (call.nullable_as(&coerced), call.name.to_string());
    Ok(Resolved::new(coerced, DataType::Long, nullable, move |inputs| {
        let sketches = inputs.bytes(0)?;
        let of = |bytes| Ok(parsed(bytes, &name)?.estimate().round() as i64);
        Ok(Arc::new(number_rows::<Int64Type>(inputs.rows(), |row| sketches.get(row).map(of).transpose())?))
    }))
}

fn union(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let wanted = [Want::BINARY, Want::BINARY, Want::INT];
    let coerced = call.want(&wanted[..call.args.len()])?;
    let (nullable, name, has_size) =
        (call.nullable_as(&coerced), call.name.to_string(), call.args.len() == 3);
    let resolved = Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let (left, right) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let sizes = has_size.then(|| inputs.numbers::<Int32Type>(2)).transpose()?;
        byte_rows(inputs.rows(), |row, out| {
            let size = match &sizes {
                None => Some(DEFAULT_LG_NOMINAL),
                Some(sizes) => sizes.get(row).map(i64::from),
            };
            let (Some(a), Some(b), Some(size)) = (left.get(row), right.get(row), size) else {
                return Ok(None);
            };
            let mut whole = Theta::new(nominal_size(size, &name)?);
            whole.unite(&parsed(a, &name)?);
            whole.unite(&parsed(b, &name)?);
            whole.shrink();
            out.extend(whole.to_bytes());
            Ok(Some(()))
        })
    });
    Ok(match call.args.len() {
        2 => {
            let default = ShownArg::Text(DEFAULT_LG_NOMINAL.to_string());
            resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), default])
        }
        _ => resolved,
    })
}

fn of_two(call: &Call, change: fn(&mut Theta, &Theta)) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::BINARY, Want::BINARY])?;
    let (nullable, name) = (call.nullable_as(&coerced), call.name.to_string());
    Ok(Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let (left, right) = (inputs.bytes(0)?, inputs.bytes(1)?);
        byte_rows(inputs.rows(), |row, out| {
            let (Some(a), Some(b)) = (left.get(row), right.get(row)) else { return Ok(None) };
            let mut result = parsed(a, &name)?;
            change(&mut result, &parsed(b, &name)?);
            out.extend(result.to_bytes());
            Ok(Some(()))
        })
    }))
}
