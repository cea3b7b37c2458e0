//! Unresolved relations: queries of SQL and the DataFrame API.

use crate::{
    Command, Expr, Literal, Name, Origin, PythonFunction, SortOrder, StructType, TextExpr, Violation,
};

/// A relation and the client's id for it. DataFrame columns (`df.a`) name the plan they were taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    pub plan_id: Option<i64>,
    pub node: Box<RelationNode>,
    /// Where a subquery stands, with its parentheses.
    pub origin: Origin,
}

impl Relation {
    pub fn new(node: RelationNode) -> Self {
        Self { plan_id: None, node: Box::new(node), origin: Origin::default() }
    }

    pub fn with_plan_id(mut self, plan_id: Option<i64>) -> Self {
        self.plan_id = plan_id;
        self
    }

    pub fn placed(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl From<RelationNode> for Relation {
    fn from(node: RelationNode) -> Self {
        Self::new(node)
    }
}

/// Options of readers and writers, keys as written (they are looked up case-insensitively).
pub type Options = Vec<(String, String)>;

/// Looks an option up; the last of equal keys counts.
pub fn option<'a>(options: &'a Options, key: &str) -> Option<&'a str> {
    options.iter().rev().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
}

#[derive(Debug, Clone, PartialEq)]
pub enum RelationNode {
    // ---- leaves
    /// A table, view or common table expression by name; also `` delta.`/path` `` and `` json.`/path` ``.
    Table(TableRef),
    /// `spark.read.format(..).load(..)`.
    DataSource(DataSourceRef),
    /// One row, no columns (`SELECT 1`).
    OneRow,
    /// Rows the client sent: an Arrow IPC stream and the schema it meant (DDL or JSON text was parsed by the front end).
    LocalData {
        arrow_ipc: Vec<Vec<u8>>,
        schema: Option<StructType>,
    },
    /// No rows of a schema (`createDataFrame([], schema)`).
    Empty(StructType),
    /// `VALUES (..), (..)`; names are `col1`, `col2`, ...
    Values(Vec<Vec<Expr>>),
    Range {
        start: i64,
        end: i64,
        step: i64,
        partitions: Option<u32>,
    },
    /// `FROM range(10)`, `FROM explode(..)`, `FROM my_function(1, TABLE(t))`.
    TableFunction {
        name: Name,
        args: Vec<Expr>,
    },
    /// A Python table function, inlined by the client.
    PythonTableFunction {
        name: String,
        args: Vec<Expr>,
        function: PythonFunction,
        deterministic: bool,
    },
    /// A DataFrame kept on the server under an id (`checkpoint`, `foreachBatch`).
    CachedRemote(String),
    /// The rows a command gives (`SHOW TABLES` used as a relation, `spark.catalog.listTables()`).
    CommandResult(Box<Command>),
    /// SQL text from the client, with arguments for its parameters.
    Sql(SqlText),

