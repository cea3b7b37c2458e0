//! CAST between Spark types, in its three modes.
//!
//! `rules.rs` says which casts exist; the other files do them: `number.rs` between numbers, `from_string.rs` and
//! `parse_*.rs` out of strings, `text.rs` into strings, `datetime.rs` and `interval.rs` for time, `nested.rs` for arrays,
//! maps and structs.

pub mod calendar;
mod call;
mod datetime;
pub mod decimal;
pub mod failure;
mod from_string;
mod interval;
pub mod interval_text;
mod nested;
mod number;
pub mod parse_datetime;
pub mod parse_number;
mod rules;
mod special_time;
pub mod text;
pub mod zone;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, new_null_array};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use crate::Context;
use crate::scalar::conform;

pub use call::cast_function;
pub(crate) use call::{register, resolved};
use rules::stored;
pub use rules::{can_cast, can_store_assign, can_up_cast, is_up_cast, may_give_null, type_error};
pub use special_time::special_time;
use text::Style;
use zone::Zone;

/// What a value that cannot be cast becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// An error.
    Ansi,
    /// NULL, or a wrapped number (`spark.sql.ansi.enabled` off).
    Legacy,
    /// NULL (`TRY_CAST`), by the rules of ANSI.
    Try,
}

impl Mode {
    /// The mode of CAST in the session.
    pub fn of(context: &Context) -> Self {
        if context.ansi { Self::Ansi } else { Self::Legacy }
    }
}

/// Casts an array. `array` has the Arrow type of `from`, the result that of `to`.
pub fn cast(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    context: &Context,
) -> Result<ArrayRef> {
    let wanted = arrow_type(to);
    let out = if stored(from) == stored(to) {
        Arc::clone(array)
    } else if *array.data_type() == arrow::datatypes::DataType::Null || array.null_count() == array.len() {
        return Ok(new_null_array(&wanted, array.len()));
    } else {
        convert(array, stored(from), stored(to), mode, context)?
    };
    conform(out, &wanted)
}

/// A constant as CAST makes it.
pub(crate) fn constant(
    value: &ScalarValue,
    from: &DataType,
    to: &DataType,
    context: &Context,
) -> Result<ScalarValue> {
    let array = value.to_array().spark()?;
    let array = cast(&array, from, to, Mode::of(context), context)?;
    ScalarValue::try_from_array(&array, 0).spark()
}

fn convert(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    context: &Context,
) -> Result<ArrayRef> {
    use DataType::*;
    match (from, to) {
        (f, t) if f.is_string() && t.is_string() => from_string::to_length(array, t),
        // The form is the same for all systems.
        (f, t) if f.is_spatial() && t.is_spatial() => Ok(Arc::clone(array)),
        (Variant, to) => {
            let variants = crate::variant::Variants::of(array)?;
            let values: Vec<_> = variants.iter().collect();
            crate::variant::from_variants(&values, to, mode != Mode::Try, context)
        }
        (from, Variant) => crate::variant::to_variants(array, from),
        (_, t) if t.is_string() => {
            let style = Style { pretty: false, plain_decimals: context.ansi, zone: Zone::of(context) };
            let text: ArrayRef = Arc::new(text::to_strings(array, from, &style)?);
            from_string::to_length(&text, t)
        }
        (f, _) if f.is_string() => from_string::cast_string(array, from, to, mode, context),
        (f, t) if (f.is_numeric() || *f == Boolean) && (t.is_numeric() || *t == Boolean) => {
            number::cast_number(array, from, to, mode)
        }
        (_, YearMonthInterval { .. } | DayTimeInterval { .. })
        | (YearMonthInterval { .. } | DayTimeInterval { .. }, _) => {
            interval::cast_interval(array, from, to, mode)
        }
        (f, Binary) if f.is_integral() => number::to_binary(array, f),
        (Date | Timestamp | TimestampNtz | Time { .. }, _)
        | (_, Date | Timestamp | TimestampNtz | Time { .. }) => {
            datetime::cast_datetime(array, from, to, mode, context)
        }
        (Array { .. } | Map { .. } | Struct(_), _) => nested::cast_nested(array, from, to, mode, context),
        _ => Err(not_supported(from, to)),
    }
}

fn not_supported(from: &DataType, to: &DataType) -> Error {
    Error::unsupported(format!("the cast of {} to {}", from.sql(), to.sql()))
}

/// Values as `show()` prints them: never NULL (`NULL` is written), binaries as `[41 42]`.
pub fn to_text(array: &ArrayRef, t: &DataType, context: &Context) -> Result<StringArray> {
    let style = Style { pretty: true, plain_decimals: true, zone: Zone::of(context) };
    let out = text::to_strings(array, t, &style)?;
    if out.null_count() == 0 {
        return Ok(out);
    }
    Ok(out.iter().map(|v| Some(v.unwrap_or("NULL"))).collect())
}
