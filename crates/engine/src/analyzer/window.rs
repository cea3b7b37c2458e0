//! Window functions: `f(..) OVER (..)`.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_functions::{Call as FunctionCall, Entry, WindowCall, registry};
use boathouse_spec::{
    Call, DataType, Error, Expr, FrameBound, FrameUnits, Relation, RelationNode, Result, SortOrder,
    WindowFrame as SpecFrame, WindowSpec,
};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{NullTreatment, Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr as DfExpr, LogicalPlan, LogicalPlanBuilder, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};

/// The name of columns that hold the values of window functions, before their id.
pub(super) const WINDOW_COLUMN: &str = "_window";

impl Analyzer {
    pub(super) fn window_expr(
        &mut self,
        function: &Expr,
        window: &WindowSpec,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        let Expr::Call(call) = function else {
            if let Expr::Alias { expr, .. } = function {
                return self.window_expr(expr, window, over);
            }
            if let Expr::PythonUdf(udf) = function {
                return self.python_over_window(udf, window, over);
            }
            return Err(Error::new("UNSUPPORTED_EXPR_FOR_WINDOW")
                .param("sqlExpr", "\"OVER\"")
                .message("OVER needs a window or aggregate function before it."));
        };
        let (partition_by, order_by, frame) = self.window_spec(window)?;
        let mut partition = Vec::with_capacity(partition_by.len());
        for e in &partition_by {
            let value = self.expr(e, over)?;
            partition.push(self.group_key(value)?);
        }
        let order = order_by.iter().map(|o| self.expr(&o.expr, over)).collect::<Result<Vec<_>>>()?;
        let mut sorts = Vec::with_capacity(order.len());
        for (key, o) in order.iter().zip(&order_by) {
            sorts.push(Sort::new(self.sort_key(key.clone())?.expr, o.ascending, o.nulls_first));
        }
        let name = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
        let parts = self.window_function_parts(&name, call, over)?;
        if parts.fixed_frame && sorts.is_empty() {
            return Err(Error::new("WINDOW_FUNCTION_FRAME_NOT_ORDERED")
                .param("funcName", format!("\"{}\"", parts.shown))
                .message(format!("The window function {} needs an ORDER BY in its window.", parts.shown)));
        }
        if parts.shown.contains(super::project::LATERAL_ALIAS) {
            return Err(Error::new("UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_IN_WINDOW")
                .param("lca", &parts.shown)
                .param("windowExpr", format!("\"{}\"", parts.shown))
                .message(format!("{} uses an alias of the same SELECT list.", parts.shown)));
        }
        if parts.whole_partition && (!sorts.is_empty() || frame.is_some()) {
            return Err(Error::new("INVALID_WINDOW_SPEC_FOR_AGGREGATION_FUNC")
                .param("aggFunc", format!("\"{}\"", parts.shown))
                .message(format!("{} takes neither an order nor a frame in its window.", parts.shown)));
        }
        self.finish_window(parts, partition, sorts, order, &order_by, frame, over)
    }

