//! Expressions over a table that a statement changes: analyzed like any other, then given back in the table's own columns.

use std::collections::HashMap;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_delta::{AutoCompact, CheckConstraint, DmlOptions, Predicate, Snapshot};
use boathouse_spec::{DataType, Error, Expr, Result};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::Expr as DataFusionExpr;
use serde_json::Map;

use crate::Session;
use crate::analyzer::{Analyzed, Analyzer, TypedExpr};
use crate::resolver::ResolvedTable;

/// A table's columns in sight of the analyzer.
pub(crate) struct TableScope {
    pub analyzed: Analyzed,
    /// The table's columns by the names the analyzer gave them.
    names: HashMap<String, String>,
    /// What stands before the table's columns in what is given back.
    relation: Option<TableReference>,
}

impl TableScope {
    pub fn open(analyzer: &mut Analyzer, table: &ResolvedTable, alias: Option<&str>) -> Result<Self> {
        let analyzed = analyzer.scan(table, alias)?;
        let names = analyzed
            .output
            .iter()
            .zip(&table.schema.fields)
            .map(|(attribute, field)| (attribute.internal_name(), field.name.clone()))
            .collect();
        Ok(Self { analyzed, names, relation: None })
    }

    /// The same with a qualifier before the columns that are given back.
    pub fn qualified(mut self, relation: TableReference) -> Self {
        self.relation = Some(relation);
        self
    }

    /// An expression over the table's columns.
    pub fn expression(&self, analyzer: &mut Analyzer, expr: &Expr) -> Result<TypedExpr> {
        let typed = analyzer.expression(expr, &self.analyzed)?;
        self.over_table(typed)
    }

    /// The same expression over the table's own columns.
    pub fn over_table(&self, typed: TypedExpr) -> Result<TypedExpr> {
        Ok(TypedExpr { expr: self.renamed(typed.expr)?, ..typed })
    }

    fn renamed(&self, expr: DataFusionExpr) -> Result<DataFusionExpr> {
        expr.transform(|e| {
            Ok(match e {
                DataFusionExpr::Column(c) => match self.names.get(&c.name) {
                    Some(name) => {
                        Transformed::yes(DataFusionExpr::Column(Column::new(self.relation.clone(), name)))
                    }
                    None => Transformed::no(DataFusionExpr::Column(c)),
                },
                other => Transformed::no(other),
            })
        })
        .map(|t| t.data)
        .spark()
    }

    /// A condition, which must be boolean.
    pub fn condition(&self, analyzer: &mut Analyzer, expr: &Expr, clause: &str) -> Result<Predicate> {
        let typed = self.expression(analyzer, expr)?;
        boolean(typed, clause)
    }

    /// A condition over more than the table.
    pub fn condition_over(
        &self,
        analyzer: &mut Analyzer,
        expr: &Expr,
        over: &Analyzed,
        clause: &str,
    ) -> Result<Predicate> {
        let typed = analyzer.expression(expr, over)?;
        boolean(self.over_table(typed)?, clause)
    }

    /// The CHECK constraints of a table, understood.
    pub fn constraints(&self, analyzer: &mut Analyzer, snapshot: &Snapshot) -> Result<Vec<CheckConstraint>> {
        snapshot
            .check_constraints()
            .into_iter()
            .map(|(name, sql)| {
                let expr = analyzer.session.conf().parse_expression(&sql)?;
                let expr = self.expression(analyzer, &expr)?.expr;
                Ok(CheckConstraint { name, sql, expr })
            })
            .collect()
    }
}

/// A condition must be boolean.
fn boolean(typed: TypedExpr, clause: &str) -> Result<Predicate> {
    if !matches!(typed.data_type, DataType::Boolean | DataType::Null) {
        return Err(Error::new("DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN")
            .param("sqlExpr", format!("\"{}\"", typed.name))
            .param("filter", format!("\"{}\"", typed.name))
            .param("type", format!("\"{}\"", typed.data_type.sql()))
            .message(format!(
                "The condition of {clause} must be boolean, but \"{}\" is {}.",
                typed.name,
                typed.data_type.sql()
            ))
            .exception("AnalysisException"));
    }
    Ok(Predicate { expr: typed.expr, sql: typed.name })
}

/// The constraints of a table that rows are written to.
pub(super) fn constraints(
    analyzer: &mut Analyzer,
    table: &ResolvedTable,
    snapshot: &Snapshot,
) -> Result<Vec<CheckConstraint>> {
    if snapshot.check_constraints().is_empty() {
        return Ok(Vec::new());
    }
    TableScope::open(analyzer, table, None)?.constraints(analyzer, snapshot)
}

/// What commits record of who made them.
pub(super) fn commit_fields(session: &Session) -> Map<String, serde_json::Value> {
    let mut fields = Map::new();
    if !session.user.is_empty() {
        fields.insert("userName".to_string(), session.user.clone().into());
    }
    fields
}

/// The text that the session wants recorded with each commit.
pub(super) fn user_metadata(session: &Session) -> Option<String> {
    session.conf().get("spark.databricks.delta.commitInfo.userMetadata")
}

/// When files are compacted after a write.
pub(super) fn auto_compact(session: &Session) -> AutoCompact {
    let conf = session.conf();
    let bytes = |name: &str| conf.bytes(&format!("spark.databricks.delta.autoCompact.{name}"));
    let default = AutoCompact::default();
    AutoCompact {
        enabled: conf
            .get("spark.databricks.delta.autoCompact.enabled")
            .map(|value| !value.eq_ignore_ascii_case("false")),
        max_file_size: bytes("maxFileSize").unwrap_or(default.max_file_size),
        min_file_size: bytes("minFileSize"),
        min_files: conf
            .integer("spark.databricks.delta.autoCompact.minNumFiles")
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(default.min_files),
    }
}

pub(super) fn dml_options(session: &Arc<Session>, constraints: Vec<CheckConstraint>) -> DmlOptions {
    DmlOptions {
        constraints,
        auto_compact: auto_compact(session),
        user_metadata: user_metadata(session),
        commit_fields: commit_fields(session),
        ..DmlOptions::default()
    }
}

/// The same for a statement that changes rows: `delete`, `update`, `merge`.
pub(super) fn row_options(
    session: &Arc<Session>,
    statement: &str,
    constraints: Vec<CheckConstraint>,
) -> DmlOptions {
    let vectors = format!("spark.databricks.delta.{statement}.deletionVectors.persistent");
    DmlOptions { deletion_vectors: session.conf().flag(&vectors), ..dml_options(session, constraints) }
}
