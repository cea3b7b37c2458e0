//! `SHOW FUNCTIONS`.

use std::collections::BTreeSet;
use std::sync::Arc;

use boathouse_functions::registry;
use boathouse_spec::{FunctionScope, Result, StructType};

use crate::names::matches_pattern;
use crate::rows::{self, text};
use crate::{QueryResult, Session};

/// Operators and special forms that are listed beside the functions, and are none here.
const OPERATORS: &[&str] = &["!", "!=", "<>", "between", "case", "||"];

pub(super) async fn run(
    session: &Arc<Session>,
    scope: FunctionScope,
    schema: Option<&[String]>,
    pattern: Option<&str>,
) -> Result<QueryResult> {
    let schema = session.schema_or_current(schema)?;
    let admitted = |name: &str| pattern.is_none_or(|p| matches_pattern(name, p));
    let mut names = BTreeSet::new();
    if matches!(scope, FunctionScope::All | FunctionScope::System) {
        names.extend(
            registry().names().chain(OPERATORS.iter().copied()).filter(|n| admitted(n)).map(str::to_string),
        );
    }
    let functions = session.engine.catalog.list_functions(&schema).await?;
    if matches!(scope, FunctionScope::All | FunctionScope::User) {
        names.extend(functions.into_iter().filter(|f| admitted(&f.name.name)).map(|f| f.name.to_string()));
        names.extend(session.functions.names().into_iter().filter(|n| admitted(n)));
    }
    let rows = names.into_iter().map(|n| vec![n.into()]).collect();
    rows::result(StructType::new(vec![text("function", false)]), rows)
}
