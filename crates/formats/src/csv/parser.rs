//! Records to rows: types, modes, corrupt records.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Schema, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructType};

use super::options::Options;
use super::tokenizer::{Fields, Tokenizer, is_filler};
use crate::column::{Column, Struct, VariantBytes};
use crate::datetime_text::{parse_date, parse_time, parse_timestamp, parse_timestamp_ntz};
use crate::json::{corrupt_column, insert_columns, nullable_schema, shown_row, write_text};
use crate::number_text::{parse_decimal, parse_java_double};
use crate::options::{ParseMode, malformed_record};
use crate::rescue::{self, Rescued};
use crate::variant::Builder;

/// Reads CSV records into some of the columns of a schema.
pub struct Parser {
    options: Options,
    tokenizer: Tokenizer,
    fields: Fields,
    /// For each column that is read, the field of the record it is in; `None` where records do not have it.
    sources: Vec<Option<usize>>,
    rows: Struct,
    schema: SchemaRef,
    corrupt: Option<usize>,
    corrupt_texts: Column,
    rescued: Option<usize>,
    rescued_texts: Column,
    /// What ends each rescued object.
    rescued_tail: String,
    /// The columns of records, whether they are read or not.
    names: Vec<String>,
    /// The names of fields that are no columns, by their places; `None` for those that are.
    strangers: Vec<Option<String>>,
    /// How many fields a record has to have; not looked at when only some columns are read, as in Spark.
    expected_fields: Option<usize>,
}

impl Parser {
    /// A parser for the records of `schema` that reads the columns at `projection` (all for `None`).
    pub fn new(schema: &StructType, projection: Option<&[usize]>, options: Options) -> Result<Self> {
        check_schema(schema)?;
        Self::of_any(schema, projection, options)
    }

    /// The same for types that files do not hold.
    fn of_any(schema: &StructType, projection: Option<&[usize]>, options: Options) -> Result<Self> {
        let corrupt_in_schema = corrupt_column(schema, &options.corrupt_column)?;
        let rescued_in_schema = options.rescue.as_ref().map(|r| r.position(schema)).transpose()?.flatten();
        let all: Vec<usize> = (0..schema.fields.len()).collect();
        let projection = projection.unwrap_or(&all);
        // Our own columns are in no record: fields behind them move up.
        let is_own = |column: usize| [corrupt_in_schema, rescued_in_schema].contains(&Some(column));
        let mut data = StructType::default();
        let (mut sources, mut corrupt, mut rescued) = (Vec::new(), None, None);
        for (out, column) in projection.iter().enumerate() {
            if Some(*column) == corrupt_in_schema {
                corrupt = Some(out);
            } else if Some(*column) == rescued_in_schema {
                rescued = Some(out);
            } else {
                sources.push(Some((0..*column).filter(|i| !is_own(*i)).count()));
                data.fields.push(schema.fields[*column].clone());
            }
        }
        let names = schema.fields.iter().enumerate().filter(|(i, _)| !is_own(*i));
        let names: Vec<String> = names.map(|(_, f)| f.name.clone()).collect();
        let data_columns = names.len();
        let whole = nullable_schema(schema).project(projection).spark()?;
        Ok(Self {
            tokenizer: Tokenizer::new(&options, options.multi_line),
            fields: Fields::default(),
            expected_fields: (sources.len() == data_columns).then_some(data_columns),
            sources,
            rows: Struct::new(&data)?,
            schema: Arc::new(whole),
            corrupt,
            corrupt_texts: Column::new(&DataType::STRING)?,
            rescued,
            rescued_texts: Column::new(&DataType::STRING)?,
            rescued_tail: rescue::tail(options.file_path.as_deref()),
            strangers: vec![None; data_columns],
            names,
            options,
        })
    }

