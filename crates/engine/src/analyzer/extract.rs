//! Fields of structs, elements of arrays, values of maps.

use boathouse_spec::{Call, DataType, Error, Expr, Literal, Result, StructType};
use datafusion::logical_expr::lit;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, TypedExpr};
use super::error;
use super::project::is_call;

impl Analyzer {
    /// The field of a struct by its place: others may have its name.
    pub(super) fn field_at(&mut self, value: TypedExpr, s: &StructType, place: usize) -> Result<TypedExpr> {
        let field = &s.fields[place];
        // DataFusion finds fields by their names, and none by the empty one.
        if field.name.is_empty() || s.fields.iter().filter(|f| f.name == field.name).count() > 1 {
            let place = TypedExpr::new(lit(place as i32), DataType::Integer, false, place.to_string());
            return Ok(self.builtin("getstructfield", vec![value, place])?.named(&field.name));
        }
        let nullable = value.nullable || field.nullable;
        let strength = value.collation;
        let expr = datafusion::functions::core::expr_fn::get_field(value.expr, field.name.clone());
        Ok(TypedExpr::new(expr, field.data_type.clone(), nullable, &field.name).with_collation(strength))
    }

    /// `value.field`: a struct's field, every element's field of an array of structs, or a map's value.
    pub(super) fn field_of(&mut self, value: TypedExpr, field: &str) -> Result<TypedExpr> {
        let shown = format!("{}.{field}", value.name);
        match value.data_type.clone() {
            DataType::Struct(s) => {
                let found: Vec<usize> =
                    (0..s.fields.len()).filter(|i| s.fields[*i].name.eq_ignore_ascii_case(field)).collect();
                match found.as_slice() {
                    [place] => Ok(self.field_at(value, &s, *place)?.named(shown)),
                    [] => Err(no_such_field(field, &s)),
                    _ => Err(ambiguous_field(field, found.len())),
                }
            }
            DataType::Array { element, .. } if matches!(*element, DataType::Struct(_)) => {
                if let DataType::Struct(s) = element.as_ref()
                    && s.field(field).is_none()
                {
                    return Err(no_such_field(field, s));
                }
                let key = TypedExpr::new(lit(field), DataType::STRING, false, field);
                Ok(self.builtin("getarraystructfields", vec![value, key])?.named(shown))
            }
            DataType::Map { .. } => {
                let key = TypedExpr::new(lit(field), DataType::STRING, false, field);
                self.map_value(value, key).map(|v| v.named(shown))
            }
            // What is inside of NULL is NULL.
            DataType::Null => Ok(value.clone().named(format!("{}[{field}]", value.name))),
            other => Err(Error::new("INVALID_EXTRACT_BASE_FIELD_TYPE")
                .param("base", format!("\"{}\"", value.name))
                .param("other", error::quoted(&other))
                .message(format!("`{}` is {}, which has no field {field}.", value.name, other.sql()))),
        }
    }

    /// What something is taken out of. Beside it, of a written `array(a, b)` (and of one field of all its structs), whether
    /// each element may be NULL: the type of an array knows only whether any may.
    fn extracted_from(&mut self, expr: &Expr, over: &Analyzed) -> Result<(TypedExpr, Vec<bool>)> {
        match expr {
            Expr::Call(call) if call.name.len() == 1 && is_call(call, "array") => {
                let (array, nullable) = self.at(&call.origin, |a| a.array_of(call, over))?;
                Ok((self.null_where_left_out(array), nullable))
            }
            Expr::Extract { expr: array, extraction, origin } => {
                self.check_field_of_generator(array, extraction, over)?;
                let (array, elements) = self.extracted_from(array, over)?;
                let field_nullable = field_nullable(&array.data_type, extraction);
                let field = self.at(origin, |a| a.extract(array, &elements, extraction, over))?;
                let elements = match field_nullable {
                    Some(field) => elements.into_iter().map(|element| element || field).collect(),
                    None => Vec::new(),
                };
                Ok((self.null_where_left_out(field), elements))
            }
            other => Ok((self.expr(other, over)?, Vec::new())),
        }
    }

    fn array_of(&mut self, call: &Call, over: &Analyzed) -> Result<(TypedExpr, Vec<bool>)> {
        self.forbid_aggregate_syntax(call)?;
        let args = self.args(&call.args, over)?;
        let nullable = args.iter().map(|a| a.nullable).collect();
        Ok((self.builtin("array", args)?, nullable))
    }

    pub(super) fn extraction(&mut self, expr: &Expr, over: &Analyzed) -> Result<TypedExpr> {
        self.extracted_from(expr, over).map(|(value, _)| value)
    }

