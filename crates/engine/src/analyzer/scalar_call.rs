//! Calls of scalar functions from the registry.

use boathouse_functions::{Arg, Call, Resolved, scalar_udf};
use boathouse_spec::Result;

use super::Analyzer;
use super::analyzed::TypedExpr;

impl Analyzer {
    /// What a function sees of an argument.
    pub(super) fn arg(&self, value: &TypedExpr) -> Arg {
        Arg {
            data_type: value.data_type.clone(),
            nullable: value.nullable,
            constant: self.fold_if_constant(value),
            sql: value.name.clone(),
        }
    }

    /// A call of a registered scalar function.
    pub(super) fn scalar(
        &mut self,
        name: &str,
        resolve: fn(&Call) -> Result<Resolved>,
        args: Vec<TypedExpr>,
    ) -> Result<TypedExpr> {
        let infos: Vec<Arg> = args.iter().map(|a| self.arg(a)).collect();
        let resolved = resolve(&Call { name, args: &infos, context: &self.context })?;
        self.resolved_scalar(name, resolved, args)
    }

    /// The expression of a resolved call.
    pub(super) fn resolved_scalar(&self, name: &str, resolved: Resolved, args: Vec<TypedExpr>) -> Result<TypedExpr> {
        let shown = match &resolved.display_name {
            _ if resolved.display_bare || resolved.display_args.is_some() => {
                resolved.column_name(name, &args.iter().map(|a| a.name.clone()).collect::<Vec<_>>())
            }
            // A display name with parentheses is the whole text; a bare one replaces the function's name.
            Some(text) if resolved.display_bare || text.contains('(') || text.contains(' ') => text.clone(),
            Some(text) => call_name(text, &args),
            None => match (operator_name(name), args.as_slice()) {
                (true, [only]) => format!("{name}{}", only.name),
                (true, [left, right]) => format!("({} {name} {})", left.name, right.name),
                _ => call_name(name, &args),
            },
        };
        let (data_type, nullable) = (resolved.return_type.clone(), resolved.nullable);
        let args = self.coerced(args, &resolved.coerced)?;
        let expr = scalar_udf(name, resolved, &self.context).call(args.into_iter().map(|a| a.expr).collect());
        Ok(TypedExpr::new(expr, data_type, nullable, shown))
    }

    pub(super) fn coerced(&self, args: Vec<TypedExpr>, wanted: &[boathouse_spec::DataType]) -> Result<Vec<TypedExpr>> {
        args.into_iter()
            .enumerate()
            .map(|(i, a)| match wanted.get(i) {
                Some(to) => self.implicit(a, to),
                None => Ok(a),
            })
            .collect()
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

/// `name(a, b)`
pub(super) fn call_name(name: &str, args: &[TypedExpr]) -> String {
    format!("{name}({})", args.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", "))
}

/// Whether the function is an operator, whose calls are shown as such.
fn operator_name(name: &str) -> bool {
    name == "div" || !name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}
