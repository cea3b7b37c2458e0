//! What every row of a table satisfies: NOT NULL, CHECK, lengths of strings.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructType};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;

use super::lengths::Lengths;
use crate::action::Metadata;

/// The name of the condition that a generated column holds what its expression gives.
const GENERATED: &str = "Generated Column";

/// A condition of the table, as its SQL text says it and as the engine understood it.
#[derive(Debug, Clone)]
pub struct CheckConstraint {
    pub name: String,
    pub sql: String,
    /// Over the table's columns, without qualifier.
    pub expr: Expr,
}

/// The CHECK constraints, generated columns and column invariants of a table: (name, SQL text). Those who write must
/// bring each of them as a [`CheckConstraint`].
pub(crate) fn declared(metadata: &Metadata, schema: &StructType) -> Vec<(String, String)> {
    let mut out = checks(metadata, schema);
    for field in schema.fields.iter().filter(|f| !f.metadata.is_empty()) {
        let notes = field.metadata_map();
        if let Some(sql) = notes.get("delta.generationExpression").and_then(|v| v.as_str()) {
            let name = boathouse_spec::quote(&field.name);
            out.push((GENERATED.to_string(), format!("{name} <=> ({sql})")));
        }
    }
    out
}

/// The CHECK constraints and column invariants.
pub(crate) fn checks(metadata: &Metadata, schema: &StructType) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = metadata
        .configuration
        .iter()
        .filter_map(|(k, v)| Some((k.strip_prefix("delta.constraints.")?.to_string(), v.clone())))
        .collect();
    for field in schema.fields.iter().filter(|f| !f.metadata.is_empty()) {
        let notes = field.metadata_map();
        let sql = notes.get("delta.invariants").and_then(|v| {
            let parsed: serde_json::Value = serde_json::from_str(v.as_str()?).ok()?;
            parsed.get("expression")?.get("expression")?.as_str().map(str::to_string)
        });
        if let Some(sql) = sql {
            out.push((format!("EXPRESSION({sql})"), sql));
        }
    }
    out
}

struct Check {
    name: String,
    sql: String,
    expr: Arc<dyn PhysicalExpr>,
}

/// A column, or a field of structs, that is NOT NULL. Where a struct around it is NULL the field is, too.
#[derive(Default)]
struct NotNull {
    /// The positions that lead to it.
    path: Vec<usize>,
    name: String,
}

impl NotNull {
    fn collect(schema: &StructType, around: &Self, out: &mut Vec<Self>) {
        for (i, field) in schema.fields.iter().enumerate() {
            let dot = if around.name.is_empty() { "" } else { "." };
            let here = Self {
                path: [around.path.as_slice(), &[i]].concat(),
                name: format!("{}{dot}{}", around.name, field.name),
            };
            if let DataType::Struct(inner) = &field.data_type {
                Self::collect(inner, &here, out);
            }
            if !field.nullable {
                out.push(here);
            }
        }
    }

    fn is_broken(&self, columns: &[ArrayRef]) -> bool {
        let mut columns = columns;
        for index in &self.path {
            let Some(column) = columns.get(*index) else { return false };
            if column.null_count() > 0 {
                return true;
            }
            columns = column.as_struct_opt().map_or(&[], |s| s.columns());
        }
        false
    }
}

/// The constraints of a table, ready to be held against batches of its rows.
pub(crate) struct Constraints {
    not_null: Vec<NotNull>,
    lengths: Vec<(usize, String, Lengths)>,
    checks: Vec<Check>,
}

