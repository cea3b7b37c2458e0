//! Names to columns (Spark's `AttributeSeq.resolve` and `ColumnResolutionHelper`).

use boathouse_connectors::METADATA_COLUMN;
use boathouse_spec::{Column, DataType, Name, Result, Star, quote_name};
use datafusion::logical_expr::{Expr as DfExpr, lit};

use super::analyzed::{Analyzed, Attribute, FrameColumn, TypedExpr};
use super::{Analyzer, error};

impl Analyzer {
    /// A column by name; outer queries are searched where the relation has none.
    pub(super) fn column(&mut self, column: &Column, over: &Analyzed) -> Result<TypedExpr> {
        if let Some(found) = self.lambda_parameter(&column.name)? {
            return Ok(found);
        }
        if let Some(found) = self.find_column(column, over)? {
            return Ok(found);
        }
        if let Some(found) = self.function_parameter(&column.name)? {
            return Ok(found);
        }
        if let Some(found) = self.outer_column(column)? {
            return Ok(found);
        }
        if let [name] = column.name.as_slice()
            && let Some(call) = self.call_without_parentheses(name)?
        {
            return Ok(call);
        }
        if let Some(found) = self.variable(&column.name)? {
            return Ok(found);
        }
        // Hive's name of what `grouping_id()` gives.
        if let [name] = column.name.as_slice()
            && name.eq_ignore_ascii_case("grouping__id")
            && self.grouping.is_some()
        {
            return Ok(self
                .expr(&boathouse_spec::Expr::call("grouping_id", Vec::new()), over)?
                .named("grouping__id"));
        }
        if let Some(id) = column.plan_id {
            return Err(boathouse_spec::Error::new("CANNOT_RESOLVE_DATAFRAME_COLUMN")
                .param("name", quote_name(&column.name))
                .message(format!(
                    "The column {} was taken from a DataFrame (plan {id}) that is no part of this one.",
                    quote_name(&column.name)
                )));
        }
        let mut known = candidates_by_name(over);
        if let Some(parameters) = self.function_parameters.last() {
            known.extend(parameters.keys().map(|p| vec![p.clone()]));
        }
        Err(error::unresolved_column(&column.name, &known))
    }

    /// A column of the relation itself, or of what lies hidden below it.
    pub(super) fn find_column(&mut self, column: &Column, over: &Analyzed) -> Result<Option<TypedExpr>> {
        if let Some(id) = column.plan_id {
            return self.find_dataframe_column(id, column, over);
        }
        let found = match match_name(&column.name, &over.output, self.context.case_sensitive)? {
            Some(found) => Some(found),
            None => match_name(&column.name, &over.hidden, self.context.case_sensitive)?,
        };
        let Some((attribute, rest)) = found else { return Ok(None) };
        if let Some(field) = self.metadata_field(&attribute, &rest, over) {
            return Ok(Some(field));
        }
        self.nested(as_written(&attribute, &column.name, &rest), &rest).map(Some)
    }

    /// `df.name`: a column of the DataFrame with that plan id, wherever in the relation it is.
    fn find_dataframe_column(
        &mut self,
        id: i64,
        column: &Column,
        over: &Analyzed,
    ) -> Result<Option<TypedExpr>> {
        let Some(columns) = over.plan_ids.get(&id) else {
            return Ok(None);
        };
        let is_named = |a: &Attribute| {
            column.name.iter().any(|part| same_name(part, &a.name, self.context.case_sensitive))
        };
        // What a projection above left out or made anew is not the DataFrame's any more.
        let is_there =
            |a: &Attribute| over.columns().any(|c| c.id == a.id) || self.metadata_fields.contains_key(&a.id);
        let mut found: Vec<&FrameColumn> =
            columns.iter().filter(|c| is_named(&c.attribute) && is_there(&c.attribute)).collect();
        found.sort_by_key(|c| c.depth);
        // Both sides of a self-join carry the same DataFrame: the nearer one is meant (`df.join(df.filter(..))`).
        for level in found.chunk_by(|a, b| a.depth == b.depth) {
            let level: Vec<Attribute> = level.iter().map(|c| c.attribute.clone()).collect();
            let matched = match_name(&column.name, &level, self.context.case_sensitive);
            let (attribute, rest) = match matched {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(_) => return Err(ambiguous_frame(&column.name)),
            };
            if let Some(field) = self.metadata_field(&attribute, &rest, over) {
                return Ok(Some(field));
            }
            return self.nested(as_written(&attribute, &column.name, &rest), &rest).map(Some);
        }
        Ok(None)
    }

