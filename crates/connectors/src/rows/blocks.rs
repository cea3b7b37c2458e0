//! A file's bytes, in order, a block at a time, the next one under way while one is used.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// What is asked for at once inside a slice; behind its end only the rest of a line is wanted.
const BLOCK: u64 = 4 << 20;
const TAIL_BLOCK: u64 = 256 << 10;

/// Where a compressed text file's name ends.
pub(super) fn compression(path: &Path) -> Result<FileCompressionType> {
    let name = path.filename().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, e)| e).unwrap_or_default();
    Ok(match extension {
        "gz" => FileCompressionType::GZIP,
        "bz2" => FileCompressionType::BZIP2,
        "zst" | "zstd" => FileCompressionType::ZSTD,
        "xz" => FileCompressionType::XZ,
        // Hadoop's own framings.
        "snappy" | "lz4" | "deflate" | "lzo" => {
            return Err(Error::unsupported(format!("reading text files compressed as .{extension}")));
        }
        _ => FileCompressionType::UNCOMPRESSED,
    })
}

/// The bytes of a file from `start` to its end. Asked for in large blocks up to `end`, in small ones behind it.
pub(super) fn blocks(
    store: Arc<dyn ObjectStore>,
    path: Path,
    start: u64,
    end: u64,
    size: u64,
) -> BoxStream<'static, object_store::Result<Bytes>> {
    let ranges = std::iter::successors(Some(start..start), move |previous| {
        let from = previous.end;
        let length = if from < end { BLOCK.min(end - from) } else { TAIL_BLOCK };
        (from < size).then(|| from..(from + length).min(size))
    });
    futures::stream::iter(ranges.skip(1))
        .map(move |range| {
            let (store, path) = (store.clone(), path.clone());
            async move { store.get_range(&path, range).await }
        })
        .buffered(2)
        .boxed()
}

/// The bytes of a whole file, uncompressed.
pub(super) fn plain_bytes(
    store: Arc<dyn ObjectStore>,
    path: &Path,
    size: u64,
) -> Result<BoxStream<'static, datafusion::error::Result<Bytes>>> {
    let compression = compression(path)?;
    let bytes = blocks(store, path.clone(), 0, size, size).map_err(DataFusionError::from).boxed();
    compression.convert_stream(bytes).map_err(boathouse_bridge::from_datafusion)
}

/// All of a file in memory, uncompressed. For formats whose records may be the whole file.
pub(super) async fn whole_file(
    store: Arc<dyn ObjectStore>,
    path: &Path,
    size: u64,
) -> datafusion::error::Result<Vec<u8>> {
    let mut bytes = plain_bytes(store, path, size).map_err(boathouse_bridge::to_datafusion)?;
    let mut all = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(1 << 30));
    while let Some(block) = bytes.try_next().await? {
        if all.len() + block.len() > i32::MAX as usize {
            return Err(boathouse_bridge::to_datafusion(Error::unsupported(
                "reading a file of more than 2 GiB as one record",
            )));
        }
        all.extend_from_slice(&block);
    }
    Ok(all)
}
