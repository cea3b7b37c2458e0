//! What running a session's functions needs to know of it.

use std::sync::Arc;
use std::time::Duration;

use boathouse_python::{CONF_KEYS, EvalType, Options, Workers};
use boathouse_spec::{PythonFunction, Result};
use parking_lot::Mutex;

use crate::Session;

/// Profiles of functions that have run, pickled, until a query's answer takes them to the client.
pub(crate) type Profiles = Arc<Mutex<Vec<Vec<u8>>>>;

#[derive(Debug)]
pub(crate) struct Setup {
    pub workers: Workers,
    pub options: Options,
    pub conf: Vec<(String, String)>,
    /// The zone in which the user's code sees instants.
    pub zone: Arc<str>,
    /// The directory of the session's Python files.
    pub files: String,
    pub includes: Vec<String>,
    /// How long a function may give nothing.
    pub timeout: Option<Duration>,
    /// Where the session's profiles go.
    pub profiles: Profiles,
    /// Rows in one batch.
    pub batch_rows: usize,
}

impl Setup {
    pub fn of(session: &Session) -> Arc<Self> {
        let conf = session.conf();
        // The worker reads a number of bytes.
        let get = |key: &str| match key {
            "spark.sql.execution.arrow.maxBytesPerBatch" => conf.bytes(key).map(|bytes| bytes.to_string()),
            _ => conf.get(key),
        };
        let settings = CONF_KEYS.iter().filter_map(|k| Some((k.to_string(), get(k)?))).collect();
        let names = session.artifacts().names();
        let includes: Vec<String> =
            names.iter().filter_map(|n| n.strip_prefix("pyfiles/").map(str::to_string)).collect();
        let files = session.artifacts().directory().join("pyfiles");
        let seconds = conf.integer("spark.sql.execution.pyspark.udf.idleTimeoutSeconds").unwrap_or(0);
        Arc::new(Self {
            workers: session.engine.workers.clone(),
            options: Options {
                memory_limit_mb: conf
                    .bytes("spark.executor.pyspark.memory")
                    .and_then(|b| u64::try_from(b >> 20).ok())
                    .filter(|mb| *mb > 0),
                owner: (!includes.is_empty()).then(|| session.server_side_id().to_string()),
            },
            conf: settings,
            zone: get("spark.sql.session.timeZone").unwrap_or_else(|| "UTC".to_string()).into(),
            files: files.display().to_string(),
            includes,
            timeout: u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs),
            profiles: session.profiles.clone(),
            batch_rows: conf
                .integer("spark.sql.execution.arrow.maxRecordsPerBatch")
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n > 0)
                .unwrap_or(usize::MAX),
        })
    }

    /// A task without its functions.
    pub fn task(
        &self,
        function: &PythonFunction,
        partition: usize,
        body: boathouse_python::Body,
    ) -> boathouse_python::Task {
        boathouse_python::Task {
            eval_type: EvalType(function.eval_type).over_arrow(),
            python_version: function.python_version.clone(),
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            conf: self.conf.clone(),
            eval_conf: Vec::new(),
            files: self.files.clone(),
            includes: self.includes.iter().chain(&function.includes).cloned().collect(),
            body,
        }
    }
}

/// The return type that a function must have declared.
pub(crate) fn return_type(name: &str, function: &PythonFunction) -> Result<boathouse_spec::DataType> {
    function.return_type.clone().ok_or_else(|| {
        boathouse_spec::Error::new("CONNECT_INVALID_PLAN.FIELD_CANNOT_BE_EMPTY")
            .message(format!("The Python function `{name}` has no return type."))
    })
}
