//! `ANALYZE TABLE`: statistics kept beside the table, as Spark keeps them in its properties.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_spec::{
    AnalyzeColumns, DataType, Error, Expr, Literal, PartitionSpec, Relation, RelationNode, Result,
    StructField, TableRef, quote,
};
use datafusion::scalar::ScalarValue;

use crate::commands::describe_table::column_not_found;
use crate::commands::target::{self, Found};
use crate::commands::{evaluate, partitions};
use crate::resolver::ResolvedTable;
use crate::{QueryResult, Session};

const PREFIX: &str = "spark.sql.statistics.";

pub(super) async fn table(
    session: &Arc<Session>,
    name: &[String],
    partition: Option<PartitionSpec>,
    columns: AnalyzeColumns,
    no_scan: bool,
) -> Result<QueryResult> {
    let table = match target::find(session, name, &target::command_path(session)).await? {
        Found::Table(table) => *table,
        view => return Err(no_view(&view, &columns)),
    };
    if partition.is_some() && table.delta.is_some() {
        return Err(Error::unsupported("ANALYZE TABLE .. PARTITION of a Delta table"));
    }
    // As in Spark, the statistics of columns are of the whole table.
    if let Some(partition) = partition.filter(|_| columns == AnalyzeColumns::None) {
        return of_partitions(session, &table, &partition).await;
    }
    analyze(session, &table, columns, no_scan).await?;
    Ok(QueryResult::empty())
}

/// `ANALYZE TABLE t PARTITION (p = 1)`: nothing reads counts of partitions here, so that it only says whether they are there.
async fn of_partitions(
    session: &Arc<Session>,
    table: &ResolvedTable,
    partition: &PartitionSpec,
) -> Result<QueryResult> {
    let wanted = partitions::values(session, table, partition).await?;
    let all = partitions::list(session, table).await?;
    if !wanted.is_empty() && !all.iter().any(|p| partitions::matches(p, &wanted)) {
        return Err(partitions::not_found(table, &wanted));
    }
    Ok(QueryResult::empty())
}

/// Views keep no statistics.
fn no_view(view: &Found, columns: &AnalyzeColumns) -> Error {
    let name = view.display_name();
    match (view, columns) {
        (Found::TempView { .. }, AnalyzeColumns::None) => Error::new("EXPECT_PERMANENT_VIEW_NOT_TEMP")
            .param("viewName", &name)
            .param("operation", "ANALYZE TABLE")
            .message(format!("{name} is a temporary view: ANALYZE TABLE is about tables."))
            .exception("AnalysisException"),
        (Found::TempView { .. }, _) => Error::new("UNSUPPORTED_FEATURE.ANALYZE_UNCACHED_TEMP_VIEW")
            .param("viewName", &name)
            .message(format!("{name} is a temporary view: its columns have no statistics to keep."))
            .exception("AnalysisException"),
        _ => Error::new("UNSUPPORTED_FEATURE.ANALYZE_VIEW")
            .message(format!("{name} is a view: ANALYZE TABLE is about tables."))
            .exception("AnalysisException"),
    }
}

pub(super) async fn tables(
    session: &Arc<Session>,
    schema: Option<&[String]>,
    no_scan: bool,
) -> Result<QueryResult> {
    let schema = session.schema_or_current(schema)?;
    for record in session.engine.catalog.list_tables(&schema).await? {
        if record.kind.is_view() {
            continue;
        }
        let path = target::command_path(session);
        let table = target::table(session, &record.name.parts(), "ANALYZE TABLES", &path).await?;
        analyze(session, &table, AnalyzeColumns::None, no_scan).await?;
    }
    Ok(QueryResult::empty())
}

async fn analyze(
    session: &Arc<Session>,
    table: &ResolvedTable,
    columns: AnalyzeColumns,
    no_scan: bool,
) -> Result<()> {
    let Some(record) = &table.record else {
        return Err(Error::unsupported("ANALYZE TABLE on a path: statistics are kept with a table's name"));
    };
    let fields = fields_of(table, &columns)?;
    let mut found = vec![(format!("{PREFIX}totalSize"), size(table).await?.to_string())];
    if !no_scan || !fields.is_empty() {
        found.extend(computed(session, table, &fields).await?);
    }
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, move |record| {
            record.properties.retain(|k, _| !k.starts_with(PREFIX) || k.contains(".colStats."));
            record.properties.extend(found);
            Ok(())
        })
        .await?;
    Ok(())
}

/// Takes the statistics away of a table whose rows have changed (Spark's `CommandUtils.updateTableStats`).
pub(crate) async fn forget_statistics(session: &Arc<Session>, record: &TableRecord) -> Result<()> {
    if !record.properties.keys().any(|key| key.starts_with(PREFIX)) {
        return Ok(());
    }
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, |record| {
            record.properties.retain(|key, _| !key.starts_with(PREFIX));
            Ok(())
        })
        .await?;
    Ok(())
}

