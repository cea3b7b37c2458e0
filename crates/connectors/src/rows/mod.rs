//! Formats that are read row by row, or whole: JSON, CSV, text, XML, binaryFile, Avro, ORC.
//!
//! A scan is a list of file slices for each partition; [`read_slice`] turns one into batches of the columns of the file,
//! and the scan adds the values of partition columns.

mod avro;
mod avro_check;
mod binary_file;
mod blocks;
mod decode;
mod infer;
mod lines;
mod orc;
mod read;
mod scan;
mod slices;

use arrow::array::RecordBatch;
use boathouse_bridge::ResultExt;
use boathouse_formats::json::nullable_schema;
use boathouse_formats::options::{Lookup, illegal};
use boathouse_formats::zone::Zone;
use boathouse_formats::{csv, json, xml};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};

pub(crate) use binary_file::schema as binary_file_schema;
pub(crate) use infer::infer_schema;
pub(crate) use scan::scan;
pub use scan::scanned_files;

use crate::errors;
use crate::format::Format;
use crate::table::{FileTable, Source, is_plain_text};

/// How the rows of a format are read.
///
/// Where rescued data is read, all columns are, and those at `keep` are given.
#[derive(Debug, Clone)]
pub(crate) enum RowFormat {
    Json { schema: StructType, keep: Option<Vec<usize>>, options: Box<json::Options> },
    Csv { schema: StructType, projection: Vec<usize>, keep: Option<Vec<usize>>, options: Box<csv::Options> },
    Text { wanted: bool, whole: bool, line_separator: Option<String>, encoding: Option<String> },
    BinaryFile { projection: Vec<usize> },
    Xml { schema: StructType, keep: Option<Vec<usize>>, options: Box<xml::Options>, encoding: Option<String> },
    Avro { zone: Zone, case_sensitive: bool, rescuing: Option<avro::Rescuing> },
    Orc { zone: Zone, case_sensitive: bool },
}

impl RowFormat {
    /// The reader of some columns of a table's files.
    pub(crate) fn new(table: &FileTable, projection: &[usize]) -> Result<Self> {
        let session = &table.context.session;
        let given = Lookup(&table.options);
        let keep = table.reads_rescued(projection).then(|| projection.to_vec());
        let all: Vec<usize> = (0..table.data_schema.fields.len()).collect();
        let read = if keep.is_some() { &all } else { projection };
        Ok(match table.format {
            Format::Json => Self::Json {
                schema: StructType::new(read.iter().map(|i| table.data_schema.fields[*i].clone()).collect()),
                keep,
                options: Box::new(json::Options::parse(&table.options, session)?),
            },
            Format::Csv => Self::Csv {
                schema: table.data_schema.clone(),
                projection: read.to_vec(),
                keep,
                options: Box::new(csv::Options::parse(&table.options, session)?),
            },
            Format::Text => Self::Text {
                wanted: !projection.is_empty(),
                whole: given.flag("wholetext", false)?,
                line_separator: given.line_separator()?,
                encoding: given.text("encoding").map(str::to_string),
            },
            Format::BinaryFile => Self::BinaryFile { projection: projection.to_vec() },
            Format::Xml => Self::Xml {
                schema: StructType::new(read.iter().map(|i| table.data_schema.fields[*i].clone()).collect()),
                keep,
                options: Box::new(xml_options(table)?),
                encoding: given.text("encoding").or(given.text("charset")).map(str::to_string),
            },
            Format::Avro => Self::Avro {
                zone: session.zone.clone(),
                case_sensitive: session.case_sensitive,
                rescuing: table.rescue.as_ref().map(|rescue| avro::Rescuing::new(table, rescue, keep)),
            },
            Format::Orc => Self::Orc { zone: session.zone.clone(), case_sensitive: session.case_sensitive },
            Format::Parquet => return Err(Error::internal("Parquet files are not read row by row.")),
        })
    }

    /// The reader of one file, whose name is told with what is rescued of it.
    fn of_file(&self, file_path: Option<String>) -> Self {
        let mut format = self.clone();
        match &mut format {
            Self::Json { options, .. } => options.file_path = file_path,
            Self::Csv { options, .. } => options.file_path = file_path,
            Self::Xml { options, .. } => options.file_path = file_path,
            Self::Avro { rescuing: Some(rescuing), .. } => rescuing.file_path = file_path,
            _ => {}
        }
        format
    }

    /// Those of the columns that were read which are given.
    fn kept(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match self {
            Self::Json { keep: Some(keep), .. }
            | Self::Csv { keep: Some(keep), .. }
            | Self::Xml { keep: Some(keep), .. } => batch.project(keep).spark(),
            _ => Ok(batch),
        }
    }

