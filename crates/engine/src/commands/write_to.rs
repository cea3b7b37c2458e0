//! `df.writeTo`: rows by the names of the columns, into a table of the catalog.

use std::sync::Arc;

use boathouse_delta::partition_column_not_found;
use boathouse_spec::{
    CreateMode, Error, Expr, Insert, InsertMode, Options, Result, StructType, TableTarget, WriteTo,
    WriteToMode, option, quote_name,
};

use crate::commands::create_table::Definition;
use crate::commands::{create_table, insert, target};
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, mut write: WriteTo) -> Result<QueryResult> {
    match &write.mode {
        WriteToMode::Create => create(session, write, CreateMode::Create, "CREATE TABLE AS SELECT").await,
        WriteToMode::Replace => create(session, write, CreateMode::Replace, "REPLACE TABLE AS SELECT").await,
        WriteToMode::CreateOrReplace => {
            create(session, write, CreateMode::OrReplace, "CREATE OR REPLACE TABLE AS SELECT").await
        }
        WriteToMode::Append => insert_rows(session, write, InsertMode::Append).await,
        WriteToMode::Overwrite(condition) => {
            let condition = condition.clone();
            let everything = matches!(&condition, Expr::Literal(boathouse_spec::Literal::Boolean(true)));
            let mode = if everything { InsertMode::Overwrite } else { InsertMode::ReplaceWhere(condition) };
            insert_rows(session, write, mode).await
        }
        WriteToMode::OverwritePartitions => {
            write.options.push(("partitionOverwriteMode".to_string(), "dynamic".to_string()));
            insert_rows(session, write, InsertMode::Overwrite).await
        }
    }
}

/// Rows that overwrite partitions say which, and have something to put there.
fn check_columns(rows: &StructType, partitions: &[String]) -> Result<()> {
    let has = |name: &String| rows.fields.iter().any(|f| f.name.to_lowercase() == name.to_lowercase());
    if let Some(missing) = partitions.iter().find(|name| !has(name)) {
        return Err(partition_column_not_found(missing, rows));
    }
    if !partitions.is_empty() && rows.fields.len() == partitions.len() {
        return Err(Error::new("DELTA_NON_PARTITION_COLUMN_ABSENT")
            .param("details", "")
            .message("Rows of a Delta table need at least one column beside the partition columns.")
            .exception("AnalysisException"));
    }
    Ok(())
}

async fn insert_rows(session: &Arc<Session>, write: WriteTo, mode: InsertMode) -> Result<QueryResult> {
    let table = target::table(session, &write.table, "writeTo", &target::relation_path(session)).await?;
    if matches!(write.mode, WriteToMode::OverwritePartitions)
        && let Some(delta) = &table.delta
    {
        check_columns(&session.schema(&write.input).await?, delta.snapshot.partition_columns())?;
    }
    let mut options: Options = write.options;
    if mode == InsertMode::Overwrite && option(&options, "partitionOverwriteMode").is_none() {
        options.push(("partitionOverwriteMode".to_string(), "static".to_string()));
    }
    let insert = Insert {
        table: TableTarget::Name(write.table),
        query: write.input,
        columns: Vec::new(),
        by_name: true,
        mode,
        partition: None,
        if_partition_not_exists: false,
        options,
        with_schema_evolution: false,
    };
    insert::run(session, insert).await
}

async fn create(
    session: &Arc<Session>,
    write: WriteTo,
    mode: CreateMode,
    operation: &'static str,
) -> Result<QueryResult> {
    let provider = match write.provider {
        Some(provider) => provider.to_lowercase(),
        None => session.conf().require("spark.sql.sources.default")?.to_lowercase(),
    };
    let mut partition_by = Vec::with_capacity(write.partition_by.len());
    for expr in write.partition_by {
        match expr {
            Expr::Column(column) if column.name.len() == 1 => partition_by.extend(column.name),
            Expr::Column(column) => {
                return Err(Error::unsupported(format!(
                    "partitioning by the field {}",
                    quote_name(&column.name)
                )));
            }
            Expr::Call(call) => {
                return Err(Error::unsupported(format!("partitioning by {}(..)", call.name.join("."))));
            }
            _ => return Err(Error::unsupported("partitioning by an expression")),
        }
    }
    let mut options = write.options;
    let (name, path) = create_table::place(session, &write.table).await?;
    let location = path.or_else(|| option(&options, "path").map(str::to_string));
    options.retain(|(k, _)| !k.eq_ignore_ascii_case("path"));
    let definition = Definition {
        name,
        mode,
        provider,
        schema: Default::default(),
        partition_by,
        cluster_by: write.cluster_by,
        bucket: None,
        location,
        comment: None,
        collation: None,
        properties: write.properties.into_iter().collect(),
        options,
        query: Some(write.input),
        operation,
    };
    create_table::make(session, definition).await?;
    Ok(QueryResult::empty())
}
