//! What DESCRIBE EXTENDED and SHOW TABLE EXTENDED say about a table.

use boathouse_catalog::{TableKind, TableRecord, ViewSchemaMode};
use boathouse_formats::datetime_pattern::Pattern;
use boathouse_spec::{Result, quote};

use crate::resolver::ResolvedTable;
use crate::temp_views::TempView;
use crate::{Session, storage};

/// A time as Java prints it: `Mon Nov 23 15:32:01 UTC 2026`.
pub(super) fn java_time(session: &Session, us: i64) -> String {
    let text = Pattern::of_simple_date_format("EEE MMM dd HH:mm:ss zzz yyyy")
        .and_then(|pattern| pattern.format_micros(us, &session.conf().zone()));
    text.unwrap_or_default()
}

/// `[a=1, b=2]`, sorted by key.
pub(super) fn bracketed<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut all: Vec<_> = entries.into_iter().map(|(k, v)| format!("{k}={}", redacted(k, v))).collect();
    all.sort();
    format!("[{}]", all.join(", "))
}

/// Values of keys that name secrets are not shown (`spark.redaction.regex`).
pub(super) fn redacted(key: &str, value: &str) -> String {
    let key = key.to_lowercase();
    let is_secret =
        ["secret", "password", "token", "access.key", "accesskey"].iter().any(|word| key.contains(word));
    if is_secret { "*********(redacted)".to_string() } else { value.to_string() }
}

/// The table's properties as users see them: for a Delta table those of its log.
pub(super) fn properties(table: &ResolvedTable) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = match (&table.delta, &table.record) {
        (Some(delta), _) => {
            let snapshot = &delta.snapshot;
            let mut all: Vec<_> =
                snapshot.metadata().configuration.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            let protocol = snapshot.protocol();
            all.push(("delta.minReaderVersion".into(), protocol.min_reader_version.to_string()));
            all.push(("delta.minWriterVersion".into(), protocol.min_writer_version.to_string()));
            for feature in
                protocol.reader_features.iter().flatten().chain(protocol.writer_features.iter().flatten())
            {
                let key = format!("delta.feature.{feature}");
                if !all.iter().any(|(k, _)| *k == key) {
                    all.push((key, "supported".into()));
                }
            }
            all
        }
        (None, Some(record)) => record.properties.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        (None, None) => Vec::new(),
    };
    all.sort();
    all
}

/// The rows below `# Detailed Table Information`, of a table.
pub(super) fn of_table(session: &Session, table: &ResolvedTable) -> Vec<(String, String)> {
    let Some(record) = &table.record else { return of_path(table) };
    let mut out = head(session, record);
    push(&mut out, "Type", record.kind.as_str());
    push(&mut out, "Provider", record.provider.clone().unwrap_or_default());
    if let Some(bucket) = &record.bucket {
        let list = |names: Vec<String>| {
            format!("[{}]", names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", "))
        };
        push(&mut out, "Num Buckets", bucket.count.to_string());
        push(&mut out, "Bucket Columns", list(bucket.columns.clone()));
        push(&mut out, "Sort Columns", list(bucket.sort.iter().map(|(c, _)| c.clone()).collect()));
    }
    tail(session, table, record, out)
}

fn tail(
    session: &Session,
    table: &ResolvedTable,
    record: &TableRecord,
    mut out: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let comment = match &table.delta {
        Some(delta) => delta.snapshot.metadata().description.clone().or_else(|| record.comment.clone()),
        None => record.comment.clone(),
    };
    if let Some(comment) = comment {
        push(&mut out, "Comment", comment);
    }
    if let Some(collation) = &record.collation {
        push(&mut out, "Collation", collation.clone());
    }
    let properties = properties(table);
    let properties: Vec<_> =
        properties.iter().filter(|(k, _)| !k.starts_with("spark.sql.statistics.")).collect();
    if !properties.is_empty() {
        push(&mut out, "Table Properties", bracketed(properties.iter().map(|(k, v)| (k, v))));
    }
    if let Some(statistics) = statistics(record) {
        push(&mut out, "Statistics", statistics);
    }
    if let Some(location) = &record.location {
        push(&mut out, "Location", shown_location(session, location));
    }
    let options: Vec<_> = record.options.iter().filter(|(k, _)| !k.eq_ignore_ascii_case("path")).collect();
    if !options.is_empty() {
        push(&mut out, "Storage Properties", bracketed(options));
    }
    if !record.partition_columns.is_empty() && table.delta.is_none() {
        push(&mut out, "Partition Provider", "Catalog");
    }
    out
}

