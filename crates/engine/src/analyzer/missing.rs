//! `df.na`: NULLs filled, dropped, replaced.

use boathouse_bridge::ResultExt;
use boathouse_spec::{CastMode, DataType, Error, Literal, Relation, Result};
use datafusion::logical_expr::{Case, Expr as DfExpr, LogicalPlanBuilder, Operator, lit};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::operator::binary;

impl Analyzer {
    pub(super) fn fill_na(
        &mut self,
        input: &Relation,
        columns: &[String],
        values: &[Literal],
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let wanted = self.named_columns(&input, columns)?;
        let mut pairs = Vec::new();
        for a in input.output.clone() {
            let value = match (columns.is_empty(), wanted.iter().position(|w| w.id == a.id)) {
                (true, _) => values.first(),
                (false, Some(i)) if values.len() > 1 => {
                    let named = columns.iter().rposition(|c| c.eq_ignore_ascii_case(&a.name)).unwrap_or(i);
                    values.get(named)
                }
                (false, Some(_)) => values.first(),
                (false, None) => None,
            };
            // Of several values each is for its column, whatever its type is; one is for the columns of its kind.
            let is_for = |v: &&Literal| values.len() > 1 || fits(&v.data_type(), &a.data_type);
            let Some(value) = value.filter(is_for) else {
                pairs.push((a.column(), a));
                continue;
            };
            let value = self.literal(value)?;
            let value = self.explicit_cast(value, &a.data_type, CastMode::Session)?;
            let mut present = DfExpr::IsNotNull(Box::new(a.column()));
            if matches!(a.data_type, DataType::Float | DataType::Double) {
                // NaN counts as missing too.
                let nan = DfExpr::IsTrue(Box::new(self.builtin("isnan", vec![a.typed()])?.expr));
                present = Self::both(present, DfExpr::Not(Box::new(nan)));
            }
            let case = Case::new(
                None,
                vec![(Box::new(present), Box::new(a.column()))],
                Some(Box::new(value.expr.clone())),
            );
            let attribute = self.attribute(&a.name, a.data_type.clone(), a.nullable && value.nullable);
            pairs.push((DfExpr::Case(case), attribute));
        }
        self.project_pairs(input, pairs)
    }

    pub(super) fn drop_na(
        &mut self,
        input: &Relation,
        columns: &[String],
        min_non_nulls: Option<i32>,
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let wanted =
            if columns.is_empty() { input.output.clone() } else { self.named_columns(&input, columns)? };
        let mut present = Vec::new();
        for a in &wanted {
            let mut condition = DfExpr::IsNotNull(Box::new(a.column()));
            if matches!(a.data_type, DataType::Float | DataType::Double) {
                let nan = DfExpr::IsTrue(Box::new(self.builtin("isnan", vec![a.typed()])?.expr));
                condition = Self::both(condition, DfExpr::Not(Box::new(nan)));
            }
            present.push(condition);
        }
        let needed = min_non_nulls.unwrap_or(present.len() as i32);
        let condition = if needed as usize >= present.len() && min_non_nulls.is_none() {
            present.into_iter().reduce(Self::both)
        } else {
            present
                .into_iter()
                .map(|p| {
                    DfExpr::Case(Case::new(
                        None,
                        vec![(Box::new(p), Box::new(lit(1i64)))],
                        Some(Box::new(lit(0i64))),
                    ))
                })
                .reduce(|a, b| binary(a, Operator::Plus, b))
                .map(|count| binary(count, Operator::GtEq, lit(i64::from(needed))))
        };
        let Some(condition) = condition else { return Ok(input) };
        let plan = LogicalPlanBuilder::from(input.plan.clone()).filter(condition).spark()?.build().spark()?;
        Ok(input.with_plan(plan))
    }

    pub(super) fn replace_na(
        &mut self,
        input: &Relation,
        columns: &[String],
        replacements: &[(Literal, Literal)],
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let wanted =
            if columns.is_empty() { input.output.clone() } else { self.named_columns(&input, columns)? };
        let mut pairs = Vec::new();
        for a in input.output.clone() {
            let applies = wanted.iter().any(|w| w.id == a.id)
                && replacements.iter().any(|(from, to)| {
                    let t = if from.is_null() { to.data_type() } else { from.data_type() };
                    fits(&t, &a.data_type)
                });
            if !applies {
                pairs.push((a.column(), a));
                continue;
            }
            let mut branches = Vec::new();
            let mut nullable = a.nullable;
            for (from, to) in replacements {
                let from = self.replaced_literal(from)?;
                let to = self.replaced_literal(to)?;
                let to = self.explicit_cast(to, &a.data_type, CastMode::Session)?;
                nullable |= to.nullable;
                let equal = self.comparison(Operator::Eq, a.typed(), from)?;
                branches.push((Box::new(equal.expr), Box::new(to.expr)));
            }
            let case = Case::new(None, branches, Some(Box::new(a.column())));
            let attribute = self.attribute(&a.name, a.data_type.clone(), nullable);
            pairs.push((DfExpr::Case(case), attribute));
        }
        self.project_pairs(input, pairs)
    }

    /// Numbers are found and replaced as DOUBLE, whatever the column is.
    fn replaced_literal(&mut self, value: &Literal) -> Result<TypedExpr> {
        let typed = self.literal(value)?;
        if typed.data_type.is_numeric() { self.implicit(typed, &DataType::Double) } else { Ok(typed) }
    }

    fn named_columns(&self, input: &Analyzed, names: &[String]) -> Result<Vec<Attribute>> {
        let mut out = Vec::new();
        for name in names {
            let found: Vec<&Attribute> =
                input.output.iter().filter(|a| a.name.eq_ignore_ascii_case(name)).collect();
            match found.as_slice() {
                [one] => out.push((*one).clone()),
                [] => {
                    return Err(super::error::unresolved_column(
                        std::slice::from_ref(name),
                        &super::column::candidates(input),
                    ));
                }
                _ => {
                    return Err(Error::new("AMBIGUOUS_REFERENCE")
                        .param("name", boathouse_spec::quote(name))
                        .param("referenceNames", "")
                        .message(format!("Several columns are named {name}.")));
                }
            }
        }
        Ok(out)
    }
}

/// Whether a value of the first type can stand for a missing one of the second: numbers for numbers, and so on.
fn fits(value: &DataType, column: &DataType) -> bool {
    (value.is_numeric() && column.is_numeric())
        || (value.is_string() && column.is_string())
        || (*value == DataType::Boolean && *column == DataType::Boolean)
}
