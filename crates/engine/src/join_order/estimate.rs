//! How many rows a part of a plan has, and how many different values its columns: from the statistics of tables and the usual
//! guesses for what these do not tell.

use std::collections::{BTreeMap, HashMap};

use datafusion::common::{JoinType, ScalarValue, Statistics};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator, TableScan};

use crate::operators::JOIN_HINT;

/// Rows of what is not known.
const UNKNOWN_ROWS: f64 = 1_000_000.0;
/// Part of the rows that pass a condition nothing is known of.
const UNKNOWN: f64 = 0.25;
const TEXT_EQUALITY: f64 = 0.04;
const PATTERN: f64 = 0.1;
const BETWEEN_COLUMNS: f64 = 0.4;

#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    /// Different values before filters took some away: what a key of another table is one of.
    domain: f64,
    /// Different values that filters left.
    distinct: f64,
    bounds: Option<(f64, f64)>,
}

impl Column {
    fn of(distinct: f64) -> Self {
        Self { domain: distinct, distinct, bounds: None }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Estimate {
    pub rows: f64,
    /// Rows of the largest of its tables, before any filter.
    pub unfiltered: f64,
    columns: HashMap<String, Column>,
    /// Whether all tables have told their rows.
    pub is_known: bool,
}

impl Estimate {
    fn unknown(rows: f64) -> Self {
        Self { rows: rows.max(1.0), unfiltered: rows.max(1.0), columns: HashMap::new(), is_known: true }
    }

    /// Different values of an expression, as far as they matter: at most one a row.
    pub fn distinct(&self, expr: &Expr) -> f64 {
        let of_column = |name: &str| self.columns.get(name).map_or(self.rows, |column| column.distinct);
        let distinct = match bare(expr) {
            Some(column) => of_column(column),
            // At most one for each combination of the columns that it is made of.
            None if expr.is_volatile() => self.rows,
            None => expr.column_refs().into_iter().map(|column| of_column(&column.name)).product(),
        };
        distinct.clamp(1.0, self.rows.max(1.0))
    }

    /// [`Column::domain`] of an expression.
    fn domain(&self, expr: &Expr) -> f64 {
        let known = bare(expr).and_then(|column| self.columns.get(column));
        known.map_or(self.rows, |column| column.domain)
    }

    fn with_rows(mut self, rows: f64) -> Self {
        self.rows = rows.max(1.0);
        self
    }
}

/// The column an expression is, casts aside.
fn bare(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(c) => Some(&c.name),
        Expr::Cast(c) => bare(&c.expr),
        Expr::Alias(a) => bare(&a.expr),
        _ => None,
    }
}

pub(super) fn estimate(plan: &LogicalPlan) -> Estimate {
    match plan {
        LogicalPlan::TableScan(scan) => table(scan),
        LogicalPlan::Filter(filter) => {
            let input = estimate(&filter.input);
            // A filter that the table was given too is counted once.
            let base = match filter.input.as_ref() {
                LogicalPlan::TableScan(scan) => unfiltered(scan),
                _ => input,
            };
            filtered(base, split_conjunction(&filter.predicate))
        }
        LogicalPlan::Projection(p) => {
            let input = estimate(&p.input);
            let mut columns = HashMap::new();
            for (expr, field) in p.expr.iter().zip(p.schema.fields()) {
                if let Some(known) = bare(expr).and_then(|name| input.columns.get(name)) {
                    columns.insert(field.name().clone(), known.clone());
                }
            }
            Estimate { columns, ..input }
        }
        LogicalPlan::Aggregate(a) => {
            let input = estimate(&a.input);
            let groups: f64 = a.group_expr.iter().map(|e| input.distinct(e)).product();
            let rows = if a.group_expr.is_empty() { 1.0 } else { groups.min(input.rows) };
            let mut out = Estimate { is_known: input.is_known, ..Estimate::unknown(rows) };
            for (expr, field) in a.group_expr.iter().zip(a.schema.fields()) {
                let known = bare(expr).and_then(|name| input.columns.get(name)).cloned();
                out.columns.insert(field.name().clone(), known.unwrap_or(Column::of(rows)));
            }
            out
        }
        LogicalPlan::Join(join) => of_join(join),
        LogicalPlan::SubqueryAlias(s) => estimate(&s.input),
        LogicalPlan::Extension(e) if e.node.name() == JOIN_HINT => {
            e.node.inputs().first().map_or_else(|| Estimate::unknown(1.0), |input| estimate(input))
        }
        LogicalPlan::Sort(s) => {
            let input = estimate(&s.input);
            let rows = s.fetch.map_or(input.rows, |n| input.rows.min(n as f64));
            input.with_rows(rows)
        }
        LogicalPlan::Limit(l) => {
            let input = estimate(&l.input);
            match l.fetch.as_deref() {
                Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) => {
                    let rows = input.rows.min(*n as f64);
                    input.with_rows(rows)
                }
                _ => input,
            }
        }
        LogicalPlan::Union(u) => {
            let inputs: Vec<Estimate> = u.inputs.iter().map(|i| estimate(i)).collect();
            let is_known = inputs.iter().all(|i| i.is_known);
            Estimate { is_known, ..Estimate::unknown(inputs.iter().map(|i| i.rows).sum()) }
        }
        LogicalPlan::Distinct(d) => {
            let input = estimate(d.input());
            Estimate { is_known: input.is_known, ..Estimate::unknown(input.rows) }
        }
        LogicalPlan::Values(v) => Estimate::unknown(v.values.len() as f64),
        LogicalPlan::EmptyRelation(_) => Estimate::unknown(1.0),
        other => {
            let inputs = other.inputs();
            let inputs: Vec<Estimate> = inputs.into_iter().map(estimate).collect();
            let rows = inputs.iter().map(|i| i.rows).fold(0.0, f64::max);
            let is_known = !inputs.is_empty() && inputs.iter().all(|i| i.is_known);
            Estimate { is_known, ..Estimate::unknown(if is_known { rows } else { UNKNOWN_ROWS }) }
        }
    }
}

