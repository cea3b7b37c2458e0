//! `SHOW TBLPROPERTIES`.

use std::sync::Arc;

use boathouse_spec::{Result, StructType};

use crate::commands::table_details;
use crate::commands::target::{self, Found};
use crate::rows::{self, text};
use crate::{QueryResult, Session};

pub(super) fn schema() -> StructType {
    StructType::new(vec![text("key", false), text("value", false)])
}

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    key: Option<&str>,
    _is_view: bool,
) -> Result<QueryResult> {
    let found = target::find(session, name, &target::command_path(session)).await?;
    let mut properties = match &found {
        Found::Table(table) => table_details::properties(table),
        Found::View(record) => record.properties.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        Found::TempView { view, .. } => view.properties.clone(),
    };
    properties.retain(|(k, _)| !k.starts_with("spark.sql.statistics."));
    properties.sort();
    for (key, value) in &mut properties {
        *value = table_details::redacted(key, value);
    }
    let rows = match key {
        None => properties.into_iter().map(|(k, v)| vec![k.into(), v.into()]).collect(),
        Some(key) => {
            let value = properties.into_iter().find(|(k, _)| k == key).map(|(_, v)| v).unwrap_or_else(|| {
                let shown = match &found {
                    Found::Table(table) => table.record.as_ref().map(|r| r.name.to_string()),
                    Found::View(record) => Some(record.name.to_string()),
                    Found::TempView { name, .. } => Some(name.join(".")),
                };
                format!("Table {} does not have property: {key}", shown.unwrap_or_else(|| name.join(".")))
            });
            vec![vec![key.into(), value.into()]]
        }
    };
    rows::result(schema(), rows)
}
