//! Unresolved expressions.

use crate::{DataType, Literal, Name, Origin, Relation};

/// An expression as a user wrote it. Operators are calls of the function with the operator's name, as in
/// Spark Connect: `a + b` is `Call { name: "+", .. }`, `CASE` is `when(condition, value, ..., [otherwise])`,
/// `x IN (1, 2)` is `in(x, 1, 2)`, `x[1]` is [`Expr::Extract`].
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Literal(Literal),
    /// A column, or a field inside one: `a`, `t.a`, `t.a.field`.
    Column(Column),
    /// `*`, `t.*`, `struct.*`.
    Star(Star),
    /// Columns whose name matches a Java regular expression (`colRegex`, or `` `(a)?+.+` `` under the SQL flag), written
    /// `` table.`regex` `` where the columns of one table are meant. Of a DataFrame's `colRegex` the frame does not count.
    ColumnRegex {
        pattern: String,
    },
    /// `expr AS name`, or `AS (a, b)` for a generator of several columns.
    Alias {
        expr: Box<Expr>,
        names: Vec<String>,
        metadata: Option<String>,
    },
    Call(Box<Call>),
    Cast {
        expr: Box<Expr>,
        to: DataType,
        mode: CastMode,
        origin: Origin,
    },
    /// `expr[extraction]` and `expr.field` where `expr` is not a name.
    Extract {
        expr: Box<Expr>,
        extraction: Box<Expr>,
        origin: Origin,
    },
    /// `withField` (a value) and `dropFields` (none).
    UpdateField {
        expr: Box<Expr>,
        field: String,
        value: Option<Box<Expr>>,
    },
    /// `function OVER (...)`.
    Window {
        function: Box<Expr>,
        window: Box<WindowSpec>,
        origin: Origin,
    },
    Lambda {
        body: Box<Expr>,
        parameters: Vec<String>,
    },
    LambdaVariable(Name),
    /// `name => value` in a call.
    NamedArgument {
        name: String,
        value: Box<Expr>,
    },
    /// `:name`
    NamedParameter(String),
    /// `?`, the n-th of the text, from 0.
    PositionalParameter(usize),
    /// `IDENTIFIER(expr)` used as a column.
    Identifier(Box<Expr>),
    ScalarSubquery(Box<Relation>),
    Exists(Box<Relation>),
    InSubquery {
        values: Vec<Expr>,
        query: Box<Relation>,
    },
    /// `TABLE(relation)` as an argument of a table function.
    TableArgument {
        query: Box<Relation>,
        partition_by: Vec<Expr>,
        order_by: Vec<SortOrder>,
        single_partition: bool,
    },
    /// A sort key where an expression is expected (`array_sort`-like calls of Connect, `sort` arguments).
    SortOrder(Box<SortOrder>),
    PythonUdf(Box<PythonUdf>),
    /// `DEFAULT` in an INSERT, UPDATE or MERGE value.
    Default,
    /// A scalar subquery, EXISTS or IN that names its relation by plan id (Spark Connect); `WithRelations` carries it.
    PlanSubquery {
        plan_id: i64,
        kind: PlanSubqueryKind,
    },
    /// SQL text to be parsed where the session's parser settings are known (Connect's `ExpressionString`).
    Text(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum PlanSubqueryKind {
    Scalar,
    Exists,
    In(Vec<Expr>),
    Table { partition_by: Vec<Expr>, order_by: Vec<SortOrder>, single_partition: bool },
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Column {
    pub name: Name,
    /// The DataFrame it was taken from (`df.a`), by the client's plan id.
    pub plan_id: Option<i64>,
    /// `df.metadataColumn("_metadata")`.
    pub is_metadata: bool,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Star {
    pub target: Option<Name>,
    pub plan_id: Option<i64>,
    /// `* EXCEPT (a, b.c)`
    pub except: Vec<Name>,
    /// `* REPLACE (expr AS a)`
    pub replace: Vec<(Expr, String)>,
    pub origin: Origin,
}

/// A function call, or an operator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    pub name: Name,
    pub args: Vec<Expr>,
    pub distinct: bool,
    /// `FILTER (WHERE ...)`
    pub filter: Option<Expr>,
    /// `IGNORE NULLS` (true), `RESPECT NULLS` (false).
    pub ignore_nulls: Option<bool>,
    /// `WITHIN GROUP (ORDER BY ...)`
    pub order_by: Vec<SortOrder>,
    /// Written as an operator or by special syntax (`a + b`, `EXTRACT(..)`), not as `name(...)`.
    pub is_operator: bool,
    /// A Connect-internal function (`is_internal`), hidden from users.
    pub is_internal: bool,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CastMode {
    /// `CAST`: by the session's ANSI setting.
    Session,
    Ansi,
    Legacy,
    /// `TRY_CAST`
    Try,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SortOrder {
    pub expr: Expr,
    pub ascending: bool,
    /// Spark's default: first when ascending, last when descending. Front ends fill it in.
    pub nulls_first: bool,
}

impl SortOrder {
    pub fn ascending(expr: Expr) -> Self {
        Self { expr, ascending: true, nulls_first: true }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum WindowSpec {
    /// `OVER w`, defined by the query's WINDOW clause.
    Named(String),
    Inline {
        partition_by: Vec<Expr>,
        order_by: Vec<SortOrder>,
        frame: Option<WindowFrame>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct WindowFrame {
    pub units: FrameUnits,
    pub start: FrameBound,
    pub end: FrameBound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnits {
    Rows,
    Range,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    UnboundedFollowing,
    CurrentRow,
    /// An offset after the current row; negative (or `-expr`) before it.
    Offset(Box<Expr>),
}

/// A Python function to run in a worker process.
#[derive(Debug, Clone, PartialEq)]
pub struct PythonUdf {
    pub name: String,
    pub args: Vec<Expr>,
    pub deterministic: bool,
    pub distinct: bool,
    pub function: PythonFunction,
}

/// The pickled function, as the client sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct PythonFunction {
    pub command: Vec<u8>,
    /// Spark's `PythonEvalType`.
    pub eval_type: i32,
    pub python_version: String,
    pub includes: Vec<String>,
    /// The declared return type; `None` for a table function that analyzes itself.
    pub return_type: Option<DataType>,
}

/// Expression text kept beside what it parsed to: CHECK constraints, defaults and SQL functions are stored as text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextExpr {
    pub text: String,
    pub expr: Expr,
}

impl Expr {
    pub fn literal(value: Literal) -> Self {
        Self::Literal(value)
    }

    pub fn string(text: impl Into<String>) -> Self {
        Self::Literal(Literal::String(text.into()))
    }

    pub fn column<S: Into<String>>(name: impl IntoIterator<Item = S>) -> Self {
        Self::Column(Column { name: name.into_iter().map(Into::into).collect(), ..Column::default() })
    }

    pub fn star() -> Self {
        Self::Star(Star::default())
    }

    /// `name(args)`
    pub fn call(name: &str, args: Vec<Expr>) -> Self {
        Self::Call(Box::new(Call { name: vec![name.to_string()], args, ..Call::default() }))
    }

    /// An operator, or a function by special syntax.
    pub fn operator(name: &str, args: Vec<Expr>) -> Self {
        Self::Call(Box::new(Call {
            name: vec![name.to_string()],
            args,
            is_operator: true,
            ..Call::default()
        }))
    }

    pub fn alias(self, name: impl Into<String>) -> Self {
        Self::Alias { expr: Box::new(self), names: vec![name.into()], metadata: None }
    }

    pub fn cast(self, to: DataType) -> Self {
        Self::Cast { expr: Box::new(self), to, mode: CastMode::Session, origin: Origin::default() }
    }

    pub fn ansi_cast(self, to: DataType) -> Self {
        Self::Cast { expr: Box::new(self), to, mode: CastMode::Ansi, origin: Origin::default() }
    }

    /// `value[extraction]`, `value.field`
    pub fn extract(self, extraction: Expr) -> Self {
        Self::Extract { expr: Box::new(self), extraction: Box::new(extraction), origin: Origin::default() }
    }

    /// Where the expression stands; of some kinds that is not known.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Call(call) => &call.origin,
            Self::Column(column) => &column.origin,
            Self::Star(star) => &star.origin,
            Self::Cast { origin, .. } | Self::Extract { origin, .. } | Self::Window { origin, .. } => origin,
            Self::ScalarSubquery(query) | Self::Exists(query) | Self::InSubquery { query, .. } => {
                &query.origin
            }
            Self::Alias { expr, .. } => expr.origin(),
            _ => &crate::origin::UNKNOWN,
        }
    }

    /// Notes where the expression stands, where it does not know already.
    pub fn placed(mut self, place: &Origin) -> Self {
        match &mut self {
            Self::Call(call) => call.origin.or(place),
            Self::Column(column) => column.origin.or(place),
            Self::Star(star) => star.origin.or(place),
            Self::Cast { origin, .. } | Self::Extract { origin, .. } | Self::Window { origin, .. } => {
                origin.or(place);
            }
            Self::ScalarSubquery(query) | Self::Exists(query) | Self::InSubquery { query, .. } => {
                query.origin.or(place);
            }
            _ => {}
        }
        self
    }
}
