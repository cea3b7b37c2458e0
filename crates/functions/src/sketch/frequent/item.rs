//! Values in sketches: their bytes (the library's `ArrayOfItemsSerDe`) and Java's hash codes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};

/// A value: its bytes, without what says how many they are or of which type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub bytes: Box<[u8]>,
    /// `Object.hashCode`
    pub code: i32,
}

/// The type of the values of a sketch.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Boolean,
    Byte,
    Short,
    Integer,
    Date,
    Float,
    Long,
    /// Microseconds, with the type they are shown in.
    Timestamp(DataType),
    Double,
    Text,
    Decimal {
        precision: u8,
        scale: u8,
    },
}

impl Kind {
    /// `None` for types whose values are not counted.
    pub fn of(t: &DataType) -> Option<Self> {
        Some(match t {
            DataType::Boolean => Self::Boolean,
            DataType::Byte => Self::Byte,
            DataType::Short => Self::Short,
            DataType::Integer => Self::Integer,
            DataType::Date => Self::Date,
            DataType::Float => Self::Float,
            DataType::Long => Self::Long,
            DataType::Timestamp | DataType::TimestampNtz => Self::Timestamp(t.clone()),
            DataType::Double => Self::Double,
            DataType::String { .. } | DataType::Char(_) | DataType::Varchar(_) => Self::Text,
            DataType::Decimal { precision, scale } => Self::Decimal { precision: *precision, scale: *scale },
            _ => return None,
        })
    }

    /// What stands before a number, where numbers of several types have one form.
    fn mark(&self) -> Option<u8> {
        Some(match self {
            Self::Byte => 2,
            Self::Short => 3,
            Self::Float => 6,
            Self::Integer | Self::Date => 9,
            Self::Decimal { precision, .. } if *precision <= 9 => 9,
            _ => return None,
        })
    }

    /// How many bytes a value has; `None` where each says so itself.
    fn width(&self) -> Option<usize> {
        Some(match self {
            Self::Boolean | Self::Byte => 1,
            Self::Short => 2,
            Self::Integer | Self::Date | Self::Float => 4,
            Self::Long | Self::Timestamp(_) | Self::Double => 8,
            Self::Decimal { precision, .. } if *precision <= 9 => 4,
            Self::Decimal { precision, .. } if *precision <= 18 => 8,
            Self::Text | Self::Decimal { .. } => return None,
        })
    }

