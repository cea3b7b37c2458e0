//! The schema of JSON records, by Spark's rules of which types go together.

use std::collections::BTreeMap;

use boathouse_spec::{DataType, Error, Result, StructField, StructType};

use super::convert::read_timestamp;
use super::options::Options;
use super::scanner::{Scanner, Start, SyntaxError};
use crate::datetime_text::parse_timestamp_ntz;
use crate::number_text::{BigDecimal, parse_decimal};
use crate::options::{ParseMode, malformed_record};

/// What the values seen so far have in common.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    /// Nothing but NULLs and empty texts.
    Nothing,
    Boolean,
    Long,
    Double,
    Decimal(u8, u8),
    Timestamp,
    TimestampNtz,
    String,
    Array(Box<Seen>),
    Struct(Names),
}

/// The fields of objects by their names.
type Names = BTreeMap<String, Fields>;

/// The fields of one name: an object may have several, and each is a field of the schema.
#[derive(Debug, Clone, PartialEq, Default)]
struct Fields {
    /// What was seen of the first of an object, of the second, and so on.
    seen: Vec<Seen>,
    /// The object under way that had the name last, by its number.
    object: u64,
    /// How often that object had it.
    times: usize,
}

impl Fields {
    fn of(seen: Seen) -> Self {
        Self { seen: vec![seen], ..Self::default() }
    }

    /// What was seen so far of the next field of this name in an object.
    fn next(&mut self, object: u64) -> &mut Seen {
        if self.object != object {
            (self.object, self.times) = (object, 0);
        }
        let place = self.times;
        self.times += 1;
        if place >= self.seen.len() {
            self.seen.resize(place + 1, Seen::Nothing);
        }
        &mut self.seen[place]
    }

    /// Widens each to hold the one at the same place.
    fn merge(&mut self, other: Self) {
        for (place, seen) in other.seen.into_iter().enumerate() {
            match self.seen.get_mut(place) {
                Some(known) => merge(known, seen),
                None => self.seen.push(seen),
            }
        }
    }
}

/// Finds the schema of records, one after the other.
pub struct Inference {
    options: Options,
    root: Names,
    /// How many objects were looked at.
    objects: u64,
    scratch: Vec<u8>,
}

impl Inference {
    pub fn new(options: Options) -> Self {
        Self { options, root: Names::new(), objects: 0, scratch: Vec::new() }
    }

    /// Looks at one record.
    pub fn push(&mut self, record: &str) -> Result<()> {
        let mut scanner = Scanner::new(record, self.options.leniency);
        let start = match scanner.at_end() {
            Ok(true) => return Ok(()),
            Ok(false) => scanner.position(),
            Err(SyntaxError) => return self.malformed(),
        };
        // First the whole of it: a record that breaks off must not leave half its fields.
        let exceeds = self.options.limits.is_some_and(|limits| scanner.exceeds(&limits));
        if exceeds || scanner.skip_value().is_err() {
            return self.malformed();
        }
        scanner.rewind(start);
        let mut seen = match scanner.start() {
            Ok(Start::Object) => {
                // The common case, merged in place.
                let mut root = Seen::Struct(std::mem::take(&mut self.root));
                let merged = self.merge_value(&mut scanner, &mut root);
                if let Seen::Struct(fields) = root {
                    self.root = fields;
                }
                return merged;
            }
            _ => Seen::Nothing,
        };
        self.merge_value(&mut scanner, &mut seen)?;
        // Of an array at the top, the elements are the records.
        while let Seen::Array(element) = seen {
            seen = *element;
        }
        match seen {
            Seen::Nothing => Ok(()),
            Seen::Struct(fields) => {
                for (name, t) in fields {
                    self.root.entry(name).or_default().merge(t);
                }
                Ok(())
            }
            other => self.not_a_record(other),
        }
    }

    /// Looks at one record that may not be UTF-8.
    pub fn push_bytes(&mut self, record: &[u8]) -> Result<()> {
        match std::str::from_utf8(record) {
            Ok(text) => self.push(text),
            Err(_) => self.malformed(),
        }
    }

    fn malformed(&mut self) -> Result<()> {
        match self.options.mode {
            ParseMode::Permissive => {
                self.root.insert(self.options.corrupt_column.clone(), Fields::of(Seen::String));
                Ok(())
            }
            ParseMode::DropMalformed => Ok(()),
            ParseMode::FailFast => Err(malformed_record(&self.options.corrupt_column, None)),
        }
    }

    fn not_a_record(&mut self, seen: Seen) -> Result<()> {
        match self.options.mode {
            ParseMode::Permissive => {
                self.root
                    .entry(self.options.corrupt_column.clone())
                    .or_insert_with(|| Fields::of(Seen::String));
                Ok(())
            }
            ParseMode::DropMalformed => Ok(()),
            ParseMode::FailFast => {
                let t = canonical(seen, false).unwrap_or(DataType::Null);
                Err(Error::new("INVALID_JSON_RECORD_TYPE")
                    .param("failFastMode", "FAILFAST")
                    .param("invalidType", format!("\"{}\"", t.sql()))
                    .message(format!(
                        "A JSON record must be an object; one is a {}, and the mode is FAILFAST.",
                        t.sql()
                    )))
            }
        }
    }

