//! Spark's implicit casts (`TypeCoercion`, `AnsiTypeCoercion`, `DecimalPrecision`).

use boathouse_spec::{DataType, IntervalField, StructField, StructType};

use crate::Context;
use crate::cast::{Mode, may_give_null};

/// What a function accepts for an argument (Spark's `AbstractDataType`).
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    Any,
    Exact(DataType),
    /// Any string type (collations kept).
    Str,
    Numeric,
    /// BYTE to LONG.
    Integral,
    /// FLOAT or DOUBLE or DECIMAL.
    Fractional,
    /// Any DECIMAL; other numbers become the decimal that holds them.
    Decimal,
    /// TIMESTAMP or TIMESTAMP_NTZ.
    AnyTimestamp,
    /// TIME of any precision.
    AnyTime,
    AnyInterval,
    DayTimeInterval,
    YearMonthInterval,
    AnyArray,
    /// An array whose elements are wanted so.
    ArrayOf(Box<Want>),
    AnyMap,
    AnyStruct,
    /// The first that takes the type as it is, else the closest it casts to.
    OneOf(Vec<Want>),
}

impl Want {
    pub const BOOLEAN: Want = Want::Exact(DataType::Boolean);
    pub const INT: Want = Want::Exact(DataType::Integer);
    pub const LONG: Want = Want::Exact(DataType::Long);
    pub const DOUBLE: Want = Want::Exact(DataType::Double);
    pub const BINARY: Want = Want::Exact(DataType::Binary);
    pub const DATE: Want = Want::Exact(DataType::Date);
    pub const TIMESTAMP: Want = Want::Exact(DataType::Timestamp);

    pub fn array_of(element: Want) -> Self {
        Self::ArrayOf(Box::new(element))
    }

    pub fn one_of(wants: impl IntoIterator<Item = Want>) -> Self {
        Self::OneOf(wants.into_iter().collect())
    }

    /// As messages write it: `"INT"`, `("STRING" or "BINARY")`.
    pub fn sql(&self) -> String {
        match self {
            Self::OneOf(all) => format!("({})", all.iter().map(Want::sql).collect::<Vec<_>>().join(" or ")),
            other => format!("\"{}\"", other.bare_sql()),
        }
    }

    fn bare_sql(&self) -> String {
        match self {
            Self::Any => "ANY".into(),
            Self::Exact(t) => t.sql(),
            Self::Str => "STRING".into(),
            Self::Numeric => "NUMERIC".into(),
            Self::Integral => "INTEGRAL".into(),
            Self::Fractional => "FRACTIONAL".into(),
            Self::Decimal => "DECIMAL".into(),
            Self::AnyTimestamp => "(TIMESTAMP OR TIMESTAMP WITHOUT TIME ZONE)".into(),
            Self::AnyTime => "TIME".into(),
            Self::AnyInterval => "INTERVAL".into(),
            Self::DayTimeInterval => "INTERVAL DAY TO SECOND".into(),
            Self::YearMonthInterval => "INTERVAL YEAR TO MONTH".into(),
            Self::AnyArray => "ARRAY".into(),
            Self::ArrayOf(e) => format!("ARRAY<{}>", e.bare_sql()),
            Self::AnyMap => "MAP".into(),
            Self::AnyStruct => "STRUCT".into(),
            Self::OneOf(all) => all.iter().map(Want::bare_sql).collect::<Vec<_>>().join(" or "),
        }
    }

