//! Aggregate and higher-order calls of the recorded expressions. An aggregate is computed in every way DataFusion may:
//! at once, in two parts merged, by groups, and by groups in two parts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Schema;
use boathouse_bridge::{ResultExt, arrow_type, from_datafusion, typed_field};
use boathouse_spec::{DataType, Error, Result};
use datafusion::logical_expr::{ColumnarValue, EmitTo};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::scalar::ScalarValue;

use super::{Node, Session, Value};
use crate::cast::{self, Mode};
use crate::{
    AggregateCall, Arg, Call, Entry, HigherOrder, HigherOrderInputs, Inputs, Lambda, LambdaArg, LambdaBody,
    LambdaParameter, registry,
};

fn arg(value: &Value, node: &Node) -> Result<Arg> {
    let foldable = value.constant || is_constant(node);
    let constant = match foldable && !value.array.is_empty() {
        true => Some(ScalarValue::try_from_array(&value.array, 0).spark()?),
        false => None,
    };
    Ok(Arg {
        data_type: value.data_type.clone(),
        nullable: value.nullable,
        constant,
        sql: value.name.clone(),
        elements: None,
    })
}

fn is_constant(node: &Node) -> bool {
    match node {
        Node::Literal { .. } => true,
        Node::Call { args, .. } => args.iter().all(is_constant),
        Node::Cast { input, .. } => is_constant(input),
        _ => false,
    }
}

