//! Functions that remember something of each group: a conversation with `boathouse_runtime.stateful`, part by part.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::messages::{END_OF_STREAM, PYTHON_EXCEPTION_THROWN, Writer, broken, read_bytes, read_int, thrown};
use crate::pool::{Options, Worker, Workers};
use crate::run::silent;
use crate::task::Task;

/// What a task of this kind begins with; one of PySpark's begins with a partition.
const MARK: i32 = -101;
const END: i32 = 0;
const PART: i32 = 1;

/// What the worker says.
#[derive(Debug)]
pub enum Said {
    /// The part is done.
    Done,
    /// Rows that the functions gave.
    Rows(RecordBatch),
    /// What is to be remembered in a variable.
    Changes(usize, RecordBatch),
    /// The variables that a processor has declared, as JSON.
    Variables(String),
    /// What a processor's code has set and removed.
    Counts { updated: usize, removed: usize },
    /// A text of the user's that says columns; [`Conversation::answer`] it.
    Parse(String),
}

/// A task at work. Dropping it ends the process.
pub struct Conversation {
    workers: Workers,
    options: Options,
    worker: Worker,
    stdin: ChildStdin,
    /// How long the worker may be silent.
    timeout: Option<Duration>,
}

impl Conversation {
    /// Starts a task. `settings` are JSON.
    pub async fn start(
        workers: &Workers,
        options: &Options,
        task: &Task,
        settings: &str,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let mut worker = workers.take(options).await?;
        let Some(stdin) = worker.stdin.take() else {
            return Err(Error::internal("a Python worker without a pipe"));
        };
        let (workers, options) = (workers.clone(), options.clone());
        let mut this = Self { workers, options, worker, stdin, timeout };
        let mut out = Writer::default();
        out.int(MARK);
        let mut bytes = out.finish();
        bytes.extend(task.header());
        let mut out = Writer::default();
        out.text(settings);
        bytes.extend(out.finish());
        this.write(&bytes).await?;
        Ok(this)
    }

    /// Sends a part of the work: Arrow batches by name.
    pub async fn part(&mut self, kind: &str, batches: &[(String, RecordBatch)]) -> Result<()> {
        let mut out = Writer::default();
        out.int(PART);
        out.text(kind);
        out.count(batches.len());
        for (name, batch) in batches {
            out.text(name);
            out.bytes(&stream(batch)?);
        }
        self.write(&out.finish()).await
    }

    /// What the worker says next.
    pub async fn hear(&mut self) -> Result<Said> {
        let said = match self.timeout {
            Some(limit) => match tokio::time::timeout(limit, self.read()).await {
                Ok(said) => said,
                Err(_) => return Err(silent(limit)),
            },
            None => self.read().await,
        };
        match said {
            Err(e) if !e.is("PYTHON_EXCEPTION") => Err(self.worker.crashed().await),
            other => other,
        }
    }

    async fn read(&mut self) -> Result<Said> {
        let from = &mut self.worker.stdout;
        match read_int(from).await? {
            0 => Ok(Said::Done),
            1 => Ok(Said::Rows(batch(&read_bytes(from).await?)?)),
            2 => {
                let variable = usize::try_from(read_int(from).await?).map_err(broken)?;
                Ok(Said::Changes(variable, batch(&read_bytes(from).await?)?))
            }
            3 => Ok(Said::Variables(text(read_bytes(from).await?)?)),
            4 => Ok(Said::Parse(text(read_bytes(from).await?)?)),
            5 => {
                let mut counts = [0; 2];
                for count in &mut counts {
                    *count = usize::try_from(read_int(from).await?).map_err(broken)?;
                }
                Ok(Said::Counts { updated: counts[0], removed: counts[1] })
            }
            PYTHON_EXCEPTION_THROWN => Err(thrown(from).await),
            other => Err(broken(format!("the worker said {other}"))),
        }
    }

    /// Answers [`Said::Parse`]: the columns as JSON, or why the text says none.
    pub async fn answer(&mut self, parsed: Result<String>) -> Result<()> {
        let mut out = Writer::default();
        match parsed {
            Ok(json) => {
                out.int(1);
                out.text(&json);
            }
            Err(e) => {
                out.int(0);
                out.text(&e.to_string());
            }
        }
        self.write(&out.finish()).await
    }

    /// There are no more parts.
    pub async fn finish(mut self) -> Result<()> {
        let mut out = Writer::default();
        out.int(END);
        self.write(&out.finish()).await?;
        match read_int(&mut self.worker.stdout).await {
            Ok(END_OF_STREAM) => {
                self.worker.stdin = Some(self.stdin);
                self.workers.give_back(&self.options, self.worker);
                Ok(())
            }
            Ok(PYTHON_EXCEPTION_THROWN) => Err(thrown(&mut self.worker.stdout).await),
            _ => Err(self.worker.crashed().await),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = async {
            self.stdin.write_all(bytes).await?;
            self.stdin.flush().await
        };
        match written.await {
            Ok(()) => Ok(()),
            // A worker that ended may have said why.
            Err(_) => match self.read().await {
                Err(e) if e.is("PYTHON_EXCEPTION") => Err(e),
                _ => Err(self.worker.crashed().await),
            },
        }
    }
}

fn stream(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut stream = StreamWriter::try_new(&mut bytes, &batch.schema()).spark()?;
    stream.write(batch).spark()?;
    stream.finish().spark()?;
    drop(stream);
    Ok(bytes)
}

fn batch(bytes: &[u8]) -> Result<RecordBatch> {
    let mut reader = StreamReader::try_new(bytes, None).spark()?;
    match reader.next() {
        Some(batch) => batch.spark(),
        None => Ok(RecordBatch::new_empty(reader.schema())),
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(broken)
}
