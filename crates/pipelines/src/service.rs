//! [`Pipelines`]: the graphs that clients define, and their runs.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use boathouse_catalog::{ObjectName, PipelineRecord, Properties};
use boathouse_engine::Session;
use boathouse_spec::{Error, Expectation, Options, Result, TextExpr};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::event_log::EventLog;
use crate::extension::{Message, Rule};
use crate::graph::{Flow, Graph, Kind, Output};
use crate::layout::{Layout, segment};
use crate::name;
use crate::request::{
    CreateGraph, DefineFlow, DefineOutput, Extension, FlowDetails, PipelineEvent, QueryFunctionContext,
    ResolvedName, SqlFile, StartRun,
};
use crate::update::Update;
use crate::{resolve, sql};

/// Graphs that nobody ran are forgotten, oldest first, when there are so many.
const MOST_GRAPHS: usize = 1000;

/// Defines and runs pipelines for the services around the engine.
#[derive(Default)]
pub struct Pipelines {
    graphs: Mutex<HashMap<String, Entry>>,
}

/// A graph of a session, while it is being defined.
#[derive(Clone)]
struct Entry {
    /// The user whose session made it: others do not see it.
    owner: String,
    catalog: String,
    schema: String,
    graph: Graph,
    identity: Option<Identity>,
    /// Order of creation.
    number: usize,
}

/// What our own client says of the pipeline.
#[derive(Clone)]
struct Identity {
    name: String,
    root: Option<String>,
    storage: Option<String>,
    configuration: Properties,
    development: bool,
    json_events: bool,
}

impl Entry {
    fn namespace(&self) -> (&str, &str) {
        (&self.catalog, &self.schema)
    }

    fn name(&self, text: &str) -> Result<ObjectName> {
        name::parse(text, self.namespace())
    }
}

impl Pipelines {
    /// Makes a graph and gives its id.
    pub async fn create_graph(&self, session: &Arc<Session>, graph: CreateGraph) -> Result<String> {
        let (catalog, schema) = session.current_namespace();
        let id = uuid::Uuid::new_v4().to_string();
        let mut graphs = self.graphs.lock();
        let number = graphs.values().map(|e| e.number + 1).max().unwrap_or(0);
        let entry = Entry {
            owner: session.user().to_string(),
            catalog: graph.default_catalog.unwrap_or(catalog),
            schema: graph.default_database.unwrap_or(schema),
            graph: Graph { conf: graph.sql_conf, ..Graph::default() },
            identity: None,
            number,
        };
        if graphs.len() >= MOST_GRAPHS
            && let Some(oldest) = graphs.iter().min_by_key(|(_, e)| e.number).map(|(id, _)| id.clone())
        {
            graphs.remove(&oldest);
        }
        graphs.insert(id.clone(), entry);
        Ok(id)
    }

    pub async fn drop_graph(&self, session: &Arc<Session>, graph_id: &str) -> Result<()> {
        self.with(session, graph_id, |_| Ok(()))?;
        self.graphs.lock().remove(graph_id);
        Ok(())
    }

    pub async fn define_output(&self, session: &Arc<Session>, output: DefineOutput) -> Result<ResolvedName> {
        self.with(session, &output.graph_id, |entry| {
            let mut defined = Output::new(entry.name(&output.name)?, Kind::try_from(output.kind)?);
            defined.comment = output.comment;
            defined.location = output.location;
            if let Some(table) = output.table {
                if let Some(format) = table.format.filter(|f| !f.eq_ignore_ascii_case("delta")) {
                    return Err(Error::unsupported(format!("datasets of pipelines in the format {format}")));
                }
                defined.schema = table.schema;
                defined.partition_by = table.partition_by;
                defined.cluster_by = table.cluster_by;
                defined.properties = table.properties;
            }
            let resolved = resolved_name(&defined.name);
            entry.graph.add_output(defined)?;
            Ok(resolved)
        })
    }

