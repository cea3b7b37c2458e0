//! `cloudFiles.schemaHints`: types that columns shall have whatever the files seem to say: `a INT, b.c DATE, list.element BIGINT,
//! map.value.x STRING`. Databricks' public documentation of Auto Loader's schema inference.

use boathouse_spec::{DataType, Result, StructField, StructType};

use crate::options::invalid;

const OPTION: &str = "cloudFiles.schemaHints";

/// A type for a column, or for something inside of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hint {
    path: Vec<String>,
    field: StructField,
}

/// The hints of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Hint>> {
    pieces(text).into_iter().map(parse_one).collect()
}

/// The text between commas that are in no brackets and no quotes.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '`' | '\'' | '"') => quote = Some(c),
            (None, '<' | '(') => depth += 1,
            (None, '>' | ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                pieces.push(&text[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[from..]);
    pieces
}

fn parse_one(piece: &str) -> Result<Hint> {
    let piece = piece.trim();
    let (path, rest) =
        path(piece).ok_or_else(|| invalid(OPTION, piece, "it must be a column's name and its type"))?;
    // The parser of schemas knows columns only: it gets one for the field.
    let mut schema = boathouse_sql::parse_schema(&format!("hint {rest}"))?;
    match (schema.fields.pop(), schema.fields.is_empty()) {
        (Some(field), true) => Ok(Hint { path, field }),
        _ => Err(invalid(OPTION, piece, "it must be a column's name and its type")),
    }
}

/// The parts of the name that a text begins with, and what follows it.
fn path(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut path, mut rest) = (Vec::new(), text);
    loop {
        let (part, after) = match rest.strip_prefix('`') {
            Some(quoted) => {
                let end = quoted.find('`')?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => {
                let end = rest.find(|c: char| c == '.' || c == ':' || c.is_whitespace())?;
                (&rest[..end], &rest[end..])
            }
        };
        if part.is_empty() {
            return None;
        }
        path.push(part.to_string());
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return Some((path, after.trim_start_matches(':'))),
        }
    }
}

/// A schema with the hints in force; what it does not have is added.
pub(super) fn apply(schema: &StructType, hints: &[Hint]) -> Result<StructType> {
    let mut schema = schema.clone();
    for hint in hints {
        apply_in(&mut schema, &hint.path, hint)?;
    }
    Ok(schema)
}

fn apply_in(schema: &mut StructType, path: &[String], hint: &Hint) -> Result<()> {
    let Some((name, inner)) = path.split_first() else { return Ok(()) };
    let place = match schema.fields.iter().position(|f| f.name.eq_ignore_ascii_case(name)) {
        Some(place) => place,
        None => {
            let empty = DataType::Struct(StructType::default());
            schema.fields.push(StructField::new(name, empty, true));
            schema.fields.len() - 1
        }
    };
    apply_to(&mut schema.fields[place].data_type, inner, hint)
}

fn apply_to(t: &mut DataType, path: &[String], hint: &Hint) -> Result<()> {
    let Some((name, inner)) = path.split_first() else {
        *t = hint.field.data_type.clone();
        return Ok(());
    };
    match t {
        DataType::Struct(schema) => apply_in(schema, path, hint),
        DataType::Array { element, .. } if name.eq_ignore_ascii_case("element") => {
            apply_to(element, inner, hint)
        }
        DataType::Map { key, .. } if name.eq_ignore_ascii_case("key") => apply_to(key, inner, hint),
        DataType::Map { value, .. } if name.eq_ignore_ascii_case("value") => apply_to(value, inner, hint),
        DataType::Array { .. } | DataType::Map { .. } => Err(invalid(
            OPTION,
            &hint.path.join("."),
            &format!("{} has no field {name}: fields of it are element, key or value", t.sql()),
        )),
        // Files that were looked at may have had no such object: what is hinted at is one.
        other => {
            *other = DataType::Struct(StructType::default());
            apply_to(other, path, hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> StructType {
        boathouse_sql::parse_schema(text).unwrap()
    }

    fn hinted(known: &str, hints: &str) -> StructType {
        apply(&schema(known), &parse(hints).unwrap()).unwrap()
    }

    #[test]
    fn columns_and_what_is_in_them() {
        assert_eq!(hinted("a INT, b STRING", "A BIGINT, d DATE"), schema("a BIGINT, b STRING, d DATE"));
        assert_eq!(
            hinted("u STRUCT<id: STRING, at: STRING>", "u.at DATE, u.`n.m` DECIMAL(10, 2), v.w INT"),
            schema("u STRUCT<id: STRING, at: DATE, `n.m`: DECIMAL(10, 2)>, v STRUCT<w: INT>")
        );
        assert_eq!(
            hinted(
                "l ARRAY<STRING>, o ARRAY<STRUCT<id: STRING>>, m MAP<STRING, STRING>, d MAP<STRING, STRUCT<c: INT>>",
                "l.element INT, o.element.id INT, m.value DATE, d.value.c STRING"
            ),
            schema(
                "l ARRAY<INT>, o ARRAY<STRUCT<id: INT>>, m MAP<STRING, DATE>, d MAP<STRING, STRUCT<c: STRING>>"
            )
        );
        assert_eq!(hinted("a STRING", "a.b INT"), schema("a STRUCT<b: INT>"));
        assert_eq!(
            hinted("a STRING", "a MAP<STRING, STRUCT<x: INT, y: INT>>"),
            schema("a MAP<STRING, STRUCT<x: INT, y: INT>>")
        );
    }

    #[test]
    fn what_is_no_hint_is_refused() {
        for text in ["a", "a.", ".a INT", "a NOTYPE", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(apply(&schema("a ARRAY<INT>"), &parse("a.x INT").unwrap()).is_err());
    }
}
