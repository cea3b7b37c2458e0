//! Higher-order functions: lambdas are compiled to physical expressions over their parameters and the columns around.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::take;
use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use boathouse_bridge::{ResultExt, typed_field};
use boathouse_functions::{
    Arg, Call as FunctionCall, HigherOrder, Lambda, LambdaArg, LambdaBody, LambdaParameter,
    finishes_unwritten, scalar_udf,
};
use boathouse_spec::{Call, Error, Expr, Result};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr as DfExpr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_expr::create_physical_expr;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use crate::relation_walk::has_subquery;

/// Ids of lambda parameters; no other attribute has one so high.
const FIRST_PARAMETER: u64 = 1 << 62;

impl Analyzer {
    /// The lambda parameter a name means, innermost first.
    pub(super) fn lambda_parameter(&mut self, name: &[String]) -> Result<Option<TypedExpr>> {
        let Some((first, rest)) = name.split_first() else { return Ok(None) };
        let found = self.lambda_parameters.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(first)).cloned();
        match found {
            Some((_, attribute)) => {
                let value = attribute.typed().named("namedlambdavariable()");
                self.nested(value, rest).map(Some)
            }
            None => Ok(None),
        }
    }

    /// An aggregate that stands in a lambda is computed outside of it, and a column stands for it: the function gets its value
    /// as an argument. One over a parameter of the lambda stays, and is refused.
    pub(super) fn lambda_aggregate(&mut self, value: TypedExpr) -> TypedExpr {
        if self.lambda_parameters.is_empty() || !matches!(value.expr, DfExpr::AggregateFunction(_)) {
            return value;
        }
        let is_parameter = |name: &str| self.lambda_parameters.iter().any(|(_, a)| a.internal_name() == name);
        if value.expr.column_refs().iter().any(|c| is_parameter(&c.name)) {
            return value;
        }
        // The same one has the same column, so that a lambda that is written twice is the same one.
        let known = self.lambda_aggregates.iter().find(|(aggregate, _)| *aggregate == value.expr);
        let attribute = match known {
            Some((_, attribute)) => attribute.clone(),
            None => {
                let attribute = self.attribute("aggregate", value.data_type.clone(), value.nullable);
                self.lambda_aggregates.push((value.expr.clone(), attribute.clone()));
                attribute
            }
        };
        TypedExpr { expr: attribute.column(), ..value }
    }

    pub(super) fn higher_order(
        &mut self,
        name: &str,
        function: HigherOrder,
        call: &Call,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        // Before the subquery is looked at: it sees no parameters of lambdas.
        if call.args.iter().any(has_subquery) {
            return Err(Error::new("UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.HIGHER_ORDER_FUNCTION")
                .message(format!("{name} cannot hold a subquery.")));
        }
        let call = &with_lambdas(name, call);
        let mut values = Vec::new();
        let mut lambda_args = Vec::new();
        for arg in &call.args {
            match arg {
                Expr::Lambda { parameters, .. } => {
                    lambda_args.push(LambdaArg::Lambda(Lambda::unresolved(parameters.len())))
                }
                other => {
                    let value = self.expr(other, over)?;
                    lambda_args.push(LambdaArg::Value(self.arg(&value)));
                    values.push(value);
                }
            }
        }
        let infos: Vec<Arg> = values.iter().map(|v| self.arg(v)).collect();
        let context = self.context.clone();
        let function_call = FunctionCall { name, args: &infos, context: &context };

        let mut captured: Vec<DfExpr> = Vec::new();
        let mut bodies = Vec::new();
        let mut identity = String::new();
        let lambdas = call.args.iter().filter_map(|a| match a {
            Expr::Lambda { body, parameters } => Some((body, parameters)),
            _ => None,
        });
        // Where a lambda is missing, its parameters say so.
        if lambdas.clone().next().is_none() {
            (function.parameters)(&function_call, &lambda_args, &[])?;
        }
        for (position, (body, parameters)) in lambdas.enumerate() {
            let typed = (function.parameters)(&function_call, &lambda_args, &bodies)?;
            let types: &[LambdaParameter] = typed.get(position).map_or(&[], Vec::as_slice);
            if parameters.len() > types.len() {
                return Err(Error::new("INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH")
                    .param("expectedNumArgs", parameters.len())
                    .param("actualNumArgs", types.len())
                    .message(format!(
                        "{name} gives its lambda {} arguments, not {}.",
                        types.len(),
                        parameters.len()
                    )));
            }
            for (i, p) in parameters.iter().enumerate() {
                if parameters[..i].iter().any(|q| q.eq_ignore_ascii_case(p)) {
                    return Err(Error::new("INVALID_LAMBDA_FUNCTION_CALL.DUPLICATE_ARG_NAMES")
                        .param("args", parameters.join(", "))
                        .param("caseSensitiveConfig", "\"spark.sql.caseSensitive\"")
                        .message(format!("The lambda of {name} has two parameters named {p}.")));
                }
            }
            let depth = self.lambda_parameters.len();
            // Known by where they stand and not by their names, so that a lambda that is written twice is the same one (in
            // GROUP BY and SELECT).
            let attributes: Vec<Attribute> = parameters
                .iter()
                .zip(types)
                .enumerate()
                .map(|(i, (_, t))| Attribute {
                    id: FIRST_PARAMETER + (depth + i) as u64,
                    ..self.attribute("parameter", t.data_type.clone(), t.nullable)
                })
                .collect();
            self.lambda_parameters.extend(parameters.iter().cloned().zip(attributes.iter().cloned()));
            let resolved = self.expr(body, over);
            self.lambda_parameters.truncate(depth);
            let resolved = resolved?;
            if super::aggregate::has_aggregate(&resolved.expr) {
                return Err(Error::new("UNSUPPORTED_FEATURE.LAMBDA_FUNCTION_WITH_AGGREGATE")
                    .message(format!("The lambda of {name} cannot aggregate.")));
            }
            if resolved.expr.exists(|e| Ok(is_subquery(e))).spark()? {
                return Err(Error::new("UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.HIGHER_ORDER_FUNCTION")
                    .message(format!("The lambda of {name} cannot hold a subquery.")));
            }
            let mut shown = lambda_args.iter_mut().filter_map(|a| match a {
                LambdaArg::Lambda(lambda) => Some(lambda),
                LambdaArg::Value(_) => None,
            });
            if let Some(lambda) = shown.nth(position) {
                *lambda = Lambda::with_body(parameters.len(), &resolved.name);
            }
            identity.push_str(&format!(
                " λ{:?}→{}",
                attributes.iter().map(|a| a.id).collect::<Vec<_>>(),
                resolved.expr
            ));
            let around =
                over.columns().chain(self.lambda_parameters.iter().map(|(_, a)| a)).chain(&self.shared);
            let aggregates = self.lambda_aggregates.iter().map(|(_, a)| a);
            let around: Vec<&Attribute> = around.chain(aggregates).collect();
            bodies.push(compile(&resolved, &attributes, &around, &mut captured)?);
        }

        // Within another lambda they are its columns, too.
        if self.lambda_parameters.is_empty() {
            for (aggregate, attribute) in &self.lambda_aggregates {
                let column = attribute.column();
                captured.iter_mut().filter(|c| **c == column).for_each(|c| *c = aggregate.clone());
            }
        }
        let finishes = finishes_unwritten(name, bodies.len());
        let resolved = (function.resolve)(&function_call, &lambda_args, bodies)?;
        let mut shown_values = values.iter().map(|v| v.name.clone());
        let shown = lambda_args.into_iter().filter_map(|a| match a {
            LambdaArg::Value(_) => shown_values.next(),
            LambdaArg::Lambda(lambda) => Some(lambda.sql),
        });
        let shown: Vec<String> = shown.chain(finishes.then(|| Lambda::IDENTITY.into())).collect();
        let function_name = resolved.display_name.clone().unwrap_or_else(|| name.to_string());
        let shown = format!("{function_name}({})", shown.join(", "));
        let (data_type, nullable) = (resolved.return_type.clone(), resolved.nullable);
        let mut args: Vec<DfExpr> =
            self.coerced(values, &resolved.coerced)?.into_iter().map(|a| a.expr).collect();
        args.extend(captured);
        // The lambda is no argument, so it has to be part of what tells two functions apart.
        let expr = scalar_udf(&format!("{name}{identity}"), resolved, &self.context).call(args);
        Ok(TypedExpr::new(expr, data_type, nullable, shown))
    }
}

