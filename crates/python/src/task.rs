//! What a worker is asked to do, in the form that `pyspark.worker.main` reads.

use crate::messages::Writer;

/// Spark's `PythonEvalType`: how a function takes its rows and gives its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EvalType(pub i32);

impl EvalType {
    pub const BATCHED: Self = Self(100);
    pub const ARROW_BATCHED: Self = Self(101);
    pub const SCALAR_PANDAS: Self = Self(200);
    pub const GROUPED_MAP_PANDAS: Self = Self(201);
    pub const GROUPED_AGG_PANDAS: Self = Self(202);
    pub const SCALAR_PANDAS_ITER: Self = Self(204);
    pub const MAP_PANDAS_ITER: Self = Self(205);
    pub const COGROUPED_MAP_PANDAS: Self = Self(206);
    pub const MAP_ARROW_ITER: Self = Self(207);
    pub const GROUPED_MAP_ARROW: Self = Self(209);
    pub const COGROUPED_MAP_ARROW: Self = Self(210);
    pub const GROUPED_MAP_ARROW_ITER: Self = Self(215);
    pub const GROUPED_MAP_PANDAS_ITER: Self = Self(216);
    pub const GROUPED_AGG_PANDAS_ITER: Self = Self(217);
    pub const SCALAR_ARROW: Self = Self(250);
    pub const SCALAR_ARROW_ITER: Self = Self(251);
    pub const GROUPED_AGG_ARROW: Self = Self(252);
    pub const GROUPED_AGG_ARROW_ITER: Self = Self(254);
    pub const TABLE: Self = Self(300);
    pub const ARROW_TABLE: Self = Self(301);
    pub const ARROW_UDTF: Self = Self(302);

    /// A value for each row.
    pub fn is_scalar(self) -> bool {
        matches!(self.0, 100 | 101 | 200 | 204 | 250 | 251)
    }

    /// A value for each group.
    pub fn is_aggregate(self) -> bool {
        matches!(self.0, 202 | 217 | 252 | 254)
    }

    /// Whether several functions may share a task.
    pub fn is_shared(self) -> bool {
        matches!(self.0, 101 | 200 | 202 | 250 | 252)
    }

    /// Functions of the plain kind take their rows as Arrow batches here, too.
    pub fn over_arrow(self) -> Self {
        match self {
            Self::BATCHED => Self::ARROW_BATCHED,
            Self::TABLE => Self::ARROW_TABLE,
            other => other,
        }
    }
}

/// A function with its arguments.
#[derive(Debug, Clone)]
pub struct Function {
    /// Columns of the input, with a name where the argument was passed by name.
    pub args: Vec<(i32, Option<String>)>,
    /// The pickled function and its return type.
    pub command: Vec<u8>,
    /// By which its profile is found.
    pub id: i64,
}

/// One run of functions over the rows of a partition.
#[derive(Debug, Clone)]
pub struct Task {
    pub eval_type: EvalType,
    /// The client's Python version: a pickled function runs in no other.
    pub python_version: String,
    pub partition: i32,
    /// Settings of the session that the worker asks for.
    pub conf: Vec<(String, String)>,
    /// Settings of this evaluation.
    pub eval_conf: Vec<(String, String)>,
    /// Where the session's Python files are; the worker imports from there.
    pub files: String,
    pub includes: Vec<String>,
    pub body: Body,
}

/// What follows the common part.
#[derive(Debug, Clone)]
pub enum Body {
    Functions(Vec<Function>),
    /// One function without arguments of its own: the pickled function and its return type.
    Command(Vec<u8>),
    /// A table function: its arguments, the pickled class, its return type as JSON, its name.
    Table {
        args: Vec<(i32, Option<String>)>,
        command: Vec<u8>,
        return_type: String,
        name: String,
        /// Columns inside the table argument at whose change a new instance begins.
        partition_indexes: Vec<i32>,
        /// The pickled result of the class's `analyze`, where it has one.
        analyzed: Option<Vec<u8>>,
    },
}

/// The settings that `pyspark.worker` looks at.
pub const CONF_KEYS: &[&str] = &[
    "spark.sql.session.timeZone",
    "spark.sql.execution.arrow.maxRecordsPerBatch",
    "spark.sql.execution.arrow.maxBytesPerBatch",
    "spark.sql.execution.pandas.convertToArrowArraySafely",
    "spark.sql.legacy.execution.pandas.groupedMap.assignColumnsByName",
    "spark.sql.legacy.execution.pythonUDF.pandas.conversion.enabled",
    "spark.sql.legacy.execution.pythonUDTF.pandas.conversion.enabled",
    "spark.sql.execution.pyspark.binaryAsBytes",
    "spark.sql.execution.pythonUDF.pandas.intToDecimalCoercionEnabled",
    "spark.sql.execution.pythonUDF.pandas.preferIntExtensionDtype",
    "spark.sql.execution.pythonUDF.arrow.concurrency.level",
    "spark.sql.pyspark.udf.profiler",
    "spark.sql.pyspark.dataSource.profiler",
];

impl Task {
    /// All that comes before the rows.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.int(self.partition);
        out.text(&self.python_version);
        let context = serde_json::json!({
            "isBarrier": false,
            "stageId": 0,
            "partitionId": self.partition,
            "attemptNumber": 0,
            "taskAttemptId": self.partition,
            "cpus": 1,
            "resources": {},
            "localProperties": {},
        });
        out.text(&context.to_string());
        out.text(&self.files);
        out.count(self.includes.len());
        self.includes.iter().for_each(|i| out.text(i));
        // No broadcast variables.
        out.flag(false);
        out.int(0);
        out.int(self.eval_type.0);
        for conf in [&self.conf, &self.eval_conf] {
            out.count(conf.len());
            for (key, value) in conf {
                out.text(key);
                out.text(value);
            }
        }
        match &self.body {
            Body::Functions(functions) => {
                out.count(functions.len());
                for function in functions {
                    args(&mut out, &function.args);
                    out.int(1);
                    out.bytes(&function.command);
                    out.long(function.id);
                }
            }
            Body::Command(command) => out.bytes(command),
            Body::Table { args: of_table, command, return_type, name, partition_indexes, analyzed } => {
                args(&mut out, of_table);
                out.count(partition_indexes.len());
                partition_indexes.iter().for_each(|i| out.int(*i));
                out.flag(analyzed.is_some());
                if let Some(analyzed) = analyzed {
                    out.bytes(analyzed);
                }
                out.bytes(command);
                out.text(return_type);
                out.text(name);
            }
        }
        out.finish()
    }
}

fn args(out: &mut Writer, args: &[(i32, Option<String>)]) {
    out.count(args.len());
    for (offset, name) in args {
        out.int(*offset);
        out.flag(name.is_some());
        if let Some(name) = name {
            out.text(name);
        }
    }
}
