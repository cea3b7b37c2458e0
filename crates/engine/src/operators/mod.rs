//! Operators that DataFusion does not have: partitioning that holds, sampling, Python functions.
//!
//! A plan has one kind of logical node for them all ([`Custom`]); what it does is its [`Operator`], which makes the
//! physical operator. DataFusion's optimizer knows nothing of them, so it neither removes nor reorders them.

mod barrier;
mod coalesce;
mod join_hint;
mod keep;
mod map_partitions;
mod once;
mod pieces;
mod sample;
mod scope;
mod shuffle;
mod sort_within;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
pub(crate) use boathouse_bridge::only;
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

pub(crate) use barrier::{BARRIER, barrier};
pub(crate) use coalesce::unordered;
pub(crate) use join_hint::{JOIN_HINT, JoinHint, JoinHintExec, Strategy, join_hint, join_hint_of};
pub(crate) use map_partitions::{MapPartitionsExec, PartitionOperator, PartitionWork};
pub(crate) use once::{once, once_key};
pub(crate) use pieces::{Piece, Pieces};
pub(crate) use sample::{Sampling, sample};
pub(crate) use scope::scoped;
pub(crate) use shuffle::{Scheme, shuffle};
pub(crate) use sort_within::sort_within;

/// What a [`Custom`] node does.
pub(crate) trait Operator: fmt::Debug + Send + Sync {
    fn name(&self) -> &str;

    /// Everything that tells two operators over equal inputs and expressions apart.
    fn key(&self) -> String;

    /// What it says of the join above it. The optimizer sees through such a node.
    fn join_hint(&self) -> Option<JoinHint> {
        None
    }

    /// The physical operator. `exprs` are the node's expressions over the columns of the first input.
    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>>;
}

/// A logical node of ours. Its columns are those of its only input, or others that it is given.
#[derive(Debug, Clone)]
pub(crate) struct Custom {
    inputs: Vec<LogicalPlan>,
    exprs: Vec<Expr>,
    /// `None`: the columns of the input.
    schema: Option<DFSchemaRef>,
    operator: Arc<dyn Operator>,
}

/// A plan with an operator of ours on top.
pub(crate) fn plan(
    operator: impl Operator + 'static,
    inputs: Vec<LogicalPlan>,
    exprs: Vec<Expr>,
    schema: Option<DFSchemaRef>,
) -> LogicalPlan {
    let node = Custom { inputs, exprs, schema, operator: Arc::new(operator) };
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// What the node on top of a plan does, where it is one of ours.
fn operator_of(plan: &LogicalPlan) -> Option<&dyn Operator> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref::<Custom>().map(|custom| custom.operator.as_ref())
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.operator.key() == other.operator.key()
            && self.exprs == other.exprs
            && self.inputs == other.inputs
            && self.schema == other.schema
    }
}

impl Eq for Custom {}

impl PartialOrd for Custom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.operator.key().partial_cmp(&other.operator.key())
    }
}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operator.key().hash(state);
        self.exprs.hash(state);
        self.inputs.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Custom {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        match (&self.schema, self.inputs.first()) {
            (Some(schema), _) => schema,
            (None, Some(input)) => input.schema(),
            // Nodes without inputs are made with a schema.
            (None, None) => {
                static EMPTY: std::sync::LazyLock<DFSchemaRef> =
                    std::sync::LazyLock::new(|| Arc::new(datafusion::common::DFSchema::empty()));
                &EMPTY
            }
        }
    }

    fn expressions(&self) -> Vec<Expr> {
        self.exprs.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.operator.key())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { inputs, exprs, schema: self.schema.clone(), operator: Arc::clone(&self.operator) })
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        if self.operator.join_hint().is_some() {
            return HashSet::new();
        }
        <Self as UserDefinedLogicalNodeCore>::schema(self).fields().iter().map(|f| f.name().clone()).collect()
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        if self.operator.join_hint().is_some() {
            return Some(vec![output.to_vec()]);
        }
        Some(self.inputs.iter().map(|i| (0..i.schema().fields().len()).collect()).collect())
    }
}

/// Makes the physical operators.
pub(crate) struct OperatorPlanner;

#[async_trait]
impl ExtensionPlanner for OperatorPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        state: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(custom) = node.as_any().downcast_ref::<Custom>() else { return Ok(None) };
        let mut exprs = Vec::with_capacity(custom.exprs.len());
        if let Some(input) = custom.inputs.first() {
            for expr in &custom.exprs {
                exprs.push(state.create_physical_expr(expr.clone(), input.schema())?);
            }
        }
        custom.operator.plan(inputs.to_vec(), exprs).map(Some)
    }
}
