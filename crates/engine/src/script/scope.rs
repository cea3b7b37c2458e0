//! The local variables and cursors of a script, block by block.
//!
//! Whatever runs on behalf of a script finds them by the task it runs in: two scripts of one session do not see each other's.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use boathouse_spec::{Error, Result, quote_name};
use datafusion::scalar::ScalarValue;
use indexmap::IndexMap;
use parking_lot::RwLock;

use super::cursor::Cursor;
use crate::variables::Variable;

tokio::task_local! {
    static OF_SCRIPT: InScript;
}

/// The script that a task runs in.
#[derive(Debug, Clone)]
struct InScript {
    scopes: Arc<Scopes>,
    /// Whether names mean its variables.
    shows_variables: bool,
}

/// The scopes that are open, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    open: RwLock<Vec<Scope>>,
}

#[derive(Debug)]
struct Scope {
    /// What qualifies its variables: the label in lower case, or a name that nobody can write.
    label: String,
    variables: IndexMap<String, Arc<Variable>>,
    /// By lower-case name.
    cursors: HashMap<String, Arc<Cursor>>,
    /// The scope around it. Not always the one before: a handler sees what its block sees, not what the failed statement saw.
    parent: Option<usize>,
}

/// Where a local variable lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    scope: usize,
    index: usize,
}

/// A local variable that a name means.
pub(crate) struct Local {
    pub place: Place,
    pub variable: Arc<Variable>,
    /// How messages and columns call it.
    pub full_name: String,
}

impl Scopes {
    /// How many scopes are open.
    pub fn depth(&self) -> usize {
        self.open.read().len()
    }

    /// Opens a scope inside another, or inside the innermost.
    pub fn open(&self, label: Option<&str>, parent: Option<usize>) {
        let mut open = self.open.write();
        let parent = parent.or_else(|| open.len().checked_sub(1));
        let label = label.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_string);
        open.push(Scope { label, variables: IndexMap::new(), cursors: HashMap::new(), parent });
    }

    /// Closes all scopes but the first ones.
    pub fn close_to(&self, depth: usize) {
        self.open.write().truncate(depth);
    }

    /// Takes away the variables of the innermost scope.
    pub fn clear_innermost(&self) {
        if let Some(scope) = self.open.write().last_mut() {
            scope.variables.clear();
        }
    }

    /// Declares a variable in the innermost scope.
    pub fn declare(&self, variable: Variable) -> Result<()> {
        let mut open = self.open.write();
        let scope = open.last_mut().ok_or_else(|| Error::internal("a script has no scope"))?;
        let key = variable.name.to_lowercase();
        if scope.variables.contains_key(&key) {
            let name = quote_name(&[scope.label.as_str(), variable.name.as_str()]);
            return Err(Error::new("VARIABLE_ALREADY_EXISTS")
                .param("variableName", &name)
                .message(format!("The variable {name} exists already in this block: choose another name."))
                .exception("AnalysisException"));
        }
        scope.variables.insert(key, Arc::new(variable));
        Ok(())
    }

    /// The variable that `v` or `label.v` means, from the innermost scope outward.
    fn lookup(&self, name: &[String]) -> Option<Local> {
        let (label, variable) = match name {
            [v] => (None, v.to_lowercase()),
            [label, v] => (Some(label), v.to_lowercase()),
            _ => return None,
        };
        let open = self.open.read();
        let mut next = open.len().checked_sub(1);
        while let Some(i) = next {
            let scope = &open[i];
            let meant = label.is_none_or(|l| l.eq_ignore_ascii_case(&scope.label));
            if let Some((index, _, found)) = scope.variables.get_full(&variable).filter(|_| meant) {
                return Some(Local {
                    place: Place { scope: i, index },
                    variable: Arc::clone(found),
                    full_name: full_name(&scope.label, &found.name),
                });
            }
            next = scope.parent;
        }
        None
    }

    fn declare_cursor(&self, cursor: Cursor) -> Result<()> {
        let mut open = self.open.write();
        let scope = open.last_mut().ok_or_else(|| Error::internal("a script has no scope"))?;
        let key = cursor.name.to_lowercase();
        if scope.cursors.contains_key(&key) {
            let name = boathouse_spec::quote(&cursor.name);
            return Err(Error::new("CURSOR_ALREADY_EXISTS")
                .param("cursorName", &name)
                .message(format!("The cursor {name} exists already in this block: choose another name."))
                .exception("AnalysisException"));
        }
        scope.cursors.insert(key, Arc::new(cursor));
        Ok(())
    }

    /// The cursor that `c` or `label.c` means, from the innermost scope outward.
    fn cursor(&self, name: &[String]) -> Option<Arc<Cursor>> {
        let (label, cursor) = match name {
            [c] => (None, c.to_lowercase()),
            [label, c] => (Some(label), c.to_lowercase()),
            _ => return None,
        };
        let open = self.open.read();
        let mut next = open.len().checked_sub(1);
        while let Some(scope) = next.and_then(|i| open.get(i)) {
            let is_meant = label.is_none_or(|l| l.eq_ignore_ascii_case(&scope.label));
            if let Some(found) = scope.cursors.get(&cursor).filter(|_| is_meant) {
                return Some(Arc::clone(found));
            }
            next = scope.parent;
        }
        None
    }

    fn set(&self, place: Place, value: ScalarValue) {
        let mut open = self.open.write();
        let variables = open.get_mut(place.scope).map(|s| &mut s.variables);
        if let Some((_, variable)) = variables.and_then(|v| v.get_index_mut(place.index)) {
            Arc::make_mut(variable).value = value;
        }
    }
}

