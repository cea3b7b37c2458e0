//! `SHOW FUNCTIONS`.

use std::collections::BTreeSet;
use std::sync::Arc;

use boathouse_functions::documented;
use boathouse_spec::{FunctionScope, Result, StructType};

use crate::names::matches_pattern;
use crate::rows::{self, text};
use crate::{QueryResult, Session};

/// Functions of Spark that are not here (`docs/functions.md`).
const MISSING: &[&str] = &[
    "from_avro",
    "from_protobuf",
    "java_method",
    "measure",
    "python_worker_logs",
    "reflect",
    "schema_of_avro",
    "to_avro",
    "to_protobuf",
    "try_reflect",
];

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
        names.extend(documented().filter(|n| !MISSING.contains(n) && admitted(n)).map(str::to_string));
    }
    let functions = session.engine.catalog.list_functions(&schema).await?;
    if matches!(scope, FunctionScope::All | FunctionScope::User) {
        names.extend(functions.into_iter().filter(|f| admitted(&f.name.name)).map(|f| f.name.to_string()));
        names.extend(session.functions.names().into_iter().filter(|n| admitted(n)));
    }
    let rows = names.into_iter().map(|n| vec![n.into()]).collect();
    rows::result(StructType::new(vec![text("function", false)]), rows)
}