    /// The header of the records: where data is rescued, columns are found by it, not by their places.
    pub fn set_header(&mut self, header: &[&str]) {
        let Some(rescue) = &self.options.rescue else { return };
        let place = |name: &str| header.iter().position(|h| rescue.same(h, name));
        let read = self.rows.fields().iter().map(|f| place(f.name()));
        self.sources = read.collect();
        let is_column = |h: &str| self.names.iter().any(|name| rescue.same(h, name));
        self.strangers = header.iter().map(|h| (!is_column(h)).then(|| (*h).to_string())).collect();
        self.expected_fields = self.expected_fields.map(|_| header.len());
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows read since the last batch.
    pub fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// About how many bytes the rows hold.
    pub fn size(&self) -> usize {
        self.rows.size() + self.corrupt_texts.size() + self.rescued_texts.size()
    }

    /// Reads one line; blank lines and comments are none.
    pub fn push(&mut self, line: &str) -> Result<()> {
        if is_filler(line, &self.options) {
            return Ok(());
        }
        self.push_record(line)
    }

    /// Reads one record that is all of a text.
    pub fn push_record(&mut self, record: &str) -> Result<()> {
        self.tokenizer.record(record, 0, &mut self.fields)?;
        self.convert(record)
    }

    /// Reads the record at a place of a text whose values may span lines. Gives the place behind it.
    pub fn push_at(&mut self, text: &str, at: usize) -> Result<usize> {
        let end = self.tokenizer.record(text, at, &mut self.fields)?;
        let record = text[at..end].trim_end_matches(['\n', '\r']);
        let comment = self.options.comment.is_some_and(|c| record.starts_with(c));
        if !record.is_empty() && !comment {
            self.convert(record)?;
        }
        Ok(end)
    }

    /// Appends the fields of a record as one variant.
    fn convert_whole(&mut self) -> Result<()> {
        let mut out = Builder::new();
        let start = out.position();
        let mut entries = Vec::with_capacity(self.fields.len());
        for i in 0..self.fields.len() {
            entries.push(out.field(start, &format!("_c{i}")));
            write_field(self.fields.value(i, &self.options), &self.options, &mut out);
        }
        out.close_object(start, &mut entries)?;
        if let Some(Column::Variant(values)) = self.rows.columns.first_mut() {
            values.push(&out)?;
        }
        self.rows.close();
        self.note_corrupt(None);
        Ok(())
    }

    fn convert(&mut self, record: &str) -> Result<()> {
        if self.options.single_variant {
            return self.convert_whole();
        }
        let row = self.rows.rows();
        let rescues = self.options.rescue.is_some();
        let mut malformed = self.expected_fields.is_some_and(|n| {
            // What is too much is rescued.
            if rescues { self.fields.len() < n } else { self.fields.len() != n }
        });
        let mut misfits = Vec::new();
        for (i, (column, source)) in self.rows.columns.iter_mut().zip(&self.sources).enumerate() {
            let text = source.and_then(|source| self.fields.value(source, &self.options));
            if let Column::Variant(values) = column {
                push_variant(values, text, &self.options)?;
                continue;
            }
            match text {
                None => column.push_null(),
                Some(text) => {
                    if push_value(column, text, &self.options).is_none() {
                        malformed |= !rescues;
                        column.truncate(row);
                        column.push_null();
                        misfits.push((i, json_text(text)));
                    }
                }
            }
        }
        self.rows.close();
        self.note_rescued(misfits);
        match (malformed, self.options.mode) {
            (false, _) => self.note_corrupt(None),
            (true, ParseMode::Permissive) => self.note_corrupt(Some(record)),
            (true, ParseMode::DropMalformed) => {
                self.rows.truncate(row);
                if self.rescued.is_some() {
                    self.rescued_texts.truncate(row);
                }
            }
            (true, ParseMode::FailFast) => {
                let (columns, _) = self.rows.finish_columns()?;
                return Err(malformed_record(&shown_row(&columns, row), None));
            }
        }
        Ok(())
    }

    /// Writes the row's rescued object: values that fit no column, and fields that are none.
    fn note_rescued(&mut self, misfits: Vec<(usize, String)>) {
        if self.rescued.is_none() {
            return;
        }
        let mut rescued = Rescued::default();
        for (column, json) in misfits {
            rescued.set(self.rows.fields()[column].name(), json);
        }
        for i in 0..self.fields.len() {
            let name = match self.strangers.get(i) {
                Some(None) => continue,
                Some(Some(name)) => name.clone(),
                None => format!("_c{i}"),
            };
            if let Some(text) = self.fields.value(i, &self.options) {
                rescued.set(&name, json_text(text));
            }
        }
        match (&mut self.rescued_texts, rescued.open_object()) {
            (Column::String(texts), Some(text)) => texts.push((text + &self.rescued_tail).as_bytes()),
            (texts, _) => texts.push_null(),
        }
    }

    fn note_corrupt(&mut self, record: Option<&str>) {
        if self.corrupt.is_none() {
            return;
        }
        match (&mut self.corrupt_texts, record) {
            (Column::String(texts), Some(record)) => texts.push(record.as_bytes()),
            (texts, _) => texts.push_null(),
        }
    }

    /// The rows read since the last batch.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let (mut columns, rows) = self.rows.finish_columns()?;
        let mut own = Vec::new();
        if let Some(i) = self.corrupt {
            own.push((i, self.corrupt_texts.finish()?));
        }
        if let Some(i) = self.rescued {
            own.push((i, self.rescued_texts.finish()?));
        }
        insert_columns(&mut columns, own);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).spark()
    }
}

