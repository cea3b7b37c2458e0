//! Values by the names of their fields, as UPDATE and MERGE of Delta assign them (`UpdateExpressionsSupport`).

use arrow::array::ArrayRef;
use boathouse_functions::{Inputs, Resolved, scalar_udf};
use boathouse_spec::{DataType, Error, Expr, Result, StructField, quote, quote_name};
use datafusion::logical_expr::expr::ScalarFunction;

use crate::analyzer::{Analyzer, TypedExpr};
use crate::commands::store_assignment::{assign, incompatible};
use crate::resolver::ResolvedTable;

/// What a struct may lack of the fields of its column.
pub(super) enum Lacking {
    /// Nothing.
    Refused,
    /// They are NULL.
    Null,
    /// They stay what they are in this, the column's value.
    Kept(TypedExpr),
}

/// A value as it is stored in a column of the table: fields by name in structs at any depth, then cast.
pub(super) fn assign_by_name(
    analyzer: &mut Analyzer,
    value: TypedExpr,
    column: &StructField,
    table: &ResolvedTable,
    lacking: Lacking,
) -> Result<TypedExpr> {
    if !fits(&value.data_type, &column.data_type, !matches!(lacking, Lacking::Refused)) {
        let (from, to) = (value.data_type.sql(), column.data_type.sql());
        return Err(Error::new("DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION")
            .param("fromCatalog", &from)
            .param("toCatalog", &to)
            .message(format!(
                "{from} does not go into {}, which is {to}: their nested fields must be the same.",
                quote(&column.name)
            ))
            .exception("AnalysisException"));
    }
    let layout = laid_out(&value.data_type, &column.data_type);
    let value = if layout.same_type(&value.data_type) {
        value
    } else {
        let below = match lacking {
            Lacking::Kept(below) => Some(below),
            Lacking::Refused | Lacking::Null => None,
        };
        rearranged(analyzer, value, below, layout)
    };
    assign(analyzer, value, column, table)
}

/// Whether a value goes into a column as it is, but for the order of fields and for fields that the column has not
/// (`SchemaUtils.isReadCompatible`).
pub(super) fn reads_as(
    given: &DataType,
    column: &DataType,
    grows: &dyn Fn(&DataType, &DataType) -> bool,
) -> bool {
    match (given, column) {
        (DataType::Struct(given), DataType::Struct(column)) => column.fields.iter().all(|to| {
            let from = given.fields.iter().find(|from| from.name == to.name);
            from.is_some_and(|from| reads_as(&from.data_type, &to.data_type, grows))
        }),
        (DataType::Array { element: from, .. }, DataType::Array { element: to, .. }) => {
            reads_as(from, to, grows)
        }
        (DataType::Map { key: k, value: v, .. }, DataType::Map { key: l, value: w, .. }) => {
            reads_as(k, l, grows) && reads_as(v, w, grows)
        }
        (given, column) => given.same_type(column) || grows(column, given),
    }
}

/// INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_FIND_DATA, where a value lacks a field that its column has, at any depth.
pub(super) fn check_fields_given(
    given: &DataType,
    column: &DataType,
    table: &str,
    path: &[String],
) -> Result<()> {
    let inner = |name: &str| [path, &[name.to_string()]].concat();
    match (given, column) {
        (DataType::Struct(given), DataType::Struct(column)) => column.fields.iter().try_for_each(|to| {
            let path = inner(&to.name);
            match given.field(&to.name) {
                Some(from) => check_fields_given(&from.data_type, &to.data_type, table, &path),
                None => Err(incompatible("CANNOT_FIND_DATA", table, &path)
                    .message(format!("The query gives no values for {} of {table}.", quote_name(&path)))),
            }
        }),
        (DataType::Array { element: from, .. }, DataType::Array { element: to, .. }) => {
            check_fields_given(from, to, table, &inner("element"))
        }
        (DataType::Map { key: k, value: v, .. }, DataType::Map { key: l, value: w, .. }) => {
            check_fields_given(k, l, table, &inner("key"))?;
            check_fields_given(v, w, table, &inner("value"))
        }
        _ => Ok(()),
    }
}

