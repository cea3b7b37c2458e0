//! `collect_set`: the distinct values of a group. Their order is that of Spark's hash set, where the hash of a type is
//! known, so that results agree; else the order they came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type,
};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;
use indexmap::IndexSet;

use super::fold::{Fold, column, unexpected};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::Registry;
use crate::comparison::{Comparison, has_collation};
use crate::scalar::conform;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["collect_set"], resolve);
}

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    if has_map(&t) || has_collation(&t) {
        return Err(Error::new("DATATYPE_MISMATCH.UNSUPPORTED_INPUT_TYPE")
            .param("functionName", "`collect_set`")
            .param("dataType", "\"MAP\" or \"COLLATED STRING\"")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .message(format!(
                "Cannot resolve \"{}\": `collect_set` takes no maps and no collated strings.",
                call.sql()
            )));
    }
    let returned = DataType::array(t.clone(), false);
    let (ArrowType::List(item), element) = (arrow_type(&returned), arrow_type(&t)) else {
        return Err(Error::internal("an array is a list"));
    };
    let empty = ListArray::new(
        Arc::clone(&item),
        OffsetBuffer::new_zeroed(1),
        arrow::array::new_empty_array(&element),
        None,
    );
    let fold = Set { item, returned: returned.clone(), comparison: Comparison::new(&[element])? };
    let udf = SparkAggregate::of_fold(
        "collect_set",
        std::slice::from_ref(&t),
        &returned,
        false,
        call.context,
        fold,
    )
    .with_empty(ScalarValue::List(Arc::new(empty)));
    Ok(ResolvedAggregate::new(vec![t], returned, false, udf.build()))
}

fn has_map(t: &DataType) -> bool {
    match t {
        DataType::Map { .. } => true,
        DataType::Array { element, .. } => has_map(element),
        DataType::Struct(s) => s.fields.iter().any(|f| has_map(&f.data_type)),
        _ => false,
    }
}

struct Set {
    item: FieldRef,
    returned: DataType,
    comparison: Comparison,
}

impl Set {
    fn lists(&self, states: &[IndexSet<Box<[u8]>>], ordered: bool) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(states.iter().map(IndexSet::len));
        let values = if states.iter().all(IndexSet::is_empty) {
            arrow::array::new_empty_array(self.item.data_type())
        } else {
            let keys = states.iter().flatten().map(AsRef::as_ref);
            let mut columns = self.comparison.values_of_bytes(keys)?;
            conform(columns.swap_remove(0), self.item.data_type())?
        };
        let values = if ordered { in_hash_order(&values, &offsets)? } else { values };
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.item), offsets, values, None).spark()?))
    }
}

