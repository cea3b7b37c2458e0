//! Schemas of files that do without Parquet's footer.

use std::cmp::Reverse;
use std::sync::Arc;

use boathouse_bridge::from_datafusion;
use boathouse_formats::options::{Lookup, illegal};
use boathouse_formats::{csv, json, xml};
use boathouse_spec::{Result, StructType};
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::blocks::{plain_bytes, whole_file};
use super::decode::{decode, encoding_of_json, with_line_feeds};
use super::is_utf8;
use super::lines::LineSplitter;
use super::read::split_text;
use super::{avro, orc};
use crate::errors;
use crate::format::Format;
use crate::orc::tail::Tail;
use crate::table::{FileTable, TableFile};

/// How many files are looked at at once.
const PARALLEL: usize = 8;

/// Spark cuts longer files into pieces of this many bytes (`spark.sql.files.maxPartitionBytes`).
const LONGEST_PIECE: u64 = 128 << 20;

/// The schema of a table's files, partition columns aside.
pub(crate) async fn infer_schema(table: &FileTable) -> Result<StructType> {
    if table.files.is_empty() {
        return Err(errors::unable_to_infer(table.format.shown()));
    }
    let schema = match table.format {
        Format::Json => json_schema(table).await?,
        Format::Xml => xml_schema(table).await?,
        Format::Avro => avro_schema(table).await?,
        Format::Orc => orc_schema(table).await?,
        _ => csv_schema(table).await?,
    };
    Ok(schema)
}

/// Whether a record is among those that are looked at. Deterministic, so that a schema is the same twice.
fn sampled(number: u64, ratio: f64) -> bool {
    if ratio >= 1.0 {
        return true;
    }
    // A multiplicative hash spreads neighbours.
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
    (hash as f64) < ratio * (1_u64 << 53) as f64
}

/// A share of nothing has no schema.
fn check_ratio(ratio: f64) -> Result<()> {
    if ratio > 0.0 {
        return Ok(());
    }
    Err(illegal(format!("The option `samplingRatio` is {ratio:?}, and should be greater than 0.")))
}

async fn json_schema(table: &FileTable) -> Result<StructType> {
    let options = json::Options::parse(&table.options, &table.context.session)?;
    options.check_for_inferring()?;
    check_ratio(options.sampling_ratio)?;
    let store = table.place.store.clone();
    let ignore_corrupt = table.choice.ignore_corrupt;
    let place = table.place.clone();
    let tasks = table.files.clone().into_iter().map(|file| {
        let (store, options, place) = (store.clone(), options.clone(), place.clone());
        async move {
            // Inference is work for a processor: files are looked at on as many as there are.
            let task =
                tokio::spawn(
                    async move { infer_json_file(store, &file, options).await.map_err(|e| (e, file)) },
                );
            match task.await {
                Ok(Ok(inference)) => Ok(Some(inference)),
                Ok(Err((e, _))) if ignore_corrupt && !e.is("MALFORMED_RECORD_IN_PARSING") => {
                    tracing::warn!("left out a file while inferring a schema: {e}");
                    Ok(None)
                }
                Ok(Err((e, file))) if e.is("FAILED_IO") => {
                    Err(errors::failed_read(&place.url_of(&file.meta.location), e))
                }
                Ok(Err((e, _))) => Err(e),
                Err(e) => Err(boathouse_spec::Error::internal(e.to_string())),
            }
        }
    });
    let found: Vec<Option<json::Inference>> =
        futures::stream::iter(tasks).buffered(PARALLEL).try_collect().await?;
    let mut all = json::Inference::new(options);
    for inference in found.into_iter().flatten() {
        all.merge(inference);
    }
    Ok(all.finish())
}

