//! Filters of several conditions.
//!
//! DataFusion evaluates `a AND b AND c` from the left, and where few rows are left it copies all columns of these before it goes
//! on: beside comparisons of numbers the copies cost more than they save. Here the leading conditions that cannot fail are
//! evaluated in the order of their cost, numbers before strings; once few rows are left, only the columns that a condition
//! needs are copied for it. Conditions that may fail come in the order they were written in, and are evaluated for the rows
//! that are left and no others: `x <> 0 AND 1 / x > 2` is no division by zero.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::compute::FilterBuilder;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::util::bit_util;
use boathouse_functions::never_fails;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::utils::{collect_columns, conjunction};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::scalar::ScalarValue;

use crate::operator_rule::OperatorRule;

/// Gives filters a [`Conjunction`] for their predicate.
pub(crate) const CHEAP_CONDITIONS_FIRST: OperatorRule =
    OperatorRule { name: "boathouse_cheap_conditions_first", replacement: with_conjunction };

fn with_conjunction(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(None) };
    let Some(conjunction) = Conjunction::of(filter.predicate(), &filter.input().schema())? else {
        return Ok(None);
    };
    let filter = FilterExecBuilder::from(filter).with_predicate(Arc::new(conjunction)).build()?;
    Ok(Some(Arc::new(filter)))
}

/// The predicate of a filter: where all conditions hold. It is FALSE where one is NULL, which is the same to a filter.
#[derive(Debug)]
struct Conjunction {
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    expr: Arc<dyn PhysicalExpr>,
    /// `None` where it may fail.
    cost: Option<Cost>,
    /// The columns that it needs, and the condition over these alone.
    columns: Vec<usize>,
    narrow: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl Condition {
    fn new(expr: Arc<dyn PhysicalExpr>, cost: Option<Cost>, schema: &Schema) -> Result<Self> {
        let mut columns: Vec<usize> = collect_columns(&expr).iter().map(Column::index).collect();
        columns.sort_unstable();
        let schema = Arc::new(schema.project(&columns)?);
        let narrow = reassign_by_place(Arc::clone(&expr), &columns)?;
        Ok(Self { expr, cost, columns, narrow, schema })
    }

    /// Whether only the rows that are left are given to it.
    fn is_narrowed(&self, left: usize, rows: usize) -> bool {
        match self.cost {
            None => left < rows,
            // Done before the columns are copied.
            Some(Cost::Number) => false,
            Some(Cost::Text | Cost::Function) => left * FEW <= rows,
        }
    }

    /// Over the rows of a batch that have a bit.
    fn among(&self, batch: &RecordBatch, rows: &BooleanBuffer, count: usize) -> Result<BooleanBuffer> {
        let filter = FilterBuilder::new(&BooleanArray::new(rows.clone(), None)).optimize().build();
        let columns = self.columns.iter().map(|i| filter.filter(batch.column(*i)));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
        let few = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let holds = holding(self.narrow.evaluate(&few)?, count)?;
        let mut bits = MutableBuffer::from_len_zeroed(bit_util::ceil(rows.len(), 8));
        for (row, _) in rows.set_indices().zip(&holds).filter(|(_, holds)| *holds) {
            bits.as_slice_mut()[row / 8] |= 1 << (row % 8);
        }
        Ok(BooleanBuffer::new(bits.into(), 0, rows.len()))
    }
}

/// The same expression where the columns are those at `columns`.
fn reassign_by_place(expr: Arc<dyn PhysicalExpr>, columns: &[usize]) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = expr.transform_up(|node| {
        let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
        match columns.binary_search(&column.index()) {
            Ok(place) => Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as _)),
            Err(_) => internal_err!("a condition without its column {}", column.name()),
        }
    })?;
    Ok(moved.data)
}

