//! Statements that name things by `IDENTIFIER(expression)`: the expressions are computed, and the text is parsed again.

use std::sync::Arc;

use boathouse_spec::{Error, Expr, Plan, Result};

use crate::commands::{evaluate, run as run_command};
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, text: String, identifiers: Vec<Expr>) -> Result<QueryResult> {
    match identified(session, &text, identifiers).await? {
        Plan::Command(command) => run_command(session, *command).await,
        query => session.execute_here(query).await,
    }
}

/// The statement with the names that its clauses mean.
pub(crate) async fn identified(session: &Arc<Session>, text: &str, identifiers: Vec<Expr>) -> Result<Plan> {
    let mut values = Vec::with_capacity(identifiers.len());
    for expr in identifiers {
        let (value, data_type) = evaluate::string(session, expr).await?;
        let wrong = |subclass: &str, why: &str| {
            Error::new(format!("NOT_A_CONSTANT_STRING.{subclass}"))
                .param("name", "IDENTIFIER")
                .message(format!("IDENTIFIER takes a constant string: {why}."))
                .exception("AnalysisException")
        };
        if !data_type.is_string() {
            return Err(wrong("WRONG_TYPE", &format!("the expression is {}", data_type.sql()))
                .param("dataType", data_type.simple_string()));
        }
        values.push(value.ok_or_else(|| wrong("NULL", "the expression is NULL"))?);
    }
    let mut options = session.conf().parser_options();
    options.identifiers = values;
    boathouse_sql::parse_statement(text, &options)
}
