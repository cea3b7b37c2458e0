//! SQL pipe syntax: `FROM t |> WHERE .. |> AGGREGATE ..`

use boathouse_spec::{Aggregate, Error, Expr, GroupingKind, PipeOperator, Relation, RelationNode, Result};

use crate::lexer::Kind;
use crate::parser::Parser;
use crate::query::{aliased, set_operation};
use crate::select::{Grouping, hinted};

impl Parser<'_> {
    /// Whether a pipe stands here: `|>`, or `|` before the word of an operator.
    pub fn at_pipe(&self) -> bool {
        self.at_symbol("|>") || (self.at_symbol("|") && self.begins_pipe_operator(1))
    }

    pub fn begins_pipe_operator(&self, offset: usize) -> bool {
        let (token, next) = (self.peek_at(offset), self.peek_at(offset + 1));
        if token.kind != Kind::Word || next.kind == Kind::End {
            return false;
        }
        let operand = next.kind != Kind::Symbol
            || matches!(next.text, "(" | "*" | "-" | "+" | "~" | ":" | "?" | "!" | "/*+");
        match token.text {
            "SELECT" | "EXTEND" | "WHERE" | "AGGREGATE" | "LIMIT" | "OFFSET" => operand,
            "SET" | "DROP" | "AS" => self.is_identifier(next) && next.text != "FROM",
            "PIVOT" | "UNPIVOT" | "TABLESAMPLE" | "UNION" | "EXCEPT" | "MINUS" | "INTERSECT" | "WINDOW" => {
                operand && next.text != "FROM"
            }
            "ORDER" | "CLUSTER" | "DISTRIBUTE" | "SORT" => next.text == "BY",
            "JOIN" => self.is_identifier(next) || next.text == "(",
            "INNER" | "CROSS" | "LEFT" | "RIGHT" | "FULL" | "SEMI" | "ANTI" | "NATURAL" => {
                matches!(
                    next.text,
                    "JOIN" | "OUTER" | "SEMI" | "ANTI" | "LEFT" | "RIGHT" | "FULL" | "INNER" | "CROSS"
                )
            }
            _ => false,
        }
    }

    /// What follows `|>`.
    pub fn pipe_operator(&mut self, input: Relation) -> Result<Relation> {
        let start = self.pos;
        let pipe = |input: Relation, operator: PipeOperator| -> Relation {
            RelationNode::Pipe { input, operator }.into()
        };
        match self.peek().text {
            "SELECT" => {
                self.advance();
                let hints = self.hints()?;
                let distinct = self.set_quantifier();
                let list = self.named_expressions()?;
                let mut relation = if self.eat_all(&["GROUP", "BY"]) {
                    let Grouping { kind, exprs: grouping } = self.grouping(false)?;
                    let aggregate =
                        Aggregate { input, kind, grouping, aggregates: list, grouping_first: false };
                    RelationNode::Aggregate(aggregate).into()
                } else {
                    pipe(input, PipeOperator::Select(list))
                };
                if distinct {
                    relation = RelationNode::Distinct { input: relation }.into();
                }
                let relation = self.window_clause(relation)?;
                Ok(hinted(relation, hints))
            }
            "EXTEND" => {
                self.advance();
                Ok(pipe(input, PipeOperator::Extend(self.named_expressions()?)))
            }
            "SET" => {
                self.advance();
                let assignments = self.list(|p| {
                    let name_start = p.pos;
                    let name = p.name()?;
                    p.expect_symbol("=")?;
                    let value = p.expression()?;
                    if name.len() > 1 {
                        let error = p.not_allowed(
                            name_start,
                            "SQL pipe syntax |> SET operator with multi-part assignment key (only single-part keys are allowed)",
                        );
                        p.note(error);
                    }
                    Ok((name, value))
                })?;
                // Spark reads the clause, and the assignments do not see its windows.
                self.window_clause(RelationNode::OneRow.into())?;
                Ok(pipe(input, PipeOperator::Set(assignments)))
            }
            "DROP" => {
                self.advance();
                Ok(pipe(input, PipeOperator::Drop(self.names()?)))
            }
            "AS" => {
                self.advance();
                let name = self.identifier()?;
                Ok(aliased(input, Some((name, vec![]))))
            }
            "WHERE" => {
                self.advance();
                let condition = self.expression()?;
                if self.at("WINDOW") && self.is_identifier(self.peek_at(1)) {
                    self.window_clause(RelationNode::OneRow.into())?;
                    self.note_statement(
                        Error::new("NOT_ALLOWED_IN_PIPE_OPERATOR_WHERE.WINDOW_CLAUSE")
                            .message("|> WHERE takes no WINDOW clause."),
                    );
                }
                Ok(RelationNode::Filter { input: pipe(input, PipeOperator::Barrier), condition }.into())
            }
            "PIVOT" | "UNPIVOT" => {
                let relation = self.pivot_or_unpivot(input)?;
                if self.at_any(&["PIVOT", "UNPIVOT"]) && self.symbol_at(1, "(") {
                    return Err(self.error_from(
                        start,
                        Error::new("NOT_ALLOWED_IN_FROM.UNPIVOT_WITH_PIVOT")
                            .message("PIVOT and UNPIVOT need a |> of their own each."),
                    ));
                }
                Ok(relation)
            }
            "TABLESAMPLE" => self.sample(input),
            "UNION" | "EXCEPT" | "MINUS" | "INTERSECT" => {
                let (operation, all) = self.set_operator()?;
                let right = self.query_primary()?;
                Ok(set_operation(input, right, operation, all))
            }
            "AGGREGATE" => self.pipe_aggregate(start, input),
            "ORDER" | "CLUSTER" | "DISTRIBUTE" | "SORT" | "LIMIT" | "OFFSET" | "WINDOW" => {
                self.pipe_organization(start, input)
            }
            _ if self.at_join() => self.join_relation(input),
            // Spark's grammar takes a pipe without an operator: its clauses of order and limit may all be missing.
            _ if self.at_end() || matches!(self.peek().text, ")" | ";" | "|>") => Ok(input),
            _ => Err(self.unexpected()),
        }
    }

    fn unsupported_clause(&self, start: usize, clause: &str) -> Error {
        self.error_from(
            start,
            Error::new("UNSUPPORTED_FEATURE.CLAUSE_WITH_PIPE_OPERATORS")
                .param("clauses", clause)
                .message(format!("The pipe operator |> does not take {clause}.")),
        )
    }

    /// `AGGREGATE [exprs] [GROUP BY exprs]`
    fn pipe_aggregate(&mut self, start: usize, input: Relation) -> Result<Relation> {
        self.expect("AGGREGATE")?;
        if self.at_end() || matches!(self.peek().text, ")" | ";" | "|>") {
            let what = "The AGGREGATE clause requires a list of aggregate expressions or a list of grouping expressions, or both";
            return Err(self.not_allowed(start, what));
        }
        let aggregates: Vec<Expr> =
            if self.at_all(&["GROUP", "BY"]) { vec![] } else { self.named_expressions()? };
        let mut grouping = Grouping { kind: GroupingKind::GroupBy, exprs: vec![] };
        if self.eat_all(&["GROUP", "BY"]) {
            grouping = self.grouping(true)?;
        }
        let case = match &grouping.kind {
            GroupingKind::GroupBy => None,
            GroupingKind::All => Some("GROUP BY ALL"),
            GroupingKind::Cube => Some("GROUP BY CUBE"),
            GroupingKind::Rollup => Some("GROUP BY ROLLUP"),
            GroupingKind::GroupingSets(_) | GroupingKind::Combined(_) => Some("GROUPING SETS"),
        };
        let in_list = || aggregates.iter().find_map(unsupported_in_aggregate);
        let case = if grouping.exprs.is_empty() { case } else { case.or_else(in_list) };
        if let Some(case) = case {
            return Err(self.error_from(
                start,
                Error::new("UNSUPPORTED_FEATURE.PIPE_OPERATOR_AGGREGATE_UNSUPPORTED_CASE")
                    .param("case", case)
                    .message(format!("|> AGGREGATE does not take {case}.")),
            ));
        }
        let operator =
            PipeOperator::Aggregate { aggregates, grouping: grouping.exprs, kind: GroupingKind::GroupBy };
        Ok(RelationNode::Pipe { input, operator }.into())
    }

    /// One of ORDER BY, LIMIT and their kin; LIMIT and OFFSET go together.
    fn pipe_organization(&mut self, start: usize, input: Relation) -> Result<Relation> {
        if self.at("WINDOW") {
            return Err(self.unsupported_clause(start, "the WINDOW clause"));
        }
        let mut used = Vec::new();
        let input = RelationNode::Pipe { input, operator: PipeOperator::Barrier }.into();
        let relation = self.query_organization_with(input, &mut used)?;
        match used.as_slice() {
            [one, two, ..] if (*one, *two) != ("LIMIT", "OFFSET") => Err(self.error_from(
                start,
                Error::new("MULTIPLE_QUERY_RESULT_CLAUSES_WITH_PIPE_OPERATORS")
                    .param("clause1", one)
                    .param("clause2", two)
                    .message(format!("{one} and {two} need a |> of their own each.")),
            )),
            _ => Ok(relation),
        }
    }
}

/// What |> AGGREGATE does not take in its list beside GROUP BY.
fn unsupported_in_aggregate(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Window { .. } => Some("window functions"),
        Expr::Alias { expr, .. } | Expr::Cast { expr, .. } => unsupported_in_aggregate(expr),
        Expr::Call(call) => match call.name.last().map(|n| n.to_ascii_lowercase()).as_deref() {
            Some("grouping") => Some("GROUPING"),
            Some("grouping_id") => Some("GROUPING_ID"),
            _ => call.args.iter().find_map(unsupported_in_aggregate),
        },
        _ => None,
    }
}
