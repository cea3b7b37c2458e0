//! Samples: the rows that Spark's random numbers choose.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use boathouse_functions::XorShift;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::StreamExt;

use super::{MapPartitionsExec, Operator, PartitionWork, only, plan};

/// Which rows, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sampling {
    /// Each row whose random number is in the range (Spark's `BernoulliCellSampler`).
    Once { low: f64, high: f64 },
    /// Each row as often as a Poisson distribution of this mean says (Spark's `PoissonSampler`).
    WithReplacement { mean: f64 },
}

/// The rows of a sample.
pub(crate) fn sample(input: LogicalPlan, sampling: Sampling, seed: i64) -> LogicalPlan {
    plan(Sample { sampling, seed }, vec![input], Vec::new(), None)
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    sampling: Sampling,
    seed: i64,
}

impl Operator for Sample {
    fn name(&self) -> &str {
        "Sample"
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only(inputs, "Sample")?;
        let schema = input.schema();
        Ok(Arc::new(MapPartitionsExec::new(input, Arc::new(*self), schema)))
    }
}

impl PartitionWork for Sample {
    fn name(&self) -> &str {
        "Sample"
    }

    fn run(
        &self,
        partition: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = rows.schema();
        let mut sampler = Sampler::new(self.sampling, self.seed, partition);
        let sampled = rows.map(move |batch| sampler.sampled(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, sampled)))
    }
}

enum Sampler {
    Once { low: f64, high: f64, random: XorShift },
    WithReplacement { mean: f64, random: Box<Well19937c> },
}

impl Sampler {
    fn new(sampling: Sampling, seed: i64, partition: usize) -> Self {
        match sampling {
            Sampling::Once { low, high } => {
                Self::Once { low, high, random: XorShift::new(seed.wrapping_add(partition as i64)) }
            }
            Sampling::WithReplacement { mean } => {
                // Partitions take their seeds from one generator, one after the other.
                let mut seeds = boathouse_functions::JavaRandom::new(seed);
                let seed = (0..=partition).map(|_| seeds.long()).last().unwrap_or(seed);
                Self::WithReplacement { mean, random: Box::new(Well19937c::new(seed)) }
            }
        }
    }

    fn sampled(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        match self {
            Self::Once { low, high, random } => {
                let keep: BooleanArray = (0..batch.num_rows())
                    .map(|_| {
                        let number = random.next_double();
                        Some(*low <= number && number < *high)
                    })
                    .collect();
                Ok(filter_record_batch(batch, &keep)?)
            }
            Self::WithReplacement { mean, random } => {
                let mut rows = Vec::new();
                for row in 0..batch.num_rows() as u32 {
                    let times = random.poisson(*mean);
                    rows.extend(std::iter::repeat_n(row, times as usize));
                }
                Ok(take_record_batch(batch, &UInt32Array::from(rows))?)
            }
        }
    }
}

/// The generator behind Spark's Poisson samples (Panneton, L'Ecuyer, Matsumoto: WELL19937c), as Apache Commons Math
/// seeds and reads it.
struct Well19937c {
    state: [u32; Self::WORDS],
    index: usize,
}

impl Well19937c {
    const WORDS: usize = 624;

    fn new(seed: i64) -> Self {
        let mut state = [0u32; Self::WORDS];
        state[0] = (seed as u64 >> 32) as u32;
        state[1] = seed as u32;
        for i in 2..Self::WORDS {
            let l = i64::from(state[i - 2] as i32);
            state[i] = (1_812_433_253_i64.wrapping_mul(l ^ (l >> 30)).wrapping_add(i as i64)) as u32;
        }
        Self { state, index: 0 }
    }

    fn bits(&mut self, bits: u32) -> u32 {
        let at = |offset: usize| (self.index + offset) % Self::WORDS;
        let (before, before2) = (at(Self::WORDS - 1), at(Self::WORDS - 2));
        let (v0, m1, m2, m3) =
            (self.state[self.index], self.state[at(70)], self.state[at(179)], self.state[at(449)]);
        let z0 = (0x8000_0000 & self.state[before]) ^ (0x7fff_ffff & self.state[before2]);
        let z1 = (v0 ^ (v0 << 25)) ^ (m1 ^ (m1 >> 27));
        let z2 = (m2 >> 9) ^ (m3 ^ (m3 >> 1));
        let z3 = z1 ^ z2;
        let mut z4 = z0 ^ (z1 ^ (z1 << 9)) ^ (z2 ^ (z2 << 21)) ^ (z3 ^ (z3 >> 21));
        self.state[self.index] = z3;
        self.state[before] = z4;
        self.state[before2] &= 0x8000_0000;
        self.index = before;
        z4 ^= (z4 << 7) & 0xe46e_1700;
        z4 ^= (z4 << 15) & 0x9b86_8000;
        z4 >> (32 - bits)
    }

    fn double(&mut self) -> f64 {
        let high = u64::from(self.bits(26)) << 26;
        (high | u64::from(self.bits(26))) as f64 / (1u64 << 52) as f64
    }

    /// A number of a Poisson distribution; means above 40 never occur in samples worth the name.
    fn poisson(&mut self, mean: f64) -> u64 {
        let p = (-mean).exp();
        let (mut n, mut r) = (0u64, 1.0);
        while (n as f64) < 1000.0 * mean {
            r *= self.double();
            if r < p {
                return n;
            }
            n += 1;
        }
        n
    }
}