fn of_join(join: &Join) -> Estimate {
    let (left, right) = (estimate(&join.left), estimate(&join.right));
    let keys: Vec<(&Expr, &Expr)> = join.on.iter().map(|(l, r)| (l, r)).collect();
    let matching = semi_selectivity(&left, &right, &keys);
    match join.join_type {
        JoinType::LeftSemi => {
            let rows = left.rows * matching;
            left.with_rows(rows)
        }
        JoinType::LeftAnti => {
            let rows = left.rows * (1.0 - matching).max(0.1);
            left.with_rows(rows)
        }
        JoinType::RightSemi | JoinType::RightAnti => right,
        JoinType::LeftMark | JoinType::RightMark => left,
        kind => {
            let both = if keys.is_empty() {
                let rows = left.rows * right.rows;
                let mut both = left.clone();
                both.columns.extend(right.columns.clone());
                both.is_known &= right.is_known;
                both.with_rows(rows)
            } else {
                joined(&left, &right, &keys, usize::from(join.filter.is_some()))
            };
            let at_least = match kind {
                JoinType::Left => left.rows,
                JoinType::Right => right.rows,
                JoinType::Full => left.rows.max(right.rows),
                _ => 0.0,
            };
            let rows = both.rows.max(at_least);
            both.with_rows(rows)
        }
    }
}

/// Part of the left rows that have a partner.
pub(super) fn semi_selectivity(left: &Estimate, right: &Estimate, keys: &[(&Expr, &Expr)]) -> f64 {
    keys.iter().map(|(l, r)| (right.distinct(r) / left.distinct(l)).min(1.0)).fold(1.0, f64::min)
}

/// How many keys a row of one side could meet on the other. Of the side that knows more keys (a calendar of two centuries) filters
/// leave those that the other side has (sales of five years).
fn keys_to_meet(left: &Estimate, right: &Estimate, l: &Expr, r: &Expr) -> f64 {
    let (of_left, of_right) = (left.domain(l), right.domain(r));
    if of_left <= of_right { of_left.max(right.distinct(r)) } else { of_right.max(left.distinct(l)) }
}

/// Rows of an inner join by equality, and by `others` conditions of another kind.
pub(super) fn joined_rows(left: &Estimate, right: &Estimate, keys: &[(&Expr, &Expr)], others: usize) -> f64 {
    let mut divisors: Vec<f64> = keys.iter().map(|(l, r)| keys_to_meet(left, right, l, r)).collect();
    divisors.sort_by(|a, b| b.total_cmp(a));
    // Keys of several columns depend on each other: each further one counts less.
    let mut divisor = 1.0;
    let mut weight = 1.0;
    for d in divisors {
        divisor *= d.powf(weight);
        weight /= 2.0;
    }
    // Neither side has more keys than rows, all of its tables' rows counted.
    divisor = divisor.min(left.unfiltered.max(right.unfiltered));
    let rows = left.rows * right.rows / divisor * BETWEEN_COLUMNS.powi(i32::try_from(others).unwrap_or(1));
    rows.max(1.0)
}

/// What such a join gives.
pub(super) fn joined(left: &Estimate, right: &Estimate, keys: &[(&Expr, &Expr)], others: usize) -> Estimate {
    let rows = joined_rows(left, right, keys, others);
    let mut columns = left.columns.clone();
    columns.extend(right.columns.iter().map(|(k, v)| (k.clone(), v.clone())));
    for (l, r) in keys {
        let distinct = left.distinct(l).min(right.distinct(r));
        for name in [bare(l), bare(r)].into_iter().flatten() {
            if let Some(column) = columns.get_mut(name) {
                column.domain = distinct;
                column.distinct = distinct;
            }
        }
    }
    let unfiltered = left.unfiltered.max(right.unfiltered);
    Estimate { rows, unfiltered, columns, is_known: left.is_known && right.is_known }
}

