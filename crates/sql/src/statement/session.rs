//! The session: SET, RESET, USE, EXECUTE IMMEDIATE.

use boathouse_spec::{Command, Error, Expr, Literal, Plan, Result, TimeZoneSetting, UseTarget};

use super::command;
use crate::error;
use crate::identifier::Reference;
use crate::lexer::Kind;
use crate::parser::Parser;

const MAX_OFFSET_SECONDS: i64 = 18 * 3600;

impl Parser<'_> {
    pub fn use_statement(&mut self) -> Result<Plan> {
        self.expect("USE")?;
        let named = self.is_identifier(self.peek_at(1));
        let kind = self.peek().text;
        let target = match kind {
            "DATABASE" | "SCHEMA" | "NAMESPACE" if named => {
                self.advance();
                UseTarget::Schema(self.reference_name()?)
            }
            "CATALOG" if named => {
                self.advance();
                UseTarget::Catalog(self.reference_name()?)
            }
            _ => match self.reference()? {
                Reference::Name(name) => UseTarget::Any(name),
                Reference::Clause(expr) => UseTarget::Identifier(expr),
            },
        };
        Ok(command(Command::Use(target)))
    }

    /// The source after the token up to the semicolons that end the statement.
    fn raw_rest(&mut self, after: usize) -> String {
        let begin = self.tokens[after].end;
        self.pos = self.tokens.len() - 1;
        self.text[begin..].trim().trim_end_matches([';', ' ', '\t', '\r', '\n']).to_string()
    }

    pub fn set(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("SET")?;
        let next = self.peek_at(1);
        let is_assignment = next.text == "=";
        let set = match self.peek().text {
            "CATALOG" if self.is_identifier(next) || self.is_string(next) => {
                self.advance();
                let name = if self.is_string(self.peek()) {
                    vec![self.string_literal()?]
                } else {
                    self.reference_name()?
                };
                Command::Use(UseTarget::Catalog(name))
            }
            "ROLE" if !is_assignment => {
                self.skip_rest();
                return Err(self.invalid_statement(start, "SET ROLE"));
            }
            "TIME" if self.at_offset(1, "ZONE") => return self.set_time_zone(),
            "PATH" if is_assignment => return Err(Error::unsupported("SET PATH")),
            "VAR" | "VARIABLE" if self.is_identifier(next) || next.text == "(" => {
                self.advance();
                return self.set_variables();
            }
            _ => return self.set_configuration(start),
        };
        Ok(command(set))
    }

    fn set_time_zone(&mut self) -> Result<Plan> {
        let start = self.pos - 1;
        self.pos += 2;
        if self.eat("LOCAL") {
            return Ok(command(Command::SetTimeZone(TimeZoneSetting::Local)));
        }
        if self.at_string() {
            let zone = self.string_literal()?;
            return Ok(command(Command::SetTimeZone(TimeZoneSetting::Zone(zone))));
        }
        if self.at_interval() {
            let interval = match self.peek_at(1) {
                token if self.is_string(token) && self.peek_at(2).kind != Kind::Word => {
                    self.typed_literal()?
                }
                _ => Expr::Literal(self.interval()?),
            };
            let micros = match interval {
                Expr::Literal(Literal::DayTimeInterval { microseconds, .. }) => Some(microseconds),
                Expr::Literal(Literal::CalendarInterval(i)) if i.months == 0 && i.days == 0 => {
                    Some(i.microseconds)
                }
                _ => None,
            };
            let seconds = micros
                .filter(|us| us % 1_000_000 == 0)
                .map(|us| us / 1_000_000)
                .filter(|s| s.abs() <= MAX_OFFSET_SECONDS);
            return match seconds {
                Some(seconds) => Ok(command(Command::SetTimeZone(TimeZoneSetting::Offset(seconds as i32)))),
                None => Err(self.error_from(
                    start,
                    Error::new("INVALID_INTERVAL_FORMAT.TIMEZONE_INTERVAL_OUT_OF_RANGE")
                        .param("input", self.source(self.tokens[start + 4]))
                        .message("A time zone is whole seconds within 18 hours of UTC."),
                )),
            };
        }
        self.skip_rest();
        Err(self.error_from(
            start,
            Error::new("_LEGACY_ERROR_TEMP_0045")
                .message("SET TIME ZONE takes a zone's name, LOCAL, or an interval."),
        ))
    }

    /// `a = 1, b = 2` or `(a, b) = (SELECT ..)`
    pub fn set_variables(&mut self) -> Result<Plan> {
        if self.eat_symbol("(") {
            let names = self.names()?;
            self.expect_symbol(")")?;
            self.expect_symbol("=")?;
            self.expect_symbol("(")?;
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(command(Command::SetVariablesFromQuery { names, query }));
        }
        let assignments = self.list(Self::assignment)?;
        Ok(command(Command::SetVariables { assignments }))
    }

    /// `SET`, `SET -v`, `SET key`, ``SET `key` = `value` ``, `SET key = anything`
    fn set_configuration(&mut self, start: usize) -> Result<Plan> {
        let invalid = |p: &Self| {
            error::about(
                p.text,
                p.tokens[start].start,
                p.text.trim_end().len(),
                Error::new("INVALID_SET_SYNTAX").message(
                    "SET takes nothing, a key, or key=value; other characters in them need backticks.",
                ),
            )
        };
        let quoted_key =
            (self.kind() == Kind::BackQuoted).then(|| self.identifier_text(self.peek())).transpose()?;
        let key_token = self.pos;
        let rest = self.raw_rest(start);
        let (key, value) = if let Some(key) = quoted_key {
            match self.tokens[key_token + 1] {
                token if token.kind == Kind::End || token.text == ";" => (key, None),
                token if token.text == "=" => {
                    let text = self.text[token.end..].trim().trim_end_matches([';', ' ', '\t', '\r', '\n']);
                    (key, Some(text.to_string()))
                }
                _ => return Err(invalid(self)),
            }
        } else {
            if rest.is_empty() {
                return Ok(command(Command::ShowSettings { verbose: false }));
            }
            if rest == "-v" {
                return Ok(command(Command::ShowSettings { verbose: true }));
            }
            let is_key = |k: &str| {
                !k.is_empty()
                    && k.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'\\'))
            };
            match rest.split_once('=') {
                Some((key, value)) if is_key(key.trim_end()) => {
                    (key.trim_end().to_string(), Some(value.trim().to_string()))
                }
                None if is_key(&rest) => (rest, None),
                Some((key, value)) if value.trim().starts_with('`') => {
                    return Err(self.invalid_property("KEY", key.trim(), value.trim()));
                }
                _ => return Err(invalid(self)),
            }
        };
        let Some(value) = value else { return Ok(command(Command::ShowSetting { key })) };
        if let Some(inner) = value.strip_prefix('`').and_then(|v| v.strip_suffix('`')) {
            return Ok(command(Command::Set { key, value: inner.replace("``", "`") }));
        }
        if value.contains(';') {
            return Err(self.invalid_property("VALUE", &key, &value));
        }
        Ok(command(Command::Set { key, value }))
    }

    fn invalid_property(&self, what: &str, key: &str, value: &str) -> Error {
        error::about(
            self.text,
            self.tokens[0].start,
            self.text.trim_end_matches([';', ' ', '\t', '\r', '\n']).len(),
            Error::new(format!("INVALID_PROPERTY_{what}"))
                .param("key", format!("\"{key}\""))
                .param("value", format!("\"{}\"", value.trim_matches('`')))
                .message(format!("Put the {} in backticks: SET `{key}`=`{value}`.", what.to_lowercase())),
        )
    }

    pub fn reset(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("RESET")?;
        if self.kind() == Kind::BackQuoted {
            let token = self.advance();
            return Ok(command(Command::Reset { key: Some(self.identifier_text(token)?) }));
        }
        let rest = self.raw_rest(start);
        if rest.is_empty() {
            return Ok(command(Command::Reset { key: None }));
        }
        if rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'\\')) {
            return Ok(command(Command::Reset { key: Some(rest) }));
        }
        Err(error::about(
            self.text,
            self.tokens[start].start,
            self.text.trim_end().len(),
            Error::new("INVALID_RESET_COMMAND_FORMAT")
                .message("RESET takes nothing or a key; other characters in it need backticks."),
        ))
    }

    /// `EXECUTE IMMEDIATE text [INTO a, b] [USING x [AS p], ..]`
    pub fn execute_immediate(&mut self) -> Result<Plan> {
        self.expect_all(&["EXECUTE", "IMMEDIATE"])?;
        let text = self.expression()?;
        let into = if self.eat("INTO") { self.names()? } else { vec![] };
        let using = self.using_arguments()?;
        Ok(command(Command::ExecuteImmediate { text, into, using }))
    }

    /// `[USING value [AS parameter], ..]`
    pub fn using_arguments(&mut self) -> Result<Vec<Expr>> {
        let start = self.pos;
        let mut using = vec![];
        if self.eat("USING") {
            let open = self.peek();
            let all = open.text == "("
                && open.pair != 0
                && matches!(self.tokens[open.pair + 1].text, "" | ";")
                && !self.is_query_at(self.pos + 1);
            using = if all { self.parenthesized(Self::named_expression)? } else { self.named_expressions()? };
            self.refuse_duplicate_arguments(start, &using)?;
        }
        Ok(using)
    }

    fn refuse_duplicate_arguments(&self, start: usize, using: &[Expr]) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        let mut duplicates: Vec<String> = Vec::new();
        for expr in using {
            if let Expr::Alias { names, .. } = expr
                && let [name] = names.as_slice()
            {
                if seen.contains(&name.as_str()) {
                    duplicates.push(boathouse_spec::quote(name));
                }
                seen.push(name);
            }
        }
        if duplicates.is_empty() {
            return Ok(());
        }
        let aliases = duplicates.join(", ");
        Err(self.error_from(
            start,
            Error::new("EXEC_IMMEDIATE_DUPLICATE_ARGUMENT_ALIASES")
                .param("aliases", &aliases)
                .message(format!("USING names an argument more than once: {aliases}.")),
        ))
    }
}
