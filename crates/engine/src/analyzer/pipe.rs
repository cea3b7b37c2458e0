//! SQL pipe operators whose rules differ from the plain clauses'.

use boathouse_functions::{Entry, registry};
use boathouse_spec::{Aggregate, Error, Expr, PipeOperator, Relation, Result, Star, WithColumn};

use super::Analyzer;
use super::analyzed::Analyzed;
use super::session_function::VARIABLE;

impl Analyzer {
    pub(super) fn pipe(&mut self, input: &Relation, operator: &PipeOperator) -> Result<Analyzed> {
        match operator {
            PipeOperator::Barrier => Ok(Analyzed { below: None, ..self.relation(input)? }),
            PipeOperator::Select(exprs) => {
                let input = self.relation(input)?;
                self.project_analyzed(input, exprs)
            }
            PipeOperator::Extend(exprs) => {
                let input = self.relation(input)?;
                forbid_stars(exprs)?;
                self.forbid_in_pipe(exprs, &input, "EXTEND")?;
                exprs.iter().try_for_each(|e| self.forbid_several_names(e))?;
                let mut list = vec![Expr::star()];
                for expr in exprs {
                    list.push(self.under_its_text(expr, &input)?);
                }
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
                    let name = std::slice::from_ref(&c.name);
                    let found =
                        super::column::match_name(name, &analyzed.output, self.context.case_sensitive)?;
                    if found.is_none() {
                        let candidates = super::column::candidates(&analyzed);
                        return Err(super::error::unresolved_column(name, &candidates));
                    }
                }
                let values: Vec<Expr> = columns.iter().map(|c| c.expr.clone()).collect();
                self.forbid_in_pipe(&values, &analyzed, "SET")?;
                // One after the other: a later assignment sees the earlier ones.
                let mut relation = input.clone();
                let Some((last, before)) = columns.split_last() else { return Ok(analyzed) };
                for column in before {
                    let columns = vec![column.clone()];
                    relation = boathouse_spec::RelationNode::WithColumns { input: relation, columns }.into();
                }
                self.with_columns(&relation, std::slice::from_ref(last))
            }
            PipeOperator::Drop(names) => {
                let input = self.relation(input)?;
                let star = Star { except: names.clone(), ..Star::default() };
                self.project_analyzed(input, &[Expr::Star(star)])
            }
            PipeOperator::Aggregate { aggregates, grouping, kind } => {
                let below = self.relation(input)?;
                forbid_stars(aggregates)?;
                // Those that cannot be resolved alone, as they name others of the list, and aggregate nothing.
                let mut depending = Vec::new();
                for e in aggregates {
                    match self.aggregates_nothing(e, &below)? {
                        Some(name) => return Err(no_aggregate(e, &name)),
                        None if !may_aggregate(e) => depending.push(e),
                        None => {}
                    }
                }
                // Positions are those of the input's columns.
                let named = |e: &Expr| match e {
                    Expr::Literal(boathouse_spec::Literal::Integer(n)) => usize::try_from(*n)
                        .ok()
                        .and_then(|n| below.output.get(n.checked_sub(1)?))
                        .map_or_else(|| e.clone(), |a| Expr::column([a.name.clone()])),
                    other => other.clone(),
                };
                let aggregate = Aggregate {
                    input: input.clone(),
                    kind: kind.clone(),
                    grouping: grouping.iter().map(named).collect(),
                    aggregates: aggregates.clone(),
                    grouping_first: true,
                };
                let aggregated = self.aggregate(&aggregate)?;
                match depending.first() {
                    Some(e) => Err(no_aggregate(e, "an alias of the list")),
                    None => Ok(aggregated),
                }
            }
        }
    }

    /// The text of an item without aggregates, where it can be resolved alone; of a generator what it takes counts.
    fn aggregates_nothing(&mut self, item: &Expr, below: &Analyzed) -> Result<Option<String>> {
        let (values, generator) = match self.is_generator_item(item) {
            true => {
                let call = self.take_generator(item)?.0;
                (call.args.clone(), Some(call.name.join(".")))
            }
            false => (vec![item.clone()], None),
        };
        let mut name = generator;
        for value in &values {
            match self.expr(value, below) {
                Ok(value) if super::aggregate::has_aggregate(&value.expr) => return Ok(None),
                Ok(value) => name = name.or(Some(value.name)),
                Err(_) => return Ok(None),
            }
        }
        Ok(name)
    }

    /// A generator of |> EXTEND has one name or those of its own.
    fn forbid_several_names(&self, item: &Expr) -> Result<()> {
        match item {
            Expr::Alias { names, .. } if names.len() > 1 && self.is_generator_item(item) => {
                Err(Error::new("UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS")
                    .param("expression", format!("\"pipeexpression({})\"", names.join(", ")))
                    .message(format!(
                        "A generator of |> EXTEND cannot be given the names ({}).",
                        names.join(", ")
                    )))
            }
            _ => Ok(()),
        }
    }

    /// An item of |> EXTEND goes by its text where one of a SELECT list goes by its last name (`s.a`).
    fn under_its_text(&mut self, item: &Expr, input: &Analyzed) -> Result<Expr> {
        if !matches!(item, Expr::Column(_) | Expr::Cast { .. }) {
            return Ok(item.clone());
        }
        // What cannot be resolved alone is left to the projection.
        let Ok(value) = self.expr(item, input) else { return Ok(item.clone()) };
        let is_from_outside = value.name.starts_with(VARIABLE) || value.name.starts_with("outer(");
        let text = value.name.clone();
        let name = self.named_as_item(item, value, input)?.name;
        Ok(if is_from_outside || name == text { item.clone() } else { item.clone().alias(text) })
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
                    .message(format!("|> {clause} cannot aggregate ({}); use |> AGGREGATE.", value.name))
                    .at(e.origin()));
            }
        }
        Ok(())
    }
}

fn no_aggregate(item: &Expr, name: &str) -> Error {
    Error::new("PIPE_OPERATOR_AGGREGATE_EXPRESSION_CONTAINS_NO_AGGREGATE_FUNCTION")
        .param("expr", name)
        .message(format!("|> AGGREGATE needs aggregate functions, not {name}."))
        .at(item.origin())
}

/// Whether an aggregate function is called in the expression, or one that is not built in.
fn may_aggregate(expr: &Expr) -> bool {
    let aggregates = |name: &String| {
        let entries = registry().get(name);
        entries.is_empty() || entries.iter().any(|e| matches!(e, Entry::Aggregate(_)))
    };
    let is_called = match expr {
        Expr::Call(call) => !call.is_operator && call.name.last().is_some_and(aggregates),
        Expr::PythonUdf(_) | Expr::Text(_) => true,
        _ => false,
    };
    is_called || crate::relation_walk::operands(expr).into_iter().any(may_aggregate)
}

/// What a pipe operator adds is named one by one.
fn forbid_stars(exprs: &[Expr]) -> Result<()> {
    if !exprs.iter().any(|e| matches!(e, Expr::Star(_))) {
        return Ok(());
    }
    Err(Error::new("INVALID_USAGE_OF_STAR_OR_REGEX")
        .param("elem", "'*'")
        .param("prettyName", "expression `pipeexpression`")
        .message("A star cannot stand in |> EXTEND and |> AGGREGATE."))
}
