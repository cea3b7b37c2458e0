//! Expressions, dispatched by kind.

use boathouse_spec::{CastMode, Error, Expr, Origin, Result};
use datafusion::common::tree_node::TreeNode;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};

impl Analyzer {
    /// Resolves an expression over a relation's columns.
    pub(super) fn expr(&mut self, expr: &Expr, over: &Analyzed) -> Result<TypedExpr> {
        let value = self.expr_of_kind(expr, over)?;
        Ok(self.null_where_left_out(value))
    }

    /// Analyzes what stands somewhere: errors about it say where, those of its values too.
    pub(super) fn at<T>(
        &mut self,
        origin: &Origin,
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if !origin.is_known() {
            return analyze(self);
        }
        let around = std::mem::replace(&mut self.origin, origin.clone());
        let result = analyze(self);
        self.origin = around;
        result.map_err(|e| if is_about_all(&e) { e } else { e.at(origin) })
    }

    /// What is computed as a key of grouping sets is NULL where a set leaves it out.
    pub(super) fn null_where_left_out(&self, mut value: TypedExpr) -> TypedExpr {
        if let Some(scope) = &self.grouping {
            value.nullable |= scope.left_out.contains(&value.expr);
        }
        value
    }

    fn expr_of_kind(&mut self, expr: &Expr, over: &Analyzed) -> Result<TypedExpr> {
        match expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Column(column) => self.at(&column.origin, |a| a.column(column, over)),
            Expr::Call(call) => self.at(&call.origin, |a| a.call(call, over)),
            Expr::Alias { expr, names, .. } => {
                let value = self.expr(expr, over)?;
                Ok(match names.as_slice() {
                    [name] => value.named(name),
                    _ => value,
                })
            }
            Expr::Cast { expr, to, mode, origin } => {
                let value = self.expr(expr, over)?;
                let value = self.unmarked(value, to);
                self.at(origin, |a| a.explicit_cast(value, to, *mode))
            }
            Expr::Extract { .. } => self.extraction(expr, over),
            Expr::UpdateField { .. } => self.update_fields(expr, over),
            Expr::Window { function, window, origin } => {
                self.at(origin, |a| a.window_expr(function, window, over))
            }
            Expr::LambdaVariable(name) => match self.lambda_parameter(name)? {
                Some(found) => Ok(found),
                None => {
                    self.column(&boathouse_spec::Column { name: name.clone(), ..Default::default() }, over)
                }
            },
            Expr::Lambda { .. } => Err(Error::new("UNSUPPORTED_FEATURE.LAMBDA_FUNCTION")
                .message("A lambda can only be an argument of a higher-order function.")),
            Expr::NamedArgument { name, .. } => Err(Error::new("NAMED_PARAMETERS_NOT_SUPPORTED")
                .param("functionName", boathouse_spec::quote(name))
                .message(format!("The named argument `{name}` stands where no function takes it."))),
            Expr::NamedParameter(name) => self.named_parameter(name, over),
            Expr::PositionalParameter(n) => self.positional_parameter(*n, over),
            Expr::Identifier(name) => {
                let name = self.identifier_over(name, over)?;
                self.column(&boathouse_spec::Column { name, ..Default::default() }, over)
            }
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery { .. } => {
                self.at(expr.origin(), |a| a.subquery_once(expr, over))
            }
            Expr::PlanSubquery { plan_id, kind } => self.plan_subquery(*plan_id, kind, over),
            Expr::TableArgument { .. } => Err(Error::new("UNSUPPORTED_FEATURE.TABLE_ARGUMENT")
                .message("TABLE(..) can only be an argument of a table function.")),
            Expr::SortOrder(order) => self.expr(&order.expr, over),
            Expr::PythonUdf(udf) => self.python_udf(udf, over),
            Expr::Default => Err(Error::new("DEFAULT_PLACEMENT_INVALID")
                .message("DEFAULT can only be a value of its own in INSERT, UPDATE and MERGE.")),
            Expr::Star(_) => Err(Error::new("INVALID_USAGE_OF_STAR_OR_REGEX")
                .param("elem", "'*'")
                .param("prettyName", "expression")
                .message("A star can only be an item of a SELECT list or an argument of count().")),
            Expr::ColumnRegex { pattern } => Err(Error::new("INVALID_USAGE_OF_STAR_OR_REGEX")
                .param("elem", "regular expression")
                .param("prettyName", "expression")
                .message(format!("The column pattern {pattern} can only be an item of a SELECT list."))),
            Expr::Text(text) => {
                let parsed = boathouse_sql::parse_expression(text)?;
                self.expr(&parsed, over)
            }
        }
    }

    /// A boolean condition.
    pub(super) fn condition(&mut self, value: TypedExpr, clause: &str) -> Result<TypedExpr> {
        use boathouse_spec::DataType;
        match value.data_type {
            DataType::Boolean => Ok(value),
            // HAVING takes what can be cast (Spark's parser puts the cast there), WHERE and ON do not.
            _ if clause == "having" => self.implicit(value, &DataType::Boolean),
            _ if clause == "join" => Err(Error::new("JOIN_CONDITION_IS_NOT_BOOLEAN_TYPE")
                .param("joinCondition", format!("\"{}\"", value.name))
                .param("conditionType", super::error::quoted(&value.data_type))
                .message(format!(
                    "The join condition {} must be a BOOLEAN, not {}.",
                    value.name,
                    value.data_type.sql()
                ))),
            _ => Err(Error::new("DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN")
                .param("sqlExpr", format!("\"{}\"", value.name))
                .param("filter", format!("\"{}\"", value.name))
                .param("type", super::error::quoted(&value.data_type))
                .message(format!(
                    "The {clause} condition {} must be a BOOLEAN, not {}.",
                    value.name,
                    value.data_type.sql()
                ))),
        }
    }

    /// The value of an expression that needs no rows.
    pub(crate) fn fold(&self, typed: &TypedExpr) -> Result<ScalarValue> {
        if let datafusion::logical_expr::Expr::Literal(value, _) = &typed.expr {
            return Ok(value.clone());
        }
        if !is_foldable(&typed.expr) {
            return Err(Error::new("NON_FOLDABLE_ARGUMENT")
                .param("paramName", &typed.name)
                .message(format!("{} must be a constant.", typed.name)));
        }
        crate::constants::value(&typed.expr)
    }

    /// The value where the expression is a constant.
    pub(super) fn fold_if_constant(&self, typed: &TypedExpr) -> Option<ScalarValue> {
        if !is_foldable(&typed.expr) {
            return None;
        }
        self.fold(typed).ok()
    }

    pub(super) fn explicit_cast(
        &mut self,
        value: TypedExpr,
        to: &boathouse_spec::DataType,
        mode: CastMode,
    ) -> Result<TypedExpr> {
        use boathouse_functions::cast::Mode;
        let mode = match mode {
            CastMode::Session if self.context.ansi => Mode::Ansi,
            CastMode::Session | CastMode::Legacy => Mode::Legacy,
            CastMode::Ansi => Mode::Ansi,
            CastMode::Try => Mode::Try,
        };
        use boathouse_spec::DataType as T;
        let name = match mode {
            // Spark does not show casts to nested types.
            _ if matches!(to, T::Array { .. } | T::Map { .. } | T::Struct(_)) => value.name.clone(),
            Mode::Try => format!("TRY_CAST({} AS {})", value.name, to.sql()),
            _ => format!("CAST({} AS {})", value.name, to.sql()),
        };
        let to = match to {
            boathouse_spec::DataType::Char(_) | boathouse_spec::DataType::Varchar(_) => {
                boathouse_spec::DataType::STRING
            }
            t if *t == boathouse_spec::DataType::STRING => self.string_type(),
            boathouse_spec::DataType::String { collation: Some(c) } => {
                boathouse_functions::collation::collated(c)?
            }
            other => other.clone(),
        };
        Ok(self
            .cast(value, &to, mode)?
            .named(name)
            .with_collation(super::collation::CollationStrength::Implicit))
    }
}

