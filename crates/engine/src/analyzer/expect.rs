//! Rows checked against expectations.

use boathouse_spec::{Error, Expectation, Relation, Result};

use super::Analyzer;
use super::analyzed::Analyzed;
use crate::expectations::{self, Rule};

impl Analyzer {
    pub(super) fn expect(
        &mut self,
        input: &Relation,
        rules: &[Expectation],
        outcome: &str,
    ) -> Result<Analyzed> {
        let analyzed = self.relation(input)?.without_hidden()?;
        let Some(outcome) = self.session.outcome(outcome) else {
            return Err(Error::internal("the outcome of expectations is not wanted any more"));
        };
        let mut resolved = Vec::with_capacity(rules.len());
        for rule in rules {
            let condition = self.expr(&rule.condition.expr, &analyzed)?;
            let condition = self.condition(condition, "expectation")?;
            super::aggregate::forbid_aggregates(&condition.expr, &condition.name, "EXPECT")?;
            super::window::forbid_uncomputed_windows(&condition, "EXPECT")?;
            resolved.push(Rule { action: rule.action, condition: condition.expr });
        }
        let schema = analyzed.schema();
        let plan = expectations::plan(analyzed.plan.clone(), schema, resolved, outcome);
        Ok(analyzed.with_plan(plan))
    }
}
