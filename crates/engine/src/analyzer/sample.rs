//! Sampling and partitioning.

use arrow::compute::SortOptions;
use boathouse_spec::{DataType, Error, Expr, Literal, Relation, Result, Sample, SortOrder};

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use crate::operators::{self, Sampling, Scheme};
use crate::watermark::{StreamOperationKind, noted};

impl Analyzer {
    pub(super) fn sample(&mut self, sample: &Sample) -> Result<Analyzed> {
        if let Some(rows) = &sample.rows {
            return self.limit(&sample.input, rows, rows.origin());
        }
        let mut input = self.relation(&sample.input)?;
        // Rows in a known order within each partition, so that the parts of a random split do not overlap.
        if sample.deterministic_order {
            let keys = input.output.iter().filter(|a| a.data_type.is_orderable());
            let keys: Vec<_> = keys.map(|a| (a.column(), SortOptions::default())).collect();
            input = input.clone().with_plan(operators::sort_within(input.plan, keys));
        }
        let seed = sample.seed.unwrap_or_else(boathouse_spec::clock::now_us);
        let (low, high) = (sample.lower_bound, sample.upper_bound);
        let sampling = if sample.with_replacement {
            if high - low < 0.0 {
                return Err(outside(high - low, "positive"));
            }
            Sampling::WithReplacement { mean: high - low }
        } else {
            // Bounds come from sums of weights: they may miss by an error of rounding.
            if !(-1e-6..=1.0 + 1e-6).contains(&(high - low)) {
                return Err(outside(high - low, "on interval [0, 1]"));
            }
            Sampling::Once { low, high }
        };
        let plan = operators::sample(input.plan.clone(), sampling, seed);
        let plan = noted(plan, StreamOperationKind::Sample, input.is_streaming);
        Ok(input.with_plan(plan))
    }

    pub(super) fn repartition(
        &mut self,
        input: &Relation,
        partitions: u32,
        shuffle: bool,
    ) -> Result<Analyzed> {
        check_partitions(partitions)?;
        let input = self.relation(input)?.without_hidden()?;
        let scheme = if shuffle { Scheme::RoundRobin } else { Scheme::Neighbours };
        let plan = operators::shuffle(input.plan.clone(), scheme, partitions as usize);
        Ok(input.with_plan(plan))
    }

    /// `REBALANCE`: partitions of the size that `spark.sql.adaptive.advisoryPartitionSizeInBytes` advises.
    pub(super) fn rebalance(&mut self, input: &Relation, partitions: Option<u32>) -> Result<Analyzed> {
        if let Some(n) = partitions {
            check_partitions(n)?;
        }
        let input = self.relation(input)?.without_hidden()?;
        let conf = self.session.conf();
        let number = |key: &str| conf.get(key).and_then(|v| v.trim().parse::<usize>().ok());
        let partitions = partitions.map(|n| n as usize).or_else(|| number("spark.sql.shuffle.partitions"));
        let advised = conf.bytes("spark.sql.adaptive.advisoryPartitionSizeInBytes");
        let bytes = advised.and_then(|n| usize::try_from(n).ok()).unwrap_or(64 << 20);
        let scheme = Scheme::Balanced { bytes };
        Ok(input.clone().with_plan(operators::shuffle(input.plan, scheme, partitions.unwrap_or(200).max(1))))
    }

    pub(super) fn repartition_by(
        &mut self,
        input: &Relation,
        exprs: &[Expr],
        partitions: Option<u32>,
    ) -> Result<Analyzed> {
        if let Some(n) = partitions {
            check_partitions(n)?;
        }
        let input = self.relation(input)?;
        let count = partitions.map_or(self.session.engine.parallelism(), |n| n as usize).max(1);
        if let [Expr::Call(call)] = exprs
            && call.is_internal
            && super::project::is_call(call, "direct_shuffle_partition_id")
        {
            return self.repartition_by_id(input, &call.args, count);
        }
        let orders: Vec<Option<&SortOrder>> = exprs
            .iter()
            .map(|e| match e {
                Expr::SortOrder(o) => Some(o.as_ref()),
                _ => None,
            })
            .collect();
        let plain: Vec<Expr> =
            exprs.iter().zip(&orders).map(|(e, o)| o.map_or_else(|| e.clone(), |o| o.expr.clone())).collect();
        self.forbid_sql_functions(&plain, "RepartitionByExpression")?;
        let (keys, input) = self.exprs_reaching_below(&plain, input, "DISTRIBUTE BY")?;
        let scheme = if keys.is_empty() {
            Scheme::RoundRobin
        } else if orders.iter().any(Option::is_some) {
            let options = |o: &Option<&SortOrder>| match o {
                Some(o) => SortOptions { descending: !o.ascending, nulls_first: o.nulls_first },
                None => SortOptions::default(),
            };
            Scheme::Range(keys.into_iter().zip(&orders).map(|(k, o)| (k.expr, options(o))).collect())
        } else {
            Scheme::Direct(self.partition_of(keys, count)?)
        };
        let plan = operators::shuffle(input.plan.clone(), scheme, count);
        input.with_plan(plan).without_hidden()
    }

    /// `repartitionById`: an expression says the partition.
    fn repartition_by_id(&mut self, input: Analyzed, args: &[Expr], count: usize) -> Result<Analyzed> {
        let (mut ids, input) = self.exprs_reaching_below(args, input, "DISTRIBUTE BY")?;
        if ids.len() != 1 {
            return Err(Error::internal("the number of a partition is one expression"));
        }
        let id = ids.remove(0);
        if id.data_type != DataType::Integer {
            let sql = format!("direct_shuffle_partition_id({})", id.name);
            return Err(super::error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                &sql,
                "the number of a partition is an INT.".into(),
            )
            .param("paramIndex", "first")
            .param("requiredType", "\"INT\"")
            .param("inputSql", format!("\"{}\"", id.name))
            .param("inputType", super::error::quoted(&id.data_type)));
        }
        let plan = operators::shuffle(input.plan.clone(), Scheme::Direct(id.expr), count);
        input.with_plan(plan).without_hidden()
    }

    /// `pmod(hash(keys), n)`: where Spark puts a row.
    pub(super) fn partition_of(
        &mut self,
        keys: Vec<TypedExpr>,
        count: usize,
    ) -> Result<datafusion::logical_expr::Expr> {
        let hash = self.builtin("hash", keys)?;
        let count = self.literal(&Literal::Integer(i32::try_from(count).unwrap_or(i32::MAX)))?;
        Ok(self.builtin("pmod", vec![hash, count])?.expr)
    }
}

fn check_partitions(partitions: u32) -> Result<()> {
    if partitions > 0 {
        return Ok(());
    }
    Err(Error::new("")
        .exception("IllegalArgumentException")
        .message(format!("requirement failed: Number of partitions ({partitions}) must be positive.")))
}

fn outside(fraction: f64, range: &str) -> Error {
    Error::new("")
        .exception("IllegalArgumentException")
        .message(format!("requirement failed: Sampling fraction ({fraction}) must be {range}"))
}
