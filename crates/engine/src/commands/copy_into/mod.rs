//! `COPY INTO`: loads the files of a directory that were not loaded before.

mod loaded;

use std::sync::Arc;

use boathouse_connectors::listing::{self, Choice};
use boathouse_delta::{Operation, WriteMode, WriteOptions};
use boathouse_spec::{
    CopyInto, DataSourceRef, DataType, Error, Options, Relation, RelationNode, Result, StructType,
};

use self::loaded::Loaded;
use super::insert::{self, Matching};
use super::{table_expressions, target};
use crate::resolver::ResolvedTable;
use crate::rows::{self, column};
use crate::{QueryResult, Session, sources};

/// Loads that meet another of the same table begin again, so many times.
const MOST_ATTEMPTS: usize = 10;

pub(super) fn result_schema() -> StructType {
    StructType::new(vec![
        column("num_affected_rows", DataType::Long, true),
        column("num_inserted_rows", DataType::Long, true),
        column("num_skipped_corrupt_files", DataType::Integer, true),
    ])
}

pub(super) async fn run(session: &Arc<Session>, copy: CopyInto) -> Result<QueryResult> {
    if copy.validate.is_some() {
        return Err(Error::unsupported("COPY INTO .. VALIDATE"));
    }
    let choices = Choices::of(&copy)?;
    for _ in 0..MOST_ATTEMPTS {
        if let Some(rows) = once(session, &copy, &choices).await? {
            let count = rows as i64;
            return rows::result(result_schema(), vec![vec![count.into(), count.into(), 0_i64.into()]]);
        }
    }
    Err(Error::new("DELTA_CONCURRENT_TRANSACTION").exception("ConcurrentTransactionException").message(
        format!(
            "Other COPY INTO statements load {} at the same time, again and again.",
            boathouse_spec::quote_name(&copy.table)
        ),
    ))
}

/// The options of the statement itself.
struct Choices {
    /// Files are loaded whether they were or not.
    force: bool,
    merge_schema: bool,
}

impl Choices {
    fn of(copy: &CopyInto) -> Result<Self> {
        let mut choices = Self { force: false, merge_schema: false };
        for (key, value) in &copy.copy_options {
            let truth = match value.to_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => {
                    return Err(Error::new("INVALID_OPTION_VALUE")
                        .param("option", key)
                        .param("value", value)
                        .message(format!("The copy option `{key}` is true or false, not '{value}'.")));
                }
            };
            match key.to_lowercase().as_str() {
                "force" => choices.force = truth,
                "mergeschema" => choices.merge_schema = truth,
                _ => return Err(Error::unsupported(format!("the copy option `{key}` of COPY INTO"))),
            }
        }
        Ok(choices)
    }
}

/// One attempt; the number of rows loaded, or `None` where another load of the table came first.
async fn once(session: &Arc<Session>, copy: &CopyInto, choices: &Choices) -> Result<Option<u64>> {
    let table = target::table(session, &copy.table, "COPY INTO", &target::relation_path(session)).await?;
    let Some(delta) = &table.delta else {
        return Err(Error::unsupported(format!(
            "COPY INTO {}, which is no Delta table",
            table.display_name()
        )));
    };
    let mut loaded = Loaded::read(&delta.snapshot).await?;
    let mut files = matching_files(session, copy).await?;
    if !choices.force {
        files.retain(|file| !loaded.contains(file));
    }
    if files.is_empty() {
        return Ok(Some(0));
    }
    loaded.extend(&files);
    let name = loaded.write(delta.table.location()).await?;
    match load(session, &table, copy, choices, files, &loaded, &name).await {
        Ok(Some(rows)) => {
            loaded.forget_others(delta.table.location(), &name).await;
            Ok(Some(rows))
        }
        outcome => {
            loaded.remove(delta.table.location(), &name).await;
            match outcome {
                Err(e) if e.is("DELTA_CONCURRENT_TRANSACTION") => Ok(None),
                other => other,
            }
        }
    }
}

/// The rows that one commit has loaded; `None` where another load came first.
async fn load(
    session: &Arc<Session>,
    table: &ResolvedTable,
    copy: &CopyInto,
    choices: &Choices,
    files: Vec<String>,
    loaded: &Loaded,
    log: &str,
) -> Result<Option<u64>> {
    let mut query = Relation::new(RelationNode::DataSource(DataSourceRef {
        format: copy.format.clone(),
        options: copy.format_options.clone(),
        paths: files,
        ..DataSourceRef::default()
    }));
    if let Some(exprs) = &copy.select {
        query = Relation::new(RelationNode::Project { input: query, exprs: exprs.clone() });
    }
    let (query, outcome) = session.expect(query, Vec::new(), false);
    // Columns are matched by their names, but for a list of the statement's.
    let matching = Matching {
        columns: copy.columns.clone(),
        by_name: true,
        partition: None,
        keeps_new: choices.merge_schema,
        evolves: choices.merge_schema,
        is_delta: false,
        fills_missing: true,
    };
    let opened = table.clone();
    let (fitted, constraints) = session
        .analyze(move |analyzer| {
            let fitted = insert::fit(analyzer, &opened, query, &matching)?;
            let constraints = match &opened.delta {
                Some(delta) => table_expressions::constraints(analyzer, &opened, &delta.snapshot)?,
                None => Vec::new(),
            };
            Ok((fitted, constraints))
        })
        .await?;
    let mut options = WriteOptions::new(WriteMode::Append);
    options.constraints = constraints;
    options.merge_schema = choices.merge_schema;
    options.txn = Some((loaded::APPLICATION.to_string(), loaded.number()));
    options.operation =
        Some(Operation::new("COPY INTO").text("source", &copy.path).text("fileFormat", &copy.format));
    options.commit_fields.insert(loaded::COMMIT_FIELD.to_string(), log.into());
    let written = insert::write_delta(session, table, fitted, options, &Options::new()).await?;
    Ok(written.then(|| outcome.rows()))
}

/// The files the statement means, as paths, in the order of their names.
async fn matching_files(session: &Arc<Session>, copy: &CopyInto) -> Result<Vec<String>> {
    if !copy.files.is_empty() && copy.pattern.is_some() {
        return Err(Error::new("COPY_INTO_FILES_AND_PATTERN")
            .message("COPY INTO takes FILES or PATTERN, not both.")
            .exception("AnalysisException"));
    }
    let context = sources::context(session)?;
    let directory = copy.path.trim_end_matches('/');
    let paths: Vec<String> = match &copy.pattern {
        _ if !copy.files.is_empty() => copy.files.iter().map(|f| format!("{directory}/{f}")).collect(),
        Some(pattern) => vec![format!("{directory}/{pattern}")],
        None => vec![copy.path.clone()],
    };
    let zone = context.session.zone.clone();
    let choice = Choice::parse(&copy.format_options, &zone)?;
    let mut files = Vec::new();
    for path in paths {
        let place = context.paths.resolve(&path, context.stores.as_ref())?;
        let found = listing::list(&place, &choice, &listing::all()).await?;
        files.extend(found.iter().map(|f| place.display_of(&f.meta.location)));
    }
    Ok(files)
}
