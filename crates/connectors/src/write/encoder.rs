//! How rows become bytes: the format, its options, the codec and the files' extension.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_avro::compression::CompressionCodec;
use boathouse_bridge::arrow_schema;
use boathouse_formats::options::Lookup;
use boathouse_formats::zone::Zone;
use boathouse_formats::{csv, json, xml};
use boathouse_spec::{DataType, Error, Result, StructType};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};

use crate::context::Context;
use crate::errors;
use crate::format::Format;
use crate::orc::codec::Codec;
use crate::table::is_plain_text;

/// The format of the files that are written.
#[derive(Debug, Clone)]
pub(super) enum Encoding {
    Json(Box<json::Options>),
    Csv(Box<csv::Options>),
    Text,
    Xml(Box<xml::Options>),
    Parquet(Compression),
    /// With the name and the namespace of the records.
    Avro(Option<CompressionCodec>, (String, String)),
    /// With the zone whose time of day timestamps are.
    Orc(Codec, Zone),
}

#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pub(super) encoding: Encoding,
    /// Of text formats.
    pub(super) compression: FileCompressionType,
    pub(super) line_separator: String,
    /// With its point: `.snappy.parquet`, `.json.gz`.
    pub(super) extension: String,
    pub(super) schema: StructType,
    pub(super) arrow_schema: SchemaRef,
}

impl Encoder {
    /// The encoder of rows of a schema, which holds no partition columns.
    pub(super) fn new(
        format: Format,
        schema: &StructType,
        options: &[(String, String)],
        context: &Context,
    ) -> Result<Self> {
        let given = Lookup(options);
        let line_separator = given.text("lineSep").unwrap_or("\n").to_string();
        if let Some(encoding) = given.text("encoding").or(given.text("charset"))
            && !matches!(encoding.to_lowercase().as_str(), "utf-8" | "utf8")
            && !matches!(format, Format::Parquet | Format::Avro | Format::Orc)
        {
            return Err(Error::unsupported(format!("writing files in the encoding {encoding}")));
        }
        let codec = given.text("compression").or(given.text("codec"));
        let new = |encoding, compression, extension: String| Self {
            encoding,
            compression,
            line_separator: line_separator.clone(),
            extension,
            schema: schema.clone(),
            arrow_schema: Arc::new(arrow_schema(schema)),
        };
        Ok(match format {
            Format::Json => {
                check_json(schema)?;
                let (compression, suffix) = text_codec(codec)?;
                let options = json::Options {
                    pretty: false,
                    ..json::Options::parse_for_writing(options, &context.session)?
                };
                new(Encoding::Json(Box::new(options)), compression, format!(".json{suffix}"))
            }
            Format::Csv => {
                csv::check_schema_for_writing(schema)?;
                let (compression, suffix) = text_codec(codec)?;
                let options = csv::Options::parse_for_writing(options, &context.session)?;
                // The extension tells the delimiter only for commas, but Spark calls all of them csv.
                let extension = given.text("extension").unwrap_or("csv").to_string();
                new(Encoding::Csv(Box::new(options)), compression, format!(".{extension}{suffix}"))
            }
            Format::Text => {
                check_text(schema)?;
                let (compression, suffix) = text_codec(codec)?;
                new(Encoding::Text, compression, format!(".txt{suffix}"))
            }
            Format::Xml => {
                let (compression, suffix) = text_codec(codec)?;
                crate::rows::check_row_tag(options)?;
                let options = xml::Options::parse(options, &context.session, true)?;
                new(Encoding::Xml(Box::new(options)), compression, format!(".xml{suffix}"))
            }
            Format::Parquet => {
                let codec = codec.or(given.text("parquet.compression")).unwrap_or(&context.parquet_codec);
                let (compression, infix) = parquet_codec(codec)?;
                check_parquet(schema)?;
                new(
                    Encoding::Parquet(compression),
                    FileCompressionType::UNCOMPRESSED,
                    format!("{infix}.parquet"),
                )
            }
            Format::Avro => {
                let codec = avro_codec(codec.unwrap_or("snappy"))?;
                for field in &schema.fields {
                    check_avro(&field.name, &field.data_type)?;
                }
                let name = given.text("recordName").unwrap_or("topLevelRecord");
                let names = (name.to_string(), given.text("recordNamespace").unwrap_or_default().to_string());
                let encoding = Encoding::Avro(codec, names);
                new(encoding, FileCompressionType::UNCOMPRESSED, ".avro".to_string())
            }
            Format::Orc => {
                for field in &schema.fields {
                    check_orc(&field.name, &field.data_type)?;
                }
                let (codec, infix) =
                    orc_codec(codec.or(given.text("orc.compress")).unwrap_or(&context.orc_codec))?;
                let encoding = Encoding::Orc(codec, context.session.zone.clone());
                new(encoding, FileCompressionType::UNCOMPRESSED, format!("{infix}.orc"))
            }
            Format::BinaryFile => {
                return Err(Error::new("UNSUPPORTED_FEATURE.WRITE_FOR_BINARY_SOURCE")
                    .message("binaryFile is a format for reading; it cannot be written."));
            }
        })
    }
}

