//! Casts between VARIANT and the other types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int64Array, ListArray, MapArray, StringArray, StructArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, UTC, arrow_type};
use boathouse_formats::variant::{Builder, Kind, Variant, write_json, write_plain_decimal};
use boathouse_spec::{DataType, Error, Result};

use super::{VariantColumn, Variants};
use crate::cast::{self, Mode};
use crate::datetime::session_zone;
use crate::{Context, conform};

/// Whether a VARIANT can be cast to the type.
pub(crate) fn castable(to: &DataType) -> bool {
    match to {
        DataType::Null => false,
        DataType::Array { element, .. } => castable(element),
        DataType::Map { key, value, .. } => key.is_string() && castable(value),
        DataType::Struct(s) => s.fields.iter().all(|f| castable(&f.data_type)),
        DataType::Udt { .. } => false,
        t => !t.is_interval(),
    }
}

/// Values as a type. What does not fit is NULL, or INVALID_VARIANT_CAST where `strict`.
pub(crate) fn from_variants(
    values: &[Option<Variant>],
    to: &DataType,
    strict: bool,
    context: &Context,
) -> Result<ArrayRef> {
    Converter { strict, context }.values(values, to)
}

struct Converter<'c> {
    strict: bool,
    context: &'c Context,
}

impl Converter<'_> {
    fn values(&self, values: &[Option<Variant>], to: &DataType) -> Result<ArrayRef> {
        match to {
            DataType::Variant => {
                let mut out = VariantColumn::new(values.len());
                let mut builder = Builder::new();
                for value in values {
                    match value {
                        None => out.push_null(),
                        Some(v) => {
                            // Built anew: without names that only other parts had.
                            builder.clear();
                            builder.variant(v)?;
                            out.push(&builder)?;
                        }
                    }
                }
                out.finish()
            }
            DataType::Array { element, .. } => self.arrays(values, element, to),
            DataType::Map { key, value, .. } => self.maps(values, key, value, to),
            DataType::Struct(s) => {
                let mut valid = Vec::with_capacity(values.len());
                for value in values {
                    valid.push(self.is_kind(value, to, |k| matches!(k, Kind::Object(_)))?);
                }
                let columns = s
                    .fields
                    .iter()
                    .map(|f| {
                        let parts = values
                            .iter()
                            .zip(&valid)
                            .map(|(v, valid)| match v {
                                Some(v) if *valid => v.field(&f.name),
                                _ => Ok(None),
                            })
                            .collect::<Result<Vec<_>>>()?;
                        self.values(&parts, &f.data_type)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let ArrowType::Struct(fields) = arrow_type(&to.as_nullable()) else {
                    return Err(Error::internal("a struct is a struct"));
                };
                let columns = columns
                    .into_iter()
                    .zip(&fields)
                    .map(|(c, f)| conform(c, f.data_type()))
                    .collect::<Result<Vec<_>>>()?;
                Ok(Arc::new(
                    StructArray::try_new_with_length(
                        fields,
                        columns,
                        Some(NullBuffer::from(valid)),
                        values.len(),
                    )
                    .spark()?,
                ))
            }
            _ => self.scalars(values, to),
        }
    }

    /// Whether a value is there and of the wanted kind; another kind is an error where strict.
    fn is_kind(
        &self,
        value: &Option<Variant>,
        to: &DataType,
        wanted: impl Fn(&Kind) -> bool,
    ) -> Result<bool> {
        let Some(value) = value else { return Ok(false) };
        match value.kind()? {
            kind if wanted(&kind) => Ok(true),
            Kind::Null => Ok(false),
            _ => self.misfit(value, to).map(|()| false),
        }
    }

    fn misfit(&self, value: &Variant, to: &DataType) -> Result<()> {
        if !self.strict {
            return Ok(());
        }
        let mut text = String::new();
        write_json(value, &session_zone(self.context), &mut text)?;
        Err(Error::new("INVALID_VARIANT_CAST")
            .param("value", &text)
            .param("dataType", format!("\"{}\"", to.sql()))
            .message(format!("The VARIANT {text} is no {}. Use `try_variant_get` to get NULL.", to.sql())))
    }

    fn arrays(&self, values: &[Option<Variant>], element: &DataType, to: &DataType) -> Result<ArrayRef> {
        let mut parts = Vec::new();
        let mut offsets = vec![0];
        let mut valid = Vec::with_capacity(values.len());
        for value in values {
            valid.push(self.is_kind(value, to, |k| matches!(k, Kind::Array(_)))?);
            if let (Some(value), Some(true)) = (value, valid.last()) {
                value.for_each_element(|v| {
                    parts.push(Some(v));
                    Ok(())
                })?;
            }
            offsets.push(offset(parts.len())?);
        }
        let ArrowType::List(item) = arrow_type(&to.as_nullable()) else {
            return Err(Error::internal("an array is a list"));
        };
        let elements = conform(self.values(&parts, element)?, item.data_type())?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(ListArray::try_new(item, offsets, elements, Some(NullBuffer::from(valid))).spark()?))
    }

    fn maps(
        &self,
        values: &[Option<Variant>],
        key: &DataType,
        value_type: &DataType,
        to: &DataType,
    ) -> Result<ArrayRef> {
        let (mut keys, mut parts, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
        let mut valid = Vec::with_capacity(values.len());
        for value in values {
            valid.push(self.is_kind(value, to, |k| matches!(k, Kind::Object(_)))?);
            if let (Some(value), Some(true)) = (value, valid.last()) {
                value.for_each_field(|name, v| {
                    keys.push(name);
                    parts.push(Some(v));
                    Ok(())
                })?;
            }
            offsets.push(offset(parts.len())?);
        }
        let ArrowType::Map(entries, sorted) =
            arrow_type(&DataType::map(key.clone(), value_type.as_nullable(), true))
        else {
            return Err(Error::internal("a map is a map"));
        };
        let ArrowType::Struct(fields) = entries.data_type() else {
            return Err(Error::internal("a map has entries"));
        };
        let keys: ArrayRef = Arc::new(StringArray::from(keys));
        let values = conform(self.values(&parts, value_type)?, fields[1].data_type())?;
        let structs = StructArray::try_new(fields.clone(), vec![keys, values], None).spark()?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let map =
            MapArray::try_new(entries, offsets, structs, Some(NullBuffer::from(valid)), sorted).spark()?;
        Ok(Arc::new(map))
    }

    /// Casts the values of each kind together, by the rules of `TRY_CAST`.
    fn scalars(&self, values: &[Option<Variant>], to: &DataType) -> Result<ArrayRef> {
        let mut groups: HashMap<Group, Rows> = HashMap::new();
        for (row, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let kind = value.kind()?;
            match kind {
                Kind::Null => {}
                Kind::Object(_) | Kind::Array(_) if !to.is_string() => self.misfit(value, to)?,
                Kind::Object(_) | Kind::Array(_) => {
                    let mut text = String::new();
                    write_json(value, &session_zone(self.context), &mut text)?;
                    groups.entry(Group::String).or_default().push_text(row, text);
                }
                Kind::Decimal { unscaled, scale } if to.is_string() => {
                    let mut text = String::new();
                    write_plain_decimal(unscaled, scale, &mut text);
                    groups.entry(Group::String).or_default().push_text(row, text);
                }
                Kind::Uuid(_) => {
                    let mut text = String::new();
                    write_json(value, &session_zone(self.context), &mut text)?;
                    groups
                        .entry(Group::String)
                        .or_default()
                        .push_text(row, text.trim_matches('"').to_string());
                }
                kind => groups.entry(Group::of(&kind)).or_default().push(row, kind),
            }
        }
        let nulls = new_null_array(&arrow_type(to), 1);
        let mut arrays: Vec<ArrayRef> = vec![nulls];
        let mut places = vec![(0, 0); values.len()];
        for (group, rows) in groups {
            let from = group.data_type();
            let array = rows.array(&group)?;
            let out = if !cast::can_cast(&from, to, Mode::Ansi) {
                new_null_array(&arrow_type(to), array.len())
            } else {
                let cast = cast::cast(&array, &from, to, Mode::Try, self.context)?;
                // These casts cut what does not fit instead of giving NULL; here it must not pass.
                match (&from, to) {
                    (DataType::Long, DataType::Timestamp) => seconds_in_range(&array, cast),
                    _ => cast,
                }
            };
            let out = conform(out, &arrow_type(to))?;
            for (i, row) in rows.rows.iter().enumerate() {
                if out.is_null(i)
                    && let Some(value) = values.get(*row).and_then(Option::as_ref)
                {
                    self.misfit(value, to)?;
                }
                places[*row] = (arrays.len(), i);
            }
            arrays.push(out);
        }
        let refs: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        interleave(&refs, &places).spark()
    }
}

/// NULL where so many seconds do not fit a timestamp.
fn seconds_in_range(seconds: &ArrayRef, cast: ArrayRef) -> ArrayRef {
    let seconds = seconds.as_primitive::<Int64Type>();
    let Some(cast) = cast.as_primitive_opt::<TimestampMicrosecondType>() else { return cast };
    let fits: NullBuffer =
        seconds.values().iter().map(|s| s.checked_mul(1_000_000).is_some()).collect::<Vec<_>>().into();
    let nulls = NullBuffer::union(cast.nulls(), Some(&fits));
    Arc::new(TimestampMicrosecondArray::new(cast.values().clone(), nulls).with_timezone(UTC))
}

fn offset(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| Error::internal("a batch of variants has too many elements"))
}

