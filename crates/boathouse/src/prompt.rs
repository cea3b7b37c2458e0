//! The interactive prompt: history, several lines a statement, completion of keywords and names.

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use arrow::array::{Array, AsArray};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::arguments::Format;
use crate::exit::{Failure, Result};
use crate::render::Limits;
use crate::sql::run_statement;
use crate::target::Target;

/// Rows of one answer that are shown; how many there are is said.
const SHOWN_ROWS: usize = 1000;

pub fn run(target: &dyn Target, remote: Option<&str>, home: &Path, format: Format) -> Result<()> {
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
    let failed = |e: ReadlineError| Failure::Failed(format!("The prompt cannot start: {e}"));
    let mut editor: Editor<Assistant<'_>, DefaultHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Assistant { target }));
    let history = home.join("history");
    // The first time there is none.
    let _ = editor.load_history(&history);
    let place = remote.map_or_else(|| home.display().to_string(), str::to_string);
    println!("Boathouse {} on {place}", env!("CARGO_PKG_VERSION"));
    println!("Statements end with a semicolon; Tab completes; Ctrl-C cancels; Ctrl-D leaves.");
    loop {
        match editor.readline("boathouse> ") {
            Ok(text) => {
                // At once, so that a prompt that is killed has not forgotten.
                let _ = editor.append_history(&history);
                let text = text.trim();
                if is_exit(text) {
                    break;
                }
                let width = editor.dimensions().map(|(columns, _)| usize::from(columns));
                run_all(target, text, format, &Limits { rows: Some(SHOWN_ROWS), width });
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(Failure::Failed(format!("The prompt ended: {e}"))),
        }
    }
    Ok(())
}

/// Runs what was typed; after an error the rest of the line is left.
fn run_all(target: &dyn Target, text: &str, format: Format, limits: &Limits) {
    for statement in boathouse_sql::split_statements(text) {
        let started = Instant::now();
        match run_statement(target, &statement, format, limits) {
            Ok(()) => println!("({:.3} s)\n", started.elapsed().as_secs_f64()),
            Err(failure) => {
                failure.report();
                eprintln!();
                return;
            }
        }
    }
}

fn is_exit(text: &str) -> bool {
    matches!(text.trim().trim_end_matches(';').trim_end().to_lowercase().as_str(), "exit" | "quit")
}

/// What the prompt knows beside reading lines.
struct Assistant<'a> {
    target: &'a dyn Target,
}

impl Assistant<'_> {
    /// Names that may stand after `qualifier.`, or alone: tables and views, and schemas where there is no qualifier.
    fn names(&self, qualifier: &str) -> Vec<String> {
        if qualifier.is_empty() {
            let mut names = self.column("SHOW TABLES", "tableName");
            names.extend(self.column("SHOW SCHEMAS", "namespace"));
            return names;
        }
        let mut names = self.column(&format!("SHOW TABLES IN {qualifier}"), "tableName");
        if names.is_empty() {
            names = self.column(&format!("SHOW SCHEMAS IN {qualifier}"), "namespace");
        }
        names
    }

    /// A column of text of a statement's rows; none where the statement fails.
    fn column(&self, statement: &str, name: &str) -> Vec<String> {
        let Ok(rows) = self.target.execute(statement) else { return Vec::new() };
        let Some(index) = rows.schema.fields.iter().position(|f| f.name == name) else { return Vec::new() };
        let mut found = Vec::new();
        for batch in &rows.batches {
            if let Some(column) = batch.column(index).as_string_opt::<i32>() {
                found.extend((0..column.len()).map(|i| column.value(i).to_string()));
            }
        }
        found
    }
}

impl Completer for Assistant<'_> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, qualifier, word) = word_before(&line[..position]);
        if word.is_empty() && qualifier.is_empty() {
            return Ok((start, Vec::new()));
        }
        let lower = word.to_lowercase();
        let mut found: Vec<String> = self.names(qualifier);
        found.retain(|name| name.to_lowercase().starts_with(&lower));
        if qualifier.is_empty() {
            // Keywords in the case the word was begun in.
            let is_lower = word.chars().any(char::is_lowercase);
            let keywords = boathouse_sql::keywords().into_iter().map(|k| k.word.to_uppercase());
            let matching = keywords.filter(|k| k.to_lowercase().starts_with(&lower));
            found.extend(matching.map(|k| if is_lower { k.to_lowercase() } else { k }));
        }
        found.sort();
        found.dedup();
        Ok((start, found.into_iter().map(|f| Pair { display: f.clone(), replacement: f }).collect()))
    }
}

/// The word that ends the text, where it starts, and the name before its dot (`sales.da` gives `sales` and `da`).
fn word_before(text: &str) -> (usize, &str, &str) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = text
        .rfind(|c: char| !is_word(c))
        .map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    let before = &text[..start];
    let Some(qualifiers) = before.strip_suffix('.') else { return (start, "", &text[start..]) };
    let from = qualifiers
        .rfind(|c: char| !is_word(c) && c != '.' && c != '`')
        .map_or(0, |i| i + qualifiers[i..].chars().next().map_or(1, char::len_utf8));
    (start, &qualifiers[from..], &text[start..])
}

impl Validator for Assistant<'_> {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        if text.is_empty() || is_exit(text) || boathouse_sql::is_complete(text) {
            return Ok(ValidationResult::Valid(None));
        }
        Ok(ValidationResult::Incomplete)
    }
}

impl Highlighter for Assistant<'_> {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Hinter for Assistant<'_> {
    type Hint = String;
}

impl Helper for Assistant<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_qualifiers() {
        assert_eq!(word_before("SELECT * FROM sa"), (14, "", "sa"));
        assert_eq!(word_before("SELECT * FROM demo.sa"), (19, "demo", "sa"));
        assert_eq!(word_before("FROM c.`my s`.t"), (14, "s`", "t"));
        assert_eq!(word_before("sel"), (0, "", "sel"));
        assert_eq!(word_before("'ü'||sel"), (6, "", "sel"));
        assert_eq!(word_before("FROM demo."), (10, "demo", ""));
    }

    #[test]
    fn leaving() {
        assert!(is_exit(" Exit ;") && is_exit("quit") && !is_exit("exit now"));
    }
}
