//! DEFAULT values of columns.

use boathouse_spec::{DataType, Error, Expr, Relation, RelationNode, Result, StructField, TextExpr, quote};

use crate::Session;
use crate::analyzer::{Analyzed, Analyzer};
use crate::commands::table_columns;
use crate::relation_walk::has_subquery;
use boathouse_functions::cast::Mode;

/// Field metadata: the default of rows to come.
pub(super) const CURRENT: &str = "CURRENT_DEFAULT";
/// Field metadata: the value of rows that were there before the column.
pub(super) const EXISTS: &str = "EXISTS_DEFAULT";

/// The expression a column has where a statement gives no value: its DEFAULT, or NULL.
pub(super) fn expression(session: &Session, column: &StructField) -> Result<Expr> {
    match table_columns::default_text(column) {
        Some(text) => session.conf().parse_expression(&text),
        None => Ok(Expr::Literal(boathouse_spec::Literal::Null(column.data_type.clone()))),
    }
}

/// Checks a DEFAULT: a constant of a type that the column takes.
pub(super) fn check(
    analyzer: &mut Analyzer,
    statement: &str,
    column: &str,
    data_type: &DataType,
    default: &TextExpr,
) -> Result<()> {
    let invalid = |subclass: &str| {
        Error::new(format!("INVALID_DEFAULT_VALUE.{subclass}"))
            .param("statement", statement)
            .param("colName", quote(column))
            .param("defaultValue", &default.text)
            .exception("AnalysisException")
    };
    if has_subquery(&default.expr) {
        return Err(invalid("SUBQUERY_EXPRESSION")
            .message(format!("The default of {} must not hold a subquery.", quote(column))));
    }
    let typed = match analyzer.expression(&default.expr, &Analyzed::one_row()?) {
        Ok(typed) => typed,
        Err(e) if e.is("UNRESOLVED_COLUMN") || e.is("UNRESOLVED_ROUTINE") => {
            return Err(invalid("UNRESOLVED_EXPRESSION").message(format!(
                "The default of {} ({}) names something that is not there: {}",
                quote(column),
                default.text,
                e.text()
            )));
        }
        Err(e) => return Err(e),
    };
    let (actual, shown) = (typed.data_type.clone(), typed.data_type.sql());
    let takes = actual.same_type(data_type)
        || actual == DataType::Null
        || (data_type.is_string() && actual.is_string())
        || implicitly(&actual, data_type, analyzer);
    let fits = takes && analyzer.cast(typed, data_type, Mode::Ansi).is_ok();
    if !fits {
        return Err(invalid("DATA_TYPE")
            .param("expectedType", format!("\"{}\"", data_type.sql()))
            .param("actualType", format!("\"{shown}\""))
            .message(format!(
                "The default of {} ({}) is {shown}, and the column is {}.",
                quote(column),
                default.text,
                data_type.sql()
            )));
    }
    Ok(())
}

/// Types that a default may have beside the column's: those the column's type holds.
fn implicitly(from: &DataType, to: &DataType, _analyzer: &Analyzer) -> bool {
    boathouse_functions::cast::is_up_cast(from, to)
        || (from.is_numeric() && to.is_numeric())
        || (from.is_datetime() && to.is_datetime())
}

/// Puts the defaults of the columns in the place of `DEFAULT` in the rows of an INSERT.
pub(super) fn fill(query: &mut Relation, defaults: &[Expr]) -> Result<()> {
    match &mut *query.node {
        RelationNode::Values(rows) => {
            for row in rows {
                for (value, default) in row.iter_mut().zip(defaults) {
                    if *value == Expr::Default {
                        *value = default.clone();
                    }
                }
            }
            Ok(())
        }
        RelationNode::Project { exprs, input } => {
            let is_star = matches!(exprs.as_slice(), [Expr::Star(_)]);
            if is_star {
                return fill(input, defaults);
            }
            for (value, default) in exprs.iter_mut().zip(defaults) {
                match value {
                    Expr::Default => *value = default.clone(),
                    Expr::Alias { expr, .. } if **expr == Expr::Default => **expr = default.clone(),
                    _ => {}
                }
            }
            Ok(())
        }
        RelationNode::SubqueryAlias { input, .. } => fill(input, defaults),
        RelationNode::SetOperation { left, right, .. } => {
            fill(left, defaults)?;
            fill(right, defaults)
        }
        _ => Ok(()),
    }
}
