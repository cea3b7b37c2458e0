//! The columns of variants that are kept in parts ("Variant Shredding" of the Parquet format).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int64Builder, ListArray, NullBufferBuilder, StringBuilder, StructArray,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};
use boathouse_bridge::ResultExt;
use boathouse_formats::variant::{Kind, Variant, object_of};
use boathouse_spec::{Error, Result};

/// Digits that decimals have at most.
const MAX_DIGITS: u8 = 38;

/// Whole values that are taken apart: `value`, and `typed_value` where there is one.
pub(super) struct Parts {
    fields: Fields,
    rest: BinaryBuilder,
    typed: Option<Typed>,
    rows: usize,
}

/// What has columns of its own.
enum Typed {
    Scalar(Scalar),
    Object { fields: Fields, parts: Vec<Parts>, positions: HashMap<String, usize>, valid: NullBufferBuilder },
    Array { element: FieldRef, parts: Box<Parts>, offsets: Vec<i32>, valid: NullBufferBuilder },
}

enum Scalar {
    Boolean(BooleanBuilder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    String(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampNtz(TimestampMicrosecondBuilder),
}

impl Parts {
    /// For a group of `value` and `typed_value`.
    pub fn new(group: &DataType) -> Result<Self> {
        let DataType::Struct(fields) = group else { return Err(unknown(group)) };
        let typed = fields.get(1).map(|f| Typed::new(f.data_type())).transpose()?;
        Ok(Self { fields: fields.clone(), rest: BinaryBuilder::new(), typed, rows: 0 })
    }

    /// A value that is not there.
    pub fn missing(&mut self) {
        self.rows += 1;
        self.rest.append_null();
        if let Some(typed) = &mut self.typed {
            typed.missing();
        }
    }

    /// A value, apart as far as it has the shape of the columns.
    pub fn append(&mut self, value: &Variant) -> Result<()> {
        self.rows += 1;
        let rest = match &mut self.typed {
            Some(typed) => typed.append(value)?,
            None => Rest::All,
        };
        match rest {
            Rest::All => self.rest.append_value(value.value()?),
            Rest::Some(bytes) => self.rest.append_value(bytes),
            Rest::Nothing => self.rest.append_null(),
        }
        Ok(())
    }

    pub fn finish(&mut self) -> Result<ArrayRef> {
        let (fields, columns) = self.columns()?;
        Ok(Arc::new(StructArray::try_new(fields, columns, None).spark()?))
    }

    /// `value` and `typed_value`.
    pub fn columns(&mut self) -> Result<(Fields, Vec<ArrayRef>)> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.rest.finish())];
        if let Some(typed) = &mut self.typed {
            columns.push(typed.finish()?);
        }
        self.rows = 0;
        Ok((self.fields.clone(), columns))
    }
}

/// What columns of their own leave of a value.
enum Rest {
    All,
    Some(Vec<u8>),
    Nothing,
}

impl Typed {
    fn new(t: &DataType) -> Result<Self> {
        Ok(match t {
            DataType::Struct(fields) => Self::Object {
                parts: fields.iter().map(|f| Parts::new(f.data_type())).collect::<Result<_>>()?,
                positions: fields.iter().enumerate().map(|(i, f)| (f.name().clone(), i)).collect(),
                fields: fields.clone(),
                valid: NullBufferBuilder::new(0),
            },
            DataType::List(element) => Self::Array {
                parts: Box::new(Parts::new(element.data_type())?),
                element: Arc::clone(element),
                offsets: vec![0],
                valid: NullBufferBuilder::new(0),
            },
            t => Self::Scalar(Scalar::new(t)?),
        })
    }

    fn missing(&mut self) {
        match self {
            Self::Scalar(scalar) => scalar.missing(),
            Self::Object { parts, valid, .. } => {
                parts.iter_mut().for_each(Parts::missing);
                valid.append_null();
            }
            Self::Array { offsets, valid, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
                valid.append_null();
            }
        }
    }

