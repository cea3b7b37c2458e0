//! Sampling and partitioning.

use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Expr, Literal, Relation, Result, Sample};
use datafusion::logical_expr::{LogicalPlanBuilder, Operator, Partitioning, lit};

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::operator::binary;

impl Analyzer {
    pub(super) fn sample(&mut self, sample: &Sample) -> Result<Analyzed> {
        if let Some(rows) = &sample.rows {
            return self.limit(&sample.input, rows);
        }
        if sample.with_replacement {
            return Err(Error::unsupported("sampling with replacement"));
        }
        let input = self.relation(&sample.input)?;
        if sample.lower_bound <= 0.0 && sample.upper_bound >= 1.0 {
            return Ok(input);
        }
        let seed = sample.seed.unwrap_or_else(|| boathouse_spec::clock::now_us());
        let seed = self.literal(&Literal::Long(seed))?;
        let random = self.builtin("rand", vec![seed])?;
        let value = self.attribute("sample", DataType::Double, false);
        let mut pairs: Vec<_> = input.columns().map(|a| (a.column(), a.clone())).collect();
        pairs.push((random.expr, value.clone()));
        let list = pairs.iter().map(|(e, a)| super::project::named(e.clone(), a)).collect();
        let plan = super::analyzed::project(list, input.plan.clone())?;
        let low = binary(value.column(), Operator::GtEq, lit(sample.lower_bound));
        let high = binary(value.column(), Operator::Lt, lit(sample.upper_bound));
        let plan = LogicalPlanBuilder::from(plan).filter(Self::both(low, high)).spark()?.build().spark()?;
        let mut hidden = input.hidden.clone();
        hidden.push(value);
        Analyzed { plan, hidden, below: None, ..input }.without_hidden()
    }

    pub(super) fn repartition(&mut self, input: &Relation, partitions: u32, _shuffle: bool) -> Result<Analyzed> {
        if partitions == 0 {
            return Err(Error::new("_LEGACY_ERROR_TEMP_3027")
                .exception("IllegalArgumentException")
                .message("The number of partitions must be positive."));
        }
        let input = self.relation(input)?.without_hidden()?;
        let plan = LogicalPlanBuilder::from(input.plan.clone())
            .repartition(Partitioning::RoundRobinBatch(partitions as usize))
            .spark()?
            .build()
            .spark()?;
        Ok(input.with_plan(plan))
    }

    pub(super) fn repartition_by(&mut self, input: &Relation, exprs: &[Expr], partitions: Option<u32>) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let count = partitions.map_or(self.session.engine.parallelism(), |n| n as usize).max(1);
        let plain: Vec<Expr> = exprs
            .iter()
            .map(|e| match e {
                Expr::SortOrder(o) => o.expr.clone(),
                other => other.clone(),
            })
            .collect();
        let (keys, input) = self.exprs_reaching_below(&plain, input, "DISTRIBUTE BY")?;
        let scheme = match keys.is_empty() {
            true => Partitioning::RoundRobinBatch(count),
            false => Partitioning::Hash(keys.into_iter().map(|k: TypedExpr| k.expr).collect(), count),
        };
        let plan = LogicalPlanBuilder::from(input.plan.clone()).repartition(scheme).spark()?.build().spark()?;
        input.with_plan(plan).without_hidden()
    }
}
