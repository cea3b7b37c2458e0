//! Which files of the target can hold keys of the source: `target column = expression of the source`.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::{SortOptions, cast, concat, sort};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::logical_expr::{Cast, lit};
use datafusion::physical_plan::collect;

use super::source::MergeSource;
use crate::file_set::FileWithStats;
use crate::stats::StatsTable;
use crate::stats::table::has_bounds;

/// Sources of more rows have a range of keys, and no list of them.
const MAX_LISTED: u64 = 1 << 18;

/// A column of the target and what it has to be equal to.
pub(super) struct Key {
    column: Column,
    /// The type as which the column is compared, where that is not its own.
    compared_as: Option<ArrowType>,
    value: Expr,
}

impl Key {
    /// `target column = expression of the source`, either way round.
    pub fn of(conjunct: &Expr, is_target: &dyn Fn(&Column) -> bool) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { return None };
        let of_source = |e: &Expr| {
            let columns = e.column_refs();
            !columns.is_empty() && columns.iter().all(|c| !is_target(c))
        };
        let sides = [(left.as_ref(), right.as_ref()), (right.as_ref(), left.as_ref())];
        sides.into_iter().find_map(|(target, value)| {
            let (column, compared_as) = column_of(target)?;
            (is_target(column) && of_source(value)).then(|| Self {
                column: column.clone(),
                compared_as,
                value: value.clone(),
            })
        })
    }

    pub fn column(&self) -> &str {
        &self.column.name
    }

    /// The target's side.
    fn target(&self) -> Expr {
        let column = Expr::Column(Column::from_name(&self.column.name));
        match &self.compared_as {
            Some(t) => Expr::Cast(Cast::new(Box::new(column), t.clone())),
            None => column,
        }
    }
}

/// A column, also as a wider number: bounds of numbers stay bounds.
fn column_of(expr: &Expr) -> Option<(&Column, Option<ArrowType>)> {
    match expr {
        Expr::Column(column) => Some((column, None)),
        Expr::Cast(c) => match c.expr.as_ref() {
            Expr::Column(column) if is_exact_number(c.field.data_type()) => {
                Some((column, Some(c.field.data_type().clone())))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_exact_number(t: &ArrowType) -> bool {
    t.is_signed_integer() || matches!(t, ArrowType::Decimal128(..))
}

/// For each key of the target the range of its values in the source, as filters on the target.
pub(super) async fn ranges(session: &dyn Session, source: &MergeSource, keys: &[Key]) -> Result<Vec<Expr>> {
    let plan = source.plan()?;
    let ranged = with_bounds(keys, &plan, &has_bounds);
    if ranged.is_empty() {
        return Ok(Vec::new());
    }
    let bounds = ranged.iter().enumerate().flat_map(|(i, key)| {
        let value = &key.value;
        [min(value.clone()).alias(format!("min{i}")), max(value.clone()).alias(format!("max{i}"))]
    });
    let bounds: Vec<Expr> = bounds.collect();
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), bounds).spark()?;
    let row = super::source::single_row(session, plan.build().spark()?).await?;
    let mut out = Vec::new();
    for (key, bounds) in ranged.into_iter().zip(row.chunks(2)) {
        let [low, high] = bounds else { continue };
        if low.is_null() || high.is_null() {
            // No key at all: nothing matches.
            out.push(lit(false));
            continue;
        }
        out.push(key.target().gt_eq(Expr::Literal(low.clone(), None)));
        out.push(key.target().lt_eq(Expr::Literal(high.clone(), None)));
    }
    Ok(out)
}

/// The files within whose bounds there is a value of each key, where the source is small enough to list them: few keys may be far apart.
pub(super) async fn matching_files(
    session: &dyn Session,
    source: &MergeSource,
    keys: &[Key],
    files: Vec<FileWithStats>,
) -> Result<Vec<FileWithStats>> {
    if files.len() < 2 || source.is_on_disk() || source.rows() > MAX_LISTED {
        return Ok(files);
    }
    let lists = listed(session, source, keys).await?;
    let mut out = Vec::with_capacity(files.len());
    for group in files.chunk_by(|a, b| Arc::ptr_eq(&a.stats, &b.stats)) {
        let mut keep = vec![true; group.len()];
        for list in &lists {
            list.rule_out(&group[0].stats, group, &mut keep)?;
        }
        out.extend(group.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()));
    }
    Ok(out)
}

fn with_bounds<'a>(
    keys: &'a [Key],
    source: &LogicalPlan,
    has_bounds: &dyn Fn(&ArrowType) -> bool,
) -> Vec<&'a Key> {
    keys.iter().filter(|key| key.value.get_type(source.schema()).is_ok_and(|t| has_bounds(&t))).collect()
}

/// The values of a key.
struct Listed<'a> {
    key: &'a Key,
    /// Without NULL.
    sorted: ArrayRef,
}

async fn listed<'a>(session: &dyn Session, source: &MergeSource, keys: &'a [Key]) -> Result<Vec<Listed<'a>>> {
    let plan = source.plan()?;
    // NaN and the two zeros are equal to what they are not beside.
    let keys = with_bounds(keys, &plan, &|t| has_bounds(t) && !t.is_floating());
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let values = keys.iter().enumerate().map(|(i, key)| key.value.clone().alias(format!("k{i}")));
    let plan = LogicalPlanBuilder::from(plan).project(values).spark()?.build().spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let batches = collect(physical, session.task_ctx()).await.spark()?;
    let list = |(i, key): (usize, &'a Key)| {
        let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(i).as_ref()).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        let sorted = sort(&concat(&parts).spark()?, Some(SortOptions::default().nulls_last())).spark()?;
        let sorted = sorted.slice(0, sorted.len() - sorted.null_count());
        Ok(Some(Listed { key, sorted }))
    };
    keys.into_iter().enumerate().filter_map(|key| list(key).transpose()).collect()
}

impl Listed<'_> {
    /// Takes out the files without a value between their bounds; one whose bounds are not known stays.
    fn rule_out(&self, stats: &StatsTable, files: &[FileWithStats], keep: &mut [bool]) -> Result<()> {
        let Some(bounds) = stats.columns.get(self.key.column()) else { return Ok(()) };
        let wanted = self.sorted.data_type();
        let as_compared = |bounds: &ArrayRef| match bounds.data_type() == wanted {
            true => Ok(bounds.clone()),
            false => cast(bounds, wanted).spark(),
        };
        if bounds.min.data_type() != wanted && self.key.compared_as.as_ref() != Some(wanted) {
            return Ok(());
        }
        let (low, high) = (as_compared(&bounds.min)?, as_compared(&bounds.max)?);
        let to_low = make_comparator(&self.sorted, &low, SortOptions::default()).spark()?;
        let to_high = make_comparator(&self.sorted, &high, SortOptions::default()).spark()?;
        for (file, keep) in files.iter().zip(keep) {
            if low.is_null(file.row) || high.is_null(file.row) {
                continue;
            }
            let first = partition_point(self.sorted.len(), |i| to_low(i, file.row) == Ordering::Less);
            *keep &= first < self.sorted.len() && to_high(first, file.row) != Ordering::Greater;
        }
        Ok(())
    }
}

/// The first position for which `is_before` does not hold, of positions in order.
fn partition_point(len: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
