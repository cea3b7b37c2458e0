//! A process that answers one question after the other: a reader of a stream, which remembers what it has read.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::ask::Question;
use crate::messages::{
    PYTHON_EXCEPTION_THROWN, START_ARROW_STREAM, Writer, broken, read_exact, read_int, read_message, thrown,
};
use crate::pool::{Options, Worker, Workers};

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
            Err(_) => Err(self.worker.crashed().await),
        }
    }

    /// A number, as far as it is not the word of an exception.
    pub async fn int(&mut self) -> Result<i32> {
        match read_int(&mut self.worker.stdout).await {
            Ok(PYTHON_EXCEPTION_THROWN) => Err(thrown(&mut self.worker.stdout).await),
            Ok(n) => Ok(n),
            Err(_) => Err(self.worker.crashed().await),
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
        let mut bytes = Vec::new();
        while let Some(message) = read_message(&mut self.worker.stdout).await? {
            bytes.extend(message);
        }
        StreamReader::try_new(bytes.as_slice(), None).spark()?.map(|b| b.spark()).collect()
    }
}
