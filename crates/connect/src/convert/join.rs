//! Relations of two and more inputs.

use boathouse_spec::{
    AsOfJoin, Error, Expr, Join, JoinCondition, JoinKind, Literal, RelationNode, Result, SetOperation,
    SortOrder, WindowSpec,
};

use super::{Converter, invalid_plan, missing, unknown_enum};
use crate::failure::illegal_argument;
use crate::proto::spark::{self as proto, join::JoinType, set_operation::SetOpType};

/// The column that tells the left rows of a nearest-by join apart.
const ROW: &str = "__nearest_by_row";

impl Converter<'_> {
    pub(super) fn join(&mut self, j: proto::Join) -> Result<RelationNode> {
        if j.join_data_type.is_some() {
            return Err(Error::unsupported("joins of typed datasets (joinWith)"));
        }
        if j.join_condition.is_some() && !j.using_columns.is_empty() {
            return Err(invalid_plan("USING_COLUMNS_OR_JOIN_CONDITION_SET_IN_JOIN")
                .message("A join has either a condition or columns to join by, not both."));
        }
        let kind = join_kind(j.join_type)?;
        let left = self.input(j.left)?;
        let right = self.input(j.right)?;
        let condition = match j.join_condition {
            Some(condition) => JoinCondition::On(self.expression(condition)?),
            None if j.using_columns.is_empty() => JoinCondition::None,
            None => JoinCondition::Using(j.using_columns),
        };
        Ok(RelationNode::Join(Join { left, right, kind, condition }))
    }

    pub(super) fn lateral_join(&mut self, j: proto::LateralJoin) -> Result<RelationNode> {
        let kind = join_kind(j.join_type)?;
        let left = self.input(j.left)?;
        let right = self.input(j.right)?;
        let condition = j.join_condition.map(|c| self.expression(c)).transpose()?;
        Ok(RelationNode::LateralJoin { left, right, kind, condition })
    }

    pub(super) fn as_of_join(&mut self, j: proto::AsOfJoin) -> Result<RelationNode> {
        let kind = join_kind_by_name(&j.join_type)?;
        let left = self.input(j.left)?;
        let right = self.input(j.right)?;
        let side = |name: &'static str| move || missing("spark.connect.AsOfJoin", name);
        Ok(RelationNode::AsOfJoin(AsOfJoin {
            left,
            right,
            left_as_of: self.expression(j.left_as_of.ok_or_else(side("left_as_of"))?)?,
            right_as_of: self.expression(j.right_as_of.ok_or_else(side("right_as_of"))?)?,
            condition: j.join_expr.map(|e| self.expression(e)).transpose()?,
            using: j.using_columns,
            kind,
            tolerance: j.tolerance.map(|e| self.expression(e)).transpose()?,
            allow_exact_matches: j.allow_exact_matches,
            direction: j.direction.to_lowercase(),
        }))
    }

    /// For each row of the left side the best rows of the right: all pairs, ranked.
    pub(super) fn nearest_by_join(&mut self, j: proto::NearestByJoin) -> Result<RelationNode> {
        let kind = join_kind_by_name(&j.join_type)?;
        if !matches!(kind, JoinKind::Inner | JoinKind::LeftOuter) {
            return Err(illegal_argument(format!(
                "A nearest-by join is inner or left outer, not `{}`.",
                j.join_type
            )));
        }
        if !(1..=100_000).contains(&j.num_results) {
            return Err(illegal_argument(format!(
                "A nearest-by join gives between 1 and 100000 rows a row, not {}.",
                j.num_results
            )));
        }
        let ascending = match j.direction.to_lowercase().as_str() {
            "distance" => true,
            "similarity" => false,
            other => {
                return Err(illegal_argument(format!("`{other}` is no direction of a nearest-by join.")));
            }
        };
        let left = self.input(j.left)?;
        let right = self.input(j.right)?;
        let ranking = j
            .ranking_expression
            .ok_or_else(|| missing("spark.connect.NearestByJoin", "ranking_expression"))?;
        let ranking = self.expression(ranking)?;
        let number = Expr::call("monotonically_increasing_id", Vec::new()).alias(ROW);
        let numbered = RelationNode::Project { input: left, exprs: vec![Expr::star(), number] };
        let condition = JoinCondition::On(Expr::Literal(Literal::Boolean(true)));
        let pairs = RelationNode::Join(Join { left: numbered.into(), right, kind, condition });
        let rank = Expr::Window {
            function: Box::new(Expr::call("row_number", Vec::new())),
            window: Box::new(WindowSpec::Inline {
                partition_by: vec![Expr::column([ROW])],
                order_by: vec![SortOrder { expr: ranking, ascending, nulls_first: false }],
                frame: None,
            }),
            origin: Default::default(),
        };
        let best = Expr::operator("<=", vec![rank, Expr::Literal(Literal::Integer(j.num_results))]);
        let best = RelationNode::Qualify { input: pairs.into(), condition: best };
        Ok(RelationNode::Drop { input: best.into(), columns: Vec::new(), names: vec![ROW.to_string()] })
    }

    pub(super) fn set_operation(&mut self, s: proto::SetOperation) -> Result<RelationNode> {
        let operation = match SetOpType::try_from(s.set_op_type) {
            Ok(SetOpType::Union) => SetOperation::Union,
            Ok(SetOpType::Intersect) => SetOperation::Intersect,
            Ok(SetOpType::Except) => SetOperation::Except,
            _ => return Err(unknown_enum("spark.connect.SetOperation.SetOpType", s.set_op_type)),
        };
        let (by_name, allow_missing) = (s.by_name.unwrap_or(false), s.allow_missing_columns.unwrap_or(false));
        let refused = match operation {
            SetOperation::Except if by_name => Some("EXCEPT_DOES_NOT_SUPPORT_UNION_BY_NAME"),
            SetOperation::Intersect if by_name => Some("INTERSECT_DOES_NOT_SUPPORT_UNION_BY_NAME"),
            SetOperation::Union if allow_missing && !by_name => {
                Some("UNION_BY_NAME_ALLOW_MISSING_COL_REQUIRES_BY_NAME")
            }
            _ => None,
        };
        if let Some(class) = refused {
            return Err(invalid_plan(class)
                .message("Only a union matches columns by name, and only then may columns be missing."));
        }
        if s.left_input.is_none() || s.right_input.is_none() {
            return Err(
                invalid_plan("SET_OPERATION_MUST_HAVE_TWO_INPUTS").message("A set operation has two inputs.")
            );
        }
        let left = self.input(s.left_input)?;
        let right = self.input(s.right_input)?;
        let all = s.is_all.unwrap_or(false);
        Ok(RelationNode::SetOperation { left, right, operation, all, by_name, allow_missing })
    }

    pub(super) fn with_relations(&mut self, w: proto::WithRelations) -> Result<RelationNode> {
        let root = self.input(w.root)?;
        let references = w.references.into_iter().map(|r| self.relation(r)).collect::<Result<Vec<_>>>()?;
        Ok(RelationNode::WithRelations { root, references })
    }
}

