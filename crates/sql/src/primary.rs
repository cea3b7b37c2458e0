//! Primary expressions: what operators work on, with their postfix forms.

use boathouse_spec::{CastMode, Column, Expr, Literal, Name, Origin, Result, Star};

use crate::lexer::{Kind, Token};
use crate::parser::Parser;
use crate::types::replace_characters;

/// Words that name a value without parentheses. They are columns first, so they stay names: the analyzer takes them for
/// functions where no column has the name. Where reserved keywords are enforced they cannot be columns.
const VALUE_WORDS: &[&str] = &[
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "USER",
    "SESSION_USER",
    "CURRENT_TIME",
    "CURRENT_PATH",
];

/// `variant:path`; the arguments are the variant and the path.
pub(crate) const SEMI_STRUCTURED_EXTRACT: &str = "semi_structured_extract";

/// The name Spark gives `variant:path`, also inside casts: the last name of the path.
pub(crate) fn path_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Cast { expr, .. } => path_name(expr),
        Expr::Call(call) if call.is_operator && call.name[0] == SEMI_STRUCTURED_EXTRACT => {
            let Some(Expr::Literal(Literal::String(path))) = call.args.get(1) else { return None };
            // Indexes are no names.
            let mut path = path.strip_prefix('$')?;
            while let Some((head, index)) = path.strip_suffix(']').and_then(|p| p.rsplit_once('[')) {
                if !index.bytes().all(|b| b.is_ascii_digit()) {
                    return Some(index.trim_matches(['\'', '"']).to_string());
                }
                path = head;
            }
            path.rsplit_once('.').map(|(_, name)| name.to_string())
        }
        _ => None,
    }
}