    fn append(&mut self, value: &Variant) -> Result<Rest> {
        match (self, value.kind()?) {
            (Self::Object { parts, positions, valid, .. }, Kind::Object(_)) => {
                valid.append_non_null();
                let mut seen = vec![false; parts.len()];
                let mut others = Vec::new();
                value.for_each_field_with_id(|id, name, field| {
                    match positions.get(name) {
                        Some(i) => {
                            seen[*i] = true;
                            parts[*i].append(&field)?;
                        }
                        None => others.push((id, field.value()?)),
                    }
                    Ok(())
                })?;
                for (part, _) in parts.iter_mut().zip(seen).filter(|(_, seen)| !seen) {
                    part.missing();
                }
                Ok(if others.is_empty() { Rest::Nothing } else { Rest::Some(object_of(&others)?) })
            }
            (Self::Array { parts, offsets, valid, .. }, Kind::Array(_)) => {
                valid.append_non_null();
                value.for_each_element(|element| parts.append(&element))?;
                offsets.push(i32::try_from(parts.rows).map_err(|_| too_many())?);
                Ok(Rest::Nothing)
            }
            (Self::Scalar(scalar), kind) => {
                let taken = scalar.append(&kind);
                if !taken {
                    scalar.missing();
                }
                Ok(if taken { Rest::Nothing } else { Rest::All })
            }
            (typed, _) => {
                typed.missing();
                Ok(Rest::All)
            }
        }
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Scalar(scalar) => scalar.finish(),
            Self::Object { fields, parts, valid, .. } => {
                let columns = parts.iter_mut().map(Parts::finish).collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new(fields.clone(), columns, valid.finish()).spark()?)
            }
            Self::Array { element, parts, offsets, valid } => {
                let elements = parts.finish()?;
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
                Arc::new(ListArray::try_new(Arc::clone(element), offsets, elements, valid.finish()).spark()?)
            }
        })
    }
}

impl Scalar {
    fn new(t: &DataType) -> Result<Self> {
        Ok(match t {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int64 => Self::Long(Int64Builder::new()),
            DataType::Float32 => Self::Float(Float32Builder::new()),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Decimal128(digits, scale) => {
                Self::Decimal(Decimal128Builder::new().with_data_type(t.clone()), *digits, *scale)
            }
            DataType::Utf8 => Self::String(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(t.clone()))
            }
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::TimestampNtz(TimestampMicrosecondBuilder::new())
            }
            t => return Err(unknown(t)),
        })
    }

    /// Whether the value is of the column's type, and was taken. Numbers of the same value are of one type, as for Spark
    /// (`VariantShreddingWriter` with `allowNumericScaleChanges`).
    fn append(&mut self, kind: &Kind) -> bool {
        match (self, kind) {
            (Self::Boolean(b), Kind::Boolean(v)) => b.append_value(*v),
            (Self::Long(b), Kind::Long(v)) => b.append_value(*v),
            (Self::Long(b), Kind::Decimal { unscaled, scale }) => {
                match rescaled(*unscaled, *scale, MAX_DIGITS, 0).and_then(|v| i64::try_from(v).ok()) {
                    Some(v) => b.append_value(v),
                    None => return false,
                }
            }
            (Self::Float(b), Kind::Float(v)) => b.append_value(*v),
            (Self::Double(b), Kind::Double(v)) => b.append_value(*v),
            (Self::Decimal(b, digits, to), Kind::Decimal { unscaled, scale }) => {
                match rescaled(*unscaled, *scale, *digits, *to) {
                    Some(v) => b.append_value(v),
                    None => return false,
                }
            }
            (Self::Decimal(b, digits, to), Kind::Long(v)) => match rescaled((*v).into(), 0, *digits, *to) {
                Some(v) => b.append_value(v),
                None => return false,
            },
            (Self::String(b), Kind::String(v)) => b.append_value(v),
            (Self::Binary(b), Kind::Binary(v)) => b.append_value(v),
            (Self::Date(b), Kind::Date(v)) => b.append_value(*v),
            (Self::Timestamp(b), Kind::Timestamp(v)) | (Self::TimestampNtz(b), Kind::TimestampNtz(v)) => {
                b.append_value(*v);
            }
            _ => return false,
        }
        true
    }

    fn missing(&mut self) {
        match self {
            Self::Boolean(b) => b.append_null(),
            Self::Long(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Double(b) => b.append_null(),
            Self::Decimal(b, ..) => b.append_null(),
            Self::String(b) => b.append_null(),
            Self::Binary(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Timestamp(b) | Self::TimestampNtz(b) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Long(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Double(b) => Arc::new(b.finish()),
            Self::Decimal(b, ..) => Arc::new(b.finish()),
            Self::String(b) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Timestamp(b) | Self::TimestampNtz(b) => Arc::new(b.finish()),
        }
    }
}

/// The same number with so many digits behind the point; `None` where it has more, or too many before it.
fn rescaled(unscaled: i128, scale: u8, digits: u8, to: i8) -> Option<i128> {
    let to = u8::try_from(to).ok()?;
    let value = if to >= scale {
        unscaled.checked_mul(10_i128.checked_pow((to - scale).into())?)?
    } else {
        let over = 10_i128.checked_pow((scale - to).into())?;
        (unscaled % over == 0).then_some(unscaled / over)?
    };
    (value.unsigned_abs() < 10_u128.checked_pow(digits.into())?).then_some(value)
}

fn unknown(t: &DataType) -> Error {
    Error::internal(format!("no part of a variant is of the type {t}"))
}

fn too_many() -> Error {
    Error::internal("the arrays of a batch have too many elements")
}
