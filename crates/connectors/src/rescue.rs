//! What a file of columns (Parquet, Avro) has and the table has no place for, as JSON: columns that the table does not have,
//! columns of types that do not fit, and fields inside of structs.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use boathouse_bridge::{arrow_type, conform, spark_type, to_datafusion};
use boathouse_formats::json::{Generator, Options};
use boathouse_formats::rescue::{Rescue, Rescued, array};
use boathouse_spec::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use crate::fitting::{renamed, without_misfits};

/// The file's columns by the names of the table's, those that do not fit by none, and what gives the rescued data of its rows.
pub(crate) fn of_file(
    table: &Schema,
    file: &SchemaRef,
    rescue: &Rescue,
    options: &Arc<Options>,
) -> Result<(SchemaRef, RescuedExpr)> {
    let renamed = without_misfits(table, &renamed(table, file, rescue.case_sensitive)?);
    let expr = RescuedExpr::new(table, &renamed, file, &rescue.column, options)?;
    Ok((renamed, expr))
}

/// A column of the file of which something is rescued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    column: Arc<Column>,
    /// As JSON names it.
    name: String,
    data_type: DataType,
    /// The type that the table has of it, where it has it: what is in that is not rescued.
    known: Option<ArrowType>,
}

/// The rescued fields of rows, as JSON without the closing brace; NULL where there are none.
#[derive(Debug, Clone)]
pub(crate) struct RescuedExpr {
    parts: Vec<Part>,
    /// The parts as expressions, once they are to be seen by those who look for columns of the file.
    children: Vec<Arc<dyn PhysicalExpr>>,
    options: Arc<Options>,
}

impl RescuedExpr {
    /// `file` is the file's schema with the table's names for the columns that the table has, `physical` with its own.
    fn new(
        table: &Schema,
        file: &Schema,
        physical: &Schema,
        own: &str,
        options: &Arc<Options>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        for (i, (field, original)) in file.fields().iter().zip(physical.fields()).enumerate() {
            let known = table.field_with_name(field.name()).ok().filter(|f| f.name() != own);
            if known.is_some_and(|k| !has_more(field.data_type(), k.data_type())) {
                continue;
            }
            parts.push(Part {
                column: Arc::new(Column::new(original.name(), i)),
                name: original.name().clone(),
                data_type: spark_type(original).map_err(to_datafusion)?,
                known: known.map(|k| k.data_type().clone()),
            });
        }
        Ok(Self { parts, children: Vec::new(), options: Arc::clone(options) })
    }

    /// The same, with the columns that it reads.
    pub(crate) fn over_file(&self) -> Self {
        let children = self.parts.iter().map(|p| Arc::clone(&p.column) as Arc<dyn PhysicalExpr>);
        Self { children: children.collect(), ..self.clone() }
    }
}

/// Whether a file's type has fields, at any depth, that the table's does not have.
fn has_more(file: &ArrowType, table: &ArrowType) -> bool {
    match (file, table) {
        (ArrowType::Struct(a), ArrowType::Struct(b)) => a.iter().any(|f| {
            let known = b.iter().find(|k| k.name() == f.name());
            known.is_none_or(|k| has_more(f.data_type(), k.data_type()))
        }),
        (ArrowType::List(a) | ArrowType::LargeList(a), ArrowType::List(b)) => {
            has_more(a.data_type(), b.data_type())
        }
        (ArrowType::Map(a, _), ArrowType::Map(b, _)) => has_more(a.data_type(), b.data_type()),
        _ => false,
    }
}

/// The JSON of a value, but for what the table's type has of it.
fn remainder(
    values: &ArrayRef,
    row: usize,
    t: &DataType,
    known: Option<&ArrowType>,
    options: &Options,
) -> boathouse_spec::Result<Option<String>> {
    if values.is_null(row) {
        return Ok(None);
    }
    match (t, known) {
        (_, None) => {
            let mut json = String::new();
            Generator::new(&values.slice(row, 1), t, options)?.write(0, &mut json)?;
            Ok(Some(json))
        }
        (DataType::Struct(s), Some(ArrowType::Struct(known))) => {
            let mut rescued = Rescued::default();
            for (field, column) in s.fields.iter().zip(values.as_struct().columns()) {
                let known = known.iter().find(|k| *k.name() == field.name).map(|k| k.data_type());
                if let Some(json) = remainder(column, row, &field.data_type, known, options)? {
                    rescued.set(&field.name, json);
                }
            }
            Ok(rescued.object())
        }
        (DataType::Array { element, .. }, Some(ArrowType::List(known))) => {
            let values = values.as_list::<i32>().value(row);
            let rescued = (0..values.len())
                .map(|i| remainder(&values, i, element, Some(known.data_type()), options))
                .collect::<boathouse_spec::Result<Vec<_>>>()?;
            Ok(array(&rescued))
        }
        (DataType::Map { key, value, .. }, Some(ArrowType::Map(entries, _))) => {
            let ArrowType::Struct(known) = entries.data_type() else { return Ok(None) };
            let known = known.get(1).map(|v| v.data_type());
            let entries = values.as_map().value(row);
            let mut rescued = Rescued::default();
            for i in 0..entries.len() {
                if let Some(json) = remainder(entries.column(1), i, value, known, options)? {
                    let mut name = String::new();
                    Generator::new(entries.column(0), key, options)?.write(i, &mut name)?;
                    rescued.set(name.trim_matches('"'), json);
                }
            }
            Ok(rescued.object())
        }
        _ => Ok(None),
    }
}

impl PartialEq for RescuedExpr {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts && self.children == other.children
    }
}

impl Eq for RescuedExpr {}

impl Hash for RescuedExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts.iter().for_each(|p| p.column.hash(state));
        self.children.hash(state);
    }
}

impl fmt::Display for RescuedExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parts.iter().map(|p| p.name.as_str()).collect();
        write!(f, "rescued({})", names.join(", "))
    }
}

impl PhysicalExpr for RescuedExpr {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new("rescued", ArrowType::Utf8, true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let mut columns = Vec::with_capacity(self.parts.len());
        for (part, child) in self.parts.iter().zip(&self.children) {
            let values = child.evaluate(batch)?.into_array(batch.num_rows())?;
            columns.push(conform(&values, &arrow_type(&part.data_type)).map_err(to_datafusion)?);
        }
        let mut texts = StringBuilder::new();
        for row in 0..batch.num_rows() {
            let mut rescued = Rescued::default();
            for (part, values) in self.parts.iter().zip(&columns) {
                let json = remainder(values, row, &part.data_type, part.known.as_ref(), &self.options);
                if let Some(json) = json.map_err(to_datafusion)? {
                    rescued.set(&part.name, json);
                }
            }
            texts.append_option(rescued.open_object());
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.children.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { children, ..self.as_ref().clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
