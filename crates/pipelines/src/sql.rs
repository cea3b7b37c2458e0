//! SQL files of a pipeline: each statement defines a dataset or a flow, or sets what the following ones go by.

use boathouse_catalog::ObjectName;
use boathouse_engine::SessionConf;
use boathouse_spec::{
    Command, CreateView, Error, Expectation, Name, Options, PartitionField, PipelineDataset,
    PipelineDatasetKind, PipelineStatement, Plan, Relation, Result, StructType, TableConstraint, UseTarget,
    ViewKind, ViewQuery, option,
};

use crate::graph::{Flow, Graph, Kind, Output};
use crate::name;
use crate::request::{SourceLocation, SqlFile};

/// Adds what a file defines to a graph.
pub(crate) fn define(
    graph: &mut Graph,
    file: &SqlFile,
    conf: &SessionConf,
    namespace: (&str, &str),
) -> Result<()> {
    let (catalog, schema) = namespace;
    let mut reader = Reader {
        graph,
        file: &file.path,
        namespace: (catalog.to_string(), schema.to_string()),
        conf: Options::new(),
        line: 1,
    };
    let mut rest = file.text.as_str();
    for statement in boathouse_sql::split_statements(&file.text) {
        let at = rest.find(statement.as_str()).unwrap_or(0);
        reader.line += newlines(&rest[..at]);
        let text = reader.substituted(&statement, conf);
        let plan = boathouse_sql::parse_statement(&text, &conf.parser_options());
        plan.and_then(|plan| reader.statement(plan)).map_err(|e| reader.located(e, &statement))?;
        reader.line += newlines(&statement);
        rest = &rest[(at + statement.len()).min(rest.len())..];
    }
    Ok(())
}

fn newlines(text: &str) -> i32 {
    text.bytes().filter(|b| *b == b'\n').count() as i32
}

struct Reader<'a> {
    graph: &'a mut Graph,
    file: &'a str,
    namespace: (String, String),
    /// Settings of the flows that follow.
    conf: Options,
    line: i32,
}

