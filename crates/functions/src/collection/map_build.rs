//! Maps from keys and values: duplicate and NULL keys are refused, or the last value wins.
//! `map_from_arrays`, `map_from_entries`, `map_concat`, `str_to_map`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayBuilder;
use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::take;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};

use super::construct::map_type_check;
use super::lists::{Picker, bounds, is_null, lists, map_bounds, map_of, maps};
use crate::coercion::{Want, common_type};
use crate::comparison::{Comparison, normalize_floats};
use crate::mismatch::with_sql;
use crate::{Call, Context, MapKeyPolicy, Registry, Resolved, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["map_from_arrays"], map_from_arrays);
    r.scalar(&["map_from_entries"], map_from_entries);
    r.scalar(&["map_concat"], map_concat);
    r.scalar(&["str_to_map"], str_to_map);
}

/// Makes maps of one type by the session's policy for duplicate keys.
#[derive(Clone)]
pub(crate) struct MapMaker {
    map: DataType,
    key: DataType,
    policy: MapKeyPolicy,
    context: Context,
}

impl MapMaker {
    pub fn new(map: &DataType, context: &Context) -> Result<Self> {
        let DataType::Map { key, .. } = map else {
            return Err(Error::internal(format!("{} is no map", map.sql())));
        };
        Ok(Self {
            map: map.clone(),
            key: key.as_ref().clone(),
            policy: context.map_key_policy,
            context: context.clone(),
        })
    }

    /// Maps of the keys and values between offsets.
    pub fn make(
        &self,
        offsets: OffsetBuffer<i32>,
        keys: ArrayRef,
        values: ArrayRef,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        let keys = normalize_floats(&keys);
        if let Some(key_nulls) = keys.logical_nulls().filter(|n| n.null_count() > 0) {
            // Entries of NULL maps do not count.
            let counts = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
            for (row, w) in offsets.windows(2).enumerate() {
                if counts(row) && (w[0]..w[1]).any(|i| key_nulls.is_null(i as usize)) {
                    return Err(null_key());
                }
            }
        }
        let ranks = Comparison::of_values(&keys, &self.key)?;
        // For each entry kept: where its key and its value are.
        let mut kept: Vec<(u64, u64)> = Vec::with_capacity(keys.len());
        let mut ends = vec![0i32];
        let mut duplicates = false;
        let mut seen: HashMap<&[u8], usize> = HashMap::new();
        let rows: Vec<_> = ranks.iter().collect();
        for (row, w) in offsets.windows(2).enumerate() {
            if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                seen.clear();
                for (i, key) in rows.iter().enumerate().take(w[1] as usize).skip(w[0] as usize) {
                    match seen.insert(key.data(), kept.len()) {
                        None => kept.push((i as u64, i as u64)),
                        Some(_) if self.policy == MapKeyPolicy::Exception => {
                            return Err(self.duplicate_key(&keys, i));
                        }
                        Some(place) => {
                            duplicates = true;
                            seen.insert(key.data(), place);
                            kept[place].1 = i as u64;
                        }
                    }
                }
            }
            ends.push(kept.len() as i32);
        }
        if !duplicates && kept.len() == keys.len() {
            return map_of(&self.map, offsets, keys, values, nulls);
        }
        let (from, to): (Vec<u64>, Vec<u64>) = kept.into_iter().unzip();
        let keys = take(&keys, &UInt64Array::from(from), None).spark()?;
        let values = take(&values, &UInt64Array::from(to), None).spark()?;
        map_of(&self.map, OffsetBuffer::new(ScalarBuffer::from(ends)), keys, values, nulls)
    }

    fn duplicate_key(&self, keys: &ArrayRef, i: usize) -> Error {
        let text = crate::cast::cast(
            &keys.slice(i, 1),
            &self.key,
            &DataType::STRING,
            crate::cast::Mode::Legacy,
            &self.context,
        )
        .ok()
        .and_then(|a| a.as_string_opt::<i32>().map(|s| s.value(0).to_string()))
        .unwrap_or_default();
        Error::new("DUPLICATED_MAP_KEY")
            .param("key", &text)
            .param("mapKeyDedupPolicy", "\"spark.sql.mapKeyDedupPolicy\"")
            .message(format!(
                "Duplicate map key {text} was found. Set \"spark.sql.mapKeyDedupPolicy\" to \"LAST_WIN\" to keep the last value."
            ))
    }
}

pub(super) fn null_key() -> Error {
    Error::new("NULL_MAP_KEY").message("Cannot use null as map key.")
}