pub(super) fn aggregate(
    session: &Session,
    name: &str,
    args: &[Node],
    distinct: bool,
    ignore_nulls: Option<bool>,
    order: &[(Node, bool)],
) -> Result<Value> {
    let resolve = registry()
        .get(name)
        .iter()
        .find_map(|e| match e {
            Entry::Aggregate(f) => Some(*f),
            _ => None,
        })
        .ok_or_else(|| Error::new("UNRESOLVED_ROUTINE"))?;
    let mut values = args.iter().map(|a| session.eval(a)).collect::<Result<Vec<_>>>()?;
    let infos = values.iter().zip(args).map(|(v, n)| arg(v, n)).collect::<Result<Vec<_>>>()?;
    let keys = order.iter().map(|(n, _)| session.eval(n)).collect::<Result<Vec<_>>>()?;
    let order_by = keys
        .iter()
        .zip(order)
        .map(|(v, (n, ascending))| Ok((arg(v, n)?, *ascending)))
        .collect::<Result<Vec<_>>>()?;
    let call = Call { name, args: &infos, context: session.context };
    let resolved = resolve(&AggregateCall { call, distinct, ignore_nulls, order_by })?;
    let names: Vec<String> = values.iter().map(|v| v.name.clone()).collect();
    let shown_keys: Vec<String> = keys.iter().map(|k| k.name.clone()).collect();
    let first_key = values.len();
    if resolved.order_as_arguments {
        values.extend(keys);
    }
    assert_eq!(resolved.coerced.len(), values.len(), "{name} casts another number of arguments");
    let rows = values.iter().find(|v| !v.constant).map_or(1, |v| v.array.len());
    let columns = values
        .iter()
        .zip(&resolved.coerced)
        .map(|(v, to)| {
            let array = match v.data_type == *to {
                true => Arc::clone(&v.array),
                false => cast::cast(&v.array, &v.data_type, to, Mode::of(session.context), session.context)?,
            };
            if v.constant { take(&array, &UInt32Array::from(vec![0; rows]), None).spark() } else { Ok(array) }
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let fields: Vec<_> =
        resolved.coerced.iter().enumerate().map(|(i, t)| typed_field(format!("c{i}"), t, true)).collect();
    let column = |i: usize| Arc::new(Column::new(&format!("c{i}"), i)) as Arc<dyn PhysicalExpr>;
    let mut builder =
        AggregateExprBuilder::new(Arc::clone(&resolved.udf), (0..columns.len()).map(column).collect())
            .schema(Arc::new(Schema::new(fields)))
            .alias(name);
    if distinct && !resolved.distinct_has_no_effect {
        builder = builder.distinct();
    }
    if resolved.order_as_arguments {
        let sorts = order.iter().enumerate().map(|(i, (_, ascending))| {
            let options = arrow::compute::SortOptions { descending: !ascending, nulls_first: *ascending };
            PhysicalSortExpr::new(column(first_key + i), options)
        });
        builder = builder.order_by(sorts.collect());
    }
    let expr = builder.build().map_err(from_datafusion)?;
    let result = compute(&expr, &columns, rows)?;
    let t = arrow_type(&resolved.return_type);
    assert_eq!(*result.data_type(), t, "{name} gave another type");
    if !resolved.nullable {
        assert_eq!(result.null_count(), 0, "{name} gave a NULL it said it would not");
    }
    let shown = match &resolved.display_args {
        Some(args) => args.iter().map(|a| a.show(&names)).collect(),
        None => names,
    };
    let display = resolved.display_name.as_deref().unwrap_or(name);
    let mut shown = match display.contains('(') {
        true => display.to_string(),
        false => format!("{display}({}{})", if distinct { "DISTINCT " } else { "" }, shown.join(", ")),
    };
    shown.push_str(resolved.display_suffix);
    if !order.is_empty() && !shown.contains("WITHIN GROUP") {
        let keys: Vec<String> = shown_keys
            .iter()
            .zip(order)
            .map(|(k, (_, ascending))| format!("{k}{}", if *ascending { "" } else { " DESC" }))
            .collect();
        shown.push_str(&format!(" WITHIN GROUP (ORDER BY {})", keys.join(", ")));
    }
    Ok(Value {
        array: result,
        constant: false,
        data_type: resolved.return_type,
        nullable: resolved.nullable,
        name: shown,
    })
}

fn slices(columns: &[ArrayRef], from: usize, length: usize) -> Vec<ArrayRef> {
    columns.iter().map(|c| c.slice(from, length)).collect()
}

fn compute(expr: &AggregateFunctionExpr, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let run = || -> datafusion::error::Result<Vec<ScalarValue>> {
        let mut results = Vec::new();
        let mut whole = expr.create_accumulator()?;
        whole.update_batch(columns)?;
        results.push(whole.evaluate()?);
        // Two parts, a row at a time.
        let mut merged = expr.create_accumulator()?;
        for part in [0..rows / 2, rows / 2..rows] {
            let mut accumulator = expr.create_accumulator()?;
            for row in part {
                accumulator.update_batch(&slices(columns, row, 1))?;
            }
            let state = accumulator.state()?;
            let state = state.iter().map(|s| s.to_array()).collect::<datafusion::error::Result<Vec<_>>>()?;
            merged.merge_batch(&state)?;
        }
        results.push(merged.evaluate()?);
        if expr.groups_accumulator_supported() {
            let mut accumulator = expr.create_groups_accumulator()?;
            accumulator.update_batch(columns, &vec![0; rows], None, 1)?;
            accumulator.update_batch(columns, &vec![1; rows], None, 2)?;
            results.push(ScalarValue::try_from_array(&accumulator.evaluate(EmitTo::First(1))?, 0)?);
            results.push(ScalarValue::try_from_array(&accumulator.evaluate(EmitTo::All)?, 0)?);
            if rows > 1 {
                let half = rows / 2;
                let mut partial = expr.create_groups_accumulator()?;
                partial.update_batch(&slices(columns, 0, half), &vec![0; half], None, 1)?;
                let state = partial.state(EmitTo::All)?;
                let mut last = expr.create_groups_accumulator()?;
                last.merge_batch(&state, &[0], 1)?;
                let converted = partial.convert_to_state(&slices(columns, half, rows - half), None)?;
                last.merge_batch(&converted, &vec![0; rows - half], 1)?;
                results.push(ScalarValue::try_from_array(&last.evaluate(EmitTo::All)?, 0)?);
            }
        }
        Ok(results)
    };
    let results = run().map_err(from_datafusion)?;
    for other in &results[1..] {
        assert!(alike(&results[0], other), "{:?} and {other:?} in another way", results[0]);
    }
    results[0].to_array().spark()
}

/// The same, but for the rounding of floats.
fn alike(a: &ScalarValue, b: &ScalarValue) -> bool {
    match (a, b) {
        (ScalarValue::Float64(Some(x)), ScalarValue::Float64(Some(y))) => {
            x == y || !(x.is_finite() && y.is_finite()) || (x - y).abs() <= 1e-9 * x.abs().max(1.0)
        }
        // Which of equal keys come first depends on how rows are split.
        (ScalarValue::List(x), ScalarValue::List(y)) => x.value(0).len() == y.value(0).len(),
        _ => a == b,
    }
}

pub(super) fn higher_order(session: &Session, name: &str, nodes: &[Node]) -> Result<Value> {
    let function: HigherOrder = registry()
        .get(name)
        .iter()
        .find_map(|e| match e {
            Entry::HigherOrder(f) => Some(*f),
            _ => None,
        })
        .ok_or_else(|| Error::new("UNRESOLVED_ROUTINE"))?;
    let (mut values, mut lambda_args, mut infos) = (Vec::new(), Vec::new(), Vec::new());
    for node in nodes {
        match node {
            Node::Lambda { parameters, .. } => {
                lambda_args.push(LambdaArg::Lambda(Lambda::unresolved(parameters.len())))
            }
            other => {
                let value = session.eval(other)?;
                infos.push(arg(&value, other)?);
                lambda_args.push(LambdaArg::Value(arg(&value, other)?));
                values.push(value);
            }
        }
    }
    let call = Call { name, args: &infos, context: session.context };
    let mut bodies = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut shown_values = values.iter().map(|v| v.name.clone());
    for node in nodes {
        let Node::Lambda { parameters, body } = node else {
            names.extend(shown_values.next());
            continue;
        };
        let typed = (function.parameters)(&call, &lambda_args, &bodies)?;
        let types: Vec<LambdaParameter> = typed[bodies.len()].clone();
        let compiled = compile(session, parameters, &types, body)?;
        names.push(format!(
            "lambdafunction({}, {})",
            compiled.1,
            vec!["namedlambdavariable()"; parameters.len()].join(", ")
        ));
        bodies.push(compiled.0);
    }
    let resolved = (function.resolve)(&call, &lambda_args, bodies)?;
    let rows = values.iter().find(|v| !v.constant).map_or(1, |v| v.array.len());
    let inputs = values
        .iter()
        .zip(&resolved.coerced)
        .map(|(v, to)| {
            let array = cast::cast(&v.array, &v.data_type, to, Mode::of(session.context), session.context)?;
            Ok(match v.constant {
                true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0).spark()?),
                false => ColumnarValue::Array(array),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let array = (resolved.eval)(&Inputs::new(&inputs, rows, session.context))?;
    let array = crate::scalar::conform(array, &arrow_type(&resolved.return_type))?;
    if !resolved.nullable {
        assert_eq!(array.null_count(), 0, "{name} gave a NULL it said it would not");
    }
    let shown = match &resolved.display_args {
        Some(args) => args.iter().map(|a| a.show(&names)).collect(),
        None => names,
    };
    Ok(Value {
        array,
        constant: values.iter().all(|v| v.constant),
        data_type: resolved.return_type,
        nullable: resolved.nullable,
        name: format!("{name}({})", shown.join(", ")),
    })
}

/// A lambda's body, and its name.
fn compile(
    session: &Session,
    names: &[String],
    types: &[LambdaParameter],
    body: &Node,
) -> Result<(LambdaBody, String)> {
    let (context, columns, outer) =
        (session.context.clone(), session.columns.to_vec(), session.parameters.to_vec());
    let empty: Vec<DataType> = types.iter().map(|t| t.data_type.clone()).collect();
    let (names, types, body) = (names.to_vec(), types.to_vec(), body.clone());
    let evaluate = move |parameters: &[ArrayRef], rows: &UInt32Array| -> Result<Value> {
        let taken = |v: &Value| -> Result<Value> {
            let array = if v.constant {
                take(&v.array, &UInt32Array::from(vec![0; rows.len()]), None).spark()?
            } else {
                take(&v.array, rows, None).spark()?
            };
            Ok(Value { array, constant: false, ..v.clone() })
        };
        let columns = columns.iter().map(taken).collect::<Result<Vec<_>>>()?;
        let mut all = outer.iter().map(|(n, v)| Ok((n.clone(), taken(v)?))).collect::<Result<Vec<_>>>()?;
        for ((name, t), array) in names.iter().zip(&types).zip(parameters) {
            let array = crate::scalar::conform(Arc::clone(array), &arrow_type(&t.data_type))?;
            let name_shown = "namedlambdavariable()".to_string();
            let value = Value {
                array,
                constant: false,
                data_type: t.data_type.clone(),
                nullable: t.nullable,
                name: name_shown,
            };
            all.push((name.clone(), value));
        }
        Session { context: &context, rows: Some(rows.len()), columns: &columns, parameters: &all }.eval(&body)
    };
    let none: Vec<ArrayRef> = empty.iter().map(|t| arrow::array::new_empty_array(&arrow_type(t))).collect();
    let typed = evaluate(&none, &UInt32Array::from(Vec::<u32>::new()))?;
    let run = move |_: &HigherOrderInputs, parameters: &[ArrayRef], rows: &UInt32Array| {
        evaluate(parameters, rows).map(|v| v.array)
    };
    let body = LambdaBody { data_type: typed.data_type, nullable: typed.nullable, evaluate: Arc::new(run) };
    Ok((body, typed.name))
}
