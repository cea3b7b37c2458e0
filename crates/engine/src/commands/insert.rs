//! `INSERT INTO`, `INSERT OVERWRITE`, `INSERT .. REPLACE WHERE`.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_delta::{PartitionOverwrite, WriteMode, WriteOptions};
use boathouse_spec::{
    DataType, Error, Expr, Insert, InsertMode, Name, PartitionSpec, Relation, Result, StructField,
    StructType, TableTarget, option, quote,
};
use datafusion::logical_expr::LogicalPlan;

use crate::analyzer::{Analyzed, Analyzer, TypedExpr};
use crate::commands::fields_by_name::{check_fields_given, in_order, reads_as};
use crate::commands::store_assignment::{assign, incompatible, inserted_type, overflow_error};
use crate::commands::table_expressions::{self, TableScope};
use crate::commands::{
    column_default, computed_columns, evaluate, insert_partition, insert_replace, partitions, predicate_text,
    table_columns, target, write,
};
use crate::execute::project;
use crate::resolver::ResolvedTable;
use crate::{QueryResult, Session, execute, names, sources};

pub(super) async fn several(session: &Arc<Session>, inserts: Vec<Insert>) -> Result<QueryResult> {
    for insert in inserts {
        run(session, insert).await?;
    }
    Ok(QueryResult::empty())
}

pub(super) async fn run(session: &Arc<Session>, insert: Insert) -> Result<QueryResult> {
    let name = match &insert.table {
        TableTarget::Name(name) => name.clone(),
        TableTarget::Identifier(expr) => identifier(session, expr.clone()).await?,
        TableTarget::Directory { path, format, options } => {
            return sources::write_directory(
                session,
                insert.query.clone(),
                format.as_deref(),
                path.as_deref(),
                options,
                insert.mode == InsertMode::Overwrite,
            )
            .await;
        }
    };
    let path = target::relation_path(session);
    // Files are read by their path, and not written to: as a target it is no name.
    let is_path = matches!(name.as_slice(), [format, _]
        if sources::is_format(format) && !format.eq_ignore_ascii_case("delta"));
    let table = match target::table(session, &name, "INSERT", &path).await {
        Ok(table) if is_path && table.record.is_none() => return Err(names::not_found(&name, &path)),
        Err(e) if is_path && (e.is("PATH_NOT_FOUND") || e.is("UNABLE_TO_INFER_SCHEMA")) => {
            return Err(names::not_found(&name, &path));
        }
        found => found?,
    };
    if table.delta.is_none() {
        refuse_replacing(&table, &insert.mode)?;
    }
    if matches!(insert.mode, InsertMode::ReplaceUsing(_) | InsertMode::ReplaceOn { .. }) {
        return insert_replace::run(session, &table, name, insert).await;
    }
    into_table(session, table, insert).await
}

/// Tables of files lose all rows, or whole partitions: never the rows that a condition finds.
fn refuse_replacing(table: &ResolvedTable, mode: &InsertMode) -> Result<()> {
    let name = table.display_name();
    match mode {
        InsertMode::Append | InsertMode::Overwrite => Ok(()),
        InsertMode::ReplaceWhere(_) => Err(Error::new("_LEGACY_ERROR_TEMP_1012")
            .param("identifier", &name)
            .message(format!(
                "{name} is no Delta table: rows that a condition finds cannot be replaced in it."
            ))
            .exception("AnalysisException")),
        InsertMode::ReplaceUsing(_) | InsertMode::ReplaceOn { .. } => {
            Err(target::no_operation(&name, "INSERT INTO ... REPLACE ON/USING"))
        }
    }
}

pub(super) async fn identifier(session: &Arc<Session>, expr: Expr) -> Result<Name> {
    let (text, _) = evaluate::string(session, expr).await?;
    let text = text.ok_or_else(|| {
        Error::new("NOT_A_CONSTANT_STRING.NULL")
            .param("name", "IDENTIFIER")
            .message("IDENTIFIER takes a constant string, and the expression is NULL.")
            .exception("AnalysisException")
    })?;
    boathouse_sql::parse_name(&text)
}

