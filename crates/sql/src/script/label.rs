//! Labels: of blocks and loops, and the statements LEAVE and ITERATE that name them (Spark's `SqlScriptingLabelContext`).

use boathouse_spec::{Error, Result, ScriptStatement, quote};

use crate::parser::Parser;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Block,
    Loop,
    /// The variable of a FOR loop: it qualifies names as a label does, but cannot be left.
    ForVariable,
}

#[derive(Debug)]
pub(super) struct Label {
    /// In lower case.
    name: String,
    kind: Kind,
}

impl Parser<'_> {
    /// `label:` before a block or a loop; elsewhere a colon begins a parameter (`SELECT :a`).
    pub(super) fn begin_label(&mut self) -> Result<Option<String>> {
        const LABELLED: [&str; 5] = ["BEGIN", "WHILE", "REPEAT", "LOOP", "FOR"];
        let is_label = self.symbol_at(1, ":") && LABELLED.iter().any(|word| self.at_word(2, word));
        if !is_label || !self.at_identifier() {
            return Ok(None);
        }
        let label = self.simple_identifier()?;
        self.advance();
        Ok(Some(label))
    }

    /// The label after an END.
    pub(super) fn end_label(&mut self, begin: Option<&str>) -> Result<()> {
        if self.at_symbol(";") || self.at_end() || !self.at_identifier() {
            return Ok(());
        }
        let place = self.pos;
        let end = self.simple_identifier()?;
        let error = match begin {
            Some(begin) if begin.eq_ignore_ascii_case(&end) => return Ok(()),
            Some(begin) => Error::new("LABELS_MISMATCH")
                .param("beginLabel", quote(begin))
                .param("endLabel", quote(&end))
                .message(format!("What begins with the label {} ends with {}.", quote(begin), quote(&end))),
            None => Error::new("END_LABEL_WITHOUT_BEGIN_LABEL")
                .param("endLabel", quote(&end))
                .message(format!("The label {} stands at the end, but not at the beginning.", quote(&end))),
        };
        let error = self.script_error(place, error);
        self.note(error);
        Ok(())
    }

    /// Runs a rule with its label in scope.
    pub(super) fn labelled<T>(
        &mut self,
        start: usize,
        label: Option<String>,
        kind: Kind,
        rule: impl FnOnce(&mut Self, Option<String>) -> Result<T>,
    ) -> Result<T> {
        let Some(name) = label else { return rule(self, None) };
        self.enter(start, &name, kind);
        let result = rule(self, Some(name));
        self.script.labels.pop();
        result
    }

    /// As [`Self::labelled`], for the variable of a FOR loop.
    pub(super) fn with_for_variable<T>(
        &mut self,
        start: usize,
        variable: Option<&str>,
        rule: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let Some(name) = variable else { return rule(self) };
        self.enter(start, name, Kind::ForVariable);
        let result = rule(self);
        self.script.labels.pop();
        result
    }

    fn enter(&mut self, start: usize, label: &str, kind: Kind) {
        let name = label.to_lowercase();
        let taken = self.script.labels.iter().any(|l| l.name == name);
        let forbidden = matches!(name.as_str(), "builtin" | "session") || name.starts_with("sys");
        let refused = if taken {
            Some(("ALREADY_EXISTS", "is taken by a block or loop around this one"))
        } else if forbidden {
            Some(("NAME_FORBIDDEN", "is kept for the system"))
        } else {
            None
        };
        if let Some((what, why)) = refused {
            let error = Error::new(format!("LABEL_OR_FOR_VARIABLE_{what}"))
                .param("label", quote(label))
                .message(format!("The label or FOR variable {} {why}: choose another name.", quote(label)));
            let error = self.script_error(start, error);
            self.note(error);
        }
        self.script.labels.push(Label { name, kind });
    }

    pub(super) fn leave(&mut self) -> Result<ScriptStatement> {
        self.label_use("LEAVE").map(ScriptStatement::Leave)
    }

    pub(super) fn iterate(&mut self) -> Result<ScriptStatement> {
        self.label_use("ITERATE").map(ScriptStatement::Iterate)
    }

    fn label_use(&mut self, statement: &str) -> Result<String> {
        let start = self.pos;
        self.advance();
        let label = self.simple_identifier()?;
        let name = label.to_lowercase();
        let found = self.script.labels.iter().rev().find(|l| l.name == name && l.kind != Kind::ForVariable);
        let (subclass, why) = match found.map(|l| l.kind) {
            Some(Kind::Block) if statement == "ITERATE" => (
                "ITERATE_IN_COMPOUND",
                "ITERATE goes on with a loop, and this is the label of a BEGIN .. END",
            ),
            Some(_) => return Ok(name),
            None => ("DOES_NOT_EXIST", "no block or loop around the statement has it"),
        };
        let error = Error::new(format!("INVALID_LABEL_USAGE.{subclass}"))
            .param("labelName", label.to_uppercase())
            .param("statementType", statement)
            .message(format!("{statement} cannot use the label {}: {why}.", label.to_uppercase()));
        let error = self.script_error(start, error);
        self.note(error);
        Ok(name)
    }
}
