//! Which commits are the versions of Delta tables whose commits the catalog manages ("Catalog-managed tables" in Delta's
//! PROTOCOL.md): of each table the last version, and the files of those that nobody has published yet.
//!
//! Tables are known by their ids, from before they have names: the first commit is made before the name is given.

use boathouse_spec::{Result, clock};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::errors;
use crate::store::{Catalog, get};

/// A table that got no name for so long was not made in the end.
const UNFINISHED_US: i64 = 24 * 3_600_000_000;

/// The commits of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatifiedCommits {
    /// The last version; -1 where there is none yet.
    pub latest: i64,
    /// Version and file of those that are not known to be published, in order.
    pub unpublished: Vec<(i64, String)>,
}

impl Catalog {
    /// Begins to manage the commits of a table that is being made.
    pub async fn manage_commits(&self, table: Uuid) -> Result<()> {
        let doing = errors::store("managing a table's commits");
        let now = clock::now_us();
        let mut write = self.write().await?;
        sqlx::query(
            "DELETE FROM managed_tables WHERE created_at_us < $1 AND table_id NOT IN (SELECT id FROM relations)",
        )
        .bind(now - UNFINISHED_US)
        .execute(&mut *write.tx)
        .await
        .map_err(&doing)?;
        sqlx::query(
            "INSERT INTO managed_tables (table_id, latest_version, created_at_us) VALUES ($1, -1, $2)",
        )
        .bind(table.to_string())
        .bind(now)
        .execute(&mut *write.tx)
        .await
        .map_err(&doing)?;
        write.commit().await
    }

    /// Makes a file the commit of the version after the last one. `false` where the version has one already, or the table is
    /// not there any more.
    pub async fn ratify_commit(&self, table: Uuid, version: i64, file: &str) -> Result<bool> {
        let doing = errors::store("ratifying a commit");
        let mut write = self.write().await?;
        let next =
            "UPDATE managed_tables SET latest_version = $2 WHERE table_id = $1 AND latest_version = $2 - 1";
        let is_next = sqlx::query(next)
            .bind(table.to_string())
            .bind(version)
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        if is_next.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("INSERT INTO managed_commits (table_id, version, file) VALUES ($1, $2, $3)")
            .bind(table.to_string())
            .bind(version)
            .bind(file)
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        write.commit().await?;
        Ok(true)
    }

    /// The commits of a table; `None` where the catalog manages none of it.
    pub async fn ratified_commits(&self, table: Uuid) -> Result<Option<RatifiedCommits>> {
        let doing = errors::store("reading a table's commits");
        let rows = sqlx::query(
            "SELECT t.latest_version AS latest, c.version AS version, c.file AS file
             FROM managed_tables t LEFT JOIN managed_commits c ON c.table_id = t.table_id
             WHERE t.table_id = $1 ORDER BY c.version",
        )
        .bind(table.to_string())
        .fetch_all(self.pool())
        .await
        .map_err(&doing)?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut commits = RatifiedCommits { latest: get(first, "latest")?, unpublished: Vec::new() };
        for row in &rows {
            if let (Some(version), Some(file)) = (get(row, "version")?, get(row, "file")?) {
                commits.unpublished.push((version, file));
            }
        }
        Ok(Some(commits))
    }

    /// Forgets the files of the commits up to a version: they are in the table's log.
    pub async fn commits_are_published(&self, table: Uuid, until: i64) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM managed_commits WHERE table_id = $1 AND version <= $2")
            .bind(table.to_string())
            .bind(until)
            .execute(&mut *write.tx)
            .await
            .map_err(errors::store("forgetting published commits"))?;
        write.commit().await
    }

    /// Ends to manage the commits of a table that was not made in the end.
    pub async fn forget_commits(&self, table: Uuid) -> Result<()> {
        let mut write = self.write().await?;
        forget(&mut write.tx, table).await?;
        write.commit().await
    }
}

/// The commits of a table that is dropped.
pub(crate) async fn forget(connection: &mut SqliteConnection, table: Uuid) -> Result<()> {
    // The files go with it.
    sqlx::query("DELETE FROM managed_tables WHERE table_id = $1")
        .bind(table.to_string())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(errors::store("forgetting a table's commits"))
}
