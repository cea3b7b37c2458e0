//! The schemas a stream of files has had: `_schemas/0`, `1`, ..., the last one in force.

use boathouse_spec::{Error, Result, StructType};
use serde_json::{Value, json};

use crate::checkpoint::{Directory, lines_v1, with_v1};

#[derive(Debug, Clone)]
pub(super) struct SchemaLog {
    directory: Directory,
}

impl SchemaLog {
    /// The log in a directory of the user's (`cloudFiles.schemaLocation`) or of the checkpoint.
    pub fn new(location: &Directory) -> Self {
        Self { directory: location.child("_schemas") }
    }

    /// The schema in force and its number.
    pub async fn latest(&self) -> Result<Option<(i64, StructType)>> {
        let Some(number) = self.directory.numbers().await?.pop() else { return Ok(None) };
        let text = self.directory.read_text(&number.to_string()).await?.unwrap_or_default();
        let schema = lines_v1(&text).ok().and_then(|mut lines| {
            let value: Value = serde_json::from_str(lines.next()?).ok()?;
            StructType::from_json(value.get("dataSchemaJson")?.as_str()?).ok()
        });
        match schema {
            Some(schema) => Ok(Some((number, schema))),
            None => Err(Error::new("STREAM_CHECKPOINT_CORRUPT")
                .param("file", format!("{}/{number}", self.directory.display()))
                .message(format!("The schema {}/{number} cannot be read.", self.directory.display()))),
        }
    }

    /// Notes a schema as the one after `number`. Another process may have been faster: then its schema is in force.
    pub async fn add(&self, number: i64, schema: &StructType) -> Result<()> {
        let text = with_v1(json!({ "dataSchemaJson": schema.json(), "partitionSchemaJson": "" }));
        self.directory.create(&number.to_string(), text).await.map(|_| ())
    }
}
