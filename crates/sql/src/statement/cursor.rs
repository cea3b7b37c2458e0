//! Cursors: DECLARE .. CURSOR, OPEN, FETCH, CLOSE.

use boathouse_spec::{Command, CursorStatement, Error, Plan, Result};

use super::command;
use crate::parser::Parser;

impl Parser<'_> {
    /// Behind DECLARE: `name [ASENSITIVE | INSENSITIVE] CURSOR`.
    pub fn at_cursor_declaration(&self) -> bool {
        self.at_word(1, "CURSOR") && self.at_offset(2, "FOR")
            || ((self.at_word(1, "ASENSITIVE") || self.at_word(1, "INSENSITIVE"))
                && self.at_word(2, "CURSOR"))
    }

    /// `name [ASENSITIVE | INSENSITIVE] CURSOR FOR query [FOR READ ONLY]`. All cursors are what these words say.
    pub fn declare_cursor(&mut self, start: usize) -> Result<Plan> {
        self.cursors_allowed(start)?;
        let name = self.strict_identifier()?;
        if !self.at_word(0, "CURSOR") {
            self.advance();
        }
        self.expect_word("CURSOR")?;
        self.expect("FOR")?;
        let from = self.pos;
        // Its parameters are those of OPEN, not of the script.
        let before = (self.keeps_parameters, self.positional);
        self.keeps_parameters = true;
        self.query()?;
        (self.keeps_parameters, self.positional) = before;
        // OPEN reads the text again.
        self.deferred_identifiers.clear();
        let query = self.text_from(from).to_string();
        if self.eat("FOR") {
            self.expect_word("READ")?;
            self.expect("ONLY")?;
        }
        Ok(command(Command::Cursor(CursorStatement::Declare { name, query })))
    }

    /// `OPEN name [USING value [AS parameter], ..]`
    pub fn open_cursor(&mut self) -> Result<Plan> {
        self.cursors_allowed(self.pos)?;
        self.advance();
        let name = self.name()?;
        let using = self.using_arguments()?;
        Ok(command(Command::Cursor(CursorStatement::Open { name, using })))
    }

    /// `FETCH [[NEXT] FROM] name INTO variable, ..`
    pub fn fetch_cursor(&mut self) -> Result<Plan> {
        self.cursors_allowed(self.pos)?;
        self.advance();
        if self.at("FROM") || (self.at_word(0, "NEXT") && self.at_offset(1, "FROM")) {
            self.eat_word("NEXT");
            self.advance();
        }
        let name = self.name()?;
        self.expect("INTO")?;
        let into = self.names()?;
        Ok(command(Command::Cursor(CursorStatement::Fetch { name, into })))
    }

    /// `CLOSE name`
    pub fn close_cursor(&mut self) -> Result<Plan> {
        self.cursors_allowed(self.pos)?;
        self.advance();
        let name = self.name()?;
        Ok(command(Command::Cursor(CursorStatement::Close { name })))
    }

    fn cursors_allowed(&mut self, start: usize) -> Result<()> {
        if self.options.cursors {
            return Ok(());
        }
        self.skip_rest();
        let error = Error::new("UNSUPPORTED_FEATURE.SQL_CURSOR").message(
            "SQL cursors are turned off: set \"spark.sql.scripting.cursorEnabled\" to true to use them.",
        );
        Err(self.error_from(start, error))
    }
}
