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
use super::analyzed::{Analyzed, Attribute, FrameColumn, TypedExpr, project};
use super::project::named;
use crate::watermark::SessionWindows;

/// A relation with the column of a time window.
pub(super) struct Windowed {
    pub input: Analyzed,
    /// With the column in place of the calls.
    pub exprs: Vec<Expr>,
    /// Where each row is there once for every grouping set: the column with the set's number.
    pub set: Option<Attribute>,
}

/// What marks a column as a time window.
const METADATA: &str = r#"{"spark.timeWindow":true}"#;
const SESSION_METADATA: &str = r#"{"spark.sessionWindow":true}"#;

impl Analyzer {
    /// The relation with a column for the window that the expressions call, and the expressions with the column in place
    /// of the call. `over` is the aggregation whose clauses they are, where there is one.
    pub(super) fn with_time_windows(
        &mut self,
        input: Analyzed,
        exprs: &[Expr],
        over: Option<&Aggregate>,
    ) -> Result<Windowed> {
        let mut calls: Vec<Call> = Vec::new();
        for expr in exprs {
            collect_calls(expr, &mut calls);
        }
        let mut set = None;
        let (input, call, column) = match calls.as_slice() {
            [] => return Ok(Windowed { input, exprs: exprs.to_vec(), set }),
            [call] if is_named(call, "window") => {
                let (analyzed, column) = self.with_window(input, call)?;
                (analyzed, call.clone(), column)
            }
            [call] => {
                let (analyzed, column);
                (analyzed, column, set) = self.with_session(input, call, over, exprs)?;
                (analyzed, call.clone(), column)
            }
            _ => {
                return Err(Error::new("_LEGACY_ERROR_TEMP_1039").message(
                    "Several time or session windows would give the product of their rows; that is not supported.",
                ));
            }
        };
        let exprs = exprs.iter().map(|e| replace(e, &call, &column)).collect();
        Ok(Windowed { input, exprs, set })
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
        let id = reference_id(&attribute);
        analyzed.plan_ids.insert(id, vec![FrameColumn { attribute, depth: 0 }]);
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
                let nullable = value.nullable;
                self.last_moment(value, nullable)
            }
            DataType::Timestamp | DataType::TimestampNtz => Ok(value),
            DataType::Date | DataType::Time { .. } | DataType::Null => {
                self.implicit(value, &DataType::Timestamp)
            }
            t if t.is_string() => self.implicit(value, &DataType::Timestamp),
            t => Err(super::error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                &value.name,
                format!("the time of a window must be a timestamp, not {}.", t.sql()),
            )),
        }
    }

    fn last_moment(&mut self, window: TypedExpr, nullable: bool) -> Result<TypedExpr> {
        let moments = Windows::last_moments(&window.data_type, nullable);
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
        // Of the field `end`, which may be NULL as far as the type of windows says.
        Ok(self.last_moment(window, true)?.named(shown))
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
        let (input, window) = self.once_for_each(input, "window", list, METADATA)?;
        Ok((input, reference(&window)))
    }

    /// Each row once for every entry of the list, which is a column out of sight.
    fn once_for_each(
        &mut self,
        input: Analyzed,
        name: &str,
        list: TypedExpr,
        metadata: &str,
    ) -> Result<(Analyzed, Attribute)> {
        let (with_list, list) = self.appended_value(input, &format!("{name}s"), list, "")?;
        let explode = Call { name: vec!["explode".into()], args: vec![list], ..Call::default() };
        let at = with_list.output.len();
        let mut generated = self.generate(with_list, &explode, None, &[name.to_string()], false)?;
        let mut entry = generated.output.remove(at);
        entry.metadata = metadata.to_string();
        entry.nullable = false;
        let column = FrameColumn { attribute: entry.clone(), depth: 0 };
        generated.plan_ids.insert(reference_id(&entry), vec![column]);
        generated.hidden.push(entry.clone());
        let plan = project(generated.columns().map(Attribute::column).collect(), generated.plan.clone())?;
        Ok((Analyzed { plan, ..generated }, entry))
    }

    /// Rows of a key belong to one session as long as each begins before all before it have ended.
    fn with_session(
        &mut self,
        input: Analyzed,
        call: &Call,
        over: Option<&Aggregate>,
        exprs: &[Expr],
    ) -> Result<(Analyzed, Expr, Option<Attribute>)> {
        let [time, gap] = call.args.as_slice() else { return Err(wrong_arity("session_window")) };
        let time = self.event_time(time, &input)?;
        let gap = self.session_gap(gap, &input)?;
        let end = self.builtin("+", vec![time.clone(), gap])?;
        let lasts = self.comparison(datafusion::logical_expr::Operator::Gt, end.clone(), time.clone())?;
        let input = self.kept(input, lasts.expr)?;
        // Where no rows are grouped, each is a session of its own.
        let Some(aggregate) = over.filter(|_| !input.is_streaming) else {
            let (input, window) = self.with_single_sessions(input, time, end, over.is_some())?;
            return Ok((input, window, None));
        };
        let (input, start) = self.appended_value(input, "session_start", time, "")?;
        let (input, end) = self.appended_value(input, "session_end", end, "")?;
        if matches!(aggregate.kind, GroupingKind::GroupBy | GroupingKind::All) {
            let keys = self.keys_of_sessions(aggregate, exprs, &input);
            let (input, window) = self.with_merged_sessions(input, &keys, start, end, false)?;
            return Ok((input, window, None));
        }
        // Before sessions are merged, each row's own stands for the window.
        let own = self.expr(&session_struct(start.clone(), end.clone()), &input)?;
        let (sight, own) = self.appended_value(input.clone(), "session_window", own, SESSION_METADATA)?;
        let exprs: Vec<Expr> = exprs.iter().map(|e| replace(e, call, &own)).collect();
        let clauses = super::grouping::Clauses::split(aggregate, &exprs);
        let (keys, sets) = self.grouping_keys(&clauses.kind, clauses.grouping, clauses.select, &sight)?;
        let window = self.expr(&own, &sight)?;
        let of_window = keys.iter().position(|key| key.expr == window.expr);
        let sets = sets.unwrap_or_default();
        if sets.iter().any(|set| of_window.is_none_or(|at| !set.contains(&at))) {
            return Err(Error::unsupported("a grouping set without the session_window of the others"));
        }
        let others = keys.into_iter().enumerate().filter(|(at, _)| Some(*at) != of_window).collect();
        let (input, keys, set) = self.once_for_each_set(input, others, &sets)?;
        let (input, window) = self.with_merged_sessions(input, &keys, start, end, true)?;
        Ok((input, window, Some(set)))
    }

    /// Each row once for every grouping set (Spark's `Expand`), because the sessions of a set are its own; what the rows of
    /// a session agree in; and the column with the number of the set.
    fn once_for_each_set(
        &mut self,
        input: Analyzed,
        keys: Vec<(usize, TypedExpr)>,
        sets: &[Vec<usize>],
    ) -> Result<(Analyzed, Vec<Expr>, Attribute)> {
        let numbers = (0..sets.len() as i32).map(|n| self.literal(&Literal::Integer(n)));
        let numbers = numbers.collect::<Result<_>>()?;
        let numbers = self.builtin("array", numbers)?;
        let (mut input, set) = self.once_for_each(input, "set", numbers, "")?;
        let mut agreed = vec![reference(&set)];
        for (at, key) in keys {
            let value = super::aggregation::where_set_has(key.expr, at, sets, &set);
            let key = TypedExpr { expr: value, nullable: true, ..key };
            let column;
            (input, column) = self.appended_value(input, "session_key", key, "")?;
            agreed.push(column);
        }
        Ok((input, agreed, set))
    }

    /// The sessions of rows that agree in the keys.
    fn with_merged_sessions(
        &mut self,
        input: Analyzed,
        keys: &[Expr],
        start: Expr,
        end: Expr,
        nullable: bool,
    ) -> Result<(Analyzed, Expr)> {
        let ordered = |function: Expr, from: FrameBound, to: FrameBound| Expr::Window {
            function: Box::new(function),
            window: Box::new(WindowSpec::Inline {
                partition_by: keys.to_vec(),
                order_by: vec![SortOrder::ascending(start.clone())],
                frame: Some(WindowFrame { units: FrameUnits::Rows, start: from, end: to }),
            }),
            origin: Default::default(),
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
            origin: Default::default(),
        };
        let window = session_struct(of_session("min", &start), of_session("max", &end));
        let value = self.expr(&window, &input)?;
        self.appended_value(input, "session_window", TypedExpr { nullable, ..value }, SESSION_METADATA)
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

fn session_struct(start: Expr, end: Expr) -> Expr {
    Expr::call("named_struct", vec![Expr::string("start"), start, Expr::string("end"), end])
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
