//! Tables, views and data sources by name or path.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use boathouse_catalog::{Properties, TableRecord};
use boathouse_functions::Context;
use boathouse_functions::cast::Mode;
use boathouse_spec::{
    Command, DataSourceRef, DataType, Error, Options, Plan, Relation, Result, StructField, TableRef,
};
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::Analyzed;
use super::temporaries::TemporaryKind;
use super::view_columns::RecordedColumns;
use crate::kept_analysis::LookUp;
use crate::resolver::{self, AsOf, Resolved, ResolvedTable, Scope};
use crate::temp_views::{Environment, TempView};

/// A name as a query says it, with the namespace that it is said in and the options of the read.
pub(super) type Named = (Vec<String>, (String, String), Options);

/// A view's query, and what it was meant under.
struct ViewBody<'a> {
    relation: &'a Relation,
    /// The temporary views that its names mean, where they are not the session's.
    environment: Option<Environment>,
    namespace: (String, String),
    configs: &'a Properties,
    collation: Option<&'a str>,
    columns: RecordedColumns<'a>,
}

impl Analyzer {
    pub(super) fn table(&mut self, table: &TableRef) -> Result<Analyzed> {
        self.named_table(table).map_err(|e| match e.is("TABLE_OR_VIEW_NOT_FOUND") {
            true => e.at(&table.origin),
            false => e,
        })
    }

    fn named_table(&mut self, table: &TableRef) -> Result<Analyzed> {
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
        if let Some(query) = self.session.kept_query(&table.name) {
            self.is_repeatable.set(false);
            return self.kept_query(&query);
        }
        if table.time_travel.is_none()
            && let Some(found) = self.dataset(&table)?
        {
            return Ok(found);
        }
        let as_of = self.as_of(&table)?;
        let (catalog, schema) = self.namespace.clone();
        let environment = self.environment.clone().unwrap_or_else(|| self.session.temp_views.environment());
        let environment = self.without_own_view(&table.name, environment);
        let scope = Scope { environment, catalog, schema };
        let options = match table.is_streaming {
            true => crate::change_feed::without(&table.options),
            false => table.options.clone(),
        };
        let resolved = self.resolve(&table, options, as_of, &scope);
        let resolved = match table.is_delta {
            true => delta_table(resolved, &table.name)?,
            false => resolved?,
        };
        self.reads_tables = true;
        match resolved {
            Resolved::TempView { name, view } => {
                self.note_temporary(TemporaryKind::View, name.clone());
                self.temp_view(&name, &view)
            }
            Resolved::View(record) => self.view(&record),
            Resolved::Table(resolved) if table.is_streaming => self.table_stream(&resolved, &table),
            Resolved::Table(resolved) => {
                let scan = self.scan(&resolved, None)?;
                self.with_padding(scan)
            }
        }
    }

    /// The text of a temporary view never means the view itself: its name is that of the table it was made over.
    fn without_own_view(&self, name: &[String], environment: Environment) -> Environment {
        let [bare] = name else { return environment };
        let key = bare.to_lowercase();
        let is_own = |view: &Arc<TempView>| self.expanding_temporary.iter().any(|e| Arc::ptr_eq(e, view));
        if !environment.get(&key).is_some_and(is_own) {
            return environment;
        }
        let mut others = HashMap::clone(&environment);
        others.remove(&key);
        Arc::new(others)
    }

    /// What a name stands for: the table that it was opened as before, where the plan named it before.
    fn resolve(
        &mut self,
        table: &TableRef,
        options: Options,
        as_of: Option<AsOf>,
        scope: &Scope,
    ) -> Result<Resolved> {
        if as_of.is_some() || table.is_streaming {
            let session = Arc::clone(&self.session);
            return self.wait(resolver::resolve(&session, &table.name, &options, as_of, scope));
        }
        if matches!(table.name.as_slice(), [bare] if scope.environment.contains_key(&bare.to_lowercase())) {
            return self.look_up(&table.name, &options, scope);
        }
        let named = (table.name.clone(), (scope.catalog.clone(), scope.schema.clone()), options);
        if let Some(opened) = self.opened.get(&named) {
            return Ok(Resolved::Table(Box::new(opened.clone())));
        }
        let mut resolved = self.look_up(&table.name, &named.2, scope)?;
        if let Resolved::Table(opened) = &mut resolved {
            self.as_changed(opened, &named.2);
            self.opened.insert(named, (**opened).clone());
        }
        Ok(resolved)
    }

