//! Session variables: `DECLARE`, `DROP TEMPORARY VARIABLE`, `SET VAR`.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_spec::{
    DataType, Error, Expr, Literal, Name, Relation, RelationNode, Result, TextExpr, quote, quote_name,
};

use datafusion::scalar::ScalarValue;

use crate::analyzer::Analyzed;
use crate::commands::evaluate;
use crate::commands::store_assignment::fitted_value;
use crate::relation_walk::{has_subquery, operands};
use crate::resolver::query_path;
use crate::script::scope;
use crate::variables::Variable;
use crate::{QueryResult, Session};

pub(super) async fn declare(
    session: &Arc<Session>,
    names: Vec<Name>,
    data_type: Option<DataType>,
    default: Option<TextExpr>,
    or_replace: bool,
) -> Result<QueryResult> {
    let mut seen = HashSet::new();
    let mut bare = Vec::with_capacity(names.len());
    for name in &names {
        let last = declared_name(name)?;
        if !seen.insert(last.to_lowercase()) {
            return Err(declared_twice(&full_name(last)));
        }
        if !or_replace && session.variables.contains(last) {
            return Err(Error::new("VARIABLE_ALREADY_EXISTS")
                .param("variableName", full_name(last))
                .message(format!(
                    "The variable {} exists already. Drop it, or say DECLARE OR REPLACE.",
                    full_name(last)
                ))
                .exception("AnalysisException"));
        }
        bare.push(last.to_string());
    }
    for variable in with_default(session, bare, data_type, default, &["system", "session"]).await? {
        session.variables.put(variable);
    }
    Ok(QueryResult::empty())
}

/// The variables that a DECLARE in a script makes.
pub(crate) async fn local(
    session: &Arc<Session>,
    names: &[Name],
    data_type: Option<DataType>,
    default: Option<TextExpr>,
    or_replace: bool,
) -> Result<Vec<Variable>> {
    let invalid = |subclass: &str, name: &Name, why: &str| {
        Error::new(format!("INVALID_VARIABLE_DECLARATION.{subclass}"))
            .param("varName", quote_name(name))
            .message(format!("The variable {} cannot be declared: {why}.", quote_name(name)))
            .exception("AnalysisException")
    };
    let label = scope::innermost_label();
    let mut seen = HashSet::new();
    let mut bare = Vec::with_capacity(names.len());
    for name in names {
        if or_replace {
            return Err(invalid("REPLACE_LOCAL_VARIABLE", name, "variables of a script cannot be replaced"));
        }
        match name.as_slice() {
            [name] if !seen.insert(name.to_lowercase()) => {
                return Err(declared_twice(&quote_name(&[label.as_str(), name.as_str()])));
            }
            [name] => bare.push(name.clone()),
            _ => {
                return Err(invalid(
                    "QUALIFIED_LOCAL_VARIABLE",
                    name,
                    "variables of a script have no qualifier",
                ));
            }
        }
    }
    with_default(session, bare, data_type, default, &["local", &label]).await
}

fn declared_twice(name: &str) -> Error {
    Error::new("DUPLICATE_VARIABLE_NAME_INSIDE_DECLARE")
        .param("variableName", name)
        .message(format!("The variable {name} is declared twice in one statement."))
        .exception("AnalysisException")
}

async fn with_default(
    session: &Arc<Session>,
    names: Vec<String>,
    data_type: Option<DataType>,
    default: Option<TextExpr>,
    within: &[&str],
) -> Result<Vec<Variable>> {
    if let Some(default) = default.as_ref().filter(|d| has_subquery(&d.expr)) {
        return Err(subquery_in_default(session, &names, default, within).await);
    }
    let expr = default.map_or(Expr::Literal(Literal::NULL), |d| d.expr);
    let expr = match &data_type {
        Some(t) => expr.ansi_cast(t.clone()),
        None => expr,
    };
    let mut values = evaluate::row(session, vec![expr]).await?;
    let (value, inferred) = values.pop().ok_or_else(|| Error::internal("a default has no value"))?;
    let data_type = data_type.unwrap_or(inferred);
    let value = fitted_value(value, &data_type)?;
    let variable =
        |name| Variable { name, data_type: data_type.clone(), value: value.clone(), default: value.clone() };
    Ok(names.into_iter().map(variable).collect())
}

