//! What operators of our own have in common.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PlanProperties};

/// Of an operator that gives its rows in one partition, in no order.
pub fn one_partition(schema: SchemaRef, emission: EmissionType) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        emission,
        Boundedness::Bounded,
    ))
}

/// The only input of an operator that has one.
pub fn only(inputs: Vec<Arc<dyn ExecutionPlan>>, operator: &str) -> Result<Arc<dyn ExecutionPlan>> {
    inputs.into_iter().next().ok_or_else(|| DataFusionError::Internal(format!("{operator} has one input")))
}

/// Of an operator over one input, which it keeps in `input` and would have another one for by its method `over`: what DataFusion
/// asks for its children.
#[macro_export]
macro_rules! one_input {
    () => {
        fn children(&self) -> Vec<&std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>> {
            vec![&self.input]
        }

        fn replace_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>>,
            _: ::datafusion::physical_plan::ReplaceChildrenOptions,
        ) -> ::datafusion::error::Result<std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>> {
            Ok(self.over($crate::only(children, self.name())?))
        }

        fn with_new_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>>,
        ) -> ::datafusion::error::Result<std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>> {
            Ok(self.over($crate::only(children, self.name())?))
        }
    };
}

/// Of such an operator whose rows are those of its input, in their order and partitions.
#[macro_export]
macro_rules! rows_of_input {
    () => {
        fn properties(&self) -> &std::sync::Arc<::datafusion::physical_plan::PlanProperties> {
            self.input.properties()
        }

        fn maintains_input_order(&self) -> Vec<bool> {
            vec![true]
        }

        fn benefits_from_input_partitioning(&self) -> Vec<bool> {
            vec![false]
        }
    };
}

/// Of such an operator that knows of its rows what its input does or, by its method `adjusted`, something else.
#[macro_export]
macro_rules! statistics_of_input {
    () => {
        $crate::statistics_of_input!(@ |_, statistics| statistics);
    };
    ($adjusted:ident) => {
        $crate::statistics_of_input!(@ |operator: &Self, statistics: std::sync::Arc<_>| {
            std::sync::Arc::new(operator.$adjusted(std::sync::Arc::unwrap_or_clone(statistics)))
        });
    };
    (@ $given:expr) => {
        fn child_stats_requests(
            &self,
            partition: Option<usize>,
        ) -> Vec<::datafusion::physical_plan::statistics::ChildStats> {
            vec![::datafusion::physical_plan::statistics::ChildStats::At(partition)]
        }

        fn statistics_from_inputs(
            &self,
            inputs: &[std::sync::Arc<::datafusion::common::Statistics>],
            _: &::datafusion::physical_plan::statistics::StatisticsArgs,
        ) -> ::datafusion::error::Result<std::sync::Arc<::datafusion::common::Statistics>> {
            let unknown = || {
                let schema = ::datafusion::physical_plan::ExecutionPlan::schema(self);
                std::sync::Arc::new(::datafusion::common::Statistics::new_unknown(&schema))
            };
            let statistics = inputs.first().map_or_else(unknown, std::sync::Arc::clone);
            let given = $given;
            Ok(given(self, statistics))
        }
    };
}

/// Of an operator without expressions of DataFusion's.
#[macro_export]
macro_rules! no_expressions {
    () => {
        fn apply_expressions(
            &self,
            _: &mut dyn FnMut(
                &std::sync::Arc<dyn ::datafusion::physical_plan::PhysicalExpr>,
            ) -> ::datafusion::error::Result<
                ::datafusion::common::tree_node::TreeNodeRecursion,
            >,
        ) -> ::datafusion::error::Result<::datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(::datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }
    };
}