    /// Whether a file can be read from its middle.
    pub(crate) fn is_splittable(&self) -> bool {
        let (whole, encoding, separator) = match self {
            Self::Json { options, .. } => (options.multi_line, &options.encoding, &options.line_separator),
            // The header at the beginning tells the columns.
            Self::Csv { options, .. } if options.header && options.rescue.is_some() => return false,
            Self::Csv { options, .. } => (options.multi_line, &options.encoding, &options.line_separator),
            Self::Text { whole, encoding, line_separator, .. } => (*whole, encoding, line_separator),
            Self::BinaryFile { .. } | Self::Xml { .. } | Self::Avro { .. } | Self::Orc { .. } => {
                return false;
            }
        };
        // Inside a run of separators of several bytes, a slice could not tell where one begins.
        !whole && is_utf8(encoding.as_deref()) && separator.as_ref().is_none_or(|s| s.len() == 1)
    }
}

fn is_utf8(encoding: Option<&str>) -> bool {
    encoding.is_none_or(|e| matches!(e.to_lowercase().as_str(), "utf-8" | "utf8"))
}

/// Which elements of XML files are the rows must be said.
pub(crate) fn check_row_tag(options: &[(String, String)]) -> Result<()> {
    match Lookup(options).text("rowTag").map(str::trim) {
        None => Err(Error::new("XML_ROW_TAG_MISSING")
            .param("rowTag", "`rowTag`")
            .message("XML files need the option `rowTag`: the name of the elements that are the rows.")
            .exception("AnalysisException")),
        Some("") => Err(illegal("The option `rowTag` is empty.".to_string())),
        Some(tag) if tag.contains(['<', '>']) => {
            Err(illegal("The option `rowTag` is a name, without angle brackets.".to_string()))
        }
        Some(_) => Ok(()),
    }
}

/// The options of XML files.
pub(crate) fn xml_options(table: &FileTable) -> Result<xml::Options> {
    check_row_tag(&table.options)?;
    let mut options = xml::Options::parse(&table.options, &table.context.session, false)?;
    options.rescue = table.rescue.clone();
    Ok(options)
}

/// The one column of text files.
pub(crate) fn text_schema() -> StructType {
    StructType::new(vec![StructField::new("value", DataType::STRING, true)])
}

/// A schema given for text files: one STRING column besides the partition columns.
pub(crate) fn check_text_schema(given: &StructType, partitions: &[StructField]) -> Result<StructType> {
    let data: Vec<&StructField> = given
        .fields
        .iter()
        .filter(|f| !partitions.iter().any(|p| p.name.eq_ignore_ascii_case(&f.name)))
        .collect();
    if let Some(field) = data.iter().find(|f| !is_plain_text(&f.data_type)) {
        return Err(csv::unsupported_type("Text", &field.name, &field.data_type));
    }
    if data.len() > 1 {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1290")
            .param("schemaSize", data.len())
            .message(format!("Text files have one column, and the schema has {}.", data.len())));
    }
    Ok(given.clone())
}

/// Refuses schemas that the format cannot hold, before anything is read.
pub(crate) fn check_schema(table: &FileTable) -> Result<()> {
    let session = &table.context.session;
    for field in &table.data_schema.fields {
        if has_calendar_interval(&field.data_type) {
            return Err(csv::unsupported_type(table.format.shown(), &field.name, &field.data_type));
        }
    }
    match table.format {
        Format::Csv => {
            csv::Parser::new(&table.data_schema, None, csv::Options::parse(&table.options, session)?)
                .map(|_| ())
        }
        Format::Json => {
            json::Parser::new(&table.data_schema, json::Options::parse(&table.options, session)?).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// The legacy INTERVAL is a type of values only, never of columns in files.
fn has_calendar_interval(t: &DataType) -> bool {
    match t {
        DataType::CalendarInterval => true,
        DataType::Array { element, .. } => has_calendar_interval(element),
        DataType::Map { key, value, .. } => has_calendar_interval(key) || has_calendar_interval(value),
        DataType::Struct(s) => s.fields.iter().any(|f| has_calendar_interval(&f.data_type)),
        _ => false,
    }
}

/// The corrupt record's column depends on the columns that are read, so it cannot be read alone.
pub(crate) fn check_projection(table: &FileTable, projection: &[usize]) -> Result<()> {
    let session = &table.context.session;
    let corrupt = match table.format {
        Format::Json => json::Options::parse(&table.options, session)?.corrupt_column,
        Format::Csv => csv::Options::parse(&table.options, session)?.corrupt_column,
        Format::Xml => xml::Options::parse(&table.options, session, false)?.corrupt_column,
        _ => return Ok(()),
    };
    let mut data = projection.iter().filter_map(|i| match table.sources[*i] {
        Source::Data(d) => Some(&table.data_schema.fields[d]),
        Source::Partition(_) => None,
    });
    match (data.next(), data.next()) {
        (Some(only), None) if only.name == corrupt => Err(errors::only_corrupt_column()),
        _ => Ok(()),
    }
}

/// The Arrow schema of what a reader gives.
pub(crate) fn reader_schema(table: &FileTable, projection: &[usize]) -> arrow::datatypes::Schema {
    let fields = projection.iter().map(|i| table.data_schema.fields[*i].clone()).collect();
    nullable_schema(&StructType::new(fields))
}
