//! Which columns have statistics: `delta.dataSkippingStatsColumns` and `delta.dataSkippingNumIndexedCols`, as delta-spark's
//! `StatisticsCollection` takes them.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field};
use boathouse_spec::{DataType, Error, Result, StructType, quote_paths_if_needed};

use super::table::has_bounds;
use crate::action::Metadata;
use crate::data_file::FileLayout;
use crate::schema::is_variant;
use crate::schema::path::not_found;

pub(crate) const NAMED: &str = "delta.dataSkippingStatsColumns";
pub(crate) const NUMBER: &str = "delta.dataSkippingNumIndexedCols";

/// Leaf columns with statistics where the table does not say.
const DEFAULT_NUMBER: i64 = 32;

/// A leaf column; names are outermost first.
#[derive(Debug, Clone)]
pub(super) struct LeafColumn {
    pub name: Vec<String>,
    /// The name in files.
    pub path: Vec<String>,
    /// Whether statistics tell of its bounds, beside its NULLs.
    pub is_bounded: bool,
}

/// The leaf columns of a table's files that have statistics.
pub(super) fn leaves(metadata: &Metadata, layout: &FileLayout) -> Vec<LeafColumn> {
    let mut all = Vec::new();
    for (position, physical) in &layout.data {
        // Columns beside those of the table, such as row ids, are not in its schema.
        let Some(logical) = layout.logical.fields().get(*position) else { continue };
        collect(logical, physical, &mut Names::default(), &mut all);
    }
    match metadata.configuration.get(NAMED).map(|text| parse(text)) {
        Some(Some(wanted)) => {
            all.retain(|leaf: &LeafColumn| wanted.iter().any(|name| starts_with(&leaf.name, name)))
        }
        Some(None) => all.clear(),
        None => {
            let number = metadata.configuration.get(NUMBER).and_then(|v| v.parse::<i64>().ok());
            if let Ok(number) = usize::try_from(number.unwrap_or(DEFAULT_NUMBER)) {
                all.truncate(number);
            }
        }
    }
    all
}

/// Whether a column of a table has statistics.
pub(crate) fn are_gathered(metadata: &Metadata, schema: &StructType, name: &[String]) -> Result<bool> {
    let layout = FileLayout::new(schema, metadata)?;
    Ok(leaves(metadata, &layout).iter().any(|leaf| starts_with(&leaf.name, name)))
}

#[derive(Default)]
struct Names {
    logical: Vec<String>,
    physical: Vec<String>,
}

fn collect(logical: &Arc<Field>, physical: &Arc<Field>, names: &mut Names, out: &mut Vec<LeafColumn>) {
    names.logical.push(logical.name().clone());
    names.physical.push(physical.name().clone());
    match (logical.data_type(), physical.data_type()) {
        (ArrowType::Struct(a), ArrowType::Struct(b)) if !is_variant(physical) => {
            a.iter().zip(b).for_each(|(a, b)| collect(a, b, names, out));
        }
        // A variant may have bounds, though none are gathered.
        (_, t) => out.push(LeafColumn {
            name: names.logical.clone(),
            path: names.physical.clone(),
            is_bounded: has_bounds(t) || is_variant(physical),
        }),
    }
    names.logical.pop();
    names.physical.pop();
}

fn starts_with(name: &[String], prefix: &[String]) -> bool {
    name.len() >= prefix.len() && name.iter().zip(prefix).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// The column names of a list such as ``a, s.x, `b c` ``; `None` where it is none. No text is no columns.
pub(crate) fn parse(text: &str) -> Option<Vec<Vec<String>>> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let (mut all, mut name) = (Vec::new(), Vec::new());
    loop {
        let (part, after) = part(rest)?;
        name.push(part);
        rest = after.trim_start();
        match rest.chars().next() {
            Some('.') => rest = &rest[1..],
            Some(',') => {
                all.push(std::mem::take(&mut name));
                rest = rest[1..].trim_start();
            }
            None => {
                all.push(name);
                return Some(all);
            }
            Some(_) => return None,
        }
    }
}