/// Where a value is TRUE.
fn holding(value: ColumnarValue, rows: usize) -> Result<BooleanBuffer> {
    match value {
        ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))) => Ok(BooleanBuffer::new_set(rows)),
        ColumnarValue::Scalar(ScalarValue::Boolean(_)) => Ok(BooleanBuffer::new_unset(rows)),
        ColumnarValue::Array(array) if array.data_type() == &DataType::Boolean => {
            let array = array.as_boolean();
            Ok(match array.nulls() {
                Some(nulls) => array.values() & nulls.inner(),
                None => array.values().clone(),
            })
        }
        other => internal_err!("a condition of the type {}", other.data_type()),
    }
}

/// Columns are copied for a condition where at most one row of so many is left (DataFusion's own share).
const FEW: usize = 5;

impl Conjunction {
    /// `None` for one condition alone.
    fn of(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Self>> {
        let conditions = split_conjunction(predicate);
        if conditions.len() < 2 {
            return Ok(None);
        }
        let mut conditions: Vec<_> =
            conditions.into_iter().map(|c| (cost(c, schema), Arc::clone(c))).collect();
        let leading = conditions.iter().take_while(|(cost, _)| cost.is_some()).count();
        conditions[..leading].sort_by_key(|(cost, _)| *cost);
        let conditions = conditions.into_iter().map(|(cost, c)| Condition::new(c, cost, schema));
        Ok(Some(Self { conditions: conditions.collect::<Result<_>>()? }))
    }
}

/// What a condition costs, from the cheapest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    Number,
    Text,
    Function,
}

/// Of conditions that cannot fail: comparisons of columns and constants, functions that never fail, and their combinations.
fn cost(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Cost> {
    use Operator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        let (left, right) = (binary.left(), binary.right());
        return match binary.op() {
            And | Or => Some(cost(left, schema)?.max(cost(right, schema)?)),
            Eq | NotEq | Lt | LtEq | Gt | GtEq => {
                Some(cost_of_value(left, schema)?.max(cost_of_value(right, schema)?))
            }
            _ => None,
        };
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        return cost(not.arg(), schema);
    }
    if let Some(test) = expr.downcast_ref::<IsNullExpr>() {
        return test.arg().is::<Column>().then_some(Cost::Number);
    }
    if let Some(test) = expr.downcast_ref::<IsNotNullExpr>() {
        return test.arg().is::<Column>().then_some(Cost::Number);
    }
    let Some(list) = expr.downcast_ref::<InListExpr>() else {
        return cost_of_value(expr, schema);
    };
    let is_constant = list.list().iter().all(|item| item.is::<Literal>());
    cost_of_value(list.expr(), schema).filter(|_| is_constant).map(|c| c.max(Cost::Text))
}

fn cost_of_value(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Cost> {
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
        let plain = call.args().iter().all(|a| cost_of_value(a, schema).is_some());
        return (plain && never_fails(call.name())).then_some(Cost::Function);
    }
    if !expr.is::<Column>() && !expr.is::<Literal>() {
        return None;
    }
    match expr.data_type(schema).ok()? {
        DataType::Utf8 | DataType::Binary => Some(Cost::Text),
        t if t.is_primitive() || t == DataType::Boolean => Some(Cost::Number),
        _ => None,
    }
}

impl PhysicalExpr for Conjunction {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let mut left = BooleanBuffer::new_set(rows);
        let mut count = rows;
        for condition in &self.conditions {
            if count == 0 {
                break;
            }
            left = if condition.is_narrowed(count, rows) {
                condition.among(batch, &left, count)?
            } else {
                &left & &holding(condition.expr.evaluate(batch)?, rows)?
            };
            count = left.count_set_bits();
        }
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(left, None))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.conditions.iter().map(|c| &c.expr).collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        // Whoever replaces them may mean another schema: what is left is the plain form.
        Ok(conjunction(children))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Conjunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, condition) in self.conditions.iter().enumerate() {
            let and = if i == 0 { "" } else { " AND " };
            write!(f, "{and}{}", condition.expr)?;
        }
        Ok(())
    }
}

impl PartialEq for Conjunction {
    fn eq(&self, other: &Self) -> bool {
        self.children() == other.children()
    }
}

impl Eq for Conjunction {}

impl Hash for Conjunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.children().hash(state);
    }
}
