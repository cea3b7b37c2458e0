//! UNION, INTERSECT, EXCEPT, and `dropDuplicates`.

use boathouse_bridge::ResultExt;
use boathouse_functions::coercion;
use boathouse_spec::{DataType, Error, JoinKind, Relation, Result, SetOperation};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr as DfExpr, LogicalPlan, Operator, Union, Window, WindowFrame, WindowFunctionDefinition,
};
use std::sync::Arc;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, project};
use super::join_hint::without_hints;
use super::operator::binary;
use super::project::named;
use crate::operators::{JoinHint, join_hint};
use crate::watermark::{StreamOperationKind, noted};

/// The first of two types that differ in the names of fields alone (Spark's `DataType.equalsStructurally`), with what is
/// nullable in either.
fn same_but_for_names(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (DataType::Struct(x), DataType::Struct(y)) if x.fields.len() == y.fields.len() => {
            let mut fields = x.fields.clone();
            for (field, other) in fields.iter_mut().zip(&y.fields) {
                field.data_type = same_but_for_names(&field.data_type, &other.data_type)?;
                field.nullable |= other.nullable;
            }
            Some(DataType::structure(fields))
        }
        (
            DataType::Array { element, contains_null },
            DataType::Array { element: other, contains_null: nulls },
        ) => Some(DataType::array(same_but_for_names(element, other)?, *contains_null || *nulls)),
        (
            DataType::Map { key, value, value_contains_null },
            DataType::Map { key: k, value: v, value_contains_null: nulls },
        ) => Some(DataType::map(
            same_but_for_names(key, k)?,
            same_but_for_names(value, v)?,
            *value_contains_null || *nulls,
        )),
        _ => (a == b).then(|| a.clone()),
    }
}

impl Analyzer {
    pub(super) fn set_operation(
        &mut self,
        left: &Relation,
        right: &Relation,
        operation: SetOperation,
        all: bool,
        by_name: bool,
        allow_missing: bool,
    ) -> Result<Analyzed> {
        // A long chain of unions nests to the left: gather it, so that one node does it all.
        if operation == SetOperation::Union && all && !by_name {
            let mut inputs = Vec::new();
            self.gather_unions(left, &mut inputs)?;
            self.gather_unions(right, &mut inputs)?;
            return self.union_all(inputs);
        }
        let left = self.relation(left)?.without_hidden()?;
        let right = self.relation(right)?.without_hidden()?;
        let (left, right) = if by_name { self.by_name(left, right, allow_missing)? } else { (left, right) };
        match operation {
            SetOperation::Union => {
                let union = self.union_all(vec![left, right])?;
                if all {
                    return Ok(union);
                }
                super::relation::check_groupable(&union.output)?;
                self.distinct_rows(union)
            }
            SetOperation::Intersect => self.matching(left, right, "INTERSECT", JoinKind::LeftSemi, all),
            SetOperation::Except => self.matching(left, right, "EXCEPT", JoinKind::LeftAnti, all),
        }
    }

    fn gather_unions(&mut self, relation: &Relation, inputs: &mut Vec<Analyzed>) -> Result<()> {
        if relation.plan_id.is_none()
            && let boathouse_spec::RelationNode::SetOperation {
                left,
                right,
                operation: SetOperation::Union,
                all: true,
                by_name: false,
                ..
            } = relation.node.as_ref()
        {
            self.gather_unions(left, inputs)?;
            return self.gather_unions(right, inputs);
        }
        inputs.push(self.relation(relation)?.without_hidden()?);
        Ok(())
    }

