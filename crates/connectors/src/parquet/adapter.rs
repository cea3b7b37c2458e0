//! A file's columns as the table's: names in any case, missing columns, narrower types, and what is rescued of the others.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use boathouse_bridge::{spark_type, to_datafusion};
use boathouse_formats::json::Options;
use boathouse_formats::rescue::Rescue;
use boathouse_spec::Error;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use super::rescue::RescuedExpr;

/// Finds the table's columns in files by Spark's rules.
#[derive(Debug)]
pub(super) struct AdapterFactory {
    case_sensitive: bool,
    rescue: Option<Rescue>,
    options: Arc<Options>,
}

impl PhysicalExprAdapterFactory for AdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let mut renamed = self.renamed(&logical, &physical)?;
        let mut rescued = None;
        if let Some(rescue) = &self.rescue {
            renamed = without_misfits(&logical, &renamed);
            let expr = RescuedExpr::new(&logical, &renamed, &physical, &rescue.column, &self.options)?;
            rescued = Some((rescue.column.clone(), Arc::new(expr)));
        }
        for field in logical.fields() {
            if let Ok(found) = renamed.field_with_name(field.name()) {
                check_types(field, found)?;
            }
        }
        let inner = DefaultPhysicalExprAdapterFactory.create(logical, renamed)?;
        Ok(Arc::new(Adapter { inner, physical, rescued }))
    }
}

/// The file's schema without the names of columns that do not fit: they are rescued, and NULL in the table.
fn without_misfits(logical: &Schema, file: &SchemaRef) -> SchemaRef {
    let misfit = |f: &Field| {
        logical.field_with_name(f.name()).is_ok_and(|wanted| !fits(f.data_type(), wanted.data_type()))
    };
    let fields = file.fields().iter().enumerate().map(|(i, field)| {
        if misfit(field) {
            Arc::new(field.as_ref().clone().with_name(format!("\u{0}{i}")))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), file.metadata().clone()))
}

impl AdapterFactory {
    /// `case_sensitive` is the session's; where data is rescued, the reader has its own.
    pub(super) fn new(case_sensitive: bool, rescue: Option<Rescue>, options: Arc<Options>) -> Self {
        let case_sensitive = rescue.as_ref().map_or(case_sensitive, |r| r.case_sensitive);
        Self { case_sensitive, rescue, options }
    }

    /// The file's schema with the table's spelling of its columns.
    fn renamed(&self, logical: &Schema, physical: &SchemaRef) -> Result<SchemaRef> {
        if self.case_sensitive {
            return Ok(physical.clone());
        }
        let mut fields: Vec<Arc<Field>> = physical.fields().iter().cloned().collect();
        let mut changed = false;
        for wanted in logical.fields() {
            if physical.field_with_name(wanted.name()).is_ok() {
                continue;
            }
            let lower = wanted.name().to_lowercase();
            let matching: Vec<usize> =
                (0..fields.len()).filter(|i| physical.field(*i).name().to_lowercase() == lower).collect();
            match matching.as_slice() {
                [] => {}
                [i] => {
                    fields[*i] = Arc::new(physical.field(*i).clone().with_name(wanted.name()));
                    changed = true;
                }
                several => {
                    let names: Vec<_> = several.iter().map(|i| physical.field(*i).name().as_str()).collect();
                    return Err(to_datafusion(
                        Error::new("_LEGACY_ERROR_TEMP_2093")
                            .param("requiredFieldName", wanted.name())
                            .param("matchedOrcFields", names.join(", "))
                            .message(format!(
                                "The column {} could be any of {} in a Parquet file.",
                                wanted.name(),
                                names.join(", ")
                            )),
                    ));
                }
            }
        }
        Ok(if changed {
            Arc::new(Schema::new_with_metadata(fields, physical.metadata().clone()))
        } else {
            physical.clone()
        })
    }
}

