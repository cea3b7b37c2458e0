//! Names of relations and columns: aliases, `toDF`, `withColumnsRenamed`, `drop`, `to(schema)`.

use arrow::array::ArrayRef;
use boathouse_functions::cast::Mode;
use boathouse_functions::{Inputs, Resolved, scalar_udf};
use boathouse_spec::{
    DataType, Error, Expr, Name, Relation, RelationNode, Result, StructField, StructType, quote, quote_name,
};
use datafusion::logical_expr::Expr as DfExpr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::column::same_name;
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
            let mut attribute = self.attribute(&field.name, field.data_type.clone(), value.nullable);
            attribute.metadata.clone_from(&field.metadata);
            pairs.push((value.expr, attribute));
        }
        self.project_pairs(input, pairs)
    }

    /// The value as a column of the schema has it, with the fields of its structs by their names.
    fn reconciled(&self, value: TypedExpr, field: &StructField, path: &str) -> Result<TypedExpr> {
        let path = vec![path.to_string()];
        let layout =
            self.reconciled_type(&value.data_type, value.nullable, &field.data_type, field.nullable, &path)?;
        let value = if layout.same_type(&value.data_type) { value } else { self.with_layout(value, layout) };
        self.cast(value, &field.data_type, Mode::Ansi)
    }

    /// The type of a value once its structs have the fields that are expected, in their order, and below them the types that
    /// they have (Spark's `Project.reconcileColumnType`).
    fn reconciled_type(
        &self,
        from: &DataType,
        nullable: bool,
        to: &DataType,
        to_nullable: bool,
        path: &[String],
    ) -> Result<DataType> {
        if nullable && !to_nullable {
            return Err(may_be_null("NULLABLE_COLUMN_OR_FIELD", "name", path));
        }
        let inner = |name: &str| [path, &[name.to_string()]].concat();
        match (from, to) {
            (DataType::Struct(from), DataType::Struct(to)) => {
                let mut fields = Vec::with_capacity(to.fields.len());
                for wanted in &to.fields {
                    let data_type = self.reconciled_field(from, wanted, path)?;
                    fields.push(StructField::new(&wanted.name, data_type, wanted.nullable));
                }
                Ok(DataType::structure(fields))
            }
            (
                DataType::Array { element, contains_null },
                DataType::Array { element: wanted, contains_null: may_contain },
            ) => {
                if *contains_null && !may_contain {
                    let class = "NOT_NULL_CONSTRAINT_VIOLATION.ARRAY_ELEMENT";
                    return Err(may_be_null(class, "columnPath", path));
                }
                let path = inner("element");
                let element = self.reconciled_type(element, *contains_null, wanted, *may_contain, &path)?;
                Ok(DataType::array(element, *may_contain))
            }
            (
                DataType::Map { key, value, value_contains_null },
                DataType::Map { key: wanted_key, value: wanted, value_contains_null: may_contain },
            ) => {
                if *value_contains_null && !may_contain {
                    let class = "NOT_NULL_CONSTRAINT_VIOLATION.MAP_VALUE";
                    return Err(may_be_null(class, "columnPath", path));
                }
                let key = self.reconciled_type(key, false, wanted_key, false, &inner("key"))?;
                let path = inner("value");
                let value = self.reconciled_type(value, *value_contains_null, wanted, *may_contain, &path)?;
                Ok(DataType::map(key, value, *may_contain))
            }
            (from, to) => {
                let compatible = boathouse_functions::cast::is_up_cast(from, to)
                    || from.same_type(to)
                    || boathouse_functions::cast::can_store_assign(from, to);
                if compatible { Ok(from.clone()) } else { Err(does_not_fit(from, to, path)) }
            }
        }
    }

    /// The type of a field that is expected of a struct: one that may be NULL may be lacking.
    fn reconciled_field(&self, from: &StructType, wanted: &StructField, path: &[String]) -> Result<DataType> {
        let same = |f: &&StructField| same_name(&f.name, &wanted.name, self.context.case_sensitive);
        let named: Vec<&StructField> = from.fields.iter().filter(same).collect();
        let inner = [path, std::slice::from_ref(&wanted.name)].concat();
        match named.as_slice() {
            [] if wanted.nullable => Ok(wanted.data_type.clone()),
            [] => Err(unresolved_field(&wanted.name, path, from)),
            [field] => {
                let nullable = field.nullable;
                self.reconciled_type(&field.data_type, nullable, &wanted.data_type, wanted.nullable, &inner)
            }
            several => Err(Error::new("AMBIGUOUS_COLUMN_OR_FIELD")
                .param("name", quote_name(&inner))
                .param("n", several.len())
                .message(format!("{} fields are named {}.", several.len(), quote_name(&inner)))),
        }
    }

    /// The value with the fields of its structs as the layout has them.
    fn with_layout(&self, value: TypedExpr, layout: DataType) -> TypedExpr {
        let arrow = boathouse_bridge::arrow_type(&layout);
        // The type is part of the function's identity.
        let name = format!("reconciled_{}", layout.sql());
        let types = vec![value.data_type.clone()];
        let resolved = Resolved::new(
            types,
            layout.clone(),
            value.nullable,
            move |inputs: &Inputs| -> Result<ArrayRef> {
                boathouse_delta::conform_over(&inputs.array(0)?, None, &arrow)
            },
        );
        let function = scalar_udf(&name, resolved, &self.context);
        let expr = DfExpr::ScalarFunction(ScalarFunction::new_udf(function, vec![value.expr]));
        TypedExpr::new(expr, layout, value.nullable, value.name).with_collation(value.collation)
    }
}

/// A value that may be NULL where the schema has none.
fn may_be_null(class: &str, parameter: &str, path: &[String]) -> Error {
    let name = quote_name(path);
    Error::new(class)
        .param(parameter, &name)
        .message(format!("{name} may be NULL or hold a NULL, but the schema says it does not."))
}

fn does_not_fit(from: &DataType, to: &DataType, path: &[String]) -> Error {
    let name = quote_name(path);
    Error::new("INVALID_COLUMN_OR_FIELD_DATA_TYPE")
        .param("name", &name)
        .param("type", super::error::quoted(from))
        .param("expectedType", super::error::quoted(to))
        .message(format!("{name} is {}, not {}.", from.sql(), to.sql()))
}

fn unresolved_field(name: &str, path: &[String], from: &StructType) -> Error {
    let known: Vec<Name> = from.fields.iter().map(|f| vec![f.name.clone()]).collect();
    let proposal = super::error::proposals(&[name.to_string()], &known).join(", ");
    Error::new("UNRESOLVED_FIELD.WITH_SUGGESTION")
        .param("fieldName", quote(name))
        .param("columnPath", quote_name(path))
        .param("proposal", &proposal)
        .message(format!(
            "{} has no field {}, which may not be NULL. It has {proposal}.",
            quote_name(path),
            quote(name)
        ))
}
