//! A process that answers one question after the other: a reader of a stream, which remembers what it has read.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::ask::Question;
use crate::messages::{
    PYTHON_EXCEPTION_THROWN, START_ARROW_STREAM, Writer, broken, read_bytes, read_exact, read_int,
};
use crate::pool::{Options, Worker, Workers};
use crate::run::python_error;

/// Dropping it ends the process.
pub struct Dialogue {
    worker: Worker,
    stdin: ChildStdin,
    out: Writer,
}

impl Workers {
    /// Starts a process of its own and sends it the beginning.
    pub async fn open(&self, options: &Options, question: Question) -> Result<Dialogue> {
        let (module, begin) = question.into_parts();
        let mut worker = self.start(options, &[module]).await?;
        let Some(stdin) = worker.stdin.take() else {
            return Err(Error::internal("a Python worker without a pipe"));
        };
        let mut dialogue = Dialogue { worker, stdin, out: Writer::default() };
        dialogue.send(&begin).await?;
        Ok(dialogue)
    }
}

impl Dialogue {
    /// Asks: a number and texts.
    pub async fn ask(&mut self, what: i32, texts: &[&str]) -> Result<()> {
        let mut out = std::mem::take(&mut self.out);
        out.int(what);
        texts.iter().for_each(|t| out.text(t));
        self.send(&out.finish()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = async {
            self.stdin.write_all(bytes).await?;
            self.stdin.flush().await
        };
        match sent.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.lost().await),
        }
    }

    /// A number, as far as it is not the word of an exception.
    pub async fn int(&mut self) -> Result<i32> {
        match read_int(&mut self.worker.stdout).await {
            Ok(PYTHON_EXCEPTION_THROWN) => {
                Err(python_error(&String::from_utf8_lossy(&read_bytes(&mut self.worker.stdout).await?)))
            }
            Ok(n) => Ok(n),
            Err(_) => Err(self.lost().await),
        }
    }

    pub async fn bytes(&mut self) -> Result<Vec<u8>> {
        let length = usize::try_from(self.int().await?).map_err(broken)?;
        read_exact(&mut self.worker.stdout, length).await
    }

    pub async fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes().await?).map_err(broken)
    }

    /// An Arrow stream, behind the word that announces it.
    pub async fn batches(&mut self) -> Result<Vec<RecordBatch>> {
        match self.int().await? {
            START_ARROW_STREAM => {}
            other => return Err(broken(format!("the worker said {other}"))),
        }
        let bytes = self.stream().await?;
        StreamReader::try_new(bytes.as_slice(), None).spark()?.map(|b| b.spark()).collect()
    }

    /// The bytes of an Arrow stream up to its end.
    async fn stream(&mut self) -> Result<Vec<u8>> {
        let from = &mut self.worker.stdout;
        let mut all = Vec::new();
        loop {
            let head = read_exact(from, 8).await?;
            let length = i32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            let length = usize::try_from(length).map_err(broken)?;
            all.extend(&head);
            if length == 0 {
                return Ok(all);
            }
            let metadata = read_exact(from, length).await?;
            let body = arrow::ipc::root_as_message(&metadata).map_err(broken)?.bodyLength();
            all.extend(&metadata);
            all.extend(read_exact(from, usize::try_from(body).map_err(broken)?).await?);
        }
    }

    async fn lost(&mut self) -> Error {
        let words = self.worker.last_words().await;
        Error::new("PYTHON_WORKER_CRASHED")
            .message(format!("The Python worker ended before its time: {words}"))
            .exception("SparkException")
    }
}
