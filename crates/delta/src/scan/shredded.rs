//! Variants that files keep in parts ("Variant Shredding" of the Parquet format): each file says which fields have columns of
//! their own, and the scan makes the values whole again.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, ListArray, MapArray, RecordBatch, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, to_datafusion};
use boathouse_spec::{Error, Result};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use super::variant_value::{self as bytes, Names};
use crate::schema::is_variant;

const METADATA: &str = "metadata";
const VALUE: &str = "value";
const TYPED: &str = "typed_value";

/// Whether a column may have variants, so that its files are to be looked at.
pub(super) fn holds_variant(field: &Field) -> bool {
    is_variant(field)
        || match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(|f| holds_variant(f)),
            DataType::List(element) => holds_variant(element),
            DataType::Map(entries, _) => holds_variant(entries),
            _ => false,
        }
}

/// Whether a file keeps variants of a column in parts.
fn is_shredded(wanted: &Field, found: &Field) -> bool {
    if is_variant(wanted) {
        return matches!(found.data_type(), DataType::Struct(f) if f.iter().any(|f| f.name() == TYPED));
    }
    match (wanted.data_type(), found.data_type()) {
        (DataType::Struct(wanted), DataType::Struct(found)) => {
            wanted.iter().any(|w| found.iter().any(|f| f.name() == w.name() && is_shredded(w, f)))
        }
        (DataType::List(wanted), DataType::List(found)) => is_shredded(wanted, found),
        (DataType::Map(wanted, _), DataType::Map(found, _)) => {
            match (wanted.data_type(), found.data_type()) {
                (DataType::Struct(w), DataType::Struct(f)) => w.iter().zip(f).any(|(w, f)| is_shredded(w, f)),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Reads the columns of a file as the table's, variants made whole.
#[derive(Debug)]
pub(super) struct WholeVariants;

impl PhysicalExprAdapterFactory for WholeVariants {
    fn create(
        &self,
        logical: SchemaRef,
        physical: SchemaRef,
    ) -> DataFusionResult<Arc<dyn PhysicalExprAdapter>> {
        let mut shredded = Vec::new();
        // For all else the file's own type of these columns is the one that is wanted.
        let fields: Vec<FieldRef> = logical
            .fields()
            .iter()
            .map(|wanted| match physical.field_with_name(wanted.name()) {
                Ok(found) if is_shredded(wanted, found) => {
                    shredded.push(Arc::clone(wanted));
                    Arc::new(found.clone())
                }
                _ => Arc::clone(wanted),
            })
            .collect();
        let others = Arc::new(Schema::new_with_metadata(fields, logical.metadata().clone()));
        let rest = DefaultPhysicalExprAdapterFactory.create(others, physical)?;
        if shredded.is_empty() {
            return Ok(rest);
        }
        Ok(Arc::new(Adapter { rest, shredded }))
    }
}

#[derive(Debug)]
struct Adapter {
    rest: Arc<dyn PhysicalExprAdapter>,
    shredded: Vec<FieldRef>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        let expr = self.rest.rewrite(expr)?;
        expr.transform_up(|e| {
            let field = e
                .downcast_ref::<Column>()
                .and_then(|column| self.shredded.iter().find(|f| f.name() == column.name()));
            Ok(match field {
                Some(field) => Transformed::yes(
                    Arc::new(Whole { child: e, field: Arc::clone(field) }) as Arc<dyn PhysicalExpr>
                ),
                None => Transformed::no(e),
            })
        })
        .data()
    }
}

/// A column of a file with its variants whole, of the table's type.
#[derive(Debug, Clone, Eq)]
struct Whole {
    child: Arc<dyn PhysicalExpr>,
    field: FieldRef,
}

impl PartialEq for Whole {
    fn eq(&self, other: &Self) -> bool {
        self.child.eq(&other.child) && self.field == other.field
    }
}

impl Hash for Whole {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.child.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "whole({})", self.child)
    }
}

impl PhysicalExpr for Whole {
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
        whole(&array, &self.field).map(ColumnarValue::Array).map_err(to_datafusion)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        let child = children.pop().unwrap_or_else(|| Arc::clone(&self.child));
        Ok(Arc::new(Self { child, field: Arc::clone(&self.field) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt_sql(f)
    }
}

/// The values as the table has them.
fn whole(values: &ArrayRef, wanted: &Field) -> Result<ArrayRef> {
    if is_variant(wanted) {
        return variants(values, wanted);
    }
    match wanted.data_type() {
        DataType::Struct(fields) if holds_variant(wanted) => {
            let parent = values.as_struct();
            let columns = fields.iter().map(|field| match parent.column_by_name(field.name()) {
                Some(column) => whole(column, field),
                None => Ok(arrow::array::new_null_array(field.data_type(), parent.len())),
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, parent.nulls().cloned()).spark()?))
        }
        DataType::List(element) if holds_variant(wanted) => {
            let list = values.as_list::<i32>();
            let inner = whole(list.values(), element)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(element.clone(), offsets, inner, nulls).spark()?))
        }
        DataType::Map(entries, sorted) if holds_variant(wanted) => {
            let map = values.as_map();
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(Error::internal("the entries of a map are no struct"));
            };
            let columns = vec![whole(map.keys(), &fields[0])?, whole(map.values(), &fields[1])?];
            let inner = StructArray::try_new(fields.clone(), columns, None).spark()?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, inner, nulls, *sorted).spark()?))
        }
        t if values.data_type() == t => Ok(Arc::clone(values)),
        t => crate::schema::conform::conform(values, t),
    }
}