fn full_name(label: &str, variable: &str) -> String {
    ["local", label, variable].map(boathouse_spec::quote_if_needed).join(".")
}

/// The label of the innermost scope of the script that runs here.
pub(crate) fn innermost_label() -> String {
    let label = |script: &InScript| script.scopes.open.read().last().map(|scope| scope.label.clone());
    OF_SCRIPT.try_with(label).ok().flatten().unwrap_or_default()
}

/// Runs work that sees the variables of a script.
pub(super) async fn during<T>(scopes: Arc<Scopes>, work: impl Future<Output = T>) -> T {
    OF_SCRIPT.scope(InScript { scopes, shows_variables: true }, work).await
}

/// Runs work that does not see the variables of the script around it: `EXECUTE IMMEDIATE` is a world of its own, but for
/// cursors.
pub(crate) async fn hidden<T>(work: impl Future<Output = T>) -> T {
    match OF_SCRIPT.try_with(Clone::clone) {
        Ok(script) => OF_SCRIPT.scope(InScript { shows_variables: false, ..script }, work).await,
        Err(_) => work.await,
    }
}

fn visible<T>(work: impl FnOnce(&Scopes) -> T) -> Option<T> {
    OF_SCRIPT.try_with(|script| script.shows_variables.then(|| work(&script.scopes))).ok().flatten()
}

/// The local variable that a name means in the script that runs here.
pub(crate) fn lookup(name: &[String]) -> Option<Local> {
    visible(|scopes| scopes.lookup(name)).flatten()
}

pub(crate) fn set(place: Place, value: ScalarValue) {
    visible(|scopes| scopes.set(place, value));
}

/// Whether a script runs here.
pub(crate) fn in_script() -> bool {
    OF_SCRIPT.try_with(|_| ()).is_ok()
}

/// Declares a cursor in the innermost block of the script that runs here.
pub(crate) fn declare_cursor(cursor: Cursor) -> Result<()> {
    OF_SCRIPT.try_with(|script| script.scopes.declare_cursor(cursor)).unwrap_or(Ok(()))
}

/// The cursor that a name means in the script that runs here.
pub(crate) fn cursor(name: &[String]) -> Option<Arc<Cursor>> {
    OF_SCRIPT.try_with(|script| script.scopes.cursor(name)).ok().flatten()
}
