//! `array`, `map`, `named_struct`, `struct`: values made of values.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result, StructField};
use datafusion::scalar::ScalarValue;

use super::lists::{ListItem, Picker};
use super::map_build::MapMaker;
use crate::coercion::common_type;
use crate::scalar::conform;
use crate::{Arg, Call, Inputs, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["array"], array);
    r.scalar(&["map", "create_map"], map);
    r.scalar(&["named_struct"], named_struct);
    r.scalar(&["struct"], structure);
}

fn array(call: &Call) -> Result<Resolved> {
    let element = call.common_type(0)?;
    let returned = DataType::array(element.clone(), may_hold_null(call.args, &element, call));
    let item = ListItem::of(&returned)?;
    let coerced = vec![element; call.args.len()];
    Ok(Resolved::new(coerced, returned, false, move |inputs| {
        let columns = inputs.arrays()?;
        let mut picker = Picker::with_capacity(inputs.rows());
        picker.reserve(inputs.rows().saturating_mul(columns.len()))?;
        for row in 0..inputs.rows() {
            for source in 0..columns.len() {
                picker.pick(source, row);
            }
            picker.row()?;
        }
        if columns.is_empty() {
            let nothing = arrow::array::new_empty_array(item.data_type());
            return picker.finish(&[&nothing], &item);
        }
        picker.finish(&columns.iter().collect::<Vec<_>>(), &item)
    }))
}

/// Whether one of the values is, or may become by its cast, NULL.
fn may_hold_null(args: &[Arg], to: &DataType, call: &Call) -> bool {
    let mode = if call.context.ansi { crate::cast::Mode::Ansi } else { crate::cast::Mode::Legacy };
    args.iter().any(|a| {
        a.nullable || (!a.data_type.same_type(to) && crate::cast::may_give_null(&a.data_type, to, mode))
    })
}

fn map(call: &Call) -> Result<Resolved> {
    even_arguments(call)?;
    let (keys, values): (Vec<_>, Vec<_>) =
        call.args.chunks(2).map(|kv| (kv[0].clone(), kv[1].clone())).unzip();
    let common = |args: &[Arg], class: &str| {
        let types: Vec<DataType> = args.iter().map(|a| a.data_type.clone()).collect();
        common_type(&types, call.context).ok_or_else(|| {
            let types = types.iter().map(|t| format!("\"{}\"", t.sql())).collect::<Vec<_>>().join(", ");
            Error::new(format!("DATATYPE_MISMATCH.{class}"))
                .param("sqlExpr", format!("\"{}\"", call.sql()))
                .param("functionName", "`map`")
                .param("dataType", format!("[{types}]"))
                .message(format!(
                    "Cannot resolve \"{}\": the types [{types}] have no common type.",
                    call.sql()
                ))
        })
    };
    let key = common(&keys, "CREATE_MAP_KEY_DIFF_TYPES")?;
    let value = common(&values, "CREATE_MAP_VALUE_DIFF_TYPES")?;
    map_type_check(call, &key)?;
    let returned = DataType::map(key.clone(), value.clone(), may_hold_null(&values, &value, call));
    let coerced =
        (0..call.args.len()).map(|i| if i % 2 == 0 { key.clone() } else { value.clone() }).collect();
    let maker = MapMaker::new(&returned, call.context)?;
    let (no_keys, no_values) = (arrow_type(&key), arrow_type(&value));
    Ok(Resolved::new(coerced, returned, false, move |inputs| {
        let columns = inputs.arrays()?;
        let mut picker = Picker::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            for source in 0..columns.len() / 2 {
                picker.pick(source, row);
            }
            picker.row()?;
        }
        let nothing = [arrow::array::new_empty_array(&no_keys), arrow::array::new_empty_array(&no_values)];
        let every_second = |from: usize| -> Result<ArrayRef> {
            let sources: Vec<&ArrayRef> = columns.iter().skip(from).step_by(2).collect();
            if sources.is_empty() { Ok(Arc::clone(&nothing[from])) } else { picker.values(&sources) }
        };
        maker.make(picker.offsets(), every_second(0)?, every_second(1)?, None)
    })
    .shown_as("map"))
}

