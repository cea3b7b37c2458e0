//! Compression codecs by Spark's names.

use boathouse_spec::{Error, Result};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};

/// A codec, and what it adds to file names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Codec {
    pub compression: Compression,
    pub extension: &'static str,
}

const NAMES: &[&str] = &["none", "uncompressed", "snappy", "gzip", "lz4", "lz4_raw", "zstd", "brotli"];

impl Codec {
    /// Spark's default.
    pub const SNAPPY: Codec = Codec { compression: Compression::SNAPPY, extension: ".snappy" };

    pub fn parse(name: &str) -> Result<Self> {
        let (compression, extension) = match name.to_ascii_lowercase().as_str() {
            "none" | "uncompressed" => (Compression::UNCOMPRESSED, ""),
            "snappy" => (Compression::SNAPPY, ".snappy"),
            "gzip" => (Compression::GZIP(GzipLevel::default()), ".gz"),
            "lz4" => (Compression::LZ4, ".lz4hadoop"),
            "lz4_raw" => (Compression::LZ4_RAW, ".lz4raw"),
            "zstd" => (Compression::ZSTD(ZstdLevel::default()), ".zstd"),
            "brotli" => (Compression::BROTLI(Default::default()), ".br"),
            _ => {
                return Err(Error::new("CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION")
                    .param("codecName", name)
                    .param("availableCodecs", NAMES.join(", "))
                    .message(format!("There is no codec {name}; there are {}.", NAMES.join(", ")))
                    .exception("IllegalArgumentException"));
            }
        };
        Ok(Self { compression, extension })
    }
}
