//! `listagg` (`string_agg`): the texts of a group, joined.

use std::fmt;
use std::mem::size_of_val;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::{SortOptions, cast, take};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{arrow_type, to_datafusion};
use boathouse_spec::{DataType, Error, Result};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::in_order::{KeptRows, Needs, Rows, sorted, without_nulls};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::coercion::{Want, implicit_cast};
use crate::collation::by_collation;
use crate::{Arg, Context, Registry, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["listagg", "string_agg"], resolve);
}

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    let shown_delimiter = call.args.get(1).map_or("NULL", |d| d.sql.as_str());
    let sql = format!("{}({}, {shown_delimiter})", call.name, call.args[0].sql);
    let binary = call.args[0].data_type == DataType::Binary;
    let t = match &call.args[0].data_type {
        kept if binary || kept.is_string() => kept.clone(),
        _ => DataType::STRING,
    };
    if !binary && implicit_cast(&call.args[0].data_type, &Want::Str, call.context).is_none() {
        let e = call.unexpected_input(0, "(\"STRING\" or \"BINARY\")");
        return Err(crate::mismatch::with_sql(e, &sql));
    }
    let mut coerced = vec![t.clone()];
    let delimiter = match call.args.get(1) {
        None => Vec::new(),
        Some(arg) => {
            let other_kind = arg.data_type != DataType::Null
                && (binary != (arg.data_type == DataType::Binary)
                    || (arg.data_type.is_string() && arg.data_type != t)
                    || implicit_cast(&arg.data_type, &Want::Exact(t.clone()), call.context).is_none());
            if other_kind {
                return Err(call.different_types());
            }
            let Some(constant) = &arg.constant else {
                return Err(Error::new("DATATYPE_MISMATCH.NON_FOLDABLE_INPUT")
                    .param("sqlExpr", format!("\"{sql}\""))
                    .param("inputName", "`delimiter`")
                    .param("inputType", format!("\"{}\"", arg.data_type.sql()))
                    .param("inputExpr", format!("\"{}\"", arg.sql))
                    .message(format!("Cannot resolve \"{sql}\": the delimiter must be a constant.")));
            };
            coerced.push(t.clone());
            delimiter_of(constant, &arg.data_type, call.context)?
        }
    };
    if c.distinct && !c.order_by.is_empty() {
        check_distinct_order(c, &t)?;
    }
    let keys: Vec<DataType> = c.order_by.iter().map(|(k, _)| k.data_type.clone()).collect();
    let first_key = coerced.len();
    coerced.extend(keys.iter().cloned());
    let types: Vec<ArrowType> = coerced.iter().map(arrow_type).collect();
    let state: Vec<(String, DataType)> = coerced
        .iter()
        .enumerate()
        .map(|(i, t)| (format!("list_{i}"), DataType::array(t.clone(), true)))
        .collect();
    let state = state.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let parameters = format!("{delimiter:?} by {keys:?}");
    let make = move |order: &[SortOptions]| {
        Ok(Box::new(Joined {
            first_key,
            keys: keys.clone(),
            order: order.to_vec(),
            delimiter: delimiter.clone(),
            binary,
            rows: KeptRows::new(types.clone()),
        }) as Box<dyn Accumulator>)
    };
    let unordered = make.clone();
    let udf = SparkAggregate::new(call.name, &coerced, &t, true, state, call.context, move || unordered(&[]))
        .with_ordered(make)
        .with_needs(Needs { rows: Rows::All, skips_nulls: true })
        .with_parameters(parameters);
    let shown = if call.args.len() > 1 { ShownArg::Arg(1) } else { ShownArg::Text("NULL".into()) };
    Ok(ResolvedAggregate::new(coerced, t, true, udf.build())
        .shown_with(vec![ShownArg::Arg(0), shown])
        .with_order_as_arguments())
}