fn even_arguments(call: &Call) -> Result<()> {
    if call.args.len().is_multiple_of(2) {
        return Ok(());
    }
    Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
        .param("functionName", format!("`{}`", call.name))
        .param("expectedNum", "2n (n > 0)")
        .param("actualNum", call.args.len())
        .message(format!("`{}` takes an even number of arguments, not {}.", call.name, call.args.len())))
}

/// DATATYPE_MISMATCH.INVALID_MAP_KEY_TYPE where the keys would hold maps.
pub(crate) fn map_type_check(call: &Call, key: &DataType) -> Result<()> {
    fn holds_map(t: &DataType) -> bool {
        match t {
            DataType::Map { .. } | DataType::Variant => true,
            DataType::Array { element, .. } => holds_map(element),
            DataType::Struct(s) => s.fields.iter().any(|f| holds_map(&f.data_type)),
            _ => false,
        }
    }
    if !holds_map(key) {
        return Ok(());
    }
    Err(Error::new("DATATYPE_MISMATCH.INVALID_MAP_KEY_TYPE")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("keyType", format!("\"{}\"", key.sql()))
        .message(format!(
            "Cannot resolve \"{}\": the keys of a map must not be \"{}\".",
            call.sql(),
            key.sql()
        )))
}

fn named_struct(call: &Call) -> Result<Resolved> {
    even_arguments(call)?;
    let mut fields = Vec::new();
    let mut invalid = Vec::new();
    for pair in call.args.chunks(2) {
        match &pair[0].constant {
            Some(ScalarValue::Utf8(Some(name))) => {
                fields.push(StructField::new(name, pair[1].data_type.clone(), pair[1].nullable));
            }
            _ => invalid.push(format!("\"{}\"", pair[0].sql)),
        }
    }
    if !invalid.is_empty() {
        let invalid = format!("[{}]", invalid.join(", "));
        return Err(Error::new("DATATYPE_MISMATCH.CREATE_NAMED_STRUCT_WITHOUT_FOLDABLE_STRING")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("inputExprs", &invalid)
            .message(format!(
                "Cannot resolve \"{}\": the field names {invalid} must be constant strings.",
                call.sql()
            )));
    }
    Ok(struct_of(call.types(), fields, |i| 2 * i + 1))
}

/// `struct(a, b.c, 1)`: fields are named after columns, else `col1`, `col2`, ... by place. (A front end that knows
/// aliases calls `named_struct`.)
fn structure(call: &Call) -> Result<Resolved> {
    let fields = call.args.iter().enumerate().map(|(i, a)| {
        let name = column_name(&a.sql).unwrap_or_else(|| format!("col{}", i + 1));
        StructField::new(name, a.data_type.clone(), a.nullable)
    });
    Ok(struct_of(call.types(), fields.collect(), |i| i))
}

/// The last part of a column's name, where the SQL text is a name.
pub(super) fn column_name(sql: &str) -> Option<String> {
    let mut last = String::new();
    let mut quoted = false;
    let mut first = true;
    for c in sql.chars() {
        match c {
            '`' => quoted = !quoted,
            '.' if !quoted => {
                last.clear();
                first = true;
                continue;
            }
            c if quoted => last.push(c),
            c if c.is_alphabetic() || c == '_' || (c.is_numeric() && !first) => last.push(c),
            _ => return None,
        }
        first = false;
    }
    let is_constant = ["NULL", "true", "false"].contains(&last.as_str()) && !sql.contains('`');
    (!last.is_empty() && !quoted && !is_constant).then_some(last)
}

fn struct_of(
    coerced: Vec<DataType>,
    fields: Vec<StructField>,
    argument_of: impl Fn(usize) -> usize + Send + Sync + 'static,
) -> Resolved {
    let returned = DataType::structure(fields);
    let arrow = arrow_type(&returned);
    Resolved::new(coerced, returned, false, move |inputs: &Inputs| {
        let ArrowType::Struct(fields) = &arrow else {
            return Err(Error::internal("a struct is a struct"));
        };
        let columns = fields
            .iter()
            .enumerate()
            .map(|(i, f)| conform(inputs.array(argument_of(i))?, f.data_type()))
            .collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, None, inputs.rows()).spark()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_name_fields() {
        assert_eq!(column_name("a"), Some("a".into()));
        assert_eq!(column_name("t.`x y`"), Some("x y".into()));
        assert_eq!(column_name("(a + 1)"), None);
        assert_eq!(column_name("1"), None);
        assert_eq!(column_name("NULL"), None);
    }
}
