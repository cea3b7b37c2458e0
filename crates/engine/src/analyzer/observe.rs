//! `df.observe(..)`: metrics of the rows that pass.

use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Expr, Relation, Result};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr as DfExpr;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute};
use super::project::Item;
use crate::observe::{self, Metric};

/// A name with the metrics and the relation that it stands for.
pub(crate) type Observed = (String, Vec<Expr>, Relation);

impl Analyzer {
    pub(super) fn observe(&mut self, input: &Relation, name: &str, metrics: &[Expr]) -> Result<Analyzed> {
        if name.is_empty() {
            return Err(invalid("MISSING_NAME").message("Observed metrics need a name."));
        }
        self.check_unique(input, name, metrics)?;
        let analyzed = self.relation(input)?;
        let items = self.items(metrics, &analyzed)?;
        let mut aggregates: Vec<(DfExpr, Attribute)> = Vec::new();
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let expr = self.metric(&item, &analyzed, &mut aggregates)?;
            found.push(Metric { name: item.value.name, data_type: item.value.data_type, expr });
        }
        let aggregates = aggregates.into_iter().map(|(e, a)| (a.internal_name(), e)).collect();
        let plan = observe::plan(analyzed.plan.clone(), name, aggregates, found);
        Ok(analyzed.with_plan(plan))
    }

    /// The same name for other metrics would leave one of them out.
    fn check_unique(&mut self, input: &Relation, name: &str, metrics: &[Expr]) -> Result<()> {
        match self.observed.iter().find(|(known, ..)| known == name) {
            Some((_, m, i)) if m != metrics || i.node != input.node => {
                Err(Error::new("DUPLICATED_METRICS_NAME")
                    .param("metricName", name)
                    .message(format!("The name {name} is given to different observed metrics.")))
            }
            Some(_) => Ok(()),
            None => {
                self.observed.push((name.to_string(), metrics.to_vec(), input.clone()));
                Ok(())
            }
        }
    }

    /// The metric over the aggregates it needs, which are added where they are new.
    fn metric(
        &mut self,
        item: &Item,
        over: &Analyzed,
        aggregates: &mut Vec<(DfExpr, Attribute)>,
    ) -> Result<DfExpr> {
        let name = &item.value.name;
        let shown = format!("\"{name} AS `{name}`\"");
        if super::window::has_window(&item.value.expr) {
            return Err(invalid("WINDOW_EXPRESSIONS_UNSUPPORTED")
                .param("expr", shown)
                .message(format!("Observed metrics cannot hold the window function {name}.")));
        }
        let mut failure = None;
        let rewritten = item.value.expr.clone().transform_down(|e| {
            let stop = |e| Ok(Transformed::new(e, false, TreeNodeRecursion::Stop));
            match &e {
                DfExpr::AggregateFunction(f) if f.params.distinct => {
                    failure = Some(
                        invalid("AGGREGATE_EXPRESSION_WITH_DISTINCT_UNSUPPORTED")
                            .param("expr", shown.clone())
                            .message(format!("Observed metrics cannot aggregate DISTINCT values, as {name} does.")),
                    );
                    stop(e)
                }
                DfExpr::AggregateFunction(f) if f.params.args.iter().any(super::aggregate::has_aggregate) => {
                    failure = Some(
                        invalid("NESTED_AGGREGATES_UNSUPPORTED")
                            .param("expr", shown.clone())
                            .message(format!("Observed metrics cannot nest aggregates, as {name} does.")),
                    );
                    stop(e)
                }
                DfExpr::AggregateFunction(f) => {
                    let column = match aggregates.iter().find(|(known, _)| *known == e) {
                        Some((_, a)) => a.column(),
                        None => {
                            let a = self.attribute(f.func.name(), DataType::Null, true);
                            let column = a.column();
                            aggregates.push((e, a));
                            column
                        }
                    };
                    Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
                }
                DfExpr::Column(c) => {
                    let attribute = over.columns().find(|a| a.internal_name() == c.name);
                    let attribute = attribute.map_or(c.name.as_str(), |a| a.name.as_str());
                    failure = Some(
                        invalid("NON_AGGREGATE_FUNC_ARG_IS_ATTRIBUTE")
                            .param("expr", format!("\"{attribute}\""))
                            .message(format!(
                                "The column {attribute} can only be observed as an argument of an aggregate function."
                            )),
                    );
                    stop(e)
                }
                _ => Ok(Transformed::no(e)),
            }
        });
        let rewritten = rewritten.spark()?.data;
        failure.map_or(Ok(rewritten), Err)
    }
}

fn invalid(subclass: &str) -> Error {
    Error::new(format!("INVALID_OBSERVED_METRICS.{subclass}"))
}
