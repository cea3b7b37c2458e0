//! `current_date`, `current_timestamp`, `localtimestamp`, `current_time`, `current_timezone`: the start of the query.

use std::sync::Arc;

use arrow::array::{Date32Array, StringArray, Time64NanosecondArray, TimestampMicrosecondArray};
use boathouse_spec::{DataType, Result};
use datafusion::common::ScalarValue;

use super::clock::Clock;
use super::instants;
use crate::cast::calendar::MICROS_PER_DAY;
use crate::mismatch::{not_constant, out_of_range, unexpected_null, whole_number};
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["current_date"], current_date);
    r.scalar(&["curdate"], |c| Ok(current_date(c)?.shown_as("current_date")));
    r.scalar(&["current_timestamp", "now"], |c| {
        c.arity_of(&[0])?;
        Ok(Resolved::new(vec![], DataType::Timestamp, false, |inputs| {
            let now = inputs.context().now_us;
            Ok(instants(TimestampMicrosecondArray::from(vec![now; inputs.rows()])))
        })
        .telling_time())
    });
    r.scalar(&["localtimestamp"], |c| {
        c.arity_of(&[0])?;
        Ok(Resolved::new(vec![], DataType::TimestampNtz, false, |inputs| {
            let local = Clock::of(inputs.context()).local(inputs.context().now_us);
            Ok(Arc::new(TimestampMicrosecondArray::from(vec![local; inputs.rows()])))
        })
        .telling_time())
    });
    r.scalar(&["current_timezone"], |c| {
        c.arity_of(&[0])?;
        Ok(Resolved::new(vec![], DataType::STRING, false, |inputs| {
            let zone = inputs.context().timezone_name.as_ref();
            Ok(Arc::new(StringArray::from(vec![zone; inputs.rows()])))
        }))
    });
    r.scalar(&["current_time"], current_time);
}

fn current_date(call: &Call) -> Result<Resolved> {
    call.arity_of(&[0])?;
    Ok(Resolved::new(vec![], DataType::Date, false, |inputs| {
        let today = Clock::of(inputs.context()).day(inputs.context().now_us) as i32;
        Ok(Arc::new(Date32Array::from(vec![today; inputs.rows()])))
    })
    .telling_time())
}

fn current_time(call: &Call) -> Result<Resolved> {
    call.arity(0..=1)?;
    let coerced = call.want(&[Want::INT])?;
    let precision = match call.args.first() {
        None => 6,
        Some(arg) => match &arg.constant {
            Some(ScalarValue::Utf8(Some(text))) => match text.trim().parse() {
                Ok(precision) => precision,
                Err(_) if call.context.ansi => {
                    return Err(crate::cast::failure::invalid_input(
                        text,
                        &DataType::STRING,
                        &DataType::Integer,
                    ));
                }
                Err(_) => return Err(unexpected_null(call, "precision")),
            },
            Some(value) if value.is_null() => return Err(unexpected_null(call, "precision")),
            _ => whole_number(arg).flatten().ok_or_else(|| not_constant(call, 0, "precision", "INT"))?,
        },
    };
    if !(0..=6).contains(&precision) {
        return Err(out_of_range(call, "`precision`", "[0, 6]", &precision.to_string()));
    }
    let precision = precision as u8;
    Ok(Resolved::new(coerced, DataType::Time { precision }, false, move |inputs| {
        let local = Clock::of(inputs.context()).local(inputs.context().now_us).rem_euclid(MICROS_PER_DAY);
        let unit = 10i64.pow(u32::from(6 - precision));
        let time = (local - local % unit) * 1000;
        Ok(Arc::new(Time64NanosecondArray::from(vec![time; inputs.rows()])))
    })
    .telling_time()
    .shown_with(match call.args.is_empty() {
        true => vec![crate::ShownArg::Text("6".into())],
        false => vec![crate::ShownArg::Arg(0)],
    }))
}
