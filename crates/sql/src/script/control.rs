//! IF, CASE and the loops.

use boathouse_spec::{Error, Plan, Result, ScriptCondition, ScriptLoop, ScriptLoopKind, ScriptStatement};

use crate::parser::Parser;

impl Parser<'_> {
    fn condition(&mut self) -> Result<ScriptCondition> {
        let (query, text) = self.value_query()?;
        Ok(ScriptCondition { query, text })
    }

    /// `IF c THEN .. [ELSEIF c THEN ..]* [ELSE ..] END IF`
    pub(super) fn if_statement(&mut self) -> Result<ScriptStatement> {
        let mut branches = Vec::new();
        while branches.is_empty() && self.eat("IF") || self.eat("ELSEIF") {
            let condition = self.condition()?;
            self.expect("THEN")?;
            branches.push((condition, self.statements()?));
        }
        let otherwise = self.otherwise("IF")?;
        Ok(ScriptStatement::If { branches, otherwise })
    }

    /// `CASE [value] WHEN .. THEN .. [ELSE ..] END CASE`
    pub(super) fn case_statement(&mut self) -> Result<ScriptStatement> {
        self.expect("CASE")?;
        if !self.at("WHEN") {
            return self.simple_case();
        }
        let mut branches = Vec::new();
        while self.eat("WHEN") {
            let condition = self.condition()?;
            self.expect("THEN")?;
            branches.push((condition, self.statements()?));
        }
        let otherwise = self.otherwise("CASE")?;
        Ok(ScriptStatement::If { branches, otherwise })
    }

    fn simple_case(&mut self) -> Result<ScriptStatement> {
        let value = self.expression()?;
        let mut branches = Vec::new();
        self.expect("WHEN")?;
        loop {
            let when = self.expression()?;
            if !self.deferred_identifiers.is_empty() {
                return Err(Error::unsupported("IDENTIFIER(..) of a variable in CASE value WHEN"));
            }
            self.expect("THEN")?;
            branches.push((when, self.statements()?));
            if !self.eat("WHEN") {
                break;
            }
        }
        let otherwise = self.otherwise("CASE")?;
        Ok(ScriptStatement::Case { value, branches, otherwise })
    }

    /// `[ELSE ..] END word`
    fn otherwise(&mut self, word: &str) -> Result<Vec<ScriptStatement>> {
        let statements = if self.eat("ELSE") { self.statements()? } else { Vec::new() };
        self.expect_all(&["END", word])?;
        Ok(statements)
    }

    /// `WHILE c DO .. END WHILE`
    pub(super) fn while_loop(&mut self, label: Option<String>) -> Result<ScriptStatement> {
        self.expect("WHILE")?;
        let condition = self.condition()?;
        self.expect("DO")?;
        let body = self.statements()?;
        self.expect_all(&["END", "WHILE"])?;
        self.finished(label, ScriptLoopKind::While(condition), body)
    }

    /// `REPEAT .. UNTIL c END REPEAT`
    pub(super) fn repeat_loop(&mut self, label: Option<String>) -> Result<ScriptStatement> {
        self.expect("REPEAT")?;
        let body = self.statements()?;
        self.expect("UNTIL")?;
        let condition = self.condition()?;
        self.expect_all(&["END", "REPEAT"])?;
        self.finished(label, ScriptLoopKind::Until(condition), body)
    }

    /// `LOOP .. END LOOP`
    pub(super) fn endless_loop(&mut self, label: Option<String>) -> Result<ScriptStatement> {
        self.expect("LOOP")?;
        let body = self.statements()?;
        self.expect_all(&["END", "LOOP"])?;
        self.finished(label, ScriptLoopKind::Forever, body)
    }

    /// `FOR [variable AS] query DO .. END FOR`
    pub(super) fn for_loop(&mut self, label: Option<String>) -> Result<ScriptStatement> {
        let start = self.pos;
        self.expect("FOR")?;
        let mut variable = None;
        if self.is_strict_identifier(self.peek()) && self.at_offset(1, "AS") {
            variable = Some(self.simple_identifier()?);
            self.advance();
        }
        let query = self.for_query()?;
        self.expect("DO")?;
        let body = self.with_for_variable(start, variable.as_deref(), Self::statements)?;
        self.expect_all(&["END", "FOR"])?;
        let variable = variable.map(|v| v.to_lowercase());
        self.finished(label, ScriptLoopKind::For { variable, query }, body)
    }

    fn for_query(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.script.in_for_query = true;
        let query = self.query();
        self.script.in_for_query = false;
        let text = self.text_from(start).to_string();
        Ok(self.with_identifiers(Plan::Query(query?), text))
    }

    fn finished(
        &mut self,
        label: Option<String>,
        kind: ScriptLoopKind,
        body: Vec<ScriptStatement>,
    ) -> Result<ScriptStatement> {
        self.end_label(label.as_deref())?;
        Ok(ScriptStatement::Loop(ScriptLoop { label: label.map(|l| l.to_lowercase()), kind, body }))
    }
}
