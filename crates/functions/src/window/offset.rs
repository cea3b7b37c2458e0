//! `lag`, `lead`, `nth_value`, `first_value`, `last_value`: the value of another row.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;
use arrow::datatypes::FieldRef;
use boathouse_bridge::typed_field;
use boathouse_spec::{DataType, Error, Result};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions_window::nth_value::{first_value_udwf, last_value_udwf, nth_value_udwf};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};
use datafusion::scalar::ScalarValue;

use super::wrapped::Wrapped;
use super::{ResolvedWindow, WindowCall};
use crate::cast::{Mode, may_give_null};
use crate::coercion::{Want, implicit_cast};
use crate::mismatch::{not_constant, out_of_range, unexpected_null, whole_number, whole_number_cast};
use crate::{Registry, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.window(&["lag"], |c| shift(c, "lag", -1));
    r.window(&["lead"], |c| shift(c, "lead", 1));
    r.window(&["nth_value"], nth_value);
    r.window(&["first", "first_value", "any_value"], |c| edge(c, "first_value", first_value_udwf()));
    r.window(&["last", "last_value"], |c| edge(c, "last_value", last_value_udwf()));
}

fn shift(c: &WindowCall, name: &'static str, direction: i64) -> Result<ResolvedWindow> {
    let call = &c.call;
    call.arity(1..=3)?;
    let t = call.args[0].data_type.clone();
    let mut coerced = vec![t.clone()];
    let mut shown = vec![ShownArg::Arg(0)];
    let offset = match call.args.get(1) {
        None => {
            shown.push(ShownArg::Text("1".into()));
            1
        }
        Some(arg) => {
            if arg.constant.is_none() {
                return Err(not_constant(call, 1, "offset", "INT"));
            }
            // Spark turns the offset of lag around before it looks at its type.
            if name == "lag" && arg.data_type.is_string() {
                return Err(Error::new("FAILED_FUNCTION_CALL")
                    .param("funcName", "`lag`")
                    .message("The offset of lag must be an INT, not a string."));
            }
            if arg.data_type != DataType::Integer {
                return Err(Error::new("_LEGACY_ERROR_TEMP_1035")
                    .param("prettyName", name)
                    .message(format!("The offset of {name} must be an INT.")));
            }
            coerced.push(DataType::Integer);
            shown.push(ShownArg::Arg(1));
            whole_number(arg).flatten().ok_or_else(|| unexpected_null(call, "offset"))?
        }
    };
    let nullable = match call.args.get(2) {
        None => {
            shown.push(ShownArg::Text("NULL".into()));
            true
        }
        Some(default) => {
            let from = &default.data_type;
            let to = implicit_cast(from, &Want::Exact(t.clone()), call.context).filter(|to| to.same_type(&t));
            let Some(to) = to else {
                let required = format!("(\"{}\" or \"VOID\")", t.sql());
                return Err(call.unexpected_input(2, &required));
            };
            shown.push(ShownArg::Arg(2));
            let mode = if call.context.ansi { Mode::Ansi } else { Mode::Legacy };
            let cast_nullable = *from != to && may_give_null(from, &to, mode);
            coerced.push(to);
            call.args[0].nullable || default.nullable || cast_nullable
        }
    };
    let rows = offset.saturating_mul(direction);
    let udf = Arc::new(WindowUDF::new_from_impl(Shift {
        name,
        signature: Signature::variadic_any(Volatility::Immutable),
        return_field: Arc::new(typed_field(name, &t, nullable)),
        rows,
        ignore_nulls: c.ignore_nulls.unwrap_or(false),
    }));
    Ok(ResolvedWindow::new(coerced, t, nullable, udf)
        .shown_with(shown)
        .in_frame(format!("ROWS BETWEEN {rows} FOLLOWING AND {rows} FOLLOWING")))
}

/// The value so many rows further on (back where negative).
pub(super) struct Shift {
    name: &'static str,
    signature: Signature,
    return_field: FieldRef,
    pub rows: i64,
    pub ignore_nulls: bool,
}

impl fmt::Debug for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.rows)
    }
}

impl PartialEq for Shift {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.rows == other.rows
            && self.ignore_nulls == other.ignore_nulls
            && self.return_field == other.return_field
    }
}

impl Eq for Shift {}

impl Hash for Shift {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.rows.hash(state);
        self.ignore_nulls.hash(state);
    }
}