/// Numbers are widened, never narrowed; other types must be the same.
fn check_types(table: &Field, file: &Field) -> Result<()> {
    if fits(file.data_type(), table.data_type()) {
        return Ok(());
    }
    let name = |f: &Field| spark_type(f).map_or_else(|_| f.data_type().to_string(), |t| t.sql());
    Err(to_datafusion(
        Error::new("FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH")
            .param("path", "")
            .param("column", format!("[{}]", table.name()))
            .param("expectedType", name(table).to_lowercase())
            .param("actualType", name(file).to_lowercase())
            .message(format!(
                "The column {} is {} in the table, and {} in a Parquet file.",
                table.name(),
                name(table),
                name(file)
            )),
    ))
}

fn fits(file: &ArrowType, table: &ArrowType) -> bool {
    use ArrowType::{
        Binary, BinaryView, Date32, Date64, Decimal32, Decimal64, Decimal128, Dictionary, FixedSizeBinary,
        Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList, LargeUtf8, List, Map,
        Null, Struct, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    match (file, table) {
        (a, b) if a == b => true,
        (Null, _) => true,
        (Dictionary(_, values), t) => fits(values, t),
        // Parquet keeps small integers as INT32: a file may say more than it holds.
        (Int8 | Int16 | Int32 | UInt8 | UInt16, Int8 | Int16 | Int32 | Int64 | Float64 | Decimal128(..)) => {
            true
        }
        (UInt32 | Int64, Int64 | Decimal128(..)) => true,
        (UInt64, Decimal128(..) | Int64) => true,
        (Float16, Float32 | Float64) | (Float32, Float64) => true,
        (Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s), Decimal128(q, t)) => {
            s <= t && i16::from(*p) - i16::from(*s) <= i16::from(*q) - i16::from(*t)
        }
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | Binary) => true,
        // A column without annotation may be either.
        (Binary | LargeBinary | BinaryView, Utf8 | Binary) => true,
        (FixedSizeBinary(_), Binary) => true,
        (Date32 | Date64, Date32 | Timestamp(_, None)) => true,
        // Spark reads one for the other, the wall clock being that of UTC.
        (Timestamp(..), Timestamp(..)) => true,
        (List(a) | LargeList(a), List(b)) => fits(a.data_type(), b.data_type()),
        (Map(a, _), Map(b, _)) => fits(a.data_type(), b.data_type()),
        (Struct(a), Struct(b)) => {
            b.iter().all(|wanted| {
                a.iter()
                    .find(|f| f.name().eq_ignore_ascii_case(wanted.name()))
                    .is_none_or(|f| fits(f.data_type(), wanted.data_type()))
            }) || a.len() == b.len()
        }
        (a, b) => {
            a.is_temporal() && b.is_temporal() && std::mem::discriminant(a) == std::mem::discriminant(b)
        }
    }
}

#[derive(Debug)]
struct Adapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    physical: SchemaRef,
    /// The column of rescued data, and what gives it.
    rescued: Option<(String, Arc<RescuedExpr>)>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = match &self.rescued {
            None => expr,
            Some((name, rescued)) => expr
                .transform(|e| {
                    let is_rescued = e.downcast_ref::<Column>().is_some_and(|c| c.name() == name);
                    Ok(if is_rescued {
                        Transformed::yes(Arc::clone(rescued) as Arc<dyn PhysicalExpr>)
                    } else {
                        Transformed::no(e)
                    })
                })
                .data()?,
        };
        let rewritten = self.inner.rewrite(expr)?;
        let rewritten = match &self.rescued {
            None => rewritten,
            Some(_) => rewritten
                .transform(|e| {
                    Ok(match e.downcast_ref::<RescuedExpr>() {
                        Some(rescued) => {
                            Transformed::yes(Arc::new(rescued.over_file()) as Arc<dyn PhysicalExpr>)
                        }
                        None => Transformed::no(e),
                    })
                })
                .data()?,
        };
        // Pruning looks columns up by the names that the file has.
        rewritten
            .transform(|e| {
                let renamed = e.downcast_ref::<Column>().and_then(|c| {
                    let name = self.physical.fields().get(c.index())?.name();
                    (name != c.name()).then(|| Column::new(name, c.index()))
                });
                Ok(match renamed {
                    Some(column) => Transformed::yes(Arc::new(column) as Arc<dyn PhysicalExpr>),
                    None => Transformed::no(e),
                })
            })
            .data()
    }
}
