//! `df.show()`: rows as a text table (Spark's `Dataset.showString` and `htmlString`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Relation, Result, StructField, StructType};
use unicode_width::UnicodeWidthChar;

use super::Analyzer;
use super::analyzed::Analyzed;

impl Analyzer {
    pub(super) fn show_string(
        &mut self,
        input: &Relation,
        rows: i32,
        truncate: i32,
        vertical: bool,
    ) -> Result<Analyzed> {
        let rows = rows.max(0) as usize;
        let (names, cells, more) = self.shown_cells(input, rows, truncate)?;
        let text = if vertical {
            vertical_text(&names, &cells, more, rows)
        } else {
            table_text(&names, &cells, more, rows, truncate)
        };
        self.single_string("show_string", text)
    }

    pub(super) fn html_string(&mut self, input: &Relation, rows: i32, truncate: i32) -> Result<Analyzed> {
        let rows = rows.max(0) as usize;
        let (names, cells, more) = self.shown_cells(input, rows, truncate)?;
        let mut html = String::from("<table border='1'>\n");
        let row = |html: &mut String, tag: &str, cells: &[String]| {
            html.push_str("<tr>");
            html.push_str(
                &cells.iter().map(|c| format!("<{tag}>{}</{tag}>", escape_html(c))).collect::<String>(),
            );
            html.push_str("</tr>\n");
        };
        row(&mut html, "th", &names);
        for c in &cells {
            row(&mut html, "td", c);
        }
        html.push_str("</table>\n");
        if more {
            html.push_str(&format!("{}\n", top_rows(rows)));
        }
        self.single_string("html_string", html)
    }

    /// Column names, the cells of the first rows, and whether there are more.
    fn shown_cells(
        &mut self,
        input: &Relation,
        rows: usize,
        truncate: i32,
    ) -> Result<(Vec<String>, Vec<Vec<String>>, bool)> {
        let analyzed = self.query(input)?;
        let names: Vec<String> = analyzed.output.iter().map(|a| escape(&a.name)).collect();
        let types: Vec<DataType> = analyzed.output.iter().map(|a| a.data_type.clone()).collect();
        let limited = super::limit::limited(analyzed, None, Some(rows as i64 + 1));
        let batches = self.collect(&limited)?;
        let mut cells: Vec<Vec<String>> = Vec::new();
        for batch in &batches {
            let columns: Vec<StringArray> = batch
                .columns()
                .iter()
                .zip(&types)
                .map(|(c, t)| boathouse_functions::cast::to_text(c, t, &self.context))
                .collect::<Result<Vec<_>>>()?;
            for i in 0..batch.num_rows() {
                // A column of VOID has no null buffer, and nothing but NULLs.
                let cell = |(c, t): (&StringArray, &DataType)| match c.is_null(i) || *t == DataType::Null {
                    true => "NULL".to_string(),
                    false => cut(&escape(c.value(i)), truncate),
                };
                cells.push(columns.iter().zip(&types).map(cell).collect());
            }
        }
        let more = cells.len() > rows;
        cells.truncate(rows);
        Ok((names, cells, more))
    }

    fn single_string(&mut self, name: &str, text: String) -> Result<Analyzed> {
        let schema = StructType::new(vec![StructField::new(name, DataType::STRING, false)]);
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let batch =
            RecordBatch::try_new(Arc::new(boathouse_bridge::arrow_schema(&schema)), vec![column]).spark()?;
        self.batches(&schema, vec![batch])
    }
}

/// Control characters are shown escaped, so that a row stays a line.
fn escape(text: &str) -> String {
    if !text.contains(|c: char| c.is_control()) {
        return text.to_string();
    }
    text.replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t")
        .replace('\u{b}', "\\v")
        .replace('\u{c}', "\\f")
        .replace('\u{8}', "\\b")
        .replace('\u{7}', "\\a")
}

/// At most `truncate` characters (0: all), the last three dots where that leaves room.
fn cut(text: &str, truncate: i32) -> String {
    let limit = truncate.max(0) as usize;
    if limit == 0 || text.chars().count() <= limit {
        return text.to_string();
    }
    if limit < 4 {
        return text.chars().take(limit).collect();
    }
    text.chars().take(limit - 3).chain("...".chars()).collect()
}

/// Columns on the terminal: East Asian wide characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c.width().unwrap_or(1) == 2 { 2 } else { 1 }).sum()
}

fn table_text(names: &[String], cells: &[Vec<String>], more: bool, rows: usize, truncate: i32) -> String {
    let widths: Vec<usize> = (0..names.len())
        .map(|i| cells.iter().map(|r| width(&r[i])).chain([width(&names[i]), 3]).max().unwrap_or(3))
        .collect();
    let rule: String = format!("+{}\n", widths.iter().map(|w| "-".repeat(*w) + "+").collect::<String>());
    let line = |row: &[String]| -> String {
        let parts: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| {
                let pad = " ".repeat(w - width(cell));
                if truncate > 0 { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
            })
            .collect();
        format!("|{}|\n", parts.join("|"))
    };
    let mut out = rule.clone();
    if names.is_empty() {
        out = "++\n".to_string();
        out.push_str("||\n++\n");
        for _ in cells {
            out.push_str("||\n");
        }
        out.push_str("++\n");
    } else {
        out.push_str(&line(names));
        out.push_str(&rule);
        for row in cells {
            out.push_str(&line(row));
        }
        out.push_str(&rule);
    }
    if more {
        out.push_str(&top_rows(rows));
    }
    out
}

/// The last line of what shows some of the rows.
fn top_rows(rows: usize) -> String {
    format!("only showing top {rows} {}", if rows == 1 { "row" } else { "rows" })
}

fn vertical_text(names: &[String], cells: &[Vec<String>], more: bool, rows: usize) -> String {
    let name_width = names.iter().map(|n| width(n)).chain([3]).max().unwrap_or(3);
    let value_width = cells.iter().flatten().map(|c| width(c)).chain([3]).max().unwrap_or(3);
    let mut out = String::new();
    for (i, row) in cells.iter().enumerate() {
        let header = format!("-RECORD {i}");
        let total = name_width + value_width + 5;
        out.push_str(&format!("{header}{}\n", "-".repeat(total.saturating_sub(header.len()))));
        for (name, cell) in names.iter().zip(row) {
            let pad_name = " ".repeat(name_width - width(name));
            let pad_value = " ".repeat(value_width - width(cell));
            out.push_str(&format!(" {name}{pad_name} | {cell}{pad_value} \n"));
        }
    }
    if cells.is_empty() {
        out.push_str("(0 rows)");
    } else if more {
        out.push_str(&top_rows(rows));
    }
    out
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_look_like_sparks() {
        let names = vec!["id".to_string(), "name".to_string()];
        let cells = vec![vec!["1".to_string(), "a".to_string()]];
        assert_eq!(
            table_text(&names, &cells, true, 1, 20),
            "+---+----+\n| id|name|\n+---+----+\n|  1|   a|\n+---+----+\nonly showing top 1 row"
        );
        assert_eq!(vertical_text(&names, &cells, false, 20), "-RECORD 0---\n id   | 1   \n name | a   \n");
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(cut("abcdefghij", 8), "abcde...");
        assert_eq!(cut("abcdefghij", 3), "abc");
        assert_eq!(cut("abc", 0), "abc");
    }
}
