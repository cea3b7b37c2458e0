//! The entries of the offset log and the commit log.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{V1, versioned, with_v1};

/// The version of entries that name sources, or the ids of state.
const V2: &str = "v2";

/// What a batch reads: written before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetEntry {
    /// Milliseconds since the epoch.
    pub watermark_ms: i64,
    /// What `current_timestamp()` is in the batch, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Settings that a restart must keep.
    pub conf: IndexMap<String, String>,
    /// The end offset of each source as JSON; `None` where it has given nothing yet.
    pub offsets: Vec<Option<String>>,
}

impl OffsetEntry {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (version, mut lines) = versioned(text, &[V1, V2])?;
        let metadata = lines.next().unwrap_or("{}");
        let metadata: Value = serde_json::from_str(metadata).map_err(|e| e.to_string())?;
        let number = |key: &str| metadata.get(key).and_then(Value::as_i64).unwrap_or(0);
        let conf = metadata.get("conf").and_then(Value::as_object).into_iter().flatten();
        let conf = conf.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string()))).collect();
        let mut offsets = Vec::new();
        for (i, line) in lines.enumerate() {
            if version == V1 {
                offsets.push(given(line));
                continue;
            }
            // Sources have numbers for ids as long as the query does not name them.
            let (id, offset) = line.split_once(':').ok_or_else(|| format!("line {} has no source", i + 3))?;
            let id: usize =
                id.parse().map_err(|_| format!("the source {id:?} is named, and has no number"))?;
            if offsets.len() <= id {
                offsets.resize(id + 1, None);
            }
            offsets[id] = given(offset);
        }
        Ok(Self {
            watermark_ms: number("batchWatermarkMs"),
            timestamp_ms: number("batchTimestampMs"),
            conf,
            offsets,
        })
    }

    pub fn to_text(&self) -> String {
        let conf: Map<String, Value> = self.conf.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        let metadata = json!({ "batchWatermarkMs": self.watermark_ms, "batchTimestampMs": self.timestamp_ms, "conf": conf });
        let mut text = with_v1(metadata);
        for offset in &self.offsets {
            text.push('\n');
            text.push_str(offset.as_deref().unwrap_or("-"));
        }
        text
    }
}

fn given(offset: &str) -> Option<String> {
    (offset != "-").then(|| offset.to_string())
}

const WATERMARKS: &str = "watermarksMs";

/// That a batch is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitEntry {
    /// The watermark of the next batch, in milliseconds since the epoch.
    pub next_watermark_ms: i64,
    /// That of each watermark of the query, where there are several: Spark, which passes over what it does not know here, forgets
    /// them at a restart, after which the next batch has an earlier one than it would have had.
    pub watermarks_ms: Vec<i64>,
    /// By operator: by partition: the ids of the state that the batch wrote. Where there are any, the entry is of version 2.
    pub state_ids: IndexMap<String, Vec<Vec<String>>>,
}

impl CommitEntry {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (_, mut lines) = versioned(text, &[V1, V2])?;
        let body = lines.next().unwrap_or("{}");
        let body: Value = serde_json::from_str(body).map_err(|e| e.to_string())?;
        let state_ids = match body.get("stateUniqueIds") {
            Some(Value::Null) | None => IndexMap::new(),
            Some(ids) => serde_json::from_value(ids.clone()).map_err(|e| e.to_string())?,
        };
        let numbers =
            body.get(WATERMARKS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64);
        Ok(Self {
            next_watermark_ms: body.get("nextBatchWatermarkMs").and_then(Value::as_i64).unwrap_or(0),
            watermarks_ms: numbers.collect(),
            state_ids,
        })
    }

    pub fn to_text(&self) -> String {
        let mut body = Map::from_iter([("nextBatchWatermarkMs".to_string(), json!(self.next_watermark_ms))]);
        if self.watermarks_ms.len() > 1 {
            body.insert(WATERMARKS.to_string(), json!(self.watermarks_ms));
        }
        if self.state_ids.is_empty() {
            return with_v1(Value::Object(body));
        }
        body.insert("stateUniqueIds".to_string(), json!(self.state_ids));
        format!("{V2}\n{}", Value::Object(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Spark 4.2.1 wrote them.
    #[test]
    fn sparks_files_are_read_and_written() {
        let text = "v1\n{\"batchWatermarkMs\":1704067195000,\"batchTimestampMs\":1795370955186,\"conf\":\
                    {\"spark.sql.shuffle.partitions\":\"2\",\"spark.sql.streaming.multipleWatermarkPolicy\":\"min\"}}\n\
                    {\"logOffset\":1}\n-";
        let entry = OffsetEntry::parse(text).unwrap();
        assert_eq!((entry.watermark_ms, entry.timestamp_ms), (1_704_067_195_000, 1_795_370_955_186));
        assert_eq!(entry.offsets, [Some("{\"logOffset\":1}".to_string()), None]);
        assert_eq!(entry.to_text(), text);

        let v2 = "v2\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":5,\"conf\":{},\"sourceMetadataInfo\":{}}\n0:{\"logOffset\":0}";
        assert_eq!(OffsetEntry::parse(v2).unwrap().offsets, [Some("{\"logOffset\":0}".to_string())]);
        assert!(OffsetEntry::parse("v3\n{}").is_err() && OffsetEntry::parse("").is_err());

        let commit = "v1\n{\"nextBatchWatermarkMs\":1704067250000}";
        assert_eq!(CommitEntry::parse(commit).unwrap().to_text(), commit);
        let commit = "v2\n{\"nextBatchWatermarkMs\":7,\"stateUniqueIds\":{\"0\":[[\"a\"],[\"b\"]]}}";
        let entry = CommitEntry::parse(commit).unwrap();
        assert_eq!(entry.state_ids["0"], [["a"], ["b"]]);
        assert_eq!(entry.to_text(), commit);
        assert!(CommitEntry::parse("v3\n{}").is_err());

        let several = CommitEntry { watermarks_ms: vec![3, 5], ..CommitEntry::default() };
        assert_eq!(CommitEntry::parse(&several.to_text()).unwrap(), several);
    }
}
