//! Column definitions and table constraints of CREATE and ALTER TABLE.

use boathouse_spec::{
    ColumnDefinition, ColumnPosition, DataType, Error, Identity, Name, Result, TableConstraint, Violation,
};

use crate::lexer::Kind;
use crate::parser::Parser;

/// What the parentheses of CREATE TABLE hold.
#[derive(Default)]
pub(crate) struct TableElements {
    pub columns: Vec<ColumnDefinition>,
    pub constraints: Vec<TableConstraint>,
}

/// A column definition without options.
pub(crate) fn plain_column(name: String, data_type: DataType) -> ColumnDefinition {
    ColumnDefinition {
        name,
        data_type,
        nullable: true,
        comment: None,
        default: None,
        generated: None,
        identity: None,
        mask: None,
        mask_using: vec![],
    }
}

/// The name of the type's class in Spark: `StringType`.
fn class_name(data_type: &DataType) -> String {
    let name = data_type.type_name();
    match name.split_at_checked(1) {
        Some((first, rest)) => match rest.split_once('(') {
            Some((rest, arguments)) => format!("{}{rest}Type({arguments}", first.to_uppercase()),
            None => format!("{}{rest}Type", first.to_uppercase()),
        },
        None => name,
    }
}

impl Parser<'_> {
    /// `(column, .., constraint, ..)`; may be empty for datasets of pipelines.
    pub fn table_elements(&mut self, untyped: bool) -> Result<TableElements> {
        let mut elements = TableElements::default();
        self.expect_symbol("(")?;
        if untyped && self.eat_symbol(")") {
            return Ok(elements);
        }
        loop {
            if self.at_table_constraint() {
                let constraint = self.table_constraint()?;
                elements.constraints.push(constraint);
            } else {
                let column = self.column_definition(untyped, &mut elements.constraints)?;
                elements.columns.push(column);
            }
            if !self.eat_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(elements)
    }

    /// `name TYPE option*`. Constraints written at the column go to the table's.
    pub fn column_definition(
        &mut self,
        untyped: bool,
        constraints: &mut Vec<TableConstraint>,
    ) -> Result<ColumnDefinition> {
        let start = self.pos;
        let name = self.identifier()?;
        // A dataset's columns may leave their types to the query: `void` stands for that.
        let no_type = untyped
            && (matches!(self.peek().text, "," | ")" | "COMMENT" | "CONSTRAINT") || self.at_word(0, "MASK"));
        let data_type = if no_type { DataType::Null } else { self.data_type()? };
        let mut column = plain_column(name, data_type);
        let mut seen = Vec::new();
        while self.column_option(&mut column, &mut seen, constraints)? {}
        let duplicate = (1..seen.len()).find(|i| seen[..*i].contains(&seen[*i])).map(|i| seen[i]);
        if let Some(option) = duplicate {
            let error = Error::new("CREATE_TABLE_COLUMN_DESCRIPTOR_DUPLICATE")
                .param("columnName", &column.name)
                .param("optionName", option)
                .message(format!("The column {} has {option} more than once.", column.name));
            self.note_column(start, error);
        }
        if let Some(error) = self.identity_error.take() {
            self.note_column(start, error);
        }
        Ok(column)
    }

    /// Takes one option of a column if one stands here.
    fn column_option(
        &mut self,
        column: &mut ColumnDefinition,
        seen: &mut Vec<&'static str>,
        constraints: &mut Vec<TableConstraint>,
    ) -> Result<bool> {
        if self.eat_not_null()? {
            seen.push("NOT NULL");
            column.nullable = false;
        } else if self.at("DEFAULT") && !self.at_offset(1, "COLLATION") {
            self.advance();
            column.default = Some(self.text_expression()?);
            seen.push("DEFAULT");
        } else if self.at("GENERATED") {
            self.generation(column)?;
            seen.push("GENERATED ALWAYS AS");
        } else if self.at("COMMENT") {
            self.advance();
            column.comment = Some(self.comment_text()?);
            seen.push("COMMENT");
        } else if self.eat_word("MASK") {
            column.mask = Some(self.name()?);
            if self.eat_words(&["USING", "COLUMNS"]) {
                column.mask_using = self.identifier_list()?;
            }
        } else if self.at_column_constraint() {
            let constraint = self.column_constraint(&column.name)?;
            constraints.push(constraint);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn note_column(&mut self, start: usize, error: Error) {
        let error = self.error_from(start, error);
        self.note(error);
    }

    /// `GENERATED ALWAYS AS (expr)`, `GENERATED {ALWAYS | BY DEFAULT} AS IDENTITY [(START WITH n INCREMENT BY m)]`
    fn generation(&mut self, column: &mut ColumnDefinition) -> Result<()> {
        self.expect("GENERATED")?;
        let by_default = self.eat_all(&["BY", "DEFAULT"]);
        if !by_default {
            self.expect("ALWAYS")?;
        }
        self.expect("AS")?;
        if !self.eat("IDENTITY") {
            if by_default {
                return Err(self.unexpected());
            }
            self.expect_symbol("(")?;
            column.generated = Some(self.text_expression()?);
            self.expect_symbol(")")?;
            return Ok(());
        }
        let mut identity = Identity { start: 1, step: 1, allow_explicit: by_default };
        if self.eat_symbol("(") {
            let (mut has_start, mut has_step) = (false, false);
            while !self.eat_symbol(")") {
                let (target, seen) = if self.eat_all(&["START", "WITH"]) {
                    (&mut identity.start, &mut has_start)
                } else if self.eat_all(&["INCREMENT", "BY"]) {
                    (&mut identity.step, &mut has_step)
                } else {
                    return Err(self.unexpected());
                };
                if std::mem::replace(seen, true) {
                    let error = Error::new("IDENTITY_COLUMNS_DUPLICATED_SEQUENCE_GENERATOR_OPTION")
                        .param("sequenceGeneratorOption", self.source(self.tokens[self.pos - 2]))
                        .message("An option of the identity stands there more than once.");
                    self.identity_error.get_or_insert(error);
                }
                *target = self.signed_integer()?;
                self.eat_symbol(",");
            }
        }
        if identity.step == 0 {
            let error =
                Error::new("IDENTITY_COLUMNS_ILLEGAL_STEP").message("An identity's step cannot be 0.");
            self.identity_error.get_or_insert(error);
        }
        if !matches!(column.data_type, DataType::Long | DataType::Integer) {
            let error = Error::new("IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE")
                .param("dataType", class_name(&column.data_type))
                .message(format!("An identity column is BIGINT, not {}.", column.data_type.sql()));
            self.identity_error.get_or_insert(error);
        }
        column.identity = Some(identity);
        Ok(())
    }

    /// `[-] n` or `[-] nL`
    pub fn signed_integer(&mut self) -> Result<i64> {
        let negative = self.eat_symbol("-");
        let value = if self.kind() == Kind::BigInt {
            let token = self.advance();
            let source = self.source(token);
            source[..source.len() - 1].parse().map_err(|_| self.unexpected_at(self.pos - 1))?
        } else {
            self.integer_value()?
        };
        Ok(if negative { -value } else { value })
    }

    /// `FIRST` or `AFTER column`
    pub fn column_position(&mut self) -> Result<Option<ColumnPosition>> {
        if self.eat("FIRST") {
            return Ok(Some(ColumnPosition::First));
        }
        if self.eat("AFTER") {
            return Ok(Some(ColumnPosition::After(self.identifier()?)));
        }
        Ok(None)
    }

    // ---- constraints

    pub fn at_table_constraint(&self) -> bool {
        if self.at("CONSTRAINT") && self.is_identifier(self.peek_at(1)) {
            return ["CHECK", "PRIMARY", "UNIQUE", "FOREIGN"].iter().any(|k| self.at_offset(2, k))
                || self.at_word(2, "EXPECT");
        }
        (self.at_any(&["CHECK", "UNIQUE"]) && self.symbol_at(1, "("))
            || self.at_all(&["PRIMARY", "KEY"])
            || self.at_all(&["FOREIGN", "KEY"])
    }

    fn at_column_constraint(&self) -> bool {
        self.at("CONSTRAINT")
            || self.at_any(&["CHECK", "UNIQUE", "REFERENCES"])
            || self.at_all(&["PRIMARY", "KEY"])
    }

    fn constraint_name(&mut self) -> Result<Option<String>> {
        if self.eat("CONSTRAINT") { self.identifier().map(Some) } else { Ok(None) }
    }

    pub fn table_constraint(&mut self) -> Result<TableConstraint> {
        let start = self.pos;
        let name = self.constraint_name()?;
        if self.eat_word("EXPECT") {
            return self.expectation(name.unwrap_or_default());
        }
        let (constraint, kind) = if self.at("CHECK") {
            (self.check(name)?, "CHECK")
        } else if self.eat("UNIQUE") {
            (TableConstraint::Unique { name, columns: self.identifier_list()? }, "UNIQUE")
        } else if self.eat_all(&["PRIMARY", "KEY"]) {
            (TableConstraint::PrimaryKey { name, columns: self.identifier_list()? }, "PRIMARY KEY")
        } else {
            self.expect_all(&["FOREIGN", "KEY"])?;
            let columns = self.identifier_list()?;
            let (table, references) = self.references()?;
            (TableConstraint::ForeignKey { name, columns, table, references }, "FOREIGN KEY")
        };
        self.constraint_characteristics(start, kind)?;
        Ok(constraint)
    }

    fn column_constraint(&mut self, column: &str) -> Result<TableConstraint> {
        let start = self.pos;
        let name = self.constraint_name()?;
        let columns = vec![column.to_string()];
        let (constraint, kind) = if self.at("CHECK") {
            (self.check(name)?, "CHECK")
        } else if self.eat("UNIQUE") {
            (TableConstraint::Unique { name, columns }, "UNIQUE")
        } else if self.eat_all(&["PRIMARY", "KEY"]) {
            (TableConstraint::PrimaryKey { name, columns }, "PRIMARY KEY")
        } else {
            self.eat_all(&["FOREIGN", "KEY"]);
            let (table, references) = self.references()?;
            (TableConstraint::ForeignKey { name, columns, table, references }, "FOREIGN KEY")
        };
        self.constraint_characteristics(start, kind)?;
        Ok(constraint)
    }

    fn check(&mut self, name: Option<String>) -> Result<TableConstraint> {
        self.expect("CHECK")?;
        self.expect_symbol("(")?;
        let condition = self.text_expression()?;
        self.expect_symbol(")")?;
        Ok(TableConstraint::Check { name, condition })
    }

    fn references(&mut self) -> Result<(Name, Vec<String>)> {
        self.expect("REFERENCES")?;
        let table = self.name()?;
        let columns = if self.at_symbol("(") { self.identifier_list()? } else { vec![] };
        Ok((table, columns))
    }

    /// `[NOT] ENFORCED`, `RELY`, `NORELY`: only CHECK is enforced, so the others cannot claim to be.
    fn constraint_characteristics(&mut self, start: usize, kind: &str) -> Result<()> {
        let mut found: Vec<String> = Vec::new();
        loop {
            let word = if self.eat_all(&["NOT", "ENFORCED"]) {
                "NOT ENFORCED"
            } else if let Some(word) = self.eat_any(&["ENFORCED", "RELY", "NORELY"]) {
                word
            } else {
                break;
            };
            let group = |w: &str| w.ends_with("ENFORCED");
            if found.iter().any(|f| group(f) == group(word)) {
                found.push(word.to_string());
                return Err(self.error_from(
                    start,
                    Error::new("INVALID_CONSTRAINT_CHARACTERISTICS")
                        .param("characteristics", found.join(", "))
                        .message(format!("These characteristics contradict: {}.", found.join(", "))),
                ));
            }
            found.push(word.to_string());
        }
        let unsupported = if kind == "CHECK" { "NOT ENFORCED" } else { "ENFORCED" };
        if found.iter().any(|f| f == unsupported) {
            return Err(self.error_from(
                start,
                Error::new("UNSUPPORTED_CONSTRAINT_CHARACTERISTIC")
                    .param("characteristic", unsupported)
                    .param("constraintType", kind)
                    .message(format!("A {kind} constraint cannot be {unsupported}.")),
            ));
        }
        Ok(())
    }

    /// `EXPECT (condition) [ON VIOLATION {DROP ROW | FAIL UPDATE}]`
    fn expectation(&mut self, name: String) -> Result<TableConstraint> {
        self.expect_symbol("(")?;
        let condition = self.text_expression()?;
        self.expect_symbol(")")?;
        let mut action = Violation::Warn;
        if self.eat_words(&["ON", "VIOLATION"]) {
            action = if self.eat_words(&["DROP", "ROW"]) {
                Violation::Drop
            } else {
                self.expect_words(&["FAIL", "UPDATE"])?;
                Violation::Fail
            };
        }
        Ok(TableConstraint::Expectation { name, condition, action })
    }
}