fn variants(values: &ArrayRef, wanted: &Field) -> Result<ArrayRef> {
    let lacks = |what: &str| Error::internal(format!("a variant in a file has no {what}"));
    let parts = values.as_struct_opt().ok_or_else(|| lacks("parts"))?;
    let metadata = parts.column_by_name(METADATA).ok_or_else(|| lacks(METADATA))?;
    let metadata = metadata.as_binary_opt::<i32>().ok_or_else(|| lacks("metadata in bytes"))?;
    let part = Part::of(parts);
    let (mut names_out, mut values_out) = (BinaryBuilder::new(), BinaryBuilder::new());
    let mut known: Option<(Vec<u8>, Names)> = None;
    for row in 0..parts.len() {
        if parts.is_null(row) {
            names_out.append_value([]);
            values_out.append_value([]);
            continue;
        }
        let written = metadata.value(row);
        if known.as_ref().is_none_or(|(bytes, _)| bytes != written) {
            known = Some((written.to_vec(), Names::parse(written)?));
        }
        let Some((_, names)) = &known else { continue };
        let value = part.value(row, names)?.unwrap_or_else(|| bytes::primitive(bytes::NULL, &[]));
        names_out.append_value(written);
        values_out.append_value(value);
    }
    let DataType::Struct(fields) = wanted.data_type() else { return Err(lacks("type")) };
    let columns: Vec<ArrayRef> = vec![Arc::new(names_out.finish()), Arc::new(values_out.finish())];
    let nulls: Option<NullBuffer> = parts.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls).spark()?))
}

/// A value in parts: what has a column of its own, and the rest.
struct Part<'a> {
    rest: Option<&'a ArrayRef>,
    typed: Option<&'a ArrayRef>,
}

impl<'a> Part<'a> {
    fn of(group: &'a StructArray) -> Self {
        Self { rest: group.column_by_name(VALUE), typed: group.column_by_name(TYPED) }
    }

    /// The whole value of a row; `None` where there is none, which is not NULL.
    fn value(&self, row: usize, names: &Names) -> Result<Option<Vec<u8>>> {
        let rest = self.rest.and_then(|r| r.as_binary_opt::<i32>()).filter(|r| r.is_valid(row));
        let rest = rest.map(|r| r.value(row));
        let Some(typed) = self.typed.filter(|t| t.is_valid(row)) else {
            return Ok(rest.map(<[u8]>::to_vec));
        };
        let value = match typed.data_type() {
            DataType::Struct(fields) => {
                let mut all = match rest {
                    Some(rest) => names.fields_of(rest)?,
                    None => Vec::new(),
                };
                for (field, column) in fields.iter().zip(typed.as_struct().columns()) {
                    if let Some(value) = Part::of(group(column)?).value(row, names)? {
                        all.push((field.name().clone(), value));
                    }
                }
                names.object(all)?
            }
            DataType::List(_) => {
                let elements = typed.as_list::<i32>().value(row);
                let part = Part::of(group(&elements)?);
                let element = |i| {
                    let value = part.value(i, names)?;
                    Ok(value.unwrap_or_else(|| bytes::primitive(bytes::NULL, &[])))
                };
                bytes::array((0..elements.len()).map(element).collect::<Result<Vec<_>>>()?)
            }
            _ => primitive(typed, row)?,
        };
        Ok(Some(value))
    }
}

