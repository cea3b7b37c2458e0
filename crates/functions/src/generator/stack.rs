//! `stack(n, a, b, c, ...)`: the values in n rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray, new_null_array};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result, StructField};

use super::{GeneratorCall, ResolvedGenerator};
use crate::collection::{ListItem, Picker};
use crate::mismatch::{not_constant, out_of_range, unexpected_null, whole_number};
use crate::{Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.generator(&["stack"], stack);
}

/// Rows of one call; more would only be NULLs of a plan too large to hold.
const MOST_ROWS: i64 = 1_000_000;

fn stack(c: &GeneratorCall) -> Result<ResolvedGenerator> {
    let call = &c.call;
    call.arity(2..=usize::MAX)?;
    let count = &call.args[0];
    if count.data_type != DataType::Integer {
        return Err(call.unexpected_input(0, "\"INT\""));
    }
    let rows = whole_number(count).ok_or_else(|| not_constant(call, 0, "n", "INT"))?;
    let rows = rows.ok_or_else(|| unexpected_null(call, "`n`"))?;
    if rows <= 0 {
        return Err(out_of_range(call, "`n`", "(0, 2147483647]", &rows.to_string()));
    }
    if rows > MOST_ROWS {
        return Err(Error::unsupported(format!("stack with {rows} rows")));
    }
    let rows = rows as usize;
    let values = &call.args[1..];
    let width = values.len().div_ceil(rows);
    let mut columns = Vec::with_capacity(width);
    for column in 0..width {
        let mut found: Option<(usize, DataType)> = None;
        for (i, arg) in values.iter().enumerate().skip(column).step_by(width) {
            match &found {
                _ if arg.data_type == DataType::Null => {}
                None => found = Some((i, arg.data_type.clone())),
                Some((first, t)) if !t.same_type(&arg.data_type) => {
                    return Err(Error::new("DATATYPE_MISMATCH.STACK_COLUMN_DIFF_TYPES")
                        .param("sqlExpr", format!("\"{}\"", call.sql()))
                        .param("columnIndex", column)
                        .param("leftParamIndex", first + 1)
                        .param("leftType", format!("\"{}\"", t.sql()))
                        .param("rightParamIndex", i + 1)
                        .param("rightType", format!("\"{}\"", arg.data_type.sql()))
                        .message(format!(
                            "Cannot resolve \"{}\": the values of column {column} have the types \"{}\" and \"{}\".",
                            call.sql(),
                            t.sql(),
                            arg.data_type.sql()
                        )));
                }
                Some(_) => {}
            }
        }
        let t = found.map_or(DataType::Null, |(_, t)| t);
        columns.push(StructField::new(format!("col{column}"), t, true));
    }
    let mut coerced = vec![DataType::Integer];
    coerced.extend((0..values.len()).map(|i| columns[i % width].data_type.clone()));
    let types: Vec<ArrowType> = columns.iter().map(|c| arrow_type(&c.data_type)).collect();
    let returned = DataType::array(DataType::structure(columns.clone()), false);
    let item = ListItem::of(&returned)?;
    let scalar = Resolved::new(coerced, returned, false, move |inputs| {
        let batch = inputs.rows();
        let values = (1..inputs.len()).map(|i| inputs.array(i)).collect::<Result<Vec<_>>>()?;
        let mut shape = Picker::with_capacity(batch);
        shape.reserve(batch.saturating_mul(rows))?;
        for _ in 0..batch {
            shape.pick_all(0, 0..rows);
            shape.row()?;
        }
        let columns = types
            .iter()
            .enumerate()
            .map(|(column, t)| {
                let none: ArrayRef = new_null_array(t, 1);
                let mut sources: Vec<&ArrayRef> = vec![&none];
                sources.extend(values.iter().skip(column).step_by(types.len()));
                let mut picker = Picker::with_capacity(batch);
                for row in 0..batch {
                    for line in 0..rows {
                        // A value that is missing at the end is NULL.
                        if line + 1 < sources.len() { picker.pick(line + 1, row) } else { picker.pick(0, 0) }
                    }
                }
                picker.values(&sources)
            })
            .collect::<Result<Vec<_>>>()?;
        let ArrowType::Struct(fields) = item.data_type() else {
            return Err(Error::internal("stacked rows are structs"));
        };
        let length = batch * rows;
        let structs = StructArray::try_new_with_length(fields.clone(), columns, None, length).spark()?;
        item.list(shape.offsets(), Arc::new(structs), None)
    });
    Ok(ResolvedGenerator { scalar, columns, struct_elements: true, outer: false })
}
