//! Spark's 64-bit hash of values (XXH64), by which `approx_count_distinct` tells values apart.

use std::hash::Hasher;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_spec::{Error, Result};
use twox_hash::XxHash64;

fn of_bytes(bytes: &[u8], seed: i64) -> i64 {
    let mut hasher = XxHash64::with_seed(seed as u64);
    hasher.write(bytes);
    hasher.finish() as i64
}

fn of_int(value: i32, seed: i64) -> i64 {
    of_bytes(&value.to_le_bytes(), seed)
}

fn of_long(value: i64, seed: i64) -> i64 {
    of_bytes(&value.to_le_bytes(), seed)
}

/// The hash of each value of an array, continuing from `seeds`; a NULL leaves its seed as it is.
pub(crate) fn xxhash64(array: &ArrayRef, seeds: &mut [i64]) -> Result<()> {
    /// Replaces the seeds of valid rows.
    fn each(array: &dyn Array, seeds: &mut [i64], hash: impl Fn(usize, i64) -> i64) {
        for (row, seed) in seeds.iter_mut().enumerate() {
            if array.is_valid(row) {
                *seed = hash(row, *seed);
            }
        }
    }
    match array.data_type() {
        ArrowType::Null => {}
        ArrowType::Boolean => {
            let a = array.as_boolean();
            each(a, seeds, |i, s| of_int(i32::from(a.value(i)), s));
        }
        ArrowType::Int8 => {
            let a = array.as_primitive::<Int8Type>();
            each(a, seeds, |i, s| of_int(a.value(i).into(), s));
        }
        ArrowType::Int16 => {
            let a = array.as_primitive::<Int16Type>();
            each(a, seeds, |i, s| of_int(a.value(i).into(), s));
        }
        ArrowType::Int32 => {
            let a = array.as_primitive::<Int32Type>();
            each(a, seeds, |i, s| of_int(a.value(i), s));
        }
        ArrowType::Date32 => {
            let a = array.as_primitive::<Date32Type>();
            each(a, seeds, |i, s| of_int(a.value(i), s));
        }
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            let a = array.as_primitive::<IntervalYearMonthType>();
            each(a, seeds, |i, s| of_int(a.value(i), s));
        }
        ArrowType::Int64 => {
            let a = array.as_primitive::<Int64Type>();
            each(a, seeds, |i, s| of_long(a.value(i), s));
        }
        ArrowType::Timestamp(..) => {
            let a = array.as_primitive::<TimestampMicrosecondType>();
            each(a, seeds, |i, s| of_long(a.value(i), s));
        }
        ArrowType::Duration(_) => {
            let a = array.as_primitive::<DurationMicrosecondType>();
            each(a, seeds, |i, s| of_long(a.value(i), s));
        }
        ArrowType::Time64(_) => {
            let a = array.as_primitive::<Time64NanosecondType>();
            each(a, seeds, |i, s| of_long(a.value(i), s));
        }
        ArrowType::Float32 => {
            let a = array.as_primitive::<Float32Type>();
            each(a, seeds, |i, s| of_int(float_bits(a.value(i)), s));
        }
        ArrowType::Float64 => {
            let a = array.as_primitive::<Float64Type>();
            each(a, seeds, |i, s| of_long(double_bits(a.value(i)), s));
        }
        ArrowType::Decimal128(precision, _) => {
            let a = array.as_primitive::<Decimal128Type>();
            if *precision <= 18 {
                each(a, seeds, |i, s| of_long(a.value(i) as i64, s));
            } else {
                each(a, seeds, |i, s| of_bytes(shortest(&a.value(i).to_be_bytes()), s));
            }
        }
        ArrowType::Utf8 => {
            let a = array.as_string::<i32>();
            each(a, seeds, |i, s| of_bytes(a.value(i).as_bytes(), s));
        }
        ArrowType::Binary => {
            let a = array.as_binary::<i32>();
            each(a, seeds, |i, s| of_bytes(a.value(i), s));
        }
        ArrowType::Interval(IntervalUnit::MonthDayNano) => {
            let a = array.as_primitive::<IntervalMonthDayNanoType>();
            each(a, seeds, |i, s| {
                let v = a.value(i);
                of_int(v.months, of_int(v.days, of_long(v.nanoseconds / 1000, s)))
            });
        }
        ArrowType::Struct(_) => {
            let a = array.as_struct();
            for column in a.columns() {
                let before = seeds.to_vec();
                xxhash64(column, seeds)?;
                for (row, seed) in seeds.iter_mut().enumerate() {
                    if a.is_null(row) {
                        *seed = before[row];
                    }
                }
            }
        }
        ArrowType::List(_) => {
            let a = array.as_list::<i32>();
            in_turn(array, a.value_offsets(), &[a.values()], seeds)?;
        }
        ArrowType::Map(..) => {
            let a = array.as_map();
            in_turn(array, a.value_offsets(), &[a.keys(), a.values()], seeds)?;
        }
        other => return Err(Error::internal(format!("values of {other} have no hash"))),
    }
    Ok(())
}

/// Hashes the elements of each row one after the other.
fn in_turn(array: &ArrayRef, offsets: &[i32], columns: &[&ArrayRef], seeds: &mut [i64]) -> Result<()> {
    let length =
        |row: usize| if array.is_valid(row) { (offsets[row + 1] - offsets[row]) as usize } else { 0 };
    let longest = (0..array.len()).map(length).max().unwrap_or(0);
    // The n-th elements of all rows at once.
    for n in 0..longest {
        let rows: Vec<usize> = (0..array.len()).filter(|row| length(*row) > n).collect();
        let places: arrow::array::UInt64Array =
            rows.iter().map(|row| Some((offsets[*row] as usize + n) as u64)).collect();
        let mut taken: Vec<i64> = rows.iter().map(|row| seeds[*row]).collect();
        for column in columns {
            let elements =
                arrow::compute::take(column, &places, None).map_err(boathouse_bridge::from_arrow)?;
            xxhash64(&elements, &mut taken)?;
        }
        for (row, hash) in rows.into_iter().zip(taken) {
            seeds[row] = hash;
        }
    }
    Ok(())
}

fn float_bits(v: f32) -> i32 {
    if v == 0.0 {
        0
    } else if v.is_nan() {
        0x7fc0_0000
    } else {
        v.to_bits() as i32
    }
}

fn double_bits(v: f64) -> i64 {
    if v == 0.0 {
        0
    } else if v.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        v.to_bits() as i64
    }
}

/// A number in two's complement, without bytes that only repeat its sign.
fn shortest(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [first, second, ..] = bytes {
        let redundant = (*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80);
        if !redundant {
            break;
        }
        bytes = &bytes[1..];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};

    use super::*;

    #[test]
    fn hashes_are_sparks() {
        // SELECT xxhash64('Spark', array(123), 2): 5602566077635097486 (Spark's own example)
        let mut seeds = [42];
        let array = arrow::array::ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(123)])]);
        xxhash64(&(Arc::new(StringArray::from(vec!["Spark"])) as ArrayRef), &mut seeds).expect("text");
        xxhash64(&(Arc::new(array) as ArrayRef), &mut seeds).expect("array");
        xxhash64(&(Arc::new(Int32Array::from(vec![2])) as ArrayRef), &mut seeds).expect("number");
        assert_eq!(seeds, [5_602_566_077_635_097_486]);
    }
}
