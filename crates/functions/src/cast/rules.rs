//! Which casts exist, and which of them can give NULL (Spark's `Cast`, `AnsiCast`, `UpCastRule`).

use boathouse_spec::{DataType, Error};

use super::Mode;
use crate::coercion::decimal_of;

/// Whether the cast exists at all.
pub fn can_cast(from: &DataType, to: &DataType, mode: Mode) -> bool {
    use DataType::*;
    let (from, to) = (stored(from), stored(to));
    if from == to {
        return true;
    }
    match (from, to) {
        (Null, _) => true,
        (_, Null) => false,
        (from, to) if from.is_spatial() || to.is_spatial() => spatial(from, to),
        (Variant, to) => crate::variant::castable(to),
        (from, Variant) => to_variant(from),
        (Array { element: f, contains_null: m }, Array { element: t, contains_null: n }) => {
            can_cast(f, t, mode) && (*n || !(*m || loses(f, t, mode)))
        }
        (
            Map { key: fk, value: fv, value_contains_null: m },
            Map { key: tk, value: tv, value_contains_null: n },
        ) => {
            can_cast(fk, tk, mode)
                && !loses(fk, tk, mode)
                && can_cast(fv, tv, mode)
                && (*n || !(*m || loses(fv, tv, mode)))
        }
        (Struct(f), Struct(t)) => {
            f.fields.len() == t.fields.len()
                && f.fields.iter().zip(&t.fields).all(|(a, b)| {
                    can_cast(&a.data_type, &b.data_type, mode)
                        && (b.nullable || !(a.nullable || loses(&a.data_type, &b.data_type, mode)))
                })
        }
        (_, t) if t.is_string() => true,
        (f, t) if f.is_string() => t.is_atomic() || *t == CalendarInterval,
        (f, t) => atomic(f, t, mode),
    }
}

/// A nested value that is not NULL may become NULL: not under ANSI, which fails instead, and not where there is none (VOID is
/// the type of the elements of an empty array).
fn loses(from: &DataType, to: &DataType, mode: Mode) -> bool {
    *from != DataType::Null && mode != Mode::Ansi && may_give_null(from, to, mode)
}

/// Values lose their own system to none, and change between plane and globe where they are in one.
fn spatial(from: &DataType, to: &DataType) -> bool {
    use DataType::{Geography, Geometry};
    match (from, to) {
        (Geometry { .. }, Geometry { srid: None }) | (Geography { .. }, Geography { srid: None }) => true,
        (Geometry { srid: a }, Geography { srid: b }) | (Geography { srid: a }, Geometry { srid: b }) => {
            a == b
        }
        _ => false,
    }
}

fn to_variant(from: &DataType) -> bool {
    use DataType::*;
    match from {
        Map { .. } | Struct(_) | CalendarInterval | YearMonthInterval { .. } | DayTimeInterval { .. } => {
            false
        }
        Array { element, .. } => to_variant(element),
        _ => true,
    }
}

fn atomic(from: &DataType, to: &DataType, mode: Mode) -> bool {
    use DataType::*;
    let legacy = mode == Mode::Legacy;
    match (from, to) {
        (Binary | CalendarInterval, _) => false,
        (Boolean, Timestamp) => legacy,
        (Boolean, to) => to.is_numeric(),
        (from, Boolean) if from.is_numeric() => true,
        (Timestamp | Date, Boolean) => legacy,
        (from, to) if from.is_numeric() && to.is_numeric() => true,
        (from, Timestamp) if from.is_numeric() => true,
        (Timestamp, to) if to.is_numeric() => true,
        (Date, to) if to.is_numeric() => legacy,
        (from, Binary) if from.is_integral() => legacy,
        (Date | Timestamp | TimestampNtz, Date | Timestamp | TimestampNtz) => true,
        (Time { .. }, Time { .. }) => true,
        (Time { .. }, to) => to.is_integral() || matches!(to, Decimal { .. }),
        (YearMonthInterval { .. }, YearMonthInterval { .. }) => true,
        (DayTimeInterval { .. }, DayTimeInterval { .. }) => true,
        (from, YearMonthInterval { .. } | DayTimeInterval { .. }) => {
            from.is_integral() || matches!(from, Decimal { .. })
        }
        (YearMonthInterval { .. } | DayTimeInterval { .. }, to) => {
            to.is_integral() || matches!(to, Decimal { .. })
        }
        _ => false,
    }
}