impl Reader<'_> {
    fn substituted(&self, text: &str, conf: &SessionConf) -> String {
        boathouse_sql::substitute_variables(text, |_, key| {
            let own = option(&self.conf, key).or_else(|| option(&self.graph.conf, key));
            own.map(str::to_string).or_else(|| conf.get(key))
        })
    }

    /// An error with the place of its statement.
    fn located(&self, e: Error, statement: &str) -> Error {
        let first = statement.lines().next().unwrap_or_default();
        let place = format!("{}, line {}: {first}", self.file, self.line);
        e.located(&place)
    }

    fn location(&self) -> SourceLocation {
        SourceLocation { file: Some(self.file.to_string()), line: Some(self.line), definition_path: None }
    }

    fn name(&self, name: &Name) -> Result<ObjectName> {
        name::qualify(name, (&self.namespace.0, &self.namespace.1)).ok_or_else(|| {
            Error::new("INVALID_SCHEMA_OR_RELATION_NAME")
                .param("name", boathouse_spec::quote_name(name))
                .message(format!("{} has more than three parts.", boathouse_spec::quote_name(name)))
                .exception("AnalysisException")
        })
    }

    fn statement(&mut self, plan: Plan) -> Result<()> {
        let Plan::Command(command) = plan else { return Err(not_a_definition("a query")) };
        match *command {
            Command::Pipeline(statement) => self.pipeline_statement(*statement),
            Command::CreateView(view) => self.view(*view),
            Command::Set { key, value } => {
                self.conf.push((key, value));
                Ok(())
            }
            Command::Use(target) => self.use_namespace(target),
            _ => Err(not_a_definition("a statement")),
        }
    }

    fn use_namespace(&mut self, target: UseTarget) -> Result<()> {
        match target {
            UseTarget::Catalog(catalog) => self.namespace.0 = catalog.join("."),
            UseTarget::Schema(name) | UseTarget::Any(name) => match name.as_slice() {
                [schema] => self.namespace.1.clone_from(schema),
                [catalog, schema] => self.namespace = (catalog.clone(), schema.clone()),
                _ => return Err(Error::unsupported(format!("USE {} in a pipeline", name.join(".")))),
            },
            UseTarget::Identifier(_) => return Err(Error::unsupported("USE IDENTIFIER(..) in a pipeline")),
        }
        Ok(())
    }

    fn pipeline_statement(&mut self, statement: PipelineStatement) -> Result<()> {
        match statement {
            PipelineStatement::CreateDataset(dataset) => self.dataset(dataset),
            PipelineStatement::CreateFlow { name, target, query, comment: _, once } => {
                let (name, target) = (self.name(&name)?, self.name(&target)?);
                self.flow(name, target, query, once)
            }
            PipelineStatement::AutoCdc(_) => Err(Error::unsupported("AUTO CDC flows")),
            PipelineStatement::Refresh { .. } | PipelineStatement::Drop { .. } => {
                Err(not_a_definition("a statement"))
            }
        }
    }

    fn flow(&mut self, name: ObjectName, target: ObjectName, relation: Relation, once: bool) -> Result<()> {
        let flow =
            Flow { name, target, relation, namespace: self.namespace.clone(), conf: self.conf.clone(), once };
        self.graph.add_flow(flow)
    }

    fn dataset(&mut self, dataset: PipelineDataset) -> Result<()> {
        let name = self.name(&dataset.name)?;
        if dataset.provider.as_deref().is_some_and(|p| !p.eq_ignore_ascii_case("delta")) {
            return Err(Error::unsupported("datasets of pipelines in other formats than Delta"));
        }
        let kind = match dataset.kind {
            PipelineDatasetKind::StreamingTable => Kind::StreamingTable,
            PipelineDatasetKind::MaterializedView => Kind::MaterializedView,
            PipelineDatasetKind::TemporaryView => Kind::TemporaryView,
        };
        let mut output = Output::new(name.clone(), kind);
        if !dataset.columns.is_empty() {
            output.schema = Some(StructType::new(dataset.columns.iter().map(|c| c.field()).collect()));
        }
        output.expectations = dataset.constraints.into_iter().map(expectation).collect::<Result<_>>()?;
        output.partition_by = dataset.partition_by.iter().map(partition_column).collect::<Result<_>>()?;
        output.cluster_by = dataset.cluster_by.unwrap_or_default();
        output.properties = dataset.properties;
        output.path = dataset.location;
        output.comment = dataset.comment;
        output.private = dataset.private;
        output.location = self.location();
        self.graph.add_output(output)?;
        match dataset.query {
            Some(ViewQuery { query, .. }) => self.flow(name.clone(), name, query, false),
            None => Ok(()),
        }
    }

    fn view(&mut self, view: CreateView) -> Result<()> {
        if view.kind != ViewKind::Temporary {
            return Err(Error::unsupported(
                "persistent views as datasets of pipelines (use CREATE TEMPORARY VIEW)",
            ));
        }
        let Some(ViewQuery { query, .. }) = view.query else {
            return Err(not_a_definition("a view over a data source"));
        };
        let name = self.name(&view.name)?;
        let mut output = Output::new(name.clone(), Kind::TemporaryView);
        output.comment = view.comment;
        output.location = self.location();
        self.graph.add_output(output)?;
        self.flow(name.clone(), name, query, false)
    }
}

fn expectation(constraint: TableConstraint) -> Result<Expectation> {
    match constraint {
        TableConstraint::Expectation { name, condition, action } => {
            Ok(Expectation { name, condition, action })
        }
        _ => Err(Error::unsupported("constraints of datasets other than EXPECT")),
    }
}

fn partition_column(field: &PartitionField) -> Result<String> {
    match field {
        PartitionField::Column(name) => Ok(name.join(".")),
        PartitionField::Typed(column) => Ok(column.name.clone()),
        PartitionField::Transform { name, .. } => {
            Err(Error::unsupported(format!("partitioning a dataset by {name}(..)")))
        }
    }
}

/// PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR
fn not_a_definition(what: &str) -> Error {
    Error::new("PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR").exception("AnalysisException").message(format!(
        "There is {what} where a definition is expected. SQL files of pipelines hold CREATE STREAMING TABLE, \
         CREATE MATERIALIZED VIEW, CREATE TEMPORARY VIEW, CREATE FLOW, SET and USE."
    ))
}