/// How the columns of a query meet those of a table.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    pub columns: Vec<Name>,
    pub by_name: bool,
    /// Partition values that the statement gives.
    pub partition: Option<PartitionSpec>,
    /// Columns that the table lacks are kept, for it to get them.
    pub keeps_new: bool,
    /// The table changes to fit the query.
    pub evolves: bool,
    /// Columns that the table does not have are refused as delta-spark refuses them: by its writer, not by the analyzer.
    pub is_delta: bool,
    /// Columns that the query lacks have their default (always so for a column list).
    pub fills_missing: bool,
}

/// A query made to fit a table.
pub(crate) struct Fitted {
    /// Its columns have the table's names.
    pub plan: LogicalPlan,
    /// The table's columns with the types that the query had.
    pub sources: Vec<(StructField, DataType)>,
    /// The identity columns, whose numbers the plan has.
    pub identities: Vec<boathouse_delta::IdentityColumn>,
}

async fn into_table(session: &Arc<Session>, table: ResolvedTable, mut insert: Insert) -> Result<QueryResult> {
    let evolves = insert.with_schema_evolution || merges_schema(session, &insert.options);
    let dynamic = is_dynamic(session, &insert.options)?;
    // Delta has its own words for columns that it does not have.
    let keeps_new = evolves || (insert.by_name && insert.columns.is_empty() && table.delta.is_some());
    let matching = Matching {
        columns: std::mem::take(&mut insert.columns),
        by_name: insert.by_name,
        partition: insert.partition.take(),
        keeps_new,
        evolves,
        is_delta: table.delta.is_some(),
        fills_missing: true,
    };
    let static_partition =
        matching.partition.clone().map(|p| p.into_iter().filter(|(_, v)| v.is_some()).collect::<Vec<_>>());
    if let Some(partition) = &matching.partition {
        partition.iter().try_for_each(|(name, _)| partitions::column(&table, name).map(|_| ()))?;
        if table.delta.is_none() {
            partitions::refuse_empty(partition)?;
        }
        if insert.if_partition_not_exists {
            let wanted = partitions::values(session, &table, partition).await?;
            let all = partitions::list(session, &table).await?;
            if all.iter().any(|p| partitions::matches(p, &wanted)) {
                return Ok(QueryResult::empty());
            }
        }
    }
    let overwritten = match &static_partition {
        Some(partition) if table.delta.is_none() && insert.mode == InsertMode::Overwrite => {
            insert_partition::overwritten(session, &table, partition, dynamic).await?
        }
        _ => None,
    };
    let keeps_reading = match insert.mode {
        InsertMode::Overwrite => insert_partition::is_by_rows(&table, static_partition.as_ref(), dynamic),
        _ => true,
    };
    let mode = insert.mode.clone();
    let (query, opened) = (insert.query.clone(), table.clone());
    let (fitted, constraints, replaced) = session
        .analyze(move |analyzer| {
            analyzer.changes(&opened);
            let fitted = fit(analyzer, &opened, query, &matching)?;
            if let Some(partition) = matching.partition.as_ref().filter(|_| opened.delta.is_none()) {
                insert_partition::check(&opened, partition)?;
            }
            if let Some(record) = opened.record.as_ref().filter(|_| opened.delta.is_none() && !keeps_reading)
                && analyzer.reads(&record.name)
            {
                return Err(write::overwrites_what_it_reads(&record.name));
            }
            let (constraints, scope) = match &opened.delta {
                Some(delta) => (
                    table_expressions::constraints(analyzer, &opened, &delta.snapshot)?,
                    TableScope::open(analyzer, &opened, None)?,
                ),
                None => (Vec::new(), TableScope::open(analyzer, &opened, None)?),
            };
            let replaced = match &mode {
                InsertMode::ReplaceWhere(condition) => {
                    let mut found = scope.condition(analyzer, condition, "REPLACE WHERE")?;
                    if let Some(text) = predicate_text::sql(&found.expr) {
                        found.sql = text;
                    }
                    table_expressions::check_replaced(&analyzer.session, &opened, &found)?;
                    Some(found)
                }
                // `INSERT OVERWRITE t PARTITION (p = 1)` replaces that partition.
                InsertMode::Overwrite if opened.delta.is_some() && !dynamic => {
                    match static_partition.filter(|p| !p.is_empty()) {
                        Some(partition) => {
                            Some(scope.condition(analyzer, &partition_condition(partition), "PARTITION")?)
                        }
                        None => None,
                    }
                }
                InsertMode::Append
                | InsertMode::Overwrite
                | InsertMode::ReplaceUsing(_)
                | InsertMode::ReplaceOn { .. } => None,
            };
            Ok((fitted, constraints, replaced))
        })
        .await?;
    let overwrites = insert.mode != InsertMode::Append;
    if table.delta.is_none() {
        return sources::insert(session, &table, fitted, overwrites, overwritten, dynamic, &insert.options)
            .await;
    }
    let mut options = WriteOptions::new(if overwrites { WriteMode::Overwrite } else { WriteMode::Append });
    options.constraints = constraints;
    options.merge_schema = evolves;
    options.replace_where = replaced;
    if insert.mode == InsertMode::Overwrite && dynamic && options.replace_where.is_none() {
        options.partition_overwrite = dynamic_overwrite(session)?;
    }
    write_delta(session, &table, fitted, options, &insert.options).await?;
    Ok(QueryResult::empty())
}

