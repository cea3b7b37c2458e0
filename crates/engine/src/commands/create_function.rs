//! `CREATE FUNCTION`, `DROP FUNCTION`, and Python functions registered under a name.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_catalog::{FunctionKind, FunctionRecord, ObjectName, OnConflict, ParameterRecord};
use boathouse_functions::refuse_char;
use boathouse_spec::{
    CreateFunction, CreateMode, DataType, Error, Expr, FunctionBody, FunctionReturn, JoinKind, Literal,
    PythonFunction, Relation, RelationNode, Result, StructType, clock, quote, quote_name,
};

use crate::commands::create_view::temporary_reference;
use crate::functions::{JAVA, SessionFunction, cannot_load, is_class, session_name};
use crate::relation_walk::has_subquery;
use crate::{QueryResult, Session};

pub(super) fn register_python(
    session: &Arc<Session>,
    name: &str,
    function: PythonFunction,
    deterministic: bool,
    is_table_function: bool,
) -> Result<QueryResult> {
    let function = SessionFunction::Python { function: Arc::new(function), deterministic, is_table_function };
    session.functions.put(name, function, true);
    Ok(QueryResult::empty())
}

pub(super) async fn create(session: &Arc<Session>, create: CreateFunction) -> Result<QueryResult> {
    let bare = create.name.last().cloned().unwrap_or_default();
    check_parameters(&create, &bare)?;
    let name = match create.temporary {
        true => match session_name(&create.name) {
            Some(_) => {
                ObjectName { catalog: String::new(), schema: String::new(), name: bare.to_lowercase() }
            }
            None => {
                let qualifier = create.name.split_last().map(|(_, qualifier)| qualifier).unwrap_or_default();
                return Err(Error::new("INVALID_TEMP_OBJ_QUALIFIER")
                    .param("objectType", "FUNCTION")
                    .param("objectName", quote(&bare))
                    .param("qualifier", quote_name(qualifier))
                    .message(format!("A temporary function belongs to no schema: name it {}.", quote(&bare)))
                    .exception("ParseException"));
            }
        },
        false => session.known_object_name(&create.name).await?,
    };
    let mode = create.mode;
    let temporary = create.temporary;
    if !temporary
        && mode == CreateMode::IfNotExists
        && session.engine.catalog.find_function(&name).await?.is_some()
    {
        return Ok(QueryResult::empty());
    }
    let record = record(session, create, name.clone())?;
    let record = match is_class(&record) {
        true => record,
        false => checked(session, record).await?,
    };
    if temporary {
        refuse_builtin(session, &bare, mode)?;
        let record = FunctionRecord { created_at_us: clock::now_us(), ..record };
        let function = SessionFunction::Sql(Arc::new(record));
        if !session.functions.put(&bare, function, mode == CreateMode::OrReplace)
            && mode != CreateMode::IfNotExists
        {
            return Err(Error::new("ROUTINE_ALREADY_EXISTS")
                .param("routineName", quote(&bare))
                .param("newRoutineType", "routine")
                .param("existingRoutineType", "routine")
                .message(format!(
                    "The function {} exists already. Say CREATE OR REPLACE, or drop it.",
                    quote(&bare)
                ))
                .exception("AnalysisException"));
        }
        return Ok(QueryResult::empty());
    }
    let conflict = if mode == CreateMode::OrReplace { OnConflict::Replace } else { OnConflict::Fail };
    match session.engine.catalog.create_function(record, conflict).await {
        Err(e) if mode == CreateMode::IfNotExists && e.is("ROUTINE_ALREADY_EXISTS") => {}
        other => {
            other?;
        }
    }
    Ok(QueryResult::empty())
}

