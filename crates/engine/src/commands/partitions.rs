//! Partitions of tables: listing them, and naming them in statements.

use std::sync::Arc;

use boathouse_spec::{
    DataType, Error, Expr, Literal, Name, PartitionSpec, Relation, RelationNode, Result, SortOrder,
    StructField, TableRef, quote, quote_name,
};

use crate::commands::{evaluate, store_assignment, target};
use crate::resolver::ResolvedTable;
use crate::{QueryResult, Session, literals};

/// The directory name of a NULL.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Column names with values as text; a NULL is `None`.
pub(crate) type Partition = Vec<(String, Option<String>)>;

/// The partition columns of a table, in order.
pub(super) fn columns(table: &ResolvedTable) -> Vec<String> {
    match (&table.delta, &table.record) {
        (Some(delta), _) => delta.snapshot.partition_columns().to_vec(),
        (None, Some(record)) => {
            // Directories have the names of the columns, however PARTITIONED BY wrote them.
            let known = |name: &String| table.schema.field(name).map_or(name, |f| &f.name).clone();
            record.partition_columns.iter().map(known).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// The clustering columns of a table, each outermost name first.
pub(super) async fn clustering(table: &ResolvedTable) -> Result<Vec<Name>> {
    match (&table.delta, &table.record) {
        (Some(delta), _) => Ok(delta.snapshot.clustering_columns().await?.unwrap_or_default()),
        (None, Some(record)) => Ok(record.clustering_columns.clone()),
        (None, None) => Ok(Vec::new()),
    }
}

/// All partitions, sorted.
pub(super) async fn list(session: &Arc<Session>, table: &ResolvedTable) -> Result<Vec<Partition>> {
    let names = columns(table);
    let source = TableRef { name: table.qualifier.clone(), ..TableRef::default() };
    let exprs =
        names.iter().map(|n| Expr::column([n.as_str()]).cast(DataType::STRING).alias(n.as_str())).collect();
    let order = names.iter().map(|n| SortOrder::ascending(Expr::column([n.as_str()]))).collect();
    let scan = Relation::new(RelationNode::Table(source));
    let projected = Relation::new(RelationNode::Project { input: scan, exprs });
    let distinct = Relation::new(RelationNode::Distinct { input: projected });
    let sorted = Relation::new(RelationNode::Sort { input: distinct, order, global: true });
    let (_, batches) = evaluate::query_rows(session, sorted).await?;
    let mut out = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let partition = names.iter().zip(batch.columns());
            out.push(
                partition.map(|(n, c)| (n.clone(), literals::text(c, row).map(str::to_string))).collect(),
            );
        }
    }
    Ok(out)
}

/// A column that a PARTITION clause names; those that are no partition columns are refused.
pub(super) fn column(table: &ResolvedTable, name: &str) -> Result<String> {
    columns(table).into_iter().find(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
        Error::new("PARTITIONS_NOT_FOUND")
            .param("partitionList", quote(name))
            .param("tableName", table.display_name())
            .message(format!("{} is no partition column of {}.", quote(name), table.display_name()))
            .exception("AnalysisException")
    })
}

/// In a table of files the empty text has no directory of its own.
pub(super) fn refuse_empty(spec: &PartitionSpec) -> Result<()> {
    let empty = spec
        .iter()
        .find(|(_, value)| matches!(value, Some(Expr::Literal(Literal::String(text))) if text.is_empty()));
    let Some((name, _)) = empty else { return Ok(()) };
    let details = format!("The spec ([{name}=]) contains an empty partition column value");
    Err(Error::new("_LEGACY_ERROR_TEMP_1076")
        .param("details", &details)
        .message(format!("{details}."))
        .exception("AnalysisException"))
}

/// The values that a statement's PARTITION clause gives, as the texts that the columns have; columns that are no partition
/// columns are refused.
pub(super) async fn values(
    session: &Arc<Session>,
    table: &ResolvedTable,
    spec: &PartitionSpec,
) -> Result<Partition> {
    if table.delta.is_none() {
        refuse_empty(spec)?;
    }
    let mut out = Vec::with_capacity(spec.len());
    for (name, value) in spec {
        let column = column(table, name)?;
        let Some(value) = value else { continue };
        let text = match table.schema.field(&column) {
            Some(field) => column_text(session, field, value.clone()).await?,
            None => evaluate::string(session, value.clone().cast(DataType::STRING)).await?.0,
        };
        out.push((column, text));
    }
    Ok(out)
}