    /// Whether the type is acceptable as it is.
    pub fn accepts(&self, t: &DataType) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(DataType::String { collation: None }) | Self::Str => {
                matches!(t, DataType::String { .. })
            }
            Self::Exact(wanted) => wanted.same_type(t),
            Self::Numeric => t.is_numeric(),
            Self::Integral => t.is_integral(),
            Self::Fractional => t.is_fractional(),
            Self::Decimal => matches!(t, DataType::Decimal { .. }),
            Self::AnyTimestamp => matches!(t, DataType::Timestamp | DataType::TimestampNtz),
            Self::AnyTime => matches!(t, DataType::Time { .. }),
            Self::AnyInterval => t.is_interval(),
            Self::DayTimeInterval => matches!(t, DataType::DayTimeInterval { .. }),
            Self::YearMonthInterval => matches!(t, DataType::YearMonthInterval { .. }),
            Self::AnyArray => matches!(t, DataType::Array { .. }),
            Self::ArrayOf(want) => matches!(t, DataType::Array { element, .. } if want.accepts(element)),
            Self::AnyMap => matches!(t, DataType::Map { .. }),
            Self::AnyStruct => matches!(t, DataType::Struct(_)),
            Self::OneOf(all) => all.iter().any(|w| w.accepts(t)),
        }
    }

    /// The type a NULL becomes.
    fn default_type(&self) -> DataType {
        match self {
            Self::Any => DataType::Null,
            Self::Exact(t) => t.clone(),
            Self::Str => DataType::STRING,
            Self::Numeric | Self::Fractional => DataType::Double,
            Self::Integral => DataType::Integer,
            Self::Decimal => DataType::SYSTEM_DECIMAL,
            Self::AnyTimestamp => DataType::Timestamp,
            Self::AnyTime => DataType::Time { precision: 6 },
            Self::AnyInterval | Self::DayTimeInterval => DataType::DAY_TIME,
            Self::YearMonthInterval => DataType::YEAR_MONTH,
            Self::AnyArray => DataType::array(DataType::Null, true),
            Self::ArrayOf(e) => DataType::array(e.default_type(), true),
            Self::AnyMap => DataType::map(DataType::Null, DataType::Null, true),
            Self::AnyStruct => DataType::Struct(StructType::default()),
            Self::OneOf(all) => all.first().map_or(DataType::Null, Want::default_type),
        }
    }
}

/// The type an argument is cast to where a function wants `want`; `None` where Spark refuses.
pub fn implicit_cast(from: &DataType, want: &Want, context: &Context) -> Option<DataType> {
    if want.accepts(from) {
        return Some(from.clone());
    }
    let from = &match from {
        DataType::Char(_) | DataType::Varchar(_) => DataType::STRING,
        DataType::Udt { sql_type, .. } => sql_type.as_ref().clone(),
        other => other.clone(),
    };
    if want.accepts(from) {
        return Some(from.clone());
    }
    if let Want::OneOf(all) = want {
        if *from == DataType::Null {
            return all.first().map(Want::default_type);
        }
        // None takes the type as it is: the first it casts to.
        return all.iter().find_map(|w| implicit_cast(from, w, context));
    }
    if *from == DataType::Null {
        return Some(want.default_type());
    }
    match (from, want) {
        (DataType::Array { element, contains_null }, Want::ArrayOf(w)) => {
            Some(DataType::array(implicit_cast(element, w, context)?, *contains_null))
        }
        (
            DataType::Array { element, contains_null },
            Want::Exact(DataType::Array { element: w, contains_null: n }),
        ) => {
            if *contains_null && !n {
                return None;
            }
            Some(DataType::array(implicit_cast(element, &Want::Exact(w.as_ref().clone()), context)?, *n))
        }
        (
            DataType::Map { key, value, .. },
            Want::Exact(DataType::Map { key: k, value: v, value_contains_null }),
        ) => Some(DataType::map(
            implicit_cast(key, &Want::Exact(k.as_ref().clone()), context)?,
            implicit_cast(value, &Want::Exact(v.as_ref().clone()), context)?,
            *value_contains_null,
        )),
        (DataType::String { .. }, Want::Numeric | Want::Fractional) => Some(DataType::Double),
        (DataType::String { .. }, Want::Exact(DataType::Boolean)) => {
            context.ansi.then_some(DataType::Boolean)
        }
        (DataType::String { .. }, Want::Decimal) => Some(DataType::SYSTEM_DECIMAL),
        (DataType::String { .. }, Want::AnyTimestamp) => Some(DataType::Timestamp),
        (DataType::Date | DataType::Time { .. }, Want::AnyTimestamp) => Some(DataType::Timestamp),
        (DataType::String { .. }, Want::Exact(t))
            if t.is_atomic() && !t.is_interval() && *t != DataType::Variant && !t.is_spatial() =>
        {
            Some(t.clone())
        }
        (_, Want::Str | Want::Exact(DataType::String { .. }))
            if from.is_atomic() || (*from == DataType::CalendarInterval && context.ansi) =>
        {
            Some(DataType::STRING)
        }
        (_, Want::Decimal) if from.is_numeric() => Some(decimal_of(from)),
        (_, Want::Fractional) if from.is_integral() => Some(DataType::Double),
        (_, Want::Exact(to)) => implicit_exact(from, to),
        _ => None,
    }
}

