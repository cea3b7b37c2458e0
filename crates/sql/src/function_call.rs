//! Function calls: plain ones, those with a syntax of their own, windows.

use boathouse_spec::{
    Call, Error, Expr, FrameBound, FrameUnits, Literal, Name, Result, Star, WindowFrame, WindowSpec,
};

use crate::error;
use crate::lexer::Kind;
use crate::parser::Parser;

const DATETIME_UNITS: &[&str] = &[
    "YEAR",
    "QUARTER",
    "MONTH",
    "WEEK",
    "DAY",
    "DAYOFYEAR",
    "HOUR",
    "MINUTE",
    "SECOND",
    "MILLISECOND",
    "MICROSECOND",
];

impl Parser<'_> {
    /// The arguments and what follows them; the name, from token `start` on, is read.
    pub fn function_call(&mut self, start: usize, name: Name) -> Result<Expr> {
        let simple = if name.len() == 1 { name[0].to_ascii_lowercase() } else { String::new() };
        let special = match simple.as_str() {
            "extract" => self.extract()?,
            "position" => self.position()?,
            "trim" => self.trim()?,
            "overlay" => self.overlay()?,
            "struct" => self.structure()?,
            _ => None,
        };
        if let Some(expr) = special {
            return Ok(expr);
        }
        self.expect_symbol("(")?;
        let mut call = Call { name, ..Call::default() };
        if !self.at_symbol(")") {
            self.quantifier(&mut call);
            call.args = match simple.as_str() {
                "substr" | "substring" => match self.substring(&simple)? {
                    Ok(special) => return Ok(special),
                    Err(args) => args,
                },
                _ => self.list(Self::function_argument)?,
            };
            if matches!(simple.as_str(), "first" | "last" | "any_value")
                && matches!(call.args.as_slice(), [_])
                && !call.distinct
                && self.eat_all(&["IGNORE", "NULLS"])
            {
                // A form of its own: no clause follows it.
                call.ignore_nulls = Some(true);
                self.expect_symbol(")")?;
                return Ok(self.placed(start, Expr::Call(Box::new(call))));
            }
        }
        self.expect_symbol(")")?;
        if let Some(expr) = self.datetime_function(start, &simple, &call)? {
            return Ok(expr);
        }
        self.finish_call(start, call, &simple)
    }

    fn quantifier(&mut self, call: &mut Call) {
        let begins = !matches!(self.peek_at(1).text, "," | ")" | "." | "=>" | "->" | "(" | "=")
            || (self.symbol_at(1, "(") && self.at("DISTINCT"));
        if begins && self.eat("DISTINCT") {
            call.distinct = true;
        } else if begins && self.at("ALL") && self.peek_at(1).kind != Kind::Symbol {
            self.advance();
        }
    }

    /// `name => value`, or an expression.
    pub fn function_argument(&mut self) -> Result<Expr> {
        if self.at_identifier() && self.symbol_at(1, "=>") {
            let name = self.simple_identifier()?;
            self.advance();
            let value = Box::new(self.expression()?);
            return Ok(Expr::NamedArgument { name, value });
        }
        self.expression()
    }

    /// WITHIN GROUP, FILTER, the treatment of nulls, and OVER.
    fn finish_call(&mut self, start: usize, mut call: Call, simple: &str) -> Result<Expr> {
        if self.at_all(&["WITHIN", "GROUP"]) && self.symbol_at(2, "(") {
            self.pos += 3;
            self.expect_all(&["ORDER", "BY"])?;
            call.order_by = self.sort_items()?;
            self.expect_symbol(")")?;
        }
        if self.at("FILTER") && self.symbol_at(1, "(") && self.at_offset(2, "WHERE") {
            self.pos += 3;
            call.filter = Some(self.expression()?);
            self.expect_symbol(")")?;
        }
        if self.at_offset(1, "NULLS") && self.at_any(&["IGNORE", "RESPECT"]) {
            call.ignore_nulls = Some(self.at("IGNORE"));
            self.pos += 2;
        }
        // Counting rows: `count(*)` is `count(1)`.
        let all_columns = matches!(call.args.as_slice(), [Expr::Star(Star { target: None, except, .. })] if except.is_empty());
        if simple == "count" && all_columns && !call.distinct {
            call.args = vec![Expr::literal(Literal::Integer(1))];
        }
        let expr = self.placed(start, Expr::Call(Box::new(call)));
        if self.at("OVER") && (self.symbol_at(1, "(") || self.is_identifier(self.peek_at(1))) {
            self.advance();
            let window = self.window_spec()?;
            let origin = self.origin(start);
            return Ok(Expr::Window { function: Box::new(expr), window: Box::new(window), origin });
        }
        Ok(expr)
    }

    // ---- syntax of their own

    /// `EXTRACT(field FROM source)`
    fn extract(&mut self) -> Result<Option<Expr>> {
        if !(self.symbol_at(0, "(") && self.is_identifier(self.peek_at(1)) && self.at_offset(2, "FROM")) {
            return Ok(None);
        }
        self.advance();
        let field = self.simple_identifier()?;
        self.expect("FROM")?;
        let source = self.value_expression()?;
        self.expect_symbol(")")?;
        Ok(Some(Expr::operator("extract", vec![Expr::string(field), source])))
    }

    /// `POSITION(part IN whole)`; the call with commas is none of its business.
    fn position(&mut self) -> Result<Option<Expr>> {
        let open = self.pos;
        if !self.symbol_at(0, "(") || !self.has_word_inside(open, "IN") {
            return Ok(None);
        }
        self.advance();
        let part = self.value_expression()?;
        self.expect("IN")?;
        let whole = self.value_expression()?;
        self.expect_symbol(")")?;
        Ok(Some(Expr::operator("locate", vec![part, whole])))
    }

    /// Whether the keyword stands directly inside the parentheses that open at `open`, before any comma.
    pub fn has_word_inside(&self, open: usize, keyword: &str) -> bool {
        let close = self.tokens[open].pair;
        let mut pos = open + 1;
        while pos < close {
            let token = self.tokens[pos];
            if token.kind == Kind::Word && token.text == keyword && pos > open + 1 {
                return true;
            }
            if token.text == "," {
                return false;
            }
            pos = if token.pair > pos { token.pair + 1 } else { pos + 1 };
        }
        false
    }

    /// `TRIM([BOTH | LEADING | TRAILING] [characters] FROM source)`
    fn trim(&mut self) -> Result<Option<Expr>> {
        let open = self.pos;
        let option_ahead = ["BOTH", "LEADING", "TRAILING"].iter().any(|k| self.at_offset(1, k));
        let special = self.has_word_inside(open, "FROM") || self.at_offset(1, "FROM");
        if !special || self.symbol_at(2, ")") {
            return Ok(None);
        }
        self.advance();
        let option = if option_ahead { self.eat_any(&["BOTH", "LEADING", "TRAILING"]) } else { None };
        let characters = if self.at("FROM") { None } else { Some(self.value_expression()?) };
        self.expect("FROM")?;
        let source = self.value_expression()?;
        self.expect_symbol(")")?;
        let name = match option {
            Some("LEADING") => "ltrim",
            Some("TRAILING") => "rtrim",
            _ => "trim",
        };
        let mut args: Vec<Expr> = characters.into_iter().collect();
        args.push(source);
        Ok(Some(Expr::operator(name, args)))
    }

    /// `OVERLAY(input PLACING replacement FROM position [FOR length])`
    fn overlay(&mut self) -> Result<Option<Expr>> {
        if !self.has_word_inside(self.pos, "PLACING") {
            return Ok(None);
        }
        self.advance();
        let mut args = vec![self.value_expression()?];
        self.expect("PLACING")?;
        args.push(self.value_expression()?);
        self.expect("FROM")?;
        args.push(self.value_expression()?);
        if self.eat("FOR") {
            args.push(self.value_expression()?);
        }
        self.expect_symbol(")")?;
        Ok(Some(Expr::operator("overlay", args)))
    }

    /// `STRUCT(expr [AS name], ..)`
    fn structure(&mut self) -> Result<Option<Expr>> {
        if !self.symbol_at(0, "(") || self.at_offset(1, "DISTINCT") {
            return Ok(None);
        }
        self.advance();
        let args = if self.at_symbol(")") { vec![] } else { self.list(Self::named_expression)? };
        self.expect_symbol(")")?;
        Ok(Some(Expr::call("struct", args)))
    }

    /// `SUBSTRING(text FROM position [FOR length])`, also with commas; other arguments are handed back.
    fn substring(&mut self, called: &str) -> Result<Result<Expr, Vec<Expr>>> {
        let mut args = vec![self.function_argument()?];
        if self.eat("FROM") {
            args.push(self.value_expression()?);
            if self.eat("FOR") || self.eat_symbol(",") {
                args.push(self.value_expression()?);
            }
            self.expect_symbol(")")?;
            return Ok(Ok(Expr::operator("substring", args)));
        }
        while self.eat_symbol(",") {
            args.push(self.function_argument()?);
        }
        if args.len() == 2 && self.eat("FOR") {
            args.push(self.value_expression()?);
        }
        let named = args.iter().any(|a| matches!(a, Expr::NamedArgument { .. }));
        if (2..=3).contains(&args.len()) && !named && self.eat_symbol(")") {
            return Ok(Ok(Expr::operator(called, args)));
        }
        Ok(Err(args))
    }

    /// `TIMESTAMPADD(unit, n, t)`, `DATEDIFF(unit, a, b)` and their other names: the unit is a bare word.
    fn datetime_function(&mut self, start: usize, simple: &str, call: &Call) -> Result<Option<Expr>> {
        let name = match simple {
            "timestampadd" | "dateadd" | "date_add" => "timestampadd",
            "timestampdiff" | "datediff" | "date_diff" | "timediff" => "timestampdiff",
            _ => return Ok(None),
        };
        // The unit is written as it is: IDENTIFIER('DAY') names a column.
        let is_clause = self.tokens[start + 2].text == "IDENTIFIER" && self.tokens[start + 3].text == "(";
        if call.args.len() != 3 || is_clause {
            return Ok(None);
        }
        match &call.args[0] {
            Expr::Column(column) if column.name.len() == 1 => {
                let unit = column.name[0].to_ascii_uppercase();
                if !DATETIME_UNITS.contains(&unit.as_str()) {
                    return Ok(None);
                }
                let mut args = call.args.clone();
                args[0] = Expr::string(unit);
                Ok(Some(Expr::operator(name, args)))
            }
            Expr::Literal(Literal::String(unit)) => {
                let error = Error::new("INVALID_PARAMETER_VALUE.DATETIME_UNIT")
                    .param("functionName", format!("`{simple}`"))
                    .param("parameter", "`unit`")
                    .param("invalidValue", format!("'{unit}'"))
                    .message(format!(
                        "The unit of {simple} is a bare word such as DAY or HOUR, not the string '{unit}'."
                    ));
                let error = self.error_from(start, error);
                self.note(error);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    // ---- windows

    /// `w`, `(w)`, `([PARTITION BY ..] [ORDER BY ..] [frame])`
    pub fn window_spec(&mut self) -> Result<WindowSpec> {
        if !self.at_symbol("(") {
            return self.identifier().map(WindowSpec::Named);
        }
        self.advance();
        if self.is_identifier(self.peek()) && self.symbol_at(1, ")") {
            let name = self.identifier()?;
            self.advance();
            return Ok(WindowSpec::Named(name));
        }
        let mut partition_by = vec![];
        let mut order_by = vec![];
        if self.eat_all(&["CLUSTER", "BY"]) {
            partition_by = self.expressions()?;
        } else {
            if self.at_offset(1, "BY") && self.eat_any(&["PARTITION", "DISTRIBUTE"]).is_some() {
                self.advance();
                partition_by = self.expressions()?;
            }
            if self.at_offset(1, "BY") && self.eat_any(&["ORDER", "SORT"]).is_some() {
                self.advance();
                order_by = self.sort_items()?;
            }
        }
        let frame = self.window_frame()?;
        self.expect_symbol(")")?;
        Ok(WindowSpec::Inline { partition_by, order_by, frame })
    }

    fn window_frame(&mut self) -> Result<Option<WindowFrame>> {
        let units = match self.eat_any(&["ROWS", "RANGE"]) {
            Some("ROWS") => FrameUnits::Rows,
            Some(_) => FrameUnits::Range,
            None => return Ok(None),
        };
        if self.eat("BETWEEN") {
            let start = self.frame_bound()?;
            self.expect("AND")?;
            let end = self.frame_bound()?;
            return Ok(Some(WindowFrame { units, start, end }));
        }
        let start = self.frame_bound()?;
        Ok(Some(WindowFrame { units, start, end: FrameBound::CurrentRow }))
    }

    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.at("UNBOUNDED") && (self.at_offset(1, "PRECEDING") || self.at_offset(1, "FOLLOWING")) {
            self.advance();
            let preceding = self.eat_any(&["PRECEDING", "FOLLOWING"]) == Some("PRECEDING");
            return Ok(if preceding {
                FrameBound::UnboundedPreceding
            } else {
                FrameBound::UnboundedFollowing
            });
        }
        if self.eat_all(&["CURRENT", "ROW"]) {
            return Ok(FrameBound::CurrentRow);
        }
        let start = self.pos;
        let value = self.expression()?;
        let preceding = match self.eat_any(&["PRECEDING", "FOLLOWING"]) {
            Some(word) => word == "PRECEDING",
            None => return Err(self.unexpected()),
        };
        if !is_constant(&value) {
            let error = error::legacy("0064", "msg", "Frame bound value must be a literal.");
            let error = self.error_from(start, error);
            self.note(error);
        }
        Ok(FrameBound::Offset(Box::new(if preceding {
            Expr::operator("negative", vec![value])
        } else {
            value
        })))
    }
}

/// Whether the expression is computed from literals by operators alone.
pub(crate) fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) | Expr::NamedParameter(_) | Expr::PositionalParameter(_) => true,
        Expr::Cast { expr, .. } => is_constant(expr),
        Expr::Call(call) => call.is_operator && call.args.iter().all(is_constant),
        _ => false,
    }
}
