//! PIVOT and UNPIVOT.

use boathouse_spec::{Expr, Pivot, Relation, RelationNode, Result, Unpivot};

use crate::parser::Parser;
use crate::query::aliased;

impl Parser<'_> {
    pub fn at_pivot(&self) -> bool {
        self.at_any(&["PIVOT", "UNPIVOT"]) && self.begins_clause()
    }

    pub fn pivot_or_unpivot(&mut self, input: Relation) -> Result<Relation> {
        if self.at("PIVOT") { self.pivot(input) } else { self.unpivot(input) }
    }

    /// `PIVOT (sum(x) AS s FOR col IN (1 AS a, 2)) [AS p]`
    fn pivot(&mut self, input: Relation) -> Result<Relation> {
        self.expect("PIVOT")?;
        self.expect_symbol("(")?;
        let aggregates = self.named_expressions()?;
        self.expect("FOR")?;
        let names = if self.at_symbol("(") { self.identifier_list()? } else { vec![self.identifier()?] };
        let columns = names.into_iter().map(|n| Expr::column([n])).collect();
        self.expect("IN")?;
        let values = self.parenthesized(|p| {
            let value = p.expression()?;
            if p.eat("AS") || p.at_identifier() {
                return Ok(value.alias(p.identifier()?));
            }
            Ok(value)
        })?;
        self.expect_symbol(")")?;
        let relation =
            RelationNode::Pivot(Pivot { input, grouping: None, columns, values, aggregates }).into();
        self.pivot_alias(relation)
    }

    /// `UNPIVOT [INCLUDE NULLS] (value FOR name IN (a, b AS 'x'))`, or with several value columns.
    fn unpivot(&mut self, input: Relation) -> Result<Relation> {
        self.expect("UNPIVOT")?;
        let include_nulls = match self.eat_any(&["INCLUDE", "EXCLUDE"]) {
            Some(word) => {
                self.expect("NULLS")?;
                word == "INCLUDE"
            }
            None => false,
        };
        self.expect_symbol("(")?;
        let several = self.at_symbol("(");
        let value_columns = if several { self.identifier_list()? } else { vec![self.identifier()?] };
        self.expect("FOR")?;
        let variable_column = self.identifier()?;
        self.expect("IN")?;
        let values = self.parenthesized(|p| {
            let names = if several { p.parenthesized(Self::name)? } else { vec![p.name()?] };
            let alias = if p.eat("AS") || p.at_identifier() { Some(p.identifier()?) } else { None };
            Ok((names.into_iter().map(Expr::column).collect(), alias))
        })?;
        self.expect_symbol(")")?;
        let relation = RelationNode::Unpivot(Unpivot {
            input,
            ids: None,
            values: Some(values),
            variable_column,
            value_columns,
            include_nulls,
        })
        .into();
        self.pivot_alias(relation)
    }

    fn pivot_alias(&mut self, relation: Relation) -> Result<Relation> {
        if self.eat("AS") {
            let name = self.identifier()?;
            return Ok(aliased(relation, Some((name, vec![]))));
        }
        if self.is_strict_identifier(self.peek()) && self.at_alias() {
            let name = self.identifier()?;
            return Ok(aliased(relation, Some((name, vec![]))));
        }
        Ok(relation)
    }
}