    /// Follows the parts of a name after the column into its fields.
    pub(super) fn nested(&mut self, base: TypedExpr, fields: &[String]) -> Result<TypedExpr> {
        fields.iter().try_fold(base, |value, field| self.field_of(value, field))
    }

    /// A column of the query around; those further out are out of sight, as in Spark.
    fn outer_column(&mut self, column: &Column) -> Result<Option<TypedExpr>> {
        let Some(around) = self.outer.last() else { return Ok(None) };
        let Some((attribute, rest)) = match_name(&column.name, around, self.context.case_sensitive)? else {
            return Ok(None);
        };
        if let Some(used) = self.outer_used.last_mut() {
            used.push(attribute.clone());
        }
        let mut typed = attribute.typed();
        typed.expr = attribute.outer_column();
        let path: Vec<&str> =
            attribute.qualifier.iter().map(String::as_str).chain([typed.name.as_str()]).collect();
        typed.name = format!("outer({})", boathouse_spec::quote_path_if_needed(&path));
        let mut value = self.nested(typed, &rest)?;
        if let Some(field) = rest.last() {
            // Spark names a field before it is looked for outside.
            value.name = format!("{} AS {}", value.name, boathouse_spec::quote_if_needed(field));
        }
        Ok(Some(value))
    }

    /// The columns a star stands for.
    pub(super) fn expand_star(&mut self, star: &Star, over: &Analyzed) -> Result<Vec<TypedExpr>> {
        self.at(&star.origin, |a| a.columns_of_star(star, over))
    }

    fn columns_of_star(&mut self, star: &Star, over: &Analyzed) -> Result<Vec<TypedExpr>> {
        let mut out: Vec<TypedExpr> = match (&star.target, star.plan_id) {
            (None, None) => over.output.iter().map(Attribute::typed).collect(),
            (None, Some(id)) => match over.plan_ids.get(&id) {
                Some(columns) => {
                    let is_there = |c: &&FrameColumn| over.output.iter().any(|o| o.id == c.attribute.id);
                    let nearest = columns.iter().filter(is_there).map(|c| c.depth).min();
                    let mine = columns.iter().filter(is_there).filter(|c| Some(c.depth) == nearest);
                    mine.map(|c| c.attribute.typed()).collect()
                }
                None => over.output.iter().map(Attribute::typed).collect(),
            },
            (Some(target), _) => self.expand_target(target, over)?,
        };
        if !star.except.is_empty() {
            out = self.star_except(out, &star.except, over)?;
        }
        for (expr, name) in &star.replace {
            let value = self.expr(expr, over)?.named(name);
            match out.iter_mut().find(|c| c.name.eq_ignore_ascii_case(name)) {
                Some(column) => *column = value,
                None => return Err(error::unresolved_column(std::slice::from_ref(name), &candidates(over))),
            }
        }
        Ok(out)
    }

    fn expand_target(&mut self, target: &[String], over: &Analyzed) -> Result<Vec<TypedExpr>> {
        // The keys of USING joins come first, also where they are another side's (Spark's `UnresolvedStar.expand`).
        let keys = over.hidden.iter().filter(|a| a.qualified_only);
        let of_target = keys.chain(&over.output).filter(|a| qualifier_matches(&a.qualifier, target));
        let of_target: Vec<TypedExpr> = of_target.map(Attribute::typed).collect();
        if !of_target.is_empty() {
            return Ok(of_target);
        }
        let column = Column { name: target.to_vec(), ..Column::default() };
        // `_metadata.*` is no star: what `*` does not show is not expanded either.
        let is_metadata = target.iter().any(|part| part.eq_ignore_ascii_case(METADATA_COLUMN))
            && match_name(target, &over.output, self.context.case_sensitive)?.is_none();
        let found = match self.find_column(&column, over)? {
            Some(_) if is_metadata => None,
            Some(found) => Some(found),
            None => self.outer_column(&column)?,
        };
        match found {
            Some(value) => match value.data_type.clone() {
                DataType::Struct(s) => {
                    (0..s.fields.len()).map(|place| self.field_at(value.clone(), &s, place)).collect()
                }
                _ => Err(boathouse_spec::Error::new("_LEGACY_ERROR_TEMP_1050")
                    .param("attributes", format!("List({})", target.join(", ")))
                    .message(format!(
                        "Only structs have fields that a star stands for, which {} is not.",
                        target.join(".")
                    ))
                    .exception("AnalysisException")),
            },
            None => {
                let around = self.outer.last().into_iter().flatten();
                let names: Vec<Vec<String>> = around
                    .filter(|a| qualifier_matches(&a.qualifier, target))
                    .map(|a| a.qualifier.iter().chain([&a.name]).cloned().collect())
                    .collect();
                if names.is_empty() {
                    return Err(cannot_expand(target, over));
                }
                let mut columns = Vec::with_capacity(names.len());
                for name in names {
                    let own = name.last().cloned().unwrap_or_default();
                    let found = self.outer_column(&Column { name, ..Column::default() })?;
                    columns.push(found.ok_or_else(|| cannot_expand(target, over))?.named(own));
                }
                Ok(columns)
            }
        }
    }

