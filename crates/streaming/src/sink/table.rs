//! Tables: each batch is one commit, marked with the query's id and the batch's, so that the same batch again does nothing.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{Command, Options, Plan, Result, SaveMode, Write, WriteTarget};

use crate::query::{Batch, OutputMode, Sink};
use crate::start::StartQuery;

pub(super) struct TableSink {
    target: WriteTarget,
    partition_by: Vec<String>,
    cluster_by: Vec<String>,
    options: Options,
    mode: OutputMode,
    description: String,
}

impl TableSink {
    /// A Delta table by path.
    pub fn path(path: String, start: &StartQuery, options: Options, mode: OutputMode) -> Self {
        let description = format!("DeltaSink[{path}]");
        Self::new(WriteTarget::Path(path), start, options, mode, description)
    }

    /// A table of the catalog.
    pub fn table(name: Vec<String>, start: &StartQuery, options: Options, mode: OutputMode) -> Self {
        let description = format!("DeltaSink[{}]", name.join("."));
        Self::new(WriteTarget::Table(name), start, options, mode, description)
    }

    fn new(
        target: WriteTarget,
        start: &StartQuery,
        options: Options,
        mode: OutputMode,
        description: String,
    ) -> Self {
        Self {
            target,
            partition_by: start.partition_by.clone(),
            cluster_by: start.cluster_by.clone(),
            options,
            mode,
            description,
        }
    }
}

#[async_trait]
impl Sink for TableSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let mut options = self.options.clone();
        options.push(("txnAppId".to_string(), batch.query_id));
        options.push(("txnVersion".to_string(), batch.id.to_string()));
        let write = Write {
            input: batch.rows,
            format: Some("delta".to_string()),
            mode: Some(if self.mode == OutputMode::Complete {
                SaveMode::Overwrite
            } else {
                SaveMode::Append
            }),
            target: self.target.clone(),
            partition_by: self.partition_by.clone(),
            cluster_by: self.cluster_by.clone(),
            bucket: None,
            options,
        };
        session.execute(Plan::Command(Box::new(Command::Write(Box::new(write))))).await?.collect().await?;
        Ok(())
    }

    fn description(&self) -> String {
        self.description.clone()
    }
}
