//! `df.na`: NULLs filled, dropped, replaced.

use boathouse_bridge::ResultExt;
use boathouse_spec::{CastMode, Column, DataType, Error, Literal, Relation, Result, parse_attribute_name};
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
            let value = match (columns.is_empty(), wanted.iter().rposition(|w| w.expr == a.column())) {
                (true, _) => values.first(),
                // Of a column that is named twice the last value counts.
                (false, Some(i)) if values.len() > 1 => values.get(i),
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
        let wanted = self.named_or_all(&input, columns)?;
        let mut present = Vec::new();
        for value in wanted {
            let mut condition = DfExpr::IsNotNull(Box::new(value.expr.clone()));
            if matches!(value.data_type, DataType::Float | DataType::Double) {
                let nan = DfExpr::IsTrue(Box::new(self.builtin("isnan", vec![value])?.expr));
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
        let wanted = self.named_or_all(&input, columns)?;
        if let Some(at) = wanted.iter().position(|w| !matches!(w.expr, DfExpr::Column(_))) {
            let name =
                columns.get(at).map(|name| parse_attribute_name(name)).transpose()?.unwrap_or_default();
            return Err(Error::new("UNSUPPORTED_FEATURE.REPLACE_NESTED_COLUMN")
                .param("colName", boathouse_spec::quote_name(&name))
                .message(format!(
                    "Values are replaced in whole columns, not in the field {}.",
                    name.join(".")
                ))
                .exception("UnsupportedOperationException"));
        }
        let mut pairs = Vec::new();
        for a in input.output.clone() {
            let applies = wanted.iter().any(|w| w.expr == a.column())
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

    /// The columns that are named, or all where none is.
    fn named_or_all(&mut self, input: &Analyzed, names: &[String]) -> Result<Vec<TypedExpr>> {
        match names.is_empty() {
            true => Ok(input.output.iter().map(Attribute::typed).collect()),
            false => self.named_columns(input, names),
        }
    }

    /// What names mean as `col("..")` reads them: columns, or fields inside of them.
    fn named_columns(&mut self, input: &Analyzed, names: &[String]) -> Result<Vec<TypedExpr>> {
        let mut out = Vec::with_capacity(names.len());
        for name in names {
            let column = Column { name: parse_attribute_name(name)?, ..Column::default() };
            let found = self.find_column(&column, input)?.ok_or_else(|| {
                super::error::unresolved_column(&column.name, &super::column::candidates(input))
            })?;
            out.push(found);
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