/// The rows of a table as its filters leave them.
fn table(scan: &TableScan) -> Estimate {
    filtered(unfiltered(scan), scan.filters.iter().collect())
}

fn unfiltered(scan: &TableScan) -> Estimate {
    let statistics = source_as_provider(&scan.source).ok().and_then(|p| p.statistics());
    let Some(statistics) = statistics else {
        return Estimate { is_known: false, ..Estimate::unknown(UNKNOWN_ROWS) };
    };
    let rows = statistics.num_rows.get_value().map_or(UNKNOWN_ROWS, |r| *r as f64).max(1.0);
    let schema = scan.source.schema();
    let filtered =
        scan.filters.iter().flat_map(Expr::column_refs).filter_map(|c| schema.index_of(&c.name).ok());
    let wanted: Vec<usize> = match &scan.projection {
        Some(projected) => projected.iter().copied().chain(filtered).collect(),
        None => (0..schema.fields().len()).collect(),
    };
    let of_column = |i: usize| (schema.field(i).name().clone(), of_column(&statistics, i, rows));
    let columns = wanted.into_iter().map(of_column).collect();
    Estimate { rows, unfiltered: rows, columns, is_known: true }
}

fn of_column(statistics: &Statistics, i: usize, rows: f64) -> Column {
    let Some(column) = statistics.column_statistics.get(i) else {
        return Column::of(rows);
    };
    let low = column.min_value.get_value().and_then(number);
    let high = column.max_value.get_value().and_then(number);
    let discrete = column.min_value.get_value().is_some_and(is_discrete);
    let bounds = low.zip(high);
    let distinct = match (column.distinct_count.get_value(), bounds) {
        (Some(n), _) => *n as f64,
        (None, Some((low, high))) if discrete => (high - low + 1.0).min(rows),
        _ => rows,
    };
    Column { bounds, ..Column::of(distinct.max(1.0)) }
}

fn is_discrete(value: &ScalarValue) -> bool {
    value.data_type().is_integer() || matches!(value, ScalarValue::Date32(_) | ScalarValue::Decimal128(..))
}

/// A value on the line of numbers; decimals as their digits, to compare and to count.
fn number(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Int8(v) => v.map(f64::from),
        ScalarValue::Int16(v) => v.map(f64::from),
        ScalarValue::Int32(v) | ScalarValue::Date32(v) => v.map(f64::from),
        ScalarValue::Int64(v) | ScalarValue::TimestampMicrosecond(v, _) => v.map(|v| v as f64),
        ScalarValue::Float32(v) => v.map(f64::from),
        ScalarValue::Float64(v) => *v,
        ScalarValue::Decimal128(v, ..) => v.map(|v| v as f64),
        _ => None,
    }
}

fn filtered(input: Estimate, conditions: Vec<&Expr>) -> Estimate {
    let rows = input.rows * passing_all(&input, conditions.iter().copied());
    let mut left = input.with_rows(rows);
    for condition in conditions {
        if let Some((column, values)) = chosen(condition)
            && let Some(column) = left.columns.get_mut(column)
        {
            column.distinct = column.distinct.min(values);
        }
    }
    for column in left.columns.values_mut() {
        column.distinct = column.distinct.min(left.rows);
    }
    left
}

/// The column of which a condition leaves some values, and how many.
fn chosen(condition: &Expr) -> Option<(&str, f64)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(..)) | (Expr::Literal(..), column) => Some((bare(column)?, 1.0)),
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, right) = (chosen(left)?, chosen(right)?);
            (left.0 == right.0).then_some((left.0, left.1 + right.1))
        }
        Expr::InList(list) if !list.negated => Some((bare(&list.expr)?, list.list.len() as f64)),
        _ => None,
    }
}

/// Part of the rows that pass all conditions. Those that compare one column with numbers leave one part of its range.
fn passing_all<'a>(input: &Estimate, conditions: impl IntoIterator<Item = &'a Expr>) -> f64 {
    let mut ranges: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut others = 1.0;
    for condition in conditions {
        match range_of(input, condition) {
            Some((column, (low, high))) => {
                let range = ranges.entry(column).or_insert((0.0, 1.0));
                *range = (range.0.max(low), range.1.min(high));
            }
            None => others *= passing(input, condition),
        }
    }
    ranges.into_values().map(size_of_range).product::<f64>() * others
}

