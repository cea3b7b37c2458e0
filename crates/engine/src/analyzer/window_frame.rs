//! Frames of windows: `ROWS BETWEEN 1 PRECEDING AND CURRENT ROW` (Spark's `SpecifiedWindowFrame`).

use boathouse_bridge::ResultExt;
use boathouse_functions::cast::{Mode, can_cast, cast};
use boathouse_spec::{DataType, Error, Expr, FrameBound, FrameUnits, Result, WindowFrame as SpecFrame};
use datafusion::logical_expr::{
    Expr as DfExpr, Operator, WindowFrame, WindowFrameBound, WindowFrameUnits, lit,
};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::operator::binary;

pub(super) struct Frame {
    pub frame: WindowFrame,
    /// As names show it.
    pub text: String,
    /// Of a frame that ends before it begins: the rows that it has nevertheless. `frame` is the current row then.
    pub rows_left: Option<DfExpr>,
}

/// A bound of a frame.
struct Bound {
    bound: WindowFrameBound,
    text: String,
    /// How far it is from the current row, negative before it, and as what that was written; nothing where it is no offset.
    offset: Option<(ScalarValue, TypedExpr)>,
}

impl Analyzer {
    /// The frame of a window in the given order; `spec` is what names show before it.
    pub(super) fn frame(
        &mut self,
        frame: Option<&SpecFrame>,
        order: &[TypedExpr],
        spec: &str,
    ) -> Result<Frame> {
        let Some(frame) = frame else { return Ok(frame_of_order(order)) };
        let (units, word) = match frame.units {
            FrameUnits::Rows => (WindowFrameUnits::Rows, "ROWS"),
            FrameUnits::Range => (WindowFrameUnits::Range, "RANGE"),
        };
        let is_offset = |b: &FrameBound| matches!(b, FrameBound::Offset(_));
        let is_everything = matches!(
            (&frame.start, &frame.end),
            (FrameBound::UnboundedPreceding, FrameBound::UnboundedFollowing)
        );
        let needs_one_key = is_offset(&frame.start) || is_offset(&frame.end);
        if frame.units == FrameUnits::Range
            && ((needs_one_key && order.len() != 1) || (order.is_empty() && !is_everything))
        {
            return Err(not_one_key(order, &format!("({spec}{})", self.shown_frame(frame, word)?)));
        }
        let start = self.bound(&frame.start, frame.units, order)?;
        let end = self.bound(&frame.end, frame.units, order)?;
        let text = format!("{word} BETWEEN {} AND {}", start.text, end.text);
        check_bounds(frame, &start, &end, &text)?;
        if is_inverted(&start, &end) {
            let here = WindowFrameBound::CurrentRow;
            let rows_left = match frame.units {
                FrameUnits::Rows => lit(false),
                FrameUnits::Range => {
                    reached_from_itself(&order[0], start.offset.or(end.offset).map(|(offset, _)| offset))
                }
            };
            let frame = WindowFrame::new_bounds(units, here.clone(), here);
            return Ok(Frame { frame, text, rows_left: Some(rows_left) });
        }
        Ok(Frame { frame: WindowFrame::new_bounds(units, start.bound, end.bound), text, rows_left: None })
    }

    /// The frame as names show it, where nothing is known of the keys that it adds to.
    fn shown_frame(&mut self, frame: &SpecFrame, word: &str) -> Result<String> {
        let mut texts = Vec::with_capacity(2);
        for bound in [&frame.start, &frame.end] {
            texts.push(match bound {
                FrameBound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_string(),
                FrameBound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_string(),
                FrameBound::CurrentRow => "CURRENT ROW".to_string(),
                FrameBound::Offset(expr) => {
                    let operand = self.negated_operand(expr)?;
                    offset_text(&self.expr(expr, &Analyzed::one_row()?)?, operand.as_ref())
                }
            });
        }
        Ok(format!("{word} BETWEEN {} AND {}", texts[0], texts[1]))
    }

    /// What is negated, as `1` is in `1 PRECEDING`.
    fn negated_operand(&mut self, expr: &Expr) -> Result<Option<TypedExpr>> {
        match expr {
            Expr::Call(call) if call.is_operator && call.name.last().is_some_and(|n| n == "negative") => {
                call.args.first().map(|operand| self.expr(operand, &Analyzed::one_row()?)).transpose()
            }
            _ => Ok(None),
        }
    }

