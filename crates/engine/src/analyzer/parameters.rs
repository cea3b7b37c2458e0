//! `:name` and `?` in SQL text, and IDENTIFIER().

use boathouse_spec::{Error, Expr, Name, Plan, Result, SqlText};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};

impl Analyzer {
    /// SQL text as a relation; commands are run before, by the session.
    pub(super) fn sql_text(&mut self, sql: &SqlText) -> Result<Analyzed> {
        let mut options = self.session.conf().parser_options();
        let is_literal = crate::literals::is_written;
        let given = !sql.named.is_empty() || !sql.positional.is_empty();
        // Values that are known can stand where the grammar wants a literal, as in `:name '_suffix'`.
        if given && sql.named.iter().all(|(_, e)| is_literal(e)) && sql.positional.iter().all(is_literal) {
            options.parameters = Some(boathouse_sql::Parameters {
                named: sql.named.clone(),
                positional: sql.positional.clone(),
            });
        }
        let text = self.session.substituted(&sql.text).into_owned();
        let plan = boathouse_sql::parse_statement(&text, &options)?;
        let relation = match plan {
            Plan::Query(relation) => relation,
            Plan::Command(command) => return self.command_result(None, &command),
        };
        self.with_parameters(&sql.named, &sql.positional, |analyzer| analyzer.relation(&relation))
    }

    /// Analyzes with parameters in sight.
    pub(crate) fn with_parameters<T>(
        &mut self,
        named: &[(String, Expr)],
        positional: &[Expr],
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.named_parameters.push(named.iter().map(|(k, v)| (k.to_lowercase(), v.clone())).collect());
        self.positional_parameters.push(positional.to_vec());
        let result = analyze(self);
        self.named_parameters.pop();
        self.positional_parameters.pop();
        result
    }

    pub(super) fn named_parameter(&mut self, name: &str, over: &Analyzed) -> Result<TypedExpr> {
        let key = name.to_lowercase();
        let found = self.named_parameters.iter().rev().find_map(|p| p.get(&key).cloned());
        match found {
            Some(expr) => self.expr(&expr, over),
            None => Err(Error::new("UNBOUND_SQL_PARAMETER")
                .param("name", name)
                .message(format!("The parameter :{name} was given no value."))),
        }
    }

    pub(super) fn positional_parameter(&mut self, position: usize, over: &Analyzed) -> Result<TypedExpr> {
        let found = self.positional_parameters.last().and_then(|p| p.get(position).cloned());
        match found {
            Some(expr) => self.expr(&expr, over),
            None => Err(Error::new("UNBOUND_SQL_PARAMETER")
                .param("name", format!("_{position}"))
                .message(format!("The parameter at position {} was given no value.", position + 1))),
        }
    }

    /// The name an IDENTIFIER() stands for.
    pub(crate) fn identifier(&mut self, expr: &Expr) -> Result<Name> {
        self.identifier_over(expr, &super::Analyzed::one_row()?)
    }

    /// The same, where columns are in sight that it cannot use.
    pub(super) fn identifier_over(&mut self, expr: &Expr, over: &Analyzed) -> Result<Name> {
        let typed = self.expr(expr, over)?;
        if !super::expr::is_foldable(&typed.expr) {
            return Err(Error::new("NOT_A_CONSTANT_STRING.NOT_CONSTANT")
                .param("name", "IDENTIFIER")
                .param("expr", format!("\"{}\"", typed.name))
                .message(format!("IDENTIFIER() needs a constant string, which {} is not.", typed.name)));
        }
        match self.fold(&typed)? {
            ScalarValue::Utf8(Some(text)) => boathouse_sql::parse_name(&text),
            ScalarValue::Utf8(None) => Err(Error::new("NOT_A_CONSTANT_STRING.NULL")
                .param("name", "IDENTIFIER")
                .param("expr", "NULL")
                .message("IDENTIFIER() needs a string, not NULL.")),
            other => Err(Error::new("NOT_A_CONSTANT_STRING.WRONG_TYPE")
                .param("name", "IDENTIFIER")
                .param("expr", other.to_string())
                .message("IDENTIFIER() needs a string.")),
        }
    }
}

pub(crate) fn mixed_parameters() -> Error {
    Error::new("INVALID_QUERY_MIXED_QUERY_PARAMETERS")
        .message("A statement has parameters by name (:name) or by position (?), not both.")
        .exception("AnalysisException")
}
