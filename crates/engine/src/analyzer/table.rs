//! Tables, views and data sources by name or path.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use boathouse_functions::cast::Mode;
use boathouse_spec::{Command, DataSourceRef, Error, Expr, Plan, Result, StructType, TableRef};
use datafusion::logical_expr::Expr as DfExpr;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, project};
use crate::resolver::{self, Resolution, ResolvedTable, ResolvedView};
use crate::temp_views::TempView;

impl Analyzer {
    pub(super) fn table(&mut self, table: &TableRef) -> Result<Analyzed> {
        let mut table = table.clone();
        if let Some(identifier) = &table.identifier {
            table.name = self.identifier(identifier)?;
        }
        if let [name] = table.name.as_slice()
            && table.time_travel.is_none()
            && let Some(found) = self.common_table(name)?
        {
            return Ok(found);
        }
        let session = Arc::clone(&self.session);
        let environment = self.environment.clone();
        let namespace = self.namespace.clone();
        let time_travel = self.time_travel(&table)?;
        let resolution = self.wait(async {
            resolver::resolve(&session, &table, time_travel.as_ref(), environment.as_ref(), &namespace).await
        })?;
        match resolution {
            Resolution::TempView(view) => self.temp_view(&table, &view),
            Resolution::View(view) => self.view(&table, &view),
            Resolution::Table(resolved) => {
                let mut analyzed = self.scan(&resolved, None)?;
                analyzed.is_streaming = table.is_streaming;
                Ok(analyzed)
            }
        }
    }

    /// The version or time that is wanted, as a value.
    fn time_travel(&mut self, table: &TableRef) -> Result<Option<resolver::TimeTravelValue>> {
        use boathouse_spec::TimeTravel as T;
        Ok(match &table.time_travel {
            None => None,
            Some(T::Version(e)) => {
                let (value, data_type) = self.constant(e)?;
                Some(resolver::TimeTravelValue::version(&value, &data_type)?)
            }
            Some(T::Timestamp(e)) => {
                let one = Analyzed::one_row()?;
                let typed = self.expr(e, &one)?;
                let typed = self.cast(typed, &boathouse_spec::DataType::Timestamp, Mode::Ansi)?;
                Some(resolver::TimeTravelValue::timestamp(&self.fold(&typed)?)?)
            }
        })
    }

    /// A resolved table as a relation.
    pub(crate) fn scan(&mut self, table: &ResolvedTable, alias: Option<&str>) -> Result<Analyzed> {
        let scanned = super::values::scan(Arc::clone(&table.provider))?;
        let mut output = Vec::with_capacity(table.schema.fields.len());
        let mut list = Vec::with_capacity(table.schema.fields.len());
        let qualifier = match alias {
            Some(a) => vec![a.to_string()],
            None => table.qualifier.clone(),
        };
        for (i, f) in table.schema.fields.iter().enumerate() {
            let mut a = self.attribute(&f.name, f.data_type.clone(), f.nullable);
            a.metadata.clone_from(&f.metadata);
            a.qualifier.clone_from(&qualifier);
            let column = DfExpr::Column(datafusion::common::Column::new_unqualified(scanned.schema().field(i).name()));
            list.push(super::project::named(column, &a));
            output.push(a);
        }
        Ok(Analyzed::new(project(list, scanned)?, output))
    }

    fn temp_view(&mut self, table: &TableRef, view: &TempView) -> Result<Analyzed> {
        let name = table.name.last().cloned().unwrap_or_default();
        let environment = match &view.environment {
            Some(e) => Some(Arc::clone(e)),
            None => self.environment.clone(),
        };
        let analyzed = self.inside_view(&name, environment, view.namespace.clone(), |analyzer| analyzer.query(&view.relation))?;
        let analyzed = self.under_schema(analyzed, &view.schema)?;
        self.aliased(analyzed, vec![name])
    }

    fn view(&mut self, table: &TableRef, view: &ResolvedView) -> Result<Analyzed> {
        let name = view.qualifier.join(".");
        let plan = boathouse_sql::parse_statement(&view.text, &self.session.conf().parser_options())?;
        let Plan::Query(relation) = plan else {
            return Err(Error::internal(format!("the view {name} is no query")));
        };
        let _ = table;
        let analyzed = self.inside_view(&name, None, view.namespace.clone(), |analyzer| analyzer.query(&relation))?;
        let analyzed = self.under_schema(analyzed, &view.schema)?;
        self.aliased(analyzed, view.qualifier.clone())
    }