/// One part of a name, and what comes after it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('`') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_string(), &text[end..]));
    };
    let (mut name, mut rest) = (String::new(), quoted);
    loop {
        let end = rest.find('`')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return (!name.is_empty()).then_some((name, rest)),
        }
    }
}

/// Refuses names that are no columns of the table, partition its files, are named twice or have no bounds
/// (`validateDeltaStatsColumns`).
pub(crate) fn check(metadata: &Metadata, schema: &StructType) -> Result<()> {
    let Some(names) = metadata.configuration.get(NAMED).and_then(|text| parse(text)) else { return Ok(()) };
    let mut seen: Vec<String> = Vec::new();
    for name in &names {
        let shown = name.join(".");
        if metadata.partition_columns.iter().any(|p| p.eq_ignore_ascii_case(&shown)) {
            return Err(Error::new("DELTA_COLUMN_DATA_SKIPPING_NOT_SUPPORTED_PARTITIONED_COLUMN")
                .param("column", &shown)
                .message(format!("The table is partitioned by {shown}: it needs no statistics of it."))
                .exception("IllegalArgumentException"));
        }
        let found = find(schema, name)?;
        if name.len() == 1 {
            refuse_unbounded(&shown, found)?;
        }
        note_leaves(&shown, found, &mut seen);
    }
    let mut twice: Vec<&String> =
        seen.iter().enumerate().filter(|(i, n)| seen[..*i].contains(n)).map(|(_, n)| n).collect();
    twice.dedup();
    if twice.is_empty() {
        return Ok(());
    }
    let twice = twice.into_iter().cloned().collect::<Vec<_>>().join(",");
    Err(Error::new("DELTA_DUPLICATE_DATA_SKIPPING_COLUMNS")
        .param("columns", &twice)
        .message(format!("{NAMED} names columns twice: {twice}."))
        .exception("IllegalArgumentException"))
}

fn refuse_unbounded(name: &str, t: &DataType) -> Result<()> {
    let is_bounded = matches!(t, DataType::Struct(_) | DataType::Variant | DataType::Null)
        || has_bounds(&boathouse_bridge::arrow_type(t));
    if is_bounded {
        return Ok(());
    }
    Err(Error::new("DELTA_COLUMN_DATA_SKIPPING_NOT_SUPPORTED_TYPE")
        .param("column", name)
        .param("type", t.sql())
        .message(format!("{name} of type {} has no bounds that would help to skip files.", t.sql()))
        .exception("IllegalArgumentException"))
}

fn note_leaves(name: &str, t: &DataType, seen: &mut Vec<String>) {
    match t {
        DataType::Struct(s) => {
            s.fields.iter().for_each(|f| note_leaves(&format!("{name}.{}", f.name), &f.data_type, seen));
        }
        _ => seen.push(name.to_string()),
    }
}

/// The type of a column by its path; elements of arrays and the sides of maps go by `element`, `key` and `value`.
fn find<'a>(schema: &'a StructType, name: &[String]) -> Result<&'a DataType> {
    let missing = || not_found(&name.join("."), schema);
    let (first, rest) = name.split_first().ok_or_else(missing)?;
    let mut found = &schema.field(first).ok_or_else(missing)?.data_type;
    for part in rest {
        found = match found {
            DataType::Struct(s) => &s.field(part).ok_or_else(missing)?.data_type,
            DataType::Array { element, .. } if part.eq_ignore_ascii_case("element") => element,
            DataType::Map { key, .. } if part.eq_ignore_ascii_case("key") => key,
            DataType::Map { value, .. } if part.eq_ignore_ascii_case("value") => value,
            DataType::Array { .. } => {
                return Err(missing_access("DELTA_INCORRECT_ARRAY_ACCESS_BY_NAME", name));
            }
            other => {
                return Err(Error::new("DELTA_COLUMN_PATH_NOT_NESTED")
                    .param("columnPath", name.join("."))
                    .param("other", other.sql())
                    .param("column", part)
                    .message(format!("{} is looked for in a column of type {}.", name.join("."), other.sql()))
                    .exception("AnalysisException"));
            }
        };
    }
    Ok(found)
}

