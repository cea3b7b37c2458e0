//! Worker processes, kept for the next task.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boathouse_spec::{Error, Result};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;

/// How processes are started.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Options {
    /// Bytes of address space a process may take; `None`: no limit.
    pub memory_limit_mb: Option<u64>,
    /// Sessions that brought Python files of their own do not share processes with others.
    pub owner: Option<String>,
}

/// How long an idle process is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Processes kept of one kind.
const KEPT: usize = 8;
/// What is kept of a process's error output.
const MAX_STDERR: usize = 16 << 10;

/// The processes. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    interpreter: OnceCell<PathBuf>,
    idle: Mutex<HashMap<Options, Vec<(Worker, Instant)>>>,
}

/// A process that waits for a task.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// Away while a task is written.
    pub stdin: Option<ChildStdin>,
    pub stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Workers {
    /// A process: one that has waited, or a new one.
    pub(crate) async fn take(&self, options: &Options) -> Result<Worker> {
        loop {
            let waiting = self.shared.idle.lock().get_mut(options).and_then(Vec::pop);
            match waiting {
                // A process may have ended while it waited.
                Some((mut worker, _)) => {
                    if matches!(worker.child.try_wait(), Ok(None)) {
                        return Ok(worker);
                    }
                }
                None => return self.start(options, &[]).await,
            }
        }
    }

    /// Keeps a process for the next task.
    pub(crate) fn give_back(&self, options: &Options, worker: Worker) {
        let mut idle = self.shared.idle.lock();
        for kept in idle.values_mut() {
            kept.retain(|(_, since)| since.elapsed() < IDLE);
        }
        let kept = idle.entry(options.clone()).or_default();
        if kept.len() < KEPT {
            kept.push((worker, Instant::now()));
        }
    }

    /// Ends the processes of a session.
    pub fn forget(&self, owner: &str) {
        self.shared.idle.lock().retain(|options, _| options.owner.as_deref() != Some(owner));
    }

    /// A new process; with a module of `pyspark.sql.worker` it answers one question.
    pub(crate) async fn start(&self, options: &Options, args: &[&str]) -> Result<Worker> {
        let find = || async {
            let found = tokio::task::spawn_blocking(crate::interpreter).await;
            found.map_err(|e| Error::internal(format!("looking for Python: {e}")))?
        };
        let python = self.shared.interpreter.get_or_try_init(find).await?;
        let mut command = Command::new(python);
        command.args(["-m", "boathouse_runtime.worker"]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.env_remove("SPARK_REMOTE").env_remove("SPARK_HOME").env("PYTHONHASHSEED", "0");
        if let Some(modules) = crate::modules() {
            let mut path = modules.into_os_string();
            if let Some(existing) = std::env::var_os("PYTHONPATH").filter(|p| !p.is_empty()) {
                path.push(":");
                path.push(existing);
            }
            command.env("PYTHONPATH", path);
        }
        if let Some(limit) = options.memory_limit_mb {
            command.env("PYSPARK_EXECUTOR_MEMORY_MB", limit.to_string());
        }
        let failed = |e: std::io::Error| Error::io(format!("starting {}", python.display()), e);
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::internal("a Python worker without pipes"));
        };
        let stderr = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(listen(errors, Arc::clone(&stderr)));
        Ok(Worker { child, stdin: Some(stdin), stdout: BufReader::with_capacity(1 << 16, stdout), stderr })
    }
}

impl Worker {
    /// The error where a process has ended before its time.
    pub async fn crashed(&mut self) -> Error {
        let words = self.last_words().await;
        Error::new("PYTHON_WORKER_CRASHED")
            .message(format!("The Python worker ended before its time: {words}"))
            .exception("SparkException")
    }

    /// What a process that ended has said last, and how it ended.
    async fn last_words(&mut self) -> String {
        let ended = tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await;
        let how = match ended {
            Ok(Ok(status)) => format!("{status}"),
            _ => "it no longer answers".to_string(),
        };
        let said = String::from_utf8_lossy(&self.stderr.lock()).trim().to_string();
        if said.is_empty() { how } else { format!("{how}\n{said}") }
    }
}

/// Keeps the end of what a process says, and logs it.
async fn listen(mut from: ChildStderr, into: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 4096];
    while let Ok(n) = from.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        tracing::debug!(target: "python", "{}", String::from_utf8_lossy(&buffer[..n]).trim_end());
        let mut kept = into.lock();
        kept.extend(&buffer[..n]);
        if kept.len() > MAX_STDERR {
            let surplus = kept.len() - MAX_STDERR;
            kept.drain(..surplus);
        }
    }
}
