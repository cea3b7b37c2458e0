//! Deletion vectors where they are stored ("Deletion Vector Format" in PROTOCOL.md): several to a file, or inside the log
//! where they are tiny and the table asks for it.

use std::io::Cursor;

use boathouse_spec::{Error, Result, fault};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use roaring::RoaringTreemap;

use crate::action::DeletionVector;
use crate::data_file::{Output, UnderWay};
use crate::error;
use crate::location::TableLocation;
use crate::log::kernel;

/// Before every serialized bitmap, little-endian ("portable" format).
const MAGIC: [u8; 4] = 1_681_511_377u32.to_le_bytes();
const FILE_VERSION: u8 = 1;
/// The table property with the number of bytes up to which vectors are part of the log. None are where it is not set: the
/// VACUUM of delta-spark 4.4 fails on a table that has such a vector (`VacuumCommand.getDeletionVectorRelativePathAndSize`).
pub(crate) const INLINE_BYTES: &str = "boathouse.deletionVectors.inlineBytes";
/// A file of vectors is closed at about this size, as Spark's.
const TARGET_FILE_BYTES: usize = 2 * 1024 * 1024;

/// Vectors that are stored, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct StoredVectors {
    pub vectors: Vec<DeletionVector>,
    /// The new files, relative to the table.
    pub files: Vec<String>,
}

/// Stores vectors; those of at most `inline_bytes` in the log.
pub(crate) async fn store(
    location: &TableLocation,
    vectors: Vec<RoaringTreemap>,
    inline_bytes: usize,
) -> Result<StoredVectors> {
    let mut out = StoredVectors::default();
    let mut file = VectorFile::new();
    for mut rows in vectors {
        rows.optimize();
        let cardinality = signed(rows.len())?;
        let bytes = serialize(&rows)?;
        let size_in_bytes = i32::try_from(bytes.len()).map_err(|e| too_large(&e))?;
        let (storage_type, path_or_inline_dv, offset) = if bytes.len() <= inline_bytes {
            ("i", z85::encode(padded(bytes)), None)
        } else {
            if file.bytes.len() > 1 && file.bytes.len() + bytes.len() > TARGET_FILE_BYTES {
                out.files.extend(std::mem::replace(&mut file, VectorFile::new()).close(location).await?);
            }
            let offset = file.append(&bytes)?;
            ("u", z85::encode(file.id.as_bytes()), Some(offset))
        };
        out.vectors.push(DeletionVector {
            storage_type: storage_type.into(),
            path_or_inline_dv,
            offset,
            size_in_bytes,
            cardinality,
        });
    }
    out.files.extend(file.close(location).await?);
    Ok(out)
}

/// The rows that a vector deletes.
pub(crate) async fn read(location: &TableLocation, vector: &DeletionVector) -> Result<RoaringTreemap> {
    let broken = |e: &dyn std::fmt::Display| kernel::broken_vector(location, e);
    let size = usize::try_from(vector.size_in_bytes).map_err(|e| broken(&e))?;
    let rows = if vector.storage_type == "i" {
        let bytes = z85::decode(&vector.path_or_inline_dv).map_err(|e| broken(&e))?;
        deserialize(bytes.get(..size).ok_or_else(|| broken(&"it is shorter than its size"))?)
    } else {
        let path = kernel::vector_file(location, vector)?
            .ok_or_else(|| broken(&"it is neither in a file nor in the log"))?;
        let start = u64::try_from(vector.offset.unwrap_or(1)).map_err(|e| broken(&e))?;
        // Before the bitmap its size, after it its checksum.
        let range = start..start + size as u64 + 8;
        let bytes = location.store().get_range(&path, range).await.map_err(|e| broken(&e))?;
        let (head, rest) = bytes.split_at_checked(4).ok_or_else(|| broken(&"its file ends early"))?;
        let (data, checksum) = rest.split_at_checked(size).ok_or_else(|| broken(&"its file ends early"))?;
        if head != (vector.size_in_bytes as u32).to_be_bytes() {
            return Err(broken(&format!("{path} has another size at its offset than the log says")));
        }
        if checksum != crc32fast::hash(data).to_be_bytes() {
            return Err(broken(&format!("the checksum in {path} is not that of its data")));
        }
        deserialize(data)
    };
    let rows = rows.map_err(|e| broken(&e))?;
    if rows.len() != u64::try_from(vector.cardinality).unwrap_or(0) {
        return Err(broken(&format!("it deletes {} rows, not {}", rows.len(), vector.cardinality)));
    }
    Ok(rows)
}