    /// Adds what another inference with the same options has seen.
    pub fn merge(&mut self, other: Self) {
        // Its fields know objects by its own numbers.
        self.objects = self.objects.max(other.objects);
        for (name, t) in other.root {
            self.root.entry(name).or_default().merge(t);
        }
    }

    /// The schema of all records, its fields in the order of their names.
    pub fn finish(self) -> StructType {
        match canonical(Seen::Struct(self.root), self.options.drop_field_if_all_null) {
            Some(DataType::Struct(schema)) => schema,
            _ => StructType::default(),
        }
    }

    /// Widens `seen` to hold the value at the scanner's place.
    fn merge_value(&mut self, scanner: &mut Scanner, seen: &mut Seen) -> Result<()> {
        let start = scanner.start().map_err(|_| broken())?;
        match start {
            Start::Object => {
                if let Seen::Nothing = seen {
                    *seen = Seen::Struct(Names::new());
                }
                let Seen::Struct(fields) = seen else {
                    *seen = Seen::String;
                    return scanner.skip_value().map_err(|_| broken());
                };
                scanner.open();
                self.objects += 1;
                let object = self.objects;
                let mut first = true;
                let mut scratch = std::mem::take(&mut self.scratch);
                while let Some(name) = scanner.next_field(first, &mut scratch).map_err(|_| broken())? {
                    first = false;
                    let name = std::str::from_utf8(name).map_err(|_| broken())?;
                    match fields.get_mut(name) {
                        Some(known) => self.merge_value(scanner, known.next(object))?,
                        None => {
                            let name = name.to_string();
                            let mut new = Fields::default();
                            self.merge_value(scanner, new.next(object))?;
                            fields.insert(name, new);
                        }
                    }
                }
                self.scratch = scratch;
            }
            Start::Array => {
                if let Seen::Nothing = seen {
                    *seen = Seen::Array(Box::new(Seen::Nothing));
                }
                let Seen::Array(element) = seen else {
                    *seen = Seen::String;
                    return scanner.skip_value().map_err(|_| broken());
                };
                scanner.open();
                let mut first = true;
                while scanner.next_element(first).map_err(|_| broken())? {
                    first = false;
                    self.merge_value(scanner, element)?;
                }
            }
            Start::Null => scanner.word("null").map_err(|_| broken())?,
            Start::True | Start::False => {
                scanner.skip_value().map_err(|_| broken())?;
                merge(seen, if self.options.primitives_as_string { Seen::String } else { Seen::Boolean });
            }
            Start::Name => {
                scanner.named_number().map_err(|_| broken())?;
                merge(seen, if self.options.primitives_as_string { Seen::String } else { Seen::Double });
            }
            Start::Number => {
                let number = scanner.number().map_err(|_| broken())?;
                if self.options.primitives_as_string {
                    merge(seen, Seen::String);
                } else if number.long.is_some() {
                    merge(seen, Seen::Long);
                } else if number.integer || self.options.prefers_decimal {
                    merge(seen, number_as_decimal(number.text)?);
                } else {
                    merge(seen, Seen::Double);
                }
            }
            Start::Text(quote) => {
                if *seen == Seen::String {
                    return scanner.skip_value().map_err(|_| broken());
                }
                let mut scratch = std::mem::take(&mut self.scratch);
                let bytes = scanner.text_slice(quote, &mut scratch).map_err(|_| broken())?;
                let found = self.text_type(std::str::from_utf8(bytes).unwrap_or("?"));
                merge(seen, found);
                self.scratch = scratch;
            }
        }
        Ok(())
    }

    fn text_type(&self, text: &str) -> Seen {
        if text.is_empty() {
            return Seen::Nothing;
        }
        if self.options.prefers_decimal
            && let Some(t) = parse_decimal(&text.replace(',', "")).and_then(decimal_of_text)
        {
            return t;
        }
        if self.options.infer_timestamp {
            if self.options.infer_ntz && self.is_ntz(text) {
                return Seen::TimestampNtz;
            }
            if read_timestamp(text, &self.options).is_some() {
                return Seen::Timestamp;
            }
        }
        Seen::String
    }

    fn is_ntz(&self, text: &str) -> bool {
        match &self.options.timestamp_ntz_format {
            Some(pattern) => pattern.parse_to_micros_ntz(text, false).is_ok(),
            None => parse_timestamp_ntz(text, false).is_some(),
        }
    }
}

/// The record was found to be JSON before; this cannot happen.
fn broken() -> Error {
    Error::internal("A JSON record changed while its schema was inferred.")
}

