//! A slice of a file to batches of its columns.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, StringArray, StringBuilder};
use arrow::datatypes::SchemaRef;
use boathouse_bridge::{ResultExt, from_datafusion};
use boathouse_formats::options::ParseMode;
use boathouse_formats::{csv, json, xml};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use bytes::Bytes;
use datafusion::common::DataFusionError;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::blocks::{blocks, compression, plain_bytes, whole_file};
use super::decode::{decode, encoding_of_json, with_line_feeds};
use super::lines::{LineSplitter, Lines};
use super::slices::FileSlice;
use super::{RowFormat, avro, avro_check, binary_file, orc};

/// A batch is given when it has so many bytes, however few rows they are.
const BATCH_BYTES: usize = 64 << 20;

/// What reading a slice needs besides it.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) format: RowFormat,
    /// The columns that are read.
    pub(super) schema: SchemaRef,
    pub(super) batch_rows: usize,
    /// The file, as binaryFile shows it.
    pub(super) shown_path: String,
}

/// The batches of a slice.
pub(super) fn read_slice(reader: Reader, slice: FileSlice) -> BoxStream<'static, Result<RecordBatch>> {
    let stream = async_stream::try_stream! {
        let format = reader.format.clone();
        match &format {
            RowFormat::Json { schema, options, .. } => {
                let mut parser = json::Parser::new(schema, options.as_ref().clone())?;
                if options.multi_line || slice_needs_decoding(options.encoding.as_deref()) {
                    let bytes = whole(&reader, &slice).await?;
                    let encoding = match options.encoding.as_deref() {
                        None if options.multi_line => encoding_of_json(&bytes),
                        given => given,
                    };
                    if options.multi_line && !slice_needs_decoding(encoding) {
                        parser.push_bytes(&bytes)?;
                    } else {
                        let text = decode(&bytes, encoding)?;
                        if options.multi_line {
                            parser.push(&text)?;
                        } else {
                            for line in split_text(&text, options.line_separator.as_deref()) {
                                parser.push(line)?;
                            }
                        }
                    }
                } else {
                    let mut lines = SliceLines::new(&reader, &slice, options.line_separator.as_deref())?;
                    while let Some(some) = lines.next().await? {
                        for line in some.iter() {
                            parser.push_bytes(line)?;
                            if parser.rows() >= reader.batch_rows || (parser.rows() & 255 == 255 && parser.size() > BATCH_BYTES) {
                                yield format.kept(parser.finish()?)?;
                            }
                        }
                    }
                }
                if parser.rows() > 0 {
                    yield format.kept(parser.finish()?)?;
                }
            }
            RowFormat::Csv { schema, projection, options, .. } => {
                let mut parser = csv::Parser::new(schema, Some(projection), options.as_ref().clone())?;
                let mut header = options.header && slice.range.start == 0;
                if options.multi_line || slice_needs_decoding(options.encoding.as_deref()) {
                    let bytes = whole(&reader, &slice).await?;
                    let text = decode(&bytes, options.encoding.as_deref())?;
                    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                    if options.multi_line {
                        let text = match &options.line_separator {
                            None => with_line_feeds(text),
                            Some(_) => text.into(),
                        };
                        let text: &str = &text;
                        let mut at = if header { skip_header(text, schema, options, &mut parser)? } else { 0 };
                        while at < text.len() {
                            at = parser.push_at(text, at)?;
                            if parser.rows() >= reader.batch_rows {
                                yield format.kept(parser.finish()?)?;
                            }
                        }
                    } else {
                        for line in split_text(text, options.line_separator.as_deref()) {
                            if header && !csv::is_filler(line, options) {
                                header = false;
                                read_header(line, schema, options, &mut parser)?;
                                continue;
                            }
                            parser.push(line)?;
                            if parser.rows() >= reader.batch_rows {
                                yield format.kept(parser.finish()?)?;
                            }
                        }
                    }
                } else {
                    let mut first = slice.range.start == 0;
                    let mut lines = SliceLines::new(&reader, &slice, options.line_separator.as_deref())?;
                    while let Some(some) = lines.next().await? {
                        for line in some.iter() {
                            let line = String::from_utf8_lossy(line);
                            let mut line: &str = &line;
                            if first {
                                first = false;
                                line = line.strip_prefix('\u{feff}').unwrap_or(line);
                            }
                            if header && !csv::is_filler(line, options) {
                                header = false;
                                read_header(line, schema, options, &mut parser)?;
                                continue;
                            }
                            parser.push(line)?;
                            if parser.rows() >= reader.batch_rows || (parser.rows() & 255 == 255 && parser.size() > BATCH_BYTES) {
                                yield format.kept(parser.finish()?)?;
                            }
                        }
                    }
                }
                if parser.rows() > 0 {
                    yield format.kept(parser.finish()?)?;
                }
            }
            RowFormat::Text { wanted, whole: whole_text, line_separator, encoding } => {
                let mut texts = Texts::new(*wanted, &reader);
                if *whole_text || slice_needs_decoding(encoding.as_deref()) {
                    let bytes = whole(&reader, &slice).await?;
                    let text = decode(&bytes, encoding.as_deref())?;
                    if *whole_text {
                        texts.push(&text);
                    } else {
                        for line in split_text(&text, line_separator.as_deref()) {
                            texts.push(line);
                        }
                    }
                } else {
                    let mut lines = SliceLines::new(&reader, &slice, line_separator.as_deref())?;
                    while let Some(some) = lines.next().await? {
                        for line in some.iter() {
                            texts.push(&String::from_utf8_lossy(line));
                            if texts.is_full() {
                                yield texts.finish()?;
                            }
                        }
                    }
                }
                if texts.rows > 0 {
                    yield texts.finish()?;
                }
            }
            RowFormat::Avro { zone, case_sensitive, rescuing } => {
                let bytes = whole(&reader, &slice).await?;
                avro_check::check(&bytes)?;
                let batches = avro::reader(bytes.into(), reader.batch_rows)?;
                let rescuing = rescuing.as_ref().map(|r| r.of_file(&batches.schema())).transpose()?;
                for batch in batches {
                    let batch = batch.spark()?;
                    yield match &rescuing {
                        Some(rescuing) => rescuing.arrange(&batch, &reader.schema, zone)?,
                        None => avro::arrange(&batch, &reader.schema, zone, *case_sensitive)?,
                    };
                }
            }
            RowFormat::Orc { zone, case_sensitive } => {
                let bytes = whole(&reader, &slice).await?;
                // Spark passes over files of no bytes.
                if bytes.is_empty() {
                    return;
                }
                let (shape, bytes) = orc::Shape::of(bytes, zone, *case_sensitive)?;
                for batch in orc::reader(bytes, reader.batch_rows, &reader.schema, *case_sensitive)? {
                    yield shape.batch(&batch?, &reader.schema)?;
                }
            }
            RowFormat::Xml { schema, options, encoding, .. } => {
                let bytes = whole(&reader, &slice).await?;
                let text = decode(&bytes, encoding.as_deref())?;
                let records = xml::records(&text, &options.row_tag);
                let keeps_documents = schema.field(&options.corrupt_column).is_some();
                let size = |record: &&str| record.len() + if keeps_documents { text.len() } else { 0 };
                for some in chunks(&records, size, reader.batch_rows, BATCH_BYTES) {
                    yield format.kept(xml_batch(some, &text, schema, options)?)?;
                }
            }
            RowFormat::BinaryFile { projection } => {
                let meta = &slice.file.meta;
                let content = if binary_file::wants_content(projection) {
                    let result = reader.store.get(&meta.location).await.map_err(DataFusionError::from).spark()?;
                    Some(result.bytes().await.map_err(DataFusionError::from).spark()?)
                } else {
                    None
                };
                yield binary_file::row(meta, &reader.shown_path, content.as_deref(), projection, &reader.schema)?;
            }
        }
    };
    let stream: BoxStream<'static, Result<RecordBatch>> = Box::pin(stream);
    stream
}

