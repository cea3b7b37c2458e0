//! Elements of arrays, values of maps, fields of structs: `element_at`, `try_element_at`, `get`, and what `a[i]`, `m[k]`
//! and `s.f` become (`getarrayitem`, `getmapvalue`, `getstructfield`, `getarraystructfields`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructType};
use datafusion::scalar::ScalarValue;

use super::lists::{ListItem, bounds, lists, map_bounds, maps};
use super::membership::same_collation;
use crate::coercion::{Want, implicit_cast, tightest_common_type};
use crate::comparison::Comparison;
use crate::mismatch::{check_orderable, whole_number, with_sql};
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["getarrayitem"], get_array_item);
    r.scalar(&["getmapvalue"], get_map_value);
    r.scalar(&["getstructfield"], get_struct_field);
    r.scalar(&["getarraystructfields"], get_array_struct_fields);
    r.scalar(&["get"], get);
    r.scalar(&["element_at"], |c| element_at(c, false));
    r.scalar(&["try_element_at"], |c| element_at(c, true));
}

/// What an index outside the array gives.
#[derive(Clone, Copy, PartialEq)]
enum Outside {
    Null,
    /// INVALID_ARRAY_INDEX, of `a[i]`.
    Index,
    /// INVALID_ARRAY_INDEX_IN_ELEMENT_AT
    ElementAt,
}

impl Outside {
    fn error(self, index: i64, size: usize) -> Error {
        let (class, instead) = match self {
            Self::ElementAt => ("INVALID_ARRAY_INDEX_IN_ELEMENT_AT", "try_element_at"),
            _ => ("INVALID_ARRAY_INDEX", "get"),
        };
        Error::new(class).param("indexValue", index).param("arraySize", size).message(format!(
            "The index {index} is out of bounds: the array has {size} elements. Use `{instead}` to get NULL instead."
        ))
    }
}

/// `array[index]`, from 0. The analyzer calls this for subscripts of arrays.
fn get_array_item(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let DataType::Array { element, .. } = &call.args[0].data_type else {
        return Err(call.unexpected_input(0, "\"ARRAY\""));
    };
    let index = &call.args[1].data_type;
    if !index.is_integral() && *index != DataType::Null {
        let sql = format!("{}[{}]", call.args[0].sql, call.args[1].sql);
        return Err(with_sql(call.unexpected_input(1, "\"INTEGRAL\""), &sql));
    }
    let coerced = vec![call.args[0].data_type.clone(), DataType::Long];
    let outside = if call.context.ansi { Outside::Index } else { Outside::Null };
    let nullable = element_nullable(call, 0, call.context.ansi);
    let may_be_null = nullable || call.args[1].nullable;
    let resolved = Resolved::new(coerced, element.as_ref().clone(), may_be_null, move |inputs| {
        let list = lists(inputs, 0)?;
        items(&list, &inputs.array(1)?, false, outside)
    });
    Ok(if nullable { resolved } else { resolved.said_not_null() })
}

fn get(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let DataType::Array { element, .. } = &call.args[0].data_type else {
        return Err(call.unexpected_input(0, "\"ARRAY\""));
    };
    let coerced = call.want(&[Want::AnyArray, Want::INT])?;
    let nullable = element_nullable(call, 0, false) || call.args[1].data_type.is_string();
    Ok(Resolved::new(coerced, element.as_ref().clone(), nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        items(&list, &inputs.array(1)?, false, Outside::Null)
    }))
}

/// Spark's rule: a constant index into `array(..)` has that element's nullability, else it may be NULL; any other
/// index fails or finds an element under ANSI.
fn element_nullable(call: &Call, offset: i64, fails_outside: bool) -> bool {
    let [array, index] = call.args else { return true };
    let contains_null = matches!(&array.data_type, DataType::Array { contains_null: true, .. });
    // The place of an index among so many elements.
    let place = |index: i64, count: usize| {
        let from_end = index < 0 && offset == 1;
        let place = if from_end { index.saturating_add(count as i64) } else { index.saturating_sub(offset) };
        usize::try_from(place).ok().filter(|place| *place < count)
    };
    // An index of 0 fails whatever the mode.
    let outside = |index: i64| !(fails_outside || index == 0 && offset == 1);
    match (whole_number(index), &array.constant) {
        (Some(Some(index)), Some(ScalarValue::List(list)))
            if list.is_valid(0) && array.sql.starts_with("array(") =>
        {
            let elements = list.value(0);
            let nulls = elements.logical_nulls();
            // Elements that can be NULL and are not: no `array(..)`, but one that was cast.
            if contains_null && nulls.as_ref().is_none_or(|n| n.null_count() == 0) {
                return true;
            }
            match place(index, elements.len()) {
                Some(place) => nulls.is_some_and(|n| n.is_null(place)),
                None => outside(index),
            }
        }
        (Some(Some(index)), None) if array.elements.is_some() => {
            match array.elements.and_then(|count| place(index, count)) {
                Some(_) => contains_null,
                None => outside(index),
            }
        }
        (Some(Some(_)), _) => true,
        // Spark says so of a NULL as index, too.
        (Some(None), _) => offset == 1 || !fails_outside || contains_null || array.nullable,
        (None, _) => !fails_outside || contains_null || array.nullable,
    }
}

