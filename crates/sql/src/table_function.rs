//! Table functions and their arguments.

use boathouse_spec::{Expr, Name, Relation, RelationNode, Result, SortOrder};

use crate::error;
use crate::parser::Parser;

impl Parser<'_> {
    /// Whether `name(` stands here.
    pub fn at_table_function(&self) -> bool {
        let token = self.peek();
        if self.at("IDENTIFIER") && self.symbol_at(1, "(") {
            let close = self.peek_at(1).pair;
            return close != 0 && self.tokens[close + 1].text == "(";
        }
        if !self.is_identifier(token) && !matches!(token.text, "LEFT" | "RIGHT" | "FILTER") {
            return false;
        }
        let mut offset = 1;
        while self.symbol_at(offset, ".") && self.is_identifier(self.peek_at(offset + 1)) {
            offset += 2;
        }
        // `schema.IDENTIFIER('table')`
        if offset > 1 && self.at_identifier_literal(offset - 1) {
            return self.tokens[self.peek_at(offset).pair + 1].text == "(";
        }
        self.symbol_at(offset, "(")
    }

    /// A function's name of one or more parts, also as IDENTIFIER clause.
    pub fn function_name(&mut self) -> Result<Name> {
        if self.at_any(&["LEFT", "RIGHT", "FILTER"]) && self.symbol_at(1, "(") {
            let token = self.advance();
            return Ok(vec![self.source(token).to_string()]);
        }
        let close = self.peek_at(1).pair;
        if self.at("IDENTIFIER") && self.symbol_at(1, "(") && close != 0 && self.tokens[close + 1].text == "("
        {
            return self.reference_name();
        }
        let mut name = vec![self.simple_identifier()?];
        while self.at_symbol(".") && self.is_identifier(self.peek_at(1)) {
            self.advance();
            name.push(self.simple_identifier()?);
        }
        Ok(name)
    }

    pub fn table_function(&mut self) -> Result<Relation> {
        let name = self.function_name()?;
        self.expect_symbol("(")?;
        let args = if self.at_symbol(")") { vec![] } else { self.list(Self::table_function_argument)? };
        self.expect_symbol(")")?;
        Ok(RelationNode::TableFunction { name, args }.into())
    }

    fn table_function_argument(&mut self) -> Result<Expr> {
        if self.at_identifier()
            && self.symbol_at(1, "=>")
            && self.at_offset(2, "TABLE")
            && self.at_table_argument(2)
        {
            let name = self.simple_identifier()?;
            self.advance();
            let value = Box::new(self.table_argument()?);
            return Ok(Expr::NamedArgument { name, value });
        }
        if self.at("TABLE") && self.at_table_argument(0) {
            return self.table_argument();
        }
        self.function_argument()
    }

    fn at_table_argument(&self, offset: usize) -> bool {
        let next = self.peek_at(offset + 1);
        next.text == "(" || self.is_identifier(next)
    }

    /// `TABLE(t)`, `TABLE(query)` with `PARTITION BY ..` or `WITH SINGLE PARTITION`, and `ORDER BY ..`
    fn table_argument(&mut self) -> Result<Expr> {
        self.expect("TABLE")?;
        let query = if self.eat_symbol("(") {
            let relation = if self.is_query_at(self.pos) { self.query()? } else { self.table()? };
            self.expect_symbol(")")?;
            relation
        } else {
            let start = self.pos;
            let name = self.reference()?;
            let written = self.text_from(start).to_string();
            let _ = name;
            return Err(self.error_from(
                start - 1,
                boathouse_spec::Error::new(
                    "INVALID_SQL_SYNTAX.INVALID_TABLE_FUNCTION_IDENTIFIER_ARGUMENT_MISSING_PARENTHESES",
                )
                .param("argumentName", boathouse_spec::quote(&written))
                .message(format!("The table argument {written} needs parentheses: TABLE({written}).")),
            ));
        };
        let single_partition = self.eat_all(&["WITH", "SINGLE", "PARTITION"]);
        let mut partition_by = vec![];
        let mut order_by: Vec<SortOrder> = vec![];
        let partitioned = self.at_offset(1, "BY") && self.at_any(&["PARTITION", "DISTRIBUTE"]);
        if partitioned && !single_partition {
            self.pos += 2;
            partition_by = self.one_or_parenthesized("partition", Self::expression)?;
        }
        if self.at_offset(1, "BY") && self.at_any(&["ORDER", "SORT"]) && (single_partition || partitioned) {
            self.pos += 2;
            order_by = self.one_or_parenthesized("order", Self::sort_item)?;
        }
        Ok(Expr::TableArgument { query: Box::new(query), partition_by, order_by, single_partition })
    }

    /// `(a, b)` or one item; several without parentheses would read as further arguments.
    fn one_or_parenthesized<T>(
        &mut self,
        what: &str,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let start = self.pos;
        let open = self.peek();
        if open.text == "(" && open.pair != 0 {
            let after = self.tokens[open.pair + 1].text;
            if matches!(after, ")" | "," | "ORDER" | "SORT") {
                return self.parenthesized(item);
            }
        }
        let first = item(self)?;
        if self.at_symbol(",") && !self.symbol_at(2, "=>") && self.at_identifier_list_rest() {
            let message = format!(
                "The table function call includes a table argument with an invalid partitioning/ordering specification: the {what} list has several expressions without parentheses around them"
            );
            return Err(self.error_from(start, error::legacy("0064", "msg", message)));
        }
        Ok(vec![first])
    }

    fn at_identifier_list_rest(&self) -> bool {
        self.is_identifier(self.peek_at(1)) && !self.at_offset(1, "TABLE")
    }
}