/// The records in pieces of at most so many rows and bytes, or of one row.
fn chunks<'a, T>(
    records: &'a [T],
    size: impl Fn(&T) -> usize + 'a,
    max_rows: usize,
    max_bytes: usize,
) -> impl Iterator<Item = &'a [T]> {
    let mut left = records;
    std::iter::from_fn(move || {
        let mut bytes = 0usize;
        let fit = left.iter().take(max_rows).take_while(|record| {
            bytes = bytes.saturating_add(size(record));
            bytes <= max_bytes
        });
        let (some, rest) = left.split_at(fit.count().max(1).min(left.len()));
        left = rest;
        (!some.is_empty()).then_some(some)
    })
}

/// Records as columns. Where malformed ones are to be left out, a column tells which they are.
fn xml_batch(
    records: &[&str],
    document: &str,
    schema: &StructType,
    options: &xml::Options,
) -> Result<RecordBatch> {
    let read = Arc::new(json::nullable_schema(schema));
    let drops = options.mode == ParseMode::DropMalformed;
    let mut whole = schema.clone();
    if drops && whole.field(&options.corrupt_column).is_none() {
        whole.fields.push(StructField::new(&options.corrupt_column, DataType::STRING, true));
    }
    let texts = StringArray::from_iter_values(records);
    let rows = xml::from_xml(&texts, &whole, options)?;
    let rows = rows.as_struct_opt().ok_or_else(|| Error::internal("XML records gave no structs"))?;
    let mut columns = rows.columns()[..schema.fields.len()].to_vec();
    // What is corrupt is the document, as Spark has it.
    if let Some(corrupt) = schema.fields.iter().position(|f| f.name == options.corrupt_column) {
        let texts = columns[corrupt]
            .as_string_opt::<i32>()
            .map(|texts| texts.iter().map(|text| text.map(|_| document)).collect::<StringArray>());
        if let Some(texts) = texts {
            columns[corrupt] = Arc::new(texts);
        }
    }
    let count = RecordBatchOptions::new().with_row_count(Some(records.len()));
    let columns = columns
        .iter()
        .zip(read.fields())
        .map(|(c, f)| boathouse_bridge::conform(c, f.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let batch = RecordBatch::try_new_with_options(read, columns, &count).spark()?;
    match whole.fields.iter().position(|f| drops && f.name == options.corrupt_column) {
        Some(corrupt) => {
            let fine = arrow::compute::is_null(rows.column(corrupt)).spark()?;
            arrow::compute::filter_record_batch(&batch, &fine).spark()
        }
        None => Ok(batch),
    }
}

fn slice_needs_decoding(encoding: Option<&str>) -> bool {
    !super::is_utf8(encoding)
}

async fn whole(reader: &Reader, slice: &FileSlice) -> Result<Vec<u8>> {
    let meta = &slice.file.meta;
    whole_file(reader.store.clone(), &meta.location, meta.size).await.map_err(from_datafusion)
}

/// The lines of a text in memory.
pub(super) fn split_text<'a>(text: &'a str, separator: Option<&str>) -> Vec<&'a str> {
    match separator {
        Some(separator) => text.strip_suffix(separator).unwrap_or(text).split(separator).collect(),
        None => {
            let mut lines = Vec::new();
            let mut rest = text;
            while !rest.is_empty() {
                let at = rest.find(['\n', '\r']).unwrap_or(rest.len());
                lines.push(&rest[..at]);
                let newline = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
                rest = rest.get(at + newline..).unwrap_or_default();
            }
            lines
        }
    }
}