/// Writes a fitted query to a Delta table; false where its transaction was written before.
pub(super) async fn write_delta(
    session: &Arc<Session>,
    table: &ResolvedTable,
    fitted: Fitted,
    mut options: WriteOptions,
    given: &boathouse_spec::Options,
) -> Result<bool> {
    let Some(delta) = &table.delta else {
        return Err(Error::internal("a Delta write to a table that is none"));
    };
    write::common_options(session, given, &mut options)?;
    options.identities = fitted.identities;
    let state = execute::writing_state(session, Some(&delta.snapshot));
    let input = execute::written_plan(session, &state, &fitted.plan).await?;
    let location = delta.table.location();
    let written = boathouse_delta::write(location, Some(&delta.snapshot), &state, input, &options)
        .await
        .map_err(|e| overflow_error(e, &fitted.sources, &table.display_name()))?;
    let is_new = written.is_some();
    if let Some(committed) = written {
        session.committed(&delta.table, &committed);
    }
    session.engine.cache.changed(&location.uri()).await;
    Ok(is_new)
}

/// `p = 1 AND q = 'x'`, where NULL is a value.
fn partition_condition(partition: PartitionSpec) -> Expr {
    partition
        .into_iter()
        .filter_map(|(name, value)| Some(Expr::operator("<=>", vec![Expr::column([name]), value?])))
        .reduce(|a, b| Expr::operator("and", vec![a, b]))
        .unwrap_or(Expr::Literal(boathouse_spec::Literal::Boolean(true)))
}

/// `mergeSchema`, as an option or as a setting.
pub(super) fn merges_schema(session: &Session, options: &boathouse_spec::Options) -> bool {
    match option(options, "mergeSchema") {
        Some(value) => value.eq_ignore_ascii_case("true"),
        None => session.conf().flag("spark.databricks.delta.schema.autoMerge.enabled"),
    }
}

/// `partitionOverwriteMode`, as an option or as a setting.
pub(super) fn is_dynamic(session: &Session, options: &boathouse_spec::Options) -> Result<bool> {
    let key = "partitionOverwriteMode";
    let Some(value) = option(options, key) else {
        let set = session.conf().get("spark.sql.sources.partitionOverwriteMode");
        return Ok(set.is_some_and(|v| v.eq_ignore_ascii_case("dynamic")));
    };
    match value.to_lowercase().as_str() {
        "dynamic" => Ok(true),
        "static" => Ok(false),
        _ => Err(write::invalid_option(key, value, "it must be 'STATIC' or 'DYNAMIC'")),
    }
}