    /// Analyzes a view's query: names mean what they meant to the view, and nothing around it is in sight.
    fn inside_view<T>(
        &mut self,
        name: &str,
        environment: Option<crate::temp_views::Environment>,
        namespace: (String, String),
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if self.expanding.len() >= 100 {
            return Err(Error::new("VIEW_EXCEED_MAX_NESTED_DEPTH")
                .param("viewName", boathouse_spec::quote(name))
                .param("maxNestedDepth", 100)
                .message(format!("The view {name} reads views more than 100 levels deep.")));
        }
        self.expanding.push(name.to_string());
        let saved_environment = std::mem::replace(&mut self.environment, environment);
        let saved_namespace = std::mem::replace(&mut self.namespace, namespace);
        let tables = std::mem::take(&mut self.tables);
        let outer = std::mem::take(&mut self.outer);
        let windows = std::mem::take(&mut self.windows);
        let parameters = std::mem::take(&mut self.function_parameters);
        let lambdas = std::mem::take(&mut self.lambda_parameters);
        let result = analyze(self);
        self.lambda_parameters = lambdas;
        self.function_parameters = parameters;
        self.windows = windows;
        self.outer = outer;
        self.tables = tables;
        self.namespace = saved_namespace;
        self.environment = saved_environment;
        self.expanding.pop();
        result
    }

    /// A view's columns as recorded at its creation: names and comments, types by cast.
    fn under_schema(&mut self, analyzed: Analyzed, schema: &StructType) -> Result<Analyzed> {
        if schema.fields.is_empty() {
            return Ok(analyzed);
        }
        if schema.fields.len() != analyzed.output.len() {
            return Err(Error::new("INCOMPATIBLE_VIEW_SCHEMA_CHANGE")
                .param("viewName", "")
                .param("colName", "")
                .param("expectedNum", schema.fields.len())
                .param("actualCols", analyzed.schema().names().join(","))
                .param("suggestion", "CREATE OR REPLACE VIEW")
                .message("The view's query no longer gives the columns it was created with; create it anew."));
        }
        let mut pairs = Vec::new();
        for (a, f) in analyzed.output.clone().iter().zip(&schema.fields) {
            let value = if a.data_type.same_type(&f.data_type) { a.typed() } else { self.implicit(a.typed(), &f.data_type)? };
            let mut attribute = self.attribute(&f.name, value.data_type.clone(), value.nullable);
            attribute.metadata.clone_from(&f.metadata);
            pairs.push((value.expr, attribute));
        }
        self.project_pairs(analyzed, pairs)
    }

    pub(super) fn data_source(&mut self, source: &DataSourceRef) -> Result<Analyzed> {
        let session = Arc::clone(&self.session);
        let context = self.context.clone();
        let resolved = self.wait(async { resolver::open_source(&session, source, &context).await })?;
        let mut analyzed = self.scan(&resolved, None)?;
        analyzed.is_streaming = source.is_streaming;
        Ok(analyzed)
    }

    pub(super) fn cached_remote(&mut self, id: &str) -> Result<Analyzed> {
        match self.session.remote(id) {
            Some(relation) => self.relation(&relation),
            None => Err(Error::new("CONNECT_INVALID_PLAN.DATAFRAME_NOT_FOUND")
                .param("dfId", id)
                .message(format!("There is no cached DataFrame {id} in this session."))),
        }
    }

    /// Runs a command and gives its rows as a relation.
    pub(super) fn command_result(&mut self, command: &Command) -> Result<Analyzed> {
        let session = Arc::clone(&self.session);
        let command = command.clone();
        let (schema, batches) = self.wait(async move { crate::commands::rows(&session, command).await })?;
        self.batches(&schema, batches)
    }

    /// Table functions that open something: `event_log`, `table_changes`, `read_files`.
    pub(super) fn named_table_function(&mut self, name: &str, args: &[Expr]) -> Result<Option<Analyzed>> {
        if !resolver::is_table_function(name) {
            return Ok(None);
        }
        let mut positional = Vec::new();
        let mut named = Vec::new();
        for arg in args {
            match arg {
                Expr::NamedArgument { name, value } => named.push((name.clone(), self.constant(value)?.0)),
                other => positional.push(self.constant(other)?.0),
            }
        }
        let session = Arc::clone(&self.session);
        let namespace = self.namespace.clone();
        let context = self.context.clone();
        let resolved = self.wait(async {
            resolver::open_table_function(&session, name, &positional, &named, &namespace, &context).await
        })?;
        self.scan(&resolved, None).map(Some)
    }

    /// Runs a plan to its end. For what the analyzer must know of the data: pivot values, rows to show.
    pub(crate) fn collect(&mut self, analyzed: &Analyzed) -> Result<Vec<RecordBatch>> {
        let session = Arc::clone(&self.session);
        let plan = analyzed.plan.clone();
        self.wait(async move { crate::execute::collect(&session, plan).await })
    }
}

/// The attribute with a name, for commands that map columns back to a table's.
pub(crate) fn attribute_by_internal_name<'a>(analyzed: &'a Analyzed, name: &str) -> Option<&'a Attribute> {
    analyzed.output.iter().find(|a| a.internal_name() == name)
}