    /// Puts the version that the statement changes in the place of one that was opened later: the statement could find nothing to
    /// do, and commit nothing, by rows that no version has together.
    fn as_changed(&self, opened: &mut ResolvedTable, options: &Options) {
        let Some(changed) = self.changed.as_ref().filter(|_| options.is_empty()) else { return };
        let (Some(was), Some(is)) = (&changed.delta, &opened.delta) else { return };
        if was.snapshot.location().uri() == is.snapshot.location().uri()
            && was.snapshot.version() != is.snapshot.version()
        {
            let qualifier = std::mem::take(&mut opened.qualifier);
            *opened = ResolvedTable { qualifier, ..changed.clone() };
        }
    }

    /// Looks a name up, and notes what it stood for.
    fn look_up(&mut self, name: &[String], options: &Options, scope: &Scope) -> Result<Resolved> {
        let look_up = resolver::resolve(&self.session, name, options, None, scope);
        let resolved = self.session.engine.runtime.block_on(look_up)?;
        self.note_look_up(LookUp::of_name(name, options, scope, &resolved));
        Ok(resolved)
    }

    /// Notes what was looked up, where it can be compared with what it is later.
    fn note_look_up(&mut self, look_up: Option<LookUp>) {
        match look_up {
            Some(look_up) => self.look_ups.push(look_up),
            None => self.is_repeatable.set(false),
        }
    }

    /// The version or time that is wanted, as a value.
    pub(crate) fn as_of(&mut self, table: &TableRef) -> Result<Option<AsOf>> {
        use boathouse_spec::TimeTravel as T;
        let invalid = |name: String| {
            Error::new("INVALID_TIME_TRAVEL_TIMESTAMP_EXPR.INPUT")
                .param("expr", format!("\"{name}\""))
                .message(format!("{name} is no version or time to travel to."))
        };
        let one = Analyzed::one_row()?;
        Ok(match &table.time_travel {
            None => None,
            Some(T::Version(e)) => {
                let typed = self.expr(e, &one)?;
                let name = typed.name.clone();
                let typed = self.cast(typed, &DataType::Long, Mode::Ansi)?;
                match self.fold(&typed)? {
                    ScalarValue::Int64(Some(v)) if v >= 0 => Some(AsOf::Version(v)),
                    _ => return Err(invalid(name)),
                }
            }
            Some(T::Timestamp(e)) => {
                let typed = self.expr(e, &one)?;
                let name = typed.name.clone();
                let typed =
                    self.cast(typed, &DataType::Timestamp, Mode::Ansi).map_err(|_| invalid(name.clone()))?;
                match self.fold(&typed) {
                    Ok(ScalarValue::TimestampMicrosecond(Some(us), _)) => Some(AsOf::Timestamp(us)),
                    _ => return Err(invalid(name)),
                }
            }
        })
    }

    /// A resolved table as a relation.
    pub(crate) fn scan(&mut self, table: &ResolvedTable, alias: Option<&str>) -> Result<Analyzed> {
        let qualifier = match alias {
            Some(a) => vec![a.to_string()],
            None => table.qualifier.clone(),
        };
        let mut output = Vec::with_capacity(table.schema.fields.len());
        for f in &table.schema.fields {
            let shown = if table.delta.is_some() { shown_field(f) } else { f.clone() };
            let mut a = self.attribute(&f.name, shown.data_type, f.nullable);
            a.metadata = shown.metadata;
            a.qualifier.clone_from(&qualifier);
            self.note_stored_char(&a);
            output.push(a);
        }
        if self.reads_metadata
            && let Some(scan) = self.scan_with_metadata(table, &output, &qualifier)?
        {
            return Ok(scan);
        }
        let plan = super::values::scan(Arc::clone(&table.provider), &output)?;
        Ok(Analyzed::new(plan, output))
    }

