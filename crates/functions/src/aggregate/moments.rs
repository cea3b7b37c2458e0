//! Statistics of one column and of two: variance, skewness, correlation, regression. States are updated and merged by
//! the formulas of Chan et al. for central moments, in Spark's order of operations, so that results round alike.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::datatypes::Float64Type;
use boathouse_spec::{DataType, Error, Result};

use super::average;
use super::count;
use super::fold::{Fold, primitive};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::{Registry, Want};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["stddev_pop"], |c| one(c, |s| s.population().map(f64::sqrt)));
    r.aggregate(&["stddev", "std", "stddev_samp"], |c| one(c, |s| s.sample().map(f64::sqrt)));
    r.aggregate(&["var_pop"], |c| one(c, One::population));
    r.aggregate(&["variance", "var_samp"], |c| one(c, One::sample));
    r.aggregate(&["skewness"], |c| {
        one(c, |s| (s.n > 0.0 && s.m2 != 0.0).then(|| s.n.sqrt() * s.m3 / (s.m2 * s.m2 * s.m2).sqrt()))
    });
    r.aggregate(&["kurtosis"], |c| {
        one(c, |s| (s.n > 0.0 && s.m2 != 0.0).then(|| s.n * s.m4 / (s.m2 * s.m2) - 3.0))
    });
    r.aggregate(&["covar_pop"], |c| two(c, |s, _| Ok((s.n > 0.0).then(|| s.ck / s.n))));
    r.aggregate(&["covar_samp"], |c| two(c, |s, _| Ok((s.n > 1.0).then(|| s.ck / (s.n - 1.0)))));
    r.aggregate(&["corr"], |c| {
        two(c, |s, ansi| {
            let divisor = (s.x_mk * s.y_mk).sqrt();
            match s.n > 1.0 {
                true if divisor == 0.0 && ansi => Err(division_by_zero()),
                true if divisor == 0.0 => Ok(None),
                true => Ok(Some(s.ck / divisor)),
                false => Ok(None),
            }
        })
    });
    // Regressions are of y on x: `regr_slope(y, x)`.
    r.aggregate(&["regr_count"], count::regr_count);
    r.aggregate(&["regr_avgx"], |c| average::of_complete_rows(c, 1));
    r.aggregate(&["regr_avgy"], |c| average::of_complete_rows(c, 0));
    r.aggregate(&["regr_sxx"], |c| two(c, |s, _| Ok((s.n > 0.0).then_some(s.y_m2))));
    r.aggregate(&["regr_syy"], |c| two(c, |s, _| Ok((s.n > 0.0).then_some(s.x_m2))));
    r.aggregate(&["regr_sxy"], |c| two(c, |s, _| Ok((s.n > 0.0).then_some(s.ck))));
    r.aggregate(&["regr_slope"], |c| two(c, |s, _| Ok((s.n > 0.0 && s.y_m2 != 0.0).then(|| s.ck / s.y_m2))));
    r.aggregate(&["regr_intercept"], |c| {
        two(c, |s, _| Ok((s.n > 0.0 && s.y_m2 != 0.0).then(|| s.x_average - s.ck / s.y_m2 * s.y_average)))
    });
    r.aggregate(&["regr_r2"], |c| {
        two(c, |s, _| {
            if s.n < 1.0 || s.y_mk == 0.0 {
                Ok(None)
            } else if s.x_mk == 0.0 {
                Ok(Some(1.0))
            } else {
                Ok(Some(s.ck * s.ck / s.x_mk / s.y_mk))
            }
        })
    });
}

fn division_by_zero() -> Error {
    Error::new("DIVIDE_BY_ZERO")
        .param("config", "\"spark.sql.ansi.enabled\"")
        .message("Division by zero: a column does not vary. Use `try_divide` to get NULL instead.")
}

/// Numbers of a state as saved columns.
trait Numbers: Copy + Default + Send + Sync + 'static {
    const NAMES: &'static [&'static str];

    fn add(&mut self, x: f64, y: f64);
    fn merge(&mut self, other: &Self);
    fn numbers(&self) -> Vec<f64>;
    fn of(numbers: &[f64]) -> Self;
}

