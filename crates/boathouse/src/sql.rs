//! `boathouse sql`: statements from the command line, a file, standard input or a prompt.

use std::io::{IsTerminal, Read, Write};

use crate::arguments::{Arguments, Format, SqlArguments};
use crate::exit::{Failure, Result};
use crate::render::{self, Limits};
use crate::target::{self, Target};
use crate::{home, logs, prompt};

pub fn run(arguments: &Arguments, sql: &SqlArguments) -> Result<()> {
    let text = text(sql)?;
    let home = home::open(arguments)?;
    let _logs = logs::start(&home, arguments.log_level);
    let remote = sql.remote.remote.as_deref();
    let target = target::open(remote, &home, arguments.memory_limit)?;
    match text {
        Some(text) => run_statements(target.as_ref(), &text, sql.format),
        None => prompt::run(target.as_ref(), remote, &home, sql.format),
    }
}

/// The statements to run; none where a person is to be asked.
fn text(sql: &SqlArguments) -> Result<Option<String>> {
    if let Some(text) = &sql.statements {
        return Ok(Some(text.clone()));
    }
    if let Some(file) = &sql.file {
        return match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text)),
            Err(e) => Err(Failure::Usage(format!("{} cannot be read: {e}", file.display()))),
        };
    }
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(e) => Err(Failure::Usage(format!("standard input cannot be read: {e}"))),
    }
}

/// Runs statements one after the other; the first that fails ends the run and is named.
pub fn run_statements(target: &dyn Target, text: &str, format: Format) -> Result<()> {
    let statements = boathouse_sql::split_statements(text);
    let many = statements.len() > 1;
    for statement in statements {
        if let Err(failure) = run_statement(target, &statement, format, &Limits::default()) {
            return Err(match failure {
                Failure::Failed(message) if many => {
                    Failure::Failed(format!("{message}\n\nThe statement that failed:\n{}", statement.trim()))
                }
                other => other,
            });
        }
    }
    Ok(())
}

/// Runs one statement and prints its rows.
pub fn run_statement(target: &dyn Target, statement: &str, format: Format, limits: &Limits) -> Result<()> {
    let rows = target.execute(statement)?;
    if rows.schema.fields.is_empty() {
        return Ok(());
    }
    let text = render::rows(&rows.schema, &rows.batches, format, limits, &target.context()?)?;
    // A reader that closed the pipe (`| head`) has what it wanted.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}
