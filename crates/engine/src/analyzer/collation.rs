//! Which collation a call on strings has (Spark's `CollationTypeCoercion`): one that is written wins over that of a column,
//! and that over the default of a literal. Two that are written contradict each other; two of columns leave it open.

use std::collections::BTreeSet;

use boathouse_functions::collation::INDETERMINATE;
use boathouse_spec::{DataType, Error, Result};
use datafusion::logical_expr::Expr as DfExpr;

use super::Analyzer;
use super::analyzed::TypedExpr;
use super::error;

/// How much the collation of an expression weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum CollationStrength {
    /// A literal, or what has no string in it.
    #[default]
    Default,
    /// A column, a variable, a cast.
    Implicit,
    /// `COLLATE`.
    Explicit,
}

/// Whether a function's strings are to have one collation. Patterns, formats and names are not of the strings they stand
/// beside.
pub(super) fn unites(function: &str) -> bool {
    !matches!(
        function,
        "collate"
            | "collation"
            | "collation_key"
            | "like"
            | "ilike"
            | "rlike"
            | "regexp"
            | "regexp_like"
            | "regexp_count"
            | "regexp_extract"
            | "regexp_extract_all"
            | "regexp_instr"
            | "regexp_substr"
            | "split"
            | "named_struct"
            | "map"
            | "struct"
            | "sentences"
            | "from_json"
            | "from_csv"
            | "from_xml"
            | "get_json_object"
            | "cast"
            | "typeof"
            | "hash"
            | "xxhash64"
            | "left"
            | "right"
            | "substr"
            | "substring"
            | "repeat"
            | "format_string"
            | "printf"
    )
}

/// Whether a function looks for a string in another one.
fn searches(function: &str) -> bool {
    matches!(
        function,
        "contains"
            | "startswith"
            | "endswith"
            | "instr"
            | "locate"
            | "position"
            | "charindex"
            | "replace"
            | "translate"
            | "split_part"
            | "substring_index"
            | "trim"
            | "ltrim"
            | "rtrim"
            | "btrim"
    )
}

/// Whether a function compares its strings.
pub(super) fn compares(function: &str) -> bool {
    let others = matches!(
        function,
        "find_in_set"
            | "greatest"
            | "least"
            | "array_contains"
            | "array_position"
            | "array_remove"
            | "array_union"
            | "array_intersect"
            | "array_except"
            | "arrays_overlap"
            | "levenshtein"
            | "str_to_map"
    );
    others || searches(function)
}

/// The first argument whose collation the function does not search in: one that tells case but not accents apart (Spark's
/// `StringTypeNonCSAICollation`).
pub(super) fn refused_argument(function: &str, args: &[TypedExpr]) -> Option<usize> {
    if !searches(function) {
        return None;
    }
    let is_refused = |t: &DataType| match t {
        DataType::String { collation: Some(c) } => {
            let parts: Vec<&str> = c.split('_').collect();
            parts.contains(&"AI") && !parts.contains(&"CI")
        }
        _ => false,
    };
    args.iter().position(|a| is_refused(&a.data_type))
}

/// The strongest of the strings among the arguments.
pub(super) fn strength_of<'a>(args: impl IntoIterator<Item = &'a TypedExpr>) -> CollationStrength {
    args.into_iter()
        .filter(|a| collation_of(&a.data_type).is_some())
        .map(|a| a.collation)
        .max()
        .unwrap_or_default()
}

/// The collation of a string, or of the strings in an array.
fn collation_of(t: &DataType) -> Option<Option<&str>> {
    match t {
        DataType::String { collation } => Some(collation.as_deref()),
        DataType::Array { element, .. } => collation_of(element),
        _ => None,
    }
}

/// Whether strings of the type do not compare by their bytes.
pub(super) fn is_collated(t: &DataType) -> bool {
    matches!(t, DataType::String { collation: Some(c) } if c != INDETERMINATE)
}

/// Also inside of arrays and structs.
pub(super) fn holds_collated(t: &DataType) -> bool {
    match t {
        DataType::Array { element, .. } => holds_collated(element),
        DataType::Struct(s) => s.fields.iter().any(|f| holds_collated(&f.data_type)),
        other => is_collated(other),
    }
}

fn with_collation(t: &DataType, collation: Option<&str>) -> DataType {
    match t {
        DataType::String { .. } => DataType::String { collation: collation.map(str::to_string) },
        DataType::Array { element, contains_null } => DataType::Array {
            element: Box::new(with_collation(element, collation)),
            contains_null: *contains_null,
        },
        other => other.clone(),
    }
}

