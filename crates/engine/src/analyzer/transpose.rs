//! `df.transpose()`: rows become columns, named by an index column (Spark's `ResolveTranspose`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use boathouse_bridge::ResultExt;
use boathouse_functions::cast::{self, Mode};
use boathouse_functions::coercion;
use boathouse_spec::{DataType, Error, Expr, Relation, Result, StructField, StructType};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlanBuilder};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute};

impl Analyzer {
    pub(super) fn transpose(&mut self, input: &Relation, index: &[Expr]) -> Result<Analyzed> {
        let input = self.query(input)?;
        let index = match index {
            [] => match input.output.first() {
                Some(first) => first.clone(),
                None => return self.batches(&StructType::default(), Vec::new()),
            },
            [expr] => {
                let value = self.expr(expr, &input)?;
                let column = input.output.iter().find(|a| a.column() == value.expr).cloned();
                column.ok_or_else(|| invalid_index("Index column must be an atomic attribute"))?
            }
            _ => return Err(invalid_index("There can be at most one index column")),
        };
        if matches!(
            index.data_type,
            DataType::Array { .. } | DataType::Map { .. } | DataType::Struct(_) | DataType::Variant
        ) {
            return Err(invalid_index(&format!(
                "Index column must be of atomic type, but found: {}",
                index.data_type.sql()
            )));
        }
        let values: Vec<Attribute> = input.output.iter().filter(|a| a.id != index.id).cloned().collect();
        let value_type = self.transposed_type(&values)?;
        let batches = self.transposed_rows(input, &index)?;
        let (names, columns) = self.transposed_columns(&batches, &index, &values, &value_type)?;
        let mut fields = vec![StructField::new("key", DataType::STRING, false)];
        fields.extend(names.iter().map(|n| StructField::new(n, value_type.clone(), true)));
        let schema = StructType::new(fields);
        let keys: StringArray = values.iter().map(|a| Some(a.name.clone())).collect();
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(keys)];
        arrays.extend(columns);
        let batch =
            RecordBatch::try_new(Arc::new(boathouse_bridge::arrow_schema(&schema)), arrays).spark()?;
        self.batches(&schema, vec![batch])
    }

    /// The one type of all columns but the index.
    fn transposed_type(&self, values: &[Attribute]) -> Result<DataType> {
        let Some(first) = values.first() else { return Ok(DataType::STRING) };
        let mut common = first.data_type.clone();
        for a in &values[1..] {
            common =
                coercion::tightest_common_type(&common, &a.data_type, &self.context).ok_or_else(|| {
                    Error::new("TRANSPOSE_NO_LEAST_COMMON_TYPE")
                    .param("dt1", super::error::quoted(&common))
                    .param("dt2", super::error::quoted(&a.data_type))
                    .message(format!(
                        "The columns of a transposed DataFrame need a common type, and {} and {} have none.",
                        common.sql(),
                        a.data_type.sql()
                    ))
                })?;
        }
        Ok(common)
    }

    /// The rows whose index is not NULL, by the index.
    fn transposed_rows(&mut self, input: Analyzed, index: &Attribute) -> Result<Vec<RecordBatch>> {
        let limit = self.session.conf().integer("spark.sql.transposeMaxValues").unwrap_or(500).max(0);
        let present = DfExpr::IsNotNull(Box::new(index.column()));
        let plan = LogicalPlanBuilder::from(input.plan.clone()).filter(present).spark()?.build().spark()?;
        let sorted = self.sorted(input.with_plan(plan), vec![Sort::new(index.column(), true, true)])?;
        // The index goes first; the others follow in their order.
        let mut pairs = vec![(index.column(), index.clone())];
        pairs.extend(sorted.output.iter().filter(|a| a.id != index.id).map(|a| (a.column(), a.clone())));
        let projected = self.project_pairs(sorted, pairs)?;
        let batches = self.collect(&super::limit::limited(projected, None, Some(limit.saturating_add(1))))?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows as i64 > limit {
            return Err(Error::new("TRANSPOSE_EXCEED_ROW_LIMIT")
                .param("maxValues", limit)
                .param("config", "spark.sql.transposeMaxValues")
                .message(format!(
                    "There are more than the {limit} rows that TRANSPOSE may turn into columns. Raise \
                     spark.sql.transposeMaxValues if that is meant."
                )));
        }
        Ok(batches)
    }

    /// The new columns' names, and the columns: one a row.
    fn transposed_columns(
        &self,
        batches: &[RecordBatch],
        index: &Attribute,
        values: &[Attribute],
        value_type: &DataType,
    ) -> Result<(Vec<String>, Vec<ArrayRef>)> {
        let wanted = boathouse_bridge::arrow_type(value_type);
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        for batch in batches {
            let mode = Mode::Legacy;
            let index =
                cast::cast(batch.column(0), &index.data_type, &DataType::STRING, mode, &self.context)?;
            let mut cells = Vec::with_capacity(values.len());
            for (a, column) in values.iter().zip(&batch.columns()[1..]) {
                let value = cast::cast(column, &a.data_type, value_type, mode, &self.context)?;
                cells.push(boathouse_functions::conform(value, &wanted)?);
            }
            let index = index.as_any().downcast_ref::<StringArray>();
            for row in 0..batch.num_rows() {
                names.push(
                    index.filter(|i| i.is_valid(row)).map(|i| i.value(row).to_string()).unwrap_or_default(),
                );
                let parts: Vec<ArrayRef> = cells.iter().map(|c| c.slice(row, 1)).collect();
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                columns.push(match parts.is_empty() {
                    true => arrow::array::new_empty_array(&wanted),
                    false => arrow::compute::concat(&parts).spark()?,
                });
            }
        }
        Ok((names, columns))
    }
}

fn invalid_index(reason: &str) -> Error {
    Error::new("TRANSPOSE_INVALID_INDEX_COLUMN")
        .param("reason", reason)
        .message(format!("The index column of TRANSPOSE is invalid: {reason}."))
}