/// A value as the text of a partition column of a type: '03' of an INT is `3`, and what is a CHAR is padded.
async fn column_text(session: &Arc<Session>, field: &StructField, value: Expr) -> Result<Option<String>> {
    if matches!(&value, Expr::Literal(Literal::String(text)) if text == NULL_PARTITION) {
        return Ok(None);
    }
    let typed = match field.data_type.is_string() {
        true => value,
        false => value.ansi_cast(field.data_type.clone()),
    };
    let (text, _) = evaluate::string(session, typed.cast(DataType::STRING)).await?;
    text.map(|text| store_assignment::stored_text(field, text)).transpose()
}

/// Whether a partition has the values that are given.
pub(super) fn matches(partition: &Partition, wanted: &Partition) -> bool {
    wanted.iter().all(|(name, value)| partition.iter().any(|(n, v)| n == name && v == value))
}

/// The one partition that a statement names, which takes all of its values.
pub(super) async fn one(
    session: &Arc<Session>,
    table: &ResolvedTable,
    spec: &PartitionSpec,
) -> Result<Partition> {
    let wanted = values(session, table, spec).await?;
    let known = columns(table);
    if wanted.len() < known.len() {
        let keys: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::new("_LEGACY_ERROR_TEMP_1232")
            .param("specKeys", keys.join(", "))
            .param("partitionColumnNames", known.join(", "))
            .param("tableName", table.display_name())
            .message(format!(
                "A partition of {} has values of {}, and the statement gives those of {}.",
                table.display_name(),
                known.join(", "),
                keys.join(", ")
            ))
            .exception("AnalysisException"));
    }
    let found = list(session, table).await?.into_iter().find(|p| matches(p, &wanted));
    found.ok_or_else(|| not_found(table, &wanted))
}

/// `a=1/b=x`, with what cannot stand in a path escaped.
pub(super) fn shown(partition: &Partition) -> String {
    let parts: Vec<_> = partition
        .iter()
        .map(|(name, value)| {
            let value = value.as_deref().map_or_else(|| NULL_PARTITION.to_string(), escape);
            format!("{}={value}", escape(name))
        })
        .collect();
    parts.join("/")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// PARTITIONS_NOT_FOUND for a partition that is not there.
pub(super) fn not_found(table: &ResolvedTable, wanted: &Partition) -> Error {
    let list: Vec<_> =
        wanted.iter().map(|(n, v)| format!("{} = {}", quote(n), v.as_deref().unwrap_or("null"))).collect();
    let name = table.record.as_ref().map_or_else(
        || table.display_name(),
        |r| quote_name(&[r.name.schema.as_str(), r.name.name.as_str()]),
    );
    let list = format!("PARTITION ({})", list.join(", "));
    Error::new("PARTITIONS_NOT_FOUND")
        .param("partitionList", &list)
        .param("tableName", &name)
        .message(format!("{name} has no {list}."))
        .exception("AnalysisException")
}

/// `MSCK REPAIR TABLE`: files are listed when they are read, so that there is nothing to repair but what is asked.
pub(super) async fn repair(session: &Arc<Session>, name: &[String]) -> Result<QueryResult> {
    let table = target::table(session, name, "MSCK REPAIR TABLE", &target::command_path(session)).await?;
    if table.delta.is_some() {
        return Err(target::no_operation(&table.display_name(), "MSCK REPAIR TABLE"));
    }
    if columns(&table).is_empty() {
        return Err(Error::new("NOT_A_PARTITIONED_TABLE")
            .param("operation", "MSCK REPAIR TABLE")
            .param("tableIdentWithDB", table.display_name())
            .message(format!("{} has no partitions to repair.", table.display_name()))
            .exception("AnalysisException"));
    }
    session.engine.cache.refresh_all().await;
    Ok(QueryResult::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_as_paths() {
        let partition = vec![("a".to_string(), Some("x/y z".to_string())), ("b".to_string(), None)];
        assert_eq!(shown(&partition), "a=x%2Fy z/b=__HIVE_DEFAULT_PARTITION__");
        assert!(matches(&partition, &vec![("b".to_string(), None)]));
        assert!(!matches(&partition, &vec![("a".to_string(), Some("z".into()))]));
    }
}
