//! `update_fields`: what `withField` and `dropFields` become. And `normalizenanandzero`, for keys of grouping and joins.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result, StructField};
use datafusion::scalar::ScalarValue;

use super::extract::with_nulls;
use crate::comparison::normalize_floats;
use crate::scalar::conform;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["update_fields"], update_fields);
    r.scalar(&["normalizenanandzero"], |call| {
        call.arity(1..=1)?;
        let t = call.args[0].data_type.clone();
        Ok(Resolved::new(vec![t.clone()], t, call.any_nullable(), |i| Ok(normalize_floats(&i.array(0)?))))
    });
}

/// Where a field of the updated struct comes from.
#[derive(Clone, Copy)]
enum Source {
    Old(usize),
    Argument(usize),
}

/// `update_fields(struct, name, value, name, value, ...)`: fields are replaced or added; a value that is the argument
/// of a constant name with a NULL of no type and the name prefixed by `-` is dropped: `update_fields(s, '-a')` drops `a`.
fn update_fields(call: &Call) -> Result<Resolved> {
    let Some(first) = call.args.first() else {
        return Err(Error::internal("update_fields needs a struct"));
    };
    let DataType::Struct(s) = &first.data_type else {
        return Err(call.unexpected_input(0, "\"STRUCT\""));
    };
    let mut fields: Vec<(StructField, Source)> =
        s.fields.iter().cloned().enumerate().map(|(i, f)| (f, Source::Old(i))).collect();
    let same = |a: &str, b: &str| {
        if call.context.case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() }
    };
    let mut i = 1;
    while i < call.args.len() {
        let Some(ScalarValue::Utf8(Some(name))) = &call.args[i].constant else {
            return Err(Error::internal("the field names of update_fields are constant strings"));
        };
        if let Some(dropped) = name.strip_prefix('-') {
            fields.retain(|(f, _)| !same(&f.name, dropped));
            i += 1;
            continue;
        }
        let name = name.strip_prefix('+').unwrap_or(name);
        let Some(value) = call.args.get(i + 1) else {
            return Err(Error::internal("update_fields without a value"));
        };
        let updated = |old: &str| StructField::new(old, value.data_type.clone(), value.nullable);
        let mut found = false;
        for (field, source) in fields.iter_mut().filter(|(f, _)| same(&f.name, name)) {
            *field = updated(name);
            *source = Source::Argument(i + 1);
            found = true;
        }
        if !found {
            fields.push((updated(name), Source::Argument(i + 1)));
        }
        i += 2;
    }
    if fields.is_empty() {
        return Err(Error::new("DATATYPE_MISMATCH.CANNOT_DROP_ALL_FIELDS")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .message(format!("Cannot resolve \"{}\": a struct must keep a field.", call.sql())));
    }
    let (fields, sources): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let returned = DataType::structure(fields);
    let arrow = arrow_type(&returned);
    Ok(Resolved::new(call.types(), returned, first.nullable, move |inputs| {
        let ArrowType::Struct(fields) = &arrow else {
            return Err(Error::internal("a struct is a struct"));
        };
        let array = inputs.array(0)?;
        let old = array.as_struct();
        let columns = sources
            .iter()
            .zip(fields)
            .map(|(source, field)| {
                let column = match source {
                    Source::Old(i) => old.column(*i).clone(),
                    Source::Argument(i) => inputs.array(*i)?,
                };
                conform(
                    if field.is_nullable() { with_nulls(&column, old.nulls())? } else { column },
                    field.data_type(),
                )
            })
            .collect::<Result<Vec<_>>>()?;
        let out =
            StructArray::try_new_with_length(fields.clone(), columns, old.nulls().cloned(), inputs.rows())
                .spark()?;
        Ok(Arc::new(out))
    }))
}