/// The function with what its body tells of its result. The body is analyzed by a call with columns, so that its errors
/// belong to this statement, also those of values that have to be constants.
async fn checked(session: &Arc<Session>, mut record: FunctionRecord) -> Result<FunctionRecord> {
    let trial = format!("__trial_{}", uuid::Uuid::new_v4().simple());
    session.functions.put(&trial, SessionFunction::Sql(Arc::new(record.clone())), true);
    let query = trial_query(&record, &trial);
    let new = record.clone();
    let analyzed = session.analyze(move |analyzer| {
        let schema = analyzer.query(&query)?.schema();
        analyzer.check_defaults(&new)?;
        let used = std::mem::take(&mut analyzer.functions_used);
        let temporaries = std::mem::take(&mut analyzer.temporaries_used);
        Ok((schema, used, temporaries, analyzer.reads_tables))
    });
    let analyzed = analyzed.await;
    session.functions.remove(&trial);
    let (mut schema, used, temporaries, reads_tables) = analyzed.map_err(unknown_routine)?;
    // The trial itself comes first.
    if used.iter().skip(1).any(|name| *name == record.name) {
        let path = used.iter().map(ObjectName::quoted).collect::<Vec<_>>().join(" -> ");
        return Err(Error::new("CYCLIC_FUNCTION_REFERENCE")
            .param("path", &path)
            .message(format!("The function would call itself: {path}."))
            .exception("AnalysisException"));
    }
    // A temporary function belongs to no catalog. The trial is one of the session too.
    if !record.name.catalog.is_empty()
        && let Some(temporary) = temporaries.iter().find(|t| t.name.last() != Some(&trial))
    {
        let shown = quote_name(&[record.name.schema.clone(), record.name.name.clone()]);
        return Err(temporary_reference("FUNCTION", &shown, temporary));
    }
    if reads_tables && record.characteristics.iter().any(|c| c == "CONTAINS SQL") {
        return Err(Error::new("INVALID_SQL_FUNCTION_DATA_ACCESS")
            .message(format!(
                "The function {} says CONTAINS SQL and reads a table or view: say READS SQL DATA.",
                record.name.name
            ))
            .exception("AnalysisException"));
    }
    if record.kind == FunctionKind::Table {
        schema.fields.drain(..record.parameters.len().min(schema.fields.len()));
    }
    match record.kind {
        FunctionKind::Scalar if record.returns.is_none() => {
            record.returns = schema.fields.into_iter().next().map(|f| f.data_type);
        }
        FunctionKind::Table if record.return_columns.fields.is_empty() => {
            refuse_repeated(&record.name.name, schema.fields.iter().map(|f| f.name.as_str()))?;
            record.return_columns = schema;
        }
        _ => {}
    }
    Ok(record)
}

/// CREATE OR REPLACE takes the place of a temporary function, not of one that is built in.
fn refuse_builtin(session: &Session, name: &str, mode: CreateMode) -> Result<()> {
    let is_builtin = boathouse_functions::registry().contains(&name.to_lowercase());
    if mode != CreateMode::OrReplace || !is_builtin || session.functions.contains(name) {
        return Ok(());
    }
    Err(Error::new("USER_DEFINED_FUNCTIONS.CANNOT_REPLACE_NON_SQL_UDF_WITH_SQL_UDF")
        .param("name", name)
        .message(format!("{name} is built in: a function in SQL does not take its place."))
        .exception("AnalysisException"))
}

/// A function that the body calls and that is not there is told as the statements about functions tell it.
fn unknown_routine(error: Error) -> Error {
    if !error.is("UNRESOLVED_ROUTINE") && !error.is("UNRESOLVABLE_TABLE_VALUED_FUNCTION") {
        return error;
    }
    let name = error.parameters().iter().find(|(k, _)| matches!(k.as_ref(), "routineName" | "name"));
    let name = name.map(|(_, v)| v.to_string()).unwrap_or_default();
    Error::new("ROUTINE_NOT_FOUND")
        .param("routineName", &name)
        .message(format!("The body of the function calls {name}, which is not there."))
        .exception("AnalysisException")
}

/// A query that calls the function with columns; those of a table function come after these.
fn trial_query(record: &FunctionRecord, name: &str) -> Relation {
    let null = |p: &ParameterRecord| Expr::Literal(Literal::Null(p.data_type.clone())).alias(p.name.clone());
    let columns: Vec<Expr> = record.parameters.iter().map(null).collect();
    let args = record.parameters.iter().map(|p| Expr::column([p.name.clone()])).collect();
    let one = Relation::new(RelationNode::OneRow);
    let given = Relation::new(RelationNode::Project { input: one, exprs: columns });
    Relation::new(match record.kind {
        FunctionKind::Scalar => RelationNode::Project { input: given, exprs: vec![Expr::call(name, args)] },
        FunctionKind::Table => {
            let right = Relation::new(RelationNode::TableFunction { name: vec![name.to_string()], args });
            if record.parameters.is_empty() {
                return right;
            }
            RelationNode::LateralJoin { left: given, right, kind: JoinKind::Cross, condition: None }
        }
    })
}

