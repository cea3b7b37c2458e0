//! `bitmap_construct_agg`, `bitmap_or_agg`, `bitmap_and_agg`: bitmaps of 32768 bits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::Int64Type;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use crate::aggregate::fold::{Fold, column, primitive};
use crate::{AggregateCall, Registry, ResolvedAggregate, SparkAggregate, Want};

const BYTES: usize = 4096;
const BITS: i64 = 8 * BYTES as i64;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["bitmap_construct_agg"], |c| {
        c.call.arity(1..=1)?;
        let coerced = c.call.want(&[Want::LONG])?;
        bitmap(c, coerced, Bitmap { kind: Kind::Positions })
    });
    r.aggregate(&["bitmap_or_agg"], |c| of_bitmaps(c, Kind::Or));
    r.aggregate(&["bitmap_and_agg"], |c| of_bitmaps(c, Kind::And));
}

fn of_bitmaps(c: &AggregateCall, kind: Kind) -> Result<ResolvedAggregate> {
    c.call.arity(1..=1)?;
    if c.call.args[0].data_type != DataType::Binary {
        return Err(c.call.unexpected_input(0, "\"BINARY\""));
    }
    bitmap(c, vec![DataType::Binary], Bitmap { kind })
}

fn bitmap(c: &AggregateCall, coerced: Vec<DataType>, fold: Bitmap) -> Result<ResolvedAggregate> {
    let empty = ScalarValue::Binary(Some(fold.start_bytes()));
    let t = DataType::Binary;
    let udf = SparkAggregate::of_fold(c.call.name, &coerced, &t, false, c.call.context, fold)
        .with_empty(empty)
        .build();
    Ok(ResolvedAggregate::new(coerced, t, false, udf))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Sets the bits whose positions come.
    Positions,
    Or,
    And,
}

struct Bitmap {
    kind: Kind,
}

impl Bitmap {
    fn start_bytes(&self) -> Vec<u8> {
        vec![if self.kind == Kind::And { 0xff } else { 0 }; BYTES]
    }

    fn combine(&self, state: &mut [u8], other: &[u8]) {
        for (i, byte) in state.iter_mut().enumerate() {
            // A short bitmap ends in zeros.
            let other = other.get(i).copied().unwrap_or(0);
            *byte = if self.kind == Kind::And { *byte & other } else { *byte | other };
        }
    }

    fn combine_all(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Vec<u8>],
    ) -> Result<()> {
        let bitmaps = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if bitmaps.is_valid(row) {
                self.combine(&mut states[group], bitmaps.value(row));
            }
        }
        Ok(())
    }
}

impl Fold for Bitmap {
    type State = Vec<u8>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Vec<u8> {
        self.start_bytes()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Vec<u8>],
    ) -> Result<()> {
        if self.kind != Kind::Positions {
            return self.combine_all(columns, rows, states);
        }
        let positions = primitive::<Int64Type>(columns, 0)?;
        for (row, group) in rows {
            if positions.is_null(row) {
                continue;
            }
            let position = positions.value(row);
            if !(0..BITS).contains(&position) {
                return Err(Error::new("INVALID_BITMAP_POSITION")
                    .param("bitPosition", position)
                    .param("bitmapNumBytes", BYTES)
                    .param("bitmapNumBits", BITS)
                    .exception("ArrayIndexOutOfBoundsException")
                    .message(format!("The bit {position} is out of bounds: a bitmap has {BITS} bits.")));
            }
            states[group][position as usize / 8] |= 1 << (position % 8);
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("bitmap", DataType::Binary)]
    }

    fn save(&self, states: &[Vec<u8>]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(states)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Vec<u8>],
    ) -> Result<()> {
        self.combine_all(columns, rows, states)
    }

    fn finish(&self, states: &[Vec<u8>]) -> Result<ArrayRef> {
        Ok(Arc::new(BinaryArray::from_iter_values(states)))
    }

    fn bytes(&self, state: &Vec<u8>) -> usize {
        state.capacity()
    }
}
