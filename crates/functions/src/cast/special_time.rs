//! `'today'`, `'epoch'` and their kin as dates and timestamps: of constant texts only, as in Spark.

use boathouse_spec::{DataType, SpecialTime};
use datafusion::common::ScalarValue;

use super::calendar::MICROS_PER_DAY;
use super::zone::Zone;
use crate::Context;
use crate::datetime::clock::Clock;

/// The date or timestamp that a constant text stands for; `None` where it is to be read as it is written.
pub fn special_time(constant: &ScalarValue, to: &DataType, context: &Context) -> Option<ScalarValue> {
    let ScalarValue::Utf8(Some(text)) = constant else { return None };
    if !matches!(to, DataType::Date | DataType::Timestamp | DataType::TimestampNtz) {
        return None;
    }
    let word = SpecialTime::of(text, |zone| Zone::parse(zone).is_some())?;
    let clock = Clock::of(context);
    let day = |after: i32| clock.day(context.now_us) + i64::from(after);
    match to {
        DataType::Date => {
            let days = match word {
                SpecialTime::Epoch => 0,
                SpecialTime::Now => day(0),
                SpecialTime::Day(after) => day(after),
            };
            Some(ScalarValue::Date32(Some(days.try_into().ok()?)))
        }
        DataType::Timestamp => {
            let instant = match word {
                SpecialTime::Epoch => 0,
                SpecialTime::Now => context.now_us,
                SpecialTime::Day(after) => clock.start_of_day(day(after)),
            };
            ScalarValue::TimestampMicrosecond(Some(instant), None)
                .cast_to(&boathouse_bridge::arrow_type(to))
                .ok()
        }
        _ => {
            let local = match word {
                SpecialTime::Epoch => 0,
                SpecialTime::Now => clock.local(context.now_us),
                SpecialTime::Day(after) => day(after) * MICROS_PER_DAY,
            };
            Some(ScalarValue::TimestampMicrosecond(Some(local), None))
        }
    }
}
