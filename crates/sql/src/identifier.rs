//! Identifiers, names of several parts, and the IDENTIFIER clause.

use boathouse_spec::{Error, Expr, Literal, Name, Result, quote_name};

use crate::error;
use crate::keywords;
use crate::lexer::{Kind, Token};
use crate::parser::Parser;

/// What may stand where an object is named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reference {
    Name(Name),
    /// `IDENTIFIER(expr)` whose value is not known here.
    Clause(Expr),
}

impl Parser<'_> {
    /// Whether the token can be an identifier.
    pub fn is_identifier(&self, token: Token) -> bool {
        match token.kind {
            Kind::Word => !self.options.reserves_keywords() || !keywords::is_reserved(token.text),
            Kind::BackQuoted => true,
            Kind::DoubleQuoted => self.options.quotes_are_identifiers(),
            _ => false,
        }
    }

    /// Whether the token can be the alias of a table.
    pub fn is_strict_identifier(&self, token: Token) -> bool {
        self.is_identifier(token)
            && !(token.kind == Kind::Word
                && !self.options.reserves_keywords()
                && keywords::is_strict(token.text))
    }

    pub fn at_identifier(&self) -> bool {
        self.is_identifier(self.peek())
    }

    /// Whether `IDENTIFIER('text')` stands here in place of an identifier.
    pub fn at_identifier_literal(&self, offset: usize) -> bool {
        if self.options.legacy_identifier_clause || !self.at_offset(offset, "IDENTIFIER") {
            return false;
        }
        let open = self.peek_at(offset + 1);
        if open.text != "(" || open.pair == 0 {
            return false;
        }
        let first = self.pos + offset + 2;
        first < open.pair && self.all_string_tokens(first, open.pair)
    }

    /// The unquoted text of an identifier token.
    pub fn identifier_text(&self, token: Token) -> Result<String> {
        let source = self.source(token);
        match token.kind {
            Kind::BackQuoted => Ok(source[1..source.len() - 1].replace("``", "`")),
            Kind::DoubleQuoted => Ok(source[1..source.len() - 1].replace("\"\"", "\"")),
            _ if source.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => Ok(source.to_string()),
            _ => Err(self.invalid_identifier(source, token)),
        }
    }

    fn invalid_identifier(&self, text: &str, token: Token) -> Error {
        error::at(
            self.text,
            token.start,
            Error::new("INVALID_IDENTIFIER").param("ident", text).message(format!(
                "The name {text} is not valid without backticks: write `{text}`. Bare names hold ASCII letters, digits and underscores."
            )),
        )
    }

    /// One identifier.
    pub fn identifier(&mut self) -> Result<String> {
        let start = self.pos;
        let mut parts = self.identifier_parts()?;
        self.refuse_dashed_name(start)?;
        if parts.len() != 1 {
            return Err(self.too_many_parts(start, &parts, 1));
        }
        Ok(parts.swap_remove(0))
    }

    /// One identifier where an expression may follow, so that `a-b` is a subtraction.
    pub fn bare_identifier(&mut self) -> Result<String> {
        let start = self.pos;
        let mut parts = self.identifier_parts()?;
        if parts.len() != 1 {
            return Err(self.too_many_parts(start, &parts, 1));
        }
        Ok(parts.swap_remove(0))
    }

    /// An identifier that is a keyword-like word: `IDENTIFIER('..')` has no place here.
    pub fn simple_identifier(&mut self) -> Result<String> {
        let token = self.peek();
        if !self.is_identifier(token) {
            return Err(self.unexpected());
        }
        self.advance();
        self.identifier_text(token)
    }

    pub fn strict_identifier(&mut self) -> Result<String> {
        if !self.is_strict_identifier(self.peek()) {
            return Err(self.unexpected());
        }
        self.identifier()
    }

    pub(crate) fn too_many_parts(&self, start: usize, parts: &[String], limit: usize) -> Error {
        self.error_from(
            start,
            Error::new("IDENTIFIER_TOO_MANY_NAME_PARTS")
                .param("identifier", quote_name(parts))
                .param("limit", limit)
                .message(format!("{} has more than {limit} name parts.", quote_name(parts))),
        )
    }

    /// One identifier, or the several that `IDENTIFIER('a.b')` holds.
    fn identifier_parts(&mut self) -> Result<Name> {
        let token = self.peek();
        if self.at_identifier_literal(0) {
            let start = self.pos;
            self.pos += 2;
            let text = self.string_literal()?;
            self.expect_symbol(")")?;
            return self.parse_name_text(start, &text);
        }
        if !self.is_identifier(token) {
            return Err(self.unexpected());
        }
        self.advance();
        Ok(vec![self.identifier_text(token)?])
    }

    /// Refuses `test-table`, which wants backticks.
    fn refuse_dashed_name(&self, start: usize) -> Result<()> {
        if !self.at_symbol("-") || !self.is_identifier(self.peek_at(1)) {
            return Ok(());
        }
        let mut end = self.pos;
        while self.tokens[end].text == "-" && self.is_identifier(self.tokens[end + 1]) {
            end += 2;
        }
        let whole = &self.text[self.tokens[start].start..self.tokens[end - 1].end];
        let joined: String = whole.chars().filter(|c| !c.is_whitespace()).collect();
        let dashed =
            Token { start: self.tokens[self.pos].start, end: self.tokens[end - 1].end, ..self.peek() };
        Err(self.invalid_identifier(&joined, dashed))
    }

    /// `a.b.c`
    pub fn name(&mut self) -> Result<Name> {
        let start = self.pos;
        let mut parts = self.identifier_parts()?;
        self.refuse_dashed_name(start)?;
        while self.at_symbol(".") && self.is_identifier(self.peek_at(1)) {
            self.advance();
            let part = self.pos;
            parts.extend(self.identifier_parts()?);
            self.refuse_dashed_name(part)?;
        }
        if self.at_symbol(".") {
            return Err(self.unexpected_at(self.pos + 1));
        }
        Ok(parts)
    }

    pub fn names(&mut self) -> Result<Vec<Name>> {
        self.list(Self::name)
    }

    /// `(a, b, c)`
    pub fn identifier_list(&mut self) -> Result<Vec<String>> {
        self.parenthesized(Self::identifier)
    }

    /// An object's name, or the IDENTIFIER clause.
    pub fn reference(&mut self) -> Result<Reference> {
        let open = self.peek_at(1);
        let is_clause = self.at("IDENTIFIER") && open.text == "(" && open.pair != 0;
        if !is_clause || self.tokens[open.pair + 1].text == "." {
            return self.name().map(Reference::Name);
        }
        let start = self.pos;
        self.pos += 2;
        let expr = self.expression()?;
        self.expect_symbol(")")?;
        match fold_string(&expr) {
            Some(text) => self.parse_name_text(start, &text).map(Reference::Name),
            None => Ok(Reference::Clause(expr)),
        }
    }

    /// An object's name where the statement needs it now: clauses that cannot be computed are set aside, and the whole
    /// statement becomes a `Command::IdentifierClause`.
    pub fn reference_name(&mut self) -> Result<Name> {
        let start = self.pos;
        match self.reference()? {
            Reference::Name(name) => Ok(name),
            Reference::Clause(expr) => self.set_aside(start, expr),
        }
    }

    pub fn set_aside(&mut self, start: usize, expr: Expr) -> Result<Name> {
        let index = self.identifier_clauses;
        self.identifier_clauses += 1;
        match self.options.identifiers.get(index) {
            Some(text) => self.parse_name_text(start, text),
            None => {
                self.deferred_identifiers.push(expr);
                Ok(vec!["?".to_string()])
            }
        }
    }

    /// Reads the value of an IDENTIFIER clause as a name; errors are about the clause.
    pub fn parse_name_text(&self, start: usize, text: &str) -> Result<Name> {
        crate::parse_name_with(text, self.options).map_err(|e| self.error_from(start, e))
    }
}

/// The value of an expression made of string literals only.
pub(crate) fn fold_string(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(text.clone()),
        Expr::Call(call) if call.name.len() == 1 && call.name[0].eq_ignore_ascii_case("concat") => {
            call.args.iter().map(fold_string).collect::<Option<Vec<_>>>().map(|parts| parts.concat())
        }
        _ => None,
    }
}