    pub async fn define_flow(&self, session: &Arc<Session>, flow: DefineFlow) -> Result<ResolvedName> {
        self.with(session, &flow.graph_id, |entry| {
            let relation = match flow.details {
                FlowDetails::Relation(Some(relation)) => relation,
                FlowDetails::Relation(None) => {
                    return Err(Error::unsupported("flows whose query the server is to ask for"));
                }
                FlowDetails::AutoCdc(_) => return Err(Error::unsupported("AUTO CDC flows")),
                FlowDetails::Extension(e) => {
                    return Err(Error::unsupported(format!("flows of the kind {}", e.type_url)));
                }
            };
            let defined = Flow {
                name: entry.name(&flow.name)?,
                target: entry.name(&flow.target)?,
                relation,
                namespace: (entry.catalog.clone(), entry.schema.clone()),
                conf: flow.sql_conf,
                once: flow.once,
            };
            let resolved = resolved_name(&defined.name);
            entry.graph.output(&defined.target)?;
            entry.graph.add_flow(defined)?;
            Ok(resolved)
        })
    }

    pub async fn define_sql(&self, session: &Arc<Session>, file: SqlFile) -> Result<()> {
        self.with(session, &file.graph_id, |entry| {
            let namespace = (entry.catalog.clone(), entry.schema.clone());
            sql::define(&mut entry.graph, &file, session.conf(), (&namespace.0, &namespace.1))
        })
    }

    /// A command of our own client.
    pub async fn extension(&self, session: &Arc<Session>, extension: Extension) -> Result<()> {
        match Message::read(&extension)? {
            Message::Pipeline { graph_id, name, root, storage, configuration, development, events } => self
                .with(session, &graph_id, |entry| {
                    let configuration: Properties = configuration.into_iter().collect();
                    let conf: Options = configuration.clone().into_iter().collect();
                    entry.graph.conf.extend(conf);
                    let json_events = events.as_deref() == Some("json");
                    entry.identity =
                        Some(Identity { name, root, storage, configuration, development, json_events });
                    Ok(())
                }),
            Message::Dataset { graph_id, dataset, auto, private, path, row_filter } => {
                if row_filter.is_some() {
                    return Err(Error::unsupported("row filters of pipeline datasets"));
                }
                self.with(session, &graph_id, |entry| {
                    let name = entry.name(&dataset)?;
                    let output = entry.graph.output_mut(&name)?;
                    if auto {
                        output.kind = Kind::Auto;
                    }
                    output.private |= private;
                    if path.is_some() {
                        output.path = path;
                    }
                    Ok(())
                })
            }
            Message::Expectations { graph_id, dataset, rules } => {
                let rules = rules.into_iter().map(|r| expectation(session, r)).collect::<Result<Vec<_>>>()?;
                self.with(session, &graph_id, |entry| {
                    let name = entry.name(&dataset)?;
                    entry.graph.output_mut(&name)?.expectations.extend(rules);
                    Ok(())
                })
            }
            Message::Flow { graph_id, flow, once } => self.with(session, &graph_id, |entry| {
                if once {
                    let name = entry.name(&flow)?;
                    entry.graph.once.push(name);
                }
                Ok(())
            }),
            Message::AutoCdc { flow, target } => {
                let flow = flow.unwrap_or(target);
                Err(Error::unsupported(format!("AUTO CDC flows (`{flow}`)")))
            }
        }
    }

    /// The session for a request from inside a query function, while the graph is still being defined: datasets have the
    /// columns that are known so far, and no rows.
    pub async fn query_function_session(
        &self,
        session: &Arc<Session>,
        context: &QueryFunctionContext,
    ) -> Result<Arc<Session>> {
        let Some(graph_id) = &context.graph_id else { return Ok(Arc::clone(session)) };
        let entry = self.with(session, graph_id, |entry| Ok(entry.clone()))?;
        let namespace = (entry.catalog.clone(), entry.schema.clone());
        Ok(resolve::session_inside(session, Arc::new(entry.graph), (&namespace.0, &namespace.1)).await)
    }