fn join_kind(number: i32) -> Result<JoinKind> {
    Ok(match JoinType::try_from(number) {
        Ok(JoinType::Inner) => JoinKind::Inner,
        Ok(JoinType::FullOuter) => JoinKind::FullOuter,
        Ok(JoinType::LeftOuter) => JoinKind::LeftOuter,
        Ok(JoinType::RightOuter) => JoinKind::RightOuter,
        Ok(JoinType::LeftAnti) => JoinKind::LeftAnti,
        Ok(JoinType::LeftSemi) => JoinKind::LeftSemi,
        Ok(JoinType::Cross) => JoinKind::Cross,
        _ => return Err(unknown_enum("spark.connect.Join.JoinType", number)),
    })
}

/// Join types by their names, with all spellings of `DataFrame.join`.
fn join_kind_by_name(name: &str) -> Result<JoinKind> {
    Ok(match name.to_lowercase().replace('_', "").as_str() {
        "inner" => JoinKind::Inner,
        "outer" | "full" | "fullouter" => JoinKind::FullOuter,
        "left" | "leftouter" => JoinKind::LeftOuter,
        "right" | "rightouter" => JoinKind::RightOuter,
        "leftsemi" | "semi" => JoinKind::LeftSemi,
        "leftanti" | "anti" => JoinKind::LeftAnti,
        "cross" => JoinKind::Cross,
        _ => return Err(illegal_argument(format!("`{name}` is no type of join."))),
    })
}
