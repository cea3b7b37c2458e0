//! As-of joins: each row of the left side with the nearest row of the right side (Spark's `RewriteAsOfJoin`).

use boathouse_bridge::ResultExt;
use boathouse_spec::{AsOfJoin, DataType, Error, Expr, JoinKind, Result};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{Aggregate, Expr as DfExpr, LogicalPlan, Operator, lit};
use std::sync::Arc;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::join::{combined, plan_join};
use super::project::named;

/// Which rows are near.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Backward,
    Forward,
    Nearest,
}

impl Analyzer {
    pub(super) fn as_of_join(&mut self, join: &AsOfJoin) -> Result<Analyzed> {
        let direction = match join.direction.as_str() {
            "backward" => Direction::Backward,
            "forward" => Direction::Forward,
            "nearest" => Direction::Nearest,
            other => {
                return Err(Error::new("AS_OF_JOIN.UNSUPPORTED_DIRECTION")
                    .param("direction", other)
                    .param("supported", "'backward', 'forward', 'nearest'")
                    .message(format!("`{other}` is no direction of an as-of join.")));
            }
        };
        if !matches!(join.kind, JoinKind::Inner | JoinKind::LeftOuter) {
            return Err(Error::new("")
                .message(format!("requirement failed: Unsupported as-of join type {:?}", join.kind))
                .exception("IllegalArgumentException"));
        }
        let left = self.relation(&join.left)?;
        let right = self.relation(&join.right)?;
        let (left_as_of, right_as_of) =
            (self.expr(&join.left_as_of, &left)?, self.expr(&join.right_as_of, &right)?);
        let both = combined(&left, &right);
        let mut condition = self.near(join, direction, &left_as_of, &right_as_of)?;
        if let Some(expr) = &join.condition {
            let resolved = self.expr(expr, &both)?;
            condition = Self::both(self.condition(resolved, "join")?.expr, condition);
        }
        for name in &join.using {
            let column = Expr::column([name]);
            let (l, r) = (self.expr(&column, &left)?, self.expr(&column, &right)?);
            condition = Self::both(self.comparison(Operator::Eq, l, r)?.expr, condition);
        }
        let distance = self.distance(direction, left_as_of, right_as_of)?;
        self.nearest_rows(left, right, join.kind, condition, distance)
    }

    /// Which rows of the right side may be taken for a row of the left.
    fn near(
        &mut self,
        join: &AsOfJoin,
        direction: Direction,
        left: &TypedExpr,
        right: &TypedExpr,
    ) -> Result<DfExpr> {
        let exact = join.allow_exact_matches;
        let mut compare = |operator: Operator, a: &TypedExpr, b: &TypedExpr| {
            Ok(self.comparison(operator, a.clone(), b.clone())?.expr)
        };
        let (at_least, at_most) = match exact {
            true => (Operator::GtEq, Operator::LtEq),
            false => (Operator::Gt, Operator::Lt),
        };
        let base: Result<DfExpr> = match direction {
            Direction::Backward => compare(at_least, left, right),
            Direction::Forward => compare(at_most, left, right),
            Direction::Nearest if exact => Ok(lit(true)),
            Direction::Nearest => Ok(DfExpr::Not(Box::new(compare(Operator::Eq, left, right)?))),
        };
        let base = base?;
        let Some(tolerance) = &join.tolerance else { return Ok(base) };
        let tolerance = self.tolerance(tolerance)?;
        let mut all = base;
        if direction != Direction::Forward {
            let earliest = self.builtin("-", vec![left.clone(), tolerance.clone()])?;
            all = Self::both(all, self.comparison(at_least, right.clone(), earliest)?.expr);
        }
        if direction != Direction::Backward {
            let latest = self.builtin("+", vec![left.clone(), tolerance])?;
            all = Self::both(all, self.comparison(at_most, right.clone(), latest)?.expr);
        }
        Ok(all)
    }

