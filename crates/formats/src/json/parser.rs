//! Records to rows: modes, corrupt records, arrays at the top.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, StructArray};
use arrow::datatypes::{Fields, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use boathouse_bridge::{ResultExt, arrow_field};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};

use super::convert::{Converter, Misread, Rescuing};
use super::options::Options;
use super::scanner::{Scanner, Start, SyntaxError};
use crate::column::{Column, Struct, nullable};
use crate::options::{ParseMode, malformed_record};
use crate::rescue;

/// Reads JSON records into the columns of a schema.
///
/// A record is an object, or an array of objects (a row each). Columns of the schema are found by their exact names; the
/// one named by `columnNameOfCorruptRecord` gets the text of records that do not fit, the one named by `rescuedDataColumn` what
/// the schema has no place for.
pub struct Parser {
    converter: Converter,
    rows: Struct,
    schema: SchemaRef,
    /// Where the corrupt record goes in the schema.
    corrupt: Option<usize>,
    corrupt_texts: Column,
    rescued: Option<usize>,
    rescued_texts: Column,
    /// What ends each rescued object.
    rescued_tail: String,
}

/// What became of a record.
enum Outcome {
    Rows,
    Empty,
    Malformed,
}

impl Parser {
    /// A parser for a schema. Everything in the schema counts as nullable.
    pub fn new(schema: &StructType, options: Options) -> Result<Self> {
        let corrupt = corrupt_column(schema, &options.corrupt_column)?;
        let rescued = options.rescue.as_ref().map(|r| r.position(schema)).transpose()?.flatten();
        let rescuing = match (&options.rescue, rescued) {
            (None, _) => Rescuing::No,
            (Some(_), None) => Rescuing::Unread,
            (Some(_), Some(_)) => Rescuing::Yes,
        };
        let data = schema.fields.iter().enumerate().filter(|(i, _)| ![corrupt, rescued].contains(&Some(*i)));
        let data = StructType::new(data.map(|(_, f)| f.clone()).collect());
        let rescued_tail = rescue::tail(options.file_path.as_deref());
        let mut converter = Converter::new(options);
        converter.rescuing = rescuing;
        Ok(Self {
            schema: Arc::new(nullable_schema(schema)),
            rows: Struct::new(&data)?,
            corrupt,
            corrupt_texts: Column::new(&DataType::STRING)?,
            rescued,
            rescued_texts: Column::new(&DataType::STRING)?,
            rescued_tail,
            converter,
        })
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

    /// Reads one record.
    pub fn push(&mut self, record: &str) -> Result<()> {
        let before = self.rows.rows();
        self.converter.misfit = false;
        match self.read(record) {
            Outcome::Empty => Ok(()),
            Outcome::Rows if !self.converter.misfit => {
                if self.corrupt.is_some() {
                    for _ in before..self.rows.rows() {
                        self.corrupt_texts.push_null();
                    }
                }
                Ok(())
            }
            Outcome::Rows => self.malformed(before, record, true),
            Outcome::Malformed => self.malformed(before, record, false),
        }
    }

    /// Reads one record that may not be UTF-8: then it is malformed.
    pub fn push_bytes(&mut self, record: &[u8]) -> Result<()> {
        match std::str::from_utf8(record) {
            Ok(text) => self.push(text),
            Err(_) => self.malformed(self.rows.rows(), &String::from_utf8_lossy(record), false),
        }
    }

    fn read(&mut self, record: &str) -> Outcome {
        let mut scanner = Scanner::new(record, self.converter.options.leniency);
        match scanner.at_end() {
            Ok(true) => return Outcome::Empty,
            Ok(false) => {}
            Err(SyntaxError) => return Outcome::Malformed,
        }
        if self.converter.options.limits.is_some_and(|limits| scanner.exceeds(&limits)) {
            return Outcome::Malformed;
        }
        let read = match scanner.start() {
            Ok(Start::Object) => self.object(&mut scanner),
            Ok(Start::Array) => self.array(&mut scanner),
            _ => Err(SyntaxError),
        };
        if read.is_ok() { Outcome::Rows } else { Outcome::Malformed }
    }

    fn object(&mut self, scanner: &mut Scanner) -> Result<(), SyntaxError> {
        self.converter.object(scanner, &mut self.rows)?;
        if self.rescued.is_some() {
            let mut text = self.converter.rescued.take();
            if let Some(text) = &mut text {
                text.pop();
                text.push_str(&self.rescued_tail);
            }
            self.note_rescued(text.as_deref());
        }
        Ok(())
    }

    fn note_rescued(&mut self, text: Option<&str>) {
        match (&mut self.rescued_texts, text) {
            (Column::String(texts), Some(text)) => texts.push(text.as_bytes()),
            (texts, _) => texts.push_null(),
        }
    }

    /// Takes rows back until `rows` are left.
    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        if self.rescued.is_some() {
            self.rescued_texts.truncate(rows);
        }
    }