/// A dynamic overwrite of a Delta table, unless the session forbids them.
pub(super) fn dynamic_overwrite(session: &Session) -> Result<PartitionOverwrite> {
    if session.conf().flag("spark.databricks.delta.dynamicPartitionOverwrite.enabled") {
        return Ok(PartitionOverwrite::Dynamic);
    }
    Err(Error::new("DELTA_DYNAMIC_PARTITION_OVERWRITE_DISABLED")
        .message(
            "The write is to overwrite partitions dynamically, which \
             spark.databricks.delta.dynamicPartitionOverwrite.enabled = false forbids.",
        )
        .exception("IllegalArgumentException"))
}

/// Analyzes a query and makes its columns the table's.
pub(super) fn fit(
    analyzer: &mut Analyzer,
    table: &ResolvedTable,
    mut query: Relation,
    matching: &Matching,
) -> Result<Fitted> {
    let name = table.display_name();
    let schema = &table.schema;
    let named = named_columns(schema, &matching.columns)?;
    let fixed = static_values(analyzer, table, matching)?;
    // Where values are by position, these are the columns they are for.
    let open: Vec<&StructField> = match &named {
        Some(named) => named.clone(),
        None => schema.fields.iter().filter(|f| !fixed.iter().any(|(n, _)| *n == f.name)).collect(),
    };
    let defaults =
        open.iter().map(|f| column_default::expression(&analyzer.session, f)).collect::<Result<Vec<_>>>()?;
    column_default::fill(&mut query, &defaults)?;
    let analyzed = analyzer.query(&query)?;
    let given = if matching.by_name && named.is_none() {
        by_name(&analyzed, schema, &fixed, matching, &name)
    } else {
        by_position(&analyzed, &open, named.is_some(), schema, matching, &name)
    };
    let mut given = given.map_err(|e| match table.delta.is_none() && named.is_none() {
        true => insert_partition::arity(e, &fixed),
        false => e,
    })?;
    if named.is_some() {
        let is_fixed = |column: &&String| fixed.iter().any(|(f, _)| f == *column);
        let extra: Vec<String> =
            given.iter().map(|(column, _)| column).filter(is_fixed).map(|column| quote(column)).collect();
        if !extra.is_empty() {
            return Err(extra_columns(&name, &extra));
        }
    }
    let allowed = table_expressions::automatic_widening(&analyzer.session);
    let evolving = table.delta.as_ref().filter(|_| matching.evolves);
    let grows = |from: &DataType, to: &DataType| {
        evolving.is_some_and(|delta| boathouse_delta::evolves_type(&delta.snapshot, allowed, from, to))
    };
    let names = named.is_none().then(|| analyzed.output.iter().map(|a| a.name.as_str()));
    if table.delta.is_some() && reads_by_names(&given, names, schema, &grows) {
        given = with_fields_in_order(analyzer, given, schema);
    }
    if table.delta.is_none() && matching.by_name && named.is_none() {
        // BY NAME means the fields of structs, too; one that the query lacks has no default.
        for (column, value) in &given {
            if let Some(field) = schema.field(column) {
                let path = std::slice::from_ref(&field.name);
                check_fields_given(&value.data_type, &field.data_type, &name, path)?;
            }
        }
        given = with_fields_in_order(analyzer, given, schema);
    }
    let mut list = Vec::with_capacity(schema.fields.len());
    let mut sources = Vec::with_capacity(schema.fields.len());
    for field in &schema.fields {
        let value = if let Some((_, value)) = given.iter().find(|(n, _)| n.eq_ignore_ascii_case(&field.name))
        {
            value.clone()
        } else if let Some((_, value)) = fixed.iter().find(|(n, _)| *n == field.name) {
            value.clone()
        } else if table.delta.is_some() && computed_columns::is_computed(field) {
            continue;
        } else {
            if table.delta.is_none() && !has_default(&analyzer.session, field) {
                return Err(no_data(&name, field));
            }
            let default = column_default::expression(&analyzer.session, field)?;
            analyzer.expression(&default, &Analyzed::one_row()?)?
        };
        let mut column = field.clone();
        if table.delta.is_some() {
            column.data_type = inserted_type(&value.data_type, &field.data_type, &grows);
        }
        let from = value.data_type.clone();
        list.push(assign(analyzer, value, &column, table)?.expr.alias(&field.name));
        sources.push((column, from));
    }
    for (column, value) in given {
        if schema.index_of(&column).is_none() {
            list.push(value.expr.alias(column));
        }
    }
    let identities = computed_columns::identity_columns(table);
    let plan = computed_columns::complete(analyzer, table, project(list, analyzed.plan)?, &identities)?;
    Ok(Fitted { plan, sources, identities })
}

