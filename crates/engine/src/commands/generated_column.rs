//! What the expression of a generated column may be.

use boathouse_bridge::ResultExt;
use boathouse_spec::{ColumnDefinition, DataType, Error, Result, StructField, StructType, TextExpr, quote};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

use crate::analyzer::Analyzer;
use crate::commands::table_expressions::TableScope;
use crate::sources;

/// Checks the generated and identity columns of a definition.
pub(super) fn check(analyzer: &mut Analyzer, columns: &[ColumnDefinition]) -> Result<()> {
    columns.iter().try_for_each(check_identity)?;
    if columns.iter().all(|c| c.generated.is_none()) {
        return Ok(());
    }
    let base: Vec<StructField> =
        columns.iter().filter(|c| c.generated.is_none()).map(|c| stored(&c.field())).collect();
    let table = sources::empty("delta", StructType::new(base));
    let scope = TableScope::open(analyzer, &table, None)?;
    for column in columns {
        if let Some(generated) = &column.generated {
            check_one(analyzer, &scope, column, generated)?;
        }
    }
    Ok(())
}

fn stored(field: &StructField) -> StructField {
    super::create_table::stored_field(field)
}

fn check_one(
    analyzer: &mut Analyzer,
    scope: &TableScope,
    column: &ColumnDefinition,
    generated: &TextExpr,
) -> Result<()> {
    let expr = match &generated.expr {
        boathouse_spec::Expr::Text(text) => analyzer.session.conf().parse_expression(text)?,
        other => other.clone(),
    };
    let typed = scope.expression(analyzer, &expr).map_err(|e| match e.class() {
        "UNRESOLVED_COLUMN.WITH_SUGGESTION" | "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION" => {
            unknown_references(&e)
        }
        _ => e,
    })?;
    refuse_expression(&typed.expr, &generated.text)?;
    let declared = stored(&column.field()).data_type;
    let comparable = |t: &DataType| t.as_nullable();
    if !comparable(&typed.data_type).same_type(&comparable(&declared)) {
        return Err(Error::new("DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH")
            .param("columnName", &column.name)
            .param("expressionType", typed.data_type.sql())
            .param("columnType", declared.sql())
            .message(format!(
                "The generated column {} is {}, and its expression gives {}.",
                quote(&column.name),
                declared.sql(),
                typed.data_type.sql()
            ))
            .exception("AnalysisException"));
    }
    Ok(())
}

fn unknown_references(cause: &Error) -> Error {
    Error::new("DELTA_INVALID_GENERATED_COLUMN_REFERENCES")
        .message(format!(
            "A generated column is made of columns of the table that are not generated themselves. {}",
            cause.text()
        ))
        .exception("AnalysisException")
}

/// The same row gives the same value, and one row gives it.
fn refuse_expression(expr: &Expr, text: &str) -> Result<()> {
    let mut refused = None;
    expr.apply(|e| {
        let class = match e {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => "DELTA_AGGREGATE_IN_GENERATED_COLUMN",
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => {
                "DELTA_UNSUPPORTED_EXPRESSION_GENERATED_COLUMN"
            }
            other if other.is_volatile_node() => "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_GENERATED_COLUMN",
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        refused = Some(class);
        Ok(TreeNodeRecursion::Stop)
    })
    .spark()?;
    let Some(class) = refused else { return Ok(()) };
    let what = match class {
        "DELTA_AGGREGATE_IN_GENERATED_COLUMN" => "aggregates rows",
        "DELTA_UNSUPPORTED_EXPRESSION_GENERATED_COLUMN" => "has a subquery",
        _ => "may give something else each time",
    };
    Err(Error::new(class)
        .param("sqlExpr", text)
        .param("expr", text)
        .param("expressionName", text)
        .message(format!("{text} cannot generate a column: it {what}."))
        .exception("AnalysisException"))
}

fn check_identity(column: &ColumnDefinition) -> Result<()> {
    let Some(_) = &column.identity else { return Ok(()) };
    if column.generated.is_some() {
        return Err(Error::new("DELTA_IDENTITY_COLUMNS_WITH_GENERATED_EXPRESSION")
            .message(format!(
                "{} cannot be both an identity column and a generated one.",
                quote(&column.name)
            ))
            .exception("AnalysisException"));
    }
    if column.data_type != DataType::Long {
        return Err(Error::new("DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE")
            .param("dataType", column.data_type.simple_string())
            .message(format!(
                "The identity column {} must be BIGINT, not {}.",
                quote(&column.name),
                column.data_type.sql()
            ))
            .exception("UnsupportedOperationException"));
    }
    Ok(())
}
