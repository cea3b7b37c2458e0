//! Types as functions: `int(x)` is `CAST(x AS INT)`. The analyzer shows the argument alone as the name.

use boathouse_spec::{DataType, Result};

use super::{Mode, can_cast, cast, may_give_null, type_error};
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
        return Err(type_error(&from, &to, mode, &format!("CAST({} AS {})", arg.sql, to.sql())));
    }
    let nullable = arg.nullable || (from != to && may_give_null(&from, &to, mode));
    let wanted = to.clone();
    Ok(Resolved::new(vec![from.clone()], to, nullable, move |inputs| {
        cast(&inputs.array(0)?, &from, &wanted, mode, inputs.context())
    })
    .shown_bare(arg.sql.clone()))
}
