//! DECLARE in scripts: variables, conditions of errors, cursors, handlers.

use boathouse_spec::{
    Command, Error, HandledCondition, Plan, Result, ScriptHandler, ScriptStatement, quote, sqlstate,
};

use super::{Body, Stage, misplaced_variable};
use crate::parser::Parser;

impl Parser<'_> {
    pub(super) fn declaration(&mut self, body: &mut Body) -> Result<()> {
        let start = self.pos;
        if (self.at_word(1, "CONTINUE") || self.at_word(1, "EXIT")) && self.at_word(2, "HANDLER") {
            return self.handler(body);
        }
        if self.at_word(2, "CONDITION") {
            return self.error_condition(body);
        }
        let plan = self.declare()?;
        if matches!(&plan, Plan::Command(c) if matches!(**c, Command::Cursor(_))) {
            if body.is_block && body.stage > Stage::Cursors {
                let error = Error::new("INVALID_CURSOR_DECLARATION").message(
                    "Cursors stand in a BEGIN .. END after the variables and conditions, and before handlers and all other statements.",
                );
                let error = self.script_error(start, error);
                self.note(error);
            }
            body.stage = body.stage.max(Stage::Cursors);
            body.statements.push(ScriptStatement::Plan(plan));
            return Ok(());
        }
        if let Plan::Command(command) = &plan
            && let Command::DeclareVariable { names, .. } = &**command
        {
            let misplaced = if !body.is_block {
                Some(("NOT_ALLOWED_IN_SCOPE", "only a BEGIN .. END may declare variables"))
            } else if body.stage > Stage::Variables {
                Some(("ONLY_AT_BEGINNING", "variables come first in a BEGIN .. END"))
            } else {
                None
            };
            if let Some((subclass, why)) = misplaced {
                let error = self.script_error(start, misplaced_variable(names, subclass, why));
                self.note(error);
            }
        }
        let text = self.text_from(start).to_string();
        let plan = self.with_identifiers(plan, text);
        body.statements.push(ScriptStatement::Plan(plan));
        Ok(())
    }

    /// `DECLARE name CONDITION [FOR SQLSTATE [VALUE] '..']`
    fn error_condition(&mut self, body: &Body) -> Result<()> {
        let start = self.pos;
        self.advance();
        let name = self.simple_identifier()?;
        self.advance();
        if self.eat("FOR") {
            self.sql_state()?;
        }
        let upper = name.to_uppercase();
        let invalid = |subclass: &str, why: &str| {
            Error::new(format!("INVALID_ERROR_CONDITION_DECLARATION.{subclass}"))
                .param("conditionName", quote(&upper))
                .message(format!("The condition {} cannot be declared: {why}.", quote(&upper)))
        };
        // A condition of a block around is in sight too.
        let known = self.script.conditions.iter().flatten().any(|c| *c == upper);
        let error = if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            Some(invalid("SPECIAL_CHARACTER_FOUND", "its name may hold letters, digits and underscores only"))
        } else if !body.is_block || body.stage > Stage::Variables {
            Some(invalid(
                "NOT_AT_START_OF_COMPOUND_STATEMENT",
                "conditions stand at the start of a BEGIN .. END",
            ))
        } else if known {
            Some(
                Error::new("DUPLICATE_CONDITION_IN_SCOPE")
                    .param("condition", quote(&upper))
                    .message(format!("The condition {} is declared twice in one scope.", quote(&upper))),
            )
        } else {
            None
        };
        if let Some(error) = error {
            let error = self.script_error(start, error);
            self.note(error);
        } else if let Some(conditions) = self.script.conditions.last_mut() {
            conditions.push(upper);
        }
        Ok(())
    }

    /// `SQLSTATE [VALUE] '..'`
    fn sql_state(&mut self) -> Result<String> {
        let start = self.pos;
        self.expect_word("SQLSTATE")?;
        self.eat_word("VALUE");
        let state = self.string_literal()?.to_uppercase();
        let is_valid = state.len() == 5
            && state.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            && !["00", "01", "XX"].iter().any(|p| state.starts_with(p));
        if !is_valid {
            let error = Error::new("INVALID_SQLSTATE").param("sqlState", &state).message(format!(
                "'{state}' is no SQLSTATE of an error: it has five letters (A-Z) or digits and does not begin with 00, 01 or XX."
            ));
            let error = self.script_error(start, error);
            self.note(error);
        }
        Ok(state)
    }

    /// `DECLARE {EXIT | CONTINUE} HANDLER FOR condition, .. {BEGIN .. END | statement}`
    fn handler(&mut self, body: &mut Body) -> Result<()> {
        let start = self.pos;
        self.advance();
        let continues = self.advance_word() == "CONTINUE";
        self.advance();
        self.expect("FOR")?;
        let conditions = self.list(Self::handled_condition)?;
        self.check_conditions(start, &conditions);
        if !body.is_block || body.stage > Stage::Handlers {
            let error = Error::new("INVALID_HANDLER_DECLARATION.WRONG_PLACE_OF_DECLARATION").message(
                "Handlers stand in a BEGIN .. END after the variables and conditions, and before all other statements.",
            );
            let error = self.script_error(start, error);
            self.note(error);
        }
        body.stage = body.stage.max(Stage::Handlers);
        let statements = if self.at("BEGIN") {
            self.advance();
            self.eat_words(&["NOT", "ATOMIC"]);
            let inner = self.block_body()?;
            vec![ScriptStatement::Block(boathouse_spec::ScriptBlock {
                label: None,
                handlers: inner.handlers,
                body: inner.statements,
            })]
        } else {
            vec![ScriptStatement::Plan(self.plain_statement()?)]
        };
        body.handlers.push(ScriptHandler { continues, conditions, body: statements });
        Ok(())
    }

    fn handled_condition(&mut self) -> Result<HandledCondition> {
        if self.at_word(0, "SQLSTATE") {
            return self.sql_state().map(HandledCondition::SqlState);
        }
        if self.eat_word("SQLEXCEPTION") {
            return Ok(HandledCondition::SqlException);
        }
        if self.eat_words(&["NOT", "FOUND"]) {
            return Ok(HandledCondition::NotFound);
        }
        let start = self.pos;
        let name = self.name()?.join(".").to_uppercase();
        let declared = self.script.conditions.iter().flatten().any(|c| *c == name);
        if !declared && sqlstate(&name).is_empty() {
            let error = Error::new("INVALID_HANDLER_DECLARATION.CONDITION_NOT_FOUND")
                .param("condition", &name)
                .message(format!("{name} is no error class, and no condition that the script declares."));
            let error = self.script_error(start, error);
            self.note(error);
        }
        Ok(HandledCondition::Named(name))
    }

    fn check_conditions(&mut self, start: usize, conditions: &[HandledCondition]) {
        let is_repeated = |(i, condition): &(usize, &HandledCondition)| conditions[..*i].contains(condition);
        let duplicate = conditions.iter().enumerate().find(is_repeated).map(|(_, condition)| condition);
        let name = match duplicate {
            Some(HandledCondition::Named(name)) => name.as_str(),
            Some(HandledCondition::SqlException) => "SQLEXCEPTION",
            Some(HandledCondition::NotFound) => "NOT FOUND",
            Some(HandledCondition::SqlState(_)) | None => "",
        };
        let error = match duplicate {
            Some(HandledCondition::SqlState(state)) => {
                Error::new("INVALID_HANDLER_DECLARATION.DUPLICATE_SQLSTATE_IN_HANDLER_DECLARATION")
                    .param("sqlState", state)
                    .message(format!("The handler names the SQLSTATE {state} twice."))
            }
            Some(_) => {
                Error::new("INVALID_HANDLER_DECLARATION.DUPLICATE_CONDITION_IN_HANDLER_DECLARATION")
                    .param("condition", name)
                    .message(format!("The handler names the condition {name} twice."))
            }
            None if mixes_conditions(conditions) => {
                Error::new("INVALID_HANDLER_DECLARATION.INVALID_CONDITION_COMBINATION").message(
                    "SQLEXCEPTION and NOT FOUND stand for all errors of their kind: a handler for them names no others.",
                )
            }
            None => return,
        };
        let error = self.script_error(start, error);
        self.note(error);
    }
}

/// Whether conditions of a whole kind stand beside single ones.
fn mixes_conditions(conditions: &[HandledCondition]) -> bool {
    let is_kind =
        |c: &HandledCondition| matches!(c, HandledCondition::SqlException | HandledCondition::NotFound);
    conditions.iter().any(is_kind) && !conditions.iter().all(is_kind)
}
