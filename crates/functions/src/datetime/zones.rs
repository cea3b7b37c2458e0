//! `from_utc_timestamp`, `to_utc_timestamp`, `convert_timezone`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, PrimitiveArray, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use boathouse_spec::{DataType, Error, Result};

use super::clock::Clock;
use super::{NTZ, build, common_nulls, instants, timestamps};
use crate::cast::zone::Zone;
use crate::{Arg, Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["from_utc_timestamp"], |c| shift(c, Clock::local));
    r.scalar(&["to_utc_timestamp"], |c| shift(c, Clock::instant));
    r.scalar(&["convert_timezone"], convert_timezone);
}

/// The zone of that name, else INVALID_TIMEZONE.
pub(crate) fn zone(name: &str) -> Result<Zone> {
    Zone::parse(name).ok_or_else(|| {
        Error::new("INVALID_TIMEZONE").param("timeZone", name).message(format!(
            "`{name}` is no time zone. Give a region such as `Europe/Berlin`, or an offset such as `+02:00`."
        ))
    })
}

/// Clocks by zone name, for columns of names.
#[derive(Default)]
pub(super) struct Clocks {
    known: HashMap<String, Rc<Clock>>,
}

impl Clocks {
    pub fn get(&mut self, name: &str) -> Result<Rc<Clock>> {
        if let Some(clock) = self.known.get(name) {
            return Ok(Rc::clone(clock));
        }
        let clock = Rc::new(Clock::in_zone(zone(name)?));
        self.known.insert(name.to_string(), Rc::clone(&clock));
        Ok(clock)
    }
}

fn shift(call: &Call, by: fn(&Clock, i64) -> i64) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::TIMESTAMP, Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Timestamp, nullable, move |inputs| {
        let values = timestamps(inputs, 0)?;
        // Without a time the zone is not looked at.
        if let Some(Some(name)) = inputs.constant_string(1)
            && values.null_count() < values.len()
        {
            let clock = Clock::in_zone(zone(&name)?);
            return Ok(instants(values.unary(|t| by(&clock, t))));
        }
        let names = inputs.strings(1)?;
        let mut clocks = Clocks::default();
        let nulls = common_nulls(&[&values, &names]);
        let out: PrimitiveArray<TimestampMicrosecondType> = build(inputs.rows(), nulls.as_ref(), |row| {
            Ok(Some(by(clocks.get(names.value(row))?.as_ref(), values.value(row))))
        })?;
        Ok(instants(out))
    }))
}

fn convert_timezone(call: &Call) -> Result<Resolved> {
    call.arity_of(&[2, 3])?;
    let from_session = call.args.len() == 2;
    // Messages show the zone of the session, too.
    let mut shown = call.args.to_vec();
    if from_session {
        let (data_type, sql) = (DataType::STRING, "current_timezone()".into());
        shown.insert(0, Arg { data_type, nullable: false, constant: None, sql, elements: None });
    }
    let full = Call { name: call.name, args: &shown, context: call.context };
    let mut coerced = full.want(&[Want::Str, Want::Str, NTZ])?;
    if from_session {
        coerced.remove(0);
    }
    let nullable = call.nullable_as(&coerced);
    let resolved =
        Resolved::new(coerced, DataType::TimestampNtz, nullable, move |inputs| convert(inputs, from_session));
    if !from_session {
        return Ok(resolved);
    }
    let session = ShownArg::Text("current_timezone()".into());
    Ok(resolved.shown_with(vec![session, ShownArg::Arg(0), ShownArg::Arg(1)]))
}

fn convert(inputs: &Inputs, from_session: bool) -> Result<arrow::array::ArrayRef> {
    let target = usize::from(!from_session);
    let sources: StringArray = if from_session {
        StringArray::from(vec![inputs.context().timezone_name.as_ref(); inputs.rows()])
    } else {
        inputs.strings(0)?
    };
    let targets = inputs.strings(target)?;
    let values = timestamps(inputs, target + 1)?;
    let nulls = common_nulls(&[&sources, &targets, &values]);
    let mut clocks = Clocks::default();
    let out: PrimitiveArray<TimestampMicrosecondType> = build(inputs.rows(), nulls.as_ref(), |row| {
        let instant = clocks.get(sources.value(row))?.instant(values.value(row));
        Ok(Some(clocks.get(targets.value(row))?.local(instant)))
    })?;
    Ok(Arc::new(out))
}
