//! Parse errors in Spark's form: class, parameters, and the place in the text.

use boathouse_spec::{Error, QueryContext};

/// Text longer than this is not repeated in messages.
const LONGEST_ECHO: usize = 100_000;

/// An error about the bytes `start..end` of the text: it carries them as query context and shows where they are.
pub(crate) fn about(text: &str, start: usize, end: usize, error: Error) -> Error {
    let chars_before = text[..start].chars().count();
    let fragment = &text[start..end.max(start)];
    let length = fragment.chars().count();
    let context = QueryContext {
        start: chars_before,
        stop: (chars_before + length).saturating_sub(1),
        fragment: fragment.to_string(),
        ..QueryContext::default()
    };
    at(text, start, error.context(context))
}

/// An error at a place of the text, without a query context.
pub(crate) fn at(text: &str, start: usize, error: Error) -> Error {
    error.detail(location(text, start)).exception("ParseException")
}

/// `(line 1, pos 7)` and the text with a marker below the line in question.
fn location(text: &str, start: usize) -> String {
    let line = text[..start].matches('\n').count() + 1;
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let column = text[line_start..start].chars().count();
    let mut out = format!("(line {line}, pos {column})\n");
    if text.len() > LONGEST_ECHO {
        return out;
    }
    out.push_str("\n== SQL ==\n");
    for (i, source_line) in text.split('\n').enumerate() {
        out.push_str(source_line);
        out.push('\n');
        if i + 1 == line {
            out.push_str(&"-".repeat(column));
            out.push_str("^^^\n");
        }
    }
    out
}

pub(crate) fn unclosed_comment(text: &str, start: usize) -> Error {
    at(
        text,
        start,
        Error::new("UNCLOSED_BRACKETED_COMMENT")
            .message("A bracketed comment is not closed: add */ at its end."),
    )
}

pub(crate) fn empty_statement(text: &str) -> Error {
    at(
        text,
        text.len(),
        Error::new("PARSE_EMPTY_STATEMENT").message("Syntax error: there is no statement here."),
    )
}

/// `found` is the offending text, or nothing for the end of the text.
pub(crate) fn syntax(text: &str, start: usize, found: Option<&str>, hint: &str) -> Error {
    let found = found.map_or("end of input".to_string(), |t| format!("'{t}'"));
    at(
        text,
        start,
        Error::new("PARSE_SYNTAX_ERROR")
            .param("error", &found)
            .param("hint", hint)
            .message(format!("Syntax error at or near {found}{hint}.")),
    )
}

/// A Spark error class that has no name of its own yet and carries only a message.
pub(crate) fn legacy(number: &str, parameter: &str, value: impl Into<String>) -> Error {
    let value = value.into();
    let sentence = if value.ends_with('.') { value.clone() } else { format!("{value}.") };
    Error::new(format!("_LEGACY_ERROR_TEMP_{number}")).param(parameter, value).message(sentence)
}