fn json_text(text: &str) -> String {
    let mut json = String::new();
    write_text(text, false, &mut json);
    json
}

/// Appends a value; `None` where the text does not fit the type.
fn push_value(column: &mut Column, text: &str, options: &Options) -> Option<()> {
    match column {
        Column::String(values) => values.push(text.as_bytes()),
        Column::Binary(values) => values.push(text.as_bytes()),
        // `parse` takes a sign and digits and nothing else, as Java does.
        Column::Byte(values) => values.push(text.parse().ok()?),
        Column::Short(values) => values.push(text.parse().ok()?),
        Column::Integer(values) => values.push(text.parse().ok()?),
        Column::Long(values) => values.push(text.parse().ok()?),
        Column::Float(values) => values.push(match special_number(text, options) {
            Some(v) => v as f32,
            // Not by way of a double: that would round twice.
            None => match text.parse::<f32>() {
                Ok(v) if v.is_finite() => v,
                _ => parse_java_double(text)? as f32,
            },
        }),
        Column::Double(values) => {
            values.push(special_number(text, options).or_else(|| parse_java_double(text))?);
        }
        Column::Boolean(values) => values.push(parse_boolean(text)?),
        Column::Decimal(values, precision, scale) => {
            values.push(parse_decimal(&text.replace(',', ""))?.rescale(*precision, *scale)?);
        }
        Column::Date(values) => values.push(read_date(text, options)?),
        Column::Timestamp(values) => values.push(read_timestamp(text, options)?),
        Column::TimestampNtz(values) => values.push(read_timestamp_ntz(text, options)?),
        Column::Time(values) => values.push(parse_time(text)?),
        other => other.push_interval(text)?,
    }
    Some(())
}

/// Appends a field as a variant: one of the types that a schema is inferred with, and a NULL of variants for NULL.
fn push_variant(values: &mut VariantBytes, text: Option<&str>, options: &Options) -> Result<()> {
    let mut out = Builder::new();
    write_field(text, options, &mut out);
    values.push(&out)
}

fn write_field(text: Option<&str>, options: &Options, out: &mut Builder) {
    let Some(text) = text else { return out.null() };
    if let Ok(number) = text.parse() {
        out.long(number);
    } else if let Some((unscaled, scale)) = variant_decimal(text) {
        out.decimal(unscaled, scale);
    } else if let Some(days) = options.prefer_date.then(|| read_date(text, options)).flatten() {
        out.date(days);
    } else if let Some(us) = options.infer_ntz.then(|| read_timestamp_ntz(text, options)).flatten() {
        out.timestamp_ntz(us);
    } else if let Some(us) = read_timestamp(text, options) {
        out.timestamp(us);
    } else if let Some(flag) = parse_boolean(text) {
        out.boolean(flag);
    } else {
        out.string(text);
    }
}