    // ---- one input
    /// `STREAM f(..)`: the input, a table function, is read as a stream.
    Stream {
        input: Relation,
    },
    Project {
        input: Relation,
        exprs: Vec<Expr>,
    },
    Filter {
        input: Relation,
        condition: Expr,
    },
    /// HAVING: a filter over an aggregation that may aggregate too.
    Having {
        input: Relation,
        condition: Expr,
    },
    /// QUALIFY: a filter that may use window functions.
    Qualify {
        input: Relation,
        condition: Expr,
    },
    Aggregate(Aggregate),
    /// `ORDER BY` (global) and `SORT BY` (within partitions).
    Sort {
        input: Relation,
        order: Vec<SortOrder>,
        global: bool,
    },
    /// `ORDER BY ALL`
    SortAll {
        input: Relation,
        ascending: bool,
        nulls_first: bool,
    },
    Limit {
        input: Relation,
        limit: Expr,
        /// Where the number stands.
        origin: Origin,
    },
    Offset {
        input: Relation,
        offset: Expr,
        origin: Origin,
    },
    Tail {
        input: Relation,
        limit: i64,
    },
    Distinct {
        input: Relation,
    },
    /// `dropDuplicates`; no columns means all.
    Deduplicate {
        input: Relation,
        columns: Option<Vec<String>>,
        within_watermark: bool,
    },
    SubqueryAlias {
        input: Relation,
        alias: String,
        qualifier: Name,
        columns: Vec<String>,
    },
    /// Common table expressions over their query.
    With {
        input: Relation,
        tables: Vec<CommonTable>,
        recursive: bool,
    },
    /// `WINDOW w AS (..)` definitions for the query.
    WindowDefinitions {
        input: Relation,
        windows: Vec<(String, crate::WindowSpec)>,
    },
    LateralView {
        input: Relation,
        generator: Expr,
        table_alias: Option<String>,
        columns: Vec<String>,
        outer: bool,
    },
    Pivot(Pivot),
    Unpivot(Unpivot),
    Sample(Sample),
    /// `repartition(n)` (shuffle) and `coalesce(n)` (none).
    Repartition {
        input: Relation,
        partitions: u32,
        shuffle: bool,
    },
    /// `repartition(n, cols)`, `repartitionByRange`, `DISTRIBUTE BY`, `CLUSTER BY`.
    RepartitionBy {
        input: Relation,
        exprs: Vec<Expr>,
        partitions: Option<u32>,
    },
    ToDf {
        input: Relation,
        names: Vec<String>,
    },
    /// `df.to(schema)`
    ToSchema {
        input: Relation,
        schema: StructType,
    },
    WithColumns {
        input: Relation,
        columns: Vec<WithColumn>,
    },
    RenameColumns {
        input: Relation,
        renames: Vec<(String, String)>,
    },
    Drop {
        input: Relation,
        columns: Vec<Expr>,
        names: Vec<String>,
    },
    Hint {
        input: Relation,
        name: String,
        parameters: Vec<Expr>,
    },
    WithWatermark {
        input: Relation,
        event_time: String,
        delay: String,
    },
    /// `observe`: named metrics computed as the rows pass.
    CollectMetrics {
        input: Relation,
        name: String,
        metrics: Vec<Expr>,
    },
    /// Rows checked against the expectations of a pipeline's dataset: rows that fail a dropping one are taken out. What was
    /// counted is found under the id in the session.
    Expect {
        input: Relation,
        rules: Vec<Expectation>,
        outcome: String,
    },
    /// `df.show()` as text; `rows`, `truncate` in characters (0: none).
    ShowString {
        input: Relation,
        rows: i32,
        truncate: i32,
        vertical: bool,
    },
    HtmlString {
        input: Relation,
        rows: i32,
        truncate: i32,
    },
    /// `spark.read.json(df_of_strings)` and `csv`.
    Parse {
        input: Relation,
        format: String,
        schema: Option<StructType>,
        options: Options,
    },
    Transpose {
        input: Relation,
        index: Vec<Expr>,
    },
    FillNa {
        input: Relation,
        columns: Vec<String>,
        values: Vec<Literal>,
    },
    DropNa {
        input: Relation,
        columns: Vec<String>,
        min_non_nulls: Option<i32>,
    },
    ReplaceNa {
        input: Relation,
        columns: Vec<String>,
        replacements: Vec<(Literal, Literal)>,
    },
    Statistic {
        input: Relation,
        statistic: Statistic,
    },
    /// `mapInPandas`, `mapInArrow`
    MapPartitions {
        input: Relation,
        function: PythonFunction,
        name: String,
        barrier: bool,
    },
    /// `groupBy().applyInPandas` and its Arrow and state forms.
    GroupMap {
        input: Relation,
        grouping: Vec<Expr>,
        sort: Vec<SortOrder>,
        function: PythonFunction,
        name: String,
        args: Vec<Expr>,
    },
    /// `applyInPandasWithState`, `transformWithState(InPandas)`
    StatefulGroups(Box<StatefulGroups>),
    /// A SQL pipe operator whose rules differ from the plain clause (`|> SELECT`, `EXTEND`, `SET`, `DROP`, `AS`, `AGGREGATE`).
    Pipe {
        input: Relation,
        operator: PipeOperator,
    },

    // ---- several inputs
    Join(Join),
    /// `LATERAL (query)`: the right side sees the left side's columns.
    LateralJoin {
        left: Relation,
        right: Relation,
        kind: JoinKind,
        condition: Option<Expr>,
    },
    AsOfJoin(AsOfJoin),
    SetOperation {
        left: Relation,
        right: Relation,
        operation: SetOperation,
        all: bool,
        by_name: bool,
        allow_missing: bool,
    },
    CoGroupMap {
        left: Relation,
        right: Relation,
        left_grouping: Vec<Expr>,
        right_grouping: Vec<Expr>,
        function: PythonFunction,
        name: String,
    },
    /// Relations that subquery expressions of `root` name by plan id.
    WithRelations {
        root: Relation,
        references: Vec<Relation>,
    },
}

