//! What queries ask of pipelines: `event_log('pipeline')` and `dropped_records('table')`.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_catalog::PipelineRecord;
use boathouse_engine::{Engine, Session, TableFunction};
use boathouse_spec::{Error, Literal, Relation, RelationNode, Result};

use crate::layout::Layout;
use crate::name::{parse, shown};
use crate::table::{PIPELINE_ID, Place};
use crate::{dropped, event_log};

/// Gives the queries of an engine the functions `event_log` and `dropped_records`.
pub fn register_functions(engine: &Engine) {
    engine.register_table_function("event_log", Arc::new(EventLogFunction));
    engine.register_table_function("dropped_records", Arc::new(DroppedRecords));
}

/// `event_log('pipeline')`: the events of its updates.
pub(crate) struct EventLogFunction;

#[async_trait]
impl TableFunction for EventLogFunction {
    async fn relation(&self, session: &Arc<Session>, args: Vec<Literal>) -> Result<Relation> {
        let name = text_argument("event_log", args)?;
        let catalog = session.engine().catalog();
        let mut pipeline = catalog.find_pipeline(&name).await?;
        if pipeline.is_none()
            && let Ok(id) = uuid::Uuid::parse_str(&name)
        {
            pipeline = catalog.find_pipeline_by_id(id).await?;
        }
        let Some(pipeline) = pipeline else {
            let known = catalog.list_pipelines().await?;
            let known: Vec<String> = known.iter().map(|p| p.name.clone()).collect();
            return Err(Error::new("PIPELINE_NOT_FOUND")
                .param("pipeline", &name)
                .message(match known.as_slice() {
                    [] => format!("There is no pipeline '{name}': none was run in this home."),
                    known => format!("There is no pipeline '{name}'. There are: {}.", known.join(", ")),
                })
                .exception("AnalysisException"));
        };
        let place = Place::Path(Layout::new(&pipeline.storage).event_log());
        existing(session, place, event_log::schema).await
    }
}

/// `dropped_records('table')`: the rows of a dataset that its expectations dropped.
pub(crate) struct DroppedRecords;

#[async_trait]
impl TableFunction for DroppedRecords {
    async fn relation(&self, session: &Arc<Session>, args: Vec<Literal>) -> Result<Relation> {
        let name = text_argument("dropped_records", args)?;
        let (catalog, schema) = session.current_namespace();
        let name = parse(&name, (&catalog, &schema))?;
        let store = session.engine().catalog();
        let record = store.get_table(&name).await?;
        let mut pipeline: Option<PipelineRecord> = None;
        if let Some(id) = record.properties.get(PIPELINE_ID).and_then(|id| uuid::Uuid::parse_str(id).ok()) {
            pipeline = store.find_pipeline_by_id(id).await?;
        }
        let Some(pipeline) = pipeline else {
            return Err(Error::new("NOT_A_PIPELINE_DATASET")
                .param("identifier", shown(&name))
                .message(format!(
                    "{} is no dataset of a pipeline: only those have dropped rows.",
                    shown(&name)
                ))
                .exception("AnalysisException"));
        };
        let place = Place::Path(Layout::new(&pipeline.storage).dropped(&name));
        existing(session, place, || dropped::schema(&record.schema)).await
    }
}

/// The table at a place; one that was not made yet has no rows.
async fn existing(
    session: &Arc<Session>,
    place: Place,
    schema: impl FnOnce() -> boathouse_spec::StructType,
) -> Result<Relation> {
    Ok(match place.find(session).await? {
        Some(_) => place.relation(false),
        None => Relation::new(RelationNode::Empty(schema())),
    })
}

fn text_argument(function: &str, args: Vec<Literal>) -> Result<String> {
    match <[Literal; 1]>::try_from(args) {
        Ok([Literal::String(name)]) => Ok(name),
        _ => Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", format!("`{function}`"))
            .param("expectedNum", 1)
            .message(format!("{function} takes one name, as text: {function}('name')."))
            .exception("AnalysisException")),
    }
}
