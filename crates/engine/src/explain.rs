//! Plans as text.

use std::collections::BTreeSet;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{ExplainMode, Plan, Relation, RelationNode, Result};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;

use crate::analyzer::{Analyzed, canonical_plan};
use crate::explain_tree::tree;
use crate::memory::QueryMemory;
use crate::query_profile::{OperatorProfile, first_word};
use crate::{Session, execute};

/// The rows of the statement EXPLAIN. A query that cannot be planned is no error of it: its text says why (Spark's
/// `ExplainCommand`).
pub(crate) async fn statement(session: &Arc<Session>, plan: Plan, mode: ExplainMode) -> Result<Vec<String>> {
    let parsed = match &plan {
        Plan::Query(relation) => parsed_text(relation),
        Plan::Command(_) => String::new(),
    };
    let error = match explain(session, plan, mode).await {
        Err(error) if mode != ExplainMode::Analyze => error,
        explained => return Ok(vec![explained?]),
    };
    let thrown = format!("org.apache.spark.sql.AnalysisException: {error}\n");
    Ok(match mode {
        ExplainMode::Extended => {
            vec![format!("== Parsed Logical Plan ==\n{parsed}\n\n== Analyzed Logical Plan ==\n{thrown}")]
        }
        ExplainMode::Cost => {
            let sections = ["Optimized Logical Plan", "Physical Plan"];
            let rest = sections.map(|section| format!("\n== {section} ==\n{thrown}"));
            vec![format!("{thrown}{}\n", rest.concat())]
        }
        ExplainMode::Codegen => vec![thrown],
        ExplainMode::Simple | ExplainMode::Formatted | ExplainMode::Analyze => {
            let text = format!("Error occurred during query planning: \n{error}");
            text.lines().map(str::to_string).collect()
        }
    })
}

/// The text of EXPLAIN, in the sections that Spark shows for the mode.
pub(crate) async fn explain(session: &Arc<Session>, plan: Plan, mode: ExplainMode) -> Result<String> {
    let relation = match plan {
        Plan::Query(relation) => relation,
        Plan::Command(command) => {
            let name = crate::commands::name_of(&command);
            let text = format!("== Physical Plan ==\nExecute {name}\n");
            return Ok(match mode {
                ExplainMode::Extended => format!(
                    "== Parsed Logical Plan ==\n{name}\n\n== Analyzed Logical Plan ==\n{name}\n\n\
                     == Optimized Logical Plan ==\n{name}\n\n{text}"
                ),
                _ => text,
            });
        }
    };
    let parsed = parsed_text(&relation);
    let analyzed = session.analyze(move |analyzer| analyzer.query(&relation)).await?;
    if analyzed.is_streaming && mode == ExplainMode::Analyze {
        return Err(execute::streaming_source());
    }
    let state = execute::query_state(session);
    let physical = match execute::physical_plan(session, &analyzed.plan).await {
        Ok(physical) => physical,
        // As in Spark, EXPLAIN tells it.
        Err(e) => return Ok(format!("Error occurred during query planning: \n{e}")),
    };
    let physical_text = tree(&physical, false);
    Ok(match mode {
        ExplainMode::Simple | ExplainMode::Codegen | ExplainMode::Formatted => {
            format!("== Physical Plan ==\n{physical_text}\n")
        }
        ExplainMode::Cost => format!(
            "== Optimized Logical Plan ==\n{}\nStatistics: see the physical plan\n\n== Physical Plan ==\n{}\n",
            optimized(&analyzed.plan, &state).await?.display_indent(),
            tree(&physical, true)
        ),
        ExplainMode::Extended => {
            let columns: Vec<String> = analyzed
                .output
                .iter()
                .map(|a| format!("{}: {}", a.name, a.data_type.simple_string()))
                .collect();
            format!(
                "== Parsed Logical Plan ==\n{parsed}\n\n== Analyzed Logical Plan ==\n{}\n{}\n\n\
                 == Optimized Logical Plan ==\n{}\n\n== Physical Plan ==\n{physical_text}",
                columns.join(", "),
                analyzed.plan.display_indent(),
                optimized(&analyzed.plan, &state).await?.display_indent()
            )
        }
        ExplainMode::Analyze => {
            let (context, memory) = QueryMemory::within(TaskContext::from(&state));
            let mut rows = execute_stream(Arc::clone(&physical), context).spark()?;
            while rows.try_next().await.spark()?.is_some() {}
            let profile = OperatorProfile::of(&physical);
            format!("== Physical Plan ==\n{}\npeak_memory_bytes={}\n", profile.tree(), memory.peak())
        }
    })
}

async fn optimized(plan: &LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let plan = &*crate::execute::with_calls_below(plan)?;
    crate::join_order::load_statistics(plan, state).await?;
    state.optimize(plan).spark()
}

/// The name of the top of a relation, as one that is not resolved yet.
fn parsed_text(relation: &Relation) -> String {
    let name = match &*relation.node {
        RelationNode::Sql(sql) => format!("Sql [{}]", sql.text),
        node => first_word(node),
    };
    format!("'{name}")
}

/// A plan as text, equal for plans that differ in nothing but the names of columns and how expressions are written.
pub(crate) fn canonical_text(analyzed: &Analyzed) -> String {
    let mut text = canonical_plan(&analyzed.plan).display_indent_schema().to_string();
    let mut columns: Vec<String> = Vec::new();
    for a in analyzed.columns() {
        columns.push(a.internal_name());
    }
    // Longest first, so that no name is cut by one that it contains.
    columns.sort_by_key(|c| std::cmp::Reverse(c.len()));
    for name in columns {
        if let Some((_, id)) = name.rsplit_once('#') {
            text = text.replace(&name, &format!("#{id}"));
        }
    }
    text
}

/// The files that the scans of a plan read, as Spark names them.
pub(crate) fn input_files(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let mut files = BTreeSet::new();
    let mut waiting = vec![Arc::clone(plan)];
    while let Some(next) = waiting.pop() {
        if let Some(scan) = next.downcast_ref::<DataSourceExec>()
            && let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>()
        {
            let base = config.object_store_url.as_str();
            for file in config.file_groups.iter().flat_map(|g| g.iter()) {
                files.insert(format!("{base}{}", file.object_meta.location));
            }
        }
        files.extend(boathouse_connectors::scanned_files(next.as_ref()));
        waiting.extend(next.children().into_iter().cloned());
    }
    files.into_iter().collect()
}
