//! `EXECUTE IMMEDIATE text INTO variables USING arguments`.

use std::sync::Arc;

use boathouse_spec::{Command, DataType, Error, Expr, Name, Plan, Relation, RelationNode, Result, SqlText};

use crate::analyzer::{Analyzed, is_foldable};
use crate::commands::{evaluate, run as run_command, variable};
use crate::relation_walk::has_subquery;
use crate::script::scope;
use crate::{QueryResult, Session};

pub(super) async fn run(
    session: &Arc<Session>,
    text: Expr,
    into: Vec<Name>,
    using: Vec<Expr>,
) -> Result<QueryResult> {
    outcome(session, text, into, using).await.map(|(rows, _)| rows)
}

/// The rows, and whether they are a query's. The text sees no variables of the script around it; what it is made of, and
/// where its values go, do.
pub(crate) async fn outcome(
    session: &Arc<Session>,
    text: Expr,
    into: Vec<Name>,
    using: Vec<Expr>,
) -> Result<(QueryResult, bool)> {
    let shown = match &text {
        Expr::Column(c) => boathouse_spec::quote_name(&c.name),
        _ => String::new(),
    };
    refuse_varying(session, &text).await?;
    let (text, data_type) = evaluate::string(session, text).await?;
    if !data_type.is_string() {
        return Err(not_a_string(&data_type));
    }
    let Some(text) = text else {
        return Err(Error::new("NULL_QUERY_STRING_EXECUTE_IMMEDIATE")
            .param("varName", &shown)
            .message(format!(
                "The text to execute is NULL{}.",
                if shown.is_empty() { String::new() } else { format!(" (the variable {shown})") }
            ))
            .exception("AnalysisException"));
    };
    let text = arguments(session, text, using).await?;
    match session.parse(&text).await? {
        Plan::Query(_) => {
            let query = Relation::new(RelationNode::Sql(text));
            check_targets(session, &into)?;
            if into.is_empty() {
                Ok((scope::hidden(session.execute_here(Plan::Query(query))).await?, true))
            } else {
                Ok((variable::set_from_hidden_query(session, into, query).await?, false))
            }
        }
        Plan::Command(command) if matches!(*command, Command::Script(_)) => Err(script_in_text(&text.text)),
        Plan::Command(command) if into.is_empty() => {
            Ok((scope::hidden(run_command(session, *command)).await?, false))
        }
        Plan::Command(command) => match *command {
            // The inner statement gives the rows.
            Command::ExecuteImmediate { text, into: inner, using } if inner.is_empty() => {
                Box::pin(outcome(session, text, into, using)).await
            }
            _ => Err(Error::new("INVALID_STATEMENT_FOR_EXECUTE_INTO")
                .param("sqlString", text.text.to_uppercase())
                .message("EXECUTE IMMEDIATE .. INTO takes a query: this statement has no rows to put into variables.")
                .exception("AnalysisException")),
        },
    }
}

/// What INTO names are columns to Spark, until they are found to be variables.
fn check_targets(session: &Session, into: &[Name]) -> Result<()> {
    match into.iter().find(|name| session.variable(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(Error::new("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION")
            .param("objectName", boathouse_spec::quote_name(name))
            .message(format!("There is no variable {}. DECLARE it first.", boathouse_spec::quote_name(name)))
            .exception("AnalysisException")),
    }
}

/// The text with the values of its parameters. Its markers say whether they go by name or by position.
pub(super) async fn arguments(session: &Arc<Session>, text: String, using: Vec<Expr>) -> Result<SqlText> {
    let mut out = SqlText { text, ..SqlText::default() };
    if using.is_empty() {
        return Ok(out);
    }
    let (named, positional) = boathouse_sql::parameter_markers(&out.text)?;
    if named && positional {
        return Err(crate::analyzer::mixed_parameters());
    }
    let mut unnamed = Vec::new();
    for argument in using {
        let (name, expr) = match argument {
            Expr::Alias { expr, mut names, .. } if names.len() == 1 => (names.pop(), *expr),
            Expr::NamedArgument { name, value } => (Some(name), *value),
            // A variable goes by its own name.
            Expr::Column(c) => (c.name.last().cloned(), Expr::Column(c)),
            other => (None, other),
        };
        refuse_varying(session, &expr).await?;
        let value = evaluate::written(session, expr).await?;
        match name {
            _ if !named => out.positional.push(value),
            Some(name) => {
                if out.named.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name)) {
                    return Err(Error::new("EXEC_IMMEDIATE_DUPLICATE_ARGUMENT_ALIASES")
                        .param("aliases", boathouse_spec::quote(&name))
                        .message(format!("The argument {name} is given twice."))
                        .exception("AnalysisException"));
                }
                out.named.push((name, value));
            }
            None => unnamed.push(format!("\"{value:?}\"")),
        }
    }
    if !unnamed.is_empty() {
        return Err(Error::new("ALL_PARAMETERS_MUST_BE_NAMED")
            .param("exprs", unnamed.join(", "))
            .message("The statement has parameters by name: each argument of USING needs a name (AS name).")
            .exception("AnalysisException"));
    }
    Ok(out)
}

/// The text and the values of its parameters need no rows and are the same each time.
async fn refuse_varying(session: &Arc<Session>, expr: &Expr) -> Result<()> {
    if has_subquery(expr) {
        return Err(unsupported_parameter("scalarsubquery()"));
    }
    let expr = expr.clone();
    let analyzed = session.analyze(move |analyzer| {
        let typed = analyzer.expression(&expr, &Analyzed::one_row()?)?;
        let is_constant = is_foldable(&typed.expr) && analyzer.functions_used.is_empty();
        Ok((typed.name, is_constant))
    });
    // What is wrong with the expression is told where it is evaluated.
    if let Ok((name, false)) = analyzed.await {
        return Err(unsupported_parameter(&name));
    }
    Ok(())
}

fn unsupported_parameter(shown: &str) -> Error {
    Error::new("UNSUPPORTED_EXPR_FOR_PARAMETER")
        .param("invalidExprSql", format!("\"{shown}\""))
        .message(format!("{shown} is no constant: put its value into a variable first."))
        .exception("AnalysisException")
}

fn script_in_text(text: &str) -> Error {
    Error::new("SQL_SCRIPT_IN_EXECUTE_IMMEDIATE")
        .param("sqlString", text)
        .message(format!("EXECUTE IMMEDIATE takes one statement, not a script: {text}"))
        .exception("AnalysisException")
}

fn not_a_string(t: &DataType) -> Error {
    Error::new("INVALID_EXPR_TYPE_FOR_QUERY_EXECUTE_IMMEDIATE")
        .param("exprType", format!("\"{}\"", t.sql()))
        .message(format!("The text to execute must be a string, not {}.", t.sql()))
        .exception("AnalysisException")
}
