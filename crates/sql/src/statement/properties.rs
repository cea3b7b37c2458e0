//! Property lists, partition specifications, comments.

use boathouse_spec::{Error, Expr, Literal, Options, PartitionSpec, Result, TextExpr, quote};

use super::not_allowed;
use crate::identifier::fold_string;
use crate::lexer::Kind;
use crate::parser::Parser;

impl Parser<'_> {
    /// `('key' = 'value', key.part value, ..)`
    pub fn property_list(&mut self) -> Result<Options> {
        let start = self.pos;
        let pairs = self.parenthesized(Self::property)?;
        let without: Vec<&str> = pairs.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.as_str()).collect();
        if !without.is_empty() {
            let message = format!("Values must be specified for key(s): [{}]", without.join(","));
            self.note_statement(not_allowed(&message));
        }
        self.refuse_duplicate_keys(start, pairs.iter().map(|(k, _)| k));
        Ok(pairs.into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
    }

    /// `('key', key.part, ..)`
    pub fn property_keys(&mut self) -> Result<Vec<String>> {
        let pairs = self.parenthesized(Self::property)?;
        let with: Vec<&str> = pairs.iter().filter(|(_, v)| v.is_some()).map(|(k, _)| k.as_str()).collect();
        if !with.is_empty() {
            let message = format!("Values should not be specified for key(s): [{}]", with.join(","));
            self.note_statement(not_allowed(&message));
        }
        Ok(pairs.into_iter().map(|(k, _)| k).collect())
    }

    fn refuse_duplicate_keys<'k>(&mut self, start: usize, keys: impl Iterator<Item = &'k String>) {
        let mut seen = std::collections::HashSet::new();
        for key in keys {
            if !seen.insert(key) {
                let error = self.error_from(
                    start,
                    Error::new("DUPLICATE_KEY")
                        .param("keyColumn", quote(key))
                        .message(format!("The key `{key}` stands there more than once.")),
                );
                self.note(error);
            }
        }
    }

    /// `key [=] [value]`
    fn property(&mut self) -> Result<(String, Option<String>)> {
        let key = self.property_key()?;
        if self.eat_symbol("=") {
            return Ok((key, Some(self.property_value()?)));
        }
        if self.at_symbol(",") || self.at_symbol(")") {
            return Ok((key, None));
        }
        Ok((key, Some(self.property_value()?)))
    }

    /// A string, or identifiers with points. Without an equals sign after it, one string is the key and the next the value.
    pub fn property_key(&mut self) -> Result<String> {
        if !self.at_string() {
            return Ok(self.name()?.join("."));
        }
        let mut strings = 1;
        while self.is_string(self.peek_at(strings)) {
            strings += 1;
        }
        if self.symbol_at(strings, "=") { self.string_literal() } else { self.single_string() }
    }

    fn property_value(&mut self) -> Result<String> {
        let token = self.peek();
        if self.at_any(&["TRUE", "FALSE"]) && matches!(self.peek_at(1).text, "," | ")") {
            self.advance();
            return Ok(token.text.to_ascii_lowercase());
        }
        if matches!(token.kind, Kind::Integer | Kind::Decimal) && matches!(self.peek_at(1).text, "," | ")") {
            self.advance();
            return Ok(self.source(token).to_string());
        }
        if self.at_string() && self.string_ends_value() {
            return self.string_literal();
        }
        Err(self.unexpected_at(self.pos + usize::from(self.at_string())))
    }

    fn string_ends_value(&self) -> bool {
        let mut offset = 0;
        while self.is_string(self.peek_at(offset)) {
            offset += 1;
        }
        offset == 0 || matches!(self.peek_at(offset).text, "," | ")")
    }

    /// As [`Self::property_list`], with values computed from literals.
    pub fn expression_property_list(&mut self) -> Result<Options> {
        let start = self.pos;
        let pairs = self.parenthesized(|p| {
            let key = p.property_key()?;
            let has_sign = p.eat_symbol("=");
            if !has_sign && (p.at_symbol(",") || p.at_symbol(")")) {
                return Ok((key, None));
            }
            let value_start = p.pos;
            let token = p.peek();
            let expr = p.expression()?;
            let text = match &expr {
                Expr::Literal(Literal::Boolean(b)) => Some(b.to_string()),
                Expr::Literal(
                    Literal::Integer(_) | Literal::Long(_) | Literal::Decimal { .. } | Literal::Double(_),
                ) if p.pos == value_start + 1 => Some(p.source(token).to_string()),
                Expr::Literal(_) if p.is_number(p.tokens[p.pos - 1]) => {
                    Some(p.text_from(value_start).to_string())
                }
                other => fold_string(other),
            };
            match text {
                Some(text) => Ok((key, Some(text))),
                None => Err(Error::unsupported(format!(
                    "the option value {}, which is not a literal",
                    p.text_from(value_start)
                ))),
            }
        })?;
        let without: Vec<&str> = pairs.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.as_str()).collect();
        if !without.is_empty() {
            let message = format!("A value must be specified for the key: {}.", without[0]);
            self.note_statement(not_allowed(&message));
        }
        self.refuse_duplicate_keys(start, pairs.iter().map(|(k, _)| k));
        Ok(pairs.into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
    }

    /// `PARTITION (a = 1, b)` if it stands here.
    pub fn optional_partition_spec(&mut self) -> Result<Option<PartitionSpec>> {
        self.is_at_partition().then(|| self.partition_spec()).transpose()
    }

    fn is_at_partition(&self) -> bool {
        self.at("PARTITION") && self.symbol_at(1, "(")
    }

    pub fn partition_spec(&mut self) -> Result<PartitionSpec> {
        let start = self.pos;
        self.expect("PARTITION")?;
        let mut uses_default = false;
        let spec = self.parenthesized(|p| {
            let name = p.bare_identifier()?;
            if !p.eat_symbol("=") {
                return Ok((name, None));
            }
            if p.at("DEFAULT") && matches!(p.peek_at(1).text, "," | ")") {
                p.advance();
                uses_default = true;
                return Ok((name, None));
            }
            Ok((name, Some(p.partition_value()?)))
        })?;
        if uses_default {
            let error = Error::new("REF_DEFAULT_VALUE_IS_NOT_ALLOWED_IN_PARTITION")
                .message("A PARTITION clause takes values, not DEFAULT.");
            let error = self.error_from(start, error);
            self.note(error);
        }
        self.refuse_duplicate_keys(start, spec.iter().map(|(k, _)| k));
        Ok(spec)
    }

    /// `PARTITION (a = 1)` if it stands here: each column with its value.
    pub fn optional_partition_values(&mut self) -> Result<Option<PartitionSpec>> {
        self.is_at_partition().then(|| self.partition_values()).transpose()
    }

    /// `PARTITION (a = 1)`, each column with its value (Spark's `visitNonOptionalPartitionSpec`).
    pub fn partition_values(&mut self) -> Result<PartitionSpec> {
        let start = self.pos;
        let spec = self.partition_spec()?;
        if let Some((key, _)) = spec.iter().find(|(_, value)| value.is_none()) {
            let error = Error::new("INVALID_SQL_SYNTAX.EMPTY_PARTITION_VALUE")
                .param("partKey", quote(key))
                .message(format!("The partition column {} needs a value.", quote(key)));
            let error = self.error_from(start, error);
            self.note(error);
        }
        Ok(spec)
    }

    /// A constant.
    fn partition_value(&mut self) -> Result<Expr> {
        let start = self.pos;
        let value = self.value_expression()?;
        let constant =
            matches!(value, Expr::Literal(_) | Expr::NamedParameter(_) | Expr::PositionalParameter(_));
        if constant { Ok(value) } else { Err(self.unexpected_at(start)) }
    }

    /// `COMMENT '..'`; the word is read.
    pub fn comment_text(&mut self) -> Result<String> {
        self.string_literal()
    }

    /// A string, or NULL for none.
    pub fn comment_or_null(&mut self) -> Result<Option<String>> {
        if self.eat("NULL") {
            return Ok(None);
        }
        self.string_literal().map(Some)
    }

    /// An expression with its text.
    pub fn text_expression(&mut self) -> Result<TextExpr> {
        let start = self.pos;
        let expr = self.expression()?;
        Ok(TextExpr { text: self.bound_text_from(start), expr })
    }

    /// A clause that may stand once.
    pub fn once(&mut self, seen: &mut Vec<&'static str>, clause: &'static str) {
        if seen.contains(&clause) {
            self.note_statement(
                Error::new("DUPLICATE_CLAUSES")
                    .param("clauseName", clause)
                    .message(format!("The clause {clause} stands there more than once.")),
            );
        }
        seen.push(clause);
    }
}
