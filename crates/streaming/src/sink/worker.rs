//! A Python process that runs a function of the user's: PySpark's framing over a socket of this machine.

use std::process::Stdio;

use boathouse_spec::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// What a worker writes before the text of an exception (`SpecialLengths.PYTHON_EXCEPTION_THROWN`).
const EXCEPTION: i32 = -2;

/// How long a process may take to end after its connection did.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(10);

/// The interpreter, with the runtime modules in sight.
async fn command() -> Result<Command> {
    let found = tokio::task::spawn_blocking(boathouse_python::interpreter).await;
    let interpreter = found.map_err(|e| Error::internal(e.to_string()))??;
    let mut command = Command::new(&interpreter);
    // PySpark's modules look for a Spark at import, and use nothing of it.
    command.env("SPARK_HOME", interpreter.parent().unwrap_or(&interpreter));
    if let Some(modules) = boathouse_python::modules() {
        let mut path = modules.into_os_string();
        if let Some(existing) = std::env::var_os("PYTHONPATH").filter(|p| !p.is_empty()) {
            path.push(":");
            path.push(existing);
        }
        command.env("PYTHONPATH", path);
    }
    Ok(command)
}

/// A worker and its socket; the process ends with it.
pub(super) struct Worker {
    socket: TcpStream,
    process: Child,
    /// As messages call the function.
    name: &'static str,
    /// The error of an exception of the function's, by its traceback.
    raised: fn(&str) -> Error,
}

impl Worker {
    /// Starts a module with a variable in its environment, and waits until it has called back.
    pub async fn start(
        module: &str,
        variable: Option<(&str, String)>,
        name: &'static str,
        raised: fn(&str) -> Error,
    ) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| Error::io(format!("starting Python for {name}"), e);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| failed(&e))?;
        let port = listener.local_addr().map_err(|e| failed(&e))?.port();
        let secret = uuid::Uuid::new_v4().simple().to_string();
        let mut process = command()
            .await?
            .args(["-m", module])
            .env("PYTHON_WORKER_FACTORY_PORT", port.to_string())
            .env("PYTHON_WORKER_FACTORY_SECRET", &secret)
            .env("PYTHONUNBUFFERED", "YES")
            .envs(variable)
            .env_remove("SPARK_REMOTE")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed(&e))?;
        let socket = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|e| failed(&e))?.0,
            ended = process.wait() => {
                let status = ended.map_err(|e| failed(&e))?;
                return Err(failed(&format!("the process ended at once, with {status}")));
            }
        };
        let mut worker = Self { socket, process, name, raised };
        if worker.read_text().await? != secret {
            return Err(failed(&"another process called"));
        }
        worker.write_bytes(b"ok").await?;
        worker.read_int().await?;
        Ok(worker)
    }

    async fn lost(&mut self, e: &std::io::Error) -> Error {
        // Its end is known a moment after that of the connection.
        match tokio::time::timeout(LAST_WORDS, self.process.wait()).await {
            Ok(Ok(status)) => Error::io(
                format!("running {} in Python", self.name),
                format!("the process ended with {status}"),
            ),
            _ => Error::io(format!("running {} in Python", self.name), e),
        }
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let length =
            i32::try_from(bytes.len()).map_err(|_| Error::internal("a message too long for a worker"))?;
        let written = async {
            self.socket.write_i32(length).await?;
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(e) => Err(self.lost(&e).await),
        }
    }

    pub async fn write_long(&mut self, n: i64) -> Result<()> {
        match self.socket.write_i64(n).await {
            Ok(()) => Ok(()),
            Err(e) => Err(self.lost(&e).await),
        }
    }

    async fn read_int(&mut self) -> Result<i32> {
        match self.socket.read_i32().await {
            Ok(n) => Ok(n),
            Err(e) => Err(self.lost(&e).await),
        }
    }

    async fn read_text(&mut self) -> Result<String> {
        let length = usize::try_from(self.read_int().await?).unwrap_or(0);
        let mut bytes = vec![0; length];
        match self.socket.read_exact(&mut bytes).await {
            Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) => Err(self.lost(&e).await),
        }
    }

    /// Waits for the worker's word that all went well; its exception is the error.
    pub async fn done(&mut self) -> Result<()> {
        match self.read_int().await? {
            0 => Ok(()),
            EXCEPTION => {
                let traceback = self.read_text().await?;
                Err((self.raised)(&traceback))
            }
            other => Err(Error::internal(format!("the Python worker of {} answered {other}", self.name))),
        }
    }
}
