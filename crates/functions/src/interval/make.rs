//! `make_interval`, `make_dt_interval`, `make_ym_interval`.

use std::sync::Arc;

use arrow::array::{
    Array, DurationMicrosecondArray, Int32Array, IntervalMonthDayNanoArray, IntervalYearMonthArray,
    PrimitiveArray, PrimitiveBuilder,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Int32Type, IntervalMonthDayNano};
use boathouse_spec::{DataType, Error, Result};

use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["make_interval"], |c| {
        c.arity(0..=7)?;
        make_interval(c, !c.context.ansi)
    });
    r.scalar(&["try_make_interval"], |c| {
        c.arity(1..=7)?;
        make_interval(c, true)
    });
    r.scalar(&["make_dt_interval"], make_dt_interval);
    r.scalar(&["make_ym_interval"], make_ym_interval);
}

/// Seconds with microseconds, as the functions take them.
const SECONDS: DataType = DataType::Decimal { precision: 18, scale: 6 };

/// The arguments that were left out are 0.
struct Parts {
    whole: Vec<Option<Int32Array>>,
    seconds: Option<PrimitiveArray<Decimal128Type>>,
    nulls: Option<NullBuffer>,
    rows: usize,
}

impl Parts {
    /// `whole` integers, then maybe seconds.
    fn of(inputs: &Inputs, whole: usize) -> Result<Self> {
        let mut parts = Self { whole: vec![None; whole], seconds: None, nulls: None, rows: inputs.rows() };
        for (i, slot) in parts.whole.iter_mut().enumerate().take(inputs.len()) {
            let values = inputs.primitives::<Int32Type>(i)?;
            parts.nulls = NullBuffer::union(parts.nulls.as_ref(), values.nulls());
            *slot = Some(values);
        }
        if inputs.len() > whole {
            let values = inputs.primitives::<Decimal128Type>(whole)?;
            parts.nulls = NullBuffer::union(parts.nulls.as_ref(), values.nulls());
            parts.seconds = Some(values);
        }
        Ok(parts)
    }

    fn get(&self, part: usize, row: usize) -> i64 {
        match self.whole.get(part) {
            Some(Some(values)) => i64::from(values.value(row)),
            _ => 0,
        }
    }

    /// The seconds in microseconds.
    fn micros(&self, row: usize) -> i128 {
        self.seconds.as_ref().map_or(0, |s| s.value(row))
    }

    fn build<T: ArrowPrimitiveType>(
        &self,
        make: impl Fn(usize) -> Result<Option<T::Native>>,
    ) -> Result<PrimitiveArray<T>> {
        let mut out = PrimitiveBuilder::<T>::with_capacity(self.rows);
        for row in 0..self.rows {
            if self.nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                out.append_null();
            } else {
                out.append_option(make(row)?);
            }
        }
        Ok(out.finish())
    }
}

fn wants(whole: usize) -> Vec<Want> {
    let mut wants = vec![Want::INT; whole];
    wants.push(Want::Exact(SECONDS));
    wants
}

/// The arguments with the defaults of those left out.
fn shown(given: usize, whole: usize, with_seconds: bool) -> Vec<ShownArg> {
    let count = whole + usize::from(with_seconds);
    (0..count)
        .map(|i| match i {
            i if i < given => ShownArg::Arg(i),
            i if i < whole => ShownArg::Text("0".into()),
            _ => ShownArg::Text("0.000000".into()),
        })
        .collect()
}

fn make_interval(call: &Call, lenient: bool) -> Result<Resolved> {
    let coerced = call.want(&wants(6))?;
    let nullable = lenient || call.nullable_as(&coerced);
    let given = call.args.len();
    Ok(Resolved::new(coerced, DataType::CalendarInterval, nullable, move |inputs| {
        let parts = Parts::of(inputs, 6)?;
        let out: IntervalMonthDayNanoArray = parts.build(|row| match calendar_interval(&parts, row) {
            Some(interval) => Ok(Some(interval)),
            None if lenient => Ok(None),
            None => Err(overflow("ARITHMETIC_OVERFLOW")),
        })?;
        Ok(Arc::new(out))
    })
    .shown_with(shown(given, 6, true)))
}

fn calendar_interval(parts: &Parts, row: usize) -> Option<IntervalMonthDayNano> {
    let part = |i: usize| parts.get(i, row);
    let months = i32::try_from(part(0) * 12 + part(1)).ok()?;
    let days = i32::try_from(part(2) * 7 + part(3)).ok()?;
    let clock = i128::from(part(4) * 3600 + part(5) * 60) * 1_000_000 + parts.micros(row);
    let nanoseconds = i64::try_from(i64::try_from(clock).ok()? as i128 * 1000).ok()?;
    Some(IntervalMonthDayNano { months, days, nanoseconds })
}

fn make_dt_interval(call: &Call) -> Result<Resolved> {
    call.arity(0..=4)?;
    let coerced = call.want(&wants(3))?;
    let nullable = call.nullable_as(&coerced);
    let given = call.args.len();
    Ok(Resolved::new(coerced, DataType::DAY_TIME, nullable, |inputs| {
        let parts = Parts::of(inputs, 3)?;
        let out: DurationMicrosecondArray = parts.build(|row| {
            let part = |i: usize| i128::from(parts.get(i, row));
            let micros = (part(0) * 86_400 + part(1) * 3600 + part(2) * 60) * 1_000_000 + parts.micros(row);
            i64::try_from(micros)
                .map(Some)
                .map_err(|_| overflow("INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION"))
        })?;
        Ok(Arc::new(out))
    })
    .shown_with(shown(given, 3, true)))
}

fn make_ym_interval(call: &Call) -> Result<Resolved> {
    call.arity(0..=2)?;
    let coerced = call.want(&[Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let given = call.args.len();
    Ok(Resolved::new(coerced, DataType::YEAR_MONTH, nullable, |inputs| {
        let parts = Parts::of(inputs, 2)?;
        let out: IntervalYearMonthArray = parts.build(|row| {
            i32::try_from(parts.get(0, row) * 12 + parts.get(1, row))
                .map(Some)
                .map_err(|_| overflow("INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION"))
        })?;
        Ok(Arc::new(out))
    })
    .shown_with(shown(given, 2, false)))
}

fn overflow(class: &str) -> Error {
    let error = Error::new(class).message("The interval does not fit its type.");
    match class {
        "ARITHMETIC_OVERFLOW" => error
            .param("message", "overflow")
            .param("alternative", "")
            .param("config", "\"spark.sql.ansi.enabled\""),
        _ => error,
    }
}
