//! What operators of our own have in common.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;

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
