//! `window(..)`, `session_window(..)` and `window_time(..)`: columns of time windows (Spark's `TimeWindowing` and
//! `SessionWindowing`).
//!
//! A window is a column that the relation gets before it is projected or grouped; the call becomes a reference to it.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_functions::datetime::window::{Windows, window_interval};
use boathouse_spec::{
    Aggregate, Call, Column, DataType, Error, Expr, FrameBound, FrameUnits, GroupingKind, Literal, Result,
    SortOrder, WindowFrame, WindowSpec,
};
use datafusion::logical_expr::{Expr as DfExpr, Extension, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::aggregate::has_aggregate;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::project::named;
use crate::watermark::SessionWindows;

/// What marks a column as a time window.
const METADATA: &str = r#"{"spark.timeWindow":true}"#;
const SESSION_METADATA: &str = r#"{"spark.sessionWindow":true}"#;

impl Analyzer {
    /// The relation with a column for the window that the expressions call, and the expressions with the column in place
    /// of the call. `over` is the aggregation whose grouping and output they are, where there is one.
    pub(super) fn with_time_windows(
        &mut self,
        input: Analyzed,
        exprs: &[Expr],
        over: Option<&Aggregate>,
    ) -> Result<(Analyzed, Vec<Expr>)> {
        let mut calls: Vec<Call> = Vec::new();
        for expr in exprs {
            collect_calls(expr, &mut calls);
        }
        let (analyzed, call, column) = match calls.as_slice() {
            [] => return Ok((input, exprs.to_vec())),
            [call] if is_named(call, "window") => {
                let (analyzed, column) = self.with_window(input, call)?;
                (analyzed, call.clone(), column)
            }
            [call] => {
                let (analyzed, column) = self.with_session(input, call, over, exprs)?;
                (analyzed, call.clone(), column)
            }
            _ => {
                return Err(Error::new("_LEGACY_ERROR_TEMP_1039").message(
                    "Several time or session windows would give the product of their rows; that is not supported.",
                ));
            }
        };
        let replaced = exprs.iter().map(|e| replace(e, &call, &column)).collect();
        Ok((analyzed, replaced))
    }

    /// A column that is computed from the relation, out of sight for stars, and how to refer to it.
    fn appended(&mut self, input: Analyzed, name: &str, expr: &Expr) -> Result<(Analyzed, Expr)> {
        let value = self.expr(expr, &input)?;
        self.appended_value(input, name, value, "")
    }

    fn appended_value(
        &mut self,
        input: Analyzed,
        name: &str,
        value: TypedExpr,
        metadata: &str,
    ) -> Result<(Analyzed, Expr)> {
        let mut attribute = self.attribute(name, value.data_type.clone(), value.nullable);
        attribute.metadata = metadata.to_string();
        let mut pairs: Vec<(DfExpr, Attribute)> = input.columns().map(|a| (a.column(), a.clone())).collect();
        pairs.push((value.expr, attribute.clone()));
        let (plan, pairs) = self.plan_windows(input.plan.clone(), pairs)?;
        let plan = project(pairs.iter().map(|(e, a)| named(e.clone(), a)).collect(), plan)?;
        let mut analyzed = Analyzed { plan, below: None, ..input };
        let reference = reference(&attribute);
        analyzed.hidden.push(attribute.clone());
        analyzed.plan_ids.insert(reference_id(&attribute), vec![attribute]);
        Ok((analyzed, reference))
    }

    fn kept(&self, input: Analyzed, condition: DfExpr) -> Result<Analyzed> {
        let plan = LogicalPlanBuilder::from(input.plan.clone()).filter(condition).spark()?.build().spark()?;
        Ok(Analyzed { plan, below: None, ..input })
    }

    /// The time of a row: a time, or the last moment of another window.
    fn event_time(&mut self, expr: &Expr, input: &Analyzed) -> Result<TypedExpr> {
        let value = self.expr(expr, input)?;
        match &value.data_type {
            DataType::Struct(fields) if fields.field("start").is_some() && fields.field("end").is_some() => {
                self.last_moment(value)
            }
            DataType::Timestamp | DataType::TimestampNtz => Ok(value),
            DataType::Date | DataType::Null => self.implicit(value, &DataType::Timestamp),
            t if t.is_string() => self.implicit(value, &DataType::Timestamp),
            t => Err(super::error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                &value.name,
                format!("the time of a window must be a timestamp, not {}.", t.sql()),
            )),
        }
    }

    fn last_moment(&mut self, window: TypedExpr) -> Result<TypedExpr> {
        let moments = Windows::last_moments(&window.data_type, window.nullable);
        let moments = moments.ok_or_else(|| Error::internal("a window that is none"))?;
        self.resolved_scalar("window_time", moments, vec![window])
    }

    /// `window_time(window)`
    pub(super) fn window_time(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let [window] = self.exactly::<1>(call, over)?;
        let shown = format!("window_time({})", window.name);
        let is_window = match &window.data_type {
            DataType::Struct(fields) => fields.field("start").is_some() && fields.field("end").is_some(),
            _ => false,
        };
        if !is_window {
            return Err(super::error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                &shown,
                "the argument must be a column of time windows.".into(),
            ));
        }
        Ok(self.last_moment(window)?.named(shown))
    }

    fn interval(&mut self, expr: &Expr) -> Result<(i64, String)> {
        let typed = self.expr(expr, &Analyzed::one_row()?)?;
        match self.fold(&typed)? {
            ScalarValue::Utf8(Some(text)) => Ok((window_interval(&text)?, text)),
            ScalarValue::Int64(Some(n)) => Ok((n, n.to_string())),
            ScalarValue::Int32(Some(n)) => Ok((i64::from(n), n.to_string())),
            ScalarValue::DurationMicrosecond(Some(n)) => Ok((n, typed.name)),
            _ => Err(Error::new("NON_FOLDABLE_ARGUMENT")
                .param("funcName", "`window`")
                .param("paramName", "`windowDuration`")
                .param("paramType", "\"STRING\"")
                .message(format!("A window's length must be a constant, not {}.", typed.name))),
        }
    }

    fn with_window(&mut self, input: Analyzed, call: &Call) -> Result<(Analyzed, Expr)> {
        let [time, lengths @ ..] = call.args.as_slice() else { return Err(wrong_arity("window")) };
        if lengths.is_empty() || lengths.len() > 3 {
            return Err(wrong_arity("window"));
        }
        let time = self.event_time(time, &input)?;
        let mut micros = Vec::with_capacity(3);
        for length in lengths {
            micros.push(self.interval(length)?.0);
        }
        let duration = micros[0];
        let (slide, start) =
            (micros.get(1).copied().unwrap_or(duration), micros.get(2).copied().unwrap_or(0));
        let sql = format!("window({}, {duration}, {slide}, {start})", time.name);
        let windows = Windows::new(duration, slide, start, &sql)?;
        let present = DfExpr::IsNotNull(Box::new(time.expr.clone()));
        let input = self.kept(input, present)?;
        if windows.are_tumbling() {
            let resolved = windows.tumbling(&time.data_type, time.nullable);
            let mut value = self.resolved_scalar("window", resolved, vec![time])?;
            value.nullable = false;
            return self.appended_value(input, "window", value, METADATA);
        }
        let resolved = windows.sliding(&time.data_type);
        let list = self.resolved_scalar("window", resolved, vec![time])?;
        let (with_list, list) = self.appended_value(input, "windows", list, "")?;
        let explode = Call { name: vec!["explode".into()], args: vec![list], ..Call::default() };
        let at = with_list.output.len();
        let mut generated = self.generate(with_list, &explode, None, &["window".to_string()], false)?;
        let mut window = generated.output.remove(at);
        window.metadata = METADATA.to_string();
        window.nullable = false;
        let reference = reference(&window);
        generated.plan_ids.insert(reference_id(&window), vec![window.clone()]);
        generated.hidden.push(window);
        let plan = project(generated.columns().map(Attribute::column).collect(), generated.plan.clone())?;
        Ok((Analyzed { plan, ..generated }, reference))
    }

    /// Rows of a key belong to one session as long as each begins before all before it have ended.
    fn with_session(
        &mut self,
        input: Analyzed,
        call: &Call,
        over: Option<&Aggregate>,
        exprs: &[Expr],
    ) -> Result<(Analyzed, Expr)> {
        let [time, gap] = call.args.as_slice() else { return Err(wrong_arity("session_window")) };
        let time = self.event_time(time, &input)?;
        let gap = self.session_gap(gap, &input)?;
        let end = self.builtin("+", vec![time.clone(), gap])?;
        let lasts = self.comparison(datafusion::logical_expr::Operator::Gt, end.clone(), time.clone())?;
        let input = self.kept(input, lasts.expr)?;
        // Where no rows are grouped, each is a session of its own.
        let Some(aggregate) = over.filter(|_| !input.is_streaming) else {
            return self.with_single_sessions(input, time, end, over.is_some());
        };
        if !matches!(aggregate.kind, GroupingKind::GroupBy | GroupingKind::All) {
            return Err(Error::unsupported("session_window in ROLLUP, CUBE and GROUPING SETS"));
        }
        let keys = self.keys_of_sessions(aggregate, exprs, &input);
        let (input, start) = self.appended_value(input, "session_start", time, "")?;
        let (input, end) = self.appended_value(input, "session_end", end, "")?;
        let ordered = |function: Expr, from: FrameBound, to: FrameBound| Expr::Window {
            function: Box::new(function),
            window: Box::new(WindowSpec::Inline {
                partition_by: keys.clone(),
                order_by: vec![SortOrder::ascending(start.clone())],
                frame: Some(WindowFrame { units: FrameUnits::Rows, start: from, end: to }),
            }),
        };
        let before = FrameBound::Offset(Box::new(Expr::Literal(Literal::Integer(-1))));
        let known = ordered(Expr::call("max", vec![end.clone()]), FrameBound::UnboundedPreceding, before);
        let (input, known) = self.appended(input, "known_end", &known)?;
        let joins = Expr::operator("<=", vec![start.clone(), known]);
        let number = |n| Expr::Literal(Literal::Integer(n));
        let begins = Expr::call("when", vec![joins, number(0), number(1)]);
        let (input, begins) = self.appended(input, "begins", &begins)?;
        let count =
            ordered(Expr::call("sum", vec![begins]), FrameBound::UnboundedPreceding, FrameBound::CurrentRow);
        let (input, session) = self.appended(input, "session", &count)?;
        let of_session = |name: &str, value: &Expr| Expr::Window {
            function: Box::new(Expr::call(name, vec![value.clone()])),
            window: Box::new(WindowSpec::Inline {
                partition_by: keys.iter().cloned().chain([session.clone()]).collect(),
                order_by: Vec::new(),
                frame: None,
            }),
        };
        let window = Expr::call(
            "named_struct",
            vec![
                Expr::string("start"),
                of_session("min", &start),
                Expr::string("end"),
                of_session("max", &end),
            ],
        );
        let value = self.expr(&window, &input)?;
        self.appended_value(input, "session_window", TypedExpr { nullable: false, ..value }, SESSION_METADATA)
    }

    /// What rows are grouped by beside the session, over the input: positions and aliases of the output stand for its expressions.
    fn keys_of_sessions(&mut self, aggregate: &Aggregate, exprs: &[Expr], input: &Analyzed) -> Vec<Expr> {
        let (grouping, select) = exprs.split_at(aggregate.grouping.len());
        let value = |e: &Expr| match e {
            Expr::Alias { expr, .. } => expr.as_ref().clone(),
            other => other.clone(),
        };
        let others = |e: &&Expr| !calls_window(e);
        if aggregate.kind == GroupingKind::All {
            let is_key = |e: &Expr| self.expr(e, input).is_ok_and(|v| !has_aggregate(&v.expr));
            return select.iter().filter(others).map(value).filter(is_key).collect();
        }
        let mut keys = Vec::with_capacity(grouping.len());
        for key in grouping.iter().filter(others) {
            let is_name = |e: &Expr, name: &[String]| match (e, name) {
                (Expr::Alias { names, .. }, [name]) => {
                    matches!(names.as_slice(), [n] if n.eq_ignore_ascii_case(name))
                }
                _ => false,
            };
            let meant = match key {
                Expr::Literal(Literal::Integer(n)) => {
                    usize::try_from(*n).ok().and_then(|n| select.get(n.checked_sub(1)?))
                }
                Expr::Column(column) if self.expr(key, input).is_err() => {
                    select.iter().find(|e| is_name(e, &column.name))
                }
                _ => None,
            };
            keys.push(value(meant.unwrap_or(key)));
        }
        keys.retain(|key| !calls_window(key));
        keys
    }

    /// Each row has the window it is alone in. Over a stream, whoever aggregates merges them.
    fn with_single_sessions(
        &mut self,
        input: Analyzed,
        start: TypedExpr,
        end: TypedExpr,
        are_merged: bool,
    ) -> Result<(Analyzed, Expr)> {
        let names = ["start", "end"].map(|name| self.literal(&Literal::String(name.into())));
        let [first, second] = names;
        let window = self.builtin("named_struct", vec![first?, start, second?, end])?;
        let session = Windows::session(&window.data_type);
        let window = self.resolved_scalar("session_window", session, vec![window])?;
        let (input, reference) = self.appended_value(input, "session_window", window, SESSION_METADATA)?;
        if !are_merged {
            return Ok((input, reference));
        }
        let Some(column) = input.hidden.last().map(Attribute::df_column) else {
            return Err(Error::internal("a window without its column"));
        };
        let node = SessionWindows { input: input.plan.clone(), column };
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok((Analyzed { plan, ..input }, reference))
    }

    fn session_gap(&mut self, gap: &Expr, input: &Analyzed) -> Result<TypedExpr> {
        let value = self.expr(gap, input)?;
        if let (true, Some(ScalarValue::Utf8(Some(text)))) =
            (value.data_type.is_string(), self.fold_if_constant(&value))
            && let Ok(microseconds) = window_interval(&text)
        {
            let data_type = boathouse_functions::coercion::interval_type(
                boathouse_spec::IntervalField::Day,
                boathouse_spec::IntervalField::Second,
            );
            return self.literal(&Literal::DayTimeInterval { microseconds, data_type });
        }
        match &value.data_type {
            DataType::CalendarInterval => Ok(value),
            t if t.is_string() => {
                self.cast(value, &DataType::CalendarInterval, boathouse_functions::cast::Mode::Legacy)
            }
            t => Err(Error::new("_LEGACY_ERROR_TEMP_1040")
                .param("dt", t.sql())
                .message(format!(
                    "Gap duration expression used in session window must be CalendarIntervalType, but got {}.",
                    t.sql()
                ))
                .exception("AnalysisException")),
        }
    }
}

