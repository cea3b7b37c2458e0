//! Walks over unresolved relations.

use boathouse_spec::{Expr, GroupingKind, JoinCondition, PipeOperator, Relation, RelationNode, WindowSpec};

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

/// The expressions of a relation itself.
pub(crate) fn expressions(node: &RelationNode) -> Vec<&Expr> {
    use RelationNode as N;
    match node {
        N::Values(rows) => rows.iter().flatten().collect(),
        N::TableFunction { args, .. } | N::PythonTableFunction { args, .. } => args.iter().collect(),
        N::Project { exprs, .. } | N::RepartitionBy { exprs, .. } => exprs.iter().collect(),
        N::Filter { condition, .. } | N::Having { condition, .. } | N::Qualify { condition, .. } => {
            vec![condition]
        }
        N::Aggregate(a) => {
            a.aggregates.iter().chain(&a.grouping).chain(grouping_expressions(&a.kind)).collect()
        }
        N::Sort { order, .. } => order.iter().map(|o| &o.expr).collect(),
        N::Limit { limit, .. } => vec![limit],
        N::Offset { offset, .. } => vec![offset],
        N::LateralView { generator, .. } => vec![generator],
        N::Pivot(p) => {
            let grouping = p.grouping.iter().flatten();
            grouping.chain(&p.columns).chain(&p.values).chain(&p.aggregates).collect()
        }
        N::WithColumns { columns, .. } => columns.iter().map(|c| &c.expr).collect(),
        N::Drop { columns, .. } => columns.iter().collect(),
        N::CollectMetrics { metrics, .. } => metrics.iter().collect(),
        N::StatefulGroups(g) => g.grouping.iter().collect(),
        N::Join(j) => match &j.condition {
            JoinCondition::On(condition) => vec![condition],
            _ => Vec::new(),
        },
        N::LateralJoin { condition, .. } => condition.iter().collect(),
        N::AsOfJoin(j) => [&j.left_as_of, &j.right_as_of].into_iter().chain(&j.condition).collect(),
        N::Pipe { operator, .. } => match operator {
            PipeOperator::Select(exprs) | PipeOperator::Extend(exprs) => exprs.iter().collect(),
            PipeOperator::Set(pairs) => pairs.iter().map(|(_, e)| e).collect(),
            PipeOperator::Drop(_) | PipeOperator::Barrier => Vec::new(),
            PipeOperator::Aggregate { aggregates, grouping, kind } => {
                aggregates.iter().chain(grouping).chain(grouping_expressions(kind)).collect()
            }
        },
        _ => Vec::new(),
    }
}

fn grouping_expressions(kind: &GroupingKind) -> Vec<&Expr> {
    match kind {
        GroupingKind::GroupingSets(sets) => sets.iter().flatten().collect(),
        GroupingKind::Combined(elements) => elements.iter().flatten().flatten().collect(),
        _ => Vec::new(),
    }
}

/// The expressions directly below.
pub(crate) fn operands(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Alias { expr, .. } | Expr::Cast { expr, .. } | Expr::NamedArgument { value: expr, .. } => {
            vec![expr]
        }
        Expr::Identifier(expr) | Expr::Lambda { body: expr, .. } => vec![expr],
        Expr::Call(call) => {
            let order = call.order_by.iter().map(|o| &o.expr);
            call.args.iter().chain(&call.filter).chain(order).collect()
        }
        Expr::Extract { expr, extraction, .. } => vec![expr, extraction],
        Expr::UpdateField { expr, value, .. } => {
            std::iter::once(expr.as_ref()).chain(value.as_deref()).collect()
        }
        Expr::Window { function, window, .. } => {
            let mut all = vec![function.as_ref()];
            if let WindowSpec::Inline { partition_by, order_by, .. } = window.as_ref() {
                all.extend(partition_by);
                all.extend(order_by.iter().map(|o| &o.expr));
            }
            all
        }
        Expr::InSubquery { values, .. } => values.iter().collect(),
        Expr::SortOrder(order) => vec![&order.expr],
        Expr::PythonUdf(udf) => udf.args.iter().collect(),
        Expr::Star(star) => star.replace.iter().map(|(e, _)| e).collect(),
        _ => Vec::new(),
    }
}

/// The relation that an expression itself reads.
pub(crate) fn subquery(expr: &Expr) -> Option<&Relation> {
    match expr {
        Expr::ScalarSubquery(query)
        | Expr::Exists(query)
        | Expr::InSubquery { query, .. }
        | Expr::TableArgument { query, .. } => Some(query),
        _ => None,
    }
}

/// Whether a relation is read somewhere in the expression.
pub(crate) fn has_subquery(expr: &Expr) -> bool {
    subquery(expr).is_some() || operands(expr).into_iter().any(has_subquery)
}

/// The subqueries in the expressions of a relation itself.
pub(crate) fn subqueries(node: &RelationNode) -> Vec<&Relation> {
    let mut found = Vec::new();
    let mut waiting = expressions(node);
    while let Some(expr) = waiting.pop() {
        found.extend(subquery(expr));
        waiting.extend(operands(expr));
    }
    found
}
