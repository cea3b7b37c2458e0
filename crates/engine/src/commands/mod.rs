//! Commands: each statement, or family of statements, has its file.

mod alter_catalog;
mod alter_delta;
mod alter_files;
mod alter_schema;
mod alter_table;
mod alter_view;
mod analyze_table;
mod cache_table;
mod catalog_call;
mod clone_table;
mod column_default;
mod comment;
mod computed_columns;
mod convert_to_delta;
mod copy_into;
mod create_catalog;
mod create_delta;
mod create_files;
mod create_function;
mod create_schema;
mod create_table;
mod create_view;
mod cursor;
mod delete;
mod delta_defaults;
mod delta_maintenance;
mod describe_column;
mod describe_delta;
mod describe_function;
mod describe_schema;
mod describe_table;
mod drop_relation;
pub(crate) mod evaluate;
pub(crate) mod execute_immediate;
mod fields_by_name;
mod file_definition;
mod fsck;
mod generated_column;
mod identifier_clause;
mod insert;
mod insert_partition;
mod insert_replace;
mod merge;
mod partitions;
mod predicate_text;
mod refresh;
mod set;
mod show_catalogs;
mod show_collations;
mod show_columns;
mod show_create_table;
mod show_functions;
mod show_partitions;
mod show_properties;
mod show_tables;
mod store_assignment;
mod table_columns;
mod table_details;
mod table_expressions;
mod target;
mod truncate;
mod unnamed_columns;
mod update;
mod use_namespace;
mod vacuum;
pub(crate) mod variable;
mod write;
mod write_to;

use std::sync::Arc;

use boathouse_spec::{Command, DataType, Error, Result, StructType};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::rows::{column, text};
use crate::{QueryResult, Session, explain, rows};

pub(crate) use analyze_table::forget_statistics;
pub(crate) use computed_columns::generation;
pub(crate) use create_table::Definition;
pub(crate) use identifier_clause::identified;
pub(crate) use insert::{Fitted, duplicate};
pub(crate) use partitions::Partition;
pub(crate) use store_assignment::overflow_error;
pub(crate) use table_expressions::TableScope;

/// Runs a command.
pub(crate) fn run(session: &Arc<Session>, command: Command) -> BoxFuture<'static, Result<QueryResult>> {
    let session = Arc::clone(session);
    async move {
        crate::query_profile::note_command();
        crate::observe::during(dispatch(&session, command)).await
    }
    .boxed()
}