    #[allow(clippy::too_many_arguments)]
    fn finish_window(
        &mut self,
        parts: WindowParts,
        partition: Vec<TypedExpr>,
        sorts: Vec<Sort>,
        order: Vec<TypedExpr>,
        order_by: &[SortOrder],
        frame: Option<SpecFrame>,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        let (df_frame, frame_text) = if parts.fixed_frame {
            if let Some(f) = &frame
                && !(f.units == FrameUnits::Rows
                    && f.start == FrameBound::UnboundedPreceding
                    && f.end == FrameBound::CurrentRow)
            {
                let class = if parts.offset_frame { "1035" } else { "1036" };
                return Err(Error::new(format!("_LEGACY_ERROR_TEMP_{class}"))
                    .param("prettyName", &parts.shown)
                    .message(format!("{} does not take a window frame.", parts.shown)));
            }
            let frame = match parts.offset_frame {
                true => WindowFrame::new_bounds(
                    WindowFrameUnits::Rows,
                    WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                    WindowFrameBound::Following(ScalarValue::UInt64(None)),
                ),
                false => WindowFrame::new_bounds(
                    WindowFrameUnits::Rows,
                    WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                    WindowFrameBound::CurrentRow,
                ),
            };
            let shown = parts.shown_frame.clone();
            (frame, shown.unwrap_or_else(|| "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_string()))
        } else {
            self.frame(frame.as_ref(), &order, over)?
        };
        let mut spec = Vec::new();
        if !partition.is_empty() {
            spec.push(format!("PARTITION BY {}", join_names(&partition)));
        }
        if !order.is_empty() {
            let keys: Vec<String> =
                order.iter().zip(order_by).map(|(k, o)| super::sort::order_name(&k.name, o)).collect();
            spec.push(format!("ORDER BY {}", keys.join(", ")));
        }
        spec.push(frame_text);
        let shown = format!("{} OVER ({})", parts.shown, spec.join(" "));
        let window = DfExpr::WindowFunction(Box::new(WindowFunction {
            fun: parts.function,
            params: WindowFunctionParams {
                args: parts.args,
                partition_by: partition.into_iter().map(|p| p.expr).collect(),
                order_by: sorts,
                window_frame: df_frame,
                filter: parts.filter.map(Box::new),
                null_treatment: parts.null_treatment,
                distinct: parts.distinct,
            },
        }));
        let expr = match parts.cast_to {
            Some(t) => datafusion::logical_expr::cast(window, boathouse_bridge::arrow_type(&t)),
            None => window,
        };
        Ok(TypedExpr::new(expr, parts.data_type, parts.nullable, shown))
    }

    fn window_function_parts(&mut self, name: &str, call: &Call, over: &Analyzed) -> Result<WindowParts> {
        let entries = if call.name.len() == 1 { registry().get(name) } else { &[] };
        for entry in entries {
            match entry {
                Entry::Window(resolve) => {
                    forbid_aggregate_syntax(name, call)?;
                    let args = self.args(&call.args, over)?;
                    let infos: Vec<_> = args.iter().map(|a| self.arg(a)).collect();
                    let resolved = resolve(&WindowCall {
                        call: FunctionCall { name, args: &infos, context: &self.context },
                        ignore_nulls: call.ignore_nulls,
                    })?;
                    let names: Vec<String> = args.iter().map(|a| a.name.clone()).collect();
                    let names = match &resolved.display_args {
                        Some(shown) => shown.iter().map(|a| a.show(&names)).collect(),
                        None => names,
                    };
                    let called = resolved.display_name.as_deref().unwrap_or(name);
                    let shown = format!("{called}({}){}", names.join(", "), resolved.display_suffix);
                    let mut args: Vec<DfExpr> =
                        self.coerced(args, &resolved.coerced)?.into_iter().map(|a| a.expr).collect();
                    if name == "ntile" && args.is_empty() {
                        args.push(datafusion::logical_expr::lit(1i32));
                    }
                    return Ok(WindowParts {
                        whole_partition: false,
                        function: WindowFunctionDefinition::WindowUDF(resolved.udf),
                        args,
                        cast_to: Some(resolved.return_type.clone()),
                        data_type: resolved.return_type,
                        nullable: resolved.nullable,
                        fixed_frame: resolved.fixed_frame,
                        shown_frame: resolved.shown_frame,
                        offset_frame: matches!(name, "lag" | "lead"),
                        shown,
                        filter: None,
                        distinct: false,
                        null_treatment: (call.ignore_nulls == Some(true))
                            .then_some(NullTreatment::IgnoreNulls),
                    });
                }
                Entry::Aggregate(resolve) => {
                    if call.distinct {
                        return Err(Error::new("DISTINCT_WINDOW_FUNCTION_UNSUPPORTED")
                            .param("windowExpr", format!("\"{name}(DISTINCT ..)\""))
                            .message(format!("{name}(DISTINCT ..) cannot be used over a window.")));
                    }
                    let parts = self.aggregate_parts(name, *resolve, call, over)?;
                    let whole = matches!(
                        name,
                        "percentile_cont" | "percentile_disc" | "median" | "listagg" | "string_agg"
                    );
                    return Ok(WindowParts {
                        whole_partition: whole,
                        function: WindowFunctionDefinition::AggregateUDF(parts.resolved.udf.clone()),
                        args: parts.args,
                        cast_to: None,
                        data_type: parts.resolved.return_type,
                        nullable: parts.resolved.nullable,
                        fixed_frame: false,
                        shown_frame: None,
                        offset_frame: false,
                        shown: parts.name,
                        filter: parts.filter,
                        distinct: parts.distinct,
                        null_treatment: parts.null_treatment,
                    });
                }
                _ => {}
            }
        }
        if entries.is_empty() {
            // Names the missing function.
            self.call(call, over)?;
        }
        Err(Error::new("UNSUPPORTED_EXPR_FOR_WINDOW")
            .param("sqlExpr", format!("\"{name}\""))
            .message(format!("{name} is neither a window nor an aggregate function.")))
    }

    fn window_spec(&self, window: &WindowSpec) -> Result<(Vec<Expr>, Vec<SortOrder>, Option<SpecFrame>)> {
        match window {
            WindowSpec::Inline { partition_by, order_by, frame } => {
                Ok((partition_by.clone(), order_by.clone(), frame.clone()))
            }
            WindowSpec::Named(name) => {
                let found = self.windows.iter().rev().find(|(n, _)| n == name);
                match found {
                    Some((_, spec)) => self.window_spec(&spec.clone()),
                    None => Err(Error::new("MISSING_WINDOW_SPECIFICATION")
                        .param("windowName", name)
                        .param("docroot", "")
                        .message(format!("There is no window named {name} in the WINDOW clause."))),
                }
            }
        }
    }

    fn frame(
        &mut self,
        frame: Option<&SpecFrame>,
        order: &[TypedExpr],
        over: &Analyzed,
    ) -> Result<(WindowFrame, String)> {
        let Some(frame) = frame else {
            let unbounded = WindowFrameBound::Preceding(ScalarValue::UInt64(None));
            return Ok(if order.is_empty() {
                let end = WindowFrameBound::Following(ScalarValue::UInt64(None));
                (
                    WindowFrame::new_bounds(WindowFrameUnits::Rows, unbounded, end),
                    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING".into(),
                )
            } else {
                let start = WindowFrameBound::Preceding(ScalarValue::Null);
                (
                    WindowFrame::new_bounds(WindowFrameUnits::Range, start, WindowFrameBound::CurrentRow),
                    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".into(),
                )
            });
        };
        let offset_range = frame.units == FrameUnits::Range
            && (matches!(frame.start, FrameBound::Offset(_)) || matches!(frame.end, FrameBound::Offset(_)));
        if offset_range && order.len() != 1 {
            let subclass =
                if order.is_empty() { "RANGE_FRAME_WITHOUT_ORDER" } else { "RANGE_FRAME_MULTI_ORDER" };
            return Err(Error::new(format!("DATATYPE_MISMATCH.{subclass}"))
                .param("sqlExpr", "\"RANGE\"")
                .message("A RANGE frame with an offset needs exactly one ORDER BY key."));
        }
        let (start, start_text) = self.bound(&frame.start, frame.units, order, over)?;
        let (end, end_text) = self.bound(&frame.end, frame.units, order, over)?;
        if matches!(frame.start, FrameBound::UnboundedFollowing)
            || matches!(frame.end, FrameBound::UnboundedPreceding)
        {
            return Err(Error::new("DATATYPE_MISMATCH.SPECIFIED_WINDOW_FRAME_INVALID_BOUND")
                .param("sqlExpr", format!("\"{start_text} AND {end_text}\""))
                .message("The frame's start must not follow its end."));
        }
        if starts_after_end(&start, &end) {
            return Err(Error::new("DATATYPE_MISMATCH.SPECIFIED_WINDOW_FRAME_WRONG_COMPARISON")
                .param("sqlExpr", format!("\"{start_text} AND {end_text}\""))
                .param("comparison", "less than or equal")
                .message(format!("The frame's start, {start_text}, comes after its end, {end_text}.")));
        }
        let (units, word) = match frame.units {
            FrameUnits::Rows => (WindowFrameUnits::Rows, "ROWS"),
            FrameUnits::Range => (WindowFrameUnits::Range, "RANGE"),
        };
        Ok((
            WindowFrame::new_bounds(units, start, end),
            format!("{word} BETWEEN {start_text} AND {end_text}"),
        ))
    }

    fn bound(
        &mut self,
        bound: &FrameBound,
        units: FrameUnits,
        order: &[TypedExpr],
        _over: &Analyzed,
    ) -> Result<(WindowFrameBound, String)> {
        let unbounded = match units {
            FrameUnits::Rows => ScalarValue::UInt64(None),
            FrameUnits::Range => ScalarValue::Null,
        };
        Ok(match bound {
            FrameBound::UnboundedPreceding => {
                (WindowFrameBound::Preceding(unbounded), "UNBOUNDED PRECEDING".into())
            }
            FrameBound::UnboundedFollowing => {
                (WindowFrameBound::Following(unbounded), "UNBOUNDED FOLLOWING".into())
            }
            FrameBound::CurrentRow => (WindowFrameBound::CurrentRow, "CURRENT ROW".into()),
            FrameBound::Offset(expr) => {
                let typed = self.expr(expr, &Analyzed::one_row()?)?;
                let shown = typed.name.clone();
                // A text is refused before it is read as a number to negate.
                let written = match expr.as_ref() {
                    Expr::Call(call) if call.args.len() == 1 => {
                        self.expr(&call.args[0], &Analyzed::one_row()?)?
                    }
                    _ => typed.clone(),
                };
                if units == FrameUnits::Range
                    && written.data_type.is_string()
                    && order.first().is_some_and(|k| !k.data_type.is_string() && !k.data_type.is_numeric())
                {
                    // A text before PRECEDING is negated, and a DOUBLE then.
                    let is_negated = matches!(expr.as_ref(), Expr::Call(_));
                    let t = if is_negated { DataType::Double } else { written.data_type.clone() };
                    let offset = TypedExpr { data_type: t, ..written };
                    range_offset(ScalarValue::Null, &order[0], &offset, &self.context)?;
                }
                let value = self.fold(&typed)?;
                let preceding = is_negative(&value);
                let is_zero = ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == value);
                // An offset that was cast to the type of the key is no negation any more.
                let is_cast = units == FrameUnits::Range
                    && order
                        .first()
                        .is_some_and(|key| key.data_type.is_numeric() && key.data_type != typed.data_type);
                // `-1 FOLLOWING` shows as `1 PRECEDING`, where the offset is a literal's negation.
                let text = match (expr.as_ref(), preceding) {
                    (Expr::Call(call), _) if call.args.len() == 1 && (preceding || is_zero) && !is_cast => {
                        format!("{} PRECEDING", self.expr(&call.args[0], &Analyzed::one_row()?)?.name)
                    }
                    (_, true) if shown.starts_with('-') && is_cast => {
                        format!("(- {}) FOLLOWING", &shown[1..])
                    }
                    (_, true) if shown.starts_with('-') => format!("{} PRECEDING", &shown[1..]),
                    _ => format!("{shown} FOLLOWING"),
                };
                let magnitude = if preceding { negated(value)? } else { value };
                let magnitude = match units {
                    FrameUnits::Rows => {
                        let too_long =
                            matches!(magnitude, ScalarValue::Int64(Some(v)) if i32::try_from(v).is_err());
                        if !typed.data_type.is_integral() || too_long {
                            return Err(super::error::mismatch(
                                "SPECIFIED_WINDOW_FRAME_UNACCEPTED_TYPE",
                                &shown,
                                format!("a ROWS offset must be an integer, not {}.", typed.data_type.sql()),
                            )
                            .param("location", "lower")
                            .param("exprType", super::error::quoted(&typed.data_type))
                            .param("expectedType", "\"INT\""));
                        }
                        magnitude.cast_to(&arrow::datatypes::DataType::UInt64).spark()?
                    }
                    FrameUnits::Range => range_offset(magnitude, &order[0], &typed, &self.context)?,
                };
                let bound = if is_zero {
                    WindowFrameBound::CurrentRow
                } else if preceding {
                    WindowFrameBound::Preceding(magnitude)
                } else {
                    WindowFrameBound::Following(magnitude)
                };
                (bound, text)
            }
        })
    }

    /// Plans the window functions in the expressions; they come back as columns of the plan.
    pub(super) fn plan_windows(
        &mut self,
        plan: LogicalPlan,
        exprs: Vec<(DfExpr, Attribute)>,
    ) -> Result<(LogicalPlan, Vec<(DfExpr, Attribute)>)> {
        if !exprs.iter().any(|(e, _)| has_window(e)) {
            return Ok((plan, exprs));
        }
        let (plan, exprs) = self.plan_innermost_windows(plan, exprs)?;
        self.plan_windows(plan, exprs)
    }

    /// Plans the window functions that have no other inside.
    fn plan_innermost_windows(
        &mut self,
        plan: LogicalPlan,
        exprs: Vec<(DfExpr, Attribute)>,
    ) -> Result<(LogicalPlan, Vec<(DfExpr, Attribute)>)> {
        let mut found: Vec<(WindowFunction, Attribute)> = Vec::new();
        let mut rewritten = Vec::with_capacity(exprs.len());
        for (expr, attribute) in exprs {
            let expr = expr
                .transform_down(|e| {
                    let DfExpr::WindowFunction(w) = &e else { return Ok(Transformed::no(e)) };
                    if has_window_inside(w) {
                        return Ok(Transformed::no(e));
                    }
                    let column = match found.iter().find(|(f, _)| f == w.as_ref()) {
                        Some((_, a)) => a.column(),
                        None => {
                            let a = self.attribute(WINDOW_COLUMN, DataType::Null, true);
                            let column = a.column();
                            found.push((w.as_ref().clone(), a));
                            column
                        }
                    };
                    Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
                })
                .spark()?;
            rewritten.push((expr.data, attribute));
        }
        // Functions over the same partitions and order share a node; nodes with more keys first, so that sorts are shared.
        let mut groups: Vec<Vec<(WindowFunction, Attribute)>> = Vec::new();
        for (w, a) in found {
            let same = |g: &&mut Vec<(WindowFunction, Attribute)>| {
                g[0].0.params.partition_by == w.params.partition_by
                    && g[0].0.params.order_by == w.params.order_by
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push((w, a)),
                None => groups.push(vec![(w, a)]),
            }
        }
        let mut plan = plan;
        for group in groups {
            let exprs = group
                .into_iter()
                .map(|(w, a)| DfExpr::WindowFunction(Box::new(w)).alias(a.internal_name()))
                .collect();
            plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan)).spark()?);
        }
        Ok((plan, rewritten))
    }

    pub(super) fn qualify(&mut self, input: &Relation, condition: &Expr) -> Result<Analyzed> {
        check_qualifies(input, condition)?;
        let input = self.relation(input)?;
        let output = input.output.clone();
        let (mut resolved, input) =
            self.exprs_reaching_below(std::slice::from_ref(condition), input, "QUALIFY")?;
        let condition = self.condition(resolved.remove(0), "qualify")?;
        let keep = self.attribute("qualify", DataType::Boolean, true);
        let mut exprs: Vec<(DfExpr, Attribute)> = input.columns().map(|a| (a.column(), a.clone())).collect();
        exprs.push((condition.expr, keep.clone()));
        let (plan, exprs) = self.plan_windows(input.plan.clone(), exprs)?;
        let list = exprs.iter().map(|(e, a)| super::project::named(e.clone(), a)).collect();
        let plan = super::analyzed::project(list, plan)?;
        let plan = LogicalPlanBuilder::from(plan).filter(keep.column()).spark()?.build().spark()?;
        let columns = input.columns().map(Attribute::column).collect();
        let plan = super::analyzed::project(columns, plan)?;
        Ok(Analyzed { plan, output, below: None, ..input })
    }
}