/// The elements at the given places; from 1, or from the end where negative, with `from_one`.
fn items(list: &ListArray, index: &ArrayRef, from_one: bool, outside: Outside) -> Result<ArrayRef> {
    let numbers = arrow::compute::cast(index, &arrow::datatypes::DataType::Int64).spark()?;
    let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>();
    let mut places = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        let place = match bounds(list, row) {
            Some(range) if numbers.is_valid(row) => {
                let index = numbers.value(row);
                if from_one && index == 0 {
                    return Err(zero_index());
                }
                let place = match (from_one, index < 0) {
                    (true, true) => index.saturating_add(range.len() as i64),
                    (true, false) => index - 1,
                    (false, _) => index,
                };
                match usize::try_from(place).ok().filter(|p| *p < range.len()) {
                    Some(place) => Some((range.start + place) as u64),
                    None if outside == Outside::Null => None,
                    None => return Err(outside.error(index, range.len())),
                }
            }
            _ => None,
        };
        places.push(place);
    }
    take(list.values(), &UInt64Array::from(places), None).spark()
}

pub(super) fn zero_index() -> Error {
    Error::new("INVALID_INDEX_OF_ZERO")
        .message("The index 0 is invalid: the first element has the index 1, the last the index -1.")
}

/// `map[key]`. The analyzer calls this for subscripts of maps.
fn get_map_value(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let DataType::Map { key, value, .. } = &call.args[0].data_type else {
        return Err(call.unexpected_input(0, "\"MAP\""));
    };
    let given = &call.args[1].data_type;
    check_orderable(call, key)?;
    let coerced =
        implicit_cast(given, &Want::Exact(key.as_ref().clone()), call.context).ok_or_else(|| {
            let sql = format!("{}[{}]", call.args[0].sql, call.args[1].sql);
            with_sql(call.unexpected_input(1, &format!("\"{}\"", key.sql())), &sql)
        })?;
    let key = key.as_ref().clone();
    let coerced = vec![call.args[0].data_type.clone(), coerced];
    Ok(Resolved::new(coerced, value.as_ref().clone(), true, move |inputs| {
        map_values(&maps(inputs, 0)?, &inputs.array(1)?, &key)
    }))
}

/// The value of a key in each map, NULL where there is none.
fn map_values(map: &arrow::array::MapArray, wanted: &ArrayRef, key: &DataType) -> Result<ArrayRef> {
    let (keys, wanted_keys) = Comparison::of_both_values(map.keys(), wanted, key)?;
    let nulls = wanted.logical_nulls();
    let places: Int32Array = (0..map.len())
        .map(|row| {
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                return None;
            }
            let key = wanted_keys.row(row);
            map_bounds(map, row)?.find(|i| keys.row(*i) == key).map(|i| i as i32)
        })
        .collect();
    take(map.values(), &places, None).spark()
}

fn element_at(call: &Call, is_try: bool) -> Result<Resolved> {
    call.arity(2..=2)?;
    let (collection, given) = (&call.args[0], &call.args[1]);
    match &collection.data_type {
        DataType::Array { element, .. } => {
            // Only what an INT holds.
            if !matches!(given.data_type, DataType::Byte | DataType::Short | DataType::Integer) {
                return Err(call.unexpected_input(1, "\"INT\""));
            }
            let coerced = vec![collection.data_type.clone(), DataType::Integer];
            let fails = call.context.ansi && !is_try;
            let outside = if fails { Outside::ElementAt } else { Outside::Null };
            let nullable = element_nullable(call, 1, fails);
            let may_be_null = nullable || given.nullable;
            let resolved = Resolved::new(coerced, element.as_ref().clone(), may_be_null, move |inputs| {
                items(&lists(inputs, 0)?, &inputs.array(1)?, true, outside)
            });
            Ok(if nullable { resolved } else { resolved.said_not_null() })
        }
        DataType::Map { key, value, value_contains_null } => {
            let common = tightest_common_type(key, &given.data_type, call.context)
                .filter(|_| given.data_type == DataType::Null || same_collation(key, &given.data_type))
                // One of both, and no third that holds the values of both, as of decimals.
                .filter(|t| t.same_type(key) || t.same_type(&given.data_type))
                .ok_or_else(|| map_mismatch(call))?;
            check_orderable(call, key)?;
            let map = match common.same_type(key) {
                true => collection.data_type.clone(),
                false => DataType::Map {
                    key: Box::new(common.clone()),
                    value: value.clone(),
                    value_contains_null: *value_contains_null,
                },
            };
            let coerced = vec![map, common.clone()];
            Ok(Resolved::new(coerced, value.as_ref().clone(), true, move |inputs| {
                map_values(&maps(inputs, 0)?, &inputs.array(1)?, &common)
            }))
        }
        _ => Err(call.unexpected_input(0, "(\"ARRAY\" or \"MAP\")")),
    }
}

