//! Names of relations and columns: aliases, `toDF`, `withColumnsRenamed`, `drop`, `to(schema)`.

use boathouse_functions::cast::Mode;
use boathouse_spec::{DataType, Error, Expr, Relation, RelationNode, Result, StructField, StructType, quote};
use datafusion::logical_expr::Expr as DfExpr;

use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::{Analyzer, source_metadata};

impl Analyzer {
    pub(super) fn subquery_alias(
        &mut self,
        input: &Relation,
        alias: &str,
        qualifier: &[String],
        columns: &[String],
    ) -> Result<Analyzed> {
        let function = match input.node.as_ref() {
            RelationNode::TableFunction { name, .. } => Some(boathouse_spec::quote_name(name)),
            _ => None,
        };
        let input = self.relation(input)?;
        if let Some(function) =
            function.filter(|_| !columns.is_empty() && columns.len() != input.output.len())
        {
            return Err(Error::new("NUM_TABLE_VALUE_ALIASES_MISMATCH")
                .param("funcName", &function)
                .param("aliasesNum", columns.len())
                .param("outColsNum", input.output.len())
                .message(format!(
                    "{} names were given for the {} columns of {function}.",
                    columns.len(),
                    input.output.len()
                )));
        }
        let mut name = qualifier.to_vec();
        name.push(alias.to_string());
        let mut aliased = self.aliased(input, name)?;
        if !columns.is_empty() {
            aliased = self.with_column_names(aliased, columns, alias)?;
        }
        Ok(aliased)
    }

    /// `alias(a, b)`: all columns get new names.
    pub(super) fn with_column_names(
        &mut self,
        input: Analyzed,
        columns: &[String],
        alias: &str,
    ) -> Result<Analyzed> {
        if columns.len() != input.output.len() {
            return Err(Error::new("ASSIGNMENT_ARITY_MISMATCH")
                .param("numExpr", columns.len())
                .param("numTarget", input.output.len())
                .message(format!(
                    "{} names were given for the {} columns of `{alias}`.",
                    columns.len(),
                    input.output.len()
                )));
        }
        // The names are of the alias, as the columns were.
        let qualifiers: Vec<Vec<String>> = input.output.iter().map(|a| a.qualifier.clone()).collect();
        let names: Vec<Option<&String>> = columns.iter().map(Some).collect();
        let mut renamed = self.renamed(input, &names)?;
        for (column, qualifier) in renamed.output.iter_mut().zip(qualifiers) {
            column.qualifier = qualifier;
        }
        renamed.below = None;
        Ok(renamed)
    }

    /// The relation under a name: its columns can be reached by the name only.
    pub(super) fn aliased(&mut self, input: Analyzed, name: Vec<String>) -> Result<Analyzed> {
        let mut input = input;
        for a in input.output.iter_mut().chain(&mut input.hidden) {
            a.qualifier.clone_from(&name);
        }
        for column in input.plan_ids.values_mut().flatten() {
            column.attribute.qualifier.clone_from(&name);
        }
        // What lies below is no longer in sight, unless it is what a scan tells of its rows.
        let is_scan = input.below.is_none() && input.hidden.iter().all(source_metadata::is_part);
        input.below = None;
        if is_scan { Ok(input) } else { input.without_hidden() }
    }

    /// The same columns under other names, by position, where they get any. Identities change with the names, and a column that
    /// was given a name is no longer one of a table or an alias.
    fn renamed(&mut self, input: Analyzed, names: &[Option<&String>]) -> Result<Analyzed> {
        let pairs: Vec<(DfExpr, Attribute)> = input
            .output
            .clone()
            .into_iter()
            .zip(names)
            .map(|(a, name)| {
                let Some(name) = name else { return (a.column(), a) };
                let mut new = if a.name == **name { a.clone() } else { self.renewed(&a) };
                new.name.clone_from(name);
                new.qualifier.clear();
                self.note_char(&new);
                (a.column(), new)
            })
            .collect();
        let plan_ids = input.plan_ids.clone();
        let projected = self.project_pairs(input, pairs)?;
        Ok(Analyzed { plan_ids, ..projected })
    }

    pub(super) fn to_df(&mut self, input: &Relation, names: &[String]) -> Result<Analyzed> {
        let input = self.relation(input)?;
        if names.len() != input.output.len() {
            return Err(Error::new("ASSIGNMENT_ARITY_MISMATCH")
                .param("numExpr", names.len())
                .param("numTarget", input.output.len())
                .message(format!(
                    "toDF was given {} names for {} columns.",
                    names.len(),
                    input.output.len()
                )));
        }
        let names: Vec<Option<&String>> = names.iter().map(Some).collect();
        self.renamed(input, &names)
    }