fn missing_access(class: &str, name: &[String]) -> Error {
    Error::new(class)
        .param("rightName", "element")
        .param("wrongName", name.join("."))
        .message(format!("{} goes into an array, whose values are named `element`.", name.join(".")))
        .exception("AnalysisException")
}

/// The property after a column got another name (`renameDeltaStatsColumn`).
pub(crate) fn rename(metadata: &mut Metadata, old: &[String], new: &[String]) {
    change(metadata, |names| {
        for name in names.iter_mut().filter(|name| starts_with(name, old)) {
            *name = new.iter().chain(&name[old.len()..]).cloned().collect();
        }
    });
}

/// The property after columns were dropped (`dropDeltaStatsColumns`).
pub(crate) fn drop(metadata: &mut Metadata, dropped: &[Vec<String>]) {
    change(metadata, |names| names.retain(|name| !dropped.iter().any(|d| starts_with(name, d))));
}

/// Rewrites the property where that changes it; what a user has written otherwise stays as it is.
fn change(metadata: &mut Metadata, edit: impl FnOnce(&mut Vec<Vec<String>>)) {
    let Some(names) = metadata.configuration.get(NAMED).and_then(|text| parse(text)) else { return };
    let mut changed = names.clone();
    edit(&mut changed);
    if changed != names {
        metadata.configuration.insert(NAMED.to_string(), quote_paths_if_needed(&changed).join(","));
    }
}

#[cfg(test)]
mod tests {
    use boathouse_spec::StructField;

    use super::*;

    fn with(text: &str) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.configuration.insert(NAMED.into(), text.into());
        metadata
    }

    #[test]
    fn lists_of_names() {
        let names = |text: &str| parse(text).map(|all| all.iter().map(|n| n.join("|")).collect::<Vec<_>>());
        assert_eq!(names(""), Some(vec![]));
        assert_eq!(names(" a , s.x,`b c`.`d``e` "), Some(vec!["a".into(), "s|x".into(), "b c|d`e".into()]));
        for wrong in ["a,", "a,,b", "`a", "a b", "a.", ".a", "``"] {
            assert_eq!(names(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_checked() {
        let inner = StructType::new(vec![StructField::new("x", DataType::Integer, true)]);
        let schema = StructType::new(vec![
            StructField::new("a", DataType::Long, true),
            StructField::new("b", DataType::Binary, true),
            StructField::new("s", DataType::Struct(inner), true),
            StructField::new("p", DataType::Integer, true),
        ]);
        let class = |text: &str| {
            let metadata = Metadata { partition_columns: vec!["p".into()], ..with(text) };
            check(&metadata, &schema).err().map(|e| e.class().to_string()).unwrap_or_default()
        };
        assert_eq!(class("a, S.X"), "");
        assert_eq!(class("c"), "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA");
        assert_eq!(class("b"), "DELTA_COLUMN_DATA_SKIPPING_NOT_SUPPORTED_TYPE");
        assert_eq!(class("P"), "DELTA_COLUMN_DATA_SKIPPING_NOT_SUPPORTED_PARTITIONED_COLUMN");
        assert_eq!(class("s,s.x"), "DELTA_DUPLICATE_DATA_SKIPPING_COLUMNS");
        assert_eq!(class("a.x"), "DELTA_COLUMN_PATH_NOT_NESTED");
    }

    #[test]
    fn names_follow_columns() {
        let path = |text: &str| parse(text).unwrap().remove(0);
        let mut metadata = with("s.x.y, b");
        rename(&mut metadata, &path("s.x"), &path("s.`n w`"));
        assert_eq!(metadata.configuration[NAMED], "s.`n w`.y,b");
        drop(&mut metadata, &[path("s")]);
        assert_eq!(metadata.configuration[NAMED], "b");
        drop(&mut metadata, &[path("c")]);
        assert_eq!(metadata.configuration[NAMED], "b");
    }
}
