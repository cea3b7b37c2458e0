//! Physical plans drawn as Spark draws them: operators under Spark's names where they are the same thing, one a line.

use std::fmt::Write;

use std::sync::Arc;

use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::expressions::Column;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;

use crate::cache::is_cached_rows;
use crate::column_cache::CachedColumnsExec;
use crate::join_hints;
use crate::operators::JoinHintExec;

/// Characters of an operator's details where they are kept.
const DETAILS_LIMIT: usize = 2_000;

/// The tree, with statistics where they are wanted.
pub(crate) fn tree(plan: &Arc<dyn ExecutionPlan>, statistics: bool) -> String {
    let mut out = String::new();
    draw(plan, statistics, &mut Vec::new(), &mut out);
    out
}

/// `ancestors` tells for each level above whether more children follow there.
fn draw(plan: &Arc<dyn ExecutionPlan>, statistics: bool, ancestors: &mut Vec<bool>, out: &mut String) {
    // A mark has been heard.
    if let Some(mark) = plan.downcast_ref::<JoinHintExec>() {
        return draw(mark.input(), statistics, ancestors, out);
    }
    // A projection that only names what a source gives says nothing.
    if let Some(source) = renamed_source(plan) {
        return draw(&source, statistics, ancestors, out);
    }
    for (level, more) in ancestors.iter().enumerate() {
        out.push_str(match (level + 1 == ancestors.len(), more) {
            (true, true) => ":- ",
            (true, false) => "+- ",
            (false, true) => ":  ",
            (false, false) => "   ",
        });
    }
    // A join that projects its columns is two operators to Spark.
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && join.projection.is_some()
    {
        let names: Vec<String> = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
        let _ = writeln!(out, "Project [{}]", names.join(", "));
        for level in ancestors.iter() {
            out.push_str(if *level { ":  " } else { "   " });
        }
        out.push_str("+- ");
        ancestors.push(false);
        line(plan, statistics, out);
        children(plan, statistics, ancestors, out);
        ancestors.pop();
        return;
    }
    line(plan, statistics, out);
    children(plan, statistics, ancestors, out);
}

fn children(plan: &Arc<dyn ExecutionPlan>, statistics: bool, ancestors: &mut Vec<bool>, out: &mut String) {
    let children = plan.children();
    for (i, child) in children.iter().enumerate() {
        ancestors.push(i + 1 < children.len());
        draw(child, statistics, ancestors, out);
        ancestors.pop();
    }
}

fn line(plan: &Arc<dyn ExecutionPlan>, statistics: bool, out: &mut String) {
    let own =
        DisplayableExecutionPlan::new(plan.as_ref()).set_show_statistics(statistics).one_line().to_string();
    let details = own.trim_end().split_once(": ").map(|(_, d)| d);
    let columns = || plan.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(", ");
    let _ = match (name(plan), details) {
        (name, Some(details)) if plan.is::<DataSourceExec>() && is_cached_rows(plan) => {
            writeln!(out, "{name} [{}] {details}", columns())
        }
        (name, Some(details)) => writeln!(out, "{name} {details}"),
        (name, None) => writeln!(out, "{name}"),
    };
}

/// What an operator is called, and what it does.
pub(crate) fn name_and_details(plan: &Arc<dyn ExecutionPlan>) -> (String, String) {
    let own = DisplayableExecutionPlan::new(plan.as_ref()).one_line().to_string();
    let details = own.trim_end().split_once(": ").map_or("", |(_, details)| details);
    (name(plan).trim_end_matches(',').to_string(), details.chars().take(DETAILS_LIMIT).collect())
}

fn renamed_source(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    // So says that a scan may find columns in memory.
    if plan.is::<CachedColumnsExec>() {
        return plan.children().first().map(|scan| Arc::clone(scan));
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let only_columns =
        projection.expr().iter().all(|e| (e.expr.as_ref() as &dyn std::any::Any).is::<Column>());
    let is_source = projection.input().is::<DataSourceExec>() || projection.input().is::<CachedColumnsExec>();
    (only_columns && is_source).then(|| Arc::clone(projection.input()))
}

/// Spark's name of an operator, or its own.
fn name(plan: &Arc<dyn ExecutionPlan>) -> String {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return match join.partition_mode() {
            PartitionMode::CollectLeft => "BroadcastHashJoin BuildLeft,".to_string(),
            _ => "ShuffledHashJoin BuildLeft,".to_string(),
        };
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return match aggregate.group_expr().is_empty() {
            true => "Aggregate".to_string(),
            false => "HashAggregate".to_string(),
        };
    }
    if is_cached_rows(plan) {
        return "InMemoryTableScan".to_string();
    }
    match plan.name() {
        "NestedLoopJoinExec" if join_hints::is_product(plan) => "CartesianProduct",
        "CrossJoinExec" if join_hints::is_broadcast(plan) => "BroadcastNestedLoopJoin BuildLeft,",
        "ProjectionExec" => "Project",
        "FilterExec" => "Filter",
        "SortExec" => "Sort",
        "SortMergeJoinExec" => "SortMergeJoin",
        "NestedLoopJoinExec" => "BroadcastNestedLoopJoin BuildLeft,",
        "CrossJoinExec" => "CartesianProduct",
        "RepartitionExec" | "CoalescePartitionsExec" | "SortPreservingMergeExec" | "OrderedCoalesceExec" => {
            "Exchange"
        }
        "GlobalLimitExec" => "GlobalLimit",
        "LocalLimitExec" => "LocalLimit",
        "UnionExec" => "Union",
        "UnnestExec" => "Generate",
        "WindowsExec" | "WindowAggExec" | "BoundedWindowAggExec" => "Window",
        "DataSourceExec" => "Scan",
        "EmptyExec" | "PlaceholderRowExec" => "LocalTableScan",
        other => other,
    }
    .to_string()
}