impl Fold for Set {
    type State = IndexSet<Box<[u8]>>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Self::State {
        IndexSet::new()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let values = column(columns, 0)?;
        let keys = self.comparison.keys(std::slice::from_ref(values))?;
        let nulls = values.logical_nulls();
        for (row, group) in rows {
            if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                let key = keys.row(row);
                if !states[group].contains(key.as_ref()) {
                    states[group].insert(key.as_ref().into());
                }
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("values", self.returned.clone())]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.lists(states, false)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let array = column(columns, 0)?;
        let lists = array.as_list_opt::<i32>().ok_or_else(|| unexpected(0, array))?;
        let keys = self.comparison.keys(std::slice::from_ref(lists.values()))?;
        let offsets = lists.value_offsets();
        for (row, group) in rows {
            for i in offsets[row] as usize..offsets[row + 1] as usize {
                let key = keys.row(i);
                if lists.is_valid(row) && !states[group].contains(key.as_ref()) {
                    states[group].insert(key.as_ref().into());
                }
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        self.lists(states, true)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.capacity() * 32 + state.iter().map(|k| k.len()).sum::<usize>()
    }
}

/// Puts each list's values in the order in which Scala's mutable hash set gives them.
fn in_hash_order(values: &ArrayRef, offsets: &OffsetBuffer<i32>) -> Result<ArrayRef> {
    in_order_of(values, offsets, hashes(values))
}

/// The same where floating-point numbers are kept as such, not as their bits.
pub(super) fn in_number_hash_order(values: &ArrayRef, offsets: &OffsetBuffer<i32>) -> Result<ArrayRef> {
    let hashes = match values.data_type() {
        ArrowType::Float32 => {
            let values = values.as_primitive::<Float32Type>().values();
            Some(values.iter().map(|v| hash_double(f64::from(*v))).collect())
        }
        ArrowType::Float64 => {
            Some(values.as_primitive::<Float64Type>().values().iter().map(|v| hash_double(*v)).collect())
        }
        _ => hashes(values),
    };
    in_order_of(values, offsets, hashes)
}

fn in_order_of(values: &ArrayRef, offsets: &OffsetBuffer<i32>, hashes: Option<Vec<i32>>) -> Result<ArrayRef> {
    let Some(hashes) = hashes else {
        return Ok(Arc::clone(values));
    };
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    for bounds in offsets.windows(2) {
        let list = &mut order[bounds[0] as usize..bounds[1] as usize];
        // The table doubles from 16 whenever it gets three quarters full.
        let mut table = 16usize;
        while list.len() >= table * 3 / 4 {
            table *= 2;
        }
        list.sort_by_key(|i| {
            let hash = if values.is_null(*i as usize) { 0 } else { hashes[*i as usize] };
            let improved = hash ^ ((hash as u32) >> 16) as i32;
            (improved as u32 as usize & (table - 1), improved)
        });
    }
    take(values, &arrow::array::PrimitiveArray::<UInt32Type>::from(order), None).spark()
}

/// The hashes of boxed values in Scala, where a number equals the same number of another type.
fn hashes(values: &ArrayRef) -> Option<Vec<i32>> {
    Some(match values.data_type() {
        ArrowType::Decimal128(_, scale) => {
            let one = 10i128.pow(u32::try_from(*scale).ok()?);
            let hash = |v: &i128| match i64::try_from(v / one) {
                Ok(whole) if v % one == 0 => hash_long(whole),
                _ => hash_double(*v as f64 / one as f64),
            };
            values.as_primitive::<Decimal128Type>().values().iter().map(hash).collect()
        }
        ArrowType::Boolean => {
            values.as_boolean().values().iter().map(|b| if b { 1231 } else { 1237 }).collect()
        }
        ArrowType::Int8 => values.as_primitive::<Int8Type>().values().iter().map(|v| i32::from(*v)).collect(),
        ArrowType::Int16 => {
            values.as_primitive::<Int16Type>().values().iter().map(|v| i32::from(*v)).collect()
        }
        ArrowType::Int32 => values.as_primitive::<Int32Type>().values().to_vec(),
        ArrowType::Date32 => values.as_primitive::<Date32Type>().values().to_vec(),
        ArrowType::Int64 => {
            values.as_primitive::<Int64Type>().values().iter().map(|v| hash_long(*v)).collect()
        }
        ArrowType::Timestamp(..) => {
            values.as_primitive::<TimestampMicrosecondType>().values().iter().map(|v| hash_long(*v)).collect()
        }
        ArrowType::Float32 => {
            // Floats are kept as their bits.
            values.as_primitive::<Float32Type>().values().iter().map(|v| v.to_bits() as i32).collect()
        }
        ArrowType::Float64 => values
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|v| hash_long(v.to_bits() as i64))
            .collect(),
        ArrowType::Utf8 => {
            let strings = values.as_string::<i32>();
            (0..strings.len()).map(|i| murmur3(strings.value(i).as_bytes(), 42)).collect()
        }
        _ => return None,
    })
}

/// The hash codes of boxed values in Java.
pub(super) fn java_hashes(values: &ArrayRef) -> Option<Vec<i32>> {
    Some(match values.data_type() {
        ArrowType::Int64 => {
            values.as_primitive::<Int64Type>().values().iter().map(|v| hash_bits(*v)).collect()
        }
        ArrowType::Timestamp(..) => {
            values.as_primitive::<TimestampMicrosecondType>().values().iter().map(|v| hash_bits(*v)).collect()
        }
        ArrowType::Float32 => {
            values.as_primitive::<Float32Type>().values().iter().map(|v| v.to_bits() as i32).collect()
        }
        ArrowType::Float64 => values
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|v| hash_bits(v.to_bits() as i64))
            .collect(),
        ArrowType::Decimal128(..) => return None,
        _ => return hashes(values),
    })
}

fn hash_long(v: i64) -> i32 {
    i32::try_from(v).unwrap_or((v ^ (v as u64 >> 32) as i64) as i32)
}

fn hash_double(v: f64) -> i32 {
    if f64::from(v as i32) == v {
        v as i32
    } else if v as i64 as f64 == v {
        hash_bits(v as i64)
    } else if f64::from(v as f32) == v {
        (v as f32).to_bits() as i32
    } else {
        hash_bits(v.to_bits() as i64)
    }
}

fn hash_bits(v: i64) -> i32 {
    (v ^ (v as u64 >> 32) as i64) as i32
}

/// Murmur3 (x86, 32 bits) as Spark hashes strings: the last bytes are mixed in one by one.
pub(crate) fn murmur3(bytes: &[u8], seed: i32) -> i32 {
    fn mix_k(k: u32) -> u32 {
        k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
    }
    fn mix_h(h: u32, k: u32) -> u32 {
        (h ^ k).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    }
    let mut h = seed as u32;
    let words = bytes.chunks_exact(4);
    let tail = words.remainder();
    for word in words {
        h = mix_h(h, mix_k(u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
    }
    for byte in tail {
        h = mix_h(h, mix_k(*byte as i8 as i32 as u32));
    }
    h ^= bytes.len() as u32;
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    h as i32
}