fn group(array: &ArrayRef) -> Result<&StructArray> {
    array.as_struct_opt().ok_or_else(|| Error::internal("a part of a variant is no group"))
}

fn primitive(array: &ArrayRef, row: usize) -> Result<Vec<u8>> {
    Ok(match array.data_type() {
        DataType::Boolean => bytes::primitive(if array.as_boolean().value(row) { 1 } else { 2 }, &[]),
        DataType::Int8 => bytes::integer(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => bytes::integer(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => bytes::integer(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => bytes::integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => {
            bytes::primitive(14, &array.as_primitive::<Float32Type>().value(row).to_le_bytes())
        }
        DataType::Float64 => {
            bytes::primitive(7, &array.as_primitive::<Float64Type>().value(row).to_le_bytes())
        }
        DataType::Decimal128(precision, scale) => {
            bytes::decimal(array.as_primitive::<Decimal128Type>().value(row), *precision, *scale)
        }
        DataType::Date32 => {
            bytes::primitive(11, &array.as_primitive::<Date32Type>().value(row).to_le_bytes())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let kind = if zone.is_some() { 12 } else { 13 };
            bytes::primitive(kind, &array.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes())
        }
        DataType::Utf8 => bytes::string(array.as_string::<i32>().value(row)),
        DataType::Binary => bytes::binary(array.as_binary::<i32>().value(row)),
        other => return Err(Error::unsupported(format!("a variant that is kept as {other} in a file"))),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int64Array, StringArray};
    use arrow::datatypes::Fields;
    use boathouse_spec::{DataType as SparkType, StructField};

    use super::*;

    fn of(value: Vec<Option<&[u8]>>, typed: ArrayRef) -> ArrayRef {
        let fields = Fields::from(vec![
            Field::new(VALUE, DataType::Binary, true),
            Field::new(TYPED, typed.data_type().clone(), true),
        ]);
        Arc::new(StructArray::new(fields, vec![Arc::new(BinaryArray::from_opt_vec(value)), typed], None))
    }

    #[test]
    fn parts_become_whole() {
        // The names a and b. Rows: {"a":1,"b":"x"} with both apart, {"b":2} with the rest as it is, 7 as it is.
        let names: &[u8] = &[0x01, 2, 0, 1, 2, b'a', b'b'];
        let a = of(vec![None, None, None], Arc::new(Int64Array::from(vec![Some(1), None, None])));
        let two = bytes::integer(2);
        let b = of(vec![None, Some(&two), None], Arc::new(StringArray::from(vec![Some("x"), None, None])));
        let object = Fields::from(vec![
            Field::new("a", a.data_type().clone(), false),
            Field::new("b", b.data_type().clone(), false),
        ]);
        let there = NullBuffer::from(vec![true, true, false]);
        let typed: ArrayRef = Arc::new(StructArray::new(object, vec![a, b], Some(there)));
        let seven = bytes::integer(7);
        let parts = of(vec![None, None, Some(&seven)], typed);
        let metadata: ArrayRef = Arc::new(BinaryArray::from_vec(vec![names; 3]));
        let fields = Fields::from(vec![
            Field::new(METADATA, DataType::Binary, false),
            Field::new(VALUE, DataType::Binary, true),
            Field::new(TYPED, parts.as_struct().column(1).data_type().clone(), true),
        ]);
        let columns =
            vec![metadata, parts.as_struct().column(0).clone(), parts.as_struct().column(1).clone()];
        let stored: ArrayRef = Arc::new(StructArray::new(fields.clone(), columns, None));
        let wanted = boathouse_bridge::arrow_field(&StructField::new("v", SparkType::Variant, true));
        assert!(is_shredded(&wanted, &Field::new("v", DataType::Struct(fields), true)));
        let made = whole(&stored, &wanted).unwrap();
        assert_eq!(made.data_type(), wanted.data_type());
        let values = made.as_struct().column(1).as_binary::<i32>();
        let known = Names::parse(names).unwrap();
        let first = vec![("a".to_string(), bytes::integer(1)), ("b".to_string(), bytes::string("x"))];
        assert_eq!(known.fields_of(values.value(0)).unwrap(), first);
        assert_eq!(known.fields_of(values.value(1)).unwrap(), [("b".to_string(), two)]);
        assert_eq!(values.value(2), seven);
    }
}