/// Count, mean and central moments of a column.
#[derive(Clone, Copy, Default)]
struct One {
    n: f64,
    average: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl One {
    fn population(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.m2 / self.n)
    }

    fn sample(&self) -> Option<f64> {
        (self.n > 1.0).then(|| self.m2 / (self.n - 1.0))
    }
}

impl Numbers for One {
    const NAMES: &'static [&'static str] = &["n", "avg", "m2", "m3", "m4"];

    fn add(&mut self, x: f64, _: f64) {
        let n = self.n + 1.0;
        let delta = x - self.average;
        let delta_n = delta / n;
        let m2 = self.m2 + delta * (delta - delta_n);
        let (delta2, delta_n2) = (delta * delta, delta_n * delta_n);
        let m3 = self.m3 - 3.0 * delta_n * m2 + delta * (delta2 - delta_n2);
        let m4 = self.m4 - 4.0 * delta_n * m3 - 6.0 * delta_n2 * m2
            + delta * (delta * delta2 - delta_n * delta_n2);
        *self = One { n, average: self.average + delta_n, m2, m3, m4 };
    }

    fn merge(&mut self, other: &Self) {
        let (a, b) = (*self, other);
        let n = a.n + b.n;
        let delta = b.average - a.average;
        let delta_n = if n == 0.0 { 0.0 } else { delta / n };
        self.n = n;
        self.average = a.average + delta_n * b.n;
        self.m2 = a.m2 + b.m2 + delta * delta_n * a.n * b.n;
        self.m3 = a.m3
            + b.m3
            + delta_n * delta_n * delta * a.n * b.n * (a.n - b.n)
            + 3.0 * delta_n * (a.n * b.m2 - b.n * a.m2);
        self.m4 = a.m4
            + b.m4
            + delta_n * delta_n * delta_n * delta * a.n * b.n * (a.n * a.n - a.n * b.n + b.n * b.n)
            + 6.0 * delta_n * delta_n * (a.n * a.n * b.m2 + b.n * b.n * a.m2)
            + 4.0 * delta_n * (a.n * b.m3 - b.n * a.m3);
    }

    fn numbers(&self) -> Vec<f64> {
        vec![self.n, self.average, self.m2, self.m3, self.m4]
    }

    fn of(v: &[f64]) -> Self {
        One { n: v[0], average: v[1], m2: v[2], m3: v[3], m4: v[4] }
    }
}

/// Count, means, co-moment and moments of two columns. `mk` and `m2` are one sum added up in two ways: correlation
/// uses the one, regression the other.
#[derive(Clone, Copy, Default)]
struct Two {
    n: f64,
    x_average: f64,
    y_average: f64,
    ck: f64,
    x_mk: f64,
    y_mk: f64,
    x_m2: f64,
    y_m2: f64,
}

impl Numbers for Two {
    const NAMES: &'static [&'static str] = &["n", "xAvg", "yAvg", "ck", "xMk", "yMk", "xM2", "yM2"];

    fn add(&mut self, x: f64, y: f64) {
        let n = self.n + 1.0;
        let (dx, dy) = (x - self.x_average, y - self.y_average);
        let (dx_n, dy_n) = (dx / n, dy / n);
        self.n = n;
        self.x_average += dx_n;
        self.y_average += dy_n;
        self.ck += dx * (y - self.y_average);
        self.x_mk += dx * (x - self.x_average);
        self.y_mk += dy * (y - self.y_average);
        self.x_m2 += dx * (dx - dx_n);
        self.y_m2 += dy * (dy - dy_n);
    }

    fn merge(&mut self, b: &Self) {
        let a = *self;
        let n = a.n + b.n;
        let (dx, dy) = (b.x_average - a.x_average, b.y_average - a.y_average);
        let (dx_n, dy_n) = if n == 0.0 { (0.0, 0.0) } else { (dx / n, dy / n) };
        self.n = n;
        self.x_average = a.x_average + dx_n * b.n;
        self.y_average = a.y_average + dy_n * b.n;
        self.ck = a.ck + b.ck + dx * dy_n * a.n * b.n;
        self.x_mk = a.x_mk + b.x_mk + dx * dx_n * a.n * b.n;
        self.y_mk = a.y_mk + b.y_mk + dy * dy_n * a.n * b.n;
        self.x_m2 = a.x_m2 + b.x_m2 + dx * dx_n * a.n * b.n;
        self.y_m2 = a.y_m2 + b.y_m2 + dy * dy_n * a.n * b.n;
    }

    fn numbers(&self) -> Vec<f64> {
        vec![self.n, self.x_average, self.y_average, self.ck, self.x_mk, self.y_mk, self.x_m2, self.y_m2]
    }

    fn of(v: &[f64]) -> Self {
        Two {
            n: v[0],
            x_average: v[1],
            y_average: v[2],
            ck: v[3],
            x_mk: v[4],
            y_mk: v[5],
            x_m2: v[6],
            y_m2: v[7],
        }
    }
}

