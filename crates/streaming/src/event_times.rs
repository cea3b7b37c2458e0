//! Which column of a source is the event time of its query, for sources that read in its order.

use boathouse_engine::EventTimeWatermark;
use boathouse_spec::{Error, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::slice::StreamSlice;
use crate::source::Source;

/// Tells the sources that ask for it their event times.
pub(crate) fn tell(plan: &LogicalPlan, sources: &mut [Box<dyn Source>]) -> Result<()> {
    if !sources.iter().any(|s| s.wants_event_time()) {
        return Ok(());
    }
    let mut leaves = Leaves::default();
    leaves.visit(plan);
    for (i, source) in sources.iter_mut().enumerate().filter(|(_, s)| s.wants_event_time()) {
        match leaves.event_times.iter().find(|(leaf, _)| *leaf == i) {
            Some((_, column)) => source.set_event_time(column)?,
            None => return Err(without_watermark()),
        }
    }
    Ok(())
}

fn without_watermark() -> Error {
    Error::new("DELTA_EVENT_TIME_ORDER_COLUMN")
        .message(
            "withEventTimeOrder needs a watermark on a TIMESTAMP column of the Delta table itself, before anything is computed from it.",
        )
        .exception("AnalysisException")
}

/// The leaves that stream, counted as they are met, and the columns of them that watermarks are on.
#[derive(Default)]
struct Leaves {
    count: usize,
    event_times: Vec<(usize, String)>,
}

/// What a node's columns are: its leaf, and for each of its columns the one of the leaf, where it is one unchanged.
struct Columns {
    leaf: usize,
    names: Vec<(String, String)>,
}

impl Columns {
    fn of(&self, name: &str) -> Option<&String> {
        self.names.iter().find(|(own, _)| own == name).map(|(_, column)| column)
    }
}

impl Leaves {
    /// The columns of a node that has one leaf below it.
    fn visit(&mut self, plan: &LogicalPlan) -> Option<Columns> {
        if let LogicalPlan::TableScan(scan) = plan {
            let provider = source_as_provider(&scan.source).ok()?;
            if !(provider.as_ref() as &dyn std::any::Any).is::<StreamSlice>() {
                return None;
            }
            self.count += 1;
            let names = scan.projected_schema.fields().iter().map(|f| (f.name().clone(), f.name().clone()));
            return Some(Columns { leaf: self.count - 1, names: names.collect() });
        }
        let mut inputs: Vec<Columns> =
            plan.inputs().into_iter().filter_map(|input| self.visit(input)).collect();
        if let LogicalPlan::Extension(node) = plan
            && let Some(watermark) = node.node.as_any().downcast_ref::<EventTimeWatermark>()
            && let [input] = inputs.as_slice()
            && let Some(column) = input.of(&watermark.column.name)
        {
            self.event_times.push((input.leaf, column.clone()));
        }
        let input = if inputs.len() == 1 { inputs.pop()? } else { return None };
        let LogicalPlan::Projection(projection) = plan else { return Some(input) };
        let outputs = projection.schema.fields().iter().zip(&projection.expr);
        let names = outputs.filter_map(|(field, expr)| match expr.clone().unalias_nested().data {
            Expr::Column(column) => Some((field.name().clone(), input.of(&column.name)?.clone())),
            _ => None,
        });
        Some(Columns { leaf: input.leaf, names: names.collect() })
    }
}
