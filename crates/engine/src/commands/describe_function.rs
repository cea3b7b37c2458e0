//! `DESCRIBE FUNCTION`.

use std::sync::Arc;

use boathouse_catalog::{FunctionKind, FunctionRecord};
use boathouse_functions::{documentation, registry};
use boathouse_spec::{Error, Result, StructType, quote_name};

use crate::commands::{table_details, target};
use crate::functions::{self, SessionFunction};
use crate::rows::{self, text};
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, name: &[String], extended: bool) -> Result<QueryResult> {
    let lines = lines(session, name, extended).await?;
    let schema = StructType::new(vec![text("function_desc", false)]);
    rows::result(schema, lines.into_iter().map(|l| vec![l.into()]).collect())
}

async fn lines(session: &Arc<Session>, name: &[String], extended: bool) -> Result<Vec<String>> {
    let bare = match name {
        [one] => Some(one.as_str()),
        [schema, one] if schema.eq_ignore_ascii_case("builtin") || schema.eq_ignore_ascii_case("session") => {
            Some(one.as_str())
        }
        [catalog, schema, one]
            if catalog.eq_ignore_ascii_case("system")
                && (schema.eq_ignore_ascii_case("builtin") || schema.eq_ignore_ascii_case("session")) =>
        {
            Some(one.as_str())
        }
        _ => None,
    };
    if let Some(bare) = bare {
        match session.functions.get(bare) {
            Some(SessionFunction::Sql(function)) => return Ok(of_record(session, &function, bare, extended)),
            Some(SessionFunction::Python { .. }) => {
                return Ok(vec![
                    format!("Function: {bare}"),
                    "Class: PythonUDF".into(),
                    "Usage: N/A.".into(),
                ]);
            }
            None => {}
        }
        let key = bare.to_lowercase();
        if registry().contains(&key) || matches!(key.as_str(), "!=" | "<>" | "between" | "case" | "||" | "!")
        {
            return Ok(of_builtin(&key, extended));
        }
    }
    let full = session.object_name(name)?;
    match session.engine.catalog.find_function(&full).await? {
        Some(function) => Ok(of_record(session, &function, &function.name.to_string(), extended)),
        None => Err(Error::new("UNRESOLVED_ROUTINE")
            .param("routineName", quote_name(name))
            .param("searchPath", format!("[{}]", target::relation_path(session).join(", ")))
            .message(format!("There is no function {}.", quote_name(name)))
            .exception("AnalysisException")),
    }
}

fn of_builtin(name: &str, extended: bool) -> Vec<String> {
    if let Some(documented) = documentation(name) {
        return documented.lines(extended);
    }
    let mut out = vec![
        format!("Function: {name}"),
        format!("Class: boathouse.functions.{name}"),
        format!("Usage: {name} is built in, and does what Spark's function of the name does."),
    ];
    if extended {
        out.push("Extended Usage:\n    No example/argument for this function.\n".to_string());
    }
    out
}

fn of_class(function: &FunctionRecord, shown: &str, extended: bool) -> Vec<String> {
    let mut out =
        vec![format!("Function: {shown}"), format!("Class: {}", function.body), "Usage: N/A.".to_string()];
    if extended {
        let bare = &function.name.name;
        out.push(format!("Extended Usage:\n    No example/argument for {bare}.\n"));
    }
    out
}

fn of_record(session: &Session, function: &FunctionRecord, shown: &str, extended: bool) -> Vec<String> {
    if functions::is_class(function) {
        return of_class(function, shown, extended);
    }
    let width = if extended { 15 } else { 10 };
    let label = |name: &str| format!("{:<width$}", format!("{name}:"));
    let indent = " ".repeat(width);
    let mut out = Vec::new();
    let mut add = |name: &str, lines: Vec<String>| {
        for (i, line) in lines.into_iter().enumerate() {
            out.push(if i == 0 { format!("{}{line}", label(name)) } else { format!("{indent}{line}") });
        }
    };
    add("Function", vec![shown.to_string()]);
    add(
        "Type",
        vec![match function.kind {
            FunctionKind::Scalar => "SCALAR".to_string(),
            FunctionKind::Table => "TABLE".to_string(),
        }],
    );
    add("Input", parameters(function, extended));
    add("Returns", returns(function));
    if extended {
        if let Some(comment) = &function.comment {
            add("Comment", vec![comment.clone()]);
        }
        add("Deterministic", vec![function.deterministic.unwrap_or(true).to_string()]);
        add("Data Access", vec![data_access(function)]);
        let configs: Vec<_> = function.configs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        if !configs.is_empty() {
            add("Configs", configs);
        }
        if !function.owner.is_empty() {
            add("Owner", vec![function.owner.clone()]);
        }
        add("Create Time", vec![table_details::java_time(session, function.created_at_us)]);
        add("Body", vec![function.body.clone()]);
    }
    out
}

fn parameters(function: &FunctionRecord, extended: bool) -> Vec<String> {
    if function.parameters.is_empty() {
        return vec!["()".to_string()];
    }
    let width = function.parameters.iter().map(|p| p.name.len()).max().unwrap_or(0);
    let type_width = function.parameters.iter().map(|p| p.data_type.sql().len()).max().unwrap_or(0);
    function
        .parameters
        .iter()
        .map(|p| {
            let mut line = format!("{:<width$} {:<type_width$}", p.name, p.data_type.sql());
            if extended {
                if let Some(default) = &p.default {
                    line.push_str(&format!(" DEFAULT {default}"));
                }
                if let Some(comment) = &p.comment {
                    line.push_str(&format!(" '{comment}'"));
                }
            }
            if function.parameters.len() == 1 { line.trim_end().to_string() } else { line }
        })
        .collect()
}

fn returns(function: &FunctionRecord) -> Vec<String> {
    match (&function.kind, &function.returns) {
        (FunctionKind::Table, _) => {
            let columns = &function.return_columns.fields;
            let width = columns.iter().map(|f| f.name.len()).max().unwrap_or(0);
            let type_width = columns.iter().map(|f| f.data_type.sql().len()).max().unwrap_or(0);
            columns.iter().map(|f| format!("{:<width$} {:<type_width$}", f.name, f.data_type.sql())).collect()
        }
        (FunctionKind::Scalar, Some(t)) => vec![t.sql()],
        (FunctionKind::Scalar, None) => vec![String::new()],
    }
}

fn data_access(function: &FunctionRecord) -> String {
    function
        .characteristics
        .iter()
        .map(|c| c.to_uppercase())
        .find(|c| c == "READS SQL DATA" || c == "CONTAINS SQL")
        .unwrap_or_else(|| "CONTAINS SQL".to_string())
}