impl Parser<'_> {
    pub fn primary(&mut self) -> Result<Expr> {
        let start = self.pos;
        let base = self.primary_base()?;
        let base = self.placed(start, base);
        self.postfix(start, base)
    }

    fn primary_base(&mut self) -> Result<Expr> {
        let token = self.peek();
        match token.kind {
            Kind::Symbol => self.primary_symbol(token),
            Kind::String => self.string_literal().map(Expr::string),
            Kind::DoubleQuoted if self.is_string(token) => self.string_literal().map(Expr::string),
            Kind::Word | Kind::BackQuoted | Kind::DoubleQuoted => self.primary_word(token),
            _ if self.is_number(token) => self.number().map(Expr::Literal),
            _ => Err(self.unexpected()),
        }
    }

    fn primary_symbol(&mut self, token: Token) -> Result<Expr> {
        match token.text {
            "(" => self.parenthesis(token),
            "*" => {
                self.advance();
                self.star(None)
            }
            "-" => self.number().map(Expr::Literal),
            "?" | ":" if self.at_parameter_marker() => {
                // A string value joins with strings beside it.
                let value = self.parameter()?;
                match value {
                    Expr::Literal(Literal::String(text)) if self.at_string() => {
                        Ok(Expr::string(text + &self.string_literal()?))
                    }
                    other => Ok(other),
                }
            }
            ":" => Err(self.unexpected_at(self.pos + 1)),
            _ => Err(self.unexpected()),
        }
    }

    fn star(&mut self, target: Option<Name>) -> Result<Expr> {
        let mut star = Star { target, ..Star::default() };
        if self.at("EXCEPT") && self.symbol_at(1, "(") && !self.is_query_at(self.pos + 2) {
            self.advance();
            star.except = self.parenthesized(Self::name)?;
        }
        Ok(Expr::Star(star))
    }

    /// A subquery, a lambda's parameters, a row, or an expression in parentheses.
    fn parenthesis(&mut self, open: Token) -> Result<Expr> {
        if self.is_query_at(self.pos + 1) {
            let start = self.pos;
            self.advance();
            let query = self.subquery()?;
            self.expect_symbol(")")?;
            return Ok(self.placed(start, Expr::ScalarSubquery(Box::new(query))));
        }
        if open.pair != 0 && self.tokens[open.pair + 1].text == "->" {
            let parameters = self.parenthesized(Self::bare_identifier)?;
            return self.lambda(parameters);
        }
        self.advance();
        let first = self.expression()?;
        if self.eat_symbol(")") {
            return Ok(first);
        }
        let first = self.finish_named(first)?;
        let mut values = vec![first];
        if !self.at_symbol(",") {
            return Err(self.unexpected());
        }
        while self.eat_symbol(",") {
            values.push(self.named_expression()?);
        }
        self.expect_symbol(")")?;
        Ok(Expr::operator("struct", values))
    }

    fn finish_named(&mut self, expr: Expr) -> Result<Expr> {
        if !self.at("AS") && !self.at_alias() {
            return Ok(expr);
        }
        self.eat("AS");
        Ok(expr.alias(self.identifier()?))
    }

    fn lambda(&mut self, parameters: Vec<String>) -> Result<Expr> {
        self.expect_symbol("->")?;
        let outer = self.lambda_parameters.len();
        self.lambda_parameters.extend(parameters.iter().cloned());
        let body = self.expression();
        self.lambda_parameters.truncate(outer);
        Ok(Expr::Lambda { body: Box::new(body?), parameters })
    }

    fn primary_word(&mut self, token: Token) -> Result<Expr> {
        let next = self.peek_at(1);
        if token.kind == Kind::Word
            && let Some(expr) = self.keyword_expression(token, next)?
        {
            return Ok(expr);
        }
        // A word and a string are a typed literal, of a type that may not exist.
        if self.is_string(next) && next.kind != Kind::End {
            let is_type = self.is_identifier(token) || matches!(token.text, "TIME" | "INTERVAL");
            if is_type && token.kind == Kind::Word {
                return self.typed_literal();
            }
        }
        if next.text == "->" {
            let parameter = self.bare_identifier()?;
            return self.lambda(vec![parameter]);
        }
        if token.text == "IDENTIFIER" && next.text == "(" && next.pair != 0 {
            return self.identifier_clause(next);
        }
        self.name_or_call()
    }

    /// Forms that begin with a keyword.
    fn keyword_expression(&mut self, token: Token, next: Token) -> Result<Option<Expr>> {
        let literal = |value: Literal| Ok(Some(Expr::Literal(value)));
        // `null.x` and `true(..)` are names.
        let alone = !matches!(next.text, "." | "(" | "->");
        match token.text {
            "NULL" if alone => {
                self.advance();
                literal(Literal::NULL)
            }
            "TRUE" | "FALSE" if alone => {
                self.advance();
                literal(Literal::Boolean(token.text == "TRUE"))
            }
            "INTERVAL" if self.at_interval() => {
                // A lone string is the text form: a typed literal.
                if self.is_string(next) && !self.string_has_unit() {
                    return self.typed_literal().map(Some);
                }
                self.interval().map(|value| Some(Expr::Literal(value)))
            }
            "CASE" if self.begins_case(next) => self.case().map(Some),
            "CAST" | "TRY_CAST" if next.text == "(" && self.has_word_inside(self.pos + 1, "AS") => {
                self.cast(token.text).map(Some)
            }
            _ if VALUE_WORDS.contains(&token.text) && alone && self.options.reserves_keywords() => {
                self.advance();
                Ok(Some(Expr::call(&token.text.to_ascii_lowercase(), vec![])))
            }
            _ => Ok(None),
        }
    }

    /// Whether the strings after INTERVAL are followed by a unit.
    fn string_has_unit(&self) -> bool {
        const UNITS: &[&str] = &[
            "NANOSECOND",
            "MICROSECOND",
            "MILLISECOND",
            "SECOND",
            "MINUTE",
            "HOUR",
            "DAY",
            "WEEK",
            "MONTH",
            "YEAR",
        ];
        let mut offset = 1;
        while self.is_string(self.peek_at(offset)) {
            offset += 1;
        }
        let token = self.peek_at(offset);
        token.kind == Kind::Word && UNITS.contains(&token.text.strip_suffix('S').unwrap_or(token.text))
    }

    fn begins_case(&self, next: Token) -> bool {
        match next.kind {
            Kind::End => false,
            Kind::Symbol => matches!(next.text, "(" | "-" | "+" | "~" | ":" | "?" | "!"),
            Kind::Word => !matches!(next.text, "FROM" | "AS" | "END"),
            _ => true,
        }
    }

    /// `CASE [value] WHEN .. THEN .. [ELSE ..] END`
    fn case(&mut self) -> Result<Expr> {
        self.expect("CASE")?;
        let value = if self.at("WHEN") { None } else { Some(self.expression()?) };
        let mut args = Vec::new();
        while self.eat("WHEN") {
            let condition = self.expression()?;
            args.push(match &value {
                Some(value) => Expr::operator("==", vec![value.clone(), condition]),
                None => condition,
            });
            self.expect("THEN")?;
            args.push(self.expression()?);
        }
        if args.is_empty() {
            return Err(self.unexpected());
        }
        if self.eat("ELSE") {
            args.push(self.expression()?);
        }
        self.expect("END")?;
        Ok(Expr::operator("when", args))
    }

    fn cast(&mut self, word: &str) -> Result<Expr> {
        self.pos += 2;
        let expr = self.expression()?;
        self.expect("AS")?;
        let to = replace_characters(self.data_type()?);
        self.expect_symbol(")")?;
        let mode = if word == "TRY_CAST" { CastMode::Try } else { CastMode::Session };
        Ok(Expr::Cast { expr: Box::new(expr), to, mode, origin: Origin::default() })
    }

    /// `IDENTIFIER(expr)` as a column or as a function's name.
    fn identifier_clause(&mut self, open: Token) -> Result<Expr> {
        let start = self.pos;
        let after = self.tokens[open.pair + 1];
        if self.is_identifier(self.peek_at(2)) && self.tokens[self.pos + 3].text == "=>" {
            return self.name_or_call();
        }
        // A function called `identifier` has none or several arguments.
        let no_clause = open.pair == start + 2 || self.has_comma_inside(start + 1);
        if no_clause {
            return self.name_or_call();
        }
        self.pos += 2;
        let expr = self.expression()?;
        self.expect_symbol(")")?;
        // The clause is a column, and what follows a point is one of its fields: no table is named here.
        if after.text == "." && self.symbol_at(1, "*") {
            let target = self.text_from(start).to_string();
            self.pos += 2;
            return self.star(Some(vec![target]));
        }
        let folded = crate::identifier::fold_string(&expr);
        if after.text == "(" {
            let name = match folded {
                Some(text) => self.parse_name_text(start, &text)?,
                None => self.set_aside(start, expr)?,
            };
            return self.function_call(start, name);
        }
        match folded {
            Some(text) => {
                let name = self.parse_name_text(start, &text)?;
                // A field that is named so goes by its whole path, unlike one that `a.b` names.
                Ok(match name.len() {
                    1 => self.column(name),
                    _ => Expr::Identifier(Box::new(Expr::string(text))),
                })
            }
            None => Ok(Expr::Identifier(Box::new(expr))),
        }
    }

    /// Whether a comma stands directly inside the brackets that open at the token.
    fn has_comma_inside(&self, open: usize) -> bool {
        let close = self.tokens[open].pair;
        let mut pos = open + 1;
        while pos < close {
            let token = self.tokens[pos];
            if token.text == "," {
                return true;
            }
            pos = if token.pair > pos { token.pair + 1 } else { pos + 1 };
        }
        false
    }

    /// `a.b.c`, `a.b.*`, `a.b(..)`
    fn name_or_call(&mut self) -> Result<Expr> {
        let start = self.pos;
        let first = self.peek();
        // LEFT, RIGHT and FILTER name functions even where they are reserved.
        let is_function_word = matches!(first.text, "LEFT" | "RIGHT" | "FILTER") && self.symbol_at(1, "(");
        if is_function_word && first.kind == Kind::Word {
            self.advance();
            return self.function_call(start, vec![self.source(first).to_string()]);
        }
        let mut quoted = first.kind == Kind::BackQuoted;
        let mut name = vec![];
        name.extend(self.name_element()?);
        if self.at_call() {
            return self.function_call(start, name);
        }
        while self.at_symbol(".") {
            if self.symbol_at(1, "*") {
                self.pos += 2;
                return self.star(Some(name));
            }
            if !self.is_identifier(self.peek_at(1)) {
                return Err(self.unexpected_at(self.pos + 1));
            }
            self.advance();
            quoted = self.kind() == Kind::BackQuoted;
            name.push(self.simple_identifier()?);
            if self.at_call() {
                return self.function_call(start, name);
            }
        }
        if quoted && self.options.quoted_regex_column_names && self.in_select_list {
            // As a client's `colRegex` sends it: the last part keeps its backticks.
            let last = name.pop().unwrap_or_default();
            let mut pattern = name.iter().map(|part| format!("{part}.")).collect::<String>();
            pattern.push_str(&format!("`{last}`"));
            return Ok(Expr::ColumnRegex { pattern });
        }
        Ok(self.column(name))
    }

    fn at_call(&self) -> bool {
        self.at_symbol("(") && !(self.before_query && self.is_query_at(self.pos + 1))
    }

    /// One part of a name, or the several of `IDENTIFIER('a.b')`.
    fn name_element(&mut self) -> Result<Name> {
        let open = self.peek_at(1);
        let literal = !self.options.legacy_identifier_clause
            && self.at("IDENTIFIER")
            && open.text == "("
            && open.pair > self.pos + 2
            && self.all_string_tokens(self.pos + 2, open.pair);
        if literal {
            let start = self.pos;
            self.pos += 2;
            let text = self.string_literal()?;
            self.expect_symbol(")")?;
            return self.parse_name_text(start, &text);
        }
        Ok(vec![self.simple_identifier()?])
    }

    /// A column; a variable where a lambda around binds the name.
    pub fn column(&self, name: Name) -> Expr {
        let bound = name
            .first()
            .is_some_and(|first| self.lambda_parameters.iter().any(|p| p.eq_ignore_ascii_case(first)));
        if bound {
            return Expr::LambdaVariable(name);
        }
        Expr::Column(Column { name, ..Column::default() })
    }

    fn postfix(&mut self, start: usize, mut expr: Expr) -> Result<Expr> {
        loop {
            expr = self.placed(start, expr);
            let token = self.peek();
            if matches!(token.text, "[" | "::" | ":" | "." | "COLLATE") {
                self.grow()?;
            }
            match (token.kind, token.text) {
                (Kind::Symbol, ".") => {
                    if !self.is_identifier(self.peek_at(1)) {
                        return Err(self.unexpected_at(self.pos + 1));
                    }
                    self.advance();
                    let field_start = self.pos;
                    let fields = self.name_element()?;
                    let [field] = <[String; 1]>::try_from(fields)
                        .map_err(|fields| self.too_many_parts(field_start, &fields, 1))?;
                    // What an IDENTIFIER clause names is a column, and no part of a longer name.
                    expr = match self.is_identifier_clause(start) {
                        true => expr.extract(Expr::string(field)),
                        false => self.dereference(expr, field),
                    };
                }
                (Kind::Symbol, "[") => {
                    self.advance();
                    let extraction = self.value_expression()?;
                    self.expect_symbol("]")?;
                    expr = expr.extract(extraction);
                }
                (Kind::Symbol, "::") => {
                    self.advance();
                    let to = replace_characters(self.data_type()?);
                    expr = expr.cast(to);
                }
                (Kind::Symbol, ":") => {
                    if !self.at_path() {
                        return Err(self.unexpected_at(self.pos + 1));
                    }
                    self.advance();
                    let path = self.semi_structured_path()?;
                    expr = Expr::operator(SEMI_STRUCTURED_EXTRACT, vec![expr, Expr::string(path)]);
                }
                (Kind::Word, "COLLATE") if self.is_identifier(self.peek_at(1)) => {
                    self.advance();
                    let name = self.name()?.join(".");
                    expr = Expr::operator("collate", vec![expr, Expr::string(name)]);
                }
                _ => return Ok(expr),
            }
        }
    }

    fn is_identifier_clause(&self, start: usize) -> bool {
        let (word, open) = (self.tokens[start], self.tokens[start + 1]);
        word.text == "IDENTIFIER"
            && word.kind == Kind::Word
            && open.text == "("
            && !self.options.legacy_identifier_clause
    }

    fn dereference(&self, base: Expr, field: String) -> Expr {
        match base {
            Expr::Column(mut column) => {
                column.origin = Origin::default();
                column.name.push(field);
                Expr::Column(column)
            }
            Expr::LambdaVariable(mut name) => {
                name.push(field);
                Expr::LambdaVariable(name)
            }
            other => other.extract(Expr::string(field)),
        }
    }

    fn at_path(&self) -> bool {
        let next = self.peek_at(1);
        next.kind == Kind::BackQuoted || next.text == "[" || self.is_identifier(next)
    }

    /// The path after `:` of a variant, as `variant_get` takes it: `$.a.b[0]['c d']`. Spark writes names in backticks
    /// without them.
    fn semi_structured_path(&mut self) -> Result<String> {
        let start = self.pos;
        let mut first = true;
        loop {
            if first && !self.at_symbol("[") || !first && self.at_symbol(".") {
                if !first {
                    self.advance();
                }
                let token = self.peek();
                if token.kind != Kind::BackQuoted && !self.is_identifier(token) {
                    return Err(self.unexpected());
                }
                self.advance();
            } else if self.at_symbol("[") {
                let inner = self.peek_at(1);
                let allowed = inner.kind == Kind::Integer
                    || self.is_string(inner)
                    || (!first && self.is_identifier(inner));
                if !allowed {
                    return Err(self.unexpected_at(self.pos + 1));
                }
                self.pos += 2;
                while self.is_string(inner) && self.is_string(self.peek()) {
                    self.advance();
                }
                self.expect_symbol("]")?;
            } else {
                break;
            }
            first = false;
        }
        let mut path = String::from(if self.tokens[start].text == "[" { "$" } else { "$." });
        for token in &self.tokens[start..self.pos] {
            match token.kind {
                Kind::BackQuoted => path.push_str(&self.identifier_text(*token)?),
                _ => path.push_str(self.source(*token)),
            }
        }
        Ok(path)
    }
}
