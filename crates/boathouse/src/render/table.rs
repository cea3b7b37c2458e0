//! The table that `df.show()` draws, numbers to the right, text to the left. Where it is wider than the terminal, each row
//! is drawn from top to bottom instead, as `df.show(vertical=True)` does.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use boathouse_functions::{Context, cast};
use boathouse_spec::{Result, StructType};
use unicode_width::UnicodeWidthStr;

use super::Limits;

pub fn render(
    schema: &StructType,
    batches: &[RecordBatch],
    limits: &Limits,
    context: &Context,
) -> Result<String> {
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if let Some(text) = document(batches) {
        return Ok(text);
    }
    let rows = cells(schema, batches, limits.rows.unwrap_or(total), context)?;
    let names: Vec<&str> = schema.names();
    let widths: Vec<usize> = (0..names.len())
        .map(|i| rows.iter().map(|r| r[i].width()).chain([names[i].width()]).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    let is_too_wide = limits.width.is_some_and(|w| widths.iter().map(|w| w + 3).sum::<usize>() + 1 > w);
    if is_too_wide && !rows.is_empty() {
        draw_vertical(&mut out, &names, &rows);
    } else if !names.is_empty() {
        draw(&mut out, schema, &names, &widths, &rows);
    }
    let unit = if total == 1 { "row" } else { "rows" };
    match rows.len() {
        shown if shown < total => out.push_str(&format!("{total} {unit}, the first {shown} shown\n")),
        _ => out.push_str(&format!("{total} {unit}\n")),
    }
    Ok(out)
}

/// A single value that has lines of its own, as EXPLAIN and SHOW CREATE TABLE give it, is shown as it is.
fn document(batches: &[RecordBatch]) -> Option<String> {
    let mut filled = batches.iter().filter(|b| b.num_rows() > 0);
    let (Some(batch), None) = (filled.next(), filled.next()) else { return None };
    if batch.num_rows() != 1 || batch.num_columns() != 1 {
        return None;
    }
    let text = batch.column(0).as_string_opt::<i32>()?.value(0);
    text.contains('\n').then(|| format!("{}\n", text.trim_end()))
}

/// The text of the first rows' values.
fn cells(
    schema: &StructType,
    batches: &[RecordBatch],
    limit: usize,
    context: &Context,
) -> Result<Vec<Vec<String>>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in batches {
        let batch = batch.slice(0, batch.num_rows().min(limit - rows.len()));
        let columns: Vec<StringArray> = batch
            .columns()
            .iter()
            .zip(&schema.fields)
            .map(|(c, f)| cast::to_text(c, &f.data_type, context))
            .collect::<Result<_>>()?;
        for i in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| cell(c, i)).collect());
        }
    }
    Ok(rows)
}

fn cell(column: &StringArray, i: usize) -> String {
    if column.is_null(i) {
        return "NULL".to_string();
    }
    // What would break the table's lines is written as in a program.
    let text = column.value(i);
    if text.contains(['\n', '\r', '\t']) {
        return text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    }
    text.to_string()
}

fn draw(out: &mut String, schema: &StructType, names: &[&str], widths: &[usize], rows: &[Vec<String>]) {
    let rule: String = widths.iter().map(|w| format!("+{}", "-".repeat(w + 2))).collect::<String>() + "+\n";
    out.push_str(&rule);
    for (name, width) in names.iter().zip(widths) {
        out.push_str(&format!("| {name}{} ", " ".repeat(width - name.width())));
    }
    out.push_str("|\n");
    out.push_str(&rule);
    for row in rows {
        for ((cell, width), field) in row.iter().zip(widths).zip(&schema.fields) {
            let pad = " ".repeat(width - cell.width());
            if field.data_type.is_numeric() {
                out.push_str(&format!("| {pad}{cell} "));
            } else {
                out.push_str(&format!("| {cell}{pad} "));
            }
        }
        out.push_str("|\n");
    }
    out.push_str(&rule);
}

fn draw_vertical(out: &mut String, names: &[&str], rows: &[Vec<String>]) {
    let name_width = names.iter().map(|n| n.width()).max().unwrap_or(0);
    for (i, row) in rows.iter().enumerate() {
        let title = format!("-RECORD {i}");
        out.push_str(&format!("{title}{}\n", "-".repeat((name_width + 12).saturating_sub(title.len()))));
        for (name, cell) in names.iter().zip(row) {
            out.push_str(&format!(" {name}{} | {cell}\n", " ".repeat(name_width - name.width())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};
    use boathouse_spec::{DataType, StructField};

    use super::*;

    fn shown(names: &[&str], columns: Vec<ArrayRef>, limits: &Limits) -> String {
        let fields = names.iter().zip(&columns).map(|(n, c)| {
            let t = if c.data_type().is_numeric() { DataType::Integer } else { DataType::STRING };
            StructField::new(*n, t, true)
        });
        let schema = StructType::new(fields.collect());
        let named = names.iter().zip(columns).map(|(n, c)| (*n, c, true));
        let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
        render(&schema, &[batch], limits, &Context::default()).unwrap()
    }

    fn people() -> Vec<ArrayRef> {
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec!["日本", "a\tb"])),
        ]
    }

    #[test]
    fn numbers_stand_right_and_wide_characters_are_counted() {
        let expected = "\
+------+------+
| id   | name |
+------+------+
|    1 | 日本 |
| NULL | a\\tb |
+------+------+
2 rows
";
        assert_eq!(shown(&["id", "name"], people(), &Limits::default()), expected);
    }

    #[test]
    fn a_table_wider_than_the_terminal_is_drawn_by_rows() {
        let limits = Limits { rows: Some(1), width: Some(10) };
        let text = shown(&["id", "name"], people(), &limits);
        assert_eq!(text, "-RECORD 0-------\n id   | 1\n name | 日本\n2 rows, the first 1 shown\n");
    }

    #[test]
    fn a_single_value_of_several_lines_is_shown_as_it_is() {
        let plan: ArrayRef = Arc::new(StringArray::from(vec!["a\n b\n\n"]));
        assert_eq!(shown(&["plan"], vec![plan], &Limits::default()), "a\n b\n");
    }
}
