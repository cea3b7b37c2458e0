//! Casts: Arrow's own where it does what Spark does, ours elsewhere.

use boathouse_functions::cast::{self, Mode};
use boathouse_functions::{Resolved, scalar_udf_at};
use boathouse_spec::{DataType, Error, Result};
use datafusion::logical_expr::{Expr, cast as df_cast};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::TypedExpr;

impl Analyzer {
    /// The cast of an expression; the name stays (Spark does not show implicit casts).
    pub(crate) fn cast(&self, value: TypedExpr, to: &DataType, mode: Mode) -> Result<TypedExpr> {
        let from = value.data_type.clone();
        if from == *to {
            return Ok(value);
        }
        // `raise_error` has the type VOID too, and must be called.
        if from == DataType::Null && !matches!(value.expr, Expr::Literal(..)) {
            return Ok(TypedExpr::new(
                df_cast(value.expr, boathouse_bridge::arrow_type(to)),
                to.clone(),
                true,
                value.name,
            ));
        }
        let is_null = matches!(&value.expr, Expr::Literal(v, _) if v.is_null());
        if from == DataType::Null || (is_null && cast::can_cast(&from, to, mode)) {
            let null = ScalarValue::try_from(&boathouse_bridge::arrow_type(to))
                .map_err(boathouse_bridge::from_datafusion)?;
            return Ok(TypedExpr::new(Expr::Literal(null, None), to.clone(), true, value.name)
                .with_collation(value.collation));
        }
        if !cast::can_cast(&from, to, mode) {
            return Err(self.cannot_cast(&value, to, mode));
        }
        let nullable = value.nullable || cast::may_give_null(&from, to, mode);
        if from.is_string()
            && to.is_datetime()
            && let Some(moment) = self
                .fold_if_constant(&value)
                .and_then(|constant| cast::special_time(&constant, to, &self.context))
        {
            self.is_repeatable.set(false);
            return Ok(TypedExpr::new(Expr::Literal(moment, None), to.clone(), nullable, value.name));
        }
        let arrow_from = boathouse_bridge::arrow_type(&from);
        let arrow_to = boathouse_bridge::arrow_type(to);
        if arrow_from == arrow_to
            && boathouse_bridge::typed_field("", &from, true) == boathouse_bridge::typed_field("", to, true)
        {
            return Ok(TypedExpr { data_type: to.clone(), nullable, ..value });
        }
        // DataFusion knows its own cast: filters over it still prune files and join keys stay simple.
        if cast::is_up_cast(&from, to) {
            let cast = TypedExpr::new(df_cast(value.expr, arrow_to), to.clone(), nullable, value.name);
            return Ok(cast.with_collation(value.collation));
        }
        let (source, target, context) = (from.clone(), to.clone(), self.context.clone());
        let resolved = Resolved::new(vec![from], to.clone(), nullable, move |inputs| {
            cast::cast(&inputs.array(0)?, &source, &target, mode, &context)
        });
        let name = match mode {
            Mode::Ansi => "cast",
            Mode::Legacy => "cast_legacy",
            Mode::Try => "try_cast",
        };
        let expr = scalar_udf_at(name, resolved, &self.context, self.origin.clone()).call(vec![value.expr]);
        Ok(TypedExpr::new(expr, to.clone(), nullable, value.name).with_collation(value.collation))
    }

    /// A column of a stream that is cast to the type that it has: what is noted of an event time is noted of the column alone, and
    /// the cast is no column (Spark's `Alias.metadata`).
    pub(super) fn unmarked(&self, value: TypedExpr, to: &DataType) -> TypedExpr {
        let is_time = matches!(to, DataType::Timestamp | DataType::TimestampNtz) && value.data_type == *to;
        if self.stream_count.is_none() || !is_time || !matches!(value.expr, Expr::Column(_)) {
            return value;
        }
        TypedExpr { expr: df_cast(value.expr, boathouse_bridge::arrow_type(to)), ..value }
    }

    /// An implicit cast, by the session's mode.
    pub(super) fn implicit(&self, value: TypedExpr, to: &DataType) -> Result<TypedExpr> {
        let mode = if self.context.ansi { Mode::Ansi } else { Mode::Legacy };
        if !cast::can_cast(&value.data_type, to, mode) {
            // Implicit casts are not shown.
            let error = cast::type_error(&value.data_type, to, mode, &value.name);
            return Err(error.exception("AnalysisException"));
        }
        self.cast(value, to, mode)
    }

    fn cannot_cast(&self, value: &TypedExpr, to: &DataType, mode: Mode) -> Error {
        let function = if mode == Mode::Try { "TRY_CAST" } else { "CAST" };
        let sql = match to {
            // Spark does not show casts to nested types.
            DataType::Array { .. } | DataType::Map { .. } | DataType::Struct(_) => value.name.clone(),
            _ => format!("{function}({} AS {})", value.name, to.sql()),
        };
        cast::type_error(&value.data_type, to, mode, &sql).exception("AnalysisException")
    }
}
