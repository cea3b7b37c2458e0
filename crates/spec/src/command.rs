//! Commands: statements with an effect, and those that describe.

mod pipeline;
mod table;

pub use self::pipeline::*;
pub use self::table::*;
use crate::{
    CursorStatement, DataType, Expr, Literal, Name, Options, Plan, PythonFunction, Relation, ScriptBlock,
    StructField, StructType, TextExpr, TimeTravel,
};

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    // ---- session
    /// `SET key = value`
    Set {
        key: String,
        value: String,
    },
    /// `SET key`
    ShowSetting {
        key: String,
    },
    /// `SET` and `SET -v`
    ShowSettings {
        verbose: bool,
    },
    Reset {
        key: Option<String>,
    },
    /// `SET TIME ZONE LOCAL | 'zone' | INTERVAL ..`
    SetTimeZone(TimeZoneSetting),
    DeclareVariable {
        names: Vec<Name>,
        data_type: Option<DataType>,
        default: Option<TextExpr>,
        or_replace: bool,
    },
    DropVariable {
        name: Name,
        if_exists: bool,
    },
    /// `SET VAR a = 1, (b, c) = (SELECT ..)`
    SetVariables {
        assignments: Vec<(Name, Expr)>,
    },
    SetVariablesFromQuery {
        names: Vec<Name>,
        query: Relation,
    },
    ExecuteImmediate {
        text: Expr,
        into: Vec<Name>,
        using: Vec<Expr>,
    },
    Cursor(CursorStatement),
    Use(UseTarget),

    // ---- describing
    Explain {
        plan: Box<Plan>,
        mode: ExplainMode,
    },
    ShowCatalogs {
        pattern: Option<String>,
    },
    ShowSchemas {
        catalog: Option<Name>,
        pattern: Option<String>,
    },
    ShowTables {
        schema: Option<Name>,
        pattern: Option<String>,
    },
    ShowTableExtended {
        schema: Option<Name>,
        pattern: String,
        partition: Option<PartitionSpec>,
    },
    ShowViews {
        schema: Option<Name>,
        pattern: Option<String>,
    },
    ShowColumns {
        table: Name,
        schema: Option<Name>,
    },
    ShowPartitions {
        table: Name,
        partition: Option<PartitionSpec>,
    },
    ShowFunctions {
        scope: FunctionScope,
        schema: Option<Name>,
        pattern: Option<String>,
    },
    ShowProperties {
        table: Name,
        key: Option<String>,
        is_view: bool,
    },
    ShowCreateTable {
        table: Name,
        as_serde: bool,
    },
    ShowCurrentSchema,
    ShowCollations {
        pattern: Option<String>,
    },
    DescribeCatalog {
        name: Name,
        extended: bool,
    },
    DescribeSchema {
        name: Name,
        extended: bool,
    },
    DescribeTable {
        table: Name,
        partition: Option<PartitionSpec>,
        extended: bool,
        as_json: bool,
    },
    DescribeColumn {
        table: Name,
        column: Name,
        extended: bool,
        as_json: bool,
    },
    DescribeFunction {
        name: Name,
        extended: bool,
    },
    DescribeQuery(Relation),
    DescribeHistory {
        table: Name,
        limit: Option<i64>,
    },
    DescribeDetail {
        table: Name,
    },
    /// `DeltaTable.isDeltaTable(path)`: one row with one boolean.
    IsDeltaTable {
        path: String,
    },

    // ---- catalogs, schemas
    CreateCatalog {
        name: String,
        if_not_exists: bool,
        comment: Option<String>,
        /// `MANAGED LOCATION`, or the endpoint of a sharing server.
        location: Option<String>,
        /// `USING DELTASHARING` (in lower case), `USING SHARE provider.share` (`share`, with the option `share`).
        provider: Option<String>,
        /// `OPTIONS (..)` and `WITH CREDENTIAL (..)`.
        options: Options,
    },
    DropCatalog {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    CreateSchema {
        name: Name,
        if_not_exists: bool,
        comment: Option<String>,
        location: Option<String>,
        collation: Option<String>,
        properties: Options,
    },
    AlterSchema {
        name: Name,
        change: SchemaChange,
    },
    DropSchema {
        name: Name,
        if_exists: bool,
        cascade: bool,
    },
    AlterCatalog {
        name: String,
        change: SchemaChange,
    },

    // ---- tables
    CreateTable(Box<CreateTable>),
    DropTable {
        name: Name,
        if_exists: bool,
        purge: bool,
    },
    AlterTable {
        name: Name,
        if_exists: bool,
        /// `ALTER VIEW`: the name must be a view.
        is_view: bool,
        changes: Vec<TableChange>,
    },
    CommentOn {
        target: CommentTarget,
        name: Name,
        comment: Option<String>,
    },
    TruncateTable {
        name: Name,
        partition: Option<PartitionSpec>,
    },
    RefreshTable {
        name: Name,
    },
    RefreshPath {
        path: String,
    },
    AnalyzeTable {
        name: Name,
        partition: Option<PartitionSpec>,
        columns: AnalyzeColumns,
        no_scan: bool,
    },
    AnalyzeTables {
        schema: Option<Name>,
        no_scan: bool,
    },
    RepairTable {
        name: Name,
    },

    // ---- views, functions
    CreateView(Box<CreateView>),
    AlterView {
        name: Name,
        query: ViewQuery,
    },
    /// `ALTER VIEW v WITH SCHEMA BINDING | COMPENSATION | EVOLUTION | TYPE EVOLUTION`
    AlterViewSchemaMode {
        name: Name,
        mode: String,
    },
    DropView {
        name: Name,
        if_exists: bool,
    },
    CreateFunction(Box<CreateFunction>),
    DropFunction {
        name: Name,
        if_exists: bool,
        temporary: bool,
    },
    RefreshFunction {
        name: Name,
    },
    /// A Python function registered under a name in the session.
    RegisterPythonFunction {
        name: String,
        function: PythonFunction,
        deterministic: bool,
        is_table_function: bool,
    },
    /// A Python data source registered under a name in the session: the pickled class.
    RegisterPythonDataSource {
        name: String,
        command: Vec<u8>,
        python_version: String,
    },

    // ---- rows
    Insert(Box<Insert>),
    /// `FROM t INSERT INTO a SELECT .. INSERT INTO b SELECT ..`
    MultiInsert(Vec<Insert>),
    Update {
        table: Name,
        alias: Option<String>,
        assignments: Vec<(Name, Expr)>,
        condition: Option<Expr>,
    },
    Delete {
        table: Name,
        alias: Option<String>,
        condition: Option<Expr>,
    },
    Merge(Box<Merge>),
    CopyInto(Box<CopyInto>),
    /// `df.write...save()`, `saveAsTable`, `insertInto`
    Write(Box<Write>),
    /// `df.writeTo(..)`
    WriteTo(Box<WriteTo>),

    // ---- Delta maintenance
    Restore {
        table: Name,
        to: TimeTravel,
    },
    Vacuum {
        table: Name,
        retain_hours: Option<f64>,
        dry_run: bool,
        mode: VacuumMode,
        /// `USING INVENTORY`: what lists the files that are there.
        inventory: Option<Relation>,
    },
    /// `FSCK REPAIR TABLE t [METADATA ONLY | VERIFY ..] [DRY RUN]`
    Fsck {
        table: Name,
        mode: FsckMode,
        dry_run: bool,
    },
    Optimize {
        table: Name,
        condition: Option<TextExpr>,
        zorder_by: Vec<Name>,
        full: bool,
    },
    Reorg {
        table: Name,
        condition: Option<TextExpr>,
    },
    /// `REORG TABLE t APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = n))`
    UpgradeUniform {
        table: Name,
        version: i32,
    },
    ConvertToDelta {
        table: Name,
        partition_schema: Option<StructType>,
        no_statistics: bool,
        /// Whether the table's name is the answer, as the method of `DeltaTable` wants it.
        names_table: bool,
    },
    Clone {
        target: Name,
        source: Name,
        time_travel: Option<TimeTravel>,
        shallow: bool,
        or_replace: bool,
        if_not_exists: bool,
        properties: Options,
        location: Option<String>,
    },
    Generate {
        table: Name,
        mode: String,
    },

    // ---- caching
    CacheTable {
        name: Name,
        query: Option<Relation>,
        lazy: bool,
        options: Options,
    },
    UncacheTable {
        name: Name,
        if_exists: bool,
    },
    ClearCache,

    // ---- the catalog API (spark.catalog.*), where no statement says the same
    Catalog(CatalogCall),

    // ---- pipelines: statements only a pipeline's SQL files may hold
    Pipeline(Box<PipelineStatement>),

    /// Grants, principals, shares: what only Unity Catalog has.
    Governance(Box<crate::GovernanceStatement>),

    /// A statement that names objects by `IDENTIFIER(expr)` with expressions the parser cannot compute. Whoever runs it
    /// computes them (constants of type string), and parses the text again with their values
    /// (`ParserOptions::identifiers` of `boathouse-sql`), in the order given here.
    IdentifierClause {
        text: String,
        identifiers: Vec<Expr>,
    },

    /// `BEGIN .. END`
    Script(ScriptBlock),
}

