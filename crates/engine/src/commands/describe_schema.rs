//! `DESCRIBE SCHEMA` and `DESCRIBE CATALOG`.

use std::sync::Arc;

use boathouse_spec::{Error, Result, StructType, quote_name};

use crate::rows::{self, Value, text};
use crate::{QueryResult, Session, storage};

pub(super) fn schema_of_result() -> StructType {
    StructType::new(vec![
        text("info_name", false).with_comment(Some("name of the namespace info")),
        text("info_value", true).with_comment(Some("value of the namespace info")),
    ])
}

pub(super) async fn schema(session: &Arc<Session>, name: &[String], extended: bool) -> Result<QueryResult> {
    let record = session.engine.catalog.get_schema(&session.schema_name(name)?).await?;
    let location = match &record.location {
        Some(location) => session.storage().url(location)?,
        None => session.storage().schema_directory(&record.name)?,
    };
    let mut out: Vec<Vec<Value>> = vec![
        vec!["Catalog Name".into(), record.name.catalog.into()],
        vec!["Namespace Name".into(), record.name.schema.into()],
        vec!["Comment".into(), record.comment.unwrap_or_default().into()],
        vec!["Location".into(), storage::shown(&location).into()],
        vec!["Owner".into(), record.owner.into()],
    ];
    if let Some(collation) = record.collation {
        out.push(vec!["Collation".into(), collation.into()]);
    }
    if extended {
        let mut all: Vec<_> = record.properties.iter().map(|(k, v)| format!("({k},{v})")).collect();
        all.sort();
        let shown = if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) };
        out.push(vec!["Properties".into(), shown.into()]);
    }
    rows::result(schema_of_result(), out)
}

pub(super) async fn catalog(session: &Arc<Session>, name: &[String], extended: bool) -> Result<QueryResult> {
    let [name] = name else {
        return Err(Error::new("CATALOG_NOT_FOUND")
            .param("catalogName", quote_name(name))
            .message(format!("{} is no catalog: a catalog has one name.", quote_name(name)))
            .exception("AnalysisException"));
    };
    let record = session.engine.catalog.get_catalog(name).await?;
    let mut out: Vec<Vec<Value>> = vec![
        vec!["Catalog Name".into(), record.name.into()],
        vec!["Comment".into(), record.comment.unwrap_or_default().into()],
        vec!["Owner".into(), record.owner.into()],
    ];
    if extended {
        out.push(vec!["Created By".into(), record.created_by.into()]);
        out.push(vec!["Location".into(), record.location.into()]);
        let mut all: Vec<_> = record.properties.iter().map(|(k, v)| format!("({k},{v})")).collect();
        all.sort();
        out.push(vec!["Properties".into(), format!("({})", all.join(", ")).into()]);
    }
    rows::result(schema_of_result(), out)
}
