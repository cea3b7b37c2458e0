//! `name => value` in calls of built-in functions that have names for their parameters (Spark's `FunctionSignature`).

use boathouse_spec::{Call, Error, Expr, Result, quote};

/// A parameter, and whether it may be left out.
type Parameter = (&'static str, Option<&'static str>);

fn signature(function: &str) -> Option<&'static [Parameter]> {
    Some(match function {
        "mask" => &[
            ("str", None),
            ("upperChar", Some("'X'")),
            ("lowerChar", Some("'x'")),
            ("digitChar", Some("'n'")),
            ("otherChar", Some("NULL")),
        ],
        "count_min_sketch" => &[("column", None), ("epsilon", None), ("confidence", None), ("seed", None)],
        "explode" | "explode_outer" => &[("collection", None)],
        "variant_explode" | "variant_explode_outer" => &[("input", None)],
        _ => return None,
    })
}

/// The parameters of generators that have names in FROM only (Spark's `TableFunctionRegistry`).
fn signature_in_from(function: &str) -> Option<&'static [Parameter]> {
    Some(match function {
        "posexplode" | "posexplode_outer" => &[("collection", None)],
        "inline" | "inline_outer" => &[("input", None)],
        _ => return signature(function),
    })
}

/// The arguments in the order of the parameters; `None` where all are positional.
pub(super) fn positional(function: &str, call: &Call) -> Result<Option<Vec<Expr>>> {
    placed(function, call, signature(function))
}

/// The call of a generator in FROM, with arguments by position.
pub(super) fn in_from(call: Call) -> Result<Call> {
    let function = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
    let parameters = signature_in_from(&function);
    let args = placed(&function, &call, parameters)?;
    if let Some((name, None)) = parameters.and_then(|p| p.get(call.args.len())).filter(|_| args.is_none()) {
        return Err(not_given(&function, name, call.args.len()));
    }
    Ok(Call { args: args.unwrap_or_else(|| call.args.clone()), ..call })
}

/// A call without an argument that has no default.
pub(super) fn not_given(function: &str, parameter: &str, index: usize) -> Error {
    Error::new("REQUIRED_PARAMETER_NOT_FOUND")
        .param("routineName", quote(function))
        .param("parameterName", quote(parameter))
        .param("index", index)
        .message(format!("{function} lacks its argument {parameter}."))
}

fn placed(
    function: &str,
    call: &Call,
    parameters: Option<&'static [Parameter]>,
) -> Result<Option<Vec<Expr>>> {
    let Some(first_named) = call.args.iter().position(|a| matches!(a, Expr::NamedArgument { .. })) else {
        return Ok(None);
    };
    let routine = || quote(function);
    let Some(parameters) = parameters else {
        return Err(Error::new("NAMED_PARAMETERS_NOT_SUPPORTED")
            .param("functionName", routine())
            .message(format!("The function {function} takes its arguments by position only.")));
    };
    if let Some((at, _)) =
        call.args.iter().enumerate().skip(first_named).find(|(_, a)| !matches!(a, Expr::NamedArgument { .. }))
    {
        return Err(Error::new("UNEXPECTED_POSITIONAL_ARGUMENT")
            .param("routineName", routine())
            .param("parameterName", quote(parameters.get(at).map_or("", |p| p.0)))
            .message(format!("{function} has an argument by position after one by name.")));
    }
    let mut found: Vec<Option<Expr>> = vec![None; parameters.len()];
    for (i, arg) in call.args.iter().enumerate() {
        let Expr::NamedArgument { name, value } = arg else {
            let Some(slot) = found.get_mut(i) else { return Ok(None) };
            *slot = Some(arg.clone());
            continue;
        };
        let Some(at) = parameters.iter().position(|(p, _)| p.eq_ignore_ascii_case(name)) else {
            let names = parameters.iter().map(|(p, _)| quote(p)).collect::<Vec<_>>().join(", ");
            return Err(Error::new("UNRECOGNIZED_PARAMETER_NAME")
                .param("routineName", routine())
                .param("argumentName", quote(name))
                .param("proposal", &names)
                .message(format!("{function} has no parameter {name}; it has {names}.")));
        };
        if found[at].is_some() {
            let subclass = if at < first_named {
                "BOTH_POSITIONAL_AND_NAMED"
            } else {
                "DOUBLE_NAMED_ARGUMENT_REFERENCE"
            };
            return Err(Error::new(format!("DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.{subclass}"))
                .param("routineName", routine())
                .param("parameterName", quote(parameters[at].0))
                .message(format!("{function} is given its parameter {} twice.", parameters[at].0)));
        }
        found[at] = Some(value.as_ref().clone());
    }
    // What follows the last given argument keeps its default.
    while found.last().is_some_and(Option::is_none) && parameters[found.len() - 1].1.is_some() {
        found.pop();
    }
    let mut out = Vec::with_capacity(found.len());
    for (i, (value, (name, default))) in found.into_iter().zip(parameters).enumerate() {
        out.push(match (value, default) {
            (Some(value), _) => value,
            (None, Some(default)) => boathouse_sql::parse_expression(default)?,
            (None, None) => {
                return Err(not_given(function, name, i));
            }
        });
    }
    Ok(Some(out))
}