    pub fn write<'a>(&self, items: impl Iterator<Item = &'a Item>, out: &mut Vec<u8>) {
        if *self == Self::Boolean {
            let bits: Vec<bool> = items.map(|i| i.bytes.first() == Some(&1)).collect();
            let byte = |eight: &[bool]| eight.iter().rev().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit));
            return out.extend(bits.chunks(8).map(byte));
        }
        for item in items {
            out.extend(self.mark());
            if self.width().is_none() {
                out.extend((item.bytes.len() as u32).to_le_bytes());
            }
            out.extend(item.bytes.iter());
        }
    }

    pub fn read(&self, bytes: &[u8], count: usize) -> Option<Vec<Item>> {
        if *self == Self::Boolean {
            let bit = |i: usize| Some(bytes.get(i / 8)? >> (i % 8) & 1);
            return (0..count).map(|i| self.item(&[bit(i)?])).collect();
        }
        let mut rest = bytes;
        let mut items = Vec::with_capacity(count.min(bytes.len()));
        for _ in 0..count {
            if let Some(mark) = self.mark() {
                rest = rest.strip_prefix(&[mark])?;
            }
            let width = match self.width() {
                Some(width) => width,
                None => {
                    let (length, after) = rest.split_first_chunk::<4>()?;
                    rest = after;
                    u32::from_le_bytes(*length) as usize
                }
            };
            let (value, after) = rest.split_at_checked(width)?;
            items.push(self.item(value)?);
            rest = after;
        }
        Some(items)
    }

    /// The value with these bytes.
    fn item(&self, bytes: &[u8]) -> Option<Item> {
        let long = |bits: i64| (bits ^ (bits as u64 >> 32) as i64) as i32;
        let code = match self {
            Self::Boolean => {
                if bytes == [1] {
                    1231
                } else {
                    1237
                }
            }
            Self::Byte => i32::from(i8::from_le_bytes(bytes.try_into().ok()?)),
            Self::Short => i32::from(i16::from_le_bytes(bytes.try_into().ok()?)),
            Self::Integer | Self::Date | Self::Float => i32::from_le_bytes(bytes.try_into().ok()?),
            Self::Long | Self::Timestamp(_) | Self::Double => {
                long(i64::from_le_bytes(bytes.try_into().ok()?))
            }
            Self::Text => {
                let units = std::str::from_utf8(bytes).ok()?.encode_utf16();
                units.fold(0i32, |code, unit| code.wrapping_mul(31).wrapping_add(i32::from(unit)))
            }
            Self::Decimal { scale, .. } => decimal_code(self.unscaled(bytes)?, *scale),
        };
        Some(Item { bytes: bytes.into(), code })
    }

    fn unscaled(&self, bytes: &[u8]) -> Option<i128> {
        match self.width() {
            Some(4) => return bytes.try_into().ok().map(|b| i128::from(i32::from_le_bytes(b))),
            Some(_) => return bytes.try_into().ok().map(|b| i128::from(i64::from_le_bytes(b))),
            None => {}
        }
        // As Java's `BigInteger.toByteArray`: the highest byte first.
        let sign = if *bytes.first()? & 0x80 == 0 { 0 } else { -1 };
        (bytes.len() <= 16).then(|| bytes.iter().fold(sign, |value, byte| value << 8 | i128::from(*byte)))
    }

    fn decimal_bytes(&self, value: i128) -> Vec<u8> {
        match self.width() {
            Some(4) => return (value as i32).to_le_bytes().to_vec(),
            Some(_) => return (value as i64).to_le_bytes().to_vec(),
            None => {}
        }
        let bytes = value.to_be_bytes();
        // Without what only repeats the sign.
        let repeats = |i: &usize| {
            let sign = if bytes[*i + 1] & 0x80 == 0 { 0 } else { 0xff };
            bytes[*i] == sign
        };
        let from = (0..bytes.len() - 1).take_while(repeats).count();
        bytes[from..].to_vec()
    }

    /// The values of a column; `None` is NULL.
    pub fn items(&self, array: &ArrayRef) -> Result<Vec<Option<Item>>> {
        let whole = |bytes: Option<Vec<u8>>| bytes.and_then(|b| self.item(&b));
        let found: Option<Vec<Option<Item>>> = match self {
            Self::Boolean => array
                .as_boolean_opt()
                .map(|a| a.iter().map(|v| whole(v.map(|v| vec![u8::from(v)]))).collect()),
            Self::Byte => self.numbers::<Int8Type>(array, |v| v.to_le_bytes().to_vec()),
            Self::Short => self.numbers::<Int16Type>(array, |v| v.to_le_bytes().to_vec()),
            Self::Integer => self.numbers::<Int32Type>(array, |v| v.to_le_bytes().to_vec()),
            Self::Date => self.numbers::<Date32Type>(array, |v| v.to_le_bytes().to_vec()),
            Self::Long => self.numbers::<Int64Type>(array, |v| v.to_le_bytes().to_vec()),
            Self::Timestamp(_) => {
                self.numbers::<TimestampMicrosecondType>(array, |v| v.to_le_bytes().to_vec())
            }
            Self::Float => self.numbers::<Float32Type>(array, |v| {
                if v.is_nan() { f32::NAN.to_le_bytes().to_vec() } else { v.to_le_bytes().to_vec() }
            }),
            Self::Double => self.numbers::<Float64Type>(array, |v| {
                if v.is_nan() { f64::NAN.to_le_bytes().to_vec() } else { v.to_le_bytes().to_vec() }
            }),
            Self::Decimal { .. } => self.numbers::<Decimal128Type>(array, |v| self.decimal_bytes(v)),
            Self::Text => array
                .as_string_opt::<i32>()
                .map(|a| a.iter().map(|v| whole(v.map(|v| v.as_bytes().to_vec()))).collect()),
        };
        found.ok_or_else(|| Error::internal(format!("a column of {} to count", array.data_type())))
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        array: &ArrayRef,
        bytes: impl Fn(T::Native) -> Vec<u8>,
    ) -> Option<Vec<Option<Item>>> {
        let numbers = array.as_primitive_opt::<T>()?;
        Some(numbers.iter().map(|v| v.and_then(|v| self.item(&bytes(v)))).collect())
    }

    /// The column of these values.
    pub fn array<'a>(&self, items: impl Iterator<Item = Option<&'a Item>>) -> Result<ArrayRef> {
        fn of<'a, T: ArrowPrimitiveType, const N: usize>(
            items: impl Iterator<Item = Option<&'a Item>>,
            value: impl Fn([u8; N]) -> T::Native,
        ) -> PrimitiveArray<T> {
            items.map(|i| i.and_then(|i| i.bytes.as_ref().try_into().ok()).map(&value)).collect()
        }
        Ok(match self {
            Self::Boolean => Arc::new(items.map(|i| i.map(|i| *i.bytes == [1])).collect::<BooleanArray>()),
            Self::Byte => Arc::new(of::<Int8Type, 1>(items, i8::from_le_bytes)),
            Self::Short => Arc::new(of::<Int16Type, 2>(items, i16::from_le_bytes)),
            Self::Integer => Arc::new(of::<Int32Type, 4>(items, i32::from_le_bytes)),
            Self::Date => Arc::new(of::<Date32Type, 4>(items, i32::from_le_bytes)),
            Self::Long => Arc::new(of::<Int64Type, 8>(items, i64::from_le_bytes)),
            Self::Float => Arc::new(of::<Float32Type, 4>(items, f32::from_le_bytes)),
            Self::Double => Arc::new(of::<Float64Type, 8>(items, f64::from_le_bytes)),
            Self::Timestamp(t) => {
                let times = of::<TimestampMicrosecondType, 8>(items, i64::from_le_bytes);
                Arc::new(times.with_data_type(arrow_type(t)))
            }
            Self::Text => Arc::new(
                items.map(|i| i.and_then(|i| std::str::from_utf8(&i.bytes).ok())).collect::<StringArray>(),
            ),
            Self::Decimal { precision, scale } => {
                let values: Decimal128Array =
                    items.map(|i| i.and_then(|i| self.unscaled(&i.bytes))).collect();
                Arc::new(values.with_precision_and_scale(*precision, *scale as i8).spark()?)
            }
        })
    }
}

