//! Variants that files keep in parts ("Variant Shredding" of the Parquet format): each file says which fields have columns of
//! their own, and the scan makes the values whole again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, ListArray, MapArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use boathouse_bridge::ResultExt;
use boathouse_formats::variant::{Builder, Kind, Variant, malformed};
use boathouse_spec::{Error, Result};

use crate::schema::{holds_variant, is_variant};

const METADATA: &str = "metadata";
const VALUE: &str = "value";
const TYPED: &str = "typed_value";

/// Whether a file keeps variants of a column in parts.
pub(super) fn is_shredded(wanted: &Field, found: &Field) -> bool {
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

/// The values as the table has them.
pub(super) fn whole(values: &ArrayRef, wanted: &Field) -> Result<ArrayRef> {
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
    let (mut builder, mut names) = (Builder::new(), Vec::new());
    for row in 0..parts.len() {
        let written = metadata.value(row);
        if parts.is_null(row) {
            names_out.append_value([]);
            values_out.append_value([]);
        } else if let (Some(rest), None) = (part.rest(row), part.typed(row)) {
            names_out.append_value(written);
            values_out.append_value(rest);
        } else {
            builder.clear();
            part.append_or_null(row, written, &mut builder)?;
            names.clear();
            builder.write_metadata(&mut names)?;
            names_out.append_value(&names);
            values_out.append_value(builder.value());
        }
    }
    let DataType::Struct(fields) = wanted.data_type() else { return Err(lacks("type")) };
    let columns: Vec<ArrayRef> = vec![Arc::new(names_out.finish()), Arc::new(values_out.finish())];
    let nulls: Option<NullBuffer> = parts.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls).spark()?))
}

/// Values in parts: what has a column of its own, and the rest.
struct Part<'a> {
    rest: Option<&'a BinaryArray>,
    typed: Option<&'a ArrayRef>,
}

impl<'a> Part<'a> {
    fn of(group: &'a StructArray) -> Self {
        let rest = group.column_by_name(VALUE).and_then(|r| r.as_binary_opt::<i32>());
        Self { rest, typed: group.column_by_name(TYPED) }
    }

    fn rest(&self, row: usize) -> Option<&'a [u8]> {
        self.rest.filter(|r| r.is_valid(row)).map(|r| r.value(row))
    }

    fn typed(&self, row: usize) -> Option<&'a ArrayRef> {
        self.typed.filter(|t| t.is_valid(row))
    }

    /// Whether a row has a value, which may be NULL.
    fn is_there(&self, row: usize) -> bool {
        self.rest(row).is_some() || self.typed(row).is_some()
    }

    fn append_or_null(&self, row: usize, metadata: &[u8], out: &mut Builder) -> Result<()> {
        if !self.is_there(row) {
            out.null();
            return Ok(());
        }
        self.append(row, metadata, out)
    }

    /// Appends the whole value of a row that has one (Spark: `ShreddingUtils.rebuild`). `metadata` has the names of the rest.
    fn append(&self, row: usize, metadata: &[u8], out: &mut Builder) -> Result<()> {
        let rest = self.rest(row).map(|rest| Variant::new(metadata, rest));
        let Some(typed) = self.typed(row) else {
            return rest.map_or(Ok(()), |rest| out.variant(&rest));
        };
        let start = out.position();
        match typed.data_type() {
            DataType::Struct(columns) => {
                let mut fields = Vec::with_capacity(columns.len());
                for (field, column) in columns.iter().zip(typed.as_struct().columns()) {
                    let part = Part::of(group(column)?);
                    if part.is_there(row) {
                        fields.push(out.field(start, field.name()));
                        part.append(row, metadata, out)?;
                    }
                }
                if let Some(rest) = rest {
                    if !matches!(rest.kind()?, Kind::Object(_)) {
                        return Err(malformed());
                    }
                    rest.for_each_field(|name, value| {
                        fields.push(out.field(start, name));
                        out.variant(&value)
                    })?;
                }
                out.close_object(start, &mut fields)
            }
            DataType::List(_) => {
                let elements = typed.as_list::<i32>().value(row);
                let part = Part::of(group(&elements)?);
                let mut offsets = Vec::with_capacity(elements.len());
                for i in 0..elements.len() {
                    offsets.push(out.position() - start);
                    part.append_or_null(i, metadata, out)?;
                }
                out.close_array(start, &offsets)
            }
            _ => primitive(typed, row, out),
        }
    }
}

fn group(array: &ArrayRef) -> Result<&StructArray> {
    array.as_struct_opt().ok_or_else(|| Error::internal("a part of a variant is no group"))
}

fn primitive(array: &ArrayRef, row: usize, out: &mut Builder) -> Result<()> {
    match array.data_type() {
        DataType::Boolean => out.boolean(array.as_boolean().value(row)),
        DataType::Int8 => out.long(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => out.long(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => out.long(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => out.long(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => out.float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => out.double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            out.decimal(array.as_primitive::<Decimal128Type>().value(row), scale.unsigned_abs());
        }
        DataType::Date32 => out.date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let us = array.as_primitive::<TimestampMicrosecondType>().value(row);
            if zone.is_some() { out.timestamp(us) } else { out.timestamp_ntz(us) }
        }
        DataType::Utf8 => out.string(array.as_string::<i32>().value(row)),
        DataType::Binary => out.binary(array.as_binary::<i32>().value(row)),
        other => return Err(Error::unsupported(format!("a variant that is kept as {other} in a file"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
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
        let two = whole_number(2);
        let b = of(vec![None, Some(&two), None], Arc::new(StringArray::from(vec![Some("x"), None, None])));
        let object = Fields::from(vec![
            Field::new("a", a.data_type().clone(), false),
            Field::new("b", b.data_type().clone(), false),
        ]);
        let there = NullBuffer::from(vec![true, true, false]);
        let typed: ArrayRef = Arc::new(StructArray::new(object, vec![a, b], Some(there)));
        let seven = whole_number(7);
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
        let (names, values) = (made.as_struct().column(0), made.as_struct().column(1).as_binary::<i32>());
        let fields = |row: usize| {
            let mut fields = Vec::new();
            Variant::new(names.as_binary::<i32>().value(row), values.value(row))
                .for_each_field(|name, value| {
                    fields.push((name.to_string(), value.value()?.to_vec()));
                    Ok(())
                })
                .unwrap();
            fields
        };
        // A string of one character: its length and the two bits of short strings, then the character.
        let x = vec![1 << 2 | 1, b'x'];
        assert_eq!(fields(0), [("a".to_string(), whole_number(1)), ("b".to_string(), x)]);
        assert_eq!(fields(1), [("b".to_string(), two)]);
        assert_eq!(values.value(2), seven);
    }

    /// A number of one byte: its type (3, INT8) above the two bits of primitives, then the byte.
    fn whole_number(n: u8) -> Vec<u8> {
        vec![3 << 2, n]
    }
}
