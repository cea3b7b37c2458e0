//! Functions of the session: who, where, and variables.

use boathouse_spec::{Call, DataType, Expr, Result};
use datafusion::logical_expr::lit;

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};

impl Analyzer {
    pub(super) fn session_function(&mut self, name: &str, call: &Call) -> Result<Option<TypedExpr>> {
        if !call.args.is_empty() {
            return Ok(None);
        }
        let value = match name {
            "current_user" | "user" | "session_user" => self.session.user().to_string(),
            "current_catalog" => self.session.namespace.read().0.clone(),
            "current_database" | "current_schema" => self.session.namespace.read().1.clone(),
            "version" => "4.2.0 boathouse".to_string(),
            _ => return Ok(None),
        };
        let shown = match name {
            "user" | "session_user" => "current_user",
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
        );
        if !known {
            return Ok(None);
        }
        let call = Expr::call(&lower, Vec::new());
        self.expr(&call, &Analyzed::one_row()?).map(Some)
    }

    pub(super) fn session_variable(&mut self, name: &[String]) -> Result<Option<TypedExpr>> {
        let Some(variable) = self.session.variables.lookup(name) else { return Ok(None) };
        let nullable = variable.value.is_null();
        let expr = datafusion::logical_expr::Expr::Literal(variable.value.clone(), None);
        Ok(Some(TypedExpr::new(expr, variable.data_type.clone(), nullable, &variable.name)))
    }
}
