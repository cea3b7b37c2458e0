//! SHOW.

use boathouse_spec::{Command, Error, FunctionScope, Name, Plan, Result};

use super::command;
use crate::parser::Parser;

impl Parser<'_> {
    pub fn show(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("SHOW")?;
        let word = self.source(self.peek()).to_ascii_uppercase();
        let shown = match word.as_str() {
            "DATABASES" | "SCHEMAS" | "NAMESPACES" => {
                self.advance();
                let catalog = self.scope()?;
                Command::ShowSchemas { catalog, pattern: self.pattern()? }
            }
            "TABLES" => {
                self.advance();
                if self.at_word(0, "DROPPED") {
                    return Err(Error::unsupported("SHOW TABLES DROPPED"));
                }
                let schema = self.scope()?;
                Command::ShowTables { schema, pattern: self.pattern()? }
            }
            "TABLE" => {
                self.expect_all(&["TABLE", "EXTENDED"])?;
                let schema = self.scope()?;
                self.expect("LIKE")?;
                let pattern = self.string_literal()?;
                Command::ShowTableExtended { schema, pattern, partition: self.optional_partition_values()? }
            }
            "VIEWS" => {
                self.advance();
                let schema = self.scope()?;
                Command::ShowViews { schema, pattern: self.pattern()? }
            }
            "TBLPROPERTIES" => {
                self.advance();
                let table = self.reference_name()?;
                let mut key = None;
                if self.eat_symbol("(") {
                    key = Some(self.property_key()?);
                    self.expect_symbol(")")?;
                }
                Command::ShowProperties { table, key, is_view: false }
            }
            "COLUMNS" => {
                self.advance();
                if self.eat_any(&["FROM", "IN"]).is_none() {
                    return Err(self.unexpected());
                }
                let table = self.reference_name()?;
                let schema = if self.eat_any(&["FROM", "IN"]).is_some() { Some(self.name()?) } else { None };
                Command::ShowColumns { table, schema }
            }
            "PARTITIONS" => {
                self.advance();
                let table = self.reference_name()?;
                Command::ShowPartitions { table, partition: self.optional_partition_values()? }
            }
            "CREATE" => {
                self.advance();
                if self.eat("TABLE") {
                    let table = self.reference_name()?;
                    Command::ShowCreateTable { table, as_serde: self.eat_all(&["AS", "SERDE"]) }
                } else {
                    return Err(self.unexpected());
                }
            }
            "CURRENT" => {
                self.advance();
                if self.at("ROLES") {
                    self.skip_rest();
                    return Err(self.invalid_statement(start, "SHOW CURRENT ROLES"));
                }
                if self.eat_any(&["DATABASE", "SCHEMA", "NAMESPACE"]).is_none() {
                    return Err(self.unexpected());
                }
                Command::ShowCurrentSchema
            }
            "CATALOGS" => {
                self.advance();
                Command::ShowCatalogs { pattern: self.pattern()? }
            }
            "COLLATIONS" => {
                self.advance();
                Command::ShowCollations { pattern: self.pattern()? }
            }
            "PROCEDURES" => {
                self.advance();
                self.scope()?;
                return Err(Error::unsupported("SHOW PROCEDURES"));
            }
            "GRANT" if !self.at_offset(1, "ON") => {
                self.skip_rest();
                return Err(self.invalid_statement(start, "SHOW GRANT"));
            }
            "PRINCIPALS" | "ROLES" | "ROLE" | "COMPACTIONS" | "TRANSACTIONS" | "INDEXES" | "LOCKS" => {
                let what = if self.at_all(&["ROLE", "GRANT"]) { "ROLE GRANT" } else { &word };
                self.skip_rest();
                return Err(self.invalid_statement(start, &format!("SHOW {what}")));
            }
            "GRANTS" | "GRANT" | "SHARES" | "RECIPIENTS" | "VOLUMES" | "USERS" | "GROUPS" | "ALL"
                if !self.at_offset(1, "FUNCTIONS") =>
            {
                return self.show_governance();
            }
            _ => return self.show_functions(start),
        };
        Ok(command(shown))
    }

    /// `{FROM | IN} name`
    pub fn scope(&mut self) -> Result<Option<Name>> {
        if self.eat_any(&["FROM", "IN"]).is_none() {
            return Ok(None);
        }
        self.reference_name().map(Some)
    }

    /// `[LIKE] 'pattern'`
    pub fn pattern(&mut self) -> Result<Option<String>> {
        if self.eat("LIKE") || self.at_string() {
            return self.string_literal().map(Some);
        }
        Ok(None)
    }

    /// `SHOW [scope] FUNCTIONS [{FROM | IN} schema] [[LIKE] {name | 'pattern'}]`
    fn show_functions(&mut self, start: usize) -> Result<Plan> {
        let mut scope = FunctionScope::All;
        if !self.at("FUNCTIONS") {
            let word = self.simple_identifier()?;
            scope = match word.to_ascii_lowercase().as_str() {
                "all" => FunctionScope::All,
                "user" => FunctionScope::User,
                "system" => FunctionScope::System,
                _ if self.at("FUNCTIONS") => {
                    return Err(self.error_from(
                        start,
                        Error::new("INVALID_SQL_SYNTAX.SHOW_FUNCTIONS_INVALID_SCOPE")
                            .param("scope", boathouse_spec::quote(&word.to_lowercase()))
                            .message(format!("There is no scope {word} of functions: ALL, USER or SYSTEM.")),
                    ));
                }
                _ => return Err(self.unexpected()),
            };
        }
        self.expect("FUNCTIONS")?;
        let mut schema = self.scope()?;
        let has_like = self.eat("LIKE");
        let mut pattern = None;
        if self.at_string() {
            pattern = Some(self.string_literal()?);
        } else if has_like || self.at_identifier() {
            let mut name = self.name()?;
            if schema.is_some() {
                return Err(self.error_from(
                    start,
                    Error::new("INVALID_SQL_SYNTAX.SHOW_FUNCTIONS_INVALID_PATTERN")
                        .param("pattern", boathouse_spec::quote_name(&name))
                        .message("With FROM or IN the pattern of functions is a string."),
                ));
            }
            pattern = name.pop();
            schema = (!name.is_empty()).then_some(name);
        }
        Ok(command(Command::ShowFunctions { scope, schema, pattern }))
    }
}