    /// A star's columns without those that EXCEPT names, and its structs without the fields that EXCEPT names.
    fn star_except(
        &mut self,
        columns: Vec<TypedExpr>,
        except: &[Name],
        over: &Analyzed,
    ) -> Result<Vec<TypedExpr>> {
        let known: Vec<Attribute> = columns.iter().map(|c| self.column_of_star(c, over)).collect();
        let mut left_out: Vec<Vec<Name>> = vec![Vec::new(); columns.len()];
        for name in except {
            let Some((attribute, path)) = match_name(name, &known, self.context.case_sensitive)? else {
                return Err(error::unresolved_column(name, &full_names(&known)));
            };
            let wanted = attribute.repeats.unwrap_or(attribute.id);
            for ((column, known), paths) in columns.iter().zip(&known).zip(&mut left_out) {
                if known.repeats.unwrap_or(known.id) == wanted {
                    // Fails where there is no such field.
                    self.nested(column.clone(), &path)?;
                    paths.push(path.clone());
                }
            }
        }
        let mut kept = Vec::with_capacity(columns.len());
        for (column, paths) in columns.into_iter().zip(&left_out) {
            kept.extend(self.without_fields(column, paths)?);
        }
        Ok(kept)
    }

    /// What names in EXCEPT find a star's column by.
    fn column_of_star(&mut self, value: &TypedExpr, over: &Analyzed) -> Attribute {
        let column = match &value.expr {
            DfExpr::Column(c) => {
                over.columns().find(|a| a.internal_name() == c.name).map(Attribute::by_any_name)
            }
            _ => None,
        };
        column.unwrap_or_else(|| self.attribute(&value.name, value.data_type.clone(), value.nullable))
    }

    /// The value without the fields at the paths, an empty one of which means the whole of it. NULL becomes a struct of
    /// NULLs, as in Spark.
    fn without_fields(&mut self, value: TypedExpr, paths: &[Name]) -> Result<Option<TypedExpr>> {
        match paths {
            [] => return Ok(Some(value)),
            [path] if path.is_empty() => return Ok(None),
            several if several.iter().any(Vec::is_empty) => {
                return Err(boathouse_spec::Error::new("EXCEPT_OVERLAPPING_COLUMNS")
                    .param("columns", &value.name)
                    .message(format!("The EXCEPT list names {} more than once.", value.name)));
            }
            _ => {}
        }
        let DataType::Struct(fields) = value.data_type.clone() else {
            return Err(boathouse_spec::Error::new("EXCEPT_NESTED_COLUMN_INVALID_TYPE")
                .param("columnName", &value.name)
                .param("dataType", error::quoted(&value.data_type))
                .message(format!(
                    "EXCEPT takes fields out of structs only, and {} is {}.",
                    value.name,
                    value.data_type.sql()
                )));
        };
        let mut args = Vec::with_capacity(fields.fields.len() * 2);
        for (place, field) in fields.fields.iter().enumerate() {
            let inside: Vec<Name> = paths
                .iter()
                .filter_map(|path| path.split_first())
                .filter(|(first, _)| first.eq_ignore_ascii_case(&field.name))
                .map(|(_, rest)| rest.to_vec())
                .collect();
            let current = self.field_at(value.clone(), &fields, place)?;
            if let Some(kept) = self.without_fields(current, &inside)? {
                args.push(TypedExpr::new(lit(field.name.as_str()), DataType::STRING, false, &field.name));
                args.push(kept);
            }
        }
        let shown = value.name;
        Ok(Some(self.builtin("named_struct", args)?.named(shown)))
    }
}

