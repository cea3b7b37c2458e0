//! Which columns of a file are the table's: by their names, and whether their types fit.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use boathouse_bridge::{spark_type, to_datafusion};
use boathouse_spec::Error;
use datafusion::error::Result;

/// The file's schema with the table's spelling of its columns.
pub(crate) fn renamed(logical: &Schema, physical: &SchemaRef, case_sensitive: bool) -> Result<SchemaRef> {
    if case_sensitive {
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
                            "The column {} could be any of {} in a file.",
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

/// The file's schema without the names of columns that do not fit: they are rescued, and NULL in the table.
pub(crate) fn without_misfits(logical: &Schema, file: &SchemaRef) -> SchemaRef {
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

/// Numbers are widened, never narrowed; other types must be the same.
pub(crate) fn check_types(table: &Field, file: &Field) -> Result<()> {
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