/// Whether a value of the type that is not NULL can become NULL, as Spark's schemas say (also where ANSI would fail).
pub fn may_give_null(from: &DataType, to: &DataType, mode: Mode) -> bool {
    use DataType::*;
    let (from, to) = (stored(from), stored(to));
    if from == to {
        return false;
    }
    if mode == Mode::Try {
        return match (from, to) {
            // Also where the whole type holds every value, as Spark says.
            (Decimal { .. }, t) if t.is_integral() => true,
            (f, Binary) if f.is_string() => false,
            _ => !can_up_cast(from, to),
        };
    }
    match (from, to) {
        (Null, _) | (Variant, _) => true,
        (Date, Variant) => true,
        (_, Variant) => from.is_string(),
        (f, t) if f.is_string() => !(t.is_string() || *t == Binary),
        (Float | Double, Timestamp) => true,
        (Float | Double, t) if t.is_integral() => true,
        (Decimal { .. }, t) if t.is_integral() => true,
        (Timestamp, Byte | Short | Integer) => true,
        (Time { .. }, Byte | Short) => true,
        (TimestampNtz, Date) | (Date, TimestampNtz) => true,
        (Date, t) if t.is_numeric() || *t == Boolean => true,
        (Boolean, Decimal { precision, scale }) => precision == scale,
        // More integral digits than before: only the fraction is cut.
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t })
            if i32::from(*q) - i32::from(*t) > i32::from(*p) - i32::from(*s) =>
        {
            false
        }
        (f, Decimal { .. }) if f.is_numeric() && !matches!(f, Float | Double) => !holds(to, f),
        (_, Decimal { .. }) => true,
        _ => false,
    }
}

/// Whether a decimal type holds every value of a number type.
fn holds(decimal: &DataType, number: &DataType) -> bool {
    match (decimal, decimal_of(number)) {
        (DataType::Decimal { precision, scale }, DataType::Decimal { precision: p, scale: s }) => {
            scale >= &s && i32::from(*precision) - i32::from(*scale) >= i32::from(p) - i32::from(s)
        }
        _ => false,
    }
}

/// Spark's up-cast: safe enough for `Dataset.as` and for implicit use (digits may be lost to FLOAT and DOUBLE).
pub fn can_up_cast(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let (from, to) = (stored(from), stored(to));
    match (from, to) {
        (f, t) if f == t => true,
        (Null, _) => true,
        (f, Decimal { .. }) if f.is_integral() || matches!(f, Decimal { .. }) => holds(to, f),
        (Decimal { .. }, t) if t.is_integral() => {
            let Decimal { precision: p, scale: s } = decimal_of(t) else { return false };
            matches!(from, Decimal { precision, scale } if *scale == 0 && precision + s <= p)
        }
        (f, t) if rank(f).is_some() && rank(t).is_some() => rank(f) <= rank(t),
        (Date, Timestamp | TimestampNtz) | (Timestamp, TimestampNtz) | (TimestampNtz, Timestamp) => true,
        (Timestamp, Long) | (Long, Timestamp) => true,
        (f, t) if f.is_spatial() || t.is_spatial() => spatial(f, t),
        (f, t) if t.is_string() => (f.is_atomic() && *f != Variant) || *f == CalendarInterval,
        (YearMonthInterval { .. }, YearMonthInterval { .. }) => true,
        (DayTimeInterval { .. }, DayTimeInterval { .. }) => true,
        (Array { element: f, contains_null: m }, Array { element: t, contains_null: n }) => {
            (*n || !m) && can_up_cast(f, t)
        }
        (
            Map { key: fk, value: fv, value_contains_null: m },
            Map { key: tk, value: tv, value_contains_null: n },
        ) => (*n || !m) && can_up_cast(fk, tk) && can_up_cast(fv, tv),
        (Struct(f), Struct(t)) => {
            f.fields.len() == t.fields.len()
                && f.fields
                    .iter()
                    .zip(&t.fields)
                    .all(|(a, b)| (b.nullable || !a.nullable) && can_up_cast(&a.data_type, &b.data_type))
        }
        _ => false,
    }
}

fn rank(t: &DataType) -> Option<u8> {
    Some(match t {
        DataType::Byte => 0,
        DataType::Short => 1,
        DataType::Integer => 2,
        DataType::Long => 3,
        DataType::Float => 4,
        DataType::Double => 5,
        _ => return None,
    })
}