/// `1102 bytes, 1 rows`, from the properties ANALYZE TABLE leaves.
pub(super) fn statistics(record: &TableRecord) -> Option<String> {
    let bytes = record.properties.get("spark.sql.statistics.totalSize")?;
    let rows = record.properties.get("spark.sql.statistics.numRows");
    Some(match rows {
        Some(rows) => format!("{bytes} bytes, {rows} rows"),
        None => format!("{bytes} bytes"),
    })
}

fn of_path(table: &ResolvedTable) -> Vec<(String, String)> {
    let mut out = vec![("Name".to_string(), table.display_name())];
    push(&mut out, "Type", TableKind::External.as_str());
    push(&mut out, "Provider", table.format.clone());
    if let Some(delta) = &table.delta {
        push(&mut out, "Location", storage::shown(&delta.url));
    }
    let properties = properties(table);
    if !properties.is_empty() {
        push(&mut out, "Table Properties", bracketed(properties.iter().map(|(k, v)| (k, v))));
    }
    out
}

/// The same, of a view of the catalog.
pub(super) fn of_view(session: &Session, record: &TableRecord) -> Vec<(String, String)> {
    let mut out = head(session, record);
    push(&mut out, "Type", record.kind.as_str());
    if let Some(comment) = &record.comment {
        push(&mut out, "Comment", comment.clone());
    }
    if let Some(collation) = &record.collation {
        push(&mut out, "Collation", collation.clone());
    }
    if let Some(view) = &record.view {
        push(&mut out, "View Text", view.text.clone());
        push(&mut out, "View Original Text", view.text.clone());
        push(&mut out, "View Schema Mode", view.schema_mode.as_str());
        push(
            &mut out,
            "View Catalog and Namespace",
            format!(
                "{}.{}",
                boathouse_spec::quote_if_needed(&view.current_catalog),
                boathouse_spec::quote_if_needed(&view.current_schema)
            ),
        );
        if view.schema_mode != ViewSchemaMode::Evolution {
            let columns: Vec<_> = view.query_columns.iter().map(|c| quote(c)).collect();
            push(&mut out, "View Query Output Columns", format!("[{}]", columns.join(", ")));
        }
    }
    if !record.properties.is_empty() {
        push(&mut out, "Table Properties", bracketed(&record.properties));
    }
    out
}

/// The same, of a temporary view.
pub(super) fn of_temp_view(
    session: &Session,
    name: &[String],
    view: &TempView,
) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    if let [schema, _] = name {
        push(&mut out, "Database", schema.clone());
    }
    push(&mut out, "Table", name.last().cloned().unwrap_or_default());
    push(&mut out, "Created Time", java_time(session, boathouse_spec::clock::now_us()));
    push(&mut out, "Last Access", "UNKNOWN");
    push(&mut out, "Created By", created_by());
    push(&mut out, "Type", "VIEW");
    if let Some(comment) = &view.comment {
        push(&mut out, "Comment", comment.clone());
    }
    if let Some(text) = &view.text {
        push(&mut out, "View Text", text.clone());
        push(&mut out, "View Schema Mode", "BINDING");
        push(&mut out, "View Catalog and Namespace", format!("{}.{}", view.namespace.0, view.namespace.1));
        let columns: Vec<_> = view.schema.fields.iter().map(|f| quote(&f.name)).collect();
        push(&mut out, "View Query Output Columns", format!("[{}]", columns.join(", ")));
    }
    Ok(out)
}

fn head(session: &Session, record: &TableRecord) -> Vec<(String, String)> {
    let mut out = Vec::new();
    push(&mut out, "Catalog", record.name.catalog.clone());
    push(&mut out, "Database", record.name.schema.clone());
    push(&mut out, "Table", record.name.name.clone());
    if !record.owner.is_empty() {
        push(&mut out, "Owner", record.owner.clone());
    }
    push(&mut out, "Created Time", java_time(session, record.created_at_us));
    push(&mut out, "Last Access", "UNKNOWN");
    push(&mut out, "Created By", record.created_version.clone());
    out
}

fn created_by() -> String {
    format!("Boathouse {}", env!("CARGO_PKG_VERSION"))
}

pub(super) fn shown_location(session: &Session, location: &str) -> String {
    session.storage().url(location).map_or_else(|_| location.to_string(), |url| storage::shown(&url))
}

fn push(out: &mut Vec<(String, String)>, key: &str, value: impl Into<String>) {
    out.push((key.to_string(), value.into()));
}
