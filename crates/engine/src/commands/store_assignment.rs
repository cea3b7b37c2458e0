//! Which types may be stored in a column of another type, and the casts that do it (`spark.sql.storeAssignmentPolicy`).

use arrow::array::{Array, StringArray};
use boathouse_delta::Lengths;
use boathouse_functions::cast::{self, Mode};
use boathouse_functions::{Inputs, Resolved, scalar_udf};
use boathouse_spec::{DataType, Error, Result, StructField, quote, quote_name};
use datafusion::common::metadata::FieldMetadata;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use crate::analyzer::{Analyzer, TypedExpr};
use crate::resolver::ResolvedTable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Ansi,
    Legacy,
    Strict,
}

impl Policy {
    pub fn of(analyzer: &Analyzer) -> Self {
        match analyzer.session.conf().get("spark.sql.storeAssignmentPolicy").as_deref() {
            Some(p) if p.eq_ignore_ascii_case("LEGACY") => Self::Legacy,
            Some(p) if p.eq_ignore_ascii_case("STRICT") => Self::Strict,
            _ => Self::Ansi,
        }
    }
}

/// A value as it is stored in a column of the table: cast, its length checked.
pub(super) fn assign(
    analyzer: &mut Analyzer,
    value: TypedExpr,
    column: &StructField,
    table: &ResolvedTable,
) -> Result<TypedExpr> {
    let policy = Policy::of(analyzer);
    let (name, path) = (table.display_name(), vec![column.name.clone()]);
    // NULL where it is forbidden inside of a value is found by Delta's constraints, which name the field.
    let target = match table.delta.is_some() {
        true => column.data_type.as_nullable(),
        false => column.data_type.clone(),
    };
    // Delta casts whatever can be cast (a string to a number), and the cast fails for values that are none.
    let leaves = match (table.delta.is_some(), policy) {
        (true, Policy::Ansi) => Leaves::AnyCast,
        _ => Leaves::By(policy),
    };
    if policy != Policy::Legacy {
        check(&value.data_type, &target, leaves, &name, &path)?;
    }
    let mode = if policy == Policy::Legacy { Mode::Legacy } else { Mode::Ansi };
    let name = value.name.clone();
    let differs = value.data_type != target;
    let castable = cast::can_cast(&value.data_type, &target, mode);
    // Types that differ by what may be NULL inside them are made the same where that is a promise less, not one more.
    let cast = if differs && (castable || !value.data_type.same_type(&target)) {
        analyzer.cast(value, &target, mode)?
    } else {
        value
    };
    let expr = tagged(cast.expr, &target);
    let cast = TypedExpr { expr, data_type: target, name, ..cast };
    // Delta keeps strings as they are given: it refuses what is too long, at any depth, and CHAR is padded when read.
    if table.delta.is_some() { Ok(cast) } else { limited(analyzer, cast, column) }
}

/// A literal VARIANT says that it is one, as a column would: its Arrow type is that of a struct.
fn tagged(expr: Expr, data_type: &DataType) -> Expr {
    match expr {
        Expr::Literal(value, None) if *data_type == DataType::Variant => {
            let field = boathouse_bridge::typed_field("", data_type, true);
            Expr::Literal(value, Some(FieldMetadata::from(&field)))
        }
        other => other,
    }
}

/// The type a column of a DataFrame is given before Delta appends it by name: the table's types for what the table has, at
/// any depth; what it has not stays as it is, for Delta to refuse or to add.
pub(super) fn appended_type(given: &DataType, table: &DataType) -> DataType {
    match (given, table) {
        (DataType::Struct(given), DataType::Struct(table)) => {
            let fields = given.fields.iter().map(|f| match table.field(&f.name) {
                Some(known) => {
                    StructField { data_type: appended_type(&f.data_type, &known.data_type), ..f.clone() }
                }
                None => f.clone(),
            });
            DataType::structure(fields.collect())
        }
        (DataType::Array { element, contains_null }, DataType::Array { element: known, .. }) => {
            DataType::array(appended_type(element, known), *contains_null)
        }
        (
            DataType::Map { key, value, value_contains_null },
            DataType::Map { key: known_key, value: known, .. },
        ) => DataType::map(appended_type(key, known_key), appended_type(value, known), *value_contains_null),
        (_, table) => table.clone(),
    }
}

/// The type a value of an INSERT is given before Delta takes it: by place the names and types of the column, at any depth. Fields
/// that the column has not stay, for Delta to refuse or to add, and so do types that it grows to.
pub(super) fn inserted_type(
    given: &DataType,
    column: &DataType,
    grows: &dyn Fn(&DataType, &DataType) -> bool,
) -> DataType {
    match (given, column) {
        (DataType::Struct(given), DataType::Struct(column)) => {
            let known = column.fields.iter().enumerate().map(|(i, to)| match given.fields.get(i) {
                Some(from) => StructField {
                    data_type: inserted_type(&from.data_type, &to.data_type, grows),
                    ..to.clone()
                },
                None => to.clone(),
            });
            DataType::structure(known.chain(given.fields.iter().skip(column.fields.len()).cloned()).collect())
        }
        (DataType::Array { element: from, .. }, DataType::Array { element: to, contains_null }) => {
            DataType::array(inserted_type(from, to, grows), *contains_null)
        }
        (
            DataType::Map { key: from_key, value: from, .. },
            DataType::Map { key: to_key, value: to, value_contains_null },
        ) => DataType::map(
            inserted_type(from_key, to_key, grows),
            inserted_type(from, to, grows),
            *value_contains_null,
        ),
        (given, column) if grows(column, given) => given.clone(),
        (_, column) => column.clone(),
    }
}

