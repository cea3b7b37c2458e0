//! From definitions to a graph that is known to be right: each flow's columns, what it reads, and what each dataset is.
//!
//! Flows are analyzed in whatever order they were defined. A flow that reads a dataset whose columns are not known yet is
//! set aside until the flows of that dataset are resolved; one that comes back to itself is a cycle.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use boathouse_catalog::ObjectName;
use boathouse_engine::{Dataset, Datasets, Session};
use boathouse_spec::{Error, Relation, RelationNode, Result, StructField, StructType};
use futures::FutureExt;
use futures::future::BoxFuture;
use indexmap::{IndexMap, IndexSet};
use parking_lot::Mutex;

use crate::graph::{Flow, Graph, Kind, Output};
use crate::name::{qualify, shown};

/// A dataset that a flow reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Input {
    pub dataset: ObjectName,
    pub is_streaming: bool,
}

/// What analysis found of a flow.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedFlow {
    pub schema: StructType,
    pub is_streaming: bool,
    pub inputs: IndexSet<Input>,
}

/// What analysis found of a dataset.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedOutput {
    /// Never [`Kind::Auto`].
    pub kind: Kind,
    pub schema: StructType,
    /// Of a view: whether it must be read as a stream.
    pub is_streaming: bool,
}

/// What is wrong with a part of the graph.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub dataset: ObjectName,
    pub flow: Option<ObjectName>,
    pub error: Error,
}

/// A graph with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub graph: Arc<Graph>,
    pub flows: IndexMap<ObjectName, ResolvedFlow>,
    pub outputs: HashMap<ObjectName, ResolvedOutput>,
    pub problems: Vec<Problem>,
}

impl Resolved {
    /// The tables whose flows must be done before a flow can run. Views are looked through.
    pub fn upstream(&self, flow: &ObjectName) -> IndexSet<ObjectName> {
        let mut found = IndexSet::new();
        let mut waiting = vec![flow.clone()];
        while let Some(flow) = waiting.pop() {
            for input in self.flows.get(&flow).iter().flat_map(|f| &f.inputs) {
                if self.outputs.get(&input.dataset).is_some_and(|o| o.kind == Kind::TemporaryView) {
                    waiting.extend(self.graph.flows_of(&input.dataset).map(|f| f.name.clone()));
                } else {
                    found.insert(input.dataset.clone());
                }
            }
        }
        found
    }
}

/// Analyzes all flows. Problems are collected, not thrown: a user wants to see them all.
pub(crate) async fn resolve(session: &Arc<Session>, graph: Arc<Graph>) -> Resolved {
    let mut resolver = Resolver::new(session, graph);
    for name in resolver.graph.flows.keys().cloned().collect::<Vec<_>>() {
        resolver.flow(name, Vec::new()).await;
    }
    for output in resolver.graph.outputs.keys().cloned().collect::<Vec<_>>() {
        resolver.dataset(output.clone(), Vec::new()).await;
        resolver.check_output(&output).await;
    }
    let Resolver { graph, flows, lookup, problems, .. } = resolver;
    let flows = flows.into_iter().filter_map(|(n, f)| f.map(|f| (n, f))).collect();
    let outputs = lookup.known.lock().clone();
    Resolved { graph, flows, outputs, problems }
}

/// A session for a request that comes from inside a query function, while the graph is still being defined. What is
/// read there has the columns that are known so far.
pub(crate) async fn session_inside(
    session: &Arc<Session>,
    graph: Arc<Graph>,
    namespace: (&str, &str),
) -> Arc<Session> {
    let mut resolver = Resolver::new(session, graph);
    for name in resolver.graph.flows.keys().cloned().collect::<Vec<_>>() {
        resolver.flow(name, Vec::new()).await;
    }
    for output in resolver.graph.outputs.keys().cloned().collect::<Vec<_>>() {
        if resolver.graph.flows_of(&output).next().is_some() {
            resolver.dataset(output, Vec::new()).await;
        }
    }
    session.with_datasets(resolver.lookup, namespace.0, namespace.1)
}

/// What names mean while flows are analyzed.
struct Lookup {
    graph: Arc<Graph>,
    known: Mutex<HashMap<ObjectName, ResolvedOutput>>,
    /// What the analysis that is going on has read.
    used: Mutex<IndexSet<Input>>,
}