/// What is wrong with a default that holds a subquery: what the analyzer says, or else that it does.
async fn subquery_in_default(
    session: &Arc<Session>,
    names: &[String],
    default: &TextExpr,
    within: &[&str],
) -> Error {
    let expr = default.expr.clone();
    let analyzed = session.analyze(move |a| a.expression(&expr, &Analyzed::one_row()?).map(|_| ()));
    if let Err(e) = analyzed.await {
        return e;
    }
    let full: Vec<&str> = within.iter().copied().chain(names.first().map(String::as_str)).collect();
    let name = quote_name(&full);
    Error::new("INVALID_DEFAULT_VALUE.SUBQUERY_EXPRESSION")
        .param("statement", "DECLARE VARIABLE")
        .param("colName", &name)
        .param("defaultValue", &default.text)
        .message(format!(
            "The default of {name} must not hold a subquery, as {} does; SET VARIABLE takes one.",
            default.text
        ))
        .exception("AnalysisException")
}

pub(super) fn drop(session: &Arc<Session>, name: &[String], if_exists: bool) -> Result<QueryResult> {
    let last = declared_name(name)?;
    if !session.variables.remove(last) && !if_exists {
        return Err(Error::new("VARIABLE_NOT_FOUND")
            .param("variableName", full_name(last))
            .message(format!("There is no variable {}. IF EXISTS tolerates this.", full_name(last)))
            .exception("AnalysisException"));
    }
    Ok(QueryResult::empty())
}

pub(super) async fn set(session: &Arc<Session>, assignments: Vec<(Name, Expr)>) -> Result<QueryResult> {
    let targets = lookup_all(session, assignments.iter().map(|(name, _)| name))?;
    if assignments.iter().any(|(_, expr)| operands(expr).into_iter().any(names_default)) {
        return Err(Error::new("DEFAULT_PLACEMENT_INVALID")
            .message("DEFAULT can only be the whole value that a variable is set to.")
            .exception("AnalysisException"));
    }
    let mut items = Vec::with_capacity(assignments.len());
    for (Target { variable, .. }, (_, expr)) in targets.iter().zip(assignments) {
        let value = match expr {
            Expr::Default => {
                crate::literals::from_scalar(&variable.default, &variable.data_type).map(Expr::Literal)?
            }
            expr => expr.ansi_cast(variable.data_type.clone()),
        };
        items.push((variable.name.clone(), value));
    }
    let values = evaluate::named_row(session, items).await?;
    assign(session, &targets, values)
}

/// Whether DEFAULT stands somewhere in an expression.
fn names_default(expr: &Expr) -> bool {
    match expr {
        Expr::Default => true,
        Expr::Column(c) => matches!(c.name.as_slice(), [name] if name.eq_ignore_ascii_case("default")),
        other => operands(other).into_iter().any(names_default),
    }
}

pub(super) async fn set_from_query(
    session: &Arc<Session>,
    names: Vec<Name>,
    query: Relation,
) -> Result<QueryResult> {
    let targets = lookup_all(session, names.iter())?;
    let values = values_for(session, &targets, query).await?;
    assign(session, &targets, values)
}

/// As [`set_from_query`], for a query that sees no variables of the script around it.
pub(super) async fn set_from_hidden_query(
    session: &Arc<Session>,
    names: Vec<Name>,
    query: Relation,
) -> Result<QueryResult> {
    let targets = lookup_all(session, names.iter())?;
    let values = scope::hidden(values_for(session, &targets, query)).await?;
    assign(session, &targets, values)
}

/// Gives variables the values of a row. One variable of a struct type takes the row as a whole, where that has several columns.
pub(super) struct Receivers(Vec<Target>);

impl Receivers {
    pub fn of(session: &Session, names: &[Name]) -> Result<Self> {
        lookup_all(session, names.iter()).map(Self)
    }

    pub async fn take(&self, session: &Arc<Session>, row: Vec<(ScalarValue, DataType)>) -> Result<()> {
        let mut values = Vec::with_capacity(row.len());
        for (value, data_type) in row {
            values.push(crate::literals::from_scalar(&value, &data_type).map(Expr::Literal)?);
        }
        if let ([Target { variable, .. }], [_, _, ..]) = (self.0.as_slice(), values.as_slice())
            && matches!(variable.data_type, DataType::Struct(_))
        {
            values = vec![Expr::call("struct", values)];
        }
        if values.len() != self.0.len() {
            return Err(Error::new("ASSIGNMENT_ARITY_MISMATCH")
                .param("numTarget", self.0.len())
                .param("numExpr", values.len())
                .message(format!("{} variables cannot be set to {} values.", self.0.len(), values.len()))
                .exception("AnalysisException"));
        }
        let exprs = self.0.iter().zip(values).map(|(t, v)| v.ansi_cast(t.variable.data_type.clone()));
        let values = evaluate::row(session, exprs.collect()).await?;
        assign(session, &self.0, values).map(|_| ())
    }
}

