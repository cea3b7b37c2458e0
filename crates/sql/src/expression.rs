//! Expressions above the primary ones: logic, predicates, operators by precedence.
//!
//! From loose to tight: OR; AND; NOT; predicates (IS, IN, LIKE, BETWEEN, ...); comparisons; `|`; `^`; `&`; shifts;
//! `+ - ||`; `* / % DIV`; unary. A predicate takes a whole comparison on its left, as in Spark's grammar.

use boathouse_spec::{Error, Expr, Literal, Result, SortOrder};

use crate::error;
use crate::lexer::Kind;
use crate::parser::Parser;

const COMPARISON: u8 = 1;
const BIT_OR: u8 = 2;
const BIT_XOR: u8 = 3;
const BIT_AND: u8 = 4;
const SHIFT: u8 = 5;
const ADDITIVE: u8 = 6;
const MULTIPLICATIVE: u8 = 7;

impl Parser<'_> {
    pub fn expression(&mut self) -> Result<Expr> {
        self.nested(|p| {
            let start = p.pos;
            let first = p.not_expression()?;
            let whole = p.logical_rest(first)?;
            Ok(p.placed(start, whole))
        })
    }

    pub fn expressions(&mut self) -> Result<Vec<Expr>> {
        self.list(Self::expression)
    }

    /// `AND` and `OR` chains, as balanced trees: a chain of thousands must not be thousands deep.
    fn logical_rest(&mut self, first: Expr) -> Result<Expr> {
        let mut alternatives = Vec::new();
        let mut conjuncts = vec![first];
        loop {
            if self.at("AND") && self.operand_follows() {
                self.advance();
                conjuncts.push(self.beside(Self::not_expression)?);
            } else if self.at("OR") && self.operand_follows() {
                self.advance();
                alternatives.push(balanced("and", std::mem::take(&mut conjuncts)));
                conjuncts.push(self.beside(Self::not_expression)?);
            } else {
                break;
            }
        }
        let last = balanced("and", conjuncts);
        if alternatives.is_empty() {
            return Ok(last);
        }
        alternatives.push(last);
        Ok(balanced("or", alternatives))
    }

    /// Whether an operand can follow the operator word here; else the word is a name.
    fn operand_follows(&self) -> bool {
        let next = self.peek_at(1);
        match next.kind {
            Kind::End => false,
            Kind::Symbol => !matches!(next.text, ")" | "," | ";" | "::" | "." | "=" | "[" | "<>" | "|>"),
            _ => true,
        }
    }

    fn not_expression(&mut self) -> Result<Expr> {
        let start = self.pos;
        let mut negations = 0usize;
        while (self.at("NOT") && self.operand_follows()) || self.at_symbol("!") {
            self.advance();
            self.grow()?;
            negations += 1;
        }
        let mut expr = if self.at("EXISTS") && self.symbol_at(1, "(") && self.is_query_at(self.pos + 2) {
            let word = self.pos;
            self.pos += 2;
            let query = self.subquery()?;
            self.expect_symbol(")")?;
            self.placed(word, Expr::Exists(Box::new(query)))
        } else {
            let value = self.binary(COMPARISON)?;
            self.predicates(value)?
        };
        for _ in 0..negations {
            expr = self.placed(start, not(expr));
        }
        Ok(expr)
    }

    /// At most one predicate on a value. It stands where its word does.
    fn predicates(&mut self, value: Expr) -> Result<Expr> {
        let start = self.pos;
        let expr = self.predicate(start, value)?;
        if self.pos == start {
            return Ok(expr);
        }
        let origin = self.origin(start);
        Ok(match expr {
            // `NOT IN` and its kin are two.
            Expr::Call(mut call) if call.name.last().is_some_and(|name| name == "not") => {
                call.args = call.args.into_iter().map(|arg| arg.placed(&origin)).collect();
                Expr::Call(call).placed(&origin)
            }
            other => other.placed(&origin),
        })
    }

    fn predicate(&mut self, start: usize, value: Expr) -> Result<Expr> {
        let negated = (self.at("NOT") || self.at_symbol("!"))
            && ["BETWEEN", "IN", "RLIKE", "LIKE", "ILIKE"].iter().any(|k| self.at_offset(1, k));
        let offset = usize::from(negated);
        let word = self.peek_at(offset);
        if word.kind != Kind::Word {
            return Ok(value);
        }
        let result = match word.text {
            "BETWEEN" if self.predicate_operand_at(offset + 1) => {
                self.take_predicate()?;
                let lower = self.value_expression()?;
                self.expect("AND")?;
                let upper = self.value_expression()?;
                Expr::operator("between", vec![value, lower, upper])
            }
            "IN" if self.symbol_at(offset + 1, "(") => {
                self.take_predicate()?;
                self.in_predicate(start, value)?
            }
            "RLIKE" if self.predicate_operand_at(offset + 1) => {
                self.take_predicate()?;
                let pattern = self.value_expression()?;
                Expr::operator("rlike", vec![value, pattern])
            }
            "LIKE" | "ILIKE" if self.predicate_operand_at(offset + 1) => {
                self.take_predicate()?;
                if let Some(quantifier) = self.like_quantifier() {
                    return self.quantified_like(start, value, word.text == "ILIKE", negated, quantifier);
                }
                self.like(start, value, word.text)?
            }
            "IS" if !negated => return self.is_predicate(value),
            _ => return Ok(value),
        };
        Ok(if negated { not(result) } else { result })
    }

    /// `[NOT]` and the predicate's word.
    fn take_predicate(&mut self) -> Result<()> {
        self.eat_not()?;
        self.advance();
        Ok(())
    }

    fn predicate_operand_at(&self, offset: usize) -> bool {
        let next = self.peek_at(offset);
        match next.kind {
            Kind::End => false,
            Kind::Symbol => !matches!(next.text, ")" | "," | ";" | "." | "="),
            Kind::Word => next.text != "FROM",
            _ => true,
        }
    }

    fn in_predicate(&mut self, start: usize, value: Expr) -> Result<Expr> {
        self.expect_symbol("(")?;
        if self.eat_symbol(")") {
            let error = Error::new("INVALID_SQL_SYNTAX.EMPTY_IN_PREDICATE")
                .message("An IN predicate needs at least one value between its parentheses.");
            let error = self.error_from(start, error);
            self.note(error);
            return Ok(Expr::operator("in", vec![value]));
        }
        if self.is_query_at(self.pos) {
            let query = self.subquery()?;
            self.expect_symbol(")")?;
            return Ok(Expr::InSubquery { values: row_values(value), query: Box::new(query) });
        }
        let mut args = vec![value];
        args.extend(self.expressions()?);
        self.expect_symbol(")")?;
        Ok(Expr::operator("in", args))
    }

    fn like(&mut self, start: usize, value: Expr, word: &str) -> Result<Expr> {
        let name = if word == "ILIKE" { "ilike" } else { "like" };
        let pattern = self.value_expression()?;
        let mut args = vec![value, pattern];
        if self.eat("ESCAPE") {
            let text = self.string_literal()?;
            if text.chars().count() != 1 {
                let error = Error::new("INVALID_ESC")
                    .param("invalidEscape", format!("'{text}'"))
                    .message(format!("The escape string must be one character, not '{text}'."));
                let error = self.error_from(start, error);
                self.note(error);
            }
            args.push(Expr::string(text));
        }
        Ok(Expr::operator(name, args))
    }

    fn like_quantifier(&mut self) -> Option<&'static str> {
        let open = self.peek_at(1);
        if !self.symbol_at(1, "(") {
            return None;
        }
        // An escape belongs to a single pattern, which is a call then: of `any`.
        let after = self.tokens.get(open.pair + 1).filter(|_| open.pair != 0);
        if after.is_some_and(|t| t.kind == Kind::Word && t.text == "ESCAPE") {
            return None;
        }
        self.eat_any(&["ANY", "SOME", "ALL"])
    }

    fn quantified_like(
        &mut self,
        start: usize,
        value: Expr,
        case_insensitive: bool,
        negated: bool,
        quantifier: &str,
    ) -> Result<Expr> {
        self.expect_symbol("(")?;
        if self.eat_symbol(")") {
            let error = error::legacy("0064", "msg", "Expected something between '(' and ')'.");
            let error = self.error_from(start, error);
            self.note(error);
            return Ok(value);
        }
        let patterns = self.expressions()?;
        self.expect_symbol(")")?;
        if !case_insensitive
            && !patterns.iter().all(|p| matches!(p, Expr::Literal(Literal::String(_))))
            && patterns.len() > 1
        {
            let signed = |e: Expr| if negated { not(e) } else { e };
            let operator = if quantifier == "ALL" { "and" } else { "or" };
            let each = patterns
                .into_iter()
                .map(|p| signed(Expr::operator("like", vec![value.clone(), p])))
                .reduce(|left, right| Expr::operator(operator, vec![left, right]));
            return each.ok_or_else(|| self.unexpected());
        }
        let mut args = vec![value];
        args.extend(patterns);
        if case_insensitive {
            args = args.into_iter().map(|a| Expr::call("lower", vec![a])).collect();
        }
        let name = match (quantifier, negated) {
            ("ALL", false) => "like_all",
            ("ALL", true) => "not_like_all",
            (_, false) => "like_any",
            (_, true) => "not_like_any",
        };
        Ok(Expr::operator(name, args))
    }

    fn is_predicate(&mut self, value: Expr) -> Result<Expr> {
        let negated = self.at_offset(1, "NOT") || self.symbol_at(1, "!");
        let offset = 1 + usize::from(negated);
        let word = self.peek_at(offset);
        let boolean = |b: bool| Expr::literal(Literal::Boolean(b));
        let signed = |e: Expr| if negated { not(e) } else { e };
        if negated && self.symbol_at(1, "!") && !self.options.bang_equals_not {
            self.advance();
            self.eat_not()?;
        }
        let result = match (word.kind, word.text) {
            (Kind::Word, "NULL") => Expr::operator(if negated { "isnotnull" } else { "isnull" }, vec![value]),
            (Kind::Word, "TRUE") => signed(Expr::operator("<=>", vec![value, boolean(true)])),
            (Kind::Word, "FALSE") => signed(Expr::operator("<=>", vec![value, boolean(false)])),
            (Kind::Word, "UNKNOWN") => {
                Expr::operator(if negated { "isnotnull" } else { "isnull" }, vec![value])
            }
            (Kind::Word, "DISTINCT") if self.at_offset(offset + 1, "FROM") => {
                self.pos += offset + 2;
                let right = self.value_expression()?;
                let same = Expr::operator("<=>", vec![value, right]);
                return Ok(if negated { same } else { not(same) });
            }
            // `IS` is a name here.
            _ if !negated => return Ok(value),
            _ => return Err(self.unexpected_at(self.pos + offset)),
        };
        self.pos += offset + 1;
        Ok(result)
    }

    pub fn value_expression(&mut self) -> Result<Expr> {
        self.nested(|p| p.binary(COMPARISON))
    }

    /// Operators of at least this precedence, left to right.
    fn binary(&mut self, least: u8) -> Result<Expr> {
        let start = self.pos;
        let mut left = self.unary()?;
        while let Some((name, precedence)) = self.binary_operator()
            && precedence >= least
        {
            self.advance();
            let right =
                self.beside(
                    |p| {
                        if precedence == MULTIPLICATIVE { p.unary() } else { p.binary(precedence + 1) }
                    },
                )?;
            self.grow()?;
            let operands = vec![left, right];
            left = match name {
                "<>" => not(self.placed(start, Expr::operator("==", operands))),
                _ => Expr::operator(name, operands),
            };
            left = self.placed(start, left);
        }
        Ok(left)
    }

    fn binary_operator(&self) -> Option<(&'static str, u8)> {
        let token = self.peek();
        if token.kind == Kind::Word {
            return (token.text == "DIV" && self.predicate_operand_at(1)).then_some(("div", MULTIPLICATIVE));
        }
        if token.kind != Kind::Symbol {
            return None;
        }
        Some(match token.text {
            "=" => ("==", COMPARISON),
            "<>" | "!=" => ("<>", COMPARISON),
            "<" => ("<", COMPARISON),
            "<=" => ("<=", COMPARISON),
            ">" => (">", COMPARISON),
            ">=" => (">=", COMPARISON),
            "<=>" => ("<=>", COMPARISON),
            "|" if self.at_pipe() => return None,
            "|" => ("|", BIT_OR),
            "^" => ("^", BIT_XOR),
            "&" => ("&", BIT_AND),
            "<<" => ("shiftleft", SHIFT),
            ">>" => ("shiftright", SHIFT),
            ">>>" => ("shiftrightunsigned", SHIFT),
            "+" => ("+", ADDITIVE),
            "-" => ("-", ADDITIVE),
            "||" => ("concat", ADDITIVE),
            "*" => ("*", MULTIPLICATIVE),
            "/" => ("/", MULTIPLICATIVE),
            "%" => ("%", MULTIPLICATIVE),
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Expr> {
        let start = self.pos;
        let mut operators = Vec::new();
        loop {
            let token = self.peek();
            let name = match (token.kind, token.text) {
                (Kind::Symbol, "-") if self.is_number(self.peek_at(1)) => break,
                (Kind::Symbol, "-") => "negative",
                (Kind::Symbol, "+") => "positive",
                (Kind::Symbol, "~") => "~",
                _ => break,
            };
            self.advance();
            self.grow()?;
            operators.push(name);
        }
        let mut expr = self.primary()?;
        for name in operators.into_iter().rev() {
            expr = self.placed(start, Expr::operator(name, vec![expr]));
        }
        Ok(expr)
    }

    // ---- around expressions

    /// `expr [[AS] name | [AS] (a, b)]`
    pub fn named_expression(&mut self) -> Result<Expr> {
        let start = self.pos;
        let outer = std::mem::replace(&mut self.in_select_list, true);
        let expr = self.expression();
        self.in_select_list = outer;
        let expr = expr?;
        self.alias_of(start, expr)
    }

    pub fn named_expressions(&mut self) -> Result<Vec<Expr>> {
        self.list(Self::named_expression)
    }

    fn alias_of(&mut self, start: usize, expr: Expr) -> Result<Expr> {
        let names = if self.at("AS")
            && (self.symbol_at(1, "(")
                || (self.is_identifier(self.peek_at(1))
                    && !(self.at_offset(1, "FROM") && self.begins_clause_at(1))))
        {
            self.advance();
            if self.at_symbol("(") { self.identifier_list()? } else { vec![self.alias_name(start)?] }
        } else if self.at("AS") && (!self.operand_follows() || self.begins_clause_at(1)) {
            // The word is the name.
            vec![self.identifier()?]
        } else if self.at("AS") {
            return Err(self.unexpected_at(self.pos + 1));
        } else if self.at_symbol("(") && self.is_alias_list() {
            self.identifier_list()?
        } else if self.at_alias() {
            vec![self.alias_name(start)?]
        } else {
            return Ok(match crate::primary::path_name(&expr) {
                Some(name) => expr.alias(name),
                None => expr,
            });
        };
        Ok(Expr::Alias { expr: Box::new(expr), names, metadata: None })
    }

    /// An alias; one of several parts is an error about the whole named expression.
    fn alias_name(&mut self, start: usize) -> Result<String> {
        let name_start = self.pos;
        self.identifier().map_err(|e| {
            if !e.is("IDENTIFIER_TOO_MANY_NAME_PARTS") || self.pos == name_start {
                return e;
            }
            let bare = e
                .parameters()
                .iter()
                .fold(Error::new(e.class()).message(e.text()), |b, (k, v)| b.param(k, v));
            self.error_from(start, bare)
        })
    }

    /// `expr (a, b)` names the columns of a generator; identifiers only.
    fn is_alias_list(&self) -> bool {
        let open = self.peek();
        let mut pos = self.pos + 1;
        while pos < open.pair {
            if !self.is_identifier(self.tokens[pos]) {
                return false;
            }
            pos += 1;
            if pos < open.pair && self.tokens[pos].text != "," {
                return false;
            }
            pos += 1;
        }
        open.pair > self.pos + 1
    }

    /// Whether the next token is an alias rather than the clause its word could begin.
    pub fn at_alias(&self) -> bool {
        let token = self.peek();
        self.is_identifier(token) && !(token.kind == Kind::Word && self.begins_clause())
    }

    /// `expr [ASC | DESC] [NULLS FIRST | LAST]`
    pub fn sort_item(&mut self) -> Result<SortOrder> {
        let expr = self.expression()?;
        self.sort_direction(expr)
    }

    pub fn sort_direction(&mut self, expr: Expr) -> Result<SortOrder> {
        let ascending = self.eat_any(&["ASC", "DESC"]) != Some("DESC");
        let mut nulls_first = ascending;
        if self.eat("NULLS") {
            nulls_first = match self.eat_any(&["FIRST", "LAST"]) {
                Some(word) => word == "FIRST",
                None => return Err(self.unexpected()),
            };
        }
        Ok(SortOrder { expr, ascending, nulls_first })
    }

    pub fn sort_items(&mut self) -> Result<Vec<SortOrder>> {
        self.list(Self::sort_item)
    }
}

pub(crate) fn not(expr: Expr) -> Expr {
    Expr::operator("not", vec![expr])
}

/// Joins operands in order by a tree of least depth.
fn balanced(name: &str, mut operands: Vec<Expr>) -> Expr {
    if operands.len() == 1
        && let Some(only) = operands.pop()
    {
        return only;
    }
    let right = operands.split_off(operands.len().div_ceil(2));
    Expr::operator(name, vec![balanced(name, operands), balanced(name, right)])
}

/// The values of a row `(a, b)`; else the one value.
pub(crate) fn row_values(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Call(call) if call.name.len() == 1 && call.name[0] == "struct" && !call.args.is_empty() => call
            .args
            .into_iter()
            .map(|arg| match arg {
                Expr::Alias { expr, .. } => *expr,
                other => other,
            })
            .collect(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use crate::sketch::expr;
    use crate::{ParserOptions, parse_expression, parse_expression_with};

    fn of(text: &str) -> String {
        match parse_expression(text) {
            Ok(e) => expr(&e),
            Err(e) => e.class().to_string(),
        }
    }

    #[test]
    fn precedence() {
        assert_eq!(of("a OR b AND NOT c = d"), "(or a (and b (not (== c d))))");
        assert_eq!(of("a AND b AND c AND d"), "(and (and a b) (and c d))");
        assert_eq!(of("a = b = c"), "(== (== a b) c)");
        assert_eq!(
            of("a | b ^ c & d << 1 + 2 * -x"),
            "(| a (^ b (& c (shiftleft d (+ 1 (* 2 (negative x)))))))"
        );
        assert_eq!(of("a - b - c || d DIV e"), "(concat (- (- a b) c) (div d e))");
        assert_eq!(of("-1::string"), "(cast -1 string Session)");
        assert_eq!(of("- - 1 - -1"), "(- (negative -1) -1)");
        assert_eq!(of("a = b IS NULL"), "(isnull (== a b))");
    }

    #[test]
    fn predicates() {
        assert_eq!(of("a NOT BETWEEN 1 AND 2 AND b"), "(and (not (between a 1 2)) b)");
        assert_eq!(of("a <> b"), "(not (== a b))");
        assert_eq!(of("a NOT IN (1, 2)"), "(not (in a 1 2))");
        assert_eq!(of("(a, b) IN (SELECT 1, 2)"), "(in (a b) project(one, 1 2))");
        assert_eq!(of("a LIKE 'x' ESCAPE '!'"), "(like a 'x' '!')");
        assert_eq!(of("a NOT ILIKE ANY ('X', 'y')"), "(not_like_any (lower a) (lower 'X') (lower 'y'))");
        assert_eq!(of("a REGEXP 'x'"), "(rlike a 'x')");
        assert_eq!(of("a IS NOT TRUE"), "(not (<=> a true))");
        assert_eq!(of("a IS NOT DISTINCT FROM b"), "(<=> a b)");
        assert_eq!(of("a IN ()"), "INVALID_SQL_SYNTAX.EMPTY_IN_PREDICATE");
        assert_eq!(of("a ! IN (1)"), "SYNTAX_DISCONTINUED.BANG_EQUALS_NOT");
    }

    #[test]
    fn names_and_values() {
        assert_eq!(of("a.b.c[0].`d e`"), "a.b.c[0]['d e']");
        assert_eq!(of("(a).b"), "a.b");
        assert_eq!(of("f(x).y"), "(f x)['y']");
        assert_eq!(of("IDENTIFIER('a').b.c"), "a['b']['c']");
        assert_eq!(of("current_date"), "current_date");
        assert_eq!(of("a:b.c[0]::int"), "(cast (semi_structured_extract a '$.b.c[0]') int Session):c");
        assert_eq!(of("'a' \"b\" 'c'"), "'abc'");
        assert_eq!(of("select"), "select");
        assert_eq!(of("CASE x WHEN 1 THEN 'a' ELSE 'b' END"), "(when (== x 1) 'a' 'b')");
        assert_eq!(of("CASE WHEN a THEN 1 END"), "(when a 1)");
        assert_eq!(of("(a, b AS c)"), "(struct a b:c)");
        assert_eq!(of("IDENTIFIER('a' || '.b')"), "(identifier 'a.b')");
        assert_eq!(of("IDENTIFIER(concat('ab', 's'))(x)"), "(abs x)");
        assert_eq!(of("a COLLATE UNICODE"), "(collate a 'UNICODE')");
        assert_eq!(of("täble"), "INVALID_IDENTIFIER");
    }

    #[test]
    fn functions() {
        assert_eq!(of("count(*)"), "(count 1)");
        assert_eq!(of("count(DISTINCT a, b) FILTER (WHERE c)"), "(count distinct a b filter c)");
        assert_eq!(of("first(a IGNORE NULLS)"), "(first a ignore nulls)");
        assert_eq!(of("p(0.5BD) WITHIN GROUP (ORDER BY a DESC)"), {
            "(p Decimal { unscaled: 5, precision: 1, scale: 1 } within a desc)"
        });
        assert_eq!(of("EXTRACT(day FROM d)"), "(extract 'day' d)");
        assert_eq!(of("TRIM(LEADING 'x' FROM y)"), "(ltrim 'x' y)");
        assert_eq!(of("TRIM(FROM y)"), "(trim y)");
        assert_eq!(of("substr(a FROM 1 FOR 2)"), "(substring a 1 2)");
        assert_eq!(of("POSITION('@' IN email)"), "(locate '@' email)");
        assert_eq!(of("position('@', email)"), "(position '@' email)");
        assert_eq!(of("OVERLAY(a PLACING b FROM 1)"), "(overlay a b 1)");
        assert_eq!(of("DATEADD(month, 1, d)"), "(timestampadd 'MONTH' 1 d)");
        assert_eq!(of("date_add(d, 1)"), "(date_add d 1)");
        assert_eq!(of("DATEDIFF('DAY', a, b)"), "INVALID_PARAMETER_VALUE.DATETIME_UNIT");
        assert_eq!(of("f(a => 1, x -> x + y)"), "(f a=>1 (\\x (+ $x y)))");
        assert_eq!(of("aggregate(a, 0, (s, x) -> s.f + x)"), "(aggregate a 0 (\\s,x (+ $s.f $x)))");
        assert_eq!(of("sum(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING)"), {
            "(over (sum a) by b order c Rows CurrentRow..Offset(Literal(Integer(1))))"
        });
        assert_eq!(of("left(a, 1)"), "(left a 1)");
        assert_eq!(of("exists(a, x -> x)"), "(exists a (\\x $x))");
    }

    #[test]
    fn settings() {
        let with = |text: &str, options: ParserOptions| match parse_expression_with(text, &options) {
            Ok(e) => expr(&e),
            Err(e) => e.class().to_string(),
        };
        let on = ParserOptions::default;
        assert_eq!(with("\"a\"", ParserOptions { double_quoted_identifiers: true, ..on() }), "a");
        assert_eq!(
            with("from", ParserOptions { enforce_reserved_keywords: true, ..on() }),
            "PARSE_SYNTAX_ERROR"
        );
        assert_eq!(
            with("current_date", ParserOptions { enforce_reserved_keywords: true, ..on() }),
            "(current_date)"
        );
        assert_eq!(with(r"'a\nb'", ParserOptions { escaped_string_literals: true, ..on() }), r"'a\nb'");
        assert_eq!(with("a ! IN (1)", ParserOptions { bang_equals_not: true, ..on() }), "(not (in a 1))");
    }
}
