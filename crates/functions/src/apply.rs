//! Applying code to columns: operands that may be constants, and loops that build results without an allocation a row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, NullBufferBuilder, PrimitiveArray,
    StringArray, StringBuilder,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::ArrowPrimitiveType;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::logical_expr::ColumnarValue;

use crate::Inputs;

/// An argument: a column, or one value for all rows.
#[derive(Debug, Clone)]
pub struct Operand<A> {
    pub array: A,
    pub constant: bool,
}

impl<A: Array> Operand<A> {
    /// The place of a row's value in the array.
    pub fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.at(row))
    }
}

impl<T: ArrowPrimitiveType> Operand<PrimitiveArray<T>> {
    pub fn get(&self, row: usize) -> Option<T::Native> {
        let at = self.at(row);
        self.array.is_valid(at).then(|| self.array.value(at))
    }
}

impl Operand<BooleanArray> {
    pub fn get(&self, row: usize) -> Option<bool> {
        let at = self.at(row);
        self.array.is_valid(at).then(|| self.array.value(at))
    }
}

impl Operand<StringArray> {
    pub fn get(&self, row: usize) -> Option<&str> {
        let at = self.at(row);
        self.array.is_valid(at).then(|| self.array.value(at))
    }
}

impl Operand<BinaryArray> {
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let at = self.at(row);
        self.array.is_valid(at).then(|| self.array.value(at))
    }
}

impl Inputs<'_> {
    /// The argument as it came: a column, or a constant once.
    pub fn operand(&self, i: usize) -> Result<Operand<ArrayRef>> {
        Ok(match self.value(i)? {
            ColumnarValue::Array(array) => Operand { array: Arc::clone(array), constant: false },
            ColumnarValue::Scalar(s) => Operand { array: s.to_array_of_size(1).spark()?, constant: true },
        })
    }

    pub fn numbers<T: ArrowPrimitiveType>(&self, i: usize) -> Result<Operand<PrimitiveArray<T>>> {
        let Operand { array, constant } = self.operand(i)?;
        let array = array.as_primitive_opt::<T>().cloned().ok_or_else(|| unexpected(i, &array))?;
        Ok(Operand { array, constant })
    }

    pub fn text(&self, i: usize) -> Result<Operand<StringArray>> {
        let Operand { array, constant } = self.operand(i)?;
        let array = array.as_string_opt::<i32>().cloned().ok_or_else(|| unexpected(i, &array))?;
        Ok(Operand { array, constant })
    }

    /// A binary argument; a string is its bytes.
    pub fn bytes(&self, i: usize) -> Result<Operand<BinaryArray>> {
        let Operand { array, constant } = self.operand(i)?;
        if let Some(text) = array.as_string_opt::<i32>() {
            let (offsets, values, nulls) = text.clone().into_parts();
            return Ok(Operand { array: BinaryArray::new(offsets, values, nulls), constant });
        }
        let array = array.as_binary_opt::<i32>().cloned().ok_or_else(|| unexpected(i, &array))?;
        Ok(Operand { array, constant })
    }

    pub fn flags(&self, i: usize) -> Result<Operand<BooleanArray>> {
        let Operand { array, constant } = self.operand(i)?;
        let array = array.as_boolean_opt().cloned().ok_or_else(|| unexpected(i, &array))?;
        Ok(Operand { array, constant })
    }
}

fn unexpected(i: usize, array: &ArrayRef) -> Error {
    Error::internal(format!("argument {i} has the type {} at run time", array.data_type()))
}