/// Casts between atomic types that need no CAST in a call.
fn implicit_exact(from: &DataType, to: &DataType) -> Option<DataType> {
    use DataType::*;
    let allowed = match (from, to) {
        (a, b) if a == b => true,
        (a, b) if a.is_numeric() && b.is_numeric() => true,
        // Spark casts a time to these as well (its `canANSIStoreAssign`), and then has no such cast.
        (Date | Timestamp | TimestampNtz | Time { .. }, Date | Timestamp | TimestampNtz) => true,
        (DayTimeInterval { .. }, DayTimeInterval { .. })
        | (YearMonthInterval { .. }, YearMonthInterval { .. }) => true,
        (Time { .. }, Time { .. }) => true,
        _ => false,
    };
    allowed.then(|| to.clone())
}

/// The decimal that holds every value of a number type.
pub fn decimal_of(t: &DataType) -> DataType {
    let (precision, scale) = match t {
        DataType::Byte => (3, 0),
        DataType::Short => (5, 0),
        DataType::Integer => (10, 0),
        DataType::Long => (20, 0),
        DataType::Float => (14, 7),
        DataType::Double => (30, 15),
        DataType::Decimal { precision, scale } => (*precision, *scale),
        _ => (38, 18),
    };
    DataType::Decimal { precision, scale }
}

/// A decimal of that precision and scale, cut to 38 digits as Spark does where precision may be lost: the integral
/// digits stay, the scale gives way down to 6.
pub fn adjusted_decimal(precision: i32, scale: i32, allow_precision_loss: bool) -> DataType {
    if precision <= 38 {
        return DataType::Decimal { precision: precision.max(1) as u8, scale: scale.max(0) as u8 };
    }
    if !allow_precision_loss {
        return DataType::Decimal { precision: 38, scale: scale.min(38) as u8 };
    }
    let integral = precision - scale;
    let least_scale = scale.min(6);
    DataType::Decimal { precision: 38, scale: (38 - integral).max(least_scale) as u8 }
}

/// The decimal that holds both.
pub fn wider_decimal(a: (u8, u8), b: (u8, u8), context: &Context) -> DataType {
    let scale = a.1.max(b.1) as i32;
    let integral = (a.0 as i32 - a.1 as i32).max(b.0 as i32 - b.1 as i32);
    let precision = integral + scale;
    if precision <= 38 || !context.allow_precision_loss {
        // Spark's bounded decimal: precision and scale are cut one by one.
        return DataType::Decimal { precision: precision.min(38) as u8, scale: scale.min(38) as u8 };
    }
    DataType::Decimal { precision: 38, scale: (38 - integral).max(0).min(scale) as u8 }
}

fn numeric_rank(t: &DataType) -> Option<u8> {
    Some(match t {
        DataType::Byte => 0,
        DataType::Short => 1,
        DataType::Integer => 2,
        DataType::Long => 3,
        DataType::Float => 5,
        DataType::Double => 6,
        _ => return None,
    })
}

