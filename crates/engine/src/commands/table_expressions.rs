//! Expressions over a table that a statement changes: analyzed like any other, then given back in the table's own columns.

use std::collections::HashMap;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_delta::{
    AutoCompact, AutomaticWidening, CheckConstraint, DmlOptions, FileSettings, Predicate, PropertyChecks,
    Snapshot,
};
use boathouse_spec::{DataType, Error, Expr, Result};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::Expr as DataFusionExpr;
use serde_json::Map;

use crate::Session;
use crate::analyzer::{Analyzed, Analyzer, TypedExpr, forbid_aggregates};
use crate::relation_walk::has_subquery;
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

    /// What a clause computes of one row of the table.
    pub fn row_expression(&self, analyzer: &mut Analyzer, expr: &Expr, clause: &str) -> Result<TypedExpr> {
        let typed = analyzer.row_expression(expr, &self.analyzed, clause)?;
        forbid_aggregates(&typed.expr, &typed.name, clause)?;
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

    /// Which rows a statement changes: boolean, and the same each time that it is computed.
    pub fn search_condition(&self, analyzer: &mut Analyzer, expr: &Expr, clause: &str) -> Result<Predicate> {
        let mut found = self.condition(analyzer, expr, clause)?;
        if found.expr.is_volatile() {
            refuse_varying(&found.expr, &found.sql)?;
        }
        if has_subquery(expr) {
            found.outer_names =
                self.names.iter().map(|(theirs, own)| (own.clone(), theirs.clone())).collect();
        }
        Ok(found)
    }

    /// A condition, which must be boolean.
    pub fn condition(&self, analyzer: &mut Analyzer, expr: &Expr, clause: &str) -> Result<Predicate> {
        let typed = self.row_expression(analyzer, expr, clause)?;
        boolean(typed, clause)
    }

    /// A condition over a row of more than the table.
    pub fn condition_over(
        &self,
        analyzer: &mut Analyzer,
        expr: &Expr,
        over: &Analyzed,
        clause: &str,
    ) -> Result<Predicate> {
        let typed = analyzer.row_expression(expr, over, clause)?;
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

/// Refuses conditions of what is replaced that the session does not allow
/// (`spark.databricks.delta.replaceWhere.dataColumns.enabled`).
pub(super) fn check_replaced(session: &Session, table: &ResolvedTable, replaced: &Predicate) -> Result<()> {
    let Some(delta) = &table.delta else { return Ok(()) };
    if session.conf().flag("spark.databricks.delta.replaceWhere.dataColumns.enabled") {
        return Ok(());
    }
    let partitions = delta.snapshot.partition_columns();
    let others = replaced.expr.column_refs().into_iter().filter(|c| !partitions.contains(&c.name));
    match others.map(|c| c.name.clone()).min() {
        None => Ok(()),
        Some(name) => Err(Error::new("DELTA_NON_PARTITION_COLUMN_REFERENCE")
            .param("columnName", &name)
            .param("columnList", partitions.join(", "))
            .message(format!(
                "What is replaced is to be told by partition columns ({}), and {name} is none.",
                partitions.join(", ")
            ))
            .exception("AnalysisException")),
    }
}

/// What UPDATE sets is computed for the table, and again for the change feed; some conditions are computed twice, too. The rows
/// that a subquery of a condition gives are not.
pub(super) fn refuse_varying(expr: &DataFusionExpr, name: &str) -> Result<()> {
    if !boathouse_delta::varies(expr) {
        return Ok(());
    }
    Err(Error::new("INVALID_NON_DETERMINISTIC_EXPRESSIONS")
        .param("sqlExprs", format!("\"{name}\""))
        .message(format!(
            "UPDATE and DELETE need expressions that are the same each time they are computed: {name}."
        ))
        .exception("AnalysisException"))
}

/// A query may give a new value, or decide in a clause of MERGE, but not another query for each row.
pub(super) fn refuse_correlated(expr: &DataFusionExpr, name: &str) -> Result<()> {
    let is_correlated = |e: &DataFusionExpr| match e {
        DataFusionExpr::ScalarSubquery(query) => !query.outer_ref_columns.is_empty(),
        DataFusionExpr::InSubquery(within) => !within.subquery.outer_ref_columns.is_empty(),
        DataFusionExpr::Exists(exists) => !exists.subquery.outer_ref_columns.is_empty(),
        _ => false,
    };
    if !expr.exists(|e| Ok(is_correlated(e))).spark()? {
        return Ok(());
    }
    Err(Error::new("UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.UNSUPPORTED_CORRELATED_SCALAR_SUBQUERY")
        .param("treeNode", name)
        .message(format!(
            "A subquery cannot speak of the row that is changed here: {name}. Join it in the source of a MERGE."
        ))
        .exception("AnalysisException"))
}

/// A condition must be boolean.
fn boolean(typed: TypedExpr, clause: &str) -> Result<Predicate> {
    if typed.data_type != DataType::Boolean {
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
    Ok(Predicate::new(typed.expr, typed.name))
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

/// How the session wants data files written.
pub(super) fn file_settings(session: &Session) -> FileSettings {
    let conf = session.conf();
    let positive = |key: &str| conf.integer(key).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    let default = FileSettings::default();
    FileSettings {
        default_compression: conf.get("spark.sql.parquet.compression.codec"),
        max_records_per_file: positive("spark.sql.files.maxRecordsPerFile"),
        collects_statistics: conf.flag("spark.databricks.delta.stats.collect"),
        string_bound: positive("spark.databricks.io.skipping.stringPrefixLength")
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(default.string_bound),
        zone: conf.zone(),
        utc_partition_times: conf.flag("spark.databricks.delta.write.utcTimestampPartitionValues"),
        ..default
    }
}

/// Which wider types writes give to columns by themselves.
pub(super) fn automatic_widening(session: &Session) -> AutomaticWidening {
    let set = session.conf().get("spark.databricks.delta.typeWidening.allowAutomaticWidening");
    set.and_then(|text| AutomaticWidening::parse(&text)).unwrap_or_default()
}

/// Whether statements that change nothing make versions all the same.
pub(super) fn records_nothing(session: &Session) -> bool {
    !session.conf().flag("spark.databricks.delta.skipRecordingEmptyCommits")
}

/// Whether table properties must be known.
pub(super) fn property_checks(session: &Session) -> PropertyChecks {
    match session.conf().flag("spark.databricks.delta.allowArbitraryProperties.enabled") {
        true => PropertyChecks::Nothing,
        false => PropertyChecks::Known,
    }
}

const TXN_APPLICATION: &str = "spark.databricks.delta.write.txnAppId";
const TXN_VERSION: &str = "spark.databricks.delta.write.txnVersion";

/// The application and version that the session writes for: what was written for them before is not written again.
pub(super) fn application(session: &Session) -> Result<Option<(String, i64)>> {
    let conf = session.conf();
    let found = match (conf.get(TXN_APPLICATION), conf.integer(TXN_VERSION)) {
        (Some(app), Some(version)) => (app, version),
        (None, None) => return Ok(None),
        _ => return Err(half_an_application(TXN_APPLICATION, TXN_VERSION)),
    };
    if conf.flag("spark.databricks.delta.write.txnVersion.autoReset.enabled") {
        conf.unset(TXN_VERSION)?;
    }
    Ok(Some(found))
}

/// An application without a version, or the other way round.
pub(super) fn half_an_application(application: &str, version: &str) -> Error {
    let why = format!("{application} and {version} go together");
    Error::new("DELTA_INVALID_IDEMPOTENT_WRITES_OPTIONS")
        .param("reason", &why)
        .message(format!("A write that is not to be done twice needs both: {why}."))
        .exception("IllegalArgumentException")
}

pub(super) fn dml_options(session: &Arc<Session>, constraints: Vec<CheckConstraint>) -> DmlOptions {
    DmlOptions {
        constraints,
        files: file_settings(session),
        property_checks: property_checks(session),
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
) -> Result<DmlOptions> {
    let vectors = format!("spark.databricks.delta.{statement}.deletionVectors.persistent");
    Ok(DmlOptions {
        deletion_vectors: session.conf().flag(&vectors),
        records_nothing: records_nothing(session),
        txn: application(session)?,
        ..dml_options(session, constraints)
    })
}
