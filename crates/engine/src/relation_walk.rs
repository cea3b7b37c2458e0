//! Walks over unresolved relations.

use boathouse_spec::{Relation, RelationNode};

/// Whether a relation reads a stream by what it says itself (a view it names may do so too).
pub(crate) fn reads_stream(relation: &Relation) -> bool {
    let mut waiting = vec![relation];
    while let Some(next) = waiting.pop() {
        let streams = match &*next.node {
            RelationNode::Table(table) => table.is_streaming,
            RelationNode::DataSource(source) => source.is_streaming,
            RelationNode::Stream { .. } => true,
            _ => false,
        };
        if streams {
            return true;
        }
        waiting.extend(next.node.inputs());
    }
    false
}
