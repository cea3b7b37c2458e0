//! A column with the names of its nested fields changed: how structs of a table with column mapping get the table's names.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{RecordBatch, make_array};
use arrow::datatypes::{DataType, FieldRef, Schema};
use boathouse_bridge::to_datafusion;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use crate::schema::relabel::relabel;

/// Gives a value the type of `field`, which differs from its own in the names and metadata of nested fields only.
#[derive(Debug, Clone, Eq)]
pub(crate) struct RelabelExpr {
    child: Arc<dyn PhysicalExpr>,
    field: FieldRef,
}

impl RelabelExpr {
    pub fn new(child: Arc<dyn PhysicalExpr>, field: FieldRef) -> Self {
        Self { child, field }
    }
}

impl PartialEq for RelabelExpr {
    fn eq(&self, other: &Self) -> bool {
        self.child.eq(&other.child) && self.field == other.field
    }
}

impl Hash for RelabelExpr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.child.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for RelabelExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relabel({})", self.child)
    }
}

impl PhysicalExpr for RelabelExpr {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.child.nullable(input)
    }

    fn return_field(&self, _input: &Schema) -> Result<FieldRef> {
        Ok(self.field.clone())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.child.evaluate(batch)?.into_array(batch.num_rows())?;
        let data = relabel(array.to_data(), self.field.data_type()).map_err(to_datafusion)?;
        Ok(ColumnarValue::Array(make_array(data)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let child = children.pop().unwrap_or_else(|| self.child.clone());
        Ok(Arc::new(Self { child, field: self.field.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt_sql(f)
    }
}
