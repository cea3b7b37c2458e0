//! `json_tuple(json, field, ...)`: fields of an object as columns, one row for each text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as ArrowType, Field};
use boathouse_bridge::arrow_type;
use boathouse_formats::json::{Scanner, Start, SyntaxError, copy_value};
use boathouse_spec::{DataType, Error, Result, StructField};

use super::{LENIENCY, is_marked};
use crate::string::string_like;
use crate::{GeneratorCall, Inputs, Registry, Resolved, ResolvedGenerator};

pub(super) fn register(r: &mut Registry) {
    r.generator(&["json_tuple"], json_tuple);
}

fn json_tuple(generator: &GeneratorCall) -> Result<ResolvedGenerator> {
    let call = &generator.call;
    call.arity(2..=usize::MAX)?;
    if !call.args.iter().all(|a| a.data_type.is_string()) {
        return Err(Error::new("DATATYPE_MISMATCH.NON_STRING_TYPE")
            .param("funcName", "`json_tuple`")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .message(format!("Cannot resolve \"{}\": every argument must be a string.", call.sql())));
    }
    let t = string_like(&call.args[0].data_type);
    let columns: Vec<StructField> =
        (0..call.args.len() - 1).map(|i| StructField::new(format!("c{i}"), t.clone(), true)).collect();
    let row = DataType::structure(columns.clone());
    let list = DataType::array(row.clone(), false);
    let coerced = vec![DataType::STRING; call.args.len()];
    let scalar = Resolved::new(coerced, list, false, move |inputs| tuples(inputs, &row));
    Ok(ResolvedGenerator { scalar, columns, struct_elements: true, outer: false })
}

fn tuples(inputs: &Inputs, row: &DataType) -> Result<ArrayRef> {
    let texts = inputs.strings(0)?;
    let names = (1..inputs.len()).map(|i| inputs.strings(i)).collect::<Result<Vec<StringArray>>>()?;
    let rows = inputs.rows();
    let mut columns: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
    let mut values: Vec<Option<String>> = vec![None; names.len()];
    for (i, text) in texts.iter().enumerate() {
        values.fill(None);
        let wanted = |n: usize| names.get(n).filter(|a| a.is_valid(i)).map(|a| a.value(i));
        if let Some(text) = text {
            // What was found before a text turns out to be no JSON does not count.
            if !read(text, names.len(), wanted, &mut values).unwrap_or(false) {
                values.fill(None);
            }
        }
        for (column, value) in columns.iter_mut().zip(&values) {
            column.append_option(value.as_deref());
        }
    }
    let ArrowType::Struct(fields) = arrow_type(row) else {
        return Err(Error::internal("json_tuple gives structs"));
    };
    let columns = columns.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef).collect();
    let structs = StructArray::new(fields, columns, None);
    let item = Arc::new(Field::new("item", arrow_type(row), false));
    Ok(Arc::new(ListArray::new(item, OffsetBuffer::from_repeated_length(1, rows), Arc::new(structs), None)))
}

/// Whether the text is an object; and the values of the wanted fields.
fn read<'n>(
    text: &str,
    count: usize,
    wanted: impl Fn(usize) -> Option<&'n str>,
    values: &mut [Option<String>],
) -> Result<bool, SyntaxError> {
    let mut scanner = Scanner::new(text, LENIENCY);
    if is_marked(text) || scanner.start()? != Start::Object {
        return Ok(false);
    }
    scanner.open();
    let (mut first, mut scratch, mut words) = (true, Vec::new(), Vec::new());
    while let Some(name) = scanner.next_field(first, &mut scratch)? {
        first = false;
        let matches: Vec<usize> =
            (0..count).filter(|n| wanted(*n).is_some_and(|w| w.as_bytes() == name)).collect();
        match scanner.start()? {
            _ if matches.is_empty() => scanner.skip_value()?,
            Start::Null => scanner.word("null")?,
            Start::Text(quote) => {
                let text = String::from_utf8_lossy(scanner.text_slice(quote, &mut words)?).into_owned();
                for n in matches {
                    values[n] = Some(text.clone());
                }
            }
            _ => {
                let mut text = String::new();
                copy_value(&mut scanner, &mut text)?;
                for n in matches {
                    values[n] = Some(text.clone());
                }
            }
        }
    }
    Ok(true)
}