    fn bound(&mut self, bound: &FrameBound, units: FrameUnits, order: &[TypedExpr]) -> Result<Bound> {
        let unbounded = match units {
            FrameUnits::Rows => ScalarValue::UInt64(None),
            FrameUnits::Range => ScalarValue::Null,
        };
        let special = |bound, text: &str| Bound { bound, text: text.into(), offset: None };
        Ok(match bound {
            FrameBound::UnboundedPreceding => {
                special(WindowFrameBound::Preceding(unbounded), "UNBOUNDED PRECEDING")
            }
            FrameBound::UnboundedFollowing => {
                special(WindowFrameBound::Following(unbounded), "UNBOUNDED FOLLOWING")
            }
            FrameBound::CurrentRow => special(WindowFrameBound::CurrentRow, "CURRENT ROW"),
            FrameBound::Offset(expr) => self.offset_bound(expr, units, order)?,
        })
    }

    fn offset_bound(&mut self, expr: &Expr, units: FrameUnits, order: &[TypedExpr]) -> Result<Bound> {
        let typed = self.expr(expr, &Analyzed::one_row()?)?;
        let operand = self.negated_operand(expr)?;
        if units == FrameUnits::Range {
            self.refuse_text(&typed, operand.as_ref(), &order[0])?;
        }
        let offset = self.fold(&typed)?;
        let preceding = is_negative(&offset);
        let is_zero = ScalarValue::new_zero(&offset.data_type()).is_ok_and(|zero| zero == offset);
        let is_cast = units == FrameUnits::Range
            && order
                .first()
                .is_some_and(|key| key.data_type.is_numeric() && key.data_type != typed.data_type);
        // What was cast to the type of the key is no negation any more.
        let text = offset_text(&typed, operand.as_ref().filter(|_| !is_cast));
        let magnitude = if preceding { negated(offset.clone())? } else { offset.clone() };
        let magnitude = match units {
            FrameUnits::Rows => row_offset(magnitude, &typed)?,
            FrameUnits::Range => range_offset(magnitude, &order[0], &typed, &self.context)?,
        };
        if offset.is_null() {
            return Err(Error::unsupported("NULL as the offset of a window's frame"));
        }
        let bound = if is_zero {
            WindowFrameBound::CurrentRow
        } else if preceding {
            WindowFrameBound::Preceding(magnitude)
        } else {
            WindowFrameBound::Following(magnitude)
        };
        // It is read as the type of a key that is a number.
        let data_type = if is_cast { order[0].data_type.clone() } else { typed.data_type.clone() };
        Ok(Bound { bound, text, offset: Some((offset, TypedExpr { data_type, ..typed })) })
    }

    /// A text is refused before it is read as a number to negate, where the key is no number.
    fn refuse_text(&self, offset: &TypedExpr, operand: Option<&TypedExpr>, key: &TypedExpr) -> Result<()> {
        let written = operand.unwrap_or(offset);
        if !written.data_type.is_string() || key.data_type.is_string() || key.data_type.is_numeric() {
            return Ok(());
        }
        // A text before PRECEDING is negated, and a DOUBLE then.
        let t = if operand.is_some() { DataType::Double } else { written.data_type.clone() };
        let offset = TypedExpr { data_type: t, ..written.clone() };
        range_offset(ScalarValue::Null, key, &offset, &self.context).map(|_| ())
    }
}

/// What is negated precedes.
fn offset_text(offset: &TypedExpr, negated: Option<&TypedExpr>) -> String {
    match negated {
        Some(operand) => format!("{} PRECEDING", operand.name),
        None => format!("{} FOLLOWING", offset.name),
    }
}

/// The frame of a window that names none.
fn frame_of_order(order: &[TypedExpr]) -> Frame {
    let (frame, text) = if order.is_empty() {
        let unbounded = ScalarValue::UInt64(None);
        let (start, end) =
            (WindowFrameBound::Preceding(unbounded.clone()), WindowFrameBound::Following(unbounded));
        let frame = WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end);
        (frame, "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING")
    } else {
        let start = WindowFrameBound::Preceding(ScalarValue::Null);
        let frame = WindowFrame::new_bounds(WindowFrameUnits::Range, start, WindowFrameBound::CurrentRow);
        (frame, "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW")
    };
    Frame { frame, text: text.into(), rows_left: None }
}

fn not_one_key(order: &[TypedExpr], shown: &str) -> Error {
    let subclass = if order.is_empty() { "RANGE_FRAME_WITHOUT_ORDER" } else { "RANGE_FRAME_MULTI_ORDER" };
    let why = match order.is_empty() {
        true => "A RANGE frame that is not of all rows needs an ORDER BY.",
        false => "A RANGE frame with an offset needs exactly one ORDER BY key.",
    };
    Error::new(format!("DATATYPE_MISMATCH.{subclass}")).param("sqlExpr", format!("\"{shown}\"")).message(why)
}

