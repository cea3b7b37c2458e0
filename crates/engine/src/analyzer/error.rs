//! Errors of analysis, by Spark's classes.

use boathouse_spec::{DataType, Error, Name, quote_name};

use super::analyzed::Attribute;

/// UNRESOLVED_COLUMN: no such column; the nearest names are proposed.
pub(super) fn unresolved_column(name: &[String], candidates: &[Name]) -> Error {
    let wanted = quote_name(name);
    if candidates.is_empty() {
        return Error::new("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION")
            .param("objectName", &wanted)
            .message(format!("There is no column, variable or parameter named {wanted}."));
    }
    let proposal = proposals(name, candidates).join(", ");
    Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
        .param("objectName", &wanted)
        .param("proposal", &proposal)
        .message(format!(
            "There is no column, variable or parameter named {wanted}. Did you mean one of: {proposal}?"
        ))
}

/// The names that are nearest to the one that was not found (Spark's `orderSuggestedIdentifiersBySimilarity`): what all of
/// them begin with is left out where the name did not say it either.
pub(super) fn proposals(name: &[String], candidates: &[Name]) -> Vec<String> {
    let begin_alike = |kept: usize| {
        let mut beginnings = candidates.iter().map(|c| &c[..c.len().saturating_sub(kept)]);
        let first = beginnings.next();
        beginnings.all(|b| Some(b) == first)
    };
    let kept = match name.len() {
        1 if begin_alike(1) => 1,
        1 | 2 if begin_alike(2) => 2,
        _ => usize::MAX,
    };
    let mut ranked: Vec<String> =
        candidates.iter().map(|c| quote_name(&c[c.len().saturating_sub(kept)..])).collect();
    let wanted = name.join(".");
    ranked.sort_by_key(|candidate| distance(candidate, &wanted));
    ranked.truncate(5);
    ranked
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(x != *y));
            diagonal = above;
        }
    }
    row[b.len()]
}

pub(super) fn ambiguous(name: &[String], candidates: &[String]) -> Error {
    Error::new("AMBIGUOUS_REFERENCE")
        .param("name", quote_name(name))
        .param("referenceNames", format!("[{}]", candidates.join(", ")))
        .message(format!("{} may mean any of {}.", quote_name(name), candidates.join(", ")))
}

/// A column that a method of DataFrames names and the frame lacks; the planner of Spark Connect has a class of its own for that.
pub(super) fn no_such_column_of_frame(class: &str, name: &str, columns: &[Attribute]) -> Error {
    let known = columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    Error::new(class)
        .param("colName", name)
        .param("fieldNames", &known)
        .message(format!("There is no column {name} among {known}."))
        .exception("AnalysisException")
}

pub(super) fn column_twice(name: &str) -> Error {
    Error::new("COLUMN_ALREADY_EXISTS")
        .param("columnName", boathouse_spec::quote(name))
        .message(format!("The column `{name}` is given twice."))
}

/// DATATYPE_MISMATCH.*, with the expression's text.
pub(super) fn mismatch(subclass: &str, sql: &str, message: String) -> Error {
    Error::new(format!("DATATYPE_MISMATCH.{subclass}"))
        .param("sqlExpr", format!("\"{sql}\""))
        .message(format!("Cannot resolve \"{sql}\": {message}"))
}

pub(super) fn quoted(t: &DataType) -> String {
    format!("\"{}\"", t.sql())
}

/// An event time is a timestamp, or a window of them.
pub(super) fn not_a_time(name: &str, data_type: &DataType) -> Error {
    Error::new("EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE")
        .param("eventName", boathouse_spec::quote(name))
        .param("eventType", quoted(data_type))
        .message(format!("The event time {name} must be a timestamp, not {}.", data_type.sql()))
}

/// A function that gives a table, called as if it gave a value.
pub(super) fn not_a_scalar_function(name: &[String]) -> Error {
    Error::new("NOT_A_SCALAR_FUNCTION")
        .param("functionName", quote_name(name))
        .message(format!("`{}` gives a table; use it in FROM.", name.join(".")))
}

pub(super) fn unresolved_routine(name: &[String], path: &[String]) -> Error {
    Error::new("UNRESOLVED_ROUTINE")
        .param("routineName", quote_name(name))
        .param("searchPath", format!("[{}]", path.join(", ")))
        .message(format!(
            "There is no function named {} on the search path [{}].",
            quote_name(name),
            path.join(", ")
        ))
}
