//! Running a flow: a materialized view is written anew, a streaming table gets what is new, a flow that runs once adds its
//! rows once. Every row passes the expectations of its dataset on the way.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::{Dataset, Datasets, Session};
use boathouse_spec::{Command, Error, Options, Relation, Result, SaveMode, Violation, Write};
use boathouse_streaming::{Batch, MicroBatchQuery, OutputMode, QueryDefinition, Sink};
use tokio_util::sync::CancellationToken;

use crate::dropped;
use crate::event::{Event, FlowMetrics, FlowState};
use crate::event_log::EventLog;
use crate::graph::{Flow, Graph, Kind, Output};
use crate::layout::Layout;
use crate::name::{qualify, shown};
use crate::resolve::{flow_session, shaped};
use crate::table::{Place, Table, run};
use crate::view_rules::ViewRules;

/// A flow with all it needs to run.
pub(crate) struct FlowRun {
    pub session: Arc<Session>,
    pub graph: Arc<Graph>,
    pub layout: Layout,
    pub update_id: String,
    pub log: Arc<EventLog>,
    pub flow: Flow,
    pub kind: Kind,
    pub table: Table,
    pub stop: CancellationToken,
    pub views: Arc<ViewRules>,
}

impl FlowRun {
    /// Runs the flow to its end. Its progress is told to the event log; its completion is the caller's to tell.
    pub async fn run(self: Arc<Self>) -> Result<Option<FlowMetrics>> {
        let (graph, views) = (Arc::clone(&self.graph), Arc::clone(&self.views));
        let datasets = RunNames { graph, layout: self.layout.clone(), views };
        let session = flow_session(&self.session, &self.graph, &self.flow, Arc::new(datasets))?;
        self.views.prepare(&session, &self.graph);
        match self.kind {
            Kind::StreamingTable if self.flow.once => self.append_once(&session).await,
            Kind::StreamingTable => self.stream(&session).await.map(|()| None),
            _ => self.recompute(&session).await.map(Some),
        }
    }

    fn output(&self) -> Result<&Output> {
        self.graph.output(&self.flow.target)
    }

    async fn recompute(&self, session: &Arc<Session>) -> Result<FlowMetrics> {
        self.write(session, self.flow.relation.clone(), SaveMode::Overwrite, None).await
    }

    async fn append_once(&self, session: &Arc<Session>) -> Result<Option<FlowMetrics>> {
        let app = format!("boathouse.once.{}.{}", shown(&self.flow.name), self.table.generation);
        if self.written_version(session, &app).await?.is_some() {
            return Ok(Some(FlowMetrics::default()));
        }
        self.write(session, self.flow.relation.clone(), SaveMode::Append, Some((app, 0))).await.map(Some)
    }

    async fn stream(self: &Arc<Self>, session: &Arc<Session>) -> Result<()> {
        let mut query = match self.open(session, OutputMode::Append).await {
            // Groups without a watermark are never final: the table holds all of them as they are now, as on Databricks.
            Err(e) if e.class() == "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION" => {
                self.open(session, OutputMode::Complete).await.map_err(|_| e)?
            }
            opened => opened?,
        };
        query.run_available_now(self.stop.clone(), |_| {}).await
    }

    async fn open(self: &Arc<Self>, session: &Arc<Session>, mode: OutputMode) -> Result<MicroBatchQuery> {
        let definition = QueryDefinition {
            name: Some(shown(&self.flow.name)),
            input: self.flow.relation.clone(),
            checkpoint: self.layout.checkpoint(&self.flow.target, &self.flow.name, &self.table.generation),
            output_mode: mode,
        };
        let mode = if mode == OutputMode::Complete { SaveMode::Overwrite } else { SaveMode::Append };
        MicroBatchQuery::open(Arc::clone(session), definition, Arc::new(FlowSink(Arc::clone(self), mode)))
            .await
    }

    /// The last version that an application wrote to the table; `None` for none.
    async fn written_version(&self, session: &Arc<Session>, app: &str) -> Result<Option<i64>> {
        written_version(session, &self.table.place, app).await
    }

    /// The last version that an application wrote to the table of dropped rows.
    async fn dropped_version(&self, session: &Arc<Session>, app: &str) -> Result<Option<i64>> {
        written_version(session, &Place::Path(self.layout.dropped(&self.flow.target)), app).await
    }

