//! The actions of the transaction log, as the Delta protocol names them ("Actions" in PROTOCOL.md).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use boathouse_spec::{Error, Result};

use crate::property::parse_interval_ms;

/// Values of partition columns by column name, as text; `None` is NULL.
pub type PartitionValues = IndexMap<String, Option<String>>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: IndexMap<String, String>,
}

impl Default for Format {
    fn default() -> Self {
        Self { provider: "parquet".into(), options: IndexMap::new() }
    }
}

/// What the table is: its schema, partitioning and properties.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub format: Format,
    /// Spark's JSON of the schema.
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: IndexMap<String, String>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

impl Metadata {
    /// A property that is an interval, in milliseconds.
    pub(crate) fn interval_ms(&self, key: &str) -> Option<i64> {
        self.configuration.get(key).and_then(|value| parse_interval_ms(value))
    }

    /// Whether a property is there, and `true`.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.configuration.get(key).is_some_and(|v| is_true(v))
    }
}

/// Whether the value of a property is `true`.
pub(crate) fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// What a reader or writer must be able to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

/// Where the deleted rows of a file are listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionVector {
    /// `u` (a file named by a UUID), `i` (inline), `p` (an absolute path).
    pub storage_type: String,
    pub path_or_inline_dv: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i32>,
    pub size_in_bytes: i32,
    /// How many rows are deleted.
    pub cardinality: i64,
}

impl DeletionVector {
    /// The identity of the vector, a part of the identity of a logical file.
    pub fn unique_id(&self) -> String {
        match self.offset {
            Some(offset) => format!("{}{}@{offset}", self.storage_type, self.path_or_inline_dv),
            None => format!("{}{}", self.storage_type, self.path_or_inline_dv),
        }
    }
}

/// A data file that belongs to the table from this version on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Add {
    /// A URI: relative to the table, or absolute.
    pub path: String,
    pub partition_values: PartitionValues,
    /// Bytes.
    pub size: i64,
    /// Milliseconds since the epoch.
    pub modification_time: i64,
    pub data_change: bool,
    /// JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<IndexMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<DeletionVector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_row_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_row_commit_version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clustering_provider: Option<String>,
}

/// A data file that no longer belongs to the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remove {
    pub path: String,
    /// Milliseconds since the epoch; VACUUM counts the retention from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<PartitionValues>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<IndexMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<DeletionVector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_row_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_row_commit_version: Option<i64>,
}

/// A file of the change data feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cdc {
    pub path: String,
    pub partition_values: PartitionValues,
    pub size: i64,
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<IndexMap<String, Option<String>>>,
}

/// The progress of an application, for writes that happen once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Txn {
    pub app_id: String,
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainMetadata {
    pub domain: String,
    #[serde(default)]
    pub configuration: String,
    pub removed: bool,
}

/// Who did what, with which figures. Its fields are the writer's own, so it is kept as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct CommitInfo(pub Map<String, Value>);

impl CommitInfo {
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    pub fn long(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(|v| v.as_i64().or_else(|| v.as_str().and_then(|s| s.parse().ok())))
    }

    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.0.get(key).and_then(Value::as_bool)
    }

    /// A map of texts, such as `operationParameters`; values that are not texts are given as JSON.
    pub fn map(&self, key: &str) -> Option<IndexMap<String, Option<String>>> {
        let object = self.0.get(key)?.as_object()?;
        Some(object.iter().map(|(k, v)| (k.clone(), value_text(v))).collect())
    }
}

fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    CommitInfo(CommitInfo),
    Metadata(Metadata),
    Protocol(Protocol),
    Add(Add),
    Remove(Remove),
    Cdc(Cdc),
    Txn(Txn),
    DomainMetadata(DomainMetadata),
}

/// One line of a commit: an object with the action's name as its only key. Readers skip names they do not know.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit_info: Option<CommitInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta_data: Option<Metadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<Add>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remove: Option<Remove>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cdc: Option<Cdc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    txn: Option<Txn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain_metadata: Option<DomainMetadata>,
}