/// Whether the cast can only widen: no error, no NULL, no loss, so that Arrow's own cast does the same.
pub fn is_up_cast(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (stored(from), stored(to)) {
        (f, t) if f == t => true,
        (Byte, Short | Integer | Long | Float | Double) => true,
        (Short, Integer | Long | Float | Double) => true,
        (Integer, Long | Double) => true,
        (Float, Double) => true,
        (f, Decimal { .. }) if f.is_integral() || matches!(f, Decimal { .. }) => holds(stored(to), f),
        _ => false,
    }
}

/// Whether INSERT may write a value of one type into a column of another (`ANSI` store assignment).
pub fn can_store_assign(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let (from, to) = (stored(from), stored(to));
    match (from, to) {
        (f, t) if f == t => true,
        (Null, _) => true,
        (f, t) if f.is_numeric() && t.is_numeric() => true,
        (f, t) if f.is_spatial() || t.is_spatial() => spatial(f, t),
        (f, t) if f.is_atomic() && *f != Variant && t.is_string() => true,
        (Date | Timestamp | TimestampNtz, Date | Timestamp | TimestampNtz) => true,
        (Time { .. }, Time { .. }) => true,
        (YearMonthInterval { .. }, YearMonthInterval { .. }) => true,
        (DayTimeInterval { .. }, DayTimeInterval { .. }) => true,
        (f, t) if f.is_string() && t.is_string() => true,
        (Array { element: f, contains_null: m }, Array { element: t, contains_null: n }) => {
            (*n || !m) && can_store_assign(f, t)
        }
        (
            Map { key: fk, value: fv, value_contains_null: m },
            Map { key: tk, value: tv, value_contains_null: n },
        ) => (*n || !m) && can_store_assign(fk, tk) && can_store_assign(fv, tv),
        (Struct(f), Struct(t)) => {
            f.fields.len() == t.fields.len()
                && f.fields.iter().zip(&t.fields).all(|(a, b)| {
                    a.name == b.name
                        && (b.nullable || !a.nullable)
                        && can_store_assign(&a.data_type, &b.data_type)
                })
        }
        _ => false,
    }
}

/// The type behind a user-defined one.
pub(super) fn stored(t: &DataType) -> &DataType {
    match t {
        DataType::Udt { sql_type, .. } => sql_type,
        other => other,
    }
}

/// The error of a cast that does not exist; `sql` is the text of the cast (`CAST(a AS INT)`).
pub fn type_error(from: &DataType, to: &DataType, mode: Mode, sql: &str) -> Error {
    let without_ansi = mode == Mode::Ansi && can_cast(from, to, Mode::Legacy);
    let function = match (stored(from), stored(to)) {
        (f, DataType::Date) if f.is_numeric() => Some("`DATE_FROM_UNIX_DATE`"),
        (DataType::Date, t) if t.is_numeric() => Some("`UNIX_DATE`"),
        // Inside of these `try_cast` takes the casts that exist without ANSI (Spark's `canTryCast`).
        (DataType::Array { .. }, DataType::Array { .. })
        | (DataType::Map { .. }, DataType::Map { .. })
        | (DataType::Struct(_), DataType::Struct(_))
            if without_ansi =>
        {
            Some("`try_cast`")
        }
        _ => None,
    };
    let error = |class: &str| {
        Error::new(class)
            .param("sqlExpr", format!("\"{sql}\""))
            .param("srcType", format!("\"{}\"", from.sql()))
            .param("targetType", format!("\"{}\"", to.sql()))
    };
    let what = format!("Cannot resolve \"{sql}\": \"{}\" cannot be cast to \"{}\"", from.sql(), to.sql());
    match function {
        Some(name) if mode != Mode::Legacy => error("DATATYPE_MISMATCH.CAST_WITH_FUNC_SUGGESTION")
            .param("functionNames", name)
            .message(format!("{what}. Use {name} instead.")),
        _ if without_ansi => error("DATATYPE_MISMATCH.CAST_WITH_CONF_SUGGESTION")
            .param("config", "\"spark.sql.ansi.enabled\"")
            .param("configVal", "'false'")
            .message(format!("{what} while \"spark.sql.ansi.enabled\" is on.")),
        _ => error("DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION").message(format!("{what}.")),
    }
}
