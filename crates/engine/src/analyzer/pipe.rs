//! SQL pipe operators whose rules differ from the plain clauses'.

use boathouse_spec::{Aggregate, Error, Expr, Name, PipeOperator, Relation, Result, WithColumn};

use super::Analyzer;
use super::analyzed::Analyzed;

impl Analyzer {
    pub(super) fn pipe(&mut self, input: &Relation, operator: &PipeOperator) -> Result<Analyzed> {
        match operator {
            PipeOperator::Select(exprs) => {
                let input = self.relation(input)?;
                self.forbid_in_pipe(exprs, &input, "SELECT")?;
                self.project_analyzed(input, exprs)
            }
            PipeOperator::Extend(exprs) => {
                let input = self.relation(input)?;
                self.forbid_in_pipe(exprs, &input, "EXTEND")?;
                let list: Vec<Expr> = std::iter::once(Expr::star()).chain(exprs.iter().cloned()).collect();
                self.project_analyzed(input, &list)
            }
            PipeOperator::Set(assignments) => {
                let columns: Vec<WithColumn> = assignments
                    .iter()
                    .map(|(name, expr)| match name.as_slice() {
                        [single] => {
                            Ok(WithColumn { name: single.clone(), expr: expr.clone(), metadata: None })
                        }
                        _ => Err(Error::unsupported("|> SET of a nested field")),
                    })
                    .collect::<Result<_>>()?;
                let analyzed = self.relation(input)?;
                for c in &columns {
                    if !analyzed.output.iter().any(|a| a.name.eq_ignore_ascii_case(&c.name)) {
                        return Err(super::error::unresolved_column(
                            std::slice::from_ref(&c.name),
                            &super::column::candidates(&analyzed),
                        ));
                    }
                }
                self.with_columns(input, &columns)
            }
            PipeOperator::Drop(names) => {
                let analyzed = self.relation(input)?;
                for name in names {
                    let column = boathouse_spec::Column { name: name.clone(), ..Default::default() };
                    if self.find_column(&column, &analyzed)?.is_none() {
                        return Err(super::error::unresolved_column(
                            name,
                            &super::column::candidates(&analyzed),
                        ));
                    }
                }
                let columns: Vec<Expr> = names.iter().map(|n: &Name| Expr::column(n.clone())).collect();
                self.drop_columns(input, &columns, &[])
            }
            PipeOperator::Aggregate { aggregates, grouping, kind } => {
                let aggregate = Aggregate {
                    input: input.clone(),
                    kind: kind.clone(),
                    grouping: grouping.clone(),
                    aggregates: aggregates.clone(),
                    grouping_first: true,
                };
                self.aggregate(&aggregate)
            }
        }
    }

    fn forbid_in_pipe(&mut self, exprs: &[Expr], input: &Analyzed, clause: &str) -> Result<()> {
        for e in exprs.iter().filter(|e| !matches!(e, Expr::Star(_))) {
            if self.is_generator_item(e) {
                continue;
            }
            // Lateral aliases resolve later; what cannot be resolved alone is left to the projection.
            if let Ok(value) = self.expr(e, input)
                && super::aggregate::has_aggregate(&value.expr)
            {
                return Err(Error::new("PIPE_OPERATOR_CONTAINS_AGGREGATE_FUNCTION")
                    .param("expr", &value.name)
                    .param("clause", clause)
                    .message(format!("|> {clause} cannot aggregate ({}); use |> AGGREGATE.", value.name)));
            }
        }
        Ok(())
    }
}
