//! Expectations of views. A view is no table of its own: its rows are checked wherever a flow reads it, and what was
//! counted is told with that flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use boathouse_catalog::ObjectName;
use boathouse_engine::{ExpectationOutcome, RuleCount, Session};
use boathouse_spec::Relation;
use parking_lot::Mutex;

use crate::graph::{Graph, Kind};

/// The views of a graph that have expectations, as one flow reads them.
#[derive(Default)]
pub(crate) struct ViewRules {
    views: Mutex<BTreeMap<ObjectName, CheckedView>>,
}

struct CheckedView {
    relation: Relation,
    outcome: Arc<ExpectationOutcome>,
    /// What was told of it already.
    told: Vec<RuleCount>,
}

impl ViewRules {
    /// Counts from the start, in the session that will run the flow.
    pub fn prepare(&self, session: &Session, graph: &Graph) {
        let mut views = self.views.lock();
        views.clear();
        for output in graph.outputs.values() {
            if output.kind != Kind::TemporaryView || output.expectations.is_empty() {
                continue;
            }
            let Some(flow) = graph.flows_of(&output.name).next() else { continue };
            let (relation, outcome) =
                session.expect(flow.relation.clone(), output.expectations.clone(), false);
            views.insert(output.name.clone(), CheckedView { relation, outcome, told: Vec::new() });
        }
    }

    /// The rows of a view that are left by its expectations; `None` where it has none.
    pub fn relation(&self, view: &ObjectName) -> Option<Relation> {
        self.views.lock().get(view).map(|v| v.relation.clone())
    }

    /// What was counted since the last time, of the views that were read.
    pub fn take(&self) -> Vec<(ObjectName, Vec<RuleCount>)> {
        let mut found = Vec::new();
        for (name, view) in self.views.lock().iter_mut() {
            let counts = view.outcome.counts();
            let new: Vec<RuleCount> =
                counts.iter().enumerate().map(|(i, c)| since(c, view.told.get(i))).collect();
            view.told = counts;
            if new.iter().any(|c| c.passed + c.failed > 0) {
                found.push((name.clone(), new));
            }
        }
        found
    }
}

fn since(count: &RuleCount, told: Option<&RuleCount>) -> RuleCount {
    let (passed, failed) = told.map_or((0, 0), |t| (t.passed, t.failed));
    RuleCount { passed: count.passed - passed, failed: count.failed - failed, ..count.clone() }
}
