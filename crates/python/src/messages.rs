//! Numbers and texts as `pyspark.serializers` reads and writes them: big-endian, texts and bytes behind their length.

use boathouse_spec::{Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

/// `pyspark.serializers.SpecialLengths`
pub(crate) const END_OF_DATA_SECTION: i32 = -1;
pub(crate) const PYTHON_EXCEPTION_THROWN: i32 = -2;
pub(crate) const TIMING_DATA: i32 = -3;
pub(crate) const END_OF_STREAM: i32 = -4;
pub(crate) const START_ARROW_STREAM: i32 = -6;

#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub fn int(&mut self, value: i32) {
        self.out.extend(value.to_be_bytes());
    }

    pub fn long(&mut self, value: i64) {
        self.out.extend(value.to_be_bytes());
    }

    pub fn count(&mut self, value: usize) {
        self.int(i32::try_from(value).unwrap_or(i32::MAX));
    }

    pub fn flag(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.out.extend(value);
    }

    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

pub(crate) async fn read_int(from: &mut (impl AsyncRead + Unpin)) -> Result<i32> {
    from.read_i32().await.map_err(broken)
}

pub(crate) async fn read_long(from: &mut (impl AsyncRead + Unpin)) -> Result<i64> {
    from.read_i64().await.map_err(broken)
}

pub(crate) async fn read_exact(from: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await.map_err(broken)?;
    Ok(bytes)
}

pub(crate) async fn read_bytes(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let length = read_int(from).await?;
    let length = usize::try_from(length).map_err(|_| broken("a length below 0"))?;
    read_exact(from, length).await
}

/// What follows the word of an exception: its traceback.
pub(crate) async fn thrown(from: &mut (impl AsyncRead + Unpin)) -> Error {
    match read_bytes(from).await {
        Ok(traceback) => python_error(&String::from_utf8_lossy(&traceback)),
        Err(e) => e,
    }
}

/// One message of an Arrow stream, with its length before it and its body behind; `None` at the end of the stream.
pub(crate) async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>> {
    let mut message = read_exact(from, 8).await?;
    let length = i32::from_le_bytes([message[4], message[5], message[6], message[7]]);
    let length = usize::try_from(length).map_err(|_| broken("a message of negative length"))?;
    if length == 0 {
        return Ok(None);
    }
    let metadata = read_exact(from, length).await?;
    let body = arrow::ipc::root_as_message(&metadata).map_err(broken)?.bodyLength();
    let body = usize::try_from(body).map_err(|_| broken("a body of negative length"))?;
    message.extend(metadata);
    message.extend(read_exact(from, body).await?);
    Ok(Some(message))
}

/// An exception of the user's code, with its traceback.
pub fn python_error(traceback: &str) -> Error {
    Error::new("PYTHON_EXCEPTION")
        .message(format!("An exception was thrown from the Python worker:\n{}", traceback.trim_end()))
        .exception("PythonException")
}

/// The worker ended, or said what no worker says.
pub(crate) fn broken(why: impl std::fmt::Display) -> Error {
    Error::io("talking to a Python worker", why)
}