/// A number that a DECIMAL holds, as it is written.
fn variant_decimal(text: &str) -> Option<(i128, u8)> {
    let number = parse_decimal(&text.replace(',', ""))?;
    let scale = u8::try_from(number.scale.max(0)).ok().filter(|scale| *scale <= 38)?;
    Some((number.rescale(38, scale)?, scale))
}

fn special_number(text: &str, options: &Options) -> Option<f64> {
    if text == options.nan_value {
        Some(f64::NAN)
    } else if text == options.negative_infinity {
        Some(f64::NEG_INFINITY)
    } else if text == options.positive_infinity {
        Some(f64::INFINITY)
    } else {
        None
    }
}

pub(super) fn is_double(text: &str, options: &Options) -> bool {
    special_number(text, options).is_some() || parse_java_double(text).is_some()
}

pub(super) fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn read_date(text: &str, options: &Options) -> Option<i32> {
    match &options.date_format {
        Some(pattern) => pattern.parse_to_days(text).ok().or_else(|| {
            let falls_back = options.fall_back && pattern.is_readable();
            falls_back.then(|| parse_date(text)).flatten()
        }),
        None => parse_date(text),
    }
}

pub(super) fn read_timestamp(text: &str, options: &Options) -> Option<i64> {
    match &options.timestamp_format {
        Some(pattern) => pattern.parse_to_micros(text, &options.zone).ok().or_else(|| {
            let falls_back = options.fall_back && pattern.is_readable();
            falls_back.then(|| parse_timestamp(text, &options.zone)).flatten()
        }),
        None => parse_timestamp(text, &options.zone),
    }
}

fn read_timestamp_ntz(text: &str, options: &Options) -> Option<i64> {
    match &options.timestamp_ntz_format {
        Some(pattern) => pattern.parse_to_micros_ntz(text, false).ok(),
        None => parse_timestamp_ntz(text, false),
    }
}

/// CSV has no nested values.
pub fn check_schema(schema: &StructType) -> Result<()> {
    for field in &schema.fields {
        let t = match &field.data_type {
            DataType::Udt { sql_type, .. } => sql_type,
            t => t,
        };
        match t {
            DataType::Array { .. }
            | DataType::Map { .. }
            | DataType::Struct(_)
            | DataType::Null
            | DataType::Variant => return Err(unsupported_type("CSV", &field.name, t)),
            _ => {}
        }
    }
    Ok(())
}

/// `UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE`
pub fn unsupported_type(format: &str, column: &str, t: &DataType) -> Error {
    Error::new("UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE")
        .param("columnName", boathouse_spec::quote(column))
        .param("columnType", format!("\"{}\"", t.sql()))
        .param("format", format)
        .message(format!(
            "The format {format} cannot hold the column {} of the type {}.",
            boathouse_spec::quote(column),
            t.sql()
        ))
}

/// `from_csv`: a struct for each text, NULL for NULL.
pub fn from_csv(texts: &StringArray, schema: &StructType, options: &Options) -> Result<ArrayRef> {
    let options = Options { multi_line: false, rescue: None, ..options.clone() };
    let mut parser = Parser::of_any(schema, None, options)?;
    for i in 0..texts.len() {
        let text = if texts.is_null(i) { "" } else { texts.value(i) };
        let is_comment = parser.options.comment.is_some_and(|c| text.starts_with(c));
        if text.is_empty() || is_comment {
            parser.rows.close();
            parser.note_corrupt(if texts.is_null(i) { None } else { Some(text) });
        } else {
            parser.push_record(text)?;
        }
    }
    let batch = parser.finish()?;
    let fields = Schema::clone(batch.schema().as_ref()).fields;
    let nulls: Option<NullBuffer> = texts.nulls().cloned();
    if batch.num_columns() == 0 {
        return Ok(Arc::new(StructArray::new_empty_fields(texts.len(), nulls)));
    }
    Ok(Arc::new(StructArray::try_new(fields, batch.columns().to_vec(), nulls).spark()?))
}
