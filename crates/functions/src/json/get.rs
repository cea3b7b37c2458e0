//! `get_json_object`: the value at a path, as text.
//!
//! The text is read once, and what the path does not touch is only skipped (it must be JSON all the same). The results
//! of wildcards follow Hive: one match stands alone, several become an array, `[*][*]` flattens.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder, new_null_array};
use boathouse_bridge::arrow_type;
use boathouse_formats::json::{MAX_DEPTH, Scanner, Start, SyntaxError, copy_value};
use boathouse_spec::{DataType, Result};

use super::path::{self, Step};
use super::{LENIENCY, is_marked};
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["get_json_object"], get_json_object);
}

fn get_json_object(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.exactly(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::STRING, true, get))
}

fn get(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.strings(0)?;
    let mut found = Found::new(texts.len());
    if let Some(path) = inputs.constant_string(1) {
        let Some(steps) = path.and_then(|p| path::parse(&p)) else {
            return Ok(new_null_array(&arrow_type(&DataType::STRING), inputs.rows()));
        };
        for text in &texts {
            found.push(text, Some(&steps));
        }
        return Ok(found.finish());
    }
    let paths: StringArray = inputs.strings(1)?;
    let mut known: HashMap<&str, Option<Vec<Step>>> = HashMap::new();
    for (text, path) in texts.iter().zip(&paths) {
        let steps = path.and_then(|p| known.entry(p).or_insert_with(|| path::parse(p)).as_deref());
        found.push(text, steps);
    }
    Ok(found.finish())
}

/// The results, and the memory to make them.
struct Found {
    out: StringBuilder,
    buffer: Output,
}

impl Found {
    fn new(rows: usize) -> Self {
        Self { out: StringBuilder::with_capacity(rows, rows * 16), buffer: Output::default() }
    }

    fn push(&mut self, text: Option<&str>, steps: Option<&[Step]>) {
        let (Some(text), Some(steps)) = (text, steps) else { return self.out.append_null() };
        self.buffer.clear();
        let mut scanner = Scanner::new(text, LENIENCY);
        let matched = match scanner.at_end() {
            Ok(false) if !is_marked(text) => {
                evaluate(&mut scanner, steps, Style::Raw, &mut self.buffer, 0).unwrap_or(false)
            }
            _ => false,
        };
        if matched {
            self.out.append_value(&self.buffer.text);
        } else {
            self.out.append_null();
        }
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(self.out.finish())
    }
}

/// How a match is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Style {
    /// Strings without quotes.
    Raw,
    Quoted,
    /// Arrays give their elements to the array around them.
    Flat,
}

/// The text of the result, which puts commas between the elements of open arrays.
#[derive(Default)]
struct Output {
    text: String,
    /// The open array already has an element.
    after_element: bool,
    scratch: Vec<u8>,
}

impl Output {
    fn clear(&mut self) {
        self.text.clear();
        self.after_element = false;
    }

    fn separate(&mut self) {
        if self.after_element {
            self.text.push(',');
        }
        self.after_element = true;
    }

    /// Opens an array; gives where it starts, and what was before it, to be closed with.
    fn open(&mut self) -> (usize, bool) {
        let before = self.after_element;
        let at = self.text.len();
        self.separate();
        self.text.push('[');
        self.after_element = false;
        (at, before)
    }

    fn close(&mut self) {
        self.text.push(']');
        self.after_element = true;
    }
}

/// Follows the path from the value at the scanner's place, which is consumed; writes the matches, and tells whether
/// there was one.
fn evaluate(
    scanner: &mut Scanner,
    steps: &[Step],
    style: Style,
    out: &mut Output,
    depth: usize,
) -> Result<bool, SyntaxError> {
    if depth > MAX_DEPTH {
        return Err(SyntaxError);
    }
    let start = scanner.start()?;
    match (start, steps) {
        (Start::Text(quote), []) if style == Style::Raw => {
            let mut scratch = std::mem::take(&mut out.scratch);
            let text = scanner.text_slice(quote, &mut scratch)?;
            out.text.push_str(std::str::from_utf8(text).map_err(|_| SyntaxError)?);
            out.scratch = scratch;
            Ok(true)
        }
        (Start::Array, []) if style == Style::Flat => {
            each(scanner, |scanner| evaluate(scanner, &[], style, out, depth + 1)).map(|matches| matches > 0)
        }
        (_, []) => {
            out.separate();
            copy_value(scanner, &mut out.text)?;
            Ok(true)
        }
        (Start::Object, [Step::Field(name), rest @ ..]) => field(scanner, name, rest, style, out, depth),
        (Start::Array, [Step::Elements, Step::Elements, rest @ ..]) => {
            out.open();
            let matches = each(scanner, |scanner| evaluate(scanner, rest, Style::Flat, out, depth + 1))?;
            out.close();
            Ok(matches > 0)
        }
        (Start::Array, [Step::Elements, rest @ ..]) if style != Style::Quoted => {
            let inner = if style == Style::Raw { Style::Quoted } else { Style::Flat };
            let (at, before) = out.open();
            let matches = each(scanner, |scanner| evaluate(scanner, rest, inner, out, depth + 1))?;
            match matches {
                0 => {
                    out.text.truncate(at);
                    out.after_element = before;
                }
                // A single match stands without its array.
                1 => {
                    let bracket = at + usize::from(before);
                    out.text.remove(bracket);
                    out.after_element = true;
                }
                _ => out.close(),
            }
            Ok(matches > 0)
        }
        (Start::Array, [Step::Elements, rest @ ..]) => {
            out.open();
            let matches = each(scanner, |scanner| evaluate(scanner, rest, Style::Quoted, out, depth + 1))?;
            out.close();
            Ok(matches > 0)
        }
        (Start::Array, [Step::Element(wanted), rest @ ..]) => {
            let style = if rest.first() == Some(&Step::Elements) { Style::Quoted } else { style };
            let mut index = 0;
            let mut matched = false;
            each(scanner, |scanner| {
                index += 1;
                if index - 1 == *wanted {
                    matched = evaluate(scanner, rest, style, out, depth + 1)?;
                } else {
                    scanner.skip_value()?;
                }
                Ok(false)
            })?;
            Ok(matched)
        }
        _ => {
            scanner.skip_value()?;
            Ok(false)
        }
    }
}

/// Visits the elements of the array at the scanner's place, and counts those that match.
fn each<'a>(
    scanner: &mut Scanner<'a>,
    mut visit: impl FnMut(&mut Scanner<'a>) -> Result<bool, SyntaxError>,
) -> Result<usize, SyntaxError> {
    scanner.open();
    let (mut first, mut matches) = (true, 0);
    while scanner.next_element(first)? {
        first = false;
        matches += usize::from(visit(scanner)?);
    }
    Ok(matches)
}

/// The first field of that name that is not null and matches the rest; the fields behind it are only checked.
fn field(
    scanner: &mut Scanner,
    name: &str,
    rest: &[Step],
    style: Style,
    out: &mut Output,
    depth: usize,
) -> Result<bool, SyntaxError> {
    scanner.open();
    let mut scratch = std::mem::take(&mut out.scratch);
    let (mut first, mut matched) = (true, false);
    while let Some(found) = scanner.next_field(first, &mut scratch)? {
        first = false;
        if !matched && found == name.as_bytes() && scanner.start()? != Start::Null {
            matched = evaluate(scanner, rest, style, out, depth + 1)?;
        } else {
            scanner.skip_value()?;
        }
    }
    out.scratch = scratch;
    Ok(matched)
}