/// Values that one cast takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    Boolean,
    Long,
    Float,
    Double,
    Decimal(u8),
    String,
    Binary,
    Date,
    Timestamp,
    TimestampNtz,
}

impl Group {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Boolean(_) => Self::Boolean,
            Kind::Long(_) => Self::Long,
            Kind::Float(_) => Self::Float,
            Kind::Double(_) => Self::Double,
            Kind::Decimal { scale, .. } => Self::Decimal(*scale),
            Kind::Binary(_) => Self::Binary,
            Kind::Date(_) => Self::Date,
            Kind::Timestamp(_) => Self::Timestamp,
            Kind::TimestampNtz(_) => Self::TimestampNtz,
            _ => Self::String,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Long => DataType::Long,
            Self::Float => DataType::Float,
            Self::Double => DataType::Double,
            Self::Decimal(scale) => DataType::Decimal { precision: 38, scale },
            Self::String => DataType::STRING,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date,
            Self::Timestamp => DataType::Timestamp,
            Self::TimestampNtz => DataType::TimestampNtz,
        }
    }
}

/// The rows of a group and their values.
#[derive(Default)]
struct Rows<'a> {
    rows: Vec<usize>,
    kinds: Vec<Kind<'a>>,
    texts: Vec<Option<String>>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, row: usize, kind: Kind<'a>) {
        self.rows.push(row);
        self.kinds.push(kind);
        self.texts.push(None);
    }

    fn push_text(&mut self, row: usize, text: String) {
        self.rows.push(row);
        self.kinds.push(Kind::Null);
        self.texts.push(Some(text));
    }

    fn array(&self, group: &Group) -> Result<ArrayRef> {
        let kinds = self.kinds.iter();
        macro_rules! collect {
            ($array:ty, $pattern:pat => $value:expr) => {
                kinds
                    .map(|k| match *k {
                        $pattern => Some($value),
                        _ => None,
                    })
                    .collect::<$array>()
            };
        }
        Ok(match group {
            Group::Boolean => Arc::new(collect!(BooleanArray, Kind::Boolean(v) => v)),
            Group::Long => Arc::new(collect!(Int64Array, Kind::Long(v) => v)),
            Group::Float => Arc::new(collect!(Float32Array, Kind::Float(v) => v)),
            Group::Double => Arc::new(collect!(Float64Array, Kind::Double(v) => v)),
            Group::Decimal(scale) => Arc::new(
                collect!(Decimal128Array, Kind::Decimal { unscaled, .. } => unscaled)
                    .with_precision_and_scale(38, *scale as i8)
                    .spark()?,
            ),
            Group::String => Arc::new(
                self.kinds
                    .iter()
                    .zip(&self.texts)
                    .map(|(k, text)| match (k, text) {
                        (_, Some(text)) => Some(text.as_str()),
                        (Kind::String(v), _) => Some(*v),
                        _ => None,
                    })
                    .collect::<StringArray>(),
            ),
            Group::Binary => Arc::new(collect!(BinaryArray, Kind::Binary(v) => v)),
            Group::Date => Arc::new(collect!(Date32Array, Kind::Date(v) => v)),
            Group::Timestamp => {
                Arc::new(collect!(TimestampMicrosecondArray, Kind::Timestamp(v) => v).with_timezone(UTC))
            }
            Group::TimestampNtz => Arc::new(collect!(TimestampMicrosecondArray, Kind::TimestampNtz(v) => v)),
        })
    }
}

