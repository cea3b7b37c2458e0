//! What is recorded of each securable.

use boathouse_spec::{Bucket, DataType, Name, StructType};
use indexmap::IndexMap;
use uuid::Uuid;

use crate::names::{ObjectName, SchemaName};

/// Table properties, options and the like, in the order they were set.
pub type Properties = IndexMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct CatalogRecord {
    pub id: Uuid,
    pub name: String,
    pub comment: Option<String>,
    pub owner: String,
    /// Where managed tables of the catalog live; `None` for below the warehouse.
    pub location: Option<String>,
    pub properties: Properties,
    pub created_at_us: i64,
    pub created_by: String,
    pub updated_at_us: i64,
    pub updated_by: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SchemaRecord {
    pub id: Uuid,
    pub name: SchemaName,
    pub comment: Option<String>,
    pub owner: String,
    /// Where managed tables of the schema live; `None` for the catalog's default place.
    pub location: Option<String>,
    pub properties: Properties,
    pub collation: Option<String>,
    pub created_at_us: i64,
    pub created_by: String,
    pub updated_at_us: i64,
    pub updated_by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    Managed,
    External,
    View,
    MaterializedView,
    StreamingTable,
}

impl TableKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "MANAGED",
            Self::External => "EXTERNAL",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED_VIEW",
            Self::StreamingTable => "STREAMING_TABLE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "MANAGED" => Self::Managed,
            "EXTERNAL" => Self::External,
            "VIEW" => Self::View,
            "MATERIALIZED_VIEW" => Self::MaterializedView,
            "STREAMING_TABLE" => Self::StreamingTable,
            _ => return None,
        })
    }

    /// A name for a query, with no rows of its own.
    pub fn is_view(self) -> bool {
        self == Self::View
    }
}

/// A table or a view.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRecord {
    pub id: Uuid,
    pub name: ObjectName,
    pub kind: TableKind,
    /// `delta`, `parquet`, `csv`, ...; `None` for views.
    pub provider: Option<String>,
    pub schema: StructType,
    pub partition_columns: Vec<String>,
    pub clustering_columns: Vec<Name>,
    pub bucket: Option<Bucket>,
    /// The URL of the table's directory.
    pub location: Option<String>,
    /// Whether the catalog says which commits are the table's versions; decided before it gets its name, and only read here.
    pub manages_commits: bool,
    pub properties: Properties,
    pub options: Properties,
    pub comment: Option<String>,
    pub collation: Option<String>,
    pub owner: String,
    /// The definition of a view; also the query of a materialized view or streaming table where one is recorded.
    pub view: Option<ViewDefinition>,
    pub created_at_us: i64,
    pub created_by: String,
    /// The version of the program that created it, as `DESCRIBE TABLE EXTENDED` shows under `Created By`.
    pub created_version: String,
    pub updated_at_us: i64,
    pub updated_by: String,
}

impl TableRecord {
    /// A record with nothing but its name, kind, provider and columns. The catalog sets the times when it is created.
    pub fn new(name: ObjectName, kind: TableKind, provider: Option<&str>, schema: StructType) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
            kind,
            provider: provider.map(str::to_lowercase),
            schema,
            partition_columns: Vec::new(),
            clustering_columns: Vec::new(),
            bucket: None,
            location: None,
            manages_commits: false,
            properties: Properties::new(),
            options: Properties::new(),
            comment: None,
            collation: None,
            owner: String::new(),
            view: None,
            created_at_us: 0,
            created_by: String::new(),
            created_version: format!("Boathouse {}", env!("CARGO_PKG_VERSION")),
            updated_at_us: 0,
            updated_by: String::new(),
        }
    }

    /// Whether dropping the table removes its files.
    pub fn owns_files(&self) -> bool {
        match self.kind {
            TableKind::Managed => true,
            // A dataset of a pipeline that was given a place keeps it.
            TableKind::MaterializedView | TableKind::StreamingTable => !self.options.contains_key("path"),
            TableKind::External | TableKind::View => false,
        }
    }

    /// A view over a query text.
    pub fn view(name: ObjectName, schema: StructType, definition: ViewDefinition) -> Self {
        Self { view: Some(definition), ..Self::new(name, TableKind::View, None, schema) }
    }
}

/// How a view follows changes of what it reads (`WITH SCHEMA ...`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewSchemaMode {
    Binding,
    /// Columns are cast to the recorded types: Spark's default.
    #[default]
    Compensation,
    TypeEvolution,
    Evolution,
}

impl ViewSchemaMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binding => "BINDING",
            Self::Compensation => "COMPENSATION",
            Self::TypeEvolution => "TYPE EVOLUTION",
            Self::Evolution => "EVOLUTION",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_uppercase().as_str() {
            "BINDING" => Self::Binding,
            "COMPENSATION" => Self::Compensation,
            "TYPE EVOLUTION" => Self::TypeEvolution,
            "EVOLUTION" => Self::Evolution,
            _ => return None,
        })
    }
}

/// A view's query with everything that changes what it means: names resolve in the namespace of its creation and
/// under the settings of its creation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewDefinition {
    pub text: String,
    pub current_catalog: String,
    pub current_schema: String,
    /// Settings that change results, such as `spark.sql.ansi.enabled` and `spark.sql.session.timeZone`.
    pub configs: Properties,
    /// The names the query itself gave its columns, in order, where the record's schema renames them.
    pub query_columns: Vec<String>,
    pub schema_mode: ViewSchemaMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionKind {
    Scalar,
    Table,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ParameterRecord {
    pub name: String,
    pub data_type: DataType,
    /// The text of the DEFAULT expression.
    pub default: Option<String>,
    pub comment: Option<String>,
}

/// A SQL (or, by `language`, other) function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionRecord {
    pub id: Uuid,
    pub name: ObjectName,
    pub kind: FunctionKind,
    /// `SQL`, `PYTHON`, ...
    pub language: String,
    pub parameters: Vec<ParameterRecord>,
    /// The declared type of a scalar function; `None` where it is inferred from the body.
    pub returns: Option<DataType>,
    /// The columns of a table function; empty where they are inferred.
    pub return_columns: StructType,
    pub body: String,
    /// The body is a query (`RETURN SELECT ..`), not an expression.
    pub body_is_query: bool,
    pub comment: Option<String>,
    pub deterministic: Option<bool>,
    /// `CONTAINS SQL`, `READS SQL DATA`, ...
    pub characteristics: Vec<String>,
    pub owner: String,
    pub current_catalog: String,
    pub current_schema: String,
    pub configs: Properties,
    pub created_at_us: i64,
    pub created_by: String,
    pub updated_at_us: i64,
    pub updated_by: String,
}

impl FunctionRecord {
    /// A scalar SQL function of one expression; the other fields are empty.
    pub fn new(
        name: ObjectName,
        parameters: Vec<ParameterRecord>,
        returns: Option<DataType>,
        body: &str,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
            kind: FunctionKind::Scalar,
            language: "SQL".to_string(),
            parameters,
            returns,
            return_columns: StructType::default(),
            body: body.to_string(),
            body_is_query: false,
            comment: None,
            deterministic: None,
            characteristics: Vec::new(),
            owner: String::new(),
            current_catalog: String::new(),
            current_schema: String::new(),
            configs: Properties::new(),
            created_at_us: 0,
            created_by: String::new(),
            updated_at_us: 0,
            updated_by: String::new(),
        }
    }
}
