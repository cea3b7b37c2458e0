//! `INSERT INTO t REPLACE USING (..)` and `REPLACE ON ..`: the rows that match rows of the query go, and all rows of the
//! query come, in one commit.
//!
//! It is a MERGE whose source is the query twice: the rows of the first find what is deleted, those of the second match
//! nothing and are inserted.

use std::sync::Arc;

use boathouse_spec::{
    Error, Expr, Insert, InsertMode, Literal, Merge, MergeAction, MergeClause, Name, Relation, RelationNode,
    Result, SetOperation, TableRef, quote,
};

use crate::commands::merge;
use crate::resolver::ResolvedTable;
use crate::{QueryResult, Session};

const TARGET: &str = "__replaced";
const SOURCE: &str = "__replacing";
/// Which of the two a row of the source is of.
const ROLE: &str = "__replace_role";

pub(super) async fn run(
    session: &Arc<Session>,
    table: &ResolvedTable,
    name: Name,
    insert: Insert,
) -> Result<QueryResult> {
    let (query, source_alias) = match *insert.query.node {
        RelationNode::SubqueryAlias { input, alias, ref columns, .. } if columns.is_empty() => (input, alias),
        node => (node.into(), SOURCE.to_string()),
    };
    let names = column_names(session, &query).await?;
    let (target_alias, condition) = match insert.mode {
        InsertMode::ReplaceOn { alias, condition } => (alias, condition),
        InsertMode::ReplaceUsing(columns) => {
            let condition = using(table, &names, &columns, &source_alias)?;
            (Some(TARGET.to_string()), condition)
        }
        _ => return Err(Error::internal("an INSERT that replaces nothing")),
    };
    let columns: Vec<String> = match (insert.columns.is_empty(), insert.by_name) {
        (false, _) => insert.columns.iter().filter_map(|c| c.last().cloned()).collect(),
        (true, true) => names.clone(),
        (true, false) => table.schema.names().into_iter().map(str::to_string).collect(),
    };
    if columns.len() != names.len() {
        return Err(arity(table, &columns, &names));
    }
    let role = |value: i32| Expr::literal(Literal::Integer(value));
    let is_role =
        |value: i32| Expr::operator("=", vec![Expr::column([source_alias.as_str(), ROLE]), role(value)]);
    let assignments = columns
        .into_iter()
        .zip(names)
        .map(|(to, from)| (Expr::column([to]), Expr::column([source_alias.clone(), from])))
        .collect();
    let with_role = |value: i32| -> Relation {
        let exprs = vec![Expr::star(), role(value).alias(ROLE)];
        RelationNode::Project { input: query.clone(), exprs }.into()
    };
    let source = RelationNode::SetOperation {
        left: with_role(0),
        right: with_role(1),
        operation: SetOperation::Union,
        all: true,
        by_name: false,
        allow_missing: false,
    };
    let target = RelationNode::Table(TableRef { name, ..TableRef::default() }).into();
    let merge = Merge {
        target: match target_alias {
            Some(alias) => aliased(target, alias),
            None => target,
        },
        source: aliased(source.into(), source_alias.clone()),
        condition: Expr::operator("and", vec![is_role(0), condition]),
        matched: vec![MergeClause { condition: None, action: MergeAction::Delete }],
        not_matched: vec![MergeClause {
            condition: Some(is_role(1)),
            action: MergeAction::Insert(assignments),
        }],
        not_matched_by_source: Vec::new(),
        with_schema_evolution: insert.with_schema_evolution,
    };
    merge::run(session, merge).await?;
    Ok(QueryResult::empty())
}

fn aliased(input: Relation, alias: String) -> Relation {
    RelationNode::SubqueryAlias { input, alias, qualifier: Vec::new(), columns: Vec::new() }.into()
}

async fn column_names(session: &Arc<Session>, query: &Relation) -> Result<Vec<String>> {
    let query = query.clone();
    session
        .analyze(move |analyzer| {
            Ok(analyzer.query(&query)?.schema().names().into_iter().map(str::to_string).collect())
        })
        .await
}

/// Equality of columns that both sides have; NULL equals nothing.
fn using(table: &ResolvedTable, query: &[String], columns: &[Name], source_alias: &str) -> Result<Expr> {
    let equal = columns.iter().map(|column| {
        let name = column.last().cloned().unwrap_or_default();
        let known =
            table.schema.field(&name).is_some() && query.iter().any(|q| q.eq_ignore_ascii_case(&name));
        if !known {
            return Err(Error::new("UNRESOLVED_USING_COLUMN_FOR_JOIN")
                .param("colName", quote(&name))
                .param("side", if table.schema.field(&name).is_some() { "query" } else { "table" })
                .param("suggestion", query.join(", "))
                .message(format!(
                    "REPLACE USING takes columns of the table and of the query; {} is not one of both.",
                    quote(&name)
                ))
                .exception("AnalysisException"));
        }
        let sides = vec![Expr::column([TARGET, &name]), Expr::column([source_alias, &name])];
        Ok(Expr::operator("=", sides))
    });
    let equal = equal.collect::<Result<Vec<_>>>()?;
    equal
        .into_iter()
        .reduce(|a, b| Expr::operator("and", vec![a, b]))
        .ok_or_else(|| Error::internal("REPLACE USING without columns"))
}

fn arity(table: &ResolvedTable, columns: &[String], query: &[String]) -> Error {
    let few = query.len() < columns.len();
    let subclass = if few { "NOT_ENOUGH_DATA_COLUMNS" } else { "TOO_MANY_DATA_COLUMNS" };
    let list = |names: &[String]| names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ");
    Error::new(format!("INSERT_COLUMN_ARITY_MISMATCH.{subclass}"))
        .param("tableName", table.display_name())
        .param("tableColumns", list(columns))
        .param("dataColumns", list(query))
        .message(format!(
            "{} takes {} columns ({}), and the query gives {} ({}).",
            table.display_name(),
            columns.len(),
            list(columns),
            query.len(),
            list(query)
        ))
        .exception("AnalysisException")
}