/// Values of a type as variants; NULL stays NULL (inside of values it becomes JSON's null).
pub(crate) fn to_variants(array: &ArrayRef, from: &DataType) -> Result<ArrayRef> {
    let mut out = VariantColumn::new(array.len());
    let mut builder = Builder::new();
    let writer = Writer::new(array, from)?;
    for row in 0..array.len() {
        if array.is_null(row) || *from == DataType::Null {
            out.push_null();
            continue;
        }
        builder.clear();
        writer.write(row, &mut builder)?;
        out.push(&builder)?;
    }
    out.finish()
}

/// Appends the values of an array to variants.
enum Writer<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Byte(&'a arrow::array::Int8Array),
    Short(&'a arrow::array::Int16Array),
    Integer(&'a arrow::array::Int32Array),
    Long(&'a Int64Array),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    String(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    TimestampNtz(&'a TimestampMicrosecondArray),
    List(&'a ListArray, Box<Writer<'a>>),
    Map(&'a MapArray, &'a StringArray, Box<Writer<'a>>),
    Struct(&'a StructArray, Vec<(String, Writer<'a>)>),
    Variant(Box<Variants>),
}

impl<'a> Writer<'a> {
    fn new(array: &'a ArrayRef, t: &DataType) -> Result<Self> {
        let unexpected =
            || Error::internal(format!("a {} column holds {}", t.simple_string(), array.data_type()));
        macro_rules! primitive {
            ($variant:ident, $type:ty) => {
                Self::$variant(array.as_primitive_opt::<$type>().ok_or_else(unexpected)?)
            };
        }
        Ok(match t {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.as_boolean_opt().ok_or_else(unexpected)?),
            DataType::Byte => primitive!(Byte, Int8Type),
            DataType::Short => primitive!(Short, Int16Type),
            DataType::Integer => primitive!(Integer, Int32Type),
            DataType::Long => primitive!(Long, Int64Type),
            DataType::Float => primitive!(Float, Float32Type),
            DataType::Double => primitive!(Double, Float64Type),
            DataType::Decimal { scale, .. } => {
                Self::Decimal(array.as_primitive_opt::<Decimal128Type>().ok_or_else(unexpected)?, *scale)
            }
            DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => {
                Self::String(array.as_string_opt::<i32>().ok_or_else(unexpected)?)
            }
            DataType::Binary => Self::Binary(array.as_binary_opt::<i32>().ok_or_else(unexpected)?),
            DataType::Date => primitive!(Date, Date32Type),
            DataType::Timestamp => primitive!(Timestamp, TimestampMicrosecondType),
            DataType::TimestampNtz => primitive!(TimestampNtz, TimestampMicrosecondType),
            DataType::Array { element, .. } => {
                let list = array.as_list_opt::<i32>().ok_or_else(unexpected)?;
                Self::List(list, Box::new(Self::new(list.values(), element)?))
            }
            DataType::Map { value, .. } => {
                let map = array.as_map_opt().ok_or_else(unexpected)?;
                let keys = map.keys().as_string_opt::<i32>().ok_or_else(unexpected)?;
                Self::Map(map, keys, Box::new(Self::new(map.values(), value)?))
            }
            DataType::Struct(s) => {
                let structs = array.as_struct_opt().ok_or_else(unexpected)?;
                let fields = s
                    .fields
                    .iter()
                    .zip(structs.columns())
                    .map(|(f, column)| Ok((f.name.clone(), Self::new(column, &f.data_type)?)))
                    .collect::<Result<Vec<_>>>()?;
                Self::Struct(structs, fields)
            }
            DataType::Variant => Self::Variant(Box::new(Variants::of(array)?)),
            other => return Err(Error::unsupported(format!("{} as VARIANT", other.sql()))),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(a) => a.is_null(row),
            Self::Byte(a) => a.is_null(row),
            Self::Short(a) => a.is_null(row),
            Self::Integer(a) => a.is_null(row),
            Self::Long(a) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Double(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::String(a) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Timestamp(a) | Self::TimestampNtz(a) => a.is_null(row),
            Self::List(a, _) => a.is_null(row),
            Self::Map(a, ..) => a.is_null(row),
            Self::Struct(a, _) => a.is_null(row),
            Self::Variant(a) => a.get(row).is_none(),
        }
    }

    fn write(&self, row: usize, out: &mut Builder) -> Result<()> {
        if self.is_null(row) {
            out.null();
            return Ok(());
        }
        match self {
            Self::Null => out.null(),
            Self::Boolean(a) => out.boolean(a.value(row)),
            Self::Byte(a) => out.long(i64::from(a.value(row))),
            Self::Short(a) => out.long(i64::from(a.value(row))),
            Self::Integer(a) => out.long(i64::from(a.value(row))),
            Self::Long(a) => out.long(a.value(row)),
            Self::Float(a) => out.float(a.value(row)),
            Self::Double(a) => out.double(a.value(row)),
            Self::Decimal(a, scale) => out.decimal(a.value(row), *scale),
            Self::String(a) => out.string(a.value(row)),
            Self::Binary(a) => out.binary(a.value(row)),
            Self::Date(a) => out.date(a.value(row)),
            Self::Timestamp(a) => out.timestamp(a.value(row)),
            Self::TimestampNtz(a) => out.timestamp_ntz(a.value(row)),
            Self::List(a, elements) => {
                let start = out.position();
                let bounds = a.value_offsets();
                let mut offsets = Vec::new();
                for element in bounds[row] as usize..bounds[row + 1] as usize {
                    offsets.push(out.position() - start);
                    elements.write(element, out)?;
                }
                out.close_array(start, &offsets)?;
            }
            Self::Map(a, keys, values) => {
                let start = out.position();
                let bounds = a.value_offsets();
                let mut fields = Vec::new();
                for entry in bounds[row] as usize..bounds[row + 1] as usize {
                    fields.push(out.field(start, keys.value(entry)));
                    values.write(entry, out)?;
                }
                out.close_object(start, &mut fields)?;
            }
            Self::Struct(_, columns) => {
                let start = out.position();
                let mut fields = Vec::with_capacity(columns.len());
                for (name, column) in columns {
                    fields.push(out.field(start, name));
                    column.write(row, out)?;
                }
                out.close_object(start, &mut fields)?;
            }
            Self::Variant(a) => {
                if let Some(v) = a.get(row) {
                    out.variant(&v)?;
                }
            }
        }
        Ok(())
    }
}