impl Analyzer {
    /// Gives the strings among the arguments one collation.
    pub(super) fn one_collation(&self, args: Vec<TypedExpr>) -> Result<Vec<TypedExpr>> {
        let strings = || args.iter().filter_map(|a| collation_of(&a.data_type).map(|c| (a, c)));
        if strings().all(|(_, c)| c.is_none()) || strings().count() < 2 {
            return Ok(args);
        }
        let strongest = strings().map(|(a, _)| a.collation).max().unwrap_or_default();
        let candidates: BTreeSet<Option<&str>> =
            strings().filter(|(a, _)| a.collation == strongest).map(|(_, c)| c).collect();
        let winner = match candidates.len() {
            1 => candidates.iter().next().copied().flatten().map(str::to_string),
            _ if strongest == CollationStrength::Explicit => return Err(explicit_mismatch(&candidates)),
            _ => Some(INDETERMINATE.to_string()),
        };
        Ok(args.into_iter().map(|a| recollated(a, winner.as_deref())).collect())
    }

    /// Fails where the collation of an operand is open.
    pub(super) fn determinate(&self, operands: &[&TypedExpr], shown: &str) -> Result<()> {
        let is_open = |t: &DataType| collation_of(t).flatten() == Some(INDETERMINATE);
        if !operands.iter().any(|o| is_open(&o.data_type)) {
            return Ok(());
        }
        Err(Error::new("INDETERMINATE_COLLATION_IN_EXPRESSION")
            .param("expr", format!("\"{shown}\""))
            .message(format!("The collation of \"{shown}\" is open: say which with COLLATE.")))
    }
}

/// The same value in another collation: the characters stay.
fn recollated(value: TypedExpr, collation: Option<&str>) -> TypedExpr {
    let Some(current) = collation_of(&value.data_type) else { return value };
    if current == collation {
        return value;
    }
    let is_literal = matches!(value.expr, DfExpr::Literal(..))
        && matches!(value.data_type, DataType::String { .. })
        && value.collation == CollationStrength::Default;
    let name = match (is_literal, collation) {
        (true, Some(c)) => format!("'{}' collate {c}", value.name),
        _ => value.name.clone(),
    };
    TypedExpr { data_type: with_collation(&value.data_type, collation), name, ..value }
}

fn explicit_mismatch(candidates: &BTreeSet<Option<&str>>) -> Error {
    let types: Vec<String> = candidates
        .iter()
        .map(|c| error::quoted(&DataType::String { collation: c.map(str::to_string) }))
        .collect();
    let types = types.join(", ");
    Error::new("COLLATION_MISMATCH.EXPLICIT")
        .param("explicitTypes", &types)
        .message(format!("The operands are in different explicit collations: [{types}]. Decide for one."))
}

impl Analyzer {
    /// Analyzes under the default collation of a view.
    pub(crate) fn under_collation<T>(
        &mut self,
        collation: Option<&str>,
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let default = match collation.map(boathouse_functions::collation::collated).transpose()? {
            Some(DataType::String { collation }) => collation,
            _ => None,
        };
        let saved = std::mem::replace(&mut self.default_collation, default);
        let result = analyze(self);
        self.default_collation = saved;
        result
    }

    /// STRING where no collation is written.
    pub(super) fn string_type(&self) -> DataType {
        DataType::String { collation: self.default_collation.clone() }
    }

    /// What rows are told apart by in a group, a partition or a set operation.
    pub(super) fn group_key(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        if !boathouse_functions::needs_grouping_key(&value.data_type) {
            return Ok(value);
        }
        let name = value.name.clone();
        Ok(self.builtin("grouping_key", vec![value])?.named(name))
    }

    /// What rows are sorted by where equal values have to be neighbours: two zeros are one, strings are as their collation says.
    pub(super) fn sort_key(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        match value.data_type {
            DataType::String { .. } => self.collation_key(value),
            _ => self.group_key(value),
        }
    }

    /// What values are compared by: strings in a collation, and what holds them, by keys, which have their order.
    pub(super) fn comparison_key(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        match &value.data_type {
            DataType::String { .. } => self.collation_key(value),
            t if holds_collated(t) => self.group_key(value),
            _ => Ok(value),
        }
    }

    /// What values of the type are grouped, joined and sorted by: strings in a collation by their keys.
    pub(super) fn collation_key(&mut self, value: TypedExpr) -> Result<TypedExpr> {
        match &value.data_type {
            DataType::String { collation: Some(c) } if c != INDETERMINATE => {
                let name = value.name.clone();
                Ok(self.builtin("collation_key", vec![value])?.named(name))
            }
            _ => Ok(value),
        }
    }
}