/// The type two operands of a comparison, a CASE or a set operation share without a string being promoted
/// (Spark's `findTightestCommonType`, decimals and nested types included). Times of day of different precision share none.
pub fn tightest_common_type(a: &DataType, b: &DataType, context: &Context) -> Option<DataType> {
    use DataType::*;
    match (a, b) {
        (x, y) if x == y => Some(x.clone()),
        (Null, t) | (t, Null) => Some(t.clone()),
        (Char(_) | Varchar(_) | String { .. }, Char(_) | Varchar(_) | String { .. }) => Some(match (a, b) {
            (String { collation: Some(c) }, _) | (_, String { collation: Some(c) }) => {
                String { collation: Some(c.clone()) }
            }
            _ => DataType::STRING,
        }),
        (Udt { sql_type, .. }, other) | (other, Udt { sql_type, .. }) if sql_type.same_type(other) => {
            Some(other.clone())
        }
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => {
            Some(wider_decimal((*p, *s), (*q, *t), context))
        }
        (Decimal { precision, scale }, x) | (x, Decimal { precision, scale }) if x.is_integral() => {
            let Decimal { precision: q, scale: t } = decimal_of(x) else { return None };
            Some(wider_decimal((*precision, *scale), (q, t), context))
        }
        (Decimal { .. }, Float | Double) | (Float | Double, Decimal { .. }) => Some(Double),
        (x, y) if x.is_numeric() && y.is_numeric() => {
            let (l, r) = (numeric_rank(x)?, numeric_rank(y)?);
            // Under ANSI, whole numbers with FLOAT widen to DOUBLE.
            if context.ansi && (*x == Float || *y == Float) && (x.is_integral() || y.is_integral()) {
                return Some(Double);
            }
            Some(if l >= r { x.clone() } else { y.clone() })
        }
        (Geometry { .. }, Geometry { .. }) => Some(Geometry { srid: None }),
        (Geography { .. }, Geography { .. }) => Some(Geography { srid: None }),
        (Timestamp, Date | TimestampNtz) | (Date | TimestampNtz, Timestamp) => Some(Timestamp),
        (TimestampNtz, Date) | (Date, TimestampNtz) => Some(TimestampNtz),
        (DayTimeInterval { start: s, end: e }, DayTimeInterval { start: t, end: f }) => {
            Some(DayTimeInterval { start: *s.min(t), end: *e.max(f) })
        }
        (YearMonthInterval { start: s, end: e }, YearMonthInterval { start: t, end: f }) => {
            Some(YearMonthInterval { start: *s.min(t), end: *e.max(f) })
        }
        _ => common_nested(a, b, context, tightest_common_type),
    }
}