async fn dispatch(session: &Arc<Session>, command: Command) -> Result<QueryResult> {
    use Command as C;
    match command {
        C::Set { key, value } => set::set(session, &key, &value),
        C::ShowSetting { key } => set::show(session, &key),
        C::ShowSettings { verbose } => set::show_all(session, verbose),
        C::Reset { key } => set::reset(session, key.as_deref()),
        C::SetTimeZone(zone) => set::time_zone(session, zone),
        C::DeclareVariable { names, data_type, default, or_replace } => {
            variable::declare(session, names, data_type, default, or_replace).await
        }
        C::DropVariable { name, if_exists } => variable::drop(session, &name, if_exists),
        C::SetVariables { assignments } => variable::set(session, assignments).await,
        C::SetVariablesFromQuery { names, query } => variable::set_from_query(session, names, query).await,
        C::ExecuteImmediate { text, into, using } => execute_immediate::run(session, text, into, using).await,
        C::Cursor(statement) => cursor::run(session, statement).await,
        C::Use(target) => use_namespace::run(session, target).await,

        C::Explain { plan, mode } => {
            let texts = explain::statement(session, *plan, mode).await?;
            rows::result(result_plan(), texts.into_iter().map(|text| vec![text.into()]).collect())
        }
        C::ShowCatalogs { pattern } => show_catalogs::catalogs(session, pattern.as_deref()).await,
        C::ShowSchemas { catalog, pattern } => {
            show_catalogs::schemas(session, catalog.as_deref(), pattern.as_deref()).await
        }
        C::ShowCurrentSchema => show_catalogs::current(session),
        C::ShowCollations { pattern } => show_collations::run(pattern.as_deref()),
        C::ShowTables { schema, pattern } => {
            show_tables::tables(session, schema.as_deref(), pattern.as_deref()).await
        }
        C::ShowTableExtended { schema, pattern, partition } => {
            show_tables::extended(session, schema.as_deref(), &pattern, partition).await
        }
        C::ShowViews { schema, pattern } => {
            show_tables::views(session, schema.as_deref(), pattern.as_deref()).await
        }
        C::ShowColumns { table, schema } => show_columns::run(session, table, schema).await,
        C::ShowPartitions { table, partition } => show_partitions::run(session, &table, partition).await,
        C::ShowFunctions { scope, schema, pattern } => {
            show_functions::run(session, scope, schema.as_deref(), pattern.as_deref()).await
        }
        C::ShowProperties { table, key, is_view } => {
            show_properties::run(session, &table, key.as_deref(), is_view).await
        }
        C::ShowCreateTable { table, as_serde } => show_create_table::run(session, &table, as_serde).await,
        C::DescribeCatalog { name, extended } => describe_schema::catalog(session, &name, extended).await,
        C::DescribeSchema { name, extended } => describe_schema::schema(session, &name, extended).await,
        C::DescribeTable { table, partition, extended, as_json } => {
            describe_table::run(session, &table, partition, extended, as_json).await
        }
        C::DescribeColumn { table, column, extended, as_json } => {
            describe_column::run(session, &table, &column, extended, as_json).await
        }
        C::DescribeFunction { name, extended } => describe_function::run(session, &name, extended).await,
        C::DescribeQuery(query) => describe_table::query(session, query).await,
        C::DescribeHistory { table, limit } => describe_delta::history(session, &table, limit).await,
        C::DescribeDetail { table } => describe_delta::detail(session, &table).await,
        C::IsDeltaTable { path } => describe_delta::is_delta(session, &path).await,

        C::CreateCatalog { name, if_not_exists, comment, location, provider, options } => {
            create_catalog::create(session, &name, if_not_exists, comment, location, provider, options).await
        }
        C::DropCatalog { name, if_exists, cascade } => {
            create_catalog::drop(session, &name, if_exists, cascade).await
        }
        C::AlterCatalog { name, change } => alter_catalog::run(session, &name, change).await,
        C::CreateSchema { name, if_not_exists, comment, location, collation, properties } => {
            let definition = create_schema::NewSchema { comment, location, collation, properties };
            create_schema::create(session, &name, if_not_exists, definition).await
        }
        C::AlterSchema { name, change } => alter_schema::run(session, &name, change).await,
        C::DropSchema { name, if_exists, cascade } => {
            create_schema::drop(session, &name, if_exists, cascade).await
        }

        C::CreateTable(create) => create_table::run(session, *create).await,
        C::DropTable { name, if_exists, purge: _ } => drop_relation::table(session, &name, if_exists).await,
        C::AlterTable { name, if_exists, is_view, changes } => {
            alter_table::run(session, &name, if_exists, is_view, changes).await
        }
        C::CommentOn { target, name, comment } => comment::run(session, target, &name, comment).await,
        C::TruncateTable { name, partition } => truncate::run(session, &name, partition).await,
        C::RefreshTable { name } => refresh::table(session, &name).await,
        C::RefreshPath { path: _ } => refresh::path(session).await,
        C::RefreshFunction { name } => refresh::function(session, &name).await,
        C::AnalyzeTable { name, partition, columns, no_scan } => {
            analyze_table::table(session, &name, partition, columns, no_scan).await
        }
        C::AnalyzeTables { schema, no_scan } => analyze_table::tables(session, schema.as_deref(), no_scan).await,
        C::RepairTable { name } => partitions::repair(session, &name).await,

        C::CreateView(create) => create_view::run(session, *create).await,
        C::AlterView { name, query } => alter_view::query(session, &name, query).await,
        C::AlterViewSchemaMode { name, mode } => alter_view::schema_mode(session, &name, &mode).await,
        C::DropView { name, if_exists } => drop_relation::view(session, &name, if_exists).await,
        C::CreateFunction(create) => create_function::create(session, *create).await,
        C::DropFunction { name, if_exists, temporary } => {
            create_function::drop(session, &name, if_exists, temporary).await
        }
        C::RegisterPythonFunction { name, function, deterministic, is_table_function } => {
            create_function::register_python(session, &name, function, deterministic, is_table_function)
        }

        C::RegisterPythonDataSource { name, command, python_version } => {
            let source = crate::python::PythonSource { name: name.clone(), command, python_version };
            session.python_sources.insert(name.to_lowercase(), source);
            Ok(QueryResult::empty())
        }

        C::Insert(insert) => insert::run(session, *insert).await,
        C::MultiInsert(inserts) => insert::several(session, inserts).await,
        C::Update { table, alias, assignments, condition } => {
            update::run(session, &table, alias.as_deref(), assignments, condition).await
        }
        C::Delete { table, alias, condition } => {
            delete::run(session, &table, alias.as_deref(), condition).await
        }
        C::Merge(merge) => merge::run(session, *merge).await,
        C::CopyInto(copy) => copy_into::run(session, *copy).await,
        C::Write(write) => write::run(session, *write).await,
        C::WriteTo(write) => write_to::run(session, *write).await,

        C::Restore { table, to } => delta_maintenance::restore(session, &table, to).await,
        C::Vacuum { table, retain_hours, dry_run, mode, inventory } => {
            vacuum::run(session, &table, retain_hours, dry_run, mode, inventory).await
        }
        C::Fsck { table, mode, dry_run } => fsck::run(session, &table, mode, dry_run).await,
        C::Optimize { table, condition, zorder_by, full } => {
            delta_maintenance::optimize(session, &table, condition, zorder_by, full).await
        }
        C::Reorg { table, condition } => delta_maintenance::reorg(session, &table, condition).await,
        C::UpgradeUniform { table, version } => {
            delta_maintenance::upgrade_uniform(session, &table, version).await
        }
        C::ConvertToDelta { table, partition_schema, no_statistics, names_table } => {
            convert_to_delta::run(session, &table, partition_schema, no_statistics, names_table).await
        }
        C::Clone { target, source, time_travel, shallow, or_replace, if_not_exists, properties, location } => {
            let clone = clone_table::CloneTable {
                target,
                source,
                time_travel,
                shallow,
                or_replace,
                if_not_exists,
                properties,
                location,
            };
            clone_table::run(session, clone).await
        }
        C::Generate { table, mode } => delta_maintenance::generate(session, &table, &mode).await,

        C::CacheTable { name, query, lazy, options } => {
            cache_table::cache(session, &name, query, lazy, options).await
        }
        C::UncacheTable { name, if_exists } => cache_table::uncache(session, &name, if_exists).await,
        C::ClearCache => {
            session.engine.cache.clear();
            Ok(QueryResult::empty())
        }

        C::Catalog(call) => catalog_call::run(session, call).await,
        C::Pipeline(_) => Err(Error::new("UNSUPPORTED_FEATURE.PIPELINE_STATEMENT_OUTSIDE_PIPELINE")
            .message("This statement defines a part of a pipeline: it belongs in a pipeline's files, which `boathouse pipeline run` runs.")),
        C::Governance(_) => Err(Error::unsupported("statements about privileges, principals, shares and volumes")),
        C::IdentifierClause { text, identifiers } => identifier_clause::run(session, text, identifiers).await,
        C::Script(script) => crate::script::run(session, script).await,
    }
}