async fn infer_json_file(
    store: Arc<dyn ObjectStore>,
    file: &TableFile,
    options: json::Options,
) -> Result<json::Inference> {
    let mut inference = json::Inference::new(options.clone());
    let meta = &file.meta;
    if options.multi_line || !is_utf8(options.encoding.as_deref()) {
        let bytes = whole_file(store, &meta.location, meta.size).await.map_err(from_datafusion)?;
        let encoding = match options.encoding.as_deref() {
            None if options.multi_line => encoding_of_json(&bytes),
            given => given,
        };
        let text = decode(&bytes, encoding)?;
        if options.multi_line {
            inference.push(&text)?;
        } else {
            for line in split_text(&text, options.line_separator.as_deref()) {
                inference.push(line)?;
            }
        }
        return Ok(inference);
    }
    let mut number = 0;
    let mut bytes = plain_bytes(store, &meta.location, meta.size)?;
    let mut splitter = LineSplitter::new(options.line_separator.as_deref(), 0, u64::MAX);
    loop {
        let block = bytes.try_next().await.map_err(from_datafusion)?;
        let lines = match &block {
            Some(block) => splitter.push(block)?,
            None => splitter.finish(),
        };
        for line in lines.iter() {
            number += 1;
            if sampled(number, options.sampling_ratio) {
                inference.push_bytes(line)?;
            }
        }
        if block.is_none() {
            return Ok(inference);
        }
    }
}

/// The schema of the first file that can be read: the others are read by it.
async fn avro_schema(table: &FileTable) -> Result<StructType> {
    let mut failure = None;
    for file in &table.files {
        let meta = &file.meta;
        let read =
            whole_file(table.place.store.clone(), &meta.location, meta.size).await.map_err(from_datafusion);
        match read.and_then(|bytes| avro::schema(bytes.into())) {
            Ok(schema) => return Ok(schema),
            Err(e) if table.choice.ignore_corrupt => {
                tracing::warn!("left out a file while inferring a schema: {e}");
                failure = Some(e);
            }
            Err(e) => return Err(errors::failed_read(&table.place.url_of(&meta.location), e)),
        }
    }
    Err(failure.unwrap_or_else(|| errors::unable_to_infer(table.format.shown())))
}

/// The schema of the first file that has one, or with `mergeSchema` of all of them.
async fn orc_schema(table: &FileTable) -> Result<StructType> {
    let merges = Lookup(&table.options).flag("mergeSchema", table.context.merge_orc_schemas)?;
    let mut schemas = Vec::new();
    for file in table.files.iter().filter(|f| f.meta.size > 0) {
        let location = &file.meta.location;
        match orc_schema_of(table, file).await {
            Ok(schema) => schemas.push(schema),
            Err(e) if table.choice.ignore_corrupt => {
                tracing::warn!("left out a file while inferring a schema: {e}");
            }
            Err(e) => return Err(errors::unreadable_footer(&table.place.display_of(location), e)),
        }
        if !merges && !schemas.is_empty() {
            break;
        }
    }
    if schemas.is_empty() {
        return Err(errors::unable_to_infer(table.format.shown()));
    }
    crate::parquet::merge_all(schemas, table.context.session.case_sensitive)
}

/// Looks at the file's end, and once more where that says to be longer.
async fn orc_schema_of(table: &FileTable, file: &TableFile) -> Result<StructType> {
    const END: u64 = 256 << 10;
    let meta = &file.meta;
    let end = |length: u64| async move {
        let range = meta.size.saturating_sub(length)..meta.size;
        let bytes = table.place.store.get_range(&meta.location, range).await;
        bytes.map_err(DataFusionError::from).map_err(from_datafusion)
    };
    let mut bytes = end(END).await?;
    let length = Tail::length(&bytes)?;
    if length > bytes.len() as u64 && length <= meta.size {
        bytes = end(length).await?;
    }
    orc::schema(&bytes)
}

async fn xml_schema(table: &FileTable) -> Result<StructType> {
    let options = super::xml_options(table)?;
    options.check_for_inferring()?;
    let encoding = Lookup(&table.options).text("encoding").map(str::to_string);
    let mut texts = Vec::new();
    for file in &table.files {
        let store = table.place.store.clone();
        let bytes = whole_file(store, &file.meta.location, file.meta.size).await.map_err(from_datafusion)?;
        let text = decode(&bytes, encoding.as_deref())?.into_owned();
        texts.extend(xml::records(&text, &options.row_tag).into_iter().map(str::to_string));
    }
    Ok(xml::schema_of(texts.iter().map(String::as_str), &options))
}

