//! The end of an ORC file: what it is compressed with, and its types.

use boathouse_spec::{Error, Result};
use orc_rust::proto::{CompressionKind, Footer, PostScript};
use prost_orc::Message;

use super::codec::{BLOCK, Codec};

/// The footer of a file, or None where it is compressed with LZO.
pub(crate) fn footer(file: &[u8]) -> Result<Option<Footer>> {
    let damaged = || Error::io("reading an ORC file", "its end is damaged");
    let (length, rest) = file.split_last().ok_or_else(damaged)?;
    let at = rest.len().checked_sub(usize::from(*length)).ok_or_else(damaged)?;
    let (rest, postscript) = rest.split_at(at);
    let postscript = PostScript::decode(postscript).map_err(|_| damaged())?;
    if postscript.magic() != "ORC" {
        return Err(damaged());
    }
    let kind =
        CompressionKind::try_from(postscript.compression.unwrap_or_default()).map_err(|_| damaged())?;
    let Some(codec) = Codec::of_kind(kind) else { return Ok(None) };
    let length = usize::try_from(postscript.footer_length()).map_err(|_| damaged())?;
    let at = rest.len().checked_sub(length).ok_or_else(damaged)?;
    let block = usize::try_from(postscript.compression_block_size.unwrap_or(BLOCK as u64)).unwrap_or(BLOCK);
    let footer = codec.uncompressed(&rest[at..], block.min(16 << 20))?;
    Footer::decode(footer.as_slice()).map(Some).map_err(|_| damaged())
}
