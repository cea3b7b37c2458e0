//! Reading and building Arrow lists and maps.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt64Array, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType as ArrowType, FieldRef};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};

use crate::Inputs;
use crate::scalar::conform;

/// An argument as a list array. (A NULL of no type is a list of NULLs.)
pub(crate) fn lists(inputs: &Inputs, i: usize) -> Result<ListArray> {
    let array = inputs.array(i)?;
    match array.as_list_opt::<i32>() {
        Some(list) => Ok(list.clone()),
        None => Err(Error::internal(format!("argument {i} is {} and no list", array.data_type()))),
    }
}

/// The type of an array's elements.
pub(crate) fn element_of(array: &DataType) -> Result<DataType> {
    match array {
        DataType::Array { element, .. } => Ok(element.as_ref().clone()),
        other => Err(Error::internal(format!("{} is no array", other.sql()))),
    }
}

/// An argument as a map array.
pub(crate) fn maps(inputs: &Inputs, i: usize) -> Result<MapArray> {
    let array = inputs.array(i)?;
    match array.as_map_opt() {
        Some(map) => Ok(map.clone()),
        None => Err(Error::internal(format!("argument {i} is {} and no map", array.data_type()))),
    }
}

/// Where a row's elements are among the values; `None` for NULL.
pub(crate) fn bounds(list: &ListArray, row: usize) -> Option<Range<usize>> {
    if list.is_null(row) {
        return None;
    }
    let offsets = list.value_offsets();
    Some(offsets[row] as usize..offsets[row + 1] as usize)
}

/// Where a row's entries are among a map's; `None` for NULL.
pub(crate) fn map_bounds(map: &MapArray, row: usize) -> Option<Range<usize>> {
    if map.is_null(row) {
        return None;
    }
    let offsets = map.value_offsets();
    Some(offsets[row] as usize..offsets[row + 1] as usize)
}

/// The element field of an array type that a function returns.
#[derive(Clone, Debug)]
pub(crate) struct ListItem(FieldRef);

impl ListItem {
    /// Of a Spark array type.
    pub fn of(t: &DataType) -> Result<Self> {
        match arrow_type(t) {
            ArrowType::List(field) => Ok(Self(field)),
            other => Err(Error::internal(format!("{other} is no list"))),
        }
    }

    pub fn data_type(&self) -> &ArrowType {
        self.0.data_type()
    }

    /// A list array of these values.
    pub fn list(
        &self,
        offsets: OffsetBuffer<i32>,
        values: ArrayRef,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        let values = conform(values, self.0.data_type())?;
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.0), offsets, values, nulls).spark()?))
    }
}

/// A map array of the given Spark type.
pub(crate) fn map_of(
    t: &DataType,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let ArrowType::Map(entries_field, sorted) = arrow_type(t) else {
        return Err(Error::internal(format!("{} is no map", t.sql())));
    };
    let ArrowType::Struct(fields) = entries_field.data_type() else {
        return Err(Error::internal("the entries of a map are structs"));
    };
    let columns = vec![conform(keys, fields[0].data_type())?, conform(values, fields[1].data_type())?];
    let entries = StructArray::try_new(fields.clone(), columns, None).spark()?;
    Ok(Arc::new(MapArray::try_new(entries_field, offsets, entries, nulls, sorted).spark()?))
}

/// Bytes that the elements of all rows of a batch may take together, as strings may.
const MOST_BYTES: usize = i32::MAX as usize;

/// Fails where so many elements of so many bytes each do not fit a batch: asked before their memory is taken.
pub(super) fn check_elements(elements: usize, bytes_each: usize) -> Result<()> {
    let most = MOST_BYTES / bytes_each.max(1);
    if elements <= most {
        return Ok(());
    }
    Err(Error::new("COLLECTION_SIZE_LIMIT_EXCEEDED.INITIALIZE")
        .param("numberOfElements", elements)
        .param("maxRoundedArrayLength", most)
        .message(format!(
            "The arrays of one batch of rows would have {elements} elements or more together; {most} are the \
             most. Make shorter arrays, or batches of fewer rows: set spark.sql.parquet.columnarReaderBatchSize \
             to 1000 or less (it is 8192 where it is not set)."
        )))
}