/// The codecs of text files, by their names in Spark.
fn text_codec(codec: Option<&str>) -> Result<(FileCompressionType, &'static str)> {
    let Some(codec) = codec else { return Ok((FileCompressionType::UNCOMPRESSED, "")) };
    Ok(match codec.to_lowercase().as_str() {
        "none" | "uncompressed" | "" => (FileCompressionType::UNCOMPRESSED, ""),
        "gzip" | "org.apache.hadoop.io.compress.gzipcodec" => (FileCompressionType::GZIP, ".gz"),
        "bzip2" | "org.apache.hadoop.io.compress.bzip2codec" => (FileCompressionType::BZIP2, ".bz2"),
        "deflate" | "snappy" | "lz4" => {
            return Err(Error::unsupported(format!("writing text files with the codec {codec}")));
        }
        _ => {
            let known = ["bzip2", "deflate", "uncompressed", "snappy", "none", "lz4", "gzip"];
            return Err(errors::codec_not_available(codec, &known));
        }
    })
}

fn parquet_codec(codec: &str) -> Result<(Compression, &'static str)> {
    Ok(match codec.to_lowercase().as_str() {
        "none" | "uncompressed" => (Compression::UNCOMPRESSED, ""),
        "snappy" => (Compression::SNAPPY, ".snappy"),
        "gzip" => (Compression::GZIP(GzipLevel::default()), ".gz"),
        "zstd" => (Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()), ".zstd"),
        "lz4" => (Compression::LZ4, ".lz4hadoop"),
        "lz4_raw" => (Compression::LZ4_RAW, ".lz4raw"),
        "brotli" => (Compression::BROTLI(BrotliLevel::default()), ".br"),
        "lzo" => return Err(Error::unsupported("writing Parquet files with the codec lzo")),
        _ => {
            let known = ["brotli", "uncompressed", "lzo", "snappy", "lz4_raw", "none", "zstd", "lz4", "gzip"];
            return Err(errors::codec_not_available(codec, &known));
        }
    })
}

/// The types that Avro files are written of.
fn check_avro(name: &str, t: &DataType) -> Result<()> {
    match t {
        DataType::Array { element, .. } => check_avro(name, element),
        DataType::Map { key, value, .. } if matches!(**key, DataType::String { .. }) => {
            check_avro(name, value)
        }
        DataType::Struct(s) => s.fields.iter().try_for_each(|f| check_avro(name, &f.data_type)),
        DataType::Boolean
        | DataType::Byte
        | DataType::Short
        | DataType::Integer
        | DataType::Long
        | DataType::Float
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::String { .. }
        | DataType::Char(_)
        | DataType::Varchar(_)
        | DataType::Binary
        | DataType::Date
        | DataType::Timestamp
        | DataType::TimestampNtz => Ok(()),
        other => Err(csv::unsupported_type("Avro", name, other)),
    }
}

/// The types that ORC files are written of.
fn check_orc(name: &str, t: &DataType) -> Result<()> {
    match t {
        DataType::Array { element, .. } => check_orc(name, element),
        DataType::Map { key, value, .. } => {
            check_orc(name, key)?;
            check_orc(name, value)
        }
        DataType::Struct(s) => s.fields.iter().try_for_each(|f| check_orc(name, &f.data_type)),
        _ if crate::orc::types::kind_of(t).is_ok() => Ok(()),
        other => Err(csv::unsupported_type("ORC", name, other)),
    }
}

fn orc_codec(codec: &str) -> Result<(Codec, &'static str)> {
    Ok(match codec.to_lowercase().as_str() {
        "none" | "uncompressed" => (Codec::None, ""),
        "snappy" => (Codec::Snappy, ".snappy"),
        "zlib" => (Codec::Zlib, ".zlib"),
        "zstd" => (Codec::Zstd, ".zstd"),
        "lz4" => (Codec::Lz4, ".lz4"),
        "lzo" | "brotli" => {
            return Err(Error::unsupported(format!("writing ORC files with the codec {codec}")));
        }
        _ => {
            let known = ["brotli", "uncompressed", "lzo", "snappy", "none", "zlib", "zstd", "lz4"];
            return Err(errors::codec_not_available(codec, &known));
        }
    })
}

fn avro_codec(codec: &str) -> Result<Option<CompressionCodec>> {
    Ok(match codec.to_lowercase().as_str() {
        "uncompressed" => None,
        "snappy" => Some(CompressionCodec::Snappy),
        "deflate" => Some(CompressionCodec::Deflate),
        "zstandard" => Some(CompressionCodec::ZStandard),
        "bzip2" | "xz" => {
            return Err(Error::unsupported(format!("writing Avro files with the codec {codec}")));
        }
        _ => {
            let known = ["bzip2", "deflate", "snappy", "uncompressed", "xz", "zstandard"];
            return Err(errors::codec_not_available(codec, &known));
        }
    })
}

fn check_json(schema: &StructType) -> Result<()> {
    for field in &schema.fields {
        if matches!(field.data_type, DataType::CalendarInterval) {
            return Err(csv::unsupported_type("JSON", &field.name, &field.data_type));
        }
    }
    Ok(())
}

fn check_text(schema: &StructType) -> Result<()> {
    if let Some(field) = schema.fields.iter().find(|f| !is_plain_text(&f.data_type)) {
        return Err(csv::unsupported_type("Text", &field.name, &field.data_type));
    }
    if schema.fields.len() != 1 {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1290")
            .param("schemaSize", schema.fields.len())
            .message(format!("Text files have one column, and there are {}.", schema.fields.len()))
            .exception("AnalysisException"));
    }
    Ok(())
}

fn check_parquet(schema: &StructType) -> Result<()> {
    for field in &schema.fields {
        if matches!(field.data_type, DataType::CalendarInterval) {
            return Err(csv::unsupported_type("Parquet", &field.name, &field.data_type));
        }
    }
    Ok(())
}
