//! CSV with a header, quoted where needed (RFC 4180); NULL is an empty field.

use arrow::array::{Array, RecordBatch, StringArray};
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
            let cells: Vec<String> =
                columns.iter().map(|c| if c.is_null(i) { String::new() } else { quoted(c.value(i)) }).collect();
            out.push_str(&(cells.join(",") + "\n"));
        }
    }
    Ok(out)
}

fn quoted(text: &str) -> String {
    // An empty string is quoted, so that it is not read as NULL.
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}
