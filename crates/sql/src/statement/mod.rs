//! Statements: which one it is; one file for a family.

mod alter_table;
mod cache;
mod column_definition;
mod copy_into;
mod create_table;
mod cursor;
mod delta;
mod describe;
mod function;
mod governance;
mod insert;
mod modify;
mod namespace;
mod pipelines;
mod properties;
mod session;
mod show;
mod view;

#[cfg(test)]
mod tests;

use boathouse_spec::{Command, Error, ExplainMode, Plan, Result};

use crate::error;
use crate::lexer::Kind;
use crate::parser::Parser;

impl Parser<'_> {
    /// A whole statement up to the end of the text; semicolons may follow.
    pub fn single_statement(&mut self) -> Result<Plan> {
        if self.at_end() {
            return Err(error::empty_statement(self.text));
        }
        if self.begins_script() {
            return self.script();
        }
        let plan = self.statement()?;
        while self.at_symbol(";") {
            self.advance();
        }
        self.expect_end()?;
        self.noted()?;
        if self.deferred_identifiers.is_empty() {
            return Ok(plan);
        }
        let identifiers = std::mem::take(&mut self.deferred_identifiers);
        Ok(command(Command::IdentifierClause { text: self.text.to_string(), identifiers }))
    }

    /// `BEGIN ..`: the outermost block has no label.
    fn begins_script(&self) -> bool {
        self.at("BEGIN") && !self.at_word(1, "TRANSACTION")
    }

    pub fn statement(&mut self) -> Result<Plan> {
        self.nested(Self::statement_inner)
    }

    fn statement_inner(&mut self) -> Result<Plan> {
        self.statement_start = self.pos;
        let token = self.peek();
        if self.at_symbol("(") {
            return self.query().map(Plan::Query);
        }
        if token.kind != Kind::Word {
            return Err(self.unexpected());
        }
        let word = self.source(token).to_ascii_uppercase();
        match word.as_str() {
            "SELECT" | "VALUES" | "TABLE" | "MAP" | "REDUCE" => self.query().map(Plan::Query),
            "FROM" => self.statement_from_first(None),
            "WITH" => self.with_first(),
            "INSERT" => self.insert_statement(None),
            "UPDATE" => self.update(None),
            "DELETE" => self.delete(None),
            "MERGE" => self.merge(None),
            "COPY" => self.copy_into(),
            "CREATE" => self.create(),
            "REPLACE" => self.create_table_statement(),
            "ALTER" => self.alter(),
            "DROP" => self.drop_statement(),
            "UNDROP" => Err(Error::unsupported("UNDROP")),
            "DECLARE" => self.declare(),
            "EXPLAIN" => self.explain(),
            "SHOW" => self.show(),
            "DESC" | "DESCRIBE" => self.describe(),
            "COMMENT" => self.comment_on(),
            "USE" => self.use_statement(),
            "SET" => self.set(),
            "RESET" => self.reset(),
            "EXECUTE" => self.execute_immediate(),
            "REFRESH" => self.refresh(),
            "CACHE" => self.cache(),
            "UNCACHE" => self.uncache(),
            "CLEAR" => self.clear_cache(),
            "ANALYZE" => self.analyze(),
            "TRUNCATE" => self.truncate(),
            "MSCK" | "REPAIR" => self.repair(),
            "LOAD" => self.load_data(),
            "ADD" | "LIST" => self.resource(),
            "CALL" => self.call(),
            "OPTIMIZE" => self.optimize(),
            "VACUUM" => self.vacuum(),
            "RESTORE" => self.restore(),
            "REORG" => self.reorg(),
            "FSCK" => self.fsck(),
            "CONVERT" => self.convert(),
            "GENERATE" => self.generate(),
            "GRANT" | "REVOKE" | "DENY" => self.privileges(),
            "APPLY" => self.apply_changes(),
            "OPEN" => self.open_cursor(),
            "FETCH" => self.fetch_cursor(),
            "CLOSE" => self.close_cursor(),
            "EXPORT" | "IMPORT" | "LOCK" | "UNLOCK" | "START" | "COMMIT" | "ROLLBACK" | "DFS" => {
                Err(self.hive_command())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// An operation of Hive that Spark names only to refuse it.
    pub fn hive_command(&mut self) -> Error {
        let start = self.pos;
        let mut words = vec![self.advance_word()];
        let second = [
            "TABLE",
            "DATABASE",
            "TRANSACTION",
            "ROLE",
            "INDEX",
            "MACRO",
            "GRANT",
            "PRINCIPALS",
            "ROLES",
            "COMPACTIONS",
            "TRANSACTIONS",
            "INDEXES",
            "LOCKS",
            "TEMPORARY",
            "TEMP",
        ];
        while let Some(word) = self.eat_any(&second) {
            words.push(word.to_string());
            if words.len() == 3 {
                break;
            }
        }
        self.skip_rest();
        self.invalid_statement(start, &words.join(" "))
    }

    /// A statement of Hive that Spark names only to refuse it.
    pub fn invalid_statement(&self, start: usize, operation: &str) -> Error {
        self.error_from(start, invalid_statement(operation))
    }

    pub fn not_allowed(&self, start: usize, what: &str) -> Error {
        self.error_from(start, not_allowed(what))
    }

    /// Takes all tokens up to the end of the statement.
    pub fn skip_rest(&mut self) {
        while !self.at_end() && !self.at_symbol(";") {
            self.advance();
        }
    }

    /// A statement that begins with common table expressions.
    fn with_first(&mut self) -> Result<Plan> {
        let start = self.pos;
        let ctes = self.ctes()?;
        self.check_ctes(start, &ctes, true);
        match self.peek().text {
            "INSERT" => self.insert_statement(Some(ctes)),
            "UPDATE" => self.update(Some(ctes)),
            "DELETE" => self.delete(Some(ctes)),
            "MERGE" => self.merge(Some(ctes)),
            "FROM" => self.statement_from_first(Some(ctes)),
            _ => {
                let body = self.query_body()?;
                Ok(Plan::Query(ctes.over(body)))
            }
        }
    }

    fn create(&mut self) -> Result<Plan> {
        let mut offset = 1;
        if self.at_offset(1, "OR") {
            offset = 3;
        }
        // Words that may stand before the kind of the thing.
        while ["TEMPORARY", "TEMP", "GLOBAL", "EXTERNAL", "PRIVATE", "FOREIGN", "LIVE", "INCREMENTAL"]
            .iter()
            .any(|w| self.at_word(offset, w))
            || (self.at_offset(offset, "STREAMING") && self.at_word(offset + 1, "LIVE"))
        {
            offset += 1;
        }
        let token = self.peek_at(offset);
        if token.kind != Kind::Word {
            return Err(self.unexpected_at(self.pos + offset));
        }
        let is_live = self.at_word(offset - 1, "LIVE");
        match self.source(token).to_ascii_uppercase().as_str() {
            "TABLE" | "VIEW" if is_live => self.create_dataset(),
            "TABLE" => self.create_table_statement(),
            "VIEW" => self.create_view(),
            "STREAMING" | "MATERIALIZED" => self.create_dataset(),
            "FUNCTION" => self.create_function(),
            "DATABASE" | "SCHEMA" | "NAMESPACE" => self.create_schema(),
            "CATALOG" => self.create_catalog(),
            "FLOW" => self.create_flow(),
            "SHARE" | "RECIPIENT" | "USER" | "GROUP" | "SERVICE" | "TOKEN" | "VOLUME" => {
                self.create_securable()
            }
            kind @ ("CONNECTION" | "STORAGE" | "PROVIDER" | "SERVER" | "POLICY" | "BLOOMFILTER"
            | "PROCEDURE") => Err(Error::unsupported(format!("CREATE {kind}"))),
            "LOCATION" => Err(Error::unsupported("CREATE EXTERNAL LOCATION")),
            "INDEX" => Err(Error::unsupported("CREATE INDEX")),
            "ROLE" | "MACRO" => Err(self.hive_command()),
            _ => Err(self.unexpected_at(self.pos + offset)),
        }
    }

    fn alter(&mut self) -> Result<Plan> {
        let token = self.peek_at(1);
        if token.kind != Kind::Word {
            return Err(self.unexpected_at(self.pos + 1));
        }
        match self.source(token).to_ascii_uppercase().as_str() {
            "TABLE" => self.alter_table(false),
            "VIEW" => self.alter_view(),
            "STREAMING" | "MATERIALIZED" => self.alter_dataset(),
            "DATABASE" | "SCHEMA" | "NAMESPACE" => self.alter_schema(),
            "CATALOG" => self.alter_catalog(),
            "SHARE" | "GROUP" | "RECIPIENT" | "VOLUME" | "FUNCTION" => self.alter_securable(),
            kind @ ("USER" | "CONNECTION" | "STORAGE" | "EXTERNAL" | "PROVIDER") => {
                Err(Error::unsupported(format!("ALTER {kind}")))
            }
            "INDEX" => Err(self.hive_command()),
            _ => Err(self.unexpected_at(self.pos + 1)),
        }
    }

    fn drop_statement(&mut self) -> Result<Plan> {
        let token = self.peek_at(1);
        if token.kind != Kind::Word {
            return Err(self.unexpected_at(self.pos + 1));
        }
        match self.source(token).to_ascii_uppercase().as_str() {
            "TABLE" => self.drop_table(),
            "VIEW" => self.drop_view(),
            "MATERIALIZED" | "STREAMING" => self.drop_dataset(),
            "DATABASE" | "SCHEMA" | "NAMESPACE" => self.drop_schema(),
            "CATALOG" => self.drop_catalog(),
            "FUNCTION" => self.drop_function(),
            "TEMPORARY" | "TEMP" if self.at_offset(2, "FUNCTION") => self.drop_function(),
            "TEMPORARY" | "TEMP" if self.at_offset(2, "VARIABLE") || self.at_offset(2, "VAR") => {
                self.drop_variable()
            }
            "TEMPORARY" | "TEMP" if self.at_offset(2, "MACRO") => Err(self.hive_command()),
            "SHARE" | "RECIPIENT" | "VOLUME" | "USER" | "GROUP" | "SERVICE" => self.drop_securable(),
            kind @ ("CONNECTION" | "STORAGE" | "EXTERNAL" | "PROVIDER" | "POLICY" | "BLOOMFILTER") => {
                Err(Error::unsupported(format!("DROP {kind}")))
            }
            "INDEX" => Err(Error::unsupported("DROP INDEX")),
            "ROLE" => Err(self.hive_command()),
            _ => Err(self.unexpected_at(self.pos + 1)),
        }
    }

    fn explain(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("EXPLAIN")?;
        let analyze = self.at("ANALYZE") && !self.at_offset(1, "TABLE") && !self.at_offset(1, "TABLES");
        let mode = if analyze {
            self.advance();
            ExplainMode::Analyze
        } else {
            match self.eat_any(&["LOGICAL", "FORMATTED", "EXTENDED", "CODEGEN", "COST"]) {
                Some("FORMATTED") => ExplainMode::Formatted,
                Some("EXTENDED") => ExplainMode::Extended,
                Some("CODEGEN") => ExplainMode::Codegen,
                Some("COST") => ExplainMode::Cost,
                Some(_) => {
                    self.skip_rest();
                    return Err(self.invalid_statement(start, "EXPLAIN LOGICAL"));
                }
                None => ExplainMode::Simple,
            }
        };
        let plan = Box::new(self.statement()?);
        Ok(command(Command::Explain { plan, mode }))
    }

    // ---- small pieces that statements share

    /// `IF NOT EXISTS`
    pub fn if_not_exists(&mut self) -> Result<bool> {
        if !self.at("IF") {
            return Ok(false);
        }
        if !(self.at_offset(1, "NOT") || self.symbol_at(1, "!")) {
            return Ok(false);
        }
        self.advance();
        self.eat_not()?;
        self.expect("EXISTS")?;
        Ok(true)
    }

    /// `IF EXISTS`
    pub fn if_exists(&mut self) -> bool {
        self.eat_all(&["IF", "EXISTS"])
    }
}

/// What the grammar knows only to refuse it by name.
pub(crate) fn invalid_statement(operation: &str) -> Error {
    Error::new("INVALID_STATEMENT_OR_CLAUSE")
        .param("operation", operation)
        .message(format!("The statement or clause {operation} is not valid."))
}

/// What Spark refuses by a message alone.
pub(crate) fn not_allowed(what: &str) -> Error {
    let sentence = if what.ends_with('.') { what.to_string() } else { format!("{what}.") };
    Error::new("_LEGACY_ERROR_TEMP_0035")
        .param("message", what)
        .message(format!("Operation not allowed: {sentence}"))
}

pub(crate) fn command(command: Command) -> Plan {
    Plan::Command(Box::new(command))
}
