//! A task at work: rows in, rows out, at the same time.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::messages::{
    END_OF_DATA_SECTION, END_OF_STREAM, PYTHON_EXCEPTION_THROWN, START_ARROW_STREAM, TIMING_DATA, Writer,
    broken, read_bytes, read_int, read_long, read_message, thrown,
};
use crate::pool::{Options, Worker, Workers};
use crate::task::Task;

/// How long rows that a function has not asked for may take to be written.
const UNREAD: Duration = Duration::from_millis(200);

/// What a task takes.
#[derive(Debug)]
pub enum Input {
    /// More rows of the one stream.
    Rows(RecordBatch),
    /// A group: as many streams as the task takes, each of one batch.
    Group(Vec<RecordBatch>),
}

/// A running task. Dropping it ends the process.
pub struct Run {
    workers: Workers,
    options: Options,
    worker: Option<Worker>,
    writer: Option<JoinHandle<Result<ChildStdin>>>,
    decoder: Option<StreamDecoder>,
    /// How long the worker may be silent.
    timeout: Option<Duration>,
    finished: bool,
    /// What the worker says at its end: pickled pairs of an id and a value, profiles among them.
    accumulators: Vec<Vec<u8>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

impl Run {
    /// Starts a task over what comes through the channel. `schema` is that of the rows, for a stream without any.
    pub async fn start(
        workers: &Workers,
        options: Options,
        task: &Task,
        schema: SchemaRef,
        input: mpsc::Receiver<Result<Input>>,
        grouped: bool,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let worker = workers.take(&options).await?;
        let mut run = Self {
            workers: workers.clone(),
            options,
            worker: Some(worker),
            writer: None,
            decoder: None,
            timeout,
            finished: false,
            accumulators: Vec::new(),
        };
        let header = task.header();
        if let Some(worker) = &mut run.worker {
            let Some(stdin) = worker.stdin.take() else {
                return Err(Error::internal("a Python worker without a pipe"));
            };
            run.writer = Some(tokio::spawn(write(stdin, header, schema, input, grouped)));
        }
        Ok(run)
    }

    /// What the worker has said at its end.
    pub fn accumulators(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.accumulators)
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.finished {
            return Ok(None);
        }
        let next = match self.timeout {
            Some(limit) => match tokio::time::timeout(limit, self.read()).await {
                Ok(next) => next,
                Err(_) => Err(silent(limit)),
            },
            None => self.read().await,
        };
        match next {
            Ok(next) => Ok(next),
            Err(e) => {
                self.finished = true;
                Err(self.explained(e).await)
            }
        }
    }