    fn temp_view(&mut self, name: &[String], view: &Arc<TempView>) -> Result<Analyzed> {
        self.expanding_temporary.push(Arc::clone(view));
        let expanded = self.expand_temporary(name, view);
        self.expanding_temporary.pop();
        expanded
    }

    fn expand_temporary(&mut self, name: &[String], view: &TempView) -> Result<Analyzed> {
        let environment = match &view.environment {
            Some(e) => Some(Arc::clone(e)),
            None => self.environment.clone(),
        };
        self.expand(
            name.to_vec(),
            ViewBody {
                relation: &view.relation,
                environment,
                namespace: view.namespace.clone(),
                configs: &view.configs,
                collation: view.collation.as_deref(),
                columns: RecordedColumns {
                    schema: &view.schema,
                    query_columns: &view.query_columns,
                    mode: None,
                },
            },
        )
    }

    fn view(&mut self, record: &TableRecord) -> Result<Analyzed> {
        let name = record.name.parts();
        let Some(view) = &record.view else {
            return Err(Error::internal(format!("the view {} has no query", name.join("."))));
        };
        let Plan::Query(relation) =
            boathouse_sql::parse_statement(&view.text, &self.session.conf().parser_options())?
        else {
            return Err(Error::internal(format!("the text of the view {} is no query", name.join("."))));
        };
        self.expand(
            name,
            ViewBody {
                relation: &relation,
                environment: None,
                namespace: (view.current_catalog.clone(), view.current_schema.clone()),
                configs: &view.configs,
                collation: record.collation.as_deref(),
                columns: RecordedColumns {
                    schema: &record.schema,
                    query_columns: &view.query_columns,
                    mode: Some(view.schema_mode),
                },
            },
        )
    }

    /// A view's rows, as they were meant when it was made.
    fn expand(&mut self, name: Vec<String>, view: ViewBody) -> Result<Analyzed> {
        let analyzed = self.under_configs(view.configs, |a| {
            a.inside_view(&name.join("."), view.environment, view.namespace, |a| {
                a.under_collation(view.collation, |a| a.query(view.relation))
            })
        })?;
        let analyzed = self.under_recorded(&name, analyzed, &view.columns)?;
        self.aliased(analyzed, name)
    }

    /// Functions and casts mean what they meant under the settings recorded with a view or a function, not under the
    /// session's (`SQLConf.withExistingConf(View.effectiveSQLConf(..))` in Spark).
    pub(super) fn under_configs<T>(
        &mut self,
        configs: &Properties,
        analyze: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if configs.is_empty() {
            return analyze(self);
        }
        let settings = configs.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let recorded = self.session.conf().overlaid(settings).function_context();
        let recorded = Context { now_us: self.context.now_us, ..recorded };
        let saved = std::mem::replace(&mut self.context, recorded);
        let result = analyze(self);
        self.context = saved;
        result
    }