fn map_from_arrays(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::AnyArray, Want::AnyArray])?;
    let (DataType::Array { element: key, .. }, DataType::Array { element: value, contains_null }) =
        (&coerced[0], &coerced[1])
    else {
        return Err(Error::internal("arrays were wanted"));
    };
    map_type_check(call, key)?;
    let returned = DataType::map(key.as_ref().clone(), value.as_ref().clone(), *contains_null);
    let maker = MapMaker::new(&returned, call.context)?;
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let (keys, values) = (lists(inputs, 0)?, lists(inputs, 1)?);
        let (mut key_picker, mut value_picker) =
            (Picker::with_capacity(inputs.rows()), Picker::with_capacity(inputs.rows()));
        for row in 0..inputs.rows() {
            match (bounds(&keys, row), bounds(&values, row)) {
                (Some(k), Some(v)) => {
                    if k.len() != v.len() {
                        return Err(Error::new("_LEGACY_ERROR_TEMP_2128")
                            .message("The key array and value array of MapData must have the same length."));
                    }
                    key_picker.pick_all(0, k);
                    value_picker.pick_all(0, v);
                    key_picker.row()?;
                    value_picker.row()?;
                }
                _ => {
                    key_picker.null_row()?;
                    value_picker.null_row()?;
                }
            }
        }
        let nulls = key_picker.nulls();
        maker.make(
            key_picker.offsets(),
            key_picker.values(&[keys.values()])?,
            value_picker.values(&[values.values()])?,
            nulls,
        )
    }))
}

fn map_from_entries(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    let refused = || call.unexpected_input(0, "\"ARRAY\" of pair \"STRUCT\"");
    let DataType::Array { element, contains_null } = &t else { return Err(refused()) };
    let DataType::Struct(pair) = element.as_ref() else { return Err(refused()) };
    let [key, value] = pair.fields.as_slice() else { return Err(refused()) };
    map_type_check(call, &key.data_type)?;
    let returned = DataType::map(key.data_type.clone(), value.data_type.clone(), value.nullable);
    let maker = MapMaker::new(&returned, call.context)?;
    let nullable = call.any_nullable() || *contains_null;
    Ok(Resolved::new(vec![t.clone()], returned, nullable, move |inputs| {
        let entries = lists(inputs, 0)?;
        let structs = entries.values().as_struct();
        let mut picker = Picker::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            match bounds(&entries, row) {
                Some(range) if range.clone().all(|i| structs.is_valid(i)) => {
                    picker.pick_all(0, range);
                    picker.row()?;
                }
                _ => picker.null_row()?,
            }
        }
        let (keys, values) = (picker.values(&[structs.column(0)])?, picker.values(&[structs.column(1)])?);
        maker.make(picker.offsets(), keys, values, picker.nulls())
    }))
}

fn map_concat(call: &Call) -> Result<Resolved> {
    let types = call.types();
    if types.iter().any(|t| !matches!(t, DataType::Map { .. })) {
        let all = types.iter().map(|t| format!("\"{}\"", t.sql())).collect::<Vec<_>>().join(", ");
        return Err(Error::new("DATATYPE_MISMATCH.MAP_CONCAT_DIFF_TYPES")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("functionName", format!("`{}`", call.name))
            .param("dataType", format!("[{all}]"))
            .message(format!(
                "Cannot resolve \"{}\": the arguments must be maps, but are [{all}].",
                call.sql()
            )));
    }
    let returned = if types.is_empty() {
        DataType::map(DataType::STRING, DataType::STRING, false)
    } else {
        common_type(&types, call.context)
            .filter(|t| matches!(t, DataType::Map { .. }))
            .ok_or_else(|| call.different_types())?
    };
    let maker = MapMaker::new(&returned, call.context)?;
    let no_maps = arrow::array::new_empty_array(&arrow_type(&returned));
    let coerced = vec![returned.clone(); types.len()];
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let sources = (0..inputs.len()).map(|i| maps(inputs, i)).collect::<Result<Vec<_>>>()?;
        let mut picker = Picker::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let all: Option<Vec<_>> = sources.iter().map(|m| map_bounds(m, row)).collect();
            match all {
                Some(all) => {
                    all.into_iter().enumerate().for_each(|(source, range)| picker.pick_all(source, range));
                    picker.row()?;
                }
                None => picker.null_row()?,
            }
        }
        let empty = no_maps.as_map();
        let columns = |of: fn(&arrow::array::MapArray) -> &ArrayRef| -> Result<ArrayRef> {
            if sources.is_empty() {
                return Ok(Arc::clone(of(empty)));
            }
            picker.values(&sources.iter().map(of).collect::<Vec<_>>())
        };
        let (keys, values) = (columns(|m| m.keys())?, columns(|m| m.values())?);
        maker.make(picker.offsets(), keys, values, picker.nulls())
    }))
}

