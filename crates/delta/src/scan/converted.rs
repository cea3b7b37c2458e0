//! A column of a file as the table has it: an expression around it that changes its type.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use boathouse_bridge::to_datafusion;
use boathouse_spec::Result;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

pub(super) type Conversion = fn(&ArrayRef, &Field) -> Result<ArrayRef>;

/// Gives a value the type of `field`.
#[derive(Debug, Clone, Eq)]
pub(super) struct Converted {
    child: Arc<dyn PhysicalExpr>,
    field: FieldRef,
    /// What plans call the conversion: a name for each.
    name: &'static str,
    convert: Conversion,
}

impl Converted {
    pub fn of(
        child: Arc<dyn PhysicalExpr>,
        field: FieldRef,
        name: &'static str,
        convert: Conversion,
    ) -> Arc<dyn PhysicalExpr> {
        Arc::new(Self { child, field, name, convert })
    }
}

impl PartialEq for Converted {
    fn eq(&self, other: &Self) -> bool {
        self.child.eq(&other.child) && self.field == other.field && self.name == other.name
    }
}

impl Hash for Converted {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.child.hash(state);
        self.field.hash(state);
        self.name.hash(state);
    }
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.child)
    }
}

impl PhysicalExpr for Converted {
    fn data_type(&self, _: &Schema) -> DataFusionResult<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn nullable(&self, input: &Schema) -> DataFusionResult<bool> {
        self.child.nullable(input)
    }

    fn return_field(&self, _: &Schema) -> DataFusionResult<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        let array = self.child.evaluate(batch)?.into_array(batch.num_rows())?;
        (self.convert)(&array, &self.field).map(ColumnarValue::Array).map_err(to_datafusion)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        let child = children.pop().unwrap_or_else(|| Arc::clone(&self.child));
        Ok(Self::of(child, Arc::clone(&self.field), self.name, self.convert))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt_sql(f)
    }
}
