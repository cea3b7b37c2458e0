//! `MERGE INTO`.

use std::sync::Arc;

use boathouse_delta::{
    Assignment, DmlOptions, IdentityColumn, MergeAction as DeltaAction, MergeClause as DeltaClause,
    Predicate, Widening,
};
use boathouse_spec::{
    DataSourceRef, DataType, Error, Expr, Merge, MergeAction, MergeClause, Name, Relation, RelationNode,
    Result, StructField, StructType, quote, quote_name,
};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr as DataFusionExpr, LogicalPlanBuilder};

use boathouse_bridge::ResultExt;

use crate::analyzer::{Analyzed, Analyzer, TypedExpr, forbid_aggregates, has_aggregate};
use crate::commands::fields_by_name::{Lacking, assign_by_name, nested};
use crate::commands::table_expressions::{TableScope, automatic_widening, refuse_correlated, row_options};
use crate::commands::update::column_of;
use crate::commands::{column_default, computed_columns, target, write};
use crate::relation_walk::has_subquery;
use crate::resolver::{self, DeltaSource, ResolvedTable};
use crate::rows::{self, Value, column};
use crate::{QueryResult, Session, execute};

/// What stands before the target's columns in the plan of the merge.
const TARGET: &str = "__target";

pub(super) fn result_schema() -> StructType {
    StructType::new(vec![
        column("num_affected_rows", DataType::Long, true),
        column("num_updated_rows", DataType::Long, true),
        column("num_deleted_rows", DataType::Long, true),
        column("num_inserted_rows", DataType::Long, true),
    ])
}

pub(super) async fn run(session: &Arc<Session>, merge: Merge) -> Result<QueryResult> {
    let (table, delta, alias) = target_of(session, &merge.target).await?;
    let evolves =
        merge.with_schema_evolution || session.conf().flag("spark.databricks.delta.schema.autoMerge.enabled");
    let (opened, snapshot) = (table.clone(), delta.snapshot.clone());
    let (planned, constraints, identities) = session
        .analyze(move |analyzer| {
            analyzer.changes(&opened);
            let scope = TableScope::open(analyzer, &opened, alias.as_deref())?
                .qualified(TableReference::bare(TARGET));
            let constraints = TableScope::open(analyzer, &opened, None)?.constraints(analyzer, &snapshot)?;
            let identities = computed_columns::identity_columns(&opened);
            let planner = Planner { table: &opened, alias: alias.as_deref(), scope, evolves, identities };
            let planned = planner.plan(analyzer, &merge)?;
            Ok((planned, constraints, planner.identities))
        })
        .await?;
    let state = execute::changing_state(session, &delta.snapshot);
    let options = DmlOptions { identities, ..row_options(session, "merge", constraints)? };
    if delta.snapshot.was_written(options.txn.as_ref()).await? {
        return rows::result(result_schema(), Vec::new());
    }
    let done = boathouse_delta::merge(&delta.snapshot, &state, &planned, &options).await?;
    let count = |key: &str| done.as_ref().map_or(0, |c| c.metric(key));
    let (updated, deleted, inserted) =
        (count("numTargetRowsUpdated"), count("numTargetRowsDeleted"), count("numTargetRowsInserted"));
    if let Some(committed) = done {
        session.committed(&delta.table, &committed);
        session.engine.cache.changed(&delta.table.location().uri()).await;
        write::sync_record(session, &table).await?;
    }
    let row = [updated + deleted + inserted, updated, deleted, inserted].map(Value::Integer).to_vec();
    rows::result(result_schema(), vec![row])
}

/// The Delta table that the target relation names, with its alias.
async fn target_of(
    session: &Arc<Session>,
    relation: &Relation,
) -> Result<(ResolvedTable, DeltaSource, Option<String>)> {
    match &*relation.node {
        RelationNode::SubqueryAlias { input, alias, .. } => {
            let (table, delta, _) = Box::pin(target_of(session, input)).await?;
            Ok((table, delta, Some(alias.clone())))
        }
        RelationNode::Table(named) => {
            let name = match &named.identifier {
                Some(expr) => super::insert::identifier(session, (**expr).clone()).await?,
                None => named.name.clone(),
            };
            let (table, delta) =
                target::delta(session, &name, "MERGE INTO TABLE", &target::relation_path(session)).await?;
            Ok((table, delta, None))
        }
        RelationNode::DataSource(source) => {
            let source = DataSourceRef { format: source.format.clone(), ..source.clone() };
            let table = resolver::data_source(session, &source).await?;
            match table.delta.clone() {
                Some(delta) => Ok((table, delta, None)),
                None => Err(target::no_operation(&table.display_name(), "MERGE INTO TABLE")),
            }
        }
        _ => Err(Error::new("DELTA_MERGE_UNEXPECTED_TARGET")
            .message("The target of MERGE must be a Delta table, by name or by path.")
            .exception("AnalysisException")),
    }
}