fn str_to_map(call: &Call) -> Result<Resolved> {
    call.arity(1..=3)?;
    for (i, arg) in call.args.iter().enumerate() {
        if !arg.data_type.is_string() && arg.data_type != DataType::Null {
            let sql = |i: usize, default: &str| {
                call.args.get(i).map_or_else(|| default.to_string(), |a| a.sql.clone())
            };
            let sql = format!("str_to_map({}, {}, {})", sql(0, ""), sql(1, ","), sql(2, ":"));
            return Err(with_sql(call.unexpected_input(i, "\"STRING\""), &sql));
        }
    }
    let coerced = call.want(&[Want::Str])?;
    let text = coerced.first().cloned().unwrap_or(DataType::STRING);
    let returned = DataType::map(text.clone(), text, true);
    let maker = MapMaker::new(&returned, call.context)?;
    // The delimiters that are filled in take the collation of the text.
    let collation = match &coerced.first() {
        Some(DataType::String { collation: Some(collation) }) => Some(collation.clone()),
        _ => None,
    };
    let shown = |i: usize, default: &str| match &collation {
        _ if i < call.args.len() => ShownArg::Arg(i),
        Some(collation) => ShownArg::Text(format!("'{default}' collate {collation}")),
        None => ShownArg::Text(default.into()),
    };
    let shown = vec![ShownArg::Arg(0), shown(1, ","), shown(2, ":")];
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let texts = inputs.array(0)?;
        let texts = texts.as_string::<i32>();
        let between = Splitter::new(inputs, 1, ",")?;
        let within = Splitter::new(inputs, 2, ":")?;
        let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
        let mut ends = vec![0i32];
        let mut valid = Vec::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let (between, within) = (between.at(row)?, within.at(row)?);
            let present = match (texts.is_valid(row), between, within) {
                (true, Some(between), Some(within)) => {
                    for pair in split_java(texts.value(row), &between, 0)? {
                        let parts = split_java(pair, &within, 2)?;
                        keys.append_value(parts.first().copied().unwrap_or_default());
                        values.append_option(parts.get(1));
                    }
                    true
                }
                _ => false,
            };
            valid.push(present);
            ends.push(keys.len() as i32);
        }
        let nulls = valid.iter().any(|v| !v).then(|| NullBuffer::from(valid));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        maker.make(offsets, Arc::new(keys.finish()), Arc::new(values.finish()), nulls)
    })
    .shown_with(shown))
}

/// The delimiters of an argument: one pattern for all rows where it is constant.
struct Splitter {
    constant: Option<Option<fancy_regex::Regex>>,
    column: Option<ArrayRef>,
}

impl Splitter {
    fn new(inputs: &crate::Inputs, i: usize, default: &str) -> Result<Self> {
        if i >= inputs.len() {
            return Ok(Self { constant: Some(Some(pattern(default)?)), column: None });
        }
        if let Some(text) = inputs.constant_string(i) {
            return Ok(Self { constant: Some(text.as_deref().map(pattern).transpose()?), column: None });
        }
        Ok(Self { constant: None, column: Some(inputs.array(i)?) })
    }

    fn at(&self, row: usize) -> Result<Option<fancy_regex::Regex>> {
        match (&self.constant, &self.column) {
            (Some(constant), _) => Ok(constant.clone()),
            (None, Some(column)) if !is_null(column, row) => {
                pattern(column.as_string::<i32>().value(row)).map(Some)
            }
            _ => Ok(None),
        }
    }
}

fn pattern(text: &str) -> Result<fancy_regex::Regex> {
    fancy_regex::Regex::new(text).map_err(|e| {
        Error::new("INVALID_PARAMETER_VALUE.PATTERN")
            .param("functionName", "`str_to_map`")
            .param("parameter", "`delim`")
            .param("value", format!("'{text}'"))
            .message(format!("The delimiter '{text}' is no regular expression: {e}"))
    })
}

/// `String.split` of Java: an empty match at the start gives no empty first part; `limit` parts at most (0: all).
/// Trailing empty parts stay, as Spark asks for.
fn split_java<'a>(text: &'a str, by: &fancy_regex::Regex, limit: usize) -> Result<Vec<&'a str>> {
    let mut parts = Vec::new();
    let mut from = 0;
    for found in by.find_iter(text) {
        let found = found.map_err(|e| Error::internal(format!("matching a regular expression: {e}")))?;
        if limit > 0 && parts.len() == limit - 1 {
            break;
        }
        if found.end() == 0 || (found.start() == found.end() && found.start() == text.len()) {
            continue;
        }
        parts.push(&text[from..found.start()]);
        from = found.end();
    }
    parts.push(&text[from..]);
    Ok(parts)
}
