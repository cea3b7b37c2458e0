//! The parser's core: the token stream, and what every rule needs.
//!
//! Rules are methods of [`Parser`] in the files of this crate, one file for a family. A rule either returns what it
//! parsed or the first error. Decisions are made by looking ahead, mostly one or two tokens, over brackets by their pairs;
//! nothing is tried twice, so that time stays linear in the text.

use std::ops::Range;
use std::sync::Arc;

use boathouse_spec::{Error, Expr, Origin, Result};

use crate::error;
use crate::lexer::{self, Kind, Token};
use crate::options::ParserOptions;

/// Deeper nesting is refused, so that whoever walks the tree later has a bound.
pub(crate) const MAX_DEPTH: usize = 1_000;
/// Trees are no higher than this; chains of operators, set operations and joins lean to the left.
const MAX_HEIGHT: usize = 4_000;
const STACK_RED_ZONE: usize = 256 * 1024;
const STACK_GROWTH: usize = 4 * 1024 * 1024;

pub(crate) struct Parser<'a> {
    pub text: &'a str,
    /// The same, for those who outlive the parser.
    shared: Arc<str>,
    pub tokens: Vec<Token>,
    pub pos: usize,
    pub options: &'a ParserOptions,
    depth: usize,
    /// A bound of how high the trees are that the current level has built.
    height: usize,
    /// Names of lambda parameters in scope.
    pub lambda_parameters: Vec<String>,
    /// Inside an expression that may be named, where backticks can hold a regular expression.
    pub in_select_list: bool,
    /// The first error of meaning: it counts only when the syntax has none.
    meaning_error: Option<Error>,
    /// That error is about the whole statement, whose end was not yet known: the token it starts at.
    meaning_start: Option<usize>,
    /// What is wrong with the identity of the column being read.
    pub identity_error: Option<Error>,
    /// The first token of the statement.
    pub statement_start: usize,
    /// `INSERT .. REPLACE ON condition (query)`: a name before a query is no call.
    pub before_query: bool,
    /// How many `?` have been met.
    pub positional: usize,
    /// Whether markers stay in the tree where their values are known: those of a text that is read again.
    pub keeps_parameters: bool,
    /// Where in the text markers have got a value, and how SQL writes that.
    bound: Vec<(Range<usize>, String)>,
    /// `IDENTIFIER(expr)` that could not be computed here.
    pub deferred_identifiers: Vec<Expr>,
    /// How many such clauses have been met, computed or not.
    pub identifier_clauses: usize,
    /// The common table expressions before an UPDATE or DELETE, for the subqueries inside.
    pub statement_ctes: Option<crate::query::Ctes>,
    /// The script around the statement.
    pub script: crate::script::Context,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, options: &'a ParserOptions) -> Result<Self> {
        Ok(Self {
            text,
            shared: Arc::from(text),
            tokens: lexer::tokenize(text)?,
            pos: 0,
            options,
            depth: 0,
            height: 0,
            lambda_parameters: Vec::new(),
            in_select_list: false,
            meaning_error: None,
            meaning_start: None,
            identity_error: None,
            statement_start: 0,
            before_query: false,
            positional: 0,
            keeps_parameters: false,
            bound: Vec::new(),
            deferred_identifiers: Vec::new(),
            identifier_clauses: 0,
            statement_ctes: None,
            script: crate::script::Context::default(),
        })
    }

    /// Where what was read from token `start` on stands.
    pub fn origin(&self, start: usize) -> Origin {
        let last = self.pos.saturating_sub(1).max(start).min(self.tokens.len() - 1);
        Origin::new(&self.shared, self.tokens[start].start, self.tokens[last].end)
    }

    /// Notes where an expression stands that was read from token `start` on.
    pub fn placed(&self, start: usize, expr: Expr) -> Expr {
        match expr {
            Expr::Call(_)
            | Expr::Column(_)
            | Expr::Star(_)
            | Expr::Cast { .. }
            | Expr::Extract { .. }
            | Expr::Window { .. }
            | Expr::ScalarSubquery(_)
            | Expr::Exists(_) => expr.placed(&self.origin(start)),
            other => other,
        }
    }

    // ---- looking

    pub fn peek(&self) -> Token {
        self.peek_at(0)
    }

    pub fn peek_at(&self, offset: usize) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[(self.pos + offset).min(last)]
    }

    pub fn kind(&self) -> Kind {
        self.peek().kind
    }

    /// The source text of a token.
    pub fn source(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    pub fn at(&self, keyword: &str) -> bool {
        self.at_offset(0, keyword)
    }

    pub fn at_offset(&self, offset: usize, keyword: &str) -> bool {
        let token = self.peek_at(offset);
        token.kind == Kind::Word && token.text == keyword
    }

    /// Whether the next words are these keywords.
    pub fn at_all(&self, keywords: &[&str]) -> bool {
        keywords.iter().enumerate().all(|(i, k)| self.at_offset(i, k))
    }

    pub fn at_any(&self, keywords: &[&str]) -> bool {
        let token = self.peek();
        token.kind == Kind::Word && !token.text.is_empty() && keywords.contains(&token.text)
    }

    /// A word by its text, keyword of Spark's or not: for statements that are not in Spark's grammar.
    pub fn at_word(&self, offset: usize, word: &str) -> bool {
        let token = self.peek_at(offset);
        token.kind == Kind::Word && self.source(token).eq_ignore_ascii_case(word)
    }

    pub fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, w)| self.at_word(i, w))
    }

    pub fn at_symbol(&self, symbol: &str) -> bool {
        self.symbol_at(0, symbol)
    }

    pub fn symbol_at(&self, offset: usize, symbol: &str) -> bool {
        let token = self.peek_at(offset);
        token.kind == Kind::Symbol && token.text == symbol
    }

    pub fn at_end(&self) -> bool {
        self.kind() == Kind::End
    }

    // ---- taking

    pub fn advance(&mut self) -> Token {
        let token = self.peek();
        if self.pos < self.tokens.len() - 1 {
            self.pos += 1;
        }
        token
    }

    /// Takes a token and gives its text in upper case.
    pub fn advance_word(&mut self) -> String {
        let token = self.advance();
        self.source(token).to_ascii_uppercase()
    }

    pub fn eat(&mut self, keyword: &str) -> bool {
        let found = self.at(keyword);
        if found {
            self.pos += 1;
        }
        found
    }

    pub fn eat_all(&mut self, keywords: &[&str]) -> bool {
        let found = self.at_all(keywords);
        if found {
            self.pos += keywords.len();
        }
        found
    }

    /// Takes one of the keywords and tells which.
    pub fn eat_any(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        let found = keywords.iter().copied().find(|k| self.at(k))?;
        self.pos += 1;
        Some(found)
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(0, word);
        if found {
            self.pos += 1;
        }
        found
    }

    pub fn eat_words(&mut self, words: &[&str]) -> bool {
        let found = self.at_words(words);
        if found {
            self.pos += words.len();
        }
        found
    }

    pub fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        if found {
            self.pos += 1;
        }
        found
    }

    pub fn expect(&mut self, keyword: &str) -> Result<Token> {
        if self.at(keyword) { Ok(self.advance()) } else { Err(self.unexpected()) }
    }

    pub fn expect_all(&mut self, keywords: &[&str]) -> Result<()> {
        keywords.iter().try_for_each(|k| self.expect(k).map(|_| ()))
    }

    pub fn expect_word(&mut self, word: &str) -> Result<Token> {
        if self.at_word(0, word) { Ok(self.advance()) } else { Err(self.unexpected()) }
    }

    pub fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|w| self.expect_word(w).map(|_| ()))
    }

    pub fn expect_symbol(&mut self, symbol: &str) -> Result<Token> {
        if self.at_symbol(symbol) { Ok(self.advance()) } else { Err(self.unexpected()) }
    }

    /// Takes `>`, splitting `>>` and `>=`-like tokens as nested type arguments need.
    pub fn expect_closing_angle(&mut self) -> Result<()> {
        let token = self.peek();
        let rest = match (token.kind, token.text) {
            (Kind::Symbol, ">") => {
                self.pos += 1;
                return Ok(());
            }
            (Kind::Symbol, ">>") => ">",
            (Kind::Symbol, ">>>") => ">>",
            (Kind::Symbol, ">=") => "=",
            _ => return Err(self.unexpected()),
        };
        let pos = self.pos;
        self.tokens[pos].text = rest;
        self.tokens[pos].start += 1;
        Ok(())
    }

    pub fn expect_end(&mut self) -> Result<()> {
        let token = self.peek();
        // One word too many is told as such.
        if token.kind == Kind::Word && self.ends_after(1) {
            let hint = format!(": extra input '{}'", self.source(token));
            return Err(self.unexpected_with(token, &hint));
        }
        if self.at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn ends_after(&self, offset: usize) -> bool {
        let token = self.peek_at(offset);
        token.kind == Kind::End || token.text == ";"
    }

    // ---- lists

    /// `item (, item)*`
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_symbol(",") {
            items.push(self.beside(&mut item)?);
        }
        Ok(items)
    }

    /// `( item (, item)* )`
    pub fn parenthesized<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_symbol("(")?;
        let items = self.list(item)?;
        self.expect_symbol(")")?;
        Ok(items)
    }

    /// Runs a rule one level deeper, with the stack it needs.
    pub fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_complex());
        }
        self.depth += 1;
        let beside = std::mem::take(&mut self.height);
        let result = stacker::maybe_grow(STACK_RED_ZONE, STACK_GROWTH, || rule(self));
        self.depth -= 1;
        self.height = beside.max(self.height + 1);
        result
    }

    /// Runs a rule whose tree stands beside what the level has, not on top of it.
    pub fn beside<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::take(&mut self.height);
        let result = rule(self);
        self.height = self.height.max(before);
        result
    }

    /// Tells that a loop puts one more node on top of what it has.
    pub fn grow(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > MAX_HEIGHT { Err(self.too_complex()) } else { Ok(()) }
    }

    fn too_complex(&self) -> Error {
        error::at(
            self.text,
            self.peek().start,
            Error::new("FAILED_TO_PARSE_TOO_COMPLEX").message(
                "The statement is nested too deeply or chains too much. Break it into smaller ones.",
            ),
        )
    }

    // ---- errors

    /// Notes an error that is not one of syntax, and goes on: the text may have a syntax error further on, which
    /// counts more, as a tree is built only of text that parses.
    pub fn note(&mut self, error: Error) {
        self.meaning_error.get_or_insert(error);
    }

    /// Notes an error about the whole statement.
    pub fn note_statement(&mut self, error: Error) {
        if self.meaning_error.is_none() {
            self.meaning_error = Some(error);
            self.meaning_start = Some(self.statement_start);
        }
    }

    /// The error noted, where the syntax had none.
    pub fn noted(&mut self) -> Result<()> {
        match (self.meaning_error.take(), self.meaning_start.take()) {
            (Some(error), Some(start)) => {
                let mut end = self.pos;
                while end > start + 1 && self.tokens[end - 1].text == ";" {
                    end -= 1;
                }
                Err(self.error_about(start, end - 1, error))
            }
            (Some(error), None) => Err(error),
            (None, _) => Ok(()),
        }
    }

    /// A syntax error at the current token.
    pub fn unexpected(&self) -> Error {
        self.unexpected_with(self.peek(), "")
    }

    pub fn unexpected_at(&self, pos: usize) -> Error {
        self.unexpected_with(self.tokens[pos.min(self.tokens.len() - 1)], "")
    }

    fn unexpected_with(&self, token: Token, hint: &str) -> Error {
        let found = match token.kind {
            Kind::End => None,
            // The lexer of Spark ends the token after the opening tag.
            Kind::DollarQuoted => {
                let source = self.source(token);
                Some(&source[..source[1..].find('$').map_or(1, |i| i + 2)])
            }
            _ => Some(self.source(token)),
        };
        error::syntax(self.text, token.start, found, hint)
    }

    /// An error about the tokens from `start` to the last one taken.
    pub fn error_from(&self, start: usize, error: Error) -> Error {
        let end = self.pos.max(start + 1) - 1;
        self.error_about(start, end, error)
    }

    /// An error about the tokens `first..=last`.
    pub fn error_about(&self, first: usize, last: usize, error: Error) -> Error {
        let bound = self.tokens.len() - 1;
        let (first, last) = (self.tokens[first.min(bound)], self.tokens[last.min(bound)]);
        error::about(self.text, first.start, last.end.max(first.start), error)
    }

    /// Takes NOT; `!` in its place is refused unless a setting allows it.
    pub fn eat_not(&mut self) -> Result<bool> {
        if self.eat("NOT") {
            return Ok(true);
        }
        if !self.at_symbol("!") {
            return Ok(false);
        }
        if !self.options.bang_equals_not {
            return Err(self.error_about(
                self.pos,
                self.pos,
                Error::new("SYNTAX_DISCONTINUED.BANG_EQUALS_NOT")
                    .param("clause", "!")
                    .message("Write NOT: ! stands for it only before an expression."),
            ));
        }
        self.advance();
        Ok(true)
    }

    /// The source between a token and the last one taken.
    pub fn text_from(&self, start: usize) -> &'a str {
        let end = self.pos.max(start + 1) - 1;
        &self.text[self.tokens[start].start..self.tokens[end].end]
    }

    /// The same for a text that is read again later: the values of parameters stand in their places.
    pub fn bound_text_from(&self, start: usize) -> String {
        let end = self.tokens[self.pos.max(start + 1) - 1].end;
        let mut at = self.tokens[start].start;
        let mut out = String::new();
        for (marker, value) in &self.bound {
            if marker.start >= at && marker.end <= end {
                out.push_str(&self.text[at..marker.start]);
                out.push_str(value);
                at = marker.end;
            }
        }
        out.push_str(&self.text[at..end]);
        out
    }

    /// Notes the value of the marker that was read from token `start` on.
    pub fn note_bound(&mut self, start: usize, value: String) {
        let end = self.tokens[self.pos.max(start + 1) - 1].end;
        self.bound.push((self.tokens[start].start..end, value));
    }
}
