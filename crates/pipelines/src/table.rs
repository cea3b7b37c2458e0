//! The tables of datasets: made before the first flow writes, kept as they are defined, emptied by a full refresh.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, PipelineRecord, TableKind, TableRecord};
use boathouse_delta::DeltaTable;
use boathouse_engine::Session;
use boathouse_spec::{
    ColumnDefinition, Command, CommentTarget, CreateMode, CreateTable, DataSourceRef, Error, Name, Options,
    PartitionField, Plan, Relation, RelationNode, Result, StructType, TableChange, TableRef, WriteTarget,
};

use crate::graph::{Kind, Output};
use crate::layout::Layout;
use crate::name::shown;

/// The property of a table that names its pipeline, as on Databricks.
pub(crate) const PIPELINE_ID: &str = "pipelines.pipelineId";
/// `false`: a full refresh leaves the table as it is.
const RESET_ALLOWED: &str = "pipelines.reset.allowed";
/// The table's life since it was made or fully refreshed.
const GENERATION: &str = "pipelines.generation";

/// A dataset's table, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub place: Place,
    pub generation: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Catalog(ObjectName),
    /// A private dataset.
    Path(String),
}

impl Place {
    pub fn of(output: &Output, layout: &Layout) -> Self {
        match output.private {
            true => Self::Path(output.path.clone().unwrap_or_else(|| layout.private_table(&output.name))),
            false => Self::Catalog(output.name.clone()),
        }
    }

    /// How statements name the table.
    pub fn name(&self) -> Name {
        match self {
            Self::Catalog(name) => name.parts(),
            Self::Path(path) => vec!["delta".to_string(), path.clone()],
        }
    }

    pub fn target(&self) -> WriteTarget {
        match self {
            Self::Catalog(name) => WriteTarget::Table(name.parts()),
            Self::Path(path) => WriteTarget::Path(path.clone()),
        }
    }

    /// The table, where there is one.
    pub async fn find(&self, session: &Arc<Session>) -> Result<Option<DeltaTable>> {
        match session.delta_table(&self.relation(false).node).await {
            Err(e)
                if ["TABLE_OR_VIEW_NOT_FOUND", "DELTA_PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND"]
                    .contains(&e.class()) =>
            {
                Ok(None)
            }
            found => found,
        }
    }

    /// The table as a relation.
    pub fn relation(&self, is_streaming: bool) -> Relation {
        Relation::new(match self {
            Self::Catalog(name) => {
                RelationNode::Table(TableRef { name: name.parts(), is_streaming, ..TableRef::default() })
            }
            Self::Path(path) => RelationNode::DataSource(DataSourceRef {
                format: "delta".to_string(),
                paths: vec![path.clone()],
                is_streaming,
                ..DataSourceRef::default()
            }),
        })
    }
}

/// What a table is to be.
pub(crate) struct Wanted<'a> {
    pub output: &'a Output,
    pub kind: Kind,
    pub schema: &'a StructType,
    pub full_refresh: bool,
}

/// Makes a dataset's table as it is defined.
pub(crate) async fn prepare(
    session: &Arc<Session>,
    pipeline: &PipelineRecord,
    layout: &Layout,
    wanted: &Wanted<'_>,
) -> Result<Table> {
    let place = Place::of(wanted.output, layout);
    let record = match &place {
        Place::Catalog(name) => session.engine().catalog().find_table(name).await?,
        Place::Path(_) => None,
    };
    if let Some(record) = &record {
        check_owner(record, pipeline)?;
    }
    let properties = properties_at(session, &place).await?;
    let same_kind = record.as_ref().is_none_or(|r| r.kind == catalog_kind(wanted.kind));
    let generation = match properties {
        Some(properties) if !resets(wanted, &properties, same_kind)? => {
            if let (Place::Catalog(name), Some(record)) = (&place, &record) {
                keep_defined(session, name, record, wanted.output).await?;
            }
            match properties.iter().find(|(k, _)| k == GENERATION) {
                Some((_, generation)) => generation.clone(),
                None => return Err(not_ours(&wanted.output.name)),
            }
        }
        existing => {
            let generation = uuid::Uuid::new_v4().to_string();
            let mode = if existing.is_some() { CreateMode::OrReplace } else { CreateMode::Create };
            create(session, pipeline, &place, wanted, mode, &generation).await?;
            generation
        }
    };
    if let Place::Catalog(name) = &place {
        mark(session, name, wanted).await?;
    }
    Ok(Table { place, generation })
}