async fn csv_schema(table: &FileTable) -> Result<StructType> {
    let options = csv::Options::parse(&table.options, &table.context.session)?;
    if options.infer_schema {
        options.check_for_inferring()?;
    }
    check_ratio(options.sampling_ratio)?;
    let mut inference = csv::Inference::new(options.clone());
    let mut header: Option<String> = None;
    // Where data is rescued, each file's columns are found by its header.
    let each_has_its_own = options.header && options.rescue.is_some();
    let mut files: Vec<&TableFile> = table.files.iter().collect();
    if !options.multi_line && !each_has_its_own {
        // Spark reads the longest pieces of files first, and takes the header from the first line that it meets.
        files.sort_by_key(|file| Reverse(file.meta.size.min(LONGEST_PIECE)));
    }
    for file in files {
        if inference.is_done() && !each_has_its_own {
            break;
        }
        let mut own = csv::Inference::new(options.clone());
        let (found, header) = match each_has_its_own {
            true => (&mut own, &mut None),
            false => (&mut inference, &mut header),
        };
        let read = infer_csv_file(&table.place.store, file, &options, found, header).await;
        match read {
            Ok(()) if each_has_its_own => inference.merge(own),
            Ok(()) => {}
            Err(e) if table.choice.ignore_corrupt => {
                tracing::warn!("left out a file while inferring a schema: {e}");
            }
            Err(e) if e.is("FAILED_IO") => {
                return Err(errors::failed_read(&table.place.url_of(&file.meta.location), e));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(inference.finish())
}

async fn infer_csv_file(
    store: &Arc<dyn ObjectStore>,
    file: &TableFile,
    options: &csv::Options,
    inference: &mut csv::Inference,
    header: &mut Option<String>,
) -> Result<()> {
    let meta = &file.meta;
    let mut first_of_file = true;
    let mut number = 0_u64;
    // Each file repeats the header, which is no record.
    let mut look = |line: &str, inference: &mut csv::Inference| -> Result<()> {
        let line = if std::mem::take(&mut first_of_file) {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        if csv::is_filler(line, options) {
            return Ok(());
        }
        number += 1;
        match header {
            None => *header = Some(line.to_string()),
            Some(header) if options.header && header == line => return Ok(()),
            Some(_) if !sampled(number, options.sampling_ratio) => return Ok(()),
            Some(_) => {}
        }
        inference.push(line, 0).map(|_| ())
    };
    if options.multi_line || !is_utf8(options.encoding.as_deref()) {
        let bytes = whole_file(store.clone(), &meta.location, meta.size).await.map_err(from_datafusion)?;
        let text = decode(&bytes, options.encoding.as_deref())?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if !options.multi_line {
            for line in split_text(text, options.line_separator.as_deref()) {
                look(line, inference)?;
            }
            return Ok(());
        }
        let text = match &options.line_separator {
            None => with_line_feeds(text),
            Some(_) => text.into(),
        };
        let text: &str = &text;
        let tokenizer = csv::Tokenizer::new(options, true);
        let mut fields = csv::Fields::default();
        let mut at = 0;
        while at < text.len() && !inference.is_done() {
            let end = tokenizer.record(text, at, &mut fields)?;
            look(text[at..end].trim_end_matches(['\n', '\r']), inference)?;
            at = end;
        }
        return Ok(());
    }
    let mut bytes = plain_bytes(store.clone(), &meta.location, meta.size)?;
    let mut splitter = LineSplitter::new(options.line_separator.as_deref(), 0, u64::MAX);
    loop {
        let block = bytes.try_next().await.map_err(from_datafusion)?;
        let lines = match &block {
            Some(block) => splitter.push(block)?,
            None => splitter.finish(),
        };
        for line in lines.iter() {
            look(&String::from_utf8_lossy(line), inference)?;
            if inference.is_done() {
                return Ok(());
            }
        }
        if block.is_none() {
            return Ok(());
        }
    }
}
