//! An update: the graph is resolved, tables are made, flows run as soon as what they read is there, as many at a time as the
//! settings allow. A flow that fails takes those below it along; the others finish.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use boathouse_catalog::{ObjectName, PipelineRecord};
use boathouse_engine::Session;
use boathouse_spec::{Error, Result};
use indexmap::{IndexMap, IndexSet};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::event::{Event, FlowMetrics, FlowState, UpdateState};
use crate::event_log::EventLog;
use crate::flow::FlowRun;
use crate::graph::{Graph, Kind, unknown_dataset};
use crate::layout::Layout;
use crate::name::{parse, shown};
use crate::request::StartRun;
use crate::resolve::{self, Problem, Resolved};
use crate::table::{self, Table, Wanted};

/// One update of a pipeline.
pub(crate) struct Update {
    pub session: Arc<Session>,
    pub pipeline: PipelineRecord,
    pub layout: Layout,
    pub id: String,
    pub log: Arc<EventLog>,
    pub run: StartRun,
    /// In development a flow that fails is not tried again.
    pub development: bool,
}

/// What an update is about.
struct Selection {
    /// Tables whose flows run.
    tables: IndexSet<ObjectName>,
    full_refresh: HashSet<ObjectName>,
}

impl Update {
    /// Runs to the end. Every failure is in the event log; the error tells them all.
    pub async fn run(&self, graph: Graph) -> Result<()> {
        self.log.emit(Event::create_update(self.run.full_refresh_all, self.run.dry)).await?;
        self.log.emit(Event::update(UpdateState::Initializing)).await?;
        let outcome = self.steps(Arc::new(graph)).await;
        let state = if outcome.is_ok() { UpdateState::Completed } else { UpdateState::Failed };
        let mut event = Event::update(state);
        if let Err(error) = &outcome {
            event = event.with_error(error);
        }
        self.log.emit(event).await?;
        self.log.flush().await?;
        outcome
    }

    async fn steps(&self, graph: Arc<Graph>) -> Result<()> {
        if !graph.outputs.values().any(|o| o.kind != Kind::TemporaryView) {
            return Err(Error::new("RUN_EMPTY_PIPELINE").exception("AnalysisException").message(
                "The pipeline defines no table. Look whether its files were found, and define one with @dlt.table or \
                 CREATE MATERIALIZED VIEW.",
            ));
        }
        let selection = self.selection(&graph)?;
        let resolved = resolve::resolve(&self.session, graph).await;
        self.tell_definitions(&resolved).await?;
        if !resolved.problems.is_empty() {
            return Err(self.problems(&resolved.problems).await?);
        }
        if self.run.dry {
            return Ok(());
        }
        self.log.emit(Event::update(UpdateState::SettingUpTables)).await?;
        let tables = self.tables(&resolved, &selection).await?;
        self.log.emit(Event::update(UpdateState::Running)).await?;
        let failures = Schedule::new(self, &resolved, tables).run().await?;
        match failures.as_slice() {
            [] => Ok(()),
            failures => Err(failed(failures)),
        }
    }