fn record(session: &Session, create: CreateFunction, name: ObjectName) -> Result<FunctionRecord> {
    let mut language = create.language.clone().unwrap_or_else(|| "SQL".to_string()).to_uppercase();
    if language != "SQL" {
        return Err(Error::unsupported(format!("functions in {language}")));
    }
    let (body, body_is_query) = match create.body {
        FunctionBody::Expression(text) => (text.text, false),
        FunctionBody::Query(query) => (query.text, true),
        // A temporary function is looked at at once.
        FunctionBody::Class { class, .. } if create.temporary => return Err(cannot_load(&class, &name)),
        FunctionBody::Class { class, .. } => {
            language = JAVA.to_string();
            (class, false)
        }
        FunctionBody::Source(_) => return Err(Error::internal("a SQL function with a source body")),
    };
    let parameters = create
        .parameters
        .into_iter()
        .map(|p| ParameterRecord {
            name: p.name,
            data_type: p.data_type,
            default: p.default.map(|d| d.text),
            comment: p.comment,
        })
        .collect();
    let (kind, returns, return_columns) = match create.returns {
        Some(FunctionReturn::Table(columns)) => {
            let fields = columns.unwrap_or_default().iter().map(|c| c.field()).collect();
            (FunctionKind::Table, None, StructType::new(fields))
        }
        Some(FunctionReturn::Scalar(t)) => (FunctionKind::Scalar, Some(t), StructType::default()),
        None => (FunctionKind::Scalar, None, StructType::default()),
    };
    let mut record = FunctionRecord::new(name, parameters, returns, &body);
    record.kind = kind;
    record.language = language;
    record.return_columns = return_columns;
    record.body_is_query = body_is_query;
    record.comment = create.comment;
    record.deterministic = create.deterministic;
    record.characteristics = create.characteristics;
    record.owner.clone_from(&session.user);
    record.created_by.clone_from(&session.user);
    record.updated_by.clone_from(&session.user);
    (record.current_catalog, record.current_schema) = session.current_namespace();
    record.configs = session.conf().recorded().into_iter().collect();
    Ok(record)
}

fn check_parameters(create: &CreateFunction, name: &str) -> Result<()> {
    if let Some(parameter) = create.parameters.iter().find(|p| !p.nullable) {
        let shown = format!("{} {} NOT NULL", parameter.name, parameter.data_type.sql());
        return Err(Error::new("USER_DEFINED_FUNCTIONS.NOT_NULL_ON_FUNCTION_PARAMETERS")
            .param("input", &shown)
            .message(format!("A parameter of a function cannot be NOT NULL: {shown}."))
            .exception("AnalysisException"));
    }
    let mut seen = HashSet::new();
    for parameter in &create.parameters {
        if !seen.insert(parameter.name.to_lowercase()) {
            return Err(Error::new("DUPLICATE_ROUTINE_PARAMETER_NAMES")
                .param("routineName", name)
                .param("names", quote(&parameter.name))
                .message(format!("The function {name} names the parameter {} twice.", quote(&parameter.name)))
                .exception("AnalysisException"));
        }
    }
    let returned: Vec<DataType> = match &create.returns {
        Some(FunctionReturn::Scalar(t)) => vec![t.clone()],
        Some(FunctionReturn::Table(columns)) => {
            columns.iter().flatten().map(|column| column.field().data_type).collect()
        }
        None => Vec::new(),
    };
    let mut types = create.parameters.iter().map(|p| &p.data_type).chain(&returned);
    types.try_for_each(|t| refuse_char(t).map_err(|e| e.exception("AnalysisException")))?;
    for parameter in &create.parameters {
        let Some(default) = &parameter.default else { continue };
        if has_subquery(&boathouse_sql::parse_expression(&default.text)?) {
            return Err(Error::new("USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_EXPRESSION")
                .param("functionName", name)
                .param("parameterName", &parameter.name)
                .message(format!(
                    "The default of the parameter {} of {name} must not hold a subquery.",
                    quote(&parameter.name)
                ))
                .exception("AnalysisException"));
        }
    }
    if let (Some(FunctionReturn::Table(_)), FunctionBody::Expression(_)) = (&create.returns, &create.body) {
        return Err(Error::new("USER_DEFINED_FUNCTIONS.SQL_TABLE_UDF_BODY_MUST_BE_A_QUERY")
            .param("name", name)
            .message(format!("{name} gives a table: its body must be a query."))
            .exception("AnalysisException"));
    }
    if let (Some(FunctionReturn::Table(None)), FunctionBody::Query(query)) = (&create.returns, &create.body)
        && !names_columns(&query.query)
    {
        return Err(Error::new("USER_DEFINED_FUNCTIONS.SQL_TABLE_UDF_MISSING_COLUMN_NAMES")
            .param("functionName", quote(name))
            .message(format!(
                "{name} names no columns: each expression of its SELECT list needs a name (AS name)."
            ))
            .exception("AnalysisException"));
    }
    if let Some(FunctionReturn::Table(Some(columns))) = &create.returns {
        refuse_repeated(name, columns.iter().map(|c| c.name.as_str()))?;
    }
    for pair in create.parameters.windows(2) {
        if let [first, next] = pair
            && first.default.is_some()
            && next.default.is_none()
        {
            return Err(Error::new("USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_PARAMETER_POSITION")
                .param("functionName", name)
                .param("parameterName", &first.name)
                .param("nextParameterName", &next.name)
                .message(format!(
                    "The parameter {} of {name} follows one with a default and has none.",
                    quote(&next.name)
                ))
                .exception("AnalysisException"));
        }
    }
    Ok(())
}

