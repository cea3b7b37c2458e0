//! What the variants of some rows have in common, and which of it gets columns of its own (Spark:
//! `InferVariantShreddingSchema`).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use boathouse_formats::variant::{Kind, Variant};
use boathouse_spec::Result;

use super::{TYPED, VALUE};

/// How deep columns of their own nest.
const MAX_DEPTH: usize = 50;
/// So many columns of their own has a variant at most.
const MAX_COLUMNS: usize = 300;
/// Fields that are looked at in an object.
const MAX_FIELDS: usize = 500;
/// A field that fewer than one in so many rows have gets none.
const RARE: u64 = 10;
/// Digits of decimals that fit into 64 bits.
const SHORT_DIGITS: u8 = 18;
/// Digits of the largest whole numbers of 64 bits; those that are larger stay in the rest.
const LONG_DIGITS: u8 = 19;
const DIGITS: u8 = 38;

/// What values have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// NULL in the variant, which any shape may be.
    Null,
    Scalar(DataType),
    /// Digits before and behind the point; whole numbers have none behind.
    Number {
        whole: u8,
        scale: u8,
    },
    /// The fields, with the rows that have them.
    Object(BTreeMap<String, (Shape, u64)>),
    Array(Box<Shape>),
    /// Nothing.
    Mixed,
}

impl Shape {
    pub fn of(value: &Variant, depth: usize) -> Result<Self> {
        if depth >= MAX_DEPTH {
            return Ok(Self::Mixed);
        }
        let timestamp = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        Ok(match value.kind()? {
            Kind::Null => Self::Null,
            Kind::Long(v) => number(v.into(), 0),
            Kind::Decimal { unscaled, scale } => number(unscaled, scale),
            Kind::Boolean(_) => Self::Scalar(DataType::Boolean),
            Kind::Float(_) => Self::Scalar(DataType::Float32),
            Kind::Double(_) => Self::Scalar(DataType::Float64),
            Kind::String(_) => Self::Scalar(DataType::Utf8),
            Kind::Binary(_) => Self::Scalar(DataType::Binary),
            Kind::Date(_) => Self::Scalar(DataType::Date32),
            Kind::Timestamp(_) => Self::Scalar(timestamp(Some(boathouse_bridge::UTC))),
            Kind::TimestampNtz(_) => Self::Scalar(timestamp(None)),
            Kind::Uuid(_) => Self::Mixed,
            Kind::Object(_) => {
                let mut fields = BTreeMap::new();
                value.for_each_field(|name, field| {
                    if fields.len() < MAX_FIELDS {
                        fields.insert(name.to_string(), (Self::of(&field, depth + 1)?, 1));
                    }
                    Ok(())
                })?;
                Self::Object(fields)
            }
            Kind::Array(_) => {
                let mut element = Self::Null;
                value.for_each_element(|e| {
                    let shape = Self::of(&e, depth + 1)?;
                    element = std::mem::replace(&mut element, Self::Null).with(shape);
                    Ok(())
                })?;
                Self::Array(Box::new(element))
            }
        })
    }

    /// What both have in common.
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, shape) | (shape, Self::Null) => shape,
            (Self::Object(mut fields), Self::Object(others)) => {
                for (name, (shape, rows)) in others {
                    match fields.remove(&name) {
                        Some((known, before)) => {
                            fields.insert(name, (known.with(shape), before + rows));
                        }
                        None if fields.len() < MAX_FIELDS => {
                            fields.insert(name, (shape, rows));
                        }
                        None => {}
                    }
                }
                Self::Object(fields)
            }
            (Self::Array(a), Self::Array(b)) => Self::Array(Box::new(a.with(*b))),
            (Self::Number { whole: a, scale: s }, Self::Number { whole: b, scale: t }) => {
                let (whole, scale) = (a.max(b), s.max(t));
                if whole + scale > DIGITS { Self::Mixed } else { Self::Number { whole, scale } }
            }
            (a, b) if a == b => a,
            _ => Self::Mixed,
        }
    }

    /// The group of a variant whose values have this shape; `None` where nothing of it gets a column. `rows`: those that have
    /// a value.
    pub fn group(&self, rows: u64) -> Option<DataType> {
        let mut columns = MAX_COLUMNS;
        self.typed(rows.div_ceil(RARE), &mut columns).map(|typed| with_value(Some(typed)))
    }

    fn typed(&self, at_least: u64, columns: &mut usize) -> Option<DataType> {
        *columns = columns.checked_sub(1)?;
        match self {
            Self::Null | Self::Mixed => None,
            Self::Number { whole, scale: 0 } if *whole <= LONG_DIGITS => Some(DataType::Int64),
            Self::Number { whole, scale } => {
                let digits = if whole + scale <= SHORT_DIGITS { SHORT_DIGITS } else { DIGITS };
                Some(DataType::Decimal128(digits, i8::try_from(*scale).ok()?))
            }
            Self::Scalar(t) => Some(t.clone()),
            Self::Array(element) => {
                let typed = element.typed(at_least, columns);
                Some(DataType::List(Arc::new(Field::new("element", with_value(typed), false))))
            }
            Self::Object(fields) => {
                let mut groups = Vec::new();
                for (name, (shape, rows)) in fields {
                    if *rows >= at_least && *columns > 0 {
                        groups.push(Field::new(name, with_value(shape.typed(at_least, columns)), false));
                    }
                }
                (!groups.is_empty()).then(|| DataType::Struct(Fields::from(groups)))
            }
        }
    }
}

/// Zeros at the end do not count.
fn number(mut unscaled: i128, mut scale: u8) -> Shape {
    while scale > 0 && unscaled % 10 == 0 {
        (unscaled, scale) = (unscaled / 10, scale - 1);
    }
    let digits = unscaled.unsigned_abs().checked_ilog10().map_or(1, |n| n + 1);
    let digits = u8::try_from(digits).unwrap_or(DIGITS);
    Shape::Number { whole: digits.saturating_sub(scale), scale }
}

/// The parts of a value: what has a column of its own, and the rest.
fn with_value(typed: Option<DataType>) -> DataType {
    let mut fields = vec![Field::new(VALUE, DataType::Binary, true)];
    fields.extend(typed.map(|t| Field::new(TYPED, t, true)));
    DataType::Struct(Fields::from(fields))
}
