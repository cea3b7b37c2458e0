//! `EXECUTE IMMEDIATE text INTO variables USING arguments`.

use std::sync::Arc;

use boathouse_spec::{Command, DataType, Error, Expr, Name, Plan, Result, SqlText};

use crate::commands::{evaluate, run as run_command, variable};
use crate::{QueryResult, Session};

pub(super) async fn run(
    session: &Arc<Session>,
    text: Expr,
    into: Vec<Name>,
    using: Vec<Expr>,
) -> Result<QueryResult> {
    let shown = match &text {
        Expr::Column(c) => boathouse_spec::quote_name(&c.name),
        _ => String::new(),
    };
    let (text, data_type) = evaluate::string(session, text).await?;
    if !data_type.is_string() {
        return Err(not_a_string(&data_type));
    }
    let Some(text) = text else {
        return Err(Error::new("NULL_QUERY_STRING_EXECUTE_IMMEDIATE")
            .param("varName", &shown)
            .message(format!("The text to execute is NULL{}.", if shown.is_empty() { String::new() } else { format!(" (the variable {shown})") }))
            .exception("AnalysisException"));
    };
    let text = arguments(session, text, using).await?;
    let plan = session.parse(&text).await?;
    match plan {
        Plan::Query(_) if !into.is_empty() => {
            let query = boathouse_spec::Relation::new(boathouse_spec::RelationNode::Sql(text));
            variable::set_from_query(session, into, query).await
        }
        Plan::Query(query) => {
            let _ = query;
            let query = boathouse_spec::Relation::new(boathouse_spec::RelationNode::Sql(text));
            session.execute_here(Plan::Query(query)).await
        }
        Plan::Command(command) if matches!(*command, Command::ExecuteImmediate { .. }) => {
            Err(Error::new("NESTED_EXECUTE_IMMEDIATE")
                .param("sqlString", text.text.to_uppercase())
                .message("EXECUTE IMMEDIATE cannot execute an EXECUTE IMMEDIATE.")
                .exception("AnalysisException"))
        }
        Plan::Command(_) if !into.is_empty() => Err(Error::new("INVALID_STATEMENT_FOR_EXECUTE_INTO")
            .param("sqlString", text.text.to_uppercase())
            .message("EXECUTE IMMEDIATE .. INTO takes a query: this statement has no rows to put into variables.")
            .exception("AnalysisException")),
        Plan::Command(command) => run_command(session, *command).await,
    }
}

/// The text with the values of its parameters: all by name, or all by position.
async fn arguments(session: &Arc<Session>, text: String, using: Vec<Expr>) -> Result<SqlText> {
    let mut out = SqlText { text, ..SqlText::default() };
    let mut unnamed = Vec::new();
    for argument in using {
        let (name, expr) = match argument {
            Expr::Alias { expr, mut names, .. } if names.len() == 1 => (names.pop(), *expr),
            Expr::NamedArgument { name, value } => (Some(name), *value),
            other => (None, other),
        };
        let shown = match &expr {
            Expr::Column(c) => boathouse_spec::quote_name(&c.name),
            other => format!("{other:?}"),
        };
        let value = Expr::Literal(evaluate::literal(session, expr).await?);
        match name {
            Some(name) => {
                if out.named.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name)) {
                    return Err(Error::new("EXEC_IMMEDIATE_DUPLICATE_ARGUMENT_ALIASES")
                        .param("aliases", boathouse_spec::quote(&name))
                        .message(format!("The argument {name} is given twice."))
                        .exception("AnalysisException"));
                }
                out.named.push((name, value));
            }
            None => {
                unnamed.push(shown);
                out.positional.push(value);
            }
        }
    }
    if !out.named.is_empty() && !unnamed.is_empty() {
        return Err(Error::new("ALL_PARAMETERS_MUST_BE_NAMED")
            .param("exprs", unnamed.iter().map(|u| format!("\"{u}\"")).collect::<Vec<_>>().join(", "))
            .message("Either all arguments of USING have a name, or none has.")
            .exception("AnalysisException"));
    }
    Ok(out)
}

fn not_a_string(t: &DataType) -> Error {
    Error::new("INVALID_EXPR_TYPE_FOR_QUERY_EXECUTE_IMMEDIATE")
        .param("exprType", format!("\"{}\"", t.sql()))
        .message(format!("The text to execute must be a string, not {}.", t.sql()))
        .exception("AnalysisException")
}