/// Whether the SELECT list of a query itself names all that it gives: Spark does not look below ORDER BY, DISTINCT and others.
fn names_columns(query: &Relation) -> bool {
    let RelationNode::Project { exprs, .. } = &*query.node else { return true };
    exprs.iter().all(|e| {
        matches!(
            e,
            Expr::Alias { .. }
                | Expr::Column(_)
                | Expr::Star(_)
                | Expr::ColumnRegex { .. }
                | Expr::Identifier(_)
        )
    })
}

/// Refuses a table function two of whose columns have the same name.
fn refuse_repeated<'a>(function: &str, columns: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = HashSet::new();
    for column in columns {
        if !seen.insert(column.to_lowercase()) {
            return Err(Error::new("DUPLICATE_ROUTINE_RETURNS_COLUMNS")
                .param("routineName", function)
                .param("columns", quote(column))
                .message(format!("The function {function} returns the column {} twice.", quote(column)))
                .exception("AnalysisException"));
        }
    }
    Ok(())
}

pub(super) async fn drop(
    session: &Arc<Session>,
    name: &[String],
    if_exists: bool,
    temporary: bool,
) -> Result<QueryResult> {
    let missing = |shown: String| {
        Error::new("ROUTINE_NOT_FOUND")
            .param("routineName", &shown)
            .message(format!("There is no function {shown}. IF EXISTS tolerates this."))
            .exception("AnalysisException")
    };
    let bare = name.last().cloned().unwrap_or_default();
    if temporary {
        let is_builtin = boathouse_functions::registry().contains(&bare.to_lowercase());
        if is_builtin && !session.functions.contains(&bare) {
            return Err(forbidden_drop(&bare));
        }
        if !session.functions.remove(&bare) && !if_exists {
            return Err(missing(quote(&bare)));
        }
        return Ok(QueryResult::empty());
    }
    if name.len() == 1 && boathouse_functions::registry().contains(&bare.to_lowercase()) {
        return Err(forbidden_drop(&bare));
    }
    let full = session.known_object_name(name).await?;
    match session.engine.catalog.drop_function(&full).await {
        Err(e) if e.is("ROUTINE_NOT_FOUND") => {
            if if_exists {
                Ok(QueryResult::empty())
            } else {
                Err(missing(quote_name(&[full.schema, full.name])))
            }
        }
        other => other.map(|_| QueryResult::empty()),
    }
}

fn forbidden_drop(name: &str) -> Error {
    Error::new("FORBIDDEN_OPERATION")
        .param("statement", "DROP")
        .param("objectType", "FUNCTION")
        .param("objectName", quote(name))
        .message(format!("{} is built in and cannot be dropped.", quote(name)))
        .exception("AnalysisException")
}
