//! `console`: shows the rows of each batch on the server's terminal.

use std::sync::Arc;

use arrow::array::AsArray;
use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{Options, Plan, Relation, RelationNode, Result};

use crate::options::Given;
use crate::query::{Batch, Sink};

#[derive(Debug)]
pub(super) struct ConsoleSink {
    rows: i32,
    truncates: bool,
}

impl ConsoleSink {
    pub fn new(options: &Options) -> Result<Self> {
        let given = Given(options);
        let rows = given.positive("numRows")?.and_then(|n| i32::try_from(n).ok()).unwrap_or(20);
        Ok(Self { rows, truncates: given.flag("truncate", true)? })
    }
}

#[async_trait]
impl Sink for ConsoleSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let shown = RelationNode::ShowString {
            input: batch.rows,
            rows: self.rows,
            truncate: if self.truncates { 20 } else { 0 },
            vertical: false,
        };
        let (_, batches) = session.execute(Plan::Query(Relation::new(shown))).await?.collect().await?;
        let line = "-------------------------------------------";
        println!("{line}\nBatch: {}\n{line}", batch.id);
        for rows in &batches {
            if let Some(text) = rows.columns().first().and_then(|c| c.as_string_opt::<i32>()) {
                for part in text.iter().flatten() {
                    println!("{part}");
                }
            }
        }
        Ok(())
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn description(&self) -> String {
        format!("ConsoleTable[numRows={}, truncate={}]", self.rows, self.truncates)
    }
}
