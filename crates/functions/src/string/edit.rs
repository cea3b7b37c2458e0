//! Strings changed in place: `replace`, `translate`, `reverse`, `mask`, `quote`, `ascii`, `chr`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Int32Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use super::string_like;
use crate::apply::{byte_rows, check_size, number_rows, text_rows};
use crate::collation::{Collator, collator_of};
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["replace"], replace);
    r.scalar(&["translate"], translate);
    r.scalar(&["reverse"], reverse);
    r.scalar(&["mask"], mask);
    r.scalar(&["quote"], quote);
    r.scalar(&["ascii"], ascii);
    r.scalar(&["chr", "char"], chr);
}

fn replace(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let t = string_like(&coerced[0]);
    let three = coerced.len() == 3;
    let collator = collator_of(&coerced[0])?;
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let (text, search) = (inputs.text(0)?, inputs.text(1)?);
        let with = if three { Some(inputs.text(2)?) } else { None };
        text_rows(inputs.rows(), |row, out| {
            let with = with.as_ref().map_or(Some(""), |w| w.get(row));
            let (Some(text), Some(search), Some(with)) = (text.get(row), search.get(row), with) else {
                return Ok(None);
            };
            if search.is_empty() {
                out.push_str(text);
                return Ok(Some(()));
            }
            let found: Vec<(usize, usize)> = match &collator {
                Some(collator) => collator.all(text, search),
                None => text.match_indices(search).map(|(at, found)| (at, at + found.len())).collect(),
            };
            let mut last = 0;
            for (begin, end) in found {
                out.push_str(&text[last..begin]);
                out.push_str(with);
                check_size(out.len())?;
                last = end;
            }
            out.push_str(&text[last..]);
            Ok(Some(()))
        })
    });
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text(String::new())]),
    })
}

fn translate(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let t = string_like(&coerced[0]);
    let collator = collator_of(&coerced[0])?;
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let (text, from, to) = (inputs.text(0)?, inputs.text(1)?, inputs.text(2)?);
        let dictionary = |from: &str, to: &str| {
            let mut to = to.chars();
            let mut out: HashMap<Vec<u8>, Option<char>> = HashMap::new();
            for c in from.chars() {
                let target = to.next();
                out.entry(character_key(c, collator.as_deref())).or_insert(target);
            }
            out
        };
        let fixed = match (from.constant, to.constant) {
            (true, true) => from.get(0).zip(to.get(0)).map(|(f, t)| dictionary(f, t)),
            _ => None,
        };
        text_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(from), Some(to)) = (text.get(row), from.get(row), to.get(row)) else {
                return Ok(None);
            };
            let own;
            let map = match &fixed {
                Some(map) => map,
                None => {
                    own = dictionary(from, to);
                    &own
                }
            };
            for c in text.chars() {
                match map.get(&character_key(c, collator.as_deref())) {
                    None => out.push(c),
                    Some(target) => out.extend(*target),
                }
            }
            Ok(Some(()))
        })
    }))
}

/// What characters are equal by.
fn character_key(c: char, collator: Option<&Collator>) -> Vec<u8> {
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    match collator {
        Some(collator) => collator.key(text).into_owned(),
        None => text.as_bytes().to_vec(),
    }
}

fn reverse(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    if let DataType::Array { .. } = &call.args[0].data_type {
        return crate::collection::reverse_array(call);
    }
    let coerced = call.want(&[Want::one_of([Want::Str, Want::BINARY, Want::AnyArray])])?;
    let nullable = call.nullable_as(&coerced);
    let binary = coerced[0] == DataType::Binary;
    let t = if binary { DataType::Binary } else { string_like(&coerced[0]) };
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        if binary {
            let values = inputs.bytes(0)?;
            return byte_rows(inputs.rows(), |row, out| {
                Ok(values.get(row).map(|b| out.extend(b.iter().rev())))
            });
        }
        let values = inputs.text(0)?;
        text_rows(inputs.rows(), |row, out| Ok(values.get(row).map(|s| out.extend(s.chars().rev()))))
    }))
}

