//! COPY INTO.

use boathouse_spec::{Command, CopyInto, Error, Options, Plan, Result};

use super::command;
use crate::parser::Parser;

impl Parser<'_> {
    /// `COPY INTO t [(columns)] FROM {'path' | (SELECT .. FROM 'path')} FILEFORMAT = f ..`
    pub fn copy_into(&mut self) -> Result<Plan> {
        self.advance();
        self.expect("INTO")?;
        let table = self.table_or_path()?;
        let columns = if self.at_symbol("(") { self.parenthesized(Self::name)? } else { vec![] };
        if self.at_words(&["BY", "POSITION"]) {
            return Err(Error::unsupported("COPY INTO .. BY POSITION"));
        }
        self.expect("FROM")?;
        let (path, select) = if self.eat_symbol("(") {
            self.expect("SELECT")?;
            let select = self.named_expressions()?;
            self.expect("FROM")?;
            let path = self.string_literal()?;
            self.refuse_credential()?;
            self.expect_symbol(")")?;
            (path, Some(select))
        } else {
            (self.string_literal()?, None)
        };
        self.refuse_credential()?;
        self.expect_word("FILEFORMAT")?;
        self.expect_symbol("=")?;
        let format = self.identifier()?.to_lowercase();
        let mut copy = CopyInto {
            table,
            columns,
            path,
            select,
            format,
            files: vec![],
            pattern: None,
            format_options: vec![],
            copy_options: vec![],
            validate: None,
        };
        let mut seen = Vec::new();
        loop {
            if self.eat_word("VALIDATE") {
                self.once(&mut seen, "VALIDATE");
                copy.validate = Some(if self.kind() == crate::lexer::Kind::Integer {
                    let rows = self.integer_value()?;
                    self.expect("ROWS")?;
                    Some(rows)
                } else {
                    self.eat("ALL");
                    None
                });
            } else if self.eat_word("FILES") {
                self.once(&mut seen, "FILES");
                self.expect_symbol("=")?;
                copy.files = self.parenthesized(Self::string_literal)?;
            } else if self.eat_word("PATTERN") {
                self.once(&mut seen, "PATTERN");
                self.expect_symbol("=")?;
                copy.pattern = Some(self.string_literal()?);
            } else if self.eat_word("FORMAT_OPTIONS") {
                self.once(&mut seen, "FORMAT_OPTIONS");
                copy.format_options = self.copy_options()?;
            } else if self.eat_word("COPY_OPTIONS") {
                self.once(&mut seen, "COPY_OPTIONS");
                copy.copy_options = self.copy_options()?;
            } else {
                return Ok(command(Command::CopyInto(Box::new(copy))));
            }
        }
    }

    fn copy_options(&mut self) -> Result<Options> {
        self.eat_symbol("=");
        self.property_list()
    }

    fn refuse_credential(&self) -> Result<()> {
        if self.at("WITH") {
            return Err(Error::unsupported("COPY INTO .. WITH (CREDENTIAL ..)"));
        }
        Ok(())
    }
}
