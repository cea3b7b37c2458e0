//! The database below: opening, migrating, transactions.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boathouse_spec::{Error, Result, clock};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::errors;
use crate::migrations::STEPS;
use crate::names::{DEFAULT_SCHEMA, SESSION_CATALOG};

/// How long a writer waits for another process's transaction. Transactions are short; this is for a machine in trouble.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// A handle on the metastore. Cheap to clone; safe beside other handles on the same file, in other processes too.
#[derive(Debug, Clone)]
pub struct Catalog {
    pool: SqlitePool,
    /// Writers of this process queue here, in order, instead of on the file's lock, which knows no order.
    writer: Arc<Mutex<()>>,
}

/// A write transaction, which rolls back unless committed.
pub(crate) struct Write<'a> {
    pub(crate) tx: Transaction<'static, Sqlite>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Write<'_> {
    pub(crate) async fn commit(self) -> Result<()> {
        self.tx.commit().await.map_err(errors::store("committing a change"))
    }
}

impl Catalog {
    /// Opens the metastore file, creating and migrating it as needed.
    ///
    /// A file of a newer version is refused: an older program does not know what it would break.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(directory)
                .await
                .map_err(|e| Error::io(format!("creating the directory {}", directory.display()), e))?;
        }
        Self::connect(SqliteConnectOptions::new().filename(path).create_if_missing(true), 4).await
    }

    /// A metastore that lives as long as the handle.
    pub async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::from_str("sqlite::memory:")
            .map_err(errors::store("opening a database in memory"))?;
        // Each connection to `:memory:` is a database of its own, hence one.
        Self::connect(options, 1).await
    }

    async fn connect(options: SqliteConnectOptions, connections: u32) -> Result<Self> {
        let options = options
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(BUSY_TIMEOUT);
        let pool = open_patiently(pool, options).await.map_err(errors::store("opening the database"))?;
        let catalog = Self { pool, writer: Arc::new(Mutex::new(())) };
        catalog.migrate().await?;
        Ok(catalog)
    }

    async fn migrate(&self) -> Result<()> {
        let doing = errors::store("migrating the database");
        let mut write = self.write().await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS metastore_version (version BIGINT NOT NULL)")
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        let version: i64 = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM metastore_version")
            .fetch_one(&mut *write.tx)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(&doing)?;
        let present = STEPS.len() as i64;
        if version > present {
            return Err(Error::new("METASTORE_TOO_NEW").message(format!(
                "The metastore has version {version}, and this program knows versions up to {present}. \
                 Use the newer program that wrote it."
            )));
        }
        if version == present {
            return Ok(());
        }
        for step in &STEPS[version as usize..] {
            for statement in *step {
                sqlx::query(*statement).execute(&mut *write.tx).await.map_err(&doing)?;
            }
        }
        sqlx::query("DELETE FROM metastore_version").execute(&mut *write.tx).await.map_err(&doing)?;
        sqlx::query("INSERT INTO metastore_version (version) VALUES ($1)")
            .bind(present)
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        if version == 0 {
            first_names(&mut write).await.map_err(&doing)?;
        }
        write.commit().await
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Begins a change. The file's write lock is taken at once, so that what the change reads cannot move under it.
    pub(crate) async fn write(&self) -> Result<Write<'_>> {
        let turn = self.writer.lock().await;
        let tx =
            self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(errors::store("beginning a change"))?;
        Ok(Write { tx, _turn: turn })
    }

    /// Closes the file. Handles cloned from this one stop working too.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Opens the file again while another handle has it for itself.
///
/// A new file is switched to write-ahead mode, for which SQLite takes the whole file, and it says `SQLITE_BUSY` at once
/// instead of waiting as it does for the lock of a writer: the first openings of two processes would meet there.
async fn open_patiently(
    pool: SqlitePoolOptions,
    options: SqliteConnectOptions,
) -> Result<SqlitePool, sqlx::Error> {
    const PAUSE: Duration = Duration::from_millis(10);
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(e) if errors::is_busy(&e) && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// A column of a row.
pub(crate) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(column).map_err(|e| errors::corrupt(column, e))
}

/// A column that holds an id.
pub(crate) fn get_id(row: &SqliteRow, column: &str) -> Result<Uuid> {
    Uuid::parse_str(get(row, column)?).map_err(|e| errors::corrupt(column, e))
}

/// `spark_catalog.default`
async fn first_names(write: &mut Write<'_>) -> Result<(), sqlx::Error> {
    let (catalog, now) = (Uuid::new_v4().to_string(), clock::now_us());
    sqlx::query(
        "INSERT INTO catalogs (id, name, comment, owner, location, properties, created_at_us, created_by, updated_at_us, updated_by)
         VALUES ($1, $2, NULL, '', NULL, '{}', $3, '', $3, '')",
    )
    .bind(&catalog)
    .bind(SESSION_CATALOG)
    .bind(now)
    .execute(&mut *write.tx)
    .await?;
    insert_default_schema(write, &catalog, "", now).await
}

/// Each catalog begins with a schema `default`.
pub(crate) async fn insert_default_schema(
    write: &mut Write<'_>,
    catalog_id: &str,
    owner: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO schemas (id, catalog_id, name, comment, owner, location, properties, collation_name,
                              created_at_us, created_by, updated_at_us, updated_by)
         VALUES ($1, $2, $3, 'default database', $4, NULL, '{}', NULL, $5, $4, $5, $4)",
    )
    .bind(Uuid::new_v4().to_string())
    .bind(catalog_id)
    .bind(DEFAULT_SCHEMA)
    .bind(owner)
    .bind(now)
    .execute(&mut *write.tx)
    .await
    .map(|_| ())
}
