//! `to_variant_object`: structs, arrays and maps as variants (a plain CAST takes no structs and no maps).

use boathouse_spec::{DataType, Error, Result};

use super::to_variants;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["to_variant_object"], to_variant_object);
}

fn to_variant_object(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let given = call.args[0].data_type.clone();
    let nested = matches!(given, DataType::Struct(_) | DataType::Array { .. } | DataType::Map { .. });
    if !nested || !storable(&given) {
        return Err(Error::new("DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("srcType", format!("\"{}\"", given.sql()))
            .param("targetType", "\"VARIANT\"")
            .message(format!("{} cannot become a VARIANT object.", given.sql())));
    }
    let from = given.clone();
    Ok(Resolved::new(vec![given], DataType::Variant, call.any_nullable(), move |inputs| {
        to_variants(&inputs.array(0)?, &from)
    }))
}

/// Whether variants can hold values of the type.
fn storable(t: &DataType) -> bool {
    match t {
        DataType::Array { element, .. } => storable(element),
        DataType::Map { key, value, .. } => key.is_string() && storable(value),
        DataType::Struct(s) => s.fields.iter().all(|f| storable(&f.data_type)),
        DataType::Null | DataType::Time { .. } | DataType::Udt { .. } => false,
        t => !t.is_interval(),
    }
}
