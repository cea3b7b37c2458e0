//! Functions over groups that remember: `applyInPandasWithState` and `transformWithState`.

use boathouse_spec::{RelationNode, Result, StatefulGroups, StatefulKind};

use super::data_type::{parse_schema_text, schema_from_proto};
use super::{Converter, missing};
use crate::proto::spark as proto;

impl Converter<'_> {
    pub(super) fn apply_with_state(&mut self, a: proto::ApplyInPandasWithState) -> Result<RelationNode> {
        let input = self.input(a.input)?;
        let grouping = self.expressions(a.grouping_expressions)?;
        let func = a.func.ok_or_else(|| missing("spark.connect.ApplyInPandasWithState", "func"))?;
        let name = func.function_name.clone();
        let (function, _) = self.inline_function(func)?;
        let kind =
            StatefulKind::GroupState { state: parse_schema_text(&a.state_schema)?, timeout: a.timeout_conf };
        let output = parse_schema_text(&a.output_schema)?;
        let groups =
            StatefulGroups { input, grouping, function, name, output, output_mode: a.output_mode, kind };
        Ok(RelationNode::StatefulGroups(Box::new(groups)))
    }

    pub(super) fn transform_with_state(
        &mut self,
        g: proto::GroupMap,
        info: proto::TransformWithStateInfo,
    ) -> Result<RelationNode> {
        let input = self.input(g.input)?;
        let grouping = self.expressions(g.grouping_expressions)?;
        let initial = match g.initial_input {
            Some(initial) => {
                Some((self.relation(*initial)?, self.expressions(g.initial_grouping_expressions)?))
            }
            None => None,
        };
        let func = g.func.ok_or_else(|| missing("spark.connect.GroupMap", "func"))?;
        let name = func.function_name.clone();
        let (function, _) = self.inline_function(func)?;
        let output = info
            .output_schema
            .ok_or_else(|| missing("spark.connect.TransformWithStateInfo", "output_schema"))?;
        let kind = StatefulKind::Processor {
            time_mode: info.time_mode,
            event_time: info.event_time_column_name.filter(|n| !n.is_empty()),
            initial,
        };
        let groups = StatefulGroups {
            input,
            grouping,
            function,
            name,
            output: schema_from_proto(output)?,
            output_mode: g.output_mode.unwrap_or_default(),
            kind,
        };
        Ok(RelationNode::StatefulGroups(Box::new(groups)))
    }
}
