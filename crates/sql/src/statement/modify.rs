//! UPDATE, DELETE, MERGE.

use boathouse_spec::{Command, Error, Expr, Merge, MergeAction, MergeClause, Name, Plan, Relation, Result};

use super::command;
use super::insert::default_value;
use crate::parser::Parser;
use crate::query::{Ctes, aliased};

impl Parser<'_> {
    /// The target of UPDATE and DELETE, with its alias.
    fn target(&mut self, operation: &str) -> Result<(Name, Option<String>)> {
        let name = self.reference_name()?;
        let alias = self.table_alias()?;
        self.refuse_column_aliases(&alias, operation);
        Ok((name, alias.map(|(alias, _)| alias)))
    }

    fn optional_where(&mut self) -> Result<Option<Expr>> {
        if self.eat("WHERE") { self.expression().map(Some) } else { Ok(None) }
    }

    /// `UPDATE t [AS a] SET c = v, .. [WHERE ..]`
    pub fn update(&mut self, ctes: Option<Ctes>) -> Result<Plan> {
        self.expect("UPDATE")?;
        let (table, alias) = self.target("UPDATE")?;
        self.expect("SET")?;
        self.statement_ctes = ctes;
        let assignments = self.list(Self::assignment)?;
        let condition = self.optional_where()?;
        self.statement_ctes = None;
        Ok(command(Command::Update { table, alias, assignments, condition }))
    }

    /// `name = value`; DEFAULT is a value here.
    pub fn assignment(&mut self) -> Result<(Name, Expr)> {
        let name = self.name()?;
        self.expect_symbol("=")?;
        let mut value = self.expression()?;
        default_value(&mut value);
        Ok((name, value))
    }

    /// `DELETE FROM t [AS a] [WHERE ..]`
    pub fn delete(&mut self, ctes: Option<Ctes>) -> Result<Plan> {
        self.expect_all(&["DELETE", "FROM"])?;
        let (table, alias) = self.target("DELETE")?;
        self.statement_ctes = ctes;
        let condition = self.optional_where()?;
        self.statement_ctes = None;
        Ok(command(Command::Delete { table, alias, condition }))
    }

    pub fn merge(&mut self, ctes: Option<Ctes>) -> Result<Plan> {
        self.expect("MERGE")?;
        let with_schema_evolution = self.eat_all(&["WITH", "SCHEMA", "EVOLUTION"]);
        self.expect("INTO")?;
        let target = self.merge_table()?;
        self.expect("USING")?;
        let source = if self.at_symbol("(") {
            self.advance();
            let query = self.query()?;
            self.expect_symbol(")")?;
            let alias = self.table_alias()?;
            self.refuse_column_aliases(&alias, "MERGE");
            aliased(query, alias)
        } else {
            self.merge_table()?
        };
        let source = match ctes.clone() {
            Some(ctes) => ctes.over(source),
            None => source,
        };
        self.statement_ctes = ctes;
        self.expect("ON")?;
        let condition = self.expression()?;
        let mut merge = Merge {
            target,
            source,
            condition,
            matched: vec![],
            not_matched: vec![],
            not_matched_by_source: vec![],
            with_schema_evolution,
        };
        while self.at("WHEN") {
            self.merge_clause(&mut merge)?;
        }
        self.statement_ctes = None;
        if merge.matched.is_empty() && merge.not_matched.is_empty() && merge.not_matched_by_source.is_empty()
        {
            self.note_statement(
                Error::new("MERGE_WITHOUT_WHEN").message("A MERGE needs at least one WHEN clause."),
            );
        }
        for (clauses, class) in [
            (&merge.matched, "NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION"),
            (&merge.not_matched, "NON_LAST_NOT_MATCHED_BY_TARGET_CLAUSE_OMIT_CONDITION"),
            (&merge.not_matched_by_source, "NON_LAST_NOT_MATCHED_BY_SOURCE_CLAUSE_OMIT_CONDITION"),
        ] {
            let all_but_last = &clauses[..clauses.len().saturating_sub(1)];
            if all_but_last.iter().any(|c| c.condition.is_none()) {
                self.note_statement(
                    Error::new(class)
                        .message("Of several WHEN clauses of a kind only the last may omit its condition."),
                );
            }
        }
        Ok(command(Command::Merge(Box::new(merge))))
    }

    fn merge_table(&mut self) -> Result<Relation> {
        let relation = self.table()?;
        let alias = self.table_alias()?;
        self.refuse_column_aliases(&alias, "MERGE");
        Ok(aliased(relation, alias))
    }

    fn refuse_column_aliases(&mut self, alias: &Option<(String, Vec<String>)>, operation: &str) {
        if alias.as_ref().is_some_and(|(_, columns)| !columns.is_empty()) {
            self.note_statement(
                Error::new("COLUMN_ALIASES_NOT_ALLOWED")
                    .param("op", operation)
                    .message(format!("The tables of {operation} take no column names.")),
            );
        }
    }

    fn merge_clause(&mut self, merge: &mut Merge) -> Result<()> {
        self.expect("WHEN")?;
        let negated = self.eat_not()?;
        // WHEN MATCHED first, then WHEN NOT MATCHED, then WHEN NOT MATCHED BY SOURCE.
        let late = !merge.not_matched_by_source.is_empty();
        if (!negated && (late || !merge.not_matched.is_empty()))
            || (negated && late && !self.at_offset(2, "SOURCE"))
        {
            return Err(self.unexpected());
        }
        self.expect("MATCHED")?;
        let by_source = negated && self.eat_all(&["BY", "SOURCE"]);
        if negated && !by_source {
            self.eat_all(&["BY", "TARGET"]);
        }
        let condition = if self.eat("AND") { Some(self.expression()?) } else { None };
        self.expect("THEN")?;
        let action =
            if negated && !by_source { self.insert_action()? } else { self.update_action(!by_source)? };
        let clause = MergeClause { condition, action };
        match (negated, by_source) {
            (false, _) => merge.matched.push(clause),
            (true, false) => merge.not_matched.push(clause),
            (true, true) => merge.not_matched_by_source.push(clause),
        }
        Ok(())
    }

    fn update_action(&mut self, star_allowed: bool) -> Result<MergeAction> {
        if self.eat("DELETE") {
            return Ok(MergeAction::Delete);
        }
        self.expect("UPDATE")?;
        self.expect("SET")?;
        if star_allowed && self.eat_symbol("*") {
            return Ok(MergeAction::UpdateAll);
        }
        let assignments = self.list(Self::assignment)?;
        Ok(MergeAction::Update(assignments.into_iter().map(|(name, v)| (Expr::column(name), v)).collect()))
    }

    fn insert_action(&mut self) -> Result<MergeAction> {
        self.expect("INSERT")?;
        if self.eat_symbol("*") {
            return Ok(MergeAction::InsertAll);
        }
        let columns = self.parenthesized(Self::name)?;
        self.expect("VALUES")?;
        let mut values = self.parenthesized(Self::expression)?;
        values.iter_mut().for_each(default_value);
        if columns.len() != values.len() {
            self.note_statement(
                Error::new("MERGE_INSERT_VALUE_COUNT_MISMATCH")
                    .param("expectedCount", columns.len())
                    .param("actualCount", values.len())
                    .message(format!(
                        "The INSERT names {} columns and gives {} values.",
                        columns.len(),
                        values.len()
                    )),
            );
        }
        Ok(MergeAction::Insert(columns.into_iter().map(Expr::column).zip(values).collect()))
    }
}
