//! Queries: common table expressions, set operations, ordering and limits.

use boathouse_spec::{
    CommonTable, Error, Expr, Literal, Relation, RelationNode, Result, SetOperation, TableRef, WindowSpec,
};

use crate::identifier::Reference;
use crate::lexer::Kind;
use crate::parser::{MAX_DEPTH, Parser};

/// The common table expressions before a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ctes {
    pub tables: Vec<CommonTable>,
    pub recursive: bool,
}

impl Ctes {
    pub fn over(self, input: Relation) -> Relation {
        RelationNode::With { input, tables: self.tables, recursive: self.recursive }.into()
    }
}

const SET_OPERATORS: &[&str] = &["UNION", "EXCEPT", "MINUS", "INTERSECT"];

impl Parser<'_> {
    /// A table by its name, or by what gives it.
    pub fn table(&mut self) -> Result<Relation> {
        let start = self.pos;
        let mut table = TableRef::default();
        match self.reference()? {
            Reference::Name(name) => table.name = name,
            Reference::Clause(expr) => table.identifier = Some(Box::new(expr)),
        }
        table.origin = self.origin(start);
        Ok(RelationNode::Table(table).into())
    }

    // ---- looking ahead

    /// Whether a query (and not an expression or a table) begins at the token.
    pub fn is_query_at(&self, mut pos: usize) -> bool {
        // Through opening parentheses: what follows the matching one must go on as a query would.
        for _ in 0..MAX_DEPTH {
            let token = self.tokens[pos.min(self.tokens.len() - 1)];
            if token.text != "(" || token.kind != Kind::Symbol {
                break;
            }
            if token.pair == 0 || !self.continues_query(token.pair + 1) {
                return false;
            }
            pos += 1;
        }
        let bound = self.tokens.len() - 1;
        let (token, next) = (self.tokens[pos.min(bound)], self.tokens[(pos + 1).min(bound)]);
        if token.kind != Kind::Word {
            return false;
        }
        // The words are names too: then an operator or the end of the operand follows.
        let operand = match next.kind {
            Kind::End => false,
            Kind::Symbol => matches!(next.text, "(" | "*" | "-" | "+" | "~" | "/*+" | ":" | "?" | "!"),
            Kind::Word => next.text != "AS" && next.text != "IN",
            _ => true,
        };
        match token.text {
            "SELECT" => operand,
            "VALUES" => operand && next.text != "*",
            "FROM" => operand && (next.text == "(" || next.kind != Kind::Symbol),
            "TABLE" => self.is_identifier(next) && next.text != "AS",
            "WITH" => self.is_identifier(next) && !matches!(next.text, "AS"),
            "MAP" | "REDUCE" => {
                operand && next.text != "(" && next.kind != Kind::Symbol && self.has_script(pos + 1)
            }
            _ => false,
        }
    }

    /// Whether `MAP a, b USING 'script'` is what the tokens say.
    fn has_script(&self, from: usize) -> bool {
        self.tokens[from..]
            .iter()
            .take_while(|t| t.text != ")" && t.kind != Kind::End)
            .any(|t| t.text == "USING")
    }

    /// Whether the token can follow a query in parentheses that is itself part of a query.
    fn continues_query(&self, pos: usize) -> bool {
        let bound = self.tokens.len() - 1;
        let (token, next) = (self.tokens[pos.min(bound)], self.tokens[(pos + 1).min(bound)]);
        match (token.kind, token.text) {
            (Kind::End, _) => true,
            (Kind::Symbol, ")" | "|>" | ";") => true,
            (Kind::Symbol, "|") => self.begins_pipe_operator(pos + 1 - self.pos),
            (Kind::Word, "UNION" | "EXCEPT" | "MINUS" | "INTERSECT") => true,
            (Kind::Word, "ORDER" | "SORT" | "CLUSTER" | "DISTRIBUTE") => next.text == "BY",
            (Kind::Word, "LIMIT" | "OFFSET" | "WINDOW") => true,
            _ => false,
        }
    }

    /// Whether the current word begins a clause, and so is no alias. Spark reserves nothing by default, so that what
    /// follows decides.
    pub fn begins_clause(&self) -> bool {
        self.begins_clause_at(0)
    }

    /// As [`Self::begins_clause`], for the word at an offset.
    pub fn begins_clause_at(&self, offset: usize) -> bool {
        let next = self.peek_at(offset + 1);
        let operand = match next.kind {
            Kind::End => false,
            Kind::Symbol => !matches!(next.text, ")" | "," | ";" | "." | "="),
            Kind::Word => next.text != "FROM",
            _ => true,
        };
        let word = self.peek_at(offset).text;
        match word {
            "AS" => true,
            "FROM" => {
                // Before another clause it is a name.
                next.text == "("
                    || self.is_string(next)
                    || (self.is_identifier(next)
                        && !(next.kind == Kind::Word && self.begins_other_clause(offset + 1)))
            }
            "WHERE" | "HAVING" | "QUALIFY" | "LIMIT" | "OFFSET" => operand && next.text != word,
            "GROUP" | "ORDER" | "CLUSTER" | "DISTRIBUTE" | "SORT" | "IDENTIFIED" => next.text == "BY",
            "LATERAL" => next.text == "VIEW",
            "WINDOW" => self.is_identifier(next) && self.at_offset(offset + 2, "AS"),
            "UNION" | "EXCEPT" | "MINUS" | "INTERSECT" => self.at_set_operator(offset),
            "SELECT" => operand,
            "INSERT" => matches!(next.text, "INTO" | "OVERWRITE"),
            "FOR" => {
                self.at_offset(offset + 2, "IN")
                    || next.text == "("
                    || self.at_offset(offset + 2, "AS")
                    || next.text == "READ"
            }
            "DO" => self.script.in_for_query,
            "DELAY" => next.text == "OF",
            "WITH" => matches!(next.text, "ROLLUP" | "CUBE" | "("),
            "GROUPING" => next.text == "SETS",
            "VERSION" | "SYSTEM_VERSION" | "TIMESTAMP" | "SYSTEM_TIME" => {
                next.text == "AS" && self.at_offset(offset + 2, "OF")
            }
            "TABLESAMPLE" => matches!(next.text, "(" | "BERNOULLI" | "SYSTEM"),
            "PIVOT" => next.text == "(",
            "UNPIVOT" => matches!(next.text, "(" | "INCLUDE" | "EXCLUDE"),
            "WATERMARK" => operand && next.text != "AS",
            "CHANGES" => next.text == "FROM",
            "APPROX" | "EXACT" => next.text == "NEAREST",
            "REPLACE" => matches!(next.text, "WHERE" | "USING" | "ON"),
            "SET" => self.is_identifier(next) && matches!(self.peek_at(offset + 2).text, "=" | "."),
            "WHEN" => matches!(next.text, "MATCHED" | "NOT"),
            "ON" | "USING" => false,
            "ANTI" | "SEMI" => next.text == "JOIN",
            _ => false,
        }
    }

    /// A clause that can follow a select list, but FROM.
    fn begins_other_clause(&self, offset: usize) -> bool {
        matches!(
            self.peek_at(offset).text,
            "WHERE" | "GROUP" | "ORDER" | "HAVING" | "LIMIT" | "UNION" | "EXCEPT" | "MINUS" | "INTERSECT"
        ) && self.begins_clause_at(offset)
    }

    fn at_set_operator(&self, offset: usize) -> bool {
        let token = self.peek_at(offset);
        token.kind == Kind::Word
            && SET_OPERATORS.contains(&token.text)
            && matches!(
                self.peek_at(offset + 1).text,
                "ALL" | "DISTINCT" | "SELECT" | "VALUES" | "TABLE" | "FROM" | "MAP" | "REDUCE" | "("
            )
    }

    // ---- rules

    /// A whole query, with its common table expressions.
    pub fn query(&mut self) -> Result<Relation> {
        self.nested(|p| {
            let start = p.pos;
            let ctes = if p.at("WITH") { Some(p.ctes()?) } else { None };
            let body = p.query_body()?;
            Ok(match ctes {
                Some(ctes) => {
                    p.check_ctes(start, &ctes, false);
                    ctes.over(body)
                }
                None => body,
            })
        })
    }

    /// A query after its common table expressions.
    pub fn query_body(&mut self) -> Result<Relation> {
        let term = self.query_term(0)?;
        self.query_organization(term)
    }

    /// A query inside an expression.
    pub fn subquery(&mut self) -> Result<Relation> {
        // Common tables of an UPDATE or DELETE are those of its outermost subqueries.
        let outer = self.statement_ctes.take();
        let query = self.query();
        self.statement_ctes = outer;
        let query = query?;
        Ok(match &self.statement_ctes {
            Some(ctes) => ctes.clone().over(query),
            None => query,
        })
    }

    /// `WITH [RECURSIVE] name [(columns)] [MAX RECURSION LEVEL n] [AS] (query), ..`
    pub fn ctes(&mut self) -> Result<Ctes> {
        self.expect("WITH")?;
        let recursive = self.at("RECURSIVE") && !self.symbol_at(1, "(") && !self.at_offset(1, "AS");
        if recursive {
            self.advance();
        }
        let tables = self.list(|p| {
            let name = p.identifier()?;
            let columns =
                if p.at_symbol("(") && !p.is_query_at(p.pos + 1) { p.identifier_list()? } else { vec![] };
            let mut max_recursion = None;
            let level = p.pos;
            if p.eat_all(&["MAX", "RECURSION", "LEVEL"]) {
                max_recursion = Some(p.integer_value()?);
                if !recursive {
                    let error = crate::statement::not_allowed("MAX RECURSION LEVEL without RECURSIVE");
                    let error = p.error_from(level, error);
                    p.note(error);
                }
            }
            p.eat("AS");
            p.expect_symbol("(")?;
            let query = p.query()?;
            p.expect_symbol(")")?;
            Ok(CommonTable { name, columns, query, max_recursion })
        })?;
        Ok(Ctes { tables, recursive })
    }

    /// Common table expressions have names of their own each.
    pub fn check_ctes(&mut self, start: usize, ctes: &Ctes, is_statement: bool) {
        let mut seen = std::collections::HashSet::new();
        let mut duplicates: Vec<String> = Vec::new();
        for table in &ctes.tables {
            let name = boathouse_spec::quote(&table.name.to_lowercase());
            if !seen.insert(name.clone()) && !duplicates.contains(&name) {
                duplicates.push(name);
            }
        }
        if duplicates.is_empty() {
            return;
        }
        let names = duplicates.join(", ");
        let error = Error::new("DUPLICATED_CTE_NAMES")
            .param("duplicateNames", &names)
            .message(format!("Common table expressions share a name: {names}."));
        if is_statement {
            self.note_statement(error);
        } else {
            let error = self.error_from(start, error);
            self.note(error);
        }
    }

    /// Set operations and pipes, left to right; INTERSECT binds tighter than UNION and EXCEPT.
    fn query_term(&mut self, least: u8) -> Result<Relation> {
        let mut left = self.query_primary()?;
        loop {
            if least == 0 && self.at_pipe() {
                if self.options.no_pipes {
                    let error = self.not_allowed(self.pos, "Operator pipe SQL syntax using |>");
                    self.note(error);
                }
                self.advance();
                self.grow()?;
                left = self.pipe_operator(left)?;
                continue;
            }
            if !self.at_any(SET_OPERATORS) {
                return Ok(left);
            }
            let precedence = match self.peek().text {
                "INTERSECT" if !self.options.legacy_set_operation_precedence => 2,
                _ => 1,
            };
            if precedence < least {
                return Ok(left);
            }
            let (operation, all) = self.set_operator()?;
            self.grow()?;
            let right = self.nested(|p| p.query_term(precedence + 1))?;
            left = set_operation(left, right, operation, all);
        }
    }

    /// `UNION [ALL | DISTINCT]` and its kin.
    pub fn set_operator(&mut self) -> Result<(SetOperation, bool)> {
        let operation = match self.eat_any(SET_OPERATORS) {
            Some("UNION") => SetOperation::Union,
            Some("INTERSECT") => SetOperation::Intersect,
            Some(_) => SetOperation::Except,
            None => return Err(self.unexpected()),
        };
        let all = self.eat("ALL");
        if !all {
            self.eat("DISTINCT");
        }
        Ok((operation, all))
    }

    pub fn query_primary(&mut self) -> Result<Relation> {
        if self.at_symbol("(") {
            self.advance();
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(query);
        }
        let word = if self.kind() == Kind::Word { self.peek().text } else { "" };
        match word {
            "SELECT" => self.select(None),
            "FROM" => self.query_from_first(),
            "VALUES" => self.inline_table(),
            "MAP" | "REDUCE" => Err(Error::unsupported(format!("{word} .. USING a script"))),
            "TABLE" => {
                self.advance();
                self.table()
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `FROM t [SELECT ..]*`
    fn query_from_first(&mut self) -> Result<Relation> {
        self.expect("FROM")?;
        let input = self.relations_of_from()?;
        let mut bodies = Vec::new();
        while self.at("SELECT") {
            let body = self.select(Some(input.clone()))?;
            bodies.push(self.query_organization(body)?);
        }
        let mut bodies = bodies.into_iter();
        let Some(first) = bodies.next() else { return Ok(input) };
        Ok(bodies.fold(first, |left, right| set_operation(left, right, SetOperation::Union, true)))
    }

    /// ORDER BY, CLUSTER BY, DISTRIBUTE BY, SORT BY, WINDOW, LIMIT, OFFSET.
    pub fn query_organization(&mut self, input: Relation) -> Result<Relation> {
        let mut used = Vec::new();
        self.query_organization_with(input, &mut used)
    }

    /// As [`Self::query_organization`], telling which clauses were there.
    pub fn query_organization_with(
        &mut self,
        input: Relation,
        used: &mut Vec<&'static str>,
    ) -> Result<Relation> {
        let start = self.pos;
        let mut relation = input;
        if self.eat_all(&["ORDER", "BY"]) {
            used.push("ORDER BY");
            relation = self.order_by(relation)?;
        }
        if self.eat_all(&["CLUSTER", "BY"]) {
            used.push("CLUSTER BY");
            let exprs = self.expressions()?;
            let order = exprs.iter().cloned().map(boathouse_spec::SortOrder::ascending).collect();
            let input = RelationNode::RepartitionBy { input: relation, exprs, partitions: None }.into();
            relation = RelationNode::Sort { input, order, global: false }.into();
        }
        let mut distributed = false;
        if self.eat_all(&["DISTRIBUTE", "BY"]) {
            used.push("DISTRIBUTE BY");
            distributed = true;
            let exprs = self.expressions()?;
            relation = RelationNode::RepartitionBy { input: relation, exprs, partitions: None }.into();
        }
        if self.eat_all(&["SORT", "BY"]) {
            if !distributed {
                used.push("SORT BY");
            }
            let order = self.sort_items()?;
            relation = RelationNode::Sort { input: relation, order, global: false }.into();
        }
        if used.len() > 1 {
            return Err(self.error_from(
                start,
                Error::new("UNSUPPORTED_FEATURE.COMBINATION_QUERY_RESULT_CLAUSES")
                    .message(format!("{} cannot stand together in one query.", used.join(" and "))),
            ));
        }
        relation = self.window_clause(relation)?;
        let mut limit = None;
        if self.eat("LIMIT") {
            used.push("LIMIT");
            let all = self.at("ALL") && !self.symbol_at(1, "(");
            if all {
                self.advance();
            } else {
                let start = self.pos;
                let number = self.expression()?;
                limit = Some((number, self.origin(start)));
            }
        }
        if self.eat("OFFSET") {
            used.push("OFFSET");
            let start = self.pos;
            let offset = self.expression()?;
            relation = RelationNode::Offset { input: relation, offset, origin: self.origin(start) }.into();
        }
        if let Some((limit, origin)) = limit {
            relation = RelationNode::Limit { input: relation, limit, origin }.into();
        }
        Ok(relation)
    }

    fn order_by(&mut self, input: Relation) -> Result<Relation> {
        let all = self.at("ALL") && !matches!(self.peek_at(1).text, "." | "(" | "[");
        let order = self.sort_items()?;
        if let ([only], true) = (order.as_slice(), all)
            && matches!(&only.expr, Expr::Column(c) if c.name.len() == 1)
        {
            let (ascending, nulls_first) = (only.ascending, only.nulls_first);
            return Ok(RelationNode::SortAll { input, ascending, nulls_first }.into());
        }
        Ok(RelationNode::Sort { input, order, global: true }.into())
    }

    /// `WINDOW w AS (..), ..` over the relation.
    pub fn window_clause(&mut self, input: Relation) -> Result<Relation> {
        if !(self.at("WINDOW") && self.is_identifier(self.peek_at(1))) {
            return Ok(input);
        }
        let start = self.pos;
        self.advance();
        let definitions = self.list(|p| {
            let name = p.identifier()?;
            p.expect("AS")?;
            Ok((name, p.window_spec()?))
        })?;
        let mut windows: Vec<(String, WindowSpec)> = Vec::new();
        for (name, spec) in &definitions {
            if windows.iter().any(|(n, _)| n == name) {
                let error = Error::new("INVALID_SQL_SYNTAX.REPETITIVE_WINDOW_DEFINITION")
                    .param("windowName", boathouse_spec::quote(name))
                    .message(format!("The window `{name}` is defined twice."));
                let error = self.error_from(start, error);
                self.note(error);
            }
            let resolved = match spec {
                WindowSpec::Named(other) => self.window_named(start, other, &definitions),
                inline => inline.clone(),
            };
            windows.push((name.clone(), resolved));
        }
        Ok(RelationNode::WindowDefinitions { input, windows }.into())
    }

    /// The definition that a window's definition refers to.
    fn window_named(&mut self, start: usize, name: &str, definitions: &[(String, WindowSpec)]) -> WindowSpec {
        let quoted = boathouse_spec::quote(name);
        let error = match definitions.iter().rev().find(|(n, _)| n == name) {
            Some((_, spec @ WindowSpec::Inline { .. })) => return spec.clone(),
            Some(_) => Error::new("INVALID_SQL_SYNTAX.INVALID_WINDOW_REFERENCE")
                .param("windowName", &quoted)
                .message(format!("The window {quoted} is itself a reference, not a specification.")),
            None => Error::new("INVALID_SQL_SYNTAX.UNRESOLVED_WINDOW_REFERENCE")
                .param("windowName", &quoted)
                .message(format!("There is no window {quoted}.")),
        };
        let error = self.error_from(start, error);
        self.note(error);
        WindowSpec::Named(name.to_string())
    }

    /// `VALUES (..), (..) [AS] t [(a, b)]`
    pub fn inline_table(&mut self) -> Result<Relation> {
        let start = self.pos;
        self.expect("VALUES")?;
        let rows: Vec<Vec<Expr>> = self.list(|p| Ok(crate::expression::row_values(p.expression()?)))?;
        let alias = self.table_alias()?;
        let expected = match &alias {
            Some((_, columns)) if !columns.is_empty() => columns.len(),
            _ => rows.first().map_or(0, Vec::len),
        };
        // Rows that are not constant are checked when their values are known.
        let constant = rows.iter().flatten().all(crate::function_call::is_constant);
        if let Some((index, row)) = rows.iter().enumerate().find(|(_, row)| constant && row.len() != expected)
        {
            let error = self.error_from(
                start,
                Error::new("INVALID_INLINE_TABLE.NUM_COLUMNS_MISMATCH")
                    .param("expectedNumCols", expected)
                    .param("actualNumCols", row.len())
                    .param("rowIndex", index)
                    .message(format!(
                        "Row {index} of the inline table has {} columns where {expected} are expected.",
                        row.len()
                    )),
            );
            self.note(error);
        }
        Ok(aliased(RelationNode::Values(rows).into(), alias))
    }

    /// `[AS] name [(columns)]` after a relation.
    pub fn table_alias(&mut self) -> Result<Option<(String, Vec<String>)>> {
        if self.at("AS") && self.is_identifier(self.peek_at(1)) {
            self.advance();
        } else if self.at("AS") {
            // Without a name after it, the word is the name.
        } else if !self.is_strict_identifier(self.peek())
            || (self.kind() == Kind::Word && self.begins_clause())
        {
            return Ok(None);
        }
        let name = self.strict_identifier()?;
        let columns = if self.at_symbol("(") { self.identifier_list()? } else { vec![] };
        Ok(Some((name, columns)))
    }
}

pub(crate) fn set_operation(left: Relation, right: Relation, operation: SetOperation, all: bool) -> Relation {
    RelationNode::SetOperation { left, right, operation, all, by_name: false, allow_missing: false }.into()
}

pub(crate) fn aliased(input: Relation, alias: Option<(String, Vec<String>)>) -> Relation {
    match alias {
        Some((alias, columns)) => {
            RelationNode::SubqueryAlias { input, alias, qualifier: vec![], columns }.into()
        }
        None => input,
    }
}

/// The number a literal stands for.
pub(crate) fn long_value(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(Literal::Integer(v)) => Some((*v).into()),
        Expr::Literal(Literal::Long(v)) => Some(*v),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::sketch::relation;
    use crate::{ParserOptions, parse_query};

    fn of(text: &str) -> String {
        match parse_query(text, &ParserOptions::default()) {
            Ok(r) => relation(&r),
            Err(e) => e.class().to_string(),
        }
    }

    #[test]
    fn clauses_in_sparks_order() {
        assert_eq!(
            of(
                "SELECT DISTINCT a FROM t WHERE b GROUP BY a HAVING c QUALIFY d ORDER BY e DESC LIMIT 1 OFFSET 2"
            ),
            "limit(offset(sort(distinct(qualify(having(groupby(filter(t, b), a / a), c), d)), e desc), 2), 1)"
        );
        assert_eq!(of("SELECT a HAVING b"), "having(groupby(one,  / a), b)");
        assert_eq!(of("SELECT count(*) FROM t"), "project(t, (count 1))");
        assert_eq!(of("SELECT a FROM t GROUP BY ALL ORDER BY ALL"), "sortall(all(t,  / a))");
        assert_eq!(of("SELECT a OVER w FROM t WINDOW w AS (ORDER BY b)"), "PARSE_SYNTAX_ERROR");
        assert_eq!(of("SELECT f(a) OVER w FROM t WINDOW v AS (ORDER BY b), w AS v"), {
            "windows(project(t, (over (f a) w)), v=by  order b w=by  order b)"
        });
        assert_eq!(of("SELECT /*+ A(x), B */ a FROM t"), "hint(hint(project(t, a), B ), A x)");
    }

    #[test]
    fn set_operations() {
        assert_eq!(of("SELECT 1 UNION SELECT 2 INTERSECT SELECT 3"), {
            "union(project(one, 1), intersect(project(one, 2), project(one, 3)))"
        });
        assert_eq!(of("VALUES 1 EXCEPT ALL VALUES 2 MINUS VALUES 3"), {
            "except(except all(values([1]), values([2])), values([3]))"
        });
        assert_eq!(
            of("((VALUES 1) UNION ALL VALUES 2) LIMIT 1"),
            "limit(union all(values([1]), values([2])), 1)"
        );
        let legacy = ParserOptions { legacy_set_operation_precedence: true, ..ParserOptions::default() };
        let query = parse_query("VALUES 1 UNION ALL VALUES 2 INTERSECT VALUES 3", &legacy);
        assert_eq!(query.map(|r| relation(&r)).ok().as_deref(), {
            Some("intersect(union all(values([1]), values([2])), values([3]))")
        });
    }

    #[test]
    fn relations() {
        assert_eq!(of("SELECT * FROM a, b JOIN c ON x, d"), {
            "project(inner(inner(inner(a, b), c on x), d), *)"
        });
        assert_eq!(of("SELECT * FROM a NATURAL LEFT JOIN (b SEMI JOIN c USING (x))"), {
            "project(leftouter(a, leftsemi(b, c using x) natural), *)"
        });
        assert_eq!(of("SELECT * FROM (SELECT 1) JOIN LATERAL f(x) AS g(y)"), {
            "project(lateral Inner(project(one, 1) as __auto_generated_subquery_name, f(x) as g[y]), *)"
        });
        assert_eq!(of("SELECT * FROM ((SELECT 1) a JOIN b)"), "project(inner(project(one, 1) as a, b), *)");
        assert_eq!(of("FROM t x SELECT a"), "project(t as x, a)");
        assert_eq!(of("SELECT * FROM values (1, 'a') AS v(x, y)"), "project(values([1 'a']) as v[x y], *)");
        assert_eq!(of("SELECT * FROM a NATURAL JOIN LATERAL (SELECT 1)"), "INCOMPATIBLE_JOIN_TYPES");
        assert_eq!(of("SELECT * FROM a, LATERAL b"), {
            "INVALID_SQL_SYNTAX.LATERAL_WITHOUT_SUBQUERY_OR_TABLE_VALUED_FUNC"
        });
    }

    #[test]
    fn keywords_are_names_unless_a_clause_follows() {
        assert_eq!(of("SELECT a limit FROM t limit 1"), "limit(project(t, a:limit), 1)");
        assert_eq!(of("SELECT 1 FROM"), "project(one, 1:FROM)");
        assert_eq!(of("SELECT a FROM WHERE b"), "project(filter(one, b), a:FROM)");
        assert_eq!(of("SELECT a AS FROM t"), "project(t, a:AS)");
        assert_eq!(of("SELECT order, group FROM t where"), "project(t as where, order group)");
        assert_eq!(of("SELECT values FROM values"), "project(values, values)");
        assert_eq!(of("SELECT * EXCEPT (a) FROM t EXCEPT (SELECT 1)"), {
            "except(project(t, * except [[\"a\"]]), project(one, 1))"
        });
    }

    #[test]
    fn grouping() {
        assert_eq!(of("SELECT a FROM t GROUP BY a, b WITH ROLLUP"), "rollup(t, a b / a)");
        assert_eq!(of("SELECT a FROM t GROUP BY CUBE(a, b)"), "cube(t, a b / a)");
        assert_eq!(of("SELECT a FROM t GROUP BY GROUPING SETS ((a, b), a, ())"), "groupingsets(t, a b / a)");
        assert_eq!(of("SELECT a FROM t GROUP BY a, ROLLUP(b, (c, a))"), "combined(t, a b c / a)");
    }

    #[test]
    fn common_tables() {
        assert_eq!(of("WITH a AS (SELECT 1), b (SELECT 2) SELECT * FROM a"), {
            "with(a=project(one, 1) b=project(one, 2): project(a, *))"
        });
        assert_eq!(of("WITH a AS (SELECT 1), A AS (SELECT 2) SELECT 1"), "DUPLICATED_CTE_NAMES");
    }
}
