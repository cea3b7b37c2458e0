//! `collect_list` (`array_agg`): the values of a group, NULLs left out.

use std::fmt;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt64Array, new_empty_array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType as ArrowType, FieldRef};
use boathouse_bridge::{arrow_type, typed_field};
use boathouse_spec::{DataType, Result};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::scalar::ScalarValue;

use super::in_order::{Needs, Rows};
use super::{ResolvedAggregate, SparkAggregate};
use crate::{Context, Registry};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["collect_list", "array_agg"], |c| {
        c.call.arity(1..=1)?;
        let t = c.call.args[0].data_type.clone();
        let keep_nulls = c.ignore_nulls == Some(false);
        let returned = DataType::array(t.clone(), keep_nulls);
        let udf = collect("collect_list", &t, keep_nulls, c.call.context);
        let mut resolved =
            ResolvedAggregate::new(vec![t], returned, false, udf?.build()).shown_as("collect_list");
        resolved.display_suffix = if keep_nulls { " RESPECT NULLS" } else { "" };
        Ok(resolved)
    });
}

fn collect(name: &str, t: &DataType, keep_nulls: bool, context: &Context) -> Result<SparkAggregate> {
    let returned = DataType::array(t.clone(), keep_nulls);
    let item = item_field(t, keep_nulls);
    let for_groups = Arc::clone(&item);
    let empty = ListArray::new(
        Arc::clone(&item),
        OffsetBuffer::new_zeroed(1),
        new_empty_array(item.data_type()),
        None,
    );
    let state = vec![("values", returned.clone())];
    Ok(SparkAggregate::new(name, std::slice::from_ref(t), &returned, false, state, context, move || {
        Ok(Box::new(ListOfOne { item: Arc::clone(&item), keep_nulls, pieces: Vec::new() }))
    })
    .with_groups(move || {
        Ok(Box::new(ListOfGroups {
            item: Arc::clone(&for_groups),
            keep_nulls,
            pieces: Vec::new(),
            owners: Vec::new(),
            groups: 0,
            bytes: 0,
        }))
    })
    .with_empty(ScalarValue::List(Arc::new(empty)))
    .with_needs(Needs { rows: Rows::All, skips_nulls: !keep_nulls })
    .with_parameters(keep_nulls))
}

fn item_field(t: &DataType, nullable: bool) -> FieldRef {
    match arrow_type(&DataType::array(t.clone(), nullable)) {
        ArrowType::List(field) => field,
        _ => Arc::new(typed_field("item", t, nullable)),
    }
}

/// The rows of a batch that count.
fn kept(values: &ArrayRef, keep_nulls: bool) -> DataFusionResult<ArrayRef> {
    let nulls = values.logical_nulls().filter(|n| !keep_nulls && n.null_count() > 0);
    match nulls {
        None => Ok(Arc::clone(values)),
        Some(nulls) => {
            let valid = BooleanArray::new(nulls.inner().clone(), None);
            Ok(arrow::compute::filter(values, &valid)?)
        }
    }
}

fn join(pieces: &[ArrayRef], t: &ArrowType) -> DataFusionResult<ArrayRef> {
    match pieces {
        [] => Ok(new_empty_array(t)),
        [one] => Ok(Arc::clone(one)),
        many => Ok(concat(&many.iter().map(|p| p.as_ref()).collect::<Vec<_>>())?),
    }
}

fn first(values: &[ArrayRef]) -> DataFusionResult<&ArrayRef> {
    values.first().ok_or_else(|| DataFusionError::Internal("collect_list without its argument".into()))
}

struct ListOfOne {
    item: FieldRef,
    keep_nulls: bool,
    pieces: Vec<ArrayRef>,
}

impl fmt::Debug for ListOfOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "list in {} pieces", self.pieces.len())
    }
}