    /// A row without values.
    fn empty_row(&mut self) {
        self.rows.close();
        if self.rescued.is_some() {
            self.rescued_texts.push_null();
        }
    }

    fn array(&mut self, scanner: &mut Scanner) -> Result<(), SyntaxError> {
        scanner.open();
        let mut first = true;
        while scanner.next_element(first)? {
            first = false;
            match scanner.start()? {
                Start::Object => self.object(scanner)?,
                _ => return Err(SyntaxError),
            }
        }
        Ok(())
    }

    /// A record that does not fit, or only in part: then its rows are there from `before` on.
    fn malformed(&mut self, before: usize, record: &str, in_part: bool) -> Result<()> {
        match self.converter.options.mode {
            ParseMode::Permissive => {
                if !in_part {
                    self.truncate(before);
                    self.empty_row();
                }
                if let (Some(_), Column::String(texts)) = (self.corrupt, &mut self.corrupt_texts) {
                    for _ in before..self.rows.rows() {
                        texts.push(record.as_bytes());
                    }
                }
                Ok(())
            }
            ParseMode::DropMalformed => {
                self.truncate(before);
                Ok(())
            }
            ParseMode::FailFast => {
                if !in_part {
                    self.truncate(before);
                    self.empty_row();
                }
                let (columns, _) = self.rows.finish_columns()?;
                Err(malformed_record(&shown_row(&columns, before), None))
            }
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

/// Puts columns in their places among those that records have.
pub(crate) fn insert_columns(columns: &mut Vec<ArrayRef>, mut own: Vec<(usize, ArrayRef)>) {
    own.sort_by_key(|(place, _)| *place);
    for (place, column) in own {
        columns.insert(place, column);
    }
}

/// A row as Spark shows it in errors: `[1,null]`.
pub(crate) fn shown_row(columns: &[ArrayRef], row: usize) -> String {
    let values = columns.iter().map(|c| {
        if row >= c.len() || c.is_null(row) {
            "null".to_string()
        } else {
            array_value_to_string(c, row).unwrap_or_else(|_| "?".to_string())
        }
    });
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// The position of the corrupt record's column, which must be a nullable STRING.
pub(crate) fn corrupt_column(schema: &StructType, name: &str) -> Result<Option<usize>> {
    let Some(i) = schema.fields.iter().position(|f| f.name == name) else { return Ok(None) };
    let field = &schema.fields[i];
    if matches!(field.data_type, DataType::String { .. }) {
        return Ok(Some(i));
    }
    Err(Error::new("INVALID_CORRUPT_RECORD_TYPE")
        .param("columnName", boathouse_spec::quote(name))
        .param("actualType", format!("\"{}\"", field.data_type.sql()))
        .message(format!(
            "The column {} takes the text of corrupt records and must be a nullable STRING, not {}.",
            boathouse_spec::quote(name),
            field.data_type.sql()
        )))
}

/// The schema with everything nullable: what a text can hold.
pub fn nullable_schema(schema: &StructType) -> Schema {
    let fields = schema.fields.iter().map(|f| {
        let field = StructField { data_type: nullable(&f.data_type), nullable: true, ..f.clone() };
        arrow_field(&field)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// `from_json`: one value of a type for each text.
pub struct ValueParser {
    converter: Converter,
    column: Column,
    target: DataType,
    corrupt: Option<(usize, Column)>,
}

impl ValueParser {
    /// A parser for a struct, an array, a map or a variant type.
    pub fn new(target: &DataType, options: Options) -> Result<Self> {
        let mut corrupt = None;
        let mut data = target.clone();
        if let DataType::Struct(s) = &mut data
            && let Some(i) = corrupt_column(s, &options.corrupt_column)?
        {
            s.fields.remove(i);
            corrupt = Some((i, Column::new(&DataType::STRING)?));
        }
        Ok(Self {
            converter: Converter::new(options),
            column: Column::new(&data)?,
            target: nullable(target),
            corrupt,
        })
    }

    /// The values of texts: NULL for NULL, and for texts without any token.
    pub fn parse(&mut self, texts: &StringArray) -> Result<ArrayRef> {
        for i in 0..texts.len() {
            let outcome = if texts.is_null(i) { Outcome::Empty } else { self.read(texts.value(i)) };
            let record = if texts.is_null(i) { "" } else { texts.value(i) };
            self.close(i, record, outcome)?;
        }
        let array = self.column.finish()?;
        let Some((at, corrupt)) = &mut self.corrupt else { return Ok(array) };
        let (DataType::Struct(s), Some(values)) = (&self.target, array.as_struct_opt()) else {
            return Ok(array);
        };
        let fields: Fields = s.fields.iter().map(arrow_field).collect();
        let (_, mut columns, nulls) = values.clone().into_parts();
        columns.insert(*at, corrupt.finish()?);
        Ok(Arc::new(StructArray::try_new(fields, columns, nulls).spark()?))
    }

    fn read(&mut self, text: &str) -> Outcome {
        self.converter.misfit = false;
        let mut scanner = Scanner::new(text, self.converter.options.leniency);
        match scanner.at_end() {
            Ok(true) => return Outcome::Empty,
            Ok(false) => {}
            Err(SyntaxError) => return Outcome::Malformed,
        }
        if self.converter.options.limits.is_some_and(|limits| scanner.exceeds(&limits)) {
            return Outcome::Malformed;
        }
        let Ok(start) = scanner.start() else { return Outcome::Malformed };
        let read = match (&mut self.column, start) {
            (Column::Struct(row), _) if self.converter.options.single_variant => {
                let whole = row.columns.first_mut().ok_or(Misread::Type);
                let read = whole.and_then(|column| self.converter.value(&mut scanner, column));
                if read.is_ok() {
                    row.close();
                }
                read
            }
            // One object stands for an array of it.
            (Column::List(list), Start::Object) => match &mut list.element {
                Column::Struct(row) => {
                    let read = self.converter.object(&mut scanner, row).map_err(Misread::from);
                    if read.is_ok() {
                        list.close();
                    }
                    read
                }
                _ => Err(Misread::Type),
            },
            (Column::Variant(_), _) => self.converter.value(&mut scanner, &mut self.column),
            (_, Start::Null) => Err(Misread::Type),
            (column, _) => self.converter.value(&mut scanner, column),
        };
        if read.is_ok() { Outcome::Rows } else { Outcome::Malformed }
    }

    fn close(&mut self, row: usize, text: &str, outcome: Outcome) -> Result<()> {
        let malformed = match outcome {
            Outcome::Empty => {
                self.column.push_null();
                false
            }
            Outcome::Rows => self.converter.misfit,
            Outcome::Malformed => {
                self.column.truncate(row);
                match &mut self.column {
                    Column::Struct(values) => values.close(),
                    other => other.push_null(),
                }
                true
            }
        };
        if malformed && self.converter.options.mode == ParseMode::FailFast {
            let array = self.column.finish()?;
            let columns = match array.as_struct_opt() {
                Some(values) => values.columns().to_vec(),
                None => vec![array],
            };
            return Err(malformed_record(&shown_row(&columns, row), None));
        }
        if let Some((_, Column::String(texts))) = &mut self.corrupt {
            if malformed {
                texts.push(text.as_bytes());
            } else {
                self.corrupt.iter_mut().for_each(|(_, c)| c.push_null());
            }
        }
        Ok(())
    }
}