    async fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.decoder.is_some() {
                match self.read_batch().await? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.decoder = None,
                }
                continue;
            }
            let Some(worker) = &mut self.worker else { return Ok(None) };
            match read_int(&mut worker.stdout).await? {
                START_ARROW_STREAM => self.decoder = Some(StreamDecoder::new()),
                TIMING_DATA => {
                    // Four times, and what was spilled to memory and disk.
                    for _ in 0..6 {
                        read_long(&mut worker.stdout).await?;
                    }
                }
                PYTHON_EXCEPTION_THROWN => return Err(thrown(&mut worker.stdout).await),
                END_OF_DATA_SECTION => {
                    let accumulators = read_int(&mut worker.stdout).await?;
                    for _ in 0..accumulators {
                        self.accumulators.push(read_bytes(&mut worker.stdout).await?);
                    }
                    self.finish().await?;
                    return Ok(None);
                }
                other => return Err(broken(format!("the worker said {other}"))),
            }
        }
    }

    /// The worker has given all: it is kept for another task where it says so.
    async fn finish(&mut self) -> Result<()> {
        self.finished = true;
        let (Some(mut worker), Some(mut writer)) = (self.worker.take(), self.writer.take()) else {
            return Ok(());
        };
        // A function may end before it has taken all of its rows: then the process is of no further use.
        let Ok(written) = tokio::time::timeout(UNREAD, &mut writer).await else {
            writer.abort();
            return Ok(());
        };
        if let Ok(Ok(stdin)) = written {
            worker.stdin = Some(stdin);
            if read_int(&mut worker.stdout).await.is_ok_and(|n| n == END_OF_STREAM) {
                self.workers.give_back(&self.options, worker);
            }
        }
        Ok(())
    }

    /// The next batch of an Arrow stream; `None` at its end. A decoder that is given the end would want no more.
    async fn read_batch(&mut self) -> Result<Option<RecordBatch>> {
        let (Some(worker), Some(decoder)) = (&mut self.worker, &mut self.decoder) else { return Ok(None) };
        while let Some(message) = read_message(&mut worker.stdout).await? {
            let mut buffer = Buffer::from_vec(message);
            let mut found = None;
            // A batch without a body comes out when more is there, before that is looked at. It has no rows: what follows counts.
            while !buffer.is_empty() {
                found = decoder.decode(&mut buffer).spark()?.or(found);
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What ended the input ends the task; a dead process is asked for its last words.
    async fn explained(&mut self, error: Error) -> Error {
        if error.is("PYTHON_EXCEPTION") || error.is("PYTHON_WORKER_TIMEOUT") {
            // Rows that could not be made are the cause of what Python says of them.
            if let Some(writer) = self.writer.take() {
                if writer.is_finished() {
                    if let Ok(Err(cause)) = writer.await
                        && !cause.is("FAILED_IO")
                    {
                        return cause;
                    }
                } else {
                    writer.abort();
                }
            }
            return error;
        }
        if let Some(writer) = self.writer.take()
            && writer.is_finished()
            && let Ok(Err(cause)) = writer.await
            && !cause.is("FAILED_IO")
        {
            return cause;
        }
        match &mut self.worker {
            Some(worker) => worker.crashed().await,
            None => error,
        }
    }
}

/// Writes the task and its rows.
async fn write(
    mut to: ChildStdin,
    header: Vec<u8>,
    schema: SchemaRef,
    mut input: mpsc::Receiver<Result<Input>>,
    grouped: bool,
) -> Result<ChildStdin> {
    to.write_all(&header).await.map_err(broken)?;
    let mut stream = match grouped {
        true => None,
        false => Some(StreamWriter::try_new(Vec::new(), &schema).spark()?),
    };
    to.flush().await.map_err(broken)?;
    while let Some(next) = input.recv().await {
        let bytes = match (next?, &mut stream) {
            (Input::Rows(batch), Some(stream)) => {
                stream.write(&batch).spark()?;
                std::mem::take(stream.get_mut())
            }
            (Input::Group(streams), None) => group(&streams)?,
            _ => return Err(Error::internal("rows in place of a group")),
        };
        to.write_all(&bytes).await.map_err(broken)?;
        to.flush().await.map_err(broken)?;
    }
    let mut end = Writer::default();
    let mut bytes = match stream {
        Some(mut stream) => {
            stream.finish().spark()?;
            std::mem::take(stream.get_mut())
        }
        None => {
            end.int(0);
            Vec::new()
        }
    };
    end.int(END_OF_STREAM);
    bytes.extend(end.finish());
    to.write_all(&bytes).await.map_err(broken)?;
    to.flush().await.map_err(broken)?;
    Ok(to)
}

/// The number of streams, and the streams.
fn group(streams: &[RecordBatch]) -> Result<Vec<u8>> {
    let mut count = Writer::default();
    count.count(streams.len());
    let mut bytes = count.finish();
    for batch in streams {
        let mut stream = StreamWriter::try_new(&mut bytes, &Arc::clone(&batch.schema())).spark()?;
        stream.write(batch).spark()?;
        stream.finish().spark()?;
    }
    Ok(bytes)
}

/// A function that gave nothing for too long.
pub(crate) fn silent(limit: Duration) -> Error {
    Error::new("PYTHON_WORKER_TIMEOUT")
        .message(format!("The Python function gave nothing for {} s and was ended.", limit.as_secs()))
        .exception("PythonException")
}