/// Turns the clauses into Delta's.
struct Planner<'a> {
    table: &'a ResolvedTable,
    alias: Option<&'a str>,
    scope: TableScope,
    evolves: bool,
    identities: Vec<IdentityColumn>,
}

impl Planner<'_> {
    fn plan(&self, analyzer: &mut Analyzer, merge: &Merge) -> Result<boathouse_delta::Merge> {
        let source = analyzer.query(&merge.source)?;
        let both = joined(&self.scope.analyzed, &source)?;
        let condition = self.search_condition(analyzer, &merge.condition, &both)?;
        let schema = self.evolved(analyzer, merge, &source)?;
        let clauses = |analyzer: &mut Analyzer, list: &[MergeClause], over: &Analyzed| {
            list.iter().map(|c| self.clause(analyzer, c, over, &source, &schema)).collect::<Result<Vec<_>>>()
        };
        Ok(boathouse_delta::Merge {
            matched: clauses(analyzer, &merge.matched, &both)?,
            not_matched: clauses(analyzer, &merge.not_matched, &source)?,
            not_matched_by_source: clauses(analyzer, &merge.not_matched_by_source, &self.scope.analyzed)?,
            target: TableReference::bare(TARGET),
            source: source.plan,
            condition: condition.expr,
            condition_sql: condition.sql,
            evolved_schema: (schema != self.table.schema).then_some(schema),
        })
    }

    /// The condition that finds matches: it is decided once for each pair of rows, with nothing else read.
    fn search_condition(
        &self,
        analyzer: &mut Analyzer,
        condition: &Expr,
        both: &Analyzed,
    ) -> Result<Predicate> {
        if has_subquery(condition) {
            return Err(Error::new("DELTA_UNSUPPORTED_SUBQUERY")
                .param("operation", "MERGE")
                .message("The condition of MERGE has no subqueries.")
                .exception("AnalysisException"));
        }
        let found = self.scope.condition_over(analyzer, condition, both, "MERGE");
        let found = found.map_err(|e| unresolved(e, "search condition", both))?;
        check_condition(&found, "search condition of MERGE")?;
        Ok(found)
    }

    /// The table's schema afterwards: with what the source has of the columns that the clauses set, all of them where one
    /// sets `*` (`ResolveDeltaMergeInto`).
    fn evolved(&self, analyzer: &Analyzer, merge: &Merge, source: &Analyzed) -> Result<StructType> {
        let Some(delta) = self.table.delta.as_ref().filter(|_| self.evolves) else {
            return Ok(self.table.schema.clone());
        };
        let mut keys = Vec::new();
        let mut has_star = false;
        for clause in merge.matched.iter().chain(&merge.not_matched) {
            match &clause.action {
                MergeAction::UpdateAll | MergeAction::InsertAll => has_star = true,
                MergeAction::Update(list) | MergeAction::Insert(list) => {
                    for (key, _) in list {
                        keys.push(column_name(analyzer, key)?);
                    }
                }
                MergeAction::Delete => {}
            }
        }
        let is_set = |column: &str| {
            keys.iter().any(|key| key.iter().take(2).any(|part| part.eq_ignore_ascii_case(column)))
        };
        let fields = source.output.iter().filter(|a| has_star || is_set(&a.name)).map(|a| StructField {
            nullable: true,
            data_type: a.data_type.as_nullable(),
            ..a.field()
        });
        let given = StructType::new(fields.collect());
        let widening = Widening::of(&delta.snapshot, automatic_widening(&analyzer.session));
        boathouse_delta::evolved_schema(&self.table.schema, &given, widening)
    }

    /// The target's column as an expression.
    fn old_value(&self, name: &str) -> Option<TypedExpr> {
        let output = &self.scope.analyzed.output;
        output.iter().find(|a| a.name.eq_ignore_ascii_case(name)).map(|a| a.typed())
    }

    fn clause(
        &self,
        analyzer: &mut Analyzer,
        clause: &MergeClause,
        over: &Analyzed,
        source: &Analyzed,
        schema: &StructType,
    ) -> Result<DeltaClause> {
        let condition = match &clause.condition {
            Some(condition) => {
                let found = self.scope.condition_over(analyzer, condition, over, "MERGE");
                let found = found.map_err(|e| unresolved(e, "clause", over))?;
                let kind = match &clause.action {
                    MergeAction::Delete => "DELETE",
                    MergeAction::Update(_) | MergeAction::UpdateAll => "UPDATE",
                    MergeAction::Insert(_) | MergeAction::InsertAll => "INSERT",
                };
                check_condition(&found, &format!("{kind} condition of MERGE"))?;
                Some(found)
            }
            None => None,
        };
        let action = match &clause.action {
            MergeAction::Delete => DeltaAction::Delete,
            MergeAction::Update(assignments) => {
                let assigned = self.updates(analyzer, assignments, over, schema)?;
                DeltaAction::Update(self.with_computed(analyzer, assigned, false)?)
            }
            MergeAction::Insert(assignments) => {
                let assigned = self.inserts(analyzer, assignments, over, schema)?;
                DeltaAction::Insert(self.with_computed(analyzer, assigned, true)?)
            }
            MergeAction::UpdateAll => {
                let assigned = self.all(analyzer, source, schema, false)?;
                DeltaAction::Update(self.with_computed(analyzer, assigned, false)?)
            }
            MergeAction::InsertAll => {
                let assigned = self.all(analyzer, source, schema, true)?;
                DeltaAction::Insert(self.with_computed(analyzer, assigned, true)?)
            }
        };
        let (sql, expr) = condition.map(|c| (c.sql, c.expr)).unzip();
        Ok(DeltaClause { condition: expr, sql, action })
    }

    /// `UPDATE SET *` and `INSERT *`: columns by name.
    fn all(
        &self,
        analyzer: &mut Analyzer,
        source: &Analyzed,
        schema: &StructType,
        is_insert: bool,
    ) -> Result<Vec<Assignment>> {
        let mut out = Vec::with_capacity(schema.fields.len());
        for field in &schema.fields {
            let mut found = source.output.iter().filter(|a| a.name.eq_ignore_ascii_case(&field.name));
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => {
                    return Err(Error::new("AMBIGUOUS_REFERENCE")
                        .param("name", quote(&field.name))
                        .param("referenceNames", format!("[{0}, {0}]", quote(&field.name)))
                        .message(format!("The source has several columns {}.", quote(&field.name)))
                        .exception("AnalysisException"));
                }
                (Some(attribute), None) => {
                    let below = if is_insert { None } else { self.old_value(&field.name) };
                    out.push(self.assigned(analyzer, field, attribute.typed(), below)?);
                }
                (None, _) if self.evolves && computed_columns::is_computed(field) => {}
                (None, _) if self.evolves => {
                    if is_insert {
                        out.extend(self.default(analyzer, field)?);
                    }
                }
                (None, _) => {
                    let clause = if is_insert { "INSERT" } else { "UPDATE" };
                    let columns = source.output.iter().map(|a| quote(&a.name)).collect::<Vec<_>>().join(", ");
                    return Err(Error::new("DELTA_MERGE_UNRESOLVED_EXPRESSION")
                        .param("sqlExpr", &field.name)
                        .param("clause", format!("{clause} clause"))
                        .param("cols", &columns)
                        .message(format!(
                            "The source of MERGE has no column {} for {clause} *. It has {columns}.",
                            quote(&field.name)
                        ))
                        .exception("AnalysisException"));
                }
            }
        }
        Ok(out)
    }

    fn updates(
        &self,
        analyzer: &mut Analyzer,
        assignments: &[(Expr, Expr)],
        over: &Analyzed,
        schema: &StructType,
    ) -> Result<Vec<Assignment>> {
        let evolved = ResolvedTable { schema: schema.clone(), ..self.table.clone() };
        let mut columns: Vec<(StructField, Expr)> = Vec::new();
        let mut seen: Vec<Vec<String>> = Vec::new();
        for (key, value) in assignments {
            let name = column_name(analyzer, key)?;
            let (field, path) =
                column_of(&evolved, self.alias, &name).map_err(|e| unresolved(e, "UPDATE clause", over))?;
            let full: Vec<String> =
                std::iter::once(&field.name).chain(path).map(|p| p.to_lowercase()).collect();
            if seen.iter().any(|s| s.starts_with(&full) || full.starts_with(s)) {
                return Err(Error::new("DELTA_CONFLICT_SET_COLUMN")
                    .param("columnList", quote_name(&name))
                    .message(format!("{} is set twice.", quote_name(&name)))
                    .exception("AnalysisException"));
            }
            seen.push(full);
            let value = match value {
                Expr::Default if path.is_empty() => column_default::expression(&analyzer.session, field)?,
                value => value.clone(),
            };
            let before = columns.iter().position(|(f, _)| f.name == field.name);
            let current = match before {
                Some(i) => columns[i].1.clone(),
                None => self.target_column(&field.name),
            };
            let old = self.table.schema.field(&field.name).unwrap_or(field);
            let new = nested(current, &old.data_type, path, value)
                .map_err(|e| if self.evolves { unresolved(e, "UPDATE clause", over) } else { e })?;
            match before {
                Some(i) => columns[i].1 = new,
                None => columns.push((field.clone(), new)),
            }
        }
        columns
            .into_iter()
            .map(|(field, value)| {
                let value = value_of(analyzer, &value, over, "UPDATE clause")?;
                self.assigned(analyzer, &field, value, None)
            })
            .collect()
    }

    /// The target's column by a name that the source cannot have too.
    fn target_column(&self, name: &str) -> Expr {
        let mut parts = match self.alias {
            Some(alias) => vec![alias.to_string()],
            None => self.table.qualifier.clone(),
        };
        parts.push(name.to_string());
        Expr::column(parts)
    }

    fn inserts(
        &self,
        analyzer: &mut Analyzer,
        assignments: &[(Expr, Expr)],
        over: &Analyzed,
        schema: &StructType,
    ) -> Result<Vec<Assignment>> {
        let evolved = ResolvedTable { schema: schema.clone(), ..self.table.clone() };
        let mut out: Vec<Assignment> = Vec::with_capacity(schema.fields.len());
        for (key, value) in assignments {
            let name = column_name(analyzer, key)?;
            let (field, path) =
                column_of(&evolved, self.alias, &name).map_err(|e| unresolved(e, "INSERT clause", over))?;
            if !path.is_empty() {
                return Err(Error::new("DELTA_UNSUPPORTED_NESTED_FIELD_IN_OPERATION")
                    .param("operation", "INSERT clause of MERGE operation")
                    .message(format!(
                        "INSERT sets whole columns, not fields inside them: {}.",
                        quote_name(&name)
                    ))
                    .exception("AnalysisException"));
            }
            if out.iter().any(|a| a.column == field.name) {
                return Err(Error::new("DELTA_DUPLICATE_COLUMNS_ON_INSERT")
                    .param("duplicateColumnNames", quote(&field.name))
                    .message(format!("{} is set twice.", quote(&field.name)))
                    .exception("AnalysisException"));
            }
            let value = match value {
                Expr::Default => column_default::expression(&analyzer.session, field)?,
                value => value.clone(),
            };
            let value = value_of(analyzer, &value, over, "INSERT clause")?;
            out.push(self.assigned(analyzer, field, value, None)?);
        }
        for field in &schema.fields {
            if !out.iter().any(|a| a.column == field.name) {
                out.extend(self.default(analyzer, field)?);
            }
        }
        Ok(out)
    }

    /// The assignments with those of the columns that the table computes.
    fn with_computed(
        &self,
        analyzer: &mut Analyzer,
        mut assigned: Vec<Assignment>,
        is_insert: bool,
    ) -> Result<Vec<Assignment>> {
        if is_insert {
            assigned.extend(computed_columns::identity_assignments(&self.identities, &assigned)?);
        } else {
            assigned.iter().try_for_each(|a| computed_columns::refuse_update(self.table, &a.column))?;
        }
        let others = |column: &str| match is_insert {
            true => computed_columns::null_of(self.table, column),
            false => Ok(DataFusionExpr::Column(Column::new(Some(TARGET), column))),
        };
        let computed = computed_columns::assignments(analyzer, self.table, &assigned, &others)?;
        assigned.extend(computed);
        Ok(assigned)
    }

    /// The DEFAULT of a column that an insert does not name; nothing where it has none.
    fn default(&self, analyzer: &mut Analyzer, field: &StructField) -> Result<Option<Assignment>> {
        if super::table_columns::default_text(field).is_none() {
            return Ok(None);
        }
        let default = column_default::expression(&analyzer.session, field)?;
        let value = analyzer.expression(&default, &Analyzed::one_row()?)?;
        self.assigned(analyzer, field, value, None).map(Some)
    }

    /// `below`: the column's value, whose fields stay where an evolving merge does not give them.
    fn assigned(
        &self,
        analyzer: &mut Analyzer,
        field: &StructField,
        value: TypedExpr,
        below: Option<TypedExpr>,
    ) -> Result<Assignment> {
        let lacking = match below {
            _ if !self.evolves => Lacking::Refused,
            Some(below) => Lacking::Kept(below),
            None => Lacking::Null,
        };
        let value = assign_by_name(analyzer, value, field, self.table, lacking)?;
        Ok(Assignment { column: field.name.clone(), value: self.scope.over_table(value)?.expr })
    }
}

