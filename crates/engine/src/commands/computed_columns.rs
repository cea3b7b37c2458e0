//! Columns whose values the table computes: `GENERATED ALWAYS AS (expr)`, and identity columns.

use boathouse_bridge::ResultExt;
use boathouse_delta::{Assignment, IdentityColumn};
use boathouse_spec::{DataType, Error, Result, StructField, quote};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::analyzer::{Analyzer, TypedExpr};
use crate::commands::store_assignment::assign;
use crate::commands::table_expressions::TableScope;
use crate::execute::project;
use crate::resolver::ResolvedTable;

/// Field metadata with the expression of a generated column.
pub(super) const GENERATION: &str = "delta.generationExpression";

/// The text of a generated column's expression.
pub(crate) fn generation(field: &StructField) -> Option<String> {
    if !field.metadata.contains(GENERATION) {
        return None;
    }
    field.metadata_map().get(GENERATION).and_then(|v| v.as_str().map(str::to_string))
}

/// The identity columns of a table, for one write.
pub(super) fn identity_columns(table: &ResolvedTable) -> Vec<IdentityColumn> {
    match &table.delta {
        Some(_) => boathouse_delta::identity_columns(&table.schema),
        None => Vec::new(),
    }
}

/// Whether a statement may leave the column out, because the table computes it.
pub(super) fn is_computed(field: &StructField) -> bool {
    generation(field).is_some() || !boathouse_delta::identity_columns(&one(field)).is_empty()
}

fn one(field: &StructField) -> boathouse_spec::StructType {
    boathouse_spec::StructType::new(vec![field.clone()])
}

/// Adds the computed columns that rows lack. The plan's columns have the table's names; those of the result are in the
/// table's order, new ones behind.
pub(super) fn complete(
    analyzer: &mut Analyzer,
    table: &ResolvedTable,
    plan: LogicalPlan,
    identities: &[IdentityColumn],
) -> Result<LogicalPlan> {
    if table.delta.is_none() || !table.schema.fields.iter().any(is_computed) {
        return Ok(plan);
    }
    let given: Vec<String> = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
    let find = |name: &str| given.iter().find(|g| g.eq_ignore_ascii_case(name));
    for identity in identities.iter().filter(|i| !i.allows_explicit) {
        if find(&identity.column).is_some() {
            return Err(explicit_identity(&identity.column));
        }
    }
    let scope = scope(analyzer, table)?;
    let mut list = Vec::with_capacity(table.schema.fields.len());
    for field in &table.schema.fields {
        let value = match (find(&field.name), generation(field)) {
            (Some(name), _) => Expr::Column(Column::from_name(name)),
            (None, Some(sql)) => {
                let value = generated(analyzer, &scope, table, field, &sql)?;
                // Columns that the rows lack are NULL to it.
                substituted(value, &|column| match find(column) {
                    Some(name) => Ok(Expr::Column(Column::from_name(name))),
                    None => null_of(table, column),
                })?
            }
            (None, None) => match identities.iter().find(|i| i.column == field.name) {
                Some(identity) => identity.values(),
                None => continue,
            },
        };
        list.push(value.alias(&field.name));
    }
    for name in &given {
        if table.schema.index_of(name).is_none() {
            list.push(Expr::Column(Column::from_name(name)));
        }
    }
    project(list, plan)
}

/// What an assignment of some columns of a row means for the generated columns that it does not name. `others` is the
/// value of a column that is not assigned.
pub(super) fn assignments(
    analyzer: &mut Analyzer,
    table: &ResolvedTable,
    assigned: &[Assignment],
    others: &dyn Fn(&str) -> Result<Expr>,
) -> Result<Vec<Assignment>> {
    let mut out = Vec::new();
    if table.delta.is_none() {
        return Ok(out);
    }
    for field in &table.schema.fields {
        let Some(sql) = generation(field) else { continue };
        if assigned.iter().any(|a| a.column == field.name) {
            continue;
        }
        let scope = scope(analyzer, table)?;
        let value = generated(analyzer, &scope, table, field, &sql)?;
        let value = substituted(value, &|column| match assigned
            .iter()
            .find(|a| a.column.eq_ignore_ascii_case(column))
        {
            Some(a) => Ok(a.value.clone()),
            None => others(column),
        })?;
        out.push(Assignment { column: field.name.clone(), value });
    }
    Ok(out)
}

/// The table's columns, in each of which a row to be written may have NULL: that it must not is said when it is written.
fn scope(analyzer: &mut Analyzer, table: &ResolvedTable) -> Result<TableScope> {
    let mut nullable = table.clone();
    for field in &mut nullable.schema.fields {
        field.nullable = true;
    }
    TableScope::open(analyzer, &nullable, None)
}

/// NULL of a column's type.
pub(super) fn null_of(table: &ResolvedTable, column: &str) -> Result<Expr> {
    let data_type = table.schema.field(column).map_or(DataType::Null, |f| f.data_type.clone());
    let arrow = boathouse_bridge::arrow_type(&data_type);
    let null = datafusion::scalar::ScalarValue::try_from(&arrow).spark()?;
    Ok(Expr::Literal(null, None))
}

/// The expression over the table's own columns.
fn generated(
    analyzer: &mut Analyzer,
    scope: &TableScope,
    table: &ResolvedTable,
    field: &StructField,
    sql: &str,
) -> Result<Expr> {
    let parsed = analyzer.session.conf().parse_expression(sql)?;
    let typed: TypedExpr = scope.expression(analyzer, &parsed)?;
    Ok(assign(analyzer, typed, field, table)?.expr)
}

fn substituted(expr: Expr, value: &dyn Fn(&str) -> Result<Expr>) -> Result<Expr> {
    let mut failed = None;
    // From below, so that what is put in is not looked into.
    let done = expr
        .transform_up(|e| match e {
            Expr::Column(column) => match value(&column.name) {
                Ok(Expr::Column(same)) if same == column => Ok(Transformed::no(Expr::Column(column))),
                Ok(value) => Ok(Transformed::yes(value)),
                Err(e) => {
                    failed = Some(e);
                    Ok(Transformed::no(Expr::Column(column)))
                }
            },
            other => Ok(Transformed::no(other)),
        })
        .spark()?;
    match failed {
        Some(e) => Err(e),
        None => Ok(done.data),
    }
}

fn explicit_identity(column: &str) -> Error {
    Error::new("DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED")
        .param("colName", column)
        .message(format!(
            "The identity column {} is GENERATED ALWAYS: rows cannot bring their own numbers.",
            quote(column)
        ))
        .exception("AnalysisException")
}

/// Identity columns are not updated.
pub(super) fn refuse_update(table: &ResolvedTable, column: &str) -> Result<()> {
    if table.delta.is_none() || !identity_columns(table).iter().any(|i| i.column == column) {
        return Ok(());
    }
    Err(Error::new("DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED")
        .param("colName", column)
        .message(format!("The identity column {} cannot be updated.", quote(column)))
        .exception("AnalysisException"))
}

/// An identity column in an INSERT of MERGE.
pub(super) fn identity_assignments(
    identities: &[IdentityColumn],
    assigned: &[Assignment],
) -> Result<Vec<Assignment>> {
    let mut out = Vec::new();
    for identity in identities {
        match assigned.iter().any(|a| a.column == identity.column) {
            true if !identity.allows_explicit => return Err(explicit_identity(&identity.column)),
            true => {}
            false => out.push(Assignment { column: identity.column.clone(), value: identity.values() }),
        }
    }
    Ok(out)
}
