//! The walk over a script: a stack of frames, one for each body and loop that is being run.

use std::sync::Arc;

use arrow::array::RecordBatch;
use boathouse_bridge::ResultExt;
use boathouse_spec::{
    Command, DataType, Error, Expr, Literal, Plan, Result, ScriptBlock, ScriptCondition, ScriptHandler,
    ScriptLoop, ScriptLoopKind, ScriptStatement, StructType,
};
use datafusion::scalar::ScalarValue;

use super::cursor::Rows;
use super::handler;
use super::scope::Scopes;
use crate::commands::{self, evaluate, execute_immediate, variable};
use crate::variables::Variable;
use crate::{QueryResult, Session};

pub(super) struct Machine<'a> {
    session: &'a Arc<Session>,
    scopes: &'a Scopes,
    frames: Vec<Frame<'a>>,
    /// The rows of the last query.
    result: Option<(StructType, Vec<RecordBatch>)>,
}

struct Frame<'a> {
    label: Option<&'a str>,
    /// How many scopes were open before it.
    depth: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// Statements one after another, and the handlers for errors in them.
    Body { rest: &'a [ScriptStatement], handlers: &'a [ScriptHandler] },
    /// The body of a handler, and the frame of the block that declares it.
    Handler { rest: &'a [ScriptStatement], of: usize },
    /// A loop between two rounds.
    Loop { statement: &'a ScriptLoop, rows: Option<Rows>, has_begun: bool },
}

impl<'a> Machine<'a> {
    pub fn new(session: &'a Arc<Session>, scopes: &'a Scopes, script: &'a ScriptBlock) -> Result<Self> {
        let mut machine = Self { session, scopes, frames: Vec::new(), result: None };
        machine.enter_block(script)?;
        Ok(machine)
    }

    pub async fn run(mut self) -> Result<QueryResult> {
        while !self.frames.is_empty() {
            // A loop without I/O gives way to others, and can be canceled.
            tokio::task::consume_budget().await;
            match self.step().await {
                Ok(Some(rows)) => return Ok(rows),
                Ok(None) => {}
                Err(error) => self.handle(error)?,
            }
        }
        Ok(match self.result {
            Some((schema, batches)) => QueryResult::of(schema, batches),
            None => QueryResult::empty(),
        })
    }

    /// One statement, or one decision of a loop. Rows only where they end the script.
    async fn step(&mut self) -> Result<Option<QueryResult>> {
        let Some(frame) = self.frames.last_mut() else { return Ok(None) };
        let statement = match &mut frame.kind {
            Kind::Body { rest, .. } | Kind::Handler { rest, .. } => match rest.split_first() {
                Some((first, others)) => {
                    *rest = others;
                    first
                }
                None => {
                    self.pop();
                    return Ok(None);
                }
            },
            Kind::Loop { .. } => return self.round().await.map(|()| None),
        };
        match statement {
            ScriptStatement::Plan(plan) => return self.plan(plan).await,
            ScriptStatement::Block(block) => self.enter_block(block)?,
            ScriptStatement::If { branches, otherwise } => {
                let body = self.chosen(branches, otherwise).await?;
                self.enter_body(body);
            }
            ScriptStatement::Case { value, branches, otherwise } => {
                let body = self.matching(value, branches, otherwise).await?;
                self.enter_body(body);
            }
            ScriptStatement::Loop(statement) => {
                let depth = self.scopes.depth();
                if let ScriptLoopKind::For { variable, .. } = &statement.kind {
                    self.scopes.open(variable.as_deref(), None);
                }
                let kind = Kind::Loop { statement, rows: None, has_begun: false };
                self.frames.push(Frame { label: statement.label.as_deref(), depth, kind });
            }
            ScriptStatement::Leave(label) => {
                if self.unwind_to(label) {
                    self.pop();
                }
            }
            ScriptStatement::Iterate(label) => {
                self.unwind_to(label);
            }
        }
        Ok(None)
    }

    // ---- frames

    fn enter_block(&mut self, block: &'a ScriptBlock) -> Result<()> {
        self.check_handlers(&block.handlers)?;
        let depth = self.scopes.depth();
        self.scopes.open(block.label.as_deref(), None);
        let kind = Kind::Body { rest: &block.body, handlers: &block.handlers };
        self.frames.push(Frame { label: block.label.as_deref(), depth, kind });
        Ok(())
    }

    fn enter_body(&mut self, rest: &'a [ScriptStatement]) {
        let kind = Kind::Body { rest, handlers: &[] };
        self.frames.push(Frame { label: None, depth: self.scopes.depth(), kind });
    }

    fn pop(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.scopes.close_to(frame.depth);
        }
    }

    /// Leaves what is inside of the block or loop of a label; the parser knows that there is one. Whether it got there: what
    /// is around the block of a handler is out of the handler's reach, and only the handler ends (as in Spark).
    fn unwind_to(&mut self, label: &str) -> bool {
        while let Some(frame) = self.frames.last() {
            if frame.label == Some(label) {
                return true;
            }
            let ends_handler = match &frame.kind {
                Kind::Handler { of, .. } => self.frames.get(*of).is_some_and(|f| f.label != Some(label)),
                _ => false,
            };
            self.pop();
            if ends_handler {
                break;
            }
        }
        false
    }

    fn check_handlers(&self, handlers: &[ScriptHandler]) -> Result<()> {
        let allowed = || self.session.conf.flag("spark.sql.scripting.continueHandlerEnabled");
        if handlers.iter().any(|h| h.continues) && !allowed() {
            return Err(Error::new("UNSUPPORTED_FEATURE.CONTINUE_EXCEPTION_HANDLER").message(
                "CONTINUE handlers are turned off: use EXIT, or set \"spark.sql.scripting.continueHandlerEnabled\" to true.",
            ));
        }
        handler::refuse_duplicates(handlers)
    }

    /// Gives an error to the innermost handler for it; the error itself where there is none.
    fn handle(&mut self, error: Error) -> Result<()> {
        // A loop whose condition or query failed is over.
        if self.frames.last().is_some_and(|f| matches!(f.kind, Kind::Loop { .. })) {
            self.pop();
        }
        let mut next = self.frames.len();
        while let Some(at) = next.checked_sub(1) {
            next = match &self.frames[at].kind {
                // Errors in a handler go to the blocks around the one that it handles.
                Kind::Handler { of, .. } => *of,
                Kind::Body { handlers, .. } => match handler::find(handlers, &error) {
                    Some(found) => {
                        self.enter_handler(found, at);
                        return Ok(());
                    }
                    None => at,
                },
                Kind::Loop { .. } => at,
            };
        }
        // That there is nothing more is worth knowing, and no failure.
        if error.sqlstate().starts_with("02") { Ok(()) } else { Err(error) }
    }

    fn enter_handler(&mut self, handler: &'a ScriptHandler, of: usize) {
        if !handler.continues {
            while self.frames.len() > of + 1 {
                self.pop();
            }
            if let Kind::Body { rest, .. } = &mut self.frames[of].kind {
                *rest = &[];
            }
        }
        let depth = self.scopes.depth();
        self.scopes.open(None, Some(self.frames[of].depth));
        self.frames.push(Frame { label: None, depth, kind: Kind::Handler { rest: &handler.body, of } });
    }

    // ---- conditions and loops

    async fn chosen(
        &mut self,
        branches: &'a [(ScriptCondition, Vec<ScriptStatement>)],
        otherwise: &'a [ScriptStatement],
    ) -> Result<&'a [ScriptStatement]> {
        for (condition, body) in branches {
            if self.holds(condition).await? {
                return Ok(body);
            }
        }
        Ok(otherwise)
    }

    /// The value is computed once, whatever the branches are.
    async fn matching(
        &mut self,
        value: &Expr,
        branches: &'a [(Expr, Vec<ScriptStatement>)],
        otherwise: &'a [ScriptStatement],
    ) -> Result<&'a [ScriptStatement]> {
        let value = evaluate::written(self.session, value.clone()).await?;
        for (when, body) in branches {
            let equal = Expr::operator("==", vec![value.clone(), when.clone()]);
            if evaluate::literal(self.session, equal).await? == Literal::Boolean(true) {
                return Ok(body);
            }
        }
        Ok(otherwise)
    }

    async fn holds(&mut self, condition: &ScriptCondition) -> Result<bool> {
        let result = self.session.execute_here(condition.query.clone()).await?;
        let (schema, batches) = result.collect().await?;
        let mut values = evaluate::first_row(&schema, &batches)?;
        match values.pop() {
            Some((value, DataType::Boolean)) => Ok(value == ScalarValue::Boolean(Some(true))),
            _ => {
                let text = condition.text.to_uppercase();
                Err(Error::new("INVALID_BOOLEAN_STATEMENT")
                    .param("invalidStatement", &text)
                    .message(format!("A condition is expected to be BOOLEAN, which {text} is not."))
                    .exception("AnalysisException"))
            }
        }
    }

    /// Begins the next round of the innermost loop, or ends it.
    async fn round(&mut self) -> Result<()> {
        let Some(Frame { kind: Kind::Loop { statement, has_begun, .. }, .. }) = self.frames.last_mut() else {
            return Ok(());
        };
        let statement: &'a ScriptLoop = statement;
        let is_first = !std::mem::replace(has_begun, true);
        let goes_on = match &statement.kind {
            ScriptLoopKind::Forever => true,
            ScriptLoopKind::While(condition) => self.holds(condition).await?,
            ScriptLoopKind::Until(condition) => is_first || !self.holds(condition).await?,
            ScriptLoopKind::For { query, .. } => self.next_row(query).await?,
        };
        if goes_on {
            self.enter_body(&statement.body);
        } else {
            self.pop();
        }
        Ok(())
    }

    /// Gives the variables of a FOR loop the values of the next row.
    async fn next_row(&mut self, query: &Plan) -> Result<bool> {
        let Some(Frame { kind: Kind::Loop { rows, .. }, .. }) = self.frames.last_mut() else {
            return Ok(false);
        };
        let rows = match rows {
            Some(rows) => rows,
            None => rows.insert(self.session.execute_here(query.clone()).await?.into()),
        };
        let Some((batch, row)) = rows.next().await? else { return Ok(false) };
        self.scopes.clear_innermost();
        for (field, column) in rows.result.schema.fields.iter().zip(batch.columns()) {
            let value = ScalarValue::try_from_array(column, row).spark()?;
            self.scopes.declare(Variable {
                name: field.name.clone(),
                data_type: field.data_type.clone(),
                default: value.clone(),
                value,
            })?;
        }
        Ok(true)
    }

    // ---- statements

    async fn plan(&mut self, plan: &Plan) -> Result<Option<QueryResult>> {
        let rows = match plan {
            Plan::Query(_) => self.session.execute_here(plan.clone()).await?,
            Plan::Command(command) => match self.command(command).await? {
                Some(rows) => rows,
                None => return Ok(None),
            },
        };
        if self.is_last() {
            return Ok(Some(rows));
        }
        // An error in the rows must come now: a handler may be waiting for it.
        self.result = Some(rows.collect().await?);
        Ok(None)
    }

    /// Runs a command. Only queries have rows that count: those behind `EXECUTE IMMEDIATE` and `IDENTIFIER(..)`.
    async fn command(&mut self, command: &Command) -> Result<Option<QueryResult>> {
        match command {
            Command::DeclareVariable { names, data_type, default, or_replace } => {
                let (data_type, default) = (data_type.clone(), default.clone());
                for variable in variable::local(self.session, names, data_type, default, *or_replace).await? {
                    self.scopes.declare(variable)?;
                }
                Ok(None)
            }
            Command::DropVariable { .. } => {
                Err(Error::new("UNSUPPORTED_FEATURE.SQL_SCRIPTING_DROP_TEMPORARY_VARIABLE")
                    .message(
                        "DROP TEMPORARY VARIABLE is not possible in a script: use EXECUTE IMMEDIATE 'DROP TEMPORARY VARIABLE ..'.",
                    )
                    .exception("AnalysisException"))
            }
            Command::ExecuteImmediate { text, into, using } => {
                let outcome =
                    execute_immediate::outcome(self.session, text.clone(), into.clone(), using.clone()).await?;
                self.if_query(outcome).await
            }
            Command::IdentifierClause { text, identifiers } => {
                match commands::identified(self.session, text, identifiers.clone()).await? {
                    Plan::Command(inner) => Box::pin(self.command(&inner)).await,
                    query => self.session.execute_here(query).await.map(Some),
                }
            }
            other => {
                let rows = commands::run(self.session, other.clone()).await?;
                self.if_query((rows, false)).await
            }
        }
    }

    async fn if_query(&mut self, (rows, is_query): (QueryResult, bool)) -> Result<Option<QueryResult>> {
        if is_query {
            return Ok(Some(rows));
        }
        rows.collect().await?;
        Ok(None)
    }

    /// Whether nothing can follow or handle what runs now.
    fn is_last(&self) -> bool {
        matches!(self.frames.as_slice(), [Frame { kind: Kind::Body { rest: [], handlers: [] }, .. }])
    }
}