/// The hash code of Scala's `BigDecimal`: that of the number a decimal equals, where that is a whole number or a double.
fn decimal_code(unscaled: i128, scale: u8) -> i32 {
    let (mut digits, mut places) = (unscaled, u32::from(scale));
    while places > 0 && digits % 10 == 0 {
        digits /= 10;
        places -= 1;
    }
    if places == 0 {
        return match (i32::try_from(digits), i64::try_from(digits)) {
            (Ok(code), _) => code,
            (_, Ok(long)) => (long ^ (long as u64 >> 32) as i64) as i32,
            _ => big_integer_code(digits),
        };
    }
    // Fifteen digits are those of a double.
    let double = format!("{digits}e-{places}").parse::<f64>().unwrap_or(f64::NAN);
    let is_double =
        digits.unsigned_abs() < 1_000_000_000_000_000 || shortest(double) == Some((digits, places));
    if is_double {
        let (float, bits) = (double as f32, double.to_bits());
        return if f64::from(float) == double { float.to_bits() as i32 } else { (bits ^ bits >> 32) as i32 };
    }
    let mixed = (places as i32).wrapping_mul(0xcc9e_2d51_u32 as i32);
    big_integer_code(digits) ^ mixed.rotate_left(15).wrapping_mul(0x1b87_3593)
}

/// The digits of a double's shortest text, and how many of them stand behind the point.
fn shortest(double: f64) -> Option<(i128, u32)> {
    let text = format!("{double}");
    let (whole, fraction) = text.split_once('.')?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, fraction.len() as u32))
}

/// `BigInteger.hashCode`
fn big_integer_code(value: i128) -> i32 {
    let magnitude = value.unsigned_abs();
    let words = (0..4).rev().map(|i| (magnitude >> (32 * i)) as u32 as i32);
    let code =
        words.skip_while(|w| *w == 0).fold(0i32, |code, word| code.wrapping_mul(31).wrapping_add(word));
    code.wrapping_mul(value.signum() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let kinds = [
            (Kind::Boolean, vec![vec![1], vec![0], vec![1]]),
            (Kind::Text, vec![b"a".to_vec(), vec![], "\u{e9}".into()]),
            (Kind::Decimal { precision: 30, scale: 2 }, vec![vec![0xfe, 0xbb], vec![0, 0xfa]]),
            (Kind::Integer, vec![7i32.to_le_bytes().to_vec()]),
        ];
        for (kind, values) in kinds {
            let items: Vec<Item> = values.iter().map(|v| kind.item(v).unwrap()).collect();
            let mut bytes = Vec::new();
            kind.write(items.iter(), &mut bytes);
            assert_eq!(kind.read(&bytes, items.len()), Some(items));
        }
    }

    #[test]
    fn decimals_keep_their_sign() {
        let kind = Kind::Decimal { precision: 30, scale: 2 };
        for value in [0, 1, -1, 127, 128, -128, -129, 250, -325, i128::from(i64::MAX), -10i128.pow(30)] {
            assert_eq!(kind.unscaled(&kind.decimal_bytes(value)), Some(value));
        }
        assert_eq!(kind.decimal_bytes(-325), [0xfe, 0xbb]);
        assert_eq!(kind.decimal_bytes(250), [0, 0xfa]);
    }
}
