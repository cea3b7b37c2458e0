//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The lakehouse in one program: PySpark, Spark SQL, Delta Lake and declarative pipelines, without a JVM.
#[derive(Debug, Clone, Parser)]
#[command(name = "boathouse", version, propagate_version = true)]
pub struct Arguments {
    /// Where everything lives: metastore, warehouse, DBFS root, logs [default: ~/.boathouse]
    #[arg(long, global = true, env = "BOATHOUSE_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,

    /// How much goes to the log in HOME/logs
    #[arg(long, global = true, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL")]
    pub log_level: LogLevel,

    /// How much memory all queries may use together before they go by way of the disk, as 512m or 8g [default: 60% of the
    /// machine's]; only for a server or an engine that this command starts
    #[arg(long, global = true, env = "BOATHOUSE_MEMORY_LIMIT", value_name = "BYTES", value_parser = bytes)]
    pub memory_limit: Option<usize>,

    #[command(subcommand)]
    pub command: Command,
}

/// A number of bytes, of KiB (`k`), MiB (`m`) or GiB (`g`).
fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        unit => return Err(format!("{unit} is no unit: k, m and g are")),
    };
    let number: usize = digits.parse().map_err(|_| "a number is needed, as 512m or 8g".to_string())?;
    number
        .checked_shl(shift)
        .filter(|n| n >> shift == number && *n > 0)
        .ok_or_else(|| "out of range".to_string())
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve Spark Connect and HTTP
    Server(ServerArguments),
    /// Run a PySpark script, a notebook (.py source or .ipynb) or a .sql file
    Run(RunArguments),
    /// Run or check a declarative pipeline: a file, a directory, or a specification
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Run SQL statements, or open a prompt for them
    Sql(SqlArguments),
    /// Show it all: sales from JSON to bronze, silver and gold tables, small and then large, in HOME/demo
    Demo(DemoArguments),
}

#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// The address to listen on; only this machine's own (127.0.0.1, ::1, localhost) until there is authentication
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,

    /// The port for Spark Connect; 0 picks a free one
    #[arg(long, default_value_t = 15002, value_name = "PORT")]
    pub connect_port: u16,

    /// The port for HTTP; 0 picks a free one
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub http_port: u16,

    /// How often to look at the tables with the property boathouse.maintenance = auto, in seconds; 0 never does
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub maintenance_interval: u64,
}

#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub remote: Remote,

    /// The file to run
    pub file: PathBuf,

    /// Arguments for the script
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum PipelineCommand {
    /// Bring its tables up to date: only what is new is read
    Run(PipelineRunArguments),
    /// Find every error without running, and show what a run would compute
    DryRun(PipelineCheckArguments),
    /// Say whether it is valid
    Validate(PipelineCheckArguments),
}

#[derive(Debug, Clone, Args)]
pub struct PipelineRunArguments {
    #[command(flatten)]
    pub pipeline: PipelineCheckArguments,

    /// Tables to clear and compute from the start
    #[arg(long, value_name = "TABLE,..", value_delimiter = ',')]
    pub full_refresh: Vec<String>,

    /// Clear and compute everything from the start
    #[arg(long, conflicts_with_all = ["full_refresh", "refresh"])]
    pub full_refresh_all: bool,

    /// Tables to bring up to date, instead of all
    #[arg(long, value_name = "TABLE,..", value_delimiter = ',')]
    pub refresh: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct PipelineCheckArguments {
    #[command(flatten)]
    pub remote: Remote,

    /// A .py, .sql or .ipynb file, a directory of them, or a specification (pipeline.yml)
    pub path: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct SqlArguments {
    #[command(flatten)]
    pub remote: Remote,

    /// Statements to run, separated by semicolons
    #[arg(short = 'e', value_name = "STATEMENTS", conflicts_with = "file")]
    pub statements: Option<String>,

    /// A file of statements to run
    #[arg(short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Sales to generate
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,

    /// Sales to add afterwards
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub new_rows: u64,
}

#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// A running server to use instead of an embedded one
    #[arg(long, env = "SPARK_REMOTE", value_name = "sc://HOST:PORT")]
    pub remote: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}
