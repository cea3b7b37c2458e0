//! CSV with a header, quoted where needed (RFC 4180); NULL is an empty field.

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use boathouse_functions::{Context, cast};
use boathouse_spec::{Result, StructType};

pub fn render(schema: &StructType, batches: &[RecordBatch], context: &Context) -> Result<String> {
    let mut out = String::new();
    let names: Vec<String> = schema.names().into_iter().map(quoted).collect();
    out.push_str(&(names.join(",") + "\n"));
    for batch in batches {
        let columns: Vec<StringArray> = batch
            .columns()
            .iter()
            .zip(&schema.fields)
            .map(|(c, f)| cast::to_text(c, &f.data_type, context))
            .collect::<Result<_>>()?;
        for i in 0..batch.num_rows() {
            let cells: Vec<String> = columns
                .iter()
                .zip(batch.columns())
                .map(|(text, values)| if is_null(values, i) { String::new() } else { quoted(text.value(i)) })
                .collect();
            out.push_str(&(cells.join(",") + "\n"));
        }
    }
    Ok(out)
}

fn is_null(values: &ArrayRef, i: usize) -> bool {
    values.data_type().is_null() || values.is_null(i)
}

fn quoted(text: &str) -> String {
    // An empty string is quoted, so that it is not read as NULL.
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use boathouse_spec::{DataType, StructField};

    use super::*;

    #[test]
    fn null_is_empty_and_the_word_is_not() {
        let schema = StructType::new(vec![
            StructField::new("a,b", DataType::STRING, true),
            StructField::new("n", DataType::Null, true),
        ]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("NULL"), Some(""), Some("x\"y")]));
        let nulls: ArrayRef = Arc::new(arrow::array::NullArray::new(4));
        let batch =
            RecordBatch::try_from_iter_with_nullable([("a", texts, true), ("n", nulls, true)]).unwrap();
        let text = render(&schema, &[batch], &Context::default()).unwrap();
        assert_eq!(text, "\"a,b\",n\n,\nNULL,\n\"\",\n\"x\"\"y\",\n");
    }
}