impl Datasets for Lookup {
    fn find(&self, name: &[String], namespace: (&str, &str), is_streaming: bool) -> Result<Option<Dataset>> {
        let Some(name) = qualify(name, namespace) else { return Ok(None) };
        let Some(output) = self.graph.outputs.get(&name) else { return Ok(None) };
        self.used.lock().insert(Input { dataset: name.clone(), is_streaming });
        let known = self.known.lock().get(&name).cloned();
        let Some(known) = known else { return Err(not_yet_resolved(&name)) };
        if output.kind != Kind::TemporaryView {
            return Ok(Some(Dataset::Columns(known.schema)));
        }
        check_view_read(&name, known.is_streaming, is_streaming)?;
        let Some(flow) = self.graph.flows_of(&name).next() else { return Err(not_yet_resolved(&name)) };
        Ok(Some(Dataset::Relation(flow.relation.clone(), flow.namespace.clone())))
    }
}

/// A view is read as what it is: `spark.read` or `spark.readStream`.
fn check_view_read(view: &ObjectName, is_streaming: bool, as_stream: bool) -> Result<()> {
    let (class, kind, how) = match (is_streaming, as_stream) {
        (false, true) => ("INCOMPATIBLE_BATCH_VIEW_READ", "batch", "spark.read (dlt.read)"),
        (true, false) => {
            ("INCOMPATIBLE_STREAMING_VIEW_READ", "streaming", "spark.readStream (dlt.read_stream)")
        }
        _ => return Ok(()),
    };
    let name = shown(view);
    Err(Error::new(class)
        .param("datasetIdentifier", &name)
        .message(format!("The view {name} is a {kind} view: it is to be read with {how}."))
        .exception("AnalysisException"))
}

const NOT_YET_RESOLVED: &str = "PIPELINE_DATASET_NOT_YET_RESOLVED";

fn not_yet_resolved(name: &ObjectName) -> Error {
    let mut error = Error::new(NOT_YET_RESOLVED).param("identifier", shown(name));
    for (key, part) in [("catalog", &name.catalog), ("schema", &name.schema), ("name", &name.name)] {
        error = error.param(key, part);
    }
    error
        .message(format!(
            "The columns of the dataset {} are not known yet: its flows are not resolved.",
            shown(name)
        ))
        .exception("AnalysisException")
}

/// The dataset that an error says is not resolved.
fn awaited(error: &Error) -> Option<ObjectName> {
    if !error.is(NOT_YET_RESOLVED) {
        return None;
    }
    let part = |key: &str| error.parameters().iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    Some(ObjectName::new(part("catalog")?, part("schema")?, part("name")?))
}

struct Resolver {
    session: Arc<Session>,
    graph: Arc<Graph>,
    lookup: Arc<Lookup>,
    /// Flows that were looked at; `None` for those with a problem.
    flows: IndexMap<ObjectName, Option<ResolvedFlow>>,
    /// Datasets whose columns were put together, rightly or not.
    settled: HashSet<ObjectName>,
    problems: Vec<Problem>,
}

impl Resolver {
    fn new(session: &Arc<Session>, graph: Arc<Graph>) -> Self {
        let lookup = Lookup { graph: Arc::clone(&graph), known: Mutex::default(), used: Mutex::default() };
        // Declared columns need no flow to be known, but whether the table streams does not matter to its readers.
        for output in graph.outputs.values() {
            if let Some(schema) = output.schema.clone()
                && output.kind != Kind::TemporaryView
            {
                let known =
                    ResolvedOutput { kind: output.kind, schema: stored(&schema), is_streaming: false };
                lookup.known.lock().insert(output.name.clone(), known);
            }
        }
        Self {
            session: Arc::clone(session),
            graph,
            lookup: Arc::new(lookup),
            flows: IndexMap::new(),
            settled: HashSet::new(),
            problems: Vec::new(),
        }
    }