impl Accumulator for ListOfOne {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let piece = kept(first(values)?, self.keep_nulls)?;
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let values = join(&self.pieces, self.item.data_type())?;
        if self.pieces.len() > 1 {
            self.pieces = vec![Arc::clone(&values)];
        }
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Ok(ScalarValue::List(Arc::new(ListArray::try_new(Arc::clone(&self.item), offsets, values, None)?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.pieces.iter().map(super::in_order::held_bytes).sum::<usize>()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let lists = first(states)?.as_list::<i32>();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let piece = lists.value(row);
            if !piece.is_empty() {
                self.pieces.push(piece);
            }
        }
        Ok(())
    }
}

/// The values of all groups in the order they came, and whose they are.
struct ListOfGroups {
    item: FieldRef,
    keep_nulls: bool,
    pieces: Vec<ArrayRef>,
    owners: Vec<u32>,
    groups: usize,
    bytes: usize,
}

impl ListOfGroups {
    fn push(
        &mut self,
        values: &ArrayRef,
        rows: impl Iterator<Item = (usize, usize)>,
    ) -> DataFusionResult<()> {
        let mut indices = Vec::with_capacity(values.len());
        for (row, owner) in rows {
            indices.push(row as u64);
            self.owners.push(owner as u32);
        }
        if indices.is_empty() {
            return Ok(());
        }
        let piece = if indices.len() == values.len() {
            // Every row, in order: a row occurs at most once.
            Arc::clone(values)
        } else {
            take(values, &UInt64Array::from(indices), None)?
        };
        self.bytes += piece.get_array_memory_size();
        self.pieces.push(piece);
        Ok(())
    }
}

impl GroupsAccumulator for ListOfGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.groups = self.groups.max(total_num_groups);
        let values = first(values)?;
        let nulls = values.logical_nulls().filter(|_| !self.keep_nulls);
        let rows = group_indices.iter().copied().enumerate().filter(|(row, _)| {
            nulls.as_ref().is_none_or(|n| n.is_valid(*row))
                && opt_filter.is_none_or(|f| f.is_valid(*row) && f.value(*row))
        });
        self.push(values, rows)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DataFusionResult<ArrayRef> {
        let emitted = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(n) => n.min(self.groups),
        };
        let values = join(&self.pieces, self.item.data_type())?;
        let mut ends = vec![0i32; emitted + 1];
        for owner in self.owners.iter().filter(|o| (**o as usize) < emitted) {
            ends[*owner as usize + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] = ends[i].checked_add(ends[i - 1]).ok_or_else(too_many_values)?;
        }
        let total = *ends.last().unwrap_or(&0) as usize;
        let mut next = ends.clone();
        let mut order = vec![0u64; total];
        let mut rest = Vec::new();
        let mut rest_owners = Vec::new();
        for (row, owner) in self.owners.iter().enumerate() {
            let owner = *owner as usize;
            if owner < emitted {
                order[next[owner] as usize] = row as u64;
                next[owner] += 1;
            } else {
                rest.push(row as u64);
                rest_owners.push((owner - emitted) as u32);
            }
        }
        let taken = take(&values, &UInt64Array::from(order), None)?;
        self.pieces.clear();
        if !rest.is_empty() {
            self.pieces.push(take(&values, &UInt64Array::from(rest), None)?);
        }
        self.owners = rest_owners;
        self.groups -= emitted;
        self.bytes = self.pieces.iter().map(|p| p.get_array_memory_size()).sum();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.item), offsets, taken, None)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.groups = self.groups.max(total_num_groups);
        let lists = first(states)?.as_list::<i32>();
        let offsets = lists.value_offsets();
        let rows = group_indices.iter().enumerate().filter(|(row, _)| lists.is_valid(*row)).flat_map(
            |(row, group)| (offsets[row] as usize..offsets[row + 1] as usize).map(move |i| (i, *group)),
        );
        self.push(lists.values(), rows)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> DataFusionResult<Vec<ArrayRef>> {
        let values = first(values)?;
        let nulls = values.logical_nulls().filter(|_| !self.keep_nulls);
        let kept = |row: &usize| {
            nulls.as_ref().is_none_or(|n| n.is_valid(*row))
                && opt_filter.is_none_or(|f| f.is_valid(*row) && f.value(*row))
        };
        let offsets = OffsetBuffer::from_lengths((0..values.len()).map(|row| usize::from(kept(&row))));
        let indices: UInt64Array = (0..values.len()).filter(kept).map(|row| Some(row as u64)).collect();
        let taken = take(values, &indices, None)?;
        Ok(vec![Arc::new(ListArray::try_new(Arc::clone(&self.item), offsets, taken, None)?)])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes + self.owners.capacity() * 4
    }
}

fn too_many_values() -> DataFusionError {
    DataFusionError::ResourcesExhausted("collect_list gives more than 2147483647 values in one batch".into())
}
