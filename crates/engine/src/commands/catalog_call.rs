//! `spark.catalog.*`: the rows of Spark's catalog API.

use std::sync::Arc;

use boathouse_catalog::{FunctionRecord, TableKind};
use boathouse_functions::registry;
use boathouse_spec::{
    CatalogCall, ColumnDefinition, CreateTable, DataType, Error, Literal, Name, Options, Result, StructField,
    StructType, UseTarget, option,
};

use crate::cache::MEMORY_AND_DISK;
use crate::commands::target::{self, Found};
use crate::commands::{cache_table, create_table, partitions, refresh, table_columns, use_namespace};
use crate::names::{self, matches_pattern};
use crate::rows::{self, Value, column, text};
use crate::{QueryResult, Session, storage};

type Row = Vec<Value>;

pub(super) fn result_schema(call: &CatalogCall) -> Option<StructType> {
    use CatalogCall as C;
    Some(match call {
        C::CurrentDatabase | C::CurrentCatalog => StructType::new(vec![text("value", false)]),
        C::ListDatabases { .. } | C::GetDatabase(_) => database_schema(),
        C::ListTables { .. } | C::GetTable { .. } => table_schema(),
        C::ListFunctions { .. } | C::GetFunction { .. } => function_schema(),
        C::ListColumns { .. } => column_schema(),
        C::ListCatalogs { .. } => catalog_schema(),
        C::DatabaseExists(_)
        | C::TableExists { .. }
        | C::FunctionExists { .. }
        | C::DropTempView(_)
        | C::DropGlobalTempView(_)
        | C::IsCached(_) => boolean_schema(),
        C::Other { name, .. } if name == "listViews" => table_schema(),
        C::CreateTable { .. } | C::Other { .. } => return None,
        _ => StructType::default(),
    })
}

fn boolean_schema() -> StructType {
    StructType::new(vec![column("value", DataType::Boolean, false)])
}

fn database_schema() -> StructType {
    StructType::new(vec![
        text("name", true),
        text("catalog", true),
        text("description", true),
        text("locationUri", true),
    ])
}

fn table_schema() -> StructType {
    StructType::new(vec![
        text("name", true),
        text("catalog", true),
        column("namespace", DataType::array(DataType::STRING, true), true),
        text("description", true),
        text("tableType", true),
        column("isTemporary", DataType::Boolean, false),
    ])
}

fn function_schema() -> StructType {
    StructType::new(vec![
        text("name", true),
        text("catalog", true),
        column("namespace", DataType::array(DataType::STRING, true), true),
        text("description", true),
        text("className", true),
        column("isTemporary", DataType::Boolean, false),
    ])
}

fn column_schema() -> StructType {
    StructType::new(vec![
        text("name", true),
        text("description", true),
        text("dataType", true),
        column("nullable", DataType::Boolean, false),
        column("isPartition", DataType::Boolean, false),
        column("isBucket", DataType::Boolean, false),
        column("isCluster", DataType::Boolean, false),
    ])
}

fn catalog_schema() -> StructType {
    StructType::new(vec![text("name", true), text("description", true)])
}

