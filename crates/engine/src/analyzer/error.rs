//! Errors of analysis, by Spark's classes.

use boathouse_spec::{DataType, Error, quote_name};

use super::analyzed::Attribute;

/// UNRESOLVED_COLUMN: no such column; the nearest names are proposed.
pub(super) fn unresolved_column(name: &[String], candidates: &[String]) -> Error {
    let wanted = quote_name(name);
    if candidates.is_empty() {
        return Error::new("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION")
            .param("objectName", &wanted)
            .message(format!("There is no column, variable or parameter named {wanted}."));
    }
    let last = name.last().map(|n| n.to_lowercase()).unwrap_or_default();
    let mut ranked: Vec<&String> = candidates.iter().collect();
    ranked.sort_by_key(|c| {
        let bare = c.trim_end_matches('`').rsplit('`').next().unwrap_or(c).to_lowercase();
        distance(&bare, &last)
    });
    ranked.dedup();
    let proposal = ranked.iter().take(5).map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
    Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
        .param("objectName", &wanted)
        .param("proposal", &proposal)
        .message(format!(
            "There is no column, variable or parameter named {wanted}. Did you mean one of: {proposal}?"
        ))
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