    /// Resolves a flow and, before it, what it reads. `path` are the flows that wait for this one.
    fn flow(&mut self, name: ObjectName, path: Vec<ObjectName>) -> BoxFuture<'_, ()> {
        async move {
            if self.flows.contains_key(&name) {
                return;
            }
            let Some(flow) = self.graph.flows.get(&name).cloned() else { return };
            let resolved = self.analyzed(&flow, path).await;
            if self.flows.contains_key(&name) {
                return; // found to be part of a cycle further down
            }
            match resolved {
                Ok(resolved) => {
                    self.flows.insert(name, Some(resolved));
                }
                Err(error) => self.flow_problem(&flow, error),
            }
        }
        .boxed()
    }

    fn flow_problem(&mut self, flow: &Flow, error: Error) {
        self.problems.push(Problem { dataset: flow.target.clone(), flow: Some(flow.name.clone()), error });
        self.flows.insert(flow.name.clone(), None);
    }

    async fn analyzed(&mut self, flow: &Flow, mut path: Vec<ObjectName>) -> Result<ResolvedFlow> {
        path.push(flow.name.clone());
        let session =
            flow_session(&self.session, &self.graph, flow, Arc::clone(&self.lookup) as Arc<dyn Datasets>)?;
        loop {
            self.lookup.used.lock().clear();
            let described = session.describe(&flow.relation).await;
            let inputs = std::mem::take(&mut *self.lookup.used.lock());
            let error = match described {
                Ok((schema, is_streaming)) => return Ok(ResolvedFlow { schema, is_streaming, inputs }),
                Err(error) => error,
            };
            let Some(dataset) = awaited(&error) else { return Err(error) };
            self.dataset(dataset.clone(), path.clone()).await;
            if !self.lookup.known.lock().contains_key(&dataset) {
                return Err(unresolved_input(&dataset));
            }
        }
    }

    /// Resolves the flows of a dataset, and from them its columns.
    fn dataset(&mut self, name: ObjectName, path: Vec<ObjectName>) -> BoxFuture<'_, ()> {
        async move {
            let flows: Vec<ObjectName> = self.graph.flows_of(&name).map(|f| f.name.clone()).collect();
            for flow in &flows {
                if path.contains(flow) {
                    self.cycle(flow, &path);
                    return;
                }
                self.flow(flow.clone(), path.clone()).await;
            }
            let resolved: Vec<ResolvedFlow> =
                flows.iter().filter_map(|f| self.flows.get(f)?.clone()).collect();
            let Some(output) = self.graph.outputs.get(&name) else { return };
            if resolved.is_empty() || resolved.len() < flows.len() || !self.settled.insert(name.clone()) {
                return;
            }
            let is_streaming = resolved.iter().any(|f| f.is_streaming);
            let schema = match &output.schema {
                Some(declared) if output.kind != Kind::TemporaryView => Ok(stored(declared)),
                _ => merged(&name, resolved.iter().map(|f| &f.schema), output.kind != Kind::TemporaryView),
            };
            match schema {
                Ok(schema) => {
                    let has_once = flows.iter().any(|f| self.graph.flows.get(f).is_some_and(|f| f.once));
                    let kind = match output.kind {
                        Kind::Auto if is_streaming || has_once => Kind::StreamingTable,
                        Kind::Auto => Kind::MaterializedView,
                        kind => kind,
                    };
                    let known = ResolvedOutput { kind, schema, is_streaming };
                    self.lookup.known.lock().insert(name, known);
                }
                Err(error) => self.problems.push(Problem { dataset: name, flow: None, error }),
            }
        }
        .boxed()
    }

    fn cycle(&mut self, flow: &ObjectName, path: &[ObjectName]) {
        let Some(last) = path.last().and_then(|f| self.graph.flows.get(f)).cloned() else { return };
        if self.flows.contains_key(&last.name) {
            return;
        }
        let around =
            path.iter().skip_while(|f| *f != flow).chain([flow]).map(shown).collect::<Vec<_>>().join(" -> ");
        let error = Error::new("PIPELINE_GRAPH_NOT_TOPOLOGICALLY_SORTED")
            .param("flowName", shown(&last.name))
            .param("inputName", shown(flow))
            .message(format!("The datasets read each other in a circle: {around}."))
            .exception("AnalysisException");
        self.flow_problem(&last, error);
    }

    /// What must be true of a dataset whose flows are resolved.
    async fn check_output(&mut self, name: &ObjectName) {
        let graph = Arc::clone(&self.graph);
        let Some(output) = graph.outputs.get(name) else { return };
        let flows: Vec<&Flow> = graph.flows_of(name).collect();
        if flows.is_empty() {
            let error = Error::new("PIPELINE_DATASET_WITHOUT_FLOW")
                .param("identifier", shown(name))
                .message(format!(
                    "Nothing writes to the dataset {}: give it a query, or a flow.",
                    shown(name)
                ))
                .exception("AnalysisException");
            self.problems.push(Problem { dataset: name.clone(), flow: None, error });
            return;
        }
        let known = self.lookup.known.lock().get(name).cloned();
        let Some(known) = known else { return };
        if known.kind == Kind::MaterializedView && flows.len() > 1 {
            let error = Error::new("MATERIALIZED_VIEW_WITH_MULTIPLE_QUERIES")
                .param("tableName", shown(name))
                .param("queries", flows.iter().map(|f| shown(&f.name)).collect::<Vec<_>>().join(", "))
                .message(format!(
                    "The materialized view {} has {} queries: it can have one.",
                    shown(name),
                    flows.len()
                ))
                .exception("AnalysisException");
            self.problems.push(Problem { dataset: name.clone(), flow: None, error });
        }
        for flow in flows {
            let Some(Some(resolved)) = self.flows.get(&flow.name).cloned() else { continue };
            if let Err(error) =
                check_flow(flow, &resolved, &known).and_then(|()| check_declared(output, &resolved))
            {
                self.problems.push(Problem { dataset: name.clone(), flow: Some(flow.name.clone()), error });
            }
            self.check_rules(output, flow, &resolved).await;
        }
        if let Err(error) = check_columns(output, &known.schema) {
            self.problems.push(Problem { dataset: name.clone(), flow: None, error });
        }
    }

    /// The conditions of expectations are analyzed over the rows of the flow, and declared columns met.
    async fn check_rules(&mut self, output: &Output, flow: &Flow, resolved: &ResolvedFlow) {
        let empty = Relation::new(RelationNode::Empty(resolved.schema.clone()));
        let rows = shaped(empty, output);
        for rule in &output.expectations {
            let (checked, _outcome) = self.session.expect(rows.clone(), vec![rule.clone()], false);
            if let Err(error) = self.session.describe(&checked).await {
                let error =
                    error.located(&format!("the expectation '{}' of {}", rule.name, shown(&output.name)));
                self.problems.push(Problem {
                    dataset: output.name.clone(),
                    flow: Some(flow.name.clone()),
                    error,
                });
            }
        }
        if output.expectations.is_empty()
            && output.schema.is_some()
            && let Err(error) = self.session.describe(&rows).await
        {
            self.problems.push(Problem {
                dataset: output.name.clone(),
                flow: Some(flow.name.clone()),
                error,
            });
        }
    }
}

