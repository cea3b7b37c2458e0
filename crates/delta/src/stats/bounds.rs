//! Bounds of one column, from JSON to an Arrow array.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int8Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use boathouse_formats::datetime_text::parse_date;

use super::json::Node;
use crate::partition::parse_decimal;
use crate::time::parse_timestamp_us;

/// The bounds of one side. What is no bound of the column's type is unknown.
pub(super) struct BoundsBuilder {
    upper: bool,
    values: Values,
}

enum Values {
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
}

impl BoundsBuilder {
    /// `None` for types whose bounds the log does not record.
    pub fn new(t: &ArrowType, upper: bool) -> Option<Self> {
        let values = match t {
            ArrowType::Int8 => Values::Int8(Int8Builder::new()),
            ArrowType::Int16 => Values::Int16(Int16Builder::new()),
            ArrowType::Int32 => Values::Int32(Int32Builder::new()),
            ArrowType::Int64 => Values::Int64(Int64Builder::new()),
            ArrowType::Float32 => Values::Float32(Float32Builder::new()),
            ArrowType::Float64 => Values::Float64(Float64Builder::new()),
            ArrowType::Decimal128(_, scale) => {
                let builder = Decimal128Builder::new().with_data_type(t.clone());
                Values::Decimal(builder, u8::try_from(*scale).ok()?)
            }
            ArrowType::Date32 => Values::Date(Date32Builder::new()),
            ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(t.clone()))
            }
            ArrowType::Utf8 => Values::Text(StringBuilder::new()),
            _ => return None,
        };
        Some(Self { upper, values })
    }

    pub fn push(&mut self, node: Option<&Node<'_>>) {
        let number = node.and_then(|node| match node {
            Node::Number(n) => Some(*n),
            Node::Text(t) => Some(t.as_ref()),
            _ => None,
        });
        let text = node.and_then(|node| match node {
            Node::Text(t) => Some(t.as_ref()),
            _ => None,
        });
        let upper = self.upper;
        match &mut self.values {
            Values::Int8(b) => b.append_option(number.and_then(|n| n.parse().ok())),
            Values::Int16(b) => b.append_option(number.and_then(|n| n.parse().ok())),
            Values::Int32(b) => b.append_option(number.and_then(|n| n.parse().ok())),
            Values::Int64(b) => b.append_option(number.and_then(|n| n.parse().ok())),
            Values::Float32(b) => {
                let value = number.and_then(|n| n.parse::<f32>().ok());
                b.append_option(value.map(|v| widen_zero(v.into(), upper) as f32));
            }
            Values::Float64(b) => {
                let value = number.and_then(|n| n.parse::<f64>().ok());
                b.append_option(value.map(|v| widen_zero(v, upper)));
            }
            Values::Decimal(b, scale) => b.append_option(number.and_then(|n| parse_decimal(n, *scale))),
            Values::Date(b) => b.append_option(text.and_then(parse_date)),
            Values::Timestamp(b) => b.append_option(text.and_then(|text| timestamp(text, upper))),
            Values::Text(b) => b.append_option(text),
        }
    }

    pub fn finish(self, t: &ArrowType) -> Option<ArrayRef> {
        let array: ArrayRef = match self.values {
            Values::Int8(mut b) => Arc::new(b.finish()),
            Values::Int16(mut b) => Arc::new(b.finish()),
            Values::Int32(mut b) => Arc::new(b.finish()),
            Values::Int64(mut b) => Arc::new(b.finish()),
            Values::Float32(mut b) => Arc::new(b.finish()),
            Values::Float64(mut b) => Arc::new(b.finish()),
            Values::Decimal(mut b, _) => Arc::new(b.finish()),
            Values::Date(mut b) => Arc::new(b.finish()),
            Values::Timestamp(mut b) => Arc::new(b.finish()),
            Values::Text(mut b) => Arc::new(b.finish()),
        };
        (array.data_type() == t).then_some(array)
    }
}

fn timestamp(text: &str, upper: bool) -> Option<i64> {
    let us = parse_timestamp_us(text)?;
    // Writers cut to milliseconds, which lowers an upper bound below its values.
    Some(if upper && us % 1000 == 0 { us.saturating_add(999) } else { us })
}

/// Spark takes `-0.0` and `0.0` for equal, Arrow orders them: a zero bound takes in both.
fn widen_zero(value: f64, upper: bool) -> f64 {
    if value == 0.0 { if upper { 0.0 } else { -0.0 } } else { value }
}
