//! Tables whose commits a catalog manages ("Catalog-managed tables" in PROTOCOL.md): what is asked of the catalog.

use async_trait::async_trait;
use boathouse_spec::Result;

/// The catalog that manages a table's commits: it alone says which commit is a version of the table.
#[async_trait]
pub trait CommitCoordinator: std::fmt::Debug + Send + Sync {
    /// What the catalog knows the table by. Another table that comes into its place has another.
    fn table_id(&self) -> String;

    /// Makes a staged file the commit of the version after the last one. `false` where the version has one already, or the
    /// catalog does not manage the table any more.
    async fn ratify(&self, version: i64, staged: &str) -> Result<bool>;

    /// What the catalog knows of the table's commits; `None` where it does not manage them any more.
    async fn ratified(&self) -> Result<Option<Ratified>>;

    /// The commits up to a version are in the table's log: the catalog can forget their files.
    async fn published(&self, until: i64) -> Result<()>;
}

/// The commits that a catalog has ratified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratified {
    /// The last version; -1 where there is none yet.
    pub latest: i64,
    /// Version and staged file of those that are not known to be published, in order.
    pub unpublished: Vec<(i64, String)>,
}