/// A flow's rows in the columns its dataset declares.
pub(crate) fn shaped(rows: Relation, output: &Output) -> Relation {
    match &output.schema {
        Some(schema) => Relation::new(RelationNode::ToSchema { input: rows, schema: schema.clone() }),
        None => rows,
    }
}

/// The session in which a flow is analyzed and run.
pub(crate) fn flow_session(
    session: &Arc<Session>,
    graph: &Graph,
    flow: &Flow,
    datasets: Arc<dyn Datasets>,
) -> Result<Arc<Session>> {
    let session = session.with_datasets(datasets, &flow.namespace.0, &flow.namespace.1);
    for (key, value) in graph.conf.iter().chain(&flow.conf) {
        session.conf().set(key, value)?;
    }
    Ok(session)
}

fn check_flow(flow: &Flow, resolved: &ResolvedFlow, output: &ResolvedOutput) -> Result<()> {
    let (flow_name, table) = (shown(&flow.name), shown(&flow.target));
    let invalid = |subclass: &str, why: String| {
        Error::new(format!("INVALID_FLOW_QUERY_TYPE.{subclass}"))
            .param("flowIdentifier", &flow_name)
            .param("tableIdentifier", &table)
            .message(why)
            .exception("AnalysisException")
    };
    match output.kind {
        Kind::StreamingTable if !resolved.is_streaming && !flow.once => Err(invalid(
            "BATCH_RELATION_FOR_STREAMING_TABLE",
            format!(
                "The flow {flow_name} reads bounded data, and {table} is a streaming table: read its source as a stream \
                 (spark.readStream, dlt.read_stream, STREAM in SQL), or let the flow run once."
            ),
        )),
        Kind::StreamingTable if resolved.is_streaming && flow.once => Err(invalid(
            "STREAMING_RELATION_FOR_ONCE_FLOW",
            format!("The flow {flow_name} is to run once, and reads a stream: read bounded data instead."),
        )),
        Kind::MaterializedView if resolved.is_streaming => Err(invalid(
            "STREAMING_RELATION_FOR_MATERIALIZED_VIEW",
            format!(
                "The flow {flow_name} reads a stream, and {table} is a materialized view: make it a streaming table."
            ),
        )),
        _ => Ok(()),
    }
}

