//! The columns of a view: those that its query gives now, found by the names that it gave when the view was made, and under
//! the names, types and comments of that time (Spark's `SessionCatalog.fromCatalogTable`).

use boathouse_catalog::ViewSchemaMode;
use boathouse_functions::cast::{Mode, can_up_cast};
use boathouse_spec::{Error, Result, StructField, StructType, quote_name};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::column::same_name;

/// What is recorded with a view of its columns.
pub(super) struct RecordedColumns<'a> {
    pub schema: &'a StructType,
    /// The names in its query; none of a DataFrame, whose columns are found by their places.
    pub query_columns: &'a [String],
    /// How it follows changes; a temporary view does not.
    pub mode: Option<ViewSchemaMode>,
}

impl Analyzer {
    pub(super) fn under_recorded(
        &mut self,
        view: &[String],
        analyzed: Analyzed,
        recorded: &RecordedColumns,
    ) -> Result<Analyzed> {
        if recorded.schema.fields.is_empty() {
            if recorded.mode == Some(ViewSchemaMode::Evolution) {
                self.refuse_twice(&analyzed)?;
            }
            return Ok(analyzed);
        }
        let columns = self.recorded_columns(view, &analyzed, recorded)?;
        let mut pairs = Vec::with_capacity(columns.len());
        for (column, field) in columns.iter().zip(&recorded.schema.fields) {
            let value = self.as_recorded(column, field, recorded.mode)?;
            let mut attribute = self.attribute(&field.name, value.data_type.clone(), value.nullable);
            attribute.metadata.clone_from(&field.metadata);
            self.note_char(&attribute);
            pairs.push((value.expr, attribute));
        }
        self.project_pairs(analyzed, pairs)
    }

    /// For each column of the view the one of its query. Columns that came to the query since are passed over.
    fn recorded_columns(
        &self,
        view: &[String],
        analyzed: &Analyzed,
        recorded: &RecordedColumns,
    ) -> Result<Vec<Attribute>> {
        let (names, fields) = (recorded.query_columns, &recorded.schema.fields);
        if names.len() != fields.len() {
            if fields.len() != analyzed.output.len() {
                return Err(changed(view, "", fields.len(), &analyzed.output.iter().collect::<Vec<_>>()));
            }
            return Ok(analyzed.output.clone());
        }
        let same = |a: &str, b: &str| same_name(a, b, self.context.case_sensitive);
        let column_of = |(i, name): (usize, &String)| {
            let found: Vec<&Attribute> = analyzed.output.iter().filter(|a| same(&a.name, name)).collect();
            let wanted = names.iter().filter(|n| same(n, name)).count();
            let place = names[..i].iter().filter(|n| same(n, name)).count();
            match found.get(place) {
                Some(column) if found.len() == wanted => Ok((*column).clone()),
                _ => Err(changed(view, name, wanted, &found)),
            }
        };
        names.iter().enumerate().map(column_of).collect()
    }

    fn as_recorded(
        &mut self,
        column: &Attribute,
        field: &StructField,
        mode: Option<ViewSchemaMode>,
    ) -> Result<TypedExpr> {
        let value = column.typed();
        if value.data_type.same_type(&field.data_type) {
            return Ok(value);
        }
        match mode {
            Some(ViewSchemaMode::TypeEvolution | ViewSchemaMode::Evolution) => Ok(value),
            Some(ViewSchemaMode::Compensation) => self.cast(value, &field.data_type, Mode::Ansi),
            _ if can_up_cast(&value.data_type, &field.data_type) => {
                self.cast(value, &field.data_type, Mode::Ansi)
            }
            _ => Err(Error::new("CANNOT_UP_CAST_DATATYPE")
                .param("expression", &column.name)
                .param("sourceType", format!("\"{}\"", value.data_type.sql()))
                .param("targetType", format!("\"{}\"", field.data_type.sql()))
                .param("details", "")
                .message(format!(
                    "The view's column {} was a {}, and {} may not fit into it: cast it in the view's query, or make the view anew.",
                    field.name,
                    field.data_type.sql(),
                    value.data_type.sql()
                ))),
        }
    }

    /// A view that follows its query has a name once.
    fn refuse_twice(&self, analyzed: &Analyzed) -> Result<()> {
        let names: Vec<String> = analyzed.output.iter().map(|a| a.name.to_lowercase()).collect();
        match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            Some((_, name)) => Err(Error::new("COLUMN_ALREADY_EXISTS")
                .param("columnName", boathouse_spec::quote(name))
                .message(format!("The view's query gives the column {name} twice."))),
            None => Ok(()),
        }
    }
}

fn changed(view: &[String], column: &str, wanted: usize, found: &[&Attribute]) -> Error {
    let shown = quote_name(view);
    let found: Vec<&str> = found.iter().map(|a| a.name.as_str()).collect();
    Error::new("INCOMPATIBLE_VIEW_SCHEMA_CHANGE")
        .param("viewName", &shown)
        .param("colName", column)
        .param("expectedNum", wanted)
        .param("actualCols", format!("[{}]", found.join(",")))
        .param("suggestion", format!("CREATE OR REPLACE VIEW {}", view.join(".")))
        .message(format!(
            "The query of the view {shown} no longer gives the columns it was made with ({column}): make the view anew."
        ))
}
