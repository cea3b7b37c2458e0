//! `UPDATE`.

use std::sync::Arc;

use boathouse_delta::Assignment;
use boathouse_spec::{Error, Expr, Name, Result, StructField, quote_name};
use datafusion::common::Column;
use datafusion::logical_expr::Expr as DataFusionExpr;

use crate::analyzer::Analyzer;
use crate::commands::fields_by_name::{Lacking, assign_by_name, nested};
use crate::commands::table_expressions::{TableScope, refuse_correlated, refuse_varying, row_options};
use crate::commands::{affected_schema, column_default, computed_columns, target};
use crate::resolver::ResolvedTable;
use crate::rows::{self, Value};
use crate::{QueryResult, Session, execute};

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    alias: Option<&str>,
    assignments: Vec<(Name, Expr)>,
    condition: Option<Expr>,
) -> Result<QueryResult> {
    let path = target::relation_path(session);
    let (table, delta) = target::delta(session, name, "UPDATE TABLE", &path).await?;
    let (opened, alias) = (table.clone(), alias.map(str::to_string));
    let snapshot = delta.snapshot.clone();
    let (assignments, condition, constraints) = session
        .analyze(move |analyzer| {
            analyzer.changes(&opened);
            let scope = TableScope::open(analyzer, &opened, alias.as_deref())?;
            let assignments = assigned(analyzer, &scope, &opened, alias.as_deref(), assignments)?;
            let condition = match &condition {
                Some(condition) => Some(scope.search_condition(analyzer, condition, "UPDATE")?),
                None => None,
            };
            let constraints = scope.constraints(analyzer, &snapshot)?;
            Ok((assignments, condition, constraints))
        })
        .await?;
    let state = execute::changing_state(session, &delta.snapshot);
    let options = row_options(session, "update", constraints)?;
    if delta.snapshot.was_written(options.txn.as_ref()).await? {
        return rows::result(affected_schema(), Vec::new());
    }
    let done =
        boathouse_delta::update(&delta.snapshot, &state, condition.as_ref(), &assignments, &options).await?;
    let rows = done.as_ref().map_or(0, |c| c.metric("numUpdatedRows"));
    if let Some(committed) = done {
        session.committed(&delta.table, &committed);
        session.engine.cache.changed(&delta.table.location().uri()).await;
    }
    rows::result(affected_schema(), vec![vec![Value::Integer(rows)]])
}

/// The assignments, one a column: those to fields of one column become one.
fn assigned(
    analyzer: &mut Analyzer,
    scope: &TableScope,
    table: &ResolvedTable,
    alias: Option<&str>,
    assignments: Vec<(Name, Expr)>,
) -> Result<Vec<Assignment>> {
    let mut columns: Vec<(&StructField, Expr)> = Vec::new();
    let mut seen: Vec<Vec<String>> = Vec::new();
    for (name, value) in assignments {
        let (field, path) = column_of(table, alias, &name)?;
        let value = match value {
            Expr::Default if path.is_empty() => column_default::expression(&analyzer.session, field)?,
            value => value,
        };
        let full: Vec<String> = std::iter::once(&field.name).chain(path).map(|p| p.to_lowercase()).collect();
        if seen.iter().any(|s| s.starts_with(&full) || full.starts_with(s)) {
            return Err(Error::new("DELTA_CONFLICT_SET_COLUMN")
                .param("columnList", quote_name(&name))
                .message(format!("{} is set twice.", quote_name(&name)))
                .exception("AnalysisException"));
        }
        seen.push(full);
        let before = columns.iter().position(|(f, _)| f.name == field.name);
        let current = match before {
            Some(i) => columns[i].1.clone(),
            None => Expr::column([field.name.as_str()]),
        };
        let new = nested(current, &field.data_type, path, value)?;
        match before {
            Some(i) => columns[i].1 = new,
            None => columns.push((field, new)),
        }
    }
    let mut assigned = Vec::with_capacity(columns.len());
    for (field, value) in columns {
        computed_columns::refuse_update(table, &field.name)?;
        let value = scope.row_expression(analyzer, &value, "UPDATE")?;
        refuse_varying(&value.expr, &value.name)?;
        refuse_correlated(&value.expr, &value.name)?;
        let value = assign_by_name(analyzer, value, field, table, Lacking::Refused)?;
        assigned.push(Assignment { column: field.name.clone(), value: value.expr });
    }
    let unchanged = |column: &str| Ok(DataFusionExpr::Column(Column::from_name(column)));
    let computed = computed_columns::assignments(analyzer, table, &assigned, &unchanged)?;
    assigned.extend(computed);
    Ok(assigned)
}

/// The column a name means, and the path of a field inside it.
pub(super) fn column_of<'a, 'b>(
    table: &'a ResolvedTable,
    alias: Option<&str>,
    name: &'b [String],
) -> Result<(&'a StructField, &'b [String])> {
    let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
    let qualifiers: Vec<Vec<String>> = match alias {
        Some(alias) => vec![vec![alias.to_string()]],
        None => (0..table.qualifier.len()).map(|i| table.qualifier[i..].to_vec()).collect(),
    };
    for qualifier in qualifiers {
        if name.len() > qualifier.len()
            && qualifier.iter().zip(name).all(|(a, b)| same(a, b))
            && let Some(field) = table.schema.field(&name[qualifier.len()])
        {
            return Ok((field, &name[qualifier.len() + 1..]));
        }
    }
    if let [first, rest @ ..] = name
        && let Some(field) = table.schema.field(first)
    {
        return Ok((field, rest));
    }
    let proposal =
        table.schema.fields.iter().map(|f| boathouse_spec::quote(&f.name)).collect::<Vec<_>>().join(", ");
    Err(Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
        .param("objectName", quote_name(name))
        .param("proposal", &proposal)
        .message(format!("The table has no column {}. Its columns are {proposal}.", quote_name(name)))
        .exception("AnalysisException"))
}