fn one(c: &AggregateCall, finish: fn(&One) -> Option<f64>) -> Result<ResolvedAggregate> {
    c.call.arity(1..=1)?;
    resolve::<One>(c, Box::new(move |s| Ok(finish(&finally(s)))))
}

fn two(c: &AggregateCall, finish: fn(&Two, ansi: bool) -> Result<Option<f64>>) -> Result<ResolvedAggregate> {
    c.call.arity(2..=2)?;
    let ansi = c.call.context.ansi;
    resolve::<Two>(c, Box::new(move |s| finish(&finally(s), ansi)))
}

/// Spark's final aggregation merges the parts into a state of no rows: numbers so large that their squares overflow give NaN
/// there, however many parts there are.
fn finally<S: Numbers>(state: &S) -> S {
    let mut merged = S::default();
    merged.merge(state);
    merged
}

type Finish<S> = Box<dyn Fn(&S) -> Result<Option<f64>> + Send + Sync>;

fn resolve<S: Numbers>(c: &AggregateCall, finish: Finish<S>) -> Result<ResolvedAggregate> {
    let call = &c.call;
    let coerced = call.want(&[Want::DOUBLE])?;
    let t = DataType::Double;
    let fold = Moments { finish, of: std::marker::PhantomData };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &t, true, call.context, fold);
    Ok(ResolvedAggregate::new(coerced, t, true, udf.build()))
}

struct Moments<S> {
    finish: Finish<S>,
    of: std::marker::PhantomData<fn() -> S>,
}

impl<S: Numbers> Fold for Moments<S> {
    type State = S;

    fn start(&self) -> S {
        S::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [S],
    ) -> Result<()> {
        let x = primitive::<Float64Type>(columns, 0)?;
        let y = if columns.len() > 1 { primitive::<Float64Type>(columns, 1)? } else { x };
        for (row, group) in rows {
            if x.is_valid(row) && y.is_valid(row) {
                states[group].add(x.value(row), y.value(row));
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        S::NAMES.iter().map(|n| (*n, DataType::Double)).collect()
    }

    fn save(&self, states: &[S]) -> Result<Vec<ArrayRef>> {
        let rows: Vec<Vec<f64>> = states.iter().map(S::numbers).collect();
        Ok((0..S::NAMES.len())
            .map(|i| {
                let column = PrimitiveArray::<Float64Type>::from_iter_values(rows.iter().map(|r| r[i]));
                Arc::new(column) as ArrayRef
            })
            .collect())
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [S],
    ) -> Result<()> {
        let saved =
            (0..S::NAMES.len()).map(|i| primitive::<Float64Type>(columns, i)).collect::<Result<Vec<_>>>()?;
        for (row, group) in rows {
            let numbers: Vec<f64> = saved.iter().map(|c| c.value(row)).collect();
            states[group].merge(&S::of(&numbers));
        }
        Ok(())
    }

    fn finish(&self, states: &[S]) -> Result<ArrayRef> {
        let out = states.iter().map(&self.finish).collect::<Result<PrimitiveArray<Float64Type>>>()?;
        Ok(Arc::new(out))
    }
}
