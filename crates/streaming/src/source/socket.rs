//! `socket`: lines of text from a server, for trying out. What was read is lost with the process, and cannot be read again.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use async_trait::async_trait;
use boathouse_bridge::{ResultExt, UTC, arrow_schema};
use boathouse_spec::{DataSourceRef, DataType, Error, Result, StructField, StructType, clock};
use datafusion::catalog::{MemTable, TableProvider};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Continuity, Limit, Source};
use crate::options::{Given, invalid};

/// A line and when it came, in microseconds since the epoch.
type Line = (String, i64);

#[derive(Debug, Default)]
struct Received {
    /// The number of the first line that is kept.
    first: i64,
    lines: Vec<Line>,
}

pub(super) struct Socket {
    schema: StructType,
    address: String,
    received: Arc<Mutex<Received>>,
    reader: JoinHandle<()>,
    last: Option<i64>,
}

pub(super) fn schema(source: &DataSourceRef) -> Result<StructType> {
    super::rate::check(source)?;
    host_and_port(source)?;
    let mut fields = vec![StructField::new("value", DataType::STRING, true)];
    if Given(&source.options).flag("includeTimestamp", false)? {
        fields.push(StructField::new("timestamp", DataType::Timestamp, true));
    }
    Ok(StructType::new(fields))
}

fn host_and_port(source: &DataSourceRef) -> Result<(&str, u16)> {
    let given = Given(&source.options);
    let missing = |what: &str| {
        Error::new("_LEGACY_ERROR_TEMP_1193")
            .message(format!("Set a {what} to read from with option(\"{what}\", ...)."))
            .exception("AnalysisException")
    };
    let host = given.text("host").ok_or_else(|| missing("host"))?;
    let port = given.text("port").ok_or_else(|| missing("port"))?;
    let number = port.parse().map_err(|_| invalid("port", port, "must be the number of a port"))?;
    Ok((host, number))
}

impl Socket {
    pub async fn open(source: &DataSourceRef) -> Result<Self> {
        let (host, port) = host_and_port(source)?;
        let address = format!("host: {host}, port: {port}");
        let connected = TcpStream::connect((host, port)).await;
        let socket = connected.map_err(|e| Error::io(format!("connecting to {host}:{port}"), e))?;
        let received = Arc::new(Mutex::new(Received::default()));
        let into = Arc::clone(&received);
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(socket).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                into.lock().lines.push((line, clock::now_us()));
            }
            tracing::warn!("the stream of the socket ended");
        });
        Ok(Self { schema: schema(source)?, address, received, reader, last: None })
    }

    /// The number of the last line.
    fn end(&self) -> i64 {
        let received = self.received.lock();
        received.first + i64::try_from(received.lines.len()).unwrap_or(i64::MAX) - 1
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn number(offset: &str) -> Result<i64> {
    offset.trim().parse().map_err(|_| {
        Error::new("STREAM_CHECKPOINT_CORRUPT").message(format!("{offset} is no offset of a socket."))
    })
}

#[async_trait]
impl Source for Socket {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn continuity(&self) -> Continuity {
        Continuity::Continuous
    }

    fn description(&self) -> String {
        format!("TextSocketV2[{}]", self.address)
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.last = Some(self.end());
        Ok(())
    }

    async fn end_offset(&mut self, _start: Option<&str>, _limit: Limit) -> Result<Option<String>> {
        Ok(Some(self.last.unwrap_or_else(|| self.end()).to_string()))
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let (from, to) = (start.map_or(Ok(-1), number)? + 1, number(end)? + 1);
        let lines: Vec<Line> = {
            let received = self.received.lock();
            if from < received.first
                || to > received.first + i64::try_from(received.lines.len()).unwrap_or(i64::MAX)
            {
                return Err(Error::new("STREAM_SOCKET_DATA_LOST").message(format!(
                    "The lines {from} to {to} of the socket {} are lost: a socket cannot be read again. Use a new checkpoint.",
                    self.address
                )));
            }
            let range = usize::try_from(from - received.first).unwrap_or(0)
                ..usize::try_from(to - received.first).unwrap_or(0);
            received.lines[range].to_vec()
        };
        let schema = Arc::new(arrow_schema(&self.schema));
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from_iter_values(lines.iter().map(|(l, _)| l)))];
        if self.schema.fields.len() > 1 {
            let times = TimestampMicrosecondArray::from_iter_values(lines.iter().map(|(_, t)| *t));
            columns.push(Arc::new(times.with_timezone(UTC)));
        }
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|e| Error::internal(e.to_string()))?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]]).spark()?))
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        let next = number(end)? + 1;
        let mut received = self.received.lock();
        let done = usize::try_from(next - received.first).unwrap_or(0).min(received.lines.len());
        received.lines.drain(..done);
        received.first = received.first.max(next);
        Ok(())
    }
}