    /// Analyzes a view's query: names mean what they meant to the view, and nothing around it is in sight.
    pub(super) fn inside_view<T>(
        &mut self,
        name: &str,
        environment: Option<Environment>,
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

    /// A name of several parts that begins with no catalog has too many of them.
    pub(super) fn check_catalog_of(&self, name: &[String]) -> Result<()> {
        let [catalog, _, _, ..] = name else { return Ok(()) };
        match self.wait(self.session.engine.catalog.find_catalog(catalog))? {
            Some(_) if name.len() == 3 => Ok(()),
            _ => Err(crate::names::single_part_namespace(name)),
        }
    }

    pub(super) fn data_source(&mut self, source: &DataSourceRef) -> Result<Analyzed> {
        self.refuse_char(source.schema.as_ref())?;
        let session = Arc::clone(&self.session);
        let python = session.python_sources.get(&source.format.to_lowercase()).map(|s| s.value().clone());
        if source.is_streaming {
            return self.source_stream(source);
        }
        if let Some(python) = python {
            return self.python_data_source(&python, source);
        }
        let opened = self.opened_source(source)?;
        let scan = self.scan(&opened, None)?;
        self.with_padding(scan)
    }

    /// Opens files, or a Delta table at a path, once for the plan.
    fn opened_source(&mut self, source: &DataSourceRef) -> Result<ResolvedTable> {
        if let Some((_, opened)) = self.opened_sources.iter().find(|(opened, _)| opened == source) {
            return Ok(opened.clone());
        }
        let look_up = resolver::data_source(&self.session, source);
        let mut opened = self.session.engine.runtime.block_on(look_up)?;
        self.note_look_up(LookUp::of_files(source, &opened));
        self.as_changed(&mut opened, &source.options);
        self.opened_sources.push((source.clone(), opened.clone()));
        Ok(opened)
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
    pub(super) fn command_result(&mut self, plan_id: Option<i64>, command: &Command) -> Result<Analyzed> {
        let session = Arc::clone(&self.session);
        if let Some(made) = session.made_table(plan_id, command) {
            return self.table(&made);
        }
        let command = command.clone();
        let (schema, batches) = self.wait(session.command_rows(plan_id, command))?;
        self.batches(&schema, batches)
    }

    /// Runs a plan to its end. For what the analyzer must know of the data: pivot values, rows to show.
    pub(crate) fn collect(&mut self, analyzed: &Analyzed) -> Result<Vec<RecordBatch>> {
        let session = Arc::clone(&self.session);
        self.collected.extend(crate::observe::observations(&analyzed.plan));
        self.wait(crate::execute::collect(&session, analyzed))
    }
}

/// The table of a name that must be one of a Delta table.
fn delta_table(found: Result<Resolved>, name: &[String]) -> Result<Resolved> {
    const NONE: [&str; 3] = ["PATH_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND"];
    match found {
        Ok(Resolved::Table(table)) if table.delta.is_some() => Ok(Resolved::Table(table)),
        Err(e) if !NONE.iter().any(|class| e.is(class)) => Err(e),
        _ => {
            let shown = name.last().map_or("", String::as_str);
            Err(Error::new("DELTA_MISSING_DELTA_TABLE")
                .param("tableName", shown)
                .message(format!("{} is not a Delta table.", boathouse_spec::quote(shown)))
                .exception("AnalysisException"))
        }
    }
}

/// A column of a Delta table as queries see it, and the fields inside it.
fn shown_field(field: &StructField) -> StructField {
    StructField { metadata: shown_metadata(field), data_type: shown_type(&field.data_type), ..field.clone() }
}

fn shown_type(t: &DataType) -> DataType {
    match t {
        DataType::Struct(s) => DataType::structure(s.fields.iter().map(shown_field).collect()),
        DataType::Array { element, contains_null } => DataType::array(shown_type(element), *contains_null),
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(shown_type(key), shown_type(value), *value_contains_null)
        }
        other => other.clone(),
    }
}

/// The metadata of a column of a Delta table as queries see it: what the table itself does with the column is not part of it,
/// so that a table made from a query does not do the same (`DeltaTableUtils.removeInternalWriterMetadata`).
fn shown_metadata(field: &StructField) -> String {
    const INTERNAL: [&str; 4] =
        ["delta.generationExpression", "delta.typeChanges", "EXISTS_DEFAULT", "delta.identity."];
    let is_internal = |key: &str| {
        key.starts_with("delta.columnMapping.") || INTERNAL.iter().any(|internal| key.starts_with(internal))
    };
    let mut metadata = field.metadata_map();
    if !metadata.keys().any(|k| is_internal(k)) {
        return field.metadata.clone();
    }
    metadata.retain(|key, _| !is_internal(key));
    StructField::new(&field.name, field.data_type.clone(), field.nullable).with_metadata(&metadata).metadata
}