    /// Writes rows that keep the expectations to the table, and those that were dropped beside it.
    async fn write(
        &self,
        session: &Arc<Session>,
        rows: Relation,
        mode: SaveMode,
        txn: Option<(String, i64)>,
    ) -> Result<FlowMetrics> {
        let output = self.output()?;
        let drops = output.expectations.iter().any(|r| r.action == Violation::Drop);
        let (checked, outcome) = session.expect(shaped(rows, output), output.expectations.clone(), drops);
        if let Some((app, version)) = &txn
            && self.written_version(session, app).await?.is_some_and(|v| v >= *version)
        {
            // The rows are there: a process died after them. Those that were dropped may not be.
            if !drops || self.dropped_version(session, app).await?.is_some_and(|v| v >= *version) {
                return Ok(FlowMetrics::default());
            }
            let mut again = session.execute(boathouse_spec::Plan::Query(checked)).await?.stream;
            while let Some(batch) = futures::StreamExt::next(&mut again).await {
                boathouse_bridge::ResultExt::spark(batch)?;
            }
        } else {
            run(session, Command::Write(Box::new(self.write_command(checked, output, mode, txn.as_ref()))))
                .await?;
        }
        if drops {
            let origin = dropped::Origin { update_id: &self.update_id, txn: txn.as_ref(), mode };
            dropped::write(session, &outcome, &self.layout.dropped(&output.name), &origin).await?;
        }
        let views = self.views.take();
        Ok(FlowMetrics { rows: outcome.rows(), dropped: outcome.dropped(), rules: outcome.counts(), views })
    }

    fn write_command(
        &self,
        input: Relation,
        output: &Output,
        mode: SaveMode,
        txn: Option<&(String, i64)>,
    ) -> Write {
        let mut options = Options::new();
        if mode == SaveMode::Overwrite {
            options.push(("overwriteSchema".to_string(), "true".to_string()));
        } else if output.schema.is_none() {
            options.push(("mergeSchema".to_string(), "true".to_string()));
        }
        if let Some((app, version)) = txn {
            options.push(("txnAppId".to_string(), app.clone()));
            options.push(("txnVersion".to_string(), version.to_string()));
        }
        // An overwrite says anew where rows go; an append adds them as the table has them.
        let (partition_by, cluster_by) = match mode {
            SaveMode::Overwrite => (output.partition_by.clone(), output.cluster_by.clone()),
            _ => (Vec::new(), Vec::new()),
        };
        Write {
            input,
            format: Some("delta".to_string()),
            mode: Some(mode),
            target: self.table.place.target(),
            partition_by,
            cluster_by,
            bucket: None,
            options,
        }
    }
}

async fn written_version(session: &Arc<Session>, place: &Place, app: &str) -> Result<Option<i64>> {
    match place.find(session).await? {
        Some(delta) => delta.latest().await?.app_version(app).await,
        None => Ok(None),
    }
}

/// The end of a streaming flow: each batch is one commit, known by the query's id and its own, that adds rows or replaces all.
struct FlowSink(Arc<FlowRun>, SaveMode);

#[async_trait]
impl Sink for FlowSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let flow = &self.0;
        let txn = Some((batch.query_id, batch.id));
        let metrics = flow.write(session, batch.rows, self.1, txn).await?;
        let event = Event::flow(&flow.flow.name, &flow.flow.target, FlowState::Running);
        flow.log.emit(event.with_metrics(&metrics).in_batch(batch.id)).await
    }

    fn description(&self) -> String {
        format!("DeltaSink[{}]", shown(&self.0.flow.target))
    }
}

/// What names mean to flows that run: views of the pipeline and private tables are no relations of the catalog.
struct RunNames {
    graph: Arc<Graph>,
    layout: Layout,
    views: Arc<ViewRules>,
}

impl Datasets for RunNames {
    fn find(&self, name: &[String], namespace: (&str, &str), is_streaming: bool) -> Result<Option<Dataset>> {
        let Some(full) = qualify(name, namespace) else { return Ok(None) };
        let Some(output) = self.graph.outputs.get(&full) else { return Ok(None) };
        let inside = (full.catalog.clone(), full.schema.clone());
        if output.kind == Kind::TemporaryView {
            let flow = self.graph.flows_of(&full).next();
            let flow =
                flow.ok_or_else(|| Error::internal(format!("the view {} has no query", shown(&full))))?;
            let relation = self.views.relation(&full).unwrap_or_else(|| flow.relation.clone());
            return Ok(Some(Dataset::Relation(relation, flow.namespace.clone())));
        }
        if output.private {
            return Ok(Some(Dataset::Relation(
                Place::of(output, &self.layout).relation(is_streaming),
                inside,
            )));
        }
        // `LIVE.t` is a table of the catalog under its full name.
        let is_live = name.first().is_some_and(|n| n.eq_ignore_ascii_case("live"));
        Ok(is_live.then(|| Dataset::Relation(Place::Catalog(full).relation(is_streaming), inside)))
    }
}