fn fields_of<'a>(table: &'a ResolvedTable, columns: &AnalyzeColumns) -> Result<Vec<&'a StructField>> {
    let fields: Vec<&StructField> = match columns {
        AnalyzeColumns::None => Vec::new(),
        AnalyzeColumns::All => table.schema.fields.iter().collect(),
        AnalyzeColumns::Named(names) => names
            .iter()
            .map(|n| table.schema.field(n).ok_or_else(|| column_not_found(std::slice::from_ref(n))))
            .collect::<Result<_>>()?,
    };
    match fields.iter().find(|f| !is_analyzed(&f.data_type)) {
        Some(field) => Err(Error::new("UNSUPPORTED_FEATURE.ANALYZE_UNSUPPORTED_COLUMN_TYPE")
            .param("columnType", format!("\"{}\"", field.data_type.sql()))
            .param("columnName", quote(&field.name))
            .param("tableName", table.display_name())
            .message(format!("Columns of the type {} have no statistics.", field.data_type.sql()))
            .exception("AnalysisException")),
        None => Ok(fields),
    }
}

async fn size(table: &ResolvedTable) -> Result<i64> {
    match &table.delta {
        Some(delta) => Ok(delta.snapshot.add_actions().await?.iter().map(|a| a.size).sum()),
        None => Ok(0),
    }
}

/// Rows of the table, and for each column its range, its NULLs, and how many values it has.
async fn computed(
    session: &Arc<Session>,
    table: &ResolvedTable,
    fields: &[&StructField],
) -> Result<Vec<(String, String)>> {
    let one = || Expr::Literal(Literal::Integer(1));
    let mut keys = vec![format!("{PREFIX}numRows")];
    let mut aggregates = vec![Expr::call("count", vec![one()])];
    for field in fields {
        let column = || Expr::column([field.name.as_str()]);
        let mut add = |key: &str, expr: Expr| {
            keys.push(format!("{PREFIX}colStats.{}.{key}", field.name));
            aggregates.push(expr);
        };
        add("distinctCount", Expr::call("approx_count_distinct", vec![column()]));
        add("nullCount", Expr::call("count_if", vec![Expr::call("isnull", vec![column()])]));
        let bytes = || Expr::literal(Literal::Long(width(&field.data_type)));
        if has_length(&field.data_type) {
            let or_bytes = |length: Expr| Expr::call("coalesce", vec![length, bytes()]);
            let length = || Expr::call("length", vec![column()]);
            let average = Expr::call("ceil", vec![Expr::call("avg", vec![length()])]);
            add("avgLen", or_bytes(average));
            add("maxLen", or_bytes(Expr::call("max", vec![length()])));
        } else {
            add("min", bound("min", column(), &field.data_type));
            add("max", bound("max", column(), &field.data_type));
            add("avgLen", bytes());
            add("maxLen", bytes());
        }
    }
    let aggregates = aggregates
        .into_iter()
        .enumerate()
        .map(|(i, e)| e.cast(DataType::STRING).alias(format!("c{i}")))
        .collect();
    let source = TableRef { name: table.qualifier.clone(), ..TableRef::default() };
    let query = Relation::new(RelationNode::Aggregate(boathouse_spec::Aggregate {
        input: Relation::new(RelationNode::Table(source)),
        kind: boathouse_spec::GroupingKind::GroupBy,
        grouping: Vec::new(),
        aggregates,
        grouping_first: false,
    }));
    let (schema, batches) = evaluate::query_rows(session, query).await?;
    let values = evaluate::first_row(&schema, &batches)?;
    Ok(keys
        .into_iter()
        .zip(values)
        .filter_map(|(key, (value, _))| match value {
            ScalarValue::Utf8(Some(text)) => Some((key, text)),
            _ => None,
        })
        .collect())
}

fn is_analyzed(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || data_type.is_datetime()
        || has_length(data_type)
        || matches!(data_type, DataType::Boolean | DataType::Time { .. })
}

fn has_length(data_type: &DataType) -> bool {
    data_type.is_string() || *data_type == DataType::Binary
}

/// The bytes of a value, as Spark reckons (its `DataType.defaultSize`).
fn width(data_type: &DataType) -> i64 {
    match data_type {
        DataType::Boolean | DataType::Byte => 1,
        DataType::Short => 2,
        DataType::Integer | DataType::Float | DataType::Date => 4,
        DataType::Decimal { precision, .. } if *precision > 18 => 16,
        DataType::Binary => 100,
        data_type if data_type.is_string() => 20,
        _ => 8,
    }
}

/// The least or the greatest value of a column. Timestamps have all digits, and say their zone.
fn bound(function: &str, column: Expr, data_type: &DataType) -> Expr {
    let value = Expr::call(function, vec![column]);
    let pattern = match data_type {
        DataType::Timestamp => "yyyy-MM-dd HH:mm:ss.SSSSSS Z",
        DataType::TimestampNtz => "yyyy-MM-dd HH:mm:ss.SSSSSS",
        _ => return value,
    };
    Expr::call("date_format", vec![value, Expr::string(pattern)])
}

/// What DESCRIBE EXTENDED shows of a column's statistics, in Spark's order.
pub(super) fn column_statistics(
    record: Option<&TableRecord>,
    column: &str,
) -> Vec<(&'static str, Option<String>)> {
    let get = |key: &str| {
        record.and_then(|r| r.properties.get(&format!("{PREFIX}colStats.{column}.{key}")).cloned())
    };
    vec![
        ("min", get("min")),
        ("max", get("max")),
        ("num_nulls", get("nullCount")),
        ("distinct_count", get("distinctCount")),
        ("avg_col_len", get("avgLen")),
        ("max_col_len", get("maxLen")),
        ("histogram", get("histogram")),
    ]
}
