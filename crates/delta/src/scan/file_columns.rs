//! The columns of a file as the table has them now: DataFusion's casts where they do, conversions of our own elsewhere.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use boathouse_spec::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use super::converted::{Conversion, Converted};
use super::shredded::{is_shredded, whole};
use crate::schema::conform::conform;

/// Reads the columns of a file as the table's.
#[derive(Debug)]
pub(super) struct FileColumns;

impl PhysicalExprAdapterFactory for FileColumns {
    fn create(
        &self,
        logical: SchemaRef,
        physical: SchemaRef,
    ) -> DataFusionResult<Arc<dyn PhysicalExprAdapter>> {
        let mut converted = Vec::new();
        // For all else the file's own type of these columns is the one that is wanted.
        let fields: Vec<FieldRef> = logical
            .fields()
            .iter()
            .map(|wanted| match physical.field_with_name(wanted.name()) {
                Ok(found) => match conversion(wanted, found) {
                    Some((name, convert)) => {
                        converted.push((Arc::clone(wanted), name, convert));
                        Arc::new(found.clone())
                    }
                    None => Arc::clone(wanted),
                },
                Err(_) => Arc::clone(wanted),
            })
            .collect();
        let others = Arc::new(Schema::new_with_metadata(fields, logical.metadata().clone()));
        let rest = DefaultPhysicalExprAdapterFactory.create(others, physical)?;
        if converted.is_empty() {
            return Ok(rest);
        }
        Ok(Arc::new(Adapter { rest, converted }))
    }
}

/// What makes a file's column the table's, by its name in plans, where DataFusion's cast does not.
fn conversion(wanted: &Field, found: &Field) -> Option<(&'static str, Conversion)> {
    if is_shredded(wanted, found) {
        return Some(("whole", whole));
    }
    is_beyond_casts(wanted.data_type(), found.data_type()).then_some(("evolved", evolved as Conversion))
}

fn evolved(values: &ArrayRef, wanted: &Field) -> Result<ArrayRef> {
    conform(values, wanted.data_type())
}

/// Whether DataFusion's cast would refuse a column or go by the positions of fields: it goes by their names in structs and
/// arrays, not in maps, and refuses structs that have no field in common, or a field that has no NULL in the table and may
/// have one in the file (delta-spark writes all fields so).
fn is_beyond_casts(wanted: &DataType, found: &DataType) -> bool {
    let is_field_beyond = |wanted: &FieldRef, found: &FieldRef| {
        is_stricter(wanted, found) || is_beyond_casts(wanted.data_type(), found.data_type())
    };
    match (wanted, found) {
        (DataType::Struct(wanted), DataType::Struct(found)) => {
            let mut common = wanted
                .iter()
                .filter_map(|w| found.iter().find(|f| f.name() == w.name()).map(|f| (w, f)))
                .peekable();
            let apart = common.peek().is_none() && !wanted.is_empty();
            apart || common.any(|(w, f)| is_field_beyond(w, f))
        }
        (DataType::List(wanted), DataType::List(found)) => is_field_beyond(wanted, found),
        (DataType::Map(wanted, _), DataType::Map(found, _)) => !are_entries_alike(wanted, found),
        _ => false,
    }
}

/// Whether types differ in nothing that a cast by position would get wrong: in metadata, in NULLs that the file does not have,
/// and in what writers call elements, keys and values.
fn is_alike(wanted: &DataType, found: &DataType) -> bool {
    match (wanted, found) {
        (DataType::Struct(wanted), DataType::Struct(found)) => {
            let mut fields = wanted.iter().zip(found);
            wanted.len() == found.len() && fields.all(|(w, f)| w.name() == f.name() && is_field_alike(w, f))
        }
        (DataType::List(wanted), DataType::List(found)) => is_field_alike(wanted, found),
        (DataType::Map(wanted, _), DataType::Map(found, _)) => are_entries_alike(wanted, found),
        (wanted, found) => wanted == found,
    }
}

fn is_field_alike(wanted: &Field, found: &Field) -> bool {
    !is_stricter(wanted, found) && is_alike(wanted.data_type(), found.data_type())
}

/// Whether the table has no NULL where the file may have one.
fn is_stricter(wanted: &Field, found: &Field) -> bool {
    !wanted.is_nullable() && found.is_nullable()
}

/// Whether the keys and the values of maps are [alike](is_alike).
fn are_entries_alike(wanted: &FieldRef, found: &FieldRef) -> bool {
    match (wanted.data_type(), found.data_type()) {
        // Writers name keys and values as they like.
        (DataType::Struct(wanted), DataType::Struct(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| is_field_alike(w, f))
        }
        _ => false,
    }
}

#[derive(Debug)]
struct Adapter {
    rest: Arc<dyn PhysicalExprAdapter>,
    converted: Vec<(FieldRef, &'static str, Conversion)>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        let expr = self.rest.rewrite(expr)?;
        expr.transform_up(|e| {
            let column = e
                .downcast_ref::<Column>()
                .and_then(|column| self.converted.iter().find(|(field, ..)| field.name() == column.name()));
            Ok(match column {
                Some((field, name, convert)) => {
                    Transformed::yes(Converted::of(e, Arc::clone(field), name, *convert))
                }
                None => Transformed::no(e),
            })
        })
        .data()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Fields;

    use super::*;

    fn of(fields: &[(&str, DataType)]) -> DataType {
        DataType::Struct(fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Fields>())
    }

    fn map(entries: &str, value: DataType) -> DataType {
        let fields =
            Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)]);
        DataType::Map(Arc::new(Field::new(entries, DataType::Struct(fields), false)), false)
    }

    #[test]
    fn what_casts_get_wrong() {
        let (a, ab) = (of(&[("a", DataType::Int32)]), of(&[("a", DataType::Int32), ("b", DataType::Int32)]));
        let ba = of(&[("b", DataType::Int32), ("a", DataType::Int32)]);
        let list = |t: DataType| DataType::List(Arc::new(Field::new("element", t, true)));
        let never = DataType::Struct(Fields::from(vec![Field::new("a", DataType::Int32, false)]));
        for (wanted, found, beyond) in [
            (ab.clone(), a.clone(), false),
            (list(ab.clone()), list(a.clone()), false),
            (a.clone(), of(&[("z", DataType::Int32)]), true),
            (never.clone(), a.clone(), true),
            (a.clone(), never.clone(), false),
            (list(never.clone()), list(a.clone()), true),
            (map("entries", list(never)), map("entries", list(a.clone())), true),
            (map("key_value", ab.clone()), map("entries", ab.clone()), false),
            (map("key_value", ab.clone()), map("key_value", a.clone()), true),
            (map("key_value", ab.clone()), map("key_value", ba), true),
            (map("key_value", DataType::Int64), map("key_value", DataType::Int32), true),
            (list(map("entries", ab.clone())), list(map("entries", a.clone())), true),
            (map("entries", list(ab.clone())), map("entries", list(a.clone())), true),
            (of(&[("m", map("entries", ab))]), of(&[("m", map("entries", a))]), true),
        ] {
            assert_eq!(is_beyond_casts(&wanted, &found), beyond, "{wanted} of {found}");
        }
    }
}