    pub(super) fn union_all(&mut self, inputs: Vec<Analyzed>) -> Result<Analyzed> {
        let names: Vec<String> = inputs[0].output.iter().map(|a| a.name.clone()).collect();
        let types = self.common_columns(&inputs, "UNION")?;
        let output: Vec<Attribute> = types
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let mut nullable = false;
                for input in &inputs {
                    nullable |= self.implicit(input.output[i].typed(), t)?.nullable;
                }
                let mut a = self.attribute(&names[i], t.clone(), nullable);
                a.metadata.clone_from(&inputs[0].output[i].metadata);
                a.qualifier.clone_from(&inputs[0].output[i].qualifier);
                self.note_char(&a);
                Ok(a)
            })
            .collect::<Result<_>>()?;
        let mut plans = Vec::with_capacity(inputs.len());
        for input in &inputs {
            plans.push(Arc::new(self.cast_columns(input, &output)?));
        }
        let plan = match plans.len() {
            1 => Arc::unwrap_or_clone(plans.remove(0)),
            _ => LogicalPlan::Union(Union::try_new(plans).spark()?),
        };
        Ok(Analyzed::new(plan, output).with_plan_ids_of(&inputs))
    }

    /// The common type of each column.
    fn common_columns(&self, inputs: &[Analyzed], operator: &str) -> Result<Vec<DataType>> {
        let first = &inputs[0];
        for (n, input) in inputs.iter().enumerate().skip(1) {
            if input.output.len() != first.output.len() {
                return Err(Error::new("NUM_COLUMNS_MISMATCH")
                    .param("operator", operator)
                    .param("firstNumColumns", first.output.len())
                    .param("invalidOrdinalNum", super::values::ordinal_word(n))
                    .param("invalidNumColumns", input.output.len())
                    .message(format!(
                        "{operator} needs inputs of as many columns: the first has {}, the {} has {}.",
                        first.output.len(),
                        super::values::ordinal_word(n),
                        input.output.len()
                    )));
            }
        }
        (0..first.output.len())
            .map(|i| {
                let mut t = first.output[i].data_type.clone();
                for (n, input) in inputs.iter().enumerate().skip(1) {
                    let other = &input.output[i].data_type;
                    let wider = coercion::wider_type(&t, other, &self.context);
                    // Only UNION takes fields by their places.
                    let by_places =
                        || if operator == "UNION" { same_but_for_names(&t, other) } else { None };
                    t = wider.or_else(by_places).ok_or_else(|| {
                        Error::new("INCOMPATIBLE_COLUMN_TYPE")
                            .param("operator", operator)
                            .param("columnOrdinalNumber", super::values::ordinal_word(i))
                            .param("tableOrdinalNumber", super::values::ordinal_word(n))
                            .param("dataType1", super::error::quoted(other))
                            .param("dataType2", super::error::quoted(&t))
                            .param("hint", "")
                            .message(format!(
                                "{operator} needs columns of compatible types: the {} column of the {} table is {}, elsewhere {}.",
                                super::values::ordinal_word(i),
                                super::values::ordinal_word(n),
                                other.sql(),
                                t.sql()
                            ))
                    })?;
                }
                Ok(t)
            })
            .collect()
    }

    pub(super) fn cast_columns(&mut self, input: &Analyzed, output: &[Attribute]) -> Result<LogicalPlan> {
        let list = input
            .output
            .iter()
            .zip(output)
            .map(|(from, to)| Ok(named(self.implicit(from.typed(), &to.data_type)?.expr, to)))
            .collect::<Result<Vec<_>>>()?;
        project(list, input.plan.clone())
    }

    /// Rows of the left that have (INTERSECT) or lack (EXCEPT) an equal on the right, NULLs being equal. With ALL the
    /// n-th of equal rows on the left needs an n-th on the right.
    fn matching(
        &mut self,
        left: Analyzed,
        right: Analyzed,
        operator: &str,
        kind: JoinKind,
        all: bool,
    ) -> Result<Analyzed> {
        super::relation::check_groupable(&left.output)?;
        super::relation::check_groupable(&right.output)?;
        let inputs = [left, right];
        let types = self.common_columns(&inputs, &format!("{operator}{}", if all { " ALL" } else { "" }))?;
        let [left, right] = inputs;
        if all && kind == JoinKind::LeftAnti && left.is_streaming && !right.is_streaming {
            return self.stream_except_all(&left, &right, &types);
        }
        let mut sides = Vec::new();
        for side in [&left, &right] {
            let columns: Vec<Attribute> = types
                .iter()
                .zip(&left.output)
                .zip(&side.output)
                .map(|((t, l), s)| {
                    let mut column = self.attribute(&l.name, t.clone(), s.nullable);
                    column.qualifier.clone_from(&l.qualifier);
                    if *t == l.data_type {
                        column.metadata.clone_from(&l.metadata);
                        self.note_char(&column);
                    }
                    column
                })
                .collect();
            let plan = self.cast_columns(side, &columns)?;
            if all {
                let (plan, number) = self.numbered(plan, &columns)?;
                sides.push((plan, columns, number));
            } else if side.is_streaming {
                // Each row once is left for what the other side takes away.
                sides.push((plan, columns, None));
            } else {
                let distinct = self.distinct_rows(Analyzed::new(plan, columns))?;
                sides.push((distinct.plan, distinct.output, None));
            }
        }
        let (Some((right_plan, right_columns, right_number)), Some((left_plan, left_columns, left_number))) =
            (sides.pop(), sides.pop())
        else {
            return Err(Error::internal("a set operation without two sides"));
        };
        let keys = left_columns.iter().chain(&left_number).zip(right_columns.iter().chain(&right_number));
        let mut condition: Option<DfExpr> = None;
        for (l, r) in keys {
            let (l, r) = (self.group_key(l.typed())?, self.group_key(r.typed())?);
            let same = binary(l.expr, Operator::IsNotDistinctFrom, r.expr);
            condition = Some(match condition {
                None => same,
                Some(c) => binary(c, Operator::And, same),
            });
        }
        let hint = super::join_hint::found(&left_plan);
        let (left_plan, right_plan) = (without_hints(left_plan)?, without_hints(right_plan)?);
        let mut plan = super::join::plan_join(&left_plan, right_plan, kind, condition)?;
        if let Some(strategy) = hint {
            // It gives no more rows than its left side: what is said of that holds for it.
            plan = join_hint(plan, JoinHint { strategy, is_taken: false });
        }
        let mut left_columns = left_columns;
        // A row of both sides has NULL only where both sides may have it.
        for (l, r) in left_columns.iter_mut().zip(&right_columns).filter(|_| kind == JoinKind::LeftSemi) {
            l.nullable &= r.nullable;
        }
        let joined = Analyzed {
            hidden: left_number.into_iter().collect(),
            ..Analyzed::new(plan, left_columns).with_plan_ids_of([&left, &right])
        };
        let joined = joined.without_hidden()?;
        match stream_operation(kind, [left.is_streaming, right.is_streaming]) {
            None => Ok(joined),
            Some(operation) => {
                let rows = match operation {
                    StreamOperationKind::Except => self.grouped_rows(joined)?,
                    _ => joined,
                };
                let plan = noted(rows.plan.clone(), operation, true);
                Ok(Analyzed { plan, is_streaming: true, ..rows })
            }
        }
    }

    /// Adds the number of each row among its equals.
    fn numbered(
        &mut self,
        plan: LogicalPlan,
        columns: &[Attribute],
    ) -> Result<(LogicalPlan, Option<Attribute>)> {
        let number = self.attribute("number", DataType::Long, false);
        let mut keys = Vec::with_capacity(columns.len());
        for c in columns {
            keys.push(self.group_key(c.typed())?.expr);
        }
        // Of rows that were sorted, the first in their order is number 1.
        let order_by = super::sort::order_of(&plan).unwrap_or_default();
        let function = WindowFunction {
            fun: WindowFunctionDefinition::WindowUDF(
                datafusion::functions_window::row_number::row_number_udwf(),
            ),
            params: WindowFunctionParams {
                args: vec![],
                partition_by: keys,
                window_frame: WindowFrame::new((!order_by.is_empty()).then_some(false)),
                order_by,
                filter: None,
                null_treatment: None,
                distinct: false,
            },
        };
        let expr = DfExpr::WindowFunction(Box::new(function)).alias(number.internal_name());
        Ok((LogicalPlan::Window(Window::try_new(vec![expr], Arc::new(plan)).spark()?), Some(number)))
    }

    /// One row of each set of rows with equal values in the columns.
    pub(super) fn deduplicate(
        &mut self,
        input: &Relation,
        columns: Option<&[String]>,
        within_watermark: bool,
    ) -> Result<Analyzed> {
        let input = self.relation(input)?.without_hidden()?;
        let Some(columns) = columns else {
            super::relation::check_groupable(&input.output)?;
            if input.is_streaming {
                let keys = input.output.clone();
                return Ok(deduplicated_stream(input, &keys, within_watermark));
            }
            return self.distinct_rows(input);
        };
        let mut keys = Vec::new();
        for name in columns {
            let found: Vec<&Attribute> =
                input.output.iter().filter(|a| a.name.eq_ignore_ascii_case(name)).collect();
            if found.is_empty() {
                let class = "CONNECT_INVALID_PLAN.UNRESOLVED_COLUMN_AMONG_FIELD_NAMES";
                return Err(super::error::no_such_column_of_frame(class, name, &input.output)
                    .exception("InvalidPlanInput"));
            }
            keys.extend(found.into_iter().cloned());
        }
        super::relation::check_groupable(&keys)?;
        if input.is_streaming {
            return Ok(deduplicated_stream(input, &keys, within_watermark));
        }
        let (plan, number) = self.numbered(input.plan.clone(), &keys)?;
        let Some(number) = number else { return Err(Error::internal("rows without numbers")) };
        let first = binary(number.column(), Operator::Eq, datafusion::logical_expr::lit(1u64));
        let plan = datafusion::logical_expr::LogicalPlanBuilder::from(plan)
            .filter(first)
            .spark()?
            .build()
            .spark()?;
        let kept = Analyzed { hidden: vec![number], ..input.with_plan(plan) };
        kept.without_hidden()
    }
}

/// What the operation is where one of its sides streams.
fn stream_operation(kind: JoinKind, streams: [bool; 2]) -> Option<StreamOperationKind> {
    match (kind, streams) {
        (_, [false, false]) => None,
        (JoinKind::LeftSemi, _) => Some(StreamOperationKind::Intersect),
        (_, [_, true]) => Some(StreamOperationKind::ExceptStream),
        _ => Some(StreamOperationKind::Except),
    }
}

/// Whoever runs the stream remembers which rows there were.
pub(super) fn deduplicated_stream(input: Analyzed, keys: &[Attribute], within_watermark: bool) -> Analyzed {
    let node = crate::watermark::StreamDeduplicate {
        input: input.plan.clone(),
        keys: keys.iter().map(Attribute::df_column).collect(),
        within_watermark,
    };
    let extension = datafusion::logical_expr::Extension { node: std::sync::Arc::new(node) };
    input.with_plan(LogicalPlan::Extension(extension))
}