struct WindowParts {
    /// The function is of whole partitions only.
    whole_partition: bool,
    function: WindowFunctionDefinition,
    args: Vec<DfExpr>,
    cast_to: Option<DataType>,
    data_type: DataType,
    nullable: bool,
    fixed_frame: bool,
    /// The fixed frame as names show it.
    shown_frame: Option<String>,
    offset_frame: bool,
    shown: String,
    filter: Option<DfExpr>,
    distinct: bool,
    null_treatment: Option<NullTreatment>,
}

/// Whether a frame between two offsets begins after it ends.
fn starts_after_end(start: &WindowFrameBound, end: &WindowFrameBound) -> bool {
    use WindowFrameBound::{Following, Preceding};
    match (start, end) {
        (Following(a), Preceding(b)) => !a.is_null() && !b.is_null(),
        (Following(a), Following(b)) if !a.is_null() && !b.is_null() => a > b,
        (Preceding(a), Preceding(b)) if !a.is_null() && !b.is_null() => a < b,
        _ => false,
    }
}

fn join_names(values: &[TypedExpr]) -> String {
    values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn negated(value: ScalarValue) -> Result<ScalarValue> {
    Ok(match value {
        ScalarValue::DurationMicrosecond(Some(v)) => {
            ScalarValue::DurationMicrosecond(Some(v.saturating_neg()))
        }
        ScalarValue::IntervalYearMonth(Some(v)) => ScalarValue::IntervalYearMonth(Some(v.saturating_neg())),
        other => other.arithmetic_negate().spark()?,
    })
}

fn is_negative(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Int8(Some(v)) => *v < 0,
        ScalarValue::Int16(Some(v)) => *v < 0,
        ScalarValue::Int32(Some(v)) => *v < 0,
        ScalarValue::Int64(Some(v)) => *v < 0,
        ScalarValue::Float32(Some(v)) => *v < 0.0,
        ScalarValue::Float64(Some(v)) => *v < 0.0,
        ScalarValue::Decimal128(Some(v), _, _) => *v < 0,
        ScalarValue::DurationMicrosecond(Some(v)) => *v < 0,
        ScalarValue::IntervalYearMonth(Some(v)) => *v < 0,
        ScalarValue::IntervalMonthDayNano(Some(v)) => v.months < 0 || v.days < 0 || v.nanoseconds < 0,
        _ => false,
    }
}

