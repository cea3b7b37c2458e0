//! `CREATE VIEW`, temporary views, and DataFrames registered as views.

use std::sync::Arc;

use boathouse_catalog::{OnConflict, TableRecord, ViewDefinition, ViewSchemaMode};
use boathouse_spec::{
    CreateMode, CreateView, Error, Relation, RelationNode, Result, StructType, ViewKind, quote, quote_name,
};

use crate::analyzer::Temporary;
use crate::commands::insert::duplicate;
use crate::commands::unnamed_columns;
use crate::names;
use crate::relation_walk::subqueries;
use crate::temp_views::TempView;
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, create: CreateView) -> Result<QueryResult> {
    match create.kind {
        ViewKind::Persistent => persistent(session, create).await,
        ViewKind::Temporary | ViewKind::GlobalTemporary => temporary(session, create).await,
    }
}

async fn persistent(session: &Arc<Session>, create: CreateView) -> Result<QueryResult> {
    let name = session.known_object_name(&create.name).await?;
    let existing = session.engine.catalog.find_table(&name).await?;
    match (&existing, create.mode) {
        (Some(_), CreateMode::IfNotExists) => return Ok(QueryResult::empty()),
        (Some(record), CreateMode::OrReplace) if !record.kind.is_view() => {
            return Err(Error::new("EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE")
                .param("tableName", name.quoted())
                .param("operation", "CREATE OR REPLACE VIEW")
                .message(format!(
                    "{} is a table, and CREATE OR REPLACE VIEW replaces views only.",
                    name.quoted()
                ))
                .exception("AnalysisException"));
        }
        (Some(record), CreateMode::Create) => {
            return Err(if record.kind.is_view() {
                already_exists(&name.quoted())
            } else {
                Error::new("EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE")
                    .param("tableName", name.quoted())
                    .param("operation", "CREATE VIEW")
                    .message(format!("{} is a table already.", name.quoted()))
                    .exception("AnalysisException")
            });
        }
        _ => {}
    }
    let Some(query) = create.query else {
        return Err(Error::unsupported("a persistent view over a data source without a query"));
    };
    if existing.is_some() {
        refuse_cycle(session, &name.parts(), &query.query).await?;
    }
    let schema = lasting_schema(session, &query.query, create.collation.as_deref(), &name.quoted()).await?;
    let columns = view_columns(&schema, &create.columns, &name.quoted())?;
    let mode = create
        .schema_mode
        .as_deref()
        .map(|m| ViewSchemaMode::parse(m).ok_or_else(|| Error::unsupported(format!("WITH SCHEMA {m}"))));
    // Names that the statement gives stay: only the types can follow the query.
    let mode = match mode.transpose()?.unwrap_or_default() {
        ViewSchemaMode::Evolution if !create.columns.is_empty() => ViewSchemaMode::TypeEvolution,
        mode => mode,
    };
    let (catalog, current) = session.current_namespace();
    let definition = ViewDefinition {
        text: query.text,
        current_catalog: catalog,
        current_schema: current,
        configs: session.conf().recorded().into_iter().collect(),
        query_columns: owned_names(&schema),
        schema_mode: mode,
    };
    let mut record = TableRecord::view(name.clone(), columns, definition);
    record.comment = create.comment;
    record.collation = create.collation;
    record.properties = create.properties.into_iter().collect();
    record.owner.clone_from(&session.user);
    record.created_by.clone_from(&session.user);
    record.updated_by.clone_from(&session.user);
    let conflict = if create.mode == CreateMode::OrReplace { OnConflict::Replace } else { OnConflict::Fail };
    match session.engine.catalog.create_table(record, conflict).await {
        Err(e) if create.mode == CreateMode::IfNotExists && e.is("TABLE_OR_VIEW_ALREADY_EXISTS") => {}
        other => {
            other?;
        }
    }
    session.engine.cache.dropped(&name.parts());
    Ok(QueryResult::empty())
}