pub(super) async fn run(session: &Arc<Session>, call: CatalogCall) -> Result<QueryResult> {
    use CatalogCall as C;
    let single =
        |value: String| rows::result(StructType::new(vec![text("value", false)]), vec![vec![value.into()]]);
    let truth = |value: bool| rows::result(boolean_schema(), vec![vec![value.into()]]);
    match call {
        C::CurrentDatabase => single(session.current_namespace().1),
        C::CurrentCatalog => single(session.current_namespace().0),
        C::SetCurrentDatabase(name) => use_namespace::run(session, UseTarget::Schema(parse(&name)?)).await,
        C::SetCurrentCatalog(name) => use_namespace::run(session, UseTarget::Catalog(vec![name])).await,
        C::ListCatalogs { pattern } => {
            let all = session.engine.catalog.list_catalogs().await?;
            let rows = all
                .into_iter()
                .filter(|c| admitted(&c.name, pattern.as_deref()))
                .map(|c| vec![c.name.into(), c.comment.into()])
                .collect();
            rows::result(catalog_schema(), rows)
        }
        C::ListDatabases { pattern } => {
            let catalog = session.current_namespace().0;
            let mut rows = Vec::new();
            for schema in session.engine.catalog.list_schemas(&catalog).await? {
                if admitted(&schema.name.schema, pattern.as_deref()) {
                    rows.push(database_row(session, schema)?);
                }
            }
            rows::result(database_schema(), rows)
        }
        C::GetDatabase(name) => {
            let schema = session.engine.catalog.get_schema(&session.schema_name(&parse(&name)?)?).await?;
            rows::result(database_schema(), vec![database_row(session, schema)?])
        }
        C::DatabaseExists(name) => {
            let name = session.schema_name(&parse(&name)?)?;
            truth(session.engine.catalog.find_schema(&name).await?.is_some())
        }
        C::ListTables { database, pattern } => {
            list_relations(session, database, pattern.as_deref(), false).await
        }
        C::GetTable { table, database } => {
            let name = in_database(&table, database.as_deref())?;
            let found = target::find(session, &name, &target::relation_path(session)).await?;
            rows::result(table_schema(), vec![table_row(&found)])
        }
        C::TableExists { table, database } => {
            let name = in_database(&table, database.as_deref())?;
            truth(exists(session, &name).await?)
        }
        C::ListColumns { table, database } => {
            let name = in_database(&table, database.as_deref())?;
            let found = target::find(session, &name, &target::relation_path(session)).await?;
            let columns = table_columns::of_found(session, &found).await?;
            rows::result(column_schema(), column_rows(&found, &columns).await?)
        }
        C::ListFunctions { database, pattern } => list_functions(session, database, pattern.as_deref()).await,
        C::GetFunction { function, database } => {
            let name = in_database(&function, database.as_deref())?;
            match find_function(session, &name).await? {
                Some(row) => rows::result(function_schema(), vec![row]),
                None => Err(Error::new("UNRESOLVED_ROUTINE")
                    .param("routineName", boathouse_spec::quote_name(&name))
                    .param("searchPath", format!("[{}]", target::relation_path(session).join(", ")))
                    .message(format!("There is no function {}.", boathouse_spec::quote_name(&name)))
                    .exception("AnalysisException")),
            }
        }
        C::FunctionExists { function, database } => {
            let name = in_database(&function, database.as_deref())?;
            truth(find_function(session, &name).await?.is_some())
        }
        C::CreateTable { table, path, source, description, schema, options } => {
            make_table(session, &table, path, source, description, schema, options).await
        }
        C::DropTempView(name) => {
            let view = session.temp_views.get(&name);
            if let Some(view) = &view {
                session.engine.cache.unpersist(session, &view.relation);
            }
            truth(session.temp_views.remove(&name))
        }
        C::DropGlobalTempView(name) => truth(session.engine.global_temp_views.remove(&name)),
        C::RecoverPartitions(table) => partitions::repair(session, &parse(&table)?).await,
        C::IsCached(table) => {
            let found = target::find(session, &parse(&table)?, &target::relation_path(session)).await?;
            truth(cache_table::is_cached(session, &found)?)
        }
        C::CacheTable { table, storage_level } => {
            cache_table::keep(session, &parse(&table)?, storage_level.unwrap_or(MEMORY_AND_DISK)).await?;
            Ok(QueryResult::empty())
        }
        C::UncacheTable(table) => cache_table::uncache(session, &parse(&table)?, false).await,
        C::ClearCache => {
            session.engine.cache.clear();
            Ok(QueryResult::empty())
        }
        C::RefreshTable(table) => refresh::table(session, &parse(&table)?).await,
        C::RefreshByPath(_) => refresh::path(session).await,
        C::Other { name, args } if name == "listViews" => {
            let text = |i: usize| match args.get(i) {
                Some(Literal::String(text)) => Some(text.clone()),
                _ => None,
            };
            list_relations(session, text(0), text(1).as_deref(), true).await
        }
        C::Other { name, .. } => Err(Error::unsupported(format!("spark.catalog.{name}"))),
    }
}

fn parse(name: &str) -> Result<Name> {
    boathouse_sql::parse_name(name)
}

