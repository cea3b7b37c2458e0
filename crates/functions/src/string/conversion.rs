//! `to_number`, `to_char` and `to_varchar`.

use std::sync::Arc;

use arrow::array::{Decimal128Array, Decimal128Builder};
use arrow::datatypes::Decimal128Type;
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::number_pattern::NumberPattern;
use crate::apply::text_rows;
use crate::coercion::{decimal_of, implicit_cast};
use crate::{Arg, Call, Registry, Resolved, Want, registry};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["to_number"], |c| to_number(c, false));
    r.scalar(&["try_to_number"], |c| to_number(c, true));
    r.scalar(&["to_char", "to_varchar"], to_char);
}

/// The constant format; `None` for NULL.
fn format_of(call: &Call) -> Result<Option<String>> {
    let arg = &call.args[1];
    let Some(target) = implicit_cast(&arg.data_type, &Want::Str, call.context) else {
        return Err(call.unexpected_input(1, "\"STRING\""));
    };
    let Some(format) = &arg.constant else {
        return Err(crate::mismatch::not_constant(call, 1, "format", "STRING"));
    };
    Ok(match crate::cast::constant(format, &arg.data_type, &target, call.context)? {
        ScalarValue::Utf8(text) => text,
        _ => None,
    })
}

fn to_number(call: &Call, tolerant: bool) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::Str])?;
    let Some(format) = format_of(call)? else {
        let t = DataType::USER_DECIMAL;
        return Ok(Resolved::new(coerced, t.clone(), true, move |inputs| {
            Ok(arrow::array::new_null_array(&boathouse_bridge::arrow_type(&t), inputs.rows()))
        }));
    };
    let pattern = NumberPattern::parse(&format)?;
    let nullable = tolerant || call.nullable_as(&coerced);
    let t = pattern.decimal_type();
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut out = Decimal128Builder::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            match text.get(row).map(|s| (s, pattern.read(s))) {
                None => out.append_null(),
                Some((_, Some(v))) => out.append_value(v),
                Some(_) if tolerant => out.append_null(),
                Some((s, None)) => {
                    return Err(Error::new("INVALID_FORMAT.MISMATCH_INPUT")
                        .param("inputType", "\"STRING\"")
                        .param("input", s)
                        .param("format", pattern.text())
                        .message(format!("'{s}' does not match the format '{}'.", pattern.text())));
                }
            }
        }
        let precision = pattern.precision.max(1) as u8;
        let out: Decimal128Array =
            out.finish().with_precision_and_scale(precision, pattern.scale as i8).map_err(from_arrow)?;
        Ok(Arc::new(out))
    }))
}

/// Of a date or timestamp `date_format`, of a binary an encoding, of a number a number format.
fn to_char(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    match &call.args[0].data_type {
        DataType::Date | DataType::Timestamp | DataType::TimestampNtz | DataType::Time { .. } => {
            delegate(call, "date_format", call.args)
        }
        DataType::Binary => {
            let Some(format) = format_of(call)? else {
                return Err(crate::mismatch::unexpected_null(call, "format"));
            };
            let first = &call.args[..1];
            let resolved = match format.to_lowercase().trim() {
                "base64" => pad(delegate(call, "base64", first)?),
                "hex" => pad(delegate(call, "hex", first)?),
                "utf-8" => delegate(call, "decode", call.args)?,
                _ => {
                    return Err(Error::new("INVALID_PARAMETER_VALUE.BINARY_FORMAT")
                        .param("functionName", format!("`{}`", call.name))
                        .param("parameter", "`format`")
                        .param("invalidFormat", format!("'{format}'"))
                        .message(format!(
                            "`{}` knows the formats base64, hex and utf-8, not '{format}'.",
                            call.name
                        )));
                }
            };
            Ok(match call.name {
                "to_varchar" => resolved.shown_bare(format!("to_varchar({})", call.args[0].sql)),
                _ => resolved,
            })
        }
        _ => number_to_char(call),
    }
}

/// Another function of the registry, under its own name.
fn delegate(call: &Call, name: &'static str, args: &[Arg]) -> Result<Resolved> {
    for entry in registry().get(name) {
        if let crate::Entry::Scalar(resolve) = entry {
            let resolved = resolve(&Call { name, args, context: call.context })?;
            let shown = args.iter().map(|a| a.sql.as_str()).collect::<Vec<_>>().join(", ");
            return Ok(resolved.shown_bare(format!("{name}({shown})")));
        }
    }
    Err(Error::internal(format!("there is no function {name}")))
}

/// The format argument is passed over by a function of one argument.
fn pad(mut resolved: Resolved) -> Resolved {
    resolved.coerced.push(DataType::STRING);
    resolved
}

fn number_to_char(call: &Call) -> Result<Resolved> {
    let format = format_of(call)?;
    let t = match &call.args[0].data_type {
        t if t.is_numeric() => decimal_of(t),
        _ => call.want(&[Want::Decimal, Want::Str])?[0].clone(),
    };
    let coerced = vec![t.clone(), DataType::STRING];
    let shown = format!("to_char({}, {})", call.args[0].sql, call.args[1].sql);
    let Some(format) = format else {
        return Ok(Resolved::new(coerced, DataType::STRING, true, |inputs| {
            Ok(arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8, inputs.rows()))
        })
        .shown_bare(shown));
    };
    let pattern = NumberPattern::parse(&format)?;
    let nullable = call.nullable_as(&coerced);
    let DataType::Decimal { scale, .. } = t else { return Err(Error::internal("no decimal")) };
    Ok(Resolved::new(coerced, DataType::STRING, nullable, move |inputs| {
        let numbers = inputs.numbers::<Decimal128Type>(0)?;
        text_rows(inputs.rows(), |row, out| Ok(numbers.get(row).map(|v| pattern.write(v, scale, out))))
    })
    .shown_bare(shown))
}
