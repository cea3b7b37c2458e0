//! Data types and column lists.

use boathouse_spec::{
    DataType, Error, IntervalField, Result, StructField, StructType, UTF8_BINARY, check_srid,
    geospatial_disabled,
};

use crate::lexer::Kind;
use crate::parser::Parser;

const MAX_PRECISION: i64 = 38;
const MAX_TIME_PRECISION: i64 = 6;

impl Parser<'_> {
    pub fn data_type(&mut self) -> Result<DataType> {
        self.nested(Self::data_type_inner)
    }

    fn data_type_inner(&mut self) -> Result<DataType> {
        let start = self.pos;
        let token = self.peek();
        if !self.is_identifier(token) && token.text != "INTERVAL" {
            return Err(self.unexpected());
        }
        let quoted = token.kind != Kind::Word;
        self.advance();
        let word = if quoted { "" } else { token.text };
        let simple = match word {
            "BOOLEAN" => DataType::Boolean,
            "TINYINT" | "BYTE" => DataType::Byte,
            "SMALLINT" | "SHORT" => DataType::Short,
            "INT" | "INTEGER" => DataType::Integer,
            "BIGINT" | "LONG" => DataType::Long,
            "FLOAT" | "REAL" => DataType::Float,
            "DOUBLE" => DataType::Double,
            "DATE" => DataType::Date,
            "TIMESTAMP_LTZ" => DataType::Timestamp,
            "TIMESTAMP_NTZ" => DataType::TimestampNtz,
            "BINARY" => DataType::Binary,
            "VOID" => DataType::Null,
            "VARIANT" => DataType::Variant,
            "STRING" if !self.at_length() => return self.string_type(),
            "CHAR" | "CHARACTER" | "VARCHAR" => return self.character_type(start, word),
            "DECIMAL" | "DEC" | "NUMERIC" => return self.decimal_type(start),
            "INTERVAL" => return self.interval_type(start),
            "TIMESTAMP" if !self.at_length() => return Ok(self.timestamp_type()),
            "TIME" => return self.time_type(start),
            "ARRAY" => return self.array_type(start),
            "MAP" => return self.map_type(start),
            "STRUCT" => return self.struct_type(start),
            _ => return self.unknown_type(start, word),
        };
        if self.at_length() {
            return self.unknown_type(start, word);
        }
        Ok(simple)
    }

    /// Whether numbers in parentheses stand here, as after `DECIMAL`.
    fn at_length(&self) -> bool {
        self.at_symbol("(") && self.peek_at(1).kind == Kind::Integer
    }

    /// Notes what is wrong with a type, and goes on with another.
    fn note_type(&mut self, error: Error) -> Result<DataType> {
        self.note(error);
        Ok(DataType::Null)
    }

    fn unknown_type(&mut self, start: usize, word: &str) -> Result<DataType> {
        let name = self.identifier_text(self.tokens[start])?.to_uppercase();
        let mut parameters = Vec::new();
        if self.at_symbol("(") && (self.peek_at(1).kind == Kind::Integer || self.at_offset(1, "ANY")) {
            self.advance();
            let is_any = self.eat("ANY");
            if !is_any {
                parameters = self.list(Self::integer_value)?;
            }
            self.expect_symbol(")")?;
            if matches!(word, "GEOGRAPHY" | "GEOMETRY") && parameters.len() <= 1 {
                return self.spatial_type(word == "GEOGRAPHY", parameters.first().copied());
            }
        }
        let arguments: Vec<String> = parameters.iter().map(i64::to_string).collect();
        let written = if arguments.is_empty() { name } else { format!("{name}({})", arguments.join(",")) };
        let error = self.error_from(
            start,
            Error::new("UNSUPPORTED_DATATYPE")
                .param("typeName", format!("\"{written}\""))
                .message(format!("There is no data type \"{written}\".")),
        );
        self.note_type(error)
    }

    /// `GEOMETRY(srid)`, `GEOGRAPHY(ANY)`
    fn spatial_type(&mut self, is_geography: bool, srid: Option<i64>) -> Result<DataType> {
        if self.options.no_geospatial {
            return self.note_type(geospatial_disabled());
        }
        let checked =
            srid.map(|n| check_srid(i32::try_from(n).unwrap_or(i32::MAX), is_geography)).transpose();
        match checked {
            Ok(srid) if is_geography => Ok(DataType::Geography { srid }),
            Ok(srid) => Ok(DataType::Geometry { srid }),
            Err(error) => self.note_type(error),
        }
    }

    fn string_type(&mut self) -> Result<DataType> {
        Ok(DataType::String { collation: self.collate_clause()? })
    }

    /// `COLLATE name`; the default collation is none.
    fn collate_clause(&mut self) -> Result<Option<String>> {
        if !self.eat("COLLATE") {
            return Ok(None);
        }
        let name = self.name()?.join(".").to_uppercase();
        Ok((name != UTF8_BINARY).then_some(name))
    }

    fn character_type(&mut self, start: usize, word: &str) -> Result<DataType> {
        if !self.eat_symbol("(") {
            let error = self.error_from(
                start,
                Error::new("DATATYPE_MISSING_SIZE")
                    .param("type", format!("\"{word}\""))
                    .message(format!("The type \"{word}\" needs a length, such as {word}(10).")),
            );
            return self.note_type(error);
        }
        let length = self.integer_value()?;
        self.expect_symbol(")")?;
        if self.collate_clause()?.is_some() {
            return Err(Error::unsupported("COLLATE for CHAR and VARCHAR"));
        }
        if self.options.char_varchar_as_string {
            return Ok(DataType::STRING);
        }
        let Some(length) = u32::try_from(length).ok().filter(|n| *n <= i32::MAX as u32) else {
            let error = self.error_from(
                start,
                Error::new("INVALID_CHAR_VARCHAR_LENGTH")
                    .message(format!("The length {length} of {word} is too large.")),
            );
            return self.note_type(error);
        };
        Ok(if word == "VARCHAR" { DataType::Varchar(length) } else { DataType::Char(length) })
    }

    fn decimal_type(&mut self, start: usize) -> Result<DataType> {
        if !self.eat_symbol("(") {
            return Ok(DataType::USER_DECIMAL);
        }
        let precision = self.integer_value()?;
        let scale = if self.eat_symbol(",") { self.integer_value()? } else { 0 };
        self.expect_symbol(")")?;
        if scale > precision {
            let error = self.error_from(
                start,
                Error::new("_LEGACY_ERROR_TEMP_1228")
                    .param("scale", scale)
                    .param("precision", precision)
                    .message(format!("The decimal scale {scale} is above the precision {precision}.")),
            );
            return self.note_type(error);
        }
        if precision > MAX_PRECISION {
            let error = self.error_from(
                start,
                Error::new("DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION")
                    .param("precision", precision)
                    .param("maxPrecision", MAX_PRECISION)
                    .message(format!(
                        "The decimal precision {precision} is above the largest, {MAX_PRECISION}."
                    )),
            );
            return self.note_type(error);
        }
        Ok(DataType::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn timestamp_type(&mut self) -> DataType {
        if self.eat_all(&["WITHOUT", "TIME", "ZONE"]) {
            return DataType::TimestampNtz;
        }
        if self.eat_all(&["WITH", "LOCAL", "TIME", "ZONE"]) {
            return DataType::Timestamp;
        }
        if self.options.timestamp_ntz { DataType::TimestampNtz } else { DataType::Timestamp }
    }

    fn time_type(&mut self, start: usize) -> Result<DataType> {
        let mut precision = MAX_TIME_PRECISION;
        if self.eat_symbol("(") {
            precision = self.integer_value()?;
            self.expect_symbol(")")?;
        }
        self.eat_all(&["WITHOUT", "TIME", "ZONE"]);
        if precision > MAX_TIME_PRECISION {
            let error = self.error_from(
                start,
                Error::new("UNSUPPORTED_TIME_PRECISION")
                    .param("precision", precision)
                    .message(format!("TIME({precision}) is not supported: the precision is 0 to 6.")),
            );
            return self.note_type(error);
        }
        Ok(DataType::Time { precision: precision as u8 })
    }

    fn interval_type(&mut self, start: usize) -> Result<DataType> {
        const FIELDS: &[&str] = &["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];
        // A column named like a unit may follow the type only where a list has a comma first.
        let Some(from) = self.eat_any(FIELDS) else { return Ok(DataType::CalendarInterval) };
        let ends: &[&str] =
            if matches!(from, "YEAR" | "MONTH") { &["MONTH"] } else { &["HOUR", "MINUTE", "SECOND"] };
        let mut to = from;
        if self.at("TO") && ends.iter().any(|end| self.at_offset(1, end)) {
            self.advance();
            to = self.advance().text;
        }
        let field = |name: &str| IntervalField::parse(&name.to_ascii_lowercase());
        if let (Some(a), Some(b)) = (field(from), field(to)) {
            let year_month = b <= IntervalField::Month;
            if a == b || (a < b && (a <= IntervalField::Month) == year_month) {
                return Ok(if year_month {
                    DataType::YearMonthInterval { start: a, end: b }
                } else {
                    DataType::DayTimeInterval { start: a, end: b }
                });
            }
        }
        let text = self.text_from(start);
        Err(self.error_from(
            start,
            Error::new("INVALID_INTERVAL_FORMAT.UNSUPPORTED_FROM_TO_EXPRESSION")
                .param("input", text)
                .param("from", from.to_lowercase())
                .param("to", to.to_lowercase())
                .message(format!("There is no interval type from {from} to {to}.")),
        ))
    }

    fn incomplete(&mut self, start: usize, kind: &str, example: &str) -> Result<DataType> {
        let error = self.error_from(
            start,
            Error::new(format!("INCOMPLETE_TYPE_DEFINITION.{kind}"))
                .message(format!("The type {kind} needs what it is made of, such as {example}.")),
        );
        self.note_type(error)
    }

    fn array_type(&mut self, start: usize) -> Result<DataType> {
        if !self.eat_symbol("<") {
            return self.incomplete(start, "ARRAY", "ARRAY<INT>");
        }
        let element = self.data_type()?;
        self.expect_closing_angle()?;
        Ok(DataType::array(element, true))
    }

    fn map_type(&mut self, start: usize) -> Result<DataType> {
        if !self.eat_symbol("<") {
            return self.incomplete(start, "MAP", "MAP<STRING, INT>");
        }
        let key = self.data_type()?;
        self.expect_symbol(",")?;
        let value = self.data_type()?;
        self.expect_closing_angle()?;
        Ok(DataType::map(key, value, true))
    }

    fn struct_type(&mut self, start: usize) -> Result<DataType> {
        if self.eat_symbol("<>") {
            return Ok(DataType::structure(vec![]));
        }
        if !self.eat_symbol("<") {
            return self.incomplete(start, "STRUCT", "STRUCT<name: STRING>");
        }
        if self.at_symbol(">") || self.at_symbol(">>") {
            self.expect_closing_angle()?;
            return Ok(DataType::structure(vec![]));
        }
        let fields = self.list(|p| {
            let name = p.identifier()?;
            p.eat_symbol(":");
            p.field_rest(name)
        })?;
        self.expect_closing_angle()?;
        Ok(DataType::structure(fields))
    }

    /// A field's type, `NOT NULL` and comment.
    fn field_rest(&mut self, name: String) -> Result<StructField> {
        let data_type = self.data_type()?;
        let nullable = !self.eat_not_null()?;
        let comment = if self.eat("COMMENT") { Some(self.string_literal()?) } else { None };
        Ok(StructField::new(name, data_type, nullable).with_comment(comment.as_deref()))
    }

    /// `NOT NULL`
    pub fn eat_not_null(&mut self) -> Result<bool> {
        if !(self.at("NOT") || self.at_symbol("!")) || !self.at_offset(1, "NULL") {
            return Ok(false);
        }
        self.eat_not()?;
        self.advance();
        Ok(true)
    }

    /// `name TYPE [NOT NULL] [COMMENT '..']`
    pub fn column_type(&mut self) -> Result<StructField> {
        let name = self.identifier()?;
        self.field_rest(name)
    }

    /// The columns of a table: `a INT, b STRING NOT NULL COMMENT 'x'`.
    pub fn column_types(&mut self) -> Result<StructType> {
        Ok(StructType::new(self.list(Self::column_type)?))
    }
}

/// Spark casts to CHAR and VARCHAR as to STRING.
pub(crate) fn replace_characters(data_type: DataType) -> DataType {
    match data_type {
        DataType::Char(_) | DataType::Varchar(_) => DataType::STRING,
        DataType::Array { element, contains_null } => {
            DataType::array(replace_characters(*element), contains_null)
        }
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(replace_characters(*key), replace_characters(*value), value_contains_null)
        }
        DataType::Struct(s) => DataType::structure(
            s.fields
                .into_iter()
                .map(|f| StructField { data_type: replace_characters(f.data_type.clone()), ..f })
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::{parse_data_type, parse_schema};

    fn of(text: &str) -> String {
        match parse_data_type(text) {
            Ok(t) => t.sql(),
            Err(e) => e.class().to_string(),
        }
    }

    #[test]
    fn types() {
        assert_eq!(of("array<map<int,array<string>>>"), "ARRAY<MAP<INT, ARRAY<STRING>>>");
        assert_eq!(of("struct<a:int not null comment 'x', b decimal(5,2)>"), {
            "STRUCT<a: INT NOT NULL COMMENT 'x', b: DECIMAL(5,2)>"
        });
        assert_eq!(of("struct<>"), "STRUCT<>");
        assert_eq!(of("interval day to second"), "INTERVAL DAY TO SECOND");
        assert_eq!(of("timestamp without time zone"), "TIMESTAMP_NTZ");
        assert_eq!(of("string collate unicode_ci"), "STRING COLLATE UNICODE_CI");
        assert_eq!(of("char"), "DATATYPE_MISSING_SIZE");
        assert_eq!(of("array"), "INCOMPLETE_TYPE_DEFINITION.ARRAY");
        assert_eq!(of("foo(1, 2)"), "UNSUPPORTED_DATATYPE");
        assert_eq!(of("string(5)"), "UNSUPPORTED_DATATYPE");
        assert_eq!(of("int x"), "PARSE_SYNTAX_ERROR");
        assert_eq!(of("decimal(39)"), "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION");
    }

    #[test]
    fn schemas() {
        let ddl = |t: &str| parse_schema(t).map(|s| s.ddl()).unwrap_or_else(|e| e.class().to_string());
        assert_eq!(ddl("a INT, b STRING NOT NULL COMMENT 'x'"), "a INT,b STRING NOT NULL COMMENT 'x'");
        assert_eq!(ddl("struct<a:int>"), "a INT");
        assert_eq!(ddl("a: int, b: string"), "a INT,b STRING");
        assert_eq!(ddl("a"), "PARSE_SYNTAX_ERROR");
    }
}
