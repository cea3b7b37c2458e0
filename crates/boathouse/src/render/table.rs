//! The table that `df.show()` draws, numbers to the right, text to the left, nothing cut.

use arrow::array::{Array, RecordBatch, StringArray};
use boathouse_functions::{Context, cast};
use boathouse_spec::{Result, StructType};
use unicode_width::UnicodeWidthStr;

pub fn render(schema: &StructType, batches: &[RecordBatch], context: &Context) -> Result<String> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in batches {
        let columns: Vec<StringArray> = batch
            .columns()
            .iter()
            .zip(&schema.fields)
            .map(|(c, f)| cast::to_text(c, &f.data_type, context))
            .collect::<Result<_>>()?;
        for i in 0..batch.num_rows() {
            let cell = |c: &StringArray| if c.is_null(i) { "NULL".to_string() } else { c.value(i).replace('\n', "\\n") };
            rows.push(columns.iter().map(cell).collect());
        }
    }
    let names: Vec<&str> = schema.names();
    let widths: Vec<usize> =
        (0..names.len()).map(|i| rows.iter().map(|r| r[i].width()).chain([names[i].width()]).max().unwrap_or(0)).collect();
    let rule: String = widths.iter().map(|w| format!("+{}", "-".repeat(w + 2))).collect::<String>() + "+\n";
    let line = |cells: &[String], header: bool| -> String {
        let mut out = String::new();
        for ((cell, w), field) in cells.iter().zip(&widths).zip(&schema.fields) {
            let pad = " ".repeat(w - cell.width());
            if field.data_type.is_numeric() && !header {
                out.push_str(&format!("| {pad}{cell} "));
            } else {
                out.push_str(&format!("| {cell}{pad} "));
            }
        }
        out + "|\n"
    };
    let mut out = String::new();
    if !names.is_empty() {
        out.push_str(&rule);
        out.push_str(&line(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>(), true));
        out.push_str(&rule);
        for row in &rows {
            out.push_str(&line(row, false));
        }
        out.push_str(&rule);
    }
    out.push_str(&format!("{} {}\n", rows.len(), if rows.len() == 1 { "row" } else { "rows" }));
    Ok(out)
}
