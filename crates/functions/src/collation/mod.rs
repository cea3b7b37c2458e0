//! Collations: their names, their order, and the functions `collate` and `collation`.

mod name;
mod order;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use boathouse_spec::{DataType, Error, Result, UTF8_BINARY};
use datafusion::scalar::ScalarValue;

pub use self::name::{Collation, Locale, all, locales};
pub(crate) use self::order::{Collator, collator};
use crate::{Call, Registry, Resolved, ShownArg, Want};

/// The collation of strings whose operands had different ones: it has to be said before they are compared.
pub const INDETERMINATE: &str = "null";

const UTF8_LCASE: &str = "UTF8_LCASE";

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["collate"], collate);
    r.scalar(&["collation"], collation);
    r.scalar(&["collation_key"], collation_key);
}

fn invalid_name(name: &str) -> Error {
    Error::new("COLLATION_INVALID_NAME")
        .param("collationName", name)
        .param("proposals", UTF8_BINARY)
        .message(format!("There is no collation {name}."))
}

/// The type of strings in a collation.
pub fn collated(name: &str) -> Result<DataType> {
    let collation = Collation::of(name).ok_or_else(|| invalid_name(name))?;
    Ok(match collation.is_binary() {
        true => DataType::STRING,
        false => DataType::String { collation: Some(collation.name()) },
    })
}

/// The collator of a string type, where its strings do not compare by their bytes.
pub(crate) fn collator_of(t: &DataType) -> Result<Option<Arc<Collator>>> {
    match t {
        DataType::String { collation: Some(name) } if name != INDETERMINATE => collator(name).map(Some),
        _ => Ok(None),
    }
}

fn collate(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    if !call.args[0].data_type.is_string() && call.args[0].data_type != DataType::Null {
        return Err(call.unexpected_input(0, "\"STRING\""));
    }
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
    // As it is written, but for the schema of all collations.
    let shown = name.rsplit('.').next().unwrap_or(name).to_string();
    let nullable = call.nullable_as(&coerced[..1]);
    let resolved = Resolved::new(coerced, t, nullable, |inputs| inputs.array(0));
    Ok(resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text(shown)]))
}

fn collation(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    if !call.args[0].data_type.is_string() && call.args[0].data_type != DataType::Null {
        return Err(call.unexpected_input(0, "\"STRING\""));
    }
    let coerced = call.want(&[Want::Str])?;
    let name = match &coerced[0] {
        DataType::String { collation: Some(c) } if c == INDETERMINATE => c.clone(),
        DataType::String { collation: Some(c) } => format!("SYSTEM.BUILTIN.{c}"),
        _ => format!("SYSTEM.BUILTIN.{UTF8_BINARY}"),
    };
    Ok(Resolved::new(coerced, DataType::STRING, false, move |inputs| {
        Ok(Arc::new(StringArray::from(vec![name.as_str(); inputs.rows()])))
    }))
}

/// Whether a pattern matches without regard of case: strings of UTF8_LCASE do. Patterns know no other collations (Spark's
/// `StringTypeBinaryLcase`). The first two arguments are the text and the pattern.
pub(crate) fn pattern_ignores_case(call: &Call) -> Result<bool> {
    let mut ignores_case = false;
    for (i, arg) in call.args.iter().enumerate().take(2) {
        let DataType::String { collation: Some(c) } = &arg.data_type else { continue };
        if c != UTF8_LCASE && c != INDETERMINATE {
            return Err(call.unexpected_input(i, "\"STRING\""));
        }
        ignores_case |= c == UTF8_LCASE;
    }
    Ok(ignores_case)
}

/// A string as bytes that compare as it does in its collation: what strings are grouped, joined and sorted by.
fn collation_key(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    let collator = collator_of(&coerced[0])?;
    let nullable = call.nullable_as(&coerced);
    let name = format!("{:?}", coerced[0]);
    Ok(Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let text = inputs.array(0)?;
        Ok(keys(&text, collator.as_deref()))
    })
    .with_parameters(name))
}

/// Strings of a collated type as their keys, other values as they are.
pub(crate) fn by_collation(values: &ArrayRef, t: &DataType) -> Result<ArrayRef> {
    Ok(match collator_of(t)? {
        Some(collator) => keys(values, Some(&collator)),
        None => Arc::clone(values),
    })
}

/// The keys of a column of strings.
pub(crate) fn keys(text: &ArrayRef, collator: Option<&Collator>) -> ArrayRef {
    let text = text.as_string::<i32>();
    let key = |row: usize| match collator {
        Some(c) => c.key(text.value(row)),
        None => text.value(row).as_bytes().into(),
    };
    Arc::new((0..text.len()).map(|row| text.is_valid(row).then(|| key(row))).collect::<BinaryArray>())
}
