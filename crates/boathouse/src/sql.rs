//! `boathouse sql`: statements from the command line, a file, standard input or a prompt.

use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use boathouse_engine::Session;
use boathouse_spec::{Command, Error, Plan, StructType};
use futures::TryStreamExt;
use tokio::runtime::Runtime;

use crate::arguments::{Arguments, Format, SqlArguments};
use crate::embedded::Embedded;
use crate::exit::{Failure, Result};
use crate::{home, logs, prompt, remote, render};

pub fn run(arguments: &Arguments, sql: &SqlArguments) -> Result<()> {
    let text = match (&sql.statements, &sql.file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(file)) => Some(
            std::fs::read_to_string(file)
                .map_err(|e| Failure::Usage(format!("{} cannot be read: {e}", file.display())))?,
        ),
        (None, None) if !std::io::stdin().is_terminal() => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|e| Failure::Usage(format!("standard input cannot be read: {e}")))?;
            Some(text)
        }
        (None, None) => None,
    };
    if let Some(address) = &sql.remote.remote {
        return remote::sql(address, text.as_deref(), sql.format);
    }
    let home = home::open(arguments)?;
    let _logs = logs::start(&home, arguments.log_level);
    let embedded = Embedded::open(&home)?;
    match text {
        Some(text) => run_statements(&embedded.runtime, &embedded.session, &text, sql.format),
        None => prompt::run(&embedded, &home, sql.format),
    }
}

/// Runs statements one after the other; the first that fails ends the run and is named.
pub fn run_statements(runtime: &Runtime, session: &Arc<Session>, text: &str, format: Format) -> Result<()> {
    let statements = boathouse_sql::split_statements(text);
    let many = statements.len() > 1;
    for statement in statements {
        if let Err(e) = run_statement(runtime, session, &statement, format) {
            let shown = if many { format!("\n\nThe statement that failed:\n{}", statement.trim()) } else { String::new() };
            return Err(Failure::Failed(format!("{e}{shown}")));
        }
    }
    Ok(())
}

/// Runs one statement and prints its rows.
pub fn run_statement(runtime: &Runtime, session: &Arc<Session>, statement: &str, format: Format) -> Result<(), Error> {
    let plan = boathouse_sql::parse_statement(statement, &session.conf().parser_options())?;
    let silent = matches!(&plan, Plan::Command(c) if is_silent(c));
    let (schema, batches) = runtime.block_on(async {
        let result = session.execute(plan).await?;
        let schema = result.schema.clone();
        let batches: Vec<RecordBatch> =
            result.stream.try_collect().await.map_err(boathouse_bridge::from_datafusion)?;
        Ok::<_, Error>((schema, batches))
    })?;
    if silent && schema.fields.is_empty() {
        return Ok(());
    }
    print(session, &schema, &batches, format)
}

fn print(session: &Session, schema: &StructType, batches: &[RecordBatch], format: Format) -> Result<(), Error> {
    let text = render::rows(schema, batches, format, &session.conf().function_context()?)?;
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe (`| head`) has what it wanted.
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

/// Commands whose empty result is not worth a table.
fn is_silent(command: &Command) -> bool {
    !matches!(command, Command::Explain { .. })
}
