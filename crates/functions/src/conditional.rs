//! `if`, `coalesce`, `nvl`, `nullif`, `greatest`, `least`, and the functions that raise.
//!
//! The analyzer compiles `if` and `coalesce` to CASE so that only the branch taken is evaluated; it asks here for the
//! types ([`result_type`]). The entries are for calls with arguments at hand.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow::row::Rows;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};

use crate::coercion::{common_type, comparison_type, tightest_common_type};
use crate::collation::collator_of;
use crate::comparison::Comparison;
use crate::{Call, Context, Inputs, Registry, Resolved, ShownArg, Want};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["if"], if_);
    r.scalar(&["coalesce"], coalesce);
    r.scalar(&["nvl", "ifnull"], nvl);
    r.scalar(&["nvl2"], nvl2);
    r.scalar(&["nullif"], nullif);
    r.scalar(&["nullifzero"], nullifzero);
    r.scalar(&["zeroifnull"], zeroifnull);
    r.scalar(&["greatest"], |c| extreme(c, true));
    r.scalar(&["least"], |c| extreme(c, false));
    r.scalar(&["assert_true"], assert_true);
    r.scalar(&["raise_error"], raise_error);
}

/// The type of CASE, IF and COALESCE over branches of these types.
pub fn result_type(branches: &[DataType], context: &Context) -> Option<DataType> {
    common_type(branches, context)
}

/// Takes each row from the array its choice names; `None` is NULL.
fn choose(arrays: &[ArrayRef], choices: impl Iterator<Item = Option<usize>>) -> Result<ArrayRef> {
    let Some(first) = arrays.first() else { return Err(Error::internal("a choice among nothing")) };
    let null = new_null_array(first.data_type(), 1);
    let mut values: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
    values.push(null.as_ref());
    let indices: Vec<(usize, usize)> =
        choices.enumerate().map(|(row, c)| c.map_or((arrays.len(), 0), |c| (c, row))).collect();
    if indices.is_empty() {
        return Ok(first.slice(0, 0));
    }
    arrow::compute::interleave(&values, &indices).spark()
}

/// Arrays of one type, so that they can be mixed.
fn alike(inputs: &Inputs, from: usize, t: &DataType) -> Result<Vec<ArrayRef>> {
    let wanted = arrow_type(&t.as_nullable());
    (from..inputs.len()).map(|i| crate::scalar::conform(inputs.array(i)?, &wanted)).collect()
}

fn if_(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    if !matches!(call.args[0].data_type, DataType::Boolean | DataType::Null) {
        let shown = format!("(IF({}, {}, {}))", call.args[0].sql, call.args[1].sql, call.args[2].sql);
        return Err(Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
            .param("sqlExpr", format!("\"{shown}\""))
            .param("paramIndex", "first")
            .param("requiredType", "\"BOOLEAN\"")
            .param("inputSql", format!("\"{}\"", call.args[0].sql))
            .param("inputType", format!("\"{}\"", call.args[0].data_type.sql()))
            .message(format!("Cannot resolve \"{shown}\": the condition must be a BOOLEAN.")));
    }
    let t = call.common_type(1)?;
    let coerced = vec![DataType::Boolean, t.clone(), t.clone()];
    let nullable = nullable_branch(call, 1, &t) || nullable_branch(call, 2, &t);
    let shown = format!("(IF({}, {}, {}))", call.args[0].sql, call.args[1].sql, call.args[2].sql);
    let computed = t.clone();
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let condition = inputs.booleans(0)?;
        let branches = alike(inputs, 1, &computed)?;
        choose(&branches, condition.iter().map(|c| Some(usize::from(c != Some(true)))))
    })
    .shown_bare(shown))
}

/// Whether an argument can be NULL once it is of the type.
fn nullable_branch(call: &Call, i: usize, t: &DataType) -> bool {
    let arg = &call.args[i];
    let mode = crate::cast::Mode::of(call.context);
    arg.nullable || (arg.data_type != *t && crate::cast::may_give_null(&arg.data_type, t, mode))
}