/// Whether what is given has the names and types of a table's columns at any depth. As in delta-spark, fields are then taken by
/// their names, and else by their places. `names` are those of the query's columns, where the statement names none.
fn reads_by_names<'a>(
    given: &Given,
    names: Option<impl Iterator<Item = &'a str>>,
    schema: &StructType,
    grows: &dyn Fn(&DataType, &DataType) -> bool,
) -> bool {
    let mut names = names;
    given.iter().all(|(column, value)| {
        let name = names.as_mut().and_then(Iterator::next).unwrap_or(column);
        schema
            .field(column)
            .is_none_or(|field| field.name == name && reads_as(&value.data_type, &field.data_type, grows))
    })
}

fn with_fields_in_order(analyzer: &Analyzer, given: Given, schema: &StructType) -> Given {
    let in_column = |(name, value): (String, TypedExpr)| match schema.field(&name) {
        Some(field) => (name, in_order(analyzer, value, &field.data_type)),
        None => (name, value),
    };
    given.into_iter().map(in_column).collect()
}

/// The columns of `INSERT INTO t (a, b)`.
fn named_columns<'a>(schema: &'a StructType, columns: &[Name]) -> Result<Option<Vec<&'a StructField>>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(columns.len());
    for column in columns {
        let found = match column.as_slice() {
            [one] => schema.field(one),
            _ => None,
        };
        let Some(field) = found else {
            let proposal = schema.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", ");
            return Err(Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
                .param("objectName", boathouse_spec::quote_name(column))
                .param("proposal", &proposal)
                .message(format!(
                    "The table has no column {}. Its columns are {proposal}.",
                    boathouse_spec::quote_name(column)
                ))
                .exception("AnalysisException"));
        };
        if !seen.insert(field.name.clone()) {
            return Err(duplicate(&field.name));
        }
        out.push(field);
    }
    Ok(Some(out))
}

/// COLUMN_ALREADY_EXISTS
pub(crate) fn duplicate(column: &str) -> Error {
    Error::new("COLUMN_ALREADY_EXISTS")
        .param("columnName", quote(&column.to_lowercase()))
        .message(format!("The column {} is named twice.", quote(column)))
        .exception("AnalysisException")
}

pub(super) fn given_twice(column: &str) -> Error {
    Error::new("DELTA_DUPLICATE_COLUMNS_FOUND.READ_SCHEMA")
        .param("duplicateCols", column)
        .message(format!("The query gives the column {} twice.", quote(column)))
        .exception("AnalysisException")
}

/// The values of `PARTITION (p = 1)`.
fn static_values(
    analyzer: &mut Analyzer,
    table: &ResolvedTable,
    matching: &Matching,
) -> Result<Vec<(String, TypedExpr)>> {
    let mut out = Vec::new();
    for (name, value) in matching.partition.iter().flatten() {
        let Some(field) = table.schema.field(name) else { continue };
        let Some(value) = value else { continue };
        let value = match value {
            Expr::Default => column_default::expression(&analyzer.session, field)?,
            // The name of a directory is a text: whatever can be cast is taken (Spark's `PreprocessTableInsertion`).
            other if table.delta.is_none() && !field.data_type.is_string() => {
                other.clone().ansi_cast(field.data_type.clone())
            }
            other => other.clone(),
        };
        out.push((field.name.clone(), analyzer.expression(&value, &Analyzed::one_row()?)?));
    }
    Ok(out)
}

type Given = Vec<(String, TypedExpr)>;

