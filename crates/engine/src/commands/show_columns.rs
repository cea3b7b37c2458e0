//! `SHOW COLUMNS`.

use std::sync::Arc;

use boathouse_spec::{Error, Name, Result, StructType, quote_name};

use crate::commands::table_columns;
use crate::rows::{self, text};
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, table: Name, schema: Option<Name>) -> Result<QueryResult> {
    let name = match schema {
        None => table,
        Some(schema) => in_schema(table, schema)?,
    };
    let columns = table_columns::of(session, &name, &table_columns::command_path(session)).await?;
    let rows = columns.fields.into_iter().map(|f| vec![f.name.into()]).collect();
    rows::result(StructType::new(vec![text("col_name", false)]), rows)
}

/// The table's name inside the schema that is named apart from it; both must say the same.
fn in_schema(table: Name, schema: Name) -> Result<Name> {
    match table.split_last() {
        Some((last, [])) => {
            let mut full = schema;
            full.push(last.clone());
            Ok(full)
        }
        Some((last, namespace)) => {
            let (a, b) = (schema.first(), namespace.first());
            let same = a.zip(b).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b)) && schema.len() == 1;
            if !same {
                return Err(Error::new("SHOW_COLUMNS_WITH_CONFLICT_NAMESPACE")
                    .param("namespaceA", quote_name(&schema[..schema.len().min(1)]))
                    .param("namespaceB", quote_name(namespace))
                    .message(format!(
                        "SHOW COLUMNS names two schemas: {} and {}.",
                        quote_name(&schema),
                        quote_name(namespace)
                    ))
                    .exception("AnalysisException"));
            }
            let mut full = namespace.to_vec();
            full.push(last.clone());
            Ok(full)
        }
        None => Ok(table),
    }
}
