//! Walks over unresolved relations.

use boathouse_spec::{Relation, RelationNode};

/// The relations directly below.
pub(crate) fn inputs(node: &RelationNode) -> Vec<&Relation> {
    use RelationNode as N;
    match node {
        N::Table(_)
        | N::DataSource(_)
        | N::OneRow
        | N::LocalData { .. }
        | N::Empty(_)
        | N::Values(_)
        | N::Range { .. }
        | N::TableFunction { .. }
        | N::PythonTableFunction { .. }
        | N::CachedRemote(_)
        | N::CommandResult(_)
        | N::Sql(_) => Vec::new(),
        N::Stream { input }
        | N::Project { input, .. }
        | N::Filter { input, .. }
        | N::Having { input, .. }
        | N::Qualify { input, .. }
        | N::Sort { input, .. }
        | N::SortAll { input, .. }
        | N::Limit { input, .. }
        | N::Offset { input, .. }
        | N::Tail { input, .. }
        | N::Distinct { input }
        | N::Deduplicate { input, .. }
        | N::SubqueryAlias { input, .. }
        | N::WindowDefinitions { input, .. }
        | N::LateralView { input, .. }
        | N::Repartition { input, .. }
        | N::RepartitionBy { input, .. }
        | N::ToDf { input, .. }
        | N::ToSchema { input, .. }
        | N::WithColumns { input, .. }
        | N::RenameColumns { input, .. }
        | N::Drop { input, .. }
        | N::Hint { input, .. }
        | N::WithWatermark { input, .. }
        | N::CollectMetrics { input, .. }
        | N::ShowString { input, .. }
        | N::HtmlString { input, .. }
        | N::Parse { input, .. }
        | N::Transpose { input, .. }
        | N::FillNa { input, .. }
        | N::DropNa { input, .. }
        | N::ReplaceNa { input, .. }
        | N::Statistic { input, .. }
        | N::MapPartitions { input, .. }
        | N::GroupMap { input, .. }
        | N::Pipe { input, .. } => vec![input],
        N::Aggregate(a) => vec![&a.input],
        N::Pivot(p) => vec![&p.input],
        N::Unpivot(u) => vec![&u.input],
        N::Sample(s) => vec![&s.input],
        N::With { input, tables, .. } => {
            let mut all: Vec<&Relation> = tables.iter().map(|t| &t.query).collect();
            all.push(input);
            all
        }
        N::Join(j) => vec![&j.left, &j.right],
        N::AsOfJoin(j) => vec![&j.left, &j.right],
        N::LateralJoin { left, right, .. }
        | N::SetOperation { left, right, .. }
        | N::CoGroupMap { left, right, .. } => vec![left, right],
        N::WithRelations { root, references } => {
            let mut all = vec![root];
            all.extend(references);
            all
        }
    }
}

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
        waiting.extend(inputs(&next.node));
    }
    false
}