    /// `value[extraction]`; `elements` says which elements of the value may be NULL, where that is known.
    fn extract(
        &mut self,
        value: TypedExpr,
        elements: &[bool],
        extraction: &Expr,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        if let Expr::Literal(Literal::String(field)) = extraction
            && !matches!(value.data_type, DataType::Map { .. })
            && !is_array_of_values(&value.data_type)
        {
            return self.field_of(value, field);
        }
        let index = self.expr(extraction, over)?;
        let shown = format!("{}[{}]", value.name, index.name);
        match value.data_type {
            DataType::Array { .. } => {
                if !index.data_type.is_integral() && index.data_type != DataType::Null {
                    return Err(error::mismatch(
                        "UNEXPECTED_INPUT_TYPE",
                        &shown,
                        format!("the index must be INTEGRAL, not {}.", index.data_type.sql()),
                    )
                    .param("paramIndex", "second")
                    .param("requiredType", "\"INTEGRAL\"")
                    .param("inputSql", format!("\"{}\"", index.name))
                    .param("inputType", error::quoted(&index.data_type)));
                }
                let nullable = self.position(&index).and_then(|i| elements.get(i).copied());
                let element = self.builtin("getarrayitem", vec![value, index])?.named(shown);
                Ok(TypedExpr { nullable: nullable.unwrap_or(element.nullable), ..element })
            }
            DataType::Map { .. } => Ok(self.map_value(value, index)?.named(shown)),
            DataType::Null => Ok(value.named(shown)),
            DataType::Struct(_) => Err(Error::new("INVALID_EXTRACT_FIELD_TYPE")
                .param("extraction", format!("\"{}\"", index.name))
                .message(format!("A field of a struct is named by a text, not by {}.", index.name))),
            ref other => Err(Error::new("INVALID_EXTRACT_BASE_FIELD_TYPE")
                .param("base", format!("\"{}\"", value.name))
                .param("other", error::quoted(other))
                .message(format!("`{}` is {}: it is no array, map or struct.", value.name, other.sql()))),
        }
    }

    /// The position that a constant index means.
    fn position(&self, index: &TypedExpr) -> Option<usize> {
        match self.fold_if_constant(index)? {
            ScalarValue::Int8(Some(i)) => usize::try_from(i).ok(),
            ScalarValue::Int16(Some(i)) => usize::try_from(i).ok(),
            ScalarValue::Int32(Some(i)) => usize::try_from(i).ok(),
            ScalarValue::Int64(Some(i)) => usize::try_from(i).ok(),
            _ => None,
        }
    }

