//! The file behind the row group that fills: row groups are put to its end, one at a time, beside the making of the next.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory};
use parquet::basic::{Encoding, PageType};
use parquet::errors::Result;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::output::Output;

/// The file so far.
pub(super) struct Tail {
    file: SerializedFileWriter<Vec<u8>>,
    out: Output,
    plain: Arc<PlainColumns>,
}

impl Tail {
    pub fn new(file: SerializedFileWriter<Vec<u8>>, out: Output, plain: Arc<PlainColumns>) -> Self {
        Self { file, out, plain }
    }

    /// Bytes of the file so far.
    pub fn size(&self) -> usize {
        self.file.bytes_written()
    }

    /// Puts a row group to the end.
    pub async fn append(mut self, chunks: Vec<ArrowColumnChunk>) -> Result<Self> {
        let mut writer = self.file.next_row_group()?;
        for chunk in chunks {
            self.plain.note(&chunk);
            chunk.append_to_row_group(&mut writer)?;
        }
        writer.close()?;
        self.file.flush()?;
        self.drain().await?;
        Ok(self)
    }

    /// Writes the footer, after which the file survives a crash of the machine. The bytes of the file.
    pub async fn finish(mut self) -> Result<usize> {
        self.file.finish()?;
        self.drain().await?;
        self.out.finish().await?;
        Ok(self.file.bytes_written())
    }

    async fn drain(&mut self) -> Result<()> {
        let bytes = Bytes::from(std::mem::take(self.file.inner_mut()));
        if bytes.is_empty() {
            return Ok(());
        }
        self.out.write(bytes.clone()).await?;
        // The next row group goes where this one was, so that the system need not find (and clear) as much memory again.
        if bytes.is_unique() {
            let mut buffer = Vec::from(bytes);
            buffer.clear();
            *self.file.inner_mut() = buffer;
        }
        Ok(())
    }
}

/// The leaf columns of which a row group had more distinct values than a dictionary takes: the next ones do without.
pub(super) struct PlainColumns {
    known: Mutex<Known>,
    properties: WriterPropertiesPtr,
    root: TypePtr,
    schema: SchemaRef,
}

#[derive(Default)]
struct Known {
    columns: HashSet<ColumnPath>,
    /// Whether there are more than the writers know of.
    grew: bool,
}

impl PlainColumns {
    pub fn new(file: &SerializedFileWriter<Vec<u8>>, schema: &SchemaRef) -> Self {
        Self {
            known: Mutex::default(),
            properties: Arc::clone(file.properties()),
            root: file.schema_descr().root_schema_ptr(),
            schema: Arc::clone(schema),
        }
    }

    /// A dictionary that was given up before half of the pages did not pay.
    fn note(&self, chunk: &ArrowColumnChunk) {
        let column = &chunk.close().metadata;
        let pages = |is_dictionary: bool| -> i32 {
            let pages = column.page_encoding_stats().into_iter().flatten();
            let data = pages.filter(|p| matches!(p.page_type, PageType::DATA_PAGE | PageType::DATA_PAGE_V2));
            data.filter(|p| (p.encoding == Encoding::RLE_DICTIONARY) == is_dictionary).map(|p| p.count).sum()
        };
        if pages(false) > pages(true) {
            let mut known = self.known.lock();
            known.grew |= known.columns.insert(column.column_path().clone());
        }
    }

    /// What makes the writers of the next row groups, where that has changed.
    pub fn row_groups(&self) -> Result<Option<ArrowRowGroupWriterFactory>> {
        let mut properties = self.properties.as_ref().clone().into_builder();
        {
            let mut known = self.known.lock();
            if !std::mem::take(&mut known.grew) {
                return Ok(None);
            }
            for column in &known.columns {
                properties = properties.set_column_dictionary_enabled(column.clone(), false);
            }
        }
        let model =
            SerializedFileWriter::new(Vec::new(), Arc::clone(&self.root), Arc::new(properties.build()))?;
        Ok(Some(ArrowRowGroupWriterFactory::new(&model, Arc::clone(&self.schema))))
    }
}