/// Whether the table is to be made anew.
fn resets(wanted: &Wanted<'_>, properties: &Options, same_kind: bool) -> Result<bool> {
    if !same_kind && !wanted.full_refresh {
        let name = shown(&wanted.output.name);
        return Err(Error::new("PIPELINE_DATASET_CHANGED_KIND")
            .param("identifier", &name)
            .message(format!(
                "{name} was another kind of dataset and is now a {}: run the pipeline with --full-refresh {}.",
                wanted.kind.shown().to_lowercase(),
                wanted.output.name.name
            ))
            .exception("AnalysisException"));
    }
    if !same_kind {
        return Ok(true);
    }
    let allowed = |options: &Options| {
        options
            .iter()
            .rev()
            .find(|(k, _)| k == RESET_ALLOWED)
            .is_none_or(|(_, v)| !v.eq_ignore_ascii_case("false"))
    };
    let resets = wanted.full_refresh && wanted.kind == Kind::StreamingTable;
    Ok(resets && allowed(properties) && allowed(&wanted.output.properties))
}

/// The properties of the table that is there, by its log.
async fn properties_at(session: &Arc<Session>, place: &Place) -> Result<Option<Options>> {
    let Some(delta) = place.find(session).await? else { return Ok(None) };
    let snapshot = delta.latest().await?;
    Ok(Some(snapshot.metadata().configuration.iter().map(|(k, v)| (k.clone(), v.clone())).collect()))
}

async fn create(
    session: &Arc<Session>,
    pipeline: &PipelineRecord,
    place: &Place,
    wanted: &Wanted<'_>,
    mode: CreateMode,
    generation: &str,
) -> Result<()> {
    let output = wanted.output;
    let mut properties = output.properties.clone();
    properties.push((PIPELINE_ID.to_string(), pipeline.id.to_string()));
    properties.push((GENERATION.to_string(), generation.to_string()));
    let column = |f: &boathouse_spec::StructField| ColumnDefinition {
        name: f.name.clone(),
        data_type: f.data_type.clone(),
        nullable: f.nullable,
        comment: f.comment(),
        default: None,
        generated: None,
        identity: None,
        mask: None,
        mask_using: Vec::new(),
    };
    let create = CreateTable {
        name: place.name(),
        mode,
        columns: wanted.schema.fields.iter().map(column).collect(),
        provider: Some("delta".to_string()),
        partition_by: output.partition_by.iter().map(|c| PartitionField::Column(vec![c.clone()])).collect(),
        cluster_by: (!output.cluster_by.is_empty()).then(|| output.cluster_by.clone()),
        location: match place {
            Place::Catalog(_) => output.path.clone(),
            Place::Path(_) => None,
        },
        comment: output.comment.clone(),
        properties,
        ..CreateTable::default()
    };
    run(session, Command::CreateTable(Box::new(create))).await
}

/// Comment and properties follow the definition without a refresh.
async fn keep_defined(
    session: &Arc<Session>,
    name: &ObjectName,
    record: &TableRecord,
    output: &Output,
) -> Result<()> {
    let differs = |(key, value): &&(String, String)| record.properties.get(key) != Some(value);
    let changed: Options = output.properties.iter().filter(differs).cloned().collect();
    if !changed.is_empty() {
        let changes = vec![TableChange::SetProperties(changed)];
        let alter = Command::AlterTable { name: name.parts(), if_exists: false, is_view: false, changes };
        run(session, alter).await?;
    }
    if record.comment != output.comment {
        let comment = output.comment.clone();
        run(session, Command::CommentOn { target: CommentTarget::Table, name: name.parts(), comment })
            .await?;
    }
    Ok(())
}

/// What the catalog says of the table beyond what a statement can.
async fn mark(session: &Arc<Session>, name: &ObjectName, wanted: &Wanted<'_>) -> Result<()> {
    let catalog = session.engine().catalog();
    let kind = catalog_kind(wanted.kind);
    let path = wanted.output.path.clone();
    if catalog.get_table(name).await?.kind == kind {
        return Ok(());
    }
    catalog
        .alter_table(name, session.user(), move |record| {
            record.kind = kind;
            if let Some(path) = path {
                record.options.insert("path".to_string(), path);
            }
            Ok(())
        })
        .await?;
    Ok(())
}

fn catalog_kind(kind: Kind) -> TableKind {
    match kind {
        Kind::StreamingTable => TableKind::StreamingTable,
        _ => TableKind::MaterializedView,
    }
}

/// A dataset belongs to one pipeline, and never to a table that somebody else made.
fn check_owner(record: &TableRecord, pipeline: &PipelineRecord) -> Result<()> {
    match record.properties.get(PIPELINE_ID) {
        Some(id) if *id == pipeline.id.to_string() => Ok(()),
        _ => Err(not_ours(&record.name)),
    }
}

/// PIPELINE_TABLE_NOT_OWNED
fn not_ours(name: &ObjectName) -> Error {
    Error::new("PIPELINE_TABLE_NOT_OWNED")
        .param("identifier", shown(name))
        .message(format!(
            "There is a table {} that this pipeline did not make. Drop or rename it, name the dataset differently, or give \
             the pipeline another schema.",
            shown(name)
        ))
        .exception("AnalysisException")
}

/// Runs a command that has nothing to show.
pub(crate) async fn run(session: &Arc<Session>, command: Command) -> Result<()> {
    session.execute(Plan::Command(Box::new(command))).await?.collect().await.map(|_| ())
}
