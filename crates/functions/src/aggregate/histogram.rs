//! `histogram_numeric`: the histogram of Ben-Haim and Tom-Tov ("A Streaming Parallel Decision Tree Algorithm"), ties
//! broken by the generator that Spark uses, so that bins are the same.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructField};

use super::fold::{Fold, column};
use super::percentile_approx::{RANGED, of_doubles, ranged, to_doubles};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::Registry;
use crate::collection::ListItem;
use crate::mismatch::{not_constant, out_of_range, unexpected_null, whole_number};
use crate::sketch::java_random::JavaRandom;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["histogram_numeric"], resolve);
}

/// More bins than anyone looks at; each group holds them all.
const MOST_BINS: i64 = 1_000_000;

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(2..=2)?;
    let t = ranged(&call.args[0].data_type).ok_or_else(|| call.unexpected_input(0, RANGED))?;
    let count = &call.args[1];
    if count.constant.is_none() {
        return Err(not_constant(call, 1, "nb", "INT"));
    }
    let bins = match (&count.constant, whole_number(count)) {
        (_, Some(Some(n))) => n,
        (_, Some(None)) => return Err(unexpected_null(call, "nb")),
        (Some(datafusion::scalar::ScalarValue::Utf8(Some(text))), None) => {
            text.trim().parse().map_err(|_| call.unexpected_input(1, "\"INT\""))?
        }
        _ => return Err(call.unexpected_input(1, "\"INT\"")),
    };
    if !(2..=i64::from(i32::MAX)).contains(&bins) {
        return Err(out_of_range(call, "nb", "[2, 2147483647]", &bins.to_string()));
    }
    if bins > MOST_BINS {
        return Err(Error::unsupported(format!("histogram_numeric with {bins} bins")));
    }
    let bin = DataType::structure(vec![
        StructField::new("x", t.clone(), true),
        StructField::new("y", DataType::Double, true),
    ]);
    let returned = DataType::array(bin, true);
    let coerced = vec![t.clone(), DataType::Integer];
    let fold = Histogram { t, bins: bins as usize, returned: returned.clone() };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &returned, true, call.context, fold)
        .with_parameters(bins);
    Ok(ResolvedAggregate::new(coerced, returned, true, udf.build()))
}

struct Histogram {
    t: DataType,
    bins: usize,
    returned: DataType,
}

#[derive(Clone)]
pub(super) struct Bins {
    /// Center and height, by center.
    bins: Vec<(f64, f64)>,
    random: JavaRandom,
}

impl Bins {
    fn new() -> Self {
        Self { bins: Vec::new(), random: JavaRandom::new(31_183) }
    }

    fn add(&mut self, x: f64, most: usize) {
        let at = self.bins.partition_point(|(b, _)| *b < x);
        match self.bins.get_mut(at) {
            Some((b, height)) if *b == x => *height += 1.0,
            _ => {
                self.bins.insert(at, (x, 1.0));
                self.trim(most);
            }
        }
    }

    /// Joins the two closest bins until there are few enough.
    fn trim(&mut self, most: usize) {
        while self.bins.len() > most.max(1) {
            let gap = |i: usize| self.bins[i + 1].0 - self.bins[i].0;
            let (mut smallest, mut at, mut ties) = (gap(0), 0, 1);
            for i in 1..self.bins.len() - 1 {
                let gap = gap(i);
                if gap < smallest {
                    (smallest, at, ties) = (gap, i, 1);
                } else if gap == smallest {
                    ties += 1;
                    if self.random.double() <= 1.0 / f64::from(ties) {
                        at = i;
                    }
                }
            }
            let ((x, y), (other_x, other_y)) = (self.bins[at], self.bins[at + 1]);
            let height = y + other_y;
            self.bins[at] = (x * (y / height) + other_x / height * other_y, height);
            self.bins.remove(at + 1);
        }
    }
}

impl Fold for Histogram {
    type State = Bins;
    const ON_HEAP: bool = true;

    fn start(&self) -> Bins {
        Bins::new()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Bins],
    ) -> Result<()> {
        let values = to_doubles(column(columns, 0)?)?;
        for (row, group) in rows {
            if values.is_valid(row) {
                states[group].add(values.value(row), self.bins);
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("bins", DataType::Binary)]
    }

    fn save(&self, states: &[Bins]) -> Result<Vec<ArrayRef>> {
        let saved = states.iter().map(|s| {
            s.bins.iter().flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()]).flatten().collect::<Vec<u8>>()
        });
        Ok(vec![Arc::new(BinaryArray::from_iter_values(saved))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Bins],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            let numbers: Vec<f64> = saved
                .value(row)
                .chunks_exact(8)
                .map(|c| c.try_into().map(f64::from_le_bytes).unwrap_or(f64::NAN))
                .collect();
            let state = &mut states[group];
            state.bins.extend(numbers.chunks_exact(2).map(|c| (c[0], c[1])));
            state.bins.sort_by(|a, b| a.0.total_cmp(&b.0));
            state.trim(self.bins);
        }
        Ok(())
    }

    fn finish(&self, states: &[Bins]) -> Result<ArrayRef> {
        let item = ListItem::of(&self.returned)?;
        let all = || states.iter().flat_map(|s| s.bins.iter());
        let centers = of_doubles(Float64Array::from_iter_values(all().map(|b| b.0)), &self.t)?;
        let heights: ArrayRef = Arc::new(Float64Array::from_iter_values(all().map(|b| b.1)));
        let ArrowType::Struct(fields) = item.data_type() else {
            return Err(Error::internal("bins are structs"));
        };
        let bins = StructArray::try_new(fields.clone(), vec![centers, heights], None).spark()?;
        let nulls = NullBuffer::from(states.iter().map(|s| !s.bins.is_empty()).collect::<Vec<_>>());
        item.list(
            OffsetBuffer::from_lengths(states.iter().map(|s| s.bins.len())),
            Arc::new(bins),
            Some(nulls),
        )
    }

    fn bytes(&self, state: &Bins) -> usize {
        state.bins.capacity() * 16
    }
}