/// Part of the rows that pass a condition.
fn passing(input: &Estimate, condition: &Expr) -> f64 {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => passing_all(input, split_conjunction(condition)),
            Operator::Or => (passing(input, left) + passing(input, right)).min(1.0),
            Operator::Eq => equality(input, left, right),
            Operator::NotEq => 0.9,
            Operator::Lt | Operator::LtEq => below(input, left, right),
            Operator::Gt | Operator::GtEq => below(input, right, left),
            _ => UNKNOWN,
        },
        Expr::Not(inner) => 1.0 - passing(input, inner),
        Expr::IsNotNull(_) => 1.0,
        Expr::IsNull(_) => 0.05,
        Expr::InList(list) => {
            let each = equality(input, &list.expr, list.list.first().unwrap_or(&list.expr));
            let part = (each * list.list.len() as f64).min(1.0);
            if list.negated { 1.0 - part } else { part }
        }
        Expr::Between(b) => {
            let part = (below(input, &b.low, &b.expr) + below(input, &b.expr, &b.high) - 1.0).max(0.01);
            if b.negated { 1.0 - part } else { part }
        }
        Expr::Like(like) => {
            if like.negated {
                1.0 - PATTERN
            } else {
                PATTERN
            }
        }
        Expr::ScalarFunction(_) => PATTERN,
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => 1.0,
        Expr::Literal(ScalarValue::Boolean(_), _) => 0.0,
        _ => UNKNOWN,
    }
}

fn equality(input: &Estimate, left: &Expr, right: &Expr) -> f64 {
    let column = if bare(left).is_some() { left } else { right };
    let known = bare(column).and_then(|name| input.columns.get(name));
    match known {
        Some(Column { domain, bounds: Some(_), .. }) => 1.0 / domain.max(1.0),
        _ => TEXT_EQUALITY.max(1.0 / input.rows.max(1.0)),
    }
}

/// The column that a condition compares with a number, and the range of it that is left.
fn range_of<'a>(input: &Estimate, condition: &'a Expr) -> Option<(&'a str, (f64, f64))> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    match op {
        Operator::Lt | Operator::LtEq => range_below(input, left, right),
        Operator::Gt | Operator::GtEq => range_below(input, right, left),
        _ => None,
    }
}

/// The range in which a column is less than a number, or more: 0 is the column's least value and 1 its greatest.
fn range_below<'a>(input: &Estimate, less: &'a Expr, more: &'a Expr) -> Option<(&'a str, (f64, f64))> {
    let place = |column: &str, at: &Expr| {
        let Expr::Literal(value, _) = at else { return None };
        let ((low, high), at) = (input.columns.get(column)?.bounds?, number(value)?);
        Some(if high <= low { 0.5 } else { ((at - low) / (high - low)).clamp(0.0, 1.0) })
    };
    match (bare(less), bare(more)) {
        (Some(column), None) => Some((column, (0.0, place(column, more)?))),
        (None, Some(column)) => Some((column, (place(column, less)?, 1.0))),
        _ => None,
    }
}

fn size_of_range((low, high): (f64, f64)) -> f64 {
    (high - low).clamp(0.001, 1.0)
}

/// Part of the rows where one side is less than the other.
fn below(input: &Estimate, less: &Expr, more: &Expr) -> f64 {
    match range_below(input, less, more) {
        Some((_, range)) => size_of_range(range),
        None if bare(less).is_some() && bare(more).is_some() => BETWEEN_COLUMNS,
        None => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    /// A calendar of 1,000 days.
    fn days() -> Estimate {
        let day = Column { bounds: Some((0.0, 1000.0)), ..Column::of(1000.0) };
        let columns = HashMap::from([("day".to_string(), day)]);
        Estimate { columns, ..Estimate::unknown(1000.0) }
    }

    fn left_of(conditions: &[Expr]) -> f64 {
        filtered(days(), conditions.iter().collect()).rows.round()
    }

    #[test]
    fn two_ends_are_one_range() {
        let (from, until) = (col("day").gt_eq(lit(400)), col("day").lt(lit(450)));
        assert_eq!(left_of(std::slice::from_ref(&from)), 600.0);
        assert_eq!(left_of(&[from.clone(), until.clone()]), 50.0);
        assert_eq!(left_of(&[from.clone().and(until.clone())]), 50.0);
        assert_eq!(left_of(&[lit(450).gt(col("day")), from.clone()]), 50.0);
        assert_eq!(left_of(&[col("day").between(lit(400), lit(450))]), 50.0);
        // Nothing is between them, and one row is the least that is expected.
        assert_eq!(left_of(&[col("day").lt(lit(400)), col("day").gt(lit(450))]), 1.0);
        // Of a column that nothing is known of each end takes a guess.
        assert_eq!(
            left_of(&[col("other").gt(lit(1)), col("other").lt(lit(2))]),
            (1000.0 * UNKNOWN * UNKNOWN).round()
        );
    }
}
