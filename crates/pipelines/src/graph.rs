//! A pipeline as it is defined: its outputs and the flows that write them. Nothing here is resolved.

use boathouse_catalog::ObjectName;
use boathouse_spec::{Error, Expectation, Name, Options, Relation, Result, StructType};
use indexmap::IndexMap;

use crate::name::shown;
use crate::request::{OutputKind, SourceLocation};

/// What an output is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A streaming table or a materialized view, by what its flow reads (`@dlt.table`).
    Auto,
    StreamingTable,
    MaterializedView,
    TemporaryView,
}

impl Kind {
    pub fn shown(self) -> &'static str {
        match self {
            Self::Auto => "TABLE",
            Self::StreamingTable => "STREAMING TABLE",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::TemporaryView => "TEMPORARY VIEW",
        }
    }
}

impl TryFrom<OutputKind> for Kind {
    type Error = Error;

    fn try_from(kind: OutputKind) -> Result<Self> {
        match kind {
            OutputKind::MaterializedView => Ok(Self::MaterializedView),
            OutputKind::StreamingTable => Ok(Self::StreamingTable),
            OutputKind::TemporaryView => Ok(Self::TemporaryView),
            OutputKind::Sink => Err(Error::unsupported("sinks of pipelines")),
        }
    }
}

/// A table or view of the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub name: ObjectName,
    pub kind: Kind,
    pub comment: Option<String>,
    /// The columns it is declared with; `None`: those of its flows.
    pub schema: Option<StructType>,
    pub partition_by: Vec<String>,
    pub cluster_by: Vec<Name>,
    pub properties: Options,
    /// Where its files are to be; `None`: where the catalog puts them.
    pub path: Option<String>,
    /// Not published in the catalog: only flows of this pipeline see it.
    pub private: bool,
    pub expectations: Vec<Expectation>,
    pub location: SourceLocation,
}

impl Output {
    pub fn new(name: ObjectName, kind: Kind) -> Self {
        Self {
            name,
            kind,
            comment: None,
            schema: None,
            partition_by: Vec::new(),
            cluster_by: Vec::new(),
            properties: Options::new(),
            path: None,
            private: false,
            expectations: Vec::new(),
            location: SourceLocation::default(),
        }
    }
}

/// A query that writes to an output.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub name: ObjectName,
    pub target: ObjectName,
    pub relation: Relation,
    /// Catalog and schema of short names in the query.
    pub namespace: (String, String),
    /// Settings of its query.
    pub conf: Options,
    /// A query over bounded data that adds its rows once.
    pub once: bool,
}

/// All that is defined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    pub outputs: IndexMap<ObjectName, Output>,
    pub flows: IndexMap<ObjectName, Flow>,
    /// Flows that are to run once, said before they are defined.
    pub once: Vec<ObjectName>,
    /// Settings of all flows.
    pub conf: Options,
}

impl Graph {
    pub fn add_output(&mut self, output: Output) -> Result<()> {
        if let Some(existing) = self.outputs.get(&output.name) {
            let name = shown(&output.name);
            return Err(Error::new("PIPELINE_DUPLICATE_IDENTIFIERS.OUTPUT")
                .param("outputType1", output.kind.shown())
                .param("outputName", &name)
                .param("outputType2", existing.kind.shown())
                .message(format!("{name} is defined twice in the pipeline: a name stands for one dataset."))
                .exception("AnalysisException"));
        }
        self.outputs.insert(output.name.clone(), output);
        Ok(())
    }

    pub fn add_flow(&mut self, mut flow: Flow) -> Result<()> {
        if let Some(existing) = self.flows.get(&flow.name) {
            let name = shown(&flow.name);
            let targets = format!("{}, {}", shown(&existing.target), shown(&flow.target));
            return Err(Error::new("PIPELINE_DUPLICATE_IDENTIFIERS.FLOW")
                .param("flowName", &name)
                .param("datasetNames", &targets)
                .message(format!(
                    "The flow {name} is defined twice, for {targets}: give each flow a name of its own."
                ))
                .exception("AnalysisException"));
        }
        flow.once |= self.once.contains(&flow.name);
        self.flows.insert(flow.name.clone(), flow);
        Ok(())
    }

    pub fn output(&self, name: &ObjectName) -> Result<&Output> {
        self.outputs.get(name).ok_or_else(|| unknown_dataset(name))
    }

    pub fn output_mut(&mut self, name: &ObjectName) -> Result<&mut Output> {
        self.outputs.get_mut(name).ok_or_else(|| unknown_dataset(name))
    }

    /// The flows that write an output, in the order of their definition.
    pub fn flows_of<'a>(&'a self, output: &'a ObjectName) -> impl Iterator<Item = &'a Flow> {
        self.flows.values().filter(move |f| f.target == *output)
    }
}

/// PIPELINE_DATASET_NOT_DEFINED
pub(crate) fn unknown_dataset(name: &ObjectName) -> Error {
    Error::new("PIPELINE_DATASET_NOT_DEFINED")
        .param("identifier", shown(name))
        .message(format!("The pipeline defines no dataset {}.", shown(name)))
        .exception("AnalysisException")
}
