//! Comparisons with Spark's order (NaN is equal to itself and the greatest, `-0.0` equals `0.0`, NULL inside an array or
//! struct is the least value), `IN`, and tests for NULL.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp;
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};

use crate::coercion::{common_type, comparison_type};
use crate::comparison::{Comparison, normalize_floats};
use crate::{Call, Inputs, Registry, Resolved};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["==", "="], |c| comparison(c, "=", Ordering::is_eq));
    r.scalar(&["!=", "<>"], |c| comparison(c, "!=", Ordering::is_ne));
    r.scalar(&["<"], |c| comparison(c, "<", Ordering::is_lt));
    r.scalar(&["<="], |c| comparison(c, "<=", Ordering::is_le));
    r.scalar(&[">"], |c| comparison(c, ">", Ordering::is_gt));
    r.scalar(&[">="], |c| comparison(c, ">=", Ordering::is_ge));
    r.scalar(&["<=>", "equal_null"], null_safe);
    r.scalar(&["in"], in_list);
    r.scalar(&["isnull"], |c| null_test(c, true));
    r.scalar(&["isnotnull"], |c| null_test(c, false));
}

fn operands(call: &Call, symbol: &str) -> Result<DataType> {
    call.arity(2..=2)?;
    let (left, right) = (&call.args[0], &call.args[1]);
    let shown = match symbol {
        "equal_null" => format!("equal_null({}, {})", left.sql, right.sql),
        _ => format!("({} {symbol} {})", left.sql, right.sql),
    };
    let t = comparison_type(&left.data_type, &right.data_type, call.context).ok_or_else(|| {
        Error::new("DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES")
            .param("sqlExpr", format!("\"{shown}\""))
            .param("left", format!("\"{}\"", left.data_type.sql()))
            .param("right", format!("\"{}\"", right.data_type.sql()))
            .message(format!(
                "Cannot resolve \"{shown}\": the operands have different types, \"{}\" and \"{}\".",
                left.data_type.sql(),
                right.data_type.sql()
            ))
    })?;
    if !t.is_orderable() {
        return Err(Error::new("DATATYPE_MISMATCH.INVALID_ORDERING_TYPE")
            .param("sqlExpr", format!("\"{shown}\""))
            .param("functionName", format!("`{symbol}`"))
            .param("dataType", format!("\"{}\"", t.sql()))
            .message(format!(
                "Cannot resolve \"{shown}\": values of the type \"{}\" have no order.",
                t.sql()
            )));
    }
    Ok(t)
}

fn comparison(call: &Call, symbol: &'static str, test: fn(Ordering) -> bool) -> Result<Resolved> {
    let t = operands(call, symbol)?;
    let coerced = vec![t; 2];
    let nullable = call.nullable_as(&coerced);
    // Spark writes `!=` as a negated equality.
    let shown = match symbol {
        "!=" => format!("(NOT ({} = {}))", call.args[0].sql, call.args[1].sql),
        _ => format!("({} {symbol} {})", call.args[0].sql, call.args[1].sql),
    };
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs| {
        let (a, b) = (inputs.array(0)?, inputs.array(1)?);
        Ok(Arc::new(match kernel(symbol, &a, &b)? {
            Some(out) => out,
            None => compare(&a, &b, test)?,
        }))
    })
    .shown_bare(shown))
}

/// Arrow's own kernels for flat types.
fn kernel(symbol: &str, a: &ArrayRef, b: &ArrayRef) -> Result<Option<BooleanArray>> {
    if a.data_type().is_nested() || a.data_type() == &ArrowType::Null || a.data_type() != b.data_type() {
        return Ok(None);
    }
    let (a, b) = (normalize_floats(a), normalize_floats(b));
    let out = match symbol {
        "=" => cmp::eq(&a, &b),
        "!=" => cmp::neq(&a, &b),
        "<" => cmp::lt(&a, &b),
        "<=" => cmp::lt_eq(&a, &b),
        ">" => cmp::gt(&a, &b),
        _ => cmp::gt_eq(&a, &b),
    };
    out.spark().map(Some)
}

/// Compares two columns of one type row by row; NULL where either is.
pub(crate) fn compare(a: &ArrayRef, b: &ArrayRef, test: fn(Ordering) -> bool) -> Result<BooleanArray> {
    let nulls = NullBuffer::union(a.logical_nulls().as_ref(), b.logical_nulls().as_ref());
    let (left, right) = Comparison::of_both(a, b)?;
    let values = BooleanBuffer::collect_bool(a.len(), |i| test(left.row(i).cmp(&right.row(i))));
    Ok(BooleanArray::new(values, nulls))
}