/// DATATYPE_MISMATCH.MAP_FUNCTION_DIFF_TYPES
pub(super) fn map_mismatch(call: &Call) -> Error {
    super::membership::element_mismatch(call, "MAP_FUNCTION_DIFF_TYPES", "MAP", 1)
}

/// `getstructfield(struct, 'name')`: a field of a struct.
fn get_struct_field(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let t = call.args[0].data_type.clone();
    let DataType::Struct(s) = &t else { return Err(call.unexpected_input(0, "\"STRUCT\"")) };
    let (place, field) = field_of(call, s)?;
    let (field, nullable) = (field.data_type.clone(), call.args[0].nullable || field.nullable);
    Ok(Resolved::new(vec![t.clone(), call.args[1].data_type.clone()], field, nullable, move |inputs| {
        let array = inputs.array(0)?;
        let s = array.as_struct();
        with_nulls(s.column(place), s.nulls())
    }))
}

/// `getarraystructfields(array, 'name')`: a field of each struct of an array.
fn get_array_struct_fields(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let t = call.args[0].data_type.clone();
    let refused = || call.unexpected_input(0, "\"ARRAY<STRUCT>\"");
    let DataType::Array { element, contains_null } = &t else { return Err(refused()) };
    let DataType::Struct(s) = element.as_ref() else { return Err(refused()) };
    let (place, field) = field_of(call, s)?;
    let returned = DataType::array(field.data_type.clone(), *contains_null || field.nullable);
    let item = ListItem::of(&returned)?;
    let coerced = vec![t.clone(), call.args[1].data_type.clone()];
    Ok(Resolved::new(coerced, returned, call.args[0].nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        let s = list.values().as_struct();
        let values = with_nulls(s.column(place), s.nulls())?;
        item.list(list.offsets().clone(), values, list.nulls().cloned())
    }))
}

/// The field by its name, or by its place where the analyzer says which of several of a name it is.
fn field_of<'s>(call: &Call, s: &'s StructType) -> Result<(usize, &'s boathouse_spec::StructField)> {
    if let Some(ScalarValue::Int32(Some(place))) = call.args[1].constant
        && let Some(field) = s.fields.get(place as usize)
    {
        return Ok((place as usize, field));
    }
    let Some(ScalarValue::Utf8(Some(name))) = &call.args[1].constant else {
        return Err(Error::new("INVALID_EXTRACT_FIELD_TYPE")
            .param("extraction", format!("\"{}\"", call.args[1].sql))
            .message(format!("A field name must be a constant string, not \"{}\".", call.args[1].sql)));
    };
    let matches = |f: &&boathouse_spec::StructField| {
        if call.context.case_sensitive {
            f.name == *name
        } else {
            f.name.to_lowercase() == name.to_lowercase()
        }
    };
    let found: Vec<usize> = s.fields.iter().enumerate().filter(|(_, f)| matches(f)).map(|(i, _)| i).collect();
    match found.as_slice() {
        [one] => Ok((*one, &s.fields[*one])),
        [] => {
            let fields = s.fields.iter().map(|f| format!("`{}`", f.name)).collect::<Vec<_>>().join(", ");
            Err(Error::new("FIELD_NOT_FOUND")
                .param("fieldName", format!("`{name}`"))
                .param("fields", &fields)
                .message(format!("There is no struct field `{name}` in {fields}.")))
        }
        many => Err(Error::new("AMBIGUOUS_REFERENCE_TO_FIELDS")
            .param("field", format!("`{name}`"))
            .param("count", many.len())
            .message(format!("The field `{name}` is ambiguous: {} fields have the name.", many.len()))),
    }
}

/// A child column with its parent's NULLs put on it.
pub(super) fn with_nulls(column: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef> {
    if parent.is_none() || *column.data_type() == arrow::datatypes::DataType::Null {
        return Ok(Arc::clone(column));
    }
    let nulls = NullBuffer::union(parent, column.nulls());
    let data = column.to_data().into_builder().nulls(nulls).build().spark()?;
    Ok(arrow::array::make_array(data))
}
