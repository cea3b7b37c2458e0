//! Types as functions: `int(x)` is `CAST(x AS INT)`. The analyzer shows the argument alone as the name.

use boathouse_spec::{DataType, Result};

use super::{Mode, can_cast, cast, may_give_null, special_time, type_error};
use crate::{Call, Registry, Resolved};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(
        &[
            "boolean",
            "tinyint",
            "smallint",
            "int",
            "bigint",
            "float",
            "double",
            "decimal",
            "date",
            "timestamp",
            "time",
            "binary",
            "string",
        ],
        resolve,
    );
}

/// The type that a function of its name casts to.
pub fn cast_function(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Byte,
        "smallint" => DataType::Short,
        "int" => DataType::Integer,
        "bigint" => DataType::Long,
        "float" => DataType::Float,
        "double" => DataType::Double,
        "decimal" => DataType::USER_DECIMAL,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        "time" => DataType::Time { precision: 6 },
        "binary" => DataType::Binary,
        "string" => DataType::STRING,
        _ => return None,
    })
}

fn resolve(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let to = cast_function(call.name).unwrap_or(DataType::STRING);
    let arg = &call.args[0];
    let from = arg.data_type.clone();
    let mode = Mode::of(call.context);
    if !can_cast(&from, &to, mode) {
        return Err(type_error(&from, &to, mode, &arg.sql));
    }
    let nullable = arg.nullable || (from != to && may_give_null(&from, &to, mode));
    Ok(resolved(call, from, to, nullable, mode).shown_bare(arg.sql.clone()))
}

/// The cast of a call's only argument, as the function that the call is resolved to.
pub(crate) fn resolved(call: &Call, from: DataType, to: DataType, nullable: bool, mode: Mode) -> Resolved {
    let special = call.args[0].constant.as_ref().and_then(|c| special_time(c, &to, call.context));
    if let Some(moment) = special {
        return Resolved::new(vec![from], to, nullable, move |inputs| {
            moment.to_array_of_size(inputs.rows()).map_err(boathouse_bridge::from_datafusion)
        })
        .telling_time();
    }
    let target = to.clone();
    Resolved::new(vec![from.clone()], to, nullable, move |inputs| {
        cast(&inputs.array(0)?, &from, &target, mode, inputs.context())
    })
}