/// A dataset that declares columns gets exactly those from its flows.
fn check_declared(output: &Output, resolved: &ResolvedFlow) -> Result<()> {
    let Some(declared) = &output.schema else { return Ok(()) };
    let lacks = |a: &StructType, b: &StructType| {
        a.fields
            .iter()
            .filter(|f| b.field(&f.name).is_none())
            .map(|f| boathouse_spec::quote(&f.name))
            .collect::<Vec<_>>()
    };
    let (missing, extra) = (lacks(declared, &resolved.schema), lacks(&resolved.schema, declared));
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let mut differences = Vec::new();
    if !missing.is_empty() {
        differences.push(format!("its query does not give {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        differences.push(format!("its query gives {}, which it does not declare", extra.join(", ")));
    }
    Err(Error::new("USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE")
        .param("tableName", shown(&output.name))
        .param("specifiedSchema", declared.ddl())
        .param("inferredDataSchema", resolved.schema.ddl())
        .message(format!(
            "The columns that {} declares are not those of its query: {}.",
            shown(&output.name),
            differences.join("; ")
        ))
        .exception("AnalysisException"))
}

/// The columns that partition and cluster are there.
fn check_columns(output: &Output, schema: &StructType) -> Result<()> {
    for column in &output.partition_by {
        if schema.field(column).is_none() {
            let known =
                schema.fields.iter().map(|f| boathouse_spec::quote(&f.name)).collect::<Vec<_>>().join(", ");
            return Err(Error::new("COLUMN_NOT_DEFINED_IN_TABLE")
                .param("colType", "partition")
                .param("colName", boathouse_spec::quote(column))
                .param("tableName", shown(&output.name))
                .param("tableCols", &known)
                .message(format!(
                    "{} is partitioned by the column {column}, which it has not: {known}.",
                    shown(&output.name)
                ))
                .exception("AnalysisException"));
        }
    }
    Ok(())
}

/// Columns as a table keeps them: every one may be NULL.
fn stored(schema: &StructType) -> StructType {
    let nullable =
        |f: &StructField| StructField { nullable: true, data_type: f.data_type.as_nullable(), ..f.clone() };
    StructType::new(schema.fields.iter().map(nullable).collect())
}

/// The columns of all flows of a dataset; those of one name have one type.
fn merged<'a>(
    name: &ObjectName,
    schemas: impl Iterator<Item = &'a StructType>,
    is_table: bool,
) -> Result<StructType> {
    let mut all = StructType::default();
    for schema in schemas {
        let schema = if is_table { stored(schema) } else { schema.clone() };
        for field in &schema.fields {
            match all.field(&field.name) {
                None => all.fields.push(field.clone()),
                Some(known) if known.data_type.same_type(&field.data_type) => {}
                Some(known) => {
                    return Err(Error::new("UNABLE_TO_INFER_PIPELINE_TABLE_SCHEMA")
                        .param("tableName", shown(name))
                        .param("inferredDataSchema", all.ddl())
                        .param("incompatibleDataSchema", schema.ddl())
                        .message(format!(
                            "The flows of {} do not agree on its columns: {} is {} in one and {} in another.",
                            shown(name),
                            boathouse_spec::quote(&field.name),
                            known.data_type.sql(),
                            field.data_type.sql()
                        ))
                        .exception("AnalysisException"));
                }
            }
        }
    }
    Ok(all)
}

/// PIPELINE_INPUT_NOT_RESOLVED
fn unresolved_input(dataset: &ObjectName) -> Error {
    Error::new("PIPELINE_INPUT_NOT_RESOLVED")
        .param("identifier", shown(dataset))
        .message(format!("It reads {}, which has a problem itself.", shown(dataset)))
        .exception("AnalysisException")
}
