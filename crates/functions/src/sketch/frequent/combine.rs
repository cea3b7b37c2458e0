//! `approx_top_k_combine`: one sketch of several.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Error, Result};
use std::sync::Arc;

use super::aggregate::states_array;
use super::item::Kind;
use super::{Counted, MOST_TRACKED, refused, state_type, tracked, type_text};
use crate::aggregate::fold::{Fold, column};
use crate::{AggregateCall, Call, Registry, ResolvedAggregate, ShownArg, SparkAggregate};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["approx_top_k_combine"], resolve);
}

/// What stands for no number of values to track: that of the sketches, which must be one.
const UNSAID: i64 = -1;

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    let item = item_type(call)?;
    let given = match call.args.len() {
        1 => UNSAID,
        _ => tracked(call, 1, UNSAID)?,
    };
    let returned = state_type(&item);
    let coerced = call.types();
    let fold = Combined { item, given, returned: returned.clone() };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &returned, false, call.context, fold)
        .with_parameters(given);
    let second = match call.args.len() {
        1 => ShownArg::Text(UNSAID.to_string()),
        _ => ShownArg::Arg(1),
    };
    Ok(ResolvedAggregate::new(coerced, returned, false, udf.build())
        .shown_with(vec![ShownArg::Arg(0), second]))
}

/// The type of the values in the sketches of the first argument (Spark's `checkStateFieldAndType`).
pub(super) fn item_type(call: &Call) -> Result<DataType> {
    let DataType::Struct(state) = &call.args[0].data_type else {
        return Err(call.unexpected_input(0, "\"STRUCT\""));
    };
    let [sketch, tracked, item, ddl] = state.fields.as_slice() else {
        return Err(refused(
            call,
            &format!(
                "State must be a struct with 4 fields. Expected struct: \
                 struct<sketch:binary,maxItemsTracked:int,itemDataType:any,itemDataTypeDDL:string>. Got: {}",
                call.args[0].data_type.simple_string()
            ),
        ));
    };
    let wrong = |place: &str, wanted: &str, t: &DataType| {
        let got = t.simple_string();
        refused(call, &format!("State struct must have the {place} field to be {wanted}. Got: {got}"))
    };
    if sketch.data_type != DataType::Binary {
        return Err(wrong("first", "binary", &sketch.data_type));
    }
    if tracked.data_type != DataType::Integer {
        return Err(wrong("second", "int", &tracked.data_type));
    }
    if Kind::of(&item.data_type).is_none() {
        return Err(wrong("third", "a supported data type", &item.data_type));
    }
    if !ddl.data_type.is_string() {
        return Err(wrong("fourth", "string", &ddl.data_type));
    }
    Ok(item.data_type.clone())
}

struct Combined {
    /// As the types say; sketches say it themselves, too.
    item: DataType,
    given: i64,
    returned: DataType,
}

#[derive(Clone)]
pub(super) struct State {
    counted: Counted,
    tracked: i64,
    /// The type of the values, once there was a sketch.
    ddl: Option<String>,
}

/// The columns of sketches.
struct Sketches<'a> {
    bytes: &'a BinaryArray,
    tracked: &'a Int32Array,
    ddl: &'a StringArray,
}

fn sketches(array: &ArrayRef) -> Option<Sketches<'_>> {
    let parts = array.as_struct_opt()?;
    Some(Sketches {
        bytes: parts.column(0).as_binary_opt::<i32>()?,
        tracked: parts.column(1).as_primitive_opt::<Int32Type>()?,
        ddl: parts.column(3).as_string_opt::<i32>()?,
    })
}

/// The values of a type as a sketch names it.
pub(super) fn kind_of(ddl: &str) -> Result<Kind> {
    let unknown = || Error::internal(format!("a sketch of values of the type `{ddl}`"));
    match crate::options::parse_schema(ddl)? {
        DataType::Struct(s) => s.fields.first().and_then(|f| Kind::of(&f.data_type)).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

impl Combined {
    fn add(&self, state: &mut State, bytes: &[u8], tracked: i64, ddl: &str) -> Result<()> {
        if self.given == UNSAID && state.tracked != tracked {
            if state.tracked != UNSAID {
                return Err(Error::new("APPROX_TOP_K_SKETCH_SIZE_NOT_MATCH")
                    .param("size1", state.tracked)
                    .param("size2", tracked)
                    .message(format!(
                        "Sketches that track {} values and {tracked} values are combined: say how many it shall be.",
                        state.tracked
                    )));
            }
            state.tracked = tracked;
        }
        match &state.ddl {
            None => state.ddl = Some(ddl.to_string()),
            Some(known) if known == ddl => {}
            Some(known) => {
                return Err(Error::new("APPROX_TOP_K_SKETCH_TYPE_NOT_MATCH")
                    .param("type1", known)
                    .param("type2", ddl)
                    .message(format!("Sketches of `{known}` and of `{ddl}` cannot be combined.")));
            }
        }
        state.counted.merge(&Counted::from_bytes(bytes, &kind_of(ddl)?)?);
        Ok(())
    }

    fn parts(&self, state: &State) -> Result<(Vec<u8>, i32, String)> {
        let ddl = state.ddl.clone().unwrap_or_else(|| type_text(&self.item));
        Ok((state.counted.to_bytes(&kind_of(&ddl)?), state.tracked as i32, ddl))
    }

    fn array(&self, states: &[State]) -> Result<ArrayRef> {
        let (mut bytes, mut tracked, mut ddl) = (Vec::new(), Vec::new(), Vec::new());
        for state in states {
            let (b, t, d) = self.parts(state)?;
            bytes.push(b);
            tracked.push(t);
            ddl.push(d);
        }
        states_array(&self.returned, bytes, tracked, ddl)
    }
}

impl Fold for Combined {
    type State = State;
    const ON_HEAP: bool = true;

    fn start(&self) -> State {
        let room = if self.given == UNSAID { MOST_TRACKED } else { self.given };
        State { counted: Counted::tracking(room), tracked: self.given, ddl: None }
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [State],
    ) -> Result<()> {
        let array = column(columns, 0)?;
        let found = sketches(array).ok_or_else(|| Error::internal("a column of sketches"))?;
        for (row, group) in rows {
            if array.is_valid(row) {
                let tracked = i64::from(found.tracked.value(row));
                self.add(&mut states[group], found.bytes.value(row), tracked, found.ddl.value(row))?;
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("state", self.returned.clone()), ("is_used", DataType::Boolean)]
    }

    fn save(&self, states: &[State]) -> Result<Vec<ArrayRef>> {
        let used = states.iter().map(|s| Some(s.ddl.is_some()));
        Ok(vec![self.array(states)?, Arc::new(used.collect::<arrow::array::BooleanArray>())])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [State],
    ) -> Result<()> {
        let used = column(columns, 1)?.as_boolean();
        self.update(columns, rows.filter(|(row, _)| used.value(*row)), states)
    }

    fn finish(&self, states: &[State]) -> Result<ArrayRef> {
        self.array(states)
    }

    fn bytes(&self, state: &State) -> usize {
        state.counted.sketch.bytes_in_memory()
    }
}