/// A value that [`reads_as`] its column, with the column's fields in their order and then those that it has not.
pub(super) fn in_order(analyzer: &Analyzer, value: TypedExpr, column: &DataType) -> TypedExpr {
    let layout = and_more(&value.data_type, column);
    if layout.same_type(&value.data_type) { value } else { rearranged(analyzer, value, None, layout) }
}

fn and_more(given: &DataType, column: &DataType) -> DataType {
    match (given, column) {
        (DataType::Struct(given), DataType::Struct(column)) => {
            let known = column.fields.iter().filter_map(|to| {
                let from = given.field(&to.name)?;
                Some(StructField { data_type: and_more(&from.data_type, &to.data_type), ..from.clone() })
            });
            let more = given.fields.iter().filter(|from| column.field(&from.name).is_none());
            DataType::structure(known.chain(more.cloned()).collect())
        }
        (DataType::Array { element: from, contains_null }, DataType::Array { element: to, .. }) => {
            DataType::array(and_more(from, to), *contains_null)
        }
        (DataType::Map { key: k, value: v, value_contains_null }, DataType::Map { key: l, value: w, .. }) => {
            DataType::map(and_more(k, l), and_more(v, w), *value_contains_null)
        }
        (given, _) => given.clone(),
    }
}

/// Whether structs have only fields that those of a column have, and all of them where none may be lacking.
fn fits(from: &DataType, to: &DataType, may_lack: bool) -> bool {
    match (from, to) {
        (DataType::Struct(a), DataType::Struct(b)) => {
            let known = a
                .fields
                .iter()
                .all(|x| b.field(&x.name).is_some_and(|y| fits(&x.data_type, &y.data_type, may_lack)));
            known && (may_lack || b.fields.iter().all(|y| a.field(&y.name).is_some()))
        }
        (DataType::Array { element: a, .. }, DataType::Array { element: b, .. }) => fits(a, b, may_lack),
        (DataType::Map { key: k, value: v, .. }, DataType::Map { key: l, value: w, .. }) => {
            fits(k, l, may_lack) && fits(v, w, may_lack)
        }
        _ => true,
    }
}

/// The type with the fields of a column in their order, and the types that it had below them.
fn laid_out(from: &DataType, to: &DataType) -> DataType {
    match (from, to) {
        (DataType::Struct(a), DataType::Struct(b)) => {
            let fields = b.fields.iter().map(|y| {
                let data_type = a
                    .field(&y.name)
                    .map_or_else(|| y.data_type.clone(), |x| laid_out(&x.data_type, &y.data_type));
                StructField::new(&y.name, data_type, true)
            });
            DataType::structure(fields.collect())
        }
        (DataType::Array { element: a, contains_null }, DataType::Array { element: b, .. }) => {
            DataType::array(laid_out(a, b), *contains_null)
        }
        (DataType::Map { key: k, value: v, value_contains_null }, DataType::Map { key: l, value: w, .. }) => {
            DataType::map(laid_out(k, l), laid_out(v, w), *value_contains_null)
        }
        _ => from.clone(),
    }
}

fn rearranged(
    analyzer: &Analyzer,
    value: TypedExpr,
    below: Option<TypedExpr>,
    layout: DataType,
) -> TypedExpr {
    let mut types = vec![value.data_type.clone()];
    types.extend(below.as_ref().map(|b| b.data_type.clone()));
    let arrow = boathouse_bridge::arrow_type(&layout);
    // The type is part of the function's identity.
    let name = format!("fields_by_name_{}", layout.sql());
    let resolved =
        Resolved::new(types, layout.clone(), value.nullable, move |inputs: &Inputs| -> Result<ArrayRef> {
            let below = if inputs.len() > 1 { Some(inputs.array(1)?) } else { None };
            boathouse_delta::conform_over(&inputs.array(0)?, below.as_ref(), &arrow)
        });
    let function = scalar_udf(&name, resolved, &analyzer.context);
    let arguments = std::iter::once(value.expr).chain(below.map(|b| b.expr)).collect();
    let expr = datafusion::logical_expr::Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments));
    TypedExpr {
        expr,
        data_type: layout,
        nullable: value.nullable,
        name: value.name,
        collation: value.collation,
    }
}