struct VectorFile {
    id: uuid::Uuid,
    bytes: Vec<u8>,
}

impl VectorFile {
    fn new() -> Self {
        Self { id: uuid::Uuid::new_v4(), bytes: vec![FILE_VERSION] }
    }

    /// The offset of the vector.
    fn append(&mut self, vector: &[u8]) -> Result<i32> {
        let offset = i32::try_from(self.bytes.len()).map_err(|e| too_large(&e))?;
        let size = u32::try_from(vector.len()).map_err(|e| too_large(&e))?;
        self.bytes.extend(size.to_be_bytes());
        self.bytes.extend(vector);
        self.bytes.extend(crc32fast::hash(vector).to_be_bytes());
        Ok(offset)
    }

    /// Writes the file, which then survives a crash of the machine. `None` where there is nothing in it.
    async fn close(self, location: &TableLocation) -> Result<Option<String>> {
        if self.bytes.len() == 1 {
            return Ok(None);
        }
        let name = format!("deletion_vector_{}.bin", self.id);
        let path = location.relative(&name)?;
        fault::point("delta::before-vectors")?;
        let mut output = Output::new(location, &path, &UnderWay::default());
        let written = async {
            output.write(Bytes::from(self.bytes)).await?;
            output.finish().await
        };
        written.await.map_err(|e| error::write_failed(location, format!("{path}: {e}")))?;
        fault::point("delta::after-vectors")?;
        Ok(Some(name))
    }
}

fn serialize(rows: &RoaringTreemap) -> Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    rows.serialize_into(&mut bytes).map_err(|e| too_large(&e))?;
    Ok(bytes)
}

fn deserialize(bytes: &[u8]) -> std::result::Result<RoaringTreemap, String> {
    let bitmap = bytes.strip_prefix(&MAGIC).ok_or("it does not begin as a bitmap does")?;
    RoaringTreemap::deserialize_from(Cursor::new(bitmap)).map_err(|e| e.to_string())
}

/// The text encoding takes four bytes at a time.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn signed(n: u64) -> Result<i64> {
    i64::try_from(n).map_err(|e| too_large(&e))
}

fn too_large(e: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("a deletion vector cannot be stored: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn vectors_are_read_as_stored() {
        let directory = tempfile::tempdir().unwrap();
        let location = TableLocation::local(directory.path()).unwrap();
        let given: Vec<RoaringTreemap> = vec![
            [3u64, 4, 7].into_iter().collect(),
            (0..100_000u64).filter(|i| i % 7 == 0).collect(),
            (0..3_000_000u64).filter(|i| i % 3 == 0).collect(),
            (5..60_000u64).collect(),
            (0..3_000_000_000u64).step_by(100_003).chain([u64::from(u32::MAX) + 5]).collect(),
        ];
        let stored = store(&location, given.clone(), 96).await.unwrap();
        let kinds: Vec<&str> = stored.vectors.iter().map(|v| v.storage_type.as_str()).collect();
        // A run of many rows takes no more room than three rows.
        assert_eq!(kinds, ["i", "u", "u", "i", "u"]);
        assert_eq!(stored.vectors[1].offset, Some(1));
        for (vector, rows) in stored.vectors.iter().zip(&given) {
            assert_eq!(read(&location, vector).await.unwrap(), *rows);
            assert_eq!(kernel::deleted_rows(&location, vector.clone()).await.unwrap(), *rows);
        }

        let file = directory.path().join(&stored.files[0]);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(read(&location, &stored.vectors[1]).await.unwrap_err().to_string().contains("checksum"));
    }
}
