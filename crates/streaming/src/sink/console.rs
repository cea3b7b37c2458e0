//! `console`: shows the rows of each batch on the server's terminal.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::{Console, Session};
use boathouse_spec::{Options, Result};

use crate::options::Given;
use crate::query::{Batch, Sink};

#[derive(Debug)]
pub(super) struct ConsoleSink(Console);

impl ConsoleSink {
    pub fn new(options: &Options) -> Result<Self> {
        let (given, default) = (Given(options), Console::default());
        let rows = given.positive("numRows")?.and_then(|n| i32::try_from(n).ok()).unwrap_or(default.rows);
        Ok(Self(Console { rows, truncates: given.flag("truncate", default.truncates)? }))
    }
}

#[async_trait]
impl Sink for ConsoleSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let text = self.0.text(session, batch.rows).await?;
        let line = "-------------------------------------------";
        println!("{line}\nBatch: {}\n{line}\n{text}", batch.id);
        Ok(())
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn description(&self) -> String {
        format!("ConsoleTable[numRows={}, truncate={}]", self.0.rows, self.0.truncates)
    }
}