async fn temporary(session: &Arc<Session>, create: CreateView) -> Result<QueryResult> {
    let is_global = create.kind == ViewKind::GlobalTemporary;
    let name = match create.name.as_slice() {
        [bare] => bare.clone(),
        [schema, bare] if is_global && schema.eq_ignore_ascii_case(names::GLOBAL_TEMP) => bare.clone(),
        [schema, bare] if !is_global && schema.eq_ignore_ascii_case("session") => bare.clone(),
        [catalog, schema, bare]
            if !is_global
                && catalog.eq_ignore_ascii_case("system")
                && schema.eq_ignore_ascii_case("session") =>
        {
            bare.clone()
        }
        [qualifier @ .., bare] => {
            return Err(Error::new("INVALID_TEMP_OBJ_QUALIFIER")
                .param("objectType", "VIEW")
                .param("objectName", quote(bare))
                .param("qualifier", quote_name(qualifier))
                .message(format!("A temporary view belongs to no schema: name it {}.", quote(bare)))
                .exception("ParseException"));
        }
        [] => return Err(Error::internal("a view without a name")),
    };
    let shown = if is_global { quote_name(&[names::GLOBAL_TEMP, name.as_str()]) } else { quote(&name) };
    let is_dataframe = create.query.is_none();
    let (relation, text) = match (create.query, create.source) {
        (Some(query), _) => (query.query, Some(query.text)),
        (None, Some(source)) => (source, None),
        (None, None) => return Err(Error::internal("a view without a query")),
    };
    let schema = session.view_schema(&relation, create.collation.as_deref()).await?;
    let columns = view_columns_of(&schema, &create.columns, &shown, !is_dataframe)?;
    let replace = matches!(create.mode, CreateMode::OrReplace | CreateMode::Replace);
    let views = if is_global { &session.engine.global_temp_views } else { &session.temp_views };
    // The views that a DataFrame reads are those of the time when it was made.
    if replace && !is_dataframe && views.get(&name).is_some() {
        let own =
            if is_global { vec![names::GLOBAL_TEMP.to_string(), name.clone()] } else { vec![name.clone()] };
        refuse_temporary_cycle(session, &own, &relation)?;
    }
    // A view of SQL text keeps the columns it was made with; a DataFrame's are those of the DataFrame.
    let view = TempView {
        relation,
        text,
        query_columns: if is_dataframe { Vec::new() } else { owned_names(&schema) },
        schema: columns,
        comment: create.comment,
        properties: create.properties,
        collation: create.collation,
        environment: is_dataframe.then(|| session.temp_views.environment()),
        namespace: session.current_namespace(),
        configs: session.conf().recorded().into_iter().collect(),
    };
    let previous = views.get(&name);
    if !views.put(&name, view, replace) {
        if create.mode == CreateMode::IfNotExists {
            return Ok(QueryResult::empty());
        }
        return Err(Error::new("TEMP_TABLE_OR_VIEW_ALREADY_EXISTS")
            .param("relationName", &shown)
            .message(format!("The temporary view {shown} exists already. Drop it, or say CREATE OR REPLACE."))
            .exception("AnalysisException"));
    }
    if let Some(previous) = previous {
        session.engine.cache.unpersist(session, &previous.relation);
    }
    Ok(QueryResult::empty())
}

fn already_exists(name: &str) -> Error {
    Error::new("TABLE_OR_VIEW_ALREADY_EXISTS")
        .param("relationName", name)
        .message(format!(
            "The table or view {name} exists already. Choose another name, drop or replace it, or say IF NOT EXISTS."
        ))
        .exception("AnalysisException")
}

/// The query's columns under the view's names and comments.
pub(super) fn view_columns(
    schema: &StructType,
    names: &[(String, Option<String>)],
    view: &str,
) -> Result<StructType> {
    view_columns_of(schema, names, view, true)
}

fn view_columns_of(
    schema: &StructType,
    names: &[(String, Option<String>)],
    view: &str,
    unique: bool,
) -> Result<StructType> {
    let mut out = schema.clone();
    if !names.is_empty() {
        if names.len() != schema.fields.len() {
            let subclass = if names.len() > schema.fields.len() {
                "NOT_ENOUGH_DATA_COLUMNS"
            } else {
                "TOO_MANY_DATA_COLUMNS"
            };
            let view_columns = names.iter().map(|(n, _)| quote(n)).collect::<Vec<_>>().join(", ");
            let data_columns = schema.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", ");
            return Err(Error::new(format!("CREATE_VIEW_COLUMN_ARITY_MISMATCH.{subclass}"))
                .param("viewName", view)
                .param("viewColumns", &view_columns)
                .param("dataColumns", &data_columns)
                .message(format!(
                    "The view {view} names the columns {view_columns}, and its query gives {data_columns}."
                ))
                .exception("AnalysisException"));
        }
        for (field, (name, comment)) in out.fields.iter_mut().zip(names) {
            field.name.clone_from(name);
            if comment.is_some() {
                *field = field.clone().with_comment(comment.as_deref());
            }
        }
    }
    if unique {
        for (i, field) in out.fields.iter().enumerate() {
            if out.fields[..i].iter().any(|f| f.name.eq_ignore_ascii_case(&field.name)) {
                return Err(duplicate(&field.name));
            }
        }
    }
    Ok(out)
}

