//! The end of an ORC file: what it is compressed with, its types, and in whose time of day its timestamps are.

use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result};
use orc_rust::proto::r#type::Kind;
use orc_rust::proto::{CompressionKind, Footer, PostScript, StripeFooter, StripeInformation, Type};
use prost_orc::Message;

use super::codec::{BLOCK, Codec};
use super::types;

/// The calendar of dates and times where a file says so; else they are of the Julian one before 1582-10-15.
pub(crate) const PROLEPTIC_GREGORIAN: i32 = 2;

/// What the end of a file says.
pub(crate) struct Tail {
    pub(crate) footer: Footer,
    postscript: PostScript,
    codec: Codec,
    /// Where the footer begins, from the end.
    footer_from_end: usize,
}

impl Tail {
    /// The end of a file, or None where it is compressed with LZO.
    pub(crate) fn of(file: &[u8]) -> Result<Option<Self>> {
        let (rest, postscript) = postscript(file)?;
        let kind = CompressionKind::try_from(postscript.compression.unwrap_or_default());
        let Some(codec) = Codec::of_kind(kind.map_err(|_| damaged())?) else { return Ok(None) };
        let length = usize::try_from(postscript.footer_length()).map_err(|_| damaged())?;
        let at = rest.len().checked_sub(length).ok_or_else(damaged)?;
        let footer = codec.uncompressed(&rest[at..], block_size(&postscript))?;
        let footer = Footer::decode(footer.as_slice()).map_err(|_| damaged())?;
        if !types::is_tree(&footer.types) {
            return Err(damaged());
        }
        Ok(Some(Self { footer, postscript, codec, footer_from_end: file.len() - at }))
    }

    /// How many bytes at the end of a file say what is in it.
    pub(crate) fn length(end: &[u8]) -> Result<u64> {
        let (rest, postscript) = postscript(end)?;
        let behind = (end.len() - rest.len()) as u64;
        postscript.footer_length().checked_add(behind).ok_or_else(damaged)
    }

    /// Whether what the end says of its own parts fits into the file, and rows are structs: readers count on both.
    pub(crate) fn check(&self, file: &[u8]) -> Result<()> {
        let before = (file.len() - self.footer_from_end) as u64;
        if self.postscript.metadata_length() > before {
            return Err(damaged());
        }
        match self.footer.types.first().map(Type::kind) {
            Some(Kind::Struct) => Ok(()),
            _ => Err(Error::unsupported("ORC files whose rows are no structs")),
        }
    }

    /// The zone of the times of day, where the file has such.
    pub(crate) fn zone(&self, file: &[u8]) -> Result<Option<Zone>> {
        let kinds = |kind| self.footer.types.iter().any(|t| t.kind() == kind);
        if !kinds(Kind::Timestamp) || kinds(Kind::TimestampInstant) {
            return Ok(None);
        }
        let mut zone: Option<String> = None;
        for stripe in &self.footer.stripes {
            let name = self.stripe_footer(file, stripe)?.writer_timezone.unwrap_or_else(|| "UTC".into());
            if zone.as_ref().is_some_and(|z| *z != name) {
                return Err(Error::unsupported("ORC files whose stripes are of several time zones"));
            }
            zone = Some(name);
        }
        zone.map(|name| Zone::named(&name)).transpose()
    }

    fn stripe_footer(&self, file: &[u8], stripe: &StripeInformation) -> Result<StripeFooter> {
        let from = stripe.offset().checked_add(stripe.index_length());
        let from = from.and_then(|from| from.checked_add(stripe.data_length())).ok_or_else(damaged)?;
        let (from, length) = (usize::try_from(from), usize::try_from(stripe.footer_length()));
        let (from, length) = (from.map_err(|_| damaged())?, length.map_err(|_| damaged())?);
        let stored = from.checked_add(length).and_then(|end| file.get(from..end)).ok_or_else(damaged)?;
        let footer = self.codec.uncompressed(stored, block_size(&self.postscript))?;
        StripeFooter::decode(footer.as_slice()).map_err(|_| damaged())
    }

    /// The file with its times of day said to be instants, so that they are read as they are: seconds from 2015 on.
    pub(crate) fn with_instants(mut self, mut file: Vec<u8>) -> Result<Vec<u8>> {
        for t in &mut self.footer.types {
            if t.kind() == Kind::Timestamp {
                t.kind = Some(Kind::TimestampInstant.into());
            }
        }
        let footer = self.codec.compressed(&self.footer.encode_to_vec())?;
        self.postscript.footer_length = Some(footer.len() as u64);
        let postscript = self.postscript.encode_to_vec();
        let length = u8::try_from(postscript.len()).map_err(|_| damaged())?;
        file.truncate(file.len() - self.footer_from_end);
        file.extend(footer);
        file.extend(postscript);
        file.push(length);
        Ok(file)
    }
}

/// The last part of a file, which says how to read the one before, and all before it.
fn postscript(file: &[u8]) -> Result<(&[u8], PostScript)> {
    let (length, rest) = file.split_last().ok_or_else(damaged)?;
    let at = rest.len().checked_sub(usize::from(*length)).ok_or_else(damaged)?;
    let (rest, postscript) = rest.split_at(at);
    let postscript = PostScript::decode(postscript).map_err(|_| damaged())?;
    if postscript.magic() != "ORC" {
        return Err(damaged());
    }
    Ok((rest, postscript))
}

fn block_size(postscript: &PostScript) -> usize {
    usize::try_from(postscript.compression_block_size.unwrap_or(BLOCK as u64)).unwrap_or(BLOCK).min(16 << 20)
}

fn damaged() -> Error {
    Error::io("reading an ORC file", "its end is damaged")
}
