//! Compression of ORC's streams: in blocks, each behind a header of three bytes with its length and whether it is as it was.

use std::io::{Read, Write};

use boathouse_spec::{Error, Result};
use orc_rust::proto::CompressionKind;

/// Of streams that are taken whole, which say what is in a file.
const LONGEST: usize = 1 << 30;

/// The bytes of a block before compression, at most.
pub(crate) const BLOCK: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Zlib,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub(crate) fn kind(self) -> CompressionKind {
        match self {
            Self::None => CompressionKind::None,
            Self::Zlib => CompressionKind::Zlib,
            Self::Snappy => CompressionKind::Snappy,
            Self::Lz4 => CompressionKind::Lz4,
            Self::Zstd => CompressionKind::Zstd,
        }
    }

    /// None for LZO.
    pub(crate) fn of_kind(kind: CompressionKind) -> Option<Self> {
        Some(match kind {
            CompressionKind::None => Self::None,
            CompressionKind::Zlib => Self::Zlib,
            CompressionKind::Snappy => Self::Snappy,
            CompressionKind::Lz4 => Self::Lz4,
            CompressionKind::Zstd => Self::Zstd,
            CompressionKind::Lzo => return None,
        })
    }

    /// A stream as it lies in the file.
    pub(crate) fn compressed(self, bytes: &[u8]) -> Result<Vec<u8>> {
        if self == Self::None {
            return Ok(bytes.to_vec());
        }
        let mut out = Vec::with_capacity(bytes.len() / 2);
        for block in bytes.chunks(BLOCK) {
            let smaller = self.block(block)?;
            let (content, is_original) =
                if smaller.len() < block.len() { (smaller.as_slice(), 0) } else { (block, 1) };
            let header = (content.len() << 1 | is_original) as u32;
            out.extend_from_slice(&header.to_le_bytes()[..3]);
            out.extend_from_slice(content);
        }
        Ok(out)
    }

    fn block(self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::None => bytes.to_vec(),
            Self::Zlib => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Default::default());
                encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(failed)?
            }
            Self::Snappy => snap::raw::Encoder::new().compress_vec(bytes).map_err(failed)?,
            Self::Lz4 => lz4_flex::block::compress(bytes),
            Self::Zstd => zstd::bulk::compress(bytes, 3).map_err(failed)?,
        })
    }

    /// The content of a stream of a file whose blocks have at most `block` bytes.
    pub(crate) fn uncompressed(self, mut bytes: &[u8], block: usize) -> Result<Vec<u8>> {
        if self == Self::None {
            return Ok(bytes.to_vec());
        }
        let mut out = Vec::new();
        while let [a, b, c, rest @ ..] = bytes {
            let header = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            let length = header >> 1;
            let content = rest.get(..length).ok_or_else(|| failed("a block ends behind the file"))?;
            if header & 1 == 1 {
                out.extend_from_slice(content);
            } else {
                out.extend(self.original(content, block)?);
            }
            if out.len() > LONGEST {
                return Err(failed("a stream of more than 1 GiB"));
            }
            bytes = &rest[length..];
        }
        Ok(out)
    }

    fn original(self, bytes: &[u8], block: usize) -> Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Zlib => {
                let mut out = Vec::new();
                let decoder = flate2::read::DeflateDecoder::new(bytes);
                decoder.take(block as u64).read_to_end(&mut out).map_err(failed)?;
                Ok(out)
            }
            // The block says how much room it wants.
            Self::Snappy if snap::raw::decompress_len(bytes).map_err(failed)? > block => {
                Err(failed("a block is longer than the file says"))
            }
            Self::Snappy => snap::raw::Decoder::new().decompress_vec(bytes).map_err(failed),
            Self::Lz4 => lz4_flex::block::decompress(bytes, block).map_err(failed),
            Self::Zstd => zstd::bulk::decompress(bytes, block).map_err(failed),
        }
    }
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::io("compression of an ORC file", e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let text: Vec<u8> = (0..BLOCK * 2 + 77).map(|i| (i / 9 % 251) as u8).collect();
        for codec in [Codec::None, Codec::Zlib, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            for bytes in [&text[..], &text[..5], &[]] {
                let stored = codec.compressed(bytes).unwrap();
                assert_eq!(codec.uncompressed(&stored, BLOCK).unwrap(), bytes, "{codec:?}");
            }
        }
    }

    #[test]
    fn blocks_do_not_take_the_room_they_like() {
        let zeros = vec![0; BLOCK];
        for codec in [Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let stored = codec.compressed(&zeros).unwrap();
            assert!(codec.uncompressed(&stored, BLOCK / 2).is_err(), "{codec:?}");
        }
        // Four gigabytes in six bytes, as Snappy would have it.
        let stored = [5 << 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(Codec::Snappy.uncompressed(&stored, BLOCK).is_err());
    }
}