/// A column goes by the name that was written, unless a field of it is meant.
fn as_written(attribute: &Attribute, name: &[String], fields: &[String]) -> TypedExpr {
    match (fields.is_empty(), name.last()) {
        (true, Some(written)) => attribute.typed().named(written),
        _ => attribute.typed(),
    }
}

fn ambiguous_frame(name: &[String]) -> boathouse_spec::Error {
    boathouse_spec::Error::new("AMBIGUOUS_COLUMN_REFERENCE").param("name", quote_name(name)).message(format!(
        "The column {} is ambiguous: its DataFrame is joined with itself. Give each side an alias and use the \
         names `alias.column`.",
        quote_name(name)
    ))
}

fn cannot_expand(target: &[String], over: &Analyzed) -> boathouse_spec::Error {
    let columns = quoted_names(over);
    boathouse_spec::Error::new("CANNOT_RESOLVE_STAR_EXPAND")
        .param("targetString", quote_name(target))
        .param("columns", &columns)
        .message(format!(
            "`{}.*` cannot be expanded: it is no table and no struct among {columns}.",
            target.join(".")
        ))
}

/// The names a message may propose.
pub(super) fn candidates(over: &Analyzed) -> Vec<Name> {
    full_names(&over.output)
}

pub(super) fn full_names(columns: &[Attribute]) -> Vec<Name> {
    columns.iter().map(|a| a.qualifier.iter().chain([&a.name]).cloned().collect()).collect()
}

/// [`candidates`] in the order of their names, as most of Spark's messages know them.
pub(super) fn candidates_by_name(over: &Analyzed) -> Vec<Name> {
    let mut known = candidates(over);
    known.sort_by(|a, b| a.last().cmp(&b.last()));
    known
}

/// The relation's columns for a message, in the order of their names.
pub(super) fn quoted_names(over: &Analyzed) -> String {
    let mut names: Vec<&String> = over.output.iter().map(|a| &a.name).collect();
    names.sort();
    names.into_iter().map(|n| boathouse_spec::quote(n)).collect::<Vec<_>>().join(", ")
}

/// Whether `target` is the qualifier or its last parts: `t`, `s.t` and `c.s.t` all mean `[c, s, t]`.
pub(super) fn qualifier_matches(qualifier: &[String], target: &[String]) -> bool {
    target.len() <= qualifier.len()
        && !target.is_empty()
        && qualifier[qualifier.len() - target.len()..]
            .iter()
            .zip(target)
            .all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// Whether two names are one, as `spark.sql.caseSensitive` says.
pub(super) fn same_name(a: &str, b: &str, case_sensitive: bool) -> bool {
    match case_sensitive {
        true => a == b,
        false => a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase(),
    }
}

/// The column a name means, and the parts of the name that are fields inside it. The longest qualifier wins:
/// `a.b.c` is column `c` of `a.b` before it is field `c` of column `b` of `a`.
pub(super) fn match_name(
    name: &[String],
    attributes: &[Attribute],
    case_sensitive: bool,
) -> Result<Option<(Attribute, Vec<String>)>> {
    let same = |a: &str, b: &str| same_name(a, b, case_sensitive);
    for qualifier_length in (0..name.len().min(4)).rev() {
        let (qualifier, rest) = name.split_at(qualifier_length);
        let mut found: Vec<&Attribute> = attributes
            .iter()
            .filter(|a| {
                let is_meant = match qualifier.is_empty() {
                    true => !a.qualified_only,
                    false => qualifier_matches(&a.qualifier, qualifier),
                };
                is_meant && same(&a.name, &rest[0])
            })
            .collect();
        found.dedup_by_key(|a| a.id);
        let mut ids: Vec<u64> = found.iter().map(|a| a.repeats.unwrap_or(a.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids.len() {
            0 => continue,
            1 => return Ok(Some((found[0].clone(), rest[1..].to_vec()))),
            _ => {
                let names: Vec<String> = found
                    .iter()
                    .map(|a| {
                        let mut full: Vec<&String> = a.qualifier.iter().collect();
                        full.push(&a.name);
                        quote_name(&full)
                    })
                    .collect();
                return Err(error::ambiguous(name, &names));
            }
        }
    }
    Ok(None)
}