/// Errors in which Spark names no place.
fn is_about_all(error: &Error) -> bool {
    const CLASSES: &[&str] = &[
        "AVRO_NOT_LOADED_SQL_FUNCTIONS_UNUSABLE",
        "CAST_OVERFLOW",
        "COLLATION_INVALID_NAME",
        "COLLATION_MISMATCH",
        "INTERNAL_ERROR",
        "INVALID_INLINE_TABLE",
        "INVALID_TIMEZONE",
        "INVALID_USAGE_OF_STAR_WITH_TABLE_IDENTIFIER_IN_COUNT",
        "MISSING_WINDOW_SPECIFICATION",
        "NON_LITERAL_PIVOT_VALUES",
        "TABLE_OR_VIEW_NOT_FOUND",
        "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE",
        "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.HIGHER_ORDER_FUNCTION",
        "UNSUPPORTED_TIME_TYPE",
        "WINDOW_FUNCTION_FRAME_NOT_ORDERED",
        "_LEGACY_ERROR_TEMP_1035",
        "_LEGACY_ERROR_TEMP_1036",
    ];
    CLASSES.iter().any(|class| error.is(class))
}

/// Whether the expression gives another value each time.
pub(super) fn is_volatile(expr: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::logical_expr::{Expr as E, Volatility};
    let volatile =
        |e: &E| matches!(e, E::ScalarFunction(f) if f.func.signature().volatility == Volatility::Volatile);
    expr.exists(|e| Ok(volatile(e))).unwrap_or(false)
}

/// Whether the expression has no columns, aggregates, windows, subqueries or volatile functions.
pub(crate) fn is_foldable(expr: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::logical_expr::Expr as E;
    let varies = expr.exists(|e| {
        Ok(match e {
            E::Column(_)
            | E::AggregateFunction(_)
            | E::WindowFunction(_)
            | E::ScalarSubquery(_)
            | E::Exists(_)
            | E::InSubquery(_)
            | E::OuterReferenceColumn(..)
            | E::Unnest(_) => true,
            E::ScalarFunction(f) => {
                f.func.signature().volatility == datafusion::logical_expr::Volatility::Volatile
            }
            _ => false,
        })
    });
    !varies.unwrap_or(true)
}