/// `mask(text, upper, lower, digit, other)`: each class of characters becomes one; NULL leaves the class.
fn mask(call: &Call) -> Result<Resolved> {
    call.arity(1..=5)?;
    // Nothing is cast to a string here.
    if call.args.first().is_some_and(|a| a.data_type != DataType::Null && !a.data_type.is_string()) {
        return Err(call.unexpected_input(0, "\"STRING\""));
    }
    for (i, name) in ["upperChar", "lowerChar", "digitChar", "otherChar"].iter().enumerate() {
        let Some(arg) = call.args.get(i + 1) else { continue };
        if arg.data_type == DataType::Null {
            continue;
        }
        if !arg.data_type.is_string() {
            return Err(call.unexpected_input(i + 1, "\"STRING\""));
        }
        let Some(constant) = &arg.constant else {
            return Err(crate::mismatch::not_constant(call, i + 1, name, "STRING"));
        };
        let text = match constant {
            datafusion::scalar::ScalarValue::Utf8(text) => text.clone(),
            _ => None,
        };
        if text.is_some_and(|t| t.chars().count() != 1) {
            return Err(Error::new("DATATYPE_MISMATCH.INPUT_SIZE_NOT_ONE")
                .param("sqlExpr", format!("\"{}\"", call.sql()))
                .param("exprName", name)
                .message(format!("Cannot resolve \"{}\": `{name}` must be one character.", call.sql())));
        }
    }
    let coerced = call.want(&[Want::Str])?;
    let t = string_like(&coerced[0]);
    let shown =
        [(1, "X"), (2, "x"), (3, "n"), (4, "NULL")].into_iter().map(|(i, default)| match &coerced[0] {
            _ if i < coerced.len() => ShownArg::Arg(i),
            // The characters that are filled in take the collation of the text.
            DataType::String { collation: Some(collation) } if default != "NULL" => {
                ShownArg::Text(format!("'{default}' collate {collation}"))
            }
            _ => ShownArg::Text(default.into()),
        });
    let shown = std::iter::once(ShownArg::Arg(0)).chain(shown).collect();
    Ok(Resolved::new(coerced, t, true, |inputs| {
        let text = inputs.text(0)?;
        let given = (1..inputs.len()).map(|i| inputs.text(i)).collect::<Result<Vec<_>>>()?;
        text_rows(inputs.rows(), |row, out| {
            let Some(text) = text.get(row) else { return Ok(None) };
            let class = |i: usize, default: Option<char>| match given.get(i) {
                None => default,
                Some(operand) => operand.get(row).and_then(|s| s.chars().next()),
            };
            let classes = [class(0, Some('X')), class(1, Some('x')), class(2, Some('n')), class(3, None)];
            out.extend(text.chars().map(|c| {
                let class = if c.is_uppercase() {
                    classes[0]
                } else if c.is_lowercase() {
                    classes[1]
                } else if c.is_ascii_digit() {
                    classes[2]
                } else {
                    classes[3]
                };
                class.unwrap_or(c)
            }));
            Ok(Some(()))
        })
    })
    .shown_with(shown))
}

/// A string as a SQL literal.
fn quote(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::STRING, true, |inputs| {
        let text = inputs.text(0)?;
        text_rows(inputs.rows(), |row, out| {
            Ok(text.get(row).map(|s| {
                out.push('\'');
                for c in s.chars() {
                    if c == '\'' {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push('\'');
            }))
        })
    }))
}

fn ascii(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Integer, nullable, |inputs| {
        let text = inputs.text(0)?;
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            Ok(text.get(row).map(|s| s.chars().next().map_or(0, |c| c as i32)))
        })?;
        Ok(Arc::new(out))
    }))
}

fn chr(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::LONG])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, |inputs| {
        let numbers = inputs.numbers::<Int64Type>(0)?;
        text_rows(inputs.rows(), |row, out| {
            Ok(numbers.get(row).map(|n| {
                if n >= 0 {
                    out.push(char::from((n & 0xff) as u8));
                }
            }))
        })
    }))
}