/// Which types below structs, arrays and maps may be stored as which.
#[derive(Clone, Copy)]
enum Leaves {
    By(Policy),
    AnyCast,
}

/// Whether the policy lets a type be stored as another; the error names the field that it does not.
fn check(from: &DataType, to: &DataType, leaves: Leaves, table: &str, path: &[String]) -> Result<()> {
    let inner = |name: &str| [path, &[name.to_string()]].concat();
    match (from, to) {
        (DataType::Struct(a), DataType::Struct(b)) => {
            if a.fields.len() < b.fields.len() && matches!(leaves, Leaves::AnyCast) {
                return Err(too_few_fields(a.fields.len(), b.fields.len(), table, path));
            }
            if a.fields.len() < b.fields.len() {
                let missing: Vec<_> = b.fields[a.fields.len()..].iter().map(|f| quote(&f.name)).collect();
                return Err(incompatible("STRUCT_MISSING_FIELDS", table, path)
                    .param("missingFields", missing.join(", "))
                    .message(format!(
                        "The struct written to {} of {table} lacks the fields {}.",
                        quote_name(path),
                        missing.join(", ")
                    )));
            }
            if a.fields.len() > b.fields.len() {
                let extra: Vec<_> = a.fields[b.fields.len()..].iter().map(|f| quote(&f.name)).collect();
                return Err(incompatible("EXTRA_STRUCT_FIELDS", table, path)
                    .param("extraFields", extra.join(", "))
                    .message(format!(
                        "The struct written to {} of {table} has the further fields {}.",
                        quote_name(path),
                        extra.join(", ")
                    )));
            }
            a.fields
                .iter()
                .zip(&b.fields)
                .try_for_each(|(x, y)| check(&x.data_type, &y.data_type, leaves, table, &inner(&y.name)))
        }
        (DataType::Array { element: a, .. }, DataType::Array { element: b, .. }) => {
            check(a, b, leaves, table, &inner("element"))
        }
        (DataType::Map { key: k, value: v, .. }, DataType::Map { key: l, value: w, .. }) => {
            check(k, l, leaves, table, &inner("key"))?;
            check(v, w, leaves, table, &inner("value"))
        }
        _ => match leaves {
            Leaves::AnyCast => Ok(()),
            Leaves::By(policy) if storable(from, to, policy) => Ok(()),
            Leaves::By(_) => Err(incompatible("CANNOT_SAFELY_CAST", table, path)
                .param("srcType", format!("\"{}\"", from.sql()))
                .param("targetType", format!("\"{}\"", to.sql()))
                .message(format!(
                    "{} of {table} is {}, and {} is not stored as that without an explicit CAST.",
                    quote_name(path),
                    to.sql(),
                    from.sql()
                ))),
        },
    }
}

/// What delta-spark says of structs that lack fields.
fn too_few_fields(given: usize, wanted: usize, table: &str, path: &[String]) -> Error {
    let column = path.join(".");
    Error::new("DELTA_INSERT_COLUMN_ARITY_MISMATCH")
        .param("tableName", table)
        .param("columnName", &column)
        .param("numColumns", wanted)
        .param("insertColumns", given)
        .message(format!("{column} of {table} has {wanted} fields, and the query gives {given}."))
        .exception("AnalysisException")
}

fn storable(from: &DataType, to: &DataType, policy: Policy) -> bool {
    if from == to || *from == DataType::Null || (from.is_string() && to.is_string()) {
        return true;
    }
    if policy == Policy::Strict {
        return cast::is_up_cast(from, to);
    }
    match (from, to) {
        (DataType::Udt { sql_type, .. }, to) => storable(sql_type, to, policy),
        (from, to) if from.is_numeric() && to.is_numeric() => true,
        (from, to) if to.is_string() => from.is_atomic() || *from == DataType::CalendarInterval,
        // A time and a date may be stored as each other by this rule, and are refused by the cast then.
        (from, to) if has_time(from) && has_time(to) => true,
        (DataType::YearMonthInterval { .. }, DataType::YearMonthInterval { .. })
        | (DataType::DayTimeInterval { .. }, DataType::DayTimeInterval { .. }) => true,
        _ => false,
    }
}

fn has_time(t: &DataType) -> bool {
    t.is_datetime() || matches!(t, DataType::Time { .. })
}

/// INCOMPATIBLE_DATA_FOR_TABLE.*
pub(super) fn incompatible(subclass: &str, table: &str, path: &[String]) -> Error {
    let error = Error::new(format!("INCOMPATIBLE_DATA_FOR_TABLE.{subclass}"))
        .param("tableName", table)
        .exception("AnalysisException");
    if path.is_empty() { error } else { error.param("colName", quote_name(path)) }
}