/// The columns of the query of a view of the catalog, which cannot use what only a session has and names what it gives.
pub(super) async fn lasting_schema(
    session: &Arc<Session>,
    query: &Relation,
    collation: Option<&str>,
    view: &str,
) -> Result<StructType> {
    let (relation, collation) = (query.clone(), collation.map(str::to_string));
    let (schema, temporaries) = session
        .analyze(move |analyzer| {
            let schema =
                analyzer.under_collation(collation.as_deref(), |a| Ok(a.query(&relation)?.schema()))?;
            Ok((schema, std::mem::take(&mut analyzer.temporaries_used)))
        })
        .await?;
    if let Some(temporary) = temporaries.first() {
        return Err(temporary_reference("VIEW", view, temporary));
    }
    if !session.conf().flag("spark.sql.legacy.allowAutoGeneratedAliasForView") {
        unnamed_columns::refuse(query, &schema, view)?;
    }
    Ok(schema)
}

/// INVALID_TEMP_OBJ_REFERENCE
pub(super) fn temporary_reference(kind: &str, name: &str, temporary: &Temporary) -> Error {
    let shown = quote_name(&temporary.name);
    Error::new("INVALID_TEMP_OBJ_REFERENCE")
        .param("obj", kind)
        .param("objName", name)
        .param("tempObj", temporary.kind.as_str())
        .param("tempObjName", &shown)
        .message(format!(
            "{name} is kept in the catalog and cannot use {shown}, which ends with the session."
        ))
        .exception("AnalysisException")
}

/// A view that would read itself, at any depth.
pub(super) async fn refuse_cycle(session: &Arc<Session>, name: &[String], query: &Relation) -> Result<()> {
    let mut waiting = vec![(query.clone(), vec![quote_name(name)])];
    let mut steps = 0;
    while let Some((relation, path)) = waiting.pop() {
        steps += 1;
        if steps > 10_000 {
            break;
        }
        if let RelationNode::Table(table) = &*relation.node
            && let Ok(full) = session.object_name(&table.name)
        {
            let mut path = path.clone();
            path.push(full.quoted());
            if full.parts() == name {
                return Err(recursive(name, &path));
            }
            if path.len() < 100
                && let Some(record) = session.engine.catalog.find_table(&full).await?
                && let Some(view) = record.view.as_ref().filter(|_| record.kind.is_view())
                && let Ok(inner) = boathouse_sql::parse_query(&view.text, &session.conf().parser_options())
            {
                waiting.push((inner, path));
            }
        }
        let read = relation.node.inputs().into_iter().chain(subqueries(&relation.node));
        waiting.extend(read.map(|r| (r.clone(), path.clone())));
    }
    Ok(())
}

fn recursive(name: &[String], path: &[String]) -> Error {
    let (name, path) = (quote_name(name), path.join(" -> "));
    Error::new("RECURSIVE_VIEW")
        .param("viewIdent", &name)
        .param("newPath", &path)
        .message(format!("The view {name} would read itself: {path}."))
        .exception("AnalysisException")
}

/// A temporary view that would read itself, by way of others of SQL text. Spark does not look into subqueries here.
fn refuse_temporary_cycle(session: &Session, own: &[String], query: &Relation) -> Result<()> {
    let mut waiting = vec![(query.clone(), vec![quote_name(own)], Vec::<String>::new())];
    let mut steps = 0;
    while let Some((relation, path, mut defined)) = waiting.pop() {
        steps += 1;
        if steps > 10_000 {
            break;
        }
        if let RelationNode::With { tables, .. } = &*relation.node {
            defined.extend(tables.iter().map(|t| t.name.to_lowercase()));
        }
        if let RelationNode::Table(table) = &*relation.node
            && let Some(view) = temporary_view(session, &table.name, &defined)
        {
            let mut path = path.clone();
            path.push(quote_name(&table.name));
            let is_own = table.name.len() == own.len()
                && table.name.iter().zip(own).all(|(a, b)| a.eq_ignore_ascii_case(b));
            if is_own {
                return Err(recursive(own, &path));
            }
            if path.len() < 100 && view.environment.is_none() {
                waiting.push((view.relation.clone(), path, Vec::new()));
            }
        }
        let read = relation.node.inputs().into_iter();
        waiting.extend(read.map(|r| (r.clone(), path.clone(), defined.clone())));
    }
    Ok(())
}

/// The temporary view that a name means where the common tables are defined.
fn temporary_view(session: &Session, name: &[String], defined: &[String]) -> Option<Arc<TempView>> {
    match name {
        [bare] if defined.contains(&bare.to_lowercase()) => None,
        [bare] => session.temp_views.get(bare),
        [schema, bare] if schema.eq_ignore_ascii_case(names::GLOBAL_TEMP) => {
            session.engine.global_temp_views.get(bare)
        }
        _ => None,
    }
}

pub(super) fn owned_names(schema: &StructType) -> Vec<String> {
    schema.fields.iter().map(|f| f.name.clone()).collect()
}