/// What a clause gives a column.
fn value_of(analyzer: &mut Analyzer, value: &Expr, over: &Analyzed, clause: &str) -> Result<TypedExpr> {
    let value = analyzer.row_expression(value, over, clause).map_err(|e| unresolved(e, clause, over))?;
    forbid_aggregates(&value.expr, &value.name, clause)?;
    refuse_correlated(&value.expr, &value.name)?;
    Ok(value)
}

/// What Delta says of names that a clause cannot see.
fn unresolved(error: Error, clause: &str, over: &Analyzed) -> Error {
    if !error.class().starts_with("UNRESOLVED_COLUMN") && error.class() != "FIELD_NOT_FOUND" {
        return error;
    }
    let named = |key: &str| error.parameters().iter().find(|(k, _)| k == key).map(|(_, v)| v.to_string());
    let name = named("objectName").or_else(|| named("fieldName")).unwrap_or_default();
    let columns = over.output.iter().map(|a| quote(&a.name)).collect::<Vec<_>>().join(", ");
    Error::new("DELTA_MERGE_UNRESOLVED_EXPRESSION")
        .param("sqlExpr", &name)
        .param("clause", clause)
        .param("cols", &columns)
        .message(format!("{clause} of MERGE cannot see {name}. It sees {columns}."))
        .exception("AnalysisException")
}