fn first_valid(call: &Call) -> Result<Resolved> {
    let t = call.common_type(0)?;
    let coerced = vec![t.clone(); call.args.len()];
    let nullable = (0..call.args.len()).all(|i| nullable_branch(call, i, &t));
    let computed = t.clone();
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let branches = alike(inputs, 0, &computed)?;
        let nulls: Vec<_> = branches.iter().map(|b| b.logical_nulls()).collect();
        let valid = |i: usize, row: usize| nulls[i].as_ref().is_none_or(|n| n.is_valid(row));
        choose(&branches, (0..inputs.rows()).map(|row| (0..branches.len()).find(|i| valid(*i, row))))
    }))
}

fn coalesce(call: &Call) -> Result<Resolved> {
    if call.args.is_empty() {
        return Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", "`coalesce`")
            .param("expectedNum", "> 0")
            .param("actualNum", 0)
            .message("`coalesce` takes at least one argument."));
    }
    first_valid(call)
}

fn nvl(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    first_valid(call)
}

fn nvl2(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let t = call.common_type(1)?;
    let coerced = vec![call.args[0].data_type.clone(), t.clone(), t.clone()];
    let nullable = nullable_branch(call, 1, &t) || nullable_branch(call, 2, &t);
    let computed = t.clone();
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let first = inputs.array(0)?;
        let nulls = first.logical_nulls();
        let branches = alike(inputs, 1, &computed)?;
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        choose(&branches, (0..inputs.rows()).map(|row| Some(usize::from(!valid(row)))))
    }))
}

/// NULL where both are equal, else the first.
fn nullif(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let (a, b) = (call.args[0].data_type.clone(), call.args[1].data_type.clone());
    let compared = comparison_type(&a, &b, call.context).ok_or_else(|| binary_differ(call))?;
    let mode = crate::cast::Mode::of(call.context);
    let t = a.clone();
    let coerced = vec![a.clone(), compared.clone()];
    Ok(Resolved::new(coerced, t, true, move |inputs| {
        let first = inputs.array(0)?;
        let left = crate::cast::cast(&first, &a, &compared, mode, inputs.context())?;
        let equal = super_equal(&left, &inputs.array(1)?)?;
        let keep: BooleanArray = equal.iter().map(|e| Some(e != Some(true))).collect();
        arrow::compute::nullif(&first, &arrow::compute::not(&keep).spark()?).spark()
    }))
}

fn binary_differ(call: &Call) -> Error {
    let (a, b) = (&call.args[0], &call.args[1]);
    let shown = format!("({} = {})", a.sql, b.sql);
    Error::new("DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES")
        .param("sqlExpr", format!("\"{shown}\""))
        .param("left", format!("\"{}\"", a.data_type.sql()))
        .param("right", format!("\"{}\"", b.data_type.sql()))
        .message(format!("Cannot resolve \"{shown}\": the operands have different types."))
}

/// SQL equality of two columns of one type.
fn super_equal(a: &ArrayRef, b: &ArrayRef) -> Result<BooleanArray> {
    crate::predicate::compare(a, b, |order| order.is_eq())
}

fn nullifzero(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    let zero = DataType::Integer;
    let compared = comparison_type(&t, &zero, call.context).ok_or_else(|| {
        let shown = format!("({} = 0)", call.args[0].sql);
        Error::new("DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES")
            .param("sqlExpr", format!("\"{shown}\""))
            .param("left", format!("\"{}\"", t.sql()))
            .param("right", "\"INT\"")
            .message(format!("Cannot resolve \"{shown}\": the operands have different types."))
    })?;
    let mode = crate::cast::Mode::of(call.context);
    let computed = t.clone();
    Ok(Resolved::new(vec![t.clone()], t, true, move |inputs| {
        let first = inputs.array(0)?;
        let left = crate::cast::cast(&first, &computed, &compared, mode, inputs.context())?;
        let zeros: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![0; inputs.rows()]));
        let zeros = crate::cast::cast(&zeros, &DataType::Integer, &compared, mode, inputs.context())?;
        arrow::compute::nullif(&first, &super_equal(&left, &zeros)?).spark()
    }))
}

