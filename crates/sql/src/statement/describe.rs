//! DESCRIBE and COMMENT ON.

use boathouse_spec::{Command, CommentTarget, Error, Name, Plan, Result};

use super::command;
use crate::lexer::Kind;
use crate::parser::Parser;

impl Parser<'_> {
    pub fn describe(&mut self) -> Result<Plan> {
        self.advance();
        let start = self.pos;
        let (positional, clauses) = (self.positional, self.identifier_clauses);
        let plan = self.described()?;
        // Only tables are described AS JSON: the word that seemed to be a kind of thing was the name of one.
        if self.at_all(&["AS", "JSON"]) {
            self.pos = start;
            (self.positional, self.identifier_clauses) = (positional, clauses);
            return self.describe_table();
        }
        Ok(plan)
    }

    fn described(&mut self) -> Result<Plan> {
        let word = self.source(self.peek()).to_ascii_uppercase();
        let next = self.peek_at(1);
        let named = self.is_identifier(next) || self.is_string(next);
        // Each of these words can also be the name of a table.
        match word.as_str() {
            "FUNCTION" if named || next.kind == Kind::Symbol && next.text != "." => self.describe_function(),
            "PROCEDURE" if named => {
                self.advance();
                self.reference_name()?;
                Err(Error::unsupported("DESCRIBE PROCEDURE"))
            }
            "DATABASE" | "SCHEMA" | "NAMESPACE" if named => {
                self.advance();
                let extended = self.extended();
                Ok(command(Command::DescribeSchema { name: self.reference_name()?, extended }))
            }
            "CATALOG" if named => {
                self.advance();
                let extended = self.extended();
                Ok(command(Command::DescribeCatalog { name: self.reference_name()?, extended }))
            }
            "HISTORY" if named => {
                self.advance();
                let table = self.table_or_path()?;
                let limit = if self.eat("LIMIT") { Some(self.integer_value()?) } else { None };
                Ok(command(Command::DescribeHistory { table, limit }))
            }
            "DETAIL" if named => {
                self.advance();
                Ok(command(Command::DescribeDetail { table: self.table_or_path()? }))
            }
            "SHARE" | "RECIPIENT" | "VOLUME" if named => self.describe_securable(),
            "QUERY" if self.is_query_at(self.pos + 1) => {
                self.advance();
                Ok(command(Command::DescribeQuery(self.query()?)))
            }
            _ if self.is_query_at(self.pos) && !self.at("TABLE") => {
                Ok(command(Command::DescribeQuery(self.query()?)))
            }
            _ => self.describe_table(),
        }
    }

    fn extended(&mut self) -> bool {
        self.at("EXTENDED") && self.is_identifier(self.peek_at(1)) && self.eat("EXTENDED")
    }

    fn describe_function(&mut self) -> Result<Plan> {
        self.advance();
        let extended = if self.at("EXTENDED") && self.peek_at(1).kind != Kind::End {
            self.advance();
            true
        } else {
            false
        };
        let token = self.peek();
        let name: Name = if self.at_string() {
            vec![self.string_literal()?]
        } else if token.kind == Kind::Symbol {
            const OPERATORS: &[&str] = &[
                "=", "<=>", "<>", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "~", "&", "|", "||",
                "^", "<<", ">>", ">>>", "!",
            ];
            if !OPERATORS.contains(&token.text) {
                return Err(self.unexpected());
            }
            self.advance();
            vec![self.source(token).to_string()]
        } else {
            self.reference_name()?
        };
        Ok(command(Command::DescribeFunction { name, extended }))
    }

    /// `[TABLE] [EXTENDED | FORMATTED] name [PARTITION (..)] [column] [AS JSON]`
    fn describe_table(&mut self) -> Result<Plan> {
        if self.at("TABLE") && (self.is_identifier(self.peek_at(1)) || self.is_string(self.peek_at(1))) {
            self.advance();
        }
        let option = self.at_any(&["EXTENDED", "FORMATTED"])
            && self.is_identifier(self.peek_at(1))
            && !(self.at_offset(1, "AS") && self.at_offset(2, "JSON"));
        if option {
            self.advance();
        }
        let table = self.reference_name()?;
        let partition = self.optional_partition_values()?;
        let at_json = |p: &Self| p.at_all(&["AS", "JSON"]);
        let column = if self.at_identifier() && !at_json(self) { Some(self.name()?) } else { None };
        let as_json = at_json(self);
        if as_json {
            self.pos += 2;
        }
        if as_json && !option {
            let written =
                table.iter().map(|p| boathouse_spec::quote_if_needed(p)).collect::<Vec<_>>().join(".");
            let error = Error::new("DESCRIBE_JSON_NOT_EXTENDED")
                .param("tableName", written)
                .message("DESCRIBE .. AS JSON needs EXTENDED.");
            let at = self.tokens[self.statement_start].start;
            self.note(crate::error::at(self.text, at, error));
        }
        if let Some(column) = column {
            if partition.is_some() {
                self.note_statement(
                    Error::new("UNSUPPORTED_FEATURE.DESC_TABLE_COLUMN_PARTITION")
                        .message("A column cannot be described for one partition."),
                );
            }
            if as_json {
                self.note_statement(
                    Error::new("UNSUPPORTED_FEATURE.DESC_TABLE_COLUMN_JSON")
                        .message("A single column cannot be described as JSON."),
                );
            }
            return Ok(command(Command::DescribeColumn { table, column, extended: option, as_json }));
        }
        Ok(command(Command::DescribeTable { table, partition, extended: option, as_json }))
    }

    /// `COMMENT ON {CATALOG | SCHEMA | TABLE | COLUMN | VIEW} name IS {'..' | NULL}`
    pub fn comment_on(&mut self) -> Result<Plan> {
        self.expect_all(&["COMMENT", "ON"])?;
        let target = match self.source(self.peek()).to_ascii_uppercase().as_str() {
            "CATALOG" => CommentTarget::Catalog,
            "DATABASE" | "SCHEMA" | "NAMESPACE" => CommentTarget::Schema,
            "TABLE" | "VIEW" => CommentTarget::Table,
            "COLUMN" => CommentTarget::Column,
            kind @ ("VOLUME" | "FUNCTION" | "SHARE" | "RECIPIENT" | "CONNECTION" | "PROVIDER") => {
                return Err(Error::unsupported(format!("COMMENT ON {kind}")));
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let name = self.reference_name()?;
        self.expect("IS")?;
        Ok(command(Command::CommentOn { target, name, comment: self.comment_or_null()? }))
    }
}