fn in_database(name: &str, database: Option<&str>) -> Result<Name> {
    match database {
        None => parse(name),
        Some(database) => {
            let mut full = parse(database)?;
            full.push(name.to_string());
            Ok(full)
        }
    }
}

fn admitted(name: &str, pattern: Option<&str>) -> bool {
    pattern.is_none_or(|p| matches_pattern(name, p))
}

async fn exists(session: &Arc<Session>, name: &[String]) -> Result<bool> {
    match target::find(session, name, &[]).await {
        Ok(_) => Ok(true),
        Err(e) if e.class() == "TABLE_OR_VIEW_NOT_FOUND" || e.is("SCHEMA_NOT_FOUND") => Ok(false),
        Err(e) => Err(e),
    }
}

fn database_row(session: &Session, schema: boathouse_catalog::SchemaRecord) -> Result<Row> {
    let location = match &schema.location {
        Some(location) => session.storage().url(location)?,
        None => session.storage().schema_directory(&schema.name)?,
    };
    Ok(vec![
        schema.name.schema.into(),
        schema.name.catalog.into(),
        schema.comment.into(),
        storage::shown(&location).into(),
    ])
}

async fn list_relations(
    session: &Arc<Session>,
    database: Option<String>,
    pattern: Option<&str>,
    views_only: bool,
) -> Result<QueryResult> {
    let database = database.as_deref().map(parse).transpose()?;
    let mut out: Vec<Row> = Vec::new();
    let is_global =
        matches!(database.as_deref(), Some([name]) if name.eq_ignore_ascii_case(names::GLOBAL_TEMP));
    if !is_global {
        let schema = session.schema_or_current(database.as_deref())?;
        for record in session.engine.catalog.list_tables(&schema).await? {
            if admitted(&record.name.name, pattern) && (!views_only || record.kind.is_view()) {
                out.push(record_row(&record));
            }
        }
    }
    let mut temporary: Vec<(String, Vec<String>)> = Vec::new();
    if is_global {
        let views = session.engine.global_temp_views.environment();
        temporary.extend(views.keys().map(|n| (n.clone(), vec![names::GLOBAL_TEMP.to_string()])));
    }
    temporary.extend(session.temp_views.environment().keys().map(|n| (n.clone(), Vec::new())));
    temporary.sort();
    for (name, namespace) in temporary {
        if admitted(&name, pattern) {
            out.push(temporary_row(&name, &namespace));
        }
    }
    rows::result(table_schema(), out)
}

fn record_row(record: &boathouse_catalog::TableRecord) -> Row {
    let kind = match record.kind {
        TableKind::Managed | TableKind::StreamingTable | TableKind::MaterializedView => "MANAGED",
        TableKind::External => "EXTERNAL",
        TableKind::View => "VIEW",
    };
    vec![
        record.name.name.clone().into(),
        record.name.catalog.clone().into(),
        Value::texts([record.name.schema.clone()]),
        record.comment.clone().into(),
        kind.into(),
        false.into(),
    ]
}

fn temporary_row(name: &str, namespace: &[String]) -> Row {
    vec![
        name.into(),
        Value::Null,
        Value::texts(namespace.to_vec()),
        Value::Null,
        "TEMPORARY".into(),
        true.into(),
    ]
}

fn table_row(found: &Found) -> Row {
    match found {
        Found::Table(table) => match &table.record {
            Some(record) => record_row(record),
            None => vec![
                table.qualifier.last().cloned().unwrap_or_default().into(),
                Value::Null,
                Value::texts(table.qualifier.iter().take(1).cloned()),
                Value::Null,
                "EXTERNAL".into(),
                false.into(),
            ],
        },
        Found::View(record) => record_row(record),
        Found::TempView { name, .. } => {
            let (last, namespace) =
                name.split_last().map_or((String::new(), &[][..]), |(l, n)| (l.clone(), n));
            temporary_row(&last, namespace)
        }
    }
}

