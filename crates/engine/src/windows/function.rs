//! The functions: those whose value a row has when it comes, and those that wait for the end of a group of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, UInt64Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use boathouse_functions::{Running, ShiftedRows, running};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    Accumulator, EmitTo, GroupsAccumulator, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::WindowUDFExpr;
use datafusion::scalar::ScalarValue;

use super::groups::numbers;

/// Where the groups of a batch's rows begin.
pub(super) struct Starts {
    pub rows: usize,
    pub partitions: Vec<usize>,
    /// Groups of peers: rows of a partition that the order does not tell apart. Those of the partitions where nobody asks.
    pub peers: Vec<usize>,
}

pub(super) enum Function {
    Rank(Rank),
    /// `lag` and `lead`.
    Shifted(ShiftedRows),
    /// The rows up to this one.
    Rows(Box<dyn Running>),
    /// The rows up to the last peer of this one.
    Peers(UpToPeers),
    /// All rows of the partition.
    Partition(WholePartition),
}

/// What a function says of the rows of a batch.
pub(super) enum Values {
    /// A value a row.
    Rows(ArrayRef),
    /// A value for each group that has ended ([`Function::waits_for`]).
    Ended(ArrayRef),
}

/// Rows that have the same value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Group {
    /// Each has its own, which others that come later decide.
    Row,
    Peers,
    Partition,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    RowNumber,
    Rank,
    DenseRank,
    Shifted,
    Rows,
    Peers,
    Partition,
}

impl Kind {
    fn of(expr: &Arc<dyn WindowExpr>) -> Option<Self> {
        if expr.as_any().is::<StandardWindowExpr>() {
            let function = standard(expr)?;
            if ShiftedRows::of(function.fun()).is_some() {
                return Some(Self::Shifted);
            }
            if *expr.field().ok()?.data_type() != DataType::Int32 {
                return None;
            }
            return match function.fun().name() {
                "row_number" => Some(Self::RowNumber),
                "rank" => Some(Self::Rank),
                "dense_rank" => Some(Self::DenseRank),
                _ => None,
            };
        }
        let aggregate = expr.as_any().downcast_ref::<PlainAggregateWindowExpr>()?;
        // DataFusion shows its FILTER nowhere else.
        if !format!("{aggregate:?}").ends_with("filter: None }") {
            return None;
        }
        Self::of_frame(expr.get_window_frame(), !expr.order_by().is_empty())
    }

    fn of_frame(frame: &WindowFrame, is_ordered: bool) -> Option<Self> {
        let is_end = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::CurrentRow => frame.units == WindowFrameUnits::Range && !is_ordered,
            _ => bound.is_unbounded(),
        };
        match (is_end(&frame.start_bound), &frame.end_bound) {
            (true, end) if is_end(end) => Some(Self::Partition),
            (true, WindowFrameBound::CurrentRow) => match frame.units {
                WindowFrameUnits::Rows => Some(Self::Rows),
                WindowFrameUnits::Range | WindowFrameUnits::Groups => Some(Self::Peers),
            },
            _ => None,
        }
    }
}

/// A function that is no aggregate.
fn standard(expr: &Arc<dyn WindowExpr>) -> Option<&WindowUDFExpr> {
    let function = expr.as_any().downcast_ref::<StandardWindowExpr>()?;
    function.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()
}

impl Function {
    pub fn is_known(expr: &Arc<dyn WindowExpr>) -> bool {
        Kind::of(expr).is_some()
    }

    pub fn of(expr: &Arc<dyn WindowExpr>) -> Result<Self> {
        let unknown =
            || DataFusionError::Internal(format!("{} is not among the window functions", expr.name()));
        let kind = Kind::of(expr).ok_or_else(unknown)?;
        let aggregate = || {
            let found = expr.as_any().downcast_ref::<PlainAggregateWindowExpr>().ok_or_else(unknown)?;
            Ok::<_, DataFusionError>(Arc::new(found.get_aggregate_expr().clone()))
        };
        Ok(match kind {
            Kind::RowNumber | Kind::Rank | Kind::DenseRank => Self::Rank(Rank { kind, row: 0, rank: 0 }),
            Kind::Shifted => {
                let shifted = standard(expr).and_then(|f| ShiftedRows::of(f.fun()));
                Self::Shifted(shifted.ok_or_else(unknown)?)
            }
            Kind::Rows => Self::Rows(running(&aggregate()?)?),
            Kind::Peers => Self::Peers(UpToPeers { rows: running(&aggregate()?)?, last: None }),
            Kind::Partition => Self::Partition(WholePartition::new(aggregate()?)?),
        })
    }

    /// The values that the rows of a batch make known, given the function's arguments.
    pub fn add(&mut self, arguments: &[ArrayRef], starts: &Starts) -> Result<Values> {
        match self {
            Self::Rank(rank) => Ok(Values::Rows(rank.add(starts))),
            Self::Shifted(shifted) => {
                let values = shifted.values(arguments, &starts.partitions)?;
                Ok(if shifted.looks_back() { Values::Rows(values) } else { Values::Ended(values) })
            }
            Self::Rows(running) => {
                running.values(arguments, starts.rows, &starts.partitions).map(Values::Rows)
            }
            Self::Peers(peers) => peers.add(arguments, starts).map(Values::Ended),
            Self::Partition(whole) => whole.add(arguments, starts).map(Values::Ended),
        }
    }