fn assign(
    session: &Session,
    targets: &[Target],
    values: Vec<(ScalarValue, DataType)>,
) -> Result<QueryResult> {
    let values = targets.iter().zip(values).map(|(t, (value, _))| fitted_value(value, &t.variable.data_type));
    for (target, value) in targets.iter().zip(values.collect::<Result<Vec<_>>>()?) {
        target.set(session, value);
    }
    Ok(QueryResult::empty())
}

/// The only row of a query, as values of the variables.
async fn values_for(
    session: &Arc<Session>,
    targets: &[Target],
    query: Relation,
) -> Result<Vec<(ScalarValue, DataType)>> {
    let columns = session.schema(&query).await?.fields.len();
    if columns != targets.len() {
        return Err(Error::new("ASSIGNMENT_ARITY_MISMATCH")
            .param("numTarget", targets.len())
            .param("numExpr", columns)
            .message(format!("{} variables cannot be set to {columns} values.", targets.len()))
            .exception("AnalysisException"));
    }
    let names: Vec<String> = (0..columns).map(|i| format!("c{i}")).collect();
    let exprs = targets
        .iter()
        .zip(&names)
        .map(|(t, n)| Expr::column([n.as_str()]).ansi_cast(t.variable.data_type.clone()).alias(n.as_str()))
        .collect();
    let renamed = Relation::new(RelationNode::ToDf { input: query, names });
    let query = Relation::new(RelationNode::Project { input: renamed, exprs });
    let (schema, batches) = evaluate::query_rows(session, query).await?;
    evaluate::first_row(&schema, &batches)
}

/// A variable to set: of the script where it has a place there, of the session otherwise.
struct Target {
    variable: Arc<Variable>,
    place: Option<scope::Place>,
}

impl Target {
    fn of(session: &Session, name: &[String]) -> Option<Self> {
        if let Some(local) = scope::lookup(name) {
            return Some(Self { variable: local.variable, place: Some(local.place) });
        }
        session.variables.lookup(name).map(|variable| Self { variable, place: None })
    }

    fn is(&self, other: &Self) -> bool {
        self.place == other.place
            && (self.place.is_some() || self.variable.name.eq_ignore_ascii_case(&other.variable.name))
    }

    fn set(&self, session: &Session, value: ScalarValue) {
        match self.place {
            Some(place) => scope::set(place, value),
            None => session.variables.set(&self.variable.name, value),
        }
    }
}

/// The variables to set; each once.
fn lookup_all<'a>(session: &Session, names: impl Iterator<Item = &'a Name>) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    for name in names {
        let Some(target) = Target::of(session, name) else {
            let (catalog, schema) = session.current_namespace();
            return Err(Error::new("UNRESOLVED_VARIABLE")
                .param("variableName", quote_name(name))
                .param("searchPath", format!("[{}]", query_path(&catalog, &schema).join(", ")))
                .message(format!("There is no variable {}. DECLARE it first.", quote_name(name)))
                .exception("AnalysisException"));
        };
        if targets.iter().any(|t| t.is(&target)) {
            let name = quote(&target.variable.name);
            return Err(Error::new("DUPLICATE_ASSIGNMENTS")
                .param("nameList", &name)
                .message(format!("The variable {name} is set twice in one statement."))
                .exception("AnalysisException"));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// The last part of the name of a variable to declare or drop.
fn declared_name(name: &[String]) -> Result<&str> {
    match name {
        [v] => Ok(v),
        [schema, v] if schema.eq_ignore_ascii_case("session") => Ok(v),
        [catalog, schema, v]
            if catalog.eq_ignore_ascii_case("system") && schema.eq_ignore_ascii_case("session") =>
        {
            Ok(v)
        }
        _ => Err(Error::new("UNRESOLVED_VARIABLE")
            .param("variableName", quote_name(name))
            .param("searchPath", "[`system`.`session`]")
            .message(format!("{} cannot be a variable: variables live in system.session.", quote_name(name)))
            .exception("AnalysisException")),
    }
}

fn full_name(last: &str) -> String {
    quote_name(&["system", "session", last])
}
