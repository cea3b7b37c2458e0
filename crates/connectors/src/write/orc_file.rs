//! An ORC file that is being written.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray};
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use orc_rust::proto::column_encoding::Kind as EncodingKind;
use orc_rust::proto::{
    ColumnEncoding, Footer, Metadata, PostScript, Stream, StripeFooter, StripeInformation, Type,
};
use prost_orc::Message;
use tokio::io::AsyncWriteExt;

use super::encoder::Encoder;
use crate::orc::codec::{BLOCK, Codec};
use crate::orc::column::Column;
use crate::orc::tail::PROLEPTIC_GREGORIAN;
use crate::orc::times::Clock;
use crate::orc::types;

const MAGIC: &[u8] = b"ORC";
/// A stripe is written when its columns have about so many bytes (`orc.stripe.size`).
const STRIPE_BYTES: usize = 64 << 20;

pub(super) struct OrcFile {
    to: BufWriter,
    codec: Codec,
    types: Vec<Type>,
    root: Column,
    clock: Clock,
    stripes: Vec<StripeInformation>,
    rows_of_stripe: u64,
    /// Written so far.
    bytes: u64,
    shown: String,
}

impl OrcFile {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        path: &Path,
        codec: Codec,
        zone: &Zone,
        encoder: &Encoder,
    ) -> Result<Self> {
        Ok(Self {
            to: BufWriter::new(store, path.clone()),
            codec,
            types: types::of_schema(&encoder.schema)?,
            root: Column::new(&DataType::Struct(encoder.schema.clone()))?,
            clock: Clock::of(zone),
            stripes: Vec::new(),
            rows_of_stripe: 0,
            bytes: 0,
            shown: path.to_string(),
        })
    }

    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_columns() > 0 {
            let all: ArrayRef = Arc::new(StructArray::from(rows.clone()));
            debug_assert_eq!(all.null_count(), 0);
            self.root.append(&all, &self.clock)?;
        }
        self.rows_of_stripe += rows.num_rows() as u64;
        if self.root.size() >= STRIPE_BYTES {
            self.finish_stripe().await?;
        }
        Ok(())
    }

    /// Completes the file; gives how many bytes it has.
    pub(super) async fn finish(mut self: Box<Self>) -> Result<u64> {
        self.start().await?;
        if self.rows_of_stripe > 0 {
            self.finish_stripe().await?;
        }
        let mut statistics = Vec::new();
        self.root.statistics(&mut statistics);
        let metadata = self.codec.compressed(&Metadata::default().encode_to_vec())?;
        let footer = Footer {
            header_length: Some(MAGIC.len() as u64),
            content_length: Some(self.bytes),
            number_of_rows: Some(self.stripes.iter().map(StripeInformation::number_of_rows).sum()),
            stripes: std::mem::take(&mut self.stripes),
            types: std::mem::take(&mut self.types),
            statistics,
            row_index_stride: Some(0),
            calendar: Some(PROLEPTIC_GREGORIAN),
            ..Footer::default()
        };
        let footer = self.codec.compressed(&footer.encode_to_vec())?;
        let postscript = PostScript {
            footer_length: Some(footer.len() as u64),
            compression: Some(self.codec.kind().into()),
            compression_block_size: Some(BLOCK as u64),
            version: vec![0, 12],
            metadata_length: Some(metadata.len() as u64),
            // Of a writer that is none of those with known faults.
            writer_version: Some(9),
            magic: Some("ORC".into()),
            ..PostScript::default()
        };
        let postscript = postscript.encode_to_vec();
        let length = u8::try_from(postscript.len()).map_err(|_| self.failed("a long postscript"))?;
        for part in [&metadata[..], &footer, &postscript, &[length]] {
            self.put(part).await?;
        }
        self.to.shutdown().await.map_err(|e| self.failed(e))?;
        Ok(self.bytes)
    }

    async fn start(&mut self) -> Result<()> {
        if self.bytes == 0 {
            self.put(MAGIC).await?;
        }
        Ok(())
    }

    async fn finish_stripe(&mut self) -> Result<()> {
        self.start().await?;
        let offset = self.bytes;
        let (mut columns, mut streams) = (0, Vec::new());
        self.root.take_streams(&mut columns, &mut streams);
        let mut listed = Vec::new();
        for (column, kind, content) in streams {
            let stored = self.codec.compressed(&content)?;
            listed.push(Stream {
                kind: Some(kind.into()),
                column: Some(column),
                length: Some(stored.len() as u64),
            });
            self.put(&stored).await?;
        }
        let data_length = self.bytes - offset;
        let direct = ColumnEncoding { kind: Some(EncodingKind::Direct.into()), ..ColumnEncoding::default() };
        let footer = StripeFooter {
            streams: listed,
            columns: vec![direct; columns as usize],
            writer_timezone: Some(self.clock.name().into()),
            ..StripeFooter::default()
        };
        let footer = self.codec.compressed(&footer.encode_to_vec())?;
        self.put(&footer).await?;
        self.stripes.push(StripeInformation {
            offset: Some(offset),
            index_length: Some(0),
            data_length: Some(data_length),
            footer_length: Some(footer.len() as u64),
            number_of_rows: Some(std::mem::take(&mut self.rows_of_stripe)),
            ..StripeInformation::default()
        });
        Ok(())
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes).await.map_err(|e| self.failed(e))
    }

    fn failed(&self, e: impl std::fmt::Display) -> Error {
        Error::io(format!("writing {}", self.shown), e)
    }
}
