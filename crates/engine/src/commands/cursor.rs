//! Statements about the cursors of a script (Spark's `OpenCursorExec`, `FetchCursorExec`, `CloseCursorExec`).

use std::sync::Arc;

use boathouse_spec::{CursorStatement, Error, Expr, Name, Plan, Relation, RelationNode, Result, quote};

use crate::commands::variable::Receivers;
use crate::commands::{evaluate, execute_immediate};
use crate::script::cursor::Cursor;
use crate::script::scope;
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, statement: CursorStatement) -> Result<QueryResult> {
    match statement {
        CursorStatement::Declare { name, query } => {
            if !scope::in_script() {
                return Err(outside_script());
            }
            scope::declare_cursor(Cursor::new(name, query))?;
        }
        CursorStatement::Open { name, using } => {
            let cursor = meant(&name)?;
            let mut rows = cursor.rows.lock().await;
            if rows.is_some() {
                let name = quote(&cursor.name);
                return Err(Error::new("CURSOR_ALREADY_OPEN")
                    .param("cursorName", &name)
                    .message(format!("The cursor {name} is open already."))
                    .exception("AnalysisException"));
            }
            let using = unnamed_variables(session, using).await?;
            let text = execute_immediate::arguments(session, cursor.query.clone(), using).await?;
            let query = Plan::Query(Relation::new(RelationNode::Sql(text)));
            *rows = Some(session.execute_here(query).await?.into());
        }
        CursorStatement::Fetch { name, into } => {
            let receivers = Receivers::of(session, &into)?;
            let cursor = meant(&name)?;
            let mut rows = cursor.rows.lock().await;
            let rows = rows.as_mut().ok_or_else(|| not_open(&cursor))?;
            let Some(row) = rows.next_values().await? else {
                let name = quote(&cursor.name);
                return Err(Error::new("CURSOR_NO_MORE_ROWS")
                    .param("cursorName", &name)
                    .message(format!("The cursor {name} has no more rows."))
                    .exception("AnalysisException"));
            };
            receivers.take(session, row).await?;
        }
        CursorStatement::Close { name } => {
            let cursor = meant(&name)?;
            cursor.rows.lock().await.take().ok_or_else(|| not_open(&cursor))?;
        }
    }
    Ok(QueryResult::empty())
}

/// Other than for EXECUTE IMMEDIATE a variable does not go by its own name.
async fn unnamed_variables(session: &Arc<Session>, using: Vec<Expr>) -> Result<Vec<Expr>> {
    let mut values = Vec::with_capacity(using.len());
    for expr in using {
        values.push(match expr {
            Expr::Column(_) => Expr::Literal(evaluate::literal(session, expr).await?),
            other => other,
        });
    }
    Ok(values)
}

/// The cursor that `c` or `label.c` means.
fn meant(name: &Name) -> Result<Arc<Cursor>> {
    if !scope::in_script() {
        return Err(outside_script());
    }
    let shown = name.join(".");
    if name.len() > 2 {
        return Err(Error::new("CURSOR_REFERENCE_INVALID_QUALIFIER")
            .param("cursorName", &shown)
            .message(format!("{shown} is no name of a cursor: at most a label stands before that."))
            .exception("ParseException"));
    }
    scope::cursor(name).ok_or_else(|| {
        Error::new("CURSOR_NOT_FOUND")
            .param("cursorName", &shown)
            .message(format!("There is no cursor {shown} in the current scope."))
            .exception("AnalysisException")
    })
}

fn not_open(cursor: &Cursor) -> Error {
    let name = quote(&cursor.name);
    Error::new("CURSOR_NOT_OPEN")
        .param("cursorName", &name)
        .message(format!("The cursor {name} is not open: it can be neither fetched from nor closed."))
        .exception("AnalysisException")
}

fn outside_script() -> Error {
    Error::new("CURSOR_OUTSIDE_SCRIPT")
        .message("Cursors can be used in SQL scripts (BEGIN .. END) only.")
        .exception("AnalysisException")
}
