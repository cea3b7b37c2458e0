//! What queries did, newest last: a file of its own beside the metastore, because it is written all the time and may be lost.

use std::path::Path;

use boathouse_spec::{Error, Result};
use serde::Serialize;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::store::get;

/// Queries that are kept; with each that is added the oldest beyond them go.
const KEPT: i64 = 10_000;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS queries (
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL, user_name TEXT NOT NULL, statement TEXT NOT NULL,
    status TEXT NOT NULL, error_class TEXT, error_message TEXT, started_at_us BIGINT NOT NULL,
    duration_us BIGINT NOT NULL, rows_produced BIGINT NOT NULL, peak_memory_bytes BIGINT, spilled_bytes BIGINT NOT NULL,
    files_read BIGINT NOT NULL, files_pruned BIGINT NOT NULL, bytes_read BIGINT NOT NULL, operators TEXT NOT NULL)";

/// A query that has come to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryRecord {
    pub id: String,
    pub session_id: String,
    pub user: String,
    pub statement: String,
    /// `FINISHED`, `FAILED` or `CANCELED`.
    pub status: String,
    pub error_class: Option<String>,
    pub error_message: Option<String>,
    pub started_at_us: i64,
    pub duration_us: i64,
    pub rows_produced: i64,
    /// Of what operators ask the pool for; nothing where no plan ran.
    pub peak_memory_bytes: Option<i64>,
    pub spilled_bytes: i64,
    pub files_read: i64,
    pub files_pruned: i64,
    pub bytes_read: i64,
    /// The operators of its plans, as JSON.
    pub operators: String,
}

#[derive(Debug, Clone)]
pub struct QueryHistory {
    pool: SqlitePool,
}

impl QueryHistory {
    pub async fn open(path: &Path) -> Result<Self> {
        // A history that a crash cut short is no loss, a query that waits for the disk is one.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await;
        let pool = pool.map_err(failed("opening"))?;
        sqlx::query(CREATE).execute(&pool).await.map_err(failed("making"))?;
        Ok(Self { pool })
    }

    /// Adds queries in one transaction.
    pub async fn append(&self, records: &[QueryRecord]) -> Result<()> {
        let doing = failed("adding to");
        let mut tx = self.pool.begin().await.map_err(&doing)?;
        for r in records {
            sqlx::query(
                "INSERT OR REPLACE INTO queries VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            )
            .bind(&r.id)
            .bind(&r.session_id)
            .bind(&r.user)
            .bind(&r.statement)
            .bind(&r.status)
            .bind(&r.error_class)
            .bind(&r.error_message)
            .bind(r.started_at_us)
            .bind(r.duration_us)
            .bind(r.rows_produced)
            .bind(r.peak_memory_bytes)
            .bind(r.spilled_bytes)
            .bind(r.files_read)
            .bind(r.files_pruned)
            .bind(r.bytes_read)
            .bind(&r.operators)
            .execute(&mut *tx)
            .await
            .map_err(&doing)?;
        }
        sqlx::query("DELETE FROM queries WHERE rowid <= (SELECT max(rowid) FROM queries) - $1")
            .bind(KEPT)
            .execute(&mut *tx)
            .await
            .map_err(&doing)?;
        tx.commit().await.map_err(&doing)
    }

    /// The newest queries, newest first.
    pub async fn newest(&self, limit: i64) -> Result<Vec<QueryRecord>> {
        let rows = sqlx::query("SELECT * FROM queries ORDER BY rowid DESC LIMIT $1")
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("reading"))?;
        rows.iter().map(record).collect()
    }

    pub async fn find(&self, id: &str) -> Result<Option<QueryRecord>> {
        let row = sqlx::query("SELECT * FROM queries WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("reading"))?;
        row.as_ref().map(record).transpose()
    }
}

fn record(row: &sqlx::sqlite::SqliteRow) -> Result<QueryRecord> {
    Ok(QueryRecord {
        id: get(row, "id")?,
        session_id: get(row, "session_id")?,
        user: get(row, "user_name")?,
        statement: get(row, "statement")?,
        status: get(row, "status")?,
        error_class: get(row, "error_class")?,
        error_message: get(row, "error_message")?,
        started_at_us: get(row, "started_at_us")?,
        duration_us: get(row, "duration_us")?,
        rows_produced: get(row, "rows_produced")?,
        peak_memory_bytes: get(row, "peak_memory_bytes")?,
        spilled_bytes: get(row, "spilled_bytes")?,
        files_read: get(row, "files_read")?,
        files_pruned: get(row, "files_pruned")?,
        bytes_read: get(row, "bytes_read")?,
        operators: get(row, "operators")?,
    })
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |e| Error::io(format!("{doing} the history of queries"), e)
}
