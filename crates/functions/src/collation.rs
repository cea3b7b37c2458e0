//! `collate` and `collation`: UTF8_BINARY and UTF8_LCASE. Other collations are refused by name.

use std::sync::Arc;

use arrow::array::StringArray;
use boathouse_spec::{DataType, Error, Result, UTF8_BINARY};
use datafusion::scalar::ScalarValue;

use crate::{Call, Registry, Resolved, Want};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["collate"], collate);
    r.scalar(&["collation"], collation);
}

/// The type of a string in a collation.
pub fn collated(name: &str) -> Result<DataType> {
    let upper = name.to_uppercase();
    match upper.as_str() {
        UTF8_BINARY => Ok(DataType::STRING),
        "UTF8_LCASE" => Ok(DataType::String { collation: Some(upper) }),
        _ if known(&upper) => Err(Error::unsupported(format!("the collation {upper}"))),
        _ => Err(Error::new("COLLATION_INVALID_NAME")
            .param("collationName", name)
            .param("proposals", "UTF8_BINARY")
            .message(format!("There is no collation {name}."))),
    }
}

/// Names that Spark has: UNICODE and languages, with their suffixes.
fn known(name: &str) -> bool {
    let base = name.split('_').next().unwrap_or(name);
    let suffixes = ["CI", "AI", "CS", "AS", "RTRIM"];
    let language = base == "UNICODE" || (2..=3).contains(&base.len());
    let rest_ok = name.split('_').skip(1).all(|part| suffixes.contains(&part) || (2..=4).contains(&part.len()));
    (language && rest_ok) || name == "UTF8_BINARY_RTRIM" || name == "UTF8_LCASE_RTRIM"
}

fn collate(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::Str])?;
    let Some(ScalarValue::Utf8(Some(name))) = &call.args[1].constant else {
        return match call.args[1].constant {
            Some(_) => Err(Error::new("DATATYPE_MISMATCH.UNEXPECTED_NULL")
                .param("sqlExpr", format!("\"{}\"", call.sql()))
                .param("exprName", "`collation`")
                .message("The collation must not be null.")),
            None => Err(Error::new("NON_LITERAL_PIVOT_VALUES").message("The collation must be a constant.")),
        };
    };
    let t = collated(name)?;
    let nullable = call.nullable_as(&coerced[..1]);
    Ok(Resolved::new(coerced, t, nullable, |inputs| inputs.array(0)))
}

fn collation(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    let name = match &coerced[0] {
        DataType::String { collation: Some(c) } => c.clone(),
        _ => UTF8_BINARY.to_string(),
    };
    Ok(Resolved::new(coerced, DataType::STRING, false, move |inputs| {
        let text = format!("SYSTEM.BUILTIN.{name}");
        Ok(Arc::new(StringArray::from(vec![text.as_str(); inputs.rows()])))
    }))
}