    fn selection(&self, graph: &Graph) -> Result<Selection> {
        let namespace = (self.pipeline.catalog.as_str(), self.pipeline.schema.as_str());
        let names = |texts: &[String]| -> Result<Vec<ObjectName>> {
            let named = texts.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|t| !t.is_empty());
            named
                .map(|text| {
                    let name = parse(text, namespace)?;
                    if graph.outputs.contains_key(&name) { Ok(name) } else { Err(unknown_dataset(&name)) }
                })
                .collect()
        };
        let (full, partial) = (names(&self.run.full_refresh)?, names(&self.run.refresh)?);
        let all = || graph.outputs.values().filter(|o| o.kind != Kind::TemporaryView).map(|o| o.name.clone());
        if self.run.full_refresh_all && !(full.is_empty() && partial.is_empty()) {
            return Err(Error::new("PIPELINE_REFRESH_SELECTION_CONFLICT")
                .message("A full refresh of all datasets leaves nothing to select: give either.")
                .exception("IllegalArgumentException"));
        }
        if self.run.full_refresh_all {
            return Ok(Selection { tables: all().collect(), full_refresh: all().collect() });
        }
        let tables = match full.is_empty() && partial.is_empty() {
            true => all().collect(),
            false => partial.into_iter().chain(full.iter().cloned()).collect(),
        };
        Ok(Selection { tables, full_refresh: full.into_iter().collect() })
    }

    async fn tell_definitions(&self, resolved: &Resolved) -> Result<()> {
        for output in resolved.graph.outputs.values() {
            let Some(known) = resolved.outputs.get(&output.name) else { continue };
            let kind = known.kind.shown().replace(' ', "_");
            let event = Event::dataset(&output.name, &kind, &known.schema.json(), output.comment.as_deref());
            self.log.emit(event).await?;
        }
        for (name, flow) in &resolved.flows {
            let Some(definition) = resolved.graph.flows.get(name) else { continue };
            let inputs: Vec<String> = flow.inputs.iter().map(|i| shown(&i.dataset)).collect();
            self.log
                .emit(Event::flow_definition(name, &definition.target, flow.is_streaming, &inputs))
                .await?;
        }
        Ok(())
    }

    /// Tells what is wrong with the graph, and gives the error for all of it.
    async fn problems(&self, problems: &[Problem]) -> Result<Error> {
        let mut lines = Vec::with_capacity(problems.len());
        for problem in problems {
            let flow = problem.flow.as_ref().unwrap_or(&problem.dataset);
            let event = Event::flow(flow, &problem.dataset, FlowState::Failed).with_error(&problem.error);
            self.log.emit(event).await?;
            lines.push((shown(&problem.dataset), problem.error.clone()));
        }
        Ok(failed(&lines))
    }

    async fn tables(
        &self,
        resolved: &Resolved,
        selection: &Selection,
    ) -> Result<IndexMap<ObjectName, Table>> {
        let mut tables = IndexMap::new();
        for name in &selection.tables {
            let output = resolved.graph.output(name)?;
            let Some(known) = resolved.outputs.get(name) else { continue };
            let wanted = Wanted {
                output,
                kind: known.kind,
                schema: &known.schema,
                full_refresh: selection.full_refresh.contains(name),
            };
            let prepared = table::prepare(&self.session, &self.pipeline, &self.layout, &wanted).await;
            match prepared {
                Ok(table) => {
                    tables.insert(name.clone(), table);
                }
                Err(error) => {
                    self.log.emit(Event::flow(name, name, FlowState::Failed).with_error(&error)).await?;
                    return Err(failed(&[(shown(name), error)]));
                }
            }
        }
        Ok(tables)
    }

    fn number(&self, key: &str, default: usize) -> usize {
        self.session.conf().get(key).and_then(|v| v.parse().ok()).unwrap_or(default)
    }
}

/// PIPELINE_RUN_FAILED, for what went wrong where.
fn failed(failures: &[(String, Error)]) -> Error {
    let lines: Vec<String> = failures.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    let message = format!("The update failed.\n{}", lines.join("\n"));
    Error::new("PIPELINE_RUN_FAILED").param("message", &message).message(message)
}

/// The flows of an update, by what they wait for.
struct Schedule<'a> {
    update: &'a Update,
    resolved: &'a Resolved,
    tables: IndexMap<ObjectName, Table>,
    /// Flows that wait, with the flows they wait for.
    waiting: IndexMap<ObjectName, HashSet<ObjectName>>,
    running: JoinSet<(ObjectName, Result<Option<FlowMetrics>>)>,
    /// The flow of each task, for one that panics.
    names: HashMap<tokio::task::Id, ObjectName>,
    failures: Vec<(String, Error)>,
    stop: CancellationToken,
    _stops: DropGuard,
}

impl<'a> Schedule<'a> {
    fn new(update: &'a Update, resolved: &'a Resolved, tables: IndexMap<ObjectName, Table>) -> Self {
        let runs: HashSet<&ObjectName> = resolved
            .graph
            .flows
            .values()
            .filter(|f| tables.contains_key(&f.target))
            .map(|f| &f.name)
            .collect();
        let waits = |flow: &ObjectName| -> HashSet<ObjectName> {
            let upstream = resolved.upstream(flow);
            let flows =
                upstream.iter().flat_map(|t| resolved.graph.flows_of(t).map(|f| &f.name).collect::<Vec<_>>());
            flows.filter(|f| runs.contains(*f)).cloned().collect()
        };
        let waiting = resolved
            .graph
            .flows
            .keys()
            .filter(|f| runs.contains(*f))
            .map(|f| (f.clone(), waits(f)))
            .collect();
        let stop = CancellationToken::new();
        Self {
            update,
            resolved,
            tables,
            waiting,
            running: JoinSet::new(),
            names: HashMap::new(),
            failures: Vec::new(),
            _stops: stop.clone().drop_guard(),
            stop,
        }
    }