async fn column_rows(found: &Found, columns: &StructType) -> Result<Vec<Row>> {
    let (partition, bucket, cluster) = match found {
        Found::Table(table) => (
            partitions::columns(table),
            table.record.as_ref().and_then(|r| r.bucket.clone()).map(|b| b.columns).unwrap_or_default(),
            partitions::clustering(table).await?,
        ),
        _ => Default::default(),
    };
    let has = |names: &[String], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let clusters =
        |name: &str| cluster.iter().any(|path| path.len() == 1 && path[0].eq_ignore_ascii_case(name));
    let row = |f: &StructField| {
        vec![
            f.name.as_str().into(),
            f.comment().into(),
            table_columns::declared_type(f).into(),
            f.nullable.into(),
            has(&partition, &f.name).into(),
            has(&bucket, &f.name).into(),
            clusters(&f.name).into(),
        ]
    };
    Ok(columns.fields.iter().map(row).collect())
}

fn builtin_row(name: &str) -> Row {
    vec![
        name.into(),
        Value::Null,
        Value::Null,
        format!("{name} is built in, and does what Spark's function of the name does.").into(),
        format!("boathouse.functions.{name}").into(),
        true.into(),
    ]
}

fn function_row(function: &FunctionRecord) -> Row {
    vec![
        function.name.name.clone().into(),
        function.name.catalog.clone().into(),
        Value::texts([function.name.schema.clone()]),
        function.comment.clone().into(),
        "org.apache.spark.sql.catalyst.expressions.SQLFunctionExpression".into(),
        false.into(),
    ]
}

fn temporary_function_row(name: &str) -> Row {
    vec![name.into(), Value::Null, Value::Null, Value::Null, Value::Null, true.into()]
}

async fn list_functions(
    session: &Arc<Session>,
    database: Option<String>,
    pattern: Option<&str>,
) -> Result<QueryResult> {
    let database = database.as_deref().map(parse).transpose()?;
    let schema = session.schema_or_current(database.as_deref())?;
    let mut named: Vec<(String, Row)> = registry().names().map(|n| (n.to_string(), builtin_row(n))).collect();
    for function in session.engine.catalog.list_functions(&schema).await? {
        named.push((function.name.name.clone(), function_row(&function)));
    }
    named.extend(session.functions.names().into_iter().map(|n| (n.clone(), temporary_function_row(&n))));
    named.retain(|(n, _)| admitted(n, pattern));
    named.sort_by(|a, b| a.0.cmp(&b.0));
    rows::result(function_schema(), named.into_iter().map(|(_, row)| row).collect())
}

async fn find_function(session: &Arc<Session>, name: &[String]) -> Result<Option<Row>> {
    if let [bare] = name {
        if session.functions.contains(bare) {
            return Ok(Some(temporary_function_row(bare)));
        }
        if registry().contains(bare) {
            return Ok(Some(builtin_row(&bare.to_lowercase())));
        }
    }
    let full = session.object_name(name)?;
    Ok(session.engine.catalog.find_function(&full).await?.as_ref().map(function_row))
}

/// `spark.catalog.createTable`, `createExternalTable`: the rows of the new table.
async fn make_table(
    session: &Arc<Session>,
    table: &str,
    path: Option<String>,
    source: Option<String>,
    description: Option<String>,
    schema: Option<StructType>,
    options: Options,
) -> Result<QueryResult> {
    let name = parse(table)?;
    let path = path.or_else(|| option(&options, "path").map(str::to_string));
    let columns = schema.unwrap_or_default().fields.into_iter().map(|f| ColumnDefinition {
        comment: f.comment(),
        name: f.name,
        data_type: f.data_type,
        nullable: f.nullable,
        default: None,
        generated: None,
        identity: None,
        mask: None,
        mask_using: Vec::new(),
    });
    let create = CreateTable {
        name: name.clone(),
        columns: columns.collect(),
        provider: source,
        location: path,
        comment: description.filter(|d| !d.is_empty()),
        options: options.into_iter().filter(|(k, _)| !k.eq_ignore_ascii_case("path")).collect(),
        ..CreateTable::default()
    };
    create_table::run(session, create).await?;
    let table = boathouse_spec::TableRef { name, ..Default::default() };
    let relation = boathouse_spec::Relation::new(boathouse_spec::RelationNode::Table(table));
    session.execute_here(boathouse_spec::Plan::Query(relation)).await
}
