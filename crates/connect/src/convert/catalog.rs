//! `spark.catalog` calls: relations whose rows are what a command gives.

use boathouse_spec::{
    AnalyzeColumns, CatalogCall, Command, DataType, Error, Literal, Result, StorageLevel, StructType,
};

use super::data_type::schema_from_proto;
use super::{Converter, not_set};
use crate::proto::spark::{self as proto, catalog::CatType};

impl Converter<'_> {
    pub(super) fn catalog(&mut self, message: proto::Catalog) -> Result<Command> {
        use CatalogCall as Call;
        let call = match message
            .cat_type
            .ok_or_else(|| not_set("spark.connect.Catalog", "CATTYPE_NOT_SET"))?
        {
            CatType::CurrentDatabase(_) => Call::CurrentDatabase,
            CatType::SetCurrentDatabase(c) => Call::SetCurrentDatabase(c.db_name),
            CatType::ListDatabases(c) => Call::ListDatabases { pattern: c.pattern },
            CatType::ListTables(c) => Call::ListTables { database: c.db_name, pattern: c.pattern },
            CatType::ListFunctions(c) => Call::ListFunctions { database: c.db_name, pattern: c.pattern },
            CatType::ListColumns(c) => Call::ListColumns { table: c.table_name, database: c.db_name },
            CatType::GetDatabase(c) => Call::GetDatabase(c.db_name),
            CatType::GetTable(c) => Call::GetTable { table: c.table_name, database: c.db_name },
            CatType::GetFunction(c) => Call::GetFunction { function: c.function_name, database: c.db_name },
            CatType::DatabaseExists(c) => Call::DatabaseExists(c.db_name),
            CatType::TableExists(c) => Call::TableExists { table: c.table_name, database: c.db_name },
            CatType::FunctionExists(c) => {
                Call::FunctionExists { function: c.function_name, database: c.db_name }
            }
            CatType::CreateExternalTable(c) => Call::CreateTable {
                table: c.table_name,
                path: c.path,
                source: c.source,
                description: None,
                schema: schema(c.schema)?,
                options: c.options.into_iter().collect(),
            },
            CatType::CreateTable(c) => Call::CreateTable {
                table: c.table_name,
                path: c.path,
                source: c.source,
                description: c.description,
                schema: schema(c.schema)?,
                options: c.options.into_iter().collect(),
            },
            CatType::DropTempView(c) => Call::DropTempView(c.view_name),
            CatType::DropGlobalTempView(c) => Call::DropGlobalTempView(c.view_name),
            CatType::RecoverPartitions(c) => Call::RecoverPartitions(c.table_name),
            CatType::IsCached(c) => Call::IsCached(c.table_name),
            CatType::CacheTable(c) => {
                Call::CacheTable { table: c.table_name, storage_level: c.storage_level.map(storage_level) }
            }
            CatType::UncacheTable(c) => Call::UncacheTable(c.table_name),
            CatType::ClearCache(_) => Call::ClearCache,
            CatType::RefreshTable(c) => Call::RefreshTable(c.table_name),
            CatType::RefreshByPath(c) => Call::RefreshByPath(c.path),
            CatType::CurrentCatalog(_) => Call::CurrentCatalog,
            CatType::SetCurrentCatalog(c) => Call::SetCurrentCatalog(c.catalog_name),
            CatType::ListCatalogs(c) => Call::ListCatalogs { pattern: c.pattern },
            CatType::ListViews(c) => {
                let text = |t: Option<String>| t.map_or(Literal::Null(DataType::STRING), Literal::String);
                Call::Other { name: "listViews".into(), args: vec![text(c.db_name), text(c.pattern)] }
            }
            statement => return self.catalog_statement(statement),
        };
        Ok(Command::Catalog(call))
    }

    /// Calls that a SQL statement says too.
    fn catalog_statement(&mut self, call: CatType) -> Result<Command> {
        let name = |text: &str| boathouse_sql::parse_name(text);
        Ok(match call {
            CatType::DropTable(c) => {
                Command::DropTable { name: name(&c.table_name)?, if_exists: c.if_exists, purge: c.purge }
            }
            CatType::DropView(c) => Command::DropView { name: name(&c.view_name)?, if_exists: c.if_exists },
            CatType::CreateDatabase(c) => {
                // Comment and location are properties with a meaning of their own, as in Spark's own client.
                let (mut comment, mut location, mut properties) = (None, None, Vec::new());
                for (key, value) in c.properties {
                    match key.as_str() {
                        "comment" => comment = Some(value),
                        "location" => location = Some(value),
                        _ => properties.push((key, value)),
                    }
                }
                let name = name(&c.db_name)?;
                Command::CreateSchema {
                    name,
                    if_not_exists: c.if_not_exists,
                    comment,
                    location,
                    properties,
                    collation: None,
                }
            }
            CatType::DropDatabase(c) => {
                Command::DropSchema { name: name(&c.db_name)?, if_exists: c.if_exists, cascade: c.cascade }
            }
            CatType::ListPartitions(c) => {
                Command::ShowPartitions { table: name(&c.table_name)?, partition: None }
            }
            CatType::GetTableProperties(c) => {
                Command::ShowProperties { table: name(&c.table_name)?, key: None, is_view: false }
            }
            CatType::GetCreateTableString(c) => {
                Command::ShowCreateTable { table: name(&c.table_name)?, as_serde: c.as_serde }
            }
            CatType::TruncateTable(c) => {
                Command::TruncateTable { name: name(&c.table_name)?, partition: None }
            }
            CatType::AnalyzeTable(c) => Command::AnalyzeTable {
                name: name(&c.table_name)?,
                partition: None,
                columns: AnalyzeColumns::None,
                no_scan: c.no_scan,
            },
            other => return Err(Error::internal(format!("an unexpected call of the catalog: {other:?}"))),
        })
    }
}

/// A schema that may be left out, or sent empty.
fn schema(message: Option<proto::DataType>) -> Result<Option<StructType>> {
    message.filter(|m| m.kind.is_some()).map(schema_from_proto).transpose()
}

pub fn storage_level(level: proto::StorageLevel) -> StorageLevel {
    StorageLevel {
        use_disk: level.use_disk,
        use_memory: level.use_memory,
        use_off_heap: level.use_off_heap,
        deserialized: level.deserialized,
        replication: level.replication,
    }
}