/// The value of a column in which one field is another. Where a struct was NULL it becomes one with that field.
pub(super) fn nested(current: Expr, data_type: &DataType, path: &[String], value: Expr) -> Result<Expr> {
    let [name, rest @ ..] = path else { return Ok(value) };
    let DataType::Struct(fields) = data_type else {
        return Err(Error::new("DELTA_UNSUPPORTED_FIELD_UPDATE_NON_STRUCT")
            .param("columnName", quote(name))
            .param("fieldName", quote(name))
            .param("dataType", data_type.sql())
            .message(format!(
                "Only fields of structs are set, and {} is in {}.",
                quote(name),
                data_type.sql()
            ))
            .exception("AnalysisException"));
    };
    let Some(set) = fields.field(name) else {
        let known = fields.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", ");
        return Err(Error::new("FIELD_NOT_FOUND")
            .param("fieldName", quote(name))
            .param("fields", &known)
            .message(format!("The struct has no field {}. It has {known}.", quote(name)))
            .exception("AnalysisException"));
    };
    let mut arguments = Vec::with_capacity(2 * fields.fields.len());
    for field in &fields.fields {
        let inner = current.clone().extract(Expr::string(field.name.as_str()));
        arguments.push(Expr::string(field.name.as_str()));
        arguments.push(if field.name == set.name {
            nested(inner, &field.data_type, rest, value.clone())?
        } else {
            inner
        });
    }
    Ok(Expr::call("named_struct", arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(fields: &[(&str, DataType)]) -> DataType {
        DataType::structure(fields.iter().map(|(n, t)| StructField::new(*n, t.clone(), true)).collect())
    }

    #[test]
    fn fields_are_set_inside_their_column() {
        let t = structure(&[("a", DataType::Integer), ("b", DataType::STRING)]);
        let set = |path: &str| nested(Expr::column(["s"]), &t, &[path.to_string()], Expr::string("x"));
        assert!(matches!(set("A").unwrap(), Expr::Call(_)));
        assert_eq!(set("c").unwrap_err().class(), "FIELD_NOT_FOUND");
    }

    #[test]
    fn structs_fit_by_name() {
        let (a, b) = (("a", DataType::Integer), ("b", DataType::STRING));
        let column = structure(&[a.clone(), b.clone()]);
        assert!(fits(&structure(&[b.clone(), a.clone()]), &column, false));
        assert!(
            !fits(&structure(std::slice::from_ref(&a)), &column, false)
                && fits(&structure(std::slice::from_ref(&a)), &column, true)
        );
        assert!(!fits(&structure(&[a.clone(), b.clone(), ("c", DataType::Date)]), &column, true));
        assert!(laid_out(&structure(&[b.clone(), a.clone()]), &column).same_type(&column));
        // What is inserted is looked at by name where all names and types are the column's.
        let (more, never) = (("c", DataType::Date), |_: &DataType, _: &DataType| false);
        let mixed = structure(&[b.clone(), more.clone(), a.clone()]);
        assert!(reads_as(&mixed, &column, &never));
        assert!(and_more(&mixed, &column).same_type(&structure(&[a, b.clone(), more])));
        assert!(!reads_as(&structure(&[("A", DataType::Integer), b.clone()]), &column, &never));
        assert!(!reads_as(&structure(&[("a", DataType::Long), b]), &column, &never));
    }
}