/// The lines of a slice, read as they are asked for.
struct SliceLines {
    bytes: BoxStream<'static, datafusion::error::Result<Bytes>>,
    splitter: LineSplitter,
    finished: bool,
}

impl SliceLines {
    fn new(reader: &Reader, slice: &FileSlice, separator: Option<&str>) -> Result<Self> {
        let meta = &slice.file.meta;
        let (store, path) = (reader.store.clone(), &meta.location);
        if compression(path)?.is_compressed() {
            let splitter = LineSplitter::new(separator, 0, u64::MAX);
            return Ok(Self { bytes: plain_bytes(store, path, meta.size)?, splitter, finished: false });
        }
        let (start, end) = (slice.range.start, slice.range.end);
        let first = LineSplitter::first_byte(separator.map(str::as_bytes), start);
        let bytes = blocks(store, path.clone(), first, end, meta.size).map_err(DataFusionError::from).boxed();
        Ok(Self { bytes, splitter: LineSplitter::new(separator, start, end), finished: false })
    }

    async fn next(&mut self) -> Result<Option<Lines>> {
        if self.finished {
            return Ok(None);
        }
        if !self.splitter.is_done()
            && let Some(block) = self.bytes.try_next().await.map_err(from_datafusion)?
        {
            return self.splitter.push(&block).map(Some);
        }
        self.finished = true;
        Ok(Some(self.splitter.finish()))
    }
}