/// The columns of a command's result, where they are known without running it. Asking for the schema of a command that
/// changes something must not change it.
pub(crate) fn result_schema(command: &Command) -> Option<StructType> {
    use Command as C;
    Some(match command {
        C::Set { .. } | C::ShowSetting { .. } | C::SetTimeZone(_) | C::ShowSettings { verbose: false } => {
            set::schema()
        }
        C::ShowSettings { verbose: true } => set::verbose_schema(),
        C::Explain { .. } => result_plan(),
        C::ShowCatalogs { .. } => show_catalogs::catalog_schema(),
        C::ShowSchemas { .. } => show_catalogs::namespace_schema(),
        C::ShowCurrentSchema => show_catalogs::current_schema(),
        C::ShowCollations { .. } => show_collations::schema(),
        C::ShowTables { .. } => show_tables::table_schema(),
        C::ShowTableExtended { .. } => show_tables::extended_schema(),
        C::ShowViews { .. } => show_tables::view_schema(),
        C::ShowColumns { .. } => StructType::new(vec![text("col_name", false)]),
        C::ShowPartitions { .. } => StructType::new(vec![text("partition", false)]),
        C::ShowFunctions { .. } => StructType::new(vec![text("function", false)]),
        C::ShowProperties { key: None, .. } | C::ShowProperties { .. } => show_properties::schema(),
        C::ShowCreateTable { .. } => StructType::new(vec![text("createtab_stmt", false)]),
        C::DescribeCatalog { .. } | C::DescribeSchema { .. } => describe_schema::schema_of_result(),
        C::DescribeTable { as_json: true, .. } | C::DescribeColumn { as_json: true, .. } => {
            StructType::new(vec![text("json_metadata", false)])
        }
        C::DescribeTable { .. } | C::DescribeQuery(_) => describe_table::schema_of_result(),
        C::DescribeColumn { .. } => describe_column::schema_of_result(),
        C::DescribeFunction { .. } => StructType::new(vec![text("function_desc", false)]),
        C::DescribeHistory { .. } => describe_delta::history_schema()?,
        C::DescribeDetail { .. } => describe_delta::detail_schema(),
        C::IsDeltaTable { .. } => describe_delta::is_delta_schema(),
        C::Insert(_) | C::MultiInsert(_) => StructType::default(),
        C::Update { .. } | C::Delete { .. } => affected_schema(),
        C::Merge(_) => merge::result_schema(),
        C::Optimize { .. } | C::Reorg { .. } | C::UpgradeUniform { .. } => {
            delta_maintenance::optimize_schema()?
        }
        C::Restore { .. } => delta_maintenance::restore_schema(),
        C::Vacuum { .. } => StructType::new(vec![text("path", true)]),
        C::Fsck { mode, .. } => fsck::schema(mode)?,
        C::Clone { .. } => clone_table::result_schema()?,
        C::ConvertToDelta { names_table: true, .. } => convert_to_delta::result_schema(),
        C::CopyInto(_) => copy_into::result_schema(),
        C::Catalog(call) => catalog_call::result_schema(call)?,
        C::ExecuteImmediate { .. } | C::IdentifierClause { .. } | C::Script(_) => return None,
        _ => StructType::default(),
    })
}

/// `num_affected_rows`, of UPDATE and DELETE.
pub(crate) fn affected_schema() -> StructType {
    StructType::new(vec![column("num_affected_rows", DataType::Long, true)])
}

fn result_plan() -> StructType {
    StructType::new(vec![text("plan", true)])
}

/// A command's name, for plans shown to users.
pub(crate) fn name_of(command: &Command) -> String {
    format!("{}Command", crate::query_profile::first_word(command))
}