#[derive(Debug, Clone, PartialEq)]
pub enum TimeZoneSetting {
    Local,
    Zone(String),
    /// Seconds east of UTC.
    Offset(i32),
}

#[derive(Debug, Clone, PartialEq)]
pub enum UseTarget {
    Catalog(Name),
    Schema(Name),
    /// `USE name`: a schema of the current catalog, or a catalog.
    Any(Name),
    /// `USE IDENTIFIER(expr)`
    Identifier(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainMode {
    Simple,
    Extended,
    Codegen,
    Cost,
    Formatted,
    Analyze,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionScope {
    All,
    User,
    System,
}

/// `PARTITION (a = 1, b)`: values where given.
pub type PartitionSpec = Vec<(String, Option<Expr>)>;

#[derive(Debug, Clone, PartialEq)]
pub enum AnalyzeColumns {
    None,
    All,
    Named(Vec<String>),
}

/// The query of a view, with its text: views are kept as text and resolved at use.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewQuery {
    pub text: String,
    pub query: Relation,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    pub name: Name,
    pub mode: CreateMode,
    pub kind: ViewKind,
    /// Output names with comments.
    pub columns: Vec<(String, Option<String>)>,
    pub comment: Option<String>,
    pub collation: Option<String>,
    pub properties: Options,
    /// `WITH SCHEMA BINDING | COMPENSATION | EVOLUTION | TYPE EVOLUTION`
    pub schema_mode: Option<String>,
    /// The query; `None` only with a source.
    pub query: Option<ViewQuery>,
    /// `CREATE TEMPORARY VIEW v USING format OPTIONS (..)`, and DataFrames registered as views.
    pub source: Option<Relation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewKind {
    Persistent,
    Temporary,
    GlobalTemporary,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateFunction {
    pub name: Name,
    pub mode: CreateMode,
    pub temporary: bool,
    pub parameters: Vec<FunctionParameter>,
    pub returns: Option<FunctionReturn>,
    pub body: FunctionBody,
    pub comment: Option<String>,
    pub deterministic: Option<bool>,
    pub language: Option<String>,
    /// Other characteristics, kept for DESCRIBE: `CONTAINS SQL`, `SQL SECURITY DEFINER`, ...
    pub characteristics: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionParameter {
    pub name: String,
    pub data_type: DataType,
    pub default: Option<TextExpr>,
    pub comment: Option<String>,
    pub nullable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FunctionReturn {
    Scalar(DataType),
    /// `RETURNS TABLE (..)`; columns may be left out.
    Table(Option<Vec<ColumnDefinition>>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum FunctionBody {
    /// `RETURN expr`
    Expression(TextExpr),
    /// `RETURN SELECT ..`
    Query(ViewQuery),
    /// `AS 'class' USING JAR ..`
    Class { class: String, resources: Vec<(String, String)> },
    /// `LANGUAGE PYTHON AS $$ .. $$`
    Source(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub table: TableTarget,
    pub query: Relation,
    pub columns: Vec<Name>,
    pub by_name: bool,
    pub mode: InsertMode,
    pub partition: Option<PartitionSpec>,
    pub if_partition_not_exists: bool,
    pub options: Options,
    pub with_schema_evolution: bool,
}

/// A table by name, or a directory by path.
#[derive(Debug, Clone, PartialEq)]
pub enum TableTarget {
    Name(Name),
    Identifier(Expr),
    /// `INSERT OVERWRITE DIRECTORY 'path' USING format`
    Directory {
        path: Option<String>,
        format: Option<String>,
        options: Options,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum InsertMode {
    Append,
    Overwrite,
    /// `INSERT INTO t REPLACE WHERE condition`
    ReplaceWhere(Expr),
    /// `INSERT INTO t REPLACE USING (columns)`
    ReplaceUsing(Vec<Name>),
    /// `INSERT INTO t AS alias REPLACE ON condition`
    ReplaceOn {
        alias: Option<String>,
        condition: Expr,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    pub target: Relation,
    pub source: Relation,
    pub condition: Expr,
    pub matched: Vec<MergeClause>,
    pub not_matched: Vec<MergeClause>,
    pub not_matched_by_source: Vec<MergeClause>,
    pub with_schema_evolution: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MergeClause {
    pub condition: Option<Expr>,
    pub action: MergeAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    Delete,
    Update(Vec<(Expr, Expr)>),
    UpdateAll,
    Insert(Vec<(Expr, Expr)>),
    InsertAll,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CopyInto {
    pub table: Name,
    pub columns: Vec<Name>,
    /// The source path; `select` are the expressions over it where given.
    pub path: String,
    pub select: Option<Vec<Expr>>,
    pub format: String,
    pub files: Vec<String>,
    pub pattern: Option<String>,
    pub format_options: Options,
    pub copy_options: Options,
    pub validate: Option<Option<i64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveMode {
    Append,
    Overwrite,
    ErrorIfExists,
    Ignore,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub input: Relation,
    /// `None` means `spark.sql.sources.default`.
    pub format: Option<String>,
    pub mode: Option<SaveMode>,
    pub target: WriteTarget,
    pub partition_by: Vec<String>,
    pub cluster_by: Vec<Name>,
    pub bucket: Option<Bucket>,
    pub options: Options,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WriteTarget {
    /// `save()` without a path: the format takes it from its options.
    None,
    Path(String),
    Table(Name),
    InsertInto(Name),
}

#[derive(Debug, Clone, PartialEq)]
pub struct WriteTo {
    pub input: Relation,
    pub table: Name,
    pub provider: Option<String>,
    pub partition_by: Vec<Expr>,
    pub cluster_by: Vec<Name>,
    pub options: Options,
    pub properties: Options,
    pub mode: WriteToMode,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WriteToMode {
    Create,
    Replace,
    CreateOrReplace,
    Append,
    Overwrite(Expr),
    OverwritePartitions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VacuumMode {
    /// As configured.
    Default,
    Full,
    Lite,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FsckMode {
    Default,
    MetadataOnly,
    VerifyAll,
    /// `VERIFY FILES MODIFIED BETWEEN a AND b`
    VerifyModified {
        from: Expr,
        to: Expr,
    },
}

/// `spark.catalog.*` calls; each gives rows of Spark's schema for it.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogCall {
    CurrentDatabase,
    SetCurrentDatabase(String),
    ListDatabases {
        pattern: Option<String>,
    },
    ListTables {
        database: Option<String>,
        pattern: Option<String>,
    },
    ListFunctions {
        database: Option<String>,
        pattern: Option<String>,
    },
    ListColumns {
        table: String,
        database: Option<String>,
    },
    GetDatabase(String),
    GetTable {
        table: String,
        database: Option<String>,
    },
    GetFunction {
        function: String,
        database: Option<String>,
    },
    DatabaseExists(String),
    TableExists {
        table: String,
        database: Option<String>,
    },
    FunctionExists {
        function: String,
        database: Option<String>,
    },
    CreateTable {
        table: String,
        path: Option<String>,
        source: Option<String>,
        description: Option<String>,
        schema: Option<StructType>,
        options: Options,
    },
    DropTempView(String),
    DropGlobalTempView(String),
    RecoverPartitions(String),
    IsCached(String),
    CacheTable {
        table: String,
        storage_level: Option<StorageLevel>,
    },
    UncacheTable(String),
    ClearCache,
    RefreshTable(String),
    RefreshByPath(String),
    CurrentCatalog,
    SetCurrentCatalog(String),
    ListCatalogs {
        pattern: Option<String>,
    },
    /// Calls new in a later client, by name: refused so that the refusal can name them, or built from SQL.
    Other {
        name: String,
        args: Vec<Literal>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageLevel {
    pub use_disk: bool,
    pub use_memory: bool,
    pub use_off_heap: bool,
    pub deserialized: bool,
    pub replication: i32,
}
