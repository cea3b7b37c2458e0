//! The condition of a join of two streams, taken apart: what rows are found by, what a side must fulfil by itself, and when
//! rows of a side can meet no more (Spark's `StreamingJoinHelper` and `StreamingSymmetricHashJoinHelper`).

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, Join, Operator as Comparison};

use crate::stateful::Times;

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

pub(in crate::stateful) struct Condition {
    /// Equalities of an expression over the left and one over the right.
    pub keys: Vec<(Expr, Expr)>,
    /// What rows of the left, and of the right, must fulfil whatever they meet.
    pub alone: [Vec<Expr>; 2],
    /// The comparisons of both sides.
    between: Vec<Expr>,
    times: [Times; 2],
}

/// When a row can meet no more: its time is not later than the watermark less a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stateful) struct Bound {
    pub time: BoundTime,
    pub behind_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stateful) enum BoundTime {
    /// The n-th key of the join.
    Key(usize),
    /// A column of the side.
    Column(usize),
}

impl Condition {
    /// The condition of a join whose inputs have these event times.
    pub fn of(join: &Join, times: [Times; 2]) -> Self {
        let mut out =
            Self { keys: join.on.clone(), alone: [Vec::new(), Vec::new()], between: Vec::new(), times };
        let mut waiting: Vec<&Expr> = join.filter.iter().collect();
        while let Some(expr) = waiting.pop() {
            match expr {
                Expr::BinaryExpr(b) if b.op == Comparison::And => {
                    waiting.extend([b.right.as_ref(), b.left.as_ref()]);
                }
                _ => out.take(expr, join.left.schema(), join.right.schema()),
            }
        }
        out
    }

    fn take(&mut self, expr: &Expr, left: &DFSchema, right: &DFSchema) {
        let is_of = |e: &Expr, side: &DFSchema| e.column_refs().into_iter().all(|c| side.has_column(c));
        if is_of(expr, left) {
            self.alone[0].push(expr.clone());
        } else if is_of(expr, right) {
            self.alone[1].push(expr.clone());
        } else if let Some((l, r)) = equality(expr)
            && ((is_of(l, left) && is_of(r, right)) || (is_of(l, right) && is_of(r, left)))
        {
            let (l, r) = if is_of(l, left) { (l, r) } else { (r, l) };
            self.keys.push((l.clone(), r.clone()));
        } else {
            self.between.push(expr.clone());
        }
    }

    /// The key that is an event time, if there is one.
    pub fn timed_key(&self) -> Option<usize> {
        let timed = |e: &Expr, times: &Times| matches!(e, Expr::Column(c) if times.contains_key(&c.name));
        let left = self.keys.iter().position(|(l, _)| timed(l, &self.times[0]));
        left.or_else(|| self.keys.iter().position(|(_, r)| timed(r, &self.times[1])))
    }

    /// When rows of the left (0) or of the right (1) can meet no more.
    pub fn bound(&self, side: usize, schema: &DFSchema) -> Option<Bound> {
        if let Some(key) = self.timed_key() {
            return Some(Bound { time: BoundTime::Key(key), behind_us: 0 });
        }
        let (name, behind_us) = self.range(side, schema)?;
        let column = schema.fields().iter().position(|f| *f.name() == name)?;
        self.times[side].contains_key(&name).then_some(Bound { time: BoundTime::Column(column), behind_us })
    }

    /// The column of a side, and how far behind the watermark its rows can be and still meet rows of the other, by
    /// comparisons with event times of the other.
    pub fn range(&self, side: usize, schema: &DFSchema) -> Option<(String, i64)> {
        let distance = |expr: &Expr| {
            let (less, more, is_strict) = comparison(expr)?;
            let mut sum = Sum::default();
            sum.add(less, 1)?;
            sum.add(more, -1)?;
            // `other - own + constant < 0`: rows that come are after the watermark, so are their partners but for the
            // constant.
            let [(a, of_a), (b, of_b)] = sum.columns.as_slice() else { return None };
            let (own, other) = match (of_a, of_b) {
                (-1, 1) => (a, b),
                (1, -1) => (b, a),
                _ => return None,
            };
            let is_own = schema.has_column_with_unqualified_name(own);
            if !is_own || !self.times[1 - side].contains_key(other) {
                return None;
            }
            let behind_us = sum.constant_us.saturating_neg().saturating_add(i64::from(!is_strict));
            Some((own.clone(), behind_us))
        };
        // The farthest, as Spark takes the earliest of the watermarks.
        self.between.iter().filter_map(distance).max_by_key(|(_, behind_us)| *behind_us)
    }
}

/// The sides of an equality. Types whose values arrow does not compare as Spark does have a function for it.
fn equality(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::BinaryExpr(b) if b.op == Comparison::Eq => Some((&b.left, &b.right)),
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("=" | "==", [l, r]) => Some((l, r)),
            _ => None,
        },
        _ => None,
    }
}

/// What is less (or equal) and what is more, and whether equal is not enough.
fn comparison(expr: &Expr) -> Option<(&Expr, &Expr, bool)> {
    let Expr::BinaryExpr(b) = expr else { return None };
    let (l, r) = (b.left.as_ref(), b.right.as_ref());
    match b.op {
        Comparison::Lt => Some((l, r, true)),
        Comparison::LtEq => Some((l, r, false)),
        Comparison::Gt => Some((r, l, true)),
        Comparison::GtEq => Some((r, l, false)),
        _ => None,
    }
}

/// A sum of columns and a constant in microseconds.
#[derive(Default)]
struct Sum {
    columns: Vec<(String, i64)>,
    constant_us: i64,
}

impl Sum {
    /// Adds an expression times a factor; `None` where it is no sum.
    fn add(&mut self, expr: &Expr, factor: i64) -> Option<()> {
        match expr {
            Expr::Alias(alias) => self.add(&alias.expr, factor),
            Expr::Column(column) => {
                self.columns.push((column.name.clone(), factor));
                Some(())
            }
            Expr::BinaryExpr(b) => match b.op {
                Comparison::Plus => self.both(&b.left, &b.right, factor, factor),
                Comparison::Minus => self.both(&b.left, &b.right, factor, -factor),
                _ => None,
            },
            Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
                ("+", [l, r]) => self.both(l, r, factor, factor),
                ("-", [l, r]) => self.both(l, r, factor, -factor),
                ("negative", [e]) => self.add(e, -factor),
                _ => None,
            },
            Expr::Negative(inner) => self.add(inner, -factor),
            Expr::Literal(value, _) => {
                self.constant_us = self.constant_us.checked_add(microseconds(value)?.checked_mul(factor)?)?;
                Some(())
            }
            _ => None,
        }
    }

    fn both(&mut self, left: &Expr, right: &Expr, of_left: i64, of_right: i64) -> Option<()> {
        self.add(left, of_left)?;
        self.add(right, of_right)
    }
}

/// An interval of days and less; months have no length.
fn microseconds(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::DurationMicrosecond(us) => *us,
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months: 0, days, nanoseconds })) => {
            i64::from(*days).checked_mul(DAY_US)?.checked_add(nanoseconds / 1000)
        }
        _ => None,
    }
}