    fn tolerance(&mut self, expr: &Expr) -> Result<TypedExpr> {
        let tolerance = self.expr(expr, &Analyzed::one_row()?)?;
        if !super::expr::is_foldable(&tolerance.expr) {
            return Err(Error::new("AS_OF_JOIN.TOLERANCE_IS_UNFOLDABLE")
                .message("The tolerance of an as-of join must be a constant."));
        }
        let zero = self.builtin("-", vec![tolerance.clone(), tolerance.clone()])?;
        let negative = self.comparison(Operator::Lt, tolerance.clone(), zero)?;
        if self.fold(&negative)? == datafusion::scalar::ScalarValue::Boolean(Some(true)) {
            return Err(Error::new("AS_OF_JOIN.TOLERANCE_IS_NON_NEGATIVE")
                .message("The tolerance of an as-of join must not be negative."));
        }
        Ok(tolerance)
    }

    /// How far a row of the right side is.
    fn distance(&mut self, direction: Direction, left: TypedExpr, right: TypedExpr) -> Result<TypedExpr> {
        let backward = self.builtin("-", vec![left.clone(), right.clone()])?;
        if direction == Direction::Backward {
            return Ok(backward);
        }
        let forward = self.builtin("-", vec![right.clone(), left.clone()])?;
        if direction == Direction::Forward {
            return Ok(forward);
        }
        let is_later = self.comparison(Operator::Gt, left, right)?;
        let case = datafusion::logical_expr::Case::new(
            None,
            vec![(Box::new(is_later.expr), Box::new(backward.expr.clone()))],
            Some(Box::new(forward.expr)),
        );
        Ok(TypedExpr { expr: DfExpr::Case(case), ..backward })
    }

    /// Joins by the condition and keeps, for each row of the left side, the nearest one.
    fn nearest_rows(
        &mut self,
        left: Analyzed,
        right: Analyzed,
        kind: JoinKind,
        condition: DfExpr,
        distance: TypedExpr,
    ) -> Result<Analyzed> {
        let id = self.attribute("row", DataType::Long, false);
        let numbered = self.builtin("monotonically_increasing_id", Vec::new())?;
        let mut list: Vec<DfExpr> = left.columns().map(Attribute::column).collect();
        list.push(named(numbered.expr, &id));
        let numbered = project(list, left.plan.clone())?;
        let joined = plan_join(&numbered, right.plan.clone(), kind, Some(condition))?;
        let mut joined_right = right.clone();
        if kind == JoinKind::LeftOuter {
            joined_right.output = right.output.iter().map(|a| a.clone().nullable()).collect();
        }
        let of_left = self.packed(&left)?;
        let of_left = self.builtin_aggregate("first", vec![of_left])?;
        let of_right = self.packed(&joined_right)?;
        let of_right = self.builtin_aggregate("min_by", vec![of_right, distance])?;
        let (l, r) = (
            self.attribute("left", of_left.data_type.clone(), true),
            self.attribute("right", of_right.data_type.clone(), true),
        );
        let aggregates = vec![of_left.expr.alias(l.internal_name()), of_right.expr.alias(r.internal_name())];
        let grouped = Aggregate::try_new(Arc::new(joined), vec![id.column()], aggregates).spark()?;
        let mut list = Vec::new();
        for (side, packed) in [(&left, &l), (&right, &r)] {
            list.extend(side.output.iter().map(|a| named(get_field(packed.column(), a.internal_name()), a)));
        }
        let plan = project(list, LogicalPlan::Aggregate(grouped))?;
        let output = left.output.iter().cloned().chain(joined_right.output).collect();
        Ok(Analyzed::new(plan, output).with_plan_ids_of([&left, &right]))
    }

    /// A side's columns as one struct, its fields under the columns' own names.
    pub(super) fn packed(&mut self, side: &Analyzed) -> Result<TypedExpr> {
        let mut args = Vec::with_capacity(2 * side.output.len());
        for a in &side.output {
            let name = a.internal_name();
            args.push(TypedExpr::new(lit(name.clone()), DataType::STRING, false, name));
            args.push(a.typed());
        }
        self.builtin("named_struct", args)
    }
}
