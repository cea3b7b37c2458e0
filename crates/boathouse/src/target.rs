//! Where SQL runs: an engine in this process, or a server.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use boathouse_connect::client::{Client, ClientError};
use boathouse_engine::{Session, SessionConf};
use boathouse_functions::Context;
use boathouse_spec::StructType;
use futures::TryStreamExt;
use tokio::runtime::Runtime;

use crate::embedded::{Embedded, user};
use crate::exit::{Failure, Result};

/// What a statement gave. Statements that only do something have no columns.
pub struct Rows {
    pub schema: StructType,
    pub batches: Vec<RecordBatch>,
}

const TIME_ZONE: &str = "spark.sql.session.timeZone";

pub trait Target {
    /// Runs one statement to its end. Ctrl-C cancels it.
    fn execute(&self, statement: &str) -> Result<Rows>;

    /// The settings that decide how values are written.
    fn context(&self) -> Result<Context>;
}

/// The server at the address, or an engine on the home.
pub fn open(remote: Option<&str>, home: &Path, memory_limit: Option<usize>) -> Result<Box<dyn Target>> {
    match remote {
        Some(address) => Ok(Box::new(Remote::open(address)?)),
        None => Ok(Box::new(Local::open(home, memory_limit)?)),
    }
}

/// An engine in this process.
pub struct Local {
    runtime: Runtime,
    session: Arc<Session>,
}

impl Local {
    pub fn open(home: &Path, memory_limit: Option<usize>) -> Result<Self> {
        let Embedded { runtime, session } = Embedded::open(home, memory_limit)?;
        Ok(Self { runtime, session })
    }
}

impl Target for Local {
    fn execute(&self, statement: &str) -> Result<Rows> {
        self.runtime.block_on(unless_interrupted(async {
            let plan = boathouse_sql::parse_statement(statement, &self.session.conf().parser_options())?;
            let result = self.session.execute(plan).await?;
            let schema = result.schema.clone();
            let batches = result.stream.try_collect().await.map_err(boathouse_bridge::from_datafusion)?;
            Ok(Rows { schema, batches })
        }))
    }

    fn context(&self) -> Result<Context> {
        Ok(self.session.conf().function_context())
    }
}

/// A session on a server.
pub struct Remote {
    runtime: Runtime,
    client: Client,
}

impl Remote {
    pub fn open(address: &str) -> Result<Self> {
        let runtime = boathouse_connect::runtime(1)?;
        let client = runtime.block_on(Client::open(address, &user())).map_err(failed)?;
        Ok(Self { runtime, client })
    }
}

impl Target for Remote {
    fn execute(&self, statement: &str) -> Result<Rows> {
        let mut client = self.client.clone();
        self.runtime.block_on(unless_interrupted(async {
            let answer = client.sql(statement).await.map_err(failed)?;
            Ok(Rows { schema: answer.schema, batches: answer.batches })
        }))
    }

    fn context(&self) -> Result<Context> {
        let mut client = self.client.clone();
        let conf = SessionConf::default();
        if let Some(zone) = self.runtime.block_on(client.setting(TIME_ZONE)).map_err(failed)? {
            conf.set(TIME_ZONE, &zone)?;
        }
        Ok(conf.function_context())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // The server forgets idle sessions by itself.
        let _ = self.runtime.block_on(self.client.close());
    }
}

fn failed(e: ClientError) -> Failure {
    match e {
        ClientError::Address(message) => Failure::Usage(message),
        ClientError::Failed(message) => Failure::Failed(message),
    }
}

/// Runs the work until Ctrl-C: dropping it cancels the query.
async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::Failed("The statement was canceled.".into())),
    }
}
