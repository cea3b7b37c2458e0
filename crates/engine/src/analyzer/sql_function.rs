//! SQL functions of the user: the body is analyzed in place of the call, the parameters being the arguments.

use std::collections::HashMap;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_catalog::{FunctionKind, FunctionRecord, ObjectName, ParameterRecord};
use boathouse_functions::cast::Mode;
use boathouse_functions::{Resolved, registry, scalar_udf};
use boathouse_spec::{Call, Error, Expr, Name, Plan, Relation, RelationNode, Result};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr as DfExpr, Subquery};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::collation::CollationStrength;
use super::expr::is_foldable;
use super::named_arguments::not_given;
use super::subquery::has_correlated_scalar;
use super::temporaries::TemporaryKind;
use crate::functions::{self, SessionFunction};

/// Functions may call functions, but not forever.
const MAX_DEPTH: usize = 64;

impl Analyzer {
    /// A parameter of the SQL function being expanded, or an earlier alias of the same SELECT list.
    pub(super) fn function_parameter(&mut self, name: &[String]) -> Result<Option<TypedExpr>> {
        let found = match name {
            [first, ..] => {
                self.function_parameters.last().and_then(|p| p.get(&first.to_lowercase()).cloned())
            }
            [] => None,
        };
        let found = found.map(|value| self.seen_from_inside(value)).transpose()?;
        match (found, name) {
            (Some(value), [_, rest @ ..]) => {
                let is_alias = value.name.starts_with(super::project::LATERAL_ALIAS);
                let value = self.nested(value, rest)?;
                Ok(Some(match rest.last() {
                    // A field of an alias shows its own name only.
                    Some(field) if is_alias => value.named(super::project::lateral_name(field)),
                    _ => value,
                }))
            }
            // `function.parameter`
            (None, [_, second, rest @ ..]) => {
                let second =
                    self.function_parameters.last().and_then(|p| p.get(&second.to_lowercase()).cloned());
                let second = second.filter(|v| !v.name.starts_with(super::project::LATERAL_ALIAS));
                match second {
                    Some(value) => {
                        let value = self.seen_from_inside(value)?;
                        self.nested(value, rest).map(Some)
                    }
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// An argument as a subquery in the function's body sees it: its columns are those of a query around.
    fn seen_from_inside(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        if self.outer.is_empty() {
            return Ok(value);
        }
        let mut used = Vec::new();
        let expr = value.expr.clone().transform(|e| {
            let DfExpr::Column(column) = &e else { return Ok(Transformed::no(e)) };
            let around = self.outer.iter().enumerate().rev().find_map(|(level, attributes)| {
                let found = attributes.iter().find(|a| a.internal_name() == column.name)?;
                Some((level, found.clone()))
            });
            Ok(match around {
                Some((level, attribute)) => {
                    let outer = attribute.outer_column();
                    used.push((level, attribute));
                    Transformed::yes(outer)
                }
                None => Transformed::no(e),
            })
        });
        let expr = expr.spark()?.data;
        for (level, attribute) in used {
            for inner in self.outer_used.iter_mut().skip(level) {
                inner.push(attribute.clone());
            }
        }
        Ok(TypedExpr { expr, ..value })
    }

    /// The user's function of that name: the session's, then the catalog's.
    pub(super) fn find_function(&mut self, name: &Name) -> Result<Option<SessionFunction>> {
        if let Some(of_session) = functions::session_name(name)
            && let Some(function) = self.session.functions.get(of_session)
        {
            self.note_temporary(TemporaryKind::Function, vec![of_session.to_string()]);
            return Ok(Some(function));
        }
        let (catalog, schema) = self.namespace.clone();
        let full = match name.as_slice() {
            [f] => ObjectName::new(&catalog, &schema, f),
            [s, f] => ObjectName::new(&catalog, s, f),
            [c, s, f] => ObjectName::new(c, s, f),
            _ => return Ok(None),
        };
        let found = self.wait(self.session.engine.catalog.find_function(&full))?;
        Ok(found.map(|f| SessionFunction::Sql(Arc::new(f))))
    }

    pub(super) fn sql_function(&mut self, call: &Call, over: &Analyzed) -> Result<Option<TypedExpr>> {
        let function = match self.find_function(&call.name)? {
            Some(SessionFunction::Sql(function)) => function,
            Some(SessionFunction::Python { function, deterministic, is_table_function: false }) => {
                let name = call.name.last().cloned().unwrap_or_default();
                return self.python_call(&name, &function, &call.args, deterministic, over).map(Some);
            }
            Some(SessionFunction::Python { .. }) => {
                return Err(super::error::not_a_scalar_function(&call.name));
            }
            None => return Ok(None),
        };
        if function.kind == FunctionKind::Table {
            return Err(super::error::not_a_scalar_function(&call.name));
        }
        if functions::is_class(&function) {
            return Err(functions::cannot_load(&function.body, &function.name));
        }
        self.forbid_aggregate_syntax(call)?;
        let written = Expr::Call(Box::new(call.clone()));
        if let Some(known) = self.known_subquery(&written) {
            return Ok(Some(known));
        }
        if !self.lambda_parameters.is_empty() {
            let name = function_shown_name(&function);
            return Err(Error::new("UNSUPPORTED_FEATURE.LAMBDA_FUNCTION_WITH_SQL_UDF")
                .param("funcName", &name)
                .message(format!("A lambda cannot call the SQL function {name}.")));
        }
        let (parameters, shown_count) = self.bind_parameters(&function, &call.args, over)?;
        let shown = format!(
            "{}({})",
            function_shown_name(&function),
            function
                .parameters
                .iter()
                .take(shown_count)
                .map(|p| parameters.get(&p.name.to_lowercase()).map_or("", |v| &v.name))
                .collect::<Vec<_>>()
                .join(", ")
        );
        let given_complex = parameters.values().any(|v| is_complex(&v.expr));
        let body = self.body_of_call(&function, &parameters, over, false)?;
        // Beside aggregates the arguments are over the groups, and not the rows.
        let is_correlated = |e: &DfExpr| subquery_of(e).is_some_and(|s| !s.outer_ref_columns.is_empty());
        let body = match self.is_over_groups() && body.expr.exists(|e| Ok(is_correlated(e))).spark()? {
            true => self.body_of_call(&function, &parameters, over, true)?,
            false => body,
        };
        let is_subquery = matches!(body.expr, DfExpr::ScalarSubquery(_));
        if is_complex(&body.expr) && !given_complex && !is_subquery {
            return Err(too_complex(&function, "its body"));
        }
        let value = match &function.returns {
            Some(t) => {
                let mode = if self.context.ansi { Mode::Ansi } else { Mode::Legacy };
                self.cast(body, t, mode)?
            }
            None => body,
        };
        let value = value.named(shown).with_collation(CollationStrength::Implicit);
        if value.expr.exists(|e| Ok(subquery_of(e).is_some())).spark()? {
            self.note_subquery(&written, &value);
        }
        Ok(Some(value))
    }

    /// Spark expands SQL functions in projections, filters, joins and aggregations, not in what generators are given, nor in
    /// the other `node`s that ask here.
    pub(super) fn forbid_sql_functions(&mut self, exprs: &[Expr], node: &str) -> Result<()> {
        match self.sql_function_in(exprs)? {
            Some(function) => Err(unusable_in(&function, node)),
            None => Ok(()),
        }
    }

    /// A SQL function of the user that is called somewhere in the expressions.
    pub(super) fn sql_function_in(&mut self, exprs: &[Expr]) -> Result<Option<Arc<FunctionRecord>>> {
        let mut waiting: Vec<&Expr> = exprs.iter().collect();
        while let Some(expr) = waiting.pop() {
            if let Expr::Call(call) = expr
                && !call.is_operator
                && call.name.last().is_some_and(|n| !registry().contains(n))
                && let Some(SessionFunction::Sql(function)) = self.find_function(&call.name)?
            {
                return Ok(Some(function));
            }
            waiting.extend(crate::relation_walk::operands(expr));
        }
        Ok(None)
    }

    /// The body with the arguments in place of the parameters. With `all`, each argument that its subqueries use is computed
    /// below, else only those that have to be.
    fn body_of_call(
        &mut self,
        function: &FunctionRecord,
        parameters: &HashMap<String, TypedExpr>,
        over: &Analyzed,
        all: bool,
    ) -> Result<TypedExpr> {
        let mut seen = parameters.clone();
        let mut arguments: Vec<(Attribute, TypedExpr)> = Vec::new();
        for parameter in &function.parameters {
            let Some(value) = seen.get_mut(&parameter.name.to_lowercase()) else { continue };
            if is_computed(&value.expr)? || (all && !is_foldable(&value.expr)) {
                let column = self.attribute(&parameter.name, value.data_type.clone(), value.nullable);
                let named = column.typed().named(value.name.clone());
                arguments.push((column, std::mem::replace(value, named)));
            }
        }
        // The body sees its parameters only, never the columns around the call; their values may be of these.
        let mut unseen = over.without_names();
        let columns = arguments.iter().map(|(column, _)| column.clone());
        unseen.hidden.extend(columns.map(|column| Attribute { qualified_only: true, ..column }));
        let body = self.inside_function(function, seen, |analyzer| {
            let options = analyzer.session.conf().parser_options();
            if function.body_is_query {
                let Plan::Query(query) = boathouse_sql::parse_statement(&function.body, &options)? else {
                    return Err(Error::internal("the body of a function is no query"));
                };
                match expression_of(&query).filter(|e| !analyzer.is_generator_item(e)) {
                    Some(body) => analyzer.expr(body, &unseen),
                    None => analyzer.scalar_subquery(&query, &unseen),
                }
            } else {
                let body = boathouse_sql::parse_expression(&function.body)?;
                analyzer.expr(&body, &unseen)
            }
        })?;
        arguments.into_iter().try_fold(body, |body, (column, value)| self.with_argument(body, &column, value))
    }

    /// The body with an argument in place of its column, or beside it where it is to be computed below.
    fn with_argument(&self, body: TypedExpr, column: &Attribute, value: TypedExpr) -> Result<TypedExpr> {
        let name = column.internal_name();
        let is_argument = |e: &DfExpr| match e {
            DfExpr::Column(c) | DfExpr::OuterReferenceColumn(_, c) => c.name == name,
            _ => false,
        };
        let (mut places, mut in_subquery) = (0, false);
        body.expr
            .apply(|e| {
                places += usize::from(is_argument(e));
                in_subquery |= subquery_of(e).is_some_and(|s| s.outer_ref_columns.iter().any(is_argument));
                Ok(TreeNodeRecursion::Continue)
            })
            .spark()?;
        let is_below = in_subquery || (places > 1 && value.expr.is_volatile());
        let place = if is_below { column.outer_column() } else { value.expr.clone() };
        let replaced = body.expr.transform(|e| {
            Ok(match &e {
                DfExpr::Column(c) if c.name == name => Transformed::yes(place.clone()),
                _ => Transformed::no(e),
            })
        });
        let expr = replaced.spark()?.data;
        if !is_below {
            return Ok(TypedExpr { expr, ..body });
        }
        let types = vec![value.data_type, body.data_type.clone()];
        let resolved = Resolved::new(types, body.data_type.clone(), body.nullable, |_| {
            Err(Error::internal("the argument of a function was not planned"))
        });
        let name = crate::bound_arguments::function_name(&column.df_column());
        let expr = scalar_udf(&name, resolved, &self.context).call(vec![value.expr, expr]);
        Ok(TypedExpr { expr, ..body })
    }

    /// The arguments by parameter name: positional, named, or by default; each cast to the parameter's type. Beside them, how
    /// many the call's name shows: those that are given, and all where some are given by name.
    pub(super) fn bind_parameters(
        &mut self,
        function: &FunctionRecord,
        args: &[Expr],
        over: &Analyzed,
    ) -> Result<(HashMap<String, TypedExpr>, usize)> {
        let name = function.name.parts().join(".");
        let (names, values) = self.given_arguments(args, over)?;
        if values.len() > function.parameters.len() {
            return Err(wrong_count(function, values.len()));
        }
        check_named_last(function, &names)?;
        check_given_once(function, &names)?;
        let given = values.len();
        let mut bound: HashMap<String, TypedExpr> = HashMap::new();
        for ((wanted, value), by_position) in names.iter().zip(values).zip(&function.parameters) {
            let parameter = match wanted {
                Some(wanted) => {
                    let found = function.parameters.iter().find(|p| p.name.eq_ignore_ascii_case(wanted));
                    found.ok_or_else(|| {
                        Error::new("UNRECOGNIZED_PARAMETER_NAME")
                            .param("routineName", boathouse_spec::quote(&name))
                            .param("argumentName", boathouse_spec::quote(wanted))
                            .param("proposal", "")
                            .message(format!("{name} has no parameter {wanted}."))
                    })?
                }
                None => by_position,
            };
            let shown = value.name.clone();
            let value = self.implicit(value, &parameter.data_type)?.named(shown);
            bound.insert(parameter.name.to_lowercase(), value.with_collation(CollationStrength::Implicit));
        }
        let has_names = names.iter().any(Option::is_some);
        for (i, p) in function.parameters.iter().enumerate() {
            if bound.contains_key(&p.name.to_lowercase()) {
                continue;
            }
            let value = match self.default_of(p)? {
                Some(value) => value,
                None if has_names => return Err(not_given(&name, &p.name, i)),
                None => return Err(wrong_count(function, given)),
            };
            bound.insert(p.name.to_lowercase(), value.with_collation(CollationStrength::Implicit));
        }
        Ok((bound, if has_names { function.parameters.len() } else { given }))
    }

    /// The names of arguments, where they have any, and their values; the columns that a star stands for are arguments.
    fn given_arguments<'a>(
        &mut self,
        args: &'a [Expr],
        over: &Analyzed,
    ) -> Result<(Vec<Option<&'a str>>, Vec<TypedExpr>)> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for arg in args {
            let name = match arg {
                Expr::NamedArgument { name, .. } => Some(name.as_str()),
                _ => None,
            };
            for value in self.args(std::slice::from_ref(arg), over)? {
                names.push(name);
                values.push(value);
            }
        }
        Ok((names, values))
    }

    /// The default of a parameter, where it has one: a value of the parameter's type.
    fn default_of(&mut self, parameter: &ParameterRecord) -> Result<Option<TypedExpr>> {
        let Some(default) = &parameter.default else { return Ok(None) };
        let parsed = boathouse_sql::parse_expression(default)?;
        let one = Analyzed::one_row()?;
        let value = self.without_variables(|analyzer| analyzer.expr(&parsed, &one))?;
        self.implicit(value, &parameter.data_type).map(Some)
    }

    /// Analyzes the defaults of a new function's parameters, each on its own.
    pub(crate) fn check_defaults(&mut self, function: &FunctionRecord) -> Result<()> {
        for parameter in &function.parameters {
            let value = self.default_of(parameter)?;
            if value.is_some_and(|v| is_complex(&v.expr)) {
                return Err(too_complex(function, &parameter.name));
            }
        }
        Ok(())
    }

    /// Analyzes something of a function's body: its parameters in sight, names meaning what they did at its creation.
    pub(super) fn inside_function<T>(
        &mut self,
        function: &FunctionRecord,
        parameters: HashMap<String, TypedExpr>,
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.functions_used.push(function.name.clone());
        if self.function_parameters.len() >= MAX_DEPTH {
            return Err(Error::new("RECURSIVE_FUNCTION")
                .message(format!("The function {} calls itself.", function.name.parts().join("."))));
        }
        let namespace = if function.current_catalog.is_empty() {
            self.namespace.clone()
        } else {
            (function.current_catalog.clone(), function.current_schema.clone())
        };
        let saved = std::mem::replace(&mut self.namespace, namespace);
        // In the body an argument goes by its parameter's name: the text of a literal would give types.
        let named = parameters.into_iter().map(|(name, value)| (name.clone(), value.named(name))).collect();
        self.function_parameters.push(named);
        let lambdas = std::mem::take(&mut self.lambda_parameters);
        // Its aggregates are its own.
        let aggregates = self.outer_aggregates.take();
        let result = self.under_configs(&function.configs, analyze);
        self.outer_aggregates = aggregates;
        self.lambda_parameters = lambdas;
        self.function_parameters.pop();
        self.namespace = saved;
        result
    }
}

/// Refuses an argument by position after one by name.
fn check_named_last(function: &FunctionRecord, names: &[Option<&str>]) -> Result<()> {
    let mut named: Option<&str> = None;
    for name in names.iter().copied() {
        match (name, named) {
            (Some(name), _) => named = Some(name),
            (None, Some(name)) => {
                let routine = function.name.parts().join(".");
                return Err(Error::new("UNEXPECTED_POSITIONAL_ARGUMENT")
                    .param("routineName", boathouse_spec::quote(&routine))
                    .param("parameterName", boathouse_spec::quote(name))
                    .message(format!(
                        "{routine} has an argument by position after {name}, which is given by name."
                    )));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Refuses a parameter that has two arguments.
fn check_given_once(function: &FunctionRecord, names: &[Option<&str>]) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        let Some(given) = name.map(str::to_lowercase) else { continue };
        let is_same = |other: &Option<&str>| other.is_some_and(|o| o.to_lowercase() == given);
        let place = function.parameters.iter().position(|p| p.name.to_lowercase() == given);
        let class = if names.iter().take(i).any(is_same) {
            "DOUBLE_NAMED_ARGUMENT_REFERENCE"
        } else if place.and_then(|at| names.get(at)).is_some_and(Option::is_none) {
            "BOTH_POSITIONAL_AND_NAMED"
        } else {
            continue;
        };
        let routine = boathouse_spec::quote(&function.name.parts().join("."));
        return Err(Error::new(format!("DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.{class}"))
            .param("routineName", routine)
            .param("parameterName", boathouse_spec::quote(&given))
            .message(format!("The parameter {given} is given twice.")));
    }
    Ok(())
}

/// The expression that a query without tables is: Spark puts it in the place of the call, as a body without SELECT.
fn expression_of(query: &Relation) -> Option<&Expr> {
    let RelationNode::Project { input, exprs } = &*query.node else { return None };
    if !matches!(&*input.node, RelationNode::OneRow) {
        return None;
    }
    match exprs.as_slice() {
        [Expr::Star(_) | Expr::ColumnRegex { .. }] => None,
        [Expr::Alias { expr, .. }] => Some(expr),
        [expr] => Some(expr),
        _ => None,
    }
}

/// Whether an argument cannot stand in place of its parameter everywhere: it would be another value at each place, or mean
/// something else in a subquery.
fn is_computed(expr: &DfExpr) -> Result<bool> {
    let is_outer = |e: &DfExpr| matches!(e, DfExpr::OuterReferenceColumn(..));
    let is_of_query_around = expr.column_refs().is_empty() && expr.exists(|e| Ok(is_outer(e))).spark()?;
    Ok(expr.is_volatile() || is_complex(expr) || is_of_query_around || has_correlated_scalar(expr)?)
}

fn unusable_in(function: &FunctionRecord, node: &str) -> Error {
    Error::new("UNSUPPORTED_SQL_UDF_USAGE")
        .param("functionName", function.name.quoted())
        .param("nodeName", node)
        .message(format!(
            "The SQL function {} cannot be used in {node}; compute its value in a subquery first.",
            function.name.name
        ))
}

fn subquery_of(expr: &DfExpr) -> Option<&Subquery> {
    match expr {
        DfExpr::ScalarSubquery(subquery) => Some(subquery),
        DfExpr::Exists(exists) => Some(&exists.subquery),
        DfExpr::InSubquery(is_in) => Some(&is_in.subquery),
        _ => None,
    }
}

fn is_complex(expr: &DfExpr) -> bool {
    super::aggregate::has_aggregate(expr) || super::window::has_window(expr)
}

fn too_complex(function: &FunctionRecord, what: &str) -> Error {
    Error::new("USER_DEFINED_FUNCTIONS.CANNOT_CONTAIN_COMPLEX_FUNCTIONS")
        .param("queryText", &function.body)
        .message(format!(
            "The function {} aggregates or uses a window in {what}: that takes a query.",
            function_shown_name(function)
        ))
}

fn function_shown_name(function: &FunctionRecord) -> String {
    if function.name.catalog.is_empty() || function.name.schema.is_empty() {
        return function.name.name.clone();
    }
    function.name.parts().join(".")
}

fn wrong_count(function: &FunctionRecord, given: usize) -> Error {
    let name = function.name.parts().join(".");
    Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
        .param("functionName", boathouse_spec::quote(&name))
        .param("expectedNum", function.parameters.len())
        .param("actualNum", given)
        .message(format!("{name} takes {} arguments, not {given}.", function.parameters.len()))
}