    /// Runs the graph to its end. Events are sent as they happen; dropping the call stops the run.
    pub async fn start_run(
        &self,
        session: &Arc<Session>,
        run: StartRun,
        events: mpsc::Sender<PipelineEvent>,
    ) -> Result<()> {
        let entry = self.with(session, &run.graph_id, |entry| Ok(entry.clone()))?;
        let identity = identity(entry.identity.clone(), &run);
        let engine = session.engine();
        let directory = engine.home().join("pipelines");
        let storage = match identity.storage.clone() {
            Some(storage) => storage,
            None => format!("file:{}", directory.join(segment(&identity.name)).display()),
        };
        let _running = match run.dry {
            true => None,
            false => Some(lock(&directory, &identity.name)?),
        };
        let mut pipeline = PipelineRecord {
            id: uuid::Uuid::new_v4(),
            name: identity.name.clone(),
            storage: storage.clone(),
            catalog: entry.catalog.clone(),
            schema: entry.schema.clone(),
            root: identity.root.clone(),
            configuration: identity.configuration.clone(),
            owner: session.user().to_string(),
            created_at_us: 0,
            updated_at_us: 0,
        };
        if !run.dry {
            pipeline = engine.catalog().put_pipeline(pipeline).await?;
        } else if let Some(known) = engine.catalog().find_pipeline(&identity.name).await? {
            pipeline.id = known.id;
        }
        let id = uuid::Uuid::new_v4().to_string();
        let layout = Layout::new(&storage);
        let log = EventLog::new(
            Arc::clone(session),
            &pipeline,
            &id,
            layout.event_log(),
            (run.dry, identity.json_events),
            events,
        );
        let development = identity.development;
        let update = Update {
            session: Arc::clone(session),
            pipeline,
            layout,
            id,
            log: Arc::new(log),
            run,
            development,
        };
        update.run(entry.graph).await
    }

    fn with<T>(
        &self,
        session: &Session,
        graph_id: &str,
        work: impl FnOnce(&mut Entry) -> Result<T>,
    ) -> Result<T> {
        let mut graphs = self.graphs.lock();
        match graphs.get_mut(graph_id).filter(|e| e.owner == session.user()) {
            Some(entry) => work(entry),
            None => Err(Error::new("DATAFLOW_GRAPH_NOT_FOUND")
                .param("graphId", graph_id)
                .message(format!("There is no dataflow graph {graph_id}."))),
        }
    }
}

/// A stock client names no pipeline: the last part of its storage does.
fn identity(given: Option<Identity>, run: &StartRun) -> Identity {
    let mut identity = given.unwrap_or_else(|| {
        let last = run.storage.as_deref().map(|s| s.trim_end_matches('/')).and_then(|s| s.rsplit('/').next());
        Identity {
            name: last.filter(|l| !l.is_empty()).unwrap_or("pipeline").to_string(),
            root: None,
            storage: None,
            configuration: Properties::new(),
            development: false,
            json_events: false,
        }
    });
    if identity.storage.is_none() {
        identity.storage.clone_from(&run.storage);
    }
    identity
}

/// Held while a pipeline is updated, in whatever process; let go when the process ends, however it does.
fn lock(directory: &std::path::Path, name: &str) -> Result<File> {
    let failed = |e: std::io::Error| Error::io(format!("locking the pipeline {name}"), e);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let path = directory.join(format!("{}.lock", segment(name)));
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::new("PIPELINE_UPDATE_ALREADY_RUNNING").param("pipeline", name).message(format!(
                "An update of the pipeline {name} is running already. Wait for its end, or stop it."
            )))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

fn expectation(session: &Session, rule: Rule) -> Result<Expectation> {
    let place = format!("the expectation '{}'", rule.name);
    let expr = boathouse_sql::parse_expression_with(&rule.condition, &session.conf().parser_options())
        .map_err(|e| e.located(&place))?;
    let condition = TextExpr { text: rule.condition, expr };
    Ok(Expectation { name: rule.name, condition, action: rule.action.into() })
}

fn resolved_name(name: &ObjectName) -> ResolvedName {
    ResolvedName {
        catalog: name.catalog.clone(),
        namespace: vec![name.schema.clone()],
        name: name.name.clone(),
    }
}