/// Whether a lambda is part of the expression: the name of its function says so.
pub(super) fn has_lambda(expr: &DfExpr) -> bool {
    let of_lambda = |e: &DfExpr| matches!(e, DfExpr::ScalarFunction(f) if f.func.name().contains(" λ"));
    expr.exists(|e| Ok(of_lambda(e))).unwrap_or(false)
}

fn is_subquery(e: &DfExpr) -> bool {
    matches!(e, DfExpr::ScalarSubquery(_) | DfExpr::Exists(_) | DfExpr::InSubquery(_))
}

/// The call with lambdas where it has values in their place: the value is the lambda's body, its parameters have no names.
fn with_lambdas(name: &str, call: &Call) -> Call {
    let (first, parameters) = match name {
        "transform" | "filter" | "exists" | "any_match" | "forall" | "all_match" => (1, 1),
        "aggregate" | "reduce" => (2, 2),
        "zip_with" => (2, 2),
        "transform_keys" | "transform_values" | "map_filter" => (1, 2),
        "map_zip_with" => (2, 3),
        _ => return call.clone(),
    };
    let mut call = call.clone();
    for (i, arg) in call.args.iter_mut().enumerate().skip(first) {
        if matches!(arg, Expr::Lambda { .. } | Expr::Star(_)) {
            continue;
        }
        let count = if i > first { 1 } else { parameters };
        let parameters = (0..count).map(|n| format!("col{n}#hidden")).collect();
        *arg = Expr::Lambda { body: Box::new(arg.clone()), parameters };
    }
    call
}