    pub(super) fn rename_columns(
        &mut self,
        input: &Relation,
        renames: &[(String, String)],
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let mut names: Vec<Option<&String>> = vec![None; input.output.len()];
        for (from, to) in renames {
            for (name, column) in names.iter_mut().zip(&input.output) {
                let current = name.unwrap_or(&column.name);
                if current.eq_ignore_ascii_case(from) {
                    *name = Some(to);
                }
            }
        }
        self.renamed(input, &names)
    }

    pub(super) fn drop_columns(
        &mut self,
        input: &Relation,
        columns: &[Expr],
        names: &[String],
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let mut dropped: Vec<u64> = Vec::new();
        for name in names {
            dropped.extend(input.output.iter().filter(|a| a.name.eq_ignore_ascii_case(name)).map(|a| a.id));
        }
        for column in columns {
            // A column that is not there is no error.
            match self.expr(column, &input) {
                Ok(value) => {
                    if let DfExpr::Column(c) = &value.expr {
                        dropped.extend(
                            input.output.iter().filter(|a| a.internal_name() == c.name).map(|a| a.id),
                        );
                    }
                }
                Err(e) if e.is("UNRESOLVED_COLUMN") || e.is("CANNOT_RESOLVE_DATAFRAME_COLUMN") => {}
                Err(e) => return Err(e),
            }
        }
        if dropped.is_empty() {
            return Ok(input);
        }
        let pairs = input
            .output
            .iter()
            .filter(|a| !dropped.contains(&a.id))
            .map(|a| (a.column(), a.clone()))
            .collect();
        self.project_pairs(input, pairs)
    }

    /// `df.to(schema)`: columns by name, cast where that cannot fail, missing nullable ones NULL.
    pub(super) fn to_schema(&mut self, input: &Relation, schema: &StructType) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let mut pairs = Vec::with_capacity(schema.fields.len());
        for field in &schema.fields {
            let mut matching = input.output.iter().filter(|a| a.name.eq_ignore_ascii_case(&field.name));
            let value = match (matching.next(), matching.next()) {
                (Some(a), None) => self.reconciled(a.typed(), field, &field.name)?,
                (Some(_), Some(_)) => {
                    return Err(Error::new("AMBIGUOUS_COLUMN_OR_FIELD")
                        .param("name", quote(&field.name))
                        .param("n", 2)
                        .message(format!("Several columns are named {}.", field.name)));
                }
                (None, _) if field.nullable => {
                    let null = TypedExpr::new(
                        DfExpr::Literal(datafusion::scalar::ScalarValue::Null, None),
                        DataType::Null,
                        true,
                        &field.name,
                    );
                    self.cast(null, &field.data_type, Mode::Ansi)?
                }
                (None, _) => {
                    let known = super::column::candidates(&input);
                    return Err(Error::new("UNRESOLVED_COLUMN.WITH_SUGGESTION")
                        .param("objectName", quote(&field.name))
                        .param(
                            "proposal",
                            super::error::proposals(std::slice::from_ref(&field.name), &known).join(", "),
                        )
                        .message(format!("There is no column {}, and it may not be NULL.", field.name)));
                }
            };
            let mut attribute = self.attribute(&field.name, field.data_type.clone(), field.nullable);
            attribute.metadata.clone_from(&field.metadata);
            pairs.push((value.expr, attribute));
        }
        self.project_pairs(input, pairs)
    }

    fn reconciled(&mut self, value: TypedExpr, field: &StructField, path: &str) -> Result<TypedExpr> {
        if value.nullable && !field.nullable {
            return Err(Error::new("NULLABLE_COLUMN_OR_FIELD")
                .param("name", quote(path))
                .message(format!("{path} may be NULL, but the schema says it is not.")));
        }
        let compatible = boathouse_functions::cast::is_up_cast(&value.data_type, &field.data_type)
            || value.data_type.same_type(&field.data_type)
            || boathouse_functions::cast::can_store_assign(&value.data_type, &field.data_type)
            || matches!((&value.data_type, &field.data_type), (DataType::Struct(_), DataType::Struct(_)));
        if !compatible {
            return Err(Error::new("INVALID_COLUMN_OR_FIELD_DATA_TYPE")
                .param("name", quote(path))
                .param("type", super::error::quoted(&value.data_type))
                .param("expectedType", super::error::quoted(&field.data_type))
                .message(format!("{path} is {}, not {}.", value.data_type.sql(), field.data_type.sql())));
        }
        self.cast(value, &field.data_type, Mode::Ansi)
    }
}