/// DISTINCT texts are ordered by themselves, or by what they are a cast of, where the cast keeps different values apart and
/// equal ones together. `t` is the type of the texts.
fn check_distinct_order(c: &AggregateCall, t: &DataType) -> Result<()> {
    let (Some((key, _)), Some(value)) = (c.order_by.first(), c.call.args.first()) else { return Ok(()) };
    let cast = |arg: &Arg| format!("CAST({} AS {})", arg.sql, t.sql());
    let is_text = value.data_type == *t;
    let is_cast_of_key = is_text && value.sql == cast(key);
    let is_itself = value.sql == key.sql || (!is_text && key.sql == cast(value));
    if c.order_by.len() > 1 || !(is_cast_of_key || is_itself) {
        let keys: Vec<String> = c.order_by.iter().map(|(key, _)| format!("\"{}\"", key.sql)).collect();
        let keys = keys.join(", ");
        return Err(Error::new("INVALID_WITHIN_GROUP_EXPRESSION.MISMATCH_WITH_DISTINCT_INPUT")
            .param("funcName", format!("`{}`", c.call.name))
            .param("funcArg", format!("\"{}\"", value.sql))
            .param("orderingExpr", &keys)
            .message(format!("DISTINCT \"{}\" can only be ordered by itself, not by {keys}.", value.sql)));
    }
    let from = &key.data_type;
    let is_collated = |t: &DataType| t.is_string() && *t != DataType::STRING;
    let changes = matches!(from, DataType::Float | DataType::Double | DataType::Timestamp)
        || is_collated(from)
        || is_collated(t);
    if from == t || !changes {
        return Ok(());
    }
    Err(Error::new("INVALID_WITHIN_GROUP_EXPRESSION.MISMATCH_WITH_DISTINCT_INPUT_UNSAFE_CAST")
        .param("funcName", format!("`{}`", c.call.name))
        .param("inputType", format!("\"{}\"", from.sql()))
        .param("castType", format!("\"{}\"", t.sql()))
        .message(format!(
            "DISTINCT \"{}\" cannot be ordered by \"{}\": its cast from {} to {} may unite or divide values.",
            value.sql,
            key.sql,
            from.sql(),
            t.sql()
        )))
}

fn delimiter_of(constant: &ScalarValue, t: &DataType, context: &Context) -> Result<Vec<u8>> {
    Ok(match constant {
        ScalarValue::Utf8(text) => text.as_ref().map(|t| t.as_bytes().to_vec()).unwrap_or_default(),
        ScalarValue::Binary(bytes) => bytes.clone().unwrap_or_default(),
        constant if constant.is_null() => Vec::new(),
        other => match crate::cast::constant(other, t, &DataType::STRING, context)? {
            ScalarValue::Utf8(Some(text)) => text.into_bytes(),
            _ => Vec::new(),
        },
    })
}

/// Keeps the rows of its group: the texts and the keys to order them by.
struct Joined {
    /// The first column that is a key.
    first_key: usize,
    keys: Vec<DataType>,
    order: Vec<SortOptions>,
    delimiter: Vec<u8>,
    binary: bool,
    /// Columns of rows whose text is not NULL.
    rows: KeptRows,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes to join", self.rows.bytes())
    }
}

impl Accumulator for Joined {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.rows.push(without_nulls(values)?);
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        if self.rows.is_empty() {
            return ScalarValue::try_from(if self.binary { &ArrowType::Binary } else { &ArrowType::Utf8 });
        }
        let columns = self.rows.columns()?;
        let mut texts = std::sync::Arc::clone(&columns[0]);
        if self.first_key < columns.len() {
            let keys = columns[self.first_key..].iter().zip(&self.keys).map(|(c, t)| by_collation(c, t));
            let keys = keys.collect::<Result<Vec<_>>>().map_err(to_datafusion)?;
            texts = take(&texts, &sorted(&keys, &self.order)?, None)?;
        }
        let bytes = cast(&texts, &ArrowType::Binary)?;
        let parts: Vec<&[u8]> = bytes.as_binary::<i32>().iter().flatten().collect();
        let joined = parts.join(self.delimiter.as_slice());
        if self.binary {
            return Ok(ScalarValue::Binary(Some(joined)));
        }
        let text = String::from_utf8(joined)
            .map_err(|_| to_datafusion(Error::internal("joined texts are no UTF-8")))?;
        Ok(ScalarValue::Utf8(Some(text)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.bytes()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.rows.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.rows.merge(states);
        Ok(())
    }
}