/// A condition of MERGE is about one row of each side, and the same each time that it is computed.
fn check_condition(condition: &Predicate, clause: &str) -> Result<()> {
    refuse_correlated(&condition.expr, &condition.sql)?;
    if has_aggregate(&condition.expr) {
        return Err(Error::new("DELTA_AGGREGATION_NOT_SUPPORTED")
            .param("operation", clause)
            .param("predicate", format!("(condition = {})", condition.sql))
            .message(format!("The {clause} has aggregate functions: {}.", condition.sql))
            .exception("AnalysisException"));
    }
    if boathouse_delta::varies(&condition.expr) {
        return Err(Error::new("DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED")
            .param("operation", clause)
            .param("expression", format!("(condition = {})", condition.sql))
            .message(format!("The {clause} must be the same each time it is computed: {}.", condition.sql))
            .exception("AnalysisException"));
    }
    Ok(())
}

/// The columns of both sides, for expressions that see both.
fn joined(target: &Analyzed, source: &Analyzed) -> Result<Analyzed> {
    let plan = LogicalPlanBuilder::from(target.plan.clone())
        .cross_join(source.plan.clone())
        .spark()?
        .build()
        .spark()?;
    let output = target.output.iter().chain(&source.output).cloned().collect();
    Ok(Analyzed::new(plan, output).with_plan_ids_of([target, source]))
}

/// The name on the left of an assignment.
fn column_name(analyzer: &Analyzer, key: &Expr) -> Result<Name> {
    match key {
        Expr::Column(column) => Ok(column.name.clone()),
        Expr::Text(text) => match analyzer.session.conf().parse_expression(text)? {
            Expr::Column(column) => Ok(column.name),
            _ => Err(no_column(text)),
        },
        other => Err(no_column(&format!("{other:?}"))),
    }
}

fn no_column(text: &str) -> Error {
    Error::new("DELTA_MERGE_UNEXPECTED_ASSIGNMENT_KEY")
        .param("unexpectedKeyClass", "expression")
        .param("unexpectedKeyObject", text)
        .message(format!("{text} is no column of the target."))
        .exception("AnalysisException")
}
