//! The statements of pipelines in SQL.

use super::*;

/// `CREATE STREAMING TABLE`, `CREATE MATERIALIZED VIEW`, `CREATE FLOW`, ...
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineStatement {
    CreateDataset(PipelineDataset),
    /// `CREATE FLOW name AS INSERT INTO target BY NAME query`
    CreateFlow {
        name: Name,
        target: Name,
        query: Relation,
        comment: Option<String>,
        once: bool,
    },
    /// `CREATE FLOW name AS AUTO CDC INTO ..`, `APPLY CHANGES INTO`
    AutoCdc(AutoCdc),
    /// `REFRESH STREAMING TABLE t`, `REFRESH MATERIALIZED VIEW v [FULL]`
    Refresh {
        kind: PipelineDatasetKind,
        name: Name,
        full: bool,
    },
    /// `DROP MATERIALIZED VIEW v`
    Drop {
        kind: PipelineDatasetKind,
        name: Name,
        if_exists: bool,
    },
}

/// Change data capture into a streaming table.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoCdc {
    /// `None` for the legacy `APPLY CHANGES INTO`, whose flow has the target's name.
    pub flow: Option<Name>,
    pub target: Name,
    pub source: Relation,
    pub keys: Vec<Name>,
    pub sequence_by: Expr,
    pub ignore_null_updates: bool,
    pub apply_as_deletes: Option<Expr>,
    pub apply_as_truncates: Option<Expr>,
    pub columns: ChangeColumns,
    /// 1 or 2.
    pub scd_type: u8,
    pub track_history: ChangeColumns,
    pub comment: Option<String>,
    pub once: bool,
}

/// `COLUMNS (a, b)`, `COLUMNS * EXCEPT (a, b)`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChangeColumns {
    #[default]
    All,
    Only(Vec<Name>),
    Except(Vec<Name>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct PipelineDataset {
    pub kind: PipelineDatasetKind,
    pub name: Name,
    pub or_refresh: bool,
    pub if_not_exists: bool,
    pub private: bool,
    pub columns: Vec<ColumnDefinition>,
    pub constraints: Vec<TableConstraint>,
    pub provider: Option<String>,
    pub partition_by: Vec<PartitionField>,
    pub cluster_by: Option<Vec<Name>>,
    pub location: Option<String>,
    pub comment: Option<String>,
    pub properties: Options,
    pub query: Option<ViewQuery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineDatasetKind {
    StreamingTable,
    MaterializedView,
    TemporaryView,
}
