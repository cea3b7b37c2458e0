//! The schema of files with VARIANT columns, whose groups say what they are ("Variant Data Type" in PROTOCOL.md and the
//! VARIANT annotation of the Parquet format): readers of files alone know them by it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::basic::LogicalType;
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::schema::{holds_variant, is_variant};

/// The version of the Variant specification that values are written by.
const SPECIFICATION: i8 = 1;

/// The schema of files that the writer makes of the fields, and what it does not know of variants.
pub(super) fn annotated(
    made: SchemaDescriptor,
    schema: &Schema,
) -> parquet::errors::Result<SchemaDescriptor> {
    if !schema.fields().iter().any(|f| holds_variant(f)) {
        return Ok(made);
    }
    let root = with_children(made.root_schema(), schema.fields())?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn annotate(made: &TypePtr, field: &Field) -> parquet::errors::Result<TypePtr> {
    if !holds_variant(field) {
        return Ok(Arc::clone(made));
    }
    if is_variant(field) {
        let logical = Some(LogicalType::variant(Some(SPECIFICATION)));
        return Ok(Arc::new(rebuilt(made, made.get_fields().to_vec(), logical)?));
    }
    let new = match field.data_type() {
        DataType::Struct(fields) => with_children(made, fields)?,
        // A list is a group of one repeated group of one element; a map is one of a repeated group of keys and values.
        DataType::List(element) => {
            let repeated = only(made)?;
            let inner = annotate(only(repeated)?, element)?;
            rebuilt(made, vec![Arc::new(rebuilt(repeated, vec![inner], None)?)], logical(made))?
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return Ok(Arc::clone(made)) };
            let repeated = with_children(only(made)?, fields)?;
            rebuilt(made, vec![Arc::new(repeated)], logical(made))?
        }
        _ => return Ok(Arc::clone(made)),
    };
    Ok(Arc::new(new))
}

fn with_children(made: &Type, fields: &Fields) -> parquet::errors::Result<Type> {
    let children =
        made.get_fields().iter().zip(fields).map(|(t, f)| annotate(t, f)).collect::<Result<Vec<_>, _>>()?;
    rebuilt(made, children, logical(made))
}

fn only(group: &Type) -> parquet::errors::Result<&TypePtr> {
    group.get_fields().first().ok_or_else(|| ParquetError::General("an empty group".into()))
}

fn logical(t: &Type) -> Option<LogicalType> {
    t.get_basic_info().logical_type_ref().cloned()
}

fn rebuilt(
    made: &Type,
    children: Vec<TypePtr>,
    logical: Option<LogicalType>,
) -> parquet::errors::Result<Type> {
    let info = made.get_basic_info();
    let mut group = Type::group_type_builder(info.name())
        .with_fields(children)
        .with_converted_type(info.converted_type())
        .with_logical_type(logical)
        .with_id(info.has_id().then(|| info.id()));
    if info.has_repetition() {
        group = group.with_repetition(info.repetition());
    }
    group.build()
}

#[cfg(test)]
mod tests {
    use boathouse_spec::{DataType as SparkType, StructField, StructType};

    use parquet::arrow::ArrowSchemaConverter;

    use super::*;
    use crate::action::Metadata;
    use crate::schema::TableColumns;

    fn of_file(schema: &Schema) -> SchemaDescriptor {
        annotated(ArrowSchemaConverter::new().convert(schema).unwrap(), schema).unwrap()
    }

    fn shown(schema: &SchemaDescriptor) -> String {
        let mut shown = Vec::new();
        parquet::schema::printer::print_schema(&mut shown, schema.root_schema());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn variants_say_what_they_are() {
        let schema = StructType::new(vec![
            StructField::new("id", SparkType::Long, true),
            StructField::new("m", SparkType::map(SparkType::STRING, SparkType::Variant, true), true),
            StructField::new("l", SparkType::array(SparkType::Variant, true), true),
        ]);
        let columns = TableColumns::new(&schema, &Metadata::default()).unwrap();
        let fields: Vec<_> = columns.iter().map(|c| c.physical_field.clone()).collect();
        let made = shown(&of_file(&Schema::new(fields)));
        assert_eq!(made.to_lowercase().matches("variant").count(), 2, "{made}");
        assert!(made.contains("(LIST)") && made.contains("(MAP)"), "{made}");
        let plain = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
        assert!(!shown(&of_file(&plain)).to_lowercase().contains("variant"));
    }
}