    /// The value of the last group, when no rows come any more.
    pub fn end(&mut self) -> Result<Option<ArrayRef>> {
        match self {
            Self::Rank(_) | Self::Rows(_) => Ok(None),
            Self::Shifted(shifted) => Ok(shifted.end()),
            Self::Peers(peers) => Ok(peers.last.take()),
            Self::Partition(whole) => whole.ended(whole.open).map(Some),
        }
    }

    pub fn looks_at_peers(&self) -> bool {
        match self {
            Self::Rank(rank) => rank.kind != Kind::RowNumber,
            Self::Peers(_) => true,
            Self::Shifted(_) | Self::Rows(_) | Self::Partition(_) => false,
        }
    }

    /// What has to end before a row has a value.
    pub fn waits_for(&self) -> Option<Group> {
        match self {
            Self::Rank(_) | Self::Rows(_) => None,
            Self::Shifted(shifted) => (!shifted.looks_back()).then_some(Group::Row),
            Self::Peers(_) => Some(Group::Peers),
            Self::Partition(_) => Some(Group::Partition),
        }
    }
}

/// `row_number`, `rank` and `dense_rank`.
pub(super) struct Rank {
    kind: Kind,
    row: i32,
    rank: i32,
}

impl Rank {
    fn add(&mut self, starts: &Starts) -> ArrayRef {
        let mut partitions = starts.partitions.iter().copied().peekable();
        let mut peers = starts.peers.iter().copied().peekable();
        let values = (0..starts.rows).map(|row| {
            if partitions.next_if_eq(&row).is_some() {
                (self.row, self.rank) = (0, 0);
            }
            self.row += 1;
            if peers.next_if_eq(&row).is_some() {
                self.rank = if self.kind == Kind::DenseRank { self.rank + 1 } else { self.row };
            }
            if self.kind == Kind::RowNumber { self.row } else { self.rank }
        });
        Arc::new(Int32Array::from_iter_values(values))
    }
}

/// An aggregate over the rows up to the last peer.
pub(super) struct UpToPeers {
    rows: Box<dyn Running>,
    /// The value after the last row so far.
    last: Option<ArrayRef>,
}

impl UpToPeers {
    fn add(&mut self, arguments: &[ArrayRef], starts: &Starts) -> Result<ArrayRef> {
        let after = self.rows.values(arguments, starts.rows, &starts.partitions)?;
        // The row before the first one of a group is the last of another.
        let ends = starts.peers.iter().filter(|row| **row > 0).map(|row| *row as u64 - 1);
        let within = take(&after, &UInt64Array::from_iter_values(ends), None)?;
        let before = self.last.take().filter(|_| starts.peers.first() == Some(&0));
        self.last = Some(after.slice(starts.rows - 1, 1));
        match before {
            None => Ok(within),
            Some(before) => Ok(concat(&[before.as_ref(), within.as_ref()])?),
        }
    }
}

/// An aggregate over all rows of the partition.
pub(super) struct WholePartition {
    function: Arc<AggregateFunctionExpr>,
    totals: Totals,
    /// Partitions whose value was not asked for yet.
    open: usize,
}

enum Totals {
    Groups(Box<dyn GroupsAccumulator>),
    Each(Vec<Box<dyn Accumulator>>),
}

impl WholePartition {
    fn new(function: Arc<AggregateFunctionExpr>) -> Result<Self> {
        let totals = match function.groups_accumulator_supported() {
            true => Totals::Groups(function.create_groups_accumulator()?),
            false => Totals::Each(Vec::new()),
        };
        Ok(Self { function, totals, open: 0 })
    }

    fn add(&mut self, arguments: &[ArrayRef], starts: &Starts) -> Result<ArrayRef> {
        // The number of the partition that the rows before belong to; of the first that begins, where there is none.
        let first = self.open.checked_sub(1);
        self.open += starts.partitions.len();
        match &mut self.totals {
            Totals::Groups(totals) => {
                let groups = match first {
                    Some(first) => numbers(first, starts.rows, &starts.partitions),
                    None => numbers(0, starts.rows, starts.partitions.get(1..).unwrap_or_default()),
                };
                totals.update_batch(arguments, &groups, None, self.open)?;
            }
            Totals::Each(totals) => {
                let ends = starts.partitions.iter().copied().chain([starts.rows]);
                let mut from = 0;
                for (i, to) in ends.enumerate() {
                    if i > 0 {
                        totals.push(self.function.create_accumulator()?);
                    }
                    if let Some(total) = totals.last_mut().filter(|_| to > from) {
                        let rows: Vec<ArrayRef> =
                            arguments.iter().map(|c| c.slice(from, to - from)).collect();
                        total.update_batch(&rows)?;
                    }
                    from = to;
                }
            }
        }
        // The last one goes on.
        self.ended(self.open - 1)
    }

    /// The values of the first partitions.
    fn ended(&mut self, count: usize) -> Result<ArrayRef> {
        self.open -= count;
        if count == 0 {
            return Ok(new_empty_array(self.function.field().data_type()));
        }
        match &mut self.totals {
            Totals::Groups(totals) if self.open == 0 => totals.evaluate(EmitTo::All),
            Totals::Groups(totals) => totals.evaluate(EmitTo::First(count)),
            Totals::Each(totals) => {
                let values = totals.drain(..count).map(|mut total| total.evaluate());
                ScalarValue::iter_to_array(values.collect::<Result<Vec<_>>>()?)
            }
        }
    }
}