impl WindowUDFImpl for Shift {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> DataFusionResult<Box<dyn PartitionEvaluator>> {
        let ignore_nulls = self.ignore_nulls || args.ignore_nulls();
        let rows = if args.is_reversed() { -self.rows } else { self.rows };
        Ok(Box::new(ShiftEvaluator { rows, ignore_nulls }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(self.return_field.as_ref().clone().with_name(args.name())))
    }
}

#[derive(Debug)]
struct ShiftEvaluator {
    rows: i64,
    ignore_nulls: bool,
}

impl PartitionEvaluator for ShiftEvaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> DataFusionResult<ArrayRef> {
        let Some(source) = values.first() else {
            return Err(DataFusionError::Internal("lag without its argument".into()));
        };
        let default = match values.get(2) {
            Some(default) => crate::scalar::conform(Arc::clone(default), source.data_type())
                .map_err(boathouse_bridge::to_datafusion)?,
            None => arrow::array::new_null_array(source.data_type(), num_rows),
        };
        let nulls = source.logical_nulls().filter(|_| self.ignore_nulls && self.rows != 0);
        let from: Vec<Option<usize>> = match nulls {
            None => (0..num_rows).map(|row| shifted(row, self.rows, num_rows)).collect(),
            Some(nulls) => {
                let distance = usize::try_from(self.rows.unsigned_abs()).unwrap_or(usize::MAX);
                let mut from = vec![None; num_rows];
                // The valid rows passed so far, the last `distance` of them.
                let mut passed = VecDeque::new();
                let mut visit = |row: usize| {
                    if passed.len() == distance {
                        from[row] = passed.front().copied();
                    }
                    if nulls.is_valid(row) {
                        passed.push_back(row);
                        if passed.len() > distance {
                            passed.pop_front();
                        }
                    }
                };
                if self.rows < 0 {
                    (0..num_rows).for_each(&mut visit);
                } else {
                    (0..num_rows).rev().for_each(&mut visit);
                }
                from
            }
        };
        let picks: Vec<(usize, usize)> =
            from.into_iter().enumerate().map(|(row, f)| f.map_or((1, row), |f| (0, f))).collect();
        Ok(interleave(&[source.as_ref(), default.as_ref()], &picks)?)
    }
}

fn shifted(row: usize, by: i64, rows: usize) -> Option<usize> {
    let to = i64::try_from(row).ok()?.checked_add(by)?;
    usize::try_from(to).ok().filter(|to| *to < rows)
}

fn nth_value(c: &WindowCall) -> Result<ResolvedWindow> {
    let call = &c.call;
    call.arity(2..=3)?;
    let offset = whole_number_cast(call, 1)?.ok_or_else(|| not_constant(call, 1, "offset", "INT"))?;
    let offset = offset.ok_or_else(|| unexpected_null(call, "offset"))?;
    if offset <= 0 {
        return Err(out_of_range(call, "offset", "(0, 9223372036854775807]", &format!("{offset}L")));
    }
    let ignore_nulls = c.ignore_nulls.unwrap_or(false) || flag(c, 2)?;
    let t = call.args[0].data_type.clone();
    let udf = Wrapped::new("nth_value", nth_value_udwf(), &t, true)
        .with_arguments(1)
        .with_number(offset)
        .ignoring_nulls(ignore_nulls)
        .build();
    let mut out =
        ResolvedWindow::new(call.types(), t, true, udf).shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1)]);
    out.display_suffix = if ignore_nulls { " ignore nulls" } else { "" };
    Ok(out)
}

fn edge(c: &WindowCall, name: &'static str, inner: Arc<WindowUDF>) -> Result<ResolvedWindow> {
    let call = &c.call;
    call.arity(1..=2)?;
    let ignore_nulls = c.ignore_nulls.unwrap_or(false) || flag(c, 1)?;
    let t = call.args[0].data_type.clone();
    let udf = Wrapped::new(name, inner, &t, true).with_arguments(1).ignoring_nulls(ignore_nulls).build();
    let mut out = ResolvedWindow::new(call.types(), t, true, udf).shown_with(vec![ShownArg::Arg(0)]);
    if c.ignore_nulls == Some(true) && call.name.ends_with("_value") && call.name != "any_value" {
        // With the clause, Spark shows the older name.
        out = out.shown_as(call.name.trim_end_matches("_value"));
    }
    Ok(out)
}

/// The flag that says to ignore NULLs: a boolean constant.
fn flag(c: &WindowCall, i: usize) -> Result<bool> {
    match c.call.args.get(i) {
        None => Ok(false),
        Some(arg) => match &arg.constant {
            Some(ScalarValue::Boolean(Some(value))) => Ok(*value),
            _ => Err(Error::new("_LEGACY_ERROR_TEMP_1210")
                .param("funcName", c.call.name)
                .message(format!("The last argument of {} must be a boolean constant.", c.call.name))),
        },
    }
}