/// The offset of a RANGE frame in the type DataFusion adds to the ORDER BY key.
fn range_offset(
    value: ScalarValue,
    key: &TypedExpr,
    offset: &TypedExpr,
    context: &boathouse_functions::Context,
) -> Result<ScalarValue> {
    use arrow::datatypes::IntervalMonthDayNano;
    let interval = |months, days, nanos| {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos)))
    };
    let unaccepted = || {
        Error::new("DATATYPE_MISMATCH.RANGE_FRAME_INVALID_TYPE")
            .param("sqlExpr", format!("\"{}\"", offset.name))
            .param("orderSpecType", super::error::quoted(&key.data_type))
            .param("valueBoundaryType", super::error::quoted(&offset.data_type))
            .message(format!(
                "A RANGE frame over {} does not take an offset of {}.",
                key.data_type.sql(),
                offset.data_type.sql()
            ))
    };
    let is_read_as_number = offset.data_type.is_string() && key.data_type.is_numeric();
    let is_offset = offset.data_type.is_numeric() || offset.data_type.is_interval() || is_read_as_number;
    let not_added = |t: &DataType| {
        Error::new("DATATYPE_MISMATCH.SPECIFIED_WINDOW_FRAME_UNACCEPTED_TYPE")
            .param("sqlExpr", format!("\"{}\"", offset.name))
            .param("location", "lower")
            .param("exprType", super::error::quoted(t))
            .param(
                "expectedType",
                "(\"NUMERIC\" or \"INTERVAL DAY TO SECOND\" or \"INTERVAL YEAR TO MONTH\" or \"INTERVAL\")",
            )
            .message(format!("A RANGE frame adds numbers and intervals to its key, no {}.", t.sql()))
    };
    if key.data_type.is_string() {
        return Err(not_added(&key.data_type));
    }
    if !is_offset {
        return Err(not_added(&offset.data_type));
    }
    Ok(match (&key.data_type, value) {
        (DataType::Date, v) if offset.data_type.is_integral() => {
            let ScalarValue::Int32(Some(days)) = v.cast_to(&arrow::datatypes::DataType::Int32).spark()?
            else {
                return Err(unaccepted());
            };
            interval(0, days, 0)
        }
        (
            DataType::Date | DataType::Timestamp | DataType::TimestampNtz,
            v @ ScalarValue::IntervalMonthDayNano(_),
        ) => v,
        (
            DataType::Date | DataType::Timestamp | DataType::TimestampNtz,
            ScalarValue::IntervalYearMonth(Some(m)),
        ) => interval(m, 0, 0),
        (DataType::Date, ScalarValue::DurationMicrosecond(Some(us)))
            if offset.data_type.sql() == "INTERVAL DAY" =>
        {
            let days = i32::try_from(us / 86_400_000_000).map_err(|_| unaccepted())?;
            interval(0, days, 0)
        }
        (DataType::Timestamp | DataType::TimestampNtz, ScalarValue::DurationMicrosecond(Some(us))) => {
            interval(0, 0, us.saturating_mul(1000))
        }
        (t, v) if is_read_as_number && !v.is_null() => {
            use boathouse_functions::cast::{Mode, cast};
            let array = v.to_array().spark()?;
            let number = cast(&array, &DataType::STRING, t, Mode::Ansi, context)?;
            ScalarValue::try_from_array(&number, 0).spark()?
        }
        (t, v) if t.is_numeric() && offset.data_type.is_numeric() => {
            v.cast_to(&boathouse_bridge::arrow_type(t)).spark()?
        }
        _ => return Err(unaccepted()),
    })
}