/// A Python function over the groups of a relation that remembers something of each.
#[derive(Debug, Clone, PartialEq)]
pub struct StatefulGroups {
    pub input: Relation,
    pub grouping: Vec<Expr>,
    pub function: PythonFunction,
    pub name: String,
    pub output: StructType,
    /// As the user wrote it.
    pub output_mode: String,
    pub kind: StatefulKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StatefulKind {
    /// `applyInPandasWithState`: one value a group, and when a group is over.
    GroupState { state: StructType, timeout: String },
    /// `transformWithState`: variables and timers of a class of the user's.
    Processor {
        time_mode: String,
        /// The event time in the output.
        event_time: Option<String>,
        /// What the state is made of at the beginning, and its groups.
        initial: Option<(Relation, Vec<Expr>)>,
    },
}

/// A table by name, with the version of it that is wanted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableRef {
    pub name: Name,
    /// `IDENTIFIER(expr)` in place of a name.
    pub identifier: Option<Box<Expr>>,
    pub options: Options,
    pub is_streaming: bool,
    pub time_travel: Option<TimeTravel>,
    /// The name is of a Delta table, or an error (`DeltaTable.forName`, `forPath`).
    pub is_delta: bool,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TimeTravel {
    Version(Expr),
    Timestamp(Expr),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataSourceRef {
    /// Empty means `spark.sql.sources.default`.
    pub format: String,
    pub schema: Option<StructType>,
    pub options: Options,
    pub paths: Vec<String>,
    /// Predicates of `spark.read.jdbc`, one a partition.
    pub predicates: Vec<String>,
    pub is_streaming: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SqlText {
    pub text: String,
    pub named: Vec<(String, Expr)>,
    pub positional: Vec<Expr>,
}

/// A rule that rows of a dataset are to keep. NULL is not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    pub name: String,
    pub condition: TextExpr,
    pub action: Violation,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    pub input: Relation,
    pub kind: GroupingKind,
    pub grouping: Vec<Expr>,
    /// The output of SQL (grouping columns included where selected). For DataFrames the analyzer puts the grouping
    /// columns first: `grouping_first`.
    pub aggregates: Vec<Expr>,
    pub grouping_first: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum GroupingKind {
    GroupBy,
    /// `GROUP BY ALL`
    All,
    Rollup,
    Cube,
    GroupingSets(Vec<Vec<Expr>>),
    /// `GROUP BY a, ROLLUP(b, c), CUBE(d)`: each element is the sets it stands for; sets combine as a product.
    Combined(Vec<Vec<Vec<Expr>>>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pivot {
    pub input: Relation,
    /// DataFrame `groupBy(..)`; `None` in SQL, where all other columns group.
    pub grouping: Option<Vec<Expr>>,
    /// One column, or several as in `FOR (a, b) IN ((1, 2))`.
    pub columns: Vec<Expr>,
    /// Empty: distinct values are found first. Values may carry an alias.
    pub values: Vec<Expr>,
    pub aggregates: Vec<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Unpivot {
    pub input: Relation,
    /// Columns kept as they are; `None`: all that are not unpivoted.
    pub ids: Option<Vec<Expr>>,
    /// Groups of columns, one a row of output, with an alias for the name; `None`: all that are not ids.
    pub values: Option<Vec<(Vec<Expr>, Option<String>)>>,
    pub variable_column: String,
    pub value_columns: Vec<String>,
    pub include_nulls: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub input: Relation,
    pub lower_bound: f64,
    pub upper_bound: f64,
    pub with_replacement: bool,
    pub seed: Option<i64>,
    /// `TABLESAMPLE (n ROWS)`
    pub rows: Option<Expr>,
    pub deterministic_order: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CommonTable {
    pub name: String,
    pub columns: Vec<String>,
    pub query: Relation,
    /// `MAX RECURSION LEVEL n`
    pub max_recursion: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WithColumn {
    pub name: String,
    pub expr: Expr,
    pub metadata: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    Inner,
    Cross,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftSemi,
    LeftAnti,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub left: Relation,
    pub right: Relation,
    pub kind: JoinKind,
    pub condition: JoinCondition,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JoinCondition {
    None,
    On(Expr),
    Using(Vec<String>),
    Natural,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AsOfJoin {
    pub left: Relation,
    pub right: Relation,
    pub left_as_of: Expr,
    pub right_as_of: Expr,
    pub condition: Option<Expr>,
    pub using: Vec<String>,
    pub kind: JoinKind,
    pub tolerance: Option<Expr>,
    pub allow_exact_matches: bool,
    /// `backward`, `forward` or `nearest`.
    pub direction: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetOperation {
    Union,
    Intersect,
    Except,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PipeOperator {
    /// The pipe before a filter or an order: these see the columns that come through it, and none that lie below them.
    Barrier,
    /// `|> SELECT`: no aggregates allowed.
    Select(Vec<Expr>),
    /// `|> EXTEND`: appends columns.
    Extend(Vec<Expr>),
    /// `|> SET`: replaces columns.
    Set(Vec<(Name, Expr)>),
    Drop(Vec<Name>),
    /// `|> AGGREGATE .. GROUP BY ..`: grouping columns first.
    Aggregate {
        aggregates: Vec<Expr>,
        grouping: Vec<Expr>,
        kind: GroupingKind,
    },
}

/// `df.stat` and `df.describe`.
#[derive(Debug, Clone, PartialEq)]
pub enum Statistic {
    Summary(Vec<String>),
    Describe(Vec<String>),
    Crosstab(String, String),
    Covariance(String, String),
    Correlation { a: String, b: String, method: Option<String> },
    ApproxQuantile { columns: Vec<String>, probabilities: Vec<f64>, relative_error: f64 },
    FrequentItems { columns: Vec<String>, support: Option<f64> },
    SampleBy { column: Expr, fractions: Vec<(Literal, f64)>, seed: Option<i64> },
}
