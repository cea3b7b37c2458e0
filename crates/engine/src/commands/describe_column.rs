//! `DESCRIBE TABLE t column`.

use std::sync::Arc;

use boathouse_spec::{Error, Result, StructType};

use crate::commands::describe_table::column_not_found;
use crate::commands::target::{self, Found};
use crate::commands::{analyze_table, table_columns};
use crate::rows::{self, Value, text};
use crate::{QueryResult, Session};

pub(super) fn schema_of_result() -> StructType {
    StructType::new(vec![
        text("info_name", false).with_comment(Some("name of the column info")),
        text("info_value", false).with_comment(Some("value of the column info")),
    ])
}

pub(super) async fn run(
    session: &Arc<Session>,
    table: &[String],
    column: &[String],
    extended: bool,
    as_json: bool,
) -> Result<QueryResult> {
    if as_json {
        return Err(Error::new("UNSUPPORTED_FEATURE.DESC_TABLE_COLUMN_JSON")
            .message("A single column cannot be described AS JSON; describe the table.")
            .exception("AnalysisException"));
    }
    let found = target::find(session, table, &target::relation_path(session)).await?;
    let columns = table_columns::of_found(session, &found).await?;
    let column = without_qualifier(column, &qualifier(&found), &columns);
    let field = match column {
        [one] => columns.field(one),
        [first, ..] if columns.field(first).is_some() => {
            return Err(Error::new("_LEGACY_ERROR_TEMP_1060")
                .param("command", "DESC TABLE COLUMN")
                .param("column", column.join("."))
                .message(format!("DESCRIBE shows columns, not the fields inside them: {}.", column.join(".")))
                .exception("AnalysisException"));
        }
        _ => None,
    };
    let field = field.ok_or_else(|| column_not_found(column))?;
    let mut out: Vec<Vec<Value>> = vec![
        vec!["col_name".into(), column.join(".").into()],
        vec!["data_type".into(), table_columns::declared_type(field).into()],
        vec!["comment".into(), field.comment().unwrap_or_else(|| "NULL".to_string()).into()],
    ];
    if extended {
        let record = match &found {
            Found::Table(table) => table.record.clone(),
            _ => None,
        };
        for (key, value) in analyze_table::column_statistics(record.as_deref(), &field.name) {
            out.push(vec![key.into(), value.unwrap_or_else(|| "NULL".to_string()).into()]);
        }
        if let Some(default) = table_columns::default_text(field) {
            out.push(vec!["default".into(), default.into()]);
        }
    }
    rows::result(schema_of_result(), out)
}

/// What may stand before the name of a column.
fn qualifier(found: &Found) -> Vec<String> {
    match found {
        Found::Table(table) => table.qualifier.clone(),
        Found::View(record) => record.name.parts(),
        Found::TempView { name, .. } => name.clone(),
    }
}

/// The name of a column without the table's, where it begins with that: `t.id`, `schema.t.id`.
fn without_qualifier<'a>(name: &'a [String], qualifier: &[String], columns: &StructType) -> &'a [String] {
    for length in (1..name.len()).rev() {
        let (before, rest) = name.split_at(length);
        let is_qualifier = before.len() <= qualifier.len()
            && before.iter().rev().zip(qualifier.iter().rev()).all(|(a, b)| a.eq_ignore_ascii_case(b));
        if is_qualifier && rest.first().is_some_and(|column| columns.field(column).is_some()) {
            return rest;
        }
    }
    name
}