/// Whether a window function is in the expression.
pub(super) fn has_window(expr: &DfExpr) -> bool {
    expr.exists(|e| Ok(matches!(e, DfExpr::WindowFunction(_)))).unwrap_or(false)
}

fn has_window_inside(w: &WindowFunction) -> bool {
    let p = &w.params;
    p.args.iter().chain(&p.partition_by).chain(p.order_by.iter().map(|s| &s.expr)).any(has_window)
        || p.filter.as_ref().is_some_and(|f| has_window(f))
}

pub(super) fn forbid_windows(expr: &DfExpr, name: &str, clause: &str) -> Result<()> {
    if !has_window(expr) {
        return Ok(());
    }
    if clause == "WHERE" || clause == "HAVING" {
        return Err(Error::new("WINDOW_FUNCTION_NOT_ALLOWED_IN_CLAUSE")
            .param("clauseName", clause)
            .message(format!("{clause} cannot hold the window functions of {name}; use QUALIFY.")));
    }
    Ok(())
}

/// Functions of windows that number rows take neither FILTER nor the treatment of NULL.
fn forbid_aggregate_syntax(name: &str, call: &Call) -> Result<()> {
    let numbers = matches!(
        name,
        "row_number"
            | "rank"
            | "dense_rank"
            | "percent_rank"
            | "cume_dist"
            | "ntile"
            | "lag"
            | "lead"
            | "nth_value"
    );
    let treats_nulls = matches!(name, "lag" | "lead" | "nth_value");
    let syntax = if numbers && call.filter.is_some() {
        "FILTER CLAUSE"
    } else if numbers && !treats_nulls && call.ignore_nulls == Some(true) {
        "IGNORE NULLS"
    } else {
        return Ok(());
    };
    Err(Error::new("INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX")
        .param("prettyName", boathouse_spec::quote(name))
        .param("syntax", syntax)
        .message(format!("The function {name} does not take {syntax}.")))
}