fn check_bounds(frame: &SpecFrame, start: &Bound, end: &Bound, text: &str) -> Result<()> {
    if frame.start == FrameBound::UnboundedFollowing || frame.end == FrameBound::UnboundedPreceding {
        return Err(Error::new("DATATYPE_MISMATCH.SPECIFIED_WINDOW_FRAME_INVALID_BOUND")
            .param("sqlExpr", format!("\"{text}\""))
            .param("lower", format!("\"{}\"", start.text))
            .param("upper", format!("\"{}\"", end.text))
            .message("The frame's start must not follow its end."));
    }
    // The current row is no offset to compare with.
    let (Some((from, lower)), Some((to, upper))) = (&start.offset, &end.offset) else { return Ok(()) };
    if !lower.data_type.same_type(&upper.data_type) {
        return Err(Error::new("DATATYPE_MISMATCH.SPECIFIED_WINDOW_FRAME_DIFF_TYPES")
            .param("sqlExpr", format!("\"{text}\""))
            .param("lower", format!("\"{}\"", lower.name))
            .param("upper", format!("\"{}\"", upper.name))
            .param("lowerType", super::error::quoted(&lower.data_type))
            .param("upperType", super::error::quoted(&upper.data_type))
            .message(format!(
                "The frame's bounds, {} and {}, are of different types.",
                lower.name, upper.name
            )));
    }
    if from > to || starts_after_end(&start.bound, &end.bound) {
        return Err(Error::new("DATATYPE_MISMATCH.SPECIFIED_WINDOW_FRAME_WRONG_COMPARISON")
            .param("sqlExpr", format!("\"{text}\""))
            .param("comparison", "less than or equal")
            .message(format!("The frame's start, {}, comes after its end, {}.", start.text, end.text)));
    }
    Ok(())
}

/// Whether a frame between two offsets on one side of the row begins after it ends, in the type of the key.
fn starts_after_end(start: &WindowFrameBound, end: &WindowFrameBound) -> bool {
    use WindowFrameBound::{Following, Preceding};
    match (start, end) {
        (Following(a), Following(b)) if !a.is_null() && !b.is_null() => a > b,
        (Preceding(a), Preceding(b)) if !a.is_null() && !b.is_null() => a < b,
        _ => false,
    }
}

/// Whether a frame of the current row and an offset begins after it ends.
fn is_inverted(start: &Bound, end: &Bound) -> bool {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    match (&start.bound, &end.bound) {
        (CurrentRow, Preceding(offset)) | (Following(offset), CurrentRow) => !offset.is_null(),
        _ => false,
    }
}

/// The rows that are in a RANGE frame that ends before it begins: those whose key an offset does not change.
fn reached_from_itself(key: &TypedExpr, offset: Option<ScalarValue>) -> DfExpr {
    let is_null = DfExpr::IsNull(Box::new(key.expr.clone()));
    match (&key.data_type, offset) {
        (DataType::Float | DataType::Double, Some(offset)) => {
            let offset =
                datafusion::logical_expr::cast(lit(offset), boathouse_bridge::arrow_type(&key.data_type));
            let moved = binary(key.expr.clone(), Operator::Plus, offset);
            let stays = binary(moved, Operator::IsNotDistinctFrom, key.expr.clone());
            binary(is_null, Operator::Or, stays)
        }
        _ => is_null,
    }
}

/// The offset of a ROWS frame.
fn row_offset(value: ScalarValue, offset: &TypedExpr) -> Result<ScalarValue> {
    if offset.data_type != DataType::Integer {
        return Err(super::error::mismatch(
            "SPECIFIED_WINDOW_FRAME_UNACCEPTED_TYPE",
            &offset.name,
            format!("a ROWS offset must be an integer, not {}.", offset.data_type.sql()),
        )
        .param("location", "lower")
        .param("exprType", super::error::quoted(&offset.data_type))
        .param("expectedType", "\"INT\""));
    }
    value.cast_to(&arrow::datatypes::DataType::UInt64).spark()
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
    // Spark casts it to the type of a key that is a number, whatever it is.
    let becomes_number = key.data_type.is_numeric()
        && offset.data_type != DataType::Null
        && can_cast(&offset.data_type, &key.data_type, Mode::of(context));
    let is_offset = offset.data_type.is_numeric() || offset.data_type.is_interval() || becomes_number;
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
        (DataType::Date, v) if offset.data_type == DataType::Integer => {
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
        (t, v) if t.is_numeric() && offset.data_type == *t => v,
        (t, v) if becomes_number && !v.is_null() => {
            let array = v.to_array().spark()?;
            let number = cast(&array, &offset.data_type, t, Mode::Ansi, context)?;
            ScalarValue::try_from_array(&number, 0).spark()?
        }
        _ => return Err(unaccepted()),
    })
}