fn zeroifnull(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let types = [call.args[0].data_type.clone(), DataType::Integer];
    let t = common_type(&types, call.context).ok_or_else(|| {
        Error::new("DATATYPE_MISMATCH.DATA_DIFF_TYPES")
            .param("sqlExpr", format!("\"coalesce({}, 0)\"", call.args[0].sql))
            .param("functionName", "`coalesce`")
            .param("dataType", format!("(\"{}\" or \"INT\")", types[0].sql()))
            .message(format!("Cannot resolve \"{}\": the argument must be a number.", call.sql()))
    })?;
    let computed = t.clone();
    Ok(Resolved::new(vec![t.clone()], t, false, move |inputs| {
        let first = inputs.array(0)?;
        let zeros: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![0; inputs.rows()]));
        let mode = crate::cast::Mode::of(inputs.context());
        let zeros = crate::cast::cast(&zeros, &DataType::Integer, &computed, mode, inputs.context())?;
        let valid = arrow::compute::is_not_null(&first).spark()?;
        choose(&[first, zeros], valid.iter().map(|v| Some(usize::from(v != Some(true)))))
    }))
}

/// The greatest or least of the values that are not NULL.
fn extreme(call: &Call, greatest: bool) -> Result<Resolved> {
    if call.args.len() < 2 {
        return Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", format!("`{}`", call.name))
            .param("expectedNum", "> 1")
            .param("actualNum", call.args.len())
            .message(format!("`{}` takes at least two arguments.", call.name)));
    }
    // Strings are not promoted.
    let t = call
        .args
        .iter()
        .map(|a| &a.data_type)
        .try_fold(DataType::Null, |t, next| tightest_common_type(&t, next, call.context))
        .ok_or_else(|| call.different_types())?;
    crate::mismatch::check_orderable(call, &t)?;
    let coerced = vec![t.clone(); call.args.len()];
    let nullable = (0..call.args.len()).all(|i| nullable_branch(call, i, &t));
    let computed = t.clone();
    let collator = collator_of(&t)?;
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let values = alike(inputs, 0, &computed)?;
        let compared: Vec<ArrayRef> = match collator.as_deref() {
            Some(collator) => values.iter().map(|v| crate::collation::keys(v, Some(collator))).collect(),
            None => values.clone(),
        };
        let comparison = Comparison::new(&[compared[0].data_type().clone()])?;
        let keys: Vec<Rows> =
            compared.iter().map(|v| comparison.keys(std::slice::from_ref(v))).collect::<Result<_>>()?;
        choose(
            &values,
            (0..inputs.rows()).map(|row| {
                (0..values.len()).filter(|i| values[*i].is_valid(row)).reduce(|best, i| {
                    let better = if greatest {
                        keys[i].row(row) > keys[best].row(row)
                    } else {
                        keys[i].row(row) < keys[best].row(row)
                    };
                    if better { i } else { best }
                })
            }),
        )
    }))
}

fn raised(message: &str) -> Error {
    Error::new("USER_RAISED_EXCEPTION").param("errorMessage", message).message(message.to_string())
}

/// NULL where the condition is true, an error otherwise.
fn assert_true(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let coerced = call.want(&[Want::BOOLEAN, Want::Str])?;
    let default = format!("'{}' is not true!", call.args[0].sql);
    let shown = match call.args.len() {
        1 => vec![ShownArg::Arg(0), ShownArg::Text(default.clone())],
        _ => vec![ShownArg::Arg(0), ShownArg::Arg(1)],
    };
    Ok(Resolved::new(coerced, DataType::Null, true, move |inputs| {
        let condition = inputs.booleans(0)?;
        if let Some(row) = (0..inputs.rows()).find(|row| !(condition.is_valid(*row) && condition.value(*row)))
        {
            let message = match inputs.len() {
                1 => default.clone(),
                _ => inputs.text(1)?.get(row).unwrap_or("null").to_string(),
            };
            return Err(raised(&message));
        }
        Ok(new_null_array(&arrow::datatypes::DataType::Null, inputs.rows()))
    })
    .shown_with(shown)
    .volatile())
}

fn raise_error(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    let shown = format!("raise_error(USER_RAISED_EXCEPTION, map(errorMessage, {}))", call.args[0].sql);
    Ok(Resolved::new(coerced, DataType::Null, true, |inputs| {
        if inputs.rows() == 0 {
            return Ok(new_null_array(&arrow::datatypes::DataType::Null, 0));
        }
        Err(raised(inputs.text(0)?.get(0).unwrap_or("null")))
    })
    .shown_bare(shown)
    .volatile())
}
