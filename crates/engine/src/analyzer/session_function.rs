//! Functions of the session: who, where, and variables.

use boathouse_spec::{Call, DataType, Expr, Literal, Result};
use datafusion::logical_expr::lit;

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::collation::CollationStrength;
use super::temporaries::TemporaryKind;

impl Analyzer {
    pub(super) fn session_function(&mut self, name: &str, call: &Call) -> Result<Option<TypedExpr>> {
        if !call.args.is_empty() {
            return Ok(None);
        }
        let value = match name {
            "current_user" | "user" | "session_user" => self.session.user().to_string(),
            "current_catalog" => self.session.namespace.read().0.clone(),
            "current_database" | "current_schema" => self.session.namespace.read().1.clone(),
            "current_path" => {
                // Where the names of functions are looked for, in this order.
                let (catalog, schema) = self.session.current_namespace();
                let current = boathouse_spec::quote_path_if_needed(&[catalog, schema]);
                format!("system.builtin,system.session,{current}")
            }
            "version" => "4.2.0 boathouse".to_string(),
            _ => return Ok(None),
        };
        let shown = match name {
            "current_database" => "current_schema",
            other => other,
        };
        let shown = format!("{shown}()");
        Ok(Some(TypedExpr::new(lit(value), DataType::STRING, false, shown)))
    }

    /// `current_date` and its kin may be written without parentheses.
    pub(super) fn call_without_parentheses(&mut self, name: &str) -> Result<Option<TypedExpr>> {
        let lower = name.to_lowercase();
        let known = matches!(
            lower.as_str(),
            "current_date"
                | "current_timestamp"
                | "current_time"
                | "localtimestamp"
                | "current_user"
                | "user"
                | "session_user"
                | "current_catalog"
                | "current_database"
                | "current_schema"
                | "current_path"
        );
        if !known {
            return Ok(None);
        }
        let call = Expr::call(&lower, Vec::new());
        let value = self.expr(&call, &Analyzed::one_row()?)?;
        let is_user = matches!(lower.as_str(), "user" | "session_user");
        Ok(Some(if is_user { value.named("current_user()") } else { value }))
    }

    /// Resolves something as if there were no variables.
    pub(super) fn without_variables<T>(&mut self, resolve: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let around = std::mem::replace(&mut self.variables_are_hidden, true);
        let result = resolve(self);
        self.variables_are_hidden = around;
        result
    }

    /// A variable of the script or the session, or a field inside one. The longest name of a variable wins (Spark's
    /// `resolveVariables`).
    pub(super) fn variable(&mut self, name: &[String]) -> Result<Option<TypedExpr>> {
        if self.variables_are_hidden {
            return Ok(None);
        }
        for length in (1..=name.len().min(3)).rev() {
            let (of_variable, fields) = name.split_at(length);
            let Some((variable, full_name)) = self.session.variable(of_variable) else { continue };
            self.note_temporary(TemporaryKind::Variable, of_variable.to_vec());
            let nullable = variable.value.is_null();
            let expr = datafusion::logical_expr::Expr::Literal(variable.value.clone(), None);
            let literal = crate::literals::from_scalar(&variable.value, &variable.data_type);
            let shown = literal.and_then(|l| self.nested_literal_text(&l));
            let collation = match &variable.data_type {
                DataType::String { collation: Some(name) } if !nullable => format!(" collate {name}"),
                _ => String::new(),
            };
            let name = format!("{VARIABLE}{full_name}={}{collation})", shown.unwrap_or_default());
            let value = TypedExpr::new(expr, variable.data_type.clone(), nullable, name)
                .with_collation(CollationStrength::Implicit);
            return self.nested(value, fields).map(Some);
        }
        Ok(None)
    }
}

/// How the text of a variable inside an expression begins; a column of the variable alone goes by its name.
pub(super) const VARIABLE: &str = "variablereference(";

/// A value as Spark writes literals in SQL (`Literal.sql`), where that is not the name of its column.
fn literal_text(literal: &Literal, name: String) -> String {
    let suffix = match literal {
        Literal::Null(data_type) if *data_type != DataType::Null => {
            return format!("CAST(NULL AS {})", data_type.sql());
        }
        Literal::String(text) => return format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Literal::Byte(_) => "Y",
        Literal::Short(_) => "S",
        Literal::Long(_) => "L",
        Literal::Double(v) if v.is_finite() => "D",
        Literal::Decimal { .. } => "BD",
        _ => "",
    };
    name + suffix
}

impl Analyzer {
    /// The same, with those of the values inside.
    fn nested_literal_text(&mut self, literal: &Literal) -> Result<String> {
        Ok(match literal {
            Literal::Array { values, .. } => format!("ARRAY({})", self.literal_texts(values)?.join(", ")),
            Literal::Map { keys, values, .. } => {
                let (keys, values) = (self.literal_texts(keys)?, self.literal_texts(values)?);
                let pairs = keys.iter().zip(&values).map(|(k, v)| format!("{k}, {v}"));
                format!("MAP({})", pairs.collect::<Vec<_>>().join(", "))
            }
            Literal::Struct { fields, values } => {
                let values = self.literal_texts(values)?;
                let pairs = fields.iter().zip(&values).map(|(f, v)| format!("'{}', {v}", f.name));
                format!("NAMED_STRUCT({})", pairs.collect::<Vec<_>>().join(", "))
            }
            other => {
                let name = self.literal(other)?.name;
                literal_text(other, name)
            }
        })
    }

    fn literal_texts(&mut self, literals: &[Literal]) -> Result<Vec<String>> {
        literals.iter().map(|l| self.nested_literal_text(l)).collect()
    }
}