impl Action {
    /// The actions of a commit file. `origin` names the file in errors.
    pub fn parse_commit(text: &[u8], origin: &str) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        for (number, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|e| {
                crate::error::unreadable(origin, format!("line {} is no valid action ({e}).", number + 1))
            })?;
            line.into_actions(&mut actions);
        }
        Ok(actions)
    }

    pub fn to_json(&self) -> Result<String> {
        let mut line = Line::default();
        match self.clone() {
            Action::CommitInfo(a) => line.commit_info = Some(a),
            Action::Metadata(a) => line.meta_data = Some(a),
            Action::Protocol(a) => line.protocol = Some(a),
            Action::Add(a) => line.add = Some(a),
            Action::Remove(a) => line.remove = Some(a),
            Action::Cdc(a) => line.cdc = Some(a),
            Action::Txn(a) => line.txn = Some(a),
            Action::DomainMetadata(a) => line.domain_metadata = Some(a),
        }
        serde_json::to_string(&line).map_err(|e| Error::internal(format!("an action has no JSON: {e}")))
    }
}

impl Line {
    fn into_actions(self, out: &mut Vec<Action>) {
        out.extend(self.commit_info.map(Action::CommitInfo));
        out.extend(self.meta_data.map(Action::Metadata));
        out.extend(self.protocol.map(Action::Protocol));
        out.extend(self.add.map(Action::Add));
        out.extend(self.remove.map(Action::Remove));
        out.extend(self.cdc.map(Action::Cdc));
        out.extend(self.txn.map(Action::Txn));
        out.extend(self.domain_metadata.map(Action::DomainMetadata));
    }
}

impl Add {
    /// A file without anything that only some files have.
    pub(crate) fn new(path: impl Into<String>, partition_values: PartitionValues, size: i64) -> Self {
        Self {
            path: path.into(),
            partition_values,
            size,
            modification_time: 0,
            data_change: true,
            stats: None,
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    /// The identity of a logical file: its path and its deletion vector.
    pub fn key(&self) -> FileKey {
        FileKey {
            path: self.path.clone(),
            vector: self.deletion_vector.as_ref().map(DeletionVector::unique_id),
        }
    }

    /// The action that takes this file out of the table at `now_ms`.
    pub fn remove(&self, now_ms: i64, data_change: bool) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: Some(now_ms),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values.clone()),
            size: Some(self.size),
            stats: None,
            tags: self.tags.clone(),
            deletion_vector: self.deletion_vector.clone(),
            base_row_id: self.base_row_id,
            default_row_commit_version: self.default_row_commit_version,
        }
    }
}

impl Remove {
    pub fn key(&self) -> FileKey {
        FileKey {
            path: self.path.clone(),
            vector: self.deletion_vector.as_ref().map(DeletionVector::unique_id),
        }
    }
}

/// Path and deletion vector: what log replay tells files apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey {
    pub path: String,
    pub vector: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_of_spark_are_read() {
        let text = concat!(
            r#"{"commitInfo":{"timestamp":1,"operation":"WRITE","operationParameters":{"mode":"Append","partitionBy":"[]"},"operationMetrics":{"numFiles":"1"}}}"#,
            "\n",
            r#"{"add":{"path":"p=1/a.parquet","partitionValues":{"p":null},"size":492,"modificationTime":2,"dataChange":true,"unknown":{"x":1}}}"#,
            "\n",
            r#"{"somethingNew":{"a":1}}"#,
            "\n",
        );
        let actions = Action::parse_commit(text.as_bytes(), "0").unwrap();
        assert_eq!(actions.len(), 2);
        let Action::Add(add) = &actions[1] else { panic!("no add") };
        assert_eq!(add.partition_values.get("p"), Some(&None));
        let again = actions[1].to_json().unwrap();
        assert_eq!(
            again,
            r#"{"add":{"path":"p=1/a.parquet","partitionValues":{"p":null},"size":492,"modificationTime":2,"dataChange":true}}"#
        );
        assert!(Action::parse_commit(b"{\"add\":{\"path\":", "x").is_err());
    }
}
