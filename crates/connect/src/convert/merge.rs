//! `df.mergeInto(..)`.

use boathouse_spec::{
    Command, Error, Expr, Merge, MergeAction, MergeClause, Relation, RelationNode, Result, TableRef,
};

use super::{Converter, invalid_plan, missing, unknown_enum};
use crate::proto::spark::{self as proto, expression::ExprType, merge_action::ActionType};

const MESSAGE: &str = "spark.connect.MergeIntoTableCommand";

impl Converter<'_> {
    pub(super) fn merge_into(&mut self, m: proto::MergeIntoTableCommand) -> Result<Command> {
        if [&m.match_actions, &m.not_matched_actions, &m.not_matched_by_source_actions]
            .iter()
            .all(|a| a.is_empty())
        {
            return Err(Error::new("NO_MERGE_ACTION_SPECIFIED")
                .message("mergeInto does nothing without one of whenMatched, whenNotMatched and whenNotMatchedBySource."));
        }
        let table =
            TableRef { name: boathouse_sql::parse_name(&m.target_table_name)?, ..TableRef::default() };
        let source = m.source_table_plan.ok_or_else(|| missing(MESSAGE, "source_table_plan"))?;
        let condition = m.merge_condition.ok_or_else(|| missing(MESSAGE, "merge_condition"))?;
        Ok(Command::Merge(Box::new(Merge {
            target: Relation::new(RelationNode::Table(table)),
            source: self.relation(source)?,
            condition: self.expression(condition)?,
            matched: self.merge_clauses(m.match_actions)?,
            not_matched: self.merge_clauses(m.not_matched_actions)?,
            not_matched_by_source: self.merge_clauses(m.not_matched_by_source_actions)?,
            with_schema_evolution: m.with_schema_evolution,
        })))
    }

    fn merge_clauses(&mut self, messages: Vec<proto::Expression>) -> Result<Vec<MergeClause>> {
        let clauses = messages.into_iter().map(|m| match m.expr_type {
            Some(ExprType::MergeAction(action)) => self.merge_clause(*action),
            _ => Err(invalid_plan("INVALID_ONE_OF_FIELD_NOT_SUPPORTED")
                .param("fullName", "spark.connect.Expression")
                .param("name", "EXPRTYPE")
                .param("number", 0)
                .message("Among the actions of a MERGE stands an expression that is no action.")),
        });
        clauses.collect()
    }

    fn merge_clause(&mut self, m: proto::MergeAction) -> Result<MergeClause> {
        let condition = self.optional(m.condition)?;
        let assignments = m.assignments.into_iter().map(|a| self.assignment(a.key, a.value));
        let assignments = assignments.collect::<Result<Vec<_>>>()?;
        let action = match ActionType::try_from(m.action_type) {
            Ok(ActionType::Delete) => MergeAction::Delete,
            Ok(ActionType::Insert) => MergeAction::Insert(assignments),
            Ok(ActionType::InsertStar) => MergeAction::InsertAll,
            Ok(ActionType::Update) => MergeAction::Update(assignments),
            Ok(ActionType::UpdateStar) => MergeAction::UpdateAll,
            _ => return Err(unknown_enum("spark.connect.MergeAction.ActionType", m.action_type)),
        };
        Ok(MergeClause { condition, action })
    }

    pub(super) fn assignment(
        &mut self,
        key: Option<proto::Expression>,
        value: Option<proto::Expression>,
    ) -> Result<(Expr, Expr)> {
        let key = self.expression(key.ok_or_else(|| missing(MESSAGE, "key"))?)?;
        Ok((key, self.expression(value.ok_or_else(|| missing(MESSAGE, "value"))?)?))
    }
}
