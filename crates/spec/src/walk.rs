//! Walks over unresolved relations.

use crate::{Relation, RelationNode, StatefulKind};

impl RelationNode {
    /// The relations directly below. Those of subqueries in expressions are not among them.
    pub fn inputs(&self) -> Vec<&Relation> {
        use RelationNode as N;
        match self {
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
            | N::Expect { input, .. }
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
            N::StatefulGroups(g) => match &g.kind {
                StatefulKind::Processor { initial: Some((initial, _)), .. } => vec![&g.input, initial],
                _ => vec![&g.input],
            },
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

    /// The same, to be changed.
    pub fn inputs_mut(&mut self) -> Vec<&mut Relation> {
        use RelationNode as N;
        match self {
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
            | N::Expect { input, .. }
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
            N::Aggregate(a) => vec![&mut a.input],
            N::Pivot(p) => vec![&mut p.input],
            N::Unpivot(u) => vec![&mut u.input],
            N::StatefulGroups(g) => match &mut g.kind {
                StatefulKind::Processor { initial: Some((initial, _)), .. } => vec![&mut g.input, initial],
                _ => vec![&mut g.input],
            },
            N::Sample(s) => vec![&mut s.input],
            N::With { input, tables, .. } => {
                let mut all: Vec<&mut Relation> = tables.iter_mut().map(|t| &mut t.query).collect();
                all.push(input);
                all
            }
            N::Join(j) => vec![&mut j.left, &mut j.right],
            N::AsOfJoin(j) => vec![&mut j.left, &mut j.right],
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
}
