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
use super::window_frame::Frame;

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
        if parts.whole_partition && (!sorts.is_empty() || frame.is_some()) {
            return Err(Error::new("INVALID_WINDOW_SPEC_FOR_AGGREGATION_FUNC")
                .param("aggFunc", format!("\"{}\"", parts.shown))
                .message(format!("{} takes neither an order nor a frame in its window.", parts.shown)));
        }
        self.finish_window(parts, partition, sorts, order, &order_by, frame)
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
    ) -> Result<TypedExpr> {
        let spec = spec_text(&partition, &order, order_by);
        let frame = match parts.fixed_frame {
            true => fixed_frame(&parts, frame.as_ref())?,
            false => self.frame(frame.as_ref(), &order, &spec)?,
        };
        let shown = format!("{} OVER ({spec}{})", parts.shown, frame.text);
        if let Some(alias) = super::project::lateral_alias_in(&shown) {
            return Err(Error::new("UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_IN_WINDOW")
                .param("lca", boathouse_spec::quote(alias))
                .param("windowExpr", format!("\"{shown}\""))
                .message(format!("The window uses {alias}, an alias of the same SELECT list: {shown}")));
        }
        // An aggregate over an empty frame has a value (`count` is 0), another function has none.
        let (is_aggregate, rows_left) =
            (matches!(parts.function, WindowFunctionDefinition::AggregateUDF(_)), frame.rows_left);
        let filter = if is_aggregate { rows_left.clone().or(parts.filter) } else { parts.filter };
        let window = DfExpr::WindowFunction(Box::new(WindowFunction {
            fun: parts.function,
            params: WindowFunctionParams {
                args: parts.args,
                partition_by: partition.into_iter().map(|p| p.expr).collect(),
                order_by: sorts,
                window_frame: frame.frame,
                filter: filter.map(Box::new),
                null_treatment: parts.null_treatment,
                distinct: parts.distinct,
            },
        }));
        let expr = match parts.cast_to {
            Some(t) => datafusion::logical_expr::cast(window, boathouse_bridge::arrow_type(&t)),
            None => window,
        };
        let value = TypedExpr::new(expr, parts.data_type, parts.nullable, shown);
        Ok(match rows_left {
            Some(rows_left) if !is_aggregate => self.only_if(rows_left, value),
            _ => value,
        })
    }

    fn window_function_parts(&mut self, name: &str, call: &Call, over: &Analyzed) -> Result<WindowParts> {
        let is_builtin = crate::functions::builtin_name(&call.name).is_some();
        let entries = if is_builtin { registry().get(name) } else { &[] };
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
                    // Texts in an order of their own are joined for the whole partition only.
                    let whole = match name {
                        "percentile_cont" | "percentile_disc" | "median" => true,
                        "listagg" | "string_agg" => !call.order_by.is_empty(),
                        _ => false,
                    };
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
        if entries.is_empty() || entries.iter().any(|e| matches!(e, Entry::Generator(_))) {
            // Names the missing function, and refuses a generator.
            self.call(call, over)?;
            self.forbid_sql_functions(&[Expr::Call(Box::new(call.clone()))], "Window")?;
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

/// The partitions and the order of a window as names show them, each with a space after it.
fn spec_text(partition: &[TypedExpr], order: &[TypedExpr], order_by: &[SortOrder]) -> String {
    let mut text = String::new();
    if !partition.is_empty() {
        text += &format!("PARTITION BY {} ", join_names(partition));
    }
    if !order.is_empty() {
        let keys: Vec<String> =
            order.iter().zip(order_by).map(|(k, o)| super::sort::order_name(&k.name, o)).collect();
        text += &format!("ORDER BY {} ", keys.join(", "));
    }
    text
}

/// The frame of a function that has one of its own, and takes no other.
fn fixed_frame(parts: &WindowParts, asked: Option<&SpecFrame>) -> Result<Frame> {
    if let Some(f) = asked
        && !(f.units == FrameUnits::Rows
            && f.start == FrameBound::UnboundedPreceding
            && f.end == FrameBound::CurrentRow)
    {
        let class = if parts.offset_frame { "1035" } else { "1036" };
        return Err(Error::new(format!("_LEGACY_ERROR_TEMP_{class}"))
            .param("prettyName", &parts.shown)
            .message(format!("{} does not take a window frame.", parts.shown)));
    }
    let unbounded = ScalarValue::UInt64(None);
    let end = match parts.offset_frame {
        true => WindowFrameBound::Following(unbounded.clone()),
        false => WindowFrameBound::CurrentRow,
    };
    let start = WindowFrameBound::Preceding(unbounded);
    let shown = parts.shown_frame.clone();
    Ok(Frame {
        frame: WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end),
        text: shown.unwrap_or_else(|| "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_string()),
        rows_left: None,
    })
}

fn join_names(values: &[TypedExpr]) -> String {
    values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
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

/// WHERE and HAVING come before windows.
pub(super) fn forbid_windows(expr: &DfExpr, name: &str, clause: &str) -> Result<()> {
    if !has_window(expr) {
        return Ok(());
    }
    Err(Error::new("WINDOW_FUNCTION_NOT_ALLOWED_IN_CLAUSE")
        .param("clauseName", clause)
        .message(format!("{clause} cannot hold the window functions of {name}; use QUALIFY.")))
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

/// Nothing computes the windows of GROUP BY, of ORDER BY, of conditions of joins, nor of expectations.
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
