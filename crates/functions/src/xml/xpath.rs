//! `xpath`, `xpath_string`, `xpath_boolean`, and the numeric ones.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, ListBuilder, StringBuilder, new_null_array,
};
use boathouse_bridge::arrow_type;
use boathouse_formats::xml::{Document, Kind};
use boathouse_spec::{DataType, Error, Result};

use super::evaluate::{Value, boolean_of, evaluate, number_of, text_of};
use super::expression::{self, Expression};
use crate::datetime::constant_text;
use crate::{Call, Inputs, Registry, Resolved, Want, mismatch};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["xpath"], |c| xpath(c, DataType::array(DataType::STRING, true)));
    r.scalar(&["xpath_string"], |c| xpath(c, DataType::STRING));
    r.scalar(&["xpath_boolean"], |c| xpath(c, DataType::Boolean));
    r.scalar(&["xpath_double"], |c| xpath(c, DataType::Double));
    r.scalar(&["xpath_number"], |c| xpath(c, DataType::Double));
    r.scalar(&["xpath_float"], |c| xpath(c, DataType::Float));
    r.scalar(&["xpath_long"], |c| xpath(c, DataType::Long));
    r.scalar(&["xpath_int"], |c| xpath(c, DataType::Integer));
    r.scalar(&["xpath_short"], |c| xpath(c, DataType::Short));
}

fn xpath(call: &Call, to: DataType) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.exactly(&[Want::Str])?;
    let Some(path) = constant_text(call, 1) else {
        return Err(mismatch::not_constant(call, 1, "path", "STRING"));
    };
    // As the empty text, the empty path gives NULL.
    let expression = match path.as_ref().filter(|path| !path.is_empty()) {
        None => None,
        Some(path) => Some(
            expression::parse(path)
                .ok_or_else(|| failed(call.name, format!("'{path}' is no XPath expression")))?,
        ),
    };
    let name = call.name.to_string();
    let wanted = to.clone();
    Ok(Resolved::new(coerced, to, true, move |inputs| match &expression {
        Some(expression) => search(inputs, expression, &wanted, &name),
        None => Ok(new_null_array(&arrow_type(&wanted), inputs.rows())),
    }))
}

fn failed(function: &str, why: String) -> Error {
    Error::new("FAILED_FUNCTION_CALL")
        .param("funcName", format!("`{function}`"))
        .message(format!("`{function}`: {why}."))
}

fn search(inputs: &Inputs, expression: &Expression, to: &DataType, function: &str) -> Result<ArrayRef> {
    let texts = inputs.strings(0)?;
    // NULL and the empty text give NULL.
    let found = |row: usize| -> Result<Option<(Document, Value)>> {
        if texts.is_null(row) || texts.value(row).is_empty() {
            return Ok(None);
        }
        let text = texts.value(row);
        let document =
            Document::parse(text, true).ok_or_else(|| failed(function, format!("'{text}' is no XML")))?;
        let value = evaluate(&document, expression)
            .ok_or_else(|| failed(function, "the expression takes as nodes what are none".into()))?;
        Ok(Some((document, value)))
    };
    let rows = texts.len();
    macro_rules! collect {
        ($builder:ty, $value:expr) => {{
            let mut out = <$builder>::with_capacity(rows);
            for row in 0..rows {
                out.append_option(found(row)?.map($value));
            }
            Arc::new(out.finish()) as ArrayRef
        }};
    }
    let number = |(document, value): (Document, Value)| number_of(&document, &value);
    Ok(match to {
        DataType::Boolean => collect!(BooleanBuilder, |(_, value)| boolean_of(&value)),
        DataType::Double => collect!(Float64Builder, number),
        DataType::Float => collect!(Float32Builder, |f| number(f) as f32),
        DataType::Long => collect!(Int64Builder, |f| number(f) as i64),
        DataType::Integer => collect!(Int32Builder, |f| number(f) as i32),
        // Java goes by way of 32 bits.
        DataType::Short => collect!(Int16Builder, |f| number(f) as i32 as i16),
        DataType::Array { .. } => {
            let mut out = ListBuilder::new(StringBuilder::new());
            for row in 0..rows {
                let Some((document, value)) = found(row)? else {
                    out.append(false);
                    continue;
                };
                let Value::Nodes(nodes) = value else {
                    return Err(failed(function, "the expression gives no nodes".into()));
                };
                for node in nodes {
                    let node = &document.nodes[node];
                    match node.kind {
                        // Elements have no value of their own.
                        Kind::Root | Kind::Element => out.values().append_null(),
                        _ => out.values().append_value(&node.value),
                    }
                }
                out.append(true);
            }
            Arc::new(out.finish())
        }
        _ => {
            let mut out = StringBuilder::with_capacity(rows, rows * 16);
            for row in 0..rows {
                out.append_option(found(row)?.map(|(document, value)| text_of(&document, &value)));
            }
            Arc::new(out.finish())
        }
    })
}