fn wrong_arity(name: &str) -> Error {
    Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
        .param("functionName", boathouse_spec::quote(name))
        .message(format!("`{name}` was given the wrong number of arguments."))
}

/// An id that no client's plan has.
fn reference_id(attribute: &Attribute) -> i64 {
    i64::MIN + attribute.id as i64
}

fn reference(attribute: &Attribute) -> Expr {
    Expr::Column(Column {
        name: vec![attribute.name.clone()],
        plan_id: Some(reference_id(attribute)),
        ..Column::default()
    })
}

fn is_named(call: &Call, name: &str) -> bool {
    matches!(call.name.as_slice(), [n] if n.eq_ignore_ascii_case(name))
}

fn is_window(call: &Call) -> bool {
    is_named(call, "window") || is_named(call, "session_window")
}

fn calls_window(expr: &Expr) -> bool {
    let mut calls = Vec::new();
    collect_calls(expr, &mut calls);
    !calls.is_empty()
}

/// The window calls of an expression, each once.
fn collect_calls(expr: &Expr, found: &mut Vec<Call>) {
    match expr {
        Expr::Call(call) if is_window(call) && !found.contains(call) => {
            found.push(call.as_ref().clone());
        }
        Expr::Call(call) => call.args.iter().for_each(|a| collect_calls(a, found)),
        Expr::Alias { expr, .. } | Expr::Cast { expr, .. } | Expr::Extract { expr, .. } => {
            collect_calls(expr, found)
        }
        _ => {}
    }
}

fn replace(expr: &Expr, wanted: &Call, with: &Expr) -> Expr {
    let boxed = |e: &Expr| Box::new(replace(e, wanted, with));
    match expr {
        Expr::Call(call) if call.as_ref() == wanted => with.clone(),
        Expr::Call(call) => {
            let args = call.args.iter().map(|a| replace(a, wanted, with)).collect();
            Expr::Call(Box::new(Call { args, ..call.as_ref().clone() }))
        }
        Expr::Alias { expr, names, metadata } => {
            Expr::Alias { expr: boxed(expr), names: names.clone(), metadata: metadata.clone() }
        }
        Expr::Cast { expr, to, mode, origin } => {
            Expr::Cast { expr: boxed(expr), to: to.clone(), mode: *mode, origin: origin.clone() }
        }
        Expr::Extract { expr, extraction, origin } => {
            Expr::Extract { expr: boxed(expr), extraction: extraction.clone(), origin: origin.clone() }
        }
        other => other.clone(),
    }
}
