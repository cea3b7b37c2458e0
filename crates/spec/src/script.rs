//! SQL scripts: `BEGIN .. END` with variables, conditions of flow and handlers of errors.

use crate::{Expr, Name, Plan};

/// `[label:] BEGIN .. END`: a scope of variables, with handlers of the errors inside.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScriptBlock {
    /// In lower case, as labels are compared.
    pub label: Option<String>,
    pub handlers: Vec<ScriptHandler>,
    pub body: Vec<ScriptStatement>,
}

/// `DECLARE {EXIT | CONTINUE} HANDLER FOR conditions body`
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptHandler {
    /// Go on after the statement that failed, rather than leave the block.
    pub continues: bool,
    pub conditions: Vec<HandledCondition>,
    pub body: Vec<ScriptStatement>,
}

/// What a handler is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandledCondition {
    SqlException,
    NotFound,
    SqlState(String),
    /// An error class, with its subclass or without, or a condition that the script declares; in upper case.
    Named(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ScriptStatement {
    Plan(Plan),
    Block(ScriptBlock),
    /// `IF .. ELSEIF .. ELSE .. END IF`, and `CASE WHEN .. END CASE`.
    If {
        branches: Vec<(ScriptCondition, Vec<ScriptStatement>)>,
        otherwise: Vec<ScriptStatement>,
    },
    /// `CASE value WHEN .. END CASE`
    Case {
        value: Expr,
        branches: Vec<(Expr, Vec<ScriptStatement>)>,
        otherwise: Vec<ScriptStatement>,
    },
    Loop(ScriptLoop),
    Leave(String),
    Iterate(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ScriptLoop {
    pub label: Option<String>,
    pub kind: ScriptLoopKind,
    pub body: Vec<ScriptStatement>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ScriptLoopKind {
    /// `LOOP`, which only LEAVE and errors end.
    Forever,
    While(ScriptCondition),
    /// `REPEAT .. UNTIL condition`
    Until(ScriptCondition),
    /// `FOR [variable AS] query`: the columns of each row are variables of the body.
    For {
        variable: Option<String>,
        query: Plan,
    },
}

/// A condition of flow: a query of one row whose only column is the condition.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptCondition {
    pub query: Plan,
    /// What was written.
    pub text: String,
}

/// A statement about a cursor: a query whose rows are fetched one by one.
#[derive(Debug, Clone, PartialEq)]
pub enum CursorStatement {
    /// `DECLARE name CURSOR FOR query`: the query as it was written.
    Declare { name: String, query: String },
    /// `OPEN name [USING values]`: the values are those of the query's parameters.
    Open { name: Name, using: Vec<Expr> },
    /// `FETCH [[NEXT] FROM] name INTO variables`
    Fetch { name: Name, into: Vec<Name> },
    /// `CLOSE name`
    Close { name: Name },
}
