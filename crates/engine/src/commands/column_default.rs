//! DEFAULT values of columns.

use boathouse_functions::cast::{self, Mode};
use boathouse_spec::{
    CastMode, DataType, Error, Expr, Literal, Origin, Relation, RelationNode, Result, StructField, TextExpr,
    quote,
};
use datafusion::logical_expr::Expr as DfExpr;

use crate::Session;
use crate::analyzer::{Analyzed, Analyzer, TemporaryKind, TypedExpr};
use crate::commands::store_assignment::fitted_value;
use crate::commands::table_columns;
use crate::relation_walk::{has_subquery, operands};

/// Field metadata: the default of rows to come.
pub(super) const CURRENT: &str = "CURRENT_DEFAULT";
/// Field metadata: the value of rows that were there before the column.
pub(super) const EXISTS: &str = "EXISTS_DEFAULT";

/// The expression a column has where a statement gives no value: its DEFAULT, or NULL.
pub(super) fn expression(session: &Session, column: &StructField) -> Result<Expr> {
    match table_columns::default_text(column) {
        Some(text) => {
            let default = session.conf().parse_expression(&text)?;
            // A text that is of the column's type, such as '2020-01-01' of a DATE, is a constant of that type.
            let is_text = matches!(default, Expr::Literal(Literal::String(_)));
            Ok(match is_text && !column.data_type.is_string() {
                true => Expr::Cast {
                    expr: Box::new(default),
                    to: column.data_type.clone(),
                    mode: CastMode::Session,
                    origin: Origin::default(),
                },
                false => default,
            })
        }
        None => Ok(Expr::Literal(Literal::Null(column.data_type.clone()))),
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
    let named_before = analyzer.temporaries_used.len();
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
    let is_volatile = typed.expr.is_volatile();
    let takes = actual.same_type(data_type)
        || cast::can_up_cast(&actual, data_type)
        || literal_fits(analyzer, &typed, data_type);
    let cast = if takes { analyzer.cast(typed, data_type, Mode::Ansi).ok() } else { None };
    let Some(cast) = cast else {
        return Err(invalid("DATA_TYPE")
            .param("expectedType", format!("\"{}\"", data_type.sql()))
            .param("actualType", format!("\"{shown}\""))
            .message(format!(
                "The default of {} ({}) is {shown}, and the column is {}.",
                quote(column),
                default.text,
                data_type.sql()
            )));
    };
    // What is no constant is refused below, or checked with each row.
    if matches!(data_type, DataType::Char(_) | DataType::Varchar(_))
        && let Ok(value) = analyzer.fold(&cast)
    {
        fitted_value(value, data_type)?;
    }
    let mut named = analyzer.temporaries_used.iter().skip(named_before);
    if named.any(|t| t.kind == TemporaryKind::Variable) {
        return Err(invalid("NOT_CONSTANT").message(format!(
            "The default of {} ({}) names a variable: it must be a constant.",
            quote(column),
            default.text
        )));
    }
    if is_volatile {
        return Err(invalid("NON_DETERMINISTIC").message(format!(
            "The default of {} ({}) is another value each time.",
            quote(column),
            default.text
        )));
    }
    Ok(())
}

/// Refuses a DEFAULT that is computed from the columns of its table.
pub(super) fn refuse_columns(
    statement: &str,
    column: &str,
    default: &TextExpr,
    columns: &[String],
) -> Result<()> {
    if has_subquery(&default.expr) || !names_column(&default.expr, columns) {
        return Ok(());
    }
    Err(Error::new("INVALID_DEFAULT_VALUE.NOT_CONSTANT")
        .param("statement", statement)
        .param("colName", quote(column))
        .param("defaultValue", &default.text)
        .message(format!(
            "The default of {} ({}) names a column: it must be a constant.",
            quote(column),
            default.text
        ))
        .exception("AnalysisException"))
}

fn names_column(expr: &Expr, columns: &[String]) -> bool {
    let is_one_of = |name: &String| columns.iter().any(|c| c.eq_ignore_ascii_case(name));
    matches!(expr, Expr::Column(c) if matches!(c.name.as_slice(), [name] if is_one_of(name)))
        || operands(expr).into_iter().any(|operand| names_column(operand, columns))
}

/// Whether a literal of a wider or another type has a value of the column's type (Spark's
/// `defaultValueFromWiderTypeLiteral`).
fn literal_fits(analyzer: &Analyzer, value: &TypedExpr, to: &DataType) -> bool {
    let is_excluded = |t: &DataType| {
        matches!(t, DataType::Boolean | DataType::Array { .. } | DataType::Struct(_) | DataType::Map { .. })
    };
    if !matches!(value.expr, DfExpr::Literal(..)) || is_excluded(&value.data_type) || is_excluded(to) {
        return false;
    }
    let constant = analyzer.cast(value.clone(), to, Mode::Try).and_then(|cast| analyzer.fold(&cast));
    constant.is_ok_and(|v| !v.is_null())
}

/// Puts the defaults of the columns in the place of `DEFAULT` in the rows of an INSERT.
pub(super) fn fill(query: &mut Relation, defaults: &[Expr]) -> Result<()> {
    match &mut *query.node {
        RelationNode::Values(rows) => {
            // In VALUES no column has that name.
            let unresolved = ["DEFAULT".to_string()];
            for row in rows {
                for (value, default) in row.iter_mut().zip(defaults) {
                    if *value == Expr::Default {
                        *value = default.clone();
                    } else if names_column(value, &unresolved) {
                        return Err(Error::new("DEFAULT_PLACEMENT_INVALID")
                            .message("DEFAULT can only be a value of its own in VALUES.")
                            .exception("AnalysisException"));
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