/// Compiles a lambda's body. The columns `around` that it captures are appended to `captured`, the arguments after the function's own.
fn compile(
    body: &TypedExpr,
    parameters: &[Attribute],
    around: &[&Attribute],
    captured: &mut Vec<DfExpr>,
) -> Result<LambdaBody> {
    let mut fields: Vec<_> =
        parameters.iter().map(|p| typed_field(p.internal_name(), &p.data_type, p.nullable)).collect();
    let mut positions = Vec::new();
    let mut seen: HashMap<String, ()> = HashMap::new();
    for column in body.expr.column_refs() {
        if parameters.iter().any(|p| p.internal_name() == column.name)
            || seen.insert(column.name.clone(), ()).is_some()
        {
            continue;
        }
        let attribute = around.iter().find(|a| a.internal_name() == column.name).ok_or_else(|| {
            Error::internal(format!("a lambda captures the unknown column {}", column.name))
        })?;
        fields.push(typed_field(attribute.internal_name(), &attribute.data_type, attribute.nullable));
        let expr = attribute.column();
        let position = match captured.iter().position(|c| *c == expr) {
            Some(p) => p,
            None => {
                captured.push(expr);
                captured.len() - 1
            }
        };
        positions.push(position);
    }
    let schema = Arc::new(Schema::new(fields));
    let df_schema = DFSchema::try_from(schema.as_ref().clone()).spark()?;
    let physical =
        create_physical_expr(&body.expr, &df_schema, &ExecutionProps::new(), &Default::default()).spark()?;
    let parameter_count = parameters.len();
    Ok(LambdaBody {
        data_type: body.data_type.clone(),
        nullable: body.nullable,
        evaluate: Arc::new(move |outer, values, rows| {
            let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
            for (value, field) in values.iter().take(parameter_count).zip(schema.fields()) {
                columns.push(boathouse_functions::conform(Arc::clone(value), field.data_type())?);
            }
            for position in &positions {
                let column = outer.inputs.array(outer.captured_from + position)?;
                columns.push(take(&column, rows, None).spark()?);
            }
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            let nullable = Schema::new(
                schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
            );
            let batch = RecordBatch::try_new_with_options(Arc::new(nullable), columns, &options).spark()?;
            physical.evaluate(&batch).spark()?.into_array(rows.len()).spark()
        }),
    })
}
