//! Questions to a worker that are answered once: what a table function gives, how a data source is read. The modules of
//! `pyspark.sql.worker` answer them.

use boathouse_spec::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::messages::{END_OF_STREAM, PYTHON_EXCEPTION_THROWN, Writer, python_error};
use crate::pool::{Options, Workers};

/// What is asked.
pub struct Question {
    module: &'static str,
    out: Writer,
}

/// What was answered, read from its beginning.
pub struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Question {
    /// A question for a module. `files` and `includes` are the session's Python files.
    pub fn new(module: &'static str, python_version: &str, files: &str, includes: &[String]) -> Self {
        let mut question = Self::of_stream(module, python_version, files, includes);
        // No broadcast variables, no settings.
        question.flag(false);
        question.int(0);
        question.int(0);
        question
    }

    /// The beginning for a module of a stream: it takes no broadcast variables and no settings.
    pub fn of_stream(module: &'static str, python_version: &str, files: &str, includes: &[String]) -> Self {
        let mut out = Writer::default();
        out.text(python_version);
        out.text(files);
        out.count(includes.len());
        includes.iter().for_each(|i| out.text(i));
        Self { module, out }
    }

    pub(crate) fn into_parts(self) -> (&'static str, Vec<u8>) {
        (self.module, self.out.finish())
    }

    pub fn int(&mut self, value: i32) {
        self.out.int(value);
    }

    pub fn long(&mut self, value: i64) {
        self.out.long(value);
    }

    pub fn count(&mut self, value: usize) {
        self.out.count(value);
    }

    pub fn flag(&mut self, value: bool) {
        self.out.flag(value);
    }

    pub fn text(&mut self, value: &str) {
        self.out.text(value);
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.out.bytes(value);
    }
}

impl Workers {
    /// Asks a process of its own.
    pub async fn ask(&self, options: &Options, question: Question) -> Result<Answer> {
        let Question { module, mut out } = question;
        out.int(END_OF_STREAM);
        let mut worker = self.start(options, &[module]).await?;
        let Some(mut stdin) = worker.stdin.take() else {
            return Err(Error::internal("a Python worker without a pipe"));
        };
        let request = out.finish();
        let send = async move {
            let sent = stdin.write_all(&request).await;
            drop(stdin);
            sent
        };
        let mut bytes = Vec::new();
        let (_, read) = tokio::join!(send, worker.stdout.read_to_end(&mut bytes));
        read.map_err(|e| Error::io("asking a Python worker", e))?;
        let mut answer = Answer { bytes, at: 0 };
        if let Some(text) = answer.exception() {
            return Err(python_error(&text));
        }
        if answer.bytes.is_empty() {
            return Err(worker.crashed().await);
        }
        Ok(answer)
    }
}

impl Answer {
    /// The traceback, where the answer is or ends with one.
    fn exception(&mut self) -> Option<String> {
        let marker = PYTHON_EXCEPTION_THROWN.to_be_bytes();
        let at = self.bytes.windows(4).rposition(|w| w == marker)?;
        let length = self.bytes.get(at + 4..at + 8)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        // Only where the text goes on to the end: elsewhere the bytes are part of something else.
        (at + 8 + length == self.bytes.len())
            .then(|| String::from_utf8_lossy(&self.bytes[at + 8..]).into_owned())
    }

    pub fn int(&mut self) -> Result<i32> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        let length = usize::try_from(self.int()?).map_err(|_| broken())?;
        Ok(self.take(length)?.to_vec())
    }

    pub fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| broken())
    }

    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(length).ok_or_else(broken)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(broken)?;
        self.at = end;
        Ok(bytes)
    }
}

fn broken() -> Error {
    Error::internal("a Python worker's answer breaks off")
}
