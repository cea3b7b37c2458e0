//! An engine in a home of its own.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use boathouse_engine::{Engine, EngineOptions, Session, SqlCommandOutcome};
use boathouse_spec::{Error, Plan, Result, SqlText};

pub struct Home {
    pub directory: std::path::PathBuf,
    pub engine: Arc<Engine>,
    pub session: Arc<Session>,
}

impl Home {
    pub fn new() -> Self {
        let directory =
            std::env::temp_dir().join(format!("boathouse-engine-{}", uuid::Uuid::new_v4().simple()));
        let engine = runtime().block_on(Engine::open(EngineOptions {
            home: directory.clone(),
            memory_limit: Some(1 << 30),
            parallelism: Some(2),
            partitions: None,
        }));
        let engine = engine.unwrap();
        let id = uuid::Uuid::new_v4().to_string();
        let session = runtime().block_on(engine.sessions().get_or_create("me", &id)).unwrap();
        Self { directory, engine, session }
    }

    /// Runs a statement and gives its rows as text.
    pub fn sql(&self, text: &str) -> Result<Vec<Vec<String>>> {
        self.run(text).map(|(_, rows)| rows)
    }

    /// Rows of a statement that must work, each as its values with `|` between.
    pub fn rows(&self, text: &str) -> Vec<String> {
        match self.sql(text) {
            Ok(rows) => rows.into_iter().map(|r| r.join("|")).collect(),
            Err(e) => panic!("{text}: {e}"),
        }
    }

    /// The error of a statement that must fail.
    pub fn error(&self, text: &str) -> Error {
        match self.sql(text) {
            Ok(rows) => panic!("{text}: gave {rows:?}"),
            Err(e) => e,
        }
    }

    pub fn class(&self, text: &str) -> String {
        self.error(text).class().to_string()
    }

    /// The schema of the result, as `name: type [not null]`.
    pub fn schema(&self, text: &str) -> Vec<String> {
        match self.run(text) {
            Ok((schema, _)) => schema,
            Err(e) => panic!("{text}: {e}"),
        }
    }

    pub fn run(&self, text: &str) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        runtime().block_on(async {
            let sql = SqlText { text: text.to_string(), ..SqlText::default() };
            let result = match self.session.sql_command(sql).await? {
                SqlCommandOutcome::Query(relation) => self.session.execute(Plan::Query(relation)).await?,
                SqlCommandOutcome::Rows(result) => result,
            };
            let (schema, batches) = result.collect().await?;
            let shown = schema
                .fields
                .iter()
                .map(|f| {
                    let not_null = if f.nullable { "" } else { " not null" };
                    format!("{}: {}{not_null}", f.name, f.data_type.simple_string())
                })
                .collect();
            let options = FormatOptions::default().with_null("NULL");
            let mut rows = Vec::new();
            for batch in &batches {
                let columns: Vec<_> =
                    batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
                for row in 0..batch.num_rows() {
                    rows.push(columns.iter().map(|c| c.value(row).to_string()).collect());
                }
            }
            Ok((shown, rows))
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        runtime().block_on(self.engine.shutdown());
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
    });
    &RUNTIME
}
