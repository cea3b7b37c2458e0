//! Calls of scalar functions from the registry.

use boathouse_bridge::ResultExt;
use boathouse_functions::cast::Mode;
use boathouse_functions::{Arg, Call, Resolved, scalar_udf_at};
use boathouse_spec::Result;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::TypedExpr;
use super::collation::CollationStrength;

impl Analyzer {
    /// What a function sees of an argument.
    pub(super) fn arg(&self, value: &TypedExpr) -> Arg {
        Arg {
            data_type: value.data_type.clone(),
            nullable: value.nullable,
            constant: self.fold_if_constant(value),
            sql: value.name.clone(),
            elements: match &value.expr {
                Expr::ScalarFunction(f) if f.func.name() == "array" => Some(f.args.len()),
                _ => None,
            },
        }
    }

    /// A call of a registered scalar function.
    pub(super) fn scalar(
        &mut self,
        name: &str,
        resolve: fn(&Call) -> Result<Resolved>,
        args: Vec<TypedExpr>,
    ) -> Result<TypedExpr> {
        let args = if super::collation::unites(name) { self.one_collation(args)? } else { args };
        let infos: Vec<Arg> = args.iter().map(|a| self.arg(a)).collect();
        if super::collation::compares(name) {
            self.determinate(&args.iter().collect::<Vec<_>>(), &call_name(name, &args))?;
        }
        let call = Call { name, args: &infos, context: &self.context };
        if let Some(i) = super::collation::refused_argument(name, &args) {
            return Err(call.unexpected_input(i, "\"STRING\""));
        }
        let resolved = resolve(&call)?;
        self.resolved_scalar(name, resolved, args)
    }

    /// The expression of a resolved call.
    pub(super) fn resolved_scalar(
        &self,
        name: &str,
        resolved: Resolved,
        args: Vec<TypedExpr>,
    ) -> Result<TypedExpr> {
        if resolved.tells_time {
            self.is_repeatable.set(false);
        }
        let names: Vec<String> = args.iter().map(|a| a.name.clone()).collect();
        let shown = resolved.column_name(name, &names);
        let data_type = resolved.return_type.clone();
        let nullable = resolved.nullable && !resolved.said_not_null;
        let strength = match name {
            "collate" => CollationStrength::Explicit,
            _ => super::collation::strength_of(&args),
        };
        let args = match tolerates(name) {
            true => self.tried(args, &resolved.coerced)?,
            false => self.coerced(args, &resolved.coerced)?,
        };
        if propagates_null(name) && args.iter().any(is_null_literal) {
            let null = ScalarValue::try_from(&boathouse_bridge::arrow_type(&data_type)).spark()?;
            return Ok(
                TypedExpr::new(Expr::Literal(null, None), data_type, true, shown).with_collation(strength)
            );
        }
        let udf = scalar_udf_at(name, resolved, &self.context, self.origin.clone());
        let expr = udf.call(args.into_iter().map(|a| a.expr).collect());
        Ok(TypedExpr::new(expr, data_type, nullable, shown).with_collation(strength))
    }

    pub(super) fn coerced(
        &self,
        args: Vec<TypedExpr>,
        wanted: &[boathouse_spec::DataType],
    ) -> Result<Vec<TypedExpr>> {
        args.into_iter()
            .enumerate()
            .map(|(i, a)| match wanted.get(i) {
                Some(to) => self.implicit(a, to),
                None => Ok(a),
            })
            .collect()
    }

    /// The same, texts that are no value of the type being NULL.
    fn tried(&self, args: Vec<TypedExpr>, wanted: &[boathouse_spec::DataType]) -> Result<Vec<TypedExpr>> {
        let coerced = |(i, arg): (usize, TypedExpr)| match wanted.get(i) {
            Some(to) if arg.data_type.is_string() => self.cast(arg, to, Mode::Try),
            Some(to) => self.implicit(arg, to),
            None => Ok(arg),
        };
        args.into_iter().enumerate().map(coerced).collect()
    }

    /// A registered scalar function by name, for the analyzer's own use.
    pub(super) fn builtin(&mut self, name: &str, args: Vec<TypedExpr>) -> Result<TypedExpr> {
        for entry in boathouse_functions::registry().get(name) {
            if let boathouse_functions::Entry::Scalar(resolve) = entry {
                return self.scalar(name, *resolve, args);
            }
        }
        Err(super::error::unresolved_routine(
            &[name.to_string()],
            &["`system`.`builtin`".into(), "`system`.`session`".into()],
        ))
    }
}

/// Whether errors of casts of the operands are NULL, too (Spark's `TryEval`).
fn tolerates(name: &str) -> bool {
    matches!(name, "try_add" | "try_subtract" | "try_multiply" | "try_divide" | "try_mod")
}

/// Whether NULL as an operand is the result at once, so that errors in the other are never met (Spark's `NullPropagation`).
fn propagates_null(name: &str) -> bool {
    matches!(name, "+" | "-" | "*" | "/" | "%" | "mod" | "div" | "pmod")
}

fn is_null_literal(value: &TypedExpr) -> bool {
    matches!(&value.expr, Expr::Literal(v, _) if v.is_null())
}

/// `name(a, b)`
pub(super) fn call_name(name: &str, args: &[TypedExpr]) -> String {
    format!("{name}({})", args.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", "))
}
