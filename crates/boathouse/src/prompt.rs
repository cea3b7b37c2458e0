//! The interactive prompt: history, several lines a statement, completion of keywords and names.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Array, AsArray};
use boathouse_engine::Session;
use futures::TryStreamExt;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::runtime::Runtime;

use crate::arguments::Format;
use crate::embedded::Embedded;
use crate::exit::{Failure, Result};
use crate::sql::run_statement;

pub fn run(embedded: &Embedded, home: &Path, format: Format) -> Result<()> {
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
    let mut editor: Editor<Assistant<'_>, DefaultHistory> =
        Editor::with_config(config).map_err(|e| Failure::Failed(format!("The prompt cannot start: {e}")))?;
    editor.set_helper(Some(Assistant { runtime: &embedded.runtime, session: Arc::clone(&embedded.session) }));
    let history = home.join("history");
    // The first time there is none.
    let _ = editor.load_history(&history);
    println!("Boathouse {}. Statements end with a semicolon; Ctrl-D leaves.", env!("CARGO_PKG_VERSION"));
    loop {
        match editor.readline("boathouse> ") {
            Ok(text) => {
                let text = text.trim().to_string();
                if matches!(text.trim_end_matches(';').to_lowercase().as_str(), "exit" | "quit") {
                    break;
                }
                for statement in boathouse_sql::split_statements(&text) {
                    let started = Instant::now();
                    match run_statement(&embedded.runtime, &embedded.session, &statement, format) {
                        Ok(()) => println!("({:.3} s)\n", started.elapsed().as_secs_f64()),
                        Err(e) => eprintln!("{e}\n"),
                    }
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(Failure::Failed(format!("The prompt ended: {e}"))),
        }
    }
    let _ = editor.save_history(&history);
    Ok(())
}

/// What the prompt knows beside reading lines.
struct Assistant<'a> {
    runtime: &'a Runtime,
    session: Arc<Session>,
}

impl Assistant<'_> {
    /// Names of tables and views in the current schema.
    fn tables(&self) -> Vec<String> {
        let Ok(plan) = boathouse_sql::parse_statement("SHOW TABLES", &self.session.conf().parser_options()) else {
            return Vec::new();
        };
        let rows = self.runtime.block_on(async {
            let result = self.session.execute(plan).await.ok()?;
            result.stream.try_collect::<Vec<_>>().await.ok()
        });
        let mut names = Vec::new();
        for batch in rows.into_iter().flatten() {
            if let Some(column) = batch.column_by_name("tableName").and_then(|c| c.as_string_opt::<i32>().cloned()) {
                names.extend((0..column.len()).map(|i| column.value(i).to_string()));
            }
        }
        names
    }
}

impl Completer for Assistant<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        let word = &before[start..];
        if word.is_empty() {
            return Ok((start, Vec::new()));
        }
        let lower = word.to_lowercase();
        let upper_case = word.chars().all(|c| !c.is_lowercase());
        let mut found: Vec<String> = self.tables().into_iter().filter(|t| t.to_lowercase().starts_with(&lower)).collect();
        for keyword in boathouse_sql::keywords() {
            if keyword.word.to_lowercase().starts_with(&lower) {
                found.push(if upper_case { keyword.word.to_uppercase() } else { keyword.word.to_lowercase() });
            }
        }
        Ok((start, found.into_iter().map(|f| Pair { display: f.clone(), replacement: f }).collect()))
    }
}

impl Validator for Assistant<'_> {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let word = text.trim_end_matches(';').to_lowercase();
        if text.is_empty() || matches!(word.as_str(), "exit" | "quit") || boathouse_sql::is_complete(text) {
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
