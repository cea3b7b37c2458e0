//! Scripts: `BEGIN .. END`, the statements inside and the order they must stand in (Spark's `visitCompoundBody`).
//!
//! Statements are those of the rest of the crate. What only scripts have is here: `control.rs` for conditions and loops,
//! `declare.rs` for conditions of errors and their handlers, `label.rs` for labels.

mod control;
mod declare;
mod label;

#[cfg(test)]
mod tests;

use boathouse_spec::{
    Command, Error, Plan, Relation, RelationNode, Result, ScriptBlock, ScriptHandler, ScriptStatement,
    quote_name,
};

use crate::lexer::Kind;
use crate::parser::Parser;
use crate::statement::command;

/// What the parser knows of the script around the current statement.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// Labels and variables of FOR loops, the innermost last.
    labels: Vec<label::Label>,
    /// The conditions that each block around declares, in upper case.
    conditions: Vec<Vec<String>>,
    /// Inside the query of a FOR loop, which DO ends.
    pub in_for_query: bool,
}

/// Statements between two words of the script.
#[derive(Default)]
struct Body {
    handlers: Vec<ScriptHandler>,
    statements: Vec<ScriptStatement>,
    /// How far in the order of a block the body is.
    stage: Stage,
    /// Whether it is the body of a block, which may declare.
    is_block: bool,
}

/// Variables and conditions come first in a block, then cursors, then handlers, then everything else.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Variables,
    Cursors,
    Handlers,
    Statements,
}

impl Parser<'_> {
    /// `BEGIN .. END [;]`: the whole text.
    pub fn script(&mut self) -> Result<Plan> {
        // No label may follow the END of the whole.
        let body = self.begin_end()?;
        if self.at_symbol(";") {
            self.advance();
        }
        self.expect_end()?;
        self.noted()?;
        let block = ScriptBlock { label: None, handlers: body.handlers, body: body.statements };
        Ok(command(Command::Script(block)))
    }

    /// `BEGIN [NOT ATOMIC] .. END [label]`
    fn block(&mut self, label: Option<String>) -> Result<ScriptBlock> {
        let body = self.begin_end()?;
        self.end_label(label.as_deref())?;
        Ok(ScriptBlock {
            label: label.map(|l| l.to_lowercase()),
            handlers: body.handlers,
            body: body.statements,
        })
    }

    /// `BEGIN [NOT ATOMIC] .. END`
    fn begin_end(&mut self) -> Result<Body> {
        self.expect("BEGIN")?;
        self.eat_words(&["NOT", "ATOMIC"]);
        self.block_body()
    }

    /// What stands in a block, and its END.
    fn block_body(&mut self) -> Result<Body> {
        self.script.conditions.push(Vec::new());
        let body = self.body(true);
        self.script.conditions.pop();
        let body = body?;
        self.expect("END")?;
        Ok(body)
    }

    /// One statement or more, each with its semicolon.
    fn statements(&mut self) -> Result<Vec<ScriptStatement>> {
        if self.at_body_end() {
            return Err(self.unexpected_at(self.pos + 1));
        }
        Ok(self.body(false)?.statements)
    }

    fn body(&mut self, is_block: bool) -> Result<Body> {
        let mut body = Body { is_block, ..Body::default() };
        while !self.at_body_end() {
            self.nested(|p| p.script_statement(&mut body))?;
            self.expect_symbol(";")?;
        }
        Ok(body)
    }

    fn at_body_end(&self) -> bool {
        self.at_end() || (self.at_any(&["END", "ELSE", "ELSEIF", "WHEN", "UNTIL"]) && !self.symbol_at(1, ":"))
    }

    fn script_statement(&mut self, body: &mut Body) -> Result<()> {
        if self.at("DECLARE") {
            return self.declaration(body);
        }
        body.stage = Stage::Statements;
        let statement = self.compound_statement()?;
        body.statements.push(statement);
        Ok(())
    }

    fn compound_statement(&mut self) -> Result<ScriptStatement> {
        let start = self.pos;
        let label = self.begin_label()?;
        let word = if self.kind() == Kind::Word {
            self.source(self.peek()).to_ascii_uppercase()
        } else {
            String::new()
        };
        match word.as_str() {
            "BEGIN" if label.is_some() || !self.at_word(1, "TRANSACTION") => {
                self.labelled(start, label, label::Kind::Block, |p, l| p.block(l).map(ScriptStatement::Block))
            }
            "WHILE" => self.labelled(start, label, label::Kind::Loop, Self::while_loop),
            "REPEAT" => self.labelled(start, label, label::Kind::Loop, Self::repeat_loop),
            "LOOP" => self.labelled(start, label, label::Kind::Loop, Self::endless_loop),
            "FOR" => self.labelled(start, label, label::Kind::Loop, Self::for_loop),
            _ if label.is_some() => Err(self.unexpected()),
            "IF" => self.if_statement(),
            "CASE" => self.case_statement(),
            "LEAVE" => self.leave(),
            "ITERATE" => self.iterate(),
            _ => self.plain_statement().map(ScriptStatement::Plan),
        }
    }

    /// A statement that may stand outside of scripts too, or SET.
    fn plain_statement(&mut self) -> Result<Plan> {
        if self.at("RESET") {
            return Err(self.unexpected_at(self.pos + 1));
        }
        let start = self.pos;
        if !self.at("SET") {
            let plan = self.statement()?;
            let text = self.text_from(start).to_string();
            return Ok(self.with_identifiers(plan, text));
        }
        // Here SET always is about variables.
        self.statement_start = start;
        self.advance();
        let plan = self.set_variables()?;
        let text = format!("SET VARIABLE {}", self.text_from(start + 1));
        Ok(self.with_identifiers(plan, text))
    }

    /// The plan, or what stands for it until the values of its `IDENTIFIER(..)` clauses are known. The text is the same as
    /// a statement of its own.
    fn with_identifiers(&mut self, plan: Plan, text: String) -> Plan {
        self.identifier_clauses = 0;
        if self.deferred_identifiers.is_empty() {
            return plan;
        }
        let identifiers = std::mem::take(&mut self.deferred_identifiers);
        command(Command::IdentifierClause { text, identifiers })
    }

    /// A query whose only value is the expression that stands here, with what was written.
    fn value_query(&mut self) -> Result<(Plan, String)> {
        let start = self.pos;
        let expr = self.expression()?;
        let text = self.text_from(start).to_string();
        let one = Relation::new(RelationNode::OneRow);
        let query = Plan::Query(Relation::new(RelationNode::Project { input: one, exprs: vec![expr] }));
        let query = self.with_identifiers(query, format!("SELECT {text}"));
        Ok((query, text))
    }

    /// An error of the script rather than of a statement in it: Spark tells the line.
    fn script_error(&self, token: usize, error: Error) -> Error {
        let start = self.tokens[token.min(self.tokens.len() - 1)].start;
        let line = self.text[..start].matches('\n').count() + 1;
        error.detail(format!("(line {line})")).exception("ParseException")
    }
}

/// A local variable that may not be declared where it is.
fn misplaced_variable(names: &[boathouse_spec::Name], subclass: &str, why: &str) -> Error {
    let name = names.first().map(|n| quote_name(n)).unwrap_or_default();
    Error::new(format!("INVALID_VARIABLE_DECLARATION.{subclass}"))
        .param("varName", &name)
        .message(format!("The variable {name} cannot be declared here: {why}."))
}