/// CHAR values are padded, and both CHAR and VARCHAR values that are too long lose trailing spaces or are refused, at any
/// depth.
fn limited(analyzer: &Analyzer, value: TypedExpr, column: &StructField) -> Result<TypedExpr> {
    let Some(lengths) = Lengths::of(column) else { return Ok(value) };
    // The lengths are part of the function's identity: two columns of other lengths are checked by other functions.
    let name = format!("char_varchar_write_side_check[{lengths:?}]");
    let input = match lengths {
        Lengths::Text { .. } => DataType::STRING,
        _ => value.data_type.clone(),
    };
    let resolved =
        Resolved::new(vec![input], value.data_type.clone(), value.nullable, move |inputs: &Inputs| {
            lengths.with_texts(&inputs.array(0)?, &fitted_texts)
        });
    let function = scalar_udf(&name, resolved, &analyzer.context);
    let expr = Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(
        function,
        vec![value.expr],
    ));
    Ok(TypedExpr { expr, ..value })
}

/// A value as a variable of the type holds it, which is as a column of a table does.
pub(super) fn fitted_value(value: ScalarValue, data_type: &DataType) -> Result<ScalarValue> {
    let (is_char, length) = match data_type {
        DataType::Char(n) => (true, *n as usize),
        DataType::Varchar(n) => (false, *n as usize),
        _ => return Ok(value),
    };
    match value {
        ScalarValue::Utf8(Some(text)) => fitted(&text, is_char, length).map(|t| ScalarValue::Utf8(Some(t))),
        other => Ok(other),
    }
}

/// A text as a column keeps it that is a CHAR or a VARCHAR.
pub(super) fn stored_text(column: &StructField, text: String) -> Result<String> {
    match Lengths::of(column) {
        Some(Lengths::Text { is_char, length }) => fitted(&text, is_char, length),
        _ => Ok(text),
    }
}

fn fitted_texts(texts: &StringArray, is_char: bool, length: usize) -> Result<StringArray> {
    let mut out: Vec<Option<String>> = Vec::with_capacity(texts.len());
    for text in texts {
        out.push(text.map(|t| fitted(t, is_char, length)).transpose()?);
    }
    Ok(StringArray::from(out))
}

fn fitted(text: &str, is_char: bool, length: usize) -> Result<String> {
    let count = text.chars().count();
    if count <= length {
        let padding = if is_char { length - count } else { 0 };
        return Ok(format!("{text}{}", " ".repeat(padding)));
    }
    let trimmed = text.trim_end_matches(' ');
    if trimmed.chars().count() > length {
        return Err(Error::new("EXCEED_LIMIT_LENGTH")
            .param("limit", length)
            .message(format!("A value is longer than the {length} characters that its column takes."))
            .exception("SparkRuntimeException"));
    }
    Ok(text.chars().take(length).collect())
}

/// An overflow of a cast on the way into a table names the column.
pub(crate) fn overflow_error(e: Error, columns: &[(StructField, DataType)], _table: &str) -> Error {
    if !e.is("CAST_OVERFLOW") && !e.is("NUMERIC_VALUE_OUT_OF_RANGE") {
        return e;
    }
    let parameter = |key: &str| e.parameters().iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let (source, target) = (parameter("sourceType"), parameter("targetType"));
    let found = columns.iter().find(|(field, from)| {
        let (from, to) = (format!("\"{}\"", from.sql()), format!("\"{}\"", field.data_type.sql()));
        match (&source, &target) {
            (Some(s), Some(t)) => *s == from && *t == to,
            _ => from != to && field.data_type.is_numeric(),
        }
    });
    match found {
        Some((field, from)) => Error::new("CAST_OVERFLOW_IN_TABLE_INSERT")
            .param("sourceType", format!("\"{}\"", from.sql()))
            .param("targetType", format!("\"{}\"", field.data_type.sql()))
            .param("columnName", quote(&field.name))
            .message(format!(
                "A value of the type {} does not fit the column {}, which is {}. Use try_cast where such values may be NULL.",
                from.sql(),
                quote(&field.name),
                field.data_type.sql()
            ))
            .exception("ArithmeticException"),
        None => e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansi_policy() {
        let ok = |a: &DataType, b: &DataType| storable(a, b, Policy::Ansi);
        assert!(ok(&DataType::Long, &DataType::Integer));
        assert!(ok(&DataType::Date, &DataType::Timestamp));
        assert!(ok(&DataType::Boolean, &DataType::STRING));
        assert!(!ok(&DataType::STRING, &DataType::Integer));
        assert!(!ok(&DataType::Boolean, &DataType::Integer));
        assert!(!ok(&DataType::array(DataType::Integer, true), &DataType::STRING));
    }

    #[test]
    fn lengths() {
        assert_eq!(fitted("ab", true, 3).unwrap(), "ab ");
        assert_eq!(fitted("ab  ", false, 3).unwrap(), "ab ");
        assert_eq!(fitted("abcd", false, 3).unwrap_err().class(), "EXCEED_LIMIT_LENGTH");
    }
}
