//! `df.na`, `df.stat`, `describe` and `summary`.

use boathouse_spec::{Literal, RelationNode, Result, Statistic};

use super::literal::literal_from_proto;
use super::{Converter, invalid_plan, missing};
use crate::proto::spark::{self as proto, expression};

impl Converter<'_> {
    pub(super) fn fill_na(&mut self, n: proto::NaFill) -> Result<RelationNode> {
        if n.values.is_empty() {
            return Err(invalid_plan("NA_FILL_VALUES_EMPTY").message("There is no value to fill NULLs with."));
        }
        if n.values.len() > 1 && n.values.len() != n.cols.len() {
            return Err(invalid_plan("NA_FILL_VALUES_LENGTH_MISMATCH")
                .message("Several values to fill NULLs with need as many columns."));
        }
        let values = n.values.into_iter().map(literal_from_proto).collect::<Result<Vec<_>>>()?;
        Ok(RelationNode::FillNa { input: self.input(n.input)?, columns: n.cols, values })
    }

    pub(super) fn drop_na(&mut self, n: proto::NaDrop) -> Result<RelationNode> {
        Ok(RelationNode::DropNa {
            input: self.input(n.input)?,
            columns: n.cols,
            min_non_nulls: n.min_non_nulls,
        })
    }

    pub(super) fn replace_na(&mut self, n: proto::NaReplace) -> Result<RelationNode> {
        let replacements = n.replacements.into_iter().map(|r| Ok((value(r.old_value)?, value(r.new_value)?)));
        let replacements = replacements.collect::<Result<Vec<_>>>()?;
        Ok(RelationNode::ReplaceNa { input: self.input(n.input)?, columns: n.cols, replacements })
    }

    pub(super) fn summary(&mut self, s: proto::StatSummary) -> Result<RelationNode> {
        self.statistic(s.input, Statistic::Summary(s.statistics))
    }

    pub(super) fn describe(&mut self, s: proto::StatDescribe) -> Result<RelationNode> {
        self.statistic(s.input, Statistic::Describe(s.cols))
    }

    pub(super) fn crosstab(&mut self, s: proto::StatCrosstab) -> Result<RelationNode> {
        self.statistic(s.input, Statistic::Crosstab(s.col1, s.col2))
    }

    pub(super) fn covariance(&mut self, s: proto::StatCov) -> Result<RelationNode> {
        self.statistic(s.input, Statistic::Covariance(s.col1, s.col2))
    }

    pub(super) fn correlation(&mut self, s: proto::StatCorr) -> Result<RelationNode> {
        self.statistic(s.input, Statistic::Correlation { a: s.col1, b: s.col2, method: s.method })
    }

    pub(super) fn approx_quantile(&mut self, s: proto::StatApproxQuantile) -> Result<RelationNode> {
        let statistic = Statistic::ApproxQuantile {
            columns: s.cols,
            probabilities: s.probabilities,
            relative_error: s.relative_error,
        };
        self.statistic(s.input, statistic)
    }

    pub(super) fn frequent_items(&mut self, s: proto::StatFreqItems) -> Result<RelationNode> {
        self.statistic(s.input, Statistic::FrequentItems { columns: s.cols, support: s.support })
    }

    pub(super) fn sample_by(&mut self, s: proto::StatSampleBy) -> Result<RelationNode> {
        let column = self.expression(s.col.ok_or_else(|| missing("spark.connect.StatSampleBy", "col"))?)?;
        let fractions = s.fractions.into_iter().map(|f| Ok((value(f.stratum)?, f.fraction)));
        let fractions = fractions.collect::<Result<Vec<_>>>()?;
        self.statistic(s.input, Statistic::SampleBy { column, fractions, seed: s.seed })
    }

    fn statistic(
        &mut self,
        input: Option<Box<proto::Relation>>,
        statistic: Statistic,
    ) -> Result<RelationNode> {
        Ok(RelationNode::Statistic { input: self.input(input)?, statistic })
    }
}

fn value(message: Option<expression::Literal>) -> Result<Literal> {
    literal_from_proto(message.ok_or_else(|| missing("spark.connect.Expression.Literal", "value"))?)
}