fn by_position(
    analyzed: &Analyzed,
    open: &[&StructField],
    is_list: bool,
    schema: &StructType,
    matching: &Matching,
    table: &str,
) -> Result<Given> {
    let (wanted, got) = (open.len(), analyzed.output.len());
    // Delta has its own words for columns that it does not have.
    let keeps_more = matching.keeps_new || (matching.is_delta && !is_list && matching.partition.is_none());
    if got < wanted || (got > wanted && !keeps_more) {
        let subclass = if got < wanted { "NOT_ENOUGH_DATA_COLUMNS" } else { "TOO_MANY_DATA_COLUMNS" };
        let list =
            |names: &mut dyn Iterator<Item = String>| names.map(|n| quote(&n)).collect::<Vec<_>>().join(", ");
        let table_columns = if is_list {
            list(&mut open.iter().map(|f| f.name.clone()))
        } else {
            list(&mut schema.fields.iter().map(|f| f.name.clone()))
        };
        let data_columns = list(&mut analyzed.output.iter().map(|a| a.name.clone()));
        return Err(Error::new(format!("INSERT_COLUMN_ARITY_MISMATCH.{subclass}"))
            .param("tableName", table)
            .param("tableColumns", &table_columns)
            .param("dataColumns", &data_columns)
            .message(format!(
                "{table} takes {wanted} columns ({table_columns}), and the query gives {got} ({data_columns})."
            ))
            .exception("AnalysisException"));
    }
    let mut given: Given =
        open.iter().zip(&analyzed.output).map(|(f, a)| (f.name.clone(), a.typed())).collect();
    given.extend(analyzed.output.iter().skip(wanted).map(|a| (a.name.clone(), a.typed())));
    Ok(given)
}

/// Columns, in quotes, that the table does not take from the query.
fn extra_columns(table: &str, extra: &[String]) -> Error {
    let extra = extra.join(", ");
    incompatible("EXTRA_COLUMNS", table, &[])
        .param("extraColumns", &extra)
        .message(format!("{table} takes no columns {extra} from the query."))
}

fn by_name(
    analyzed: &Analyzed,
    schema: &StructType,
    fixed: &Given,
    matching: &Matching,
    table: &str,
) -> Result<Given> {
    let mut given: Given = Vec::with_capacity(analyzed.output.len());
    let mut extra = Vec::new();
    for attribute in &analyzed.output {
        if given.iter().any(|(n, _)| n.eq_ignore_ascii_case(&attribute.name)) {
            if matching.is_delta {
                return Err(given_twice(&attribute.name));
            }
            return Err(incompatible("AMBIGUOUS_COLUMN_NAME", table, std::slice::from_ref(&attribute.name))
                .message(format!("The query gives the column {} twice.", quote(&attribute.name))));
        }
        let is_known =
            schema.field(&attribute.name).is_some_and(|f| !fixed.iter().any(|(n, _)| *n == f.name));
        if !is_known && !matching.keeps_new {
            extra.push(quote(&attribute.name));
        }
        given.push((attribute.name.clone(), attribute.typed()));
    }
    let columns = |names: Vec<String>| names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ");
    let open = schema.fields.len() - fixed.len();
    if !extra.is_empty() && given.len() > open {
        return Err(Error::new("INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS")
            .param("tableName", table)
            .param("tableColumns", columns(schema.fields.iter().map(|f| f.name.clone()).collect()))
            .param("dataColumns", columns(given.iter().map(|(n, _)| n.clone()).collect()))
            .message(format!("{table} takes {open} columns, and the query gives {}.", given.len()))
            .exception("AnalysisException"));
    }
    if !extra.is_empty() {
        return Err(extra_columns(table, &extra));
    }
    if !matching.fills_missing
        && let Some(missing) =
            schema.fields.iter().find(|f| !given.iter().any(|(n, _)| n.eq_ignore_ascii_case(&f.name)))
    {
        return Err(no_data(table, missing));
    }
    Ok(given)
}

/// A column without DEFAULT has NULL as its default, unless the session says otherwise.
fn has_default(session: &Session, field: &StructField) -> bool {
    session.conf().flag("spark.sql.defaultColumn.useNullsForMissingDefaultValues")
        || table_columns::default_text(field).is_some()
}

fn no_data(table: &str, column: &StructField) -> Error {
    incompatible("CANNOT_FIND_DATA", table, std::slice::from_ref(&column.name))
        .message(format!("The query gives no values for the column {} of {table}.", quote(&column.name)))
}
