//! A JSON, CSV or text file that is being written.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use boathouse_bridge::ResultExt;
use boathouse_formats::{csv, json, xml};
use boathouse_spec::{DataType, Error, Result};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::encoder::{Encoder, Encoding};

/// Text is handed on when there is so much of it.
const BUFFER: usize = 256 << 10;

pub(super) struct TextFile {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    encoder: Encoder,
    text: String,
    /// Bytes before compression.
    bytes: u64,
    shown: String,
    begun: bool,
}

impl TextFile {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: &Path, encoder: Encoder) -> Result<Self> {
        let writer = encoder.compression.convert_async_writer(BufWriter::new(store, path.clone())).spark()?;
        Ok(Self { writer, encoder, text: String::new(), bytes: 0, shown: path.to_string(), begun: false })
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        match &self.encoder.encoding {
            Encoding::Csv(options) if options.header => {
                csv::write_header(&self.encoder.schema.names(), options, &mut self.text);
                self.text.push_str(&self.encoder.line_separator);
            }
            Encoding::Xml(options) => {
                if !options.declaration.is_empty() {
                    self.text.push_str(&format!("<?xml {}?>\n", options.declaration));
                }
                self.text.push_str(&format!("<{}>", options.root_tag.replace('\'', "\"")));
                self.text.push_str(&self.encoder.line_separator);
            }
            _ => {}
        }
    }

    /// What closes a file.
    fn end(&mut self) {
        if let Encoding::Xml(options) = &self.encoder.encoding {
            let name = options.root_tag.split_whitespace().next().unwrap_or_default();
            self.text.push_str(&format!("</{name}>"));
        }
    }

    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.begin();
        let encoder = self.encoder.clone();
        match &encoder.encoding {
            Encoding::Json(options) => {
                let array: ArrayRef = Arc::new(StructArray::from(rows.clone()));
                let t = DataType::Struct(encoder.schema.clone());
                let generator = json::Generator::new(&array, &t, options)?;
                for row in 0..rows.num_rows() {
                    generator.write(row, &mut self.text)?;
                    self.end_line(&encoder).await?;
                }
            }
            Encoding::Csv(options) => {
                let generator = csv::Generator::new(rows.columns(), &encoder.schema, options)?;
                for row in 0..rows.num_rows() {
                    let before = self.text.len();
                    generator.write(row, &mut self.text)?;
                    // A row without any character is no line: NULL in the only column.
                    if self.text.len() > before {
                        self.end_line(&encoder).await?;
                    }
                }
            }
            Encoding::Xml(options) => {
                let array: ArrayRef = Arc::new(StructArray::from(rows.clone()));
                let t = DataType::Struct(encoder.schema.clone());
                for record in xml::to_xml(&array, &t, options)?.iter().flatten() {
                    for line in record.trim_end().lines() {
                        self.text.push_str(&options.indent);
                        self.text.push_str(line);
                        self.end_line(&encoder).await?;
                    }
                }
            }
            _ => {
                let column = rows.column(0).clone();
                let texts = column
                    .as_string_opt::<i32>()
                    .ok_or_else(|| Error::internal("text rows are not texts"))?;
                for row in 0..texts.len() {
                    if texts.is_valid(row) {
                        self.text.push_str(texts.value(row));
                    }
                    self.end_line(&encoder).await?;
                }
            }
        }
        Ok(())
    }

    async fn end_line(&mut self, encoder: &Encoder) -> Result<()> {
        self.text.push_str(&encoder.line_separator);
        if self.text.len() >= BUFFER {
            self.hand_on().await?;
        }
        Ok(())
    }

    async fn hand_on(&mut self) -> Result<()> {
        self.bytes += self.text.len() as u64;
        let written = self.writer.write_all(self.text.as_bytes()).await;
        self.text.clear();
        written.map_err(|e| Error::io(format!("writing {}", self.shown), e))
    }

    /// Completes the file; gives how many bytes of text it has.
    pub(super) async fn finish(mut self: Box<Self>) -> Result<u64> {
        let xml = matches!(self.encoder.encoding, Encoding::Xml(_));
        // XML without rows is an empty file; CSV has its header all the same.
        if self.begun || !xml {
            self.begin();
            self.end();
        }
        self.hand_on().await?;
        self.writer.shutdown().await.map_err(|e| Error::io(format!("writing {}", self.shown), e))?;
        Ok(self.bytes)
    }
}