    async fn run(mut self) -> Result<Vec<(String, Error)>> {
        let most = self.update.number("spark.sql.pipelines.execution.maxConcurrentFlows", 16).max(1);
        for flow in self.waiting.keys().cloned().collect::<Vec<_>>() {
            self.tell(&flow, FlowState::Queued).await?;
        }
        loop {
            self.start(most).await?;
            let Some(done) = self.running.join_next_with_id().await else { break };
            let (flow, outcome) = match done {
                Ok((id, done)) => {
                    self.names.remove(&id);
                    done
                }
                Err(e) => {
                    let Some(flow) = self.names.remove(&e.id()) else { continue };
                    (
                        flow,
                        Err(Error::internal(format!(
                            "A flow ended by a defect of the engine: {e}. Please report it."
                        ))),
                    )
                }
            };
            match outcome {
                Ok(metrics) => self.completed(&flow, metrics).await?,
                Err(error) => self.failed(&flow, error).await?,
            }
        }
        Ok(self.failures)
    }

    async fn tell(&self, flow: &ObjectName, state: FlowState) -> Result<()> {
        let Some(definition) = self.resolved.graph.flows.get(flow) else { return Ok(()) };
        self.update.log.emit(Event::flow(flow, &definition.target, state)).await
    }

    /// Starts what waits for nothing any more.
    async fn start(&mut self, most: usize) -> Result<()> {
        while self.running.len() < most {
            let ready = self.waiting.iter().find(|(_, waits)| waits.is_empty()).map(|(f, _)| f.clone());
            let Some(flow) = ready else { break };
            self.waiting.shift_remove(&flow);
            self.tell(&flow, FlowState::Starting).await?;
            let Some(run) = self.flow_run(&flow) else { continue };
            let retries = match self.update.development {
                true => 0,
                false => self.update.number("spark.sql.pipelines.maxFlowRetryAttempts", 2),
            };
            self.tell(&flow, FlowState::Running).await?;
            let name = flow.clone();
            let runtime = self.update.session.engine().runtime().clone();
            let handle =
                self.running.spawn_on(async move { (name, with_retries(run, retries).await) }, &runtime);
            self.names.insert(handle.id(), flow);
        }
        Ok(())
    }

    fn flow_run(&self, flow: &ObjectName) -> Option<Arc<FlowRun>> {
        let definition = self.resolved.graph.flows.get(flow)?;
        Some(Arc::new(FlowRun {
            session: Arc::clone(&self.update.session),
            graph: Arc::clone(&self.resolved.graph),
            layout: self.update.layout.clone(),
            update_id: self.update.id.clone(),
            log: Arc::clone(&self.update.log),
            flow: definition.clone(),
            kind: self.resolved.outputs.get(&definition.target)?.kind,
            table: self.tables.get(&definition.target)?.clone(),
            stop: self.stop.clone(),
            views: Arc::default(),
        }))
    }

    async fn completed(&mut self, flow: &ObjectName, metrics: Option<FlowMetrics>) -> Result<()> {
        for waits in self.waiting.values_mut() {
            waits.remove(flow);
        }
        let Some(definition) = self.resolved.graph.flows.get(flow) else { return Ok(()) };
        let event = Event::flow(flow, &definition.target, FlowState::Completed);
        let event = match &metrics {
            Some(metrics) => event.with_metrics(metrics),
            None => event,
        };
        self.update.log.emit(event).await
    }

    /// Tells the failure, and skips what waited for it.
    async fn failed(&mut self, flow: &ObjectName, error: Error) -> Result<()> {
        let Some(definition) = self.resolved.graph.flows.get(flow) else { return Ok(()) };
        let event = Event::flow(flow, &definition.target, FlowState::Failed).with_error(&error);
        self.update.log.emit(event).await?;
        self.failures.push((shown(&definition.target), error));
        let mut gone = vec![flow.clone()];
        while let Some(failed) = gone.pop() {
            let skipped: Vec<ObjectName> = self
                .waiting
                .iter()
                .filter(|(_, waits)| waits.contains(&failed))
                .map(|(f, _)| f.clone())
                .collect();
            for flow in skipped {
                self.waiting.shift_remove(&flow);
                let Some(definition) = self.resolved.graph.flows.get(&flow) else { continue };
                let why = format!("It reads {}, which failed.", shown(&failed));
                let event = Event::flow(&flow, &definition.target, FlowState::Skipped).because(&why);
                self.update.log.emit(event).await?;
                gone.push(flow);
            }
        }
        Ok(())
    }
}

async fn with_retries(run: Arc<FlowRun>, retries: usize) -> Result<Option<FlowMetrics>> {
    let mut attempt = 0;
    loop {
        match Arc::clone(&run).run().await {
            Err(error) if attempt < retries && may_pass(&error) => {
                attempt += 1;
                let wait = Duration::from_secs(1 << attempt.min(6));
                tracing::warn!(flow = shown(&run.flow.name), attempt, "trying again in {wait:?}: {error}");
                tokio::time::sleep(wait).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether the same work may succeed another time: conflicts between writers, and failures of disks and networks.
fn may_pass(error: &Error) -> bool {
    error.class().starts_with("DELTA_CONCURRENT") || error.class() == "FAILED_IO"
}
