//! Offsets of streams from Delta tables, in the form that delta-spark has them (`DeltaSourceOffset`).

use boathouse_spec::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The index before everything of a version; in the log of offsets it is -1.
pub(super) const BASE_INDEX: i64 = -100;

/// The index of a version's change of columns, which ends a batch, and the one behind it.
pub(super) const CHANGE_INDEX: i64 = -20;
pub(super) const AFTER_CHANGE_INDEX: i64 = -19;

/// How the log of offsets has [`BASE_INDEX`].
const LOGGED_BASE_INDEX: i64 = -1;

/// The version of offsets whose indices are as they are here.
const CHANGES_VERSION: i64 = 3;

/// A place in a table's history, in the form Delta has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offset {
    source_version: i64,
    /// The table's id: another table in its place is noticed.
    reservoir_id: String,
    /// Everything before this version was read.
    pub reservoir_version: i64,
    /// Of this version, the files up to this index were read.
    pub index: i64,
    /// The version's files are those of the whole table, not those of its commit.
    pub is_starting_version: bool,
}

impl Offset {
    /// Another place in the same version.
    pub fn at(&self, index: i64) -> Self {
        Self { index, ..self.clone() }
    }

    /// Where a version's commit is the next to be read.
    pub fn before(table_id: &str, version: i64) -> Self {
        Self {
            source_version: 1,
            reservoir_id: table_id.to_string(),
            reservoir_version: version,
            index: BASE_INDEX,
            is_starting_version: false,
        }
    }

    /// The same, of the whole table at the version.
    pub fn of_whole_table(self) -> Self {
        Self { is_starting_version: true, ..self }
    }

    /// The same, once the version's files up to an index were read.
    pub fn after_file(self, index: i64, is_starting_version: bool) -> Self {
        Self { index, is_starting_version, ..self }
    }

    /// The offset of a checkpoint, which must be of this table.
    pub fn of_table(text: &str, table_id: &str) -> Result<Self> {
        let offset = Self::parse(text)?;
        if offset.reservoir_id == table_id {
            return Ok(offset);
        }
        Err(other_table(&offset.reservoir_id, table_id))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut offset: Self = serde_json::from_str(text).map_err(|e| {
            Error::new("DELTA_INVALID_SOURCE_OFFSET_FORMAT")
                .message(format!("{text} is no offset of a Delta table: {e}."))
        })?;
        if offset.source_version != CHANGES_VERSION && offset.index == LOGGED_BASE_INDEX {
            offset.index = BASE_INDEX;
        }
        match offset.source_version {
            1 | CHANGES_VERSION => Ok(Self { source_version: 1, ..offset }),
            version => Err(Error::new("DELTA_INVALID_SOURCE_VERSION")
                .param("version", version)
                .message(format!("The offset {text} is of version {version}; 1 and 3 are known."))),
        }
    }

    pub fn text(&self) -> String {
        let (source_version, index) = match self.index {
            CHANGE_INDEX | AFTER_CHANGE_INDEX => (CHANGES_VERSION, self.index),
            BASE_INDEX => (self.source_version, LOGGED_BASE_INDEX),
            index => (self.source_version, index),
        };
        json!({
            "sourceVersion": source_version,
            "reservoirId": self.reservoir_id,
            "reservoirVersion": self.reservoir_version,
            "index": index,
            "isStartingVersion": self.is_starting_version,
        })
        .to_string()
    }
}

/// Another table is where the one was that the stream reads.
pub(super) fn other_table(old_id: &str, new_id: &str) -> Error {
    Error::new("DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE")
        .param("oldTableId", old_id)
        .param("newTableId", new_id)
        .message(format!(
            "The streaming query was reading from an unexpected Delta table (id = '{new_id}'). It used to read from another \
             Delta table (id = '{old_id}') according to checkpoint. This may happen when you changed the code to read from a new \
             table or you deleted and re-created a table. Please revert your change or delete your streaming query checkpoint \
             to restart from scratch."
        ))
        .exception("IllegalStateException")
}