/// The common type of two arrays, maps or structs by the common types of their parts. A part that a cast can make NULL
/// becomes nullable.
fn common_nested(
    a: &DataType,
    b: &DataType,
    context: &Context,
    common: fn(&DataType, &DataType, &Context) -> Option<DataType>,
) -> Option<DataType> {
    use DataType::*;
    let mode = Mode::of(context);
    // Nothing is lost of an array or a map without elements.
    let loses = |from: &DataType, to: &DataType| {
        from != to && *from != DataType::Null && may_give_null(from, to, mode)
    };
    match (a, b) {
        (Array { element: x, contains_null: m }, Array { element: y, contains_null: n }) => {
            let t = common(x, y, context)?;
            let nullable = *m || *n || loses(x, &t) || loses(y, &t);
            Some(DataType::array(t, nullable))
        }
        (
            Map { key: k, value: v, value_contains_null: m },
            Map { key: l, value: w, value_contains_null: n },
        ) => {
            let (key, value) = (common(k, l, context)?, common(v, w, context)?);
            if loses(k, &key) || loses(l, &key) {
                return None;
            }
            let nullable = *m || *n || loses(v, &value) || loses(w, &value);
            Some(DataType::map(key, value, nullable))
        }
        (Struct(x), Struct(y)) if x.fields.len() == y.fields.len() => {
            let fields = x.fields.iter().zip(&y.fields).map(|(x, y)| {
                if x.name != y.name && (context.case_sensitive || !x.name.eq_ignore_ascii_case(&y.name)) {
                    return None;
                }
                let t = common(&x.data_type, &y.data_type, context)?;
                let nullable = x.nullable || y.nullable || loses(&x.data_type, &t) || loses(&y.data_type, &t);
                Some(StructField::new(&x.name, t, nullable))
            });
            Some(DataType::structure(fields.collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

/// The common type with strings promoted (Spark's `findWiderTypeForTwo`): under ANSI a string gives way to the other
/// type, without it the other type becomes a string.
pub fn wider_type(a: &DataType, b: &DataType, context: &Context) -> Option<DataType> {
    if let Some(t) = tightest_common_type(a, b, context) {
        return Some(t);
    }
    use DataType::*;
    match (a, b) {
        (s, t) | (t, s) if s.is_string() && t.is_atomic() && !t.is_string() && !t.is_spatial() => {
            if !context.ansi {
                return (!matches!(t, Binary | Boolean)).then_some(DataType::STRING);
            }
            Some(match t {
                Byte | Short | Integer | Long => Long,
                Float | Double | Decimal { .. } => Double,
                Binary | Boolean | Date | Timestamp | TimestampNtz | Time { .. } | Variant => t.clone(),
                _ => return None,
            })
        }
        _ => common_nested(a, b, context, wider_type),
    }
}

/// The type both operands of `= < <=>` are cast to; `None` where Spark refuses (BINARY_OP_DIFF_TYPES).
pub fn comparison_type(a: &DataType, b: &DataType, context: &Context) -> Option<DataType> {
    use DataType::*;
    if let Some(t) = tightest_common_type(a, b, context) {
        return Some(t);
    }
    match (a, b) {
        (s, t) | (t, s) if s.is_string() && t.is_atomic() && !t.is_string() && !t.is_spatial() => match t {
            // Without ANSI the string is read as the type beside it.
            Decimal { .. } => Some(Double),
            Byte | Short | Integer | Long if context.ansi => Some(Long),
            Float | Double if context.ansi => Some(Double),
            YearMonthInterval { .. } | DayTimeInterval { .. } => None,
            t => Some(t.clone()),
        },
        (Boolean, t) | (t, Boolean) if t.is_numeric() && !context.ansi => Some(t.clone()),
        _ => None,
    }
}

/// The common type of many (CASE, COALESCE, IN, array(), UNION). Without ANSI, strings are taken first, as Spark does,
/// so that the result does not depend on the order.
pub fn common_type(types: &[DataType], context: &Context) -> Option<DataType> {
    if context.ansi {
        // From the left, whatever strings are among them.
        return types.iter().try_fold(DataType::Null, |acc, t| wider_type(&acc, t, context));
    }
    let (strings, others): (Vec<_>, Vec<_>) = types.iter().partition(|t| has_string(t));
    let mut all = strings.into_iter().chain(others);
    let first = all.next().cloned().unwrap_or(DataType::Null);
    all.try_fold(first, |acc, t| wider_type(&acc, t, context))
}

fn has_string(t: &DataType) -> bool {
    match t {
        DataType::Array { element, .. } => has_string(element),
        t => t.is_string(),
    }
}

/// The interval type with the given ends.
pub fn interval_type(start: IntervalField, end: IntervalField) -> DataType {
    if start <= IntervalField::Month {
        DataType::YearMonthInterval { start, end }
    } else {
        DataType::DayTimeInterval { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_widen_as_in_spark() {
        let c = Context::default();
        let d = |precision, scale| DataType::Decimal { precision, scale };
        assert_eq!(tightest_common_type(&d(10, 2), &d(5, 4), &c), Some(d(12, 4)));
        assert_eq!(tightest_common_type(&d(10, 2), &DataType::Integer, &c), Some(d(12, 2)));
        assert_eq!(adjusted_decimal(76, 36, true), d(38, 6));
        assert_eq!(adjusted_decimal(39, 10, true), d(38, 9));
    }

    #[test]
    fn ansi_promotes_strings_to_the_other_type() {
        let c = Context::default();
        assert_eq!(wider_type(&DataType::STRING, &DataType::Integer, &c), Some(DataType::Long));
        assert_eq!(wider_type(&DataType::Date, &DataType::STRING, &c), Some(DataType::Date));
        let legacy = Context { ansi: false, ..c };
        assert_eq!(wider_type(&DataType::STRING, &DataType::Integer, &legacy), Some(DataType::STRING));
    }

    #[test]
    fn comparisons() {
        let c = Context::default();
        let legacy = Context { ansi: false, ..c.clone() };
        let string = DataType::STRING;
        assert_eq!(comparison_type(&string, &DataType::Integer, &c), Some(DataType::Long));
        assert_eq!(comparison_type(&string, &DataType::Integer, &legacy), Some(DataType::Integer));
        assert_eq!(comparison_type(&string, &DataType::Timestamp, &legacy), Some(DataType::Timestamp));
        assert_eq!(comparison_type(&DataType::Boolean, &DataType::Byte, &legacy), Some(DataType::Byte));
        assert_eq!(comparison_type(&DataType::Boolean, &DataType::Byte, &c), None);
        assert_eq!(comparison_type(&string, &DataType::DAY_TIME, &c), None);
        let ints = DataType::array(DataType::Integer, false);
        let strings = DataType::array(string, false);
        assert_eq!(comparison_type(&ints, &strings, &c), None);
        assert_eq!(wider_type(&ints, &strings, &c), Some(DataType::array(DataType::Long, true)));
    }
}
