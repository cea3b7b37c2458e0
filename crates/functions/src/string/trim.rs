//! `trim`, `ltrim`, `rtrim`, `btrim`.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef};
use boathouse_spec::Result;

use super::string_like;
use crate::apply::text_rows;
use crate::collation::{Collator, collator_of};
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    // With two arguments the characters to trim come first, but for `btrim`.
    r.scalar(&["trim"], |c| trim(c, true, true, "BOTH"));
    r.scalar(&["ltrim"], |c| trim(c, true, false, "LEADING"));
    r.scalar(&["rtrim"], |c| trim(c, false, true, "TRAILING"));
    r.scalar(&["btrim"], |c| trim(c, true, true, ""));
}

fn trim(call: &Call, left: bool, right: bool, side: &str) -> Result<Resolved> {
    call.arity(1..=2)?;
    let coerced = call.want(&[Want::Str, Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let source = usize::from(!side.is_empty() && coerced.len() == 2);
    let t = string_like(&coerced[source]);
    let two = coerced.len() == 2;
    let collator = collator_of(&coerced[source])?;
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| match (&collator, two) {
        (Some(collator), true) => run_collated(inputs, source, collator, left, right),
        _ => run(inputs, source, two, left, right),
    });
    Ok(match two && !side.is_empty() {
        true => resolved.shown_bare(format!("TRIM({side} {} FROM {})", call.args[0].sql, call.args[1].sql)),
        false => resolved,
    })
}

fn run(inputs: &Inputs, source: usize, two: bool, left: bool, right: bool) -> Result<ArrayRef> {
    let text = inputs.text(source)?;
    if !two {
        return text_rows(inputs.rows(), |row, out| {
            Ok(text.get(row).map(|s| {
                let s = if left { s.trim_start_matches(' ') } else { s };
                out.push_str(if right { s.trim_end_matches(' ') } else { s });
            }))
        });
    }
    let set = inputs.text(1 - source)?;
    if set.constant && set.array.is_valid(0) && set.array.value(0).chars().count() == 1 {
        let c = set.array.value(0).chars().next().unwrap_or(' ');
        return text_rows(inputs.rows(), |row, out| {
            Ok(text.get(row).map(|s| {
                let s = if left { s.trim_start_matches(c) } else { s };
                out.push_str(if right { s.trim_end_matches(c) } else { s });
            }))
        });
    }
    text_rows(inputs.rows(), |row, out| {
        let (Some(s), Some(set)) = (text.get(row), set.get(row)) else { return Ok(None) };
        let member = |c: char| set.contains(c);
        let s = if left { s.trim_start_matches(member) } else { s };
        out.push_str(if right { s.trim_end_matches(member) } else { s });
        Ok(Some(()))
    })
}

/// Characters are trimmed that equal one of the set in the collation.
fn run_collated(
    inputs: &Inputs,
    source: usize,
    collator: &Collator,
    left: bool,
    right: bool,
) -> Result<ArrayRef> {
    let (text, set) = (inputs.text(source)?, inputs.text(1 - source)?);
    let key = |c: char| {
        let mut buffer = [0; 4];
        collator.key(c.encode_utf8(&mut buffer)).into_owned()
    };
    text_rows(inputs.rows(), |row, out| {
        let (Some(s), Some(set)) = (text.get(row), set.get(row)) else { return Ok(None) };
        let members: HashSet<Vec<u8>> = set.chars().map(key).collect();
        let member = |c: char| members.contains(&key(c));
        let s = if left { s.trim_start_matches(member) } else { s };
        out.push_str(if right { s.trim_end_matches(member) } else { s });
        Ok(Some(()))
    })
}
