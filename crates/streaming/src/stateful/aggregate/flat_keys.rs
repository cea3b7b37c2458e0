//! Keys that are structs, as windows are, by their fields: groups are found much faster by plain columns than by structs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{is_null, not, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::{self, lit};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::PhysicalGroupBy;

/// What became of a key.
enum Key {
    Plain,
    /// Whether it is NULL, where it may be, and its fields.
    Fields {
        field: FieldRef,
        fields: Fields,
    },
}

pub(super) struct FlatKeys {
    keys: Vec<Key>,
}

impl FlatKeys {
    /// The same groups by plain columns.
    pub fn of(group: &PhysicalGroupBy, input: &Schema) -> Result<(PhysicalGroupBy, Self)> {
        let plain = || group.expr().iter().map(|_| Key::Plain).collect();
        if !group.is_single() {
            return Ok((group.clone(), Self { keys: plain() }));
        }
        let (mut keys, mut exprs) = (Vec::new(), Vec::new());
        for (expr, name) in group.expr() {
            let field = expr.return_field(input).spark()?;
            let fields = match field.data_type() {
                DataType::Struct(fields) if fields.iter().all(|f| !f.data_type().is_nested()) => {
                    fields.clone()
                }
                _ => {
                    keys.push(Key::Plain);
                    exprs.push((Arc::clone(expr), name.clone()));
                    continue;
                }
            };
            if field.is_nullable() {
                let absent = expressions::is_null(Arc::clone(expr)).spark()?;
                exprs.push((absent, format!("{name} IS NULL")));
            }
            for f in &fields {
                exprs.push((field_of(expr, f.name(), input)?, format!("{name}.{}", f.name())));
            }
            let field = Arc::new(field.as_ref().clone().with_name(name));
            keys.push(Key::Fields { field, fields });
        }
        if keys.iter().all(|k| matches!(k, Key::Plain)) {
            return Ok((group.clone(), Self { keys }));
        }
        Ok((PhysicalGroupBy::new_single(exprs), Self { keys }))
    }

    fn are_plain(&self) -> bool {
        self.keys.iter().all(|k| matches!(k, Key::Plain))
    }

    /// A batch that begins with the keys, by plain columns.
    pub fn flat(&self, batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (key, column) in self.keys.iter().zip(batch.columns()) {
            match key {
                Key::Plain => columns.push(Arc::clone(column)),
                Key::Fields { field, .. } => columns.extend(parts(field, column)?),
            }
        }
        columns.extend(batch.columns()[self.keys.len()..].iter().cloned());
        made(schema, columns, batch.num_rows())
    }

    /// A batch of [`Self::flat`], or what an aggregation over it gave, with the keys as they were.
    pub fn restored(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.are_plain() {
            return Ok(batch);
        }
        let schema = batch.schema();
        let mut rest = schema.fields().iter().cloned().zip(batch.columns().iter().cloned());
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for key in &self.keys {
            match key {
                Key::Plain => {
                    let (field, column) = next(&mut rest)?;
                    fields.push(field);
                    columns.push(column);
                }
                Key::Fields { field, fields: inner } => {
                    let nulls = match field.is_nullable() {
                        true => present(&next(&mut rest)?.1)?,
                        false => None,
                    };
                    let values = inner.iter().map(|_| Ok(next(&mut rest)?.1)).collect::<Result<Vec<_>>>()?;
                    let whole = StructArray::try_new(inner.clone(), values, nulls).spark()?;
                    fields.push(Arc::clone(field));
                    columns.push(Arc::new(whole));
                }
            }
        }
        for (field, column) in rest {
            fields.push(field);
            columns.push(column);
        }
        made(&Arc::new(Schema::new(fields)), columns, batch.num_rows())
    }
}

fn made(schema: &Arc<Schema>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).spark()
}

fn next(rest: &mut impl Iterator<Item = (FieldRef, ArrayRef)>) -> Result<(FieldRef, ArrayRef)> {
    rest.next().ok_or_else(|| Error::internal("an aggregation without all of its keys"))
}

fn field_of(expr: &Arc<dyn PhysicalExpr>, name: &str, input: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let get = datafusion::functions::core::get_field();
    let args = vec![Arc::clone(expr), lit(name)];
    Ok(Arc::new(ScalarFunctionExpr::try_new(get, args, input, Arc::new(ConfigOptions::default())).spark()?))
}

/// The columns of a key that is a struct.
fn parts(field: &Field, column: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let whole = column.as_struct_opt().ok_or_else(|| Error::internal("a key that is no struct"))?;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(whole.num_columns() + 1);
    let absent = is_null(whole).spark()?;
    if field.is_nullable() {
        columns.push(Arc::new(absent.clone()));
    }
    for inner in whole.columns() {
        // What is inside of NULL is NULL.
        columns.push(match whole.null_count() {
            0 => Arc::clone(inner),
            _ => nullif(inner, &absent).spark()?,
        });
    }
    Ok(columns)
}

/// Where structs are there, by a column that says where they are not.
fn present(absent: &ArrayRef) -> Result<Option<NullBuffer>> {
    let absent: &BooleanArray =
        absent.as_boolean_opt().ok_or_else(|| Error::internal("a key without its mark"))?;
    if absent.true_count() == 0 {
        return Ok(None);
    }
    Ok(Some(NullBuffer::new(not(absent).spark()?.values().clone())))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use datafusion::physical_expr::expressions::col;

    use super::*;

    #[test]
    fn structs_come_back_as_they_were() {
        let inner: Fields =
            vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)].into();
        let values: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(Int64Array::from(vec![Some(4), None, None])),
        ];
        let whole = StructArray::new(inner.clone(), values, Some(NullBuffer::from(vec![true, true, false])));
        let schema = Schema::new(vec![
            Field::new("s", DataType::Struct(inner), true),
            Field::new("n", DataType::Int64, true),
        ]);
        let batch = RecordBatch::try_new(
            Arc::new(schema.clone()),
            vec![Arc::new(whole), Arc::new(Int64Array::from(vec![7, 8, 9]))],
        )
        .unwrap();
        let group = PhysicalGroupBy::new_single(vec![(col("s", &schema).unwrap(), "s".to_string())]);
        let (flat_group, keys) = FlatKeys::of(&group, &schema).unwrap();
        let mut fields = flat_group.group_schema(&schema).unwrap().fields().to_vec();
        assert_eq!(fields.len(), 3);
        fields.push(Arc::clone(&schema.fields()[1]));
        let flat = keys.flat(&batch, &Arc::new(Schema::new(fields))).unwrap();
        assert_eq!(flat.column(1).null_count(), 2, "what is inside of NULL is NULL");
        let back = keys.restored(flat).unwrap();
        assert_eq!(back.column(0).null_count(), 1);
        assert_eq!(back.schema().fields(), batch.schema().fields());
        assert_eq!(back.slice(0, 2), batch.slice(0, 2));
    }
}