/// Builds lists of elements picked from source arrays.
#[derive(Default)]
pub(crate) struct Picker {
    /// The source and the place in it.
    picks: Vec<(usize, usize)>,
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Picker {
    pub fn with_capacity(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { picks: Vec::new(), ends, valid: Vec::with_capacity(rows) }
    }

    /// Appends an element of a source to the row under way.
    pub fn pick(&mut self, source: usize, place: usize) {
        self.picks.push((source, place));
    }

    pub fn pick_all(&mut self, source: usize, places: Range<usize>) {
        self.picks.extend(places.map(|p| (source, p)));
    }

    /// Fails where so many more elements would not fit a batch.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        check_elements(self.picks.len().saturating_add(more), size_of::<(usize, usize)>())?;
        self.picks.try_reserve(more).map_err(|_| too_many_elements())
    }

    /// Ends a row.
    pub fn row(&mut self) -> Result<()> {
        self.end(true)
    }

    /// The row is NULL.
    pub fn null_row(&mut self) -> Result<()> {
        self.end(false)
    }

    fn end(&mut self, valid: bool) -> Result<()> {
        self.ends.push(i32::try_from(self.picks.len()).map_err(|_| too_many_elements())?);
        self.valid.push(valid);
        Ok(())
    }

    /// The lists, and NULLs where rows are NULL.
    pub fn finish(self, sources: &[&ArrayRef], item: &ListItem) -> Result<ArrayRef> {
        let (offsets, nulls) = (self.offsets(), self.nulls());
        item.list(offsets, self.values(sources)?, nulls)
    }

    pub fn offsets(&self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(self.ends.clone()))
    }

    pub fn nulls(&self) -> Option<NullBuffer> {
        self.valid.iter().any(|v| !v).then(|| NullBuffer::from(self.valid.clone()))
    }

    /// The picked elements, all rows' one after the other.
    pub fn values(&self, sources: &[&ArrayRef]) -> Result<ArrayRef> {
        match sources {
            [] => Err(Error::internal("elements without a source")),
            [one] => {
                let places: UInt64Array =
                    self.picks.iter().map(|(_, p)| *p as u64).collect::<Vec<_>>().into();
                take(one, &places, None).spark()
            }
            [first, rest @ ..] => {
                if *first.data_type() == ArrowType::Null {
                    return Ok(new_null_array(&ArrowType::Null, self.picks.len()));
                }
                let mut all = vec![Arc::clone(first)];
                for source in rest {
                    all.push(conform(Arc::clone(source), first.data_type())?);
                }
                interleave(&all.iter().map(|a| a.as_ref()).collect::<Vec<_>>(), &self.picks).spark()
            }
        }
    }
}

fn too_many_elements() -> Error {
    Error::new("COLLECTION_SIZE_LIMIT_EXCEEDED.INITIALIZE")
        .param("numberOfElements", "more than 2147483647")
        .param("maxRoundedArrayLength", MOST_ARRAY_LENGTH)
        .message("The arrays of a batch of rows have more than 2147483647 elements together.")
}

/// The longest array of Spark.
pub(crate) const MOST_ARRAY_LENGTH: i64 = 2_147_483_632;

/// Fails where a function would build an array longer than Spark's longest.
pub(super) fn check_length(length: i64, function: &str, parameter: Option<&str>) -> Result<()> {
    if length <= MOST_ARRAY_LENGTH {
        return Ok(());
    }
    let class = if parameter.is_some() { "PARAMETER" } else { "FUNCTION" };
    let mut error = Error::new(format!("COLLECTION_SIZE_LIMIT_EXCEEDED.{class}"))
        .param("numberOfElements", length)
        .param("maxRoundedArrayLength", MOST_ARRAY_LENGTH)
        .param("functionName", format!("`{function}`"));
    if let Some(parameter) = parameter {
        error = error.param("parameter", format!("`{parameter}`"));
    }
    Err(error.message(format!(
        "`{function}` would make an array of {length} elements; {MOST_ARRAY_LENGTH} are the most."
    )))
}

/// Row `row` of an array, for places where one value stands for all rows.
pub(crate) fn is_null(array: &ArrayRef, row: usize) -> bool {
    *array.data_type() == ArrowType::Null || array.is_null(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_elements_are_refused_before_their_memory_is_taken() {
        let mut picker = Picker::with_capacity(1);
        assert!(picker.reserve(1000).is_ok());
        let error = picker.reserve(2_000_000_000).unwrap_err();
        assert_eq!(error.class(), "COLLECTION_SIZE_LIMIT_EXCEEDED.INITIALIZE");
        assert!(picker.picks.capacity() < 1_000_000);
        assert!(check_elements(i32::MAX as usize / 8, 8).is_ok());
        assert!(check_elements(i32::MAX as usize / 8 + 1, 8).is_err());
    }
}