/// The place behind the header record of a text.
fn skip_header(
    text: &str,
    schema: &StructType,
    options: &csv::Options,
    parser: &mut csv::Parser,
) -> Result<usize> {
    let tokenizer = csv::Tokenizer::new(options, true);
    let mut fields = csv::Fields::default();
    let mut at = 0;
    while at < text.len() {
        let end = tokenizer.record(text, at, &mut fields)?;
        let record = text[at..end].trim_end_matches(['\n', '\r']);
        at = end;
        if !csv::is_filler(record, options) {
            take_header(&fields, schema, options, parser)?;
            break;
        }
    }
    Ok(at)
}

/// A line that is the header: it tells where columns are, or is checked, or is passed over.
fn read_header(
    line: &str,
    schema: &StructType,
    options: &csv::Options,
    parser: &mut csv::Parser,
) -> Result<()> {
    if options.enforce_schema && options.rescue.is_none() {
        return Ok(());
    }
    let mut fields = csv::Fields::default();
    csv::Tokenizer::new(options, false).record(line, 0, &mut fields)?;
    take_header(&fields, schema, options, parser)
}

fn take_header(
    fields: &csv::Fields,
    schema: &StructType,
    options: &csv::Options,
    parser: &mut csv::Parser,
) -> Result<()> {
    if options.rescue.is_some() {
        let names: Vec<&str> =
            (0..fields.len()).map(|i| fields.get(i, options).unwrap_or_default()).collect();
        parser.set_header(&names);
        return Ok(());
    }
    compare_header(fields, schema, options)
}

/// With `enforceSchema` off, the header must name the columns of the schema.
fn compare_header(fields: &csv::Fields, schema: &StructType, options: &csv::Options) -> Result<()> {
    if options.enforce_schema {
        return Ok(());
    }
    let columns: Vec<&str> =
        schema.fields.iter().map(|f| f.name.as_str()).filter(|n| *n != options.corrupt_column).collect();
    let names: Vec<&str> = (0..fields.len()).map(|i| fields.get(i, options).unwrap_or_default()).collect();
    let same =
        |a: &str, b: &str| if options.case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() };
    if names.len() == columns.len() && names.iter().zip(&columns).all(|(a, b)| same(a, b)) {
        return Ok(());
    }
    Err(Error::new("_LEGACY_ERROR_TEMP_3241").message(format!(
        "The CSV header does not name the columns of the schema. Header: {}. Schema: {}.",
        names.join(", "),
        columns.join(", ")
    )))
}

/// Lines as the one column of text files.
struct Texts {
    builder: Option<StringBuilder>,
    rows: usize,
    schema: SchemaRef,
    batch_rows: usize,
}

impl Texts {
    fn new(wanted: bool, reader: &Reader) -> Self {
        Self {
            builder: wanted.then(StringBuilder::new),
            rows: 0,
            schema: reader.schema.clone(),
            batch_rows: reader.batch_rows,
        }
    }

    fn push(&mut self, line: &str) {
        if let Some(builder) = &mut self.builder {
            builder.append_value(line);
        }
        self.rows += 1;
    }

    fn is_full(&self) -> bool {
        self.rows >= self.batch_rows
            || self.builder.as_ref().is_some_and(|b| b.values_slice().len() > BATCH_BYTES)
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let columns = self.builder.iter_mut().map(|b| Arc::new(b.finish()) as _).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).spark()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_by_rows_and_bytes() {
        let records = ["aa", "bb", "cccccc", "d", "e", "f"];
        let cut: Vec<Vec<&str>> = chunks(&records, |r| r.len(), 3, 4).map(<[&str]>::to_vec).collect();
        assert_eq!(cut, [vec!["aa", "bb"], vec!["cccccc"], vec!["d", "e", "f"]]);
        assert_eq!(chunks::<&str>(&[], |r| r.len(), 3, 4).count(), 0);
    }
}
