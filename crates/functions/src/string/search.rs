//! Finding strings in strings: `instr`, `locate`, `position`, `find_in_set`, `contains`, `startswith`, `endswith`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Result};
use memchr::memmem;

use super::{byte_of_char, chars, string_or_binary};
use crate::apply::{flag_rows, number_rows};
use crate::collation::{Collator, collator_of};
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["instr"], instr);
    r.scalar(&["locate", "position", "charindex"], locate);
    r.scalar(&["find_in_set"], find_in_set);
    r.scalar(&["contains"], |c| matches(c, Place::Anywhere));
    r.scalar(&["startswith"], |c| matches(c, Place::Start));
    r.scalar(&["endswith"], |c| matches(c, Place::End));
}

/// The position (from 1) of a part in a text from a character (from 0) on; 0 where there is none.
fn position(text: &str, part: &str, from: usize, collator: Option<&Collator>) -> i32 {
    if part.is_empty() {
        return 1;
    }
    let start = byte_of_char(text, from);
    let found = match collator {
        Some(collator) => collator.find(text, part, start).map(|(begin, _)| begin),
        None => text[start..].find(part).map(|i| start + i),
    };
    found.map_or(0, |begin| chars(&text[..begin]) as i32 + 1)
}

fn instr(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let collator = collator_of(&coerced[0])?;
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let (text, part) = (inputs.text(0)?, inputs.text(1)?);
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            Ok(text.get(row).zip(part.get(row)).map(|(t, p)| position(t, p, 0, collator.as_deref())))
        })?;
        Ok(Arc::new(out))
    }))
}

fn locate(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    // A position that is NULL gives 0.
    let strings = Call { name: call.name, args: &call.args[..2], context: call.context };
    let nullable = strings.nullable_as(&coerced);
    let three = coerced.len() == 3;
    let collator = collator_of(&coerced[0])?;
    let resolved = Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let (part, text) = (inputs.text(0)?, inputs.text(1)?);
        let from = if three { Some(inputs.numbers::<Int32Type>(2)?) } else { None };
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            let from = match &from {
                None => 1,
                Some(from) => match from.get(row) {
                    Some(n) => n,
                    None => return Ok(Some(0)),
                },
            };
            let (Some(part), Some(text)) = (part.get(row), text.get(row)) else { return Ok(None) };
            Ok(Some(if from < 1 { 0 } else { position(text, part, from as usize - 1, collator.as_deref()) }))
        })?;
        let out: ArrayRef = Arc::new(out);
        Ok(out)
    });
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text("1".into())]),
    })
}

fn find_in_set(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let collator = collator_of(&coerced[0])?;
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let (word, set) = (inputs.text(0)?, inputs.text(1)?);
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            Ok(word.get(row).zip(set.get(row)).map(|(word, set)| match word.contains(',') {
                true => 0,
                false => {
                    let same = |w: &str| collator.as_ref().map_or(w == word, |c| c.equal(w, word));
                    set.split(',').position(same).map_or(0, |i| i as i32 + 1)
                }
            }))
        })?;
        Ok(Arc::new(out))
    }))
}

/// Where in a text another is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    Start,
    End,
}

impl Place {
    fn has(self, text: &[u8], part: &[u8]) -> bool {
        match self {
            Self::Anywhere => memmem::find(text, part).is_some(),
            Self::Start => text.starts_with(part),
            Self::End => text.ends_with(part),
        }
    }

    fn has_collated(self, collator: &Collator, text: &str, part: &str) -> bool {
        match self {
            Self::Anywhere => collator.find(text, part, 0).is_some(),
            Self::Start => collator.match_at(text, part, 0).is_some(),
            Self::End => collator.ends_with(text, part),
        }
    }
}

/// Strings, or binaries where both are.
fn matches(call: &Call, place: Place) -> Result<Resolved> {
    call.arity(2..=2)?;
    let binary = call.args.iter().all(|a| a.data_type == DataType::Binary);
    let coerced = match binary {
        true => call.types(),
        false => {
            call.want(&[string_or_binary(), string_or_binary()])?;
            call.want(&[Want::Str, Want::Str])?
        }
    };
    let nullable = binary || call.nullable_as(&coerced);
    if let Some(collator) = collator_of(&coerced[0])? {
        return Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs: &Inputs| {
            let (text, part) = (inputs.text(0)?, inputs.text(1)?);
            flag_rows(inputs.rows(), |row| {
                let pair = text.get(row).zip(part.get(row));
                // Blanks at the end of what is looked for do not count where the collation trims.
                let pair = pair.map(|(t, p)| (t, collator.trimmed(p)));
                Ok(pair.map(|(t, p)| p.is_empty() || place.has_collated(&collator, t, p)))
            })
        }));
    }
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs: &Inputs| {
        let (text, part) = (inputs.bytes(0)?, inputs.bytes(1)?);
        if part.constant
            && let Some(part) = part.get(0)
        {
            if place == Place::Anywhere {
                let finder = memmem::Finder::new(part);
                return flag_rows(inputs.rows(), |row| Ok(text.get(row).map(|t| finder.find(t).is_some())));
            }
            return flag_rows(inputs.rows(), |row| Ok(text.get(row).map(|t| place.has(t, part))));
        }
        flag_rows(inputs.rows(), |row| Ok(text.get(row).zip(part.get(row)).map(|(t, p)| place.has(t, p))))
    }))
}
