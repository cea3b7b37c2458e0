//! Names that mean something else to a session than to the catalog: the datasets of a pipeline, which may not exist yet.

use boathouse_spec::{Relation, Result, StructType};

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Dataset {
    /// A table that need not exist: its columns, without rows.
    Columns(StructType),
    /// Another relation in its place, whose short names are of the catalog and schema beside it.
    Relation(Relation, (String, String)),
}

/// Tells what names mean while the flows of a pipeline are analyzed and run.
pub trait Datasets: Send + Sync {
    /// What a name means where it is read; `None`: what it means to the catalog. `namespace` is the catalog and schema of
    /// names that have none. Called on a thread that may block.
    fn find(&self, name: &[String], namespace: (&str, &str), is_streaming: bool) -> Result<Option<Dataset>>;
}