impl Constraints {
    /// `given` are the table's declared constraints, and others that hold for this write only.
    pub fn new(
        session: &dyn Session,
        metadata: &Metadata,
        schema: &StructType,
        arrow_schema: &arrow::datatypes::SchemaRef,
        given: &[CheckConstraint],
    ) -> Result<Self> {
        for (name, sql) in declared(metadata, schema) {
            if !given.iter().any(|g| g.name.eq_ignore_ascii_case(&name)) {
                return Err(Error::internal(format!(
                    "the constraint {name} ({sql}) was not resolved before a write"
                )));
            }
        }
        let df_schema = DFSchema::try_from(arrow_schema.clone()).spark()?;
        let checks = given
            .iter()
            .map(|g| {
                let expr = crate::scan::unqualified(g.expr.clone())?;
                let expr = session.create_physical_expr(expr, &df_schema).spark()?;
                Ok(Check { name: g.name.clone(), sql: g.sql.clone(), expr })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut not_null = Vec::new();
        NotNull::collect(schema, &NotNull::default(), &mut not_null);
        let lengths = schema
            .fields
            .iter()
            .enumerate()
            .filter_map(|(i, f)| Some((i, f.name.clone(), Lengths::of(f)?)))
            .collect();
        Ok(Self { not_null, lengths, checks })
    }

    /// None: for rows that are in the table already.
    pub fn none() -> Self {
        Self { not_null: Vec::new(), lengths: Vec::new(), checks: Vec::new() }
    }

    /// Columns that must be in the data because NULL is no value for them.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.not_null.iter().filter(|n| n.path.len() == 1).map(|n| n.name.as_str())
    }

    /// Fails at the first row that breaks a constraint. The batch has the table's columns in order.
    pub fn verify(&self, batch: &RecordBatch) -> Result<()> {
        if let Some(broken) = self.not_null.iter().find(|n| n.is_broken(batch.columns())) {
            return Err(not_null_violated(&broken.name));
        }
        for (index, name, lengths) in &self.lengths {
            if let Some((path, long, limit)) = lengths.exceeded(batch.column(*index)) {
                let column = format!("{name}{path}");
                return Err(Error::new("DELTA_EXCEED_CHAR_VARCHAR_LIMIT")
                    .param("value", &long)
                    .param("expr", format!("(({column} IS NULL) OR (length({column}) <= {limit}))"))
                    .message(format!(
                        "The value \"{long}\" is longer than the {limit} characters of `{column}`."
                    ))
                    .exception("DeltaInvariantViolationException"));
            }
        }
        for check in &self.checks {
            let value = check.expr.evaluate(batch).and_then(|v| v.into_array(batch.num_rows())).spark()?;
            let Some(passes) = value.as_boolean_opt() else {
                return Err(Error::new("DELTA_NON_BOOLEAN_CHECK_CONSTRAINT")
                    .param("name", &check.name)
                    .param("expr", &check.sql)
                    .message(format!(
                        "The CHECK constraint {} ({}) is no condition.",
                        check.name, check.sql
                    )));
            };
            if let Some(row) = first_violation(passes) {
                return Err(violated(check, batch, row));
            }
        }
        Ok(())
    }
}

/// NULL is no pass: Delta's CHECK is stricter than SQL's.
fn first_violation(passes: &BooleanArray) -> Option<usize> {
    (0..passes.len()).find(|row| passes.is_null(*row) || !passes.value(*row))
}

pub(crate) fn not_null_violated(column: &str) -> Error {
    Error::new("DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
        .param("columnName", column)
        .message(format!("The column {column} is NOT NULL, and a row to be written has NULL in it."))
        .exception("DeltaInvariantViolationException")
}

fn violated(check: &Check, batch: &RecordBatch, row: usize) -> Error {
    let mut columns: Vec<_> = collect_columns(&check.expr).into_iter().collect();
    columns.sort_by_key(|c| c.index());
    let values: Vec<String> = columns
        .iter()
        .filter_map(|c| {
            let text = arrow::util::display::array_value_to_string(batch.column(c.index()), row).ok()?;
            let text = if batch.column(c.index()).is_null(row) { "null".to_string() } else { text };
            Some(format!(" - {} : {text}", c.name()))
        })
        .collect();
    Error::new("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES")
        .param("constraintName", &check.name)
        .param("expression", &check.sql)
        .param("values", values.join("\n"))
        .message(format!(
            "A row to be written breaks the CHECK constraint {} ({}):\n{}",
            check.name,
            check.sql,
            values.join("\n")
        ))
        .exception("DeltaInvariantViolationException")
}
