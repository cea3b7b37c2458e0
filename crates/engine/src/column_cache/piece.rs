//! A batch of a column as it is kept: whole, or its numbers in as few bytes as hold them.
//!
//! The integers, decimals and dates of a batch mostly lie close to each other: narrow, they are kept as distances from the
//! least. A decimal takes one to four bytes so, where it is sixteen wide. Several times as many columns find room; to widen
//! them takes half a nanosecond a value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{max, min};
use arrow::datatypes::{
    ArrowNativeType, DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

/// A batch of a column.
pub(super) enum Piece {
    Whole(ArrayRef),
    Narrow(Box<dyn Narrow>),
}

impl Piece {
    /// Narrow, where that takes less.
    pub fn narrow(array: &ArrayRef) -> Self {
        let narrow = narrow_of(array.data_type()).and_then(|narrow| narrow(array));
        narrow.map_or_else(|| Self::Whole(Arc::clone(array)), Self::Narrow)
    }

    pub fn may_become_narrow(&self) -> bool {
        matches!(self, Self::Whole(array) if narrow_of(array.data_type()).is_some())
    }

    pub fn array(&self) -> ArrayRef {
        match self {
            Self::Whole(array) => Arc::clone(array),
            Self::Narrow(narrow) => narrow.array(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Whole(array) => array.len(),
            Self::Narrow(narrow) => narrow.len(),
        }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Whole(array) => array.get_array_memory_size(),
            Self::Narrow(narrow) => narrow.bytes(),
        }
    }
}

/// Numbers that take less than their type.
pub(super) trait Narrow: Send + Sync {
    fn array(&self) -> ArrayRef;
    fn len(&self) -> usize;
    fn bytes(&self) -> usize;
}

type Narrowing = fn(&ArrayRef) -> Option<Box<dyn Narrow>>;

fn narrow_of(data_type: &DataType) -> Option<Narrowing> {
    Some(match data_type {
        DataType::Int16 => narrow::<Int16Type>,
        DataType::Int32 => narrow::<Int32Type>,
        DataType::Int64 => narrow::<Int64Type>,
        DataType::Date32 => narrow::<Date32Type>,
        DataType::Timestamp(TimeUnit::Microsecond, _) => narrow::<TimestampMicrosecondType>,
        DataType::Decimal128(..) => narrow::<Decimal128Type>,
        _ => return None,
    })
}

/// `None` where distances would take as much as the values.
fn narrow<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<Box<dyn Narrow>> {
    let array = array.as_primitive::<T>();
    let least = min(array).unwrap_or_default();
    let span = max(array).unwrap_or_default().sub_checked(least).ok()?.to_usize()? as u64;
    let width = size_of::<T::Native>();
    if span <= u64::from(u8::MAX) && width > size_of::<u8>() {
        Some(Box::new(Distances::<T, u8>::of(array, least)))
    } else if span <= u64::from(u16::MAX) && width > size_of::<u16>() {
        Some(Box::new(Distances::<T, u16>::of(array, least)))
    } else if span <= u64::from(u32::MAX) && width > size_of::<u32>() {
        Some(Box::new(Distances::<T, u32>::of(array, least)))
    } else if width > size_of::<u64>() {
        Some(Box::new(Distances::<T, u64>::of(array, least)))
    } else {
        None
    }
}

/// Numbers as their distances from the least of them.
struct Distances<T: ArrowPrimitiveType, D> {
    data_type: DataType,
    least: T::Native,
    /// Those of NULLs mean nothing.
    distances: Box<[D]>,
    nulls: Option<NullBuffer>,
}

impl<T: ArrowPrimitiveType, D: ArrowNativeType> Distances<T, D> {
    fn of(array: &PrimitiveArray<T>, least: T::Native) -> Self {
        let distance = |value: &T::Native| D::usize_as(value.sub_wrapping(least).as_usize());
        Self {
            data_type: array.data_type().clone(),
            least,
            distances: array.values().iter().map(distance).collect(),
            nulls: array.nulls().cloned(),
        }
    }
}

impl<T: ArrowPrimitiveType, D: ArrowNativeType> Narrow for Distances<T, D> {
    fn array(&self) -> ArrayRef {
        let value = |distance: &D| self.least.add_wrapping(T::Native::usize_as(distance.as_usize()));
        let values: Vec<T::Native> = self.distances.iter().map(value).collect();
        let array = PrimitiveArray::<T>::new(values.into(), self.nulls.clone());
        Arc::new(array.with_data_type(self.data_type.clone()))
    }

    fn len(&self) -> usize {
        self.distances.len()
    }

    fn bytes(&self) -> usize {
        let nulls = self.nulls.as_ref().map_or(0, |nulls| nulls.buffer().capacity());
        size_of::<Self>() + size_of_val(self.distances.as_ref()) + nulls
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Decimal128Array, Int16Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow::compute::concat;

    use super::*;

    /// What each of these values takes as it is kept, in bytes, when there are many. They come back as they were.
    fn width(values: impl Array + 'static) -> usize {
        let array = concat(&vec![&values as &dyn Array; 1000]).unwrap();
        let piece = Piece::narrow(&array);
        let back = piece.array();
        assert_eq!(&back, &array);
        assert_eq!(back.data_type(), array.data_type());
        assert_eq!(piece.len(), array.len());
        piece.bytes() / array.len()
    }

    #[test]
    fn numbers_take_what_their_distances_need() {
        assert_eq!(width(Int64Array::from(vec![i64::MIN, i64::MIN + 255])), 1);
        assert_eq!(width(Int64Array::from(vec![-1, 255])), 2);
        assert_eq!(width(Int64Array::from(vec![-32768, 32767])), 2);
        assert_eq!(width(Int64Array::from(vec![-32768, 32768])), 4);
        assert_eq!(width(Int64Array::from(vec![0, i64::from(u32::MAX)])), 4);
        assert_eq!(width(Int64Array::from(vec![0, i64::from(u32::MAX) + 1])), 8);
        assert_eq!(width(Int64Array::from(vec![i64::MIN, i64::MAX])), 8);
        assert_eq!(width(Int32Array::from(vec![i32::MIN, i32::MAX])), 4);
        assert_eq!(width(Int32Array::from(vec![i32::MAX - 3, i32::MAX])), 1);
        assert_eq!(width(Int16Array::from(vec![-100, 100])), 1);
        assert_eq!(width(Int16Array::from(vec![i16::MIN, i16::MAX])), 2);
        assert_eq!(width(Date32Array::from(vec![8035, 10591])), 2);
    }

    #[test]
    fn types_come_back() {
        let decimals =
            |values: Vec<i128>| Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap();
        assert_eq!(width(decimals(vec![-5, 250])), 1);
        assert_eq!(width(decimals(vec![i128::MAX - 70_000, i128::MAX])), 4);
        assert_eq!(width(decimals(vec![0, i128::from(u32::MAX) + 1])), 8);
        assert_eq!(width(decimals(vec![0, i128::from(u64::MAX) + 1])), 16);
        assert_eq!(width(decimals(vec![i128::MIN, i128::MAX])), 16);
        let hour = vec![1_700_000_000_000_000, 1_700_003_600_000_000];
        assert_eq!(width(TimestampMicrosecondArray::from(hour).with_timezone("UTC")), 4);
        assert_eq!(width(StringArray::from(vec!["a", "b"])), 5);
    }

    #[test]
    fn nulls_do_not_count() {
        assert_eq!(width(Int64Array::from(vec![Some(5), None, Some(7)])), 1);
        assert_eq!(width(Int64Array::from(vec![None::<i64>, None])), 1);
        // Whatever lies under a NULL.
        let nulls = NullBuffer::from(vec![true, false, true]);
        assert_eq!(width(Int64Array::new(vec![5, i64::MAX, 7].into(), Some(nulls))), 1);
        let slice = Int64Array::from(vec![Some(i64::MAX), Some(1), None, Some(2)]).slice(1, 3);
        assert_eq!(width(slice), 1);
        let empty: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
        assert_eq!(&Piece::narrow(&empty).array(), &empty);
    }
}