fn null_safe(call: &Call) -> Result<Resolved> {
    let symbol = if call.name == "equal_null" { "equal_null" } else { "<=>" };
    let t = operands(call, symbol)?;
    let shown = match symbol {
        "equal_null" => format!("equal_null({}, {})", call.args[0].sql, call.args[1].sql),
        _ => format!("({} <=> {})", call.args[0].sql, call.args[1].sql),
    };
    Ok(Resolved::new(vec![t; 2], DataType::Boolean, false, |inputs| {
        let (a, b) = (inputs.array(0)?, inputs.array(1)?);
        let out = match a.data_type().is_nested()
            || a.data_type() == &ArrowType::Null
            || a.data_type() != b.data_type()
        {
            true => {
                let (left, right) = Comparison::of_both(&a, &b)?;
                BooleanArray::new(BooleanBuffer::collect_bool(a.len(), |i| left.row(i) == right.row(i)), None)
            }
            false => cmp::not_distinct(&normalize_floats(&a), &normalize_floats(&b)).spark()?,
        };
        Ok(Arc::new(out))
    })
    .shown_bare(shown))
}

/// `in(value, item, ...)`
fn in_list(call: &Call) -> Result<Resolved> {
    call.arity(1..=usize::MAX)?;
    let t = common_type(&call.types(), call.context).ok_or_else(|| {
        let types =
            call.args.iter().map(|a| format!("\"{}\"", a.data_type.sql())).collect::<Vec<_>>().join(", ");
        let shown = in_text(call);
        Error::new("DATATYPE_MISMATCH.DATA_DIFF_TYPES")
            .param("sqlExpr", format!("\"{shown}\""))
            .param("functionName", "`in`")
            .param("dataType", format!("[{types}]"))
            .message(format!(
                "Cannot resolve \"{shown}\": the values must have one type, but they are [{types}]."
            ))
    })?;
    crate::mismatch::check_orderable(call, &t)?;
    let coerced = vec![t; call.args.len()];
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, evaluate_in).shown_bare(in_text(call)))
}

fn in_text(call: &Call) -> String {
    let items = call.args[1..].iter().map(|a| a.sql.as_str()).collect::<Vec<_>>().join(", ");
    format!("({} IN ({items}))", call.args[0].sql)
}

fn evaluate_in(inputs: &Inputs) -> Result<ArrayRef> {
    let value = inputs.array(0)?;
    let wanted = value.data_type().clone();
    let comparison = Comparison::new(std::slice::from_ref(&wanted))?;
    let keys = comparison.keys(std::slice::from_ref(&value))?;
    let mut constants = HashSet::new();
    let mut columns = Vec::new();
    let mut null_constant = false;
    for i in 1..inputs.len() {
        match inputs.constant(i) {
            Some(item) if item.is_null(0) => null_constant = true,
            Some(item) => {
                let item = crate::scalar::conform(item, &wanted)?;
                constants.insert(comparison.keys(&[item])?.row(0).data().to_vec());
            }
            None => {
                let item = crate::scalar::conform(inputs.array(i)?, &wanted)?;
                columns.push((item.clone(), comparison.keys(&[item])?));
            }
        }
    }
    let nulls = value.logical_nulls();
    let out: BooleanArray = (0..inputs.rows())
        .map(|row| {
            if inputs.len() == 1 {
                return Some(false);
            }
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                return None;
            }
            let key = keys.row(row);
            if constants.contains(key.data()) {
                return Some(true);
            }
            let mut unknown = null_constant;
            for (item, keys) in &columns {
                if item.is_null(row) {
                    unknown = true;
                } else if keys.row(row) == key {
                    return Some(true);
                }
            }
            (!unknown).then_some(false)
        })
        .collect();
    Ok(Arc::new(out))
}

fn null_test(call: &Call, is_null: bool) -> Result<Resolved> {
    call.arity(1..=1)?;
    let shown = format!("({} IS {}NULL)", call.args[0].sql, if is_null { "" } else { "NOT " });
    Ok(Resolved::new(call.types(), DataType::Boolean, false, move |inputs| {
        let array = inputs.array(0)?;
        Ok(Arc::new(match is_null {
            true => arrow::compute::is_null(&array).spark()?,
            false => arrow::compute::is_not_null(&array).spark()?,
        }))
    })
    .shown_bare(shown))
}