/// The type of a number that is no long: a decimal as wide as it is, or a double where that is too wide.
fn number_as_decimal(text: &str) -> Result<Seen> {
    let Some(BigDecimal { scale, precision, .. }) = parse_decimal(text) else { return Ok(Seen::Double) };
    if scale < 0 {
        return Err(Error::new("NEGATIVE_SCALE_DISALLOWED")
            .param("scale", format!("'{scale}'"))
            .param("sqlConf", "\"spark.sql.legacy.allowNegativeScaleOfDecimal\"")
            .message(format!(
                "The number {text} would be a DECIMAL of the scale {scale}, and a scale is not negative."
            )));
    }
    let precision = precision.max(scale.unsigned_abs());
    Ok(match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(p), Ok(s)) if p <= 38 => Seen::Decimal(p, s),
        _ => Seen::Double,
    })
}

fn decimal_of_text(d: BigDecimal) -> Option<Seen> {
    let (p, s) = (u8::try_from(d.precision).ok()?, u8::try_from(d.scale).ok()?);
    (p <= 38 && s <= p).then_some(Seen::Decimal(p, s))
}

/// Widens the first to hold the second.
fn merge(seen: &mut Seen, other: Seen) {
    let merged = match (&mut *seen, other) {
        (_, Seen::Nothing) => return,
        (Seen::Nothing, other) => other,
        (a, b) if *a == b => return,
        (Seen::Long, Seen::Double) | (Seen::Double, Seen::Long) => Seen::Double,
        (Seen::Long, Seen::Decimal(p, s)) => wider_decimal((p, s), (20, 0)),
        (Seen::Decimal(p, s), Seen::Long) => wider_decimal((*p, *s), (20, 0)),
        (Seen::Decimal(..), Seen::Double) | (Seen::Double, Seen::Decimal(..)) => Seen::Double,
        (Seen::Decimal(p, s), Seen::Decimal(q, t)) => wider_decimal((*p, *s), (q, t)),
        (Seen::Timestamp, Seen::TimestampNtz) | (Seen::TimestampNtz, Seen::Timestamp) => Seen::Timestamp,
        (Seen::Array(a), Seen::Array(b)) => {
            merge(a, *b);
            return;
        }
        (Seen::Struct(a), Seen::Struct(b)) => {
            for (name, t) in b {
                a.entry(name).or_default().merge(t);
            }
            return;
        }
        _ => Seen::String,
    };
    *seen = merged;
}

fn wider_decimal((p, s): (u8, u8), (q, t): (u8, u8)) -> Seen {
    let scale = s.max(t);
    let whole = p.saturating_sub(s).max(q.saturating_sub(t));
    match whole.checked_add(scale) {
        Some(precision) if precision <= 38 => Seen::Decimal(precision, scale),
        _ => Seen::Double,
    }
}

/// The Spark type; `None` for what no column is made of: empty structs, and with `drop_null` what was always NULL.
fn canonical(seen: Seen, drop_null: bool) -> Option<DataType> {
    Some(match seen {
        Seen::Nothing if drop_null => return None,
        Seen::Nothing | Seen::String => DataType::STRING,
        Seen::Boolean => DataType::Boolean,
        Seen::Long => DataType::Long,
        Seen::Double => DataType::Double,
        Seen::Decimal(precision, scale) => DataType::Decimal { precision, scale },
        Seen::Timestamp => DataType::Timestamp,
        Seen::TimestampNtz => DataType::TimestampNtz,
        Seen::Array(element) => DataType::array(canonical(*element, drop_null)?, true),
        Seen::Struct(fields) => {
            let fields: Vec<StructField> = fields
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .flat_map(|(name, t)| t.seen.into_iter().map(move |seen| (name.clone(), seen)))
                .filter_map(|(name, t)| Some(StructField::new(name, canonical(t, drop_null)?, true)))
                .collect();
            if fields.is_empty() {
                return None;
            }
            DataType::structure(fields)
        }
    })
}

/// `schema_of_json`: the type of one text.
pub fn type_of(text: &str, options: Options) -> Result<DataType> {
    let mut scanner = Scanner::new(text, options.leniency);
    let malformed = || {
        Error::new("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION")
            .param("badRecord", text)
            .param("failFastMode", "FAILFAST")
            .message(format!("'{text}' is not JSON."))
    };
    if scanner.at_end().map_err(|_| malformed())? {
        return Ok(DataType::STRING);
    }
    if options.limits.is_some_and(|limits| scanner.exceeds(&limits)) {
        return Err(malformed());
    }
    let start = scanner.position();
    scanner.skip_value().map_err(|_| malformed())?;
    scanner.rewind(start);
    let drop_null = options.drop_field_if_all_null;
    let mut seen = Seen::Nothing;
    Inference::new(options).merge_value(&mut scanner, &mut seen)?;
    let empty = match seen {
        Seen::Array(_) => DataType::array(DataType::STRING, true),
        Seen::Struct(_) => DataType::structure(Vec::new()),
        _ => DataType::STRING,
    };
    Ok(canonical(seen, drop_null).unwrap_or(empty))
}