/// Nothing computes the windows of GROUP BY, nor, over an aggregation, those of ORDER BY.
pub(super) fn forbid_uncomputed_windows(key: &TypedExpr, clause: &str) -> Result<()> {
    if !has_window(&key.expr) {
        return Ok(());
    }
    Err(Error::new("UNSUPPORTED_EXPR_FOR_OPERATOR")
        .param("invalidExprSqls", format!("\"{}\"", key.name))
        .message(format!("{clause} cannot hold the window function {}.", key.name)))
}

/// QUALIFY is about windows: of its own, or of the SELECT list.
fn check_qualifies(input: &Relation, condition: &Expr) -> Result<()> {
    fn has_window(expr: &Expr) -> bool {
        matches!(expr, Expr::Window { .. })
            || crate::relation_walk::operands(expr).into_iter().any(has_window)
    }
    fn list(relation: &Relation) -> &[Expr] {
        match &*relation.node {
            RelationNode::Project { exprs, .. } => exprs,
            RelationNode::Aggregate(aggregate) => &aggregate.aggregates,
            RelationNode::Having { input, .. }
            | RelationNode::Distinct { input }
            | RelationNode::WindowDefinitions { input, .. } => list(input),
            _ => &[],
        }
    }
    if has_window(condition) || list(input).iter().any(has_window) {
        return Ok(());
    }
    Err(Error::new("QUALIFY_REQUIRES_WINDOW_FUNCTION")
        .message("QUALIFY needs a window function in its condition or in the SELECT list."))
}