    fn map_value(&mut self, map: TypedExpr, key: TypedExpr) -> Result<TypedExpr> {
        let shown = format!("{}[{}]", map.name, key.name);
        if let DataType::Map { key: wanted, .. } = &map.data_type
            && boathouse_functions::coercion::implicit_cast(
                &key.data_type,
                &boathouse_functions::Want::Exact(wanted.as_ref().clone()),
                &self.context,
            )
            .is_none()
        {
            return Err(error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                &shown,
                format!("the key must be {}, not {}.", wanted.sql(), key.data_type.sql()),
            )
            .param("paramIndex", "second")
            .param("requiredType", error::quoted(wanted))
            .param("inputSql", format!("\"{}\"", key.name))
            .param("inputType", error::quoted(&key.data_type)));
        }
        self.builtin("getmapvalue", vec![map, key])
    }

    /// `withField`, `dropFields`, one after the other; the field may be nested: `a.b`.
    pub(super) fn update_fields(&mut self, expr: &Expr, over: &Analyzed) -> Result<TypedExpr> {
        let mut updates = Vec::new();
        let mut base = expr;
        while let Expr::UpdateField { expr, field, value } = base {
            updates.push((field, value));
            base = expr;
        }
        let base = self.expr(base, over)?;
        let mut updated = base.clone();
        let mut shown = Vec::with_capacity(updates.len());
        for (field, value) in updates.into_iter().rev() {
            let path = boathouse_sql::parse_name(field)?;
            let value = value.as_ref().map(|v| self.expr(v, over)).transpose()?;
            let update = shown_update(&updated.name, &path, value.as_ref().map(|v| v.name.as_str()));
            let adds = value.is_some() || path.len() > 1;
            shown.push((adds.then(|| path[0].to_lowercase()), update));
            let name = shown_updates(&base.name, &mut shown);
            updated = self.update_nested(updated, &path, value)?.named(name);
        }
        Ok(updated)
    }

    fn update_nested(
        &mut self,
        base: TypedExpr,
        path: &[String],
        value: Option<TypedExpr>,
    ) -> Result<TypedExpr> {
        let DataType::Struct(s) = base.data_type.clone() else {
            return Err(error::mismatch(
                "UNEXPECTED_INPUT_TYPE",
                &base.name,
                format!("a struct is needed, not {}.", base.data_type.sql()),
            )
            .param("paramIndex", "first")
            .param("requiredType", "\"STRUCT\"")
            .param("inputSql", format!("\"{}\"", base.name))
            .param("inputType", error::quoted(&base.data_type)));
        };
        let Some((first, rest)) = path.split_first() else {
            return Err(Error::internal("a field without a name"));
        };
        if s.field(first).is_none() && (value.is_none() || !rest.is_empty()) && !rest.is_empty() {
            return Err(no_such_field(first, &s));
        }
        let mut args = Vec::new();
        let mut replaced = false;
        let mut push = |name: &str, v: TypedExpr| {
            args.push(TypedExpr::new(lit(name), DataType::STRING, false, name));
            args.push(v);
        };
        for f in &s.fields {
            let current = self.field_of(base.clone(), &f.name)?;
            if !f.name.eq_ignore_ascii_case(first) {
                push(&f.name, current);
            } else if !rest.is_empty() {
                let inner = self.update_nested(current, rest, value.clone())?;
                push(&f.name, inner);
                replaced = true;
            } else if let Some(v) = &value {
                push(first, v.clone());
                replaced = true;
            }
        }
        if let Some(v) = value
            && !replaced
        {
            push(first, v);
        }
        if args.is_empty() {
            return Err(error::mismatch(
                "CANNOT_DROP_ALL_FIELDS",
                &base.name,
                "a struct keeps at least one field.".into(),
            ));
        }
        let made = self.builtin("named_struct", args)?;
        if !base.nullable {
            return Ok(made);
        }
        // A NULL struct stays NULL.
        let present = datafusion::logical_expr::Expr::IsNotNull(Box::new(base.expr));
        Ok(self.only_if(present, made))
    }
}

/// Whether a field may be NULL that is taken from all structs of an array; nothing where something else is taken.
fn field_nullable(array: &DataType, extraction: &Expr) -> Option<bool> {
    let DataType::Array { element, .. } = array else { return None };
    let (DataType::Struct(s), Expr::Literal(Literal::String(name))) = (element.as_ref(), extraction) else {
        return None;
    };
    s.field(name).map(|f| f.nullable)
}

/// An array of what has no fields.
fn is_array_of_values(t: &DataType) -> bool {
    matches!(t, DataType::Array { element, .. } if !matches!(**element, DataType::Struct(_)))
}

pub(super) fn no_such_field(field: &str, s: &boathouse_spec::StructType) -> Error {
    let fields = s.fields.iter().map(|f| boathouse_spec::quote(&f.name)).collect::<Vec<_>>().join(", ");
    Error::new("FIELD_NOT_FOUND")
        .param("fieldName", boathouse_spec::quote(field))
        .param("fields", &fields)
        .message(format!("There is no field `{field}` among {fields}."))
}

pub(super) fn ambiguous_field(field: &str, count: usize) -> Error {
    Error::new("AMBIGUOUS_REFERENCE_TO_FIELDS")
        .param("field", boathouse_spec::quote(field))
        .param("count", count)
        .message(format!("The struct has {count} fields named {field}."))
}

/// A change of a field as names show it; that of a nested one gives the struct around it another value.
fn shown_update(base: &str, path: &[String], value: Option<&str>) -> String {
    match path {
        [first, rest @ ..] if !rest.is_empty() => {
            let inner = format!("{base}.{first}");
            format!("WithField(update_fields({inner}, {}))", shown_update(&inner, rest, value))
        }
        _ => value.map_or("dropfield()".to_string(), |value| format!("WithField({value})")),
    }
}

/// All changes of a struct as its name shows them. Where nothing is dropped, the last value that a field gets hides those
/// before it (Spark's `OptimizeUpdateFields`); `updates` has the name of the field that gets a value.
fn shown_updates(base: &str, updates: &mut Vec<(Option<String>, String)>) -> String {
    if updates.iter().all(|(field, _)| field.is_some()) {
        let mut seen = std::collections::HashSet::new();
        let mut kept: Vec<_> =
            updates.drain(..).rev().filter(|(field, _)| seen.insert(field.clone())).collect();
        kept.reverse();
        *updates = kept;
    }
    let shown: Vec<&str> = updates.iter().map(|(_, update)| update.as_str()).collect();
    format!("update_fields({base}, {})", shown.join(", "))
}