/// A string for every row: `write` gives `None` for NULL.
pub fn text_rows(
    rows: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<Option<()>>,
) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(rows, rows * 8);
    let mut buffer = String::new();
    let mut total = 0usize;
    for row in 0..rows {
        buffer.clear();
        match write(row, &mut buffer)? {
            Some(()) => {
                total += buffer.len();
                check_size(total)?;
                out.append_value(&buffer);
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// A binary for every row.
pub fn byte_rows(
    rows: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<Option<()>>,
) -> Result<ArrayRef> {
    let mut out = BinaryBuilder::with_capacity(rows, rows * 8);
    let mut buffer = Vec::new();
    let mut total = 0usize;
    for row in 0..rows {
        buffer.clear();
        match write(row, &mut buffer)? {
            Some(()) => {
                total += buffer.len();
                check_size(total)?;
                out.append_value(&buffer);
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// A batch of strings or binaries holds at most 2 GB.
pub fn check_size(bytes: usize) -> Result<()> {
    if bytes <= i32::MAX as usize {
        return Ok(());
    }
    Err(Error::new("COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION")
        .param("numberOfElements", bytes)
        .param("maxRoundedArrayLength", i32::MAX)
        .param("functionName", "`string`")
        .param("parameter", "`bytes`")
        .message(
            "The strings of one batch of rows would exceed 2 GB. Make batches of fewer rows: set \
             spark.sql.parquet.columnarReaderBatchSize to 1000 or less (it is 8192 where it is not set).",
        ))
}

/// A number for every row.
pub fn number_rows<T: ArrowPrimitiveType>(
    rows: usize,
    f: impl FnMut(usize) -> Result<Option<T::Native>>,
) -> Result<PrimitiveArray<T>> {
    (0..rows).map(f).collect()
}

/// A boolean for every row.
pub fn flag_rows(rows: usize, f: impl FnMut(usize) -> Result<Option<bool>>) -> Result<ArrayRef> {
    Ok(Arc::new((0..rows).map(f).collect::<Result<BooleanArray>>()?))
}

/// Where both operands have a value; `None` where that is everywhere.
pub fn both_valid<A: Array, B: Array>(a: &Operand<A>, b: &Operand<B>, rows: usize) -> Option<NullBuffer> {
    let of = |array: &dyn Array, constant: bool| -> Option<NullBuffer> {
        match constant {
            true if array.is_null(0) => Some(NullBuffer::new_null(rows)),
            true => None,
            false => array.logical_nulls(),
        }
    };
    NullBuffer::union(of(&a.array, a.constant).as_ref(), of(&b.array, b.constant).as_ref())
}

/// Applies `f` to every pair of values, also to those under a NULL: it must not fail.
pub fn map2<A: ArrowPrimitiveType, B: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    a: &Operand<PrimitiveArray<A>>,
    b: &Operand<PrimitiveArray<B>>,
    rows: usize,
    f: impl Fn(A::Native, B::Native) -> O::Native,
) -> PrimitiveArray<O> {
    let nulls = both_valid(a, b, rows);
    let (x, y) = (a.array.values(), b.array.values());
    let values: Vec<O::Native> = match (a.constant, b.constant) {
        (false, false) => x.iter().zip(y.iter()).map(|(x, y)| f(*x, *y)).collect(),
        (false, true) => {
            let y = y[0];
            x.iter().map(|x| f(*x, y)).collect()
        }
        (true, false) => {
            let x = x[0];
            y.iter().map(|y| f(x, *y)).collect()
        }
        (true, true) => vec![f(x[0], y[0]); rows],
    };
    PrimitiveArray::new(values.into(), nulls)
}

/// Applies `f` to every pair of values: `None` is NULL.
pub fn map2_option<A: ArrowPrimitiveType, B: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    a: &Operand<PrimitiveArray<A>>,
    b: &Operand<PrimitiveArray<B>>,
    rows: usize,
    f: impl Fn(A::Native, B::Native) -> Option<O::Native>,
) -> PrimitiveArray<O> {
    (0..rows).map(|row| f(a.get(row)?, b.get(row)?)).collect()
}

/// Applies `f` to every pair of values.
pub fn map2_result<A: ArrowPrimitiveType, B: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    a: &Operand<PrimitiveArray<A>>,
    b: &Operand<PrimitiveArray<B>>,
    rows: usize,
    f: impl Fn(A::Native, B::Native) -> Result<Option<O::Native>>,
) -> Result<PrimitiveArray<O>> {
    let mut values = Vec::with_capacity(rows);
    let mut nulls = NullBufferBuilder::new(rows);
    for row in 0..rows {
        let value = match (a.get(row), b.get(row)) {
            (Some(x), Some(y)) => f(x, y)?,
            _ => None,
        };
        nulls.append(value.is_some());
        values.push(value.unwrap_or_default());
    }
    Ok(PrimitiveArray::new(values.into(), nulls.finish()))
}
